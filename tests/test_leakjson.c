/* Leak reports as JSON are what their schema says. */
#define _GNU_SOURCE
#include "cli/suppressions.h"
#include "exported.h"
#include "harness.h"
#include "madeleaks.h"

#include <stdlib.h>

static char schema[512];

static void valid(const struct leak_report *report)
{
    char path[512];
    const char *text = made_text(report, leak_json_write);
    ck_assert(sample_json_valid(text));
    snprintf(path, sizeof path, "%s/leaks.json", harness_tmpdir());
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_msg(exported_run("/usr/bin/python3 -c 'import json, jsonschema, sys\n"
                               "s = json.load(open(sys.argv[1]))\n"
                               "jsonschema.Draft202012Validator.check_schema(s)\n"
                               "jsonschema.Draft202012Validator(s).validate(json.load(open(sys.argv[2])))'"
                               " %s leaks.json",
                               schema) == 0,
                  "%s", exported_err);
}

TEST(leakjson, is_as_its_schema_says)
{
    struct leak_report report;
    struct suppression known = { .file_line = 3, .reason = "x", .until = "2999-01-01" };
    ck_assert_ptr_nonnull(realpath("schema/leaks.schema.json", schema));
    if (exported_run("/usr/bin/python3 -c 'from jsonschema import Draft202012Validator'") != 0)
        SKIP("no python3-jsonschema here that knows drafts of 2020-12");
    ck_assert_int_eq(leak_report_open(&report), 0);
    valid(&report);
    leak_report_free(&report);
    MADE_REPORT(&report, { .count = 3 }, { .kind = LEAK_CYCLE }, { .kind = LEAK_RUNAWAY }, { .nameless = true },
                { .worker = "f[1]\"\n\xff", .file = "/a b" }, { .kind = LEAK_STUCK });
    report.groups[0].suppressed = &known;
    report.groups[1].oldest_ns = report.groups[1].newest_ns = -1;
    valid(&report);
    leak_report_free(&report);
}

TEST(leakjson, has_what_a_gate_needs)
{
    struct leak_report report;
    MADE_REPORT(&report, { .count = 3 }, { .kind = LEAK_CYCLE, .count = 2 }, { .kind = LEAK_STUCK });
    const char *text = made_text(&report, leak_json_write);
    exported_has(text, "\"failing\": 2,\n  \"failing_goroutines\": 5,\n  \"suppressed\": 0,");
    exported_has(text, "\"kind\": \"proven\", \"fails\": true");
    exported_has(text, "\"kind\": \"stuck\", \"fails\": false");
    exported_has(text, "\"started_at\": {\"function\": \"starter\", \"file\": \"src/gate.c\", \"line\": 210");
    exported_has(text, "\"waits_at\": {\"function\": \"worker\", \"file\": \"src/gate.c\", \"line\": 110");
    exported_has(text, "\"owner\": 19");
    exported_has(text, "\"labels\": {\"tenant\": \"acme\"}");
    leak_report_free(&report);
}
