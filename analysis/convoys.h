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
    uint64_t windows; /* of one that is kept: how many of its place were over the limit */
};

struct convoys {
    uint64_t waiters_min;
    struct convoy locks[CONVOYS_LOCKS];
    struct convoy worst[CONVOYS_PLACES]; /* the worst window of each place; of more places, those that are worst */
    size_t worst_count;
    uint64_t left_out; /* windows over the limit at places for which there was no room */
};

/* A wait for a lock is over. */
void convoys_add(struct convoys *convoys, const struct piece *piece);
void convoys_finish(struct convoys *convoys, struct findings *findings);

#endif
