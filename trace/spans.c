/* See spans.h. Open tasks are found by their id, open regions by their G, whose innermost comes first. */
#include "spans.h"

#include "histogram.h"
#include "table.h"
#include "timesum.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define OPEN_MAX (1u << 20) /* further ones are counted, but their end finds no begin */
#define NEST_MAX 256        /* likewise, of one G's regions: an end looks through all of them */

struct kind {
    uint64_t name, begun, ended;
    int64_t total_ns;
    struct histogram latency;
};

/* The kinds of tasks, of regions, or of messages, by name. */
struct kinds {
    struct table table;
    struct span_kind *list; /* made at the end */
    size_t count;
};

struct open_span {
    uint64_t id; /* the task's, or the G's */
    struct kind *kind;
    uint64_t name;
    uint64_t other; /* of a task the G that began it, of a region its task */
    uint64_t parent;
    int64_t begin_ns;
    struct open_span *outer; /* the same G's region around this one */
    uint32_t depth;          /* how many are around it */
    uint32_t lane;
    bool task;
    uint64_t unseen; /* begun inside this one and counted only: the next ends are theirs */
};

struct spans {
    struct kinds tasks, regions, messages;
    struct table open_tasks, open_regions;
    size_t open_count;
    struct span_messages *message_list;
    uint64_t unmatched;
    int (*over)(void *arg, const struct span *span); /* NULL: nobody watches */
    void *over_arg;
};

struct spans *spans_open(void) { return calloc(1, sizeof(struct spans)); }

void spans_watch(struct spans *spans, int (*over)(void *arg, const struct span *span), void *arg)
{
    spans->over = over;
    spans->over_arg = arg;
}

static void kinds_clear(struct kinds *kinds)
{
    for (size_t i = 0; kinds->table.slots && i <= kinds->table.mask; i++) {
        struct kind *kind = kinds->table.slots[i].entry;
        if (kind)
            histogram_clear(&kind->latency);
        free(kind);
    }
    table_clear(&kinds->table);
    free(kinds->list);
}

static void open_clear(struct table *open)
{
    for (size_t i = 0; open->slots && i <= open->mask; i++) {
        for (struct open_span *span = open->slots[i].entry, *outer; span; span = outer) {
            outer = span->outer;
            free(span);
        }
    }
    table_clear(open);
}

void spans_close(struct spans *spans)
{
    if (!spans)
        return;
    open_clear(&spans->open_tasks);
    open_clear(&spans->open_regions);
    kinds_clear(&spans->tasks);
    kinds_clear(&spans->regions);
    kinds_clear(&spans->messages);
    free(spans->message_list);
    free(spans);
}

static struct kind *kind_get(struct kinds *kinds, uint64_t name)
{
    struct kind *kind = table_find(&kinds->table, table_mix(name), NULL, NULL);
    if (!kind && kinds->table.count >= SPANS_KINDS_MAX)
        kind = table_find(&kinds->table, table_mix(name = 0), NULL, NULL);
    if (kind)
        return kind;
    kind = calloc(1, sizeof *kind);
    if (!kind)
        return NULL;
    kind->name = name;
    if (table_insert(&kinds->table, table_mix(name), kind)) {
        free(kind);
        return NULL;
    }
    return kind;
}

/* An open span with this id that is put into no table yet; *out is NULL when too many are open. */
static int span_begin(struct spans *spans, struct kinds *kinds, uint64_t name, uint64_t id, int64_t now_ns,
                      struct open_span **out)
{
    struct kind *kind = kind_get(kinds, name);
    *out = NULL;
    if (!kind)
        return -ENOMEM;
    kind->begun++;
    if (spans->open_count >= OPEN_MAX)
        return 0;
    struct open_span *span = malloc(sizeof *span);
    if (!span)
        return -ENOMEM;
    *span = (struct open_span){ .id = id, .kind = kind, .name = name, .begin_ns = now_ns };
    spans->open_count++;
    *out = span;
    return 0;
}

static int span_tell(struct spans *spans, const struct open_span *span, bool ended, uint64_t end_g, int64_t now_ns)
{
    if (!spans->over)
        return 0;
    struct span over = {
        .task = span->task,
        .ended = ended,
        .id = span->task ? span->id : span->other,
        .parent = span->parent,
        .name = span->name,
        .g = span->task ? span->other : span->id,
        .end_g = end_g,
        .lane = span->lane,
        .begin_ns = span->begin_ns,
        .end_ns = now_ns > span->begin_ns ? now_ns : span->begin_ns,
    };
    return spans->over(spans->over_arg, &over);
}

