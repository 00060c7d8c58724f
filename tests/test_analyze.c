/* gmptrace analyze, on traces made by hand. */
#define _GNU_SOURCE
#include "harness.h"
#include "sample.h"
#include "shell.h"
#include "tracefile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char out[1 << 18], err[1 << 14];

static int analyze(const struct sample_options *options, const char *arguments)
{
    char path[256], command[512];
    snprintf(path, sizeof path, "%s/sample.data", harness_tmpdir());
    sample_write(path, options);
    snprintf(command, sizeof command, "$GMPTRACE analyze %s %s", path, arguments);
    return harness_shell(command, out, sizeof out, err, sizeof err);
}

TEST(analyze, the_head_says_what_when_and_how_long)
{
    ck_assert_int_eq(analyze(&(struct sample_options){ .leaks = 15 }, ""), 0);
    ck_assert_int_eq(strncmp(out, "./sample --x 1\n", 15), 0);
    shell_has(out, "2023-11-14 22:13:20 UTC on testhost 6.1");
    shell_has(out, "2.00 s, process 4000, exited with status 0");
    shell_has(out, "2 Ps on 2 threads (Ms), Ps busy");
    ck_assert_str_eq(err, "");
}

TEST(analyze, goroutines_are_counted)
{
    ck_assert_int_eq(analyze(&(struct sample_options){ .leaks = 5, .healthy = 3, .done = 4 }, ""), 0);
    shell_has(out, "13 created, 4 ended, 9 alive at the end, 9 at peak");
}

TEST(analyze, it_fits_a_screen)
{
    struct sample_options options = {
        .leaks = 15, .healthy = 15, .done = 15, .lost = 7777777, .length_ns = 360000000000000, .command = NULL
    };
    ck_assert_int_eq(analyze(&options, ""), 0);
    int lines = 0;
    for (char *line = strtok(out, "\n"); line; line = strtok(NULL, "\n"), lines++)
        ck_assert_msg(strlen(line) <= 80, "too wide: %s", line);
    ck_assert_int_le(lines, 45);
}

TEST(analyze, a_long_command_is_cut)
{
    char command[1000];
    memset(command, 'x', sizeof command - 1);
    command[sizeof command - 1] = 0;
    ck_assert_int_eq(analyze(&(struct sample_options){ .leaks = 1, .command = command }, ""), 0);
    ck_assert_int_le(strcspn(out, "\n"), 80);
}

TEST(analyze, a_command_cannot_drive_the_terminal)
{
    ck_assert_int_eq(analyze(&(struct sample_options){ .leaks = 1, .command = "a\033[2Jb" }, ""), 0);
    ck_assert_ptr_null(strchr(out, '\033'));
}

TEST(analyze, suspects_have_their_lines)
{
    ck_assert_int_eq(analyze(&(struct sample_options){ .leaks = 15 }, ""), 0);
    shell_has(out, "Suspected leaks: 15 goroutines in 1 group");
    shell_has(out, "chan send at sample.c:");
    shell_has(out, "(sample_worker)");
    shell_has(out, "started at sample.c:");
    shell_has(out, "(sample_starter)");
}

TEST(analyze, no_suspects_are_said_too)
{
    ck_assert_int_eq(analyze(&(struct sample_options){ .done = 15 }, ""), 0);
    shell_has(out, "Suspected leaks: none");
}

TEST(analyze, the_main_goroutine_is_called_main)
{
    ck_assert_int_eq(analyze(&(struct sample_options){ .done = 15 }, ""), 0);
    shell_has(out, "\n  main  ");
    shell_has_not(out, "\n  sample_starter");
}

TEST(analyze, one_is_not_many)
{
    ck_assert_int_eq(analyze(&(struct sample_options){ 0 }, ""), 0);
    shell_has(out, "(runnable until running), 1 time\n");
}

TEST(analyze, stacks_of_one_line_are_one_site)
{
    ck_assert_int_eq(analyze(&(struct sample_options){ .leaks = 16, .scattered = true }, ""), 0);
    shell_has(out, "16           16");
    shell_has(out, "Suspected leaks: 16 goroutines in 1 group");
}

TEST(analyze, a_wait_that_a_tail_call_hides_is_in_its_function)
{
    ck_assert_int_eq(analyze(&(struct sample_options){ .leaks = 15, .tail_called = true }, ""), 0);
    shell_has(out, "chan send in sample_worker (line not known)");
}

