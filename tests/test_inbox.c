/* Preferred Ps: a G goes to the P that it prefers when that has nothing else, and is never left waiting for it. */
#include "run.h"

#include "runtime/inbox.h"

static struct gmpt_waitgroup group;
static ATOMIC(int64_t) sum, at_home, wakes;

static uint32_t p_of_g(void) { return m_self()->p->index; }

static void note_home(void *args)
{
    int value = *(int *)args;
    uint32_t home = (uint32_t)value % 3;
    for (int i = 0; i < 20; i++) {
        gmpt_sleep(20000);
        fetch_add_relaxed(&wakes, 1);
        if (p_of_g() == home)
            fetch_add_relaxed(&at_home, 1);
    }
    fetch_add_relaxed(&sum, value);
    gmpt_waitgroup_done(&group);
}

static int start_with_preference(void *arg)
{
    (void)arg;
    int64_t expected = 0;
    for (int round = 0; round < 5; round++) {
        gmpt_waitgroup_add(&group, 30);
        for (int i = 0; i < 30; i++) {
            struct gmpt_go_options options = { .p = i % 3 + 1 };
            EXPECT(gmpt_go_with(&options, note_home, &i, sizeof i) > 0);
            expected += i;
        }
        gmpt_waitgroup_wait(&group);
    }
    EXPECT_EQ(load_relaxed(&sum), expected);
    EXPECT_EQ(load_relaxed(&wakes), 5 * 30 * 20);
    EXPECT(load_relaxed(&at_home) > load_relaxed(&wakes) / 3); /* more often than by chance */
    return 0;
}

TEST(inbox, gs_run_at_home_more_often_than_not) { RUN(3, start_with_preference); }

static void done(void *args)
{
    (void)args;
    gmpt_waitgroup_done(&group);
}

static int prefer_what_retires(void *arg)
{
    (void)arg;
    for (int i = 0; i < 300; i++) {
        struct gmpt_go_options options = { .p = i % 8 + 1 };
        gmpt_gomaxprocs(1 + i * 7 % 8);
        gmpt_waitgroup_add(&group, 4);
        for (int j = 0; j < 4; j++)
            EXPECT(gmpt_go_with(&options, done, NULL, 0) > 0);
        gmpt_waitgroup_wait(&group);
    }
    return 0;
}

TEST(inbox, a_preferred_p_that_retires_loses_nothing) { RUN(2, prefer_what_retires); }

static ATOMIC(uint32_t) hog_may_end;

static void hog_p(void *args)
{
    (void)args;
    while (!load_relaxed(&hog_may_end))
        ;
    gmpt_waitgroup_done(&group);
}

static void end_hog(void *args)
{
    (void)args;
    store_relaxed(&hog_may_end, 1);
    gmpt_waitgroup_done(&group);
}

/* The hog's P is preferred by who must end it. */
static int prefer_a_busy_p(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&group, 2);
    struct gmpt_go_options options = { .p = 2 };
    gmpt_go_with(&options, hog_p, NULL, 0);
    gmpt_sleep(1000000);
    gmpt_go_with(&options, end_hog, NULL, 0);
    gmpt_waitgroup_wait(&group);
    return 0;
}

TEST(inbox, a_preferred_p_that_is_busy_keeps_nobody_waiting) { RUN(2, prefer_a_busy_p); }

static ATOMIC(uint32_t) turn;

static void take_turn(void *args)
{
    (void)args;
    store_relaxed(&turn, 1);
}

static int yield_when_asked(void *arg)
{
    (void)arg;
    EXPECT_EQ(gmpt_yield_if(), 0);
    run_go(take_turn);
    EXPECT_EQ(load_relaxed(&turn), 0);
    EXPECT_EQ(gmpt_yield_if(), 1);
    EXPECT_EQ(load_relaxed(&turn), 1);
    EXPECT_EQ(gmpt_yield_if(), 0);
    return 0;
}

TEST(inbox, yield_if_yields_to_somebody_only) { RUN(1, yield_when_asked); }
