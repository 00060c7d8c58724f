/* A graph as JSON. */
#include "cli.h"
#include "graph.h"
#include "load.h"

#include <inttypes.h>

static const char *const relations[GRAPH_RELATIONS] = { "sends", "starts", "waits", "woken_by", "held_by" };

static void reason_print(enum gmpt_wait_reason reason)
{
    printf(reason == GMPT_WAIT_none ? "null" : "\"%s\"", load_reason_key(reason));
}

static void node_print(struct graph *graph, size_t number)
{
    const struct graph_node *node = &graph->nodes[number];
    printf("{\"id\": %zu, \"kind\": \"%s\", \"wait_reason\": ", number,
           node->reason == GMPT_WAIT_none ? "function" : "site");
    reason_print(node->reason);
    fputs(", \"function\": ", stdout);
    place_function_json(graph->places, stdout, node->fn);
    fputs(", \"stack\": ", stdout);
    place_json(graph->places, stdout, node->stack);
    putchar('}');
}

static void edge_print(struct graph *graph, const struct graph_edge *edge)
{
    printf("{\"from\": %zu, \"to\": %zu, \"relation\": \"%s\", \"wait_reason\": ",
           graph_node_number(graph, &edge->from), graph_node_number(graph, &edge->to), relations[edge->relation]);
    reason_print(edge->reason);
    printf(", \"past\": %s, \"count\": %" PRIu64 ", \"total_ns\": %" PRId64 ", \"max_ns\": %" PRId64
           ", \"stack\": ",
           edge->past ? "true" : "false", edge->count, edge->total_ns, edge->max_ns);
    place_json(graph->places, stdout, edge->stack);
    putchar('}');
}

void graph_json_print(struct graph *graph)
{
    printf("{\n  \"kind\": \"%s\",\n  \"nodes\": [", graph_kind_name(graph->kind));
    for (size_t i = 0; i < graph->node_count; i++) {
        fputs(i ? ",\n    " : "\n    ", stdout);
        node_print(graph, i);
    }
    fputs("],\n  \"edges\": [", stdout);
    for (size_t i = 0; i < graph->count; i++) {
        fputs(i ? ",\n    " : "\n    ", stdout);
        edge_print(graph, graph->list[i]);
    }
    printf("],\n  \"left_out\": %" PRIu64 "\n}\n", graph->left_out);
}
