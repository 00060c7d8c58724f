/* The run queue: see runq.h for the rules and the letters. */
#include "runq.h"

#include "nest.h"
#include "shared.h"

/* g may be NULL, or gone: as a number, since there is no such array to point into. */
static inline void prefetch_g(const struct g *g)
{
    uintptr_t at = (uintptr_t)g;
    __builtin_prefetch((const void *)(at + 64), 1);
    __builtin_prefetch((const void *)at, 1);
    __builtin_prefetch((const void *)(at - 64), 1);
}

/* Moves half of the full ring, and g, to the global queue. Returns false when thieves made room meanwhile. */
static bool overflow(struct p *p, struct g *g, uint32_t head, uint32_t tail)
{
    uint32_t count = (tail - head) / 2;
    if (!cas_release(&p->runq_head, &head, head + count)) /* B */
        return false;
    shared_queue_put_half(p, head, count, g); /* nobody but us fills the slots again */
    return true;
}

void runq_put_owner(struct p *p, struct g *g)
{
    for (;;) {
        uint32_t head = load_acquire(&p->runq_head); /* B */
        uint32_t tail = load_relaxed(&p->runq_tail);
        if (likely(tail - head < RUNQ_SLOTS)) {
            store_relaxed(&p->runq[tail % RUNQ_SLOTS], g);
            store_release(&p->runq_tail, tail + 1); /* A */
            return;
        }
        if (overflow(p, g, head, tail))
            return;
    }
}

void runq_put_new_owner(struct p *p, struct g *g)
{
    if (load_relaxed(&p->runnext) == NULL) { /* nobody else makes it anything but NULL */
        p->next_is_nested = true;
        store_release(&p->runnext, g); /* C */
    } else if ((g = nest_push_owner(p, g))) {
        runq_put_owner(p, g);
    }
}

static inline struct g *next_replace(struct p *p, struct g *g)
{
    if (runq_is_alone()) {
        struct g *before = load_relaxed(&p->runnext);
        store_release(&p->runnext, g); /* C */
        return before;
    }
    return exchange_acq_rel(&p->runnext, g); /* C */
}

bool runq_put_next_owner(struct p *p, struct g *g)
{
    struct g *before = next_replace(p, g);
    p->next_is_nested = false;
    if (before) {
        runq_put_owner(p, before);
        return false;
    }
    return load_relaxed(&p->runq_head) == load_relaxed(&p->runq_tail);
}

bool runq_put_nested_owner(struct p *p, struct g *g)
{
    if (load_relaxed(&p->runnext) == NULL) { /* as in runq_put_new_owner */
        store_release(&p->runnext, g); /* C */
    } else {
        struct g *before = next_replace(p, g);
        if (before && p->next_is_nested)
            before = nest_push_owner(p, before);
        if (before)
            runq_put_owner(p, before);
    }
    p->next_is_nested = true;
    return !nest_any(p) && load_relaxed(&p->runq_head) == load_relaxed(&p->runq_tail);
}

void runq_demote_next_owner(struct p *p)
{
    struct g *next = load_relaxed(&p->runnext) ? exchange_acq_rel(&p->runnext, NULL) : NULL; /* C */
    struct g *nested;
    while ((nested = nest_take_lowest_any(p)))
        runq_put_owner(p, nested);
    if (next)
        runq_put_owner(p, next);
}

struct g *runq_get_owner(struct p *p, bool *inherits)
{
    struct g *next = load_relaxed(&p->runnext);
    /* Only the owner sets runnext, so a CAS that fails found it cleared by a thief. */
    bool alone = runq_is_alone();
    if (next && alone)
        store_relaxed(&p->runnext, NULL);
    if (next && (alone || cas_acq_rel(&p->runnext, &next, NULL))) { /* C */
        *inherits = true;
        return next;
    }
    if (nest_any(p) && (next = nest_pop_owner(p))) {
        *inherits = true;
        return next;
    }
    *inherits = false;
    uint32_t head = load_acquire(&p->runq_head); /* B */
    for (;;) {
        if (load_relaxed(&p->runq_tail) == head)
            return NULL;
        struct g *g = load_relaxed(&p->runq[head % RUNQ_SLOTS]);
        /* The next one's lines come while this one runs; what lies in an unused slot was a G once, or is NULL. */
        prefetch_g(load_relaxed(&p->runq[(head + 1) % RUNQ_SLOTS]));
        if (alone)
            store_release(&p->runq_head, head + 1); /* B */
        if (alone || cas_acq_rel(&p->runq_head, &head, head + 1)) /* B */
            return g;
    }
}

bool runq_is_empty_any(struct p *p)
{
    /* runnext may move to the ring between two looks: only a tail that stood still proves both were empty at once. */
    for (;;) {
        uint32_t head = load_acquire(&p->runq_head);
        uint32_t tail = load_acquire(&p->runq_tail);
        struct g *next = load_acquire(&p->runnext);
        bool nested = nest_any(p);
        if (tail == load_acquire(&p->runq_tail))
            return head == tail && !next && !nested;
    }
}

/* A runnext that was just set is about to be run by its owner, who only has to block; to take it then would cost
 * both Ms a cache miss for every field of the G. So a thief takes it only if the owner starts nothing for a while. */
static struct g *steal_next(struct p *victim)
{
    struct g *next = load_acquire(&victim->runnext);
    uint32_t starts = load_relaxed(&victim->starts);
    if (!next)
        return NULL;
    for (int i = 0; i < 200 && load_relaxed(&victim->status) == P_RUNNING; i++) {
        cpu_relax();
        if (load_relaxed(&victim->runnext) != next || load_relaxed(&victim->starts) != starts)
            return NULL;
    }
    return cas_acq_rel(&victim->runnext, &next, NULL) ? next : NULL; /* C */
}

struct g *runq_steal_owner(struct p *p, struct p *victim, bool take_next, uint32_t *taken)
{
    uint32_t tail = load_relaxed(&p->runq_tail);
    for (;;) {
        uint32_t head = load_acquire(&victim->runq_head);        /* B */
        uint32_t victim_tail = load_acquire(&victim->runq_tail); /* A */
        uint32_t count = victim_tail - head;
        count -= count / 2;
        if (count == 0) {
            struct g *nested[NEST_SLOTS / 2];
            *taken = nest_take_half_any(victim, nested);
            for (uint32_t i = 1; i < *taken; i++)
                runq_put_owner(p, nested[i]);
            if (*taken)
                return nested[0];
            struct g *g = take_next ? steal_next(victim) : NULL;
            *taken = g ? 1 : 0;
            return g;
        }
        if (count > RUNQ_SLOTS / 2)
            continue; /* head and tail were read across somebody else's step */
        for (uint32_t i = 0; i < count; i++) {
            struct g *g = load_relaxed(&victim->runq[(head + i) % RUNQ_SLOTS]);
            store_relaxed(&p->runq[(tail + i) % RUNQ_SLOTS], g);
        }
        if (!cas_acq_rel(&victim->runq_head, &head, head + count)) /* B */
            continue;
        *taken = count;
        struct g *g = load_relaxed(&p->runq[(tail + count - 1) % RUNQ_SLOTS]);
        if (count > 1)
            store_release(&p->runq_tail, tail + count - 1); /* A */
        return g;
    }
}
