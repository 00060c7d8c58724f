/* Triggers of the flight recorder: how they are said, and programs that pull them. */
#define _GNU_SOURCE
#include "harness.h"
#include "shell.h"

#include "cli/cli.h"
#include "cli/trigger.h"

#include <gmptrace/trace.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool exists(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", harness_tmpdir(), name);
    return access(path, F_OK) == 0;
}

TEST(trigger, what_may_be_said)
{
    struct triggers triggers = { 0 };
    ck_assert_int_eq(trigger_parse(&triggers, "runnable>50ms"), 0);
    ck_assert_int_eq(trigger_parse(&triggers, "waiting>1.5s:mutex,chan_send@handle"), 0);
    ck_assert_int_eq(trigger_parse(&triggers, "syscall>1s@a>b:c,d"), 0);
    ck_assert_int_eq(trigger_parse(&triggers, "leaked>1m:select"), 0);
    ck_assert_uint_eq(triggers.count, 4);
    ck_assert_int_eq(triggers.limits[0].state, G_RUNNABLE);
    ck_assert_int_eq(triggers.limits[0].ns, 50000000);
    ck_assert_ptr_null(triggers.functions[0]);
    ck_assert_int_eq(triggers.limits[1].ns, 1500000000);
    ck_assert_uint_eq(triggers.limits[1].reasons, 1u << GMPT_WAIT_mutex | 1u << GMPT_WAIT_chan_send);
    ck_assert_str_eq(triggers.functions[1], "handle");
    ck_assert_int_eq(triggers.limits[2].state, G_SYSCALL);
    ck_assert_str_eq(triggers.functions[2], "a>b:c,d");
    ck_assert_int_eq(triggers.limits[3].state, G_WAITING);
    ck_assert(triggers.limits[3].leaked && !triggers.limits[1].leaked);
}

TEST(trigger, what_is_wrong_usage)
{
    static const char *const wrong[] = { "",
                                         "leak",
                                         "leaked",
                                         "leaked>1s:nothing",
                                         "running>1s",
                                         "waiting>",
                                         "waiting>5",
                                         "waiting>1s:",
                                         "waiting>1s:mutex,",
                                         "waiting>1s:none",
                                         "waiting>1s:nothing",
                                         "waiting>1s@",
                                         "runnable>1s:mutex",
                                         "waiting:mutex>1s" };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ck_assert_msg(shell_run("$R --flight 1s --trigger '%s' true", wrong[i]) == 2, "%s", wrong[i]);
        ck_assert_msg(strstr(shell_err, wrong[i]) != NULL && strstr(shell_err, "--help"), "%s", shell_err);
    }
    ck_assert_int_eq(shell_run("$R --trigger 'waiting>1s' true"), 2);
    shell_has(shell_err, "it needs --flight");
    ck_assert_int_eq(shell_run("$R --flight 1s --trigger 'waiting>1s' --trigger-pause x true"), 2);
}

TEST(trigger, a_g_that_waits_too_long_is_told_and_in_the_file)
{
    ck_assert_int_eq(shell_run("mkfifo in; $R --flight 60s --trigger 'waiting>50ms:chan_recv' "
                               "-o t.data $P/idlers < in & "
                               "exec 9> in; until test -e t.data; do sleep 0.01; done; exec 9>&-; wait $!"),
                     0);
    const char *line = strstr(shell_err, "\"the reader\"");
    ck_assert_msg(line != NULL, "%s", shell_err);
    ck_assert_ptr_nonnull(strstr(line, "wants_message, started at idlers.c:"));
    ck_assert_ptr_nonnull(strstr(line, "waits in chan receive for "));
    ck_assert_ptr_nonnull(strstr(line, "-> t.data ]"));
    ck_assert(exists("t.data.2"));
    ck_assert_int_eq(shell_run("$GMPTRACE analyze t.data"), 0);
    shell_has(shell_out, "chan receive");
}

TEST(trigger, a_function_may_be_named)
{
    ck_assert_int_eq(shell_run("mkfifo in; $R --flight 60s --trigger 'waiting>50ms@wants_mutex' "
                               "-o t.data $P/idlers < in & "
                               "exec 9> in; until test -e t.data; do sleep 0.01; done; exec 9>&-; wait $!"),
                     0);
    ck_assert_msg(strstr(shell_err, " wants_mutex, started at") != NULL, "%s", shell_err);
    ck_assert_ptr_null(strstr(shell_err, "wants_message"));
}

