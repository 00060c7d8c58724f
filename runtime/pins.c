/* gmpt_leak_pin, gmpt_leak_unpin and gmpt_leak_ignore: two tables of words. See pins.h. */
#include "pins.h"

#include "enter.h"
#include "memorymap.h"

#include <gmptrace/leak.h>

#include <string.h>

static struct lock lock;
static struct proof_table pinned, ignored; /* uint64_t */

static int add(struct proof_table *table, const void *word)
{
    API_ENTER();
    lock_acquire(&lock);
    bool room = proof_table_reserve(table, 1, sizeof(uint64_t));
    if (room)
        ((uint64_t *)table->items)[table->count++] = (uint64_t)(uintptr_t)word;
    lock_release(&lock);
    return room ? 0 : -ENOMEM;
}

int gmpt_leak_pin(const void *pointer) { return add(&pinned, pointer); }

int gmpt_leak_ignore(const void *site) { return add(&ignored, site); }

int gmpt_leak_unpin(const void *pointer)
{
    API_ENTER();
    lock_acquire(&lock);
    uint64_t *words = pinned.items;
    size_t i = 0;
    while (i < pinned.count && words[i] != (uint64_t)(uintptr_t)pointer)
        i++;
    bool found = i < pinned.count;
    if (found)
        words[i] = words[--pinned.count];
    lock_release(&lock);
    return found ? 0 : -ENOENT;
}

static bool append(struct proof_table *to, const struct proof_table *from)
{
    if (!from->count)
        return true;
    if (!proof_table_reserve(to, from->count, sizeof(uint64_t)))
        return false;
    memcpy((uint64_t *)to->items + to->count, from->items, from->count * sizeof(uint64_t));
    to->count += from->count;
    return true;
}

/* What was unpinned may lie there still. */
static bool hide(struct proof_input *input, const struct proof_table *table)
{
    uint64_t start = (uint64_t)(uintptr_t)table->items;
    return !start || memory_map_hide(input, start, start + table->capacity * sizeof(uint64_t)) == 0;
}

int pins_add(struct proof_input *input)
{
    return append(&input->values, &pinned) && append(&input->ignored, &ignored) && hide(input, &pinned) ? 0 : -ENOMEM;
}
