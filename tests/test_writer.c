/* The writer: what it promises about a file when all goes well, and when the disk does not. */
#define _GNU_SOURCE
#include "harness.h"
#include "trace/events.h"
#include "trace/format.h"
#include "trace/frames.h"
#include "trace/segment.h"
#include "trace/writer.h"
#include "tracefile.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[256];

static struct writer *open_writer(void)
{
    static const struct writer_info info = {
        .pid = 7, .p_count = 2, .clock = SEGMENT_CLOCK_MONOTONIC, .command = "a\nb", .host = "h", .maxprocs = 1
    };
    snprintf(path, sizeof path, "%s/w.data", harness_tmpdir());
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    ck_assert_int_ge(fd, 0);
    struct writer *writer = writer_open(fd, &info, 3);
    ck_assert_ptr_nonnull(writer);
    return writer;
}

static void put_clock(struct writer *writer, uint64_t ticks)
{
    writer_put_clock(writer, &(struct writer_clock){ ticks, (int64_t)ticks, 1000 });
}

/* Records of about size bytes that do not compress, and as many in columns. */
static void put_noise(struct writer *writer, uint32_t sequence, size_t size)
{
    static uint64_t random = 88172645463325252u;
    uint8_t *bytes = malloc(size + EVENT_BYTES_MAX), *p = bytes;
    uint32_t count = 0;
    for (; p < bytes + size; count++) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        uint64_t fields[GMPT_EVENT_FIELDS_MAX] = { random };
        p = event_encode(p, GMPT_EVENT_user_task_end, 1, fields);
    }
    writer_put_events(writer, &(struct writer_events){
                                  .sequence = sequence, .count = count, .bytes = bytes, .size = (size_t)(p - bytes) });
    free(bytes);
}

/* count records that hardly compress. */
static void put_records(struct writer *writer, uint32_t sequence, uint32_t count)
{
    static uint64_t random = 88172645463325252u;
    uint8_t *bytes = malloc(2 * (size_t)count);
    for (uint32_t i = 0; i < count; i++) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        bytes[2 * i] = GMPT_EVENT_proc_stop;
        bytes[2 * i + 1] = (uint8_t)(random & 0x7f);
    }
    writer_put_events(writer, &(struct writer_events){
                                  .sequence = sequence, .count = count, .bytes = bytes, .size = 2 * (size_t)count });
    free(bytes);
}

static size_t count_frames(void)
{
    struct gmpt_trace_error error;
    struct frame *frame;
    size_t count = 0;
    struct frames_file *file = frames_open(path, &error);
    ck_assert_msg(file != NULL, "%s", error.message);
    while (frames_next(file, &frame, &error) > 0) {
        ck_assert_uint_le(frame->size, FORMAT_FRAME_MAX);
        ck_assert_uint_eq(frame->bytes[0], FORMAT_CLOCK);
        ck_assert(!frame->after_damage);
        frame_release(frame);
        count++;
    }
    ck_assert_msg(frames_ending(file) == FRAMES_WHOLE, "%s", error.message);
    frames_close(file);
    return count;
}

TEST(writer, the_head_is_completed_at_close)
{
    struct writer *writer = open_writer();
    put_clock(writer, 1000);
    put_records(writer, 0, 3);
    ck_assert_int_eq(writer_frame(writer), 0);
    put_clock(writer, 5000);
    ck_assert_uint_eq(writer_events_count(writer), 3);
    ck_assert_int_eq(writer_close(writer), 0);
    struct stat status;
    ck_assert_int_eq(stat(path, &status), 0);
    struct tracefile_result result = tracefile_read(path);
    ck_assert_int_eq(result.info.expected_bytes, status.st_size);
    ck_assert_uint_eq(result.info.expected_events, 3);
    ck_assert_int_eq(result.info.expected_duration_ns, 4000);
    free(result.events);
}

TEST(writer, until_close_the_head_says_never_finished)
{
    struct writer *writer = open_writer();
    put_clock(writer, 1000);
    ck_assert_int_eq(writer_frame(writer), 0);
    struct tracefile_result result = tracefile_read(path);
    ck_assert_int_eq(result.info.expected_bytes, 0);
    ck_assert_int_eq(result.info.whole, 0);
    ck_assert_ptr_nonnull(strstr(result.error.message, "never finished"));
    free(result.events);
    ck_assert_int_eq(writer_close(writer), 0);
}

TEST(writer, an_empty_frame_is_not_written)
{
    struct writer *writer = open_writer();
    ck_assert_int_eq(writer_frame(writer), 0);
    ck_assert_uint_eq(writer_bytes(writer), FORMAT_HEAD_BYTES);
    put_clock(writer, 1);
    ck_assert_uint_gt(writer_pending(writer), 0);
    ck_assert_int_eq(writer_frame(writer), 0);
    ck_assert_uint_eq(writer_pending(writer), 0);
    uint64_t bytes = writer_bytes(writer);
    ck_assert_int_eq(writer_frame(writer), 0);
    ck_assert_uint_eq(writer_bytes(writer), bytes);
    ck_assert_int_eq(writer_close(writer), 0);
    ck_assert_uint_eq(count_frames(), 1);
}

