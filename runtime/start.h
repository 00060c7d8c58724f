/* Starting and ending the runtime. */
#ifndef GMPT_START_H
#define GMPT_START_H

#include "runtime.h"

/* Gives the calling thread a stack for signal handlers, so that an overflow of a G's stack can be told. */
void start_signal_stack(void);

/* GOMAXPROCS by GMPT_MAXPROCS, the CPUs that the process may use, and the cgroup's quota. -EINVAL when
 * GMPT_MAXPROCS is not a number from 1 to PS_MAX. */
int maxprocs_choose(void);
/* The part of it that reads a cgroup v2 cpu.max line: CPUs rounded up, 0 = no limit. */
int maxprocs_parse_quota(const char *line);

#endif
