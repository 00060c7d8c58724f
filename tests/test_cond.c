/* Conditions: signals wake in order, none is missed, deadlines end a wait. */
#include "run.h"

#include "runtime/runtime.h"

#include <string.h>

static struct gmpt_cond cond = GMPT_COND_INIT, other = GMPT_COND_INIT;
static struct gmpt_mutex mutex = GMPT_MUTEX_INIT;
static struct gmpt_waitgroup group;
static int order[16], order_count; /* protected by mutex */
static int64_t plain;
static ATOMIC(int64_t) timed_out, woken;

#define FAR_NS 3600000000000
#define ROUNDS (UNDER_SANITIZER ? 500 : 10000)

static void wait_and_note(void *p)
{
    gmpt_mutex_lock(&mutex);
    gmpt_cond_wait(&cond, &mutex);
    EXPECT_EQ(gmpt_mutex_owner(&mutex), gmpt_self());
    order[order_count++] = *(int *)p;
    gmpt_mutex_unlock(&mutex);
    gmpt_waitgroup_done(&group);
}

static void start_waiters(int count)
{
    gmpt_waitgroup_add(&group, count);
    for (int i = 0; i < count; i++)
        run_until_waiting(gmpt_go(wait_and_note, &i, sizeof i));
}

static int signal_each(void *arg)
{
    (void)arg;
    start_waiters(6);
    for (int i = 0; i < 6; i++) {
        gmpt_cond_signal(&cond);
        gmpt_waitgroup_add(&group, i - 5);
        gmpt_waitgroup_wait(&group); /* just one more has come through */
        gmpt_waitgroup_add(&group, 5 - i);
        EXPECT_EQ(order_count, i + 1);
        EXPECT_EQ(order[i], i);
    }
    return 0;
}

TEST(cond, a_signal_wakes_the_one_that_waits_longest) { RUN(1, signal_each); }
TEST(cond, a_signal_wakes_the_one_that_waits_longest_on_many_ps) { RUN(4, signal_each); }

static int broadcast(void *arg)
{
    (void)arg;
    gmpt_cond_broadcast(&cond); /* to nobody */
    gmpt_cond_signal(&cond);
    start_waiters(10);
    gmpt_mutex_lock(&mutex);
    gmpt_cond_broadcast(&cond);
    EXPECT_EQ(order_count, 0);
    gmpt_mutex_unlock(&mutex);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(order_count, 10);
    return 0;
}

TEST(cond, a_broadcast_wakes_all) { RUN(1, broadcast); }
TEST(cond, a_broadcast_wakes_all_on_many_ps) { RUN(4, broadcast); }

static int deadline(void *arg)
{
    (void)arg;
    gmpt_mutex_lock(&mutex);
    EXPECT_EQ(gmpt_cond_wait_until(&cond, &mutex, 0), -ETIMEDOUT);
    EXPECT_EQ(gmpt_mutex_owner(&mutex), gmpt_self());
    int64_t until = gmpt_now() + 1000000;
    EXPECT_EQ(gmpt_cond_wait_until(&cond, &mutex, until), -ETIMEDOUT);
    EXPECT(gmpt_now() >= until);
    EXPECT_EQ(gmpt_mutex_owner(&mutex), gmpt_self());
    gmpt_mutex_unlock(&mutex);
    EXPECT_EQ(gmpt_mutex_owner(&mutex), 0);
    return 0;
}

TEST(cond, a_deadline_ends_the_wait_with_the_mutex_locked) { RUN(2, deadline); }

static void wait_far(void *p)
{
    (void)p;
    gmpt_mutex_lock(&mutex);
    EXPECT_EQ(gmpt_cond_wait_until(&cond, &mutex, gmpt_now() + FAR_NS), 0);
    gmpt_mutex_unlock(&mutex);
    gmpt_waitgroup_done(&group);
}

static int one_gives_up(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&group, 2);
    run_until_waiting(gmpt_go(wait_far, NULL, 0));
    gmpt_mutex_lock(&mutex);
    EXPECT_EQ(gmpt_cond_wait_until(&cond, &mutex, gmpt_now() + 2000000), -ETIMEDOUT);
    gmpt_mutex_unlock(&mutex);
    run_until_waiting(gmpt_go(wait_far, NULL, 0));
    gmpt_cond_signal(&cond); /* none of the two is lost on who gave up */
    gmpt_cond_signal(&cond);
    gmpt_waitgroup_wait(&group);
    return 0;
}