TEST(writer, too_much_for_one_frame_becomes_several_that_begin_with_the_clock)
{
    struct writer *writer = open_writer();
    put_clock(writer, 1);
    for (uint32_t i = 0; i < 5; i++)
        put_noise(writer, i, 7u << 20);
    ck_assert_int_eq(writer_close(writer), 0);
    ck_assert_uint_eq(count_frames(), 3);
}

TEST(writer, a_section_larger_than_any_frame_is_refused_for_good)
{
    struct writer *writer = open_writer();
    put_clock(writer, 1);
    ck_assert_int_eq(writer_frame(writer), 0);
    put_noise(writer, 0, FORMAT_FRAME_MAX);
    ck_assert_int_eq(writer_frame(writer), -E2BIG);
    put_clock(writer, 2);
    ck_assert_int_eq(writer_frame(writer), -E2BIG);
    ck_assert_int_eq(writer_close(writer), -E2BIG);
    ck_assert_uint_eq(count_frames(), 1);
}

TEST(writer, a_full_disk_leaves_whole_frames)
{
    struct writer *writer = open_writer();
    put_clock(writer, 1);
    put_noise(writer, 0, 100000);
    ck_assert_int_eq(writer_frame(writer), 0);
    off_t good = (off_t)writer_bytes(writer);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = { (rlim_t)good + 5000, RLIM_INFINITY };
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    put_clock(writer, 2);
    put_noise(writer, 1, 100000);
    ck_assert_int_eq(writer_frame(writer), -EFBIG);
    put_clock(writer, 3);
    ck_assert_int_eq(writer_frame(writer), -EFBIG);
    ck_assert_int_eq(writer_close(writer), -EFBIG);
    struct stat status;
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_int_eq(status.st_size, good);
    ck_assert_uint_eq(count_frames(), 1);
}

TEST(writer, a_full_disk_takes_the_sections_that_fit)
{
    struct writer *writer = open_writer();
    put_clock(writer, 1);
    put_records(writer, 0, 100);
    ck_assert_int_eq(writer_frame(writer), 0);
    ck_assert_uint_eq(writer_events_saved(writer), 100);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = { writer_bytes(writer) + 20000, RLIM_INFINITY };
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    put_clock(writer, 2);
    for (uint32_t i = 1; i <= 40; i++)
        put_records(writer, i, 1000);
    ck_assert_int_eq(writer_frame(writer), -EFBIG);
    uint64_t saved = writer_events_saved(writer);
    ck_assert_uint_ge(saved, 10100); /* a record takes about a byte */
    ck_assert_uint_le(writer_bytes(writer), limit.rlim_cur);
    ck_assert_int_eq(writer_close(writer), -EFBIG);
    struct tracefile_result result = tracefile_read(path);
    ck_assert_uint_eq(result.event_count, saved);
    ck_assert_int_eq(result.last_result, 0);
    free(result.events);
    ck_assert_uint_eq(count_frames(), 2);
}

TEST(writer, markers_are_not_counted_as_saved_events)
{
    static const uint8_t bytes[] = { GMPT_EVENT_lost, 1, 5, 1, GMPT_EVENT_proc_stop, 1 };
    struct writer *writer = open_writer();
    put_clock(writer, 1);
    writer_put_events(writer, &(struct writer_events){ .count = 2, .bytes = bytes, .size = sizeof bytes });
    ck_assert_uint_eq(writer_events_saved(writer), 0);
    ck_assert_int_eq(writer_frame(writer), 0);
    ck_assert_uint_eq(writer_events_saved(writer), 1);
    ck_assert_uint_eq(writer_events_count(writer), 2);
    ck_assert_int_eq(writer_close(writer), 0);
}

TEST(writer, what_are_no_records_is_refused_for_good)
{
    static const struct {
        uint8_t bytes[4];
        uint32_t count;
    } wrong[] = {
        { { GMPT_EVENT_proc_stop, 1, GMPT_EVENT_proc_stop, 1 }, 1 },
        { { GMPT_EVENT_proc_stop, 1, GMPT_EVENT_proc_stop, 1 }, 3 },
        { { GMPT_EVENT_proc_stop, 1, 0xee, 1 }, 2 },
        { { GMPT_EVENT_proc_stop, 1, GMPT_EVENT_proc_stop, 0x80 }, 2 },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct writer *writer = open_writer();
        put_clock(writer, 1);
        writer_put_events(writer,
                          &(struct writer_events){ .count = wrong[i].count, .bytes = wrong[i].bytes, .size = 4 });
        ck_assert_int_eq(writer_close(writer), -EPROTO);
    }
}

