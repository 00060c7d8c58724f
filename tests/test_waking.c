/* Whether it pays to wake a thread for a G is learned from what the threads that were woken found to do. */
#include "run.h"

#include "runtime/runtime.h"

#include <time.h>

static ATOMIC(int) ended;

static void moment(void *args)
{
    (void)args;
    fetch_add_relaxed(&ended, 1);
}

static int64_t thread_cpu_ns(void)
{
    struct timespec used;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return used.tv_sec * INT64_C(1000000000) + used.tv_nsec;
}

static void millisecond(void *args)
{
    int64_t until_ns = thread_cpu_ns() + 1000000;
    while (thread_cpu_ns() < until_ns)
        ;
    moment(args);
}

/* While this G keeps its P, the other P's thread runs what it starts, and then finds nothing. */
static void run_elsewhere(void (*fn)(void *args))
{
    int before = load_relaxed(&ended);
    run_go(fn);
    while (load_relaxed(&ended) == before || load_relaxed(&sched.idle_p_count) == 0)
        ;
}

static int moments_and_work(void *arg)
{
    enum { ROUNDS = 1000, MOST = 16, LEAST = 2 }; /* 2: somebody has looked once more */
    uint32_t after = 0;
    (void)arg;
    for (int i = 0; i < ROUNDS && after < MOST; i++) {
        run_elsewhere(moment);
        after = load_relaxed(&sched.wake_after);
    }
    EXPECT(after >= MOST);
    /* More than once, as this G may have lost its P to the one that it started. */
    for (int i = 0; i < ROUNDS && after > LEAST; i++) {
        run_elsewhere(millisecond);
        after = load_relaxed(&sched.wake_after);
    }
    EXPECT(after <= LEAST);
    return 0;
}

TEST(waking, a_thread_that_found_a_moments_work_was_woken_in_vain) { RUN(2, moments_and_work); }
