/* A graph for mermaid or dot. */
#include "cli.h"
#include "graph.h"

#include <stdio.h>
#include <string.h>

#define NODE_COLUMNS 60

/* In double quotes, as either language wants what means something to it. */
static void text_put(const struct graph *graph, const char *text)
{
    putchar('"');
    for (; *text; text++) {
        if (*text == '\n')
            fputs(graph->format == GRAPH_DOT ? "\\n" : "<br>", stdout);
        else if (graph->format == GRAPH_DOT && (*text == '"' || *text == '\\'))
            printf("\\%c", *text);
        else if (graph->format != GRAPH_DOT && strchr("\"#<>&`\\", *text))
            printf("#%d;", *text);
        else
            putchar(*text);
    }
    putchar('"');
}

static void place_text(struct graph *graph, uint32_t stack, char text[PLACE_TEXT_BYTES])
{
    struct place_frame frames[PLACE_FRAMES_MAX];
    if (place_frames(graph->places, stack, frames))
        place_of_call(graph->places, text, &frames[0]);
    else
        snprintf(text, PLACE_TEXT_BYTES, "at an unknown place");
}

static void node_print(struct graph *graph, size_t number)
{
    const struct graph_node *node = &graph->nodes[number];
    char text[PLACE_TEXT_BYTES], clean[PLACE_TEXT_BYTES], label[2 * PLACE_TEXT_BYTES];
    bool site = node->reason != GMPT_WAIT_none;
    if (site) {
        place_text(graph, node->stack, text);
        snprintf(label, sizeof label, "%s\n%s", gmpt_wait_reason_words(node->reason),
                 cli_text(clean, sizeof clean, text, NODE_COLUMNS));
    } else if (node->fn) {
        cli_text(label, sizeof label, place_function(graph->places, text, node->fn), NODE_COLUMNS);
    } else {
        snprintf(label, sizeof label, "%s", graph->kind == GRAPH_SPAWN ? "the program" : "not known");
    }
    printf(graph->format == GRAPH_DOT ? "  n%zu [%slabel=" : "  n%zu%s", number,
           graph->format == GRAPH_DOT ? (site ? "shape=hexagon, " : "") : (site ? "{{" : "["));
    text_put(graph, label);
    puts(graph->format == GRAPH_DOT ? "];" : site ? "}}" : "]");
}

static void edge_print(struct graph *graph, const struct graph_edge *edge)
{
    char label[2 * PLACE_TEXT_BYTES], text[PLACE_TEXT_BYTES], clean[PLACE_TEXT_BYTES], count[32], total[16], most[16];
    cli_count(count, edge->count);
    cli_duration(total, edge->total_ns);
    cli_duration(most, edge->max_ns);
    if (graph->kind == GRAPH_SPAWN) {
        if (edge->stack)
            place_text(graph, edge->stack, text);
        snprintf(label, sizeof label, "%s%s%s", count, edge->stack ? "\n" : "",
                 edge->stack ? cli_text(clean, sizeof clean, text, NODE_COLUMNS) : "");
    } else if (edge->relation == GRAPH_HELD_BY) {
        snprintf(label, sizeof label, "held %s time%s by", count, cli_plural(edge->count));
    } else if (edge->past) {
        snprintf(label, sizeof label, "woken %s time%s by", count, cli_plural(edge->count));
    } else if (graph->kind == GRAPH_WAIT) {
        snprintf(label, sizeof label, "%s wait%s, the longest %s", count, edge->count == 1 ? "s" : "", most);
    } else if (edge->reason) {
        snprintf(label, sizeof label, "%s %s time%s, waited %s", gmpt_wait_reason_words(edge->reason), count,
                 cli_plural(edge->count), total);
    } else {
        snprintf(label, sizeof label, "%s time%s, waited %s, at most %s", count, cli_plural(edge->count), total, most);
    }
    size_t from = graph_node_number(graph, &edge->from), to = graph_node_number(graph, &edge->to);
    if (graph->format == GRAPH_DOT) {
        printf("  n%zu -> n%zu [%slabel=", from, to, edge->past ? "style=dashed, " : "");
        text_put(graph, label);
        puts("];");
    } else {
        printf("  n%zu %s|", from, edge->past ? "-.->" : "-->");
        text_put(graph, label);
        printf("| n%zu\n", to);
    }
}

void graph_print(struct graph *graph)
{
    puts(graph->format == GRAPH_DOT ? "digraph gmptrace {\n  rankdir=LR;\n  node [shape=box];" : "flowchart LR");
    for (size_t i = 0; i < graph->node_count; i++)
        node_print(graph, i);
    for (size_t i = 0; i < graph->count; i++)
        edge_print(graph, graph->list[i]);
    if (graph->format == GRAPH_DOT)
        puts("}");
}
