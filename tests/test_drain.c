/* The drain against a target made here: real producers in the same process, and segments that lie. */
#define _GNU_SOURCE
#include "harness.h"

#include "trace/drain.h"
#include "trace/ring.h"

#include <gmptrace/trace.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define RING_BYTES (4 * SUBBUFFER_BYTES)

/* A target with one P, so ring 0 is the P's and ring 1 the one without a P, and a drain on a mapping of its own. */
struct fixture {
    struct segment target, outside;
    struct ring ring[2];
    struct drain *drain;
};

static void fixture_open_sized(struct fixture *f, size_t ring_bytes)
{
    const char *why;
    memset(f, 0, sizeof *f);
    ck_assert_int_eq(segment_create(&f->target, -1, 1, ring_bytes, 16), 0);
    f->target.header->clock = SEGMENT_CLOCK_MONOTONIC;
    segment_publish(&f->target);
    ck_assert_int_eq(segment_open(&f->outside, f->target.fd, &why), 0);
    for (uint32_t i = 0; i < 2; i++)
        ring_init(&f->ring[i], &f->target, i);
    f->drain = drain_open(&f->outside, 0, false);
    ck_assert_ptr_nonnull(f->drain);
}

static void fixture_open(struct fixture *f) { fixture_open_sized(f, RING_BYTES); }

static void fixture_close(struct fixture *f)
{
    int fd = f->target.fd;
    drain_close(f->drain);
    ring_destroy(&f->ring[0]);
    ring_destroy(&f->ring[1]);
    segment_close(&f->outside);
    segment_close(&f->target);
    close(fd);
}

static void emit(struct ring *ring, enum gmpt_event_type type, uint64_t ticks, uint64_t a, uint64_t b)
{
    switch (type) {
    case GMPT_EVENT_go_create:
        ring_emit(ring, GMPT_EVENT_go_create, ticks, 3, a, b, 0, 0);
        break;
    case GMPT_EVENT_proc_steal:
    case GMPT_EVENT_go_start:
    case GMPT_EVENT_syscall_resume:
    case GMPT_EVENT_syscall_exit:
    case GMPT_EVENT_go_attach:
    case GMPT_EVENT_go_attach_wait:
        ring_emit(ring, (uint8_t)type, ticks, 2, a, b, 0, 0);
        break;
    case GMPT_EVENT_go_unblock:
        ring_emit(ring, GMPT_EVENT_go_unblock, ticks, 4, a, b, 0, 0);
        break;
    case GMPT_EVENT_go_block:
        ring_emit_fields(ring, GMPT_EVENT_go_block, ticks, (const uint64_t[]){ a, b, 0, 0, 0 }, 5);
        break;
    case GMPT_EVENT_proc_start:
    case GMPT_EVENT_syscall_begin:
        ring_emit(ring, (uint8_t)type, ticks, 1, a, 0, 0, 0);
        break;
    default:
        ring_emit(ring, (uint8_t)type, ticks, 0, 0, 0, 0, 0);
        break;
    }
}

static void round_run(struct fixture *f)
{
    drain_begin(f->drain);
    ck_assert(drain_collect(f->drain));
}

/* One whose file is thrown away. */
static struct writer *scratch_writer(void)
{
    struct writer_info info = { .p_count = 1, .clock = SEGMENT_CLOCK_MONOTONIC };
    return writer_open(memfd_create("trace", MFD_CLOEXEC), &info, 1);
}

/* Drains and throws away, until a round brings nothing. */
static void drain_all(struct fixture *f)
{
    struct writer *writer = scratch_writer();
    struct writer_clock clock = { 1, 1, 1 };
    ck_assert_ptr_nonnull(writer);
    for (int i = 0; i < 3; i++) {
        drain_begin(f->drain);
        while (!drain_collect(f->drain))
            ck_assert_int_eq(drain_write(f->drain, writer, &clock), 0);
        ck_assert_int_eq(drain_write(f->drain, writer, &clock), 0);
    }
    ck_assert_int_eq(writer_close(writer), 0);
}

