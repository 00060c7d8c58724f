/* gmptrace leaks, on traces made by hand. */
#define _GNU_SOURCE
#include "harness.h"
#include "sample.h"

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

static void has(const char *text, const char *part)
{
    ck_assert_msg(strstr(text, part), "'%s' is not in:\n%s", part, text);
}

static void has_not(const char *text, const char *part)
{
    ck_assert_msg(!strstr(text, part), "'%s' is in:\n%s", part, text);
}

TEST(leaks, a_growing_leak_is_found)
{
    ck_assert_int_eq(leaks(&(struct sample_options){ .leaks = 15, .healthy = 15, .done = 15 }, ""), 1);
    has(out, "suspected leaks: 15 of 31 goroutines alive at the end, in 1 group\n");
    has(out, "1. growing: 15 goroutines wait in chan send");
    ck_assert_str_eq(err, "");
}

TEST(leaks, the_lines_of_both_stacks_are_named)
{
    ck_assert_int_eq(leaks(&(struct sample_options){ .leaks = 15 }, ""), 1);
    has(out, "sample_worker");
    has(out, "sample_starter");
    has(out, "sample.c:");
    has(out, "function sample_worker");
}

TEST(leaks, frames_of_the_runtime_are_not_shown)
{
    ck_assert_int_eq(leaks(&(struct sample_options){ .leaks = 15 }, ""), 1);
    has_not(out, "gmpt_sample");
}

TEST(leaks, an_example_has_its_object)
{
    ck_assert_int_eq(leaks(&(struct sample_options){ .leaks = 15 }, ""), 1);
    has(out, "for example G2, on the object at 0xabc002");
}

TEST(leaks, it_says_evidence_and_not_proof)
{
    ck_assert_int_eq(leaks(&(struct sample_options){ .leaks = 15 }, ""), 1);
    has(out, "evidence, not proof");
    has(out, "To settle it");
}

TEST(leaks, none_is_status_0)
{
    ck_assert_int_eq(leaks(&(struct sample_options){ .healthy = 10, .done = 10 }, ""), 0);
    has(out, "no suspected leaks: 11 goroutines alive at the end, none waits for others without a deadline\n");
    ck_assert_str_eq(err, "");
}

TEST(leaks, short_waits_are_told_but_not_suspect)
{
    struct sample_options options = { .leaks = 2, .length_ns = 600000000 };
    ck_assert_int_eq(leaks(&options, ""), 0);
    has(out, "no suspected leaks: 3 goroutines alive at the end, 2 wait for others");
}

TEST(leaks, a_lower_threshold_finds_them_stuck)
{
    struct sample_options options = { .leaks = 2, .length_ns = 600000000 };
    ck_assert_int_eq(leaks(&options, "--stuck 300ms"), 1);
    has(out, "1. stuck: 2 goroutines");
    has(out, "has waited for 300 ms or longer");
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
    has(out, "was cut off");
    has(err, "sample.data: ");
}

TEST(leaks, a_lossy_trace_says_so)
{
    ck_assert_int_eq(leaks(&(struct sample_options){ .leaks = 15, .lost = 100 }, ""), 1);
    has(out, "The trace is not complete");
    has(err, "100 of ");
}

TEST(leaks, without_modules_addresses_are_shown)
{
    ck_assert_int_eq(leaks(&(struct sample_options){ .leaks = 15, .no_modules = true }, ""), 1);
    has(out, "0x");
    has_not(out, "sample_worker");
}

TEST(leaks, json_is_one_valid_object)
{
    ck_assert_int_eq(leaks(&(struct sample_options){ .leaks = 15, .healthy = 3 }, "--json"), 1);
    ck_assert_msg(sample_json_valid(out), "%s", out);
    has(out, "{\n  \"suspected\": 15,\n  \"alive\": 19,\n");
    has(out, "\"verdict\": \"growing\", \"count\": 15, \"wait_reason\": \"chan_send\"");
    has(out, "\"function\": \"sample_worker\"");
    has(out, "\"exact\": true");
}

TEST(leaks, json_without_findings_is_valid_and_status_0)
{
    ck_assert_int_eq(leaks(&(struct sample_options){ .done = 3 }, "--json"), 0);
    ck_assert_msg(sample_json_valid(out), "%s", out);
    has(out, "\"suspected\": 0");
    has(out, "\"groups\": []");
}

TEST(leaks, json_says_when_it_is_inexact)
{
    ck_assert_int_eq(leaks(&(struct sample_options){ .leaks = 15, .lost = 100 }, "--json"), 1);
    has(out, "\"exact\": false");
    has(out, "\"events_lost\": 100");
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
