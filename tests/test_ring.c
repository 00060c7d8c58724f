/* The producer's side of a ring: what is committed, what is lost, and how both are counted. */
#define _GNU_SOURCE
#include "run.h"

#include "trace/events.h"
#include "trace/ring.h"

#include <gmptrace/trace.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TINY (2 * SUBBUFFER_BYTES)

static struct segment segment;
static struct ring ring;

static void open_ring(size_t ring_bytes)
{
    ck_assert_int_eq(segment_create(&segment, -1, 1, ring_bytes, 4), 0);
    segment.header->clock = SEGMENT_CLOCK_MONOTONIC;
    segment_publish(&segment);
    ring_init(&ring, &segment, 0);
}

static void close_ring(void)
{
    ring_destroy(&ring);
    close(segment.fd);
    segment_close(&segment);
}

static void emit_yield(uint64_t ticks) { ring_emit(&ring, GMPT_EVENT_go_yield, ticks, 0, 0, 0, 0, 0); }

struct record {
    unsigned code;
    uint64_t ticks, fields[GMPT_EVENT_FIELDS_MAX];
};

/* Decodes sub-buffer sequence; calls each for every record. Fails the test unless its records are whole and as many as
 * it says. Returns their number. */
static uint64_t decode(uint64_t sequence, void (*each)(const struct record *record))
{
    struct subbuffer *head = segment_subbuffer(&segment, 0, sequence);
    uint64_t commit = load_acquire(&head->commit), count = 0;
    REQUIRE(head->magic == SUBBUFFER_MAGIC);
    REQUIRE(head->sequence == sequence);
    const uint8_t *p = (const uint8_t *)(head + 1), *end = p + (commit & UINT32_MAX);
    REQUIRE((commit & UINT32_MAX) + sizeof *head <= SUBBUFFER_BYTES);
    struct record record = { .ticks = head->base_ticks };
    while (p < end) {
        uint64_t delta;
        p = event_decode(p, end, &record.code, &delta, record.fields);
        REQUIRE(p != NULL);
        record.ticks += delta;
        if (each)
            each(&record);
        count++;
    }
    REQUIRE(p == end);
    REQUIRE(count == commit >> 32);
    return count;
}

static struct record seen[64];
static int seen_count;

static void keep_record(const struct record *record)
{
    if (seen_count < 64)
        seen[seen_count] = *record;
    seen_count++;
}

TEST(ring, is_empty_before_its_first_record)
{
    open_ring(TINY);
    ck_assert_uint_eq(load_relaxed(&segment.rings[0].opened), 0);
    ck_assert_uint_eq(load_relaxed(&segment.rings[0].lost), 0);
    close_ring();
}

TEST(ring, every_record_is_committed_whole_and_counted)
{
    open_ring(TINY);
    for (uint64_t i = 1; i <= 500; i++) {
        if (i % 3)
            ring_emit(&ring, GMPT_EVENT_go_unblock, i * 1000, 4, 2, UINT64_MAX - i, 1, i);
        else
            emit_yield(i * 1000);
        REQUIRE(decode(0, NULL) == i);
    }
    REQUIRE(load_relaxed(&segment.rings[0].opened) == 1);
    close_ring();
}

TEST(ring, fields_and_times_come_back)
{
    open_ring(TINY);
    ring_emit(&ring, GMPT_EVENT_go_create, 5000, 3, UINT64_MAX, 0, 127, 0);
    ring_emit(&ring, GMPT_EVENT_proc_start, 5000, 1, 128, 0, 0, 0);
    emit_yield(1ull << 60);
    decode(0, keep_record);
    ck_assert_int_eq(seen_count, 3);
    ck_assert_uint_eq(seen[0].code, GMPT_EVENT_go_create);
    ck_assert_uint_eq(seen[0].ticks, 5000);
    ck_assert_uint_eq(seen[0].fields[0], UINT64_MAX);
    ck_assert_uint_eq(seen[0].fields[1], 0);
    ck_assert_uint_eq(seen[0].fields[2], 127);
    ck_assert_uint_eq(seen[1].ticks, 5000);
    ck_assert_uint_eq(seen[1].fields[0], 128);
    ck_assert_uint_eq(seen[2].ticks, 1ull << 60);
    close_ring();
}

