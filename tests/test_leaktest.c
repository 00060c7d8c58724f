/* The helpers for users' tests: what is left of a test is found, told of, and nobody else's. */
#define _GNU_SOURCE
#include "exported.h"
#include "harness.h"
#include "run.h"

#include <gmptrace/leaktest.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char told[1 << 16];
static int result;

static void waiter(void *args)
{
    int value;
    gmpt_chan_recv(*(struct gmpt_chan **)args, &value);
}

static int leave_one(void *arg)
{
    (void)arg;
    struct gmpt_chan *nothing = gmpt_chan_new(sizeof(int), 0);
    return gmpt_go(waiter, &nothing, sizeof nothing) > 0 ? 0 : 1;
}

static void sleeper(void *args) { gmpt_sleep(*(int64_t *)args); }

static int leave_one_that_ends(void *arg)
{
    (void)arg;
    int64_t ns = 20000000;
    return gmpt_go(sleeper, &ns, sizeof ns) > 0 ? 0 : 1;
}

static int fail_with_one(void *arg)
{
    leave_one(arg);
    return 7;
}

static void run_left(void) { _exit(gmpt_test_run(leave_one, NULL) == GMPT_TEST_LEFT ? 42 : 1); }

TEST(leaktest, a_test_that_leaves_nothing_passes) { ck_assert_int_eq(gmpt_test_run(leave_one_that_ends, NULL), 0); }

TEST(leaktest, what_is_left_fails_and_is_told_of_with_its_lines)
{
    if (UNDER_SANITIZER)
        SKIP("sanitizers keep memory of their own: no proofs of leaks there");
    SKIP_IN_EMULATOR("cannot start the command");
    ck_assert_int_eq(run_child(run_left, told, sizeof told), 42);
    exported_has(told, "gmptrace: 1 goroutine of a test is left\n");
    exported_has(told, "1 goroutine of waiter waits in chan receive, without a deadline\n");
    exported_has(told, "tests/test_leaktest.c:");
    exported_has(told, "leave_one");
}

TEST(leaktest, without_the_command_all_goroutines_are_dumped)
{
    setenv("GMPTRACE", "/no/such/command", 1);
    ck_assert_int_eq(run_child(run_left, told, sizeof told), 42);
    exported_has(told, "gmptrace: 1 goroutine of a test is left\n");
    exported_has(told, "[chan receive]");
    exported_has(told, "waiter");
}

static void run_failing(void) { _exit(gmpt_test_run(fail_with_one, NULL)); }

TEST(leaktest, a_test_s_own_failure_is_passed_on)
{
    setenv("GMPTRACE", "/no/such/command", 1);
    ck_assert_int_eq(run_child(run_failing, told, sizeof told), 7);
    exported_has(told, "1 goroutine of a test is left");
}

static void test_beside(void *args)
{
    struct gmpt_chan *done = *(struct gmpt_chan **)args;
    struct gmpt_test_mark mark = gmpt_test_begin();
    leave_one_that_ends(NULL);
    int64_t left = gmpt_test_end(mark, GMPT_TEST_GRACE_NS);
    gmpt_chan_send(done, &left);
}

static int two_tests(void *arg)
{
    (void)arg;
    struct gmpt_chan *done = gmpt_chan_new(sizeof(int64_t), 0);
    int64_t left = -1;
    uint64_t outer = gmpt_scope_enter(5);
    struct gmpt_test_mark mark = gmpt_test_begin(), inner;
    leave_one(NULL);
    gmpt_scope_enter(0); /* the other test is none of this one's */
    gmpt_go(test_beside, &done, sizeof done);
    gmpt_chan_recv(done, &left);
    EXPECT_EQ(left, 0);
    inner = gmpt_test_begin();
    EXPECT_EQ(gmpt_test_end(inner, 0), 0);
    EXPECT_EQ(gmpt_scope_current(), 0);
    EXPECT_EQ(gmpt_test_end(mark, 0), 1);
    EXPECT_EQ(gmpt_scope_current(), 5);
    gmpt_scope_enter(outer);
    return 0;
}

static void run_two(void)
{
    result = gmpt_run(two_tests, NULL);
    _exit(result || *run_complaint() ? 1 : 42);
}

TEST(leaktest, tests_beside_each_other_do_not_see_each_other_s)
{
    setenv("GMPTRACE", "/no/such/command", 1);
    ck_assert_int_eq(run_child(run_two, told, sizeof told), 42);
    char *first = strstr(told, "of a test is left");
    ck_assert_ptr_nonnull(first);
    ck_assert_ptr_null(strstr(first + 1, "of a test is left"));
}
