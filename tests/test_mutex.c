/* The mutex: exclusion, hand-over in order, deadlines. */
#include "run.h"

#include "runtime/runtime.h"

#include <string.h>

static struct gmpt_mutex mutex = GMPT_MUTEX_INIT;
static struct gmpt_waitgroup group;
static int64_t plain; /* protected by mutex */
static int order[16], order_count;
static ATOMIC(int64_t) taken;

static int alone(void *arg)
{
    (void)arg;
    EXPECT_EQ(gmpt_mutex_trylock(&mutex), 0);
    EXPECT_EQ(gmpt_mutex_trylock(&mutex), -EBUSY);
    gmpt_mutex_unlock(&mutex);
    gmpt_mutex_lock(&mutex);
    EXPECT_EQ(gmpt_mutex_trylock(&mutex), -EBUSY);
    gmpt_mutex_unlock(&mutex);
    EXPECT_EQ(gmpt_mutex_lock_until(&mutex, 0), 0); /* free: a passed deadline does not matter */
    EXPECT_EQ(gmpt_mutex_lock_until(&mutex, 0), -ETIMEDOUT);
    gmpt_mutex_unlock(&mutex);
    EXPECT_EQ(gmpt_mutex_lock_until(&mutex, GMPT_NEVER), 0);
    gmpt_mutex_unlock(&mutex);
    return 0;
}

TEST(mutex, is_taken_once_at_a_time) { RUN(1, alone); }

#define WORKERS 10
#define ROUNDS (RUN_SANITIZED ? 500 : 10000)

static void add_many(void *p)
{
    (void)p;
    for (int i = 0; i < ROUNDS; i++) {
        gmpt_mutex_lock(&mutex);
        int64_t before = plain;
        if (i % 64 == 0)
            gmpt_yield(); /* others meet a mutex that is held */
        plain = before + 1;
        gmpt_mutex_unlock(&mutex);
    }
    gmpt_waitgroup_done(&group);
}

static int exclude(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&group, WORKERS);
    for (int i = 0; i < WORKERS; i++)
        run_go(add_many);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(plain, WORKERS * ROUNDS);
    return 0;
}

TEST(mutex, excludes_on_one_p) { RUN(1, exclude); }
TEST(mutex, excludes_on_many_ps) { RUN(4, exclude); }

static void lock_and_note(void *p)
{
    gmpt_mutex_lock(&mutex);
    order[order_count++] = *(int *)p;
    gmpt_mutex_unlock(&mutex);
    gmpt_waitgroup_done(&group);
}

static int queue_up(void *arg)
{
    (void)arg;
    gmpt_mutex_lock(&mutex);
    gmpt_waitgroup_add(&group, 8);
    for (int i = 0; i < 8; i++)
        run_until_waiting(gmpt_go(lock_and_note, &i, sizeof i));
    gmpt_mutex_unlock(&mutex);
    gmpt_waitgroup_wait(&group);
    for (int i = 0; i < 8; i++)
        EXPECT_EQ(order[i], i);
    EXPECT_EQ(gmpt_mutex_trylock(&mutex), 0);
    return 0;
}

TEST(mutex, is_had_in_the_order_of_waiting) { RUN(1, queue_up); }

static void lock_once(void *p)
{
    (void)p;
    gmpt_mutex_lock(&mutex);
    plain++;
    gmpt_mutex_unlock(&mutex);
    gmpt_waitgroup_done(&group);
}

/* Ends only when the unlock does not set the mutex free, for all that the loop takes it again at once. */
static int take_again_and_again(void *arg)
{
    (void)arg;
    gmpt_mutex_lock(&mutex);
    gmpt_waitgroup_add(&group, 3);
    for (int i = 0; i < 3; i++)
        run_until_waiting(gmpt_go(lock_once, NULL, 0));
    do {
        gmpt_preempt_check(); /* a waiter that was woken runs now and then, and finds the mutex held */
        gmpt_mutex_unlock(&mutex);
    } while (gmpt_mutex_trylock(&mutex) == 0);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(plain, 3);
    EXPECT_EQ(gmpt_mutex_trylock(&mutex), 0);
    gmpt_mutex_unlock(&mutex);
    return 0;
}

