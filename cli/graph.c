/* gmptrace graph: who deals with whom, as a graph for mermaid or dot.
 *
 * Nodes are functions, which stand for all Gs that run them, and sites, which are what Gs wait for at one place. Edges
 * are added up over the trace; memory is bounded by distinct edges, and by EDGES_MAX. */
#include "graph.h"

#include "alike.h"
#include "cli.h"
#include "load.h"

#include "trace/intervals.h"
#include "trace/timesum.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define EDGES_MAX 65536 /* further ones are counted as left out */
#define TOP 40          /* edges shown unless told otherwise */
#define TOP_MAX 10000

static const char *const kinds[GRAPH_KINDS] = { "communication", "contention", "spawn", "wait" };

const char *graph_kind_name(enum graph_kind kind) { return kinds[kind]; }

/* ---- Edges ------------------------------------------------------------------------------------------------------- */

static bool node_equal(const struct graph_node *a, const struct graph_node *b)
{
    return a->fn == b->fn && a->stack == b->stack && a->reason == b->reason;
}

static uint64_t node_hash(const struct graph_node *node)
{
    return table_mix(node->fn ^ table_mix((uint64_t)node->stack << 8 | (uint64_t)node->reason));
}

static bool edge_equal(const void *entry, const void *key_arg)
{
    const struct graph_edge *edge = entry, *key = key_arg;
    return node_equal(&edge->from, &key->from) && node_equal(&edge->to, &key->to) && edge->reason == key->reason &&
           edge->stack == key->stack && edge->relation == key->relation && edge->past == key->past;
}

static int edge_add(struct graph *graph, const struct graph_edge *key, int64_t ns)
{
    uint64_t hash = table_mix(node_hash(&key->from) + 3 * node_hash(&key->to) + (uint64_t)key->reason +
                              ((uint64_t)key->stack << 16) + ((uint64_t)key->relation << 8) + key->past);
    struct graph_edge *edge = table_find(&graph->edges, hash, edge_equal, key);
    if (!edge && graph->edges.count >= EDGES_MAX) {
        graph->left_out++;
        return 0;
    }
    if (!edge) {
        edge = malloc(sizeof *edge);
        if (!edge)
            return -ENOMEM;
        *edge = *key;
        if (table_insert(&graph->edges, hash, edge)) {
            free(edge);
            return -ENOMEM;
        }
    }
    edge->count++;
    timesum_add(&edge->total_ns, ns);
    if (ns > edge->max_ns)
        edge->max_ns = ns;
    return 0;
}

static bool contended(enum gmpt_wait_reason reason)
{
    switch (reason) {
    case GMPT_WAIT_mutex:
    case GMPT_WAIT_rwmutex_read:
    case GMPT_WAIT_rwmutex_write:
    case GMPT_WAIT_semaphore:
    case GMPT_WAIT_once:
    case GMPT_WAIT_pool:
        return true;
    default:
        return false;
    }
}

/* What is sent goes from the sender to the receiver, whoever of them had to wait. */
static int communication_add(struct graph *graph, const struct interval *wait)
{
    if (!wait->waker || contended(wait->reason))
        return 0;
    struct graph_edge edge = { .from = { .fn = wait->waker_fn }, .to = { .fn = wait->g->fn }, .reason = wait->reason };
    if (wait->reason == GMPT_WAIT_chan_send) {
        struct graph_node from = edge.from;
        edge.from = edge.to;
        edge.to = from;
    }
    return edge_add(graph, &edge, wait->end_ns - wait->begin_ns);
}

/* From who waits to what for, and from there to who had it as the wait began, and to who ended the wait. */
static int site_add(struct graph *graph, const struct interval *wait)
{
    struct graph_node site = { .stack = wait->stack ? alike_first(graph->alike, wait->stack) : 0,
                               .reason = wait->reason };
    bool goes_on = wait->ended_by == INTERVAL_TRACE_END, now = graph->kind == GRAPH_WAIT;
    int64_t ns = wait->end_ns - wait->begin_ns;
    int result = 0;
    if (!now && !contended(wait->reason))
        return 0;
    if (!now || goes_on) {
        struct graph_edge waits = { .from = { .fn = wait->g->fn }, .to = site, .relation = GRAPH_WAITS };
        struct graph_edge held = { .from = site, .to = { .fn = wait->owner_fn }, .relation = GRAPH_HELD_BY };
        result = edge_add(graph, &waits, ns);
        if (!result && wait->owner)
            result = edge_add(graph, &held, ns);
    }
    if (result || !wait->waker || goes_on)
        return result;
    struct graph_edge woken = {
        .from = site, .to = { .fn = wait->waker_fn }, .relation = GRAPH_WOKEN_BY, .past = now
    };
    return edge_add(graph, &woken, ns);
}

