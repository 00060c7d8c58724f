/* Walking the heaps of the GNU C library's malloc. See heapwalk.h. */
#define _GNU_SOURCE
#include "heapwalk.h"

#include "memcheck.h"
#include "proofgraph.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __GLIBC__
#include <gnu/libc-version.h>
#endif

#define PAGE_BYTES 4096u
#define GRANULE_BYTES 16u
#define HEADER_BYTES HEAPWALK_HEADER_BYTES
#define BLOCK_BYTES_MIN 32u
#define HEAPS_MAX 4096u
#define ARENA_HEAP_BYTES (UINT64_C(64) << 20)
#define NO_BLOCK UINT32_MAX

/* In the word that has a block's length. */
#define BEFORE_IN_USE UINT64_C(1)
#define MAPPED UINT64_C(2)
#define NOT_OF_MAIN UINT64_C(4)
#define LENGTH_MASK (~UINT64_C(7))

/* malloc/arena.c: at the beginning of each heap but brk's; later versions have more. In the first heap of an arena the
 * arena itself follows, in others the first block. */
struct heap_info {
    uint64_t arena, previous, bytes, bytes_committed;
};
#define HEAP_INFO_BYTES 32u
#define HEAP_INFO_BYTES_LATER 48u

/* malloc/malloc.c, struct malloc_state, and some of it in words from `top`. */
#define ARENA_BYTES 0x898u
#define ARENA_TOP 0x60u
#define ARENA_LISTS 2 /* 127 pairs: the first and the last of a list of free blocks */
#define ARENA_LIST_COUNT 127
#define ARENA_QUICK (-10) /* the fastbins, up to the top */
#define ARENA_HAVE_QUICK (-11)
#define ARENA_LOCK (-12) /* its lower half; flags in the other */

/* malloc/malloc.c, struct tcache_perthread_struct: counts, and as many lists. */
#define CACHE_LISTS 64u
#define CACHE_BYTES (CACHE_LISTS * (sizeof(uint16_t) + sizeof(uint64_t)))

/* Bits stand for granules from `start` on, where the first block's own bytes begin. */
struct heap {
    uint64_t low, high; /* all of it, malloc's own words at its beginning included */
    uint64_t start, end;
    uint64_t arena;   /* its address; 0: brk's */
    uint64_t last;    /* the block at the top, by its header; 0: it ends with the fences */
    uint64_t *starts; /* a block begins */
    uint64_t *in_use; /* likewise, if the program has it */
    uint64_t *marks;
    uint32_t *last_before; /* of each word of bits, the last granule before it with a start */
    bool walked;
};

static struct {
    struct heap *heaps; /* by address */
    uint32_t count;
    const struct proof_range *roots;
    size_t root_count;
    bool (*is_there)(uint64_t address);
    bool left, busy; /* some are no heaps that are known, or being worked on */
} found;

/* ---- whether it can be done ---- */

bool heapwalk_is_possible(void)
{
#if defined(__GLIBC__) && defined(__LP64__)
    const char *version = gnu_get_libc_version();
    char *end;
    unsigned long major = strtoul(version, &end, 10), minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
    const void *own = dlsym(RTLD_DEFAULT, "__libc_malloc");
    /* 2.32 protects the links of lists; newer ones than these have not been looked at. */
    return major == 2 && minor >= 32 && minor <= 41 && own && dlsym(RTLD_DEFAULT, "malloc") == own;
#else
    return false;
#endif
}

/* ---- words ---- */

static PEEK uint64_t word_at(uint64_t address) { return *(const volatile uint64_t *)(uintptr_t)address; }

static bool bit_get(const uint64_t *bits, uint64_t at) { return bits[at / 64] >> at % 64 & 1; }
static void bit_set(uint64_t *bits, uint64_t at) { bits[at / 64] |= UINT64_C(1) << at % 64; }
static void bit_clear(uint64_t *bits, uint64_t at) { bits[at / 64] &= ~(UINT64_C(1) << at % 64); }

/* The number of the bit that stands for this place. */
static uint64_t granule_of(const struct heap *heap, uint64_t at) { return (at - heap->start) / GRANULE_BYTES; }

