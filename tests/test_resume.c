/* A drain that goes on where a file ends: drain_resume. */
#define _GNU_SOURCE
#include "harness.h"

#include "trace/drain.h"
#include "trace/ring.h"

#include <gmptrace/trace.h>

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A target with one P, and a drain on a mapping of its own. */
struct fixture {
    struct segment target, outside;
    struct ring ring;
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
    ring_init(&f->ring, &f->target, 0);
    f->drain = drain_open(&f->outside, 0, false);
    ck_assert_ptr_nonnull(f->drain);
}

static void fixture_close(struct fixture *f)
{
    int fd = f->target.fd;
    drain_close(f->drain);
    ring_destroy(&f->ring);
    segment_close(&f->outside);
    segment_close(&f->target);
    close(fd);
}

static void round_run(struct fixture *f)
{
    drain_begin(f->drain);
    ck_assert(drain_collect(f->drain));
}

/* What a file has that ends after the fixture's first two records, and a drain that goes on from there. */
static struct drain_place two_records(struct fixture *f)
{
    fixture_open(f);
    ring_emit(&f->ring, GMPT_EVENT_proc_start, 100, 1, 77, 0, 0, 0);
    ring_emit(&f->ring, GMPT_EVENT_go_start, 110, 2, 5, 8, 0, 0);
    round_run(f);
    const struct writer_events *part = drain_part(f->drain, 0);
    struct drain_place place = { .known = true, .offset = part->size, .kept = 2 };
    ring_emit(&f->ring, GMPT_EVENT_syscall_begin, 150, 1, 0, 0, 0, 0);
    return place;
}

static int resume(struct fixture *f, struct drain_place place)
{
    struct drain_place places[2] = { place };
    drain_close(f->drain);
    f->drain = drain_open(&f->outside, 0, false);
    return drain_resume(f->drain, places, 0);
}

TEST(resume, it_has_the_rest_and_knows_the_state)
{
    struct fixture f;
    struct drain_place place = two_records(&f);
    ck_assert_int_eq(resume(&f, place), 0);
    round_run(&f);
    const struct writer_events *part = drain_part(f.drain, 0);
    ck_assert_uint_eq(part->count, 1);
    ck_assert_uint_eq(part->offset, place.offset);
    ck_assert_uint_eq(part->base_ticks, 110);
    ck_assert_uint_eq(part->current_g, 5);
    ck_assert_uint_eq(part->current_seq, 8);
    ck_assert_uint_eq(part->tid, 77);
    ck_assert_ptr_null(drain_part(f.drain, 1));
    ck_assert_uint_eq(drain_counts(f.drain).kept, 3);
    ck_assert_uint_eq(drain_counts(f.drain).damaged, 0);
    ck_assert_uint_eq(drain_last_ticks(f.drain), 150);
    fixture_close(&f);
}

TEST(resume, at_the_very_end_it_has_nothing)
{
    struct fixture f;
    struct drain_place place = two_records(&f);
    place.offset = (uint32_t)load_relaxed(&segment_subbuffer(&f.target, 0, 0)->commit);
    ck_assert_int_eq(resume(&f, place), 0);
    round_run(&f);
    ck_assert_ptr_null(drain_part(f.drain, 0));
    ck_assert_uint_eq(drain_counts(f.drain).damaged, 0);
    fixture_close(&f);
}

TEST(resume, it_gives_nothing_back)
{
    struct fixture f;
    struct drain_place place = two_records(&f);
    for (uint64_t i = 0; i < 20000; i++)
        ring_emit(&f.ring, GMPT_EVENT_go_unblock, 1000 + i * 200, 4, 1000000 + i, 300, 0, 0);
    ck_assert_uint_ge(f.ring.opened, 3);
    ck_assert_int_eq(resume(&f, place), 0);
    struct writer_info info = { .p_count = 1, .clock = SEGMENT_CLOCK_MONOTONIC };
    struct writer *writer = writer_open(memfd_create("trace", MFD_CLOEXEC), &info, 1);
    struct writer_clock clock = { 1, 1, 1 };
    drain_begin(f.drain);
    for (bool done = false; !done;) {
        done = drain_collect(f.drain);
        ck_assert_int_eq(drain_write(f.drain, writer, &clock), 0);
    }
    ck_assert_int_eq(writer_close(writer), 0);
    ck_assert_uint_eq(load_relaxed(&f.target.rings[0].consumed), 0);
    ck_assert_uint_eq(drain_counts(f.drain).kept, 20003);
    fixture_close(&f);
}

TEST(resume, within_a_record_or_behind_the_last_it_leaves_the_subbuffer_out)
{
    static const int off[] = { -1, 100 };
    for (int i = 0; i < 2; i++) {
        struct fixture f;
        struct drain_place place = two_records(&f);
        place.offset = (uint64_t)((int64_t)place.offset + off[i]);
        ck_assert_int_eq(resume(&f, place), 0);
        round_run(&f);
        ck_assert_ptr_null(drain_part(f.drain, 0));
        ck_assert_uint_eq(drain_counts(f.drain).damaged, 1);
        fixture_close(&f);
    }
}

TEST(resume, places_that_the_ring_never_had_are_refused)
{
    struct fixture f;
    struct drain_place place = two_records(&f);
    place.sequence = 1;
    ck_assert_int_eq(resume(&f, place), -EPROTO);
    place.sequence = 0;
    place.offset = SUBBUFFER_BYTES;
    ck_assert_int_eq(resume(&f, place), -EPROTO);
    fixture_close(&f);
}
