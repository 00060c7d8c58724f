/* What gmptrace analyze --json prints is what schema/analyze.schema.json says: of small traces that have everything and
 * of those that have nothing. The schema allows no member that it does not list, and wants each of them. */
#include "exported.h"
#include "harness.h"

#include <stdlib.h>

static char schema[512];

static bool prepare(void)
{
    static const char check[] = "import json, jsonschema, sys\\n"
                                "schema = json.load(open(sys.argv[1]))\\n"
                                "jsonschema.Draft202012Validator.check_schema(schema)\\n"
                                "jsonschema.Draft202012Validator(schema).validate(json.load(sys.stdin))\\n";
    ck_assert_ptr_nonnull(realpath("schema/analyze.schema.json", schema));
    if (exported_run("/usr/bin/python3 -c 'from jsonschema import Draft202012Validator'") != 0)
        return false;
    ck_assert_int_eq(exported_run("printf '%s' > check.py", check), 0);
    return true;
}

static void valid(const char *arguments)
{
    ck_assert_msg(exported_run("$GMPTRACE analyze --json %s 2>messages > analyze.json && "
                               "/usr/bin/python3 check.py %s < analyze.json",
                               arguments, schema) == 0,
                  "%s: %s", arguments, exported_err);
}

TEST(analyze_json, is_as_its_schema_says)
{
    static const char *const traces[] = { "hello",  "contention", "export", "kernel", "loss",
                                          "preempt", "retake",     "user" };
    if (!prepare())
        SKIP("no python3-jsonschema here that knows drafts of 2020-12");
    for (size_t i = 0; i < sizeof traces / sizeof traces[0]; i++) {
        exported_golden(traces[i]);
        valid("");
        valid("--from 20ns --to 1us --filter 'state=waiting or dur>5ns' --limit hog=1ns "
              "--limit long_scheduling_wait=1ns --limit p_starvation=1ns");
    }
    exported_sample(&(struct sample_options){ .leaks = 15, .healthy = 3, .done = 4 });
    valid("");
    exported_sample(&(struct sample_options){ .leaks = 15, .no_end = true, .lost = 7, .no_modules = true });
    valid("");
}

TEST(analyze_json, the_schema_refuses_what_is_not_listed_and_what_lacks)
{
    if (!prepare())
        SKIP("no python3-jsonschema here that knows drafts of 2020-12");
    exported_golden("hello");
    valid("");
    ck_assert_int_ne(exported_run("sed 's/\"pid\"/\"pids\"/' analyze.json | /usr/bin/python3 check.py %s", schema), 0);
    ck_assert_int_ne(
        exported_run("sed 's/\"steals\": \\[/\"steals\": [{}, /' analyze.json | /usr/bin/python3 check.py %s", schema),
        0);
    ck_assert_int_ne(exported_run("echo '{}' | /usr/bin/python3 check.py %s", schema), 0);
}

TEST(analyze_json, every_member_of_the_schema_is_described)
{
    static const char look[] = "import json, sys\\n"
                               "def look(name, part):\\n"
                               "    if isinstance(part, dict):\\n"
                               "        for key, member in part.get(\"properties\", {}).items():\\n"
                               "            if \"$ref\" not in member and not member.get(\"description\"):\\n"
                               "                sys.exit(name + \"/\" + key)\\n"
                               "        for key, member in part.items():\\n"
                               "            look(name + \"/\" + key, member)\\n"
                               "    elif isinstance(part, list):\\n"
                               "        for member in part:\\n"
                               "            look(name, member)\\n"
                               "look(\"\", json.load(open(sys.argv[1])))\\n";
    if (!prepare())
        SKIP("no python3-jsonschema here that knows drafts of 2020-12");
    ck_assert_msg(exported_run("printf '%s' > look.py && /usr/bin/python3 look.py %s", look, schema) == 0, "%s",
                  exported_err);
}