static int graph_add(void *arg, const struct interval *interval)
{
    struct graph *graph = arg;
    if (interval->end_ns < graph->from_ns || interval->begin_ns >= graph->to_ns)
        return 0;
    if (graph->kind == GRAPH_SPAWN) {
        if (interval->began_by != GMPT_EVENT_go_create || interval->continued)
            return 0;
        struct graph_edge edge = { .from = { .fn = interval->g->main ? 0 : interval->waker_fn },
                             .to = { .fn = interval->g->fn },
                             .relation = GRAPH_STARTS,
                             .stack =
                                 interval->g->create_stack ? alike_first(graph->alike, interval->g->create_stack) : 0 };
        return edge_add(graph, &edge, 0);
    }
    if (interval->state != GMPT_G_WAITING)
        return 0;
    return graph->kind == GRAPH_COMMUNICATION ? communication_add(graph, interval) : site_add(graph, interval);
}

/* ---- What is shown ----------------------------------------------------------------------------------------------- */

static int edge_compare(const void *a_arg, const void *b_arg)
{
    const struct graph_edge *a = *(const struct graph_edge *const *)a_arg;
    const struct graph_edge *b = *(const struct graph_edge *const *)b_arg;
    if (a->past != b->past)
        return a->past ? 1 : -1;
    if (a->count != b->count)
        return a->count > b->count ? -1 : 1;
    if (a->total_ns != b->total_ns)
        return a->total_ns > b->total_ns ? -1 : 1;
    uint64_t hash_a = node_hash(&a->from) + 3 * node_hash(&a->to), hash_b = node_hash(&b->from) + 3 * node_hash(&b->to);
    if (hash_a != hash_b)
        return hash_a > hash_b ? 1 : -1;
    if (a->relation != b->relation)
        return a->relation > b->relation ? 1 : -1;
    return (a->reason > b->reason) - (a->reason < b->reason);
}

size_t graph_node_number(struct graph *graph, const struct graph_node *node)
{
    size_t number = 0;
    while (number < graph->node_count && !node_equal(&graph->nodes[number], node))
        number++;
    if (number == graph->node_count)
        graph->nodes[graph->node_count++] = *node;
    return number;
}

static bool node_shown(const struct graph *graph, const struct graph_node *node)
{
    for (size_t i = 0; i < graph->node_count; i++)
        if (node_equal(&graph->nodes[i], node))
            return true;
    return false;
}

/* The heaviest edges, at most top, and the nodes that they join. What woke Gs in the past matters at sites that are
 * shown. */
static int graph_choose(struct graph *graph)
{
    struct graph_edge **all = calloc(graph->edges.count + 1, sizeof *all);
    size_t total = 0;
    if (!all)
        return -ENOMEM;
    for (size_t i = 0; graph->edges.slots && i <= graph->edges.mask; i++)
        if (graph->edges.slots[i].entry)
            all[total++] = graph->edges.slots[i].entry;
    qsort(all, total, sizeof *all, edge_compare);
    graph->list = all;
    graph->nodes = calloc(2 * total + 1, sizeof *graph->nodes);
    if (!graph->nodes)
        return -ENOMEM;
    for (size_t i = 0; i < total; i++) {
        struct graph_edge *edge = all[i];
        if (edge->past && !node_shown(graph, &edge->from))
            continue;
        if (graph->count >= graph->top) {
            graph->left_out++;
            continue;
        }
        all[graph->count++] = edge;
        graph_node_number(graph, &edge->from);
        graph_node_number(graph, &edge->to);
    }
    return 0;
}

/* ---- The command ------------------------------------------------------------------------------------------------- */

static int options_read(struct graph *graph, int argc, char **argv)
{
    static const struct option longs[] = {
        { "format", required_argument, NULL, 'f' }, { "kind", required_argument, NULL, 'k' },
        { "top", required_argument, NULL, 'n' },    { "from", required_argument, NULL, 'F' },
        { "to", required_argument, NULL, 'T' },     { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },      { NULL, 0, NULL, 0 },
    };
    static const char *const formats[GRAPH_FORMATS] = { "mermaid", "dot", "json" };
    *graph = (struct graph){ .path = CLI_DEFAULT_PATH, .top = TOP, .to_ns = INT64_MAX };
    optind = 0;
    opterr = 0;
    for (int option, kind; (option = getopt_long(argc, argv, ":h", longs, NULL)) != -1;) {
        char *end;
        switch (option) {
        case 'f':
            for (kind = 0; kind < GRAPH_FORMATS && strcmp(formats[kind], optarg) != 0; kind++)
                ;
            if (kind == GRAPH_FORMATS)
                return cli_usage("--format is mermaid, dot or json, not '%s'", optarg);
            graph->format = (enum graph_format)kind;
            break;
        case 'k':
            for (kind = 0; kind < GRAPH_KINDS && strcmp(kinds[kind], optarg) != 0; kind++)
                ;
            if (kind == GRAPH_KINDS)
                return cli_usage("--kind is communication, contention, spawn or wait, not '%s'", optarg);
            graph->kind = (enum graph_kind)kind;
            break;
        case 'n':
            errno = 0;
            graph->top = strtoull(optarg, &end, 10);
            if (*optarg < '0' || *optarg > '9' || *end || errno || graph->top == 0 || graph->top > TOP_MAX)
                return cli_usage("--top takes a number of edges from 1 to 10000, not '%s'", optarg);
            break;
        case 'F':
        case 'T':
            if (cli_parse_duration(optarg, option == 'F' ? &graph->from_ns : &graph->to_ns))
                return cli_usage("--%s takes a time since the trace's start such as 1.5s, not '%s'",
                                 option == 'F' ? "from" : "to", optarg);
            break;
        default:
            return cli_option_common(option, argv);
        }
    }
    if (graph->from_ns > graph->to_ns)
        return cli_usage("--from is later than --to");
    if (!cli_file_take(argc, argv, &graph->path))
        return CLI_USAGE;
    return LOAD_GO_ON;
}

