/* gmptrace export, whatever the format: its options, where the output goes, and the text form. */
#include "exported.h"
#include "harness.h"

#include <string.h>

static const char *const formats[] = { "perfetto", "chrome", "csv", "sqlite", "text" };
#define FORMATS (sizeof formats / sizeof formats[0])

/* ---- The output -------------------------------------------------------------------------------------------------- */

TEST(export, each_format_has_its_own_file)
{
    exported_golden("export");
    for (size_t i = 0; i < FORMATS; i++)
        ck_assert_int_eq(exported_run("$GMPTRACE export --format=%s > %s.out", formats[i], formats[i]), 0);
    ck_assert_int_eq(exported_run("ls; stat -c %%a gmptrace.sqlite; test -s csv.out && test -s text.out && "
                                  "! test -s chrome.out"),
                     0);
    ck_assert_str_eq(exported_out, "chrome.out\ncsv.out\ngmptrace.data\ngmptrace.json\ngmptrace.pftrace\n"
                                   "gmptrace.sqlite\nperfetto.out\nsqlite.out\ntext.out\n600\n");
}

TEST(export, a_file_and_standard_output_have_the_same_bytes)
{
    exported_golden("export");
    for (size_t i = 0; i < FORMATS; i++) {
        ck_assert_int_eq(
            exported_run("$GMPTRACE export --format=%s -o file && $GMPTRACE export --format=%s -o - > pipe && "
                         "cmp file pipe && rm file && ls",
                         formats[i], formats[i]),
            0);
        ck_assert_str_eq(exported_out, "gmptrace.data\npipe\n");
    }
}

TEST(export, a_name_in_gz_is_compressed)
{
    exported_sample(&(struct sample_options){ .leaks = 1000 });
    for (size_t i = 0; i < FORMATS; i++) {
        if (strcmp(formats[i], "sqlite") == 0)
            continue;
        ck_assert_int_eq(exported_run("$GMPTRACE export --format=%s -o x.gz && $GMPTRACE export --format=%s -o x && "
                                      "gzip -dc x.gz | cmp - x && test $(stat -c %%s x.gz) -lt $(stat -c %%s x) && "
                                      "rm x x.gz && ls",
                                      formats[i], formats[i]),
                         0);
        ck_assert_str_eq(exported_out, "gmptrace.data\n");
    }
    ck_assert_int_eq(exported_run("$GMPTRACE export --format=sqlite -o x.gz"), 2);
    exported_has(exported_err, "not compressed");
    ck_assert_int_eq(exported_run("ln -s /dev/full full.gz && $GMPTRACE export --format=csv -o full.gz"), 4);
    exported_has(exported_err, "cannot write full.gz: No space left on device");
}

TEST(export, what_was_there_is_kept)
{
    exported_golden("export");
    ck_assert_int_eq(exported_run("echo precious > x && $GMPTRACE export --format=csv -o x && cat x.old && wc -l < x"),
                     0);
    ck_assert_str_eq(exported_out, "precious\n13\n");
    exported_has(exported_err, "[ gmptrace export: wrote ");
    exported_has(exported_err, " -> x ]\n[ what was there before is x.old ]\n");
}

TEST(export, a_device_is_written_and_not_replaced)
{
    exported_golden("export");
    for (size_t i = 0; i < FORMATS; i++)
        ck_assert_int_eq(exported_run("$GMPTRACE export --format=%s -o /dev/null && test -c /dev/null", formats[i]), 0);
    ck_assert_int_eq(
        exported_run("mkfifo fifo && { cat fifo > copy & $GMPTRACE export --format=sqlite -o fifo && wait && "
                     "test -p fifo && head -c 15 copy; }"),
        0);
    ck_assert_str_eq(exported_out, "SQLite format 3");
}

TEST(export, a_full_disk_is_the_machines_fault)
{
    exported_sample(&(struct sample_options){ .leaks = 1000 });
    for (size_t i = 0; i < FORMATS; i++) {
        ck_assert_int_eq(exported_run("$GMPTRACE export --format=%s -o - > /dev/full", formats[i]), 4);
        exported_has(exported_err, "cannot write the output: No space left on device");
    }
}

TEST(export, a_reader_that_has_seen_enough_is_no_failure)
{
    exported_sample(&(struct sample_options){ .leaks = 3000 });
    ck_assert_int_eq(exported_run("{ trap '' PIPE; $GMPTRACE export --format=csv; echo $? >&2; } | head -n 1"), 0);
    ck_assert_str_eq(exported_err, "0\n");
}

