/* gmptrace dump: whole stacks of running, stopped, crashed and vanishing programs. */
#include "exported.h"
#include "run.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void has(const char *part) { exported_has(exported_out, part); }

static void has_not(const char *part)
{
    ck_assert_msg(!strstr(exported_out, part), "\"%s\" in:\n%s", part, exported_out);
}

/* Runs commands, in which $DUMP looks at the program $P, once that has said that it is ready. */
static int live(const char *program, const char *commands)
{
    return exported_run("rm -f in ready; mkfifo in; $BUILD/tests/programs/%s <in >ready & P=$!; exec 9>in; "
                        "until test -s ready; do sleep 0.02; done; DUMP=\"$GMPTRACE dump -p $P\"; "
                        "(%s); S=$?; exec 9>&-; kill -9 $P; wait $P 2>/dev/null; exit $S",
                        program, commands);
}

/* Leaves ./core of the program, or says why there is none. */
static const char *crash(const char *command)
{
    if (exported_run("cat /proc/sys/kernel/core_pattern") != 0 || strcmp(exported_out, "core\n") != 0)
        return "core files do not go to ./core here";
    exported_run("rm -f core; ulimit -c unlimited || exit 9; %s </dev/null >/dev/null 2>&1", command);
    return exported_run("test -s core") == 0 ? NULL : "no core file was written";
}

/* ---- Running programs -------------------------------------------------------------------------------------------- */

/* The frames of functions that have none for those who go by frame pointers. */
static void expect_frameless(void)
{
    has("of waits [chan receive, ");
    has("   waits at\n      wait_inner                   frameless.c:28\n      wait_inner                   ");
    has("      wait_outer                   frameless.c:");
    has("\n      waits                        frameless.c:");
    has("      call_inner                   frameless.c:");
    has("\n      calls                        frameless.c:");
    has("      compute_inner                frameless.c:");
    has("\n      compute                      frameless.c:");
    has_not("switch_entry");
    has_not("not known");
}

TEST(dump_command, functions_without_frame_pointers_hide_nobody)
{
    if (UNDER_SANITIZER)
        SKIP("the sanitizer's calls stand between the functions");
    ck_assert_int_eq(live("frameless", "$DUMP"), 0);
    ck_assert_str_eq(exported_err, "");
    expect_frameless();
    has("   calls at\n");
    has("   runs at\n      compute_inner");
}

TEST(dump_command, a_stopped_program_is_seen_and_stays_stopped)
{
    if (UNDER_SANITIZER)
        SKIP("the sanitizer's calls stand between the functions");
    ck_assert_int_eq(live("frameless", "kill -STOP $P; sleep 0.2; $DUMP && grep State: /proc/$P/status"), 0);
    expect_frameless();
    has("State:\tT (stopped)");
}

TEST(dump_command, without_stopping_threads_all_but_who_computes_is_known)
{
    ck_assert_int_eq(live("frameless", "$DUMP --no-stop"), 0);
    has("of waits [chan receive, ");
    has("      wait_outer                   frameless.c:");
    has("of calls [blocking call, ");
    has("1 goroutine without a stack: ");
    has_not("stood still");
}

TEST(dump_command, alike_ones_are_together_and_the_largest_group_is_first)
{
    ck_assert_int_eq(live("idlers 300", "$DUMP"), 0);
    has("310 goroutines in process ");
    has("\n\n301 goroutines of wants_message [chan receive, ");
    ck_assert_int_eq(live("idlers 300", "$DUMP --filter function=wants_mutex"), 0);
    has("1 goroutine chosen of 310 in process ");
    has_not("wants_message");
}

TEST(dump_command, lines_have_80_columns)
{
    ck_assert_int_eq(live("idlers 300", "$DUMP | awk 'length > 80 {print \"too long: \" $0}'"), 0);
    ck_assert_str_eq(exported_out, "");
}

TEST_TIMEOUT(dump_command, the_program_goes_on_as_if_nothing_had_been, 120)
{
    /* Its main goroutine reads until the end of its input, which an interrupted read would not be. */
    ck_assert_int_eq(exported_run("rm -f in ready; mkfifo in; $BUILD/tests/programs/idlers 5 <in >ready & P=$!; "
                                  "exec 9>in; until test -s ready; do sleep 0.02; done; "
                                  "for i in 1 2 3 4 5; do $GMPTRACE dump -p $P >/dev/null || exit 1; done; "
                                  "kill -0 $P || exit 2; exec 9>&-; wait $P"),
                     0);
}

