/* Gs that wait for one thing in the order of their coming: what mutex and wait group share.
 *
 * The list and the lock that covers it lie in the object. Entries lie in the frames of their Gs. A deadline takes its
 * entry out under the lock, so that whoever takes an entry out wakes its G, once. */
#ifndef GMPT_WAITLIST_H
#define GMPT_WAITLIST_H

#include "scheduler.h"
#include "timers.h"

struct waitlist_entry {
    struct waitlist_entry *next;
    struct g *g;
};

struct waitlist {
    struct lock lock; /* of the list and of the object that it lies in */
    struct waitlist_entry *first, **end; /* end is valid while first is not NULL */
};

/* The list's lock is held; it is released once the G is parked. Returns what its waker said. */
int waitlist_wait_locked(struct waitlist *list, const struct wait *wait);

/* The same with a deadline, beginning and ending without the lock: calls try_locked(list) under it first, and whenever
 * that says true there is nothing to wait for. Returns 0 or -ETIMEDOUT or -ENOMEM. */
int waitlist_wait_until(struct waitlist *list, bool (*try_locked)(struct waitlist *list), int64_t deadline_ns,
                        struct wait *wait);

/* The same for a G that was woken in vain: it goes ahead of those who came later. */
int waitlist_wait_again_locked(struct waitlist *list, const struct wait *wait);
int waitlist_wait_again_until(struct waitlist *list, bool (*try_locked)(struct waitlist *list), int64_t deadline_ns,
                              struct wait *wait);

/* Takes the first out; NULL when there is none. Its G is the caller's to make ready. */
struct g *waitlist_pop_locked(struct waitlist *list);

#endif
