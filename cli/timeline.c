/* See timeline.h. The states of Gs are intervals.h's matter, spans spans.h's; here they are cut to the window and put
 * together with what else is told: who holds a P, how many Gs are in a state, when a G is over. Which threads have a
 * CPU is threadline.h's matter. */
#include "timeline.h"

#include "threadline.h"

#include "trace/cpusamples.h"
#include "trace/intervals.h"
#include "trace/idtable.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PS_MAX 256

struct known {
    struct export_g g;       /* its id comes first */
    enum gmpt_g_state state; /* now, as it is counted; 0 = in none */
    bool split;              /* labels changed in the midst of what it does: */
    struct interval parts;   /* the parts so far, but for g */
};

/* The M that has a P; tid 0 = none. */
struct holder {
    uint64_t tid;
    int64_t since_ns;
};

struct timeline {
    struct export *export;
    struct timeline_options options;
    struct intervals *intervals;
    struct spans *spans;
    struct idtable gs; /* of struct known */
    struct holder holders[PS_MAX];
    int32_t p_count; /* no P from this one on was ever held */
    struct threadline threads; /* the kernel's side */
    struct export_counts counts, told; /* as it is now, from the time of the last change; as it was told last */
    bool counts_told;
    int64_t now_ns;
};

/* ---- Gs ---------------------------------------------------------------------------------------------------------- */

static struct known *known_find(struct timeline *timeline, uint64_t id)
{
    return idtable_find(&timeline->gs, id);
}

/* NULL when memory is short. */
static struct known *known_get(struct timeline *timeline, uint64_t id)
{
    struct known *known = known_find(timeline, id);
    if (known)
        return known;
    known = calloc(1, sizeof *known);
    if (!known)
        return NULL;
    known->g.id = id;
    if (idtable_insert(&timeline->gs, known)) {
        free(known);
        return NULL;
    }
    return known;
}

static int g_over(struct timeline *timeline, struct known *known, bool ended)
{
    struct export *export = timeline->export;
    int result = 0;
    known->g.ended = ended;
    if (known->g.told && export->format->g_over)
        result = export->format->g_over(export, &known->g);
    idtable_remove(&timeline->gs, known);
    free(known);
    return result;
}

/* ---- States ------------------------------------------------------------------------------------------------------ */

static int wakeup_tell(struct timeline *timeline, struct known *known, const struct interval *interval)
{
    struct export *export = timeline->export;
    struct known *waker = interval->waker ? known_find(timeline, interval->waker) : NULL;
    struct export_wakeup wakeup = {
        .g = known->g.id,
        .waker = interval->waker,
        .waker_g = waker ? &waker->g : NULL,
        .waker_fn = interval->waker_fn,
        .waker_stack = interval->waker_stack,
        .time_ns = interval->begin_ns,
        .wait = known->g.wait,
        .latency_ns = interval->end_ns - interval->begin_ns,
        .ran = interval->ended_by == GMPT_EVENT_go_start && interval->end_ns < timeline->options.to_ns,
    };
    return export->format->wakeup(export, &known->g, &wakeup);
}

static int interval_whole(struct timeline *timeline, struct known *known, const struct interval *whole)
{
    struct export *export = timeline->export;
    int64_t from_ns = timeline->options.from_ns, to_ns = timeline->options.to_ns;
    bool waits = whole->state == GMPT_G_WAITING, calls = whole->state == GMPT_G_SYSCALL;
    struct export_slice slice = {
        .g = known->g.id,
        .state = whole->state,
        .reason = whole->reason,
        .bounded = whole->bounded,
        .object = whole->object,
        .owner = whole->owner,
        .stack = waits || calls ? whole->stack : 0,
        .p = whole->state == GMPT_G_RUNNING ? whole->p : -1,
        .ended = whole->ended_by != INTERVAL_TRACE_END && whole->end_ns < to_ns,
        .begin_ns = whole->begin_ns,
        .end_ns = whole->end_ns,
    };
    if (waits || calls)
        known->g.wait = slice;
    if (interval_clip(&slice.begin_ns, &slice.end_ns, from_ns, to_ns)) {
        if (!known->g.told)
            known->g.begin_ns = slice.begin_ns;
        known->g.told = true;
        known->g.end_ns = slice.end_ns;
        known->g.state = whole->state;
        int result = export->format->slice ? export->format->slice(export, &known->g, &slice) : 0;
        if (result)
            return result;
    }
    if (whole->began_by == GMPT_EVENT_go_unblock && export->format->wakeup && whole->begin_ns >= from_ns &&
        whole->begin_ns < to_ns)
        return wakeup_tell(timeline, known, whole);
    return 0;
}

