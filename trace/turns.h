/* The usual turns of goroutines, for who hears of them by functions that are known as it is compiled.
 *
 * Nearly every event ends the state that its kind ends, of a G that is known, and begins the next. turns_take does this
 * and no more; whatever is unusual about an event it leaves to intervals_add as it was. intervals_add uses it to tell
 * its listeners; a pass that is all there is of these has it call its own functions instead, so that nothing lies
 * between an event and what is made of it.
 *
 * It is part of intervals.c, whose state is here. */
#ifndef GMPT_TURNS_H
#define GMPT_TURNS_H

#include "idtable.h"
#include "intervals.h"
#include "timesum.h"

#define TURNS_PS_MAX 256
#define TURNS_TIME_MAX_NS (INT64_MAX / 2) /* so that no damaged clock can make a difference overflow */
#define TURNS_UNUSUAL INT32_MIN /* which no hearer returns */

/* What is heard of the usual turns, as by the members of these names of a listener. */
struct turns_hearers {
    int (*started)(void *arg, const struct interval *late);
    int (*stopped)(void *arg, const struct interval *run);
    int (*woken)(void *arg, const struct interval *wait);
    int (*waits)(void *arg, const struct interval *wait);
};

/* After it in memory comes the room of listeners. */
struct live {
    struct interval_g g; /* id 0 = free */
    struct interval now; /* what it does, as it is handed over: all but its end */
    bool silent;         /* first seen by a transition: what it did before is not known */
    struct live *next_free;
};

struct slab;

/* The G on a P. The id tells whether the record is still that G's. */
struct current {
    struct live *g; /* NULL: there is none, and what follows says nothing */
    uint64_t id;
    bool left; /* an M came or went since: whatever goes on on this P now, it is not this G's doing */
};

struct intervals {
    const struct gmpt_trace *trace;
    struct interval_hearer *hearers[INTERVAL_TELLINGS];
    struct interval_listener first; /* who opened it */
    struct live *entered; /* what it does now has begun with this event, and those who watch have not heard of it */
    struct current current[TURNS_PS_MAX];
    struct intervals_present present;
    int64_t state_ns[GMPT_G_STATES], wait_ns[GMPT_WAIT_REASONS];
    struct idtable gs;
    struct slab *slabs;
    struct live *free_gs;
    size_t record_bytes; /* of a struct live, with the room */
    bool main_seen;
};

/* ---- What a transition is made of -------------------------------------------------------------------------------- */

static inline struct live *live_find(struct intervals *intervals, uint64_t id)
{
    return idtable_find(&intervals->gs, id);
}

static inline struct current *current_of(struct intervals *intervals, int32_t p)
{
    return p >= 0 && p < TURNS_PS_MAX ? &intervals->current[p] : NULL;
}

/* The G that runs on this P: what happens there now is its doing. */
static inline struct live *running_on(const struct intervals *intervals, int32_t p)
{
    const struct current *current = p >= 0 && p < TURNS_PS_MAX ? &intervals->current[p] : NULL;
    struct live *g = current && !current->left ? current->g : NULL;
    return g && g->g.id == current->id && g->now.state == GMPT_G_RUNNING && g->now.p == p ? g : NULL;
}

static inline void current_leave(struct intervals *intervals, int32_t p)
{
    struct current *current = current_of(intervals, p);
    if (current)
        current->g = NULL;
}

static inline int64_t moment_of(const struct intervals *intervals, const struct live *g)
{
    return intervals->present.moment_ns < g->now.begin_ns ? g->now.begin_ns : intervals->present.moment_ns;
}

/* What the G did in this state is over; those who listen are to hear of it. What they will look at is stored last, with
 * nothing in between, so that one that is compiled in here has it at hand. */
static inline void now_end(struct intervals *intervals, struct live *g, enum gmpt_g_state state, int64_t end_ns,
                           enum gmpt_event_type ended_by, int32_t end_p)
{
    int64_t spent_ns = end_ns - g->now.begin_ns;
    timesum_grow(&intervals->state_ns[state], spent_ns);
    if (state == GMPT_G_RUNNING)
        timesum_grow(&g->g.ran_ns, spent_ns);
    else if (state == GMPT_G_WAITING)
        timesum_grow(&intervals->wait_ns[g->now.reason], spent_ns);
    g->now.end_ns = end_ns;
    g->now.ended_by = ended_by;
    g->now.end_p = end_p;
}

