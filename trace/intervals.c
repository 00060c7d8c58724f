/* A record holds its G's interval as it is handed over, so that nothing is copied for those who listen. What nearly
 * every event does is in turns.h; this file has what any may. */
#include "turns.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLAB_GS 128
#define ROOM_ALIGN 8

struct slab {
    struct slab *next;
    _Alignas(ROOM_ALIGN) char records[]; /* SLAB_GS of them */
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

static inline int tell(const struct intervals *intervals, enum interval_telling telling,
                       const struct interval *interval)
{
    int result = 0;
    for (const struct interval_hearer *to = intervals->hearers[telling]; to && !result; to = to->next)
        result = to->hear(to->arg, interval);
    return result;
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
    return tell(intervals, INTERVAL_BORN, &g->now);
}

/* ---- Transitions ------------------------------------------------------------------------------------------------- */

/* Hands over what the G does, up to end_ns. */
static int now_close(struct intervals *intervals, struct live *g, int64_t end_ns, enum gmpt_event_type ended_by,
                     int32_t end_p)
{
    now_end(intervals, g, g->now.state, end_ns, ended_by, end_p);
    return tell(intervals, INTERVAL_CLOSED, &g->now);
}

static void state_count(struct intervals *intervals, enum gmpt_g_state from, enum gmpt_g_state to)
{
    intervals->present.counts[from]--;
    intervals->present.counts[to]++;
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
    return tell(intervals, INTERVAL_BEGUN, &g->now);
}

/* Ends the G's interval and begins the next; state GMPT_G_DEAD begins none. */
static int g_moves(struct intervals *intervals, struct live *g, enum gmpt_g_state state, enum gmpt_event_type by,
                   int32_t p, bool woken)
{
    int64_t time_ns = moment_of(intervals, g);
    int result = g->silent ? 0 : now_close(intervals, g, time_ns, by, p);
    g->silent = g->now.continued = false;
    now_begin(intervals, g, g->now.state, state, time_ns, by, p);
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
        result = now_close(intervals, g, time_ns, event->type, event->p);
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
    g->g.main = !intervals->main_seen && !(current && current->g);
    g->now.p = event->p;
    g->now.began_by = GMPT_EVENT_go_create;
    g->now.waker = g->g.parent;
    g->now.waker_fn = parent ? parent->g.fn : 0;
    g->now.waker_stack = g->g.create_stack;
    g->now.waker_kind = parent ? GMPT_WAKER_G : GMPT_WAKER_UNKNOWN;
    intervals->main_seen = true;
    intervals->entered = g;
    return tell(intervals, INTERVAL_BORN, &g->now);
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
    return known ? 0 : tell(intervals, INTERVAL_BORN, &g->now);
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
    return result ? result : tell(intervals, INTERVAL_WAITS, &g->now);
}

static int rare_take(struct intervals *intervals, const struct gmpt_event *event)
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

/* ---- Events ------------------------------------------------------------------------------------------------------ */

static int started_tell(void *intervals, const struct interval *late)
{
    return tell(intervals, INTERVAL_STARTED, late);
}

static int stopped_tell(void *intervals, const struct interval *run) { return tell(intervals, INTERVAL_STOPPED, run); }
static int woken_tell(void *intervals, const struct interval *wait) { return tell(intervals, INTERVAL_WOKEN, wait); }
static int waits_tell(void *intervals, const struct interval *wait) { return tell(intervals, INTERVAL_WAITS, wait); }

int intervals_add(struct intervals *intervals, const struct gmpt_event *event)
{
    static const struct turns_hearers listeners = { started_tell, stopped_tell, woken_tell, waits_tell };
    int result = turns_take(intervals, event, &listeners, intervals);
    if (result == TURNS_UNUSUAL)
        return turns_rest(intervals, event);
    if (result || !intervals->hearers[INTERVAL_BEGUN])
        return result;
    intervals->entered = live_find(intervals, event->g);
    return entered_tell(intervals);
}

int turns_rest(struct intervals *intervals, const struct gmpt_event *event)
{
    int result = rare_take(intervals, event);
    return result || !intervals->hearers[INTERVAL_BEGUN] ? result : entered_tell(intervals);
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
        result = now_close(intervals, list[i], intervals->present.end_ns, INTERVAL_TRACE_END, -1);
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
    const struct current *current = p >= 0 && p < TURNS_PS_MAX ? &intervals->current[p] : NULL;
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

bool interval_clip(int64_t *begin_ns, int64_t *end_ns, int64_t from_ns, int64_t to_ns)
{
    if (*begin_ns == *end_ns)
        return *begin_ns >= from_ns && *begin_ns < to_ns;
    if (*begin_ns < from_ns)
        *begin_ns = from_ns;
    if (*end_ns > to_ns)
        *end_ns = to_ns;
    return *begin_ns < *end_ns;
}