static struct heap *heap_of(uint64_t address)
{
    uint32_t low = 0, high = found.count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (found.heaps[middle].high > address)
            high = middle;
        else
            low = middle + 1;
    }
    return low < found.count && found.heaps[low].low <= address ? &found.heaps[low] : NULL;
}

/* ---- one heap ---- */

/* Of bits, up to where a block would begin behind the last. */
static uint64_t words_of(const struct heap *heap)
{
    return ((heap->end + HEADER_BYTES - heap->start) / GRANULE_BYTES + 64) / 64;
}

static bool bits_make(struct heap *heap)
{
    uint64_t words = words_of(heap);
    if (words >= NO_BLOCK / 64)
        return false;
    heap->starts = scan_memory(words * sizeof *heap->starts);
    heap->in_use = scan_memory(words * sizeof *heap->in_use);
    heap->marks = scan_memory(words * sizeof *heap->marks);
    heap->last_before = scan_memory(words * sizeof *heap->last_before);
    return true;
}

static bool length_is_sound(const struct heap *heap, uint64_t header, uint64_t word)
{
    uint64_t length = word & LENGTH_MASK, room = heap->high - header;
    return !(word & MAPPED) && !(word & NOT_OF_MAIN && !heap->arena) && length >= BLOCK_BYTES_MIN &&
           length % GRANULE_BYTES == 0 && length <= room;
}

/* malloc has left this heap for another: a block of 16 bytes, and one of none. */
static bool is_fence(const struct heap *heap, uint64_t header, uint64_t word)
{
    return heap->arena && header == heap->high - 2 * HEADER_BYTES && (word & LENGTH_MASK) == HEADER_BYTES &&
           (word_at(header + HEADER_BYTES + 8) & LENGTH_MASK) == 0;
}

/* From the first block's header on; what is noted is only right if it comes out. */
static bool walk_from(struct heap *heap, uint64_t header)
{
    heap->start = header + HEADER_BYTES;
    for (;;) {
        if (header + HEADER_BYTES > heap->high)
            return false;
        uint64_t word = word_at(header + 8), length = word & LENGTH_MASK;
        heap->end = header;
        if (is_fence(heap, header, word)) {
            heap->last = 0;
            return true;
        }
        if (!length_is_sound(heap, header, word))
            return false;
        if (header + length == heap->high) {
            heap->last = header;
            return word & BEFORE_IN_USE; /* free blocks are joined with the top */
        }
        if (header + length + HEADER_BYTES > heap->high)
            return false;
        if (!(word_at(header + length + 8) & BEFORE_IN_USE) && word_at(header + length) != length)
            return false;
        header += length;
    }
}

/* Where its blocks begin; afterwards, as the walk wrote nothing before it came out. */
static bool note_blocks(struct heap *heap)
{
    if (!bits_make(heap))
        return false;
    for (uint64_t header = heap->start - HEADER_BYTES, length; header < heap->end; header += length) {
        length = word_at(header + 8) & LENGTH_MASK;
        uint64_t granule = granule_of(heap, header + HEADER_BYTES);
        bit_set(heap->starts, granule);
        if (word_at(header + length + 8) & BEFORE_IN_USE)
            bit_set(heap->in_use, granule);
    }
    /* What is behind the last block is no part of it. */
    bit_set(heap->starts, granule_of(heap, heap->end + HEADER_BYTES));
    uint32_t last = NO_BLOCK;
    for (uint64_t i = 0, words = words_of(heap); i < words; i++) {
        heap->last_before[i] = last;
        if (heap->starts[i])
            last = (uint32_t)(i * 64 + 63 - (unsigned)__builtin_clzll(heap->starts[i]));
    }
    return true;
}

/* ---- arenas ---- */

/* A place in a heap where a block's header may be; not whether one is. */
static bool may_be_header(uint64_t address) { return address % GRANULE_BYTES == 0 && heap_of(address); }

