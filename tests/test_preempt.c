/* Preemption: Gs that never call the runtime lose their P (T1), and what they hold meanwhile stays as it was. */
#include "run.h"

#include "runtime/runtime.h"

#include <fcntl.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define HOGS 4

static ATOMIC(uint32_t) stop_hogs, hogs_ended, turns;
static struct gmpt_waitgroup group;

static bool can_take(void)
{
    return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}

#define NEED_MEMBARRIER()                                                                                              \
    do {                                                                                                               \
        if (!can_take())                                                                                               \
            SKIP("this kernel has no membarrier, so nothing can be taken");                                            \
    } while (0)

static void pure_loop(void *args)
{
    (void)args;
    while (!load_relaxed(&stop_hogs))
        ;
    fetch_add_relaxed(&hogs_ended, 1);
    gmpt_waitgroup_done(&group);
}

static void taker_of_turns(void *args)
{
    (void)args;
    for (int i = 0; i < 20; i++) {
        fetch_add_relaxed(&turns, 1);
        i % 2 ? gmpt_yield() : (void)gmpt_sleep(100000);
    }
    store_relaxed(&stop_hogs, 1);
    gmpt_waitgroup_done(&group);
}

static int hogs_and_one(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&group, HOGS + 1);
    for (int i = 0; i < HOGS; i++)
        run_go(pure_loop);
    run_go(taker_of_turns);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(load_relaxed(&turns), 20);
    EXPECT_EQ(load_relaxed(&hogs_ended), HOGS);
    EXPECT(load_relaxed(&sched.preempted_t1) > 0);
    while (gmpt_count() > 1) /* one that lost its P needs none to be done, only to end */
        gmpt_yield();
    EXPECT_EQ(load_relaxed(&sched.detached), 0);
    return 0;
}

TEST(preempt, pure_loops_do_not_keep_one_p)
{
    NEED_MEMBARRIER();
    RUN(1, hogs_and_one);
}

TEST(preempt, pure_loops_do_not_keep_two_ps)
{
    NEED_MEMBARRIER();
    RUN(2, hogs_and_one);
}

/* ---- what a hog holds ---- */

static pthread_mutex_t plain_mutex = PTHREAD_MUTEX_INITIALIZER;
static FILE *null_file;
static ATOMIC(uint32_t) hogs_inside;

static void busy_ms(int64_t ms)
{
    int64_t until = gmpt_now() + ms * 1000000;
    while (gmpt_now() < until)
        ;
}

static void hog_with_mutex(void *args)
{
    (void)args;
    pthread_mutex_lock(&plain_mutex);
    fetch_add_relaxed(&hogs_inside, 1);
    busy_ms(30);
    errno = 42;
    busy_ms(30);
    EXPECT_EQ(errno, 42);
    EXPECT_EQ(pthread_mutex_unlock(&plain_mutex), 0);
    gmpt_waitgroup_done(&group);
}

static void user_of_mutex(void *args)
{
    (void)args;
    while (load_relaxed(&hogs_inside) == 0)
        gmpt_yield();
    for (int i = 0; i < 50; i++) {
        gmpt_sleep(1000000);
        if (pthread_mutex_trylock(&plain_mutex) == 0) {
            errno = i + 1;
            EXPECT_EQ(pthread_mutex_unlock(&plain_mutex), 0);
            EXPECT_EQ(errno, i + 1);
        }
    }
    gmpt_waitgroup_done(&group);
}

static void hog_in_malloc(void *args)
{
    (void)args;
    void *blocks[64] = { 0 };
    int64_t until = gmpt_now() + 60000000;
    for (unsigned i = 0; gmpt_now() < until; i++) {
        errno = (int)(i % 100) + 1;
        free(blocks[i % 64]);
        blocks[i % 64] = malloc(16 + (i * 7919) % 100000);
        memset(blocks[i % 64], (int)i, 16);
        EXPECT_EQ(errno, (int)(i % 100) + 1);
    }
    for (int i = 0; i < 64; i++)
        free(blocks[i]);
    gmpt_waitgroup_done(&group);
}

