/* Signals as values of a channel: whoever is idle, busy or gone, none is lost that a channel has room for. */
#define _GNU_SOURCE
#include "run.h"

#include "trace/atomics.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct gmpt_chan *chan;
static struct gmpt_waitgroup group;
static int got;

static void receive(void *p)
{
    (void)p;
    got = 0;
    EXPECT_EQ(gmpt_chan_recv(chan, &got), 0);
    gmpt_waitgroup_done(&group);
}

static void start_receiving(void)
{
    gmpt_waitgroup_add(&group, 1);
    run_until_waiting(gmpt_go(receive, NULL, 0));
}

static int notify(void *arg)
{
    int value;
    (void)arg;
    chan = gmpt_chan_new(sizeof(int), 4);
    EXPECT_EQ(gmpt_signal_notify(chan, SIGUSR1), 0);
    EXPECT_EQ(gmpt_signal_notify(chan, SIGUSR2), 0);
    EXPECT_EQ(gmpt_signal_notify(chan, SIGUSR2), 0); /* twice is once */
    for (int i = 0; i < 20; i++) {
        int signo = i % 3 ? SIGUSR1 : SIGUSR2;
        start_receiving();
        EXPECT_EQ(kill(getpid(), signo), 0);
        gmpt_waitgroup_wait(&group);
        EXPECT_EQ(got, signo);
    }
    EXPECT_EQ(gmpt_chan_try_recv(chan, &value), -EAGAIN);
    EXPECT_EQ(gmpt_signal_stop(chan), 0);
    EXPECT_EQ(gmpt_signal_stop(chan), -ENOENT);
    gmpt_chan_release(chan);
    return 0;
}

TEST(signals, a_signal_is_received_from_a_channel) { RUN(2, notify); }
TEST(signals, a_signal_is_received_on_one_p) { RUN(1, notify); }

/* All are idle, asleep in the poller or elsewhere; the signal comes from outside. */
static int from_outside(void *arg)
{
    int value = 0;
    (void)arg;
    chan = gmpt_chan_new(sizeof(int), 1);
    EXPECT_EQ(gmpt_signal_notify(chan, SIGTERM), 0);
    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        usleep(20000);
        _exit(kill(parent, SIGTERM) != 0);
    }
    EXPECT_EQ(gmpt_chan_recv(chan, &value), 0);
    EXPECT_EQ(value, SIGTERM);
    EXPECT_EQ(waitpid(child, NULL, 0), child);
    return 0;
}

TEST(signals, a_signal_wakes_a_program_that_is_all_idle) { RUN(2, from_outside); }

static ATOMIC(uint32_t) hogs_stop;

static void hog(void *p)
{
    (void)p;
    while (load_relaxed(&hogs_stop) == 0)
        gmpt_preempt_check();
    gmpt_waitgroup_done(&group);
}

static int amid_hogs(void *arg)
{
    int value = 0;
    (void)arg;
    chan = gmpt_chan_new(sizeof(int), 1);
    EXPECT_EQ(gmpt_signal_notify(chan, SIGHUP), 0);
    gmpt_waitgroup_add(&group, 4);
    for (int i = 0; i < 4; i++)
        run_go(hog);
    for (int i = 0; i < 5; i++) {
        EXPECT_EQ(kill(getpid(), SIGHUP), 0);
        EXPECT_EQ(gmpt_chan_recv(chan, &value), 0);
        EXPECT_EQ(value, SIGHUP);
    }
    store_relaxed(&hogs_stop, 1);
    gmpt_waitgroup_wait(&group);
    return 0;
}

TEST(signals, a_signal_comes_through_while_all_ps_are_busy) { RUN(2, amid_hogs); }

static int full_channel(void *arg)
{
    int value = 0;
    (void)arg;
    struct gmpt_chan *second = gmpt_chan_new(sizeof(int), 1);
    chan = gmpt_chan_new(sizeof(int), 1);
    EXPECT_EQ(gmpt_signal_notify(chan, SIGUSR1), 0);
    EXPECT_EQ(gmpt_signal_notify(chan, SIGUSR2), 0);
    EXPECT_EQ(gmpt_signal_notify(second, SIGUSR2), 0);
    EXPECT_EQ(kill(getpid(), SIGUSR1), 0);
    while (gmpt_chan_len(chan) == 0)
        gmpt_sleep(100000);
    EXPECT_EQ(kill(getpid(), SIGUSR2), 0);
    EXPECT_EQ(gmpt_chan_recv(second, &value), 0); /* the other has room */
    EXPECT_EQ(value, SIGUSR2);
    EXPECT_EQ(gmpt_chan_recv(chan, &value), 0);
    EXPECT_EQ(value, SIGUSR1);
    EXPECT_EQ(gmpt_chan_try_recv(chan, &value), -EAGAIN); /* lost to the full one */
    return 0;
}

