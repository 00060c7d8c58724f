/* SIGQUIT: the dump comes and the program ends with 2, whatever its Gs are doing. */
#define _GNU_SOURCE
#include "harness.h"
#include "run.h"

#include "runtime/runtime.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

static char err[65536];
static ATOMIC(uint32_t) handled;

static int quit_and_sleep(void *arg)
{
    (void)arg;
    kill(getpid(), SIGQUIT);
    return gmpt_sleep(20000000000);
}

static void child_sleeps(void) { run_on(2, quit_and_sleep); }

TEST(quit, dumps_and_ends_with_2)
{
    ck_assert_int_eq(run_child(child_sleeps, err, sizeof err), 2);
    ck_assert_msg(strncmp(err, "SIGQUIT: quit\n\n", 15) == 0, "%s", err);
    ck_assert_ptr_nonnull(strstr(err, "\ngoroutine 1 ["));
    ck_assert_ptr_nonnull(strstr(err, "1 goroutine in 1 group\n"));
}

static void hog(void *args)
{
    (void)args;
    for (;;)
        __asm__ volatile("");
}

static int quit_and_hog(void *arg)
{
    (void)arg;
    run_go(hog);
    run_go(hog);
    kill(getpid(), SIGQUIT);
    hog(NULL);
    return 0;
}

static void child_hogs(void) { run_on(2, quit_and_hog); }

TEST(quit, works_when_every_p_has_a_hog)
{
    ck_assert_int_eq(run_child(child_hogs, err, sizeof err), 2);
    ck_assert_msg(strstr(err, "3 goroutines in ") != NULL, "%s", err);
}

static void ignore_first(void)
{
    signal(SIGQUIT, SIG_IGN); /* as a shell does for what it starts in the background */
    run_on(1, quit_and_sleep);
}

TEST(quit, being_ignored_from_outside_does_not_count) { ck_assert_int_eq(run_child(ignore_first, err, sizeof err), 2); }

static void on_quit(int signal)
{
    (void)signal;
    store_release(&handled, 1);
}

static int own_handler(void *arg)
{
    (void)arg;
    kill(getpid(), SIGQUIT);
    while (!load_acquire(&handled))
        gmpt_yield();
    return 0;
}

TEST(quit, a_handler_of_the_programs_own_stays)
{
    signal(SIGQUIT, on_quit);
    RUN(1, own_handler);
    struct sigaction now;
    sigaction(SIGQUIT, NULL, &now);
    ck_assert(now.sa_handler == on_quit);
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static void quit_afterwards(void)
{
    signal(SIGQUIT, SIG_DFL);
    run_on(1, nothing);
    kill(getpid(), SIGQUIT);
}

TEST(quit, after_the_runtime_it_is_as_before)
{
    ck_assert_int_eq(run_child(quit_afterwards, err, sizeof err), 128 + SIGQUIT);
    ck_assert_str_eq(err, "");
}
