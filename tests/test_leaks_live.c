/* gmptrace leaks -p, on a program that runs on with a leak. */
#include "exported.h"
#include "harness.h"
#include "run.h"

#include <string.h>

#define NEED_PROOFS()                                                                                                  \
    do {                                                                                                               \
        if (UNDER_SANITIZER)                                                                                           \
            SKIP("sanitizers keep memory of their own: no proofs of leaks there");                                     \
    } while (0)

/* Runs `gmptrace leaks -p` with these arguments on the server, once that has started its goroutines. */
static int leaks(const char *server, const char *arguments)
{
    return exported_run("{ $BUILD/tests/programs/leaky_suite --serve %s & "
                        "until $GMPTRACE ps -p $! 2>/dev/null | grep -q 'chan send\\|sleep'; do sleep 0.05; done; "
                        "$GMPTRACE leaks -p $! %s; status=$?; kill $!; exit $status; }",
                        server, arguments);
}

TEST(leaks_live, a_running_program_s_leak_is_proven)
{
    NEED_PROOFS();
    ck_assert_int_eq(leaks("--leaks 1", ""), 1);
    exported_has(exported_out, "1. proven: ");
    exported_has(exported_out, " of answer wait");
    exported_has(exported_out, "tests/programs/leaky_suite.c:");
}

TEST(leaks_live, json_is_that_of_check)
{
    NEED_PROOFS();
    ck_assert_int_eq(leaks("--leaks 1", "--json"), 1);
    ck_assert(sample_json_valid(exported_out));
    exported_has(exported_out, "\"processes\": 1,\n  \"unjudged\": 0,");
    exported_has(exported_out, "{\"kind\": \"proven\", \"fails\": true");
}

TEST(leaks_live, without_leaks_it_says_so)
{
    NEED_PROOFS();
    ck_assert_int_eq(leaks("", ""), 0);
    exported_has(exported_out, "no leaks found in 1 process\n");
}

TEST(leaks_live, goroutines_of_other_scopes_are_left_out)
{
    NEED_PROOFS();
    ck_assert_int_eq(leaks("--leaks 1", "--scope 12345"), 0);
    exported_has(exported_out, "no leaks found in 1 process\n");
}

TEST(leaks_live, wrong_use_is_told)
{
    ck_assert_int_eq(exported_run("$GMPTRACE leaks -p x"), 2);
    ck_assert_int_eq(exported_run("$GMPTRACE leaks -p $$ file"), 2);
    exported_has(exported_err, "one of the two");
    ck_assert_int_eq(exported_run("$GMPTRACE leaks --scope 1"), 2);
    exported_has(exported_err, "--scope goes with -p PID");
    ck_assert_int_eq(exported_run("$GMPTRACE leaks -p $$"), 2);
    exported_has(exported_err, "does not run the gmptrace runtime");
}

/* ---- Killed in the middle ---------------------------------------------------------------------------------------- */

/* A server with leaks is $server; it and what comes of it have $MARK in their environment. */
#define SERVE                                                                                                          \
    "export MARK=mark$$; serve() { $BUILD/tests/programs/leaky_suite --serve --leaks 1 & server=$!; "                  \
    "until $GMPTRACE ps -p $server 2>/dev/null | grep -q 'chan send'; do sleep 0.05; done; }; "
/* At different moments, of which some are in a proof. */
#define MOMENTS "0 0.002 0.004 0.006 0.008 0.01 0.015 0.02 0.03 0.05"

TEST(leaks_live, a_program_that_is_killed_in_mid_proof_leaves_nothing_behind)
{
    NEED_PROOFS();
    ck_assert_int_eq(exported_run(SERVE "for moment in " MOMENTS "; do serve; "
                                        "$GMPTRACE leaks -p $server >/dev/null 2>&1 & asker=$!; "
                                        "sleep $moment; kill -KILL $server; wait $asker; status=$?; "
                                        "[ $status -ge 1 ] && [ $status -le 3 ] || exit $status; done; "
                                        "left() { grep -slz \"MARK=$MARK\" /proc/[0-9]*/environ | "
                                        "sed 's/environ/comm/' | xargs -r cat 2>/dev/null | "
                                        "grep -q 'gmptrace-proof\\|leaky_suite'; }; "
                                        "while left; do sleep 0.05; done"),
                     0);
}

TEST(leaks_live, an_asker_that_is_killed_in_mid_proof_leaves_the_program_as_it_was)
{
    NEED_PROOFS();
    ck_assert_int_eq(exported_run(SERVE "serve; for moment in " MOMENTS "; do "
                                        "$GMPTRACE leaks -p $server >/dev/null 2>&1 & asker=$!; "
                                        "sleep $moment; kill -KILL $asker 2>/dev/null; wait $asker; "
                                        "kill -0 $server || exit 9; done; "
                                        "$GMPTRACE leaks -p $server; status=$?; kill $server; exit $status"),
                     1);
    exported_has(exported_out, "1. proven: ");
}

/* ---- Core files -------------------------------------------------------------------------------------------------- */

TEST(leaks_live, a_core_file_tells_who_was_stuck)
{
    NEED_PROOFS();
    if (exported_run("cat /proc/sys/kernel/core_pattern") != 0 || strcmp(exported_out, "core\n") != 0)
        SKIP("core files do not go to ./core here");
    ck_assert_int_eq(exported_run("rm -f core; ulimit -c unlimited || exit 9; " SERVE
                                  "serve; sleep 0.3; kill -ABRT $server; wait $server; test -s core"),
                     0);
    ck_assert_int_eq(exported_run("$GMPTRACE leaks --stuck 100ms core"), 1);
    exported_has(exported_out, "1. stuck: 20 goroutines of answer wait in chan send, without a deadline\n");
    exported_has(exported_out, "      answer                       tests/programs/leaky_suite.c:");
    exported_has(exported_out, "for a proof the program has");
    ck_assert_int_eq(exported_run("$GMPTRACE leaks --stuck 1000m --json core"), 3);
    ck_assert(sample_json_valid(exported_out));
    ck_assert_int_eq(exported_run("head -c 100 core > short; $GMPTRACE leaks short"), 3);
}
