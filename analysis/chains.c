#include "chains.h"

#include <errno.h>

struct linked {
    struct chain chain;
    int64_t since_ns; /* up to when its work is in the chain */
};

void chains_open(struct chains *chains, int64_t from_ns)
{
    chains->slots.record_bytes = sizeof(struct linked);
    chains->from_ns = from_ns;
}

static struct linked *linked_of(struct chains *chains, const struct interval_g *g)
{
    struct linked *linked = slots_of(&chains->slots, g);
    if (linked && linked->chain.hops == 0) {
        linked->chain.hops = 1;
        linked->chain.g = g->id;
        linked->since_ns = g->created_ns > chains->from_ns ? g->created_ns : chains->from_ns;
        linked->chain.last[0] = (struct chain_hop){ .g = g->id, .fn = g->fn, .create_stack = g->create_stack };
    }
    return linked;
}

/* Stops at the largest number: only damaged clocks get there. */
static void ns_add(int64_t *sum_ns, int64_t ns)
{
    if (__builtin_add_overflow(*sum_ns, ns, sum_ns))
        *sum_ns = INT64_MAX;
}

static void chain_extend(struct chain *chain, int64_t ns, bool ran)
{
    ns_add(&chain->length_ns, ns);
    ns_add(&chain->ran_ns, ran ? ns : 0);
    ns_add(&chain->last[(chain->hops - 1) % CHAIN_HOPS].ns, ns);
}

int chains_work(struct chains *chains, const struct piece *piece)
{
    struct linked *linked = linked_of(chains, piece->g);
    if (!linked)
        return -ENOMEM;
    int64_t from_ns = piece->begin_ns > linked->since_ns ? piece->begin_ns : linked->since_ns;
    if (piece->end_ns > from_ns)
        chain_extend(&linked->chain, piece->end_ns - from_ns, piece->interval->state != GMPT_G_RUNNABLE);
    linked->since_ns = piece->end_ns;
    return 0;
}

int chains_at(struct chains *chains, const struct interval_g *g, int64_t time_ns)
{
    struct linked *linked = linked_of(chains, g);
    if (!linked)
        return -ENOMEM;
    linked->since_ns = time_ns;
    return 0;
}

int chains_wake(struct chains *chains, const struct interval_g *g, const struct interval_g *waker, uint32_t stack,
                int64_t time_ns)
{
    if (g->id == waker->id)
        return 0;
    struct linked *to = linked_of(chains, g);
    struct linked *from = to ? linked_of(chains, waker) : NULL;
    if (!from)
        return -ENOMEM;
    to = linked_of(chains, g); /* the first may have moved */
    if (time_ns > from->since_ns) {
        chain_extend(&from->chain, time_ns - from->since_ns, true);
        from->since_ns = time_ns;
    }
    to->since_ns = time_ns;
    if (from->chain.length_ns <= to->chain.length_ns)
        return 0;
    to->chain = from->chain;
    to->chain.g = g->id;
    to->chain.last[(to->chain.hops - 1) % CHAIN_HOPS].stack = stack;
    to->chain.last[to->chain.hops++ % CHAIN_HOPS] =
        (struct chain_hop){ .g = g->id, .fn = g->fn, .create_stack = g->create_stack };
    return 0;
}

int chains_over(struct chains *chains, const struct interval_g *g, int64_t time_ns)
{
    struct linked *linked = linked_of(chains, g);
    if (!linked)
        return -ENOMEM;
    struct chain chain = linked->chain;
    chain.end_ns = time_ns;
    const struct chain_hop *own = &chain.last[(chain.hops - 1) % CHAIN_HOPS];
    size_t place = CHAINS_SHOWN - 1;
    for (size_t i = 0; i < CHAINS_SHOWN; i++) {
        const struct chain *other = &chains->longest[i];
        if (other->length_ns && other->last[(other->hops - 1) % CHAIN_HOPS].fn == own->fn) {
            place = i;
            break;
        }
    }
    if (chain.length_ns <= chains->longest[place].length_ns)
        return 0;
    for (; place > 0 && chains->longest[place - 1].length_ns < chain.length_ns; place--)
        chains->longest[place] = chains->longest[place - 1];
    chains->longest[place] = chain;
    return 0;
}

void chains_clear(struct chains *chains) { slots_clear(&chains->slots); }
