/* Leak reports for a person. */
#include "cli/suppressions.h"
#include "exported.h"
#include "harness.h"
#include "madeleaks.h"

TEST(leaktext, a_group_has_its_verdict_why_and_both_places)
{
    struct leak_report report;
    MADE_REPORT(&report, { .count = 12 }, { .count = 1, .pid = 8, .oldest_ns = 3000000000 });
    const char *text = made_text(&report, leak_text_write);
    exported_has(text, "1 leak found: 13 goroutines\n");
    exported_has(text, "1. proven: 13 goroutines of worker wait in chan send, without a deadline\n"
                       "   nothing that is alive can ever reach 0xabc0, which G18 waits for\n");
    exported_has(text, "   for example G18 \"w\" of process 8 (and in 1 other process), the oldest for\n"
                       "   3.00 s, the newest for 1.00 s\n   label tenant=acme\n");
    exported_has(text, "   waits at\n      worker                       src/gate.c:110\n");
    exported_has(text, "   were started at\n      starter                      src/gate.c:210\n"
                       "      caller                       src/gate.c:310\n");
    leak_report_free(&report);
}

TEST(leaktext, a_cycle_names_the_owner)
{
    struct leak_report report;
    MADE_REPORT(&report, { .kind = LEAK_CYCLE });
    exported_has(made_text(&report, leak_text_write), "G18 waits for 0xabc0, which G19 has, which waits in its turn\n");
    leak_report_free(&report);
}

TEST(leaktext, what_is_known_is_counted_only)
{
    struct leak_report report;
    struct suppression known = { .reason = "x" };
    MADE_REPORT(&report, { .count = 12 });
    report.groups[0].suppressed = &known;
    ck_assert_str_eq(made_text(&report, leak_text_write), "no leaks found in 1 process, 1 known one left out\n");
    leak_report_free(&report);
}

TEST(leaktext, processes_without_a_verdict_are_counted)
{
    struct leak_report report;
    MADE_REPORT(&report, { .count = 1 });
    report.unjudged = 1234;
    exported_has(made_text(&report, leak_text_write), "\nnote: 1,234 of 1,235 processes could not be judged\n");
    leak_report_free(&report);
}

TEST(leaktext, without_a_verdict_it_does_not_say_that_there_are_none)
{
    struct leak_report report;
    ck_assert_int_eq(leak_report_open(&report), 0);
    ck_assert_str_eq(made_text(&report, leak_text_write), "nothing was judged\n");
    leak_report_free(&report);
}

TEST(leaktext, notes_stand_at_the_end)
{
    struct leak_report report;
    MADE_REPORT(&report, { .kind = LEAK_RUNAWAY });
    ck_assert_int_eq(leak_report_note(&report, "the proof assumes something"), 0);
    const char *text = made_text(&report, leak_text_write);
    exported_has(text, "1. runaway: 1 goroutine of worker runs without an end\n");
    exported_has(text, "\nnote: the proof assumes something\n");
    leak_report_free(&report);
}
