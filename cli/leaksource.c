/* From goroutines with numbers and addresses to findings with names. See leaksource.h. */
#define _GNU_SOURCE
#include "leaksource.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LABELS_MAX 16
#define KIND_NONE ((enum leak_kind)LEAK_KINDS)

/* ---- Verdicts ---------------------------------------------------------------------------------------------------- */

static int verdict_order(const void *left, const void *right)
{
    const struct leak_verdict *a = left, *b = right;
    return (a->g > b->g) - (a->g < b->g);
}

int leak_verdicts_read(struct leak_verdicts *verdicts, const struct segment *segment, uint32_t proof)
{
    uint32_t used = load_acquire(&segment->header->registry_used);
    size_t room = 0;
    *verdicts = (struct leak_verdicts){ 0 };
    if (used > segment->registry_slots)
        used = segment->registry_slots;
    for (uint32_t i = 0; i < used; i++) {
        const struct g_slot *slot = &segment->registry[i];
        uint64_t status = load_acquire(&slot->status), id = load_relaxed(&slot->id);
        enum g_verdict verdict = g_verdict_of(slot, proof, id, status);
        bool lost = verdict == VERDICT_PROVEN || verdict == VERDICT_CYCLE;
        uint32_t owner = slot->verdict_owner;
        uint64_t held_bytes = lost && segment->held ? segment->held[i] : 0;
        load_fence();
        if (verdict == VERDICT_NONE || load_relaxed(&slot->status) != status || load_relaxed(&slot->id) != id)
            continue;
        if (verdicts->count == room) {
            room = room ? 2 * room : 64;
            struct leak_verdict *list = realloc(verdicts->list, room * sizeof *list);
            if (!list)
                return -ENOMEM;
            verdicts->list = list;
        }
        verdicts->list[verdicts->count++] = (struct leak_verdict){
            .g = id,
            .owner = verdict == VERDICT_CYCLE && owner && owner <= used
                         ? load_relaxed(&segment->registry[owner - 1].id)
                         : 0,
            .verdict = verdict,
            .held_bytes = held_bytes > 0 && held_bytes <= INT64_MAX ? (int64_t)held_bytes : -1,
        };
    }
    if (verdicts->count)
        qsort(verdicts->list, verdicts->count, sizeof *verdicts->list, verdict_order);
    return 0;
}

static const struct leak_verdict *verdict_find(const struct leak_verdicts *verdicts, uint64_t g)
{
    const struct leak_verdict key = { .g = g };
    return verdicts->count ? bsearch(&key, verdicts->list, verdicts->count, sizeof key, verdict_order) : NULL;
}

/* ---- Gs, alike ones together ------------------------------------------------------------------------------------- */

/* Before anything is given a name: by what the numbers are in one trace. */
struct heap {
    uint64_t fn;
    uint32_t created, waits;
    enum gmpt_wait_reason reason;
    enum leak_kind kind;
    struct leak_group sum; /* without frames */
    uint32_t name, labels; /* of the example */
};

struct heaps {
    struct heap *list;
    size_t count, room;
    const struct leak_verdicts *verdicts;
    const struct leak_source *source;
    int64_t now_ns;
    bool runs_only; /* of Gs that run without end, from a trace; else of those that wait */
};

static int64_t age_of(const struct heaps *heaps, const struct gmpt_g *g)
{
    bool before = g->was_there && g->state_since_ns == 0;
    int64_t age_ns = heaps->now_ns - g->state_since_ns + (before ? g->waited_before_ns : g->ran_before_ns);
    return age_ns > 0 ? age_ns : 0;
}

static bool g_waits(const struct gmpt_g *g)
{
    return g->state == GMPT_G_WAITING && !g->bounded && g->parent != 0 && gmpt_wait_reason_suspect(g->reason);
}

static bool g_runs(const struct gmpt_g *g)
{
    return (g->state == GMPT_G_RUNNING || g->state == GMPT_G_PREEMPTED) && g->parent != 0;
}

static enum leak_kind kind_of(const struct heaps *heaps, const struct gmpt_g *g, const struct leak_verdict *verdict)
{
    if (heaps->runs_only)
        return g_runs(g) && age_of(heaps, g) >= heaps->source->runaway_ns ? LEAK_RUNAWAY : KIND_NONE;
    if (verdict && verdict->verdict == VERDICT_PROVEN)
        return LEAK_PROVEN;
    if (verdict && verdict->verdict == VERDICT_CYCLE)
        return LEAK_CYCLE;
    return g_waits(g) && age_of(heaps, g) >= heaps->source->stuck_ns ? LEAK_STUCK : KIND_NONE;
}