TEST(ring, time_does_not_step_back)
{
    open_ring(TINY);
    emit_yield(1000);
    emit_yield(900); /* the P's next CPU is behind */
    emit_yield(1100);
    decode(0, keep_record);
    ck_assert_uint_eq(seen[1].ticks, 1000);
    ck_assert_uint_eq(seen[2].ticks, 1100);
    close_ring();
}

TEST(ring, time_does_not_step_back_from_one_sub_buffer_to_the_next)
{
    open_ring(4 * SUBBUFFER_BYTES);
    while (load_relaxed(&segment.rings[0].opened) < 2)
        emit_yield(5000000);
    uint64_t first_end = 5000000;
    ck_assert_uint_ge(segment_subbuffer(&segment, 0, 1)->base_ticks, first_end);
    while (load_relaxed(&segment.rings[0].opened) < 3)
        emit_yield(10); /* far behind */
    ck_assert_uint_ge(segment_subbuffer(&segment, 0, 2)->base_ticks, first_end);
    close_ring();
}

static uint32_t described;

static void describe(const struct ring *r, struct subbuffer *head)
{
    ck_assert_ptr_eq(r, &ring);
    head->current_g = 1000 + described;
    head->current_seq = described;
    head->tid = 7;
    described++;
}

TEST(ring, a_head_tells_where_it_stands)
{
    open_ring(4 * SUBBUFFER_BYTES);
    ring.describe = describe;
    uint64_t ticks = 777;
    while (load_relaxed(&segment.rings[0].opened) < 3)
        emit_yield(ticks++);
    for (uint64_t i = 0; i < 3; i++) {
        struct subbuffer *head = segment_subbuffer(&segment, 0, i);
        ck_assert_uint_eq(head->ring, 0);
        ck_assert_uint_eq(head->sequence, i);
        ck_assert_uint_eq(head->current_g, 1000 + i);
        ck_assert_uint_eq(head->current_seq, i);
        ck_assert_uint_eq(head->tid, 7);
        ck_assert_uint_eq(head->lost_before, 0);
        ck_assert_uint_gt(decode(i, NULL), 0);
    }
    ck_assert_uint_eq(segment_subbuffer(&segment, 0, 0)->base_ticks, 777);
    close_ring();
}

/* ---- losses ---- */

/* Emits until the ring with nobody to empty it is full. Returns how many records were kept. */
static uint64_t fill_ring(void)
{
    uint64_t emitted = 0;
    while (load_relaxed(&segment.rings[0].lost) == 0) {
        emit_yield(emitted);
        emitted++;
    }
    return emitted - 1;
}

TEST(ring, a_full_ring_drops_the_newest_and_counts_it)
{
    open_ring(TINY);
    uint64_t kept = fill_ring();
    for (uint64_t i = 0; i < 1000; i++)
        emit_yield(1u << 20);
    ck_assert_uint_eq(decode(0, NULL) + decode(1, NULL), kept);
    ck_assert_uint_eq(load_relaxed(&segment.rings[0].lost), 1001);
    ck_assert_uint_eq(load_relaxed(&segment.rings[0].opened), 2);
    close_ring();
}

TEST(ring, the_first_record_with_room_again_comes_after_a_lost_record)
{
    open_ring(TINY);
    uint64_t kept = fill_ring();
    emit_yield(2000000);
    emit_yield(3000000);
    store_release(&segment.rings[0].consumed, 1);
    emit_yield(4000000);
    decode(2, keep_record);
    ck_assert_int_eq(seen_count, 2);
    ck_assert_uint_eq(seen[0].code, GMPT_EVENT_lost);
    ck_assert_uint_eq(seen[0].fields[0], 3);
    ck_assert_uint_eq(seen[0].fields[1], 3000000 - kept);
    ck_assert_uint_eq(seen[1].code, GMPT_EVENT_go_yield);
    ck_assert_uint_eq(seen[1].ticks, 4000000);
    ck_assert_uint_eq(segment_subbuffer(&segment, 0, 2)->lost_before, 3);
    close_ring();
}

