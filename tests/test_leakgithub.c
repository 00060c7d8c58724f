/* Leak reports as annotations and as a step's summary. */
#define _GNU_SOURCE
#include "exported.h"
#include "harness.h"
#include "madeleaks.h"

#include <string.h>

static size_t lines_beginning(const char *text, const char *begin)
{
    size_t count = 0;
    for (const char *at = text; at && *at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL)
        count += strncmp(at, begin, strlen(begin)) == 0;
    return count;
}

TEST(leakgithub, an_annotation_has_file_and_line_and_is_one_line)
{
    struct leak_report report;
    MADE_REPORT(&report, { .count = 3 });
    const char *text = made_text(&report, leak_github_write);
    exported_has(text, "::error title=goroutine leak (proven),file=src/gate.c,line=210::3 goroutines of worker wait in "
                       "chan send, without a deadline%0Anothing that is alive can ever reach 0xabc0, which G18 waits "
                       "for%0Awaits at worker src/gate.c:110%0Awas started at starter src/gate.c:210\n");
    ck_assert_uint_eq(lines_beginning(text, ""), 1);
    leak_report_free(&report);
}

TEST(leakgithub, what_cuts_a_command_is_escaped)
{
    struct leak_report report;
    MADE_REPORT(&report, { .worker = "a%b\r\nc::error::x", .file = MADE_ROOT "/x,y:z%.c" });
    const char *text = made_text(&report, leak_github_write);
    exported_has(text, "file=x%2Cy%3Az%25.c,line=210::1 goroutine of a%25b%0D%0Ac::error::x waits");
    ck_assert_uint_eq(lines_beginning(text, ""), 1);
    leak_report_free(&report);
}

TEST(leakgithub, ten_annotations_at_most_and_those_that_fail_first)
{
    struct leak_report report;
    ck_assert_int_eq(leak_report_open(&report), 0);
    for (int i = 0; i < 9; i++)
        made_add(&report, &(struct madeleak){ .starts = i + 1, .kind = LEAK_STUCK, .count = 100 });
    for (int i = 0; i < 3; i++)
        made_add(&report, &(struct madeleak){ .starts = i + 1, .kind = LEAK_CYCLE });
    ck_assert_int_eq(leak_report_sort(&report), 0);
    const char *text = made_text(&report, leak_github_write);
    ck_assert_uint_eq(lines_beginning(text, "::error"), 3);
    ck_assert_uint_eq(lines_beginning(text, "::warning"), 7);
    exported_has(text, "gmptrace check: 2 more leaks in the summary of this step\n");
    ck_assert_uint_eq(lines_beginning(made_text(&report, leak_markdown_write), "| stuck"), 9);
    leak_report_free(&report);
}

TEST(leakgithub, names_do_not_break_the_summary)
{
    struct leak_report report;
    MADE_REPORT(&report, { .worker = "a|b<script>*`\n" });
    report.command = "x `y\n# z";
    const char *text = made_text(&report, leak_markdown_write);
    exported_has(text, "a&#124;b&#60;script&#62;&#42;&#96;  src/gate.c:110");
    exported_has(text, "`x  y # z`");
    leak_report_free(&report);
}

TEST(leakgithub, sources_elsewhere_are_not_named_as_files)
{
    struct leak_report report;
    MADE_REPORT(&report, { .file = "/usr/lib/x.c" });
    ck_assert_ptr_null(strstr(made_text(&report, leak_github_write), "file="));
    leak_report_free(&report);
}
