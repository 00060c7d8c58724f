/* gmptrace/leaktest.h - tests that fail when they leave goroutines behind, with Check or any other framework.
 *
 *     static int answers(void *arg) { ... what is tested, on a goroutine ...; return 0; }
 *
 *     START_TEST(test_answers) { ck_assert_int_eq(gmpt_test_run(answers, NULL), 0); }
 *
 * What is left is told of on standard error: by `gmptrace leaks`, with verdicts and source lines, where that command is
 * in PATH or named by GMPTRACE in the environment, and else by gmpt_dump. This is stricter than a proof of leaks: a
 * goroutine that a test has started is to end with it, even if something could still wake it.
 *
 * The rules of gmpt.h hold. */
#ifndef GMPT_LEAKTEST_H
#define GMPT_LEAKTEST_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#define GMPT_TEST_LEFT (-1000)         /* gmpt_test_run: goroutines are left */
#define GMPT_TEST_GRACE_NS 1000000000  /* how long it waits for those that are about to end */

/* As gmpt_run, for a test: returns what fn returned, or GMPT_TEST_LEFT when that is 0 but goroutines that fn has
 * started, or that came of them, have not ended within GMPT_TEST_GRACE_NS. Once a process, like gmpt_run: for
 * frameworks that fork for each test, as Check does. */
int gmpt_test_run(int (*fn)(void *arg), void *arg);

/* For several tests in one process, one after the other or beside each other: from here on the goroutines that the
 * calling one starts, and those that they start, are in a scope of their own (observe.h). Marks nest; what a test keeps
 * running on purpose it starts while it is in scope 0. On a G. Does not block. */
struct gmpt_test_mark {
    uint64_t gmpt_private[2];
};
struct gmpt_test_mark gmpt_test_begin(void);

/* Puts the caller back into the scope that it was in, and returns how many goroutines of the mark are left, after
 * having waited for their ends for grace_ns at most; if there are any, they are told of. On the G that called
 * gmpt_test_begin. Blocks. */
int64_t gmpt_test_end(struct gmpt_test_mark mark, int64_t grace_ns);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
