/* The file of known leaks: what it may say, what it covers, and that it is written as it is read. */
#define _GNU_SOURCE
#include "cli/cli.h"
#include "cli/suppressions.h"
#include "harness.h"
#include "madeleaks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[512], told[4096];
static struct suppressions known;

static void write_file(const char *text)
{
    snprintf(path, sizeof path, "%s/known", harness_tmpdir());
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    ck_assert_int_eq(fclose(file), 0);
}

/* What fn says on standard error is in `told`. */
static void listen(void (*fn)(void))
{
    char file[512];
    int before = dup(STDERR_FILENO);
    snprintf(file, sizeof file, "%s/told", harness_tmpdir());
    ck_assert_ptr_nonnull(freopen(file, "w+", stderr));
    fn();
    rewind(stderr);
    told[fread(told, 1, sizeof told - 1, stderr)] = 0;
    fflush(stderr);
    dup2(before, STDERR_FILENO);
    close(before);
}

static int status;
static void read_file(void) { status = suppressions_read(&known, path); }
static void tell(void) { suppressions_tell(&known); }

static void reads(const char *text)
{
    write_file(text);
    listen(read_file);
    ck_assert_msg(status == CLI_OK, "%s", told);
}

static void refuses(const char *text, const char *complaint)
{
    write_file(text);
    listen(read_file);
    ck_assert_int_eq(status, CLI_INPUT);
    ck_assert_msg(strstr(told, complaint), "'%s' is not in: %s", complaint, told);
    suppressions_free(&known);
}

/* Whether the first group is covered by a file with this entry. */
static bool covers(const char *entry, struct madeleak leak)
{
    char text[1024];
    struct leak_report report;
    snprintf(text, sizeof text, "leak\n%s\nreason x\n", entry);
    reads(text);
    made_report(&report, &leak, 1);
    suppressions_apply(&known, &report, "2026-11-30");
    bool is = report.groups[0].suppressed != NULL;
    leak_report_free(&report);
    suppressions_free(&known);
    return is;
}

static const struct madeleak usual = { .count = 1 };

TEST(suppressions, names_and_patterns_cover)
{
    ck_assert(covers("started starter", usual));
    ck_assert(covers("started start* gate.c", usual));
    ck_assert(covers("started starter src/gate.c", usual));
    ck_assert(covers("started starter " MADE_ROOT "/*/gate.c", usual));
    ck_assert(covers("waits w?rker", usual));
    ck_assert(covers("function worker\nin chan_send\nkind cycle,proven\nlabel tenant=a*", usual));
    ck_assert(covers("started-under caller", usual));
}

TEST(suppressions, what_differs_in_one_thing_is_not_covered)
{
    ck_assert(!covers("started caller", usual)); /* only the innermost */
    ck_assert(!covers("started starter ate.c", usual));
    ck_assert(!covers("started starter\nwaits other", usual));
    ck_assert(!covers("function worker\nin chan_recv", usual));
    ck_assert(!covers("function worker\nkind cycle", usual));
    ck_assert(!covers("function worker\nlabel tenant=b", usual));
    ck_assert(!covers("started-under worker", usual));
    ck_assert(!covers("function worker", (struct madeleak){ .nameless = true }));
}

TEST(suppressions, a_line_in_a_function_holds_as_the_file_changes)
{
    ck_assert(covers("started starter gate.c +10", usual));
    ck_assert(covers("started starter gate.c +10", (struct madeleak){ .shift = 500 }));
    ck_assert(covers("started starter gate.c +10", (struct madeleak){ .starts = 25 }));
    ck_assert(!covers("started starter gate.c +10", (struct madeleak){ .starts = 80 }));
}

TEST(suppressions, a_second_leak_in_the_same_function_is_new)
{
    struct leak_report report;
    reads("leak\n started starter gate.c +10\n reason x\n");
    MADE_REPORT(&report, { .starts = 10 }, { .starts = 13, .count = 5 });
    suppressions_apply(&known, &report, "2026-11-30");
    ck_assert_uint_eq(report.groups[0].count, 5);
    ck_assert_ptr_null(report.groups[0].suppressed);
    ck_assert_ptr_nonnull(report.groups[1].suppressed);
    leak_report_free(&report);
    /* both have moved */
    MADE_REPORT(&report, { .starts = 12 }, { .starts = 15, .count = 5 });
    suppressions_apply(&known, &report, "2026-11-30");
    ck_assert_ptr_null(report.groups[0].suppressed);
    ck_assert_ptr_nonnull(report.groups[1].suppressed);
    leak_report_free(&report);
    suppressions_free(&known);
}

TEST(suppressions, an_entry_that_has_moved_takes_nothing_from_one_that_fits)
{
    struct leak_report report;
    reads("leak\n started starter gate.c +10\n reason one\nleak\n started starter gate.c +13\n reason two\n");
    MADE_REPORT(&report, { .starts = 13 });
    suppressions_apply(&known, &report, "2026-11-30");
    ck_assert_str_eq(report.groups[0].suppressed->reason, "two");
    ck_assert_uint_eq(known.list[0].used, 0);
    listen(tell);
    ck_assert(strstr(told, ":1: this entry covers nothing any more"));
    ck_assert(!strstr(told, ":4:"));
    leak_report_free(&report);
    suppressions_free(&known);
}