TEST(cond, who_gave_up_takes_no_signal) { RUN(2, one_gives_up); }

/* A queue of one place, which loses a value or hangs when a signal is missed. */
static int64_t place; /* 0 = empty */

static void produce(void *p)
{
    for (int64_t i = 1; i <= *(int64_t *)p; i++) {
        gmpt_mutex_lock(&mutex);
        while (place != 0)
            gmpt_cond_wait(&other, &mutex);
        place = i;
        gmpt_mutex_unlock(&mutex);
        gmpt_cond_signal(&cond); /* without the mutex */
    }
    gmpt_waitgroup_done(&group);
}

static void consume(void *p)
{
    for (int64_t i = 0; i < *(int64_t *)p; i++) {
        gmpt_mutex_lock(&mutex);
        while (place == 0)
            gmpt_cond_wait(&cond, &mutex);
        plain += place;
        place = 0;
        gmpt_cond_signal(&other);
        gmpt_mutex_unlock(&mutex);
    }
    gmpt_waitgroup_done(&group);
}

static int hand_on(void *arg)
{
    (void)arg;
    int64_t count = ROUNDS;
    gmpt_waitgroup_add(&group, 8);
    for (int i = 0; i < 4; i++) {
        EXPECT(gmpt_go(produce, &count, sizeof count) > 0);
        EXPECT(gmpt_go(consume, &count, sizeof count) > 0);
    }
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(plain, 4 * count * (count + 1) / 2);
    return 0;
}

TEST(cond, no_signal_is_missed_on_one_p) { RUN(1, hand_on); }
TEST(cond, no_signal_is_missed_on_many_ps) { RUN(4, hand_on); }

/* Every signal that found somebody, and every deadline, ends one wait. */
static int64_t tokens; /* protected by mutex */

static void take_tokens(void *p)
{
    uint32_t state = (uint32_t)*(int *)p * 7919 + 1;
    for (int i = 0; i < ROUNDS / 10; i++) {
        gmpt_mutex_lock(&mutex);
        int result = 0;
        int64_t deadline_ns = gmpt_now() + random_next(&state) % 20000;
        while (tokens == 0 && result == 0)
            result = gmpt_cond_wait_until(&cond, &mutex, deadline_ns);
        if (tokens) {
            tokens--;
            fetch_add_relaxed(&woken, 1);
        } else {
            EXPECT_EQ(result, -ETIMEDOUT);
            fetch_add_relaxed(&timed_out, 1);
        }
        gmpt_mutex_unlock(&mutex);
    }
    gmpt_waitgroup_done(&group);
}

static void give_tokens(void *p)
{
    uint32_t state = (uint32_t)*(int *)p * 104729 + 1;
    for (int i = 0; i < ROUNDS / 10; i++) {
        gmpt_mutex_lock(&mutex);
        tokens++;
        plain++;
        gmpt_mutex_unlock(&mutex);
        if (random_next(&state) % 8)
            gmpt_cond_signal(&cond);
        else
            gmpt_cond_broadcast(&cond);
        if (random_next(&state) % 4 == 0)
            gmpt_yield();
    }
    gmpt_waitgroup_done(&group);
}

static int race_deadlines(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&group, 9);
    for (int i = 0; i < 6; i++)
        EXPECT(gmpt_go(take_tokens, &i, sizeof i) > 0);
    for (int i = 0; i < 3; i++)
        EXPECT(gmpt_go(give_tokens, &i, sizeof i) > 0);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(tokens + load_relaxed(&woken), plain);
    EXPECT_EQ(load_relaxed(&woken) + load_relaxed(&timed_out), 6 * (ROUNDS / 10));
    return 0;
}

TEST(cond, racing_deadlines_end_each_wait_once_on_one_p) { RUN(1, race_deadlines); }
TEST(cond, racing_deadlines_end_each_wait_once) { RUN(4, race_deadlines); }

static int wait_unlocked(void *arg)
{
    (void)arg;
    gmpt_cond_wait(&cond, &mutex);
    return 0;
}

static void child_wait_unlocked(void) { run_on(1, wait_unlocked); }

TEST(cond, waiting_with_an_unlocked_mutex_ends_the_program)
{
    char err[512];
    ck_assert_int_ne(run_child(child_wait_unlocked, err, sizeof err), 0);
    ck_assert_ptr_nonnull(strstr(err, "not locked"));
}
