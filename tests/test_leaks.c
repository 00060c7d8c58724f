/* gmptrace leaks, on traces made by hand. */
#define _GNU_SOURCE
#include "harness.h"
#include "sample.h"
#include "shell.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char out[1 << 18], err[1 << 14];

static const char *sample(const struct sample_options *options)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/sample.data", harness_tmpdir());
    sample_write(path, options);
    return path;
}

static int leaks(const struct sample_options *options, const char *arguments)
{
    char command[512];
    snprintf(command, sizeof command, "$GMPTRACE leaks %s %s", sample(options), arguments);
    return harness_shell(command, out, sizeof out, err, sizeof err);
}

TEST(leaks, a_growing_leak_is_found)
{
    ck_assert_int_eq(leaks(&(struct sample_options){ .leaks = 15, .healthy = 15, .done = 15 }, ""), 1);
    shell_has(out, "suspected leaks: 15 of 31 goroutines alive at the end, in 1 group\n");
    shell_has(out, "1. growing: 15 goroutines wait in chan send");
    ck_assert_str_eq(err, "");
}

TEST(leaks, the_lines_of_both_stacks_are_named)
{
    ck_assert_int_eq(leaks(&(struct sample_options){ .leaks = 15 }, ""), 1);
    shell_has(out, "sample_worker");
    shell_has(out, "sample_starter");
    shell_has(out, "sample.c:");
    shell_has(out, "function sample_worker");
}

TEST(leaks, frames_of_the_runtime_are_not_shown)
{
    ck_assert_int_eq(leaks(&(struct sample_options){ .leaks = 15 }, ""), 1);
    shell_has_not(out, "gmpt_sample");
}

TEST(leaks, an_example_has_its_object)
{
    ck_assert_int_eq(leaks(&(struct sample_options){ .leaks = 15 }, ""), 1);
    shell_has(out, "for example G2, on the object at 0xabc002");
}

TEST(leaks, it_says_evidence_and_not_proof)
{
    ck_assert_int_eq(leaks(&(struct sample_options){ .leaks = 15 }, ""), 1);
    shell_has(out, "evidence, not proof");
    shell_has(out, "To settle it");
}

TEST(leaks, none_is_status_0)
{
    ck_assert_int_eq(leaks(&(struct sample_options){ .healthy = 10, .done = 10 }, ""), 0);
    shell_has(out, "no suspected leaks: 11 goroutines alive at the end, none waits for others\nwithout a deadline\n");
    ck_assert_str_eq(err, "");
}

TEST(leaks, short_waits_are_told_but_not_suspect)
{
    struct sample_options options = { .leaks = 2, .length_ns = 600000000, .still_running = true };
    ck_assert_int_eq(leaks(&options, ""), 0);
    shell_has(out, "no suspected leaks: 3 goroutines alive at the end, 2 wait for others without a\n"
             "deadline, but for less than 1.00 s\n");
    ck_assert_int_eq(leaks(&options, "--json"), 0);
    shell_has(out, "\"waiting_below_threshold\": 2,\n  \"stuck_ns\": 1000000000,\n  \"program_ended\": false,");
}

TEST(leaks, short_waits_are_suspect_once_the_program_has_ended)
{
    struct sample_options options = { .leaks = 2, .length_ns = 600000000 };
    ck_assert_int_eq(leaks(&options, ""), 1);
    shell_has(out, "1. stuck: 2 goroutines");
    shell_has(out, "has waited for 20.0 ms or longer");
    shell_has(out, "nobody will wake them");
    ck_assert_int_eq(leaks(&options, "--json"), 1);
    shell_has(out, "\"waiting_below_threshold\": 0,\n  \"stuck_ns\": 20000000,\n  \"program_ended\": true,");
}

TEST(leaks, what_was_under_way_at_the_end_is_not)
{
    ck_assert_int_eq(leaks(&(struct sample_options){ .leaks = 1, .length_ns = 110000000 }, ""), 0);
    shell_has(out, "1 waits for others without a\ndeadline, but for less than 20.0 ms\n");
}

