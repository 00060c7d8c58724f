/* The frame around the commands: help, usage, files that are no traces, and the printing of values. */
#define _GNU_SOURCE
#include "harness.h"
#include "sample.h"
#include "shell.h"

#include "cli/cli.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char out[1 << 16], err[1 << 16];

__attribute__((format(printf, 1, 2))) static int run(const char *format, ...)
{
    char command[4096];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(command, sizeof command, format, args);
    va_end(args);
    ck_assert_int_lt(length, (int)sizeof command);
    return harness_shell(command, out, sizeof out, err, sizeof err);
}

static const char *const names[] = { "record", "analyze", "leaks", "pprof", "script" };
static const char *const readers[] = { "analyze", "leaks", "script", "analyze --json", "leaks --json" };

/* ---- Help and usage ---------------------------------------------------------------------------------------------- */

TEST(cli, help_lists_every_command)
{
    ck_assert_int_eq(run("$GMPTRACE --help"), CLI_OK);
    for (int i = 0; i < 5; i++) {
        char line[32];
        snprintf(line, sizeof line, "\n  %s ", names[i]);
        shell_has(out, line);
    }
    ck_assert_str_eq(err, "");
}

TEST(cli, help_alone_is_the_overview)
{
    ck_assert_int_eq(run("$GMPTRACE help"), CLI_OK);
    shell_has(out, "Usage: gmptrace COMMAND");
}

TEST(cli, no_arguments_is_wrong_usage)
{
    ck_assert_int_eq(run("$GMPTRACE"), CLI_USAGE);
    ck_assert_str_eq(out, "");
    shell_has(err, "Usage: gmptrace COMMAND");
}

TEST(cli, version_is_one_line)
{
    ck_assert_int_eq(run("$GMPTRACE --version"), CLI_OK);
    ck_assert_str_eq(out, "gmptrace 0.1.0\n");
}

TEST(cli, every_command_has_help)
{
    for (int i = 0; i < 5; i++) {
        char usage[64];
        snprintf(usage, sizeof usage, "Usage: gmptrace %s", names[i]);
        ck_assert_int_eq(run("$GMPTRACE %s --help", names[i]), CLI_OK);
        ck_assert_int_eq(strncmp(out, usage, strlen(usage)), 0);
        ck_assert_str_eq(err, "");
    }
}

TEST(cli, help_name_is_name_help)
{
    for (int i = 0; i < 5; i++) {
        static char first[sizeof out];
        ck_assert_int_eq(run("$GMPTRACE %s --help", names[i]), CLI_OK);
        memcpy(first, out, sizeof first);
        ck_assert_int_eq(run("$GMPTRACE help %s", names[i]), CLI_OK);
        ck_assert_str_eq(out, first);
    }
}

TEST(cli, help_fits_80_columns)
{
    for (int i = 0; i < 6; i++) {
        ck_assert_int_eq(run("$GMPTRACE help %s", i < 5 ? names[i] : ""), CLI_OK);
        for (char *line = strtok(out, "\n"); line; line = strtok(NULL, "\n"))
            ck_assert_msg(strlen(line) <= 80, "too wide: %s", line);
    }
}

TEST(cli, help_of_help_is_the_overview)
{
    ck_assert_int_eq(run("$GMPTRACE help --help"), CLI_OK);
    shell_has(out, "Usage: gmptrace COMMAND");
    ck_assert_int_eq(run("$GMPTRACE help --version"), CLI_OK);
    ck_assert_str_eq(out, "gmptrace 0.1.0\n");
}

TEST(cli, every_help_tells_the_exit_statuses)
{
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(run("$GMPTRACE help %s", names[i]), CLI_OK);
        shell_has(out, "Exit status: ");
        shell_has(out, "--help");
    }
}

TEST(cli, every_command_has_a_version)
{
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(run("$GMPTRACE %s --version", names[i]), CLI_OK);
        ck_assert_str_eq(out, "gmptrace 0.1.0\n");
    }
}

TEST(cli, help_after_other_arguments)
{
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(run("$GMPTRACE %s somefile --help", readers[i]), CLI_OK);
        shell_has(out, "Usage: gmptrace");
    }
}

