/* Keys lie one after the other in one block, so a million of them cost no million allocations. */
#define _GNU_SOURCE
#include "intern.h"

#include "trace/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct intern_key {
    size_t offset, size;
    uint64_t hash;
};

static uint64_t key_hash(const uint8_t *key, size_t size)
{
    uint64_t hash = size, word;
    for (; size >= sizeof word; key += sizeof word, size -= sizeof word) {
        memcpy(&word, key, sizeof word);
        hash = table_mix(hash * 31 ^ word);
    }
    for (; size; size--)
        hash = table_mix(hash * 31 ^ *key++);
    return hash;
}

static size_t slot_find(const struct intern *intern, uint64_t hash, const void *key, size_t size)
{
    size_t slot = hash & (intern->slot_count - 1);
    for (; intern->slots[slot]; slot = (slot + 1) & (intern->slot_count - 1)) {
        const struct intern_key *other = &intern->keys[intern->slots[slot] - 1];
        if (other->hash == hash && other->size == size && memcmp(intern->bytes + other->offset, key, size) == 0)
            break;
    }
    return slot;
}

static int slots_grow(struct intern *intern)
{
    size_t slot_count = intern->slot_count ? intern->slot_count * 2 : 64;
    uint32_t *slots = calloc(slot_count, sizeof slots[0]);
    if (!slots)
        return -ENOMEM;
    for (size_t i = 0; i < intern->count; i++) {
        size_t slot = intern->keys[i].hash & (slot_count - 1);
        while (slots[slot])
            slot = (slot + 1) & (slot_count - 1);
        slots[slot] = (uint32_t)i + 1;
    }
    free(intern->slots);
    intern->slots = slots;
    intern->slot_count = slot_count;
    return 0;
}

static int room_make(struct intern *intern, size_t size)
{
    if (intern->count == intern->room) {
        size_t room = intern->room ? intern->room * 2 : 64;
        struct intern_key *keys = reallocarray(intern->keys, room, sizeof keys[0]);
        if (!keys)
            return -ENOMEM;
        intern->keys = keys;
        intern->room = room;
    }
    if (intern->bytes_room - intern->bytes_used < size) {
        size_t room = intern->bytes_room ? intern->bytes_room : 4096;
        while (room - intern->bytes_used < size)
            room *= 2;
        uint8_t *bytes = realloc(intern->bytes, room);
        if (!bytes)
            return -ENOMEM;
        intern->bytes = bytes;
        intern->bytes_room = room;
    }
    return 0;
}

int64_t intern_put(struct intern *intern, const void *key, size_t size)
{
    if ((intern->count + 1) * 2 > intern->slot_count && slots_grow(intern))
        return -ENOMEM;
    uint64_t hash = key_hash(key, size);
    size_t slot = slot_find(intern, hash, key, size);
    if (intern->slots[slot])
        return intern->slots[slot] - 1;
    size_t padded = (size + 7) & ~(size_t)7;
    if (intern->count >= UINT32_MAX - 1 || room_make(intern, padded))
        return -ENOMEM;
    if (size)
        memcpy(intern->bytes + intern->bytes_used, key, size);
    intern->keys[intern->count] = (struct intern_key){ .offset = intern->bytes_used, .size = size, .hash = hash };
    intern->bytes_used += padded;
    intern->slots[slot] = (uint32_t)++intern->count;
    return (int64_t)intern->count - 1;
}

const void *intern_get(const struct intern *intern, size_t number, size_t *size)
{
    if (size)
        *size = intern->keys[number].size;
    return intern->bytes + intern->keys[number].offset;
}

void intern_free(struct intern *intern)
{
    free(intern->bytes);
    free(intern->keys);
    free(intern->slots);
    memset(intern, 0, sizeof *intern);
}
