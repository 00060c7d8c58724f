/* Threads that were woken on another CPU for nothing: the waker itself slept right after that, and its own CPU had
 * nothing to do then.
 *
 *     CPU 0    waker  ======== wakes ==| sleeps (idle)
 *     CPU 1                      `....> |== woken runs      needless: CPU 0 was free before it had begun to matter
 *
 * That is, thread A of the program woke thread B, which then had a CPU other than A's; within at_once_ns A blocked, and
 * nobody else had A's CPU next. Of several that A woke just before it blocked, only the last counts, once. B pays with
 * the way to the other CPU and with cold caches, and A, if B wakes it in turn, likewise. Only a tier that tells wakers
 * and CPUs can tell of it (bpf). An interrupt counts as a wake-up by whom it interrupted; that is seldom, and only a
 * rate is a finding. */
#ifndef GMPT_CROSSWAKES_H
#define GMPT_CROSSWAKES_H

#include "distribution.h"
#include "finding.h"

#include "trace/intervals.h"
#include "trace/kernelintervals.h"
#include "trace/stackalias.h"

#define CROSSWAKES_WINDOW_NS 100000000
#define CROSSWAKES_THREADS_MAX 65536 /* of further ones nothing is told */

/* Zero-initialised is empty. */
struct crosswakes {
    struct distributions wakers; /* by function and start of the waker's G: how late the woken ran */
    struct table threads;        /* by tid: what a thread did last */
    uint32_t pid;
    int64_t at_once_ns;
};

void crosswakes_open(struct crosswakes *wakes, uint32_t pid, const struct finding_limits *limits);
/* A time without a CPU, of any thread, in order. Returns 0 or -ENOMEM. */
int crosswakes_add(struct crosswakes *wakes, const struct kernel_interval *interval, const struct intervals *intervals,
                   struct stackalias *alias);
int crosswakes_finish(struct crosswakes *wakes, const struct finding_limits *limits, struct findings *findings);
void crosswakes_clear(struct crosswakes *wakes);

#endif
