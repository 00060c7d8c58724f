/* The states are those of summary.c, by the same rules, so that the sums are the same. */
#include "intervals.h"

#include "table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PS_MAX 256
#define SLAB_GS 128
#define TIME_MAX_NS (INT64_MAX / 2) /* so that no damaged clock can make a difference overflow */

struct live {
    struct interval_g g; /* id 0 = free */
    int64_t since_ns;
    uint64_t object, owner, waker, waker_fn;
    uint32_t stack, waker_stack;
    int32_t p;
    uint8_t state, began_by, reason, waker_kind;
    bool bounded, continued;
    bool silent; /* first seen by a transition: what it did before is not known */
    struct live *next_free;
};

struct slab {
    struct slab *next;
    struct live gs[SLAB_GS];
};

/* The G on a P. The id tells whether the record is still that G's. */
struct current {
    struct live *g;
    uint64_t id;
    bool left; /* an M came or went since: whatever goes on on this P now, it is not this G's doing */
};

struct intervals {
    const struct gmpt_trace *trace;
    int (*closed)(void *arg, const struct interval *interval);
    int (*begun)(void *arg, const struct interval *interval); /* NULL: nobody watches */
    void *arg;
    struct live *entered; /* what it does now has begun with this event, and begun has not been called for it */
    struct current current[PS_MAX];
    struct table gs;
    struct slab *slabs;
    struct live *free_gs;
    uint32_t slots; /* records that there are */
    int64_t now_ns, end_ns;
    bool main_seen;
};

struct intervals *intervals_open(const struct gmpt_trace *trace,
                                 int (*closed)(void *arg, const struct interval *interval), void *arg)
{
    struct intervals *intervals = calloc(1, sizeof *intervals);
    if (!intervals)
        return NULL;
    intervals->trace = trace;
    intervals->closed = closed;
    intervals->arg = arg;
    return intervals;
}

void intervals_watch(struct intervals *intervals, int (*begun)(void *arg, const struct interval *interval))
{
    intervals->begun = begun;
}

void intervals_close(struct intervals *intervals)
{
    if (!intervals)
        return;
    while (intervals->slabs) {
        struct slab *slab = intervals->slabs;
        intervals->slabs = slab->next;
        free(slab);
    }
    table_clear(&intervals->gs);
    free(intervals);
}

/* ---- Live Gs ----------------------------------------------------------------------------------------------------- */

static struct live *live_find(const struct intervals *intervals, uint64_t id)
{
    return table_find(&intervals->gs, table_mix(id), NULL, NULL);
}

static void live_free(struct intervals *intervals, struct live *g)
{
    g->g.id = 0;
    g->next_free = intervals->free_gs;
    intervals->free_gs = g;
}

static struct live *live_make(struct intervals *intervals, uint64_t id)
{
    if (!intervals->free_gs) {
        struct slab *slab = calloc(1, sizeof *slab);
        if (!slab)
            return NULL;
        slab->next = intervals->slabs;
        intervals->slabs = slab;
        for (int i = SLAB_GS - 1; i >= 0; i--) {
            slab->gs[i].g.slot = intervals->slots + (uint32_t)i;
            live_free(intervals, &slab->gs[i]);
        }
        intervals->slots += SLAB_GS;
    }
    struct live *g = intervals->free_gs;
    intervals->free_gs = g->next_free;
    *g = (struct live){ .g = { .id = id, .created_ns = intervals->now_ns, .slot = g->g.slot },
                        .state = GMPT_G_RUNNABLE,
                        .since_ns = intervals->now_ns,
                        .p = -1 };
    if (table_insert(&intervals->gs, table_mix(id), g)) {
        live_free(intervals, g);
        return NULL;
    }
    return g;
}

/* A G whose go_create was not seen; the reader may have heard of it. */
static struct live *live_make_unseen(struct intervals *intervals, uint64_t id)
{
    struct live *g = live_make(intervals, id);
    const struct gmpt_g *known = g && intervals->trace ? gmpt_trace_g(intervals->trace, id) : NULL;
    if (g)
        g->silent = true;
    if (known) {
        g->g.parent = known->parent;
        g->g.fn = known->fn;
        g->g.create_stack = known->create_stack;
        g->g.labels = known->labels;
        g->g.name = known->name;
    }
    return g;
}

