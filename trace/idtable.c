/* See idtable.h. */
#include "idtable.h"

#include <string.h>

void *idtable_find_slowly(struct idtable *ids, uint64_t id)
{
    void *record = table_find(&ids->table, table_mix(id), NULL, NULL);
    if (record)
        ids->recent[id % IDTABLE_RECENT] = record;
    return record;
}

int idtable_insert(struct idtable *ids, void *record)
{
    uint64_t id = *(uint64_t *)record;
    int result = table_insert(&ids->table, table_mix(id), record);
    if (result == 0)
        ids->recent[id % IDTABLE_RECENT] = record;
    return result;
}

void idtable_remove(struct idtable *ids, void *record)
{
    uint64_t *id = record;
    if (ids->recent[*id % IDTABLE_RECENT] == record)
        ids->recent[*id % IDTABLE_RECENT] = NULL;
    table_remove(&ids->table, table_mix(*id), record);
    *id = 0;
}

void idtable_clear(struct idtable *ids)
{
    table_clear(&ids->table);
    memset(ids->recent, 0, sizeof ids->recent);
}