/* Parts between which only labels changed are one slice. */
static int interval_closed(void *arg, const struct interval *part)
{
    struct timeline *timeline = arg;
    if (part->end_ns < timeline->options.from_ns && part->ended_by != GMPT_EVENT_go_labels)
        return 0; /* what is told of the window has nothing to do with it: no wake-up there ended it */
    struct known *known = known_get(timeline, part->g->id);
    if (!known)
        return -ENOMEM;
    bool goes_on = part->continued && known->split;
    known->split = part->ended_by == GMPT_EVENT_go_labels;
    if (!goes_on && !known->split)
        return interval_whole(timeline, known, part);
    if (!goes_on)
        known->parts = *part;
    known->parts.g = part->g;
    known->parts.end_ns = part->end_ns;
    known->parts.ended_by = part->ended_by;
    return known->split ? 0 : interval_whole(timeline, known, &known->parts);
}

/* ---- Spans and messages ------------------------------------------------------------------------------------------ */

static int span_over(void *arg, const struct span *whole)
{
    struct timeline *timeline = arg;
    struct export *export = timeline->export;
    int64_t from_ns = timeline->options.from_ns, to_ns = timeline->options.to_ns;
    if (!export->format->span || whole->end_ns < from_ns || whole->begin_ns >= to_ns)
        return 0;
    struct span span = *whole;
    struct known *known = known_find(timeline, span.g);
    if (span.begin_ns < from_ns)
        span.begin_ns = from_ns;
    if (span.end_ns >= to_ns) {
        span.end_ns = to_ns;
        span.ended = false;
    }
    return export->format->span(export, known ? &known->g : NULL, &span);
}

static int message_tell(struct timeline *timeline, const struct gmpt_event *event)
{
    struct export *export = timeline->export;
    struct known *known = known_find(timeline, event->g);
    if (!export->format->message || event->time_ns < timeline->options.from_ns ||
        event->time_ns >= timeline->options.to_ns)
        return 0;
    return export->format->message(export, known ? &known->g : NULL, event);
}

static int sample_tell(struct timeline *timeline, const struct gmpt_event *event)
{
    struct export *export = timeline->export;
    struct export_sample sample = {
        .time_ns = cpusamples_time_ns(event),
        .g = event->cpu_sample.g,
        .tid = event->cpu_sample.tid,
        .p = (int32_t)event->cpu_sample.held - 1,
        .stack = (uint32_t)event->cpu_sample.stack,
        .cpu_ns = (int64_t)event->cpu_sample.cpu_ns,
    };
    if (!export->format->sample || sample.time_ns < timeline->options.from_ns ||
        sample.time_ns >= timeline->options.to_ns)
        return 0;
    place_code(export->places, sample.stack);
    return export->format->sample(export, &sample);
}

/* ---- Threads ----------------------------------------------------------------------------------------------------- */

static int holder_leaves(struct timeline *timeline, uint64_t p)
{
    struct export *export = timeline->export;
    if (p >= PS_MAX || !timeline->holders[p].tid)
        return 0;
    struct holder holder = timeline->holders[p];
    struct export_hold hold = {
        .tid = holder.tid, .p = (int32_t)p, .begin_ns = holder.since_ns, .end_ns = timeline->now_ns
    };
    timeline->holders[p].tid = 0;
    if (hold.begin_ns < timeline->options.from_ns)
        hold.begin_ns = timeline->options.from_ns;
    if (hold.end_ns > timeline->options.to_ns)
        hold.end_ns = timeline->options.to_ns;
    if (hold.end_ns <= hold.begin_ns || !export->format->hold)
        return 0;
    return export->format->hold(export, &hold);
}

