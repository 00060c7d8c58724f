/* A graph of who deals with whom, between the parts of gmptrace graph: graph.c makes it, graph_text.c and graph_json.c
 * print it. */
#ifndef GMPT_GRAPH_H
#define GMPT_GRAPH_H

#include "place.h"

#include "trace/table.h"

#include <gmptrace/trace.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum graph_kind { GRAPH_COMMUNICATION, GRAPH_CONTENTION, GRAPH_SPAWN, GRAPH_WAIT, GRAPH_KINDS };
enum graph_format { GRAPH_MERMAID, GRAPH_DOT, GRAPH_JSON, GRAPH_FORMATS };

struct graph_node {
    uint64_t fn; /* of a function, 0 = whatever is not known or no G */
    uint32_t stack;
    enum gmpt_wait_reason reason; /* of a site; GMPT_WAIT_none: a function */
};

/* What an edge says of its two ends. */
enum graph_relation {
    GRAPH_SENDS,    /* or wakes: from a function to one */
    GRAPH_STARTS,   /* likewise */
    GRAPH_WAITS,    /* from a function to the site where it waits */
    GRAPH_WOKEN_BY, /* from a site to who ended waits there */
    GRAPH_HELD_BY,  /* from a site to who had the lock as waits began there */
    GRAPH_RELATIONS
};

struct graph_edge {
    struct graph_node from, to;
    enum graph_relation relation;
    enum gmpt_wait_reason reason; /* of sending */
    uint32_t stack;               /* of a start: where */
    bool past;                    /* said of others than those that wait there now */
    uint64_t count;
    int64_t total_ns, max_ns;
};

struct graph {
    const char *path;
    enum graph_kind kind;
    enum graph_format format;
    uint64_t top;
    int64_t from_ns, to_ns;
    struct gmpt_trace *trace;
    struct symbolizer *symbolizer;
    struct places *places;
    struct alike *alike;
    struct table edges;
    uint64_t left_out;
    struct graph_edge **list; /* what is shown, the heaviest first */
    size_t count;
    struct graph_node *nodes; /* of these, by number */
    size_t node_count;
};

const char *graph_kind_name(enum graph_kind kind); /* "contention" */
/* The number of a node of an edge that is shown. */
size_t graph_node_number(struct graph *graph, const struct graph_node *node);

void graph_print(struct graph *graph);      /* for mermaid or dot */
void graph_json_print(struct graph *graph); /* as schema/graph.schema.json says */

#endif