static inline void now_begin(struct intervals *intervals, struct live *g, enum gmpt_g_state from,
                             enum gmpt_g_state state, int64_t begin_ns, enum gmpt_event_type by, int32_t p)
{
    intervals->present.counts[from]--; /* not beside the next: loads of both at once would wait for stores of one */
    g->now.begin_ns = begin_ns;
    intervals->present.counts[state]++;
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

/* ---- The usual turns --------------------------------------------------------------------------------------------- */

#define TURN static inline __attribute__((always_inline)) /* with its hearers, where these are constant */

/* The G that an event takes from this state in the usual way; NULL when anything about it is special. */
static inline struct live *usual_g(struct intervals *intervals, const struct gmpt_event *event,
                                   enum gmpt_g_state from)
{
    struct live *g = live_find(intervals, event->g);
    return g && g->now.state == from && !(g->silent | g->now.continued) ? g : NULL;
}

/* What nearly every event does, and no more of transition_take in intervals.c than is left to do of it then: in each
 * state, what belongs to others is clear. Each returns what the hearers did. */

TURN int turn_take(struct intervals *intervals, struct live *g, enum gmpt_g_state from, enum gmpt_g_state to,
                   enum gmpt_event_type by, int32_t p, int (*ended)(void *arg, const struct interval *over), void *arg)
{
    int64_t time_ns = moment_of(intervals, g);
    now_end(intervals, g, from, time_ns, by, p);
    int result = ended(arg, &g->now);
    now_begin(intervals, g, from, to, time_ns, by, p);
    return result;
}

TURN int turn_start(struct intervals *intervals, struct live *g, int32_t p, const struct turns_hearers *hearers,
                    void *arg)
{
    struct current *current = current_of(intervals, p);
    if (!current || current->g)
        return TURNS_UNUSUAL;
    *current = (struct current){ g, g->g.id, false };
    int result =
        turn_take(intervals, g, GMPT_G_RUNNABLE, GMPT_G_RUNNING, GMPT_EVENT_go_start, p, hearers->started, arg);
    wake_forget(g);
    return result;
}

TURN int turn_yield(struct intervals *intervals, struct live *g, int32_t p, const struct turns_hearers *hearers,
                    void *arg)
{
    current_leave(intervals, p);
    return turn_take(intervals, g, GMPT_G_RUNNING, GMPT_G_RUNNABLE, GMPT_EVENT_go_yield, p, hearers->stopped, arg);
}

TURN int turn_block(struct intervals *intervals, struct live *g, const struct gmpt_event *event,
                    const struct turns_hearers *hearers, void *arg)
{
    int32_t p = event->p;
    current_leave(intervals, p);
    int result = turn_take(intervals, g, GMPT_G_RUNNING, GMPT_G_WAITING, GMPT_EVENT_go_block, p, hearers->stopped, arg);
    wait_begins(intervals, event, g);
    return result ? result : hearers->waits(arg, &g->now);
}

TURN int turn_unblock(struct intervals *intervals, struct live *g, const struct gmpt_event *event,
                      const struct turns_hearers *hearers, void *arg)
{
    wait_ends(intervals, event, g);
    int result = turn_take(intervals, g, GMPT_G_WAITING, GMPT_G_RUNNABLE, GMPT_EVENT_go_unblock, event->p,
                           hearers->woken, arg);
    wait_forget(g);
    return result;
}

/* Takes an event in, when it is usual. Returns 0, what a hearer returned, or TURNS_UNUSUAL: then turns_rest is to take
 * it. */
TURN int turns_take(struct intervals *intervals, const struct gmpt_event *event, const struct turns_hearers *hearers,
                    void *arg)
{
    int64_t moment_ns = event->time_ns;
    if (__builtin_expect((uint64_t)moment_ns > TURNS_TIME_MAX_NS, 0))
        moment_ns = moment_ns < 0 ? 0 : TURNS_TIME_MAX_NS;
    intervals->present.moment_ns = moment_ns;
    if (moment_ns > intervals->present.end_ns)
        intervals->present.end_ns = moment_ns;
    struct live *g;
    switch (event->type) {
    case GMPT_EVENT_go_start:
        g = usual_g(intervals, event, GMPT_G_RUNNABLE);
        return g ? turn_start(intervals, g, event->p, hearers, arg) : TURNS_UNUSUAL;
    case GMPT_EVENT_go_yield:
        g = usual_g(intervals, event, GMPT_G_RUNNING);
        return g ? turn_yield(intervals, g, event->p, hearers, arg) : TURNS_UNUSUAL;
    case GMPT_EVENT_go_block:
        g = usual_g(intervals, event, GMPT_G_RUNNING);
        return g ? turn_block(intervals, g, event, hearers, arg) : TURNS_UNUSUAL;
    case GMPT_EVENT_go_unblock:
        g = usual_g(intervals, event, GMPT_G_WAITING);
        return g ? turn_unblock(intervals, g, event, hearers, arg) : TURNS_UNUSUAL;
    default:
        return TURNS_UNUSUAL;
    }
}

/* Of intervals.c: takes in what turns_take has left. Returns as intervals_add. */
int turns_rest(struct intervals *intervals, const struct gmpt_event *event);

#endif
