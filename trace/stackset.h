/* The distinct stacks of a trace. Each ring of a file numbers its stacks by itself; here equal ones become one, with an
 * index that is valid for the whole trace. */
#ifndef GMPT_STACKSET_H
#define GMPT_STACKSET_H

#include "sections.h"
#include "table.h"

#include <gmptrace/trace.h>

#include <stddef.h>
#include <stdint.h>

#define STACKSET_STACKS_MAX (4u << 20)    /* distinct ones; further ones have index 0 */
#define STACKSET_WORDS_MAX (64u << 20)    /* addresses in them */
#define STACKSET_ORDINALS_MAX (16u << 20) /* of all rings */
#define STACKSET_RUNS_MAX 256             /* of a ring; looking an ordinal up walks them */

struct stackset_block;

/* Ordinals [first, first + count) of a ring. A ring has one run, and one more for each hole in its numbering. */
struct stackset_run {
    uint32_t first, count, room;
    uint32_t number; /* of older ones */
    uint32_t *index;
    struct stackset_run *older;
};

/* Zero-initialised is empty. */
struct stackset {
    struct table table;              /* hash of content -> struct stackset_entry */
    struct stackset_entry **entries; /* by index - 1 */
    uint32_t count, room;
    size_t words, ordinals;
    uint64_t refused; /* stacks over one of the limits */
    struct stackset_block *blocks;
    struct stackset_run *runs[SECTION_RINGS_MAX]; /* newest first */
};

void stackset_clear(struct stackset *set);
/* Enters a stack of a ring under its ordinal. Returns 0 or -ENOMEM. */
int stackset_add(struct stackset *set, uint32_t ring, uint32_t ordinal, const uint64_t *pc, uint32_t count);
/* The index of the stack with this content, which is entered if it is new and becomes the last; 0 when there are too
 * many. Returns 0 or -ENOMEM. */
int stackset_intern(struct stackset *set, const uint64_t *pc, uint32_t count, uint32_t *index);
struct gmpt_stack stackset_get(const struct stackset *set, uint32_t index);

uint32_t stackset_index_anywhere(const struct stackset *set, uint32_t ring, uint64_t ordinal);

/* The index of a ring's stack, or of another ring's (see events.def), or 0 when it is not known. Mostly it is in the
 * ring's newest run, whose ordinals have 32 bits, so that none of another ring's lies between them. */
static inline uint32_t stackset_index(const struct stackset *set, uint32_t ring, uint64_t ordinal)
{
    const struct stackset_run *run = set->runs[ring];
    if (ordinal == 0)
        return 0;
    if (run && ordinal - run->first < run->count)
        return run->index[ordinal - run->first];
    return stackset_index_anywhere(set, ring, ordinal);
}

#endif
