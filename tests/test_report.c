/* gmptrace report: the page as a browser shows it. */
#include "exported.h"
#include "harness.h"
#include "tracefile.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool shell_holds(const char *command) { return system(command) == 0; }

TEST(report, page_names_its_own_scripts_only)
{
    exported_golden("export");
    ck_assert_int_eq(exported_run("$GMPTRACE report %s", "-o -"), 0);
    ck_assert_ptr_nonnull(strstr(exported_out, "default-src 'none'; script-src 'sha256-"));
    ck_assert_ptr_nonnull(strstr(exported_out, "id=\"data\">{\"meta\":"));
    ck_assert_ptr_null(strstr(exported_out, "http://"));
    ck_assert_ptr_null(strstr(exported_out, "https://"));
}

/* At the end G2 and G3 wait for each other's locks, and G4 for one of G3's. */
static const char held_trace[] = "pid 7\np_count 1\nclock_kind monotonic\nframe\n"
                                 "clock 1000 500000 1700000000000000000\nstack 0 1 0x1010 0x1011\n"
                                 "events ring=0 sequence=0 offset=0 base=1000 g=0 seq=0 tid=70 lost=0\n"
                                 "  0 proc_start tid=70\n  10 go_create g=1 fn=0x10 stack=0\n"
                                 "  10 go_start g=1 seq=2\n  10 go_create g=2 fn=0x20 stack=1\n"
                                 "  10 go_create g=3 fn=0x30 stack=1\n  10 go_create g=4 fn=0x40 stack=1\n"
                                 "  10 go_block reason=sleep object=0x0 bounded=1 stack=1 owner=0\n"
                                 "  10 go_start g=2 seq=2\n"
                                 "  10 go_block reason=mutex object=0xc0 bounded=0 stack=1 owner=3\n"
                                 "  10 go_start g=3 seq=2\n"
                                 "  10 go_block reason=mutex object=0xd0 bounded=0 stack=1 owner=2\n"
                                 "  10 go_start g=4 seq=2\n"
                                 "  10 go_block reason=mutex object=0xe0 bounded=0 stack=1 owner=3\n"
                                 "frame\nclock 2000 501000 1700000000000001000\nend 0 0\nring 13 0 0\n"
                                 "ring 0 0 0\n";

/* tests/traces/kernel.txt as the tier perf has it. */
static char *perf_trace(void)
{
    char *text = malloc(8192);
    ck_assert_int_eq(
        harness_shell("awk '/kernel_task|kernel_by|kernel_stack/ { left += $1; next } "
                      "/kernel_off/ { $1 += left; left = 0; sub(/g=[0-9]+/, \"g=0\"); "
                      "sub(/doing=[0-9]+/, \"doing=15\"); "
                      "sub(/call=[0-9]+/, \"call=0\"); sub(/argument=[0-9]+/, \"argument=0\"); "
                      "if (/why=0/) sub(/queue_ns=[0-9]+/, \"queue_ns=18446744073709551615\") } "
                      "{ sub(/tier=3/, \"tier=2\"); sub(/^ring 12/, \"ring 6\"); print }' tests/traces/kernel.txt",
                      text, 8192, NULL, 0),
        0);
    return text;
}

/* ffmpeg has the CPU of G1 for 30 ms. */
static const char noise_trace[] = "pid 7\np_count 1\nclock_kind monotonic\nframe\n"
                                  "clock 1000 500000 1700000000000000000\n"
                                  "events ring=0 sequence=0 offset=0 base=1000 g=0 seq=0 tid=70 lost=0\n"
                                  "  0 proc_start tid=70\n  10 go_create g=1 fn=0x10 stack=0\n"
                                  "  10 go_start g=1 seq=2\n"
                                  "events ring=2 sequence=0 offset=0 base=1000 g=0 seq=0 tid=0 lost=0\n"
                                  "  0 kernel_tier tier=3 others=1 error_ns=5\n"
                                  "  0 kernel_task tid=9 pid=9 a=0x6765706d6666 b=0x0 c=0x0\n"
                                  "  50000000 kernel_by next=9 next_g=0 waker=0 waker_g=0 most=9 most_g=0\n"
                                  "  0 kernel_off tid=70 g=1 doing=2 why=1 call=0 argument=0 off_ns=30000000 "
                                  "queue_ns=30000000\n"
                                  "frame\nclock 100001000 100500000 1700000000100000000\nend 0 0\n"
                                  "ring 3 0 0\nring 0 0 0\nring 4 0 0\n";

