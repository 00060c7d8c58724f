/* What the copy of the process does: finds the waiting Gs and their objects, follows pointers from the roots, stores
 * the verdicts. See proof.h for the rules; proofgraph.c has the Gs.
 *
 * Memory is read 16 bytes at a time for the one byte of a pointer that tells best, bits 40 to 47: few values of it lead
 * to anything that has been mapped, and most bytes of most memory have none of them, at whatever offset a pointer may
 * begin (R5). Only where one has, the eight bytes around it are looked at as an address. */
#define _GNU_SOURCE
#include "proofscan.h"

#include "heapwalk.h"
#include "pagemap.h"
#include "proofgraph.h"
#include "seat.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAGE_BYTES 4096u
#define GIVEN_WAIT_NS 2000000000
#define POLL_NS 100000

static struct scan scan;

/* ---- the end ---- */

void scan_fail(enum proof_status status)
{
    scan.shared->status = (uint32_t)status;
    _exit(0);
}

void *scan_memory(size_t bytes)
{
    void *memory = mmap(NULL, bytes ? bytes : 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        scan_fail(PROOF_NO_MEMORY);
    return memory;
}

static void nap(void)
{
    syscall(SYS_nanosleep, &(struct timespec){ .tv_nsec = POLL_NS }, NULL);
}

/* ---- words ---- */

static inline PEEK uint64_t word_at(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return proof_address_in(word);
}

#if defined(__SSE2__)
typedef uint8_t bytes16 __attribute__((vector_size(16)));

static inline bytes16 bytes16_of(uint8_t byte)
{
    return (bytes16){ byte, byte, byte, byte, byte, byte, byte, byte, byte, byte, byte, byte, byte, byte, byte, byte };
}

/* Of the 16 places from `at`, those whose word may be an address that matters. */
static inline PEEK uint32_t candidates(const uint8_t *at)
{
    bytes16 fifth, hits = { 0 };
    memcpy(&fifth, at + 5, sizeof fifth);
    fifth &= bytes16_of(PROOF_FIFTHS - 1);
    for (uint32_t i = 0; i < scan.fifth_count; i++)
        hits |= (bytes16)(fifth == bytes16_of(scan.fifths[i]));
    return (uint32_t)__builtin_ia32_pmovmskb128((__attribute__((vector_size(16))) char)hits);
}
#else
static inline PEEK uint32_t candidates(const uint8_t *at)
{
    uint32_t mask = 0;
    for (uint32_t k = 0; k < 16; k++)
        for (uint32_t i = 0; i < scan.fifth_count; i++)
            mask |= (uint32_t)((at[k + 5] & (PROOF_FIFTHS - 1)) == scan.fifths[i]) << k;
    return mask;
}
#endif

/* Every word in [start, end), holes or not. */
PEEK void scan_words(uint64_t start, uint64_t end)
{
    const uint8_t *at = (const uint8_t *)(uintptr_t)start, *stop = (const uint8_t *)(uintptr_t)end;
    scan.bytes_read += end - start;
    while (stop - at >= 16 + 7) {
        uint32_t mask = candidates(at);
        for (; mask; mask &= mask - 1)
            graph_reach(word_at(at + __builtin_ctz(mask)));
        at += 16;
    }
    for (; stop - at >= 8; at++)
        graph_reach(word_at(at));
}

/* The index of the first hole that ends behind the address. */
static size_t hole_after(uint64_t address)
{
    size_t low = 0, high = scan.hole_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (scan.holes[middle].end > address)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* What is there, but for holes. */
void scan_range_at(uint64_t start, uint64_t end, uint64_t further)
{
    for (size_t i = hole_after(start); start < end; i++) {
        bool cut = i < scan.hole_count && scan.holes[i].start < end;
        uint64_t until = cut ? scan.holes[i].start : end;
        if (until > start)
            scan_words(start + further, until + further);
        start = cut ? scan.holes[i].end : end;
    }
}

void scan_range(uint64_t start, uint64_t end) { scan_range_at(start, end, 0); }

/* ---- pages ---- */

static int pagemap_fd(void) { return load_acquire(&scan.shared->pagemap_fd); }

static bool page_is_there(uint64_t address, bool of_file)
{
    int there = pagemap_has(pagemap_fd(), address, of_file);
    if (there < 0)
        scan_fail(PROOF_UNREADABLE);
    return there > 0;
}

static bool in_hole(uint64_t address)
{
    size_t i = hole_after(address);
    return i < scan.hole_count && scan.holes[i].start <= address;
}

/* As memcpy, which a sanitizer would watch. */
static PEEK void edge_read(uint8_t to[7], uint64_t from)
{
    for (int i = 0; i < 7; i++)
        to[i] = ((const volatile uint8_t *)(uintptr_t)from)[i];
}

/* Words at both ends of touched pages that go on in some that were not, and read as zero there. */
static void scan_edges(uint64_t start, uint64_t end)
{
    uint8_t front[14] = { 0 }, back[14] = { 0 };
    if (end - start < 7)
        return;
    edge_read(front + 7, start);
    edge_read(back, end - 7);
    if (!in_hole(start))
        scan_words((uint64_t)(uintptr_t)front, (uint64_t)(uintptr_t)(front + sizeof front));
    if (!in_hole(end - 1))
        scan_words((uint64_t)(uintptr_t)back, (uint64_t)(uintptr_t)(back + sizeof back));
}

static void scan_run(uint64_t start, uint64_t end)
{
    scan_range(start, end);
    scan_edges(start, end);
}

/* Only the pages that were ever touched: reservations are large. */
void scan_pages(uint64_t start, uint64_t end, bool of_file)
{
    struct pagemap map; /* not static: what it holds would be taken for the program's */
    uint64_t from, until;
    int more;
    pagemap_begin(&map, pagemap_fd(), start, end, of_file);
    while ((more = pagemap_next(&map, &from, &until)) > 0)
        scan_run(from > start ? from : start, until < end ? until : end);
    if (more < 0)
        scan_fail(PROOF_UNREADABLE);
}

static void scan_root(const struct proof_range *root)
{
    /* A hole may be all of it, and hundreds of gigabytes large. */
    uint64_t start = root->start;
    if (root->hidden && mprotect((void *)(uintptr_t)start, root->end - start, PROT_READ) < 0) {
        scan.kernel_unread = true;
        return;
    }
    for (size_t i = hole_after(start); start < root->end; i++) {
        bool cut = i < scan.hole_count && scan.holes[i].start < root->end;
        if (cut && scan.holes[i].end - scan.holes[i].start < PAGE_BYTES * 16u)
            continue; /* scan_range leaves it out */
        uint64_t until = cut ? scan.holes[i].start : root->end;
        if (until > start)
            scan_pages(start, until, root->of_file);
        start = cut ? scan.holes[i].end : root->end;
    }
}

/* ---- roots ---- */

static void note_fifth(uint8_t fifth)
{
    for (uint32_t i = 0; i < scan.fifth_count; i++)
        if (scan.fifths[i] == fifth)
            return;
    if (scan.fifth_count < sizeof scan.fifths)
        scan.fifths[scan.fifth_count++] = fifth;
}

static void note_fifths_of(uint64_t start, uint64_t end)
{
    for (uint64_t fifth = start >> 40; fifth <= end >> 40; fifth++)
        note_fifth((uint8_t)(fifth & (PROOF_FIFTHS - 1)));
}

/* Of all that a pointer can lead to. */
static void find_fifths(void)
{
    const struct proof_range *roots = scan.input->roots.items;
    for (enum stack_class class = 0; class < STACK_CLASSES; class++) {
        uint64_t base = (uint64_t)(uintptr_t)seat_regions[class].base;
        if (base)
            note_fifths_of(base, base + (uint64_t)seat_regions[class].count * seat_stride(class));
    }
    for (size_t i = 0; i < scan.input->roots.count; i++)
        note_fifths_of(roots[i].start, roots[i].end);
    for (enum stack_class class = 0; class < STACK_CLASSES; class++) {
        uint64_t base = (uint64_t)(uintptr_t)seat_regions[class].base;
        if (base)
            note_fifths_of(base, base + (uint64_t)load_acquire(&seat_regions[class].made) * seat_stride(class));
    }
}

/* Where it is known where malloc's blocks lie, they are read by themselves. */
static void scan_root_outside_heap(const struct proof_range *root)
{
    const struct gmpt_heap_registry *heap = scan.heap;
    struct proof_range part = *root;
    struct heap_range inner;
    struct heap_range arena = { 0, 0 };
    while (part.start < root->end) {
        uint64_t arena_cursor = part.start, chunk_cursor = part.start;
        struct heap_range chunk = { UINT64_MAX, 0 };
        if (arena.start < part.start && !heap->arena_next(&arena_cursor, &arena))
            arena.start = UINT64_MAX;
        if (!heap->chunk_next(&chunk_cursor, &chunk))
            chunk.start = UINT64_MAX;
        inner = arena.start <= chunk.start ? arena : chunk;
        part.end = inner.start < root->end ? inner.start : root->end;
        if (part.end > part.start)
            scan_root(&part);
        if (inner.start >= root->end)
            break;
        uint64_t after = inner.start + inner.bytes;
        if (after > part.start)
            part.start = after;
    }
}

static void scan_given(void)
{
    const struct proof_shared *shared = scan.shared;
    if (load_acquire(&shared->given) != 1)
        scan.kernel_unread = true;
    else
        scan_words((uint64_t)(uintptr_t)shared->bytes, (uint64_t)(uintptr_t)shared->bytes + shared->given_bytes);
}

/* Words that begin in one mapping and end in the next. */
static void scan_seam(const struct proof_range *before, const struct proof_range *behind)
{
    uint64_t seam = before->end;
    if (behind->start == seam && page_is_there(seam - PAGE_BYTES, before->of_file) &&
        page_is_there(seam, behind->of_file))
        scan_range(seam - 7, seam + 7);
}

/* All that are in use: with the heap as root what has been freed is none. */
static void scan_blocks(void)
{
    struct heap_range chunk;
    for (uint64_t cursor = 0; scan.heap->chunk_next(&cursor, &chunk);) {
        scan_range(chunk.start, chunk.start + chunk.bytes);
        graph_follow();
    }
}

static void scan_roots(void)
{
    const struct proof_range *roots = scan.input->roots.items;
    const uint64_t *values = scan.input->values.items;
    for (size_t i = 0; i < scan.input->values.count; i++)
        graph_reach(proof_address_in(values[i]));
    graph_scan_registers();
    scan_given();
    for (size_t i = 0; i < scan.input->roots.count; i++) {
        scan.in_libc = roots[i].of_libc;
        if (scan.heap)
            scan_root_outside_heap(&roots[i]);
        else
            scan_root(&roots[i]);
        if (i > 0)
            scan_seam(&roots[i - 1], &roots[i]);
        scan.in_libc = false;
        graph_follow();
    }
    if (scan.heap && scan.heap_is_root)
        scan_blocks();
}

/* ---- holes ---- */

static void sift(struct proof_range *items, size_t root, size_t count)
{
    for (size_t child; (child = root * 2 + 1) < count; root = child) {
        if (child + 1 < count && items[child + 1].start > items[child].start)
            child++;
        if (items[root].start >= items[child].start)
            return;
        struct proof_range swap = items[root];
        items[root] = items[child];
        items[child] = swap;
    }
}

/* qsort would allocate. */
static void sort_ranges(struct proof_range *items, size_t count)
{
    for (size_t i = count / 2; i-- > 0;)
        sift(items, i, count);
    for (size_t end = count; end-- > 1;) {
        struct proof_range swap = items[0];
        items[0] = items[end];
        items[end] = swap;
        sift(items, 0, end);
    }
}

void scan_hole(uint64_t start, uint64_t end)
{
    if (!proof_table_reserve(&scan.hole_table, 1, sizeof(struct proof_range)))
        scan_fail(PROOF_NO_MEMORY);
    struct proof_range *holes = scan.hole_table.items;
    holes[scan.hole_table.count++] = (struct proof_range){ .start = start, .end = end };
}

/* In order, and none within another. */
static void settle_holes(void)
{
    struct proof_range *holes = scan.hole_table.items;
    size_t count = scan.hole_table.count, kept = 0;
    sort_ranges(holes, count);
    for (size_t i = 0; i < count; i++) {
        if (kept && holes[i].start <= holes[kept - 1].end) {
            if (holes[i].end > holes[kept - 1].end)
                holes[kept - 1].end = holes[i].end;
        } else {
            holes[kept++] = holes[i];
        }
    }
    scan.holes = holes;
    scan.hole_count = kept;
}

/* ---- all of it ---- */

/* For what a copy has not got. The program finds out which memory that is: nothing may be mapped there meanwhile. */
static void wait_until_given(void)
{
    for (int64_t waited_ns = 0; load_acquire(&scan.shared->pagemap_fd) < 0; waited_ns += POLL_NS) {
        if (waited_ns > GIVEN_WAIT_NS)
            scan_fail(PROOF_UNREADABLE);
        nap();
    }
}

static void hide_table(const struct proof_table *table, size_t item_bytes)
{
    uint64_t start = (uint64_t)(uintptr_t)table->items;
    if (start)
        scan_hole(start, start + table->capacity * item_bytes);
}

/* They hold addresses, and are mapped like the program's memory. */
static void hide_tables(const struct proof_input *input)
{
    hide_table(&input->roots, sizeof(struct proof_range));
    hide_table(&input->holes, sizeof(struct proof_range));
    hide_table(&input->values, sizeof(uint64_t));
    hide_table(&input->ignored, sizeof(uint64_t));
}

static bool page_is_anywhere(uint64_t address) { return page_is_there(address, false); }

static void find_heap(const struct proof_input *input)
{
    scan.heap_is_root = input->heap_is_root;
    scan.heap = input->heap;
    enum heapwalk_result walked = HEAPWALK_NONE;
    if (!scan.heap && input->heap_is_libcs) {
        walked = heapwalk_find(&input->roots, page_is_anywhere);
        if (walked == HEAPWALK_BUSY && input->heap_may_wait)
            scan_fail(PROOF_NO_ANSWER);
        if (walked != HEAPWALK_NONE)
            scan.heap = &heapwalk_registry;
    }
    if (scan.heap && !scan.heap_is_root)
        scan.shared->heap |= PROOF_HEAP_TRACED;
    if (!scan.shared->heap || (scan.heap == &heapwalk_registry && walked != HEAPWALK_ALL))
        scan.shared->heap |= PROOF_HEAP_ROOT;
}

void proofscan_run(const struct proof_input *input, struct proof_shared *shared)
{
    scan.input = input;
    scan.shared = shared;
    scan.kernel_unread = input->kernel_unread && !input->all_asleep;
    wait_until_given();
    hide_tables(input);
    const struct proof_range *holes = input->holes.items;
    for (size_t i = 0; i < input->holes.count; i++)
        scan_hole(holes[i].start, holes[i].end);
    find_fifths();
    find_heap(input);
    graph_build(&scan);
    settle_holes();
    graph_follow();
    if (!input->all_asleep) {
        scan_roots();
        graph_follow();
    }
    graph_judge();
    shared->bytes_read = scan.bytes_read;
    shared->kernel_unread = scan.kernel_unread;
    shared->status = PROOF_COMPLETE;
    _exit(0);
}