/* The state that a reader of the file starts the part after this event with. */
static struct writer_events state_after(enum gmpt_event_type type, uint64_t a, uint64_t b)
{
    struct fixture f;
    fixture_open(&f);
    emit(&f.ring[0], GMPT_EVENT_proc_start, 100, 77, 0);
    emit(&f.ring[0], GMPT_EVENT_go_start, 110, 5, 8);
    emit(&f.ring[0], type, 150, a, b);
    round_run(&f);
    emit(&f.ring[0], GMPT_EVENT_proc_stop, 200, 0, 0);
    round_run(&f);
    ck_assert_ptr_nonnull(drain_part(f.drain, 1));
    struct writer_events events = *drain_part(f.drain, 1);
    ck_assert_uint_eq(events.count, 1);
    ck_assert_uint_eq(drain_counts(f.drain).damaged, 0);
    fixture_close(&f);
    return events;
}

TEST(drain, empty_segment_gives_nothing)
{
    struct fixture f;
    fixture_open(&f);
    round_run(&f);
    ck_assert_ptr_null(drain_part(f.drain, 0));
    ck_assert_uint_eq(drain_pending(f.drain), 0);
    ck_assert_uint_eq(drain_counts(f.drain).damaged, 0);
    fixture_close(&f);
}

TEST(drain, open_subbuffer_is_taken_as_far_as_committed)
{
    struct fixture f;
    fixture_open(&f);
    emit(&f.ring[0], GMPT_EVENT_go_create, 1000, 5, 0x1234);
    emit(&f.ring[0], GMPT_EVENT_go_start, 1010, 5, 2);
    round_run(&f);
    const struct writer_events *part = drain_part(f.drain, 0);
    ck_assert_ptr_nonnull(part);
    ck_assert_uint_eq(part->ring, 0);
    ck_assert_uint_eq(part->sequence, 0);
    ck_assert_uint_eq(part->offset, 0);
    ck_assert_uint_eq(part->base_ticks, 1000);
    ck_assert_uint_eq(part->count, 2);
    ck_assert_uint_eq(part->bytes[0], GMPT_EVENT_go_create);
    ck_assert_ptr_null(drain_part(f.drain, 1));
    fixture_close(&f);
}

TEST(drain, nothing_is_taken_twice)
{
    struct fixture f;
    fixture_open(&f);
    emit(&f.ring[0], GMPT_EVENT_go_create, 1000, 5, 0);
    round_run(&f);
    round_run(&f);
    ck_assert_ptr_null(drain_part(f.drain, 1));
    ck_assert_uint_eq(drain_counts(f.drain).kept, 1);
    fixture_close(&f);
}

TEST(drain, second_part_continues_at_the_offset)
{
    struct fixture f;
    fixture_open(&f);
    emit(&f.ring[0], GMPT_EVENT_go_create, 1000, 5, 0);
    round_run(&f);
    uint32_t size = (uint32_t)drain_part(f.drain, 0)->size;
    emit(&f.ring[0], GMPT_EVENT_go_start, 1500, 5, 2);
    round_run(&f);
    const struct writer_events *part = drain_part(f.drain, 1);
    ck_assert_ptr_nonnull(part);
    ck_assert_uint_eq(part->sequence, 0);
    ck_assert_uint_eq(part->offset, size);
    ck_assert_uint_eq(part->base_ticks, 1000);
    ck_assert_uint_eq(part->count, 1);
    fixture_close(&f);
}

TEST(drain, start_sets_current_g)
{
    struct writer_events events = state_after(GMPT_EVENT_proc_steal, 0, 0);
    ck_assert_uint_eq(events.current_g, 5);
    ck_assert_uint_eq(events.current_seq, 8);
    ck_assert_uint_eq(events.tid, 77);
    ck_assert_uint_eq(events.base_ticks, 150);
}

TEST(drain, yield_clears_current_g)
{
    struct writer_events events = state_after(GMPT_EVENT_go_yield, 0, 0);
    ck_assert_uint_eq(events.current_g, 0);
}

TEST(drain, preempt_clears_current_g)
{
    struct writer_events events = state_after(GMPT_EVENT_go_preempt, 0, 0);
    ck_assert_uint_eq(events.current_g, 0);
}

TEST(drain, preempt_by_signal_clears_current_g)
{
    struct writer_events events = state_after(GMPT_EVENT_go_preempt_async, 0, 0);
    ck_assert_uint_eq(events.current_g, 0);
}

