/* Where chunks of memory begin and how long they are, for a whole address space: noted by those who get and give them
 * back, without locks or read-modify-writes, and found from any address inside.
 *
 * Memory is seen in granules of 16 bytes, and each granule has a byte in `starts`. A chunk of n granules owns the
 * bytes of its granules, as it owns the memory: nobody else touches them between its being noted and struck off. So
 * plain stores are enough, where a bit for each granule would need an atomic operation on the word that it shares.
 *
 *     granules   |    chunk of 3     | not in use  |           chunk of 200 granules                |
 *     starts       3     0     0       0     0       127  0x80|200%128  0x80|1  0x80 ..  0    0  ..
 *
 *     0          no chunk begins here
 *     1 .. 126   one of so many granules
 *     127        a longer one: 7 bytes follow with 7 bits of its length each, the lowest first
 *     128 ..     such bytes
 *
 * So whoever looks for the chunk of an address goes back from there to the first byte of 1 to 127, and sees whether
 * that chunk reaches far enough. It need not go back far: `blocks` has a byte for each 64 granules and `spans` one for
 * each 64 blocks, 0 when nothing begins there. Others than the owner write to these, but always 1, and a chunk that
 * covers a whole span sets it and its blocks to 0, while nobody else has memory there. They stay 1 when a chunk is
 * struck off: a 1 promises nothing, and costs who looks a few words more.
 *
 * The arrays of a gigabyte of addresses are a leaf, made when the first chunk is noted there and never unmade. The
 * kernel gives memory to those of their pages that are used: a sixteenth of the heap, and little more.
 *
 * | word     | writers              | readers            | order             | why that is enough                   |
 * |----------|----------------------|--------------------|-------------------|--------------------------------------|
 * | roots[]  | who needs the leaf:  | all                | cas_acq_rel,      | A: the leaf is empty memory by then; |
 * |          | once, from NULL      |                    | load_acquire      | a loser takes the winner's           |
 * | made_last| who made a leaf      | who lists them     | cas_acq_rel,      | F: made_before is set by then        |
 * |          |                      |                    | load_acquire      |                                      |
 * | starts[] | owner of the chunk   | owner              | relaxed           | B: the allocator hands memory from   |
 * |          |                      |                    |                   | one thread to the next, with it this |
 * | starts[] | owner of the chunk   | who looks          | relaxed           | C: it looks at a fork, or at threads |
 * |          |                      |                    |                   | that stand; else it sees the past    |
 * | spans[], | who notes in it: 1   | who notes or looks | blocks by release | D: a block's 1 that is seen says     |
 * | blocks[] | who owns all of it: 0|                    | and acquire       | that its span's was set before       |
 * | longest  | who notes, up only   | who looks          | cas_acq_rel       | E: before the chunk itself           |
 *
 * The chunk's owner writes D and E before `starts`, so whoever sees it in `starts` of a memory that stands still finds
 * it. Rejected: a hash table (a lock or a compare-and-swap for each operation, no interior pointers); sizes from
 * malloc_usable_size (its word lies before the chunk, another miss for each look, and is the allocator's secret); a
 * bit for each granule (an eighth of the memory, but two locked operations a pair). */
#ifndef GMPT_HEAP_MAP_H
#define GMPT_HEAP_MAP_H

#include "heap_registry.h"

#include "trace/atomics.h"

#include <stddef.h>

#define HEAP_GRANULE_BYTES 16u
#define HEAP_GRANULE_SHIFT 4
#define HEAP_ADDRESS_BITS 48
#define HEAP_LEAF_GRANULES (UINT32_C(1) << 26)
#define HEAP_LEAF_SHIFT 26
#define HEAP_ROOTS (UINT32_C(1) << (HEAP_ADDRESS_BITS - HEAP_GRANULE_SHIFT - HEAP_LEAF_SHIFT))
#define HEAP_BLOCK_GRANULES 64u
#define HEAP_SPAN_GRANULES (64u * HEAP_BLOCK_GRANULES)
#define HEAP_SHORT_GRANULES_MAX 126u
#define HEAP_LONG 127u

