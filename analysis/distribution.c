#include "distribution.h"

#include <errno.h>
#include <stdlib.h>

static bool key_equal(const void *entry, const void *key)
{
    return distribution_key_equal(&((const struct distribution *)entry)->key, key);
}

static uint64_t key_hash(const struct distribution_key *key)
{
    uint64_t hash = key->fn ^ table_mix(key->by_fn ^ ((uint64_t)key->kind << 32 | key->stack));
    return table_mix(hash);
}

struct distribution *distributions_get_rare(struct distributions *set, const struct distribution_key *key,
                                            struct distribution **recent)
{
    static const struct distribution_key others = { 0 };
    uint64_t hash = key_hash(key);
    struct distribution *entry = table_find(&set->table, hash, key_equal, key);
    if (!entry && set->table.count >= DISTRIBUTION_KEYS_MAX) {
        key = &others;
        hash = key_hash(key);
        entry = table_find(&set->table, hash, key_equal, key);
    }
    if (!entry) {
        entry = calloc(1, sizeof *entry);
        if (!entry)
            return NULL;
        entry->key = *key;
        if (table_insert(&set->table, hash, entry)) {
            free(entry);
            return NULL;
        }
    }
    return *recent = entry;
}

int distribution_merge(struct distribution *entry, const struct distribution *other)
{
    int64_t worst_ns = entry->histogram.count ? entry->histogram.max : -1;
    if (other->histogram.count && (other->histogram.max > worst_ns || (other->histogram.max == worst_ns &&
                                                                       other->worst_end_ns < entry->worst_end_ns))) {
        entry->worst_end_ns = other->worst_end_ns;
        entry->worst_g = other->worst_g;
        entry->worst_object = other->worst_object;
    }
    entry->marked += other->marked;
    return histogram_merge(&entry->histogram, &other->histogram);
}

static int key_compare(const struct distribution_key *a, const struct distribution_key *b)
{
    if (a->fn != b->fn)
        return a->fn < b->fn ? -1 : 1;
    if (a->stack != b->stack)
        return a->stack < b->stack ? -1 : 1;
    if (a->by_fn != b->by_fn)
        return a->by_fn < b->by_fn ? -1 : 1;
    return (a->kind > b->kind) - (a->kind < b->kind);
}

static int total_compare(const void *a_arg, const void *b_arg)
{
    const struct distribution *a = *(struct distribution *const *)a_arg, *b = *(struct distribution *const *)b_arg;
    if (a->histogram.total != b->histogram.total)
        return a->histogram.total > b->histogram.total ? -1 : 1;
    return key_compare(&a->key, &b->key);
}

static int worst_compare(const void *a_arg, const void *b_arg)
{
    const struct distribution *a = *(struct distribution *const *)a_arg, *b = *(struct distribution *const *)b_arg;
    if (a->histogram.max != b->histogram.max)
        return a->histogram.max > b->histogram.max ? -1 : 1;
    return total_compare(a_arg, b_arg);
}

int distributions_sort(struct distributions *set, bool by_worst)
{
    int count = 0;
    free(set->list);
    set->list = calloc(set->table.count + 1, sizeof *set->list);
    if (!set->list)
        return -ENOMEM;
    for (size_t i = 0; set->table.slots && i <= set->table.mask; i++)
        if (set->table.slots[i].entry)
            set->list[count++] = set->table.slots[i].entry;
    qsort(set->list, (size_t)count, sizeof *set->list, by_worst ? worst_compare : total_compare);
    return count;
}

void distributions_clear(struct distributions *set)
{
    for (size_t i = 0; set->table.slots && i <= set->table.mask; i++) {
        struct distribution *entry = set->table.slots[i].entry;
        if (entry) {
            histogram_clear(&entry->histogram);
            free(entry);
        }
    }
    table_clear(&set->table);
    free(set->list);
    *set = (struct distributions){ 0 };
}
