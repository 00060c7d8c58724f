/* What commands print as JSON is as the schemas in schema/ say, of traces that have everything and of those that have
 * nothing. A schema allows no member that it does not list, wants each of them, and describes each. */
#include "exported.h"
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>

static char schema[512];

static bool prepare(const char *name)
{
    static const char check[] = "import json, jsonschema, sys\\n"
                                "schema = json.load(open(sys.argv[1]))\\n"
                                "validator = jsonschema.validators.validator_for(schema)\\n"
                                "validator.check_schema(schema)\\n"
                                "validator(schema).validate(json.load(sys.stdin))\\n";
    char path[256];
    snprintf(path, sizeof path, "schema/%s", name);
    ck_assert_ptr_nonnull(realpath(path, schema));
    if (exported_run("/usr/bin/python3 -c 'from jsonschema import Draft202012Validator'") != 0)
        return false;
    ck_assert_int_eq(exported_run("printf '%s' > check.py", check), 0);
    return true;
}

static void valid(const char *command)
{
    ck_assert_msg(exported_run("{ $GMPTRACE %s 2>messages; test $? -le 1; } > out.json && "
                               "/usr/bin/python3 check.py %s < out.json",
                               command, schema) == 0,
                  "%s: %s", command, exported_err);
}

/* The last output with this changed is refused. */
static void refused(const char *sed)
{
    ck_assert_int_ne(exported_run("sed '%s' out.json > other.json; ! cmp -s out.json other.json || exit 0; "
                                  "/usr/bin/python3 check.py %s < other.json",
                                  sed, schema),
                     0);
}

#define WANTS(name)                                                                                                    \
    if (!prepare(name))                                                                                                \
    SKIP("no python3-jsonschema here that knows drafts of 2020-12")

TEST(schemas, graphs)
{
    static const char *const traces[] = { "hello", "contention", "export", "kernel", "loss", "user" };
    static const char *const kinds[] = { "communication", "contention", "spawn", "wait" };
    char command[64];
    WANTS("graph.schema.json");
    for (size_t i = 0; i < sizeof traces / sizeof traces[0]; i++) {
        exported_golden(traces[i]);
        for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
            snprintf(command, sizeof command, "graph --format=json --kind=%s", kinds[k]);
            valid(command);
        }
    }
    exported_golden("contention");
    valid("graph --format=json --kind=contention");
    refused("s/woken_by/woken/");
    refused("s/\"count\"/\"counts\"/");
}

TEST(schemas, goroutines_of_a_moment)
{
    WANTS("ps.schema.json");
    exported_golden("hello");
    valid("ps --json --at 1ns");
    exported_golden("export");
    valid("ps --json --at 80ns");
    refused("s/\"left_out\"/\"left\"/");
    exported_sample(&(struct sample_options){ .leaks = 15, .healthy = 3, .done = 4 });
    valid("ps --json");
    refused("s/\"state\": \"waiting\"/\"state\": \"asleep\"/");
}

TEST(schemas, leaks_of_a_trace)
{
    WANTS("leaks_trace.schema.json");
    exported_sample(&(struct sample_options){ .leaks = 15, .healthy = 3, .done = 4 });
    valid("leaks --json");
    refused("s/\"verdict\": \"/\"verdict\": \"un/");
    exported_sample(&(struct sample_options){ .leaks = 15, .no_end = true, .lost = 7, .no_modules = true });
    valid("leaks --json");
    exported_golden("hello");
    valid("leaks --json");
    refused("s/\"exact\"/\"exactly\"/");
}

TEST(schemas, differences)
{
    WANTS("diff.schema.json");
    exported_golden("contention");
    valid("diff --json gmptrace.data gmptrace.data");
    exported_sample(&(struct sample_options){ .leaks = 15, .healthy = 3, .done = 4 });
    valid("diff --json --all gmptrace.data gmptrace.data");
    refused("s/\"tests\"/\"test\"/");
}
