/* The slow half of the runtime's lock: see lock.h. */
#define _GNU_SOURCE
#include "lock.h"

#include <sched.h>
#include <time.h>

void lock_acquire_slow(struct lock *lock)
{
    for (unsigned tries = 0;; tries++) {
        if (load_relaxed(&lock->held) == 0 && lock_try_acquire(lock))
            return;
        if (tries < 100)
            cpu_relax();
        else if (tries < 120)
            sched_yield();
        else {
            struct timespec nap = { .tv_nsec = 50000 };
            nanosleep(&nap, NULL);
        }
    }
}