TEST(analyze, the_sites_name_the_function_and_the_line)
{
    ck_assert_int_eq(analyze(&(struct sample_options){ .done = 15 }, ""), 0);
    shell_has(out, "sample_worker from sample.c:");
    shell_has(out, "1.00 us");
}

TEST(analyze, losses_make_counts_inexact_and_it_says_so)
{
    ck_assert_int_eq(analyze(&(struct sample_options){ .leaks = 15, .lost = 100 }, ""), 0);
    shell_has(out, "100 lost");
    shell_has(out, "NOT EXACT");
    shell_has(err, "inexact");
}

TEST(analyze, a_missing_end_is_said)
{
    ck_assert_int_eq(analyze(&(struct sample_options){ .leaks = 15, .no_end = true }, ""), 0);
    shell_has(out, "the recording is not whole");
    ck_assert_str_ne(err, "");
    ck_assert_int_eq(analyze(&(struct sample_options){ .leaks = 15, .no_end = true }, "--json"), 0);
    shell_has(out, "\"whole\": false");
    shell_has(out, "\"missing\": \"the ");
}

TEST(analyze, what_is_missing_cannot_show_that_nothing_leaked)
{
    ck_assert_int_eq(analyze(&(struct sample_options){ .done = 15, .no_end = true }, ""), 0);
    shell_has(out, "Suspected leaks: cannot tell");
}

TEST(analyze, json_is_one_valid_object)
{
    ck_assert_int_eq(analyze(&(struct sample_options){ .leaks = 15, .done = 2, .healthy = 1 }, "--json"), 0);
    ck_assert_msg(sample_json_valid(out), "%s", out);
    shell_has(out, "\"goroutines\": {\"before\": 0, \"created\": 19, \"ended\": 2, \"alive\": 17, \"peak\": 17}");
    shell_has(out, "\"p_count\": 2");
    shell_has(out, "\"exit\": {\"kind\": \"exited\", \"code\": 0}");
    shell_has(out, "\"suspected\": 15");
    shell_has(out, "\"violations\": 0");
}

TEST(analyze, json_escapes_what_the_trace_says)
{
    ck_assert_int_eq(analyze(&(struct sample_options){ .command = "a \"b\" \\ \xff" }, "--json"), 0);
    ck_assert_msg(sample_json_valid(out), "%s", out);
    shell_has(out, "\"command\": \"a \\\"b\\\" \\\\ \xef\xbf\xbd\"");
}

TEST(analyze, json_times_are_exact_nanoseconds)
{
    ck_assert_int_eq(analyze(&(struct sample_options){ .done = 4 }, "--json"), 0);
    shell_has(out, "\"duration_ns\": 2000000000");
    shell_has(out, "\"start_realtime_ns\": 1700000000000000000");
    shell_has(out, "\"max_ns\": 1000}");
    shell_has(out, "\"runnable\": 4010,");
}

/* ---- What the program says of itself ---- */

static int analyze_user(const char *arguments)
{
    char command[512];
    size_t size;
    char *text = (char *)tracefile_slurp("tests/traces/user.txt", &size);
    snprintf(command, sizeof command, "$GMPTRACE analyze %s %s", tracefile_build(text), arguments);
    free(text);
    return harness_shell(command, out, sizeof out, err, sizeof err);
}

TEST(analyze, tasks_regions_and_messages_are_shown_by_name)
{
    ck_assert_int_eq(analyze_user(""), 0);
    shell_has(out, "Tasks by name                    ended      open       p50       p99       max\n");
    shell_has(out, "\n  request                            1         0     ");
    shell_has(out, "Regions by name");
    shell_has(out, "Messages by category");
    for (char *line = strtok(out, "\n"); line; line = strtok(NULL, "\n"))
        ck_assert_msg(strlen(line) <= 82, "too wide: %s", line); /* one character has two bytes */
}

TEST(analyze, json_has_tasks_regions_and_messages)
{
    ck_assert_int_eq(analyze_user("--json"), 0);
    ck_assert_msg(sample_json_valid(out), "%s", out);
    shell_has(out, "{\"name\": \"request\", \"begun\": 1, \"ended\": 1, \"total_ns\": 77, \"latency\": ");
    shell_has(out, "{\"category\": \"request\", \"count\": 1}");
    shell_has(out, "\"ends_without_begin\": 0");
}

TEST(analyze, without_tasks_there_is_no_word_of_them)
{
    ck_assert_int_eq(analyze(&(struct sample_options){ .done = 1 }, ""), 0);
    shell_has_not(out, "Tasks");
    shell_has_not(out, "Messages");
}

