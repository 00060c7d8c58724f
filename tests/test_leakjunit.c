/* Leak reports as JUnit's XML. */
#define _GNU_SOURCE
#include "cli/suppressions.h"
#include "exported.h"
#include "harness.h"
#include "madeleaks.h"

#include <stdlib.h>
#include <string.h>

TEST(leakjunit, what_fails_is_a_failure_and_the_rest_is_skipped)
{
    struct leak_report report;
    MADE_REPORT(&report, { .count = 3 }, { .kind = LEAK_STUCK });
    const char *text = made_text(&report, leak_junit_write);
    exported_has(text, "tests=\"2\" failures=\"1\" errors=\"0\" skipped=\"1\" time=\"1.500\"");
    exported_has(text, "name=\"worker started at src/gate.c:210 waits at src/gate.c:110 (proven)\"");
    exported_has(text, "<failure type=\"goroutine-leak.proven\" message=\"3 goroutines of worker wait in chan send, "
                       "without a deadline\">");
    exported_has(text, "<skipped message=\"told of, but no reason to fail: ");
    leak_report_free(&report);
}

TEST(leakjunit, without_leaks_there_is_a_case_that_passes)
{
    struct leak_report report;
    ck_assert_int_eq(leak_report_open(&report), 0);
    exported_has(made_text(&report, leak_junit_write), "tests=\"1\" failures=\"0\" errors=\"0\" skipped=\"0\"");
    leak_report_free(&report);
}

TEST(leakjunit, what_is_known_is_skipped_with_its_reason)
{
    struct leak_report report;
    struct suppression known = { .reason = "soon <mended>" };
    MADE_REPORT(&report, { .count = 3 });
    report.groups[0].suppressed = &known;
    const char *text = made_text(&report, leak_junit_write);
    exported_has(text, "failures=\"0\" errors=\"0\" skipped=\"1\"");
    exported_has(text, "<skipped message=\"known: soon &#60;mended&#62;\"/>");
    leak_report_free(&report);
}

/* As above: the schemas are others'. */
TEST(leakjunit, the_common_schema_has_no_objection)
{
    const char *schema = getenv("JUNIT_XSD");
    struct leak_report report;
    char path[512];
    if (!schema || !*schema)
        SKIP("JUNIT_XSD does not name a file with a schema of JUnit's XML");
    if (exported_run("command -v xmllint") != 0)
        SKIP("no xmllint here (libxml2-utils)");
    MADE_REPORT(&report, { .count = 3 }, { .kind = LEAK_STUCK }, { .worker = "f<\"&\x01\xff>", .file = "/a<b" },
                { .nameless = true });
    ck_assert_int_eq(leak_report_note(&report, "a <note>"), 0);
    snprintf(path, sizeof path, "%s/report.xml", harness_tmpdir());
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(made_text(&report, leak_junit_write), file);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_msg(exported_run("xmllint --noout --schema '%s' report.xml", schema) == 0, "%s", exported_err);
    leak_report_free(&report);
}
