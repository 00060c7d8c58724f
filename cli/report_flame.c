/* "flame": [{"name": "sched", "values": [["waits", "count"], ["delay", "nanoseconds"]], "shown": 1, "moment": false,
 *            "parents": [...], "frames": [...], "samples": [node, bucket, value, value, ...]}, ...]
 * A tree for each type of profile: node 0 is the root, and node i + 1 has parent parents[i] and frame frames[i].
 * Samples are what each node has of itself. A type with `moment` has in each bucket what there was at its end.
 *
 * The values are those of `gmptrace pprof`, since the same tallies add them up, one for each bucket. Labels and names
 * are left out, so that there are no more rows than places. */
#include "report_parts.h"

#include "pprof/profile.h"
#include "pprof/tally.h"
#include "trace/keyset.h"
#include "trace/timesum.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NODES_MAX (1u << 18) /* of a type; what is deeper then counts for the node above it */

struct report_flame {
    int64_t bucket_ns;
    struct tally *tallies[TALLY_KINDS][REPORT_FLAME_BUCKETS];
};

struct report_flame *report_flame_open(const struct report *report)
{
    struct report_flame *flame = calloc(1, sizeof *flame);
    if (!flame)
        return NULL;
    int64_t width = report->end_ns / REPORT_FLAME_BUCKETS + 1;
    flame->bucket_ns = width;
    const struct tally_type *type;
    for (size_t i = 0; (type = tally_type_at(i)); i++) {
        for (int b = 0; b < REPORT_FLAME_BUCKETS; b++) {
            bool last = b == REPORT_FLAME_BUCKETS - 1;
            struct tally_options options = {
                .type = type,
                .from_ns = b * width,
                .to_ns = last ? INT64_MAX : (b + 1) * width,
                .at_ns = last ? TALLY_AT_END : (b + 1) * width,
            };
            if (!(flame->tallies[type->kind][b] = tally_open(&options))) {
                report_flame_close(flame);
                errno = ENOMEM;
                return NULL;
            }
        }
    }
    return flame;
}

void report_flame_close(struct report_flame *flame)
{
    if (!flame)
        return;
    for (int kind = 0; kind < TALLY_KINDS; kind++)
        for (int b = 0; b < REPORT_FLAME_BUCKETS; b++)
            tally_close(flame->tallies[kind][b]);
    free(flame);
}

static int bucket_of(const struct report_flame *flame, int64_t ns)
{
    int64_t bucket = ns / flame->bucket_ns;
    return bucket < 0 ? 0 : bucket < REPORT_FLAME_BUCKETS ? (int)bucket : REPORT_FLAME_BUCKETS - 1;
}

int report_flame_interval(struct report_flame *flame, const struct interval *whole)
{
    struct interval_g plain_g;
    struct interval plain;
    const struct interval *interval = whole;
    if (whole->g->labels || whole->g->name) {
        plain_g = *whole->g;
        plain_g.labels = plain_g.name = 0;
        plain = *whole;
        plain.g = &plain_g;
        interval = &plain;
    }
    int first = bucket_of(flame, whole->begin_ns), last = bucket_of(flame, whole->end_ns), result = 0;
    /* A moment at the boundary belongs to the bucket that ends there. */
    if (first > 0 && whole->begin_ns == first * flame->bucket_ns)
        first--;
    uint32_t kinds = tally_kinds(whole);
    if (first == last && whole->ended_by != INTERVAL_TRACE_END)
        kinds &= ~(1u << TALLY_GOROUTINE); /* its moments are where buckets end */
    for (; kinds && !result; kinds &= kinds - 1)
        for (int b = first; b <= last && !result; b++)
            result = tally_interval(flame->tallies[__builtin_ctz(kinds)][b], interval);
    return result;
}

int report_flame_event(struct report_flame *flame, const struct gmpt_event *event)
{
    if (!tally_takes(event->type))
        return 0;
    int result = 0, b = bucket_of(flame, event->time_ns);
    for (int kind = 0; kind < TALLY_KINDS && !result; kind++)
        result = tally_event(flame->tallies[kind][b], event);
    return result;
}

/* ---- Trees ------------------------------------------------------------------------------------------------------- */

struct node_key {
    uint32_t parent, frame;
};

struct tree {
    struct keyset nodes;
    int64_t (*values)[PROFILE_TYPES_MAX]; /* of the bucket at hand, by node */
    uint32_t *touched, touched_count;
    size_t room;
    struct profile_frames frames;
    bool comma;
};

static int tree_reach(struct tree *tree, uint32_t node)
{
    if (node < tree->room)
        return 0;
    size_t room = (size_t)node * 2 + 256;
    void *values = reallocarray(tree->values, room, sizeof tree->values[0]);
    if (values)
        tree->values = values;
    uint32_t *touched = values ? reallocarray(tree->touched, room, sizeof *touched) : NULL;
    if (!touched)
        return -ENOMEM;
    tree->touched = touched;
    memset(tree->values + tree->room, 0, (room - tree->room) * sizeof tree->values[0]);
    tree->room = room;
    return 0;
}

