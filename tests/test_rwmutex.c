/* Readers and writers: who comes in with whom, in which order, deadlines, owners. */
#include "run.h"

#include "runtime/runtime.h"

#include <stdlib.h>
#include <string.h>

static struct gmpt_rwmutex rwmutex = GMPT_RWMUTEX_INIT;
static struct gmpt_waitgroup group;
static int64_t left, right; /* protected by rwmutex; equal whenever nobody writes */
static ATOMIC(int64_t) writes, reads, inside;
static char order[16]; /* 'r' and 'w', in which readers and writers came in */
static ATOMIC(int) order_count;

#define ROUNDS (UNDER_SANITIZER ? 300 : 5000)
#define FAR_NS 3600000000000

static int64_t started(int64_t id)
{
    EXPECT(id > 0);
    return id;
}

static int alone(void *arg)
{
    (void)arg;
    gmpt_rwmutex_rlock(&rwmutex);
    EXPECT_EQ(gmpt_rwmutex_tryrlock(&rwmutex), 0);
    EXPECT_EQ(gmpt_rwmutex_rlock_until(&rwmutex, 0), 0); /* it need not wait: a passed deadline does not matter */
    EXPECT_EQ(gmpt_rwmutex_trylock(&rwmutex), -EBUSY);
    EXPECT_EQ(gmpt_rwmutex_lock_until(&rwmutex, 0), -ETIMEDOUT);
    EXPECT_EQ(gmpt_rwmutex_owner(&rwmutex), 0);
    for (int i = 0; i < 3; i++)
        gmpt_rwmutex_runlock(&rwmutex);
    gmpt_rwmutex_lock(&rwmutex);
    EXPECT_EQ(gmpt_rwmutex_owner(&rwmutex), gmpt_self());
    EXPECT_EQ(gmpt_rwmutex_trylock(&rwmutex), -EBUSY);
    EXPECT_EQ(gmpt_rwmutex_tryrlock(&rwmutex), -EBUSY);
    EXPECT_EQ(gmpt_rwmutex_rlock_until(&rwmutex, gmpt_now() + 1000000), -ETIMEDOUT);
    gmpt_rwmutex_unlock(&rwmutex);
    EXPECT_EQ(gmpt_rwmutex_owner(&rwmutex), 0);
    EXPECT_EQ(gmpt_rwmutex_lock_until(&rwmutex, GMPT_NEVER), 0);
    gmpt_rwmutex_unlock(&rwmutex);
    EXPECT_EQ(gmpt_rwmutex_trylock(&rwmutex), 0);
    gmpt_rwmutex_unlock(&rwmutex);
    return 0;
}

TEST(rwmutex, many_read_or_one_writes) { RUN(1, alone); }

static void read_and_note(void *p)
{
    (void)p;
    gmpt_rwmutex_rlock(&rwmutex);
    order[fetch_add_relaxed(&order_count, 1)] = 'r';
    gmpt_yield();
    gmpt_rwmutex_runlock(&rwmutex);
    gmpt_waitgroup_done(&group);
}

static void write_and_note(void *p)
{
    (void)p;
    gmpt_rwmutex_lock(&rwmutex);
    order[fetch_add_relaxed(&order_count, 1)] = 'w';
    gmpt_yield();
    gmpt_rwmutex_unlock(&rwmutex);
    gmpt_waitgroup_done(&group);
}

/* One after the other: each waits before the next is started. */
static void queue_up(const char *kinds)
{
    for (; *kinds; kinds++) {
        gmpt_waitgroup_add(&group, 1);
        run_until_waiting(started(gmpt_go(*kinds == 'w' ? write_and_note : read_and_note, NULL, 0)));
    }
}

static int writer_goes_first(void *arg)
{
    (void)arg;
    gmpt_rwmutex_rlock(&rwmutex);
    queue_up("w");
    EXPECT_EQ(gmpt_rwmutex_tryrlock(&rwmutex), -EBUSY); /* although it is only read */
    queue_up("rr");
    gmpt_rwmutex_runlock(&rwmutex);
    gmpt_waitgroup_wait(&group);
    EXPECT(memcmp(order, "wrr", 4) == 0);
    return 0;
}