static int compare(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

static void hog_in_qsort(void *args)
{
    (void)args;
    int64_t until = gmpt_now() + 60000000;
    while (gmpt_now() < until) {
        int values[5000];
        for (int i = 0; i < 5000; i++)
            values[i] = (i * 7919) % 5000;
        qsort(values, 5000, sizeof values[0], compare);
        for (int i = 1; i < 5000; i++)
            EXPECT(values[i - 1] <= values[i]);
    }
    gmpt_waitgroup_done(&group);
}

/* A stdio callback runs with the FILE's lock held by this thread. */
static ssize_t slow_write(void *cookie, const char *buffer, size_t size)
{
    (void)cookie, (void)buffer;
    busy_ms(15);
    return (ssize_t)size;
}

static void hog_in_stdio(void *args)
{
    (void)args;
    for (int i = 0; i < 4; i++) {
        EXPECT_EQ(fprintf(null_file, "%d\n", i), 2);
        EXPECT_EQ(fflush(null_file), 0);
    }
    gmpt_waitgroup_done(&group);
}

static void user_of_stdio_and_malloc(void *args)
{
    (void)args;
    for (int i = 0; i < 100; i++) {
        char *text = malloc(100);
        snprintf(text, 100, "%d %s", i, "text");
        EXPECT_EQ(atoi(text), i);
        free(text);
        gmpt_sleep(200000);
    }
    gmpt_waitgroup_done(&group);
}

static int hogs_that_hold_things(void *arg)
{
    (void)arg;
    cookie_io_functions_t functions = { .write = slow_write };
    null_file = fopencookie(NULL, "w", functions);
    EXPECT(null_file != NULL);
    static void (*const all[])(void *) = { hog_with_mutex, hog_with_mutex, hog_in_malloc, hog_in_malloc, hog_in_qsort,
                                           hog_in_stdio,   hog_in_stdio,   user_of_mutex, user_of_stdio_and_malloc };
    gmpt_waitgroup_add(&group, sizeof all / sizeof *all);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        run_go(all[i]);
    gmpt_waitgroup_wait(&group);
    fclose(null_file);
    EXPECT_EQ(load_relaxed(&sched.detached), 0);
    return 0;
}

TEST(preempt, what_a_hog_holds_stays_right_on_one_p) { RUN(1, hogs_that_hold_things); }
TEST(preempt, what_a_hog_holds_stays_right_on_two_ps) { RUN(2, hogs_that_hold_things); }

/* ---- coming back ---- */

static ATOMIC(int64_t) sum;

static void compute_then_call(void *args)
{
    int value = *(int *)args;
    for (int i = 0; i < 5; i++) {
        int64_t until = gmpt_now() + 12000000;
        while (gmpt_now() < until)
            ;
        fetch_add_relaxed(&sum, value);
        switch ((value + i) % 4) {
        case 0: gmpt_yield(); break;
        case 1: gmpt_sleep(50000); break;
        case 2: gmpt_blocking_begin(); usleep(50); gmpt_blocking_end(); break;
        default: gmpt_preempt_check(); break;
        }
    }
    gmpt_waitgroup_done(&group);
}

static int many_come_back(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&group, 12);
    for (int i = 1; i <= 12; i++)
        gmpt_go(compute_then_call, &i, sizeof i);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(load_relaxed(&sum), 5 * 78);
    EXPECT_EQ(load_relaxed(&sched.detached), 0);
    return 0;
}

TEST(preempt, a_g_without_p_gets_one_at_its_next_call) { RUN(2, many_come_back); }

static int main_is_a_hog(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&group, 1);
    run_go(taker_of_turns);
    while (!load_relaxed(&stop_hogs))
        ;
    return 0; /* comes in without a P */
}

TEST(preempt, the_main_g_may_return_without_a_p)
{
    NEED_MEMBARRIER();
    RUN(1, main_is_a_hog);
}

/* ---- a child of fork() ---- */

static int call_in_forked_child(void *arg)
{
    (void)arg;
    pid_t child = fork();
    if (child == 0) {
        gmpt_yield();
        _exit(3);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : -1;
}

static void fork_and_exit(void) { _exit(run_on(2, call_in_forked_child)); }

TEST(preempt, a_call_in_a_child_of_fork_ends_it_with_a_message)
{
    char err[1024];
    ck_assert_int_eq(run_child(fork_and_exit, err, sizeof err), SIGABRT);
    ck_assert_msg(strstr(err, "was called in a child of fork()") != NULL, "%s", err);
}

static int exit_in_forked_child(void *arg)
{
    (void)arg;
    pid_t child = fork();
    if (child == 0)
        exit(3);
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 3);
    gmpt_yield();
    return 0;
}

TEST(preempt, a_child_of_fork_may_exit_and_its_parent_goes_on)
{
    if (UNDER_SANITIZER)
        SKIP("what a sanitizer does at exit wants the threads that a forked child does not have");
    RUN(2, exit_in_forked_child);
}
