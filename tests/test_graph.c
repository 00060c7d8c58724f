/* gmptrace graph: each kind of graph of a small trace, whole. */
#include "exported.h"
#include "gentrace.h"
#include "harness.h"
#include "tracefile.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static void graph_is(const char *golden, const char *arguments, const char *expected)
{
    exported_golden(golden);
    ck_assert_int_eq(exported_run("$GMPTRACE graph %s", arguments), 0);
    ck_assert_str_eq(exported_out, expected);
    ck_assert_str_eq(exported_err, "");
}

TEST(graph, communication_says_who_wakes_whom)
{
    graph_is("export", "",
             "flowchart LR\n"
             "  n0[\"0x30\"]\n"
             "  n1[\"0x10\"]\n"
             "  n0 -->|\"chan receive 1 time, waited 50 ns\"| n1\n");
}

TEST(graph, contention_has_the_lock_between_and_who_had_it)
{
    graph_is("contention", "--kind=contention",
             "flowchart LR\n"
             "  n0[\"0x20\"]\n"
             "  n1{{\"mutex lock<br>0x1021\"}}\n"
             "  n2[\"0x10\"]\n"
             "  n0 -->|\"3 times, waited 930 ns, at most 820 ns\"| n1\n"
             "  n1 -->|\"held 2 times by\"| n2\n"
             "  n1 -->|\"1 time, waited 60 ns, at most 60 ns\"| n0\n"
             "  n1 -->|\"1 time, waited 50 ns, at most 50 ns\"| n2\n");
}

TEST(graph, spawn_says_who_starts_whom_where)
{
    graph_is("contention", "--kind=spawn --format=dot",
             "digraph gmptrace {\n"
             "  rankdir=LR;\n"
             "  node [shape=box];\n"
             "  n0 [label=\"0x10\"];\n"
             "  n1 [label=\"0x20\"];\n"
             "  n2 [label=\"the program\"];\n"
             "  n0 -> n1 [label=\"2\\n0x1011\"];\n"
             "  n2 -> n0 [label=\"1\"];\n"
             "}\n");
}

TEST(graph, wait_is_what_waits_at_the_end_and_who_ended_such_waits)
{
    graph_is("contention", "--kind=wait --format=dot",
             "digraph gmptrace {\n"
             "  rankdir=LR;\n"
             "  node [shape=box];\n"
             "  n0 [label=\"0x20\"];\n"
             "  n1 [shape=hexagon, label=\"mutex lock\\n0x1021\"];\n"
             "  n2 [label=\"0x10\"];\n"
             "  n0 -> n1 [label=\"1 waits, the longest 820 ns\"];\n"
             "  n1 -> n0 [style=dashed, label=\"woken 1 time by\"];\n"
             "  n1 -> n2 [style=dashed, label=\"woken 1 time by\"];\n"
             "}\n");
}

TEST(graph, json_has_the_same_edges)
{
    exported_golden("contention");
    ck_assert_int_eq(exported_run("$GMPTRACE graph --kind=contention --format=json"), 0);
    exported_has(exported_out, "{\"id\": 1, \"kind\": \"site\", \"wait_reason\": \"mutex\"");
    exported_has(exported_out, "{\"from\": 0, \"to\": 1, \"relation\": \"waits\", \"wait_reason\": null, "
                               "\"past\": false, \"count\": 3, \"total_ns\": 930, \"max_ns\": 820");
    exported_has(exported_out, "{\"from\": 1, \"to\": 2, \"relation\": \"held_by\", \"wait_reason\": null, "
                               "\"past\": false, \"count\": 2, \"total_ns\": 110, \"max_ns\": 60");
    exported_has(exported_out, "\"relation\": \"woken_by\"");
    exported_has(exported_out, "\"left_out\": 0");
    ck_assert_int_eq(exported_run("$GMPTRACE graph --format=svg"), 2);
    exported_has(exported_err, "--format is mermaid, dot or json, not 'svg'");
}

TEST(graph, the_heaviest_edges_come_first_and_the_rest_is_counted)
{
    exported_golden("contention");
    ck_assert_int_eq(exported_run("$GMPTRACE graph --kind=contention --top=1"), 0);
    exported_has(exported_out, "3 times");
    ck_assert_ptr_null(strstr(exported_out, "1 time"));
    exported_has(exported_err, "3 lighter edges are left out; --top shows more");
}

TEST(graph, a_window_leaves_out_what_is_not_in_it)
{
    exported_golden("export");
    ck_assert_int_eq(exported_run("$GMPTRACE graph --from=200ns"), 0);
    ck_assert_str_eq(exported_out, "flowchart LR\n");
    exported_has(exported_err, "nothing to show for --kind=communication");
}

