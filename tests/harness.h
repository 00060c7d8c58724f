/* TEST(suite, claim) { ... } defines a Check test and registers it; harness.c runs all that SUITE and CASE select.
 *
 * Check forks for every test. Start the runtime inside the test, and assert only in the test's own body, never on a
 * G's stack: a failed assertion leaves by longjmp or exit. */
#ifndef GMPT_HARNESS_H
#define GMPT_HARNESS_H

#include "sanitized.h"

#include <check.h>
#include <stdlib.h>

struct harness_test {
    const char *suite;
    const TTest *test;
    int timeout_seconds;
    struct harness_test *next;
};

void harness_register(struct harness_test *test);

#define TEST_TIMEOUT(suite_name, claim, seconds)                                                                       \
    static void suite_name##_##claim##_body(void);                                                                     \
    START_TEST(suite_name##_##claim) { suite_name##_##claim##_body(); }                                                \
    END_TEST                                                                                                           \
    __attribute__((constructor)) static void suite_name##_##claim##_register(void)                                     \
    {                                                                                                                  \
        static struct harness_test entry;                                                                              \
        entry = (struct harness_test){ #suite_name, suite_name##_##claim, seconds, NULL };                             \
        harness_register(&entry);                                                                                      \
    }                                                                                                                  \
    static void suite_name##_##claim##_body(void)

#define TEST(suite_name, claim) TEST_TIMEOUT(suite_name, claim, 60)

/* Ends a test that this machine cannot run, saying why; counted as passed, listed at the end of the output. */
#define SKIP(...)                                                                                                      \
    do {                                                                                                               \
        harness_skip(__func__, __VA_ARGS__);                                                                           \
        return;                                                                                                        \
    } while (0)
#define SKIP_UNDER_TSAN(why)                                                                                           \
    do {                                                                                                               \
        if (UNDER_TSAN)                                                                                                \
            SKIP(why);                                                                                                 \
    } while (0)
/* Of what qemu's user emulation does otherwise than the kernel. */
#define SKIP_IN_EMULATOR(why)                                                                                          \
    do {                                                                                                               \
        if (getenv("EMULATOR"))                                                                                        \
            SKIP("an emulator " why);                                                                                  \
    } while (0)

/* Of a function: what lies on the stack is no plain address on machines that can sign it. */
#if defined(__aarch64__)
#define SIGNS_ITS_RETURN __attribute__((target("branch-protection=pac-ret")))
#else
#define SIGNS_ITS_RETURN
#endif

void harness_skip(const char *test, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A new directory of the test's own, removed at the end of the run; the path lives until the test ends. */
const char *harness_tmpdir(void);

/* Runs a shell command with sh -c; its standard output goes to out and its error output to err (each may be NULL; cut
 * to size - 1 and ended with NUL). Returns its status, or 128 + the signal that ended it. GMPTRACE, GATEWAY and BUILD
 * in its environment name the command, the gateway and the build directory. */
int harness_shell(const char *command, char *out, size_t out_size, char *err, size_t err_size);

#endif