/* Returns 0 or -ENOMEM; what gmpt_trace_next returned last is in *last. */
static int graph_fill(struct graph *graph, int *last)
{
    struct gmpt_event event;
    struct intervals *intervals = intervals_open(graph->trace, graph_add, graph);
    int result = intervals ? 0 : -ENOMEM;
    while (!result && (*last = gmpt_trace_next(graph->trace, &event)) > 0)
        result = intervals_add(intervals, &event);
    if (!result)
        result = intervals_finish(intervals, gmpt_trace_info(graph->trace)->duration_ns);
    intervals_close(intervals);
    return result ? result : graph_choose(graph);
}

static int graph_run(int argc, char **argv)
{
    struct graph graph;
    char count[32];
    int last = 0, status = options_read(&graph, argc, argv);
    if (status != LOAD_GO_ON)
        return status;
    graph.trace = cli_trace_open(graph.path);
    if (!graph.trace)
        return CLI_INPUT;
    graph.symbolizer = symbolizer_open(graph.trace);
    graph.places = graph.symbolizer ? places_open(graph.trace, graph.symbolizer) : NULL;
    graph.alike = graph.places ? alike_open(graph.places) : NULL;
    if (!graph.alike || graph_fill(&graph, &last) || last == -ENOMEM) {
        cli_error("%s: %s", graph.path, strerror(ENOMEM));
        status = CLI_MACHINE;
        goto out;
    }
    status = cli_trace_finish(graph.trace, graph.path, last);
    if (status != CLI_OK)
        goto out;
    if (graph.format == GRAPH_JSON)
        graph_json_print(&graph);
    else
        graph_print(&graph);
    status = cli_flush(CLI_OK);
    if (!graph.count)
        cli_error("%s: nothing to show for --kind=%s", graph.path, kinds[graph.kind]);
    if (graph.left_out)
        cli_error("%s lighter edge%s left out; --top shows more", cli_count(count, graph.left_out),
                  graph.left_out == 1 ? " is" : "s are");
    place_warn(graph.places);
out:
    for (size_t i = 0; graph.edges.slots && i <= graph.edges.mask; i++)
        free(graph.edges.slots[i].entry);
    table_clear(&graph.edges);
    free(graph.list);
    free(graph.nodes);
    alike_close(graph.alike);
    places_close(graph.places);
    symbolizer_close(graph.symbolizer);
    gmpt_trace_close(graph.trace);
    return status;
}

const struct cli_command command_graph = {
    .name = "graph",
    .summary = "who wakes, starts or waits for whom: mermaid, dot, JSON",
    .help = "Usage: gmptrace graph [FILE] [--kind=K] [--format=F] [--top N] [--from T]\n"
            "                      [--to T]\n"
            "Draw how the goroutines of the trace FILE (gmptrace.data) deal with each other,\n"
            "by their functions.\n"
            "\n"
            "  --kind=communication  who sends to or wakes whom (the default)\n"
            "  --kind=contention     who waits for locks where, who has them, and who lets go\n"
            "  --kind=spawn          who starts whom\n"
            "  --kind=wait           what waits at the end, for whom, who woke such waits before\n"
            "  --format=F            mermaid (the default), as in Markdown, dot for graphviz,\n"
            "                        or json\n"
            "  --top=N               the N heaviest edges (40)\n"
            "  --from=T, --to=T      only what lasts or begins between these times\n"
            "  -h, --help            this text\n"
            "      --version         which gmptrace this is\n"
            "\n"
            "  gmptrace graph --format=dot | dot -Tsvg > graph.svg\n"
            "\n"
            "Exit status: 0 fine, 2 wrong usage, 3 FILE cannot be used, 4 the output cannot\n"
            "be written.\n",
    .run = graph_run,
};
