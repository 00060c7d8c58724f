/* A frame is known by its function, file and line; where the line is not known, by its address. Of a stack only the
 * user's frames count: what the runtime did below them is told by the reason of the wait. */
#include "alike.h"

#include "trace/table.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct alike_stack {
    struct places *places;
    uint32_t stack;
};

struct alike {
    struct places *places;
    struct table table; /* of struct alike_stack, by the hash of their frames */
};

struct alike *alike_open(struct places *places)
{
    struct alike *alike = calloc(1, sizeof *alike);
    if (alike)
        alike->places = places;
    return alike;
}

void alike_close(struct alike *alike)
{
    if (!alike)
        return;
    for (size_t i = 0; alike->table.slots && i <= alike->table.mask; i++)
        free(alike->table.slots[i].entry);
    table_clear(&alike->table);
    free(alike);
}

static uint64_t text_hash(uint64_t hash, const char *text)
{
    for (; text && *text; text++)
        hash = table_mix(hash ^ (unsigned char)*text);
    return table_mix(hash);
}

static bool frame_has_line(const struct place_frame *frame)
{
    return frame->function && frame->file && frame->line > 0;
}

static bool frame_equal(const struct place_frame *a, const struct place_frame *b)
{
    if (!frame_has_line(a) || !frame_has_line(b))
        return a->address == b->address && frame_has_line(a) == frame_has_line(b);
    return a->line == b->line && strcmp(a->function, b->function) == 0 && strcmp(a->file, b->file) == 0;
}

static bool stack_equal(const void *entry, const void *key)
{
    const struct alike_stack *a = entry, *b = key;
    struct place_frame a_frames[PLACE_FRAMES_MAX], b_frames[PLACE_FRAMES_MAX];
    size_t count = place_frames(a->places, a->stack, a_frames);
    if (place_frames(b->places, b->stack, b_frames) != count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!frame_equal(&a_frames[i], &b_frames[i]))
            return false;
    return true;
}

static uint64_t stack_hash(struct places *places, uint32_t stack)
{
    struct place_frame frames[PLACE_FRAMES_MAX];
    size_t count = place_frames(places, stack, frames);
    uint64_t hash = count;
    for (size_t i = 0; i < count; i++) {
        if (frame_has_line(&frames[i]))
            hash = text_hash(text_hash(hash ^ (unsigned)frames[i].line, frames[i].function), frames[i].file);
        else
            hash = table_mix(hash ^ frames[i].address);
    }
    return table_mix(hash);
}

uint32_t alike_first(void *arg, uint32_t stack)
{
    struct alike *alike = arg;
    struct alike_stack key = { alike->places, stack };
    uint64_t hash = stack_hash(alike->places, stack);
    const struct alike_stack *first = table_find(&alike->table, hash, stack_equal, &key);
    if (first)
        return first->stack;
    struct alike_stack *entry = malloc(sizeof *entry);
    if (!entry)
        return stack;
    *entry = key;
    if (table_insert(&alike->table, hash, entry))
        free(entry);
    return stack;
}
