/* A hash table from 64-bit hashes to pointers that it does not own: open addressing, linear probing, removal without
 * tombstones. Equal hashes are allowed; the caller tells their entries apart. */
#ifndef GMPT_TABLE_H
#define GMPT_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table_slot {
    uint64_t hash;
    void *entry; /* NULL = free */
};

/* Zero-initialised is empty. */
struct table {
    struct table_slot *slots;
    size_t mask; /* slots - 1 */
    size_t count;
};

/* One to one, so a table whose keys are 64-bit numbers needs no further comparison. */
static inline uint64_t table_mix(uint64_t key)
{
    key ^= key >> 32;
    key *= 0x9e3779b97f4a7c15ull;
    key ^= key >> 29;
    return key;
}

/* The first entry with this hash for which equal(entry, key) holds; equal NULL takes the first. NULL when there is
 * none. */
static inline void *table_find(const struct table *table, uint64_t hash,
                               bool (*equal)(const void *entry, const void *key), const void *key)
{
    if (!table->slots)
        return NULL;
    for (size_t i = hash & table->mask; table->slots[i].entry; i = (i + 1) & table->mask)
        if (table->slots[i].hash == hash && (!equal || equal(table->slots[i].entry, key)))
            return table->slots[i].entry;
    return NULL;
}

/* Returns 0 or -ENOMEM. */
int table_insert(struct table *table, uint64_t hash, void *entry);
/* Does nothing when the entry is not there. */
void table_remove(struct table *table, uint64_t hash, const void *entry);
/* Frees the slots, not the entries. */
void table_clear(struct table *table);

#endif
