#include "keyset.h"

#include "table.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void keyset_free(struct keyset *set)
{
    free(set->keys);
    free(set->slots);
    set->keys = NULL;
    set->slots = NULL;
    set->count = set->room = set->last = 0;
    set->slot_count = 0;
}

static uint64_t key_hash(const struct keyset *set, const uint8_t *key)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < set->size; i += sizeof hash) {
        uint64_t word;
        memcpy(&word, key + i, sizeof word);
        hash = table_mix(hash * 31 ^ word);
    }
    return hash;
}

static const uint8_t *key_at(const struct keyset *set, uint32_t number)
{
    return set->keys + (size_t)(number - 1) * set->size;
}

static bool key_equal(const struct keyset *set, const uint8_t *a, const uint8_t *b)
{
    uint64_t word_a, word_b, differ = 0;
    for (size_t i = 0; i < set->size; i += sizeof word_a) {
        memcpy(&word_a, a + i, sizeof word_a);
        memcpy(&word_b, b + i, sizeof word_b);
        differ |= word_a ^ word_b;
    }
    return differ == 0;
}

static uint32_t *slot_find(const struct keyset *set, uint32_t *slots, size_t slot_count, const uint8_t *key)
{
    size_t i = key_hash(set, key) & (slot_count - 1);
    while (slots[i] && !key_equal(set, key_at(set, slots[i]), key))
        i = (i + 1) & (slot_count - 1);
    return &slots[i];
}

static int set_grow(struct keyset *set)
{
    uint32_t room = set->room ? set->room * 2 : 64;
    size_t slot_count = (size_t)room * 2;
    uint32_t *slots = calloc(slot_count, sizeof *slots);
    uint8_t *keys = slots ? reallocarray(set->keys, room, set->size) : NULL;
    if (!keys) {
        free(slots);
        return -ENOMEM;
    }
    set->keys = keys;
    for (uint32_t number = 1; number <= set->count; number++)
        *slot_find(set, slots, slot_count, key_at(set, number)) = number;
    free(set->slots);
    set->slots = slots;
    set->slot_count = slot_count;
    set->room = room;
    return 0;
}

int64_t keyset_put(struct keyset *set, const void *key)
{
    if (set->last && key_equal(set, key_at(set, set->last), key))
        return set->last;
    uint32_t *slot = set->slots ? slot_find(set, set->slots, set->slot_count, key) : NULL;
    if (slot && *slot)
        return set->last = *slot;
    if (set->count >= set->max)
        return 0;
    if (set->count == set->room) {
        if (set_grow(set))
            return -ENOMEM;
        slot = slot_find(set, set->slots, set->slot_count, key);
    }
    memcpy(set->keys + (size_t)set->count * set->size, key, set->size);
    return set->last = *slot = ++set->count;
}

const void *keyset_get(const struct keyset *set, uint32_t number)
{
    return number > 0 && number <= set->count ? key_at(set, number) : NULL;
}
