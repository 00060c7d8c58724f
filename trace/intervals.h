/* The life of every G in pieces: one pass that turns ordered events into closed intervals.
 *
 *     go_create      go_start          go_block             go_unblock   go_start        go_exit
 *         |- runnable -|---- running ----|----- waiting ------|- runnable -|--- running ----|
 *
 * Feed every event in order, then finish. Each interval is handed over once, when it ends; those that still go on are
 * handed over by intervals_finish, by the numbers of their Gs. So intervals come ordered by their ends, and a G's own
 * in their order. What is done with them is the caller's: a profile sums them up, an export draws them. Memory is
 * bounded by the Gs that live.
 *
 * 1. The intervals of a G follow each other without a hole and without overlapping, from the moment that it was created
 *    (or first seen, or the trace's start when it was there before) to its end or the trace's: so their lengths add up
 * to its life, to the nanosecond.
 * 2. A G's clock never runs back: a moment before its last transition counts as that transition's moment. An interval
 *    may be empty then, and is handed over all the same, since it has happened.
 * 3. What the trace does not tell is not made up: a stack, waker or P that is not known is 0 or -1. Of a G that ran
 * when its ring lost records nobody knows what it has done since; that time has the state INTERVAL_LOST.
 * 4. Labels that change in the midst of an interval split it. All parts but the first are `continued`.
 *
 * It is the one state machine for all that is said of Gs: whoever has to do with them listens to it, several at once
 * where a pass is to tell several things. */
#ifndef GMPT_INTERVALS_H
#define GMPT_INTERVALS_H

#include <gmptrace/trace.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct intervals;

/* A G, as far as it is known by now. */
struct interval_g {
    uint64_t id, parent;   /* 0 = not known, or nobody */
    uint64_t fn;           /* 0 = not known */
    uint32_t create_stack; /* 0 = not known */
    uint32_t labels, name; /* numbers for gmpt_trace_label and gmpt_trace_string; 0 = none */
    int64_t created_ns;    /* or when it was first seen */
    int64_t ran_ns;        /* for how long it has run by the end of its last interval */
    bool main;             /* the main G */
    bool was_there;        /* before the trace's start */
};

#define INTERVAL_LOST ((enum gmpt_g_state)0)
#define INTERVAL_TRACE_END ((enum gmpt_event_type)0)

struct interval {
    const struct interval_g *g;              /* valid during the call */
    int64_t begin_ns, end_ns;                /* [begin, end) */
    enum gmpt_g_state state;                 /* never GMPT_G_DEAD */
    enum gmpt_event_type began_by, ended_by; /* the kinds of the events at both ends; ended_by INTERVAL_TRACE_END: it
                                                had not ended; a continued interval began by go_labels */
    enum gmpt_wait_reason reason;            /* of a wait; else GMPT_WAIT_none */
    bool bounded;                            /* of a wait: a deadline would end it */
    bool continued;
    uint64_t object; /* of a wait; 0 = none */
    uint64_t owner;  /* of a wait for a lock: the G that had it as the wait began; 0 = none, or not known */
    uint64_t owner_fn; /* its function; 0 = not known */
    uint32_t stack;  /* of a wait or call, where; of being runnable after one, where that was; 0 = not known */
    int32_t p;      /* the P in whose ring the event at the beginning lay: it ran there, blocked there, was queued there
                       by whoever woke it; -1 = none */
    int32_t end_p;  /* the same for the event at its end */
    uint64_t waker; /* the G that ended this wait, or of being runnable, that ended the wait before or created it; 0 =
                       none did (a timer, the poller), or not known */
    uint64_t waker_fn; /* its function; 0 = not known */
    uint32_t waker_stack; /* where it did, as the others of its stacks; 0 = not known */
    enum gmpt_waker waker_kind; /* who or what that was, waker being set only for a G */
    const struct interval_g *waking; /* of a wait that ends: the waker, which runs, or NULL; valid during the call */
};

/* closed takes each interval and may be NULL; anything but 0 from it stops, and is what intervals_add or
 * intervals_finish returns. The trace that the events come from tells what it knows of Gs whose beginning was lost; it
 * may be NULL. Returns NULL with errno ENOMEM. */
struct intervals *intervals_open(const struct gmpt_trace *trace,
                                 int (*closed)(void *arg, const struct interval *interval), void *arg);
void intervals_close(struct intervals *intervals); /* NULL: nothing */