/* The words around the top are those of an arena. */
static PEEK bool is_arena(uint64_t top)
{
    const volatile int64_t *words = (const volatile int64_t *)(uintptr_t)top;
    uint64_t lock = (uint64_t)words[ARENA_LOCK];
    if ((lock & UINT32_MAX) > 2 || lock >> 32 > 7 || (uint64_t)words[ARENA_HAVE_QUICK] > 1)
        return false;
    for (int i = ARENA_QUICK; i < 0; i++)
        if (words[i] && !may_be_header((uint64_t)words[i]))
            return false;
    for (int i = 0; i < ARENA_LIST_COUNT; i++) {
        uint64_t first = (uint64_t)words[ARENA_LISTS + 2 * i], last = (uint64_t)words[ARENA_LISTS + 2 * i + 1];
        uint64_t empty = top + (uint64_t)(ARENA_LISTS + 2 * i) * 8 - HEADER_BYTES;
        if ((first == empty) != (last == empty) || (first != empty && !(may_be_header(first) && may_be_header(last))))
            return false;
    }
    return true;
}

/* In libc's static data, the arena whose top this is: the address of the word that says so, or 0. */
static uint64_t main_arena_find(uint64_t header)
{
    const uint64_t before = (uint64_t)-ARENA_LOCK * 8, behind = (ARENA_LISTS + 2 * ARENA_LIST_COUNT) * 8;
    for (size_t i = 0; i < found.root_count; i++) {
        const struct proof_range *root = &found.roots[i];
        if (!root->of_libc || root->hidden)
            continue;
        for (uint64_t at = root->start + before; at + behind <= root->end; at += 8)
            if (word_at(at) == header && is_arena(at))
                return at;
    }
    return 0;
}

/* The word that names its top, once its heaps have been walked; 0: it does not come out. */
static uint64_t top_of_arena(uint64_t arena)
{
    const struct heap *first = heap_of(arena);
    if (!first || first->arena != arena || arena - first->low > HEAP_INFO_BYTES_LATER)
        return 0;
    uint64_t top = arena + ARENA_TOP, header = word_at(top);
    const struct heap *newest = heap_of(header);
    return newest && newest->arena == arena && newest->walked && newest->last == header && is_arena(top) ? top : 0;
}

static void heap_walk(struct heap *heap)
{
    uint64_t info_bytes = heap->arena % ARENA_HEAP_BYTES;
    if (!heap->arena)
        heap->walked = walk_from(heap, heap->low);
    else if (heap->arena - heap->low == info_bytes)
        heap->walked = walk_from(heap, (heap->arena + ARENA_BYTES + GRANULE_BYTES - 1) / GRANULE_BYTES * GRANULE_BYTES);
    else
        heap->walked = walk_from(heap, heap->low + info_bytes);
}

/* Lets stand what its arena agrees with. */
static void heap_confirm(struct heap *heap)
{
    uint64_t top = !heap->walked ? 0 : heap->arena ? top_of_arena(heap->arena) : main_arena_find(heap->last);
    bool busy = top && word_at(top + ARENA_LOCK * INT64_C(8)) & UINT32_MAX;
    found.busy |= busy;
    found.left |= !top || busy;
    if (!top || busy || !note_blocks(heap))
        heap->low = heap->high; /* nothing lies in it; a root */
}

/* ---- which heaps there are ---- */

static void heap_add(uint64_t low, uint64_t high, uint64_t arena)
{
    if (found.count == HEAPS_MAX)
        found.left = true;
    else
        found.heaps[found.count++] = (struct heap){ .low = low, .high = high, .arena = arena };
}

/* Where memory ends that can be read from here on: a heap that has grown since the process was forked has more than one
 * mapping. One whose first page was never touched may be one that the copy has not got. */
static uint64_t readable_end(const struct proof_range *root)
{
    uint64_t end = root->end;
    while (++root < found.roots + found.root_count && root->start == end && !root->of_file && !root->hidden &&
           found.is_there(root->start))
        end = root->end;
    return end;
}

/* A mapping of its own begins at brk's heap. */
static void add_main(const struct proof_range *root)
{
    uint64_t end = (uint64_t)syscall(SYS_brk, 0);
    if (end > root->start && found.is_there(root->start) && end <= readable_end(root))
        heap_add(root->start, end, 0);
    else
        found.left = true;
}

