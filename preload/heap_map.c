/* Looking for chunks, and the rare cases of noting them. See heap_map.h. */
#define _GNU_SOURCE
#include "heap_map.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define LENGTH_BYTES 7 /* behind HEAP_LONG */
#define SPAN_BLOCKS (HEAP_SPAN_GRANULES / HEAP_BLOCK_GRANULES)
#define LEAF_SPANS (HEAP_LEAF_GRANULES / HEAP_SPAN_GRANULES)
#define CLEARED_GRANULES (2 * HEAP_SPAN_GRANULES) /* a chunk of this length covers a whole span */

/* ---- Noting ------------------------------------------------------------------------------------------------------ */

static struct heap_leaf *leaf_make(struct heap_map *map, uint64_t granule)
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, error = errno; /* which is the program's */
    struct heap_leaf *leaf = mmap(NULL, sizeof *leaf, PROT_READ | PROT_WRITE, flags, -1, 0), *there = NULL;
    if (leaf == MAP_FAILED) {
        store_relaxed(&map->broken, 1);
        errno = error;
        return NULL;
    }
    madvise(leaf, sizeof *leaf, MADV_NOHUGEPAGE); /* which would give memory to all of it */
    madvise(leaf, sizeof *leaf, MADV_DONTDUMP);
    errno = error;
    if (!cas_acq_rel(&map->roots[granule >> HEAP_LEAF_SHIFT], &there, leaf)) { /* A */
        munmap(leaf, sizeof *leaf);
        return there;
    }
    leaf->made_before = load_relaxed(&map->made_last);
    while (!cas_acq_rel(&map->made_last, &leaf->made_before, leaf)) /* F */
        ;
    return leaf;
}

/* The spans inside a chunk have no other chunk, whatever they had. */
static void inside_clear(struct heap_map *map, uint64_t granule, uint64_t granules)
{
    uint64_t span = granule / HEAP_SPAN_GRANULES + 1, end = (granule + granules) / HEAP_SPAN_GRANULES;
    while (span < end) {
        uint64_t root = span / LEAF_SPANS, leaf_end = (root + 1) * LEAF_SPANS, stop = leaf_end < end ? leaf_end : end;
        struct heap_leaf *leaf = root < HEAP_ROOTS ? load_acquire(&map->roots[root]) : NULL; /* A */
        for (; leaf && span < stop; span++) {
            uint32_t at = span % LEAF_SPANS;
            if (!load_relaxed(&leaf->spans[at]))
                continue;
            for (uint32_t i = 0; i < SPAN_BLOCKS; i++)
                store_relaxed(&leaf->blocks[at * SPAN_BLOCKS + i], 0); /* D */
            store_relaxed(&leaf->spans[at], 0);                        /* D */
        }
        span = stop;
    }
}

static void long_note(struct heap_map *map, struct heap_leaf *leaf, uint64_t granule, uint64_t granules)
{
    uint64_t longest = load_relaxed(&map->longest);
    while (longest < granules && !cas_acq_rel(&map->longest, &longest, granules)) /* E */
        ;
    if (granules >= CLEARED_GRANULES)
        inside_clear(map, granule, granules);
    ATOMIC(uint8_t) *starts = &leaf->starts[granule & (HEAP_LEAF_GRANULES - 1)];
    for (int i = 1; i <= LENGTH_BYTES; i++, granules >>= 7)
        store_relaxed(&starts[i], (uint8_t)(0x80 | (granules & 0x7f)));
    store_relaxed(&starts[0], HEAP_LONG); /* B, C */
}

void *heap_map_note_rare(struct heap_map *map, void *start, size_t bytes)
{
    uint64_t granule = heap_granule_of(start), root = granule >> HEAP_LEAF_SHIFT;
    uint64_t granules = (bytes + (HEAP_GRANULE_BYTES - 1)) / HEAP_GRANULE_BYTES;
    if (!start)
        return start;
    if (root >= HEAP_ROOTS) {
        store_relaxed(&map->broken, 1);
        return start;
    }
    struct heap_leaf *leaf = load_acquire(&map->roots[root]); /* A */
    if (!leaf && !(leaf = leaf_make(map, granule)))
        return start;
    uint32_t at = granule & (HEAP_LEAF_GRANULES - 1);
    if (!load_acquire(&leaf->blocks[at / HEAP_BLOCK_GRANULES])) { /* D */
        store_relaxed(&leaf->spans[at / HEAP_SPAN_GRANULES], 1);
        store_release(&leaf->blocks[at / HEAP_BLOCK_GRANULES], 1); /* D */
    }
    if (granules > HEAP_SHORT_GRANULES_MAX)
        long_note(map, leaf, granule, granules);
    else
        store_relaxed(&leaf->starts[at], (uint8_t)granules); /* B, C */
    return start;
}