TEST(leaks, stacks_of_one_line_are_one_place)
{
    struct sample_options options = { .leaks = 16, .scattered = true };
    ck_assert_int_eq(leaks(&options, ""), 1);
    shell_has(out, "suspected leaks: 16 of 17 goroutines alive at the end, in 1 group\n");
    shell_has(out, "1. growing: 16 goroutines");
}

TEST(leaks, without_lines_stacks_are_told_apart_by_address)
{
    ck_assert_int_eq(leaks(&(struct sample_options){ .leaks = 16, .scattered = true, .no_modules = true }, ""), 1);
    shell_has(out, "in 4 groups\n");
}

TEST(leaks, a_wait_that_a_tail_call_hides_is_in_its_function)
{
    ck_assert_int_eq(leaks(&(struct sample_options){ .leaks = 15, .tail_called = true }, ""), 1);
    shell_has(out, "   waits in sample_worker (line not known)\n   was started at\n");
}

TEST(leaks, a_lower_threshold_finds_them_stuck)
{
    struct sample_options options = { .leaks = 2, .length_ns = 600000000, .still_running = true };
    ck_assert_int_eq(leaks(&options, "--stuck 300ms"), 1);
    shell_has(out, "1. stuck: 2 goroutines");
    shell_has(out, "has waited for 300 ms or longer");
}

TEST(leaks, options_may_follow_or_be_joined)
{
    struct sample_options options = { .leaks = 2, .length_ns = 600000000 };
    ck_assert_int_eq(leaks(&options, "--stuck=300ms"), 1);
    ck_assert_int_eq(leaks(&options, "--stuck=10s"), 0);
}

TEST(leaks, a_trace_that_was_cut_off_says_so)
{
    ck_assert_int_eq(leaks(&(struct sample_options){ .leaks = 15, .no_end = true }, ""), 1);
    shell_has(out, "The trace is not complete: the ");
    shell_has(err, "sample.data: ");
}

TEST(leaks, without_an_end_it_cannot_say_that_there_are_none)
{
    ck_assert_int_eq(leaks(&(struct sample_options){ .done = 15, .no_end = true }, ""), 3);
    shell_has(out, "cannot tell whether goroutines leaked: the ");
    shell_has_not(out, "no suspected leaks");
    ck_assert_int_eq(leaks(&(struct sample_options){ .done = 15, .no_end = true }, "--json"), 3);
    ck_assert_msg(sample_json_valid(out), "%s", out);
    shell_has(out, "\"whole\": false");
    shell_has_not(out, "\"missing\": null");
}

TEST(leaks, with_losses_it_cannot_say_that_there_are_none)
{
    ck_assert_int_eq(leaks(&(struct sample_options){ .done = 15, .lost = 100 }, ""), 3);
    shell_has(out, "cannot tell whether goroutines leaked: 100 of ");
}

TEST(leaks, a_damaged_trace_cannot_say_that_there_are_none)
{
    const char *path = sample(&(struct sample_options){ .done = 400, .apart = true, .length_ns = 60000000000 });
    char command[1024];
    FILE *file = fopen(path, "r+");
    ck_assert_ptr_nonnull(file);
    fseek(file, 0, SEEK_END);
    long middle = ftell(file) / 2;
    fseek(file, middle, SEEK_SET);
    int byte = fgetc(file);
    fseek(file, middle, SEEK_SET);
    fputc(byte ^ 0x55, file);
    fclose(file);
    snprintf(command, sizeof command, "$GMPTRACE leaks %s", path);
    ck_assert_int_eq(harness_shell(command, out, sizeof out, err, sizeof err), 3);
    shell_has(out, "cannot tell whether goroutines leaked: ");
    shell_has(err, "damaged");
    snprintf(command, sizeof command, "$GMPTRACE analyze --json %s", path);
    ck_assert_int_eq(harness_shell(command, out, sizeof out, err, sizeof err), 0);
    shell_has(out, "\"whole\": false");
}

