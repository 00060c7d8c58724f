/* Lock convoys: a lock that is held briefly, but which so many want that a queue stands before it all the time.
 *
 * Of each lock that was waited for lately, waits are added up over a tenth of a second: that sum by the window's length
 * is the mean number of waiters. A queue that also moves (CONVOYS_WAITS_MIN waits ended) is a convoy; one that does not
 * is a lock held for long, which `waits` tells of. Locks share a table of constant size: one that finds its place taken
 * ends the window of the lock there. */
#ifndef GMPT_CONVOYS_H
#define GMPT_CONVOYS_H

#include "distribution.h"
#include "finding.h"
#include "piece.h"

#define CONVOYS_LOCKS 1024
#define CONVOYS_WINDOW_NS 100000000
#define CONVOYS_WAITS_MIN 100
#define CONVOYS_PLACES 64

struct convoy {
    uint64_t object, fn, owner_fn, g;
    uint32_t stack, reason, create_stack;
    int64_t begin_ns, end_ns;
    int64_t waited_ns;
    uint64_t waits;
};

struct convoys {
    uint64_t waiters_min;
    struct convoy locks[CONVOYS_LOCKS];
    struct convoy worst[CONVOYS_PLACES]; /* the worst window of each place */
    uint64_t times[CONVOYS_PLACES];      /* windows that were over the limit there */
    size_t worst_count;
};

/* A wait for a lock is over. owner_fn: of who had it, or let it in; 0 = not known. */
void convoys_add(struct convoys *convoys, const struct piece *piece, uint64_t owner_fn);
void convoys_finish(struct convoys *convoys, struct findings *findings);

#endif