static struct current *current_of(struct intervals *intervals, int32_t p)
{
    return p >= 0 && p < PS_MAX ? &intervals->current[p] : NULL;
}

/* The G that runs on this P: what happens there now is its doing. */
static struct live *running_on(const struct intervals *intervals, int32_t p)
{
    const struct current *current = p >= 0 && p < PS_MAX ? &intervals->current[p] : NULL;
    struct live *g = current && !current->left ? current->g : NULL;
    return g && g->g.id == current->id && g->state == GMPT_G_RUNNING && g->p == p ? g : NULL;
}

static void current_leave(struct intervals *intervals, int32_t p)
{
    struct current *current = current_of(intervals, p);
    if (current)
        *current = (struct current){ NULL, 0, false };
}

/* ---- Transitions ------------------------------------------------------------------------------------------------- */

static struct interval piece_of(const struct live *g, int64_t end_ns, enum gmpt_event_type ended_by, int32_t end_p)
{
    return (struct interval){
        .g = &g->g,
        .begin_ns = g->since_ns,
        .end_ns = end_ns,
        .state = (enum gmpt_g_state)g->state,
        .began_by = (enum gmpt_event_type)g->began_by,
        .ended_by = ended_by,
        .reason = (enum gmpt_wait_reason)g->reason,
        .bounded = g->bounded,
        .continued = g->continued,
        .object = g->object,
        .owner = g->owner,
        .stack = g->stack,
        .p = g->p,
        .end_p = end_p,
        .waker = g->waker,
        .waker_fn = g->waker_fn,
        .waker_stack = g->waker_stack,
        .waker_kind = (enum gmpt_waker)g->waker_kind,
    };
}

static int piece_emit(struct intervals *intervals, const struct live *g, int64_t end_ns, enum gmpt_event_type ended_by,
                      int32_t end_p)
{
    struct interval interval = piece_of(g, end_ns, ended_by, end_p);
    return intervals->closed(intervals->arg, &interval);
}

/* Only once all of the event has been taken in: it tells more of what begins than the state. */
static int entered_tell(struct intervals *intervals)
{
    const struct live *g = intervals->entered;
    intervals->entered = NULL;
    if (!g || !intervals->begun)
        return 0;
    struct interval interval = piece_of(g, g->since_ns, INTERVAL_TRACE_END, -1);
    return intervals->begun(intervals->arg, &interval);
}

/* Ends the G's interval and begins the next, without a stack or waker; state GMPT_G_DEAD begins none. */
static int g_enters(struct intervals *intervals, struct live *g, enum gmpt_g_state state, enum gmpt_event_type by,
                    int32_t p)
{
    int64_t time_ns = intervals->now_ns < g->since_ns ? g->since_ns : intervals->now_ns;
    int result = g->silent ? 0 : piece_emit(intervals, g, time_ns, by, p);
    g->state = (uint8_t)state;
    g->since_ns = time_ns;
    g->began_by = (uint8_t)by;
    g->p = p;
    g->waker = g->waker_fn = 0;
    g->stack = g->waker_stack = 0;
    g->waker_kind = GMPT_WAKER_UNKNOWN;
    g->reason = GMPT_WAIT_none;
    g->object = g->owner = 0;
    g->bounded = g->continued = g->silent = false;
    if (!result)
        result = entered_tell(intervals);
    if (state != GMPT_G_DEAD)
        intervals->entered = g;
    return result;
}

/* Begins the next part of what the G does now. */
static int g_splits(struct intervals *intervals, struct live *g, const struct gmpt_event *event)
{
    int64_t time_ns = intervals->now_ns < g->since_ns ? g->since_ns : intervals->now_ns;
    int result = g->silent || time_ns == g->since_ns ? 0 : piece_emit(intervals, g, time_ns, event->type, event->p);
    if (time_ns > g->since_ns && !g->silent) {
        g->began_by = (uint8_t)event->type;
        g->continued = true;
        intervals->entered = g;
    }
    g->since_ns = time_ns;
    return result;
}

