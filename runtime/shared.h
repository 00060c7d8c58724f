/* What all Ps share, under sched.lock: the global run queue and the list of idle Ps.
 *
 * The queue is a ring of pointers, queue_size of them from queue_first on, modulo queue_mask + 1. A list through the Gs
 * would need no room, but reading each link means to wait for a line of a G that nobody has run for long.
 *
 * The letters are those of the protocol in scheduler.c. */
#ifndef GMPT_SHARED_H
#define GMPT_SHARED_H

#include "runtime.h"

/* Makes the queue, with room for so many Gs, which is all that there can be. Returns 0 or -ENOMEM. */
int shared_start(uint32_t gs);

/* Appends. */
void shared_queue_put(struct g *g);
/* Those that are linked by next; returns how many. */
uint32_t shared_queue_put_list(struct g *list);
/* The count Gs from head in p's ring, whose slots are the caller's, and one more. */
void shared_queue_put_half(struct p *p, uint32_t head, uint32_t count, struct g *last);
/* Takes one G to run now and, up to max in all, this P's share of the rest into its own queue. NULL when there is
 * none. */
struct g *shared_queue_get(struct p *p, uint32_t max);
struct g *shared_queue_get_locked(struct p *p, uint32_t max);

/* p is in the caller's hands. It goes idle or, when it is over the limit, retires. */
void shared_idle_put_locked(struct p *p);
/* Takes this P off the idle list; false when it is not there. */
bool shared_idle_take_locked(struct p *p);
bool shared_idle_take(struct p *p);
/* Takes idle Ps over the limit off the list. */
void shared_retire_idle_locked(void);
struct p *shared_idle_get_locked(void);
/* An idle P, now the caller's, or NULL. */
struct p *shared_idle_get(void);

#endif
