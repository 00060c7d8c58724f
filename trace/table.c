/* The table grows at three quarters full; removal moves later entries of the probe run back. */
#include "table.h"

#include <errno.h>
#include <stdlib.h>

#define TABLE_FIRST_SLOTS 64

static void slot_fill(struct table *table, uint64_t hash, void *entry)
{
    size_t i = hash & table->mask;
    while (table->slots[i].entry)
        i = (i + 1) & table->mask;
    table->slots[i] = (struct table_slot){ hash, entry };
}

static int table_grow(struct table *table)
{
    size_t old_slots = table->slots ? table->mask + 1 : 0;
    size_t new_slots = old_slots ? old_slots * 2 : TABLE_FIRST_SLOTS;
    struct table bigger = { calloc(new_slots, sizeof *bigger.slots), new_slots - 1, table->count };
    if (!bigger.slots)
        return -ENOMEM;
    for (size_t i = 0; i < old_slots; i++)
        if (table->slots[i].entry)
            slot_fill(&bigger, table->slots[i].hash, table->slots[i].entry);
    free(table->slots);
    *table = bigger;
    return 0;
}

int table_insert(struct table *table, uint64_t hash, void *entry)
{
    if (!table->slots || (table->count + 1) * 4 > (table->mask + 1) * 3) {
        int result = table_grow(table);
        if (result)
            return result;
    }
    slot_fill(table, hash, entry);
    table->count++;
    return 0;
}

void table_remove(struct table *table, uint64_t hash, const void *entry)
{
    if (!table->slots)
        return;
    size_t hole = hash & table->mask;
    while (table->slots[hole].entry != entry) {
        if (!table->slots[hole].entry)
            return;
        hole = (hole + 1) & table->mask;
    }
    /* An entry may move into the hole unless its home lies cyclically between the two. */
    for (size_t i = (hole + 1) & table->mask; table->slots[i].entry; i = (i + 1) & table->mask) {
        size_t home = table->slots[i].hash & table->mask;
        if (((i - home) & table->mask) >= ((i - hole) & table->mask)) {
            table->slots[hole] = table->slots[i];
            hole = i;
        }
    }
    table->slots[hole].entry = NULL;
    table->count--;
}

void table_clear(struct table *table)
{
    free(table->slots);
    *table = (struct table){ 0 };
}