static int heap_add(const struct gmpt_g *g, void *arg)
{
    struct heaps *heaps = arg;
    if (heaps->source->scope && g->scope != heaps->source->scope)
        return 0;
    const struct leak_verdict *verdict = g->state == GMPT_G_WAITING ? verdict_find(heaps->verdicts, g->id) : NULL;
    enum leak_kind kind = kind_of(heaps, g, verdict);
    if (kind == KIND_NONE && (heaps->runs_only || !g_waits(g)))
        return 0;
    struct heap *heap = NULL;
    uint32_t waits = heaps->runs_only ? 0 : g->wait_stack;
    enum gmpt_wait_reason reason = heaps->runs_only ? GMPT_WAIT_none : g->reason;
    for (size_t i = heaps->count; i > 0 && !heap; i--) {
        struct heap *other = &heaps->list[i - 1];
        if (other->fn == g->fn && other->created == g->create_stack && other->waits == waits &&
            other->reason == reason && other->kind == kind)
            heap = other;
    }
    if (!heap) {
        if (heaps->count == heaps->room) {
            size_t room = heaps->room ? 2 * heaps->room : 64;
            struct heap *list = realloc(heaps->list, room * sizeof *list);
            if (!list)
                return -ENOMEM;
            heaps->list = list;
            heaps->room = room;
        }
        heap = &heaps->list[heaps->count++];
        *heap = (struct heap){
            .fn = g->fn,
            .created = g->create_stack,
            .waits = waits,
            .reason = reason,
            .kind = kind,
            .sum = { .oldest_ns = -1, .newest_ns = INT64_MAX },
        };
    }
    int64_t age_ns = age_of(heaps, g), held_bytes = verdict ? verdict->held_bytes : -1;
    heap->sum.count++;
    heap->sum.held_bytes = leak_held_sum(heap->sum.held_bytes, held_bytes);
    if (age_ns < heap->sum.newest_ns)
        heap->sum.newest_ns = age_ns;
    if (age_ns <= heap->sum.oldest_ns)
        return 0;
    heap->sum.oldest_ns = age_ns;
    heap->sum.example_g = g->id;
    heap->sum.example_object = g->wait_object;
    heap->sum.example_owner = verdict ? verdict->owner : 0;
    heap->name = g->name;
    heap->labels = g->labels;
    return 0;
}

static size_t labels_of(const struct load *load, uint32_t set, struct leak_label labels[LABELS_MAX])
{
    uint32_t count = gmpt_trace_label_count(load->trace, set);
    if (count > LABELS_MAX)
        count = LABELS_MAX;
    for (uint32_t i = 0; i < count; i++) {
        struct gmpt_trace_label label = gmpt_trace_label(load->trace, set, i);
        labels[i] = (struct leak_label){ label.key, label.value };
    }
    return count;
}

static int heap_report(struct leak_report *report, struct load *load, const struct heap *heap, uint32_t pid)
{
    struct place_frame created[PLACE_FRAMES_MAX], waits[PLACE_FRAMES_MAX];
    struct leak_label labels[LABELS_MAX];
    struct leak_group finding = heap->sum;
    const char *name = heap->name ? gmpt_trace_string(load->trace, heap->name) : "";
    finding.kind = heap->kind;
    finding.reason = heap->reason;
    finding.function = place_function_frame(load->places, heap->fn);
    finding.created = (struct leak_stack){ created, place_frames(load->places, heap->created, created) };
    finding.waits = (struct leak_stack){ waits, place_frames(load->places, heap->waits, waits) };
    finding.example_pid = pid;
    finding.name = name[0] ? name : NULL;
    finding.labels = labels;
    finding.label_count = labels_of(load, heap->labels, labels);
    return leak_report_add(report, &finding);
}

/* ---- What grows -------------------------------------------------------------------------------------------------- */

static bool text_same(const char *a, const char *b) { return a == b || (a && b && strcmp(a, b) == 0); }

