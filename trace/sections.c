/* See sections.h. The order of each section's numbers is the table in format.h. */
#define _GNU_SOURCE
#include "sections.h"

#include "leb.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

/* Reads one number that must not be over max. */
static const uint8_t *number_get(const uint8_t *p, const uint8_t *end, uint64_t max, uint64_t *value)
{
    p = leb_get(p, end, value);
    return p && *value <= max ? p : NULL;
}

int section_next(const uint8_t **p, const uint8_t *end, struct section *section)
{
    if (*p == end)
        return 0;
    section->kind = **p;
    uint64_t size;
    const uint8_t *bytes = leb_get(*p + 1, end, &size);
    if (!bytes || size > (uint64_t)(end - bytes))
        return -EPROTO;
    section->bytes = bytes;
    section->end = bytes + size;
    *p = section->end;
    return 1;
}

int section_clock(const struct section *section, struct writer_clock *clock)
{
    uint64_t words[3];
    if ((size_t)(section->end - section->bytes) < sizeof words)
        return -EPROTO;
    memcpy(words, section->bytes, sizeof words);
    clock->ticks = le64toh(words[0]);
    clock->monotonic_ns = (int64_t)le64toh(words[1]);
    clock->realtime_ns = (int64_t)le64toh(words[2]);
    return 0;
}

int section_events(const struct section *section, struct section_events *events)
{
    enum { RING, SEQUENCE, OFFSET, SIZE, BASE, CURRENT_G, CURRENT_SEQ, TID, LOST, COUNT, NUMBERS };
    static const uint64_t max[NUMBERS] = {
        [RING] = SECTION_RINGS_MAX - 1, [SEQUENCE] = UINT64_MAX,  [OFFSET] = UINT32_MAX,
        [SIZE] = UINT32_MAX,            [BASE] = UINT64_MAX,      [CURRENT_G] = UINT64_MAX,
        [CURRENT_SEQ] = UINT32_MAX,     [TID] = UINT32_MAX,       [LOST] = UINT64_MAX,
        [COUNT] = UINT32_MAX,
    };
    uint64_t number[NUMBERS];
    const uint8_t *p = section->bytes;
    for (int i = 0; i < NUMBERS; i++)
        if (!(p = number_get(p, section->end, max[i], &number[i])))
            return -EPROTO;
    events->part = (struct writer_events){
        .ring = (uint32_t)number[RING],
        .sequence = number[SEQUENCE],
        .offset = (uint32_t)number[OFFSET],
        .base_ticks = number[BASE],
        .current_g = number[CURRENT_G],
        .current_seq = (uint32_t)number[CURRENT_SEQ],
        .tid = (uint32_t)number[TID],
        .lost_before = number[LOST],
        .count = (uint32_t)number[COUNT],
        .size = (size_t)number[SIZE],
    };
    return columns_parse(&events->columns, p, section->end, events->part.count);
}

int section_module(const struct section *section, struct gmpt_module *module, const char **path, size_t *path_bytes)
{
    uint64_t id_bytes;
    const uint8_t *p = section->bytes, *end = section->end;
    memset(module, 0, sizeof *module);
    if (!(p = leb_get(p, end, &module->start)) || !(p = leb_get(p, end, &module->end)) ||
        !(p = leb_get(p, end, &module->bias)) || !(p = number_get(p, end, sizeof module->build_id, &id_bytes)) ||
        id_bytes > (uint64_t)(end - p) || module->start > module->end)
        return -EPROTO;
    module->build_id_bytes = (uint32_t)id_bytes;
    memcpy(module->build_id, p, id_bytes);
    *path = (const char *)p + id_bytes;
    *path_bytes = (size_t)(end - p) - id_bytes;
    return 0;
}

int section_end_parse(const struct section *section, struct section_end *end)
{
    uint64_t kind, code, rings;
    const uint8_t *p = section->bytes;
    if (!(p = number_get(p, section->end, FORMAT_EXIT_KIND_MAX, &kind)) ||
        !(p = number_get(p, section->end, UINT32_MAX, &code)) ||
        !(p = number_get(p, section->end, SECTION_RINGS_MAX, &rings)))
        return -EPROTO;
    end->exit_kind = (int)kind;
    end->exit_code = (int)(uint32_t)code;
    end->ring_count = (uint32_t)rings;
    for (uint64_t i = 0; i < rings; i++) {
        struct writer_ring_end *ring = &end->rings[i];
        if (!(p = leb_get(p, section->end, &ring->emitted)) || !(p = leb_get(p, section->end, &ring->lost)) ||
            !(p = leb_get(p, section->end, &ring->stacks_lost)))
            return -EPROTO;
    }
    return 0;
}

