/* gmptrace ps: the Gs of running programs and of traces. */
#include "exported.h"
#include "harness.h"

#include <string.h>

static void has(const char *part) { exported_has(exported_out, part); }

/* Runs commands, in which $PS looks at the program idlers with so many Gs more. */
static int live(int idlers, const char *commands)
{
    return exported_run("rm -f in ready; mkfifo in; $BUILD/tests/programs/idlers %d <in >ready & P=$!; exec 9>in; "
                        "until test -s ready; do sleep 0.02; done; PS=\"$GMPTRACE ps -p $P\"; "
                        "(%s); S=$?; exec 9>&-; wait; exit $S",
                        idlers, commands);
}

/* ---- Running programs -------------------------------------------------------------------------------------------- */

TEST(ps, groups_have_counts_states_and_lines)
{
    ck_assert_int_eq(live(300, "$PS"), 0);
    ck_assert_str_eq(exported_err, "");
    has("310 goroutines in process ");
    has("      301  chan receive  ");
    has("  wants_message         idlers.c:");
    has("        1  mutex lock  ");
    has("        1  sleep  ");
    has("        1  blocking call  ");
}

TEST(ps, stacks_say_where_each_group_waits_and_was_started)
{
    ck_assert_int_eq(live(300, "$PS --stacks --filter 'function=wants_mutex'"), 0);
    has("1 goroutine chosen of 310 in process ");
    has("1 goroutine of wants_mutex [mutex lock, ");
    has("   waits at\n      wants_mutex                  idlers.c:");
    has("   was started at\n      main_g                       idlers.c:");
}

TEST(ps, a_name_that_only_one_of_a_group_has_is_not_the_groups)
{
    ck_assert_int_eq(live(3, "$PS --stacks --filter name~reader"), 0);
    has("named the reader");
    ck_assert_int_eq(live(3, "$PS --stacks --filter function=wants_message"), 0);
    ck_assert_ptr_null(strstr(exported_out, "named"));
}

TEST(ps, tree_has_children_below_who_started_them)
{
    ck_assert_int_eq(live(300, "$PS --tree"), 0);
    has(" main [blocking call, ");
    has("\n  301 goroutines wants_message [chan receive, ");
    has(" wants_mutex [mutex lock, ");
}

TEST(ps, list_has_a_line_for_each)
{
    ck_assert_int_eq(live(300, "$PS --list | grep -c wants_message"), 0);
    ck_assert_str_eq(exported_out, "301\n");
}

TEST(ps, a_stopped_program_is_seen_all_the_same)
{
    ck_assert_int_eq(live(300, "kill -STOP $P; $PS; S=$?; kill -CONT $P; exit $S"), 0);
    has("      301  chan receive  ");
}

TEST(ps, a_recording_that_goes_on_is_not_disturbed)
{
    ck_assert_int_eq(live(300, "$GMPTRACE record -p $P -o t.data -d 500ms 2>/dev/null & sleep 0.2; $PS; wait $! && "
                               "$GMPTRACE analyze --json t.data"),
                     0);
    has("      301  chan receive  ");
    has("\"whole\": true");
    has("\"violations\": 0");
}

TEST(ps, json_has_every_goroutine)
{
    ck_assert_int_eq(live(300, "$PS --json | grep -c '\"age_ns\": [0-9n]'"), 0);
    ck_assert_str_eq(exported_out, "310\n");
    ck_assert_int_eq(live(300, "$PS --json --filter state=syscall"), 0);
    has("\"states\": {\"runnable\": 0, \"running\": 0, \"waiting\": 0, \"syscall\": 2, \"preempted\": 0}");
}

TEST(ps, what_cannot_be_looked_at_is_told)
{
    ck_assert_int_eq(exported_run("sleep 100 & $GMPTRACE ps -p $!; S=$?; kill $!; exit $S"), 2);
    exported_has(exported_err, "does not run the gmptrace runtime");
    ck_assert_int_eq(exported_run("$GMPTRACE ps -p 0"), 2);
    ck_assert_int_eq(exported_run("$GMPTRACE ps -p 1 FILE"), 2);
    ck_assert_int_eq(exported_run("$GMPTRACE ps -p 1 --at 1s"), 2);
    ck_assert_int_eq(exported_run("$GMPTRACE ps --list --tree"), 2);
    ck_assert_int_eq(exported_run("$GMPTRACE ps nothing.data"), 3);
}

/* ---- Traces ------------------------------------------------------------------------------------------------------ */

TEST(ps, a_trace_shows_its_end)
{
    exported_golden("contention");
    ck_assert_int_eq(exported_run("$GMPTRACE ps --list"), 0);
    ck_assert_str_eq(exported_out,
                     "1 goroutine in process 7, of an unknown command: 1 waiting; GOMAXPROCS 1\n\n"
                     "        G   PARENT  STATE                  AGE  FUNCTION  AT\n"
                     "        3        1  mutex lock          820 ns  0x20      0x1021\n");
}

TEST(ps, at_shows_a_moment_between_events)
{
    exported_golden("export");
    ck_assert_int_eq(exported_run("$GMPTRACE ps --at 30ns --list"), 0);
    ck_assert_str_eq(exported_out,
                     "2 goroutines in process 7, ./prog -x: 1 running, 1 runnable; GOMAXPROCS 2\n\n"
                     "        G   PARENT  STATE                  AGE  FUNCTION  AT\n"
                     "        2        1  runnable              0 ns  0x20      -\n"
                     "        1        0  running              10 ns  0x10      -\n");
    ck_assert_int_eq(exported_run("$GMPTRACE ps --at 1h"), 2);
    exported_has(exported_err, "the trace ends after ");
}
