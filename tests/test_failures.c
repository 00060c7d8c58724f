/* Every call of the system that the runtime makes fails once, and from then on: the program ends well, with an error
 * that it was told, or with a clear message; it never hangs and never computes something else.
 *
 * Not here, for nothing is done by whether they succeed: what is read from /proc and /sys, affinity, timer slack. */
#include "harness.h"
#include "run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Runs a program of tests/programs with the n-th call failing. Returns how many calls there were, or -1 when it did not
 * come to its end in a way that says so. */
static long run_with(const char *program, const char *function, long n, const char *how)
{
    char command[256], out[256], err[4096], told_by_program[64];
    snprintf(command, sizeof command, "GMPT_MAXPROCS=3 FAIL=%s:%ld%s \"$BUILD/tests/programs/%s\"", function, n, how,
             program);
    snprintf(told_by_program, sizeof told_by_program, "%s: ", program);
    int status = harness_shell(command, out, sizeof out, err, sizeof err);
    if (status == 0 && strncmp(out, "calls ", 6) == 0)
        return strtol(out + 6, NULL, 10);
    bool told = status == 3 && (strstr(err, told_by_program) || strstr(err, "gmptrace: "));
    bool clear = status == 134 && strstr(err, "gmptrace: fatal: ") && !strstr(err, "overflowed");
    if (!told && !clear)
        ck_abort_msg("%s: status %d\n%s", command, status, err);
    return -1;
}

/* Every call while there are few, then ever wider steps: a run takes some time, and most calls are alike. */
static void every_call(const char *program, const char *function, long all_of, long step_percent)
{
    ck_assert_msg(run_with(program, function, 0, "") > 0, "%s is not reached by %s", function, program);
    for (int on = 0; on < 2; on++) {
        for (long n = 1;; n += n < all_of ? 1 : 1 + n * step_percent / 100) {
            long calls = run_with(program, function, n, on ? "+" : "");
            if (calls >= 0 && calls < n)
                break;
        }
    }
}

#define FAILING(function)                                                                                              \
    TEST_TIMEOUT(failures, function##_fails_at_every_call, 300)                                                        \
    {                                                                                                                  \
        every_call("allparts", #function, 48, UNDER_SANITIZER ? 50 : 10);                                              \
    }

FAILING(calloc)
FAILING(realloc)
FAILING(aligned_alloc)
FAILING(mmap)
FAILING(madvise)
FAILING(process_madvise)
FAILING(mprotect)
FAILING(pthread_create)
FAILING(epoll_create1)
FAILING(epoll_ctl)
FAILING(eventfd)

/* In contexts, groups, pools, timers, signals, stacks of every size and sockets; what failed once succeeds then. */
#define FAILING_IN_SCOPES(function)                                                                                    \
    TEST_TIMEOUT(failures, function##_fails_in_scopes, 300)                                                            \
    {                                                                                                                  \
        every_call("scopes", #function, UNDER_SANITIZER ? 8 : 24, 40);                                                 \
    }

FAILING_IN_SCOPES(malloc)
FAILING_IN_SCOPES(calloc)
FAILING_IN_SCOPES(realloc)
FAILING_IN_SCOPES(aligned_alloc)
FAILING_IN_SCOPES(strdup)
FAILING_IN_SCOPES(mmap)
FAILING_IN_SCOPES(munmap)
FAILING_IN_SCOPES(madvise)
FAILING_IN_SCOPES(process_madvise)
FAILING_IN_SCOPES(mprotect)
FAILING_IN_SCOPES(memfd_create)
FAILING_IN_SCOPES(ftruncate)
FAILING_IN_SCOPES(pthread_create)
FAILING_IN_SCOPES(epoll_create1)
FAILING_IN_SCOPES(epoll_ctl)
FAILING_IN_SCOPES(epoll_wait)
FAILING_IN_SCOPES(epoll_pwait2)
FAILING_IN_SCOPES(eventfd)
FAILING_IN_SCOPES(sigaction)
FAILING_IN_SCOPES(sigaltstack)
FAILING_IN_SCOPES(getaddrinfo)
FAILING_IN_SCOPES(socket)
FAILING_IN_SCOPES(setsockopt)
FAILING_IN_SCOPES(bind)
FAILING_IN_SCOPES(listen)
FAILING_IN_SCOPES(connect)
FAILING_IN_SCOPES(accept4)
FAILING_IN_SCOPES(fcntl)

TEST(failures, without_one_all_sums_are_right)
{
    ck_assert_int_eq(run_with("allparts", "nothing", 1, ""), 0);
    ck_assert_int_eq(run_with("scopes", "nothing", 1, ""), 0);
}
