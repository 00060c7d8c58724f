/* Every call of the system that the runtime makes fails once, and from then on: the program ends well, with an error
 * that it was told, or with a clear message; it never hangs and never computes something else. */
#include "harness.h"
#include "run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Runs the program with the n-th call failing. Returns how many calls there were, or -1 when it did not come to its end
 * in a way that says so. */
static long run_with(const char *function, long n, const char *how)
{
    char command[256], out[256], err[4096];
    snprintf(command, sizeof command, "GMPT_MAXPROCS=3 FAIL=%s:%ld%s \"$BUILD/tests/programs/allparts\"", function, n,
             how);
    int status = harness_shell(command, out, sizeof out, err, sizeof err);
    if (status == 0 && strncmp(out, "calls ", 6) == 0)
        return strtol(out + 6, NULL, 10);
    bool told = status == 3 && (strstr(err, "allparts: ") || strstr(err, "gmptrace: "));
    bool clear = status == 134 && strstr(err, "gmptrace: fatal: ");
    if (!told && !clear)
        ck_abort_msg("%s: status %d\n%s", command, status, err);
    return -1;
}

/* Every call while there are few, then ever wider steps: a run takes some time, and most calls are alike. */
static void every_call(const char *function)
{
    long step_percent = RUN_SANITIZED ? 50 : 10;
    for (int on = 0; on < 2; on++) {
        for (long n = 1;; n += n < 48 ? 1 : 1 + n * step_percent / 100) {
            long calls = run_with(function, n, on ? "+" : "");
            if (calls >= 0 && calls < n)
                break;
        }
    }
}

#define FAILING(function)                                                                                              \
    TEST_TIMEOUT(failures, function##_fails_at_every_call, 300) { every_call(#function); }

FAILING(malloc)
FAILING(calloc)
FAILING(realloc)
FAILING(aligned_alloc)
FAILING(mmap)
FAILING(madvise)
FAILING(mprotect)
FAILING(pthread_create)
FAILING(epoll_create1)
FAILING(epoll_ctl)
FAILING(eventfd)

TEST(failures, without_one_all_sums_are_right) { ck_assert_int_eq(run_with("nothing", 1, ""), 0); }
