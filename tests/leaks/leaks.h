/* Known leaks, each as C code would have it, with a twin in which it is repaired.
 *
 * A pattern is a function that the program `leaks_corpus` runs as a G; its args are a bool, whether the fault is to be
 * repaired. What it leaves behind once nothing moves any more is told by a list of sites, functions that Gs were
 * started with; the repaired twin leaves nothing. Where the original needs luck to go wrong, ours waits for the moment
 * (UNTIL), so that each run leaks the same.
 *
 * Objects lie where real code would have them: on the stack of who waits for his children, in malloc'ed structures that
 * Gs share, by value in the arguments of a G. That decides what can be proven, so it is part of the pattern. */
#ifndef GMPT_TEST_LEAKS_H
#define GMPT_TEST_LEAKS_H

#include <gmptrace/gmpt.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* Which verdicts are right for the Gs of a site. Where one waits for a lock whose owner waits for ever, both are. */
enum leak_kinds {
    LEAK_PROVEN = 1,
    LEAK_CYCLE = 2,
    LEAK_EITHER = LEAK_PROVEN | LEAK_CYCLE,
    LEAK_LIVE = 4, /* no leak: they wait, but somebody could wake them */
};

#define LEAK_SITES_MAX 3

struct leak_site {
    const char *function; /* that the Gs were started with */
    void (*fn)(void *args);
    uint32_t count;
    enum leak_kinds kinds;
    const char *waits; /* the function of the pattern's in which they wait, or one "or" the other */
};
#define LEAK_SITE(function, count, kinds, waits)                                                                       \
    {                                                                                                                  \
#function, function, count, kinds, #waits                                                                      \
    }

struct leak_pattern {
    const char *name;
    void (*run)(void *repaired);
    struct leak_site sites[LEAK_SITES_MAX];
};

struct leak_family {
    const struct leak_pattern *patterns;
    size_t count;
};
#define LEAK_FAMILY(patterns)                                                                                          \
    {                                                                                                                  \
        patterns, sizeof patterns / sizeof patterns[0]                                                                 \
    }

extern const struct leak_family leak_micro, leak_common, leak_cockroach, leak_etcd, leak_grpc, leak_kubernetes,
    leak_moby, leak_others, leak_goker;

/* How many times a pattern repeats what the original repeats. */
#define LEAK_TIMES 3

#define UNTIL(condition)                                                                                               \
    while (!(condition))                                                                                               \
    gmpt_yield()

#define GO(fn, args) gmpt_go(fn, &(args), sizeof(args))

/* The tests have memory. */
static inline void *leak_new(size_t size)
{
    void *block = calloc(1, size);
    if (!block)
        abort();
    return block;
}
#define NEW(type) ((type *)leak_new(sizeof(type)))

/* A channel without values, of which the receiver of the handle holds a reference. */
static inline struct gmpt_chan *leak_chan(size_t capacity)
{
    struct gmpt_chan *chan = gmpt_chan_new(0, capacity);
    if (!chan)
        abort();
    return chan;
}

#endif