static uint64_t kept_total, marked_total;

static void add_up(const struct record *record)
{
    if (record->code == GMPT_EVENT_lost)
        marked_total += record->fields[0];
    else
        kept_total++;
}

TEST(ring, emitted_is_kept_plus_lost_with_a_consumer_that_stops_at_times)
{
    open_ring(4 * SUBBUFFER_BYTES);
    uint64_t emitted = 0, consumed = 0;
    uint32_t random_state = 1;
    for (int round = 0; round < 400; round++) {
        random_state = random_state * 1664525 + 1013904223;
        uint32_t burst = random_state >> 17;
        for (uint32_t i = 0; i < burst; i++, emitted++)
            ring_emit(&ring, GMPT_EVENT_go_start, emitted * 3, 2, emitted, i, 0, 0);
        if (random_state >> 8 & 1)
            continue; /* it stops */
        uint64_t opened = load_acquire(&segment.rings[0].opened);
        while (consumed + 1 < opened) { /* the last one is still being written */
            decode(consumed++, add_up);
            store_release(&segment.rings[0].consumed, consumed);
        }
    }
    uint64_t opened = load_acquire(&segment.rings[0].opened), lost = load_relaxed(&segment.rings[0].lost);
    while (consumed < opened)
        decode(consumed++, add_up);
    ck_assert_uint_gt(lost, 0);
    ck_assert_uint_eq(emitted, kept_total + lost);
    ck_assert_uint_le(marked_total, lost);
    ck_assert_uint_eq(lost - marked_total, ring.lost_pending); /* only those after the last success are untold */
    close_ring();
}

TEST(ring, a_consumer_that_lies_does_no_harm)
{
    static const uint64_t lies[] = { UINT64_MAX, 1000, 3, (uint64_t)1 << 63, 0 };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        open_ring(TINY);
        store_release(&segment.rings[0].consumed, lies[i]);
        static const uint8_t zeroes[TINY];
        for (uint64_t n = 0; n < 200000; n++)
            ring_emit(&ring, GMPT_EVENT_go_start, n, 2, n, n, 0, 0);
        ck_assert_mem_eq(segment.subbuffer_base + TINY, zeroes, TINY); /* the next ring's, which is empty */
        close_ring();
    }
}

TEST(ring, the_largest_records_stay_inside_their_sub_buffer)
{
    open_ring(TINY);
    uint64_t ticks = 0;
    while (load_relaxed(&segment.rings[0].lost) == 0) {
        ring_emit(&ring, GMPT_EVENT_go_unblock, ticks, 4, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX);
        ticks = ticks ? ticks : UINT64_MAX / 2;
    }
    decode(0, NULL);
    decode(1, NULL);
    close_ring();
}

TEST(ring, prefaulting_writes_nothing)
{
    open_ring(TINY);
    static const uint8_t zeroes[TINY];
    ring_prefault(&ring);
    ck_assert_mem_eq(segment.subbuffer_base, zeroes, TINY);
    emit_yield(1);
    ck_assert_uint_eq(decode(0, NULL), 1);
    close_ring();
}

static ATOMIC(uint32_t) emitter_ended;

static void *emit_a_million(void *arg)
{
    (void)arg;
    for (uint64_t i = 1; i <= 1000000; i++)
        ring_emit(&ring, GMPT_EVENT_go_start, i, 2, i, i * i, 0, 0);
    store_release(&emitter_ended, 1);
    return NULL;
}

static uint64_t last_first_field;

static void expect_growing(const struct record *record)
{
    if (record->code == GMPT_EVENT_lost)
        return;
    REQUIRE(record->code == GMPT_EVENT_go_start);
    REQUIRE(record->fields[0] > last_first_field);
    REQUIRE(record->fields[1] == record->fields[0] * record->fields[0]);
    last_first_field = record->fields[0];
    kept_total++;
}

