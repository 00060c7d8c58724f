/* See captions.h. Stacks are found by their index, functions by a table with the last one beside it. */
#include "captions.h"

#include "cli.h"

#include "trace/table.h"

#include <stdlib.h>
#include <string.h>

#define FUNCTION_COLUMNS 120

struct function_caption {
    uint64_t fn;
    char text[];
};

struct captions {
    const struct gmpt_trace *trace;
    struct places *places;
    char **stacks; /* by index; NULL where not made yet */
    size_t stack_room;
    struct table functions;
    struct function_caption *last, *loose; /* loose: the one that found no room in the table */
};

struct captions *captions_open(const struct gmpt_trace *trace, struct places *places)
{
    struct captions *captions = calloc(1, sizeof *captions);
    if (!captions)
        return NULL;
    captions->trace = trace;
    captions->places = places;
    return captions;
}

void captions_close(struct captions *captions)
{
    if (!captions)
        return;
    for (size_t i = 0; i < captions->stack_room; i++)
        free(captions->stacks[i]);
    for (size_t i = 0; captions->functions.slots && i <= captions->functions.mask; i++)
        free(captions->functions.slots[i].entry);
    table_clear(&captions->functions);
    free(captions->stacks);
    free(captions->loose);
    free(captions);
}

static int stacks_grow(struct captions *captions, uint32_t stack)
{
    size_t room = captions->stack_room ? captions->stack_room * 2 : 256;
    while (room <= stack)
        room *= 2;
    char **stacks = realloc(captions->stacks, room * sizeof *stacks);
    if (!stacks)
        return -1;
    memset(stacks + captions->stack_room, 0, (room - captions->stack_room) * sizeof *stacks);
    captions->stacks = stacks;
    captions->stack_room = room;
    return 0;
}

const char *captions_stack(struct captions *captions, uint32_t stack)
{
    if (stack > gmpt_trace_stack_count(captions->trace))
        return "?";
    if (stack >= captions->stack_room && stacks_grow(captions, stack))
        return NULL;
    if (!captions->stacks[stack]) {
        struct place_frame frames[PLACE_FRAMES_MAX];
        char text[PLACE_TEXT_BYTES] = "?", clean[PLACE_TEXT_BYTES];
        if (place_frames(captions->places, stack, frames))
            place_of_call(captions->places, text, &frames[0]);
        captions->stacks[stack] = strdup(cli_text(clean, sizeof clean, text, PLACE_TEXT_BYTES / 4));
    }
    return captions->stacks[stack];
}

const char *captions_code(struct captions *captions, uint32_t stack)
{
    place_code(captions->places, stack);
    return captions_stack(captions, stack);
}

const char *captions_function(struct captions *captions, uint64_t fn)
{
    if (captions->last && captions->last->fn == fn)
        return captions->last->text;
    struct function_caption *caption = table_find(&captions->functions, table_mix(fn), NULL, NULL);
    if (!caption) {
        char text[PLACE_TEXT_BYTES], clean[PLACE_TEXT_BYTES];
        cli_text(clean, sizeof clean, place_function(captions->places, text, fn), FUNCTION_COLUMNS);
        size_t size = strlen(clean) + 1;
        caption = malloc(sizeof *caption + size);
        if (!caption)
            return NULL;
        caption->fn = fn;
        memcpy(caption->text, clean, size);
        if (captions->functions.count >= CAPTIONS_FUNCTIONS_MAX ||
            table_insert(&captions->functions, table_mix(fn), caption)) {
            free(captions->loose);
            captions->loose = caption;
        }
    }
    captions->last = caption;
    return caption->text;
}