TEST(cli, an_unknown_command_suggests_the_nearest)
{
    ck_assert_int_eq(run("$GMPTRACE analize"), CLI_USAGE);
    shell_has(err, "did you mean 'analyze'?");
    ck_assert_int_eq(run("$GMPTRACE leak"), CLI_USAGE);
    shell_has(err, "did you mean 'leaks'?");
    ck_assert_int_eq(run("$GMPTRACE rec"), CLI_USAGE);
    shell_has(err, "did you mean 'record'?");
    ck_assert_str_eq(out, "");
}

TEST(cli, nothing_is_suggested_for_nonsense)
{
    static const char *const words[] = { "xyzzyplugh", "frob", "top", "x" };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        ck_assert_int_eq(run("$GMPTRACE %s", words[i]), CLI_USAGE);
        shell_has(err, "is not a command");
        ck_assert_ptr_null(strstr(err, "did you mean"));
    }
}

TEST(cli, help_for_an_unknown_command_is_wrong_usage)
{
    ck_assert_int_eq(run("$GMPTRACE help skript"), CLI_USAGE);
    shell_has(err, "did you mean 'script'?");
}

TEST(cli, a_command_name_from_a_hostile_script_is_printed_safely)
{
    ck_assert_int_eq(run("$GMPTRACE \"$(printf 'a\\033[2Jb')\""), CLI_USAGE);
    ck_assert_ptr_null(strchr(err, '\033'));
}

TEST(cli, an_unknown_option_before_the_command)
{
    ck_assert_int_eq(run("$GMPTRACE --frobnicate"), CLI_USAGE);
    shell_has(err, "unknown option '--frobnicate'");
}

TEST(cli, unknown_options_are_named)
{
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(run("$GMPTRACE %s --frobnicate", readers[i]), CLI_USAGE);
        shell_has(err, "'--frobnicate'");
        shell_has(err, "--help");
        ck_assert_int_eq(run("$GMPTRACE %s -zq", readers[i]), CLI_USAGE);
        shell_has(err, "'-z'");
        ck_assert_str_eq(out, "");
    }
}

TEST(cli, one_file_at_a_time)
{
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(run("$GMPTRACE %s one two", readers[i]), CLI_USAGE);
        shell_has(err, "'two'");
    }
}

TEST(cli, stuck_takes_a_time)
{
    static const char *const wrong[] = { "5", "s", "-1s", "1x", "1.s", "99999999999999s", "''" };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ck_assert_int_eq(run("$GMPTRACE leaks --stuck %s", wrong[i]), CLI_USAGE);
        shell_has(err, "--stuck takes a time");
    }
    ck_assert_int_eq(run("$GMPTRACE leaks --stuck"), CLI_USAGE);
    shell_has(err, "'--stuck' needs a value");
}

TEST(cli, a_goroutine_is_a_number)
{
    static const char *const wrong[] = { "x", "0", "-3", "G", "1x", "99999999999999999999" };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ck_assert_int_eq(run("$GMPTRACE script -g %s", wrong[i]), CLI_USAGE);
        shell_has(err, "-g takes a goroutine's number");
    }
}

/* ---- Files that are no traces ------------------------------------------------------------------------------------ */

static void refused(const char *file, const char *part)
{
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(run("$GMPTRACE %s %s", readers[i], file), CLI_INPUT);
        shell_has(err, file);
        shell_has(err, part);
        ck_assert_str_eq(out, "");
        ck_assert_int_eq(strncmp(err, "gmptrace ", 9), 0);
    }
}

TEST(cli, a_missing_file_is_named) { refused("/nonexistent/x.data", "o such file"); }

TEST(cli, a_missing_default_file_is_named)
{
    ck_assert_int_eq(run("cd %s && $GMPTRACE analyze", harness_tmpdir()), CLI_INPUT);
    shell_has(err, "gmptrace.data");
}

TEST(cli, a_directory_is_no_trace) { refused("/", ""); }

TEST(cli, an_empty_file_is_no_trace)
{
    char path[256];
    snprintf(path, sizeof path, "%s/empty", harness_tmpdir());
    ck_assert_int_eq(run(": > %s", path), 0);
    refused(path, "");
}

