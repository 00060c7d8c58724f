/* A record holds its G's interval as it is handed over, so that nothing is copied for those who listen. */
#include "intervals.h"

#include "idtable.h"
#include "timesum.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PS_MAX 256
#define SLAB_GS 128
#define ROOM_ALIGN 8
#define TIME_MAX_NS (INT64_MAX / 2) /* so that no damaged clock can make a difference overflow */

/* After it in memory comes the room of listeners. */
struct live {
    struct interval_g g; /* id 0 = free */
    struct interval now; /* what it does, as it is handed over: all but its end */
    bool silent;         /* first seen by a transition: what it did before is not known */
    struct live *next_free;
};

struct slab {
    struct slab *next;
    _Alignas(ROOM_ALIGN) char records[]; /* SLAB_GS of them */
};

/* The G on a P. The id tells whether the record is still that G's. */
struct current {
    struct live *g;
    uint64_t id;
    bool left; /* an M came or went since: whatever goes on on this P now, it is not this G's doing */
};

struct intervals {
    const struct gmpt_trace *trace;
    struct interval_hearer *hearers[INTERVAL_TELLINGS];
    struct interval_listener first; /* who opened it */
    struct live *entered; /* what it does now has begun with this event, and those who watch have not heard of it */
    struct current current[PS_MAX];
    struct intervals_present present;
    int64_t state_ns[GMPT_G_STATES], wait_ns[GMPT_WAIT_REASONS];
    struct idtable gs;
    struct slab *slabs;
    struct live *free_gs;
    size_t record_bytes; /* of a struct live, with the room */
    bool main_seen;
};

int interval_unheard(void *arg, const struct interval *interval)
{
    (void)arg, (void)interval;
    return 0;
}

static void hearer_add(struct intervals *intervals, struct interval_listener *listener, enum interval_telling telling,
                       int (*hear)(void *arg, const struct interval *interval))
{
    struct interval_hearer *hearer = &listener->hearers[telling], **end = &intervals->hearers[telling];
    if (!hear || hear == interval_unheard)
        return;
    while (*end)
        end = &(*end)->next;
    *end = hearer;
    *hearer = (struct interval_hearer){ hear, listener->arg, NULL };
}

struct intervals *intervals_open(const struct gmpt_trace *trace,
                                 int (*closed)(void *arg, const struct interval *interval), void *arg)
{
    struct intervals *intervals = calloc(1, sizeof *intervals);
    if (!intervals)
        return NULL;
    intervals->trace = trace;
    intervals->record_bytes = sizeof(struct live);
    intervals->first = (struct interval_listener){ .closed = closed, .arg = arg };
    intervals_listen(intervals, &intervals->first);
    return intervals;
}

void intervals_watch(struct intervals *intervals, int (*begun)(void *arg, const struct interval *interval))
{
    hearer_add(intervals, &intervals->first, INTERVAL_BEGUN, begun);
}

void intervals_listen(struct intervals *intervals, struct interval_listener *listener)
{
    hearer_add(intervals, listener, INTERVAL_CLOSED, listener->closed);
    hearer_add(intervals, listener, INTERVAL_STARTED, listener->started ? listener->started : listener->closed);
    hearer_add(intervals, listener, INTERVAL_STOPPED, listener->stopped ? listener->stopped : listener->closed);
    hearer_add(intervals, listener, INTERVAL_WOKEN, listener->woken ? listener->woken : listener->closed);
    hearer_add(intervals, listener, INTERVAL_WAITS, listener->waits);
    hearer_add(intervals, listener, INTERVAL_BEGUN, listener->begun);
    hearer_add(intervals, listener, INTERVAL_BORN, listener->born);
}

size_t intervals_room(struct intervals *intervals, size_t bytes)
{
    size_t room = intervals->record_bytes;
    intervals->record_bytes += (bytes + ROOM_ALIGN - 1) / ROOM_ALIGN * ROOM_ALIGN;
    return room;
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
    idtable_clear(&intervals->gs);
    free(intervals);
}

/* ---- Live Gs ----------------------------------------------------------------------------------------------------- */

static inline int tell(const struct intervals *intervals, enum interval_telling telling, const struct live *g)
{
    int result = 0;
    for (const struct interval_hearer *to = intervals->hearers[telling]; to && !result; to = to->next)
        result = to->hear(to->arg, &g->now);
    return result;
}