TEST(writer, a_device_without_room_is_an_error_at_once)
{
    static const struct writer_info info = {
        .pid = 7, .p_count = 2, .clock = SEGMENT_CLOCK_TSC, .command = "", .host = "", .maxprocs = 1
    };
    int fd = open("/dev/full", O_RDWR);
    if (fd < 0)
        SKIP("there is no /dev/full");
    struct writer *writer = writer_open(fd, &info, 3);
    ck_assert_ptr_null(writer);
    ck_assert_int_eq(errno, ENOSPC);
    close(fd);
}

TEST(writer, a_pipe_gets_a_file_without_the_heads_figures)
{
    static const struct writer_info info = {
        .pid = 7, .p_count = 2, .clock = SEGMENT_CLOCK_TSC, .command = NULL, .host = NULL, .maxprocs = 1
    };
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    struct writer *writer = writer_open(ends[1], &info, 3);
    ck_assert_ptr_nonnull(writer);
    put_clock(writer, 1);
    ck_assert_int_eq(writer_close(writer), 0);
    uint8_t bytes[65536];
    ssize_t got = read(ends[0], bytes, sizeof bytes);
    ck_assert_int_gt(got, FORMAT_HEAD_BYTES);
    struct tracefile_result result = tracefile_read(tracefile_write(bytes, (size_t)got));
    ck_assert_int_eq(result.last_result, 0);
    ck_assert_int_eq(result.info.expected_bytes, 0);
    ck_assert_uint_eq(result.info.p_count, 2);
    free(result.events);
}

TEST(writer, a_closed_pipe_is_a_sticky_error)
{
    static const struct writer_info info = {
        .pid = 7, .p_count = 2, .clock = SEGMENT_CLOCK_TSC, .command = "", .host = "", .maxprocs = 1
    };
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    signal(SIGPIPE, SIG_IGN);
    struct writer *writer = writer_open(ends[1], &info, 3);
    close(ends[0]);
    put_clock(writer, 1);
    ck_assert_int_eq(writer_frame(writer), -EPIPE);
    ck_assert_int_eq(writer_frame(writer), -EPIPE);
    ck_assert_int_eq(writer_close(writer), -EPIPE);
}

TEST(writer, a_level_that_zstd_does_not_have_still_works)
{
    static const struct writer_info info = {
        .pid = 7, .p_count = 2, .clock = SEGMENT_CLOCK_TSC, .command = "", .host = "", .maxprocs = 1
    };
    snprintf(path, sizeof path, "%s/w.data", harness_tmpdir());
    struct writer *writer = writer_open(open(path, O_RDWR | O_CREAT | O_TRUNC, 0600), &info, 1000);
    ck_assert_ptr_nonnull(writer);
    put_clock(writer, 1);
    ck_assert_int_eq(writer_close(writer), 0);
    ck_assert_uint_eq(count_frames(), 1);
}

TEST(writer, the_level_may_change_between_frames)
{
    struct writer *writer = open_writer();
    uint32_t count = 1u << 19;
    uint8_t *bytes = malloc(2 * (size_t)count);
    for (uint32_t i = 0; i < count; i++) {
        bytes[2 * i] = GMPT_EVENT_proc_stop;
        bytes[2 * i + 1] = (uint8_t)((i * i >> 7) % 23);
    }
    uint64_t sizes[2];
    for (int i = 0; i < 2; i++) {
        uint64_t before = writer_bytes(writer);
        writer_set_level(writer, i ? 12 : -7);
        put_clock(writer, (uint64_t)i + 1);
        writer_put_events(writer, &(struct writer_events){
                                      .ring = (uint32_t)i, .count = count, .bytes = bytes, .size = 2 * (size_t)count });
        ck_assert_int_eq(writer_frame(writer), 0);
        sizes[i] = writer_bytes(writer) - before;
    }
    ck_assert_uint_lt(sizes[1], sizes[0]);
    ck_assert_int_eq(writer_close(writer), 0);
    ck_assert_uint_eq(count_frames(), 2);
    free(bytes);
}

TEST(writer, a_line_break_in_the_command_does_not_forge_another_line)
{
    struct gmpt_trace_error error;
    struct writer *writer = open_writer();
    put_clock(writer, 1);
    ck_assert_int_eq(writer_close(writer), 0);
    struct gmpt_trace *trace = gmpt_trace_open(path, &error);
    ck_assert_ptr_nonnull(trace);
    ck_assert_str_eq(gmpt_trace_info(trace)->command, "a b");
    ck_assert_str_eq(gmpt_trace_info(trace)->host, "h");
    ck_assert_uint_eq(gmpt_trace_info(trace)->pid, 7);
    gmpt_trace_close(trace);
}
