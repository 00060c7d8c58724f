/* gmptrace diff: what was planted is found, at its line and nowhere else, and what is the same is the same. */
#include "built.h"
#include "exported.h"
#include "harness.h"
#include "tracefile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Two Gs: one runs some 10 us until it sleeps some 30 us at stack 1, the other one some 40 us until it waits some 20 us
 * for a mutex at stack 2. */
struct made {
    unsigned seed;
    int rounds;
    int slower;                  /* percent that the first one runs longer */
    int wait_slower;             /* percent that the second one waits longer */
    bool third;                  /* every fourth round a third one is started, and ends */
    int drift;                   /* percent that all gets slower until the end */
    const char *modules;         /* lines of text; NULL = none */
    uint64_t sleep_pc, mutex_pc; /* 0: 0x1021, 0x1031 */
    uint64_t fn[2];              /* 0: 0x100, 0x200 */
};

static unsigned random_state;

/* some ns: half to one and a half of it */
static int64_t some(const struct made *made, int round, int64_t ns)
{
    random_state = random_state * 1103515245u + 12345u;
    ns = ns * (100 + (int64_t)made->drift * round / made->rounds) / 100;
    return ns / 2 + (int64_t)((random_state >> 8) % (unsigned)ns);
}

static void make(const char *name, const struct made *made)
{
    char *text, command[256];
    size_t size;
    FILE *out = open_memstream(&text, &size);
    int64_t end_ns = 10;
    unsigned seq[2] = { 2, 2 }, third = 3;
    random_state = made->seed * 2654435761u + 1;
    fprintf(out, TRACEFILE_HEAD "frame\nclock 0 0 1700000000000000000\n%s", made->modules ? made->modules : "");
    fprintf(out, "stack 0 1 0x1020 0x%llx\nstack 0 2 0x1030 0x%llx\nstack 0 3 0x1040 0x1041\n",
            (unsigned long long)(made->sleep_pc ? made->sleep_pc : 0x1021),
            (unsigned long long)(made->mutex_pc ? made->mutex_pc : 0x1031));
    fprintf(out, "events ring=0 sequence=0 offset=0 base=0 g=0 seq=0 tid=70 lost=0\n0 proc_start tid=70\n");
    fprintf(out, "5 go_create g=1 fn=0x%llx stack=0\n5 go_create g=2 fn=0x%llx stack=0\n",
            (unsigned long long)(made->fn[0] ? made->fn[0] : 0x100),
            (unsigned long long)(made->fn[1] ? made->fn[1] : 0x200));
    for (int i = 0; i < made->rounds; i++) {
        int64_t run[2] = { some(made, i, 10000) * (100 + made->slower) / 100, some(made, i, 40000) };
        int64_t idle[2] = { some(made, i, 30000), some(made, i, 20000) * (100 + made->wait_slower) / 100 };
        for (unsigned g = 0; g < 2; g++) {
            fprintf(out, "50 go_start g=%u seq=%u\n", g + 1, seq[g]);
            if (g == 1 && made->third && i % 4 == 0)
                fprintf(out, "0 go_create g=%u fn=0x300 stack=3\n", third);
            fprintf(out, "%lld go_block reason=%s object=0x0 bounded=1 stack=%u\n", (long long)run[g],
                    g ? "mutex" : "sleep", g + 1);
            fprintf(out, "%lld go_unblock g=%u seq=%u\n", (long long)idle[g], g + 1, seq[g] + 2);
            seq[g] += 3;
            end_ns += 50 + run[g] + idle[g];
        }
        if (made->third && i % 4 == 0) {
            fprintf(out, "50 go_start g=%u seq=2\n1000 go_exit\n", third++);
            end_ns += 1050;
        }
    }
    fprintf(out, "frame\nclock %lld %lld %lld\nend 0 0\n", (long long)end_ns, (long long)end_ns,
            1700000000000000000ll + end_ns);
    fclose(out);
    snprintf(command, sizeof command, "cp %s %s", tracefile_build(text), name);
    ck_assert_int_eq(exported_run("%s", command), 0);
    free(text);
}

static void same_and(const struct made *other)
{
    make("a", &(struct made){ .seed = 1, .rounds = 600 });
    make("b", other);
}

static unsigned times(const char *part)
{
    unsigned count = 0;
    for (const char *p = exported_out; (p = strstr(p, part)); p++)
        count++;
    return count;
}

static unsigned findings(void) { return times("\"kind\": "); }

TEST(diff, two_that_are_alike_do_not_differ)
{
    unsigned false_ones = 0;
    for (unsigned seed = 2; seed < 22; seed++) {
        same_and(&(struct made){ .seed = seed, .rounds = 600 });
        ck_assert_int_eq(exported_run("$GMPTRACE diff a b --json --change=0 --shift=0ns"), 0);
        false_ones += findings();
    }
    ck_assert_uint_eq(false_ones, 0);
}

