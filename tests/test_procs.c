/* Changing GOMAXPROCS while Gs run: nothing is lost, nobody starves, timers of Ps that are gone still fire. */
#include "run.h"

#include "runtime/runtime.h"

static struct gmpt_waitgroup group;
static ATOMIC(int64_t) sum;

static int ask_and_set(void *arg)
{
    (void)arg;
    EXPECT_EQ(gmpt_gomaxprocs(0), 2);
    EXPECT_EQ(gmpt_gomaxprocs(5), 2);
    EXPECT_EQ(gmpt_maxprocs(), 5);
    EXPECT_EQ(gmpt_gomaxprocs(-1), 5);
    EXPECT_EQ(gmpt_gomaxprocs(1), 5);
    EXPECT_EQ(gmpt_gomaxprocs(64), 1);
    EXPECT_EQ(gmpt_gomaxprocs(65), -ERANGE);
    EXPECT_EQ(gmpt_maxprocs(), 64);
    return 0;
}

TEST(procs, gomaxprocs_returns_what_it_was) { RUN(2, ask_and_set); }

static void pass_on(void *args)
{
    struct gmpt_chan **chans = args;
    for (int64_t value; gmpt_chan_recv(chans[0], &value) == 0;) {
        if (value % 3 == 0)
            gmpt_yield();
        if (value % 97 == 0)
            gmpt_sleep(20000);
        if (value % 89 == 0) {
            gmpt_blocking_begin();
            gmpt_blocking_end();
        }
        gmpt_chan_send(chans[1], &value);
    }
    gmpt_waitgroup_done(&group);
}

static void collect(void *args)
{
    struct gmpt_chan *chan = *(struct gmpt_chan **)args;
    for (int64_t value; gmpt_chan_recv(chan, &value) == 0;)
        fetch_add_relaxed(&sum, value);
    gmpt_waitgroup_done(&group);
}

#define VALUES (UNDER_SANITIZER ? 3000 : 30000)

static int change_under_load(void *arg)
{
    (void)arg;
    struct gmpt_chan *chans[2] = { gmpt_chan_new(sizeof(int64_t), 4), gmpt_chan_new(sizeof(int64_t), 0) };
    gmpt_waitgroup_add(&group, 20);
    for (int i = 0; i < 20; i++)
        gmpt_go(pass_on, chans, sizeof chans);
    gmpt_go(collect, &chans[1], sizeof chans[1]);
    uint32_t random = 1;
    for (int64_t value = 1; value <= VALUES; value++) {
        gmpt_chan_send(chans[0], &value);
        if (value % 50 == 0)
            gmpt_gomaxprocs(1 + (int)(random_next(&random) % 8));
    }
    gmpt_chan_close(chans[0]);
    gmpt_waitgroup_wait(&group);
    gmpt_waitgroup_add(&group, 1);
    gmpt_chan_close(chans[1]);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(load_relaxed(&sum), (int64_t)VALUES * (VALUES + 1) / 2);
    gmpt_chan_release(chans[0]);
    gmpt_chan_release(chans[1]);
    return 0;
}

TEST(procs, changes_under_load_lose_nothing) { RUN(2, change_under_load); }

static void sleep_long_enough(void *args)
{
    (void)args;
    gmpt_sleep(20000000);
    gmpt_waitgroup_done(&group);
}

static ATOMIC(uint32_t) slept;

static void yield_until_slept(void *args)
{
    (void)args;
    while (!load_relaxed(&slept))
        gmpt_yield();
}

/* Sleepers start on all Ps; then one P is left, and it is never idle. */
static int leave_sleepers(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&group, 400);
    for (int i = 0; i < 400; i++) {
        run_go(sleep_long_enough);
        gmpt_yield();
    }
    gmpt_gomaxprocs(1);
    run_go(yield_until_slept);
    run_go(yield_until_slept);
    gmpt_waitgroup_wait(&group);
    store_relaxed(&slept, 1);
    return 0;
}

TEST(procs, timers_of_retired_ps_fire) { RUN(8, leave_sleepers); }

static ATOMIC(uint32_t) stop_turns, turns;

static void take_turns(void *args)
{
    (void)args;
    while (!load_relaxed(&stop_turns)) {
        fetch_add_relaxed(&turns, 1);
        gmpt_yield();
    }
    gmpt_waitgroup_done(&group);
}

static int one_is_left(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&group, 12);
    for (int i = 0; i < 12; i++)
        run_go(take_turns);
    gmpt_sleep(5000000);
    gmpt_gomaxprocs(1);
    for (uint32_t i = 1; i < 4; i++)
        while (load_relaxed(&sched.ps[i].status) != P_RETIRED)
            gmpt_yield();
    uint32_t before = load_relaxed(&turns);
    while (load_relaxed(&turns) < before + 1000)
        gmpt_yield();
    for (uint32_t i = 1; i < 4; i++)
        EXPECT_EQ(load_relaxed(&sched.ps[i].status), P_RETIRED);
    store_relaxed(&stop_turns, 1);
    gmpt_waitgroup_wait(&group);
    return 0;
}

TEST(procs, those_over_the_limit_retire) { RUN(4, one_is_left); }
