/* gdb and our stacks: backtraces through a switch, and scripts/gmptrace-gdb.py on a live program and on a core file. */
#define _GNU_SOURCE
#include "run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char text[65536], parked[512];

/* What gdb says with these arguments. */
static const char *gdb(const char *directory, const char *arguments)
{
    char command[4096];
    snprintf(command, sizeof command,
             "cd %s && GMPT_MAXPROCS=1 timeout 60 gdb -q -batch -nx -ex 'set debuginfod enabled off' "
             "-ex 'set pagination off' %s 2>&1",
             directory, arguments);
    harness_shell(command, text, sizeof text, NULL, 0);
    return text;
}

/* Why gdb cannot be used here, or NULL. */
static const char *gdb_lacks(void)
{
    snprintf(parked, sizeof parked, "%s/tests/programs/gdb_target", getenv("BUILD"));
    if (UNDER_SANITIZER)
        return "the sanitizer's frames are not what the tests expect";
    if (harness_shell("gdb --version", NULL, 0, NULL, 0) != 0)
        return "gdb is not installed";
    if (!strstr(gdb(".", "-ex 'python print(6 * 7)'"), "42"))
        return "gdb has no Python";
    return NULL;
}

/* Stops the program where it is about to abort, and runs these commands. */
static void stop_and(const char *commands)
{
    char arguments[2048];
    snprintf(arguments, sizeof arguments,
             "-x scripts/gmptrace-gdb.py -ex 'break abort' -ex 'run crash' %s -ex kill %s", commands, parked);
    gdb(".", arguments);
}

static bool stopped(void) { return strstr(text, "hit Breakpoint 1") != NULL; }

#define NEED_GDB()                                                                                                     \
    do {                                                                                                               \
        const char *lacking = gdb_lacks();                                                                             \
        if (lacking)                                                                                                   \
            SKIP("%s", lacking);                                                                                       \
    } while (0)

#define STOP_AND(commands)                                                                                             \
    do {                                                                                                               \
        NEED_GDB();                                                                                                    \
        stop_and(commands);                                                                                            \
        if (!stopped())                                                                                                \
            SKIP("gdb cannot run programs here: %s", text);                                                            \
    } while (0)

#define EXPECT_TEXT(words) ck_assert_msg(strstr(text, (words)) != NULL, "gdb did not say \"%s\":\n%s", (words), text)

static int count(const char *words)
{
    int times = 0;
    for (const char *at = text; (at = strstr(at, words)); at += strlen(words))
        times++;
    return times;
}

TEST_TIMEOUT(gdb, a_backtrace_of_a_running_g_ends_at_its_entry, 120)
{
    STOP_AND("-ex bt");
    EXPECT_TEXT(" in hold (");
    EXPECT_TEXT(" in main_g (");
    EXPECT_TEXT(" in switch_entry (");
    ck_assert_msg(!strstr(text, "Backtrace stopped") && !strstr(text, "?? ()"), "it goes on:\n%s", text);
}

static void expect_list(void)
{
    EXPECT_TEXT("     1  running                  main_g");
    EXPECT_TEXT("     2  waiting: chan recv       receiver");
    EXPECT_TEXT("     3  waiting: sleep           sleeper");
    EXPECT_TEXT("     4  runnable                 fresh");
}

static void expect_receiver(void)
{
    EXPECT_TEXT(" in switch_stacks (");
    EXPECT_TEXT(" gmpt_chan_recv (");
    ck_assert_int_eq(count(" in wait_inner ("), 4);
    EXPECT_TEXT(" in receiver (");
    EXPECT_TEXT(" in switch_entry (");
    ck_assert_msg(!strstr(text, "Backtrace stopped") && !strstr(text, "?? ()"), "it goes on:\n%s", text);
    ck_assert_msg(strstr(text, "#0 ") != NULL && !strstr(text, " in hold ("), "it has the thread's frames:\n%s", text);
}

TEST_TIMEOUT(gdb, lists_the_gs_of_a_live_program, 120)
{
    STOP_AND("-ex 'info goroutines'");
    expect_list();
}

TEST_TIMEOUT(gdb, shows_the_stack_of_a_parked_g, 120)
{
    STOP_AND("-ex 'goroutine 2 bt'");
    expect_receiver();
}

TEST_TIMEOUT(gdb, shows_a_g_that_has_not_run_yet, 120)
{
    STOP_AND("-ex 'goroutine 4 bt'");
    EXPECT_TEXT(" in switch_entry (");
    ck_assert_int_eq(count("\n#"), 1);
}

TEST_TIMEOUT(gdb, runs_other_commands_in_a_parked_g, 120)
{
    STOP_AND("-ex 'goroutine 3 p sizeof(struct g) > 0' -ex 'goroutine 9999 bt'");
    EXPECT_TEXT("$1 = 1");
    EXPECT_TEXT("no goroutine 9999 is alive");
}

TEST_TIMEOUT(gdb, shows_all_stacks_and_leaves_the_thread_as_it_was, 120)
{
    STOP_AND("-ex 'goroutine all bt' -ex 'echo then\\n' -ex bt");
    EXPECT_TEXT("goroutine 2  waiting: chan recv");
    EXPECT_TEXT(" in sleeper (");
    ck_assert_int_eq(count(" in hold ("), 2);
    ck_assert_ptr_nonnull(strstr(strstr(text, "then\n"), " in hold ("));
}

TEST_TIMEOUT(gdb, a_core_file_does_as_well, 120)
{
    NEED_GDB();
    char command[2048], core[512], script[512];
    snprintf(command, sizeof command, "cd %s && ulimit -c unlimited && GMPT_MAXPROCS=1 %s crash; ls core* | head -n 1",
             harness_tmpdir(), parked);
    harness_shell(command, text, sizeof text, NULL, 0);
    if (sscanf(text, "ready %511s", core) != 1)
        SKIP("this machine keeps core files elsewhere, or none");
    ck_assert_ptr_nonnull(realpath("scripts/gmptrace-gdb.py", script));
    snprintf(command, sizeof command, "-x %s -ex 'info goroutines' -ex 'goroutine 2 bt' %s %s", script, parked, core);
    gdb(harness_tmpdir(), command);
    expect_list();
    char *stack = strstr(text, "     4  runnable");
    memmove(text, stack, strlen(stack) + 1);
    expect_receiver();
}

TEST_TIMEOUT(gdb, a_core_file_holds_only_what_was_in_use, 60)
{
    NEED_GDB();
    char command[2048];
    long long bytes = 0;
    snprintf(command, sizeof command,
             "cd %s && ulimit -c unlimited && GMPT_MAXPROCS=1 %s crash; cat core* | head -c 2000000000 | wc -c",
             harness_tmpdir(), parked);
    harness_shell(command, text, sizeof text, NULL, 0);
    if (sscanf(text, "ready %lld", &bytes) != 1 || bytes == 0)
        SKIP("this machine keeps core files elsewhere, or none");
    ck_assert_int_lt(bytes, 1000000000);
}