TEST(drain, detach_clears_current_g)
{
    struct writer_events events = state_after(GMPT_EVENT_go_detach, 0, 0);
    ck_assert_uint_eq(events.current_g, 0);
}

TEST(drain, attach_sets_current_g)
{
    struct writer_events events = state_after(GMPT_EVENT_go_attach, 6, 41);
    ck_assert_uint_eq(events.current_g, 6);
    ck_assert_uint_eq(events.current_seq, 41);
}

TEST(drain, block_clears_current_g)
{
    struct writer_events events = state_after(GMPT_EVENT_go_block, GMPT_WAIT_chan_recv, 0xabc);
    ck_assert_uint_eq(events.current_g, 0);
}

TEST(drain, exit_clears_current_g)
{
    struct writer_events events = state_after(GMPT_EVENT_go_exit, 0, 0);
    ck_assert_uint_eq(events.current_g, 0);
}

TEST(drain, create_leaves_the_current_g)
{
    struct writer_events events = state_after(GMPT_EVENT_go_create, 9, 0);
    ck_assert_uint_eq(events.current_g, 5);
    ck_assert_uint_eq(events.current_seq, 8);
}

TEST(drain, unblock_leaves_the_current_g)
{
    struct writer_events events = state_after(GMPT_EVENT_go_unblock, 9, 3);
    ck_assert_uint_eq(events.current_g, 5);
    ck_assert_uint_eq(events.current_seq, 8);
}

TEST(drain, syscall_begin_counts_a_transition)
{
    struct writer_events events = state_after(GMPT_EVENT_syscall_begin, 0, 0);
    ck_assert_uint_eq(events.current_g, 5);
    ck_assert_uint_eq(events.current_seq, 9);
}

TEST(drain, syscall_resume_sets_current_g)
{
    struct writer_events events = state_after(GMPT_EVENT_syscall_resume, 6, 41);
    ck_assert_uint_eq(events.current_g, 6);
    ck_assert_uint_eq(events.current_seq, 41);
}

TEST(drain, retaken_p_forgets_the_g_of_the_call)
{
    struct fixture f;
    fixture_open(&f);
    emit(&f.ring[0], GMPT_EVENT_go_start, 10, 5, 2);
    emit(&f.ring[0], GMPT_EVENT_syscall_begin, 20, 0, 0);
    emit(&f.ring[0], GMPT_EVENT_proc_start, 30, 99, 0);
    round_run(&f);
    emit(&f.ring[0], GMPT_EVENT_proc_stop, 40, 0, 0);
    round_run(&f);
    ck_assert_uint_eq(drain_part(f.drain, 1)->current_g, 0);
    ck_assert_uint_eq(drain_part(f.drain, 1)->tid, 99);
    fixture_close(&f);
}

TEST(drain, transition_number_wraps_at_32_bits)
{
    struct fixture f;
    fixture_open(&f);
    emit(&f.ring[0], GMPT_EVENT_go_start, 10, 5, UINT32_MAX);
    emit(&f.ring[0], GMPT_EVENT_syscall_begin, 20, 0, 0);
    round_run(&f);
    emit(&f.ring[0], GMPT_EVENT_syscall_end, 40, 0, 0);
    round_run(&f);
    ck_assert_uint_eq(drain_part(f.drain, 1)->current_seq, 0);
    fixture_close(&f);
}

/* Fills ring 0 without draining; returns the number of records emitted, lost ones too. */
static uint64_t fill(struct fixture *f, uint64_t records)
{
    for (uint64_t i = 0; i < records; i++)
        emit(&f->ring[0], GMPT_EVENT_go_unblock, 1000 + i * 200, 1000000 + i, 300);
    return records;
}

TEST(drain, whole_subbuffers_are_given_back_once_they_are_written)
{
    struct fixture f;
    fixture_open(&f);
    fill(&f, 20000);
    ck_assert_uint_ge(f.ring[0].opened, 3);
    round_run(&f);
    ck_assert_uint_eq(load_relaxed(&f.target.rings[0].consumed), 0);
    ck_assert(drain_holds_much(f.drain));
    drain_all(&f);
    ck_assert(!drain_holds_much(f.drain));
    ck_assert_uint_eq(load_relaxed(&f.target.rings[0].consumed), f.ring[0].opened - 1);
    ck_assert_uint_eq(drain_counts(f.drain).kept, 20000);
    ck_assert_uint_eq(drain_counts(f.drain).lost, 0);
    fixture_close(&f);
}

