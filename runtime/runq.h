/* A P's run queue: a ring of RUNQ_SLOTS runnable Gs and one place, runnext, for the G to run before them; between them
 * in order, new ones and those that gave way to children, the latest first (nest.h).
 *
 * One producer, the holder of the P, at the tail; at the head it and thieves on other Ms compete by CAS. The design is
 * Go's (src/runtime/proc.go, runqput and runqgrab), after Chase and Lev's deque without its growth.
 *
 * | word        | writer               | reader  | order            | pairs with                                      |
 * |-------------|----------------------|---------|------------------|-------------------------------------------------|
 * | runq_tail   | owner                | thieves | release/acquire  | A: the slot is filled before it is offered      |
 * | runq_head   | owner, thieves (CAS) | all     | release/acquire  | B: the slot is read before it is filled again   |
 * | runq[i]     | owner                | all     | relaxed          | ordered by A and B                              |
 * | runnext     | owner; thieves clear | all     | acq_rel, release | C: the G's fields before the G; a plain store   |
 * |             |                      |         |                  | where it was NULL, which only the owner changes |
 *
 * Invariants: 1. 0 <= tail - head <= RUNQ_SLOTS (mod 2^32). 2. A G is in at most one slot, of one P, or runnext. 3. A
 * thief has a G only after its CAS on the head took the G's index, so it never runs one that somebody else took.
 *
 * _owner: only who holds the P. _any: any M that holds some P. */
#ifndef GMPT_RUNQ_H
#define GMPT_RUNQ_H

#include "runtime.h"

/* While there has never been a second P its holder is the only one here, and needs no atomic read-modify-writes: a
 * second P can only be made by a G of its own (gmpt_gomaxprocs), between two of these calls. */
static inline bool runq_is_alone(void) { return load_relaxed(&sched.p_made) == 1; }

/* Whether there certainly is something in the ring: a quick look before runq_is_empty_any. */
static inline bool runq_has_queued_owner(struct p *p)
{
    return load_relaxed(&p->runq_tail) != load_relaxed(&p->runq_head);
}

/* Puts g at the tail; when the ring is full, g and half of the ring go to the global queue. */
void runq_put_owner(struct p *p, struct g *g);
/* Makes a new G the next to run if there is none, else the first after it and those that gave way to children: of
 * several the latest runs first. See nest.h. */
void runq_put_new_owner(struct p *p, struct g *g);
/* Makes g the next to run; the one that was moves to the tail. Returns whether g is the only one there. */
bool runq_put_next_owner(struct p *p, struct g *g);
/* Makes g, which gives way to a child, the next to run once that pauses or ends; see nest.h. Returns whether g is the
 * only one there. */
bool runq_put_nested_owner(struct p *p, struct g *g);
/* Takes the next; *inherits says that it came from runnext and goes on with the slice of the one before it. */
struct g *runq_get_owner(struct p *p, bool *inherits);
/* Moves runnext, if any, and those that gave way to children to the tail. */
void runq_demote_next_owner(struct p *p);

/* Moves half of the victim's ring, or when that is empty half of its nest, to p, which is empty, and returns one more
 * of them to run now; NULL when there was nothing to take. With take_next, an otherwise empty victim's runnext is
 * taken. *taken counts them all. */
struct g *runq_steal_owner(struct p *p, struct p *victim, bool take_next, uint32_t *taken);

/* True when there was nothing at some moment during the call. */
bool runq_is_empty_any(struct p *p);

#endif