/* The span is in no table any more. */
static int span_end(struct spans *spans, struct open_span *span, uint64_t end_g, int64_t now_ns)
{
    int told = span_tell(spans, span, true, end_g, now_ns);
    struct kind *kind = span->kind;
    int64_t lasted_ns = now_ns > span->begin_ns ? now_ns - span->begin_ns : 0;
    kind->ended++;
    timesum_add(&kind->total_ns, lasted_ns);
    spans->open_count--;
    free(span);
    int added = histogram_add(&kind->latency, lasted_ns);
    return told ? told : added;
}

static int task_begin(struct spans *spans, const struct gmpt_event *event)
{
    uint64_t id = event->user_task_begin.task, hash = table_mix(id);
    if (table_find(&spans->open_tasks, hash, NULL, NULL)) {
        spans->unmatched++;
        return 0;
    }
    struct open_span *span;
    int result = span_begin(spans, &spans->tasks, event->user_task_begin.name, id, event->time_ns, &span);
    if (result || !span)
        return result;
    span->task = true;
    span->other = event->g;
    span->parent = event->user_task_begin.parent;
    result = table_insert(&spans->open_tasks, hash, span);
    if (result)
        free(span);
    return result;
}

static int task_end(struct spans *spans, const struct gmpt_event *event)
{
    uint64_t hash = table_mix(event->user_task_end.task);
    struct open_span *span = table_find(&spans->open_tasks, hash, NULL, NULL);
    if (!span) {
        spans->unmatched++;
        return 0;
    }
    table_remove(&spans->open_tasks, hash, span);
    return span_end(spans, span, event->g, event->time_ns);
}

/* Makes innermost (NULL: none) the head of what is open on its G, in place of before (NULL: none). */
static int regions_set(struct spans *spans, uint64_t g, struct open_span *before, struct open_span *innermost)
{
    if (before)
        table_remove(&spans->open_regions, table_mix(g), before);
    return innermost ? table_insert(&spans->open_regions, table_mix(g), innermost) : 0;
}

/* The smallest number that none of a G's open regions has. */
static uint32_t lane_free(const struct open_span *innermost)
{
    bool taken[NEST_MAX] = { false };
    uint32_t lane = 0;
    for (; innermost; innermost = innermost->outer)
        taken[innermost->lane] = true;
    while (lane < NEST_MAX - 1 && taken[lane])
        lane++;
    return lane;
}

static int region_begin(struct spans *spans, const struct gmpt_event *event)
{
    struct open_span *span = NULL, *outer = table_find(&spans->open_regions, table_mix(event->g), NULL, NULL);
    if (outer && (outer->unseen || outer->depth + 1 >= NEST_MAX)) {
        struct kind *kind = kind_get(&spans->regions, event->user_region_begin.name);
        if (!kind)
            return -ENOMEM;
        kind->begun++;
        outer->unseen++;
        return 0;
    }
    int result = span_begin(spans, &spans->regions, event->user_region_begin.name, event->g, event->time_ns, &span);
    if (result || !span) {
        if (outer)
            outer->unseen++;
        return result;
    }
    span->outer = outer;
    span->other = event->user_region_begin.task;
    span->lane = lane_free(outer);
    span->depth = outer ? outer->depth + 1 : 0;
    result = regions_set(spans, event->g, span->outer, span);
    if (result)
        free(span); /* it is the G's first: with another one taken out there is room */
    return result;
}

static int region_end(struct spans *spans, const struct gmpt_event *event)
{
    struct open_span *head = table_find(&spans->open_regions, table_mix(event->g), NULL, NULL);
    if (head && head->unseen) {
        head->unseen--;
        spans->unmatched++;
        return 0;
    }
    for (struct open_span **link = &head, *span; (span = *link); link = &span->outer) {
        if (span->kind->name != event->user_region_end.name)
            continue;
        int result = 0;
        if (link == &head) {
            result = regions_set(spans, event->g, span, span->outer);
        } else {
            *link = span->outer;
            for (struct open_span *inner = head; inner != span->outer; inner = inner->outer)
                inner->depth--;
        }
        int ended = span_end(spans, span, event->g, event->time_ns);
        return result ? result : ended;
    }
    spans->unmatched++;
    return 0;
}