TEST(drain, ring_goes_round_without_loss_when_drained_in_time)
{
    struct fixture f;
    fixture_open(&f);
    uint64_t emitted = 0;
    for (int i = 0; i < 50; i++) {
        emitted += fill(&f, 5000);
        drain_all(&f);
    }
    ck_assert_uint_gt(f.ring[0].opened, 3 * f.target.subbuffers);
    ck_assert_uint_eq(drain_counts(f.drain).kept, emitted);
    ck_assert_uint_eq(drain_counts(f.drain).lost, 0);
    ck_assert_uint_eq(drain_counts(f.drain).damaged, 0);
    fixture_close(&f);
}

TEST(drain, full_ring_keeps_the_account)
{
    struct fixture f;
    struct writer_ring_end ends[2];
    fixture_open(&f);
    uint64_t emitted = fill(&f, 100000);
    drain_all(&f);
    emitted += fill(&f, 10);
    drain_all(&f);
    struct drain_counts counts = drain_counts(f.drain);
    drain_ends(f.drain, ends);
    ck_assert_uint_gt(counts.lost, 0);
    ck_assert_uint_eq(counts.kept + counts.lost, emitted);
    ck_assert_uint_eq(counts.marked, counts.lost);
    ck_assert_uint_eq(ends[0].emitted, emitted);
    ck_assert_uint_eq(ends[0].lost, counts.lost);
    ck_assert_uint_eq(ends[1].emitted, 0);
    ck_assert_uint_eq(counts.damaged, 0);
    fixture_close(&f);
}

TEST(drain, last_loss_needs_no_marker)
{
    struct fixture f;
    struct writer_ring_end ends[2];
    fixture_open(&f);
    uint64_t emitted = fill(&f, 100000);
    drain_all(&f);
    struct drain_counts counts = drain_counts(f.drain);
    drain_ends(f.drain, ends);
    ck_assert_uint_eq(counts.marked, 0);
    ck_assert_uint_gt(counts.lost, 0);
    ck_assert_uint_eq(ends[0].emitted, emitted);
    ck_assert_uint_eq(drain_counts(f.drain).damaged, 0);
    fixture_close(&f);
}

TEST(drain, losses_again_and_again_keep_the_account)
{
    struct fixture f;
    fixture_open(&f);
    uint64_t emitted = 0;
    for (int i = 0; i < 12; i++) {
        emitted += fill(&f, 60000);
        drain_all(&f);
    }
    struct drain_counts counts = drain_counts(f.drain);
    ck_assert_uint_gt(counts.marked, 0);
    ck_assert_uint_eq(counts.kept + counts.lost, emitted);
    ck_assert_uint_eq(counts.damaged, 0);
    fixture_close(&f);
}

TEST(drain, marker_that_tells_too_little_is_damage)
{
    struct fixture f;
    fixture_open(&f);
    fill(&f, 100000);
    drain_all(&f);
    f.ring[0].lost_pending--;
    fill(&f, 1);
    drain_all(&f);
    ck_assert_uint_eq(drain_counts(f.drain).damaged, 1);
    ck_assert_ptr_nonnull(strstr(drain_damage(f.drain), "lost"));
    fixture_close(&f);
}

TEST(drain, crowded_tells_of_a_quarter)
{
    struct fixture f;
    fixture_open_sized(&f, 16 * SUBBUFFER_BYTES);
    fill(&f, 100);
    drain_begin(f.drain);
    ck_assert(!drain_crowded(f.drain));
    fill(&f, 100000);
    drain_begin(f.drain);
    ck_assert(drain_crowded(f.drain));
    fixture_close(&f);
}