static inline struct live *live_find(struct intervals *intervals, uint64_t id)
{
    return idtable_find(&intervals->gs, id);
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
        struct slab *slab = malloc(sizeof *slab + SLAB_GS * intervals->record_bytes);
        if (!slab)
            return NULL;
        slab->next = intervals->slabs;
        intervals->slabs = slab;
        for (size_t i = SLAB_GS; i-- > 0;)
            live_free(intervals, (struct live *)(void *)(slab->records + i * intervals->record_bytes));
    }
    struct live *g = intervals->free_gs;
    intervals->free_gs = g->next_free;
    memset(g, 0, intervals->record_bytes);
    g->g = (struct interval_g){ .id = id, .created_ns = intervals->present.moment_ns };
    g->now = (struct interval){
        .g = &g->g, .state = GMPT_G_RUNNABLE, .begin_ns = intervals->present.moment_ns, .p = -1, .end_p = -1
    };
    if (idtable_insert(&intervals->gs, g)) {
        live_free(intervals, g);
        return NULL;
    }
    intervals->present.counts[GMPT_G_RUNNABLE]++;
    return g;
}

/* A G whose go_create was not seen; the reader may have heard of it. Returns 0, -ENOMEM, or what a listener did. */
static int live_make_unseen(struct intervals *intervals, uint64_t id, struct live **made)
{
    struct live *g = *made = live_make(intervals, id);
    if (!g)
        return -ENOMEM;
    g->silent = true;
    const struct gmpt_g *known = intervals->trace ? gmpt_trace_g(intervals->trace, id) : NULL;
    if (known) {
        g->g.parent = known->parent;
        g->g.fn = known->fn;
        g->g.create_stack = known->create_stack;
        g->g.labels = known->labels;
        g->g.name = known->name;
    }
    return tell(intervals, INTERVAL_BORN, g);
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
    return g && g->g.id == current->id && g->now.state == GMPT_G_RUNNING && g->now.p == p ? g : NULL;
}

static void current_leave(struct intervals *intervals, int32_t p)
{
    struct current *current = current_of(intervals, p);
    if (current)
        *current = (struct current){ NULL, 0, false };
}

/* ---- Transitions ------------------------------------------------------------------------------------------------- */

/* Hands over what the G did in this state, up to end_ns. */
static inline __attribute__((always_inline)) int now_close(struct intervals *intervals, struct live *g,
                                                           enum gmpt_g_state state, int64_t end_ns,
                                                           enum gmpt_event_type ended_by, int32_t end_p,
                                                           enum interval_telling telling)
{
    g->now.end_ns = end_ns;
    g->now.ended_by = ended_by;
    g->now.end_p = end_p;
    int64_t spent_ns = end_ns - g->now.begin_ns;
    timesum_add(&intervals->state_ns[state], spent_ns);
    if (state == GMPT_G_RUNNING)
        timesum_add(&g->g.ran_ns, spent_ns);
    else if (state == GMPT_G_WAITING)
        timesum_add(&intervals->wait_ns[g->now.reason], spent_ns);
    return tell(intervals, telling, g);
}

static inline void now_begin(struct live *g, enum gmpt_g_state state, int64_t begin_ns, enum gmpt_event_type by,
                             int32_t p)
{
    g->now.begin_ns = begin_ns;
    g->now.state = state;
    g->now.began_by = by;
    g->now.p = p;
}

/* What begins is no wait any more. It stays known where that was, or the call, and who ended it. */
static inline void wait_forget(struct live *g)
{
    g->now.reason = GMPT_WAIT_none;
    g->now.bounded = false;
    g->now.object = g->now.owner = g->now.owner_fn = 0;
    g->now.waking = NULL;
}

static inline void wake_forget(struct live *g)
{
    g->now.waker = g->now.waker_fn = 0;
    g->now.stack = g->now.waker_stack = 0;
    g->now.waker_kind = GMPT_WAKER_UNKNOWN;
}

/* Only once all of the event has been taken in: it tells more of what begins than the state. */
static int entered_tell(struct intervals *intervals)
{
    struct live *g = intervals->entered;
    intervals->entered = NULL;
    if (!g || !intervals->hearers[INTERVAL_BEGUN])
        return 0;
    g->now.end_ns = g->now.begin_ns;
    g->now.ended_by = INTERVAL_TRACE_END;
    g->now.end_p = -1;
    return tell(intervals, INTERVAL_BEGUN, g);
}

static inline int64_t moment_of(const struct intervals *intervals, const struct live *g)
{
    return intervals->present.moment_ns < g->now.begin_ns ? g->now.begin_ns : intervals->present.moment_ns;
}