/* Of a program in which one goroutine delays others, down to its line. */
TEST_TIMEOUT(report, browser_reaches_the_line_of_a_hog, 120)
{
    char directory[] = "/tmp/gmptrace-report-XXXXXX", command[1024];
    if (!shell_holds("command -v \"${CHROMIUM:-chromium}\" >/dev/null 2>&1"))
        SKIP("no chromium here");
    if (!shell_holds("python3 -c 'import json' >/dev/null 2>&1"))
        SKIP("no python3 here");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(command, sizeof command,
             "cd %s && GMPT_MAXPROCS=1 \"$GMPTRACE\" record -o t -- \"$BUILD\"/tests/programs/hogged 10 >log 2>&1 && "
             "\"$GMPTRACE\" report t -o page.html >>log 2>&1",
             directory);
    bool made = shell_holds(command);
    snprintf(command, sizeof command, "\"$GMPTRACE\" report %s -o %s/held.html >/dev/null 2>&1",
             tracefile_build(held_trace), directory);
    made = made && shell_holds(command);
    exported_golden("kernel");
    snprintf(command, sizeof command, "\"$GMPTRACE\" report %s/gmptrace.data -o %s/kernel.html >/dev/null 2>&1",
             harness_tmpdir(), directory);
    made = made && shell_holds(command);
    char *perf = perf_trace();
    snprintf(command, sizeof command, "\"$GMPTRACE\" report %s -o %s/perf.html >/dev/null 2>&1",
             tracefile_build(perf), directory);
    free(perf);
    made = made && shell_holds(command);
    snprintf(command, sizeof command, "\"$GMPTRACE\" report %s -o %s/noise.html >/dev/null 2>&1",
             tracefile_build(noise_trace), directory);
    made = made && shell_holds(command);
    snprintf(command, sizeof command,
             "python3 tests/report_browser.py %1$s/page.html %1$s/held.html %1$s/kernel.html %1$s/perf.html "
             "%1$s/noise.html",
             directory);
    bool seen = made && shell_holds(command);
    snprintf(command, sizeof command, "rm -rf %s", directory);
    bool removed = shell_holds(command);
    ck_assert(made);
    ck_assert(seen);
    ck_assert(removed);
}

/* ---- What the page's data is, whatever the trace is like --------------------------------------------------------- */

/* The data of the page that `gmptrace report trace OPTIONS` writes; one whole JSON value. */
static const char *page_data(const char *options)
{
    static const char begin[] = "id=\"data\">", end[] = "</script>";
    int status = exported_run("$GMPTRACE report gmptrace.data -o - %s", options);
    ck_assert_msg(status == 0, "status %d: %s", status, exported_err);
    char *data = strstr(exported_out, begin);
    ck_assert_ptr_nonnull(data);
    data += sizeof begin - 1;
    char *after = strstr(data, end);
    ck_assert_msg(after != NULL, "the page is whole and fits into the test's buffer");
    *after = 0;
    ck_assert_msg(sample_json_valid(data), "not JSON: %.3000s", data);
    return data;
}

static void trace_from(const char *text)
{
    ck_assert_int_eq(exported_run("mv %s gmptrace.data", tracefile_build(text)), 0);
}

#define ONE_P_HEAD "pid 7\np_count 1\nclock_kind monotonic\nframe\nclock 1000 500000 1700000000000000000\n"

TEST(report, an_empty_trace_makes_a_page)
{
    trace_from(ONE_P_HEAD "end 0 0\n");
    const char *data = page_data("--columns 16");
    exported_has(data, "\"worst\":[]");
    exported_has(data, "\"owners\":[]");
}

/* G3 waits twice for a lock that G2 has, the second time to the end. */
TEST(report, locks_name_who_had_them)
{
    trace_from(ONE_P_HEAD "stack 0 1 0x1010 0x1011\n"
                          "events ring=0 sequence=0 offset=0 base=1000 g=0 seq=0 tid=70 lost=0\n"
                          "  0 proc_start tid=70\n"
                          "  10 go_create g=1 fn=0x10 stack=0\n"
                          "  10 go_start g=1 seq=2\n"
                          "  10 go_create g=2 fn=0x20 stack=1\n"
                          "  10 go_create g=3 fn=0x30 stack=1\n"
                          "  10 go_block reason=sleep object=0x0 bounded=1 stack=1 owner=0\n"
                          "  10 go_start g=3 seq=2\n"
                          "  10 go_block reason=mutex object=0xc0 bounded=0 stack=1 owner=2\n"
                          "  10 go_start g=2 seq=2\n"
                          "  70 go_unblock g=3 seq=4 by=0 stack=0\n"
                          "  10 go_block reason=sleep object=0x0 bounded=1 stack=1 owner=0\n"
                          "  10 go_start g=3 seq=5\n"
                          "  10 go_block reason=mutex object=0xc0 bounded=0 stack=1 owner=2\n"
                          "frame\nclock 2000 501000 1700000000000001000\nend 0 0\nring 11 0 0\nring 0 0 0\n");
    const char *data = page_data("--columns 16");
    const char *owners = strstr(data, "\"owners\":[[");
    ck_assert_ptr_nonnull(owners);
    unsigned waiter, stack, owner;
    unsigned long times, total, longest, open;
    ck_assert_int_eq(sscanf(owners, "\"owners\":[[%u,%u,%u,%lu,%lu,%lu,%lu]]", &waiter, &stack, &owner, &times, &total,
                            &longest, &open),
                     7);
    ck_assert_uint_ne(waiter, owner);
    ck_assert_uint_ne(owner, 0);
    ck_assert_uint_eq(times, 2);
    ck_assert_uint_eq(open, 1);
    ck_assert_uint_ge(longest, 80);
    ck_assert_uint_ge(total, longest);
    exported_has(data, "\"held\":[[3,");
}

