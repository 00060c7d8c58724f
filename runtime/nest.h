/* The new Gs of a P, and those that gave way to a child of theirs, the latest on top.
 *
 * New Gs run latest first: what a G starts it has in its cache, and a tree of Gs is walked depth first, so that it
 * takes as many stacks as it is deep; breadth first, which the run queue would make of it, it takes as many as it is
 * wide. They go on with the slice of who started them, so that they go before those in the run queue for a slice at
 * most: when it is over all that are here move to the end of the run queue (runq_demote_next_owner).
 *
 * A G that starts a child in a group lets it run first and is itself the next to run (runnext): most children end
 * without a pause, on the stack that the last one left warm. When such a child starts one of its own, the G above both
 * is put here. The owner takes from the top; thieves from the bottom, where the largest parts of a tree hang.
 *
 * The room is bounded: beyond it the lowest moves to the run queue. The lock is a leaf: no other is taken under it.
 * While there has never been a second P it is not taken at all: the P's holder is then the only one here, and a second
 * P can only be made by a G of its own. */
#ifndef GMPT_NEST_H
#define GMPT_NEST_H

#include "runtime.h"

static inline bool nest_any(struct p *p) { return load_acquire(&p->nest.count) != 0; }

/* Puts g on top. Returns NULL, or the lowest, for which there is no room any more. */
struct g *nest_push_owner(struct p *p, struct g *g);
/* The one on top, or NULL. */
struct g *nest_pop_owner(struct p *p);
/* The lowest, or NULL; on any M. */
struct g *nest_take_lowest_any(struct p *p);
/* The lower half, lowest first, into gs, which has room for NEST_SLOTS / 2. Returns how many; on any M. */
uint32_t nest_take_half_any(struct p *p, struct g **gs);

#endif