static void add_arenas_heaps(const struct proof_range *root)
{
    uint64_t base = (root->start + ARENA_HEAP_BYTES - 1) / ARENA_HEAP_BYTES * ARENA_HEAP_BYTES;
    for (; base + sizeof(struct heap_info) < root->end; base += ARENA_HEAP_BYTES) {
        if (!found.is_there(base))
            continue;
        const struct heap_info *info = (const struct heap_info *)(uintptr_t)base;
        uint64_t info_bytes = info->arena % ARENA_HEAP_BYTES;
        if ((info_bytes == HEAP_INFO_BYTES || info_bytes == HEAP_INFO_BYTES_LATER) && info->bytes > PAGE_BYTES / 2 &&
            info->bytes % PAGE_BYTES == 0 && info->bytes <= info->bytes_committed &&
            info->bytes_committed <= ARENA_HEAP_BYTES && base + info->bytes <= readable_end(root) &&
            info->previous % ARENA_HEAP_BYTES == 0)
            heap_add(base, base + info->bytes, info->arena);
    }
}

static void find_heaps(void)
{
    bool main_seen = false;
    for (size_t i = 0; i < found.root_count; i++) {
        const struct proof_range *root = &found.roots[i];
        if (root->of_brk && !main_seen)
            add_main(root);
        else if (!root->of_file && !root->hidden && !root->of_brk)
            add_arenas_heaps(root);
        main_seen |= root->of_brk;
    }
}

/* ---- blocks put aside ---- */

static struct heap *heap_with_block(uint64_t start)
{
    struct heap *heap = heap_of(start);
    bool there = heap && start % GRANULE_BYTES == 0 && start >= heap->start && start < heap->end &&
                 bit_get(heap->in_use, granule_of(heap, start));
    return there ? heap : NULL;
}

static uint64_t length_of(uint64_t start) { return word_at(start - 8) & LENGTH_MASK; }

/* Goes over one list of a table that may be a thread's, and says whether it is one of blocks that are free: so many of
 * this length, each with the same word that only they have. With `strike` they are no blocks of the program's. */
static bool cache_list(uint64_t start, uint32_t count, uint64_t length, uint64_t *key, bool strike)
{
    while (start && count > 0) {
        struct heap *heap = heap_with_block(start);
        if (!heap || length_of(start) != length)
            return false;
        uint64_t its_key = word_at(start + 8);
        if (its_key == 0 || (*key && *key != its_key))
            return false;
        *key = its_key;
        if (strike)
            bit_clear(heap->in_use, granule_of(heap, start));
        start = word_at(start) ^ start >> 12;
        count--;
    }
    return start == 0 && count == 0;
}

static PEEK bool cache_lists(uint64_t table, bool strike)
{
    const volatile uint16_t *counts = (const volatile uint16_t *)(uintptr_t)table;
    uint64_t key = 0, lists = table + CACHE_LISTS * sizeof *counts;
    for (uint32_t i = 0; i < CACHE_LISTS; i++)
        if (!cache_list(word_at(lists + 8 * i), counts[i], BLOCK_BYTES_MIN + i * GRANULE_BYTES, &key, strike))
            return false;
    return true;
}

/* In all heaps, the tables of threads; each block of that length may be one. */
static void strike_caches(const struct heap *heap)
{
    for (uint64_t header = heap->start - HEADER_BYTES; header < heap->end; header += length_of(header + HEADER_BYTES)) {
        uint64_t start = header + HEADER_BYTES;
        if (length_of(start) == CACHE_BYTES + HEADER_BYTES && heap_with_block(start) && cache_lists(start, false))
            cache_lists(start, true);
    }
}

/* ---- all of it ---- */

