/* Taking turns from Gs that do not give them, in three tiers.
 *
 * T0, cooperative: sysmon sets a bit in the M's attention; the G gives way at its next call of the runtime.
 * T1, for a G that makes none: sysmon takes the P away and hands it to another M. The G runs on, on its own thread,
 *     without a P (G_PREEMPTED); the kernel shares the CPU between the two. It keeps its thread, so its TLS, errno and
 *     the locks of libc that it may hold are as they were: nothing that C code relies on breaks. At its next call of
 *     the runtime it needs a P again. The protocol is that of enter.h.
 * T2, for Gs started with GMPT_PURE_COMPUTE: a signal makes the G call the scheduler wherever it is; see async.h.
 *
 * Rejected for all but T2: switching the G away in a signal handler, as Go does. A G that is inside malloc or stdio, or
 * has the address of errno in a register, then leaves a lock behind on one thread and comes back on another. */
#ifndef GMPT_PREEMPT_H
#define GMPT_PREEMPT_H

#include "runtime.h"

/* Registers for membarrier. Without it (kernels before 4.14, some sandboxes) there is no T1. */
void preempt_start(void);

/* Sysmon: takes p from the M that has run the slice `tick` on it, if that M is in the user's code. On true p is the
 * caller's. A G that may be stopped by a signal is sent one instead, while *signals, how many it was sent in this
 * slice, is small. Does nothing when so many Gs run without a P already that more would only fight for CPUs. */
bool preempt_take(struct p *p, uint32_t tick, uint32_t *signals);

#endif
