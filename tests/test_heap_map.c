/* The map of chunks against a plain list of them: what lies where, in both directions, whatever their sizes. No memory
 * is behind the addresses: the map does not look. */
#include "harness.h"

#include "preload/heap_map.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNKS_MAX 400
#define LEAF_BYTES ((uint64_t)HEAP_LEAF_GRANULES * HEAP_GRANULE_BYTES)

static struct heap_map map;

/* In the order of their addresses. */
static struct heap_range chunks[CHUNKS_MAX];
static int chunk_count;

static uint64_t random_state = 1;
static uint64_t random_below(uint64_t end)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (random_state >> 20) % end;
}

static void *pointer(uint64_t address) { return (void *)(uintptr_t)address; }

static bool found(uint64_t address, uint64_t start, uint64_t bytes)
{
    struct heap_range chunk;
    return heap_map_find(&map, address, &chunk) && chunk.start == start && chunk.bytes == bytes;
}

static bool found_none(uint64_t address)
{
    struct heap_range chunk;
    return !heap_map_find(&map, address, &chunk);
}

/* ---- One thing at a time ----------------------------------------------------------------------------------------- */

TEST(heap_map, a_chunk_is_found_from_all_of_its_addresses_and_the_one_behind)
{
    static const uint64_t sizes[] = { 1, 16, 24, 1000, 2016, 2017, 4096, 70000, 1000000, 100000000 };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint64_t start = 0x7f1234560010, bytes = (sizes[i] + 15) / 16 * 16;
        heap_map_note(&map, pointer(start), sizes[i]);
        ck_assert(found_none(start - 1) && found_none(start + bytes + 1));
        ck_assert(found(start, start, bytes) && found(start + bytes, start, bytes));
        for (int k = 0; k < 1000; k++)
            ck_assert(found(start + random_below(bytes + 1), start, bytes));
        ck_assert_uint_eq(heap_map_strike(&map, pointer(start)), bytes / 16);
        ck_assert(found_none(start) && found_none(start + 1));
    }
    heap_map_free(&map);
}

TEST(heap_map, where_chunks_touch_the_later_is_found_at_its_start)
{
    heap_map_note(&map, pointer(0x10000), 64);
    heap_map_note(&map, pointer(0x10040), 32);
    ck_assert(found(0x10040, 0x10040, 32) && found(0x1003f, 0x10000, 64) && found(0x10060, 0x10040, 32));
    heap_map_free(&map);
}

TEST(heap_map, a_chunk_may_reach_over_leaves_and_begin_at_the_end_of_one)
{
    uint64_t end = 5 * LEAF_BYTES;
    for (int i = 1; i <= 9; i++) {
        uint64_t start = end - (uint64_t)i * 16, bytes = 3 * LEAF_BYTES;
        heap_map_note(&map, pointer(start), bytes);
        ck_assert(found(start, start, bytes) && found(end, start, bytes) && found(end + LEAF_BYTES + 7, start, bytes));
        ck_assert(found(start + bytes, start, bytes) && found_none(start + bytes + 1) && found_none(start - 1));
        heap_map_note(&map, pointer(start + bytes + 16), 8); /* makes the last leaf */
        ck_assert(found(start + bytes, start, bytes) && found(start + bytes + 16, start + bytes + 16, 16));
        ck_assert_uint_eq(heap_map_strike(&map, pointer(start)), bytes / 16);
        ck_assert_uint_eq(heap_map_strike(&map, pointer(start + bytes + 16)), 1);
        ck_assert(found_none(end) && found_none(start));
    }
    heap_map_free(&map);
}

TEST(heap_map, what_was_not_noted_is_not_struck_off)
{
    heap_map_note(&map, pointer(0x100000), 10000);
    ck_assert_uint_eq(heap_map_strike(&map, pointer(0x100010)), 0); /* where its length lies */
    ck_assert_uint_eq(heap_map_strike(&map, pointer(0x100800)), 0);
    ck_assert_uint_eq(heap_map_strike(&map, pointer(0x900000)), 0);
    ck_assert_uint_eq(heap_map_strike(&map, pointer(40 * LEAF_BYTES)), 0);
    ck_assert(found(0x102700, 0x100000, 10000) && !load_relaxed(&map.broken));
    heap_map_free(&map);
}

TEST(heap_map, an_address_that_cannot_be_noted_is_not_forgotten)
{
    static struct heap_map other;
    heap_map_note(&other, pointer(0x10008), 8);
    ck_assert(load_relaxed(&other.broken));
    store_relaxed(&other.broken, 0);
    heap_map_note(&other, pointer(UINT64_C(1) << 52), 8);
    ck_assert(load_relaxed(&other.broken));
    struct heap_range chunk;
    ck_assert(!heap_map_find(&other, UINT64_C(1) << 52, &chunk) && !heap_map_find(&other, UINT64_MAX, &chunk));
    ck_assert_uint_eq(heap_map_strike(&other, pointer(UINT64_MAX)), 0);
}