/* The same lines in two traces of one process, whose addresses mean the same. */
static bool stacks_same(struct load *a, uint32_t a_stack, struct load *b, uint32_t b_stack)
{
    struct place_frame x[PLACE_FRAMES_MAX], y[PLACE_FRAMES_MAX];
    size_t count = place_frames(a->places, a_stack, x);
    if (place_frames(b->places, b_stack, y) != count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!text_same(x[i].function, y[i].function) || !text_same(x[i].file, y[i].file) || x[i].line != y[i].line ||
            (!x[i].file && x[i].address != y[i].address))
            return false;
    return true;
}

static bool grows(struct load *look, const struct heap *heap, struct load *growth)
{
    size_t count;
    const struct summary_group *groups = summary_groups(growth->summary, &count);
    for (size_t i = 0; i < count && groups[i].verdict != SUMMARY_NONE; i++)
        if (groups[i].verdict == SUMMARY_GROWING && groups[i].fn == heap->fn && groups[i].reason == heap->reason &&
            stacks_same(look, heap->waits, growth, groups[i].wait_stack) &&
            stacks_same(look, heap->created, growth, groups[i].create_stack))
            return true;
    return false;
}

static int heaps_report(struct leak_report *report, struct load *load, struct heaps *heaps, struct load *growth)
{
    int result = gmpt_trace_each_g(load->trace, heap_add, heaps);
    for (size_t i = 0; result == 0 && i < heaps->count; i++) {
        struct heap *heap = &heaps->list[i];
        if (growth && !heaps->runs_only && heap->kind > LEAK_GROWING && grows(load, heap, growth))
            heap->kind = LEAK_GROWING;
        if (heap->kind != KIND_NONE)
            result = heap_report(report, load, heap, heaps->source->pid);
    }
    free(heaps->list);
    return result;
}

int leak_source_add(struct leak_report *report, struct load *look, const struct leak_verdicts *verdicts,
                    struct load *growth, const struct leak_source *source)
{
    struct heaps waiting = { .verdicts = verdicts, .source = source };
    waiting.now_ns = gmpt_trace_info(look->trace)->duration_ns;
    int result = heaps_report(report, look, &waiting, growth);
    if (result || !growth)
        return result;
    struct heaps running = { .verdicts = verdicts, .source = source, .runs_only = true };
    running.now_ns = gmpt_trace_info(growth->trace)->duration_ns;
    return heaps_report(report, growth, &running, NULL);
}

static int g_wants_trace(const struct gmpt_g *g, void *verdicts)
{
    const struct leak_verdict *verdict = g->state == GMPT_G_WAITING ? verdict_find(verdicts, g->id) : NULL;
    bool judged = verdict && (verdict->verdict == VERDICT_PROVEN || verdict->verdict == VERDICT_CYCLE);
    return !judged && (g_waits(g) || g_runs(g));
}

bool leak_source_wants_trace(const struct load *look, const struct leak_verdicts *verdicts)
{
    return gmpt_trace_each_g(look->trace, g_wants_trace, (void *)verdicts) != 0;
}

int leak_source_add_trace(struct leak_report *report, struct load *load)
{
    static const enum leak_kind kinds[] = { [SUMMARY_STUCK] = LEAK_STUCK,
                                            [SUMMARY_GROWING] = LEAK_GROWING,
                                            [SUMMARY_CYCLE] = LEAK_CYCLE,
                                            [SUMMARY_PROVEN] = LEAK_PROVEN };
    size_t count;
    uint32_t pid = gmpt_trace_info(load->trace)->pid;
    const struct summary_group *groups = summary_groups(load->summary, &count);
    for (size_t i = 0; i < count && groups[i].verdict != SUMMARY_NONE; i++) {
        const struct summary_group *group = &groups[i];
        const struct gmpt_g *g = gmpt_trace_g(load->trace, group->example_g);
        struct heap heap = {
            .fn = group->fn,
            .created = group->create_stack,
            .waits = group->wait_stack,
            .reason = group->reason,
            .kind = kinds[group->verdict],
            .sum = { .count = group->count,
                     .oldest_ns = group->oldest_ns,
                     .newest_ns = group->newest_ns,
                     .example_g = group->example_g,
                     .example_object = group->example_object },
            .name = g ? g->name : 0,
            .labels = g ? g->labels : 0,
        };
        int result = heap_report(report, load, &heap, pid);
        if (result)
            return result;
    }
    return 0;
}