/* ---- Sections, limits, statuses ---------------------------------------------------------------------------------- */

TEST(analyze, every_section_can_be_asked_for_alone_and_fits_the_screen)
{
    static const char *const sections[] = {
        "findings", "states",  "scheduler", "starts",  "own",    "leaks",       "time",
        "latency",  "lines",   "waits",     "locks",   "calls",  "preemptions", "processors",
        "steals",   "threads", "lifetimes", "wakeups", "chains",
    };
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++) {
        char arguments[64];
        snprintf(arguments, sizeof arguments, "--section %s", sections[i]);
        ck_assert_int_eq(analyze(&(struct sample_options){ .leaks = 15, .healthy = 3, .done = 4 }, arguments), 0);
        shell_has_not(out, "recorded ");
        if (strcmp(sections[i], "own") != 0)
            ck_assert_msg(out[0] == '\n' && strlen(out) > 10, "%s: %s", sections[i], out);
        for (char *line = strtok(out, "\n"); line; line = strtok(NULL, "\n"))
            ck_assert_msg(strlen(line) <= 80, "too wide: %s", line);
    }
}

TEST(analyze, names_have_the_columns_that_small_counts_leave)
{
    ck_assert_int_eq(analyze(&(struct sample_options){ .leaks = 15, .healthy = 3, .done = 4 }, "--section waits"), 0);
    shell_has(out, "\n  chan send sample_worker sample.c:");
}

TEST(analyze, all_has_what_each_section_has)
{
    ck_assert_int_eq(analyze(&(struct sample_options){ .leaks = 15 }, "--all"), 0);
    shell_has(out, "recorded ");
    shell_has(out, "\nFindings\n");
    shell_has(out, "\nStates over time");
    shell_has(out, "\nWaits ");
    shell_has(out, "chan send s");
    shell_has(out, "\nLongest chains");
    shell_has(out, "\nSuspected leaks: 15");
}

TEST(analyze, a_window_is_told_of_and_cuts_times)
{
    ck_assert_int_eq(analyze(&(struct sample_options){ .leaks = 15 }, "--from 1s --to 1500ms --json"), 0);
    shell_has(out, "\"window\": {\"begin_ns\": 1000000000, \"end_ns\": 1500000000, \"filtered\": false}");
    ck_assert_int_eq(analyze(&(struct sample_options){ .leaks = 15 }, "--from 1s --filter state=waiting"), 0);
    shell_has(out, "told of     from 1.00 s to the end, what the filter chooses");
    shell_has(out, "running                       0 ns");
    ck_assert_int_eq(analyze(&(struct sample_options){ .leaks = 15 }, "--from 1h"), 2);
    shell_has(err, "the trace ends after");
    ck_assert_int_eq(analyze(&(struct sample_options){ 0 }, "--from 2s --to 1s"), 2);
}

TEST(analyze, fails_on_what_it_was_told_to)
{
    struct sample_options options = { .leaks = 15 };
    ck_assert_int_eq(analyze(&options, "--limit long_scheduling_wait=1ns"), 0);
    shell_has(out, "could run and had to wait");
    ck_assert_int_eq(analyze(&options, "--limit long_scheduling_wait=1ns --fail-on any"), 1);
    ck_assert_int_eq(analyze(&options, "--limit long_scheduling_wait=1ns --fail-on hog,long_scheduling_wait"), 1);
    ck_assert_int_eq(analyze(&options, "--limit long_scheduling_wait=1ns --fail-on lock_convoy"), 0);
    ck_assert_int_eq(analyze(&options, "--limit hog=1h --fail-on any"), 0);
    shell_has(out, "Findings: none");
}

TEST(analyze, wrong_names_and_values_are_refused_with_the_right_ones)
{
    static const char *const wrong[][2] = {
        { "--section nothing", "there is no section 'nothing', but: findings, " },
        { "--fail-on hogs", "there is no finding 'hogs', but: any, unbounded_spawning" },
        { "--limit hog=5", "--limit hog takes a time such as 5ms, not '5'" },
        { "--limit hog", "--limit hog takes a time" },
        { "--limit thundering_herd=0", "takes a number from 1, not '0'" },
        { "--limit thundering_herd=9x", "takes a number from 1, not '9x'" },
        { "--limit x=1", "there is none for 'x'" },
        { "--filter 'dur>'", "--filter, column " },
        { "--json --all", "does not go with" },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ck_assert_int_eq(analyze(&(struct sample_options){ 0 }, wrong[i][0]), 2);
        shell_has(err, wrong[i][1]);
    }
}