TEST(heap_map, marks_are_of_chunks_and_can_be_taken_away)
{
    heap_map_note(&map, pointer(0x20000), 16);
    heap_map_note(&map, pointer(0x20010), 16);
    ck_assert(!heap_map_is_marked(&map, 0x20000) && !heap_map_mark(&map, 0x20000));
    ck_assert(heap_map_mark(&map, 0x20000) && heap_map_is_marked(&map, 0x20000) && !heap_map_is_marked(&map, 0x20010));
    heap_map_marks_clear(&map);
    ck_assert(!heap_map_is_marked(&map, 0x20000) && found(0x20000, 0x20000, 16));
    ck_assert(!heap_map_mark(&map, UINT64_MAX) && !heap_map_is_marked(&map, 70 * LEAF_BYTES));
    heap_map_free(&map);
}

/* ---- Against the list -------------------------------------------------------------------------------------------- */

/* The index of the first chunk that begins above the address. */
static int chunk_above(uint64_t address)
{
    int i = 0;
    while (i < chunk_count && chunks[i].start <= address)
        i++;
    return i;
}

static void expect_address(uint64_t address)
{
    struct heap_range chunk = { 0 };
    int i = chunk_above(address) - 1;
    bool in = i >= 0 && address - chunks[i].start <= chunks[i].bytes;
    if (heap_map_find(&map, address, &chunk) != in || (in && memcmp(&chunk, &chunks[i], sizeof chunk) != 0))
        ck_abort_msg("0x%llx: chunk 0x%llx of %llu, found 0x%llx of %llu", (unsigned long long)address,
                     in ? (unsigned long long)chunks[i].start : 0, in ? (unsigned long long)chunks[i].bytes : 0,
                     (unsigned long long)chunk.start, (unsigned long long)chunk.bytes);
}

static uint64_t random_bytes(void)
{
    static const uint64_t most[] = { 32, 32, 200, 200, 3000, 70000, 300000, 20000000, 3 * LEAF_BYTES };
    return 1 + random_below(most[random_below(sizeof most / sizeof most[0])]);
}

/* Small places, and the borders of leaves, so that chunks come to lie where others were. */
static uint64_t random_start(void)
{
    static const uint64_t bases[] = { 0x1000, 3 * LEAF_BYTES - 0x8000, 4 * LEAF_BYTES, 131000 * LEAF_BYTES - 0x200000 };
    static const uint64_t widths[] = { 0x1000, 0x10000, 0x400000, LEAF_BYTES };
    return (bases[random_below(4)] + random_below(widths[random_below(4)])) & ~UINT64_C(15);
}

static void try_to_note(void)
{
    uint64_t asked = random_bytes(), bytes = (asked + 15) / 16 * 16, start = random_start();
    int i = chunk_above(start);
    if (chunk_count == CHUNKS_MAX || (i > 0 && start < chunks[i - 1].start + chunks[i - 1].bytes) ||
        (i < chunk_count && chunks[i].start < start + bytes))
        return;
    memmove(&chunks[i + 1], &chunks[i], (size_t)(chunk_count++ - i) * sizeof chunks[0]);
    chunks[i] = (struct heap_range){ start, bytes };
    heap_map_note(&map, pointer(start), asked);
}

static void strike_one(void)
{
    if (!chunk_count)
        return;
    int i = (int)random_below((uint64_t)chunk_count);
    if (heap_map_strike(&map, pointer(chunks[i].start)) * 16 != chunks[i].bytes)
        ck_abort_msg("0x%llx was not struck off", (unsigned long long)chunks[i].start);
    memmove(&chunks[i], &chunks[i + 1], (size_t)(--chunk_count - i) * sizeof chunks[0]);
}

static void expect_all(void)
{
    struct heap_range chunk;
    uint64_t cursor = 0;
    for (int i = 0; i < chunk_count; i++)
        if (!heap_map_next(&map, &cursor, &chunk) || memcmp(&chunk, &chunks[i], sizeof chunk) != 0)
            ck_abort_msg("chunk %d is 0x%llx, not 0x%llx", i, (unsigned long long)chunks[i].start,
                         (unsigned long long)chunk.start);
    if (heap_map_next(&map, &cursor, &chunk))
        ck_abort_msg("0x%llx is none", (unsigned long long)chunk.start);
}

TEST_TIMEOUT(heap_map, random_chunks_are_found_and_gone_over_as_in_a_list, 120)
{
    for (int round = 0; round < 60; round++) {
        for (int i = 0; i < 500; i++) {
            if (random_below(100) < (round % 3 == 2 ? 35u : 70u))
                try_to_note();
            else
                strike_one();
            for (int k = 0; k < 4; k++)
                expect_address(random_start() + random_below(16));
            if (chunk_count) {
                const struct heap_range *one = &chunks[random_below((uint64_t)chunk_count)];
                expect_address(one->start + random_below(one->bytes + 2));
                expect_address(one->start - 1);
                expect_address(one->start + one->bytes);
            }
        }
        expect_all();
    }
    ck_assert(!load_relaxed(&map.broken));
    heap_map_free(&map);
}
