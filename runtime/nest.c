/* A short stack of Gs under a lock, with two ends. See nest.h. */
#include "nest.h"

#include "runq.h"

static inline void nest_lock(struct nest *nest)
{
    if (!runq_is_alone())
        lock_acquire(&nest->lock);
}

static inline void nest_unlock(struct nest *nest)
{
    if (!runq_is_alone())
        lock_release(&nest->lock);
}

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
    nest_lock(nest);
    uint32_t count = load_relaxed(&nest->count);
    if (count == NEST_SLOTS)
        lowest = take_lowest_locked(nest, count--);
    nest->slots[(nest->lowest + count) % NEST_SLOTS] = g;
    store_release(&nest->count, count + 1);
    nest_unlock(nest);
    return lowest;
}

struct g *nest_pop_owner(struct p *p)
{
    struct nest *nest = &p->nest;
    struct g *g = NULL;
    if (load_relaxed(&nest->count) == 0) /* only the owner adds to it */
        return NULL;
    nest_lock(nest);
    uint32_t count = load_relaxed(&nest->count);
    if (count) {
        g = nest->slots[(nest->lowest + count - 1) % NEST_SLOTS];
        store_release(&nest->count, count - 1);
    }
    nest_unlock(nest);
    return g;
}

struct g *nest_take_lowest_any(struct p *p)
{
    struct nest *nest = &p->nest;
    struct g *g = NULL;
    if (load_relaxed(&nest->count) == 0)
        return NULL;
    nest_lock(nest);
    uint32_t count = load_relaxed(&nest->count);
    if (count)
        g = take_lowest_locked(nest, count);
    nest_unlock(nest);
    return g;
}

uint32_t nest_take_half_any(struct p *p, struct g **gs)
{
    struct nest *nest = &p->nest;
    if (load_relaxed(&nest->count) == 0)
        return 0;
    lock_acquire(&nest->lock);
    uint32_t count = load_relaxed(&nest->count), half = count - count / 2;
    for (uint32_t i = 0; i < half; i++)
        gs[i] = take_lowest_locked(nest, count - i);
    lock_release(&nest->lock);
    return half;
}