TEST(drain, full_batch_stops_and_goes_on)
{
    struct fixture f;
    fixture_open_sized(&f, 128 * SUBBUFFER_BYTES);
    uint64_t emitted = fill(&f, 700000), seen = 0;
    int batches = 0;
    struct writer_clock clock = { 1, 1, 1 };
    struct writer *writer = scratch_writer();
    drain_begin(f.drain);
    for (bool done = false; !done; batches++) {
        done = drain_collect(f.drain);
        const struct writer_events *part;
        for (uint32_t i = 0; (part = drain_part(f.drain, i)); i++)
            seen += part->count;
        ck_assert_uint_le(drain_pending(f.drain), DRAIN_BATCH_BYTES);
        ck_assert_int_eq(drain_write(f.drain, writer, &clock), 0);
        ck_assert_uint_eq(drain_pending(f.drain), 0);
    }
    writer_close(writer);
    ck_assert_int_ge(batches, 2);
    ck_assert_uint_eq(seen, emitted);
    fixture_close(&f);
}

TEST(drain, batches_are_small_as_long_as_there_is_room)
{
    struct fixture f;
    fixture_open_sized(&f, 128 * SUBBUFFER_BYTES);
    uint64_t emitted = fill(&f, 100000), seen = 0;
    struct writer_clock clock = { 1, 1, 1 };
    struct writer *writer = scratch_writer();
    drain_begin(f.drain);
    ck_assert(!drain_crowded(f.drain));
    for (bool done = false; !done;) {
        done = drain_collect(f.drain);
        const struct writer_events *part;
        for (uint32_t i = 0; (part = drain_part(f.drain, i)); i++)
            seen += part->count;
        ck_assert_uint_le(drain_pending(f.drain), DRAIN_BATCH_USUAL_BYTES);
        ck_assert_uint_gt(drain_pending(f.drain), 0);
        ck_assert_int_eq(drain_write(f.drain, writer, &clock), 0);
    }
    writer_close(writer);
    ck_assert_uint_eq(seen, emitted);
    fixture_close(&f);
}

TEST(drain, older_rings_come_first)
{
    struct fixture f;
    fixture_open(&f);
    emit(&f.ring[0], GMPT_EVENT_go_unblock, 5000, 1, 3);
    emit(&f.ring[1], GMPT_EVENT_go_unblock, 4000, 2, 3);
    round_run(&f);
    ck_assert_uint_eq(drain_part(f.drain, 0)->ring, 1);
    ck_assert_uint_eq(drain_part(f.drain, 1)->ring, 0);
    fixture_close(&f);
}

struct producer {
    struct ring *ring;
    uint64_t emitted;
    ATOMIC(uint32_t) done;
};

static void *producer_run(void *arg)
{
    struct producer *producer = arg;
    for (uint64_t i = 0; i < 400000; i++) {
        emit(producer->ring, GMPT_EVENT_go_unblock, 1000 + i, i, i & 0xffff);
        producer->emitted++;
    }
    store_release(&producer->done, 1);
    return NULL;
}

TEST(drain, running_producer_keeps_the_account)
{
    struct fixture f;
    fixture_open(&f);
    struct producer producer = { .ring = &f.ring[0] };
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, producer_run, &producer), 0);
    while (!load_acquire(&producer.done))
        drain_all(&f);
    pthread_join(thread, NULL);
    drain_all(&f);
    struct drain_counts counts = drain_counts(f.drain);
    ck_assert_uint_eq(counts.kept + counts.lost, producer.emitted);
    ck_assert_uint_eq(counts.damaged, 0);
    fixture_close(&f);
}

/* ---- Segments that lie ------------------------------------------------------------------------------------------ */

static struct subbuffer *first_subbuffer(struct fixture *f) { return segment_subbuffer(&f->target, 0, 0); }

/* One record in ring 0, then a lie, then what the drain says. */
static void expect_damage(void (*lie)(struct fixture *f), uint64_t kept, const char *words)
{
    struct fixture f;
    fixture_open(&f);
    emit(&f.ring[0], GMPT_EVENT_go_create, 1000, 5, 0);
    emit(&f.ring[1], GMPT_EVENT_go_unblock, 1000, 5, 3);
    lie(&f);
    drain_all(&f);
    ck_assert_uint_eq(drain_counts(f.drain).kept, kept);
    ck_assert_uint_eq(drain_counts(f.drain).damaged, 1);
    ck_assert_msg(strstr(drain_damage(f.drain), words), "'%s' without '%s'", drain_damage(f.drain), words);
    fixture_close(&f);
}

