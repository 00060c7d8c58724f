/* Metrics: what the runtime counts is what happened. */
#include "harness.h"
#include "run.h"

#include "runtime/runtime.h"

#include <gmptrace/trace.h>
#include <unistd.h>

static struct gmpt_metrics metrics;
static struct gmpt_chan *never;
static ATOMIC(uint32_t) there, stop;

static void waiter(void *args)
{
    (void)args;
    gmpt_chan_recv(never, NULL);
}

static void sleeper(void *args)
{
    (void)args;
    gmpt_sleep(60000000000);
}

static int states(void *arg)
{
    int64_t ids[15];
    (void)arg;
    never = gmpt_chan_new(0, 0);
    for (int i = 0; i < 15; i++)
        ids[i] = gmpt_go(i < 10 ? waiter : sleeper, NULL, 0);
    for (int i = 0; i < 15; i++)
        run_until_waiting(ids[i]);
    run_go(waiter); /* stays runnable: there is one P, and it is ours */
    gmpt_metrics_read(&metrics);
    EXPECT_EQ(metrics.gs, 17);
    EXPECT_EQ(metrics.gs_running, 1);
    EXPECT_EQ(metrics.gs_runnable, 1);
    EXPECT_EQ(metrics.gs_waiting, 15);
    EXPECT_EQ(metrics.gs_waiting_for[GMPT_WAIT_chan_recv], 10);
    EXPECT_EQ(metrics.gs_waiting_for[GMPT_WAIT_sleep], 5);
    EXPECT_EQ(metrics.timers, 5);
    EXPECT_EQ(metrics.ps, 1);
    EXPECT_EQ(metrics.ps_idle, 0);
    EXPECT(metrics.ms >= 1 && metrics.ms_parked < metrics.ms);
    EXPECT(metrics.stacks_bytes >= 17 * (uint64_t)GMPT_STACK_DEFAULT);
    return 0;
}

TEST(metrics, gs_are_counted_by_state_and_reason) { RUN(1, states); }

static void in_a_call(void *args)
{
    (void)args;
    gmpt_blocking_begin();
    store_release(&there, 1);
    while (!load_acquire(&stop))
        usleep(100);
    gmpt_blocking_end();
}

static int a_call_is_left(void *arg)
{
    (void)arg;
    run_go(in_a_call);
    /* There is one P: that we run again while the call lasts says that it was handed on. */
    while (!load_acquire(&there))
        gmpt_yield();
    gmpt_metrics_read(&metrics);
    EXPECT_EQ(metrics.gs_in_calls, 1);
    EXPECT(metrics.handoffs >= 1);
    store_release(&stop, 1);
    return 0;
}

TEST(metrics, a_blocking_call_is_counted_and_its_hand_off) { RUN(1, a_call_is_left); }

static void yields(void *args)
{
    (void)args;
    for (int i = 0; i < 20000; i++)
        gmpt_yield();
}

static uint64_t latencies(void)
{
    uint64_t sum = 0;
    gmpt_metrics_read(&metrics);
    for (int i = 0; i < GMPT_LATENCY_BUCKETS; i++)
        sum += metrics.latency[i];
    return sum;
}

/* The sample is by id and transition, not by chance, so its share is right for what a G does all the time. */
static int sampled(void *arg)
{
    (void)arg;
    for (int i = 0; i < 4; i++)
        run_go(yields);
    while (gmpt_count() > 1)
        gmpt_yield();
    uint64_t count = latencies();
    EXPECT(metrics.latency_one_in > 1);
    uint64_t about = 4 * 20000 / metrics.latency_one_in;
    EXPECT(count >= about && count <= 2 * about); /* the main G yields as well, at most as often */
    return 0;
}

TEST(metrics, latency_is_a_sample_of_the_share_that_it_says) { RUN(1, sampled); }