/* G2 runs for 30 ms while G3 could. */
TEST(report, findings_are_those_of_analyze)
{
    trace_from(ONE_P_HEAD "stack 0 1 0x1010 0x1011\n"
                          "events ring=0 sequence=0 offset=0 base=1000 g=0 seq=0 tid=70 lost=0\n"
                          "  0 proc_start tid=70\n"
                          "  10 go_create g=1 fn=0x10 stack=0\n"
                          "  10 go_start g=1 seq=2\n"
                          "  10 go_create g=2 fn=0x20 stack=1\n"
                          "  10 go_create g=3 fn=0x30 stack=1\n"
                          "  10 go_block reason=sleep object=0x0 bounded=1 stack=1 owner=0\n"
                          "  10 go_start g=2 seq=2\n"
                          "  30000000 go_exit\n"
                          "  10 go_start g=3 seq=2\n"
                          "  10 go_exit\n"
                          "frame\nclock 40000000 40500000 1700000000040000000\nend 0 0\nring 10 0 0\nring 0 0 0\n");
    ck_assert_int_eq(exported_run("$GMPTRACE analyze gmptrace.data --json"), 0);
    exported_has(exported_out, "\"kind\": \"long_scheduling_wait\"");
    const char *data = page_data("--columns 16");
    exported_has(data, "long_scheduling_wait");
    exported_has(data, "could run and had to wait, for up to");
    ck_assert_ptr_null(strstr(data, "\"findings\":[]"));
}

TEST(report, an_attached_trace_makes_a_page)
{
    trace_from("pid 7\np_count 1\nclock_kind monotonic\nattached 1\nframe\nclock 1000 500000 1700000000000000000\n"
               "events ring=2 sequence=0 offset=0 base=1000 g=0 seq=0 tid=0 lost=0\n"
               "  1 go_was g=1 seq=2 state=3 parent=0 fn=0x10 stack=0\n"
               "  1 go_waited g=1 reason=sleep object=0x0 bounded=1 waited_ns=50 stack=0\n"
               "frame\nclock 2000 501000 1700000000000001000\nend 0 0\nring 0 0 0\nring 0 0 0\nring 2 0 0\n");
    exported_has(page_data("--columns 16"), "\"attached\":1");
}

TEST(report, what_the_kernel_did_is_cut_into_columns)
{
    exported_golden("kernel");
    const char *data = page_data("--columns 16"); /* of 63 ns */
    exported_has(data, "\"kernel\":{\"tier\":\"bpf\",\"lost\":0,\"error\":5");
    /* P0: 50 ns in queue from 100 on, 50 ns blocked from 220 on, then 10 in queue. */
    exported_has(data, "\"ps\":[{\"p\":0,\"cells\":[[1,26,0,1,50,1,[0,");
    exported_has(data, "[2,24,0,0,50,1,[0,");
    exported_has(data, "[3,0,32,1,0,0,[0]],[4,10,18,0,10,1,[0,");
    exported_has(data, "\"cpus\":[{\"cpu\":0,");
    /* G1: 50 ns in queue while it ran; 50 blocked and 10 in queue in its call. G2: 60 blocked, 5 in queue. */
    exported_has(data, "[0,50,50,10,0]]");
    exported_has(data, "[60,5,0,0,0]]");
    exported_has(data, "\"offs\":[71,-1,0,0,");
    exported_has(data, ",\"offs_to\":-1}");
    exported_golden("usages"); /* it only counts; one figure is more than there can be */
    data = page_data("--columns 16");
    exported_has(data, "\"kernel\":{\"tier\":\"proc\",\"lost\":0,\"error\":5,"
                       "\"usage\":[350,9223372036854775807,37,12]");
    exported_golden("hello"); /* the kernel was not asked */
    data = page_data("--columns 16");
    exported_has(data, "\"kernel\":null");
    exported_has(data, "\"offs\":[],");
}

