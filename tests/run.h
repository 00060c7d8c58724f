/* How a test starts the runtime and how its Gs report what they saw.
 *
 * A G must not assert: EXPECT and EXPECT_EQ note the first thing that is not so, and RUN fails the test with it once
 * the runtime has ended. Both may be used from any thread. */
#ifndef GMPT_TEST_RUN_H
#define GMPT_TEST_RUN_H

#include "harness.h"

#include <gmptrace/gmpt.h>

#include <stdbool.h>
#include <stdint.h>

/* Runs fn(NULL) as the main G on p_count Ps; 0 leaves the choice to the runtime. Returns gmpt_run's result. */
int run_on(int p_count, int (*fn)(void *arg));

/* The same, and fails the test if fn's result is not 0 or an expectation was not met. */
#define RUN(p_count, fn)                                                                                               \
    do {                                                                                                               \
        int run_result = run_on((p_count), (fn));                                                                      \
        if (*run_complaint())                                                                                          \
            ck_abort_msg("%s", run_complaint());                                                                       \
        ck_assert_int_eq(run_result, 0);                                                                               \
    } while (0)

#define EXPECT(condition) run_expect((condition), #condition, __FILE__, __LINE__)
#define EXPECT_EQ(a, b) run_expect_equal((int64_t)(a), (int64_t)(b), #a " == " #b, __FILE__, __LINE__)
bool run_expect(bool holds, const char *text, const char *file, int line);
bool run_expect_equal(int64_t a, int64_t b, const char *text, const char *file, int line);
const char *run_complaint(void); /* "" when all was as expected */

/* For loops of many rounds: Check writes a line to a file for every ck_assert. */
#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            ck_abort_msg("%s", #condition);                                                                            \
    } while (0)

/* The next run is a recorded program's: passes it a memfd, returned, with the lock that a recorder would have. */
int run_pass_segment(void);

/* Starts fn without arguments; for Gs whose state is static. */
void run_go(void (*fn)(void *args));

/* Gs that run fn are to wait for ever: for a proof of leaks they are no leaks. */
void run_waits_for_ever(void (*fn)(void *args));

/* Yields until the G with this id, which must be alive, waits (for anything): lets a test build "B blocks, then A acts"
 * without time. */
void run_until_waiting(int64_t id);

/* Runs fn in a child process, whose standard error goes to err (cut to size). Returns as harness_shell does. */
int run_child(void (*fn)(void), char *err, size_t size);

#endif