TEST(signals, a_full_channel_loses_the_signal_and_nobody_waits) { RUN(2, full_channel); }

static int closed_channel(void *arg)
{
    (void)arg;
    struct gmpt_chan *second = gmpt_chan_new(sizeof(int), 1);
    int value = 0;
    chan = gmpt_chan_new(sizeof(int), 1);
    EXPECT_EQ(gmpt_signal_notify(chan, SIGUSR1), 0);
    EXPECT_EQ(gmpt_signal_notify(second, SIGUSR1), 0);
    EXPECT_EQ(gmpt_chan_close(chan), 0);
    gmpt_chan_release(chan); /* the runtime holds a reference of its own */
    EXPECT_EQ(kill(getpid(), SIGUSR1), 0);
    EXPECT_EQ(gmpt_chan_recv(second, &value), 0);
    return 0;
}

TEST(signals, a_closed_channel_is_no_harm) { RUN(2, closed_channel); }

static int wrong(void *arg)
{
    (void)arg;
    struct gmpt_chan *bytes = gmpt_chan_new(1, 1);
    chan = gmpt_chan_new(sizeof(int), 1);
    const int refused[] = { 0,      -1,      65,     1000,   SIGKILL, SIGSTOP,
                            SIGURG, SIGSEGV, SIGBUS, SIGFPE, SIGILL,  SIGRTMIN - 1 };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        EXPECT_EQ(gmpt_signal_notify(chan, refused[i]), -EINVAL);
        EXPECT_EQ(gmpt_signal_ignore(refused[i]), -EINVAL);
        EXPECT_EQ(gmpt_signal_reset(refused[i]), -EINVAL);
    }
    EXPECT_EQ(gmpt_signal_notify(NULL, SIGUSR1), -EINVAL);
    EXPECT_EQ(gmpt_signal_notify(bytes, SIGUSR1), -EINVAL);
    EXPECT_EQ(gmpt_signal_stop(chan), -ENOENT);
    EXPECT_EQ(gmpt_signal_stop(NULL), -ENOENT);
    gmpt_chan_release(bytes);
    return 0;
}

TEST(signals, what_cannot_be_had_is_refused) { RUN(1, wrong); }

static ATOMIC(uint32_t) handled;
static void on_usr1(int signo) { (void)signo, fetch_add_relaxed(&handled, 1); }

static bool ignored(int signo)
{
    struct sigaction now;
    sigaction(signo, NULL, &now);
    return now.sa_handler == SIG_IGN;
}

static int dispositions(void *arg)
{
    int value;
    (void)arg;
    chan = gmpt_chan_new(sizeof(int), 8);
    EXPECT_EQ(gmpt_signal_notify(chan, SIGUSR1), 0);
    EXPECT_EQ(kill(getpid(), SIGUSR1), 0);
    EXPECT_EQ(gmpt_chan_recv(chan, &value), 0);
    EXPECT_EQ(gmpt_signal_stop(chan), 0);
    EXPECT_EQ(load_relaxed(&handled), 0);
    EXPECT_EQ(raise(SIGUSR1), 0); /* the program's own handler again */
    EXPECT_EQ(load_relaxed(&handled), 1);

    EXPECT_EQ(gmpt_signal_ignore(SIGUSR2), 0); /* which would end the program */
    EXPECT(ignored(SIGUSR2));
    EXPECT_EQ(raise(SIGUSR2), 0);
    EXPECT_EQ(gmpt_signal_notify(chan, SIGUSR2), 0);
    EXPECT_EQ(kill(getpid(), SIGUSR2), 0);
    EXPECT_EQ(gmpt_chan_recv(chan, &value), 0);
    EXPECT_EQ(value, SIGUSR2);
    EXPECT_EQ(gmpt_signal_notify(chan, SIGUSR1), 0);
    EXPECT_EQ(gmpt_signal_reset(SIGUSR2), 0);
    EXPECT_EQ(gmpt_signal_ignore(SIGUSR1), 0);
    EXPECT_EQ(raise(SIGUSR1), 0);
    EXPECT_EQ(gmpt_chan_try_recv(chan, &value), -EAGAIN);
    EXPECT_EQ(gmpt_signal_stop(chan), -ENOENT); /* both were taken away */
    EXPECT_EQ(gmpt_signal_reset(SIGUSR1), 0);
    EXPECT_EQ(gmpt_signal_reset(SIGUSR1), 0);
    EXPECT_EQ(raise(SIGUSR1), 0);
    EXPECT_EQ(load_relaxed(&handled), 2);
    return 0;
}

