/* Findings become groups, in an order, with fingerprints. */
#include "harness.h"
#include "madeleaks.h"

#include <string.h>

TEST(leakreport, alike_findings_of_several_processes_are_one_group)
{
    struct leak_report report;
    MADE_REPORT(&report, { .count = 3 }, { .count = 4, .pid = 8 });
    ck_assert_uint_eq(report.count, 1);
    ck_assert_uint_eq(report.groups[0].count, 7);
    ck_assert_uint_eq(report.groups[0].processes, 2);
    leak_report_free(&report);
}

TEST(leakreport, another_line_kind_or_function_is_another_group)
{
    struct leak_report report;
    MADE_REPORT(&report, { .count = 1 }, { .starts = 11 }, { .waits = 11 }, { .kind = LEAK_STUCK },
                { .worker = "other" });
    ck_assert_uint_eq(report.count, 5);
    leak_report_free(&report);
}

TEST(leakreport, the_oldest_is_the_example)
{
    struct leak_report report;
    MADE_REPORT(&report, { .oldest_ns = 5 }, { .oldest_ns = 9, .pid = 8 }, { .oldest_ns = 7, .pid = 9 });
    ck_assert_uint_eq(report.groups[0].example_pid, 8);
    ck_assert_int_eq(report.groups[0].oldest_ns, 9);
    ck_assert_int_eq(report.groups[0].newest_ns, 5);
    leak_report_free(&report);
}

TEST(leakreport, the_worst_come_first)
{
    struct leak_report report;
    MADE_REPORT(&report, { .kind = LEAK_STUCK, .count = 100 }, { .kind = LEAK_CYCLE }, { .count = 2 },
                { .count = 3, .starts = 20 });
    ck_assert_int_eq(report.groups[0].kind, LEAK_PROVEN);
    ck_assert_uint_eq(report.groups[0].count, 3);
    ck_assert_uint_eq(report.groups[1].count, 2);
    ck_assert_int_eq(report.groups[2].kind, LEAK_CYCLE);
    ck_assert_int_eq(report.groups[3].kind, LEAK_STUCK);
    leak_report_free(&report);
}

TEST(leakreport, a_fingerprint_stays_as_lines_move)
{
    struct leak_report before, after;
    MADE_REPORT(&before, { .count = 1 });
    MADE_REPORT(&after, { .shift = 57, .starts = 14, .kind = LEAK_STUCK });
    ck_assert_str_eq(before.groups[0].fingerprint, after.groups[0].fingerprint);
    leak_report_free(&before);
    leak_report_free(&after);
}

TEST(leakreport, two_places_of_one_function_have_two_fingerprints)
{
    struct leak_report before, after;
    MADE_REPORT(&before, { .starts = 10 }, { .starts = 20, .count = 9 }); /* the second sorts before the first */
    MADE_REPORT(&after, { .starts = 12, .shift = 8, .count = 9 }, { .starts = 22, .shift = 8 });
    ck_assert_str_ne(before.groups[0].fingerprint, before.groups[1].fingerprint);
    ck_assert_str_eq(before.groups[1].fingerprint, after.groups[0].fingerprint);
    ck_assert_str_eq(before.groups[0].fingerprint, after.groups[1].fingerprint);
    leak_report_free(&before);
    leak_report_free(&after);
}

TEST(leakreport, findings_are_counted_by_kind)
{
    struct leak_report report;
    uint64_t gs;
    MADE_REPORT(&report, { .count = 5 }, { .kind = LEAK_GROWING, .count = 7 });
    ck_assert_uint_eq(leak_report_findings(&report, LEAK_KIND_BIT(LEAK_PROVEN), &gs), 1);
    ck_assert_uint_eq(gs, 5);
    ck_assert_uint_eq(leak_report_findings(&report, ~0u, &gs), 2);
    ck_assert_uint_eq(gs, 12);
    leak_report_free(&report);
}

TEST(leakreport, notes_are_kept_once)
{
    struct leak_report report;
    ck_assert_int_eq(leak_report_open(&report), 0);
    ck_assert_int_eq(leak_report_note(&report, "%d", 1), 0);
    ck_assert_int_eq(leak_report_note(&report, "%d", 1), 0);
    ck_assert_int_eq(leak_report_note(&report, "%d", 2), 0);
    ck_assert_uint_eq(report.note_count, 2);
    leak_report_free(&report);
}
