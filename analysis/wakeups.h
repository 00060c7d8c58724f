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
/* A wait is over, or the trace. Returns 0 or -ENOMEM. */
int wakeups_waited(struct wakeups *wakeups, const struct piece *piece);
int wakeups_finish(struct wakeups *wakeups, struct findings *findings);
void wakeups_clear(struct wakeups *wakeups);

#endif