TEST(graph, names_are_those_of_functions)
{
    exported_sample(&(struct sample_options){ .leaks = 12 });
    ck_assert_int_eq(exported_run("$GMPTRACE graph --kind=wait"), 0);
    exported_has(exported_out, "[\"sample_worker\"]");
    exported_has(exported_out, "{{\"chan send<br>sample_worker sample.c:");
    exported_has(exported_out, "12 wait, the longest ");
}

/* All kinds of graphs of made-up programs and of one with names. */
static void every_graph(const char *format, void (*look)(void))
{
    static const char *const kinds[] = { "communication", "contention", "spawn", "wait" };
    for (unsigned seed = 0; seed < 4; seed++) {
        if (seed) {
            struct gentrace made = gentrace_make(seed, 1500);
            ck_assert_int_eq(exported_run("cp %s gmptrace.data", tracefile_build(made.text)), 0);
            free(made.text);
        } else {
            exported_sample(&(struct sample_options){ .leaks = 12, .healthy = 3, .done = 3 });
        }
        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
            ck_assert_int_eq(exported_run("$GMPTRACE graph --kind=%s --format=%s", kinds[i], format), 0);
            look();
        }
    }
}

static void draw(void)
{
    ck_assert_int_eq(exported_run("cat > graph.dot <<'END'\n%sEND\ndot -Tsvg graph.dot", exported_out), 0);
    ck_assert_str_eq(exported_err, "");
    exported_has(exported_out, "</svg>");
}

TEST(graph, graphviz_draws_every_kind)
{
    if (exported_run("command -v dot") != 0)
        SKIP("graphviz is not installed");
    every_graph("dot", draw);
}

static const char *skip(const char *p, const char *part)
{
    return p && strncmp(p, part, strlen(part)) == 0 ? p + strlen(part) : NULL;
}

static const char *skip_node(const char *p)
{
    if (!p || *p++ != 'n' || !isdigit((unsigned char)*p))
        return NULL;
    while (isdigit((unsigned char)*p))
        p++;
    return p;
}

/* In quotes; of what means something to mermaid only <br> and numbers of characters. */
static const char *skip_label(const char *p)
{
    if (!p || *p++ != '"')
        return NULL;
    while (*p && *p != '"' && *p != '\n') {
        if (*p == '<' || *p == '#') {
            const char *end = *p == '<' ? skip(p, "<br>") : strchr(p, ';');
            if (!end || (*p == '#' && strspn(p + 1, "0123456789") != (size_t)(end - p - 1)))
                return NULL;
            p = end + (*p == '#');
        } else if (strchr(">&`\\", *p)) {
            return NULL;
        } else {
            p++;
        }
    }
    return *p == '"' ? p + 1 : NULL;
}

/* A line is  n0["label"]  or  n0{{"label"}}  or  n0 -->|"label"| n1  or  n0 -.->|"label"| n1 */
static bool line_is_mermaid(const char *line)
{
    const char *p = skip_node(skip(line, "  "));
    if (!p)
        return false;
    const char *ends[] = { skip(skip_label(skip(p, "[")), "]\n"), skip(skip_label(skip(p, "{{")), "}}\n"),
                           skip(skip_node(skip(skip_label(skip(p, " -->|")), "| ")), "\n"),
                           skip(skip_node(skip(skip_label(skip(p, " -.->|")), "| ")), "\n") };
    return ends[0] || ends[1] || ends[2] || ends[3];
}

static void parse(void)
{
    const char *line = skip(exported_out, "flowchart LR\n");
    ck_assert_ptr_nonnull(line);
    for (; *line; line = strchr(line, '\n') + 1)
        ck_assert_msg(line_is_mermaid(line), "%s", line);
}

TEST(graph, mermaid_is_mermaids_syntax)
{
    ck_assert(line_is_mermaid("  n1[\"a#35;b<br>c\"]\n") && line_is_mermaid("  n1 -.->|\"x\"| n22\n"));
    ck_assert(!line_is_mermaid("  n1[\"a#b\"]\n") && !line_is_mermaid("  n1[\"a\"b\"]\n") &&
              !line_is_mermaid("  n1{{\"<b>\"}}\n") && !line_is_mermaid("  n1 -->|\"x\"| \n"));
    every_graph("mermaid", parse);
}

TEST(graph, wrong_arguments_are_usage_errors)
{
    static const char *const arguments[] = { "--kind=love",       "--format=svg", "--top=0", "--top=many",
                                             "--from=2s --to=1s", "a b",          "--bogus" };
    exported_golden("export");
    for (size_t i = 0; i < sizeof arguments / sizeof arguments[0]; i++) {
        ck_assert_msg(exported_run("$GMPTRACE graph %s", arguments[i]) == 2, "%s", arguments[i]);
        exported_has(exported_err, "; see gmptrace graph --help\n");
    }
}