static uint64_t length_read(const ATOMIC(uint8_t) *starts)
{
    uint8_t code = load_relaxed(&starts[0]);
    uint64_t granules = 0;
    if (code < HEAP_LONG)
        return code;
    for (int i = LENGTH_BYTES; i > 0; i--)
        granules = granules << 7 | (load_relaxed(&starts[i]) & 0x7f);
    return granules;
}

uint64_t heap_map_strike_long(struct heap_leaf *leaf, uint32_t at)
{
    ATOMIC(uint8_t) *starts = &leaf->starts[at];
    if (load_relaxed(&starts[0]) != HEAP_LONG)
        return 0; /* inside a chunk, so none that was noted */
    uint64_t granules = length_read(starts);
    store_relaxed(&starts[0], 0); /* B, C */
    for (int i = 1; i <= LENGTH_BYTES; i++)
        store_relaxed(&starts[i], 0);
    return granules;
}

/* ---- Looking ----------------------------------------------------------------------------------------------------- */

#define SEVENS UINT64_C(0x7f7f7f7f7f7f7f7f)

/* The top bit of each byte that is 1 to 127. */
static uint64_t starts_in(uint64_t word) { return ((word & SEVENS) + SEVENS) & ~word & ~SEVENS; }

/* Eight bytes at a multiple of 8, the first the lowest on machines of either kind that there are. */
static uint64_t word_at(const ATOMIC(uint8_t) *bytes)
{
    typedef uint64_t __attribute__((may_alias)) word;
    return *(const volatile word *)(const void *)bytes;
}

/* The last byte of 1 to 127 in [lo, hi], or -1; lo is a multiple of 8. */
static int64_t byte_last(const ATOMIC(uint8_t) *bytes, uint32_t lo, uint32_t hi)
{
    uint64_t below = ~UINT64_C(0) >> (56 - hi % 8 * 8);
    for (int64_t at = hi & ~7u; at >= lo; at -= 8, below = ~UINT64_C(0)) {
        uint64_t found = starts_in(word_at(bytes + at) & below);
        if (found)
            return at + (63 - __builtin_clzll(found)) / 8;
    }
    return -1;
}

/* The first in [lo, hi), or -1; hi is a multiple of 8. */
static int64_t byte_first(const ATOMIC(uint8_t) *bytes, uint32_t lo, uint32_t hi)
{
    uint64_t above = ~UINT64_C(0) << lo % 8 * 8;
    for (uint32_t at = lo & ~7u; at < hi; at += 8, above = ~UINT64_C(0)) {
        uint64_t found = starts_in(word_at(bytes + at) & above);
        if (found)
            return at + __builtin_ctzll(found) / 8;
    }
    return -1;
}

/* The last start in the blocks [first, end), or -1. */
static int64_t start_last_in(const struct heap_leaf *leaf, uint32_t first, uint32_t end)
{
    while (end > first) {
        int64_t block = byte_last(leaf->blocks, first, end - 1);
        if (block < 0)
            return -1;
        uint32_t start = (uint32_t)block * HEAP_BLOCK_GRANULES;
        int64_t found = byte_last(leaf->starts, start, start + HEAP_BLOCK_GRANULES - 1);
        if (found >= 0)
            return found;
        end = (uint32_t)block;
    }
    return -1;
}

/* The last start in the leaf that is not above `at`, or -1; those of spans below that of `floor` may be left out. */
static int64_t start_last(const struct heap_leaf *leaf, uint32_t at, uint32_t floor)
{
    uint32_t block = at / HEAP_BLOCK_GRANULES, span_floor = floor / HEAP_SPAN_GRANULES & ~7u;
    int64_t span = at / HEAP_SPAN_GRANULES;
    int64_t found = byte_last(leaf->starts, block * HEAP_BLOCK_GRANULES, at);
    if (found < 0)
        found = start_last_in(leaf, (uint32_t)span * SPAN_BLOCKS, block);
    while (found < 0 && span > span_floor && (span = byte_last(leaf->spans, span_floor, (uint32_t)span - 1)) >= 0)
        found = start_last_in(leaf, (uint32_t)span * SPAN_BLOCKS, ((uint32_t)span + 1) * SPAN_BLOCKS);
    return found;
}

/* The first start in the leaf that is not below `at`, or -1. */
static int64_t start_first(const struct heap_leaf *leaf, uint32_t at)
{
    int64_t span = byte_first(leaf->spans, at / HEAP_SPAN_GRANULES, LEAF_SPANS);
    while (span >= 0) {
        uint32_t end = ((uint32_t)span + 1) * SPAN_BLOCKS, from = (uint32_t)span * SPAN_BLOCKS;
        if (from < at / HEAP_BLOCK_GRANULES)
            from = at / HEAP_BLOCK_GRANULES;
        for (int64_t block; from < end && (block = byte_first(leaf->blocks, from, end)) >= 0;
             from = (uint32_t)block + 1) {
            uint32_t start = (uint32_t)block * HEAP_BLOCK_GRANULES;
            int64_t found = byte_first(leaf->starts, start < at ? at : start, start + HEAP_BLOCK_GRANULES);
            if (found >= 0)
                return found;
        }
        span = span + 1 < LEAF_SPANS ? byte_first(leaf->spans, (uint32_t)span + 1, LEAF_SPANS) : -1;
    }
    return -1;
}