TEST(cli, random_bytes_are_no_trace)
{
    char path[256];
    snprintf(path, sizeof path, "%s/random", harness_tmpdir());
    ck_assert_int_eq(run("head -c 100000 /dev/urandom > %s", path), 0);
    refused(path, "");
}

TEST(cli, text_is_no_trace) { refused("/etc/passwd", ""); }

TEST(cli, output_that_does_not_arrive_is_said)
{
    ck_assert_int_eq(run("$GMPTRACE --help > /dev/full"), CLI_MACHINE);
    shell_has(err, "cannot write the output");
    ck_assert_int_eq(run("$GMPTRACE help leaks > /dev/full"), CLI_MACHINE);
}

/* ---- Values ------------------------------------------------------------------------------------------------------ */

TEST(cli, durations_for_a_person)
{
    static const struct {
        int64_t ns;
        const char *text;
    } cases[] = {
        { 0, "0 ns" },
        { 999, "999 ns" },
        { 1000, "1.00 us" },
        { 1234, "1.23 us" },
        { 9994, "9.99 us" },
        { 9996, "10.0 us" },
        { 99960, "100 us" },
        { 999499, "999 us" },
        { 999500, "1.00 ms" },
        { 12345678, "12.3 ms" },
        { 999600000, "1.00 s" },
        { 59940000000, "59.9 s" },
        { 59960000000, "1m 00s" },
        { 3599400000000, "59m 59s" },
        { 3600000000000, "1h 00m" },
        { 359999000000000, "99h 59m" },
        { 360000000000000, "4 d" },
        { -1500, "-1.50 us" },
    };
    char buffer[16];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_str_eq(cli_duration(buffer, cases[i].ns), cases[i].text);
}

TEST(cli, durations_are_at_most_8_columns)
{
    char buffer[16];
    for (int64_t ns = 1; ns < INT64_MAX / 3; ns = ns * 3 / 2 + 1) {
        ck_assert_msg(strlen(cli_duration(buffer, ns)) <= 8, "%" PRId64 ": %s", ns, buffer);
        ck_assert_msg(strlen(cli_duration(buffer, -ns)) <= 9, "%" PRId64 ": %s", -ns, buffer);
    }
    cli_duration(buffer, INT64_MAX);
    cli_duration(buffer, INT64_MIN);
}

TEST(cli, counts_have_thousands)
{
    char buffer[32];
    ck_assert_str_eq(cli_count(buffer, 0), "0");
    ck_assert_str_eq(cli_count(buffer, 999), "999");
    ck_assert_str_eq(cli_count(buffer, 1000), "1,000");
    ck_assert_str_eq(cli_count(buffer, 123456), "123,456");
    ck_assert_str_eq(cli_count(buffer, UINT64_MAX), "18,446,744,073,709,551,615");
}

TEST(cli, durations_are_read)
{
    static const struct {
        const char *text;
        int64_t ns;
    } cases[] = { { "10ns", 10 },
                  { "300us", 300000 },
                  { "500ms", 500000000 },
                  { "2s", 2000000000 },
                  { "1m", 60000000000 },
                  { "1h", 3600000000000 },
                  { "0s", 0 },
                  { "1.5s", 1500000000 },
                  { "0.25us", 250 },
                  { "1.123456789s", 1123456789 },
                  { "0.0000000000003h", 1 },
                  { "1.0000000001s", 1000000000 } };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t ns = -1;
        ck_assert_msg(cli_parse_duration(cases[i].text, &ns) == 0, "%s", cases[i].text);
        ck_assert_int_eq(ns, cases[i].ns);
    }
}

TEST(cli, wrong_durations_are_refused)
{
    static const char *const cases[] = {
        "",           "5",  "ms",  "-1s",  "+1s",  " 1s",          "1 s",
        "1s ",        "1.", ".5s", "1sec", "1e3s", "9223372036s9", "99999999999999999999s",
        "9300000000s"
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t ns;
        ck_assert_msg(cli_parse_duration(cases[i], &ns) != 0, "%s", cases[i]);
    }
}

