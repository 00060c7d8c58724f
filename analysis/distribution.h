/* Durations sorted by what they belong to: a function, a source line, a kind of wait. Each key has a histogram, and
 * remembers its worst: when that was and which G's.
 *
 * Keys are bounded; what comes after DISTRIBUTION_KEYS_MAX of them is added up under the key that is all zero. */
#ifndef GMPT_DISTRIBUTION_H
#define GMPT_DISTRIBUTION_H

#include "rate.h"

#include "trace/histogram.h"
#include "trace/table.h"

#include <stddef.h>
#include <stdint.h>

#define DISTRIBUTION_KEYS_MAX 16384
#define DISTRIBUTION_RECENT 16

/* What is not used is 0. */
struct distribution_key {
    uint64_t fn;    /* a G's function */
    uint64_t by_fn; /* that of another G: who woke it, who held the lock */
    uint32_t stack;
    uint32_t kind; /* a wait reason, a tier: the owner says */
};

struct distribution {
    struct distribution_key key;
    struct histogram histogram;
    int64_t worst_end_ns; /* when the longest one ended */
    uint64_t worst_g, worst_object;
    uint64_t marked;  /* how many were special; the owner says how */
    struct rate rate; /* for owners that feed it */
};

/* Zero-initialised is empty. */
struct distributions {
    struct table table;
    struct distribution *recent[DISTRIBUTION_RECENT]; /* found without the table: there are few, used in turn */
    struct distribution **list;                       /* after distributions_sort */
};

static inline bool distribution_key_equal(const struct distribution_key *a, const struct distribution_key *b)
{
    return a->stack == b->stack && a->fn == b->fn && a->by_fn == b->by_fn && a->kind == b->kind;
}

struct distribution *distributions_get_rare(struct distributions *set, const struct distribution_key *key,
                                            struct distribution **recent);

/* The entry with this key, made when it is new; lives until distributions_clear. NULL when memory is short. */
static inline struct distribution *distributions_get(struct distributions *set, const struct distribution_key *key)
{
    struct distribution **recent = &set->recent[(key->stack ^ key->fn >> 4 ^ key->kind) % DISTRIBUTION_RECENT];
    if (*recent && distribution_key_equal(&(*recent)->key, key))
        return *recent;
    return distributions_get_rare(set, key, recent);
}

/* Returns 0 or -ENOMEM. */
static inline int distribution_add(struct distribution *entry, int64_t ns, int64_t end_ns, uint64_t g, uint64_t object)
{
    if (__builtin_expect(ns > entry->histogram.max || entry->histogram.count == 0, 0)) {
        entry->worst_end_ns = end_ns;
        entry->worst_g = g;
        entry->worst_object = object;
    }
    return histogram_add(&entry->histogram, ns);
}

/* Adds all that another entry has; of two that are equally bad the earlier is the worst. Returns 0 or -ENOMEM. */
int distribution_merge(struct distribution *entry, const struct distribution *other);

/* Lists all entries in set->list, those with the longest total first, or, by_worst, with the longest single one; those
 * that are equal by their keys, so that the order is always the same. Returns how many, or -ENOMEM. */
int distributions_sort(struct distributions *set, bool by_worst);
void distributions_clear(struct distributions *set);

#endif
