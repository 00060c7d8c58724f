#include "waits.h"

/* Where a stack is not known, Gs are told apart by their functions. */
static struct distribution_key key_of(const struct piece *piece)
{
    struct distribution_key key = { .stack = piece_stack(piece), .kind = (uint32_t)piece->interval->reason };
    if (key.stack == 0)
        key.fn = piece->g->fn;
    return key;
}

struct distribution *waits_site(struct waits *waits, struct waits_place *place, const struct piece *piece)
{
    struct distribution_key key = key_of(piece);
    struct distribution *site = distributions_get(&waits->sites, &key);
    if (key.stack)
        *place = (struct waits_place){ piece->interval->stack, key.kind, site };
    return site;
}

int waits_locked(struct waits *waits, const struct piece *piece)
{
    const struct interval *wait = piece->interval;
    struct distribution_key key = key_of(piece);
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
