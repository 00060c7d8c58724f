/* Wake-ups that were for nothing, and events that wake many.
 *
 * A G was woken in vain when it waits again for the same object and reason after it has run for less than a little
 * while; waiting for a mutex in between, as one does who returns from a condition, does not count as going on. That
 * can be told only of locks, conditions, semaphores and sockets: who was woken by a channel has got what it waited for.
 *
 * What wakes several Gs that wait for one object, all by one waker within a millisecond, is a burst. When at least half
 * of them go back, it was a thundering herd. Whether a G goes back is known only when it does, so the last
 * WAKEUPS_BURSTS of them are kept until then. */
#ifndef GMPT_WAKEUPS_H
#define GMPT_WAKEUPS_H

#include "distribution.h"
#include "finding.h"
#include "piece.h"

#define WAKEUPS_BURSTS 64

/* Sets of reasons. Whose wake-ups can be for nothing: each unlocking lets one in, so many in a row are no single event;
 * the others can wake all at once. */
enum {
    WAKEUPS_MANY = 1 << GMPT_WAIT_rwmutex_read | 1 << GMPT_WAIT_cond | 1 << GMPT_WAIT_semaphore |
                   1 << GMPT_WAIT_net_read | 1 << GMPT_WAIT_net_write,
    WAKEUPS_TELLING = WAKEUPS_MANY | 1 << GMPT_WAIT_mutex | 1 << GMPT_WAIT_rwmutex_write,
};
_Static_assert(GMPT_WAIT_REASONS <= 31, "a reason has a bit");

/* Who is told of: as far as it is known, a G or who polled the network; a set of enum gmpt_waker. */
enum { WAKEUPS_SOMEBODY = 1 << GMPT_WAKER_G | 1 << GMPT_WAKER_NETPOLL | 1 << GMPT_WAKER_SYSMON };

/* What a G was woken from. */
struct woken {
    uint64_t object, burst; /* burst: its number, 0 = none */
    uint64_t waker_fn;
    int64_t ran_ns; /* the G's, as it was woken (intervals.h) */
    struct distribution *futile; /* of such wake-ups; NULL = not looked up */
    uint32_t stack;              /* as the interval has it */
    uint8_t reason;
    bool waiting; /* woken, and has not waited for anything else since */
};

struct wakeup_burst {
    uint64_t object, waker, waker_fn, fn, g;
    uint32_t stack, create_stack; /* as the intervals have them; of the worst, those that stand for all like them */
    uint32_t reason;
    int64_t begin_ns, end_ns;
    uint64_t woken, back;
};

struct wakeups {
    size_t room; /* where a G's struct woken is */
    struct stackalias *alias;
    struct distributions futile; /* by stack, reason and the waker's function; how long they ran in between */
    struct distributions herds;  /* by stack and reason; Gs that were woken; marked: those that went back */
    struct wakeup_burst worst[WAKEUPS_BURSTS]; /* of herds, the worst of each place; of more places, the worst */
    size_t worst_count;
    uint64_t left_out; /* herds at places for which there was no room */
    struct wakeup_burst bursts[WAKEUPS_BURSTS];
    uint64_t burst_count;
    struct wakeup_burst *last; /* number burst_count, which is at (burst_count - 1) % WAKEUPS_BURSTS */
    uint64_t woken;       /* wake-ups of which one can tell */
    int64_t at_once_ns;
    uint64_t herd_gs;
};

void wakeups_open(struct wakeups *wakeups, struct intervals *intervals, struct stackalias *alias,
                  const struct finding_limits *limits);
int wakeups_told(struct wakeups *wakeups, struct woken *woken, const struct piece *piece, bool tells);

/* A wait is over, or the trace. Returns 0 or -ENOMEM. */
static inline int wakeups_waited(struct wakeups *wakeups, const struct piece *piece)
{
    const struct interval *wait = piece->interval;
    struct woken *woken = interval_room(piece->g, wakeups->room);
    bool by_somebody = 1u << wait->waker_kind & WAKEUPS_SOMEBODY, tells_of = 1u << wait->reason & WAKEUPS_TELLING;
    bool tells = wait->ended_by == GMPT_EVENT_go_unblock && by_somebody && tells_of && wait->object;
    return tells || woken->waiting ? wakeups_told(wakeups, woken, piece, tells) : 0;
}

int wakeups_finish(struct wakeups *wakeups, struct findings *findings);
void wakeups_clear(struct wakeups *wakeups);

#endif
