/* A file that ends anywhere and the segment that it came from, put together again. */
#define _GNU_SOURCE
#include "harness.h"
#include "tracefile.h"

#include "trace/dictionary.h"
#include "trace/recorder.h"
#include "trace/recovery.h"
#include "trace/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROUNDS 4 /* frames of the recorder's, the last of which it may not have finished */

/* A target in this process and the recorder's file of it. One G runs on a P and starts others. */
static struct {
    struct segment target;
    struct ring ring[2];
    struct dictionary *dictionary;
    uint64_t emitted, spawned;
    char part[512];
} f;

static void begin(void)
{
    ck_assert_int_eq(segment_create(&f.target, -1, 1, 4 * SUBBUFFER_BYTES, 16), 0);
    f.target.header->clock = SEGMENT_CLOCK_MONOTONIC;
    f.target.header->pid = 4321;
    f.target.header->start_ticks = 900;
    f.target.header->start_monotonic_ns = 900;
    f.dictionary = calloc(1, sizeof *f.dictionary);
    dictionary_init(f.dictionary, &f.target);
    store_relaxed(&f.target.header->tracing, segment_next_epoch(&f.target, false));
    segment_publish(&f.target);
    for (uint32_t i = 0; i < 2; i++) {
        ring_init(&f.ring[i], &f.target, i);
        ring_turn(&f.ring[i], 1, false);
    }
    snprintf(f.part, sizeof f.part, "%s/part", harness_tmpdir());
    ring_emit(&f.ring[0], GMPT_EVENT_proc_start, 1000, 1, 77, 0, 0, 0);
    ring_emit(&f.ring[0], GMPT_EVENT_go_create, 1001, 3, 1, 0x10, 0, 0);
    ring_emit(&f.ring[0], GMPT_EVENT_go_start, 1002, 2, 1, 2, 0, 0);
    f.emitted = 3;
}

/* The G starts others and waits now and then, from a new place each time. */
static void work(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        uint64_t id = 2 + f.spawned++, pc[2] = { 0x1000 + id / 100, 0x2000 };
        ring_emit(&f.ring[0], GMPT_EVENT_go_create, 1002 + 10 * id, 3, id, 0x20, ring_stack(&f.ring[0], pc, 2), 0);
        if (id % 50 == 0) {
            char name[32];
            int length = snprintf(name, sizeof name, "name %llu", (unsigned long long)id);
            uint32_t number = dictionary_add_locked(f.dictionary, DICTIONARY_STRING, name, (uint32_t)length);
            ring_emit(&f.ring[0], GMPT_EVENT_go_name, 1003 + 10 * id, 2, id, number, 0, 0);
            f.emitted++;
        }
    }
    f.emitted += count;
}

/* What the recorder's words say: how much it has given back. */
static uint64_t consumed(void) { return load_relaxed(&f.target.rings[0].consumed); }

static int open_again(int fd)
{
    char path[48];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, O_RDWR | O_CLOEXEC);
}

/* ROUNDS frames with some work before each, and more after the last. *whole is where the last frame begins, *before
 * what had been given back by then. */
static void record(uint64_t each, off_t *whole, uint64_t *before)
{
    const char *why;
    struct segment outside;
    struct writer_info info = { .pid = 4321, .p_count = 1, .clock = SEGMENT_CLOCK_MONOTONIC, .command = "prog" };
    ck_assert_int_eq(segment_open(&outside, f.target.fd, &why), 0);
    struct drain *drain = drain_open(&outside, 1, false);
    struct writer *writer = writer_open(open(f.part, O_RDWR | O_CREAT | O_TRUNC, 0600), &info, 3);
    struct writer_clock clock = { 900, 900, 1900 };
    for (int i = 0; i < ROUNDS; i++) {
        *whole = (off_t)writer_bytes(writer);
        *before = consumed();
        work(each);
        drain_begin(drain);
        while (!drain_collect(drain))
            ck_assert_int_eq(drain_write(drain, writer, &clock), 0);
        ck_assert_int_eq(drain_write(drain, writer, &clock), 0);
        clock.ticks = 1002 + 10 * (2 + f.spawned);
        clock.monotonic_ns = (int64_t)clock.ticks;
        clock.realtime_ns = 1000 + clock.monotonic_ns;
    }
    /* Killed here: the head stays as it is. */
    uint8_t head[64];
    int fd = open(f.part, O_RDWR | O_CLOEXEC);
    ck_assert_int_eq(pread(fd, head, sizeof head, 0), sizeof head);
    ck_assert_int_eq(writer_close(writer), 0);
    ck_assert_int_eq(pwrite(fd, head, sizeof head, 0), sizeof head);
    close(fd);
    drain_close(drain);
    segment_close(&outside);
    work(each);
}