TEST(ring, a_consumer_beside_the_producer_sees_whole_records_only)
{
    pthread_t thread;
    uint64_t consumed = 0;
    open_ring(TINY);
    ck_assert_int_eq(pthread_create(&thread, NULL, emit_a_million, NULL), 0);
    for (bool last = false; !last;) {
        last = load_acquire(&emitter_ended);
        uint64_t opened = load_acquire(&segment.rings[0].opened);
        if (opened == 0)
            continue;
        if (consumed + 1 == opened && !last)
            decode(consumed, NULL); /* still growing: what is committed must be whole all the same */
        for (; consumed + !last < opened; consumed++) {
            decode(consumed, expect_growing);
            store_release(&segment.rings[0].consumed, consumed + 1);
        }
    }
    pthread_join(thread, NULL);
    ck_assert_uint_eq(kept_total + load_relaxed(&segment.rings[0].lost), 1000000);
    close_ring();
}

/* ---- stacks ---- */

TEST(ring, the_same_stack_has_the_same_ordinal)
{
    open_ring(TINY);
    uint64_t a[] = { 1, 2, 3 }, b[] = { 1, 2, 4 }, c[] = { 3, 2, 1 };
    uint32_t first = ring_stack(&ring, a, 3);
    ck_assert_uint_eq(first, 1);
    ck_assert_uint_eq(ring_stack(&ring, b, 3), 2);
    ck_assert_uint_eq(ring_stack(&ring, c, 3), 3);
    ck_assert_uint_eq(ring_stack(&ring, a, 2), 4); /* a beginning of another is another */
    ck_assert_uint_eq(ring_stack(&ring, a, 3), first);
    ck_assert_uint_eq(ring_stack(&ring, b, 3), 2);
    ck_assert_uint_eq(ring_stack(&ring, a, 0), 0);
    close_ring();
}

TEST(ring, the_table_holds_the_stacks_in_their_order)
{
    open_ring(TINY);
    for (uint64_t i = 1; i <= 1000; i++) {
        uint64_t pc[STACK_DEPTH_MAX];
        for (uint32_t j = 0; j < STACK_DEPTH_MAX; j++)
            pc[j] = i * 1000 + j;
        REQUIRE(ring_stack(&ring, pc, 1 + i % STACK_DEPTH_MAX) == i);
    }
    const uint64_t *word = segment_stacks(&segment, 0);
    const uint64_t *end = word + load_relaxed(&segment.rings[0].stacks_used);
    for (uint64_t i = 1; i <= 1000; i++) {
        uint64_t count = *word++;
        REQUIRE(count == 1 + i % STACK_DEPTH_MAX);
        for (uint32_t j = 0; j < count; j++)
            REQUIRE(*word++ == i * 1000 + j);
    }
    REQUIRE(word == end);
    REQUIRE(load_relaxed(&segment.rings[0].stacks_lost) == 0);
    close_ring();
}

TEST(ring, a_full_table_of_stacks_is_counted_and_old_ones_are_still_found)
{
    open_ring(TINY);
    uint64_t pc[3] = { 0, 7, 9 };
    uint32_t entered = 0;
    for (; pc[0] < 2 * RING_STACK_SLOTS; pc[0]++) {
        uint32_t ordinal = ring_stack(&ring, pc, 3);
        if (ordinal)
            REQUIRE(ordinal == ++entered);
    }
    REQUIRE(entered == RING_STACK_SLOTS / 2);
    REQUIRE(load_relaxed(&segment.rings[0].stacks_lost) == 2 * RING_STACK_SLOTS - entered);
    pc[0] = 5;
    REQUIRE(ring_stack(&ring, pc, 3) == 6);
    close_ring();
}

TEST(ring, deep_stacks_fill_the_words_of_the_table_and_no_more)
{
    open_ring(TINY);
    uint64_t pc[STACK_DEPTH_MAX] = { 0 };
    while (load_relaxed(&segment.rings[0].stacks_lost) == 0) {
        pc[0]++;
        ring_stack(&ring, pc, STACK_DEPTH_MAX);
    }
    ck_assert_uint_le(load_relaxed(&segment.rings[0].stacks_used), segment.stacks_words);
    ck_assert_uint_eq(segment_stacks(&segment, 1)[0], 0); /* the next ring's table is untouched */
    close_ring();
}