TEST(rwmutex, readers_that_come_after_a_writer_wait_for_it) { RUN(1, writer_goes_first); }
TEST(rwmutex, readers_that_come_after_a_writer_wait_for_it_on_many_ps) { RUN(4, writer_goes_first); }

static int readers_go_first(void *arg)
{
    (void)arg;
    gmpt_rwmutex_lock(&rwmutex);
    queue_up("wrwrr");
    gmpt_rwmutex_unlock(&rwmutex);
    gmpt_waitgroup_wait(&group);
    EXPECT(memcmp(order, "rrrww", 6) == 0);
    return 0;
}

TEST(rwmutex, all_readers_that_wait_come_in_after_a_writer) { RUN(1, readers_go_first); }
TEST(rwmutex, all_readers_that_wait_come_in_after_a_writer_on_many_ps) { RUN(4, readers_go_first); }

static void read_until_all_are_in(void *p)
{
    (void)p;
    gmpt_rwmutex_rlock(&rwmutex);
    fetch_add_relaxed(&inside, 1);
    while (load_relaxed(&inside) < 5)
        gmpt_yield();
    gmpt_rwmutex_runlock(&rwmutex);
    gmpt_waitgroup_done(&group);
}

static int read_together(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&group, 5);
    gmpt_rwmutex_lock(&rwmutex);
    for (int i = 0; i < 3; i++)
        run_until_waiting(started(gmpt_go(read_until_all_are_in, NULL, 0)));
    gmpt_rwmutex_unlock(&rwmutex);
    for (int i = 0; i < 2; i++)
        run_go(read_until_all_are_in);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(gmpt_rwmutex_trylock(&rwmutex), 0);
    return 0;
}

TEST(rwmutex, readers_are_in_at_the_same_time) { RUN(1, read_together); }

static void try_to_write(void *p)
{
    EXPECT_EQ(gmpt_rwmutex_lock_until(&rwmutex, gmpt_now() + *(int64_t *)p), -ETIMEDOUT);
    fetch_add_relaxed(&writes, 1);
}

static void try_to_write_soon(void *p)
{
    (void)p;
    try_to_write(&(int64_t){ 1000000 });
}

static void write_far(void *p)
{
    (void)p;
    EXPECT_EQ(gmpt_rwmutex_lock_until(&rwmutex, gmpt_now() + FAR_NS), 0);
    gmpt_rwmutex_unlock(&rwmutex);
    gmpt_waitgroup_done(&group);
}

static void read_far(void *p)
{
    (void)p;
    EXPECT_EQ(gmpt_rwmutex_rlock_until(&rwmutex, gmpt_now() + FAR_NS), 0);
    fetch_add_relaxed(&reads, 1);
    gmpt_rwmutex_runlock(&rwmutex);
    gmpt_waitgroup_done(&group);
}

static int writer_gives_up(void *arg)
{
    (void)arg;
    gmpt_rwmutex_rlock(&rwmutex);
    EXPECT(gmpt_go(try_to_write, &(int64_t){ 20000000 }, sizeof(int64_t)) > 0);
    while (!load_relaxed(&writes) && gmpt_rwmutex_tryrlock(&rwmutex) == 0) { /* until it waits */
        gmpt_rwmutex_runlock(&rwmutex);
        gmpt_yield();
    }
    gmpt_waitgroup_add(&group, 2);
    run_go(read_far);
    run_go(read_far);
    gmpt_waitgroup_wait(&group); /* they come in while it is still read, once the writer is gone */
    EXPECT_EQ(load_relaxed(&reads), 2);
    EXPECT_EQ(gmpt_rwmutex_tryrlock(&rwmutex), 0);
    gmpt_rwmutex_runlock(&rwmutex);
    gmpt_rwmutex_runlock(&rwmutex);
    while (!load_relaxed(&writes))
        gmpt_yield();
    EXPECT_EQ(gmpt_rwmutex_trylock(&rwmutex), 0);
    return 0;
}

TEST(rwmutex, readers_come_in_when_the_writer_gives_up) { RUN(1, writer_gives_up); }
TEST(rwmutex, readers_come_in_when_the_writer_gives_up_on_many_ps) { RUN(4, writer_gives_up); }