static inline void state_count(struct intervals *intervals, enum gmpt_g_state from, enum gmpt_g_state to)
{
    intervals->present.counts[from]--;
    intervals->present.counts[to]++;
}

/* Ends the G's interval and begins the next; state GMPT_G_DEAD begins none. */
static int g_moves(struct intervals *intervals, struct live *g, enum gmpt_g_state state, enum gmpt_event_type by,
                   int32_t p, bool woken)
{
    int64_t time_ns = moment_of(intervals, g);
    int result = g->silent ? 0 : now_close(intervals, g, g->now.state, time_ns, by, p, INTERVAL_CLOSED);
    state_count(intervals, g->now.state, state);
    g->silent = g->now.continued = false;
    now_begin(g, state, time_ns, by, p);
    wait_forget(g);
    if (!woken)
        wake_forget(g);
    if (!result)
        result = entered_tell(intervals);
    intervals->entered = state != GMPT_G_DEAD ? g : NULL;
    return result;
}

static int g_enters(struct intervals *intervals, struct live *g, enum gmpt_g_state state, enum gmpt_event_type by,
                    int32_t p)
{
    return g_moves(intervals, g, state, by, p, false);
}

/* Begins the next part of what the G does now. */
static int g_splits(struct intervals *intervals, struct live *g, const struct gmpt_event *event)
{
    int64_t time_ns = moment_of(intervals, g);
    int result = 0;
    if (time_ns > g->now.begin_ns) {
        result = now_close(intervals, g, g->now.state, time_ns, event->type, event->p, INTERVAL_CLOSED);
        g->now.began_by = event->type;
        g->now.continued = true;
        intervals->entered = g;
    }
    g->now.begin_ns = time_ns;
    return result;
}

/* The G that the event is about; NULL when it does not say which. Returns 0, -ENOMEM, or what a listener did. */
static inline int event_g(struct intervals *intervals, const struct gmpt_event *event, struct live **g)
{
    *g = NULL;
    if (event->g == 0)
        return 0;
    *g = live_find(intervals, event->g);
    return __builtin_expect(*g != NULL, 1) ? 0 : live_make_unseen(intervals, event->g, g);
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
    g->now.p = event->p;
    g->now.began_by = GMPT_EVENT_go_create;
    g->now.waker = g->g.parent;
    g->now.waker_fn = parent ? parent->g.fn : 0;
    g->now.waker_stack = g->g.create_stack;
    g->now.waker_kind = parent ? GMPT_WAKER_G : GMPT_WAKER_UNKNOWN;
    intervals->main_seen = true;
    intervals->entered = g;
    return tell(intervals, INTERVAL_BORN, g);
}

/* A G that was there before the trace's start, in this state since then. */
static int add_was(struct intervals *intervals, const struct gmpt_event *event)
{
    uint64_t id = event->g, state = event->go_was.state;
    if (id == 0 || state >= GMPT_G_STATES)
        return 0;
    struct live *g = live_find(intervals, id);
    bool known = g != NULL;
    if (!known) {
        if (!(g = live_make(intervals, id)))
            return -ENOMEM;
        g->g.created_ns = g->now.begin_ns = 0;
        g->g.parent = event->go_was.parent;
        g->g.fn = event->go_was.fn;
        g->g.create_stack = (uint32_t)event->go_was.stack;
        g->g.main = event->go_was.parent == 0;
        g->g.was_there = true;
        intervals->main_seen |= g->g.main;
    } else if (g->now.begin_ns > 0 || !g->silent) {
        return g_enters(intervals, g, (enum gmpt_g_state)state, event->type, event->p);
    }
    state_count(intervals, g->now.state, (enum gmpt_g_state)state);
    g->now.state = (enum gmpt_g_state)state;
    g->now.began_by = GMPT_EVENT_go_was;
    g->silent = false;
    intervals->entered = g;
    return known ? 0 : tell(intervals, INTERVAL_BORN, g);
}

static void add_waited(struct intervals *intervals, const struct gmpt_event *event)
{
    struct live *g = event->g ? live_find(intervals, event->g) : NULL;
    if (!g || (g->now.state != GMPT_G_WAITING && g->now.state != GMPT_G_SYSCALL))
        return;
    g->now.stack = (uint32_t)event->go_waited.stack;
    if (g->now.state == GMPT_G_SYSCALL)
        return;
    uint64_t reason = event->go_waited.reason;
    g->now.reason = reason < GMPT_WAIT_REASONS ? (enum gmpt_wait_reason)reason : GMPT_WAIT_none;
    g->now.bounded = event->go_waited.bounded != 0;
    g->now.object = event->go_waited.object;
}