/* No more of them than slices, however many there were. */
TEST(report, times_without_a_cpu_are_bounded_as_slices_are)
{
    char text[4096];
    size_t used = (size_t)snprintf(text, sizeof text,
                                   ONE_P_HEAD "events ring=0 sequence=0 offset=0 base=1000 g=0 seq=0 tid=70 lost=0\n"
                                              "  0 proc_start tid=70\n"
                                              "  10 go_create g=1 fn=0x10 stack=0\n"
                                              "  10 go_start g=1 seq=2\n"
                                              "events ring=2 sequence=0 offset=0 base=1000 g=0 seq=0 tid=0 lost=0\n"
                                              "  0 kernel_tier tier=3 others=1 error_ns=5\n");
    for (int i = 0; i < 10; i++)
        used += (size_t)snprintf(text + used, sizeof text - used,
                                 "  50 kernel_off tid=70 g=1 doing=2 why=1 call=0 argument=0 off_ns=9 queue_ns=9\n");
    snprintf(text + used, sizeof text - used,
             "frame\nclock 2000 501000 1700000000000001000\nend 0 0\nring 3 0 0\nring 0 0 0\nring 11 0 0\n");
    trace_from(text);
    exported_has(page_data("--columns 16 --slices 4"), "\"offs_to\":250}");
    exported_has(page_data("--columns 16 --slices 10"), "\"offs_to\":-1}");
}

TEST(report, codes_of_events_are_those_of_the_table)
{
    exported_golden("export");
    const char *data = page_data("--columns 16");
#define EVENT(code, name, prose)                                             \
    {                                                                        \
        char member[64];                                                     \
        snprintf(member, sizeof member, "\"%s\":%d", #name, code);           \
        ck_assert_msg(strstr(data, member) != NULL, "%s is not in", member); \
    }
#define FIELD(kind, name, prose)
#define END
#include <gmptrace/events.def>
}

/* Seven values each. */
static unsigned slices_of(const char *data)
{
    unsigned commas = 0;
    for (const char *at = strstr(data, "\"windows\":["); at && (at = strstr(at, "\"slices\":["));) {
        at += sizeof "\"slices\":[" - 1;
        if (*at != ']')
            commas++;
        for (; *at != ']'; at++)
            commas += *at == ',';
    }
    return commas / 7;
}

TEST(report, thousands_of_goroutines_have_no_more_slices_than_asked_for)
{
    exported_sample(&(struct sample_options){ .leaks = 20, .done = 4000 });
    const char *data = page_data("--columns 16 --slices 100");
    unsigned slices = slices_of(data);
    ck_assert_uint_gt(slices, 0);
    ck_assert_uint_le(slices, 100);
    exported_has(data, "\"whole\":false");
    exported_has(page_data("--columns 16 --slices 0"), "\"windows\":[]");
    exported_sample(&(struct sample_options){ .leaks = 3 });
    exported_has(page_data("--columns 16 --slices 1000"), "\"whole\":true,\"cut\":false");
}

/* Cut off at any place, or with bits turned: a page, or a refusal that says why, and never a crash. */
TEST_TIMEOUT(report, cut_off_and_damaged_traces_make_pages_or_are_refused, 300)
{
    exported_sample(&(struct sample_options){ .leaks = 8, .healthy = 3, .done = 20, .apart = true });
    ck_assert_int_eq(exported_run("cp gmptrace.data whole && stat -c %%s whole"), 0);
    int size = atoi(exported_out), pages = 0, refused = 0;
    ck_assert_int_gt(size, 400);
    for (int i = 0; i < 40; i++) {
        int at = 16 + (int)((long)(size - 17) * i / 39), status;
        if (i % 2)
            status = exported_run("head -c %d whole >gmptrace.data", at);
        else
            status = exported_run("cp whole gmptrace.data && printf '\\377\\001' | "
                                  "dd of=gmptrace.data bs=1 seek=%d conv=notrunc status=none",
                                  at);
        ck_assert_int_eq(status, 0);
        status = exported_run("$GMPTRACE report gmptrace.data -o - --columns 16 >page");
        ck_assert_msg(status == 0 || status == 3, "at %d: status %d: %s", at, status, exported_err);
        if (status == 0) {
            page_data("--columns 16");
            pages++;
        } else {
            ck_assert_str_ne(exported_err, "");
            refused++;
        }
    }
    ck_assert_int_gt(pages, 0);
    ck_assert_int_gt(refused, 0);
}
