/* gmpt_lock_os_thread: a G stays on its thread, alone, whatever it does. */
#define _GNU_SOURCE
#include "run.h"

#include "runtime/runtime.h"

#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct gmpt_waitgroup group;
static struct gmpt_chan *chan;
static ATOMIC(uint32_t) stop;
static ATOMIC(int64_t) locked_tid[8];

static int64_t tid(void) { return syscall(SYS_gettid); }

static void yield_once(void *args)
{
    (void)args;
    gmpt_yield();
}

static void stay(void *args)
{
    int index = *(int *)args;
    gmpt_lock_os_thread();
    gmpt_lock_os_thread(); /* nests */
    int64_t mine = tid();
    store_relaxed(&locked_tid[index], mine);
    for (int i = 0; i < 60; i++) {
        int64_t value = i;
        switch (i % 6) {
        case 0: gmpt_yield(); break;
        case 1: gmpt_sleep(50000); break;
        case 2: gmpt_chan_send(chan, &value); break;
        case 3: gmpt_chan_recv(chan, &value); break;
        case 4: gmpt_blocking_begin(); usleep(100); gmpt_blocking_end(); break;
        default: run_go(yield_once); break;
        }
        EXPECT_EQ(tid(), mine);
        if (i == 30)
            gmpt_unlock_os_thread();
    }
    store_relaxed(&locked_tid[index], 0);
    gmpt_unlock_os_thread();
    gmpt_waitgroup_done(&group);
}

/* Others never find themselves on the thread of a locked G. */
static void keep_off(void *args)
{
    (void)args;
    while (!load_relaxed(&stop)) {
        int64_t mine = tid();
        for (int i = 0; i < 8; i++)
            EXPECT(load_relaxed(&locked_tid[i]) != mine);
        gmpt_yield();
    }
    gmpt_waitgroup_done(&group);
}

static void serve(void *args)
{
    (void)args;
    int64_t value;
    while (!load_relaxed(&stop)) {
        if (gmpt_chan_try_recv(chan, &value) == 0)
            gmpt_chan_try_send(chan, &value);
        gmpt_chan_try_send(chan, &value);
        gmpt_yield();
    }
    gmpt_waitgroup_done(&group);
}

static int locked_among_others(void *arg)
{
    (void)arg;
    chan = gmpt_chan_new(sizeof(int64_t), 1);
    gmpt_waitgroup_add(&group, 4);
    for (int i = 0; i < 4; i++)
        gmpt_go(stay, &i, sizeof i);
    run_go(serve);
    run_go(keep_off);
    run_go(keep_off);
    gmpt_waitgroup_wait(&group);
    gmpt_waitgroup_add(&group, 3);
    store_relaxed(&stop, 1);
    gmpt_waitgroup_wait(&group);
    gmpt_chan_release(chan);
    return 0;
}

TEST(osthread, a_locked_g_keeps_its_thread_on_one_p) { RUN(1, locked_among_others); }
TEST(osthread, a_locked_g_keeps_its_thread_on_many_ps) { RUN(4, locked_among_others); }

static void end_locked(void *args)
{
    (void)args;
    gmpt_lock_os_thread();
    gmpt_waitgroup_done(&group);
}

static int ends_while_locked(void *arg)
{
    (void)arg;
    for (int i = 0; i < 50; i++) {
        gmpt_waitgroup_add(&group, 3);
        for (int j = 0; j < 3; j++)
            run_go(end_locked);
        gmpt_waitgroup_wait(&group);
    }
    gmpt_lock_os_thread(); /* the main G, until its end */
    gmpt_sleep(100000);
    return 0;
}

TEST(osthread, the_lock_ends_with_the_g) { RUN(2, ends_while_locked); }

static int unlock_unlocked(void *arg)
{
    (void)arg;
    gmpt_unlock_os_thread();
    return 0;
}

static void run_unlock_unlocked(void) { run_on(1, unlock_unlocked); }

TEST(osthread, unlocking_what_is_not_locked_is_fatal)
{
    char err[512];
    ck_assert_int_eq(run_child(run_unlock_unlocked, err, sizeof err), 128 + 6);
    ck_assert_ptr_nonnull(strstr(err, "gmpt_unlock_os_thread without gmpt_lock_os_thread"));
}
