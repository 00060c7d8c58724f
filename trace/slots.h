/* What a section keeps for each G that lives: an array by the G's slot (intervals.h), which is used again by later Gs.
 * A record starts with the id of the G that it is about, so one of a G before is known, and zeroed. */
#ifndef GMPT_SLOTS_H
#define GMPT_SLOTS_H

#include "intervals.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Zero-initialised but for record_bytes is empty. */
struct slots {
    size_t record_bytes; /* the record's first member is a uint64_t for the id */
    uint32_t room;
    char *records;
};

/* Out of the way: it is called once in a doubling. Returns false when memory is short. */
bool slots_grow(struct slots *slots, uint32_t slot);

/* Moves when the array grows: valid until the next slots_of. NULL when memory is short. */
static inline void *slots_of(struct slots *slots, const struct interval_g *g)
{
    if (g->slot >= slots->room && !slots_grow(slots, g->slot))
        return NULL;
    char *record = slots->records + (size_t)g->slot * slots->record_bytes;
    if (*(uint64_t *)record != g->id) {
        memset(record, 0, slots->record_bytes);
        *(uint64_t *)record = g->id;
    }
    return record;
}

static inline void slots_clear(struct slots *slots)
{
    free(slots->records);
    slots->records = NULL;
    slots->room = 0;
}

#endif