static int one_writer_of_two_gives_up(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&group, 2);
    gmpt_rwmutex_rlock(&rwmutex);
    run_go(try_to_write_soon);
    run_until_waiting(started(gmpt_go(write_far, NULL, 0)));
    run_until_waiting(started(gmpt_go(read_far, NULL, 0)));
    while (!load_relaxed(&writes))
        gmpt_yield();
    EXPECT_EQ(gmpt_rwmutex_tryrlock(&rwmutex), -EBUSY); /* the other writer still waits */
    EXPECT_EQ(load_relaxed(&reads), 0);
    gmpt_rwmutex_runlock(&rwmutex);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(gmpt_rwmutex_trylock(&rwmutex), 0);
    return 0;
}

TEST(rwmutex, a_writer_that_gives_up_does_not_let_readers_pass_another) { RUN(2, one_writer_of_two_gives_up); }

static int nobody_is_left(void *arg)
{
    (void)arg;
    gmpt_rwmutex_lock(&rwmutex);
    run_go(try_to_write_soon);
    while (!load_relaxed(&writes))
        gmpt_yield();
    EXPECT_EQ(gmpt_rwmutex_rlock_until(&rwmutex, gmpt_now() + 1000000), -ETIMEDOUT);
    gmpt_rwmutex_unlock(&rwmutex); /* to nobody */
    EXPECT_EQ(gmpt_rwmutex_trylock(&rwmutex), 0);
    return 0;
}

TEST(rwmutex, waiters_whose_time_is_over_are_gone) { RUN(2, nobody_is_left); }

static void read_many(void *p)
{
    (void)p;
    for (int i = 0; i < ROUNDS; i++) {
        gmpt_rwmutex_rlock(&rwmutex);
        EXPECT_EQ(left, right);
        if (i % 64 == 0)
            gmpt_yield();
        EXPECT_EQ(left, right);
        gmpt_rwmutex_runlock(&rwmutex);
    }
    gmpt_waitgroup_done(&group);
}

static void write_many(void *p)
{
    (void)p;
    for (int i = 0; i < ROUNDS; i++) {
        gmpt_rwmutex_lock(&rwmutex);
        left++;
        if (i % 64 == 0)
            gmpt_yield();
        right++;
        gmpt_rwmutex_unlock(&rwmutex);
    }
    gmpt_waitgroup_done(&group);
}

static int exclude(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&group, 9);
    for (int i = 0; i < 6; i++)
        run_go(read_many);
    for (int i = 0; i < 3; i++)
        run_go(write_many);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(left, 3 * ROUNDS);
    EXPECT_EQ(gmpt_rwmutex_trylock(&rwmutex), 0);
    return 0;
}

TEST(rwmutex, excludes_on_one_p) { RUN(1, exclude); }
TEST(rwmutex, excludes_on_many_ps) { RUN(4, exclude); }

static void race_deadline(void *p)
{
    uint32_t state = (uint32_t)*(int *)p * 7919 + 1;
    for (int i = 0; i < ROUNDS / 2; i++) {
        int64_t deadline_ns = gmpt_now() + random_next(&state) % 20000;
        if (random_next(&state) % 3 == 0) {
            if (gmpt_rwmutex_lock_until(&rwmutex, deadline_ns) == 0) {
                left++;
                if (random_next(&state) % 4 == 0)
                    gmpt_yield();
                right++;
                gmpt_rwmutex_unlock(&rwmutex);
                fetch_add_relaxed(&writes, 1);
            }
        } else if (gmpt_rwmutex_rlock_until(&rwmutex, deadline_ns) == 0) {
            EXPECT_EQ(left, right);
            if (random_next(&state) % 4 == 0)
                gmpt_yield();
            gmpt_rwmutex_runlock(&rwmutex);
        }
    }
    gmpt_waitgroup_done(&group);
}

static int race_deadlines(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&group, 10);
    for (int i = 0; i < 10; i++)
        EXPECT(gmpt_go(race_deadline, &i, sizeof i) > 0);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(left, load_relaxed(&writes));
    EXPECT_EQ(left, right);
    EXPECT_EQ(gmpt_rwmutex_trylock(&rwmutex), 0);
    return 0;
}

TEST(rwmutex, racing_deadlines_neither_lose_nor_share_it_on_one_p) { RUN(1, race_deadlines); }
TEST(rwmutex, racing_deadlines_neither_lose_nor_share_it) { RUN(4, race_deadlines); }

