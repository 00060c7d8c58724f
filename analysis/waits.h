/* Where Gs wait: each place and reason with how long; locks also by who had them. */
#ifndef GMPT_WAITS_H
#define GMPT_WAITS_H

#include "distribution.h"
#include "piece.h"

#include <errno.h>

#define WAITS_RECENT 64

/* A place where Gs waited lately, by its stack as the interval has it. */
struct waits_place {
    uint32_t stack; /* 0 = none */
    uint32_t reason;
    struct distribution *site;
};

/* Zero-initialised is empty. */
struct waits {
    struct waits_place recent[WAITS_RECENT];
    struct distributions sites; /* by stack and reason (kind) */
    /* By stack, reason and, as by_fn, the function of the G that had the lock as the wait began; where that is not
     * known, of the one that let the waiter in; marked: waits whose owner is known. */
    struct distributions locks;
};

static inline bool waits_lock(enum gmpt_wait_reason reason)
{
    const unsigned locks = 1u << GMPT_WAIT_mutex | 1u << GMPT_WAIT_rwmutex_read | 1u << GMPT_WAIT_rwmutex_write;
    return 1u << reason & locks;
}

/* The function of who had the lock, as far as it is known, or let the waiter in; 0 = not known. */
static inline uint64_t waits_holder(const struct interval *wait)
{
    return wait->owner_fn ? wait->owner_fn : wait->waker_fn;
}

struct distribution *waits_site(struct waits *waits, struct waits_place *place, const struct piece *piece);

/* A wait that is over. Returns 0 or -ENOMEM. */
static inline __attribute__((always_inline)) int waits_add(struct waits *waits, const struct piece *piece)
{
    const struct interval *wait = piece->interval;
    struct waits_place *place = &waits->recent[wait->stack % WAITS_RECENT];
    struct distribution *site = place->site;
    if (__builtin_expect(wait->stack == 0 || place->stack != wait->stack || place->reason != (uint32_t)wait->reason, 0))
        site = waits_site(waits, place, piece);
    return site ? distribution_add(site, piece->lasted_ns, piece->end_ns, piece->g->id, wait->object) : -ENOMEM;
}

/* The same, after that, of a wait for a lock. */
int waits_locked(struct waits *waits, const struct piece *piece);

void waits_clear(struct waits *waits);

#endif
