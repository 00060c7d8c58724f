/* The longest chains of work, through whoever had to wait for whom: where it would help to be faster.
 *
 *     main  ==run==create(a)--------wait---------woken(by a)==run==
 *     a              \-runnable-==run==unblock(main)/
 *
 * Each G carries the length of the longest chain that leads to where it is now: the time that it ran, was in a call
 * or could run, plus that of whoever it had to wait for. When it is woken or created by another G whose chain is
 * longer, that one becomes its own, so a chain goes back through whoever made it late. Time that nobody spent, as in a
 * sleep, is in no chain. What of it the Gs really ran no number of Ps would save; the rest is waiting for a P.
 *
 * Of a chain only the length, the number of hops and the last CHAIN_HOPS Gs are kept: memory is bounded by Gs that
 * live. */
#ifndef GMPT_CHAINS_H
#define GMPT_CHAINS_H

#include "piece.h"
#include "trace/timesum.h"

#define CHAIN_HOPS 8 /* a power of two */
#define CHAINS_SHOWN 3

struct chain_hop {
    uint64_t g, fn;
    int64_t ns;     /* that it added */
    uint32_t stack; /* where it woke or started the next one; 0 = not known, or it is the last */
    uint32_t create_stack;
};

struct chain {
    uint64_t g; /* whose it is */
    int64_t length_ns, end_ns;
    int64_t ran_ns;                    /* what is not waiting for a P */
    uint64_t hops;                     /* Gs in it, each counted as often as it takes part */
    struct chain_hop last[CHAIN_HOPS]; /* hop n is at n % CHAIN_HOPS */
};

/* Of a G that lives. */
struct linked {
    int64_t since_ns; /* up to when its work is in the chain */
    int64_t late_ns;  /* of its time since then, what it waited for a P */
    struct chain chain;
};

struct chains {
    size_t room;                        /* where a G's struct linked is */
    int64_t from_ns;                    /* nothing before counts */
    struct chain longest[CHAINS_SHOWN]; /* of Gs with different functions, the longest first; length 0: there is none */
};

void chains_open(struct chains *chains, struct intervals *intervals, int64_t from_ns);
/* A G has become known. */
void chains_begin(struct chains *chains, const struct interval_g *g);

static inline struct linked *chains_of(const struct chains *chains, const struct interval_g *g)
{
    return interval_room(g, chains->room);
}

/* A G could run and did not. That it runs, or is in a call, need not be told: it is what is left. */
static inline void chains_late(struct chains *chains, const struct interval_g *g, int64_t begin_ns, int64_t end_ns)
{
    struct linked *linked = chains_of(chains, g);
    int64_t from_ns = begin_ns > linked->since_ns ? begin_ns : linked->since_ns;
    if (end_ns > from_ns)
        timesum_grow(&linked->late_ns, end_ns - from_ns);
}

/* What the G has done up to then becomes part of its chain. */
static inline void chain_extend(struct linked *linked, int64_t time_ns)
{
    struct chain *chain = &linked->chain;
    int64_t ns = time_ns - linked->since_ns;
    if (ns <= 0)
        return;
    timesum_grow(&chain->length_ns, ns);
    timesum_add(&chain->ran_ns, ns - linked->late_ns);
    timesum_grow(&chain->last[(chain->hops - 1) % CHAIN_HOPS].ns, ns);
    linked->since_ns = time_ns;
    linked->late_ns = 0;
}

/* A G did nothing that belongs to a chain. */
static inline void chains_idle(struct chains *chains, const struct interval_g *g, int64_t begin_ns, int64_t end_ns)
{
    struct linked *linked = chains_of(chains, g);
    chain_extend(linked, begin_ns);
    linked->since_ns = end_ns;
    linked->late_ns = 0;
}

/* A G was woken, after chains_idle, or started by another, which runs. stack is where it did. */
void chains_wake(struct chains *chains, const struct interval_g *g, const struct interval_g *waker, uint32_t stack,
                 int64_t time_ns);
/* A G is over, or the trace. */
void chains_over(struct chains *chains, const struct interval_g *g, int64_t time_ns);

#endif
