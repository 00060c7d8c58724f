/* Who has what a G waits for, as a proof of leaks reads it: without locks, while nothing changes. */
#ifndef GMPT_OWNERS_H
#define GMPT_OWNERS_H

#include <gmptrace/gmpt.h>
#include <gmptrace/trace.h>

#include <stdint.h>

/* A mutex knows only so much of the id of the G that has it. */
#define OWNER_ID_MASK ((UINT64_C(1) << 39) - 1)

/* The G that runs the once's function, 0 = none. */
uint64_t once_owner(const struct gmpt_once *once);
/* Where the group notes who waits for all of it. */
const void *group_waiter(const struct gmpt_group *group);

/* The id of the G that has the lock, at least its low bits; 0 = nobody, or many, or it is not known who. */
static inline uint64_t owners_id(enum gmpt_wait_reason reason, const void *object)
{
    void *lock = (void *)(uintptr_t)object;
    switch (reason) {
    case GMPT_WAIT_mutex:
        return gmpt_mutex_owner(lock);
    case GMPT_WAIT_rwmutex_read:
    case GMPT_WAIT_rwmutex_write:
        return gmpt_rwmutex_owner(lock);
    case GMPT_WAIT_once:
        return once_owner(lock);
    default:
        return 0;
    }
}

#endif
