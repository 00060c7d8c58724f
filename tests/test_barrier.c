/* Barriers: nobody goes on before all have come, again and again. */
#include "run.h"

#include "runtime/runtime.h"

#define PARTIES 5
static struct gmpt_barrier barrier = GMPT_BARRIER_INIT(PARTIES), single = GMPT_BARRIER_INIT(1), nobody;
static struct gmpt_waitgroup group;
static ATOMIC(int64_t) arrived, last_ones, opened, gave_up;

#define ROUNDS (UNDER_SANITIZER ? 300 : 5000)

static int alone(void *arg)
{
    (void)arg;
    EXPECT_EQ(gmpt_barrier_wait(&single), 1);
    EXPECT_EQ(gmpt_barrier_wait_until(&single, 0), 1); /* it need not wait */
    EXPECT_EQ(gmpt_barrier_wait(&nobody), -EINVAL);
    EXPECT_EQ(gmpt_barrier_wait_until(&nobody, 0), -EINVAL);
    return 0;
}

TEST(barrier, one_party_never_waits) { RUN(1, alone); }

static void meet_many_times(void *p)
{
    (void)p;
    for (int64_t round = 1; round <= ROUNDS; round++) {
        fetch_add_relaxed(&arrived, 1);
        int last = gmpt_barrier_wait(&barrier);
        EXPECT(last == 0 || last == 1);
        fetch_add_relaxed(&last_ones, last);
        int64_t now = load_relaxed(&arrived);
        EXPECT(now >= PARTIES * round && now < PARTIES * (round + 1)); /* all of this round, not all of the next */
    }
    gmpt_waitgroup_done(&group);
}

static int meet(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&group, PARTIES);
    for (int i = 0; i < PARTIES; i++)
        run_go(meet_many_times);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(load_relaxed(&last_ones), ROUNDS); /* one a round */
    return 0;
}

TEST(barrier, holds_each_round_until_all_have_come) { RUN(1, meet); }
TEST(barrier, holds_each_round_until_all_have_come_on_many_ps) { RUN(4, meet); }

static void meet_once(void *p)
{
    (void)p;
    EXPECT_EQ(gmpt_barrier_wait(&barrier), 0);
    gmpt_waitgroup_done(&group);
}

static int deadline(void *arg)
{
    (void)arg;
    EXPECT_EQ(gmpt_barrier_wait_until(&barrier, 0), -ETIMEDOUT);
    int64_t until = gmpt_now() + 1000000;
    EXPECT_EQ(gmpt_barrier_wait_until(&barrier, until), -ETIMEDOUT);
    EXPECT(gmpt_now() >= until);
    gmpt_waitgroup_add(&group, PARTIES - 1);
    for (int i = 0; i < PARTIES - 1; i++)
        run_until_waiting(gmpt_go(meet_once, NULL, 0)); /* those who gave up do not count */
    EXPECT_EQ(gmpt_barrier_wait_until(&barrier, 0), 1);
    gmpt_waitgroup_wait(&group);
    return 0;
}

TEST(barrier, who_gave_up_counts_as_not_having_come) { RUN(2, deadline); }

static void race_deadline(void *p)
{
    uint32_t state = (uint32_t)*(int *)p * 7919 + 1;
    for (int i = 0; i < ROUNDS / 4; i++) {
        int result = gmpt_barrier_wait_until(&barrier, gmpt_now() + random_next(&state) % 20000);
        if (result == -ETIMEDOUT)
            fetch_add_relaxed(&gave_up, 1);
        else if (EXPECT(result == 0 || result == 1))
            fetch_add_relaxed(result == 1 ? &last_ones : &opened, 1);
    }
    gmpt_waitgroup_done(&group);
}

static int race_deadlines(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&group, 8);
    for (int i = 0; i < 8; i++)
        EXPECT(gmpt_go(race_deadline, &i, sizeof i) > 0);
    gmpt_waitgroup_wait(&group);
    /* Each opening lets just the others and the last one through. */
    EXPECT_EQ(load_relaxed(&opened), load_relaxed(&last_ones) * (PARTIES - 1));
    return 0;
}

TEST(barrier, racing_deadlines_leave_whole_rounds_on_one_p) { RUN(1, race_deadlines); }
TEST(barrier, racing_deadlines_leave_whole_rounds) { RUN(4, race_deadlines); }
