/* Where Gs wait: each place and reason with how long; locks also by who had them. */
#ifndef GMPT_WAITS_H
#define GMPT_WAITS_H

#include "distribution.h"
#include "piece.h"

/* Zero-initialised is empty. */
struct waits {
    struct distributions sites; /* by stack and reason (kind) */
    /* By stack, reason and, as by_fn, the function of the G that had the lock as the wait began; where that is not
     * known, of the one that let the waiter in; marked: waits whose owner is known. */
    struct distributions locks;
};

static inline bool waits_lock(enum gmpt_wait_reason reason)
{
    return reason == GMPT_WAIT_mutex || reason == GMPT_WAIT_rwmutex_read || reason == GMPT_WAIT_rwmutex_write;
}

/* The function of who had the lock, as far as it is known, or let the waiter in; 0 = not known. */
static inline uint64_t waits_holder(const struct interval *wait)
{
    return wait->owner_fn ? wait->owner_fn : wait->waker_fn;
}

/* A wait that is over. Returns 0 or -ENOMEM. */
int waits_add(struct waits *waits, const struct piece *piece);
void waits_clear(struct waits *waits);

#endif
