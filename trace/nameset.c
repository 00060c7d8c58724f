/* See nameset.h. */
#include "nameset.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct nameset_entry {
    enum dictionary_kind kind;
    uint32_t count;     /* bytes or pairs */
    uint64_t content[]; /* the pairs, or the bytes and a 0 */
};

void nameset_clear(struct nameset *set)
{
    for (uint32_t i = 0; i < set->room; i++)
        free(set->entries[i]);
    free(set->entries);
    memset(set, 0, sizeof *set);
}

int nameset_add(struct nameset *set, const struct section_name *name)
{
    size_t bytes = name->kind == DICTIONARY_LABELS ? name->count * sizeof name->pairs[0] : (size_t)name->count + 1;
    if (name->number > NAMESET_ENTRIES_MAX || set->bytes + bytes > NAMESET_BYTES_MAX) {
        set->refused++;
        return 0;
    }
    if (name->number > set->room) {
        uint32_t room = set->room ? set->room : 64;
        while (room < name->number)
            room *= 2;
        struct nameset_entry **entries = realloc(set->entries, room * sizeof *entries);
        if (!entries)
            return -ENOMEM;
        memset(entries + set->room, 0, (room - set->room) * sizeof *entries);
        set->entries = entries;
        set->room = room;
    }
    if (set->entries[name->number - 1])
        return 0;
    struct nameset_entry *entry = malloc(sizeof *entry + bytes);
    if (!entry)
        return -ENOMEM;
    entry->kind = name->kind;
    entry->count = name->count;
    if (name->kind == DICTIONARY_LABELS) {
        memcpy(entry->content, name->pairs, bytes);
    } else {
        memcpy(entry->content, name->bytes, name->count);
        ((char *)entry->content)[name->count] = 0;
    }
    set->entries[name->number - 1] = entry;
    set->bytes += bytes;
    return 0;
}

static const struct nameset_entry *entry_get(const struct nameset *set, uint64_t number, enum dictionary_kind kind)
{
    if (number == 0 || number > set->room)
        return NULL;
    const struct nameset_entry *entry = set->entries[number - 1];
    return entry && entry->kind == kind ? entry : NULL;
}

const char *nameset_string(const struct nameset *set, uint64_t number)
{
    const struct nameset_entry *entry = entry_get(set, number, DICTIONARY_STRING);
    return entry ? (const char *)entry->content : "";
}

uint32_t nameset_label_count(const struct nameset *set, uint64_t number)
{
    const struct nameset_entry *entry = entry_get(set, number, DICTIONARY_LABELS);
    return entry ? entry->count : 0;
}

struct gmpt_trace_label nameset_label(const struct nameset *set, uint64_t number, uint32_t index)
{
    if (index >= nameset_label_count(set, number))
        return (struct gmpt_trace_label){ "", "" };
    uint64_t pair = set->entries[number - 1]->content[index];
    return (struct gmpt_trace_label){ nameset_string(set, pair >> 32), nameset_string(set, (uint32_t)pair) };
}
