/* The difference of two profiles, to the nanosecond, and as go tool pprof sees it. */
#include "exported.h"
#include "harness.h"
#include "tracefile.h"

#include <stdio.h>

/* G2 waits for a lock from 20 to 100, from 130 to 200, from 250 to 400, and from 500 to the end at 1000; G1 releases it
 * at one place, but the second time at the place `second`. */
static void make(const char *name, int second)
{
    char text[2048];
    snprintf(text, sizeof text,
             TRACEFILE_HEAD
             "frame\nclock 0 0 1700000000000000000\n"
             "stack 0 1 0x1011\nstack 0 2 0x1021\nstack 1 1 0x1031\n"
             "frame\nclock 1000 1000 1700000000000001000\n"
             "events ring=0 sequence=0 offset=0 base=0 g=0 seq=0 tid=1 lost=0\n"
             "0 go_create g=1 fn=0x2000 stack=0\n0 go_start g=1 seq=2\n0 go_create g=2 fn=0x3000 stack=0\n"
             "100 go_unblock g=2 seq=4 by=1 stack=1\n100 go_unblock g=2 seq=7 by=1 stack=%d\n"
             "200 go_unblock g=2 seq=10 by=1 stack=1\n"
             "events ring=1 sequence=0 offset=0 base=0 g=0 seq=0 tid=1 lost=0\n"
             "10 go_start g=2 seq=2\n10 go_block reason=mutex object=0xc000 bounded=0 stack=1 owner=1\n"
             "90 go_start g=2 seq=5\n20 go_block reason=mutex object=0xd000 bounded=0 stack=1 owner=1\n"
             "80 go_start g=2 seq=8\n40 go_block reason=mutex object=0xc000 bounded=0 stack=1 owner=1\n"
             "160 go_start g=2 seq=11\n90 go_block reason=mutex object=0xc000 bounded=0 stack=1 owner=1\nend 0 0\n",
             second);
    ck_assert_int_eq(exported_run("mv %s %s", tracefile_build(text), name), 0);
}

TEST(diff_profile, has_both_values_of_each_stack)
{
    make("a.data", 1);
    make("b.data", 2);
    ck_assert_int_eq(exported_run("$GMPTRACE diff a.data b.data --type=mutex --format=folded -o -"), 0);
    ck_assert_str_eq(exported_out, "0x1010 300 230\n0x1020 0 70\n[not released] 500 500\n");
    ck_assert_int_eq(exported_run("$GMPTRACE diff b.data a.data --type=mutex --format=folded -o -"), 0);
    ck_assert_str_eq(exported_out, "0x1010 230 300\n0x1020 70 0\n[not released] 500 500\n");
}

TEST(diff_profile, parts_are_brought_to_one_length)
{
    make("b.data", 2);
    ck_assert_int_eq(
        exported_run("$GMPTRACE diff b.data --a=..500ns --b=0ns..1us --type=mutex --format=folded -o -"), 0);
    ck_assert_str_eq(exported_out, "0x1010 460 230\n0x1020 140 70\n[not released] 0 500\n");
}

TEST(diff_profile, go_tool_pprof_takes_it_for_a_difference)
{
    if (exported_run("command -v go") != 0)
        SKIP("go is not installed");
    make("a.data", 1);
    make("b.data", 2);
    ck_assert_int_eq(exported_run("$GMPTRACE diff a.data b.data --type=mutex -o diff.pb.gz"), 0);
    ck_assert_int_eq(exported_run("go tool pprof -top -nodecount=9 diff.pb.gz"), 0);
    exported_has(exported_out, "-70ns  8.75%");
    exported_has(exported_out, "0x1010");
    exported_has(exported_out, "of 800ns total");
}

TEST(diff_profile, wrong_use_is_told)
{
    make("a.data", 1);
    ck_assert_int_eq(exported_run("$GMPTRACE diff a.data a.data --a=..1us --type=mutex"), 2);
    exported_has(exported_err, "--type and --format are those of the profile that -o names");
    ck_assert_int_eq(exported_run("$GMPTRACE diff a.data --a=..1us -o d --type=leaks"), 2);
    exported_has(exported_err, "--type is one of those of gmptrace pprof but leak, not 'leaks'");
    ck_assert_int_eq(exported_run("$GMPTRACE diff a.data --a=..1us --json -o d"), 2);
    exported_has(exported_err, "-o writes a profile instead of what differs");
    ck_assert_int_eq(exported_run("$GMPTRACE diff a.data --a=..1us --b=2s.. -o d"), 2);
    exported_has(exported_err, "nothing is there after 2.00 s");
    ck_assert_int_eq(exported_run("$GMPTRACE diff a.data --a=..1us -o /nowhere/d"), 4);
    exported_has(exported_err, "cannot write /nowhere/d: No such file or directory");
}
