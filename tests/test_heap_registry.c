/* libgmptrace-heap.so knows every chunk of a program that it is preloaded into, and says so when it does not. */
#define _GNU_SOURCE
#include "run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PRELOADED "LD_PRELOAD=\"$BUILD\"/libgmptrace-heap.so "
#define PROGRAM "\"$BUILD\"/tests/programs/heap_mix "

static char out[4000], err[4000];

static void expect_ok(const char *command)
{
    int status = harness_shell(command, out, sizeof out, err, sizeof err);
    ck_assert_msg(status == 0 && !out[0], "%s: status %d: %s%s", command, status, out, err);
}

/* The sanitizers' own malloc comes first. */
#define NEED_PLAIN()                                                                                                   \
    do {                                                                                                               \
        if (UNDER_SANITIZER)                                                                                           \
            SKIP("the sanitizer gives and takes the memory");                                                          \
    } while (0)

TEST(heap_registry, every_call_that_gives_memory_is_noted)
{
    NEED_PLAIN();
    expect_ok(PRELOADED PROGRAM "calls");
}

TEST_TIMEOUT(heap_registry, has_exactly_the_chunks_of_threads_that_stand_still_and_of_a_forked_child, 120)
{
    NEED_PLAIN();
    expect_ok(PRELOADED PROGRAM "mix 1 10 1");
    expect_ok(PRELOADED PROGRAM "mix 4 20 2");
    expect_ok(PRELOADED PROGRAM "mix 16 5 3");
}

TEST_TIMEOUT(heap_registry, a_fork_amid_calls_sees_what_did_not_change, 120)
{
    NEED_PLAIN();
    expect_ok(PRELOADED PROGRAM "forks 4 5");
}

TEST(heap_registry, arenas_are_what_the_allocator_has_for_itself)
{
    NEED_PLAIN();
    expect_ok(PRELOADED PROGRAM "arenas");
    expect_ok("MALLOC_ARENA_MAX=2 " PRELOADED PROGRAM "arenas");
}

TEST(heap_registry, works_before_main_as_threads_end_and_at_exit)
{
    NEED_PLAIN();
    expect_ok(PRELOADED PROGRAM "ends");
}

TEST(heap_registry, is_absent_where_it_is_not_preloaded_or_not_asked)
{
    expect_ok(PROGRAM "absent");
    NEED_PLAIN();
    if (harness_shell("valgrind --version", NULL, 0, NULL, 0) != 0)
        SKIP("valgrind is not installed");
    int status = harness_shell(PRELOADED "valgrind -q " PROGRAM "absent", NULL, 0, err, sizeof err);
    if (strstr(err, "debuginfo reader"))
        SKIP("this valgrind cannot read this compiler's debug information");
    ck_assert_msg(status == 0, "status %d: %s", status, err);
}

TEST(heap_registry, other_programs_do_not_mind_it)
{
    NEED_PLAIN();
    ck_assert_int_eq(harness_shell(PRELOADED "sh -c 'ls / | sort | sed -n 1p; exit 7'", NULL, 0, err, sizeof err), 7);
    ck_assert_str_eq(err, "");
}
