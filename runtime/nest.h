/* The Gs of a P that gave way to a child of theirs, the latest on top.
 *
 * A G that starts a child in a group lets it run first and is itself the next to run (runnext): most children end
 * without a pause, on the stack that the last one left warm. When such a child starts one of its own, the G above both
 * is put here. So a tree of Gs is walked depth first, and takes as many stacks as it is deep; breadth first, which the
 * run queue would make of it, it takes as many as it is wide. The owner takes from the top; thieves from the bottom,
 * where the largest parts of the tree hang.
 *
 * The room is bounded: beyond it the lowest moves to the run queue. The lock is a leaf: no other is taken under it. */
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

#endif
