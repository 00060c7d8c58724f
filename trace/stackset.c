/* See stackset.h. Addresses lie in blocks that never move, since what stackset_get returns points into them. */
#include "stackset.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_WORDS 8192u
#define ENTRY_WORDS ((sizeof(struct stackset_entry) + 7) / 8)

struct stackset_entry {
    uint32_t index, count;
    uint64_t pc[];
};

struct stackset_block {
    struct stackset_block *next;
    size_t used;
    uint64_t words[BLOCK_WORDS];
};
_Static_assert(SECTION_STACK_MAX + ENTRY_WORDS <= BLOCK_WORDS, "a stack must fit into a block");

struct stack_key {
    const uint64_t *pc;
    uint32_t count;
};

static bool entry_equals(const void *entry, const void *key)
{
    const struct stackset_entry *own = entry;
    const struct stack_key *other = key;
    return own->count == other->count && memcmp(own->pc, other->pc, own->count * sizeof *own->pc) == 0;
}

static uint64_t stack_hash(const uint64_t *pc, uint32_t count)
{
    uint64_t hash = count;
    for (uint32_t i = 0; i < count; i++)
        hash = table_mix(hash ^ pc[i]);
    return hash;
}

static struct stackset_entry *entry_new(struct stackset *set, uint32_t count)
{
    size_t words = ENTRY_WORDS + count;
    if (!set->blocks || set->blocks->used + words > BLOCK_WORDS) {
        struct stackset_block *block = malloc(sizeof *block);
        if (!block)
            return NULL;
        block->used = 0;
        block->next = set->blocks;
        set->blocks = block;
    }
    struct stackset_entry *entry = (void *)(set->blocks->words + set->blocks->used);
    set->blocks->used += words;
    set->words += words;
    return entry;
}

int stackset_intern(struct stackset *set, const uint64_t *pc, uint32_t count, uint32_t *index)
{
    uint64_t hash = stack_hash(pc, count);
    struct stack_key key = { pc, count };
    struct stackset_entry *entry = table_find(&set->table, hash, entry_equals, &key);
    if (entry) {
        *index = entry->index;
        return 0;
    }
    *index = 0;
    if (set->count == STACKSET_STACKS_MAX || set->words + count > STACKSET_WORDS_MAX) {
        set->refused++;
        return 0;
    }
    if (set->count == set->room) {
        uint32_t room = set->room ? set->room * 2 : 256;
        struct stackset_entry **entries = realloc(set->entries, room * sizeof *entries);
        if (!entries)
            return -ENOMEM;
        set->entries = entries;
        set->room = room;
    }
    entry = entry_new(set, count);
    if (!entry || table_insert(&set->table, hash, entry))
        return -ENOMEM;
    entry->index = set->count + 1;
    entry->count = count;
    memcpy(entry->pc, pc, count * sizeof *pc);
    set->entries[set->count++] = entry;
    *index = entry->index;
    return 0;
}

int stackset_add(struct stackset *set, uint32_t ring, uint32_t ordinal, const uint64_t *pc, uint32_t count)
{
    if (set->ordinals == STACKSET_ORDINALS_MAX) {
        set->refused++;
        return 0;
    }
    struct stackset_run *run = set->runs[ring];
    if (!run || ordinal != run->first + run->count) {
        uint32_t number = run ? run->number + 1 : 0;
        if (number == STACKSET_RUNS_MAX) {
            set->refused++;
            return 0;
        }
        if (!(run = calloc(1, sizeof *run)))
            return -ENOMEM;
        run->first = ordinal;
        run->number = number;
        run->older = set->runs[ring];
        set->runs[ring] = run;
    }
    if (run->count == run->room) {
        uint32_t room = run->room ? run->room * 2 : 16;
        uint32_t *index = realloc(run->index, room * sizeof *index);
        if (!index)
            return -ENOMEM;
        run->index = index;
        run->room = room;
    }
    int result = stackset_intern(set, pc, count, &run->index[run->count]);
    if (result == 0) {
        run->count++;
        set->ordinals++;
    }
    return result;
}

struct gmpt_stack stackset_get(const struct stackset *set, uint32_t index)
{
    struct gmpt_stack stack = { 0, NULL };
    if (index > 0 && index <= set->count) {
        stack.count = set->entries[index - 1]->count;
        stack.pc = set->entries[index - 1]->pc;
    }
    return stack;
}

void stackset_clear(struct stackset *set)
{
    for (uint32_t ring = 0; ring < SECTION_RINGS_MAX; ring++) {
        for (struct stackset_run *run; (run = set->runs[ring]);) {
            set->runs[ring] = run->older;
            free(run->index);
            free(run);
        }
    }
    for (struct stackset_block *block; (block = set->blocks);) {
        set->blocks = block->next;
        free(block);
    }
    free(set->entries);
    table_clear(&set->table);
    memset(set, 0, sizeof *set);
}

uint32_t stackset_index_anywhere(const struct stackset *set, uint32_t ring, uint64_t ordinal)
{
    if (ordinal >> 32) {
        if ((ordinal >> 32) > SECTION_RINGS_MAX)
            return 0;
        ring = (uint32_t)(ordinal >> 32) - 1;
        ordinal = (uint32_t)ordinal;
    }
    for (const struct stackset_run *run = set->runs[ring]; run; run = run->older)
        if (ordinal >= run->first && ordinal - run->first < run->count)
            return run->index[ordinal - run->first];
    return 0;
}