/* A G begins or goes on to run on the event's P. Of one that still runs there nobody knows what became of it. */
static inline int run_begins(struct intervals *intervals, const struct gmpt_event *event, struct live *g)
{
    struct current *current = current_of(intervals, event->p);
    if (!current)
        return 0;
    struct live *before = current->g;
    if (__builtin_expect(before && before != g && before->g.id == current->id && before->now.state == GMPT_G_RUNNING &&
                             before->now.p == event->p, 0)) {
        int result = g_enters(intervals, before, INTERVAL_LOST, GMPT_EVENT_lost, event->p);
        if (result)
            return result;
    }
    *current = (struct current){ g, g->g.id, false };
    return 0;
}

static inline void wait_begins(struct intervals *intervals, const struct gmpt_event *event, struct live *g)
{
    uint64_t reason = event->go_block.reason;
    g->now.reason = reason < GMPT_WAIT_REASONS ? (enum gmpt_wait_reason)reason : GMPT_WAIT_none;
    g->now.bounded = event->go_block.bounded != 0;
    g->now.object = event->go_block.object;
    g->now.stack = (uint32_t)event->go_block.stack;
    if (event->go_block.owner) {
        const struct live *owner = live_find(intervals, event->go_block.owner);
        g->now.owner = event->go_block.owner;
        g->now.owner_fn = owner ? owner->g.fn : 0;
    }
}

/* Who saw to it that a wait ends: told with the wait, and with the time until the G runs. */
static inline void wait_ends(struct intervals *intervals, const struct gmpt_event *event, struct live *g)
{
    uint64_t by = event->go_unblock.by;
    const struct live *waker =
        by == GMPT_WAKER_G || by == GMPT_WAKER_UNKNOWN ? running_on(intervals, event->p) : NULL;
    g->now.waker_kind = waker ? GMPT_WAKER_G : by < GMPT_WAKERS ? (enum gmpt_waker)by : GMPT_WAKER_UNKNOWN;
    g->now.waking = waker ? &waker->g : NULL;
    g->now.waker = waker ? waker->g.id : 0;
    g->now.waker_fn = waker ? waker->g.fn : 0;
    g->now.waker_stack = (uint32_t)event->go_unblock.stack;
}

static int add_exit(struct intervals *intervals, const struct gmpt_event *event, struct live *g)
{
    current_leave(intervals, event->p);
    if (g->silent) { /* all that is known of it is its end, which whoever counts Gs has to hear */
        state_count(intervals, g->now.state, INTERVAL_LOST);
        g->now.state = INTERVAL_LOST;
        g->silent = false;
    }
    int result = g_enters(intervals, g, GMPT_G_DEAD, event->type, event->p);
    intervals->present.counts[GMPT_G_DEAD]--;
    idtable_remove(&intervals->gs, g);
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

/* The events by which a G changes its state, and to which one. */
static const uint8_t state_after[GMPT_EVENT_CODES] = {
    [GMPT_EVENT_go_start] = GMPT_G_RUNNING,        [GMPT_EVENT_syscall_end] = GMPT_G_RUNNING,
    [GMPT_EVENT_syscall_resume] = GMPT_G_RUNNING,  [GMPT_EVENT_go_attach] = GMPT_G_RUNNING,
    [GMPT_EVENT_go_yield] = GMPT_G_RUNNABLE,       [GMPT_EVENT_go_preempt] = GMPT_G_RUNNABLE,
    [GMPT_EVENT_go_preempt_async] = GMPT_G_RUNNABLE, [GMPT_EVENT_go_attach_wait] = GMPT_G_RUNNABLE,
    [GMPT_EVENT_go_unblock] = GMPT_G_RUNNABLE,     [GMPT_EVENT_syscall_exit] = GMPT_G_RUNNABLE,
    [GMPT_EVENT_go_block] = GMPT_G_WAITING,        [GMPT_EVENT_syscall_begin] = GMPT_G_SYSCALL,
    [GMPT_EVENT_go_detach] = GMPT_G_PREEMPTED,     [GMPT_EVENT_go_exit] = GMPT_G_DEAD,
};

static __attribute__((noinline)) int transition_take(struct intervals *intervals, const struct gmpt_event *event,
                                                     enum gmpt_g_state state)
{
    struct live *g;
    int result = event_g(intervals, event, &g);
    if (__builtin_expect(result || !g, 0))
        return result;
    bool woken = false;
    switch (event->type) {
    case GMPT_EVENT_go_unblock:
        wait_ends(intervals, event, g);
        woken = true;
        break;
    case GMPT_EVENT_syscall_exit:
        woken = true;
        break;
    case GMPT_EVENT_go_exit:
        return add_exit(intervals, event, g);
    case GMPT_EVENT_go_attach_wait:
    case GMPT_EVENT_syscall_begin:
        break;
    default:
        if (state == GMPT_G_RUNNING)
            result = run_begins(intervals, event, g);
        else
            current_leave(intervals, event->p);
        break;
    }
    if (!result)
        result = g_moves(intervals, g, state, event->type, event->p, woken);
    if (state == GMPT_G_SYSCALL)
        g->now.stack = (uint32_t)event->syscall_begin.stack;
    if (state != GMPT_G_WAITING)
        return result;
    wait_begins(intervals, event, g);
    return result ? result : tell(intervals, INTERVAL_WAITS, g);
}

static __attribute__((noinline)) int rare_take(struct intervals *intervals, const struct gmpt_event *event)
{
    enum gmpt_g_state state = (enum gmpt_g_state)state_after[event->type];
    if (state)
        return transition_take(intervals, event, state);
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
    default: /* tells nothing of a G's state, or is newer than this file */
        return 0;
    }
}