/* The G that the event is about; NULL when it does not say which. Returns 0 or -ENOMEM. */
static int event_g(struct intervals *intervals, const struct gmpt_event *event, struct live **g)
{
    const struct current *current = current_of(intervals, event->p);
    *g = NULL;
    if (event->g == 0)
        return 0;
    if (current && current->g && current->id == event->g && current->g->g.id == event->g)
        *g = current->g;
    else
        *g = live_find(intervals, event->g);
    if (!*g)
        *g = live_make_unseen(intervals, event->g);
    return *g ? 0 : -ENOMEM;
}

static int add_create(struct intervals *intervals, const struct gmpt_event *event)
{
    uint64_t id = event->go_create.g;
    if (id == 0 || live_find(intervals, id))
        return 0;
    struct live *g = live_make(intervals, id);
    if (!g)
        return -ENOMEM;
    const struct current *current = current_of(intervals, event->p);
    const struct live *parent = current && current->g && current->g->g.id == current->id ? current->g : NULL;
    const struct gmpt_g *known = !parent && intervals->trace ? gmpt_trace_g(intervals->trace, id) : NULL;
    g->g.fn = event->go_create.fn;
    g->g.create_stack = (uint32_t)event->go_create.stack;
    g->g.parent = parent ? parent->g.id : known ? known->parent : 0;
    g->g.labels = parent ? parent->g.labels : known ? known->labels : 0;
    g->g.main = !intervals->main_seen && !(current && current->id);
    g->p = event->p;
    g->began_by = GMPT_EVENT_go_create;
    g->waker = g->g.parent;
    g->waker_fn = parent ? parent->g.fn : 0;
    g->waker_stack = g->g.create_stack;
    g->waker_kind = parent ? GMPT_WAKER_G : GMPT_WAKER_UNKNOWN;
    intervals->main_seen = true;
    intervals->entered = g;
    return 0;
}

/* A G that was there before the trace's start, in this state since then. */
static int add_was(struct intervals *intervals, const struct gmpt_event *event)
{
    uint64_t id = event->g, state = event->go_was.state;
    if (id == 0 || state >= GMPT_G_STATES)
        return 0;
    struct live *g = live_find(intervals, id);
    if (!g) {
        if (!(g = live_make(intervals, id)))
            return -ENOMEM;
        g->g.created_ns = g->since_ns = 0;
        g->g.parent = event->go_was.parent;
        g->g.fn = event->go_was.fn;
        g->g.create_stack = (uint32_t)event->go_was.stack;
        g->g.main = event->go_was.parent == 0;
        intervals->main_seen |= g->g.main;
    } else if (g->since_ns > 0 || !g->silent) {
        return g_enters(intervals, g, (enum gmpt_g_state)state, event->type, event->p);
    }
    g->state = (uint8_t)state;
    g->began_by = GMPT_EVENT_go_was;
    g->silent = false;
    intervals->entered = g;
    return 0;
}

static void add_waited(struct intervals *intervals, const struct gmpt_event *event)
{
    struct live *g = event->g ? live_find(intervals, event->g) : NULL;
    if (!g || (g->state != GMPT_G_WAITING && g->state != GMPT_G_SYSCALL))
        return;
    g->stack = (uint32_t)event->go_waited.stack;
    if (g->state == GMPT_G_SYSCALL)
        return;
    uint64_t reason = event->go_waited.reason;
    g->reason = reason < GMPT_WAIT_REASONS ? (uint8_t)reason : GMPT_WAIT_none;
    g->bounded = event->go_waited.bounded != 0;
    g->object = event->go_waited.object;
}

/* A G begins or goes on to run on the event's P. */
static int add_run(struct intervals *intervals, const struct gmpt_event *event, struct live *g)
{
    struct current *current = current_of(intervals, event->p);
    if (current) {
        struct live *before = current->g;
        if (before && before != g && before->g.id == current->id && before->state == GMPT_G_RUNNING &&
            before->p == event->p) {
            int result = g_enters(intervals, before, INTERVAL_LOST, GMPT_EVENT_lost, event->p);
            if (result)
                return result;
        }
        *current = (struct current){ g, g->g.id, false };
    }
    return g_enters(intervals, g, GMPT_G_RUNNING, event->type, event->p);
}