int section_stacks_begin(const struct section *section, struct section_stacks *stacks)
{
    uint64_t ring, ordinal;
    const uint8_t *p = section->bytes;
    if (!(p = number_get(p, section->end, SECTION_RINGS_MAX - 1, &ring)) ||
        !(p = number_get(p, section->end, UINT32_MAX, &ordinal)) || ordinal == 0)
        return -EPROTO;
    *stacks = (struct section_stacks){ (uint32_t)ring, (uint32_t)ordinal, p, section->end };
    return 0;
}

int section_stacks_next(struct section_stacks *stacks, uint64_t pc[SECTION_STACK_MAX], uint32_t *count)
{
    uint64_t depth;
    if (stacks->p == stacks->end)
        return 0;
    const uint8_t *p = number_get(stacks->p, stacks->end, SECTION_STACK_MAX, &depth);
    if (!p || stacks->ordinal == UINT32_MAX)
        return -EPROTO;
    for (uint64_t i = 0; i < depth; i++)
        if (!(p = leb_get(p, stacks->end, &pc[i])))
            return -EPROTO;
    stacks->p = p;
    stacks->ordinal++;
    *count = (uint32_t)depth;
    return 1;
}

int section_dictionary_begin(const struct section *section, struct section_dictionary *dictionary)
{
    uint64_t number;
    const uint8_t *p = number_get(section->bytes, section->end, UINT32_MAX, &number);
    if (!p || number == 0)
        return -EPROTO;
    *dictionary = (struct section_dictionary){ (uint32_t)number, p, section->end };
    return 0;
}

int section_dictionary_next(struct section_dictionary *dictionary, struct section_name *name)
{
    uint64_t kind, count, key, value;
    const uint8_t *p = dictionary->p, *end = dictionary->end;
    if (p == end)
        return 0;
    if (!(p = number_get(p, end, DICTIONARY_LABELS, &kind)) || !(p = number_get(p, end, UINT32_MAX, &count)) ||
        dictionary_content_words(kind << 32 | count) == 0 || dictionary->number == UINT32_MAX)
        return -EPROTO;
    *name = (struct section_name){ dictionary->number, (enum dictionary_kind)kind, (uint32_t)count, p, { 0 } };
    if (kind == DICTIONARY_STRING) {
        if (count > (uint64_t)(end - p))
            return -EPROTO;
        p += count;
    } else {
        for (uint64_t i = 0; i < count; i++) {
            if (!(p = number_get(p, end, UINT32_MAX, &key)) || !(p = number_get(p, end, UINT32_MAX, &value)))
                return -EPROTO;
            name->pairs[i] = key << 32 | value;
        }
    }
    dictionary->p = p;
    dictionary->number++;
    return 1;
}

const char *section_info(const struct section *section, const char *key, size_t *length)
{
    size_t key_bytes = strlen(key);
    const char *p = (const char *)section->bytes, *end = (const char *)section->end;
    while (p < end) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        const char *line_end = newline ? newline : end;
        if ((size_t)(line_end - p) > key_bytes && memcmp(p, key, key_bytes) == 0 && p[key_bytes] == ' ') {
            *length = (size_t)(line_end - p) - key_bytes - 1;
            return p + key_bytes + 1;
        }
        p = newline ? newline + 1 : end;
    }
    return NULL;
}

int64_t section_info_number(const struct section *section, const char *key)
{
    size_t length;
    const char *digits = section_info(section, key, &length);
    if (!digits || length == 0 || length > 10)
        return -1;
    int64_t value = 0;
    for (size_t i = 0; i < length; i++) {
        if (digits[i] < '0' || digits[i] > '9')
            return -1;
        value = value * 10 + (digits[i] - '0');
    }
    return value;
}

const char *section_clock_name(int clock) { return clock == SEGMENT_CLOCK_MONOTONIC ? "monotonic" : "tsc"; }
