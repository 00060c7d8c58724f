/* Stacks that are too small: which G, which function, which size, and what to do. */
#define _GNU_SOURCE
#include "run.h"

#include "runtime/runtime.h"
#include "runtime/seat.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct gmpt_go_options options;

static __attribute__((noinline)) int dig(volatile int depth)
{
    volatile char room[512];
    room[0] = (char)depth;
    room[511] = 1;
    return depth <= 0 ? room[0] : dig(depth - 1) + room[511];
}

static void go_deep(void *p)
{
    (void)p;
    dig(1 << 20);
}

static int start_deep(void *arg)
{
    (void)arg;
    int64_t id = gmpt_go_with(&options, go_deep, NULL, 0);
    fprintf(stderr, "started %lld\n", (long long)id);
    gmpt_chan_recv(NULL, NULL);
    return 0;
}

static void child_deep(void) { run_on(1, start_deep); }

static void child_small_deep(void)
{
    setvbuf(stderr, NULL, _IONBF, 0);
    run_on(1, start_deep);
}

/* Runs fn in a child, which must abort with a message that has the id that it told of, and each of the texts. */
static void expect_message(void (*fn)(void), const char *function, const char *text, const char *more)
{
    char err[2048], expected[64];
    long long id = 0;
    ck_assert_int_eq(run_child(fn, err, sizeof err), 128 + SIGABRT);
    ck_assert_msg(sscanf(err, "started %lld", &id) == 1, "the G did not start: %s", err);
    snprintf(expected, sizeof expected, "goroutine %lld ", id);
    ck_assert_msg(strstr(err, expected) && strstr(err, function) && strstr(err, text) && strstr(err, more),
                  "the message is: %s", err);
}

#define SKIP_IF_SANITIZED()                                                                                            \
    do {                                                                                                               \
        if (UNDER_SANITIZER)                                                                                           \
            SKIP("the sanitizer handles the fault itself, and has no small stacks");                                   \
    } while (0)

TEST(overflow, a_guard_names_the_g_its_size_and_the_next_class)
{
    SKIP_IF_SANITIZED();
    expect_message(child_deep, "function go_deep at /", "overflowed its stack of 64 KiB;", "stack_bytes = 262144");
}

TEST(overflow, a_g_with_a_name_is_told_by_it)
{
    SKIP_IF_SANITIZED();
    options.name = "digger";
    expect_message(child_deep, "function go_deep at /",
                   "(digger, function go_deep at", "overflowed its stack of 64 KiB;");
}

TEST(overflow, larger_classes_are_guarded)
{
    SKIP_IF_SANITIZED();
    options.stack_bytes = 100000;
    expect_message(child_deep, "function go_deep at /", "overflowed its stack of 256 KiB;", "stack_bytes = 1048576");
    options.stack_bytes = 1 << 20;
    expect_message(child_deep, "function go_deep at /", "overflowed its stack of 1024 KiB;", "stack_bytes = 8388608");
}

TEST(overflow, of_the_largest_class_there_is_no_advice)
{
    SKIP_IF_SANITIZED();
    options.stack_bytes = GMPT_STACK_MAX;
    expect_message(child_deep, "function go_deep at /", "overflowed its stack of 8192 KiB;", "no larger class");
}

static int main_deep(void *arg)
{
    (void)arg;
    fprintf(stderr, "started %lld\n", (long long)gmpt_self());
    return dig(1 << 20);
}

static void child_main_deep(void) { run_on(1, main_deep); }

TEST(overflow, of_the_main_g_the_advice_is_to_start_another)
{
    SKIP_IF_SANITIZED();
    expect_message(child_main_deep, "function main at /", "overflowed its stack of 64 KiB;",
                   "start one for this work by gmpt_go_with with stack_bytes = 262144");
}

TEST(overflow, a_small_stack_that_is_overrun_by_far_is_named)
{
    SKIP_IF_SANITIZED();
    options.stack_bytes = GMPT_STACK_SMALL;
    expect_message(child_small_deep, "function go_deep at /", "overflowed its stack of 2 KiB;", "stack_bytes = 65536");
}

/* Leaves the 2 KiB by a little, as a function with a buffer does, and comes back. */
static void leave_small(void *p)
{
    struct g *g = g_self();
    volatile uint64_t *end = (volatile uint64_t *)seat_stack_lo(g->stack_class, g->index);
    fprintf(stderr, "started %lld\n", (long long)g->id);
    *end = 1;
    if (p && *(int *)p)
        gmpt_sleep(1000000000);
}

static int parks_after;

static int start_small(void *arg)
{
    (void)arg;
    gmpt_go_with(&(struct gmpt_go_options){ .stack_bytes = GMPT_STACK_SMALL }, leave_small, &parks_after,
                 sizeof parks_after);
    gmpt_chan_recv(NULL, NULL);
    return 0;
}