TEST(trigger, a_blocking_call_is_one_too)
{
    ck_assert_int_eq(shell_run("mkfifo in; $R --flight 60s --trigger 'syscall>50ms@calls' "
                               "-o t.data $P/idlers < in & "
                               "exec 9> in; until test -e t.data; do sleep 0.01; done; exec 9>&-; wait $!"),
                     0);
    ck_assert_msg(strstr(shell_err, " calls, started at") != NULL, "%s", shell_err);
    shell_has(shell_err, ", is in a blocking call for ");
}

TEST(trigger, a_g_that_waits_for_a_processor_is_told)
{
    ck_assert_int_eq(shell_run("GMPT_MAXPROCS=1 $R --flight 60s --trigger 'runnable>50ms' -o t.data $P/hogs 40"), 0);
    ck_assert_msg(strstr(shell_err, " hog, started at hogs.c:") != NULL, "%s", shell_err);
    shell_has(shell_err, ", is runnable for ");
    ck_assert(exists("t.data.2"));
}

TEST(trigger, a_g_that_nothing_can_ever_wake_is_told)
{
    SKIP_UNDER_TSAN("ThreadSanitizer lets no proof of leaks be made");
    ck_assert_int_eq(shell_run("mkfifo in; "
                               "$R --flight 60s --trigger 'leaked>50ms' -o t.data "
                               "$BUILD/tests/leaks/leaks_corpus empty_select leak hold < in & "
                               "exec 9> in; until test -e t.data; do sleep 0.01; done; exec 9>&-; wait $!"),
                     0);
    ck_assert_msg(strstr(shell_err, " selector_of_nothing, started at pattern_micro.c:") != NULL, "%s", shell_err);
    shell_has(shell_err, ", and nothing can ever wake it: the last ");
}

/* What it waits for lies in static data, where any code may reach it. */
TEST(trigger, who_waits_for_long_is_not_leaked_by_that)
{
    ck_assert_int_eq(shell_run("mkfifo in; $R --flight 60s --trigger 'leaked>1ms' --trigger-pause 10ms "
                               "--trigger 'waiting>300ms:chan_recv' -o t.data "
                               "$BUILD/tests/leaks/leaks_corpus no_leak_global leak hold < in & "
                               "exec 9> in; until test -e t.data; do sleep 0.01; done; exec 9>&-; wait $!"),
                     0);
    ck_assert_ptr_null(strstr(shell_err, "nothing can ever wake it"));
}

TEST(trigger, who_never_waits_so_long_pulls_none)
{
    ck_assert_int_eq(shell_run("$R --flight 60s --trigger 'waiting>1h' --trigger 'runnable>1h' --trigger 'syscall>1h' "
                               "-o t.data $P/churn 3 20"),
                     0);
    ck_assert(exists("t.data") && !exists("t.data.2"));
    ck_assert_ptr_null(strstr(shell_err, " for "));
}

TEST(trigger, a_storm_makes_one_file)
{
    ck_assert_int_eq(shell_run("mkfifo in; $R --flight 60s --trigger 'waiting>1ms:chan_recv,mutex,wait_group,sleep' "
                               "--trigger-pause 1h -o t.data $P/idlers 3000 < in & "
                               "exec 9> in; sleep 1; until test -e t.data; do sleep 0.01; done; exec 9>&-; wait $!"),
                     0);
    ck_assert(exists("t.data.2") && !exists("t.data.3"));
    shell_has(shell_err, "the program has ended: the last ");
}

TEST(trigger, attached_it_knows_who_waited_before)
{
    ck_assert_int_eq(shell_run("mkfifo in; $P/idlers < in > said & P=$!; exec 9> in; "
                               "until test -s said; do sleep 0.01; done; "
                               "$R --flight 60s --trigger 'waiting>20ms:mutex' -o t.data -p $P 9>&- & "
                               "until test -e t.data; do sleep 0.01; done; exec 9>&-; wait $!"),
                     0);
    ck_assert_msg(strstr(shell_err, " wants_mutex, started at") != NULL, "%s", shell_err);
}
