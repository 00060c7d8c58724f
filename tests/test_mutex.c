/* The mutex: exclusion, hand-over of old waiters in order, races of young ones, the owner, deadlines. */
#include "run.h"

#include "runtime/enter.h"

#include <stdlib.h>
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

/* One P was all there ever was, so locking takes no locked instructions, and needs that P; and Gs lose it, in and out
 * of the lock. */
enum { COMPUTERS = 3, COMPUTER_ROUNDS = 40 };

static void compute_for(int64_t ns)
{
    for (int64_t end_ns = gmpt_now() + ns; gmpt_now() < end_ns;)
        continue;
}

/* Whoever comes to lock without a P must be back on one when it has the mutex, which is a transition of the G. */
static void lock_with_p(bool by_trying)
{
    bool lost = load_relaxed(&m_self()->attention) & ATTENTION_TAKEN;
    uint64_t before = load_relaxed(&g_self()->slot->status);
    if (by_trying)
        while (gmpt_mutex_trylock(&mutex) != 0)
            gmpt_yield();
    else
        gmpt_mutex_lock(&mutex);
    if (lost) {
        EXPECT(load_relaxed(&g_self()->slot->status) != before);
        fetch_add_relaxed(&taken, 1);
    }
}

static void compute_and_add(void *p)
{
    (void)p;
    uint32_t state = (uint32_t)gmpt_self();
    for (int i = 0; i < COMPUTER_ROUNDS; i++) {
        state = state * 1664525 + 1013904223;
        compute_for(i % 2 ? 7000000 + (state >> 10) % 5000000 : 0);
        lock_with_p(i % 4 == 1);
        int64_t before = plain;
        compute_for(i % 2 ? 0 : 7000000 + (state >> 8) % 5000000);
        plain = before + 1;
        gmpt_mutex_unlock(&mutex);
    }
    gmpt_waitgroup_done(&group);
}

static int add_while_the_p_is_taken(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&group, COMPUTERS);
    for (int i = 0; i < COMPUTERS; i++)
        run_go(compute_and_add);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(plain, COMPUTERS * COMPUTER_ROUNDS);
    EXPECT(load_relaxed(&taken) > 0);
    return 0;
}

TEST(mutex, excludes_gs_that_lose_the_only_p) { RUN(1, add_while_the_p_is_taken); }

#define WORKERS 10
#define ROUNDS (UNDER_SANITIZER ? 500 : 10000)

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

#define OLD_NS 2000000 /* sleeping so long makes every waiter older than what the mutex bears */

static int queue_up(void *arg)
{
    (void)arg;
    gmpt_mutex_lock(&mutex);
    gmpt_waitgroup_add(&group, 8);
    for (int i = 0; i < 8; i++)
        run_until_waiting(gmpt_go(lock_and_note, &i, sizeof i));
    gmpt_sleep(OLD_NS);
    gmpt_mutex_unlock(&mutex);
    /* Handed over, not up for grabs, unless all have had it while this one was kept from running. */
    if (gmpt_mutex_trylock(&mutex) == 0) {
        EXPECT_EQ(order_count, 8);
        gmpt_mutex_unlock(&mutex);
    }
    gmpt_waitgroup_wait(&group);
    for (int i = 0; i < 8; i++)
        EXPECT_EQ(order[i], i);
    EXPECT_EQ(gmpt_mutex_owner(&mutex), 0);
    EXPECT_EQ(gmpt_mutex_trylock(&mutex), 0);
    return 0;
}

TEST(mutex, is_handed_over_to_old_waiters_in_the_order_of_waiting) { RUN(1, queue_up); }

static void lock_once(void *p)
{
    (void)p;
    gmpt_mutex_lock(&mutex);
    plain++;
    gmpt_mutex_unlock(&mutex);
    gmpt_waitgroup_done(&group);
}

/* Ends on one P only when the unlock does not set the mutex free, for all that the loop takes it again at once. */
static int take_again_and_again(void *arg)
{
    (void)arg;
    gmpt_mutex_lock(&mutex);
    gmpt_waitgroup_add(&group, 3);
    for (int i = 0; i < 3; i++)
        run_until_waiting(gmpt_go(lock_once, NULL, 0));
    bool mine;
    do {
        gmpt_preempt_check(); /* a waiter that was woken runs now and then, and finds the mutex held */
        gmpt_mutex_unlock(&mutex);
        mine = gmpt_mutex_trylock(&mutex) == 0;
    } while (mine && plain < 3); /* on another P they may all have been fast enough */
    if (mine)
        gmpt_mutex_unlock(&mutex);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(plain, 3);
    EXPECT_EQ(gmpt_mutex_trylock(&mutex), 0);
    gmpt_mutex_unlock(&mutex);
    return 0;
}

TEST(mutex, who_waits_for_long_is_handed_it_on_one_p) { RUN(1, take_again_and_again); }
TEST(mutex, who_waits_for_long_is_handed_it_on_many_ps) { RUN(4, take_again_and_again); }