/* An M has one P at a time; that it came to another tells that it left, where records were lost. */
static int holder_comes(struct timeline *timeline, int32_t p, uint64_t tid)
{
    int result = 0;
    if (p < 0 || p >= PS_MAX)
        return 0;
    if (p >= timeline->p_count)
        timeline->p_count = p + 1;
    for (uint64_t other = 0; other < (uint64_t)timeline->p_count && !result; other++)
        if (other == (uint64_t)p || timeline->holders[other].tid == tid)
            result = holder_leaves(timeline, other);
    timeline->holders[p] = (struct holder){ tid, timeline->now_ns };
    return result;
}

static int holders_add(struct timeline *timeline, const struct gmpt_event *event)
{
    switch (event->type) {
    case GMPT_EVENT_proc_start:
        return holder_comes(timeline, event->p, event->proc_start.tid);
    case GMPT_EVENT_proc_stop:
    case GMPT_EVENT_go_detach:
        return event->p >= 0 ? holder_leaves(timeline, (uint64_t)event->p) : 0;
    case GMPT_EVENT_proc_retake:
        return holder_leaves(timeline, event->proc_retake.p);
    default:
        return 0;
    }
}

/* ---- Counters ---------------------------------------------------------------------------------------------------- */

static int64_t step_of(const struct timeline *timeline, int64_t time_ns)
{
    return timeline->options.every_ns > 0 ? time_ns / timeline->options.every_ns : time_ns;
}

/* Tells the counts of a step that is over. */
static int counts_tell(struct timeline *timeline)
{
    struct export *export = timeline->export;
    struct export_counts counts = timeline->counts;
    if (!export->format->counts || counts.time_ns < 0 || counts.time_ns >= timeline->options.to_ns)
        return 0;
    if (counts.time_ns < timeline->options.from_ns) {
        if (timeline->now_ns < timeline->options.from_ns)
            return 0;
        counts.time_ns = timeline->options.from_ns;
    }
    if (timeline->counts_told && memcmp(counts.gs, timeline->told.gs, sizeof counts.gs) == 0)
        return 0;
    timeline->told = counts;
    timeline->counts_told = true;
    return export->format->counts(export, &counts);
}

/* Counts the G anew after an event about it. */
static int counts_add(struct timeline *timeline, uint64_t id)
{
    struct known *known = id ? known_find(timeline, id) : NULL;
    const struct gmpt_g *g = known ? gmpt_trace_g(timeline->export->trace, id) : NULL;
    enum gmpt_g_state state = g && g->state < GMPT_G_STATES && g->state != GMPT_G_DEAD ? g->state : 0;
    struct export_counts *counts = &timeline->counts;
    if (!known || known->state == state)
        return 0;
    int result = 0;
    bool before = counts->time_ns < timeline->options.from_ns;
    if (step_of(timeline, timeline->now_ns) != step_of(timeline, counts->time_ns) &&
        !(before && timeline->now_ns <= timeline->options.from_ns))
        result = counts_tell(timeline);
    counts->gs[known->state]--;
    counts->gs[state]++;
    if (timeline->now_ns > counts->time_ns)
        counts->time_ns = timeline->now_ns;
    known->state = state;
    return result;
}

/* ---- The whole --------------------------------------------------------------------------------------------------- */

