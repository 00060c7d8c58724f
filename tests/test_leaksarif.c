/* Leak reports as SARIF. */
#define _GNU_SOURCE
#include "exported.h"
#include "harness.h"
#include "madeleaks.h"

#include <stdlib.h>
#include <string.h>

static size_t times(const char *text, const char *part)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, part)); at += strlen(part))
        count++;
    return count;
}

static const char *sarif(const struct leak_report *report)
{
    const char *text = made_text(report, leak_sarif_write);
    ck_assert(sample_json_valid(text));
    return text;
}

TEST(leaksarif, a_result_is_where_it_was_started_and_links_to_where_it_waits)
{
    struct leak_report report;
    MADE_REPORT(&report, { .count = 3 });
    const char *text = sarif(&report);
    exported_has(text, "\"locations\": [{\"physicalLocation\": {\"artifactLocation\": {\"uri\": \"src/gate.c\", "
                       "\"uriBaseId\": \"SRCROOT\"}, \"region\": {\"startLine\": 210}}");
    exported_has(text, "They wait at [worker](1)");
    exported_has(text, "{\"id\": 1, \"message\": {\"text\": \"here they wait\"}, \"physicalLocation\": "
                       "{\"artifactLocation\": {\"uri\": \"src/gate.c\", \"uriBaseId\": \"SRCROOT\"}, \"region\": "
                       "{\"startLine\": 110}}");
    exported_has(text, "\"ruleId\": \"goroutine-leak/proven\", \"ruleIndex\": 0, \"level\": \"error\"");
    exported_has(text, report.groups[0].fingerprint);
    leak_report_free(&report);
}

TEST(leaksarif, evidence_is_a_warning)
{
    struct leak_report report;
    MADE_REPORT(&report, { .kind = LEAK_GROWING });
    exported_has(sarif(&report), "\"ruleIndex\": 2, \"level\": \"warning\"");
    leak_report_free(&report);
}

TEST(leaksarif, paths_are_uris_and_names_are_no_links)
{
    struct leak_report report;
    MADE_REPORT(&report, { .worker = "f(int[3])\"\\\n", .file = MADE_ROOT "/a b/ü%[1].c" });
    const char *text = sarif(&report);
    exported_has(text, "\"uri\": \"a%20b/%C3%BC%25%5B1%5D.c\"");
    exported_has(text, "f(int\\\\[3\\\\])");
    leak_report_free(&report);
    MADE_REPORT(&report, { .file = "/usr/lib/x.c" });
    exported_has(sarif(&report), "{\"uri\": \"file:///usr/lib/x.c\"}");
    leak_report_free(&report);
}

TEST(leaksarif, without_files_a_result_has_its_module)
{
    struct leak_report report;
    MADE_REPORT(&report, { .nameless = true });
    const char *text = sarif(&report);
    exported_has(text, "\"locations\": [{\"logicalLocations\": [{\"kind\": \"function\", \"fullyQualifiedName\": "
                       "\"gate+0x100\"}]}]");
    leak_report_free(&report);
}

TEST(leaksarif, of_too_many_the_worst_are_results)
{
    struct leak_report report;
    ck_assert_int_eq(leak_report_open(&report), 0);
    for (int i = 0; i < 5003; i++)
        made_add(&report, &(struct madeleak){ .starts = i + 1, .kind = i ? LEAK_STUCK : LEAK_PROVEN });
    ck_assert_int_eq(leak_report_sort(&report), 0);
    const char *text = sarif(&report);
    ck_assert_uint_eq(times(text, "\"ruleId\""), 5000);
    ck_assert_uint_eq(times(text, "goroutine-leak/proven\", \"ruleIndex\""), 1);
    exported_has(text, "of 5003 groups only the worst 5000 are results");
    leak_report_free(&report);
}

/* The schema is not ours to have in the repository: scripts/schemas.sh gets one. */
TEST(leaksarif, the_public_schema_has_no_objection)
{
    const char *schema = getenv("SARIF_SCHEMA");
    struct leak_report report;
    char path[512];
    if (!schema || !*schema)
        SKIP("SARIF_SCHEMA does not name a file with the schema of SARIF 2.1.0");
    if (exported_run("/usr/bin/python3 -c 'import jsonschema'") != 0)
        SKIP("no python3-jsonschema here");
    MADE_REPORT(&report, { .count = 3 }, { .kind = LEAK_CYCLE }, { .kind = LEAK_RUNAWAY }, { .nameless = true },
                { .worker = "f[1]\"\n", .file = "/a b" }, { .kind = LEAK_STUCK });
    ck_assert_int_eq(leak_report_note(&report, "a \"note\""), 0);
    snprintf(path, sizeof path, "%s/report.sarif", harness_tmpdir());
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(sarif(&report), file);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_msg(exported_run("/usr/bin/python3 -c 'import json, jsonschema, sys\n"
                               "s = json.load(open(sys.argv[1]))\n"
                               "v = jsonschema.validators.validator_for(s)\n"
                               "v(s, format_checker=jsonschema.FormatChecker()).validate(json.load(open(sys.argv[2])))'"
                               " '%s' report.sarif",
                               schema) == 0,
                  "%s", exported_err);
    leak_report_free(&report);
}
