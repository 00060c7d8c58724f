/* A P's inbox: Gs that prefer this P and were made runnable by who does not hold it, since only the owner may put into
 * its run queue. The owner empties it whenever it looks beyond the queue, and once more after it has gone idle. Thieves
 * leave it alone: the owner may just be waking up. When it does not come for a millisecond and other Ps are idle,
 * sysmon moves the Gs to the global queue: a preference keeps no G waiting for long beside a P that has nothing to do.
 *
 * | word       | writers    | readers | order            | pairs with                                          |
 * |------------|------------|---------|------------------|-----------------------------------------------------|
 * | inbox_size | under lock | any     | release, acquire | S1 and G4 of scheduler.c; the list itself is locked |
 */
#ifndef GMPT_INBOX_H
#define GMPT_INBOX_H

#include "runq.h"

void inbox_put(struct p *target, struct g *g);
/* Takes all out: a list linked by `next`. */
struct g *inbox_take(struct p *from);
/* Moves what is in from's inbox to the end of to's run queue, which the caller's M holds. Returns whether there was
 * anything. */
bool inbox_move_owner(struct p *from, struct p *to);

/* Whether p has runnable Gs, in its queue or in its inbox. */
static inline bool inbox_or_runq_any(struct p *p)
{
    return load_acquire(&p->inbox_size) != 0 || !runq_is_empty_any(p);
}

#endif
