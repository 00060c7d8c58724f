/* Deadlocks: each kind is found, and nothing else is ever called one. */
#define _GNU_SOURCE
#include "harness.h"
#include "run.h"

#include "runtime/deadlock.h"
#include "runtime/netpoll.h"
#include "runtime/runtime.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char err[65536];
static const char *const message = "fatal error: all goroutines are asleep - deadlock!\n\n";

/* ---- what is one ---- */

static int wait_for_nobody(void *arg)
{
    (void)arg;
    return gmpt_chan_recv(gmpt_chan_new(0, 0), NULL);
}

static int wait_on_null(void *arg)
{
    (void)arg;
    return gmpt_chan_send(NULL, NULL);
}

static int wait_in_a_select(void *arg)
{
    struct gmpt_select_case cases[2] = { { .chan = gmpt_chan_new(0, 0), .op = GMPT_SEND }, { .op = GMPT_RECV } };
    (void)arg;
    return gmpt_select(cases, 2);
}

static int lock_twice(void *arg)
{
    static struct gmpt_mutex mutex;
    (void)arg;
    gmpt_mutex_lock(&mutex);
    gmpt_mutex_lock(&mutex);
    return 0;
}

static struct gmpt_waitgroup group;
static void ends_without_done(void *args)
{
    (void)args;
    gmpt_yield();
}
static int wait_for_the_forgetful(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&group, 100);
    for (int i = 0; i < 100; i++)
        run_go(ends_without_done);
    gmpt_waitgroup_wait(&group);
    return 0;
}

static int (*const kinds[])(void *) = { wait_for_nobody, wait_on_null, wait_in_a_select, lock_twice,
                                        wait_for_the_forgetful };
static int kind, ps;
static void child_kind(void) { run_on(ps, kinds[kind]); }

TEST(deadlock, every_kind_ends_the_program_with_2_and_a_dump)
{
    static const int p_counts[] = { 1, 2, 8 };
    for (kind = 0; kind < (int)(sizeof kinds / sizeof *kinds); kind++) {
        for (int i = 0; i < 3; i++) {
            ps = p_counts[i];
            ck_assert_int_eq(run_child(child_kind, err, sizeof err), 2);
            ck_assert_msg(strncmp(err, message, strlen(message)) == 0, "%s", err);
            ck_assert_ptr_nonnull(strstr(err, "\ngoroutine 1 ["));
        }
    }
}

/* It comes after everything that could move has been used up: sleeps, blocking calls, sockets. */
static int moves_then_stops(void *arg)
{
    int pair[2];
    char byte = 0;
    (void)arg;
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    gmpt_sleep(1000000);
    gmpt_blocking_begin();
    usleep(1000);
    gmpt_blocking_end();
    EXPECT_EQ(gmpt_write(pair[0], &byte, 1), 1);
    EXPECT_EQ(gmpt_read(pair[1], &byte, 1), 1);
    return wait_for_nobody(NULL);
}
static void child_moves(void) { run_on(ps, moves_then_stops); }

TEST(deadlock, it_is_found_after_timers_calls_and_sockets)
{
    for (ps = 1; ps <= 4; ps++) {
        ck_assert_int_eq(run_child(child_moves, err, sizeof err), 2);
        ck_assert_msg(strncmp(err, message, strlen(message)) == 0, "%s", err);
    }
}

/* ---- what is none ---- */

static ATOMIC(uint32_t) finished, found, rounds;

/* Asks all the time, from a thread of its own; sysmon asks now and then as well, and would end the test. */
static void *ask(void *arg)
{
    (void)arg;
    while (!load_acquire(&finished)) {
        if (deadlock_found())
            store_release(&found, 1);
        fetch_add_relaxed(&rounds, 1);
    }
    return NULL;
}

static struct gmpt_chan *work, *done;
static int pipes[4][2];

static void caller(void *args)
{
    int item;
    (void)args;
    while (gmpt_chan_recv(work, &item) == 0) {
        gmpt_blocking_begin();
        usleep((useconds_t)(item % 97));
        gmpt_blocking_end();
        gmpt_chan_send(done, &item);
    }
}