TEST(diff, a_slow_down_by_a_fifth_is_found_and_nothing_else)
{
    for (unsigned seed = 2; seed < 12; seed++) {
        same_and(&(struct made){ .seed = seed, .rounds = 600, .slower = 20 });
        ck_assert_int_eq(exported_run("$GMPTRACE diff a b --json"), 0);
        ck_assert_uint_eq(findings(), 1);
        exported_has(exported_out, "{\"kind\": \"running\", \"reason\": \"sleep\", \"until\": \"go_block\"");
        exported_has(exported_out, "\"time\": {\"verdict\": \"slower\", \"ratio\": 1.");
    }
    ck_assert_int_eq(exported_run("$GMPTRACE diff a b"), 0);
    exported_has(exported_out, "\nSlower\n    1. running 0x100 until sleep at 0x1021\n       median ");
    ck_assert_int_eq(exported_run("$GMPTRACE diff b a"), 0);
    exported_has(exported_out, "\nFaster\n    1. running 0x100 until sleep at 0x1021\n");
}

TEST(diff, a_longer_wait_is_one_of_its_reason_and_place)
{
    same_and(&(struct made){ .seed = 3, .rounds = 600, .wait_slower = 100 });
    ck_assert_int_eq(exported_run("$GMPTRACE diff a b"), 0);
    exported_has(exported_out, "\nSlower\n    1. mutex lock at 0x1031\n");
    /* The other one is queued longer, too, and all happens less often; but nothing runs longer. */
    ck_assert_uint_eq(times("running "), 0);
}

TEST(diff, what_is_in_one_only_is_new_or_gone)
{
    same_and(&(struct made){ .seed = 3, .rounds = 600, .third = true });
    ck_assert_int_eq(exported_run("$GMPTRACE diff a b"), 0);
    exported_has(exported_out, "\nMore often\n    1. starts of 0x300 at 0x1041\n       0 -> ");
    exported_has(exported_out, "times a second, new; q ");
    ck_assert_int_eq(exported_run("$GMPTRACE diff b a"), 0);
    exported_has(exported_out, "\nLess often\n    1. starts of 0x300 at 0x1041\n");
    exported_has(exported_out, "times a second, gone; q ");
}

/* Values that drift are no 600 independent ones. */
TEST(diff, a_drift_within_both_is_no_difference_between_them)
{
    make("a", &(struct made){ .seed = 1, .rounds = 600, .drift = 300 });
    make("b", &(struct made){ .seed = 2, .rounds = 600, .drift = 320 });
    ck_assert_int_eq(exported_run("$GMPTRACE diff a b --json --change=0 --shift=0ns"), 0);
    ck_assert_uint_eq(findings(), 0);
}

TEST(diff, too_few_values_tell_nothing)
{
    make("a", &(struct made){ .seed = 1, .rounds = 6 });
    make("b", &(struct made){ .seed = 2, .rounds = 6, .slower = 900 });
    ck_assert_int_eq(exported_run("$GMPTRACE diff a b"), 0);
    exported_has(exported_out, ": 0 differ by 10 % or more.\nOf ");
    ck_assert_int_eq(exported_run("$GMPTRACE diff a b --all --json"), 0);
    exported_has(exported_out, "\"verdict\": \"untold\"");
}

TEST(diff, two_parts_of_one_trace_are_compared_as_well)
{
    make("a", &(struct made){ .seed = 1, .rounds = 1200, .drift = 300 });
    ck_assert_int_eq(exported_run("$GMPTRACE diff a --a=..30ms --b=150ms..180ms --json"), 0);
    exported_has(exported_out, "\"from_ns\": 150000000, \"to_ns\": 180000000");
    exported_has(exported_out, "\"verdict\": \"slower\"");
    ck_assert_int_eq(exported_run("$GMPTRACE diff a --a=10s.. --b=..1ms"), 2);
    exported_has(exported_err, "a ends after ");
}

TEST(diff, fail_on_chooses_what_ends_with_1)
{
    same_and(&(struct made){ .seed = 3, .rounds = 600, .slower = 50 });
    ck_assert_int_eq(exported_run("$GMPTRACE diff a b --fail-on='slower>10%%'"), 1);
    ck_assert_int_eq(exported_run("$GMPTRACE diff a b --fail-on=slower"), 1);
    ck_assert_int_eq(exported_run("$GMPTRACE diff a b --fail-on='slower>0.9'"), 0);
    ck_assert_int_eq(exported_run("$GMPTRACE diff a b --fail-on=faster --fail-on=more"), 0);
    ck_assert_int_eq(exported_run("$GMPTRACE diff b a --fail-on='faster>10%%'"), 1);
}

/* ---- Builds ------------------------------------------------------------------------------------------------------ */