TEST(cli, long_texts_are_cut_in_the_middle)
{
    char buffer[64];
    ck_assert_str_eq(cli_text(buffer, sizeof buffer, "short", 5), "short");
    ck_assert_str_eq(cli_text(buffer, sizeof buffer, "abcdefghij", 9), "abc...hij");
    ck_assert_str_eq(cli_text(buffer, sizeof buffer, "abcdefghij", 8), "abc...ij");
    ck_assert_str_eq(cli_text(buffer, sizeof buffer, "abcdefghij", 3), "...");
    ck_assert_str_eq(cli_text(buffer, sizeof buffer, "abcdefghij", 0), "");
    ck_assert_str_eq(cli_text(buffer, 4, "abcdefghij", 10), "abc");
}

/* What cli_wrap prints of text in one call. */
static const char *wrapped(int indent, const char *text)
{
    static char buffer[4096];
    char path[256];
    snprintf(path, sizeof path, "%s/wrapped", harness_tmpdir());
    fflush(stdout);
    int saved = dup(STDOUT_FILENO);
    ck_assert_ptr_nonnull(freopen(path, "w", stdout));
    cli_wrap(indent, "%s", text);
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    buffer[fread(buffer, 1, sizeof buffer - 1, file)] = 0;
    fclose(file);
    return buffer;
}

TEST(cli, a_sentence_moves_no_cursor)
{
    ck_assert_str_eq(wrapped(2, "named a\nb\033[31mc\xff \xc3\xa9"), "named a?b?[31mc? \xc3\xa9\n");
}

TEST(cli, sentences_are_broken_at_80_columns)
{
    ck_assert_str_eq(wrapped(2, "short"), "short\n");
    ck_assert_str_eq(wrapped(2, "abcdefghi bcdefghij cdefghijk defghijkl efghijklm fghijklmn ghijklmno hijklmno yz"),
                     "abcdefghi bcdefghij cdefghijk defghijkl efghijklm fghijklmn ghijklmno hijklmno\n  yz\n");
    ck_assert_str_eq(wrapped(0, "ax bx cx dx ex fx gx hx ix jx kx lx mx nx ox px qx rx sx tx ux vx wx xx yx zx abc"),
                     "ax bx cx dx ex fx gx hx ix jx kx lx mx nx ox px qx rx sx tx ux vx wx xx yx zx\nabc\n");
}

TEST(cli, a_number_stays_with_its_unit)
{
    ck_assert_str_eq(wrapped(0, "ax bx cx dx ex fx gx hx ix jx kx lx mx nx ox px qx rx sx tx ux vx wx xx yx 20.0 ms"),
                     "ax bx cx dx ex fx gx hx ix jx kx lx mx nx ox px qx rx sx tx ux vx wx xx yx\n20.0 ms\n");
}

TEST(cli, texts_for_a_terminal_have_no_controls)
{
    char buffer[64];
    ck_assert_str_eq(cli_text(buffer, sizeof buffer, "a\033[31mb\n\x7f", 20), "a?[31mb??");
    ck_assert_str_eq(cli_text(buffer, sizeof buffer, "\xc2\x9b", 20), "?");
    ck_assert_str_eq(cli_text(buffer, sizeof buffer, "\xff", 20), "?");
    ck_assert_str_eq(cli_text(buffer, sizeof buffer, "gr\xc3\xbc\xc3\x9f", 4), "gr\xc3\xbc\xc3\x9f");
}

static void json_is(const char *text, const char *json)
{
    char *buffer;
    size_t size;
    FILE *file = open_memstream(&buffer, &size);
    ck_assert_ptr_nonnull(file);
    cli_json_string(file, text);
    fclose(file);
    ck_assert_str_eq(buffer, json);
    free(buffer);
}

TEST(cli, json_strings_are_escaped)
{
    json_is("", "\"\"");
    json_is("a\"b\\c", "\"a\\\"b\\\\c\"");
    json_is("\n\t\x01", "\"\\u000a\\u0009\\u0001\"");
    json_is("\xc3\xa9", "\"\xc3\xa9\"");
}

TEST(cli, json_strings_are_utf8)
{
    json_is("\xff", "\"\xef\xbf\xbd\"");
    json_is("\xc3", "\"\xef\xbf\xbd\"");
    json_is("\xc0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\"");
    json_is("\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    json_is("\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\"");
    json_is("\xf4\x90\x80\x80x", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx\"");
}
