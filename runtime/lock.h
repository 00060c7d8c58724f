/* The runtime's own lock: a word that is spun on, and given way for when its holder is not running.
 *
 * For short sections: tens of nanoseconds, at the most a few system calls that do not wait. Unlocking is a plain store,
 * which on the hot paths is worth more than a place to sleep: a waiter spins, then yields the CPU, then naps, so that
 * it cannot keep a preempted holder off it. Locks are taken in this order and never against it: a user's timer ->
 * timers -> object (channel, mutex, descriptor, context, group, pool) -> sched -> inbox, nest -> the trace's; that of
 * the seats is taken alone, and no two contexts' are held at once. */
#ifndef GMPT_LOCK_H
#define GMPT_LOCK_H

#include "trace/atomics.h"

struct lock {
    ATOMIC(uint32_t) held;
};

void lock_acquire_slow(struct lock *lock);

static inline bool lock_try_acquire(struct lock *lock)
{
    uint32_t expected = 0;
    return cas_acquire(&lock->held, &expected, 1);
}

static inline void lock_acquire(struct lock *lock)
{
    if (__builtin_expect(!lock_try_acquire(lock), 0))
        lock_acquire_slow(lock);
}

static inline void lock_release(struct lock *lock)
{
    store_release(&lock->held, 0);
}

#endif