/* What is told, by the members of a listener. */
enum interval_telling {
    INTERVAL_CLOSED,
    INTERVAL_STARTED,
    INTERVAL_STOPPED,
    INTERVAL_WOKEN,
    INTERVAL_WAITS,
    INTERVAL_BEGUN,
    INTERVAL_BORN,
    INTERVAL_TELLINGS
};

struct interval_hearer {
    int (*hear)(void *arg, const struct interval *interval);
    void *arg;
    struct interval_hearer *next;
};

/* What else wants to hear of the same intervals: closed as above, begun as below, born when a G becomes known, before
 * anything else is told of it. Each may be NULL. Whatever one returns but 0 is returned, and the others do not hear.
 *
 * Nearly all intervals are turns of three kinds, none of which is continued. Whoever has a function for one of these
 * hears of it by that instead of closed, and need not look at what it is. */
struct interval_listener {
    int (*closed)(void *arg, const struct interval *interval);
    int (*started)(void *arg, const struct interval *interval); /* was runnable until its go_start */
    int (*stopped)(void *arg, const struct interval *interval); /* ran until its go_block or go_yield */
    int (*woken)(void *arg, const struct interval *interval);   /* waited until its go_unblock */
    int (*waits)(void *arg, const struct interval *interval);   /* it begins a wait by a go_block: as begun */
    int (*begun)(void *arg, const struct interval *interval);
    int (*born)(void *arg, const struct interval *first); /* what it does is known, but for its end and its stack */
    void *arg;
    struct interval_hearer hearers[INTERVAL_TELLINGS]; /* of intervals.c */
};
/* For a kind of turn that nothing is to be heard of. */
int interval_unheard(void *arg, const struct interval *interval);
/* The listener is the caller's, and lives as long as events are added. Before the first intervals_add; they hear in the
 * order of their calls. */
void intervals_listen(struct intervals *intervals, struct interval_listener *listener);

/* Room beside each G's record, for what a listener keeps of it while it lives: all zero before born is told of the G.
 * Returns where that is, for interval_room. Before the first intervals_add. */
size_t intervals_room(struct intervals *intervals, size_t bytes);

static inline void *interval_room(const struct interval_g *g, size_t room) { return (char *)(uintptr_t)g + room; }

/* Calls begun, with the same argument, for each interval (and part of a split one) as it begins, with what is known by
 * then: all but end_ns, ended_by and end_p. What begun returns is treated as what closed does. Before the first
 * intervals_add. */
void intervals_watch(struct intervals *intervals, int (*begun)(void *arg, const struct interval *interval));

/* Returns 0, -ENOMEM, or what the callback returned. */
int intervals_add(struct intervals *intervals, const struct gmpt_event *event);
/* Ends all that still goes on, at end_ns or the last event, whichever is later. For end_ns gmpt_trace_info has
 * duration_ns. Nothing may be added afterwards. */
int intervals_finish(struct intervals *intervals, int64_t end_ns);

/* The G with this id while it lives; NULL = there is none. Valid until the next event is added. */
const struct interval_g *intervals_g(const struct intervals *intervals, uint64_t id);
/* What that G does now, as far as it is known: its end is not. NULL = there is none. Valid likewise. */
const struct interval *intervals_now(const struct intervals *intervals, uint64_t id);
/* How long Gs were in this state, or waited for this reason, up to the ends of their last intervals, all together. */
int64_t intervals_state_ns(const struct intervals *intervals, enum gmpt_g_state state);
int64_t intervals_wait_ns(const struct intervals *intervals, enum gmpt_wait_reason reason);
/* What is so as of the last event. */
struct intervals_present {
    int64_t moment_ns;              /* when that was, as far as it counts: a damaged clock is brought within bounds */
    int64_t end_ns;                 /* when the latest event was, or the end after intervals_finish */
    uint64_t counts[GMPT_G_STATES]; /* how many Gs are in each state; INTERVAL_LOST is one too */
};
/* Always the same place. */
const struct intervals_present *intervals_present(const struct intervals *intervals);
/* The G that runs on this P now; NULL = none, or not known. */
const struct interval_g *intervals_running(const struct intervals *intervals, int32_t p);
/* What the G does that has this P, to run or in a blocking call. NULL likewise. */
const struct interval *intervals_on(const struct intervals *intervals, int32_t p);
int64_t intervals_end_ns(const struct intervals *intervals);

/* Cuts an interval to what lies in [from, to). Returns false when that is nothing; an empty interval is in the window
 * when its moment is. */
bool interval_clip(int64_t *begin_ns, int64_t *end_ns, int64_t from_ns, int64_t to_ns);

#endif