TEST(export, a_failed_run_leaves_nothing)
{
    ck_assert_int_eq(exported_run("echo no trace > gmptrace.data; $GMPTRACE export --format=sqlite; s=$?; ls; exit $s"),
                     3);
    ck_assert_str_eq(exported_out, "gmptrace.data\n");
    ck_assert_int_eq(exported_run("$GMPTRACE export --format=csv nowhere.data"), 3);
    exported_has(exported_err, "nowhere.data");
}

TEST(export, a_trace_that_is_cut_off_is_told_as_far_as_it_goes)
{
    exported_sample(&(struct sample_options){ .leaks = 3, .no_end = true });
    for (size_t i = 0; i < FORMATS; i++) {
        ck_assert_int_eq(exported_run("$GMPTRACE export --format=%s", formats[i]), 0);
        exported_has(exported_err, "says nothing about how the recording ended");
    }
}

/* It may be done before the signal comes, but never leave a part. */
TEST(export, a_signal_leaves_no_part)
{
    exported_sample(&(struct sample_options){ .leaks = 4000 });
    for (size_t i = 0; i < FORMATS; i++) {
        ck_assert_int_eq(exported_run("{ $GMPTRACE export --format=%s -o x & } 2> log; pid=$!; "
                                      "while kill -0 $pid && ! ls x.*.part; do :; done > /dev/null 2>&1; "
                                      "kill -TERM $pid; wait $pid; ls x.*.part > parts; cat parts",
                                      formats[i]),
                         0);
        ck_assert_str_eq(exported_out, "");
    }
}

/* ---- Text -------------------------------------------------------------------------------------------------------- */

TEST(export, text_is_what_script_prints)
{
    exported_sample(&(struct sample_options){ .leaks = 3, .done = 2 });
    ck_assert_int_eq(exported_run("$GMPTRACE export --format=text > a && $GMPTRACE script > b && cmp a b && test -s a"),
                     0);
    exported_golden("export");
    ck_assert_int_eq(exported_run("$GMPTRACE export --format=text --from=95ns --to=101ns"), 0);
    ck_assert_str_eq(exported_out,
                     "    0.000000095  P0   G2        user_log        task=1 category=\"say \"hi\"\" bytes=11 "
                     "text=\"ello world?\"\n"
                     "    0.000000100  P0   G2        syscall_begin   stack=\"0x1031\"\n"
                     "    0.000000100  P1   G1        go_unblock      seq=4 by=\"unknown\"\n");
}

/* ---- Usage ------------------------------------------------------------------------------------------------------- */

TEST(export, the_trace_is_never_its_own_output)
{
    exported_golden("export");
    ck_assert_int_eq(exported_run("cp gmptrace.data before && ln -s gmptrace.data link"), 0);
    ck_assert_int_eq(exported_run("$GMPTRACE export --format=csv -o gmptrace.data"), 2);
    ck_assert_int_eq(exported_run("$GMPTRACE export --format=sqlite link -o ./gmptrace.data"), 2);
    exported_has(exported_err, "would take the place of the trace");
    ck_assert_int_eq(exported_run("cmp gmptrace.data before"), 0);
}

TEST(export, wrong_arguments_are_usage_errors)
{
    static const char *const arguments[] = {
        "",
        "--format=xml",
        "--format",
        "--format=csv --table=rows",
        "--format=chrome --table=slices",
        "--format=csv --from=soon",
        "--format=csv --to=5",
        "--format=csv --from=2s --to=1s",
        "--format=csv --every=often",
        "--format=csv a b",
        "--format=csv -o ''",
        "--bogus",
    };
    exported_golden("export");
    for (size_t i = 0; i < sizeof arguments / sizeof arguments[0]; i++) {
        ck_assert_msg(exported_run("$GMPTRACE export %s", arguments[i]) == 2, "%s", arguments[i]);
        ck_assert_str_eq(exported_out, "");
        exported_has(exported_err, "; see gmptrace export --help\n");
    }
}

/* script(1) gives the command a terminal of its own. */
TEST(export, binary_formats_refuse_a_terminal)
{
    exported_golden("export");
    if (exported_run("command -v script") != 0)
        SKIP("there is no script(1) to make a terminal");
    ck_assert_int_eq(exported_run("script -qec '$GMPTRACE export --format=sqlite -o -' /dev/null"), 2);
    exported_has(exported_out, "binary and will not be written to a terminal; give -o FILE");
    ck_assert_int_eq(exported_run("script -qec '$GMPTRACE export --format=csv' /dev/null"), 0);
    exported_has(exported_out, "g,function,state");
}

TEST(export, help_goes_to_standard_output)
{
    ck_assert_int_eq(exported_run("$GMPTRACE export --help"), 0);
    exported_has(exported_out, "Usage: gmptrace export");
    ck_assert_str_eq(exported_err, "");
}