static void lie_magic(struct fixture *f) { first_subbuffer(f)->magic ^= 1; }
static void lie_sequence(struct fixture *f) { first_subbuffer(f)->sequence = 4; }
static void lie_ring(struct fixture *f) { first_subbuffer(f)->ring = 1; }
static void lie_length(struct fixture *f) { store_relaxed(&first_subbuffer(f)->commit, 1ull << 32 | 0x10000); }
static void lie_length_huge(struct fixture *f) { store_relaxed(&first_subbuffer(f)->commit, 1ull << 32 | UINT32_MAX); }
static void lie_count(struct fixture *f) { store_relaxed(&first_subbuffer(f)->commit, 0xffffffff00000006ull); }
static void lie_opened_back(struct fixture *f)
{
    drain_all(f);
    store_relaxed(&f->target.rings[0].consumed, 0);
    for (int i = 0; i < 8000; i++)
        emit(&f->ring[1], GMPT_EVENT_go_unblock, 2000000 + (uint64_t)i * 100000, 1ull << 60, 3);
    drain_all(f);
    store_relaxed(&f->target.rings[1].opened, 0);
}

TEST(drain, wrong_magic_is_damage) { expect_damage(lie_magic, 1, "ring 0, sub-buffer 0"); }
TEST(drain, wrong_sequence_is_damage) { expect_damage(lie_sequence, 1, "ring 0, sub-buffer 0"); }
TEST(drain, wrong_ring_is_damage) { expect_damage(lie_ring, 1, "ring 0, sub-buffer 0"); }
TEST(drain, committed_length_past_the_end_is_damage) { expect_damage(lie_length, 1, "cannot have been committed"); }
TEST(drain, huge_committed_length_is_damage) { expect_damage(lie_length_huge, 1, "cannot have been committed"); }
TEST(drain, more_records_than_bytes_is_damage) { expect_damage(lie_count, 1, "cannot have been committed"); }
TEST(drain, opened_that_goes_back_is_damage) { expect_damage(lie_opened_back, 8002, "ring 1 says that 0"); }

TEST(drain, wrong_record_count_is_damage)
{
    struct fixture f;
    fixture_open(&f);
    emit(&f.ring[0], GMPT_EVENT_go_create, 1000, 5, 0);
    uint32_t bytes = (uint32_t)load_relaxed(&first_subbuffer(&f)->commit);
    store_relaxed(&first_subbuffer(&f)->commit, 2ull << 32 | bytes);
    round_run(&f);
    ck_assert_uint_eq(drain_counts(f.drain).damaged, 1);
    ck_assert_uint_eq(drain_counts(f.drain).kept, 1);
    ck_assert_uint_eq(drain_counts(f.drain).dropped, 1);
    fixture_close(&f);
}

TEST(drain, unknown_event_ends_the_part_before_it)
{
    struct fixture f;
    struct writer_ring_end ends[2];
    fixture_open(&f);
    emit(&f.ring[0], GMPT_EVENT_go_create, 1000, 5, 0);
    emit(&f.ring[0], GMPT_EVENT_proc_stop, 1001, 0, 0);
    emit(&f.ring[0], GMPT_EVENT_proc_stop, 1002, 0, 0);
    uint8_t *records = (uint8_t *)(first_subbuffer(&f) + 1);
    records[(uint32_t)load_relaxed(&first_subbuffer(&f)->commit) - 4] = 0xee;
    round_run(&f);
    const struct writer_events *part = drain_part(f.drain, 0);
    ck_assert_uint_eq(part->count, 1);
    ck_assert_ptr_nonnull(strstr(drain_damage(f.drain), "no such event"));
    drain_ends(f.drain, ends);
    ck_assert_uint_eq(ends[0].emitted, 3);
    fixture_close(&f);
}

TEST(drain, record_cut_off_by_the_committed_length_is_damage)
{
    struct fixture f;
    fixture_open(&f);
    emit(&f.ring[0], GMPT_EVENT_go_create, 1000, 5, 0x123456789);
    store_relaxed(&first_subbuffer(&f)->commit, 1ull << 32 | 4);
    round_run(&f);
    ck_assert_ptr_null(drain_part(f.drain, 0));
    ck_assert_ptr_nonnull(strstr(drain_damage(f.drain), "cut off"));
    fixture_close(&f);
}