TEST(signals, stop_ignore_and_reset_do_as_they_say)
{
    signal(SIGUSR1, on_usr1);
    RUN(2, dispositions);
}

static int what_came_before_stop(void *arg)
{
    int value = 0;
    (void)arg;
    chan = gmpt_chan_new(sizeof(int), 1);
    for (int i = 0; i < 200; i++) {
        EXPECT_EQ(gmpt_signal_notify(chan, SIGUSR1), 0);
        EXPECT_EQ(raise(SIGUSR1), 0); /* has been handled when this returns */
        EXPECT_EQ(gmpt_signal_stop(chan), 0);
        EXPECT_EQ(gmpt_chan_try_recv(chan, &value), 0);
    }
    return 0;
}

TEST(signals, a_signal_that_came_before_stop_is_not_lost)
{
    if (UNDER_SANITIZER)
        SKIP("sanitizers put signals off, so that one may come after stop");
    signal(SIGUSR1, SIG_IGN);
    RUN(2, what_came_before_stop);
}

/* ---- many at once ---- */

#define SIGNALS_SENT (UNDER_SANITIZER ? 300 : 3000)

static ATOMIC(uint32_t) echoes, senders_done;

static void send_and_await(void *p)
{
    (void)p;
    for (int i = 0; i < SIGNALS_SENT; i++) {
        uint32_t before = load_acquire(&echoes);
        EXPECT_EQ(kill(getpid(), SIGRTMIN + 1), 0);
        while (load_acquire(&echoes) == before) /* at least one has come since, or this hangs */
            gmpt_sleep(20000);
    }
    fetch_add_relaxed(&senders_done, 1);
    gmpt_waitgroup_done(&group);
}

static void echo(void *p)
{
    int value;
    (void)p;
    while (gmpt_chan_recv(chan, &value) == 0) {
        EXPECT_EQ(value, SIGRTMIN + 1);
        fetch_add_relaxed(&echoes, 1);
    }
    gmpt_waitgroup_done(&group);
}

static void come_and_go(void *p)
{
    (void)p;
    struct gmpt_chan *other = gmpt_chan_new(sizeof(int), 1);
    while (load_relaxed(&senders_done) < 3) {
        EXPECT_EQ(gmpt_signal_notify(other, SIGRTMIN + 1), 0);
        EXPECT_EQ(gmpt_signal_notify(other, SIGUSR2), 0);
        gmpt_yield();
        EXPECT_EQ(gmpt_signal_stop(other), 0);
        gmpt_sleep(10000);
    }
    gmpt_chan_release(other);
    gmpt_waitgroup_done(&group);
}

static int storm(void *arg)
{
    (void)arg;
    chan = gmpt_chan_new(sizeof(int), 1);
    EXPECT_EQ(gmpt_signal_notify(chan, SIGRTMIN + 1), 0);
    gmpt_waitgroup_add(&group, 4);
    for (int i = 0; i < 3; i++)
        run_go(send_and_await);
    run_go(come_and_go);
    run_go(echo);
    gmpt_waitgroup_wait(&group);
    gmpt_waitgroup_add(&group, 1);
    EXPECT_EQ(gmpt_signal_stop(chan), 0);
    EXPECT_EQ(gmpt_chan_close(chan), 0);
    gmpt_waitgroup_wait(&group);
    return 0;
}

TEST(signals, a_storm_of_signals_and_subscriptions_loses_no_last_one) { RUN(4, storm); }