/* ---- The usual turns --------------------------------------------------------------------------------------------- */

/* What nearly every event does: it ends the state that its kind ends, of a G that is known. These do the same as
 * transition_take, and only what is left to do of it: in each state, what belongs to others is clear. */

/* The G that an event takes from this state in the usual way; NULL when anything about it is special. */
static inline struct live *usual_g(struct intervals *intervals, const struct gmpt_event *event,
                                   enum gmpt_g_state from)
{
    struct live *g = live_find(intervals, event->g);
    bool usual = g && g->now.state == from && !(g->silent | g->now.continued);
    return __builtin_expect(usual, 1) ? g : NULL;
}

/* From one state to the next. Returns what those who hear of it did. */
static inline __attribute__((always_inline)) int usual_turn(struct intervals *intervals, struct live *g, int32_t p,
                                                            enum gmpt_event_type by, enum gmpt_g_state from,
                                                            enum gmpt_g_state to, enum interval_telling telling)
{
    int64_t time_ns = moment_of(intervals, g);
    int result = now_close(intervals, g, from, time_ns, by, p, telling);
    state_count(intervals, from, to);
    now_begin(g, to, time_ns, by, p);
    intervals->entered = g;
    return result;
}

static inline int usual_start(struct intervals *intervals, const struct gmpt_event *event)
{
    struct live *g = usual_g(intervals, event, GMPT_G_RUNNABLE);
    struct current *current = current_of(intervals, event->p);
    if (__builtin_expect(!g || !current || current->g, 0))
        return transition_take(intervals, event, GMPT_G_RUNNING);
    *current = (struct current){ g, g->g.id, false };
    int result = usual_turn(intervals, g, event->p, GMPT_EVENT_go_start, GMPT_G_RUNNABLE, GMPT_G_RUNNING,
                            INTERVAL_STARTED);
    wake_forget(g);
    return result;
}

static inline int usual_yield(struct intervals *intervals, const struct gmpt_event *event)
{
    struct live *g = usual_g(intervals, event, GMPT_G_RUNNING);
    if (__builtin_expect(!g, 0))
        return transition_take(intervals, event, GMPT_G_RUNNABLE);
    current_leave(intervals, event->p);
    return usual_turn(intervals, g, event->p, GMPT_EVENT_go_yield, GMPT_G_RUNNING, GMPT_G_RUNNABLE,
                      INTERVAL_STOPPED);
}

static inline int usual_block(struct intervals *intervals, const struct gmpt_event *event)
{
    struct live *g = usual_g(intervals, event, GMPT_G_RUNNING);
    if (__builtin_expect(!g, 0))
        return transition_take(intervals, event, GMPT_G_WAITING);
    current_leave(intervals, event->p);
    int result = usual_turn(intervals, g, event->p, GMPT_EVENT_go_block, GMPT_G_RUNNING, GMPT_G_WAITING,
                            INTERVAL_STOPPED);
    wait_begins(intervals, event, g);
    return result ? result : tell(intervals, INTERVAL_WAITS, g);
}