TEST(suppressions, an_entry_holds_until_its_day_is_over)
{
    struct leak_report report;
    reads("leak\n function worker\n reason soon mended\n until 2026-11-30\n");
    MADE_REPORT(&report, { .count = 1 });
    suppressions_apply(&known, &report, "2026-11-30");
    ck_assert_ptr_nonnull(report.groups[0].suppressed);
    report.groups[0].suppressed = NULL;
    suppressions_apply(&known, &report, "2026-12-01");
    ck_assert_ptr_null(report.groups[0].suppressed);
    listen(tell);
    ck_assert(strstr(told, ":1: this entry held until 2026-11-30: what it covered counts again (soon mended)"));
    leak_report_free(&report);
    suppressions_free(&known);
}

TEST(suppressions, what_is_wrong_is_told_with_its_line)
{
    refuses("# x\n\nstarted f\n", "known:3: 'started' stands before the first line 'leak'");
    refuses("leak\n started f\n", "known:1: this entry has no line 'reason'");
    refuses("leak\n reason x\nleak\n", "known:1: this entry would cover leaks wherever they are");
    refuses("leak\n reason\n", "known:2: here comes why the leak is accepted");
    refuses("leak now\n", "known:1: 'leak' stands alone");
    refuses("leak\n start f\n", "known:2: 'start' is nothing that an entry says");
    refuses("leak\n started\n", "known:2: here comes FUNCTION");
    refuses("leak\n started f g.c 12\n", "known:2: '12' is not how many lines");
    refuses("leak\n started f g.c +99999999999\n", "known:2: '+99999999999' is not how many lines");
    refuses("leak\n started f g.c +1 x\n", "known:2: 'x' is not how many lines");
    refuses("leak\n started f\n started g\n", "known:3: the entry says this already");
    refuses("leak\n started \"f\n", "known:2: a quotation mark has no second one");
    refuses("leak\n in tea\n", "known:2: here comes what they wait for");
    refuses("leak\n kind bad\n", "known:2: here come kinds");
    refuses("leak\n kind proven,\n", "known:2: here come kinds");
    refuses("leak\n label x\n", "known:2: here comes KEY=VALUE");
    refuses("leak\n until 2026-04-31\n", "known:2: here comes a day");
    refuses("leak\n until 26-04-30\n", "known:2: here comes a day");
}

TEST(suppressions, a_file_that_is_not_there_is_told)
{
    snprintf(path, sizeof path, "%s/none", harness_tmpdir());
    listen(read_file);
    ck_assert_int_eq(status, CLI_INPUT);
    ck_assert(strstr(told, "No such file"));
}

static void write_and_read(const struct leak_report *report, size_t entries)
{
    size_t written;
    snprintf(path, sizeof path, "%s/known", harness_tmpdir());
    ck_assert_int_eq(suppressions_write(report, ~0u, path, "2026-11-30", &written), 0);
    ck_assert_uint_eq(written, entries);
    suppressions_free(&known);
    listen(read_file);
    ck_assert_msg(status == CLI_OK, "%s", told);
    ck_assert_uint_eq(known.count, entries);
}

TEST(suppressions, what_is_written_covers_what_was_found)
{
    struct leak_report report;
    MADE_REPORT(&report, { .count = 1 }, { .starts = 20 }, { .worker = "C<int*>::run(char const*, int)" },
                { .kind = LEAK_STUCK }, { .kind = LEAK_RUNAWAY });
    write_and_read(&report, 4); /* stuck and proven are one place */
    suppressions_apply(&known, &report, "2026-11-30");
    ck_assert_uint_eq(leak_report_suppressed(&report), report.count);
    leak_report_free(&report);
    /* and nothing else */
    MADE_REPORT(&report, { .worker = "another" }, { .worker = "C<inty>::run(char const*, int)" });
    suppressions_apply(&known, &report, "2026-11-30");
    ck_assert_uint_eq(leak_report_suppressed(&report), 0);
    leak_report_free(&report);
    suppressions_free(&known);
}

TEST(suppressions, reasons_and_days_are_kept_as_it_is_written_again)
{
    struct leak_report report;
    reads("leak\n started starter\n waits worker\n reason \"quoted\" # and not a remark\n until 2999-01-01\n");
    MADE_REPORT(&report, { .count = 1 });
    suppressions_apply(&known, &report, "2026-11-30");
    struct suppressions before = known;
    size_t written;
    ck_assert_int_eq(suppressions_write(&report, ~0u, path, "2026-11-30", &written), 0);
    listen(read_file);
    ck_assert_str_eq(known.list[0].reason, "\"quoted\" # and not a remark");
    ck_assert_str_eq(known.list[0].until, "2999-01-01");
    suppressions_free(&before);
    suppressions_free(&known);
    leak_report_free(&report);
}