static const char *out_path(void)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/out", harness_tmpdir());
    return path;
}

static bool rest; /* as asked for */

static struct tracefile_result recovered(const char *part, struct recovery *recovery)
{
    const char *why, *out = out_path();
    *recovery = (struct recovery){
        .segment_fd = open_again(f.target.fd),
        .part_path = part,
        .out_fd = open(out, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600),
        .ended = true,
        .rest = rest,
    };
    int result = recovery_run(recovery, &why);
    ck_assert_msg(result == 0, "%d %s", result, why ? why : "");
    close(recovery->segment_fd);
    return tracefile_read(out);
}

static void expect_all(const struct tracefile_result *result)
{
    ck_assert_int_eq(result->last_result, 0);
    ck_assert_int_eq(result->info.whole, 1);
    ck_assert_int_eq(result->info.exit_kind, 3);
    ck_assert_uint_eq(result->counts.kept, f.emitted);
    ck_assert_uint_eq(result->counts.emitted, f.emitted);
    ck_assert_uint_eq(result->counts.violations + result->counts.gaps + result->counts.unknown, 0);
    ck_assert_uint_eq(result->gs_alive, 1 + f.spawned);
    ck_assert_uint_eq(result->stack_count, f.ring[0].stack_count);
    /* No event without its stack or name. */
    ck_assert_ptr_null(strstr(result->events, "stack=0 "));
}

/* Every size that the file may have had when the recorder died in its last frame. */
static void expect_all_at_every_cut(uint64_t each, int cuts)
{
    struct recovery recovery;
    struct stat st;
    off_t whole;
    uint64_t before, after;
    begin();
    record(each, &whole, &before);
    after = consumed();
    ck_assert_int_eq(stat(f.part, &st), 0);
    ck_assert_int_gt(st.st_size, whole);
    for (int i = 0; i <= cuts + 1; i++) {
        off_t size = i > cuts ? st.st_size : whole + (st.st_size - whole) * i / cuts;
        ck_assert_int_eq(truncate(f.part, size), 0); /* a part that was made longer again is not whole either */
        /* The last frame may be there and what it has not yet given back. */
        store_relaxed(&f.target.rings[0].consumed, before);
        struct tracefile_result result = recovered(f.part, &recovery);
        expect_all(&result);
        free(result.events);
    }
    (void)after;
}

TEST(recovery, an_open_subbuffer_is_gone_on_with_wherever_the_file_ends) { expect_all_at_every_cut(100, 40); }

TEST(recovery, many_subbuffers_are_gone_on_with_wherever_the_file_ends) { expect_all_at_every_cut(9000, 12); }

TEST(recovery, what_was_given_back_is_not_looked_for)
{
    struct recovery recovery;
    off_t whole;
    uint64_t before;
    begin();
    record(9000, &whole, &before);
    ck_assert_uint_gt(consumed(), before);
    ck_assert_uint_gt(consumed(), 0);
    struct tracefile_result result = recovered(f.part, &recovery);
    expect_all(&result);
    ck_assert_uint_gt(recovery.recovered, 9000);
    ck_assert_uint_lt(recovery.recovered, f.emitted / 2);
    ck_assert_uint_eq(recovery.events, f.emitted);
    free(result.events);
}

TEST(recovery, without_a_file_the_segment_alone_is_enough)
{
    struct recovery recovery;
    begin();
    work(500);
    struct tracefile_result result = recovered(NULL, &recovery);
    expect_all(&result);
    ck_assert_uint_eq(result.info.pid, 4321);
    free(result.events);
    FILE *file = fopen(f.part, "w"); /* the recorder had opened it, and no more */
    fwrite("GMPTR", 1, 5, file);
    fclose(file);
    result = recovered(f.part, &recovery);
    expect_all(&result);
    free(result.events);
}