struct timeline *timeline_open(struct export *export, const struct timeline_options *options)
{
    struct timeline *timeline = calloc(1, sizeof *timeline);
    if (!timeline)
        return NULL;
    timeline->export = export;
    timeline->options = *options;
    timeline->counts.time_ns = -1;
    threadline_open(&timeline->threads, export, options->from_ns, options->to_ns);
    timeline->intervals = intervals_open(export->trace, interval_closed, timeline);
    timeline->spans = spans_open();
    if (!timeline->intervals || !timeline->spans) {
        timeline_close(timeline);
        errno = ENOMEM;
        return NULL;
    }
    spans_watch(timeline->spans, span_over, timeline);
    return timeline;
}

void timeline_close(struct timeline *timeline)
{
    if (!timeline)
        return;
    const struct table *gs = &timeline->gs.table;
    for (size_t i = 0; gs->slots && i <= gs->mask; i++)
        free(gs->slots[i].entry);
    idtable_clear(&timeline->gs);
    intervals_close(timeline->intervals);
    spans_close(timeline->spans);
    threadline_close(&timeline->threads);
    free(timeline);
}

int timeline_add(struct timeline *timeline, const struct gmpt_event *event)
{
    struct gmpt_event clean; /* within what formats can write */
    if (event->time_ns < 0 || event->time_ns > TIMELINE_END) {
        clean = *event;
        clean.time_ns = event->time_ns < 0 ? 0 : TIMELINE_END;
        event = &clean;
    }
    if (event->time_ns > timeline->now_ns)
        timeline->now_ns = event->time_ns;
    uint64_t g = event->type == GMPT_EVENT_go_create ? event->go_create.g : event->g;
    bool alive = g && gmpt_trace_g(timeline->export->trace, g); /* not just named by a damaged file */
    struct known *known = alive ? known_get(timeline, g) : NULL;
    if (alive && !known)
        return -ENOMEM;
    int result = intervals_add(timeline->intervals, event);
    if (!result && timeline->export->format->span)
        result = spans_add(timeline->spans, event);
    if (!result)
        result = holders_add(timeline, event);
    if (!result && threadline_takes(event->type))
        result = threadline_add(&timeline->threads, event, timeline->intervals);
    if (!result && event->type == GMPT_EVENT_user_log)
        result = message_tell(timeline, event);
    if (!result && event->type == GMPT_EVENT_cpu_sample)
        result = sample_tell(timeline, event);
    if (!result && timeline->export->format->counts)
        result = counts_add(timeline, g);
    if (!result && event->type == GMPT_EVENT_go_exit && known)
        result = g_over(timeline, known, known->g.end_ns < timeline->options.to_ns);
    return result;
}

static int g_compare(const void *a_arg, const void *b_arg)
{
    const struct known *a = *(const struct known *const *)a_arg, *b = *(const struct known *const *)b_arg;
    return (a->g.id > b->g.id) - (a->g.id < b->g.id);
}

/* Those that are alive at the end, by their ids. */
static int gs_finish(struct timeline *timeline)
{
    size_t count = 0;
    int result = 0;
    const struct table *gs = &timeline->gs.table;
    struct known **list = calloc(gs->count + 1, sizeof *list);
    if (!list)
        return -ENOMEM;
    for (size_t i = 0; gs->slots && i <= gs->mask; i++)
        if (gs->slots[i].entry)
            list[count++] = gs->slots[i].entry;
    qsort(list, count, sizeof *list, g_compare);
    for (size_t i = 0; i < count && !result; i++)
        result = g_over(timeline, list[i], false);
    free(list);
    return result;
}

int timeline_finish(struct timeline *timeline)
{
    int64_t end_ns = gmpt_trace_info(timeline->export->trace)->duration_ns;
    int result = intervals_finish(timeline->intervals, end_ns);
    timeline->now_ns = intervals_end_ns(timeline->intervals);
    if (!result)
        result = spans_cut(timeline->spans, timeline->now_ns);
    for (uint64_t p = 0; p < PS_MAX && !result; p++)
        result = holder_leaves(timeline, p);
    if (!result)
        result = threadline_finish(&timeline->threads, timeline->now_ns);
    if (!result)
        result = counts_tell(timeline);
    return result ? result : gs_finish(timeline);
}