static int sample_add(struct report *report, struct tree *tree, struct profile *profile, size_t sample, size_t values)
{
    int result = profile_sample_frames(profile, sample, &tree->frames);
    uint32_t node = 0;
    for (size_t i = tree->frames.count; i > 0 && !result; i--) {
        const struct profile_frame *frame = &tree->frames.list[i - 1];
        char name[1024];
        snprintf(name, sizeof name, "%s", profile_string(profile, frame->name));
        int64_t number =
            report_frame(report->names, name, frame->file ? profile_string(profile, frame->file) : NULL, frame->line);
        if (number < 0)
            return -ENOMEM;
        struct node_key key = { node, (uint32_t)number };
        int64_t next = keyset_put(&tree->nodes, &key);
        if (next < 0)
            return -ENOMEM;
        if (next == 0)
            break;
        node = (uint32_t)next;
    }
    if (!result)
        result = tree_reach(tree, node);
    if (result)
        return result;
    bool untouched = true;
    for (size_t v = 0; v < values; v++)
        untouched &= tree->values[node][v] == 0;
    for (size_t v = 0; v < values; v++)
        timesum_add(&tree->values[node][v], profile_value(profile, sample, v));
    bool now = false;
    for (size_t v = 0; v < values; v++)
        now |= tree->values[node][v] != 0;
    if (untouched && now)
        tree->touched[tree->touched_count++] = node;
    return 0;
}

static uint32_t text_stack(void *report, uint32_t stack)
{
    return alike_first(((struct report *)report)->load.alike, stack);
}

static const char *text_none(void *report, uint32_t stack)
{
    (void)report;
    (void)stack;
    return NULL;
}
static const char *text_function(void *report, uint64_t fn)
{
    (void)report;
    (void)fn;
    return "";
}

static int bucket_write(struct report *report, struct tree *tree, const struct tally_type *type,
                        const struct tally *tally, int bucket)
{
    struct profile *profile = profile_open_types(report->load.trace, report->load.symbolizer, type->values,
                                                 type->value_count, type->shown);
    struct tally_texts texts = { report, text_stack, text_none, text_function }; /* labels are not looked at */
    if (!profile)
        return -ENOMEM;
    int result = tally_fill(tally, report->load.trace, &texts, profile);
    for (size_t i = 0; i < profile_sample_count(profile) && !result; i++)
        result = sample_add(report, tree, profile, i, type->value_count);
    for (uint32_t i = 0; i < tree->touched_count && !result; i++) {
        int64_t *values = tree->values[tree->touched[i]];
        fprintf(report->out, "%s%u,%d", tree->comma ? "," : "", tree->touched[i], bucket);
        for (size_t v = 0; v < type->value_count; v++) {
            fprintf(report->out, ",%" PRId64, values[v]);
            values[v] = 0;
        }
        tree->comma = true;
    }
    tree->touched_count = 0;
    profile_close(profile);
    return result;
}

static int type_write(struct report *report, const struct tally_type *type, struct tally **tallies)
{
    struct tree tree = { 0 };
    FILE *out = report->out;
    int result = 0;
    keyset_init(&tree.nodes, sizeof(struct node_key), NODES_MAX);
    fprintf(out, "{\"name\":\"%s\",\"shown\":%zu,\"moment\":%s,\"values\":[", type->name, type->shown,
            type->moment ? "true" : "false");
    for (size_t v = 0; v < type->value_count; v++)
        fprintf(out, "%s[\"%s\",\"%s\"]", v ? "," : "", type->values[v].type, type->values[v].unit);
    fputs("],\n\"samples\":[", out);
    for (int b = 0; b < REPORT_FLAME_BUCKETS && !result; b++)
        result = bucket_write(report, &tree, type, tallies[b], b);
    fputs("],\n\"parents\":[", out);
    for (uint32_t i = 1; i <= tree.nodes.count; i++)
        fprintf(out, "%s%u", i > 1 ? "," : "", ((const struct node_key *)keyset_get(&tree.nodes, i))->parent);
    fputs("],\"frames\":[", out);
    for (uint32_t i = 1; i <= tree.nodes.count; i++)
        fprintf(out, "%s%u", i > 1 ? "," : "", ((const struct node_key *)keyset_get(&tree.nodes, i))->frame);
    fputs("]}", out);
    keyset_free(&tree.nodes);
    free(tree.values);
    free(tree.touched);
    free(tree.frames.list);
    return result;
}

int report_flame_write(struct report *report)
{
    struct report_flame *flame = report->flame;
    int result = 0;
    fprintf(report->out, "\"flame_bucket_ns\":%" PRId64 ",\"flame\":[", flame->bucket_ns);
    const struct tally_type *type;
    for (size_t i = 0; (type = tally_type_at(i)) && !result; i++) {
        fputs(i ? ",\n" : "", report->out);
        result = type_write(report, type, flame->tallies[type->kind]);
    }
    fputc(']', report->out);
    return result;
}