static void sleeper(void *args)
{
    int item;
    (void)args;
    while (gmpt_chan_recv(work, &item) == 0) {
        gmpt_sleep(1000 * (item % 97));
        gmpt_chan_send(done, &item);
    }
}

static void reader(void *args)
{
    int item, which = *(int *)args;
    while (gmpt_read(pipes[which][0], &item, sizeof item) == sizeof item && item >= 0)
        gmpt_chan_send(done, &item);
}

static void computer(void *args)
{
    int item;
    (void)args;
    while (gmpt_chan_recv(work, &item) == 0) {
        for (volatile int i = 0; i < 1000 * (item % 97); i++)
            ;
        gmpt_chan_send(done, &item);
    }
}

/* One item is under way at a time, so that most of the time all Ps are idle and one G is in a call, asleep, in the
 * poller or on its way back. */
static int one_at_a_time(void *arg)
{
    enum { ITEMS = UNDER_SANITIZER ? 1500 : 4000 };
    (void)arg;
    int64_t sum = 0;
    work = gmpt_chan_new(sizeof(int), 0);
    done = gmpt_chan_new(sizeof(int), 0);
    run_go(caller);
    run_go(caller);
    run_go(sleeper);
    run_go(computer);
    for (int i = 0; i < 4; i++) {
        EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pipes[i]), 0);
        gmpt_go(reader, &i, sizeof i);
    }
    for (int i = 0; i < ITEMS; i++) {
        int item = i;
        if (i % 2)
            gmpt_chan_send(work, &item);
        else
            EXPECT_EQ(gmpt_write(pipes[i / 2 % 4][1], &item, sizeof item), sizeof item);
        gmpt_chan_recv(done, &item);
        sum += item;
    }
    EXPECT_EQ(sum, (int64_t)ITEMS * (ITEMS - 1) / 2);
    store_release(&finished, 1);
    return 0;
}

static int asked_meanwhile(void *arg)
{
    pthread_t thread;
    (void)arg;
    pthread_create(&thread, NULL, ask, NULL);
    int result = one_at_a_time(NULL);
    pthread_join(thread, NULL);
    EXPECT_EQ(load_acquire(&found), 0);
    EXPECT(load_relaxed(&rounds) > 0);
    return result;
}

TEST(deadlock, never_found_on_1_p_while_anything_can_come_back) { RUN(1, asked_meanwhile); }
TEST(deadlock, never_found_on_2_ps_while_anything_can_come_back) { RUN(2, asked_meanwhile); }
TEST(deadlock, never_found_on_8_ps_while_anything_can_come_back) { RUN(8, asked_meanwhile); }

static int outside_wakes(void *arg)
{
    (void)arg;
    netpoll_watch_count(1); /* as a channel does that signals are sent to */
    pthread_t thread;
    pthread_create(&thread, NULL, ask, NULL);
    while (load_relaxed(&rounds) < 100)
        gmpt_sleep(1000000);
    store_release(&finished, 1);
    pthread_join(thread, NULL);
    EXPECT_EQ(load_acquire(&found), 0);
    return 0;
}

TEST(deadlock, none_while_something_outside_may_wake) { RUN(2, outside_wakes); }

/* Switched off, the program goes on sleeping; a thread of its own sees that it is a deadlock all the same. */
static void *end_when_found(void *arg)
{
    (void)arg;
    while (!deadlock_found())
        usleep(1000);
    _exit(7);
}

static int sleeps_for_ever(void *arg)
{
    pthread_t thread;
    (void)arg;
    pthread_create(&thread, NULL, end_when_found, NULL);
    return wait_for_nobody(NULL);
}

static void child_nodeadlock(void)
{
    setenv("GMPT_DEBUG", "nodeadlock", 1);
    run_on(2, sleeps_for_ever);
}

TEST(deadlock, the_debug_setting_switches_the_end_off)
{
    ck_assert_int_eq(run_child(child_nodeadlock, err, sizeof err), 7);
    ck_assert_str_eq(err, "");
}