TEST(drain, damage_stays_inside_its_subbuffer)
{
    struct fixture f;
    fixture_open(&f);
    fill(&f, 20000);
    uint32_t first = (uint32_t)(load_relaxed(&first_subbuffer(&f)->commit) >> 32);
    first_subbuffer(&f)->magic = 0;
    round_run(&f);
    ck_assert_uint_eq(drain_counts(f.drain).damaged, 1);
    ck_assert_uint_eq(drain_counts(f.drain).kept, 20000 - first);
    ck_assert_uint_eq(drain_part(f.drain, 0)->sequence, 1);
    fixture_close(&f);
}

TEST(drain, more_opened_than_the_ring_holds_is_damage)
{
    struct fixture f;
    fixture_open(&f);
    store_relaxed(&f.target.rings[0].opened, 1ull << 63);
    drain_begin(f.drain);
    ck_assert(drain_collect(f.drain));
    ck_assert_uint_ge(drain_counts(f.drain).damaged, 1);
    drain_all(&f);
    ck_assert_uint_eq(load_relaxed(&f.target.rings[0].consumed), (1ull << 63) - 1);
    fixture_close(&f);
}

TEST(drain, stack_count_over_the_depth_ends_the_table)
{
    struct fixture f;
    uint64_t pc[3] = { 1, 2, 3 };
    fixture_open(&f);
    ck_assert_uint_eq(ring_stack(&f.ring[0], pc, 3), 1);
    segment_stacks(&f.target, 0)[0] = STACK_DEPTH_MAX + 1;
    drain_all(&f);
    ck_assert_uint_eq(drain_counts(f.drain).damaged, 1);
    ck_assert_ptr_nonnull(strstr(drain_damage(f.drain), "stack 1"));
    fixture_close(&f);
}

TEST(drain, stack_words_past_the_table_are_damage)
{
    struct fixture f;
    fixture_open(&f);
    store_relaxed(&f.target.rings[0].stacks_used, f.target.stacks_words + 1);
    drain_all(&f);
    ck_assert_uint_eq(drain_counts(f.drain).damaged, 1);
    fixture_close(&f);
}

TEST(drain, stack_cut_off_by_the_words_in_use_is_damage)
{
    struct fixture f;
    uint64_t pc[3] = { 1, 2, 3 };
    fixture_open(&f);
    ring_stack(&f.ring[0], pc, 3);
    store_relaxed(&f.target.rings[0].stacks_used, 2);
    drain_all(&f);
    ck_assert_uint_eq(drain_counts(f.drain).damaged, 1);
    fixture_close(&f);
}

static void module_set(struct fixture *f, const char *path)
{
    struct segment_module *module = &f->target.modules[0];
    module->start = 0x1000;
    module->end = 0x2000;
    strcpy(module->path, path);
    store_release(&f->target.header->module_count, 1);
}

TEST(drain, module_path_without_end_is_damage)
{
    struct fixture f;
    fixture_open(&f);
    module_set(&f, "/bin/x");
    memset(f.target.modules[0].path, 'x', sizeof f.target.modules[0].path);
    drain_all(&f);
    ck_assert_uint_eq(drain_counts(f.drain).damaged, 1);
    fixture_close(&f);
}

TEST(drain, module_build_id_too_long_is_damage)
{
    struct fixture f;
    fixture_open(&f);
    module_set(&f, "/bin/x");
    f.target.modules[0].build_id_bytes = 21;
    drain_all(&f);
    ck_assert_uint_eq(drain_counts(f.drain).damaged, 1);
    fixture_close(&f);
}

TEST(drain, more_modules_than_there_is_room_for_is_damage)
{
    struct fixture f;
    fixture_open(&f);
    store_relaxed(&f.target.header->module_count, UINT32_MAX);
    drain_all(&f);
    ck_assert_uint_eq(drain_counts(f.drain).damaged, 1);
    fixture_close(&f);
}

static uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