/* Takes the mutex away from a waiter that was just woken; that it is still young is likely, not certain. */
static int64_t outrun_a_waiter(void)
{
    for (;;) {
        gmpt_mutex_lock(&mutex);
        int64_t id = gmpt_go(lock_and_note, &(int){ 1 }, sizeof(int));
        gmpt_waitgroup_add(&group, 1);
        run_until_waiting(id);
        gmpt_mutex_unlock(&mutex);
        if (gmpt_mutex_trylock(&mutex) == 0)
            return id;
        gmpt_waitgroup_wait(&group);
        order_count = 0;
    }
}

static int outrun(void *arg)
{
    (void)arg;
    int64_t first = outrun_a_waiter();
    EXPECT_EQ(gmpt_mutex_owner(&mutex), gmpt_self());
    run_until_waiting(first); /* it came too late, and waits again */
    gmpt_waitgroup_add(&group, 1);
    run_until_waiting(gmpt_go(lock_and_note, &(int){ 2 }, sizeof(int)));
    EXPECT_EQ(order_count, 0);
    gmpt_sleep(OLD_NS);
    gmpt_mutex_unlock(&mutex);
    EXPECT_EQ(gmpt_mutex_owner(&mutex), first); /* as the first, as before */
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(order[0], 1);
    EXPECT_EQ(order[1], 2);
    return 0;
}

TEST(mutex, a_young_waiter_can_be_outrun_and_keeps_its_place) { RUN(1, outrun); }

static int outrun_and_free(void *arg)
{
    (void)arg;
    outrun_a_waiter();
    gmpt_mutex_unlock(&mutex); /* while the waiter is on its way */
    EXPECT_EQ(gmpt_mutex_trylock(&mutex), 0);
    gmpt_mutex_unlock(&mutex);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(order_count, 1);
    return 0;
}

TEST(mutex, freed_while_a_waiter_is_on_its_way_it_is_not_lost) { RUN(1, outrun_and_free); }

static int owner(void *arg)
{
    (void)arg;
    EXPECT_EQ(gmpt_mutex_owner(&mutex), 0);
    gmpt_mutex_lock(&mutex);
    EXPECT_EQ(gmpt_mutex_owner(&mutex), gmpt_self());
    gmpt_mutex_unlock(&mutex);
    EXPECT_EQ(gmpt_mutex_trylock(&mutex), 0);
    EXPECT_EQ(gmpt_mutex_owner(&mutex), gmpt_self());
    gmpt_mutex_unlock(&mutex);
    EXPECT_EQ(gmpt_mutex_lock_until(&mutex, 0), 0);
    EXPECT_EQ(gmpt_mutex_owner(&mutex), gmpt_self());
    gmpt_mutex_unlock(&mutex);
    EXPECT_EQ(gmpt_mutex_owner(&mutex), 0);
    return 0;
}

TEST(mutex, names_its_owner) { RUN(1, owner); }

/* Gs that keep the mutex nearly always taken, and one that has to get it nevertheless. */
static ATOMIC(uint32_t) hogs_end;

static void hog(void *p)
{
    (void)p;
    while (!load_relaxed(&hogs_end)) {
        gmpt_mutex_lock(&mutex);
        plain++;
        gmpt_mutex_unlock(&mutex);
        gmpt_preempt_check();
    }
    gmpt_waitgroup_done(&group);
}

static int not_starve(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&group, 4);
    for (int i = 0; i < 4; i++)
        run_go(hog);
    for (int i = 0; i < 50; i++) {
        gmpt_mutex_lock(&mutex);
        gmpt_yield(); /* all hogs come to wait for it */
        gmpt_mutex_unlock(&mutex);
    }
    store_relaxed(&hogs_end, 1);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(gmpt_mutex_owner(&mutex), 0);
    return 0;
}

TEST(mutex, hogs_do_not_starve_others_on_one_p) { RUN(1, not_starve); }
TEST(mutex, hogs_do_not_starve_others_on_many_ps) { RUN(4, not_starve); }

/* The mutex lies in memory that its last user frees. */
struct shared {
    struct gmpt_mutex mutex;
    int users;
};

static void use_and_free(void *p)
{
    struct shared *shared = *(struct shared **)p;
    gmpt_mutex_lock(&shared->mutex);
    bool last = --shared->users == 0;
    gmpt_mutex_unlock(&shared->mutex);
    if (last) {
        memset(shared, 0xff, sizeof *shared);
        free(shared);
    }
    gmpt_waitgroup_done(&group);
}

static int short_lived(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS / 4; i++) {
        struct shared *shared = calloc(1, sizeof *shared);
        shared->users = 4;
        gmpt_waitgroup_add(&group, 4);
        for (int j = 0; j < 4; j++)
            EXPECT(gmpt_go(use_and_free, &shared, sizeof shared) > 0);
        gmpt_waitgroup_wait(&group);
    }
    return 0;
}

TEST(mutex, may_be_freed_by_whoever_has_it_last) { RUN(4, short_lived); }

static ATOMIC(uint32_t) gave_up;

static void lock_until_soon(void *p)
{
    (void)p;
    EXPECT_EQ(gmpt_mutex_lock_until(&mutex, gmpt_now() + 1000000), -ETIMEDOUT);
    store_release(&gave_up, 1);
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
    do
        EXPECT_EQ(gmpt_mutex_lock_until(&mutex, gmpt_now() + 3000000), -ETIMEDOUT);
    while (!load_acquire(&gave_up));
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
