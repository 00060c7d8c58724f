/* gmptrace graph: each kind of graph of a small trace, whole. */
#include "exported.h"
#include "harness.h"

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

TEST(graph, contention_has_the_lock_between)
{
    graph_is("contention", "--kind=contention",
             "flowchart LR\n"
             "  n0[\"0x20\"]\n"
             "  n1{{\"mutex lock<br>0x1021\"}}\n"
             "  n2[\"0x10\"]\n"
             "  n0 -->|\"3 times, waited 930 ns, at most 820 ns\"| n1\n"
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

TEST(graph, the_heaviest_edges_come_first_and_the_rest_is_counted)
{
    exported_golden("contention");
    ck_assert_int_eq(exported_run("$GMPTRACE graph --kind=contention --top=1"), 0);
    exported_has(exported_out, "3 times");
    ck_assert_ptr_null(strstr(exported_out, "1 time"));
    exported_has(exported_err, "2 lighter edges are left out; --top shows more");
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

TEST(graph, graphviz_takes_it)
{
    exported_golden("contention");
    if (exported_run("command -v dot") != 0)
        SKIP("graphviz is not installed");
    ck_assert_int_eq(exported_run("$GMPTRACE graph --kind=wait --format=dot | dot -Tplain"), 0);
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