/* Each array has whole pages. */
struct heap_leaf {
    ATOMIC(uint8_t) starts[HEAP_LEAF_GRANULES + 4096]; /* some more for the length of a chunk that begins at the end */
    ATOMIC(uint8_t) blocks[HEAP_LEAF_GRANULES / HEAP_BLOCK_GRANULES];
    ATOMIC(uint8_t) spans[HEAP_LEAF_GRANULES / HEAP_SPAN_GRANULES];
    uint64_t marks[HEAP_LEAF_GRANULES / 64]; /* of who walks through chunks, a bit for each granule */
    struct heap_leaf *made_before;           /* another leaf, or NULL */
};

struct heap_map {
    ATOMIC(struct heap_leaf *) roots[HEAP_ROOTS];
    ATOMIC(struct heap_leaf *) made_last; /* all leaves, as a list */
    ATOMIC(uint64_t) longest; /* granules of the longest chunk that there ever was */
    ATOMIC(uint8_t) broken;   /* a chunk could not be noted */
};

/* Those that are no granule's have a number beyond all roots: the bits that are too many come to the top. */
static inline uint64_t heap_granule_of(const void *start)
{
    uint64_t address = (uintptr_t)start;
    return address >> HEAP_GRANULE_SHIFT | address << (64 - HEAP_GRANULE_SHIFT);
}

/* The same as heap_map_note, for what is rare. NULL is allowed. */
void *heap_map_note_rare(struct heap_map *map, void *start, size_t bytes);

/* A chunk of so many bytes, at least 1, is the caller's from now on. Returns start. */
static inline void *heap_map_note(struct heap_map *map, void *start, size_t bytes)
{
    uint64_t granule = heap_granule_of(start), root = granule >> HEAP_LEAF_SHIFT;
    uint64_t granules = (bytes + (HEAP_GRANULE_BYTES - 1)) / HEAP_GRANULE_BYTES;
    struct heap_leaf *leaf = __builtin_expect(root < HEAP_ROOTS, 1) ? load_acquire(&map->roots[root]) : NULL; /* A */
    uint32_t at = granule & (HEAP_LEAF_GRANULES - 1);
    if (__builtin_expect(!leaf || granules > HEAP_SHORT_GRANULES_MAX, 0) ||
        __builtin_expect(!load_acquire(&leaf->blocks[at / HEAP_BLOCK_GRANULES]), 0)) /* D */
        return heap_map_note_rare(map, start, bytes);
    store_relaxed(&leaf->starts[at], (uint8_t)granules); /* B, C */
    return start;
}

uint64_t heap_map_strike_long(struct heap_leaf *leaf, uint32_t at);

/* The chunk is about to be given back. Returns its granules, 0 when it was not noted. */
static inline uint64_t heap_map_strike(struct heap_map *map, const void *start)
{
    uint64_t granule = heap_granule_of(start);
    if (__builtin_expect(granule >> HEAP_LEAF_SHIFT >= HEAP_ROOTS, 0))
        return 0;
    struct heap_leaf *leaf = load_acquire(&map->roots[granule >> HEAP_LEAF_SHIFT]); /* A */
    if (__builtin_expect(!leaf, 0))
        return 0;
    uint32_t at = granule & (HEAP_LEAF_GRANULES - 1);
    uint8_t code = load_relaxed(&leaf->starts[at]); /* B */
    if (__builtin_expect(code >= HEAP_LONG, 0))
        return heap_map_strike_long(leaf, at);
    store_relaxed(&leaf->starts[at], 0); /* B, C */
    return code;
}

/* What struct gmpt_heap_registry tells of, in one map. */
bool heap_map_find(const struct heap_map *map, uint64_t address, struct heap_range *chunk);
bool heap_map_next(const struct heap_map *map, uint64_t *cursor, struct heap_range *chunk);
bool heap_map_mark(struct heap_map *map, uint64_t start);
bool heap_map_is_marked(const struct heap_map *map, uint64_t start);
void heap_map_marks_clear(struct heap_map *map);

/* Gives back all leaves; nobody else uses the map. */
void heap_map_free(struct heap_map *map);

#endif
