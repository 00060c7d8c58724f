/* Starting and ending the runtime. */
#ifndef GMPT_START_H
#define GMPT_START_H

#include "runtime.h"

#define START_SIGNAL_STACK_BYTES (64u * 1024)

/* A stack for a thread's signal handlers. Without it they would run on the G's, where a small one has no room for them,
 * and an overflow could not be told. NULL when there is no memory. */
void *start_signal_stack_new(void);
void start_signal_stack_free(void *stack); /* one that no thread uses; NULL is allowed */
void start_signal_stack_use(void *stack);  /* for the calling thread */

/* GOMAXPROCS by GMPT_MAXPROCS, the CPUs that the process may use, and the cgroup's quota. -EINVAL when
 * GMPT_MAXPROCS is not a number from 1 to PS_MAX. */
int maxprocs_choose(void);
/* CPUs that the cgroup's quota allows, rounded up; 0 = there is none. */
int maxprocs_quota(void);
/* The part of it that reads a cgroup v2 cpu.max line: CPUs rounded up, 0 = no limit. */
int maxprocs_parse_quota(const char *line);

#endif
