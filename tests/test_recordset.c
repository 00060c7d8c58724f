/* --stacks and --events: what they say, and recordings that do without. */
#define _GNU_SOURCE
#include "harness.h"
#include "shell.h"

#include "cli/cli.h"
#include "cli/recordset.h"
#include "trace/eventgroups.h"
#include "trace/segment.h"

#include <gmptrace/trace.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Values ----------------------------------------------------------------------------------------------------- */

TEST(recordset, a_depth_of_stacks_counts_callers)
{
    static const struct {
        const char *text;
        uint32_t room;
    } cases[] = { { "on", 32 }, { "off", 0 }, { "1", 2 }, { "9", 10 }, { "30", 31 }, { "31", 32 }, { "32", 32 } };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct recordset set = { 7, 0, 0 };
        ck_assert_int_eq(recordset_stacks(&set, cases[i].text), CLI_OK);
        ck_assert_uint_eq(segment_stack_room(set.frames_left_out), cases[i].room);
    }
}

TEST(recordset, no_depth_of_stacks_is_wrong_usage)
{
    static const char *const texts[] = { "", "0", "33", "-1", "1x", "yes", "ON", " 3", "99999999999999999999" };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct recordset set;
        ck_assert_msg(recordset_stacks(&set, texts[i]) == CLI_USAGE, "%s", texts[i]);
    }
    ck_assert_int_eq(shell_run("$R --stacks deep -- true"), 2);
    shell_has(shell_err, "'deep' is neither on nor off nor a depth of stacks from 1 to 32");
}

TEST(recordset, names_of_no_events_are_wrong_usage_with_the_choices)
{
    static const char choices[] = "steal, retake, preempt, labels, name, task, region, log, user, all, none";
    ck_assert_int_eq(shell_run("$R --events steal,sched -- true"), 2);
    shell_has(shell_err, "'sched' names no events");
    shell_has(shell_err, choices);
    ck_assert_int_eq(shell_run("$R --events go_block,steal -- true"), 2);
    shell_has(shell_err, "the event 'go_block' is always recorded");
    shell_has(shell_err, choices);
}

/* ---- Recordings ------------------------------------------------------------------------------------------------- */

struct reading {
    uint64_t of_type[GMPT_EVENT_CODES], stacks;
    uint32_t deepest, stack_frames;
    char left_out[EVENT_GROUPS_TEXT];
};

static void stack_seen(struct reading *reading, const struct gmpt_trace *trace, uint64_t index)
{
    struct gmpt_stack stack = gmpt_trace_stack(trace, (uint32_t)index);
    reading->stacks += stack.count > 0;
    if (stack.count > reading->deepest)
        reading->deepest = stack.count;
}

static struct reading expect_whole(const char *name)
{
    struct reading reading = { 0 };
    struct gmpt_trace_error error;
    struct gmpt_event event;
    char path[512];
    int result;
    snprintf(path, sizeof path, "%s/%s", harness_tmpdir(), name);
    struct gmpt_trace *trace = gmpt_trace_open(path, &error);
    ck_assert_msg(trace != NULL, "%s: %s", name, error.message);
    while ((result = gmpt_trace_next(trace, &event)) > 0) {
        reading.of_type[event.type]++;
        if (event.type == GMPT_EVENT_go_create)
            stack_seen(&reading, trace, event.go_create.stack);
        else if (event.type == GMPT_EVENT_go_block)
            stack_seen(&reading, trace, event.go_block.stack);
        else if (event.type == GMPT_EVENT_go_waited)
            stack_seen(&reading, trace, event.go_waited.stack);
        else if (event.type == GMPT_EVENT_go_was)
            stack_seen(&reading, trace, event.go_was.stack);
    }
    ck_assert_int_eq(result, 0);
    const struct gmpt_trace_info *info = gmpt_trace_info(trace);
    const struct gmpt_trace_counts *counts = gmpt_trace_counts(trace);
    ck_assert_int_eq(info->whole, 1);
    ck_assert_uint_eq(counts->violations, 0);
    ck_assert_uint_eq(counts->emitted, counts->kept + counts->lost);
    reading.stack_frames = info->stack_frames;
    snprintf(reading.left_out, sizeof reading.left_out, "%s", info->left_out);
    gmpt_trace_close(trace);
    return reading;
}

TEST(recordset, everything_is_recorded_unless_otherwise_asked_for)
{
    ck_assert_int_eq(shell_run("$R -o x -- $P/talker"), 0);
    struct reading reading = expect_whole("x");
    ck_assert_str_eq(reading.left_out, "");
    ck_assert_uint_eq(reading.stack_frames, STACK_DEPTH_MAX);
    ck_assert_uint_gt(reading.deepest, 10);
    for (unsigned code = GMPT_EVENT_go_labels; code <= GMPT_EVENT_user_log; code++)
        if (strcmp(gmpt_event_name(code), "unknown") != 0)
            ck_assert_msg(reading.of_type[code] > 0, "%s", gmpt_event_name(code));
    ck_assert_int_eq(shell_run("$GMPTRACE analyze x"), 0);
    ck_assert_ptr_null(strstr(shell_out, "left out"));
}