static inline int usual_unblock(struct intervals *intervals, const struct gmpt_event *event)
{
    struct live *g = usual_g(intervals, event, GMPT_G_WAITING);
    if (__builtin_expect(!g, 0))
        return transition_take(intervals, event, GMPT_G_RUNNABLE);
    wait_ends(intervals, event, g);
    int result = usual_turn(intervals, g, event->p, GMPT_EVENT_go_unblock, GMPT_G_WAITING, GMPT_G_RUNNABLE,
                            INTERVAL_WOKEN);
    wait_forget(g);
    return result;
}

int intervals_add(struct intervals *intervals, const struct gmpt_event *event)
{
    int64_t moment_ns = event->time_ns;
    int result;
    if (__builtin_expect((uint64_t)moment_ns > TIME_MAX_NS, 0))
        moment_ns = moment_ns < 0 ? 0 : TIME_MAX_NS;
    intervals->present.moment_ns = moment_ns;
    if (moment_ns > intervals->present.end_ns)
        intervals->present.end_ns = moment_ns;
    switch (event->type) {
    case GMPT_EVENT_go_start:
        result = usual_start(intervals, event);
        break;
    case GMPT_EVENT_go_yield:
        result = usual_yield(intervals, event);
        break;
    case GMPT_EVENT_go_block:
        result = usual_block(intervals, event);
        break;
    case GMPT_EVENT_go_unblock:
        result = usual_unblock(intervals, event);
        break;
    default:
        result = rare_take(intervals, event);
    }
    return __builtin_expect(!result && intervals->hearers[INTERVAL_BEGUN], 0) ? entered_tell(intervals) : result;
}

/* ---- The end ----------------------------------------------------------------------------------------------------- */

static int live_compare(const void *a_arg, const void *b_arg)
{
    const struct live *a = *(const struct live *const *)a_arg, *b = *(const struct live *const *)b_arg;
    return (a->g.id > b->g.id) - (a->g.id < b->g.id);
}

int intervals_finish(struct intervals *intervals, int64_t end_ns)
{
    if (end_ns > intervals->present.end_ns)
        intervals->present.end_ns = end_ns;
    size_t count = 0;
    struct live **list = calloc(intervals->gs.table.count + 1, sizeof list[0]);
    if (!list)
        return -ENOMEM;
    for (size_t i = 0; intervals->gs.table.slots && i <= intervals->gs.table.mask; i++)
        if (intervals->gs.table.slots[i].entry)
            list[count++] = intervals->gs.table.slots[i].entry;
    qsort(list, count, sizeof list[0], live_compare);
    int result = 0;
    for (size_t i = 0; i < count && !result; i++)
        result = now_close(intervals, list[i], list[i]->now.state, intervals->present.end_ns, INTERVAL_TRACE_END, -1,
                           INTERVAL_CLOSED);
    free(list);
    return result;
}

const struct interval *intervals_now(const struct intervals *intervals, uint64_t id)
{
    const struct live *g = id ? idtable_look(&intervals->gs, id) : NULL;
    return g ? &g->now : NULL;
}

const struct interval_g *intervals_g(const struct intervals *intervals, uint64_t id)
{
    const struct live *g = id ? idtable_look(&intervals->gs, id) : NULL;
    return g ? &g->g : NULL;
}

const struct interval_g *intervals_running(const struct intervals *intervals, int32_t p)
{
    const struct live *g = running_on(intervals, p);
    return g ? &g->g : NULL;
}

const struct interval *intervals_on(const struct intervals *intervals, int32_t p)
{
    const struct current *current = p >= 0 && p < PS_MAX ? &intervals->current[p] : NULL;
    const struct live *g = current && !current->left ? current->g : NULL;
    bool has = g && g->g.id == current->id && (g->now.state == GMPT_G_RUNNING || g->now.state == GMPT_G_SYSCALL);
    return has && g->now.p == p ? &g->now : NULL;
}

int64_t intervals_state_ns(const struct intervals *intervals, enum gmpt_g_state state)
{
    return intervals->state_ns[state];
}

int64_t intervals_wait_ns(const struct intervals *intervals, enum gmpt_wait_reason reason)
{
    return intervals->wait_ns[reason];
}

const struct intervals_present *intervals_present(const struct intervals *intervals) { return &intervals->present; }
int64_t intervals_end_ns(const struct intervals *intervals) { return intervals->present.end_ns; }

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
