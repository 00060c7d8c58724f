/* AddressSanitizer, ThreadSanitizer and Valgrind on the stacks of Gs: each finds the mistake that it is for in
 * programs/faulty.c, and nothing where there is none. */
#define _GNU_SOURCE
#include "run.h"

#include "runtime/memcheck.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char text[32768];

static int run_faulty(const char *before, const char *build, const char *kind)
{
    char command[2048];
    snprintf(command, sizeof command, "GMPT_MAXPROCS=2 %s timeout 200 %s %s/tests/programs/faulty %s 2>&1",
             strchr(before, '=') ? before : "", strchr(before, '=') ? "" : before, build, kind);
    return harness_shell(command, text, sizeof text, NULL, 0);
}

/* Builds the program with a sanitizer, in the variant that make SAN=... has. Why it cannot, or NULL. */
static const char *build_with(const char *sanitizer)
{
    char command[512];
    if (UNDER_SANITIZER)
        return "a plain build's tests build it";
    snprintf(command, sizeof command, "echo 'int main(void) { return 0; }' | gcc -fsanitize=%s -x c - -o %s/probe",
             sanitizer, harness_tmpdir());
    if (harness_shell(command, NULL, 0, NULL, 0) != 0)
        return "gcc or its sanitizer is not installed";
    snprintf(command, sizeof command,
             "env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS make -s CC=gcc SAN=%s FORCE_YIELD= SYSROOT= "
             "build/gcc-%s/tests/programs/faulty 2>&1",
             sanitizer, sanitizer);
    ck_assert_msg(harness_shell(command, text, sizeof text, NULL, 0) == 0, "%s", text);
    return NULL;
}

#define NEED_BUILD(sanitizer)                                                                                          \
    do {                                                                                                               \
        const char *lacking = build_with(sanitizer);                                                                   \
        if (lacking)                                                                                                   \
            SKIP("%s", lacking);                                                                                       \
    } while (0)

#define EXPECT_TEXT(words) ck_assert_msg(strstr(text, (words)) != NULL, "no \"%s\" in:\n%s", (words), text)

#define ASAN "ASAN_OPTIONS=detect_stack_use_after_return=1"

TEST_TIMEOUT(tools, address_sanitizer_finds_a_use_after_return_on_a_g, 400)
{
    NEED_BUILD("address");
    ck_assert_int_eq(run_faulty(ASAN, "build/gcc-address", "none"), 0);
    ck_assert_str_eq(text, "");
    ck_assert_int_ne(run_faulty(ASAN, "build/gcc-address", "return"), 0);
    EXPECT_TEXT("stack-use-after-return");
    EXPECT_TEXT("in use_kept ");
    ck_assert_int_ne(run_faulty(ASAN, "build/gcc-address", "beyond"), 0);
    EXPECT_TEXT("stack-buffer-overflow");
    EXPECT_TEXT("in write_at ");
}

TEST_TIMEOUT(tools, thread_sanitizer_finds_a_race_between_two_gs, 400)
{
    NEED_BUILD("thread");
    ck_assert_int_eq(run_faulty("", "build/gcc-thread", "none"), 0);
    ck_assert_str_eq(text, "");
    ck_assert_int_ne(run_faulty("", "build/gcc-thread", "race"), 0);
    EXPECT_TEXT("data race");
    EXPECT_TEXT(" faulty ");
}

#if defined(__aarch64__)
#define MACHINE "aarch64"
#else
#define MACHINE "x86_64"
#endif

/* Why Valgrind cannot be used here, or NULL. */
static const char *valgrind_lacks(void)
{
    if (UNDER_SANITIZER)
        return "sanitized programs do not run under Valgrind";
#ifndef MEMCHECK_REQUESTS
    return "the library was built without Valgrind's headers";
#endif
    if (harness_shell("test $(uname -m) = " MACHINE, NULL, 0, NULL, 0) != 0)
        return "the programs run in an emulator";
    if (harness_shell("valgrind -q true", NULL, 0, NULL, 0) != 0)
        return "valgrind is not installed, or does not work here";
    return NULL;
}

/* LD_BIND_NOW: Valgrind's own library would be bound at its first realloc, which may come on a small stack. */
static int run_valgrind(const char *settings, const char *program)
{
    char command[1024];
    snprintf(command, sizeof command,
             "LD_BIND_NOW=1 GMPT_MAXPROCS=2 %s timeout 200 valgrind -q --error-exitcode=99 %s/tests/programs/%s 2>&1",
             settings, getenv("BUILD"), program);
    return harness_shell(command, text, sizeof text, NULL, 0);
}

#define NEED_VALGRIND()                                                                                                \
    do {                                                                                                               \
        const char *lacking = valgrind_lacks();                                                                        \
        if (lacking)                                                                                                   \
            SKIP("%s", lacking);                                                                                       \
    } while (0)

TEST_TIMEOUT(tools, valgrind_finds_a_value_that_was_never_set_on_a_g, 240)
{
    NEED_VALGRIND();
    ck_assert_int_eq(run_valgrind("", "faulty undefined"), 99);
    EXPECT_TEXT("uninitialised value");
    EXPECT_TEXT(": faulty (");
    ck_assert_msg(!strstr(text, "Invalid"), "it has reports that are false:\n%s", text);
}

TEST_TIMEOUT(tools, valgrind_finds_nothing_where_there_is_no_mistake, 600)
{
    NEED_VALGRIND();
    ck_assert_msg(run_valgrind("", "faulty none") == 0, "%s", text);
    ck_assert_msg(run_valgrind("GMPT_DEBUG=clearstacks", "faulty none") == 0, "%s", text);
    ck_assert_msg(run_valgrind("", "allparts") == 0, "%s", text);
}