static int add_block(struct intervals *intervals, const struct gmpt_event *event, struct live *g)
{
    int result = g_enters(intervals, g, GMPT_G_WAITING, event->type, event->p);
    uint64_t reason = event->go_block.reason;
    g->reason = reason < GMPT_WAIT_REASONS ? (uint8_t)reason : GMPT_WAIT_none;
    g->bounded = event->go_block.bounded != 0;
    g->object = event->go_block.object;
    g->stack = (uint32_t)event->go_block.stack;
    g->owner = event->go_block.owner;
    current_leave(intervals, event->p);
    return result;
}

/* Who ended a G's wait; it is told of the wait itself, and of the time until the G runs. */
struct wake {
    uint64_t g, fn;
    uint32_t stack;
    uint8_t kind;
};

static struct wake wake_of(const struct intervals *intervals, const struct gmpt_event *event)
{
    struct wake wake = { 0 };
    if (event->type != GMPT_EVENT_go_unblock)
        return wake;
    uint64_t by = event->go_unblock.by;
    const struct live *waker = by == GMPT_WAKER_G || by == GMPT_WAKER_UNKNOWN ? running_on(intervals, event->p) : NULL;
    wake.kind = by < GMPT_WAKERS ? (uint8_t)by : GMPT_WAKER_UNKNOWN;
    wake.stack = (uint32_t)event->go_unblock.stack;
    if (waker) {
        wake.g = waker->g.id;
        wake.fn = waker->g.fn;
        wake.kind = GMPT_WAKER_G;
    }
    return wake;
}

static void wake_note(struct live *g, const struct wake *wake)
{
    g->waker = wake->g;
    g->waker_fn = wake->fn;
    g->waker_stack = wake->stack;
    g->waker_kind = wake->kind;
}

/* A wait or call is over; where it was stays known until the G runs. */
static int add_wake(struct intervals *intervals, const struct gmpt_event *event, struct live *g)
{
    uint32_t stack = g->stack;
    struct wake wake = wake_of(intervals, event);
    if (event->type == GMPT_EVENT_go_unblock)
        wake_note(g, &wake);
    int result = g_enters(intervals, g, GMPT_G_RUNNABLE, event->type, event->p);
    g->stack = stack;
    wake_note(g, &wake);
    return result;
}

static int add_exit(struct intervals *intervals, const struct gmpt_event *event, struct live *g)
{
    current_leave(intervals, event->p);
    int result = g_enters(intervals, g, GMPT_G_DEAD, event->type, event->p);
    table_remove(&intervals->gs, table_mix(g->g.id), g);
    live_free(intervals, g);
    return result;
}

static int add_labels(struct intervals *intervals, const struct gmpt_event *event)
{
    struct live *g = event->go_labels.g ? live_find(intervals, event->go_labels.g) : NULL;
    if (!g)
        return 0;
    int result = g_splits(intervals, g, event);
    g->g.labels = (uint32_t)event->go_labels.labels;
    return result;
}

static int add_transition(struct intervals *intervals, const struct gmpt_event *event)
{
    struct live *g;
    int result = event_g(intervals, event, &g);
    if (result || !g)
        return result;
    switch (event->type) {
    case GMPT_EVENT_go_start:
    case GMPT_EVENT_syscall_end:
    case GMPT_EVENT_syscall_resume:
    case GMPT_EVENT_go_attach:
        return add_run(intervals, event, g);
    case GMPT_EVENT_go_yield:
    case GMPT_EVENT_go_preempt:
    case GMPT_EVENT_go_preempt_async:
        current_leave(intervals, event->p);
        return g_enters(intervals, g, GMPT_G_RUNNABLE, event->type, event->p);
    case GMPT_EVENT_go_detach:
        current_leave(intervals, event->p);
        return g_enters(intervals, g, GMPT_G_PREEMPTED, event->type, event->p);
    case GMPT_EVENT_go_attach_wait:
        return g_enters(intervals, g, GMPT_G_RUNNABLE, event->type, event->p);
    case GMPT_EVENT_go_block:
        return add_block(intervals, event, g);
    case GMPT_EVENT_go_unblock:
    case GMPT_EVENT_syscall_exit:
        return add_wake(intervals, event, g);
    case GMPT_EVENT_go_exit:
        return add_exit(intervals, event, g);
    case GMPT_EVENT_syscall_begin:
        result = g_enters(intervals, g, GMPT_G_SYSCALL, event->type, event->p);
        g->stack = (uint32_t)event->syscall_begin.stack;
        return result;
    default:
        return 0;
    }
}