TEST(mutex, who_waits_for_long_is_handed_it_on_one_p) { RUN(1, take_again_and_again); }
TEST(mutex, who_waits_for_long_is_handed_it_on_many_ps) { RUN(4, take_again_and_again); }

static void lock_until_soon(void *p)
{
    (void)p;
    EXPECT_EQ(gmpt_mutex_lock_until(&mutex, gmpt_now() + 1000000), -ETIMEDOUT);
    gmpt_waitgroup_done(&group);
}

static int time_out(void *arg)
{
    (void)arg;
    gmpt_mutex_lock(&mutex);
    gmpt_waitgroup_add(&group, 5);
    for (int i = 0; i < 5; i++)
        run_go(lock_until_soon);
    gmpt_waitgroup_wait(&group);
    int64_t deadline = gmpt_now() + 1000000;
    EXPECT_EQ(gmpt_mutex_lock_until(&mutex, deadline), -ETIMEDOUT);
    EXPECT(gmpt_now() >= deadline);
    gmpt_mutex_unlock(&mutex); /* nobody waits any more */
    EXPECT_EQ(gmpt_mutex_trylock(&mutex), 0);
    gmpt_mutex_unlock(&mutex);
    return 0;
}

TEST(mutex, waiters_whose_time_is_over_are_gone) { RUN(2, time_out); }

static void lock_with_far_deadline(void *p)
{
    (void)p;
    EXPECT_EQ(gmpt_mutex_lock_until(&mutex, gmpt_now() + 3600000000000), 0);
    gmpt_mutex_unlock(&mutex);
    gmpt_waitgroup_done(&group);
}

static int one_of_the_middle_gives_up(void *arg)
{
    (void)arg;
    gmpt_mutex_lock(&mutex);
    gmpt_waitgroup_add(&group, 3);
    run_until_waiting(gmpt_go(lock_with_far_deadline, NULL, 0));
    run_go(lock_until_soon);
    EXPECT_EQ(gmpt_mutex_lock_until(&mutex, gmpt_now() + 3000000), -ETIMEDOUT);
    run_until_waiting(gmpt_go(lock_with_far_deadline, NULL, 0));
    gmpt_mutex_unlock(&mutex);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(gmpt_mutex_trylock(&mutex), 0);
    return 0;
}

TEST(mutex, who_gives_up_leaves_the_others_in_the_queue) { RUN(2, one_of_the_middle_gives_up); }

static void race_deadline(void *p)
{
    uint32_t random_state = (uint32_t)*(int *)p * 7919 + 1;
    for (int i = 0; i < ROUNDS / 4; i++) {
        if (gmpt_mutex_lock_until(&mutex, gmpt_now() + random_next(&random_state) % 20000) == 0) {
            plain++;
            if (random_next(&random_state) % 4 == 0)
                gmpt_yield();
            gmpt_mutex_unlock(&mutex);
            fetch_add_relaxed(&taken, 1);
        }
    }
    gmpt_waitgroup_done(&group);
}

static int race_deadlines(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&group, WORKERS);
    for (int i = 0; i < WORKERS; i++)
        EXPECT(gmpt_go(race_deadline, &i, sizeof i) > 0);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(plain, load_relaxed(&taken));
    EXPECT_EQ(gmpt_mutex_trylock(&mutex), 0); /* it was lost by nobody */
    return 0;
}

TEST(mutex, racing_deadlines_neither_lose_nor_share_it) { RUN(4, race_deadlines); }

static void unlock_for_main(void *p)
{
    (void)p;
    gmpt_mutex_unlock(&mutex);
}

static int another_unlocks(void *arg)
{
    (void)arg;
    gmpt_mutex_lock(&mutex);
    run_go(unlock_for_main);
    gmpt_mutex_lock(&mutex);
    gmpt_mutex_unlock(&mutex);
    return 0;
}

TEST(mutex, another_g_may_unlock_it) { RUN(2, another_unlocks); }

static int unlock_unlocked(void *arg)
{
    (void)arg;
    gmpt_mutex_unlock(&mutex);
    return 0;
}

static void child_unlock(void) { run_on(1, unlock_unlocked); }

TEST(mutex, unlocking_what_is_not_locked_ends_the_program)
{
    char err[512];
    ck_assert_int_ne(run_child(child_unlock, err, sizeof err), 0);
    ck_assert_ptr_nonnull(strstr(err, "not locked"));
}