/* They are over without an end; the head is in no table any more. */
static int chain_drop(struct spans *spans, struct open_span *span, int64_t now_ns)
{
    int result = 0;
    for (struct open_span *outer; span; span = outer) {
        outer = span->outer;
        int told = span_tell(spans, span, false, span->task ? 0 : span->id, now_ns);
        result = result ? result : told;
        free(span);
        spans->open_count--;
    }
    return result;
}

/* The G has ended; so have its regions, nobody knows when. */
static int regions_drop(struct spans *spans, uint64_t g, int64_t now_ns)
{
    struct open_span *span = table_find(&spans->open_regions, table_mix(g), NULL, NULL);
    if (span)
        table_remove(&spans->open_regions, table_mix(g), span);
    return chain_drop(spans, span, now_ns);
}

static int open_cut(struct spans *spans, struct table *open, int64_t end_ns)
{
    int result = 0;
    for (size_t i = 0; open->slots && i <= open->mask; i++) {
        int told = chain_drop(spans, open->slots[i].entry, end_ns);
        result = result ? result : told;
    }
    table_clear(open);
    return result;
}

int spans_cut(struct spans *spans, int64_t end_ns)
{
    int tasks = open_cut(spans, &spans->open_tasks, end_ns), regions = open_cut(spans, &spans->open_regions, end_ns);
    return tasks ? tasks : regions;
}

int spans_add(struct spans *spans, const struct gmpt_event *event)
{
    struct kind *kind;
    switch (event->type) {
    case GMPT_EVENT_user_task_begin:
        return task_begin(spans, event);
    case GMPT_EVENT_user_task_end:
        return task_end(spans, event);
    case GMPT_EVENT_user_region_begin:
        return region_begin(spans, event);
    case GMPT_EVENT_user_region_end:
        return region_end(spans, event);
    case GMPT_EVENT_user_log:
        kind = kind_get(&spans->messages, event->user_log.category);
        if (!kind)
            return -ENOMEM;
        kind->begun++;
        return 0;
    case GMPT_EVENT_go_exit:
        return spans->open_regions.count ? regions_drop(spans, event->g, event->time_ns) : 0;
    default:
        return 0;
    }
}

/* ---- The end ----------------------------------------------------------------------------------------------------- */

static int kind_compare(const void *a_arg, const void *b_arg)
{
    const struct span_kind *a = a_arg, *b = b_arg;
    if (a->total_ns != b->total_ns)
        return a->total_ns > b->total_ns ? -1 : 1;
    if (a->begun != b->begun)
        return a->begun > b->begun ? -1 : 1;
    return (a->name > b->name) - (a->name < b->name);
}

static int kinds_finish(struct kinds *kinds)
{
    if (kinds->table.count == 0)
        return 0;
    kinds->list = calloc(kinds->table.count, sizeof *kinds->list);
    if (!kinds->list)
        return -ENOMEM;
    for (size_t i = 0; i <= kinds->table.mask; i++) {
        const struct kind *kind = kinds->table.slots[i].entry;
        if (!kind)
            continue;
        kinds->list[kinds->count++] = (struct span_kind){
            .name = kind->name,
            .begun = kind->begun,
            .ended = kind->ended,
            .latency = histogram_latency(&kind->latency),
            .total_ns = kind->total_ns,
        };
    }
    qsort(kinds->list, kinds->count, sizeof *kinds->list, kind_compare);
    return 0;
}

int spans_finish(struct spans *spans)
{
    int result = kinds_finish(&spans->tasks);
    if (!result)
        result = kinds_finish(&spans->regions);
    if (!result)
        result = kinds_finish(&spans->messages);
    if (result || spans->messages.count == 0)
        return result;
    spans->message_list = calloc(spans->messages.count, sizeof *spans->message_list);
    if (!spans->message_list)
        return -ENOMEM;
    for (size_t i = 0; i < spans->messages.count; i++)
        spans->message_list[i] = (struct span_messages){ spans->messages.list[i].name, spans->messages.list[i].begun };
    return 0;
}

const struct span_kind *spans_tasks(const struct spans *spans, size_t *count)
{
    *count = spans->tasks.count;
    return spans->tasks.list;
}

const struct span_kind *spans_regions(const struct spans *spans, size_t *count)
{
    *count = spans->regions.count;
    return spans->regions.list;
}

const struct span_messages *spans_messages(const struct spans *spans, size_t *count)
{
    *count = spans->messages.count;
    return spans->message_list;
}

uint64_t spans_unmatched(const struct spans *spans) { return spans->unmatched; }