TEST_TIMEOUT(drain, random_bytes_never_crash, 120)
{
    struct fixture f;
    uint64_t seed = 0x2545f4914f6cdd1dull;
    for (int run = 0; run < 60; run++) {
        fixture_open(&f);
        fill(&f, 30000);
        f.target.dictionary[0] = f.target.dictionary[3] = 1ull << 32 | 12; /* strings of 12 bytes */
        store_relaxed(&f.target.header->dictionary_used, 6);
        struct {
            uint8_t *at;
            size_t size;
        } areas[] = {
            { (uint8_t *)f.target.rings, 2 * sizeof *f.target.rings },
            { (uint8_t *)f.target.modules, 4 * sizeof *f.target.modules },
            { (uint8_t *)segment_stacks(&f.target, 0), 4096 },
            { (uint8_t *)f.target.dictionary, 64 },
            { f.target.subbuffer_base, 4 * SUBBUFFER_BYTES },
            { (uint8_t *)f.target.header, sizeof *f.target.header },
        };
        for (int i = 0; i < 200; i++) {
            uint64_t random = random_next(&seed);
            size_t area = random % 6, at = (random >> 8) % areas[area].size;
            areas[area].at[at] = (uint8_t)(random >> 56);
        }
        for (int i = 0; i < 40; i++) { /* the heads of sub-buffers, which chance seldom meets */
            uint64_t random = random_next(&seed);
            ((uint8_t *)segment_subbuffer(&f.target, 0, random & 3))[(random >> 8) % 64] = (uint8_t)(random >> 56);
        }
        drain_all(&f);
        ck_assert_uint_le(drain_counts(f.drain).kept, 200000);
        fixture_close(&f);
    }
}

TEST(drain, segment_of_random_bytes_never_crashes)
{
    struct fixture f;
    uint64_t seed = 0x9e3779b97f4a7c15ull;
    for (int run = 0; run < 5; run++) {
        fixture_open(&f);
        for (uint32_t ring = 0; ring < 2; ring++) {
            uint64_t *words = (uint64_t *)segment_subbuffer(&f.target, ring, 0);
            for (size_t i = 0; i < RING_BYTES / 8; i++)
                words[i] = random_next(&seed);
            for (size_t i = 0; i < 4096; i++)
                segment_stacks(&f.target, ring)[i] = random_next(&seed) & 63;
            store_relaxed(&f.target.rings[ring].opened, random_next(&seed) % 6);
            store_relaxed(&f.target.rings[ring].stacks_used, 4096);
            for (uint64_t i = 0; run > 2 && i < 4; i++) { /* heads that hold, over records that do not */
                struct subbuffer *head = segment_subbuffer(&f.target, ring, i);
                head->magic = SUBBUFFER_MAGIC;
                head->ring = ring;
                head->sequence = i;
                store_relaxed(&head->commit, 10000ull << 32 | 60000);
            }
        }
        drain_all(&f);
        fixture_close(&f);
    }
}

TEST(drain, a_round_up_to_a_moment_leaves_what_is_later_for_the_next)
{
    struct fixture f;
    fixture_open(&f);
    const uint32_t many = 3 * SUBBUFFER_BYTES / 16; /* over several sub-buffers */
    for (uint32_t i = 1; i <= many; i++)
        emit(&f.ring[0], GMPT_EVENT_go_create, 10 * i, i, UINT64_C(1) << 60);
    emit(&f.ring[1], GMPT_EVENT_go_create, 10 * many + 500, many + 1, 7);
    uint64_t taken = 0;
    const uint64_t until[] = { 25, 30, 30, 10 * (many - 1) + 9, 10 * many + 499, UINT64_MAX };
    const uint64_t total[] = { 2, 3, 3, many - 1, many, many + 1 };
    struct writer *writer = scratch_writer();
    struct writer_clock clock = { 1, 1, 1 };
    for (size_t i = 0; i < sizeof until / sizeof until[0]; i++) {
        drain_until(f.drain, until[i]);
        round_run(&f);
        const struct writer_events *part;
        for (uint32_t at = 0; (part = drain_part(f.drain, at)); at++)
            taken += part->count;
        ck_assert_uint_eq(taken, total[i]);
        ck_assert_int_eq(drain_write(f.drain, writer, &clock), 0);
    }
    struct drain_counts counts = drain_counts(f.drain);
    ck_assert_uint_eq(counts.kept, many + 1);
    ck_assert_uint_eq(counts.lost + counts.damaged, 0);
    ck_assert_int_eq(writer_close(writer), 0);
    fixture_close(&f);
}