TEST_TIMEOUT(dump_command, a_program_that_a_debugger_has_is_seen_without_who_runs, 120)
{
    if (exported_run("gdb --version") != 0)
        SKIP("gdb is not installed");
    ck_assert_int_eq(live("frameless", "gdb -q -batch -nx -p $P -ex 'shell '\"$GMPTRACE\"' dump -p '$P' >seen 2>told' "
                                       ">/dev/null 2>&1; cat seen; grep -c 'may not be stopped (a debugger' told"),
                     0);
    has("      wait_outer                   frameless.c:");
    has("1 goroutine without a stack");
}

/* ---- What cannot be looked at ------------------------------------------------------------------------------------ */

TEST(dump_command, another_users_program_is_told_of)
{
    if (geteuid() != 0 || exported_run("setpriv --version") != 0)
        SKIP("only root can become somebody else");
    ck_assert_int_eq(live("idlers 3", "exec 8<$GMPTRACE; setpriv --reuid=65534 --regid=65534 --clear-groups "
                                      "/proc/self/fd/8 dump -p $P"),
                     4);
    exported_has(exported_err, "may not be attached to: it is another user's");
}

TEST_TIMEOUT(dump_command, a_program_that_dies_meanwhile_is_no_reason_to_crash, 120)
{
    for (int i = 0; i < 6; i++) {
        int status = live(UNDER_TSAN ? "idlers 2000" : "idlers 20000",
                          "$DUMP > seen & D=$!; sleep 0.0$(($(od -An -N1 -tu1 /dev/urandom) % 6)); "
                          "kill -9 $P; wait $D");
        ck_assert_msg(status == 0 || status == 2 || status == 4, "status %d: %s", status, exported_err);
    }
    ck_assert_int_eq(exported_run("sleep 0 & P=$!; wait $P; $GMPTRACE dump -p $P"), 2);
    exported_has(exported_err, "there is no process ");
}

TEST(dump_command, wrong_use_and_wrong_files_are_told_of)
{
    ck_assert_int_eq(exported_run("$GMPTRACE dump"), 2);
    ck_assert_int_eq(exported_run("$GMPTRACE dump -p 1 core"), 2);
    ck_assert_int_eq(exported_run("$GMPTRACE dump -p 0"), 2);
    ck_assert_int_eq(exported_run("$GMPTRACE dump a b"), 2);
    ck_assert_int_eq(exported_run("$GMPTRACE dump --filter x=1 core"), 2);
    ck_assert_int_eq(exported_run("sleep 100 & $GMPTRACE dump -p $!; S=$?; kill $!; exit $S"), 2);
    exported_has(exported_err, "does not run the gmptrace runtime");
    ck_assert_int_eq(exported_run("$GMPTRACE dump nothing"), 3);
    ck_assert_int_eq(exported_run("$GMPTRACE dump /"), 3);
    exported_has(exported_err, "it is not a regular file");
    ck_assert_int_eq(exported_run("$GMPTRACE dump $GMPTRACE"), 3);
    exported_has(exported_err, "it is not a core file");
    ck_assert_int_eq(exported_run(": > empty; $GMPTRACE dump empty"), 3);
}

/* ---- Core files -------------------------------------------------------------------------------------------------- */

TEST(dump_command, a_core_file_has_all_stacks_and_the_signal)
{
    const char *lacking = crash("GMPT_MAXPROCS=2 $BUILD/tests/programs/frameless abort");
    if (UNDER_SANITIZER || lacking)
        SKIP("%s", lacking ? lacking : "the sanitizer's calls stand between the functions");
    ck_assert_int_eq(exported_run("$GMPTRACE dump core"), 0);
    ck_assert_str_eq(exported_err, "");
    expect_frameless();
    has("signal 6 (Aborted) ended it");
    has("abort                        ");
    has("   was started at\n      main_g                       frameless.c:");
}

TEST(dump_command, a_hung_program_that_is_killed_for_its_core_file_has_all_stacks)
{
    const char *lacking = crash("sh -c 'rm -f ready; GMPT_MAXPROCS=2 $BUILD/tests/programs/gdb_target > ready & "
                                "P=$!; until test -s ready; do sleep 0.02; done; kill -ABRT $P; wait $P'");
    if (UNDER_SANITIZER || lacking)
        SKIP("%s", lacking ? lacking : "the sanitizer takes the signal");
    ck_assert_int_eq(exported_run("$GMPTRACE dump core"), 0);
    has("signal 6 (");
    has("      receiver                     gdb_target.c:");
    has("      hold                         gdb_target.c:");
}