/* A writer against readers of which some are always in. */
static ATOMIC(uint32_t) readers_end;

static void read_without_end(void *p)
{
    (void)p;
    while (!load_relaxed(&readers_end)) {
        gmpt_rwmutex_rlock(&rwmutex);
        gmpt_yield(); /* the other comes in before this one leaves */
        gmpt_rwmutex_runlock(&rwmutex);
    }
    gmpt_waitgroup_done(&group);
}

static int write_among_readers(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&group, 4);
    for (int i = 0; i < 4; i++)
        run_go(read_without_end);
    for (int i = 0; i < 100; i++) {
        gmpt_rwmutex_lock(&rwmutex);
        gmpt_rwmutex_unlock(&rwmutex);
    }
    store_relaxed(&readers_end, 1);
    gmpt_waitgroup_wait(&group);
    return 0;
}

TEST(rwmutex, readers_do_not_starve_a_writer) { RUN(1, write_among_readers); }
TEST(rwmutex, readers_do_not_starve_a_writer_on_many_ps) { RUN(4, write_among_readers); }

/* It lies in memory that its last user frees. */
struct shared {
    struct gmpt_rwmutex rwmutex;
    int users;
};

static void use_and_free(void *p)
{
    struct shared *shared = *(struct shared **)p;
    gmpt_rwmutex_rlock(&shared->rwmutex);
    gmpt_rwmutex_runlock(&shared->rwmutex);
    gmpt_rwmutex_lock(&shared->rwmutex);
    bool last = --shared->users == 0;
    gmpt_rwmutex_unlock(&shared->rwmutex);
    if (last) {
        memset(shared, 0xff, sizeof *shared);
        free(shared);
    }
    gmpt_waitgroup_done(&group);
}

static int short_lived(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS / 2; i++) {
        struct shared *shared = calloc(1, sizeof *shared);
        shared->users = 4;
        gmpt_waitgroup_add(&group, 4);
        for (int j = 0; j < 4; j++)
            EXPECT(gmpt_go(use_and_free, &shared, sizeof shared) > 0);
        gmpt_waitgroup_wait(&group);
    }
    return 0;
}

TEST(rwmutex, may_be_freed_by_whoever_has_it_last) { RUN(4, short_lived); }

static void read_unlock_for_main(void *p)
{
    (void)p;
    gmpt_rwmutex_runlock(&rwmutex);
}

static int another_unlocks(void *arg)
{
    (void)arg;
    gmpt_rwmutex_rlock(&rwmutex);
    run_go(read_unlock_for_main);
    gmpt_rwmutex_lock(&rwmutex);
    gmpt_rwmutex_unlock(&rwmutex);
    return 0;
}

TEST(rwmutex, another_g_may_unlock_it) { RUN(2, another_unlocks); }

static int unlock_unlocked(void *arg)
{
    (void)arg;
    gmpt_rwmutex_unlock(&rwmutex);
    return 0;
}

static int unlock_read_locked(void *arg)
{
    (void)arg;
    gmpt_rwmutex_rlock(&rwmutex);
    gmpt_rwmutex_unlock(&rwmutex);
    return 0;
}

static int runlock_unlocked(void *arg)
{
    (void)arg;
    gmpt_rwmutex_runlock(&rwmutex);
    return 0;
}

static int runlock_write_locked(void *arg)
{
    (void)arg;
    gmpt_rwmutex_lock(&rwmutex);
    gmpt_rwmutex_runlock(&rwmutex);
    return 0;
}

static int (*wrong_use)(void *arg);
static void child_wrong_use(void) { run_on(1, wrong_use); }

static void expect_fatal(int (*fn)(void *arg), const char *message)
{
    char err[512];
    wrong_use = fn;
    ck_assert_int_ne(run_child(child_wrong_use, err, sizeof err), 0);
    ck_assert_msg(strstr(err, message) != NULL, "%s", err);
}

TEST(rwmutex, unlocking_what_is_not_locked_so_ends_the_program)
{
    expect_fatal(unlock_unlocked, "not locked for writing");
    expect_fatal(unlock_read_locked, "not locked for writing");
    expect_fatal(runlock_unlocked, "not locked for reading");
    expect_fatal(runlock_write_locked, "not locked for reading");
}