static void child_small(void)
{
    setvbuf(stderr, NULL, _IONBF, 0);
    run_on(1, start_small);
}

TEST(overflow, a_dead_canary_is_found_when_the_g_ends)
{
    SKIP_IF_SANITIZED();
    expect_message(child_small, "function leave_small at /",
                   "overflowed its stack of 2 KiB (found by its canary);", "stack_bytes = 65536");
}

TEST(overflow, a_dead_canary_is_found_when_the_g_parks)
{
    SKIP_IF_SANITIZED();
    parks_after = 1;
    expect_message(child_small, "function leave_small at /",
                   "overflowed its stack of 2 KiB (found by its canary);", "stack_bytes = 65536");
}

static void ignore(int signal) { (void)signal; }

static void child_small_with_handler(void)
{
    setvbuf(stderr, NULL, _IONBF, 0);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGSEGV);
    signal(SIGSEGV, ignore);
    sigprocmask(SIG_BLOCK, &set, NULL);
    run_on(1, start_small);
}

TEST(overflow, a_dead_canary_is_told_of_even_when_the_signal_is_blocked)
{
    SKIP_IF_SANITIZED();
    parks_after = 1;
    expect_message(child_small_with_handler, "function leave_small at /", "overflowed its stack of 2 KiB", "");
}

/* ---- other faults ---- */

static void crash(void *p) { *(volatile int *)(*(uintptr_t *)p) = 1; }

static int start_crash(void *arg)
{
    (void)arg;
    gmpt_go(crash, &(uintptr_t){ 16 }, sizeof(uintptr_t));
    gmpt_chan_recv(NULL, NULL);
    return 0;
}

static void child_crash(void) { run_on(2, start_crash); }

TEST(overflow, any_other_fault_ends_the_program_as_usual)
{
    if (UNDER_SANITIZER)
        SKIP("the sanitizer handles the fault itself");
    char err[1024];
    ck_assert_int_eq(run_child(child_crash, err, sizeof err), 128 + SIGSEGV);
    ck_assert_str_eq(err, "");
}

static int sleep_in_call(void *arg)
{
    (void)arg;
    gmpt_sleep(1000000000);
    return 0;
}

static int call_sleeping(void *arg)
{
    (void)arg;
    return gmpt_blocking(sleep_in_call, NULL);
}

static void child_in_call(void) { run_on(1, call_sleeping); }

static void *yield_on_thread(void *arg)
{
    gmpt_yield();
    return arg;
}

static int start_thread(void *arg)
{
    pthread_t thread;
    (void)arg;
    if (EXPECT_EQ(pthread_create(&thread, NULL, yield_on_thread, NULL), 0))
        pthread_join(thread, NULL);
    return 0;
}

static void child_on_thread(void) { run_on(1, start_thread); }

TEST(overflow, a_call_from_where_there_is_no_p_says_so)
{
    char err[1000];
    SKIP_IF_SANITIZED();
    ck_assert_int_eq(run_child(child_in_call, err, sizeof err), 128 + SIGABRT);
    ck_assert_msg(strstr(err, "was called inside a blocking call\n") != NULL, "%s", err);
    ck_assert_int_eq(run_child(child_on_thread, err, sizeof err), 128 + SIGABRT);
    ck_assert_msg(strstr(err, "was called on a thread that runs no goroutines\n") != NULL, "%s", err);
}

/* A handler that passes faults on, as those of crash reporters do. */
static struct sigaction earlier;

static void report(int signal, siginfo_t *info, void *context)
{
    static int times;
    dprintf(STDERR_FILENO, "reported %d\n", ++times);
    if (earlier.sa_flags & SA_SIGINFO)
        earlier.sa_sigaction(signal, info, context);
}

static void child_crash_reported(void)
{
    struct sigaction action = { .sa_sigaction = report, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    sigaction(SIGSEGV, &action, &earlier);
    run_on(2, start_crash);
}

TEST(overflow, a_handler_that_passes_faults_on_is_called_once)
{
    SKIP_IF_SANITIZED();
    char err[1024];
    ck_assert_int_eq(run_child(child_crash_reported, err, sizeof err), 128 + SIGSEGV);
    ck_assert_str_eq(err, "reported 1\n");
}

static void child_before_run(void) { gmpt_yield(); }

TEST(overflow, a_call_before_the_runtime_runs_says_so)
{
    char err[1000];
    SKIP_IF_SANITIZED();
    ck_assert_int_eq(run_child(child_before_run, err, sizeof err), 128 + SIGABRT);
    ck_assert_str_eq(err, "gmptrace: fatal: a function of the runtime was called before gmpt_run\n");
}
