#include "waits.h"

#include <errno.h>

int waits_add(struct waits *waits, const struct piece *piece)
{
    const struct interval *wait = piece->interval;
    struct distribution_key key = { .stack = piece->stack, .kind = (uint32_t)wait->reason };
    if (key.stack == 0)
        key.fn = piece->g->fn;
    struct distribution *site = distributions_get(&waits->sites, &key);
    if (!site || distribution_add(site, piece->lasted_ns, piece->end_ns, piece->g->id, wait->object))
        return -ENOMEM;
    if (!waits_lock(wait->reason))
        return 0;
    key.by_fn = waits_holder(wait);
    struct distribution *lock = distributions_get(&waits->locks, &key);
    if (!lock || distribution_add(lock, piece->lasted_ns, piece->end_ns, piece->g->id, wait->object))
        return -ENOMEM;
    lock->marked += wait->owner_fn != 0;
    return 0;
}

void waits_clear(struct waits *waits)
{
    distributions_clear(&waits->sites);
    distributions_clear(&waits->locks);
}