enum heapwalk_result heapwalk_find(const struct proof_table *roots, bool (*is_there)(uint64_t address))
{
    uint32_t walked = 0;
    found.heaps = scan_memory(HEAPS_MAX * sizeof *found.heaps); /* not static, and so a root: it is full of addresses */
    found.roots = roots->items;
    found.root_count = roots->count;
    found.is_there = is_there;
    find_heaps();
    for (uint32_t i = 0; i < found.count; i++)
        heap_walk(&found.heaps[i]);
    for (uint32_t i = 0; i < found.count; i++)
        heap_confirm(&found.heaps[i]);
    for (uint32_t i = 0; i < found.count; i++)
        if (found.heaps[i].low < found.heaps[i].high) {
            strike_caches(&found.heaps[i]);
            walked++;
        }
    return found.busy ? HEAPWALK_BUSY : walked == 0 ? HEAPWALK_NONE : found.left ? HEAPWALK_SOME : HEAPWALK_ALL;
}

/* ---- what is asked ---- */

/* The last block that begins at the address or below, whether it is in use or not. */
static bool block_at(const struct heap *heap, uint64_t address, uint64_t *start)
{
    if (address < heap->start || address >= heap->end + HEADER_BYTES)
        return false;
    uint64_t granule = granule_of(heap, address);
    uint64_t bits = heap->starts[granule / 64] & ~UINT64_C(0) >> (63 - granule % 64);
    uint64_t at = bits ? granule / 64 * 64 + 63 - (unsigned)__builtin_clzll(bits) : heap->last_before[granule / 64];
    *start = heap->start + at * GRANULE_BYTES;
    return *start < heap->end; /* else it is what lies at the top */
}

/* A block's last 8 bytes lie before the length of the next one, so that it is as long as the way from one to the next:
 * what is too much of it, that length, is no pointer. */
static bool chunk_find(uint64_t address, struct heap_range *chunk)
{
    const struct heap *heap = heap_of(address);
    uint64_t start;
    if (!heap || !block_at(heap, address, &start) || !bit_get(heap->in_use, granule_of(heap, start)))
        return false;
    *chunk = (struct heap_range){ start, length_of(start) };
    return true;
}

bool heapwalk_begins_behind(uint64_t address)
{
    return address % GRANULE_BYTES == 0 && heap_with_block(address + HEADER_BYTES);
}

static bool chunk_next(uint64_t *cursor, struct heap_range *chunk)
{
    for (uint32_t i = 0; i < found.count; i++) {
        const struct heap *heap = &found.heaps[i];
        uint64_t start = (*cursor + GRANULE_BYTES - 1) / GRANULE_BYTES * GRANULE_BYTES;
        if (heap->low == heap->high)
            continue;
        if (start < heap->start)
            start = heap->start;
        for (; start < heap->end; start += GRANULE_BYTES)
            if (bit_get(heap->in_use, granule_of(heap, start))) {
                *chunk = (struct heap_range){ start, length_of(start) };
                *cursor = start + GRANULE_BYTES;
                return true;
            }
    }
    return false;
}

static bool arena_next(uint64_t *cursor, struct heap_range *arena)
{
    for (uint32_t i = 0; i < found.count; i++) {
        const struct heap *heap = &found.heaps[i];
        if (heap->low == heap->high || heap->high <= *cursor)
            continue;
        *arena = (struct heap_range){ heap->low, heap->high - heap->low };
        *cursor = heap->high;
        return true;
    }
    return false;
}

/* Notes the mark of a block that begins here. */
static bool mark_change(uint64_t start, bool set)
{
    const struct heap *heap = heap_of(start);
    uint64_t granule = heap ? granule_of(heap, start) : 0;
    bool was = heap && bit_get(heap->marks, granule);
    if (heap && set)
        bit_set(heap->marks, granule);
    return was;
}

static bool chunk_mark(uint64_t start) { return mark_change(start, true); }
static bool chunk_is_marked(uint64_t start) { return mark_change(start, false); }
static void marks_clear(void) {} /* the memory is new */
static uint32_t resizes(void) { return 0; }
static bool is_whole(void) { return true; }

const struct gmpt_heap_registry heapwalk_registry = {
    .version = HEAP_REGISTRY_VERSION,
    .chunks_apart = true,
    .chunk_find = chunk_find,
    .chunk_next = chunk_next,
    .arena_next = arena_next,
    .resizes = resizes,
    .is_whole = is_whole,
    .chunk_mark = chunk_mark,
    .chunk_is_marked = chunk_is_marked,
    .marks_clear = marks_clear,
};
