/* Epochs that follow each other without a pause: the drain's account of each. */
#define _GNU_SOURCE
#include "harness.h"

#include "trace/drain.h"
#include "trace/ring.h"

#include <gmptrace/trace.h>

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A target with one P, and a drain of epoch 0 on a mapping of its own. */
struct fixture {
    struct segment target, outside;
    struct ring ring[2];
    struct drain *drain;
};

static void fixture_open(struct fixture *f)
{
    const char *why;
    memset(f, 0, sizeof *f);
    ck_assert_int_eq(segment_create(&f->target, -1, 1, 4 * SUBBUFFER_BYTES, 16), 0);
    f->target.header->clock = SEGMENT_CLOCK_MONOTONIC;
    segment_publish(&f->target);
    ck_assert_int_eq(segment_open(&f->outside, f->target.fd, &why), 0);
    for (uint32_t i = 0; i < 2; i++)
        ring_init(&f->ring[i], &f->target, i);
    f->drain = drain_open(&f->outside, 0, false);
    ck_assert_ptr_nonnull(f->drain);
}

static void fixture_close(struct fixture *f)
{
    int fd = f->target.fd;
    drain_close(f->drain);
    segment_close(&f->outside);
    segment_close(&f->target);
    close(fd);
}

/* Emits without draining; returns the number of records, lost ones too. */
static uint64_t fill(struct fixture *f, uint64_t records)
{
    for (uint64_t i = 0; i < records; i++)
        ring_emit(&f->ring[0], GMPT_EVENT_go_unblock, 1000 + i * 200, 4, 1000000 + i, 300, 0, 0);
    return records;
}

/* Drains and throws away. */
static void drain_all(struct fixture *f)
{
    struct writer_info info = { .pid = 1, .p_count = 1, .clock = SEGMENT_CLOCK_MONOTONIC, .command = "", .host = "" };
    struct writer *writer = writer_open(memfd_create("trace", 0), &info, 1);
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

/* One epoch after the other, both with losses: each account has its own, and no record is in both. */
TEST(epochs, the_next_epoch_begins_where_the_last_one_ends)
{
    struct fixture f;
    fixture_open(&f);
    uint64_t first = fill(&f, 10);
    drain_all(&f);
    ring_turn(&f.ring[0], 1, false);
    uint64_t second = fill(&f, 100000); /* until the ring is full: sub-buffers of the next epoch are closed already */
    drain_all(&f);
    struct drain_counts counts = drain_counts(f.drain);
    ck_assert_uint_eq(counts.kept, first);
    ck_assert_uint_eq(counts.lost, 0);
    ck_assert_uint_eq(counts.damaged, 0);
    drain_turn(f.drain, 1);
    ck_assert_uint_eq(drain_counts(f.drain).kept, 0);
    drain_all(&f);
    second += fill(&f, 10);
    drain_all(&f);
    counts = drain_counts(f.drain);
    ck_assert_uint_gt(counts.lost, 0);
    ck_assert_uint_eq(counts.kept + counts.lost, second);
    ck_assert_uint_eq(counts.marked, counts.lost);
    ck_assert_str_eq(drain_damage(f.drain), "");
    fixture_close(&f);
}

TEST(epochs, losses_before_the_first_subbuffer_of_an_epoch_are_its_own)
{
    struct fixture f;
    fixture_open(&f);
    uint64_t first = fill(&f, 100000);
    ring_turn(&f.ring[0], 1, false);
    uint64_t second = fill(&f, 7); /* still no room */
    drain_all(&f);
    second += fill(&f, 10);
    drain_all(&f); /* sees where the next one begins */
    struct drain_counts counts = drain_counts(f.drain);
    ck_assert_uint_eq(counts.kept + counts.lost, first);
    drain_turn(f.drain, 1);
    drain_all(&f);
    counts = drain_counts(f.drain);
    ck_assert_uint_eq(counts.lost, 7);
    ck_assert_uint_eq(counts.marked, 7);
    ck_assert_uint_eq(counts.kept + counts.lost, second);
    ck_assert_str_eq(drain_damage(f.drain), "");
    fixture_close(&f);
}