static int event_take(struct intervals *intervals, const struct gmpt_event *event)
{
    intervals->now_ns = event->time_ns < 0 ? 0 : event->time_ns > TIME_MAX_NS ? TIME_MAX_NS : event->time_ns;
    if (intervals->now_ns > intervals->end_ns)
        intervals->end_ns = intervals->now_ns;
    struct current *current;
    struct live *g;
    switch (event->type) {
    case GMPT_EVENT_go_create:
        return add_create(intervals, event);
    case GMPT_EVENT_go_was:
        return add_was(intervals, event);
    case GMPT_EVENT_go_waited:
        add_waited(intervals, event);
        return 0;
    case GMPT_EVENT_go_labels:
        return add_labels(intervals, event);
    case GMPT_EVENT_go_name:
    case GMPT_EVENT_go_scope:
        g = event->go_name.g ? live_find(intervals, event->go_name.g) : NULL;
        if (g)
            g->g.name = (uint32_t)event->go_name.name;
        return 0;
    case GMPT_EVENT_proc_start:
    case GMPT_EVENT_proc_stop:
        current = current_of(intervals, event->p);
        if (current)
            current->left = true;
        return 0;
    case GMPT_EVENT_go_start:
    case GMPT_EVENT_syscall_end:
    case GMPT_EVENT_syscall_resume:
    case GMPT_EVENT_go_attach:
    case GMPT_EVENT_go_yield:
    case GMPT_EVENT_go_preempt:
    case GMPT_EVENT_go_preempt_async:
    case GMPT_EVENT_go_detach:
    case GMPT_EVENT_go_attach_wait:
    case GMPT_EVENT_go_block:
    case GMPT_EVENT_go_unblock:
    case GMPT_EVENT_syscall_exit:
    case GMPT_EVENT_go_exit:
    case GMPT_EVENT_syscall_begin:
        return add_transition(intervals, event);
    default: /* tells nothing of a G's state, or is newer than this file */
        return 0;
    }
}

int intervals_add(struct intervals *intervals, const struct gmpt_event *event)
{
    int result = event_take(intervals, event);
    return !result && intervals->entered ? entered_tell(intervals) : result;
}

/* ---- The end ----------------------------------------------------------------------------------------------------- */

static int live_compare(const void *a_arg, const void *b_arg)
{
    const struct live *a = *(const struct live *const *)a_arg, *b = *(const struct live *const *)b_arg;
    return (a->g.id > b->g.id) - (a->g.id < b->g.id);
}

int intervals_finish(struct intervals *intervals, int64_t end_ns)
{
    if (end_ns > intervals->end_ns)
        intervals->end_ns = end_ns;
    size_t count = 0;
    struct live **list = calloc(intervals->gs.count + 1, sizeof list[0]);
    if (!list)
        return -ENOMEM;
    for (size_t i = 0; intervals->gs.slots && i <= intervals->gs.mask; i++)
        if (intervals->gs.slots[i].entry)
            list[count++] = intervals->gs.slots[i].entry;
    qsort(list, count, sizeof list[0], live_compare);
    int result = 0;
    for (size_t i = 0; i < count && !result; i++)
        result = piece_emit(intervals, list[i], intervals->end_ns, INTERVAL_TRACE_END, -1);
    free(list);
    return result;
}

const struct interval_g *intervals_g(const struct intervals *intervals, uint64_t id)
{
    const struct live *g = id ? live_find(intervals, id) : NULL;
    return g ? &g->g : NULL;
}

const struct interval_g *intervals_running(const struct intervals *intervals, int32_t p)
{
    const struct live *g = running_on(intervals, p);
    return g ? &g->g : NULL;
}

int64_t intervals_end_ns(const struct intervals *intervals) { return intervals->end_ns; }

bool interval_clip(struct interval *interval, int64_t from_ns, int64_t to_ns)
{
    if (interval->begin_ns == interval->end_ns)
        return interval->begin_ns >= from_ns && interval->begin_ns < to_ns;
    if (interval->begin_ns < from_ns)
        interval->begin_ns = from_ns;
    if (interval->end_ns > to_ns)
        interval->end_ns = to_ns;
    return interval->begin_ns < interval->end_ns;
}
