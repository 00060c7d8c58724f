/* gmptrace check on a suite made with Check that has planted leaks: found in each form, known by a baseline, and what
 * the command ends with. */
#define _GNU_SOURCE
#include "exported.h"
#include "harness.h"
#include "run.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUITE "$BUILD/tests/programs/leaky_suite"
#define SOURCE "tests/programs/leaky_suite.c"
#define NEED_PROOFS()                                                                                                  \
    do {                                                                                                               \
        if (UNDER_SANITIZER)                                                                                           \
            SKIP("sanitizers keep memory of their own: no proofs of leaks there");                                     \
    } while (0)

static char root[512];

/* Runs the command in the test's directory; standard error is in exported_err. */
static int check(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int check(const char *format, ...)
{
    char arguments[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(arguments, sizeof arguments, format, args);
    va_end(args);
    ck_assert_ptr_nonnull(realpath(".", root));
    return exported_run("env -u GITHUB_STEP_SUMMARY -u LD_PRELOAD $GMPTRACE check --source-root '%s' %s", root,
                        arguments);
}

/* The line of the source that has this text, as "FILE:LINE". */
static const char *place(const char *text)
{
    static char places[4][128];
    static unsigned next;
    char line[512];
    char *found = places[next++ % 4];
    FILE *file = fopen(SOURCE, "r");
    ck_assert_ptr_nonnull(file);
    for (int number = 1; fgets(line, sizeof line, file); number++)
        if (strstr(line, text))
            snprintf(found, sizeof places[0], SOURCE ":%d", number);
    fclose(file);
    return found;
}

static const char *line_of(const char *text) { return strchr(place(text), ':') + 1; }

#define STARTED "gmpt_go(answer, &answers"
#define WAITS "blocks for ever when whoever asked has gone"
#define SECOND "gmpt_go(waiter, &questions"

static void has_both(const char *text, const char *format, const char *started, const char *waits)
{
    char part[512];
    snprintf(part, sizeof part, format, started, waits);
    exported_has(text, part);
}

TEST(check, a_planted_leak_of_a_suite_fails_in_each_form)
{
    NEED_PROOFS();
    ck_assert_int_eq(check("--json a.json --junit a.xml --sarif a.sarif --leak-profile a.pb.gz --github -- " SUITE
                           " --leaks 1"),
                     1);
    has_both(exported_out, "::error title=goroutine leak (proven),file=" SOURCE ",line=%s::1 goroutine of answer waits",
             line_of(STARTED), "");
    exported_has(exported_err, "1 leak found: 1 goroutine\n\n1. proven: 1 goroutine of answer waits in chan send");
    has_both(exported_err, "   waits at\n      answer                       %2$s\n   was started at\n"
                           "      ask                          %1$s\n",
             place(STARTED), place(WAITS));

    ck_assert_int_eq(exported_run("cat a.json"), 0);
    ck_assert(sample_json_valid(exported_out));
    has_both(exported_out, "\"started_at\": {\"function\": \"ask\", \"file\": \"" SOURCE "\", \"line\": %s,",
             line_of(STARTED), "");
    exported_has(exported_out, "\"processes\": 3,\n  \"unjudged\": 0,");

    ck_assert_int_eq(exported_run("cat a.xml"), 0);
    has_both(exported_out, "<testcase classname=\"gmptrace.check\" name=\"answer started at %s waits at %s (proven)\"",
             place(STARTED), place(WAITS));

    ck_assert_int_eq(exported_run("cat a.sarif"), 0);
    has_both(exported_out, "\"locations\": [{\"physicalLocation\": {\"artifactLocation\": {\"uri\": \"" SOURCE
                           "\", \"uriBaseId\": \"SRCROOT\"}, \"region\": {\"startLine\": %s}}",
             line_of(STARTED), "");
    ck_assert_int_eq(exported_run("gzip -dc a.pb.gz | grep -c goroutineleak"), 0);
}

TEST(check, without_leaks_it_passes)
{
    NEED_PROOFS();
    ck_assert_int_eq(check("-- " SUITE), 0);
    exported_has(exported_err, "no leaks found in 3 processes\n");
}

TEST(check, malloc_s_memory_need_not_be_followed)
{
    NEED_PROOFS();
    ck_assert_int_eq(check("--heap root -- " SUITE), 0);
    exported_has(exported_err, "note: all memory of malloc counted as reachable");
}

TEST(check, a_baseline_covers_what_is_known_and_nothing_new)
{
    NEED_PROOFS();
    ck_assert_int_eq(check("--write-baseline known -- " SUITE " --leaks 1"), 0);
    exported_has(exported_err, "[ gmptrace check: 1 known leak -> known ]");
    ck_assert_int_eq(check("--baseline known --sarif a.sarif -- " SUITE " --leaks 1"), 0);
    exported_has(exported_err, "no leaks found in 3 processes, 1 known one left out\n");
    ck_assert_int_eq(exported_run("grep -c '\"results\": \\[\\]' a.sarif"), 0);

    ck_assert_int_eq(check("--baseline known -- " SUITE " --leaks 2"), 1);
    exported_has(exported_err, "1 leak found: 1 goroutine, 1 known one left out\n\n1. proven: 1 goroutine of waiter");
    exported_has(exported_err, place(SECOND));

    ck_assert_int_eq(check("--baseline known -- " SUITE), 0);
    exported_has(exported_err, "known:4: this entry covers nothing any more");
}

TEST(check, a_baseline_holds_as_lines_move)
{
    NEED_PROOFS();
    ck_assert_int_eq(check("--write-baseline known -- " SUITE " --leaks 1"), 0);
    ck_assert_int_eq(exported_run("(printf '\\n\\n\\n\\n/* moved */\\n'; cat '%s/" SOURCE "') > leaky_suite.c && "
                                  "${CC:-cc} -g -O2 -fno-omit-frame-pointer -fno-optimize-sibling-calls "
                                  "-I'%s/include' leaky_suite.c -o moved $BUILD/libgmptrace.a "
                                  "$(pkg-config --libs check) -lzstd -pthread",
                                  root, root),
                     0);
    ck_assert_int_eq(check("--baseline known -- ./moved --leaks 1"), 0);
    ck_assert_int_eq(check("--baseline known -- ./moved --leaks 2"), 1);
    exported_has(exported_err, "1 leak found: 1 goroutine, 1 known one left out\n");
}

TEST(check, several_programs_of_a_script_are_judged_as_one_run)
{
    NEED_PROOFS();
    ck_assert_int_eq(check("--json a.json -- sh -c '" SUITE " --leaks 1; " SUITE " --leaks 1 & " SUITE "; wait'"), 1);
    exported_has(exported_err, "1 leak found: 2 goroutines\n");
    ck_assert_int_eq(exported_run("cat a.json"), 0);
    exported_has(exported_out, "\"processes\": 9,\n  \"unjudged\": 0,");
}

TEST(check, the_program_s_own_failure_is_passed_on_unless_there_are_leaks)
{
    NEED_PROOFS();
    ck_assert_int_eq(check("-- " SUITE " --fail"), 3);
    ck_assert_int_eq(check("-- " SUITE " --fail --leaks 1"), 1);
    ck_assert_int_eq(check("--fail-on none -- " SUITE " --leaks 1"), 0);
    ck_assert_int_eq(check("-- sh -c 'kill -TERM $$'"), 128 + 15);
    ck_assert_int_eq(check("-- false"), 1);
}

TEST(check, what_does_not_use_the_runtime_is_no_success)
{
    ck_assert_int_eq(check("-- true"), 2);
    exported_has(exported_err, "'true' did not start the gmptrace runtime, nor did what it started");
    ck_assert_int_eq(check("-- ./none"), 2);
    exported_has(exported_err, "cannot run './none': No such file");
}

TEST(check, a_process_is_judged_when_a_goroutine_calls_exit)
{
    NEED_PROOFS();
    ck_assert_int_eq(check("--strict -- " SUITE " --exit"), 0);
    exported_has(exported_err, "no leaks found in 4 processes\n");
    ck_assert_int_eq(check("-- " SUITE " --exit --leaks 3"), 1);
    exported_has(exported_err, "exit_main");
}

TEST(check, a_process_that_ends_at_once_is_told_of)
{
    NEED_PROOFS();
    ck_assert_int_eq(check("-- " SUITE " --exit-at-once"), 0);
    exported_has(exported_err, "note: a process ended before its main goroutine returned");
    exported_has(exported_err, "note: 1 of 4 processes could not be judged\n");
    ck_assert_int_eq(check("--strict -- " SUITE " --exit-at-once"), 4);
    exported_has(exported_err, "1 of 4 processes could not be judged");
}

TEST(check, in_a_deadlock_all_are_lost_whatever_is_in_reach)
{
    NEED_PROOFS();
    ck_assert_int_eq(check("--strict --sarif found.sarif --github -- " SUITE " --deadlock"), 1);
    exported_has(exported_err, "fatal error: all goroutines are asleep - deadlock!\n");
    exported_has(exported_err, "proven: 1 goroutine of answer waits in chan send, without a deadline\n");
    exported_has(exported_err, "proven: 1 goroutine of main waits in chan receive, without a deadline\n");
    exported_has(exported_out, ",file=" SOURCE ",line=");
    exported_has(exported_out, line_of("all are asleep */"));
    exported_run("cat found.sarif");
    exported_has(exported_out, line_of("all are asleep */"));
    ck_assert_int_eq(check("--fail-on none -- " SUITE " --deadlock"), 2);
}

TEST(check, evidence_fails_where_it_is_asked_to)
{
    NEED_PROOFS();
    ck_assert_int_eq(check("--runaway 100ms -- " SUITE " --grow"), 0);
    exported_has(exported_err, "1. growing: 100 goroutines of answer wait in chan send, without a deadline\n");
    exported_has(exported_err, "2. runaway: 1 goroutine of compute runs without an end\n");
    ck_assert_int_eq(check("--fail-on growing -- " SUITE " --grow"), 1);
}

TEST(check, a_server_is_judged_while_it_runs)
{
    NEED_PROOFS();
    exported_run("{ $GMPTRACE check --every 20ms -- " SUITE " --serve --leaks 1 2>told & "
                 "check=$!; until grep -q 'proven: [0-9]* goroutines* of answer' told; do sleep 0.05; done; "
                 "kill -TERM $check; wait $check; echo status $?; }");
    exported_has(exported_out, "status 1\n");
    ck_assert_int_eq(exported_run("cat told"), 0);
    exported_has(exported_out, "gmptrace check: process ");
    exported_has(exported_out, "1. proven: ");
}

TEST(check, it_can_be_stopped_as_it_reads_of_a_program_that_has_ended)
{
    NEED_PROOFS();
    exported_run("{ $GMPTRACE check -- sh -c 'timeout -s KILL 1 $BUILD/tests/programs/yielders 1000 1000000000; "
                 "touch ended' 2>told & check=$!; until [ -e ended ]; do sleep 0.02; done; "
                 "until ! mask=0x$(sed -n 's/^SigBlk:\t//p' /proc/$check/status 2>gone) || [ $mask = 0x ] || "
                 "[ $((mask & 1 << 14)) = 0 ]; do sleep 0.02; done; kill -TERM $check; wait $check; echo status $?; }");
    exported_has(exported_out, "status 143\n"); /* 128 + SIGTERM */
}

TEST(check, wrong_options_are_told_before_anything_runs)
{
    static const char *const wrong[] = { "--fail-on bad", "--fail-on proven,", "--grace 1", "--every 0s", "--heap x",
                                         "--json ''", "--nonsense", "--source-root none" };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ck_assert_msg(check("%s -- touch ran", wrong[i]) == 2, "%s: %s", wrong[i], exported_err);
        ck_assert_int_ne(exported_run("test -e ran"), 0);
    }
    ck_assert_int_eq(check(" "), 2);
    ck_assert_int_eq(exported_run("printf 'leak\\n' > known"), 0);
    ck_assert_int_eq(check("--baseline known -- touch ran"), 3);
    exported_has(exported_err, "known:1: this entry has no line 'reason'");
    ck_assert_int_ne(exported_run("test -e ran"), 0);
}

TEST(check, output_that_cannot_be_written_is_a_failure)
{
    NEED_PROOFS();
    ck_assert_int_eq(check("--json none/a.json -- " SUITE), 4);
    exported_has(exported_err, "cannot write 'none/a.json': No such file");
    ck_assert_int_eq(check("--json /dev/full -- " SUITE), 4);
    exported_has(exported_err, "cannot write '/dev/full': No space left");
}

TEST(check, the_step_summary_has_a_table)
{
    NEED_PROOFS();
    ck_assert_int_eq(check("--fail-on proven -- true"), 2);
    ck_assert_int_eq(exported_run("GITHUB_STEP_SUMMARY=sum $GMPTRACE check --source-root '%s' --github -- " SUITE
                                  " --leaks 1",
                                  root),
                     1);
    ck_assert_int_eq(exported_run("cat sum"), 0);
    exported_has(exported_out, "### Leaked goroutines: 1\n");
    exported_has(exported_out, "| proven :x: | 1 | chan send | ask tests/programs/leaky&#95;suite.c:");
}

/* The number behind a name, in the group of this function, of what check has printed as JSON. */
static long held_by(const char *function)
{
    char name[64];
    snprintf(name, sizeof name, "\"function\": \"%s\"", function);
    const char *group = strstr(exported_out, name);
    ck_assert_msg(group, "no group of %s in %s", function, exported_out);
    while (group > exported_out && strncmp(group, "{\"kind\"", 7))
        group--;
    const char *held = strstr(group, "\"held_bytes\": ");
    ck_assert_ptr_nonnull(held);
    return strtol(held + strlen("\"held_bytes\": "), NULL, 10);
}

static void is_about(long bytes, long expected)
{
    bool about = bytes >= expected && bytes < expected + 4 * 4096;
    ck_assert_msg(about, "%ld bytes, of %ld and some pages", bytes, expected);
}

TEST(check, what_a_leak_holds_is_its_stack_and_what_it_alone_reaches)
{
    NEED_PROOFS();
    ck_assert_int_eq(check("--json - -- $BUILD/tests/programs/leak_holders </dev/null"), 1);
    is_about(held_by("keep_list"), 300000 + 200000 + 4096);
    is_about(held_by("keep_buffered"), 70000 + 4096);
    ck_assert_int_eq(check("--heap root --json - -- $BUILD/tests/programs/leak_holders </dev/null"), 1);
    is_about(held_by("keep_buffered"), 4096);
}