/* The same program, with lines inserted: above, or within the function. */
static void build_made(const char *name, const char *above, const char *within, struct made made)
{
    static const char program[] = "%s"
                                  "__attribute__((noinline)) int plain(int n)\n"
                                  "{\n"
                                  "%s"
                                  "    mark(\"sleep\");\n"
                                  "    mark(\"mutex\");\n"
                                  "    return n;\n"
                                  "}\n"
                                  "int main(void) { plain(1); report(); return 0; }\n";
    struct built built;
    char source[2048], modules[8192] = "", *end = source + snprintf(source, sizeof source, "%s", BUILT_PRELUDE);
    snprintf(end, sizeof source - (size_t)(end - source), program, above, within);
    built_compile(&built, source, "gcc -g -O0");
    built_shell("cp sample %s.prog", name);
    for (size_t i = 0; i < built.module_count; i++) {
        const struct gmpt_module *module = &built.modules[i];
        size_t used = strlen(modules);
        if (!strstr(module->path, "sample"))
            continue;
        used += (size_t)snprintf(modules + used, sizeof modules - used, "module 0x%llx 0x%llx 0x%llx ",
                                 (unsigned long long)module->start, (unsigned long long)module->end,
                                 (unsigned long long)module->bias);
        for (uint32_t k = 0; k < module->build_id_bytes; k++)
            used += (size_t)snprintf(modules + used, sizeof modules - used, "%02x", module->build_id[k]);
        snprintf(modules + used, sizeof modules - used, "%s %s/%s.prog\n", module->build_id_bytes ? "" : "-",
                 harness_tmpdir(), name);
    }
    made.modules = modules;
    made.sleep_pc = built_place(&built, "sleep");
    made.mutex_pc = built_place(&built, "mutex");
    make(name, &made);
}

TEST(diff, lines_that_moved_are_the_same_places)
{
    BUILT_NEED("gcc");
    build_made("a", "", "", (struct made){ .seed = 1, .rounds = 600 });
    build_made("b", "int above;\n", "", (struct made){ .seed = 2, .rounds = 600, .wait_slower = 60 });
    ck_assert_int_eq(exported_run("$GMPTRACE diff a b"), 0);
    exported_has(exported_out, "\nSlower\n    1. mutex lock at plain sample.c:8, before :7\n");
    ck_assert_uint_eq(times("running "), 0);
    build_made("b", "", "    n++;\n    n++;\n", (struct made){ .seed = 2, .rounds = 600, .slower = 20 });
    ck_assert_int_eq(exported_run("$GMPTRACE diff a b"), 0);
    exported_has(exported_out, "until sleep at plain sample.c:8, before :6\n");
    ck_assert_uint_eq(times(" median "), 1);
}

/* ---- Form -------------------------------------------------------------------------------------------------------- */

TEST(diff, json_is_as_its_schema_says)
{
    static const char check[] = "import json, jsonschema, sys\\n"
                                "jsonschema.validate(json.load(sys.stdin), json.load(open(sys.argv[1])))\\n";
    char here[512];
    ck_assert_ptr_nonnull(realpath("schema/diff.schema.json", here));
    same_and(&(struct made){ .seed = 3, .rounds = 600, .slower = 20, .third = true });
    ck_assert_int_eq(exported_run("$GMPTRACE diff a b --all --json"), 0);
    ck_assert(sample_json_valid_decimals(exported_out));
    if (exported_run("/usr/bin/python3 -c 'import jsonschema'") != 0)
        SKIP("python3-jsonschema is not installed");
    ck_assert_int_eq(
        exported_run("printf '%s' > check.py && $GMPTRACE diff a b --all --json | /usr/bin/python3 check.py %s", check,
                     here),
        0);
    ck_assert_int_eq(exported_run("echo '{}' | /usr/bin/python3 check.py %s", here), 1);
}

TEST(diff, lines_fit_on_a_terminal)
{
    same_and(&(struct made){ .seed = 3, .rounds = 600, .slower = 20, .third = true });
    ck_assert_int_eq(exported_run("$GMPTRACE diff a b --all | awk 'length > 80' | head -3"), 0);
    ck_assert_str_eq(exported_out, "");
}

TEST(diff, wrong_arguments_are_usage_errors)
{
    static const char *const arguments[] = { "",
                                             "a",
                                             "a b c",
                                             "a b --a=1s",
                                             "a b --a=2s..1s",
                                             "a b --change=x",
                                             "a b --false-rate=2",
                                             "a b --shift=3",
                                             "a b --fail-on=worse",
                                             "a b --fail-on='slower>'",
                                             "a b --bogus" };
    same_and(&(struct made){ .seed = 3, .rounds = 60 });
    for (size_t i = 0; i < sizeof arguments / sizeof arguments[0]; i++)
        ck_assert_msg(exported_run("$GMPTRACE diff %s", arguments[i]) == 2, "%s", arguments[i]);
    ck_assert_int_eq(exported_run("$GMPTRACE diff a nowhere"), 3);
}
