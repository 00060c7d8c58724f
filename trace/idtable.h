/* Records by their number: a table, and before it a look at the record that was found last under the same low bits of
 * a number, since the few Gs that run now are asked for again and again.
 *
 * A record's first member is a uint64_t with its number, which is not 0, but for one that has been taken out. */
#ifndef GMPT_IDTABLE_H
#define GMPT_IDTABLE_H

#include "table.h"

#include <stdint.h>

#define IDTABLE_RECENT 1024

/* Zero-initialised is empty. */
struct idtable {
    struct table table;
    void *recent[IDTABLE_RECENT];
};

void *idtable_find_slowly(struct idtable *ids, uint64_t id);

/* NULL when there is none. */
static inline void *idtable_find(struct idtable *ids, uint64_t id)
{
    void *record = ids->recent[id % IDTABLE_RECENT];
    if (__builtin_expect(record && *(const uint64_t *)record == id, 1))
        return record;
    return idtable_find_slowly(ids, id);
}

/* The same, but remembers nothing. */
static inline void *idtable_look(const struct idtable *ids, uint64_t id)
{
    void *record = ids->recent[id % IDTABLE_RECENT];
    if (record && *(const uint64_t *)record == id)
        return record;
    return table_find(&ids->table, table_mix(id), NULL, NULL);
}

/* Returns 0 or -ENOMEM. */
int idtable_insert(struct idtable *ids, void *record);
void idtable_remove(struct idtable *ids, void *record);
/* Frees what is its own, not the records. */
void idtable_clear(struct idtable *ids);

#endif
