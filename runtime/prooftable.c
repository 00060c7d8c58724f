/* Growing memory without malloc, whose locks a copied process must not need. See proofscan.h. */
#define _GNU_SOURCE
#include "proofscan.h"

#include <sys/mman.h>

#define FIRST_BYTES 65536u

bool proof_table_reserve(struct proof_table *table, size_t count, size_t item_bytes)
{
    size_t needed = table->count + count, capacity = table->capacity;
    if (needed <= capacity)
        return true;
    if (capacity == 0)
        capacity = FIRST_BYTES / item_bytes;
    while (capacity < needed)
        capacity *= 2;
    size_t bytes = capacity * item_bytes;
    void *items = table->items
                      ? mremap(table->items, table->capacity * item_bytes, bytes, MREMAP_MAYMOVE)
                      : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (items == MAP_FAILED)
        return false;
    table->items = items;
    table->capacity = capacity;
    return true;
}

void proof_table_free(struct proof_table *table, size_t item_bytes)
{
    if (table->items)
        munmap(table->items, table->capacity * item_bytes);
    *table = (struct proof_table){ 0 };
}
