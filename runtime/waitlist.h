/* Gs that wait for one thing in the order of their coming: what all that blocks but channels and sockets share.
 *
 * The list lies in the object, and so does the lock that covers both. A wait lies in the frame of its G. Who takes a
 * wait out of its list, under the lock, makes its G ready, once: a waker, or the wait's own deadline. The G may go on
 * and free the object as soon as it is ready; so it is made ready after the lock was released, and nothing of the
 * object is touched from then on. Until then the G is what keeps the object alive. */
#ifndef GMPT_WAITLIST_H
#define GMPT_WAITLIST_H

#include "scheduler.h"
#include "timers.h"

struct waitlist {
    struct waitlist_wait *first, *last;
};

/* Gs that were taken out of lists under a lock and are to be made ready once it is released. */
struct ready_batch {
    struct g *first, **end;
};

struct waitlist_wait {
    struct waitlist_wait *next, *previous;
    struct g *g;
    struct lock *lock;     /* of the object */
    struct waitlist *list; /* of the object */
    /* NULL, or mends the object when the deadline has taken the wait out: under the lock. */
    void (*left_locked)(struct waitlist_wait *wait, struct ready_batch *batch);
    bool queued;  /* in the list */
    bool parked;  /* the G is off its stack, or will be before the lock is free: it has to be made ready */
    bool timed;   /* the timer was started, and is to be stopped */
    bool expired; /* the deadline has passed: the wait must not be put into the list any more */
    bool ended_by_deadline; /* that was what took it out of the list */
    struct timer timer;
};

/* Of the calling G. */
static inline void waitlist_begin(struct waitlist_wait *wait, struct lock *lock, struct waitlist *list)
{
    wait->g = g_self();
    wait->lock = lock;
    wait->list = list;
    wait->left_locked = NULL;
    wait->queued = wait->parked = wait->timed = wait->expired = wait->ended_by_deadline = false;
}

/* Starts the timer of a deadline other than GMPT_NEVER; the lock must not be held, since timers' locks come first.
 * Returns 0, -ETIMEDOUT when it has passed already, or -ENOMEM. After 0, waitlist_end must follow. */
int waitlist_set_deadline(struct waitlist_wait *wait, int64_t deadline_ns);
/* No lock is held. From here on the frame may end. */
void waitlist_end(struct waitlist_wait *wait);

void waitlist_push_locked(struct waitlist_wait *wait);
void waitlist_push_first_locked(struct waitlist_wait *wait);
/* Takes the first out; NULL when there is none. */
struct waitlist_wait *waitlist_pop_locked(struct waitlist *list);

/* Parks the G, whose wait is in the list; the lock is released once it is parked. Returns what its waker said, 0 for
 * those of a batch, or -ETIMEDOUT. */
int waitlist_park_locked(struct waitlist_wait *wait, struct wait *description);

static inline void batch_begin(struct ready_batch *batch)
{
    batch->end = &batch->first;
}

static inline void batch_add(struct ready_batch *batch, struct waitlist_wait *wait)
{
    wait->g->wait_result = 0;
    *batch->end = wait->g;
    batch->end = &wait->g->next;
}

/* Adds all of the list. */
void batch_add_all_locked(struct ready_batch *batch, struct waitlist *list);
/* Makes them ready on p, which the caller's M holds. */
void batch_ready(struct ready_batch *batch, struct p *p);

#endif
