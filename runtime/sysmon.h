/* The monitor: a thread that holds no P and looks after those who cannot look after themselves. */
#ifndef GMPT_SYSMON_H
#define GMPT_SYSMON_H

#include "runtime.h"

/* CLOCK_MONOTONIC as of sysmon's last round: at most 10 ms old. */
extern ATOMIC(int64_t) coarse_now_ns;

/* Runs until the main G has returned. */
void sysmon_run(void);
/* A P went into a blocking call while others wait for it: sysmon must not be napping for long. */
void sysmon_look_soon(void);
/* Ends sysmon's nap. Async-signal-safe. */
void sysmon_wake(void);
/* Ends sysmon_run. */
void sysmon_stop(void);

#endif