TEST(leaks, a_lossy_trace_says_so)
{
    ck_assert_int_eq(leaks(&(struct sample_options){ .leaks = 15, .lost = 100 }, ""), 1);
    shell_has(out, "The trace is not complete");
    shell_has(err, "100 of ");
}

TEST(leaks, without_modules_addresses_are_shown)
{
    ck_assert_int_eq(leaks(&(struct sample_options){ .leaks = 15, .no_modules = true }, ""), 1);
    shell_has(out, "0x");
    shell_has_not(out, "sample_worker");
}

TEST(leaks, without_symbols_addresses_are_those_of_the_file)
{
    static char module[512];
    char command[1024];
    snprintf(module, sizeof module, "%s/stripped", harness_tmpdir());
    snprintf(command, sizeof command, "command -v strip addr2line");
    if (harness_shell(command, NULL, 0, NULL, 0) != 0)
        SKIP("binutils are not installed");
    snprintf(command, sizeof command, "strip -o %s /proc/%d/exe", module, (int)getpid());
    ck_assert_int_eq(harness_shell(command, NULL, 0, err, sizeof err), 0);
    ck_assert_int_eq(leaks(&(struct sample_options){ .leaks = 15, .module = module }, ""), 1);
    shell_has(err, "stripped has ");
    shell_has(err, "GMPT_DEBUG_PATH");
    char *place = strstr(out, "waits at\n      stripped+0x");
    ck_assert_msg(place != NULL, "%s", out);
    snprintf(command, sizeof command, "addr2line -f -e /proc/%d/exe %.*s", (int)getpid(),
             (int)strspn(place + 24, "0123456789abcdefx"), place + 24);
    ck_assert_int_eq(harness_shell(command, out, sizeof out, err, sizeof err), 0);
    shell_has(out, "sample_worker\n");
}

TEST(leaks, it_fits_80_columns)
{
    struct sample_options options = { .leaks = 15, .no_end = true, .scattered = true, .no_modules = true };
    ck_assert_int_eq(leaks(&options, ""), 1);
    for (char *line = strtok(out, "\n"); line; line = strtok(NULL, "\n"))
        ck_assert_msg(strlen(line) <= 80, "too wide: %s", line);
}

TEST(leaks, json_is_one_valid_object)
{
    ck_assert_int_eq(leaks(&(struct sample_options){ .leaks = 15, .healthy = 3 }, "--json"), 1);
    ck_assert_msg(sample_json_valid(out), "%s", out);
    shell_has(out, "{\n  \"suspected\": 15,\n  \"alive\": 19,\n");
    shell_has(out, "\"verdict\": \"growing\", \"count\": 15, \"wait_reason\": \"chan_send\"");
    shell_has(out, "\"function\": \"sample_worker\"");
    shell_has(out, "\"exact\": true");
}

TEST(leaks, json_without_findings_is_valid_and_status_0)
{
    ck_assert_int_eq(leaks(&(struct sample_options){ .done = 3 }, "--json"), 0);
    ck_assert_msg(sample_json_valid(out), "%s", out);
    shell_has(out, "\"suspected\": 0");
    shell_has(out, "\"groups\": []");
}

TEST(leaks, json_says_when_it_is_inexact)
{
    ck_assert_int_eq(leaks(&(struct sample_options){ .leaks = 15, .lost = 100 }, "--json"), 1);
    shell_has(out, "\"exact\": false");
    shell_has(out, "\"events_lost\": 100");
}

TEST(leaks, a_cut_anywhere_never_crashes)
{
    const char *path = sample(&(struct sample_options){ .leaks = 15 });
    char command[1024];
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    fclose(file);
    for (int part = 0; part < 25; part++) {
        snprintf(command, sizeof command, "head -c %ld %s > %s.cut && $GMPTRACE leaks %s.cut", size * part / 25, path,
                 path, path);
        int status = harness_shell(command, out, sizeof out, err, sizeof err);
        ck_assert_msg(status <= 3, "status %d at part %d", status, part);
        ck_assert_str_ne(err, "");
    }
}