/* The recorder was ending a file and had switched to the next epoch, of whose file there is nothing. */
TEST(recovery, the_next_epoch_has_a_file_of_its_own)
{
    off_t whole;
    uint64_t before;
    begin();
    store_relaxed(&f.target.header->output_epoch, 1);
    record(100, &whole, &before);
    uint64_t first = f.emitted;
    f.target.registry[0] = (struct g_slot){ 0 }; /* the main G, which waits since before; and one that was told of */
    store_relaxed(&f.target.registry[0].id, 1);
    store_relaxed(&f.target.registry[0].status, g_status_make(3, GMPT_WAIT_sleep, G_WAITING));
    store_relaxed(&f.target.registry[1].id, 2);
    store_relaxed(&f.target.registry[1].status, g_status_make(9, 0, G_RUNNABLE));
    store_relaxed(&f.target.registry[1].told, 2);
    store_relaxed(&f.target.header->registry_used, 2);
    store_relaxed(&f.target.header->tracing, segment_next_epoch(&f.target, false));
    ring_turn(&f.ring[0], 2, false);
    ring_emit_fields(&f.ring[0], GMPT_EVENT_go_was, 900000, (uint64_t[]){ 2, 7, G_RUNNABLE, 1, 0x20, 0 }, 6);
    ring_emit(&f.ring[0], GMPT_EVENT_go_start, 900010, 2, 2, 8, 0, 0);
    ring_emit(&f.ring[0], GMPT_EVENT_go_yield, 900020, 0, 0, 0, 0, 0);

    struct recovery recovery;
    struct tracefile_result result = recovered(f.part, &recovery);
    ck_assert(recovery.more);
    ck_assert_int_eq(result.info.whole, 1);
    ck_assert_int_eq(result.info.exit_kind, 0);
    ck_assert_uint_eq(result.counts.kept, first);
    ck_assert_uint_eq(result.counts.emitted, first);
    free(result.events);

    rest = true;
    result = recovered(NULL, &recovery);
    rest = false;
    ck_assert(!recovery.more);
    ck_assert_int_eq(result.info.whole, 1);
    ck_assert_int_eq(result.info.attached, 1);
    ck_assert_int_eq(result.info.exit_kind, 3);
    ck_assert_uint_eq(result.counts.emitted, result.counts.kept);
    ck_assert_uint_eq(result.counts.violations + result.counts.gaps + result.counts.resynced, 0);
    ck_assert_uint_eq(result.gs_alive, 2);
    ck_assert_ptr_nonnull(strstr(result.events, "go_was g=1 seq=3 "));
    ck_assert_ptr_nonnull(strstr(result.events, "go_start g=2 seq=8"));
    ck_assert_ptr_null(strstr(result.events, "go_create"));
    free(result.events);
}

/* It was killed before it could rename the file, or tell the next one's name. */
TEST(recovery, a_file_that_is_whole_is_copied)
{
    struct recovery recovery;
    begin();
    work(10);
    struct tracefile_result first = recovered(NULL, &recovery), second;
    ck_assert_int_eq(rename(out_path(), f.part), 0);
    work(10);
    second = recovered(f.part, &recovery);
    ck_assert_str_eq(first.events, second.events);
    ck_assert_int_eq(second.info.whole, 1);
    ck_assert_int_eq(first.info.expected_bytes, second.info.expected_bytes);
    ck_assert_int_eq(first.info.expected_duration_ns, second.info.expected_duration_ns);
    ck_assert_uint_eq(first.info.expected_events, second.info.expected_events);
    free(first.events);
    free(second.events);
}

TEST(recovery, it_can_be_done_again)
{
    struct recovery recovery;
    off_t whole;
    uint64_t before;
    begin();
    record(3000, &whole, &before);
    for (int i = 0; i < 2; i++) {
        struct tracefile_result result = recovered(f.part, &recovery);
        expect_all(&result);
        free(result.events);
    }
}

static const char *refusal(const char *part)
{
    const char *why;
    struct recovery recovery = { .segment_fd = open_again(f.target.fd),
                                 .part_path = part,
                                 .out_fd = memfd_create("out", MFD_CLOEXEC) };
    ck_assert_int_lt(recovery_run(&recovery, &why), 0);
    close(recovery.segment_fd);
    return why;
}

TEST(recovery, files_that_do_not_belong_together_are_refused)
{
    off_t whole;
    uint64_t before;
    begin();
    record(100, &whole, &before);
    f.target.header->pid = 1234;
    ck_assert_ptr_nonnull(strstr(refusal(f.part), "not of this program"));
    f.target.header->pid = 4321;
    store_relaxed(&f.target.rings[0].opened, 0); /* another recording of it */
    ck_assert_ptr_nonnull(strstr(refusal(f.part), "not of this recording"));
}

TEST(recovery, one_that_is_recorded_is_left_alone)
{
    begin();
    int fd = open_again(f.target.fd);
    ck_assert_int_eq(segment_lock(fd), 0);
    ck_assert_ptr_nonnull(strstr(refusal(NULL), "at work"));
    ck_assert_uint_eq(load_relaxed(&f.target.header->tracing), 1);
}

TEST(recovery, no_room_for_the_result_is_no_sentence)
{
    const char *why;
    begin();
    struct recovery recovery = { .segment_fd = open_again(f.target.fd), .out_fd = open("/dev/full", O_WRONLY) };
    ck_assert_int_eq(recovery_run(&recovery, &why), -ENOSPC);
    ck_assert_ptr_null(why);
}
