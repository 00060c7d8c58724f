/* A short stack of Gs under a lock, with two ends. See nest.h. */
#include "nest.h"

static struct g *take_lowest_locked(struct nest *nest, uint32_t count)
{
    struct g *g = nest->slots[nest->lowest];
    nest->lowest = (nest->lowest + 1) % NEST_SLOTS;
    store_release(&nest->count, count - 1);
    return g;
}

struct g *nest_push_owner(struct p *p, struct g *g)
{
    struct nest *nest = &p->nest;
    struct g *lowest = NULL;
    lock_acquire(&nest->lock);
    uint32_t count = load_relaxed(&nest->count);
    if (count == NEST_SLOTS)
        lowest = take_lowest_locked(nest, count--);
    nest->slots[(nest->lowest + count) % NEST_SLOTS] = g;
    store_release(&nest->count, count + 1);
    lock_release(&nest->lock);
    return lowest;
}

struct g *nest_pop_owner(struct p *p)
{
    struct nest *nest = &p->nest;
    struct g *g = NULL;
    if (load_relaxed(&nest->count) == 0) /* only the owner adds to it */
        return NULL;
    lock_acquire(&nest->lock);
    uint32_t count = load_relaxed(&nest->count);
    if (count) {
        g = nest->slots[(nest->lowest + count - 1) % NEST_SLOTS];
        store_release(&nest->count, count - 1);
    }
    lock_release(&nest->lock);
    return g;
}

struct g *nest_take_lowest_any(struct p *p)
{
    struct nest *nest = &p->nest;
    struct g *g = NULL;
    if (load_relaxed(&nest->count) == 0)
        return NULL;
    lock_acquire(&nest->lock);
    uint32_t count = load_relaxed(&nest->count);
    if (count)
        g = take_lowest_locked(nest, count);
    lock_release(&nest->lock);
    return g;
}