TEST(dump_command, a_core_file_has_names_and_labels)
{
    const char *lacking = crash("sh -c 'rm -f ready in; mkfifo in; $BUILD/tests/programs/idlers 5 <in > ready & P=$!; "
                                "exec 9>in; until test -s ready; do sleep 0.02; done; kill -ABRT $P; wait $P'");
    if (UNDER_SANITIZER || lacking)
        SKIP("%s", lacking ? lacking : "the sanitizer takes the signal");
    ck_assert_int_eq(exported_run("$GMPTRACE dump core --filter label.tenant=acme"), 0);
    has("1 goroutine chosen of 15 in process ");
    has("   named the reader\n");
    has("   label tenant=acme\n");
}

TEST_TIMEOUT(dump_command, a_core_file_that_is_cut_off_or_of_another_program_is_told_of, 180)
{
    const char *lacking = crash("GMPT_MAXPROCS=2 $BUILD/tests/programs/frameless abort");
    if (UNDER_SANITIZER || lacking)
        SKIP("%s", lacking ? lacking : "no core files of sanitized programs");
    ck_assert_int_eq(exported_run("head -c 200000 core > short; $GMPTRACE dump short"), 3);
    exported_has(exported_err, "it is cut off");
    for (int i = 1; i <= 12; i++) { /* wherever it ends */
        int status = exported_run("head -c $(($(stat -c %%s core) * %d / 13)) core > short; $GMPTRACE dump short", i);
        ck_assert_msg(status == 0 || status == 3, "status %d: %s", status, exported_err);
    }
    lacking = crash("sh -c 'kill -ABRT $$'");
    if (lacking)
        SKIP("%s", lacking);
    ck_assert_int_eq(exported_run("$GMPTRACE dump core"), 3);
    exported_has(exported_err, "it has no goroutines");
}

TEST_TIMEOUT(dump_command, a_core_file_with_wrong_bytes_is_no_reason_to_crash, 180)
{
    const char *lacking = crash("GMPT_MAXPROCS=2 $BUILD/tests/programs/frameless abort");
    if (UNDER_SANITIZER || lacking)
        SKIP("%s", lacking ? lacking : "no core files of sanitized programs");
    for (int i = 0; i < 12; i++) {
        /* The headers and notes at the beginning, and the header of the segment wherever it is. */
        int status = exported_run("cp --sparse=always core bad; for k in 1 2 3 4 5 6 7 8; do "
                                  "AT=$(od -An -N2 -tu2 /dev/urandom); "
                                  "printf '\\377' | dd of=bad bs=1 conv=notrunc status=none seek=$((AT %% 12000)); "
                                  "done; "
                                  "timeout 20 $GMPTRACE dump bad");
        ck_assert_msg(status == 0 || status == 3, "status %d: %s", status, exported_err);
    }
}

TEST_TIMEOUT(dump_command, gdbs_core_file_has_at_least_states_and_origins, 120)
{
    if (UNDER_SANITIZER || exported_run("gcore 2>&1 | grep -q -i usage") != 0)
        SKIP("no gcore here, or a program that is too large for it");
    if (live("idlers 30", "gcore -o made $P >/dev/null 2>&1 && mv made.$P made") != 0)
        SKIP("gcore cannot be used here");
    ck_assert_int_eq(exported_run("$GMPTRACE dump made"), 0);
    has("40 goroutines in process ");
    has("31 goroutines of wants_message [chan receive, ");
    has("   was started at\n      main_g                       idlers.c:");
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

TEST(dump_command, json_is_as_its_schema_says)
{
    static char schema[512];
    ck_assert_ptr_nonnull(realpath("schema/dump.schema.json", schema));
    if (exported_run("/usr/bin/python3 -c 'from jsonschema import Draft202012Validator'") != 0)
        SKIP("no python3-jsonschema here that knows drafts of 2020-12");
    ck_assert_int_eq(live("idlers 30", "$DUMP --json > dump.json"), 0);
    ck_assert_msg(exported_run("/usr/bin/python3 -c 'import json, jsonschema, sys\n"
                               "s = json.load(open(sys.argv[1]))\n"
                               "d = json.load(open(\"dump.json\"))\n"
                               "jsonschema.Draft202012Validator.check_schema(s)\n"
                               "jsonschema.Draft202012Validator(s).validate(d)\n"
                               "assert d[\"goroutines\"] == 40 == sum(g[\"count\"] for g in d[\"groups\"])\n"
                               "assert d[\"core\"] is None and d[\"threads_stopped\"] > 0\n"
                               "assert any(\"thread\" in o for g in d[\"groups\"] for o in g[\"goroutines\"])\n"
                               "assert any(o[\"labels\"] == {\"tenant\": \"acme\"} for g in d[\"groups\"] for o in "
                               "g[\"goroutines\"])' %s",
                               schema) == 0,
                  "%s", exported_err);
}