static void chunk_tell(const struct heap_leaf *leaf, uint64_t root, int64_t at, struct heap_range *chunk)
{
    chunk->start = ((root << HEAP_LEAF_SHIFT) + (uint64_t)at) << HEAP_GRANULE_SHIFT;
    chunk->bytes = length_read(&leaf->starts[at]) * HEAP_GRANULE_BYTES;
}

bool heap_map_find(const struct heap_map *map, uint64_t address, struct heap_range *chunk)
{
    uint64_t granule = address >> HEAP_GRANULE_SHIFT, longest = load_acquire(&map->longest); /* E */
    if (longest < HEAP_SHORT_GRANULES_MAX)
        longest = HEAP_SHORT_GRANULES_MAX;
    uint64_t floor = granule > longest ? granule - longest : 0;
    if (address >> HEAP_ADDRESS_BITS)
        return false;
    for (uint64_t root = granule >> HEAP_LEAF_SHIFT;; root--) {
        const struct heap_leaf *leaf = load_acquire(&map->roots[root]); /* A */
        bool floor_here = floor >> HEAP_LEAF_SHIFT == root;
        if (leaf) {
            bool first = granule >> HEAP_LEAF_SHIFT == root;
            uint32_t at = (first ? granule : HEAP_LEAF_GRANULES - 1) & (HEAP_LEAF_GRANULES - 1);
            int64_t found = start_last(leaf, at, floor_here ? floor & (HEAP_LEAF_GRANULES - 1) : 0);
            if (found >= 0) {
                chunk_tell(leaf, root, found, chunk);
                return address - chunk->start <= chunk->bytes;
            }
        }
        if (floor_here || root == 0)
            return false;
    }
}

bool heap_map_next(const struct heap_map *map, uint64_t *cursor, struct heap_range *chunk)
{
    uint64_t granule = (*cursor + HEAP_GRANULE_BYTES - 1) >> HEAP_GRANULE_SHIFT;
    for (uint64_t root = granule >> HEAP_LEAF_SHIFT; root < HEAP_ROOTS; root++) {
        const struct heap_leaf *leaf = load_acquire(&map->roots[root]); /* A */
        uint32_t at = granule >> HEAP_LEAF_SHIFT == root ? granule & (HEAP_LEAF_GRANULES - 1) : 0;
        int64_t found = leaf ? start_first(leaf, at) : -1;
        if (found >= 0) {
            chunk_tell(leaf, root, found, chunk);
            *cursor = chunk->start + HEAP_GRANULE_BYTES;
            return true;
        }
    }
    return false;
}

/* ---- Marks ------------------------------------------------------------------------------------------------------- */

static uint64_t *mark_word(const struct heap_map *map, uint64_t start, uint64_t *bit)
{
    uint64_t granule = start >> HEAP_GRANULE_SHIFT;
    struct heap_leaf *leaf = start >> HEAP_ADDRESS_BITS ? NULL : load_acquire(&map->roots[granule >> HEAP_LEAF_SHIFT]);
    *bit = UINT64_C(1) << granule % 64;
    return leaf ? &leaf->marks[(granule & (HEAP_LEAF_GRANULES - 1)) / 64] : NULL;
}

bool heap_map_mark(struct heap_map *map, uint64_t start)
{
    uint64_t bit, *word = mark_word(map, start, &bit);
    bool was = word && *word & bit;
    if (word && !was)
        *word |= bit;
    return was;
}

bool heap_map_is_marked(const struct heap_map *map, uint64_t start)
{
    uint64_t bit, *word = mark_word(map, start, &bit);
    return word && *word & bit;
}

void heap_map_marks_clear(struct heap_map *map)
{
    for (struct heap_leaf *leaf = load_acquire(&map->made_last); leaf; leaf = leaf->made_before) /* F */
        if (madvise(leaf->marks, sizeof leaf->marks, MADV_DONTNEED))
            memset(leaf->marks, 0, sizeof leaf->marks);
}

void heap_map_free(struct heap_map *map)
{
    for (uint32_t root = 0; root < HEAP_ROOTS; root++) {
        struct heap_leaf *leaf = load_acquire(&map->roots[root]); /* A */
        if (leaf)
            munmap(leaf, sizeof *leaf);
        store_relaxed(&map->roots[root], NULL);
    }
    store_relaxed(&map->made_last, NULL);
}