TEST(recordset, a_group_that_is_left_out_is_not_there_and_all_others_are)
{
    static const struct {
        const char *group;
        enum gmpt_event_type types[2];
    } cases[] = {
        { "labels", { GMPT_EVENT_go_labels, GMPT_EVENT_go_labels } },
        { "name", { GMPT_EVENT_go_name, GMPT_EVENT_go_name } },
        { "task", { GMPT_EVENT_user_task_begin, GMPT_EVENT_user_task_end } },
        { "region", { GMPT_EVENT_user_region_begin, GMPT_EVENT_user_region_end } },
        { "log", { GMPT_EVENT_user_log, GMPT_EVENT_user_log_text } },
    };
    enum { CASES = sizeof cases / sizeof cases[0] };
    for (size_t out_case = 0; out_case < CASES; out_case++) {
        ck_assert_int_eq(shell_run("rm -f x; $R -o x --events -%s -- $P/talker", cases[out_case].group), 0);
        struct reading reading = expect_whole("x");
        ck_assert_str_eq(reading.left_out, cases[out_case].group);
        for (size_t i = 0; i < 2 * CASES; i++)
            ck_assert_int_eq(reading.of_type[cases[i / 2].types[i % 2]] > 0, i / 2 != out_case);
    }
}

TEST(recordset, a_set_is_all_that_is_recorded_beside_the_transitions)
{
    ck_assert_int_eq(shell_run("$R -o x --events region -- $P/talker"), 0);
    struct reading reading = expect_whole("x");
    ck_assert_str_eq(reading.left_out, "steal,retake,preempt,labels,name,task,log,waker,machine,netpoll,timer,scope");
    ck_assert_uint_eq(reading.of_type[GMPT_EVENT_user_region_begin], 1);
    ck_assert_uint_eq(reading.of_type[GMPT_EVENT_user_task_begin], 0);
    ck_assert_int_eq(shell_run("$GMPTRACE analyze x; $GMPTRACE analyze --json x"), 0);
    shell_has(shell_out, "steal,retake,preempt,labels,name,task,log,waker,machine,netpoll,timer,scope\n");
    shell_has(shell_out, "\"left_out\": \"steal,retake,preempt,labels,name,task,log,waker,machine,");
}

/* What the scheduler tells beside its transitions; the order of all others must not suffer. */
TEST_TIMEOUT(recordset, a_busy_program_is_followed_without_what_can_be_left_out, 200)
{
    ck_assert_int_eq(shell_run("GMPT_MAXPROCS=4 $R -o all -- $P/churn 1 60"), 0);
    struct reading all = expect_whole("all");
    ck_assert_uint_gt(all.of_type[GMPT_EVENT_proc_steal], 0);
    ck_assert_uint_gt(all.of_type[GMPT_EVENT_proc_retake], 0);
    ck_assert_int_eq(shell_run("GMPT_MAXPROCS=4 $R -o none --stacks off --events none -- $P/churn 1 60"), 0);
    struct reading none = expect_whole("none");
    ck_assert_uint_eq(none.of_type[GMPT_EVENT_proc_steal], 0);
    ck_assert_uint_eq(none.of_type[GMPT_EVENT_proc_retake], 0);
    ck_assert_uint_eq(none.of_type[GMPT_EVENT_proc_preempt], 0);
    ck_assert_uint_gt(none.of_type[GMPT_EVENT_go_start], 0);
    ck_assert_uint_eq(none.stacks, 0);
}

TEST(recordset, without_stacks_every_stack_is_0)
{
    ck_assert_int_eq(shell_run("$R -o x --stacks off -- $P/talker"), 0);
    struct reading reading = expect_whole("x");
    ck_assert_uint_gt(reading.of_type[GMPT_EVENT_go_block], 0);
    ck_assert_uint_eq(reading.stacks, 0);
    ck_assert_uint_eq(reading.stack_frames, 0);
    ck_assert_int_eq(shell_run("$GMPTRACE analyze x"), 0);
    shell_has(shell_out, "  left out    stacks\n");
}

TEST(recordset, stacks_end_at_the_depth_that_was_asked_for)
{
    ck_assert_int_eq(shell_run("$R -o x --stacks 4 -- $P/talker"), 0);
    struct reading reading = expect_whole("x");
    ck_assert_uint_eq(reading.deepest, 5);
    ck_assert_uint_eq(reading.stack_frames, 5);
    ck_assert_int_eq(shell_run("$GMPTRACE analyze x"), 0);
    shell_has(shell_out, "  left out    stacks beyond 4 callers\n");
}

TEST(recordset, who_attaches_asks_anew)
{
    ck_assert_int_eq(shell_run("$P/until_signal --ignore >said & until [ -s said ]; do sleep 0.01; done; "
                               "p=$(sed -n 's/ready //p' said); "
                               "$R -d 50ms -o off --stacks off --events none -p $p; $R -d 50ms -o on -p $p; "
                               "$R -d 50ms -o one --stacks 1 -p $p; kill -USR1 $p; wait $!"),
                     7);
    struct reading off = expect_whole("off"), on = expect_whole("on"), one = expect_whole("one");
    ck_assert_uint_eq(off.stacks, 0);
    ck_assert_uint_gt(on.stacks, 0);
    ck_assert_str_eq(on.left_out, "");
    ck_assert_uint_gt(one.stacks, 0);
    ck_assert_uint_eq(one.deepest, 2);
}
