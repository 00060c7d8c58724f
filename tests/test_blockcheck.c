/* GMPT_DEBUG=blockcheck: what blocks a P is told of, once for a place, and nothing else is. */
#define _GNU_SOURCE
#include "run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PRELOADED "LD_PRELOAD=\"$BUILD\"/libgmptrace-blockcheck.so "
#define PROGRAM "GMPT_DEBUG=blockcheck \"$BUILD\"/tests/programs/blocker "

static char err[8000];

static int lines_with(const char *words)
{
    int count = 0;
    for (const char *line = err; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        const char *found = strstr(line, words), *end = strchr(line, '\n');
        count += found && (!end || found < end);
    }
    return count;
}

static void run_program(const char *command)
{
    int status = harness_shell(command, NULL, 0, err, sizeof err);
    ck_assert_msg(status == 0, "%s: status %d:\n%s", command, status, err);
}

TEST(blockcheck, a_plain_call_on_a_p_is_told_of_once)
{
    run_program(PROGRAM "calls");
    ck_assert_msg(lines_with("blocks its P") == 1 && lines_with("goroutine 1 (main_g)") == 1 &&
                      lines_with("system call read (") == 1 && lines_with("called near ") == 1,
                  "%s", err);
    if (!UNDER_SANITIZER) /* whose own frames hold words of calls that are over */
        ck_assert_msg(lines_with("near block_plainly (") == 1, "%s", err);
}

TEST(blockcheck, a_park_with_a_pthread_mutex_is_told_of_once)
{
    if (UNDER_SANITIZER)
        SKIP("the preloaded object would come before the sanitizer's");
    run_program(PRELOADED PROGRAM "mutexes");
    ck_assert_msg(lines_with("while it holds the pthread mutex") == 1 && lines_with("waits (sleep)") == 1 &&
                      lines_with("locked at hold_and_wait (") == 1,
                  "%s", err);
}

TEST(blockcheck, what_is_right_is_not_told_of)
{
    if (UNDER_SANITIZER)
        SKIP("the preloaded object would come before the sanitizer's");
    run_program(PRELOADED PROGRAM "quiet");
    ck_assert_str_eq(err, "");
}

TEST(blockcheck, without_the_preloaded_object_it_says_what_is_not_watched)
{
    run_program(PROGRAM "quiet");
    ck_assert_msg(lines_with("mutexes are not watched") == 1 && lines_with("goroutine") == 0, "%s", err);
}
