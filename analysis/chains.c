#include "chains.h"

void chains_open(struct chains *chains, struct intervals *intervals, int64_t from_ns)
{
    chains->room = intervals_room(intervals, sizeof(struct linked));
    chains->from_ns = from_ns;
}

void chains_begin(struct chains *chains, const struct interval_g *g)
{
    struct linked *linked = chains_of(chains, g);
    linked->chain.hops = 1;
    linked->chain.g = g->id;
    linked->since_ns = g->created_ns > chains->from_ns ? g->created_ns : chains->from_ns;
    linked->chain.last[0] = (struct chain_hop){ .g = g->id, .fn = g->fn, .create_stack = g->create_stack };
}

/* Hop by hop: as a whole it would be copied by an instruction that takes long to begin. */
static inline void chain_copy(struct chain *to, const struct chain *from)
{
    to->length_ns = from->length_ns;
    to->ran_ns = from->ran_ns;
    to->hops = from->hops;
#pragma GCC unroll 8
    for (int i = 0; i < CHAIN_HOPS; i++)
        to->last[i] = from->last[i];
}

void chains_wake(struct chains *chains, const struct interval_g *g, const struct interval_g *waker, uint32_t stack,
                 int64_t time_ns)
{
    if (g->id == waker->id)
        return;
    struct linked *from = chains_of(chains, waker), *to = chains_of(chains, g);
    chain_extend(from, time_ns);
    to->since_ns = time_ns;
    if (from->chain.length_ns <= to->chain.length_ns)
        return;
    chain_copy(&to->chain, &from->chain);
    to->chain.g = g->id;
    to->chain.last[(to->chain.hops - 1) % CHAIN_HOPS].stack = stack;
    to->chain.last[to->chain.hops++ % CHAIN_HOPS] =
        (struct chain_hop){ .g = g->id, .fn = g->fn, .create_stack = g->create_stack };
}

void chains_over(struct chains *chains, const struct interval_g *g, int64_t time_ns)
{
    struct linked *linked = chains_of(chains, g);
    chain_extend(linked, time_ns);
    if (linked->chain.length_ns <= chains->longest[CHAINS_SHOWN - 1].length_ns)
        return;
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
        return;
    for (; place > 0 && chains->longest[place - 1].length_ns < chain.length_ns; place--)
        chains->longest[place] = chains->longest[place - 1];
    chains->longest[place] = chain;
}
