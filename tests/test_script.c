/* gmptrace script, on traces made by hand. */
#define _GNU_SOURCE
#include "harness.h"
#include "sample.h"
#include "shell.h"
#include "tracefile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char out[1 << 20], err[1 << 14];

static int script(const struct sample_options *options, const char *arguments)
{
    char path[256], command[512];
    snprintf(path, sizeof path, "%s/sample.data", harness_tmpdir());
    sample_write(path, options);
    snprintf(command, sizeof command, "$GMPTRACE script %s %s", path, arguments);
    return harness_shell(command, out, sizeof out, err, sizeof err);
}

static int lines(const char *text)
{
    int count = 0;
    for (; *text; text++)
        count += *text == '\n';
    return count;
}

TEST(script, every_event_is_a_line)
{
    struct sample_options options = { .leaks = 5, .healthy = 3, .done = 7 };
    ck_assert_int_eq(script(&options, ""), 0);
    ck_assert_int_eq(lines(out), sample_events(&options));
    ck_assert_str_eq(err, "");
}

TEST(script, fields_have_names_and_words)
{
    ck_assert_int_eq(script(&(struct sample_options){ .leaks = 1 }, ""), 0);
    shell_has(out, "    0.100012000  P1   G2        go_block        reason=\"chan send\" object=0xabc002 bounded=0 "
             "stack=\"sample_worker sample.c:");
    shell_has(out, "go_create       fn=sample_worker stack=\"sample_starter sample.c:");
    shell_has(out, "\" by=G1\n");
    shell_has(out, "proc_start      tid=4002");
}

TEST(script, cause_comes_before_effect)
{
    ck_assert_int_eq(script(&(struct sample_options){ .leaks = 20, .done = 20 }, "-g 17"), 0);
    char *create = strstr(out, "go_create"), *start = strstr(out, "go_start"), *block = strstr(out, "go_block");
    if (!block)
        block = strstr(out, "go_exit");
    ck_assert_ptr_nonnull(create);
    ck_assert(create < start && start < block);
}

TEST(script, one_goroutine_alone)
{
    ck_assert_int_eq(script(&(struct sample_options){ .leaks = 5 }, "-g 3"), 0);
    ck_assert_int_eq(lines(out), 3);
    ck_assert_int_eq(script(&(struct sample_options){ .leaks = 5 }, "--goroutine=G3"), 0);
    ck_assert_int_eq(lines(out), 3);
}

TEST(script, a_goroutine_that_is_not_there_has_no_lines)
{
    ck_assert_int_eq(script(&(struct sample_options){ .leaks = 5 }, "-g 300"), 0);
    ck_assert_str_eq(out, "");
    shell_has(err, "there is no goroutine 300 in this trace");
    ck_assert_int_eq(script(&(struct sample_options){ .leaks = 5 }, "-g 3"), 0);
    ck_assert_str_eq(err, "");
}

TEST(script, raw_has_no_names_of_the_program)
{
    struct sample_options options = { .leaks = 5 };
    ck_assert_int_eq(script(&options, "--raw"), 0);
    ck_assert_ptr_null(strstr(out, "sample_worker"));
    shell_has(out, "chan_send");
}

TEST(script, head_ends_it_quietly)
{
    ck_assert_int_eq(script(&(struct sample_options){ .leaks = 1000, .done = 1000 }, "| head -n 1"), 0);
    ck_assert_int_eq(lines(out), 1);
    ck_assert_str_eq(err, "");
}

TEST(script, a_closed_pipe_with_sigpipe_ignored_is_quiet_too)
{
    struct sample_options options = { .leaks = 1000, .done = 1000 };
    char path[256], command[512];
    snprintf(path, sizeof path, "%s/sample.data", harness_tmpdir());
    sample_write(path, &options);
    snprintf(command, sizeof command, "trap '' PIPE; $GMPTRACE script %s | head -n 1", path);
    ck_assert_int_eq(harness_shell(command, out, sizeof out, err, sizeof err), 0);
    ck_assert_str_eq(err, "");
}

TEST(script, a_full_disk_is_said)
{
    ck_assert_int_eq(script(&(struct sample_options){ .leaks = 1000 }, "> /dev/full"), 4);
    shell_has(err, "cannot write the output");
}

TEST(script, a_trace_without_its_end_is_printed_as_far_as_it_goes)
{
    struct sample_options options = { .leaks = 5, .no_end = true };
    ck_assert_int_eq(script(&options, ""), 0);
    ck_assert_int_eq(lines(out), sample_events(&options));
    ck_assert_str_ne(err, "");
}

TEST(script, losses_are_events_too)
{
    ck_assert_int_eq(script(&(struct sample_options){ .leaks = 5, .lost = 42 }, ""), 0);
    shell_has(out, " lost            count=42");
}

/* ---- What the program says of itself ---- */

static int script_user(const char *arguments)
{
    char command[512];
    size_t size;
    char *text = (char *)tracefile_slurp("tests/traces/user.txt", &size);
    snprintf(command, sizeof command, "$GMPTRACE script %s %s", tracefile_build(text), arguments);
    free(text);
    return harness_shell(command, out, sizeof out, err, sizeof err);
}

TEST(script, names_labels_and_messages_are_in_words)
{
    ck_assert_int_eq(script_user(""), 0);
    shell_has(out, "G1        go_labels       labels={tenant=\"acme \\ sons?\"}\n");
    shell_has(out, "G2        go_name         name=\"  \xc3\xbcnder spaces\"\n");
    shell_has(out, "G1        user_task_begin task=1 parent=0 name=\"request\"\n");
    shell_has(out, "G2        user_region_end name=\"request\"\n");
    shell_has(out, "G2        user_log        task=2 category=\"request\" bytes=10 text=\"ello worl");
    ck_assert_ptr_null(strstr(out, "user_log_text"));
    ck_assert_str_eq(err, "");
}

TEST(script, raw_has_the_parts_of_messages)
{
    ck_assert_int_eq(script_user("--raw"), 0);
    shell_has(out, "user_log_text a=0x6f77206f6c6c65 b=0x646c72 c=0x0 d=0x0");
}

TEST(script, json_has_an_object_a_line)
{
    ck_assert_int_eq(script_user("--json"), 0);
    shell_has(out, "\"g\": 1, \"event\": \"go_labels\", "
                   "\"fields\": {\"g\": 1, \"labels\": {\"tenant\": \"acme \\\\ sons");
    shell_has(out, "\"event\": \"user_task_begin\", "
                   "\"fields\": {\"task\": 1, \"parent\": 0, \"name\": \"request\"}}\n");
    shell_has(out, "\"bytes\": 10}, \"text\": \"ello worl");
    ck_assert_ptr_null(strstr(out, "user_log_text"));
    ck_assert_int_eq(script_user("--json --raw"), 2);
}
