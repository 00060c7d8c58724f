#include "crosswakes.h"

#include "busy.h"

#include <errno.h>
#include <stdlib.h>

/* That a thread woke another. */
struct wake {
    int64_t at_ns, late_ns; /* when, and how late the woken then ran */
    uint32_t cpu;           /* where */
    uint64_t g;             /* the waker's G; 0 = none */
    struct distribution_key key;
};

/* What a thread did last. A wake-up is told when the woken runs, which may be before or after its waker's sleep is. */
struct doer {
    bool woke; /* and is not known to have slept since: */
    struct wake wake;
    bool slept; /* blocked, and left its CPU idle, and nothing was counted for that yet: */
    int64_t slept_ns;
    uint32_t cpu;
};

void crosswakes_open(struct crosswakes *wakes, uint32_t pid, const struct finding_limits *limits)
{
    *wakes = (struct crosswakes){ .pid = pid, .at_once_ns = limits->at_once_ns };
}

void crosswakes_clear(struct crosswakes *wakes)
{
    for (size_t i = 0; wakes->threads.slots && i <= wakes->threads.mask; i++)
        free(wakes->threads.slots[i].entry);
    table_clear(&wakes->threads);
    distributions_clear(&wakes->wakers);
}

/* NULL with errno 0 = there are too many. */
static struct doer *doer_get(struct crosswakes *wakes, uint32_t tid)
{
    struct doer *doer = table_find(&wakes->threads, table_mix(tid), NULL, NULL);
    errno = 0;
    if (doer || wakes->threads.count == CROSSWAKES_THREADS_MAX)
        return doer;
    doer = calloc(1, sizeof *doer);
    if (!doer || table_insert(&wakes->threads, table_mix(tid), doer)) {
        free(doer);
        errno = ENOMEM;
        return NULL;
    }
    return doer;
}

/* Counts the wake-up, if it was for nothing. */
static int pair_judge(struct crosswakes *wakes, struct doer *doer, const struct wake *wake)
{
    uint64_t after_ns = (uint64_t)doer->slept_ns - (uint64_t)wake->at_ns; /* before it, that is a large number */
    if (!doer->slept || after_ns > (uint64_t)wakes->at_once_ns || doer->cpu == wake->cpu)
        return 0;
    struct distribution *waker = distributions_get(&wakes->wakers, &wake->key);
    if (!waker)
        return -ENOMEM;
    doer->slept = doer->woke = false;
    rate_add(&waker->rate, wake->at_ns, CROSSWAKES_WINDOW_NS);
    return distribution_add(waker, wake->late_ns, wake->at_ns + wake->late_ns, wake->g, 0);
}

static int sleep_add(struct crosswakes *wakes, struct doer *doer, const struct kernel_interval *interval)
{
    int result = 0;
    doer->slept = interval->why == GMPT_KERNEL_BLOCKED && interval->next.tid == 0;
    doer->slept_ns = interval->begin_ns;
    doer->cpu = interval->cpu_from;
    if (doer->woke && doer->wake.at_ns <= interval->begin_ns) {
        result = pair_judge(wakes, doer, &doer->wake);
        doer->woke = false;
    }
    return result;
}

static int wake_add(struct crosswakes *wakes, struct doer *doer, const struct kernel_interval *interval,
                    const struct intervals *intervals, struct stackalias *alias)
{
    const struct interval_g *g = interval->waker.g ? intervals_g(intervals, interval->waker.g) : NULL;
    struct wake wake = {
        .at_ns = interval->able_ns,
        .late_ns = interval->end_ns - interval->able_ns,
        .cpu = interval->cpu_to,
        .g = interval->waker.g,
        .key = { .fn = g ? g->fn : 0, .stack = g ? stackalias_of(alias, g->create_stack) : 0 },
    };
    int result = pair_judge(wakes, doer, &wake);
    if (result || doer->slept_ns >= wake.at_ns)
        return result;
    if (!doer->woke || doer->wake.at_ns <= wake.at_ns) {
        doer->woke = true;
        doer->wake = wake;
    }
    return 0;
}

int crosswakes_add(struct crosswakes *wakes, const struct kernel_interval *interval, const struct intervals *intervals,
                   struct stackalias *alias)
{
    const struct kernel_task *waker = &interval->waker;
    if (!interval->by_known)
        return 0;
    struct doer *doer = doer_get(wakes, interval->tid);
    int result = doer ? sleep_add(wakes, doer, interval) : -errno;
    bool own = kernelintervals_named(waker) && (waker->g || waker->pid == wakes->pid);
    if (result || interval->why != GMPT_KERNEL_BLOCKED || !interval->able_known || !own)
        return result;
    doer = doer_get(wakes, waker->tid);
    return doer ? wake_add(wakes, doer, interval, intervals, alias) : -errno;
}

static void waker_place(struct finding *found, const struct distribution *waker)
{
    found->create_stack = waker->key.stack;
}

int crosswakes_finish(struct crosswakes *wakes, const struct finding_limits *limits, struct findings *findings)
{
    const struct busy_limit limit = { FINDING_CROSS, CROSSWAKES_WINDOW_NS, limits->cross_wakes_per_s };
    return busy_find(&wakes->wakers, &limit, waker_place, findings);
}
