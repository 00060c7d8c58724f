/* The reader against files as they should be, cut off, damaged, from the future, and hostile. */
#define _GNU_SOURCE
#include "harness.h"
#include "rawfile.h"
#include "trace/columns.h"
#include "trace/events.h"
#include "trace/format.h"
#include "trace/leb.h"
#include "trace/segment.h"
#include "trace/writer.h"
#include "tracefile.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <zstd.h>

static uint8_t *golden(const char *name, size_t *size)
{
    char path[128];
    size_t text_size;
    snprintf(path, sizeof path, "tests/traces/%s.txt", name);
    char *text = (char *)tracefile_slurp(path, &text_size);
    uint8_t *bytes = tracefile_slurp(tracefile_build(text), size);
    free(text);
    return bytes;
}

/* ---- Whole files ------------------------------------------------------------------------------------------------ */

TEST(reader, a_whole_file_says_everything)
{
    size_t size;
    struct gmpt_trace_error error;
    struct gmpt_event event;
    uint8_t *bytes = golden("hello", &size);
    struct gmpt_trace *trace = gmpt_trace_open(tracefile_write(bytes, size), &error);
    ck_assert_msg(trace != NULL, "%s", error.message);
    const struct gmpt_trace_info *info = gmpt_trace_info(trace);
    ck_assert_uint_eq(info->format_version, FORMAT_VERSION);
    ck_assert_uint_eq(info->pid, 4321);
    ck_assert_uint_eq(info->p_count, 2);
    ck_assert_str_eq(info->command, "./hello --fast");
    ck_assert_str_eq(info->host, "box 6.1.0");
    ck_assert_int_eq(info->start_realtime_ns, 1700000000000000000);
    ck_assert_int_eq(info->start_monotonic_ns, 1000);
    ck_assert_int_eq(info->file_bytes, (int64_t)size);
    ck_assert_int_eq(info->expected_bytes, (int64_t)size);
    ck_assert_int_eq(info->whole, 0);
    int events = 0, result;
    while ((result = gmpt_trace_next(trace, &event)) > 0)
        events++;
    ck_assert_int_eq(result, 0);
    ck_assert_int_eq(gmpt_trace_next(trace, &event), 0);
    ck_assert_int_eq(events, 11);
    ck_assert_uint_eq(info->expected_events, 11);
    ck_assert_int_eq(info->whole, 1);
    ck_assert_int_eq(info->exit_kind, 1);
    ck_assert_int_eq(info->duration_ns, 99000);
    ck_assert_uint_eq(gmpt_trace_counts(trace)->emitted, 11);
    ck_assert_uint_eq(gmpt_trace_counts(trace)->kept, 11);
    ck_assert_uint_eq(gmpt_trace_counts(trace)->violations, 0);
    ck_assert_str_eq(gmpt_trace_error_get(trace)->message, "");
    gmpt_trace_close(trace);
    free(bytes);
}

TEST(reader, modules_are_in_order_of_address)
{
    struct gmpt_trace_error error;
    struct gmpt_trace *trace =
        gmpt_trace_open(tracefile_build("frame\nmodule 0x5000 0x6000 0x10 aabb /b\nmodule 0x1000 0x2000 0x0 - /a b\n"
                                        "module 0x5000 0x6000 0x10 aabb /b\n"),
                        &error);
    ck_assert_uint_eq(gmpt_trace_module_count(trace), 2);
    ck_assert_str_eq(gmpt_trace_module(trace, 0)->path, "/a b");
    ck_assert_uint_eq(gmpt_trace_module(trace, 0)->build_id_bytes, 0);
    ck_assert_str_eq(gmpt_trace_module(trace, 1)->path, "/b");
    ck_assert_uint_eq(gmpt_trace_module(trace, 1)->build_id_bytes, 2);
    ck_assert_uint_eq(gmpt_trace_module(trace, 1)->build_id[1], 0xbb);
    ck_assert_uint_eq(gmpt_trace_module(trace, 1)->bias, 0x10);
    ck_assert_ptr_null(gmpt_trace_module(trace, 2));
    gmpt_trace_close(trace);
}

TEST(reader, equal_stacks_of_two_rings_are_one)
{
    struct gmpt_trace_error error;
    struct gmpt_event event;
    struct gmpt_trace *trace = gmpt_trace_open(
        tracefile_build(TRACEFILE_HEAD "frame\nclock 0 0 0\nstack 0 1 0x10\nstack 0 2 0x20 0x21\nstack 1 1 0x20 0x21\n"
                                       "events ring=0 sequence=0 offset=0 base=1 g=0 seq=0 tid=1 lost=0\n"
                                       "1 go_create g=1 fn=0x1 stack=2\n"
                                       "events ring=1 sequence=0 offset=0 base=2 g=0 seq=0 tid=1 lost=0\n"
                                       "1 go_create g=2 fn=0x1 stack=1\n1 go_create g=3 fn=0x1 stack=2\n"),
        &error);
    ck_assert_int_eq(gmpt_trace_next(trace, &event), 1);
    uint64_t stack = event.go_create.stack;
    ck_assert_int_eq(gmpt_trace_next(trace, &event), 1);
    ck_assert_uint_eq(event.go_create.stack, stack);
    ck_assert_uint_eq(gmpt_trace_stack(trace, (uint32_t)stack).count, 2);
    ck_assert_uint_eq(gmpt_trace_stack(trace, (uint32_t)stack).pc[1], 0x21);
    ck_assert_int_eq(gmpt_trace_next(trace, &event), 1);
    ck_assert_uint_eq(event.go_create.stack, 0);
    ck_assert_uint_eq(gmpt_trace_stack_count(trace), 2);
    ck_assert_uint_eq(gmpt_trace_stack(trace, 0).count, 0);
    ck_assert_uint_eq(gmpt_trace_stack(trace, 3).count, 0);
    gmpt_trace_close(trace);
}

TEST(reader, ticks_are_mapped_between_the_snapshots)
{
    char *lines = tracefile_run("clock_kind tsc\nframe\nclock 1000 500 0\n"
                                "events ring=0 sequence=0 offset=0 base=1000 g=0 seq=0 tid=1 lost=0\n"
                                "0 proc_stop\n500 proc_stop\n500 proc_stop\n1000 proc_stop\n"
                                "frame\nclock 2000 3500 0\nframe\nclock 3000 4500 0\n")
                      .events;
    ck_assert_str_eq(lines, "0.000000000 P0 - proc_stop\n0.000001500 P0 - proc_stop\n0.000003000 P0 - proc_stop\n"
                            "0.000004000 P0 - proc_stop\n");
    free(lines);
}

TEST(reader, an_unfinished_file_says_so)
{
    struct tracefile_result result = tracefile_run(TRACEFILE_HEAD "frame\nclock 1 2 3\n");
    ck_assert_int_eq(result.last_result, 0);
    ck_assert_int_eq(result.info.whole, 0);
    ck_assert_ptr_nonnull(strstr(result.error.message, "says nothing about how the recording ended"));
    ck_assert_uint_eq(result.counts.emitted, 0);
    free(result.events);
}

/* ---- Parts of the file are cut off ------------------------------------------------------------------------------ */

TEST(reader, an_empty_file_is_no_trace)
{
    struct tracefile_result result = read_bytes((const uint8_t *)"", 0);
    ck_assert_int_eq(result.last_result, -EPROTO);
    ck_assert_str_eq(result.error.message, "the file is empty");
    ck_assert_int_eq(result.error.offset, 0);
    free(result.events);
}

TEST(reader, a_missing_file_is_enoent)
{
    struct tracefile_result result = tracefile_read("/nowhere/trace.data");
    ck_assert_int_eq(result.last_result, -ENOENT);
    ck_assert_ptr_nonnull(strstr(result.error.message, "No such file"));
    free(result.events);
}

TEST(reader, a_directory_is_no_trace)
{
    struct tracefile_result result = tracefile_read("/tmp");
    ck_assert_int_eq(result.last_result, -EISDIR);
    free(result.events);
}

TEST(reader, other_files_are_no_trace)
{
    static const char text[] = "GMPTRAIN and then some more text, to be as long as a head would be, or longer";
    struct tracefile_result result = read_bytes((const uint8_t *)text, sizeof text);
    ck_assert_int_eq(result.last_result, -EPROTO);
    ck_assert_ptr_nonnull(strstr(result.error.message, "not a gmptrace trace"));
    free(result.events);
}

static void check_cut(const uint8_t *bytes, size_t size, size_t cut)
{
    struct tracefile_result result = read_bytes(bytes, cut);
    if (cut < FORMAT_HEAD_BYTES) {
        ck_assert_int_eq(result.last_result, -EPROTO);
    } else {
        char missing[64];
        snprintf(missing, sizeof missing, "cut off: %zu of its %zu bytes", size - cut, size);
        ck_assert_int_eq(result.last_result, 0);
        ck_assert_int_eq(result.info.whole, 0);
        ck_assert_msg(strstr(result.error.message, missing) != NULL, "%s", result.error.message);
        ck_assert_uint_eq(result.counts.violations, 0);
    }
    free(result.events);
}

TEST(reader, a_file_cut_at_any_byte_is_read_as_far_as_it_goes)
{
    size_t size;
    uint8_t *bytes = golden("retake", &size);
    for (size_t cut = 0; cut < size; cut++)
        check_cut(bytes, size, cut);
    free(bytes);
}

/* A file of many frames, in each of which Gs of two rings start, wait for each other and end. */
static uint8_t *big_file(int frames, size_t *size)
{
    char *text;
    size_t text_size;
    FILE *out = open_memstream(&text, &text_size);
    fputs(TRACEFILE_HEAD, out);
    for (int i = 0; i < frames; i++) {
        fprintf(out, "frame\nclock %d %d 0\n", i * 1000, i * 1000);
        fprintf(out, "events ring=0 sequence=%d offset=0 base=%d g=0 seq=0 tid=1 lost=0\n", i, i * 1000 + 1);
        for (int g = i * 10 + 1; g <= i * 10 + 10; g++)
            fprintf(out,
                    "1 go_create g=%d fn=0x1 stack=0\n1 go_start g=%d seq=2\n"
                    "1 go_block reason=select object=0x%x bounded=0 stack=0 owner=0\n",
                    g, g, g * 977);
        fprintf(out, "events ring=1 sequence=%d offset=0 base=%d g=0 seq=0 tid=1 lost=0\n", i, i * 1000 + 50);
        for (int g = i * 10 + 1; g <= i * 10 + 10; g++)
            fprintf(out, "1 go_unblock g=%d seq=4 by=0 stack=0\n1 go_start g=%d seq=5\n1 go_exit\n", g, g);
    }
    fprintf(out, "frame\nclock %d %d 0\nend 1 0\nring %d 0 0\nring %d 0 0\nring 0 0 0\n", frames * 1000, frames * 1000,
            frames * 30, frames * 30);
    fclose(out);
    uint8_t *bytes = tracefile_slurp(tracefile_build(text), size);
    free(text);
    return bytes;
}

TEST(reader, a_longer_file_cut_at_every_percent_tells_the_events_and_seconds_that_are_missing)
{
    size_t size;
    uint8_t *bytes = big_file(200, &size);
    uint64_t before = 0;
    for (size_t percent = 1; percent < 100; percent++) {
        check_cut(bytes, size, size * percent / 100);
        struct tracefile_result result = read_bytes(bytes, size * percent / 100);
        char missing[64];
        snprintf(missing, sizeof missing, "with %llu of 12000 events",
                 (unsigned long long)(12000 - result.event_count));
        ck_assert_msg(strstr(result.error.message, missing) != NULL, "%s", result.error.message);
        ck_assert_uint_ge(result.event_count, before);
        before = result.event_count;
        free(result.events);
    }
    ck_assert_uint_gt(before, 10000);
    free(bytes);
}

TEST(reader, a_cut_without_a_finished_head_tells_the_bytes_of_the_frame)
{
    size_t size;
    uint8_t *bytes = big_file(3, &size);
    head_make(bytes, FORMAT_VERSION);
    struct tracefile_result result = read_bytes(bytes, size - 5);
    ck_assert_ptr_nonnull(strstr(result.error.message, "at least 5 bytes are missing"));
    ck_assert_int_eq(result.last_result, 0);
    ck_assert_uint_eq(result.event_count, 180);
    free(result.events);
    free(bytes);
}

/* ---- Damage ----------------------------------------------------------------------------------------------------- */

TEST(reader, random_bytes_are_refused)
{
    uint64_t random = 88172645463325252u;
    uint8_t bytes[3000];
    for (int round = 0; round < 200; round++) {
        for (size_t i = 0; i < sizeof bytes; i++) {
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            bytes[i] = (uint8_t)random;
        }
        if (round & 1)
            head_make(bytes, FORMAT_VERSION);
        struct tracefile_result result = read_bytes(bytes, sizeof bytes);
        ck_assert_int_eq(result.last_result, -EPROTO);
        free(result.events);
    }
}

/* zstd leaves some bits of its own head unused, so a flip that nobody notices must change nothing. */
TEST(reader, a_flipped_bit_anywhere_is_noticed_or_changes_nothing)
{
    size_t size;
    uint8_t *bytes = golden("retake", &size);
    struct tracefile_result whole = read_bytes(bytes, size);
    int unnoticed = 0;
    for (size_t at = 0; at < size; at++) {
        uint8_t mask = (uint8_t)(1u << (at * 5 % 8));
        bytes[at] ^= mask;
        struct tracefile_result result = read_bytes(bytes, size);
        ck_assert_int_le(result.last_result, 0);
        if (result.error.message[0] == 0) {
            unnoticed++;
            ck_assert_msg(strcmp(result.events, whole.events) == 0, "byte %zu", at);
        }
        free(result.events);
        bytes[at] ^= mask;
    }
    ck_assert_int_le(unnoticed, 8);
    free(whole.events);
    free(bytes);
}

TEST(reader, content_with_any_byte_wrong_is_survived)
{
    size_t size;
    uint8_t content[4096];
    uint8_t *bytes = golden("retake", &size);
    uint32_t stored;
    memcpy(&stored, bytes + FORMAT_HEAD_BYTES + 4, 4);
    size_t raw = ZSTD_decompress(content, sizeof content, bytes + FORMAT_HEAD_BYTES + 16, le32toh(stored));
    ck_assert(!ZSTD_isError(raw));
    for (size_t at = 0; at < raw; at++) {
        for (unsigned value = 0; value < 256; value += UNDER_TSAN ? 60 : 15) {
            uint8_t saved = content[at];
            content[at] = (uint8_t)(saved + value);
            struct tracefile_result result = read_content(content, raw);
            ck_assert_int_eq(result.last_result, 0);
            free(result.events);
            content[at] = saved;
        }
    }
    free(bytes);
}

/* Where the frame with this number, counted from 0, begins. */
static size_t frame_find(const uint8_t *bytes, int number)
{
    size_t at = FORMAT_HEAD_BYTES;
    for (; number > 0; number--) {
        uint32_t stored;
        memcpy(&stored, bytes + at + 4, 4);
        at += 16 + le32toh(stored);
    }
    return at;
}

TEST(reader, a_damaged_frame_is_skipped_and_located)
{
    size_t size;
    uint8_t *bytes = big_file(5, &size);
    int64_t third = (int64_t)frame_find(bytes, 2);
    bytes[third + 30] ^= 0x40;
    struct tracefile_result result = read_bytes(bytes, size);
    ck_assert_int_eq(result.last_result, 0);
    ck_assert_int_eq(result.error.offset, third);
    ck_assert_ptr_nonnull(strstr(result.error.message, "the frame is damaged"));
    ck_assert_uint_eq(result.event_count, 240);
    ck_assert_uint_gt(result.counts.gaps, 0);
    ck_assert_uint_eq(result.counts.violations, 0);
    free(result.events);
    bytes[third + 30] ^= 0x40;
    bytes[third + 5] ^= 1;
    result = read_bytes(bytes, size);
    ck_assert_int_eq(result.error.offset, third);
    ck_assert_ptr_nonnull(strstr(result.error.message, "the head of a frame is damaged"));
    ck_assert_uint_eq(result.event_count, 240);
    free(result.events);
    free(bytes);
}

/* Frames of a tenth of a second, each with two records of its very beginning. */
static uint8_t *slow_file(size_t *size)
{
    char *text;
    size_t text_size;
    FILE *out = open_memstream(&text, &text_size);
    fputs(TRACEFILE_HEAD, out);
    for (int i = 0; i < 10; i++)
        fprintf(out,
                "frame\nclock %d00000000 %d00000000 0\n"
                "events ring=0 sequence=%d offset=0 base=%d00000001 g=0 seq=0 tid=1 lost=0\n"
                "1 proc_stop\n1 proc_stop\n",
                i, i, i, i);
    fputs("frame\nclock 1000000000 1000000000 0\nend 1 0\nring 20 0 0\nring 0 0 0\nring 0 0 0\n", out);
    fclose(out);
    uint8_t *bytes = tracefile_slurp(tracefile_build(text), size);
    free(text);
    return bytes;
}

static void expect_missing(const uint8_t *bytes, size_t size, const char *words)
{
    struct tracefile_result result = read_bytes(bytes, size);
    ck_assert_msg(strstr(result.error.message, words) != NULL, "%s", result.error.message);
    ck_assert_int_eq(result.info.whole, 0);
    free(result.events);
}

TEST(reader, damage_tells_the_events_and_seconds_that_it_cost)
{
    size_t size;
    uint8_t *bytes = slow_file(&size);
    bytes[frame_find(bytes, 4) + 5] ^= 1;
    expect_missing(bytes, size, "damaged; 2 of 20 events and 0.200 of 1.000 seconds are missing");
    bytes[frame_find(bytes, 3) + 5] ^= 1;
    expect_missing(bytes, size, "damaged; 4 of 20 events and 0.300 of 1.000 seconds are missing");
    free(bytes);
}

TEST(reader, damage_in_several_places_is_added_up)
{
    size_t size;
    uint8_t *bytes = slow_file(&size);
    size_t second = frame_find(bytes, 2), sixth = frame_find(bytes, 6);
    bytes[second + 5] ^= 1;
    bytes[sixth + 5] ^= 1;
    expect_missing(bytes, size, "(the last of 2 damaged places); 4 of 20 events and 0.400 of 1.000 seconds");
    free(bytes);
}

TEST(reader, a_damaged_first_frame_is_missing_from_the_start)
{
    size_t size;
    uint8_t *bytes = slow_file(&size);
    bytes[FORMAT_HEAD_BYTES + 5] ^= 1;
    expect_missing(bytes, size, "damaged; 2 of 20 events and 0.100 of 1.000 seconds are missing");
    free(bytes);
}

TEST(reader, a_damaged_last_frame_is_missing_from_the_end)
{
    size_t size;
    uint8_t *bytes = slow_file(&size);
    bytes[frame_find(bytes, 10) + 5] ^= 1;
    expect_missing(bytes, size, "damaged; 0 of 20 events and 0.100 of 1.000 seconds are missing");
    free(bytes);
}

TEST(reader, damage_in_a_file_that_was_never_finished_tells_at_least_the_seconds)
{
    size_t size;
    uint8_t *bytes = slow_file(&size);
    head_make(bytes, FORMAT_VERSION);
    bytes[frame_find(bytes, 4) + 5] ^= 1;
    expect_missing(bytes, size, "does not say how much there was; at least 0.200 seconds are missing");
    free(bytes);
}

TEST(reader, a_file_that_frames_were_taken_out_of_is_not_whole)
{
    size_t size;
    uint8_t *bytes = slow_file(&size);
    size_t from = frame_find(bytes, 4), to = frame_find(bytes, 6);
    memmove(bytes + from, bytes + to, size - to);
    expect_missing(bytes, size - (to - from), "taken out of the file; 4 of 20 events");
    free(bytes);
}

TEST(reader, losses_while_recording_leave_the_file_whole)
{
    size_t size;
    uint8_t *bytes = golden("loss", &size);
    struct tracefile_result result = read_bytes(bytes, size);
    ck_assert_uint_gt(result.counts.lost, 0);
    ck_assert_int_eq(result.info.whole, 1);
    ck_assert_str_eq(result.error.message, "");
    free(result.events);
    free(bytes);
}

TEST(reader, reading_on_after_the_end_changes_no_message)
{
    size_t size;
    struct gmpt_trace_error error;
    struct gmpt_event event;
    char message[256];
    uint8_t *bytes = slow_file(&size);
    bytes[frame_find(bytes, 4) + 5] ^= 1;
    struct gmpt_trace *trace = gmpt_trace_open(tracefile_write(bytes, size), &error);
    while (gmpt_trace_next(trace, &event) > 0)
        ;
    snprintf(message, sizeof message, "%s", gmpt_trace_error_get(trace)->message);
    ck_assert_int_eq(gmpt_trace_next(trace, &event), 0);
    ck_assert_str_eq(gmpt_trace_error_get(trace)->message, message);
    gmpt_trace_close(trace);
    free(bytes);
}

/* Nothing in the sub-buffers' numbers tells that the end of the first one is missing. */
TEST(reader, damage_between_subbuffers_makes_every_ring_unsure)
{
    size_t size;
    uint8_t *bytes = tracefile_slurp(
        tracefile_build(TRACEFILE_HEAD
                        "frame\nclock 0 0 0\nevents ring=0 sequence=0 offset=0 base=1 g=0 seq=0 tid=1 lost=0\n"
                        "1 go_create g=1 fn=0x1 stack=0\n1 go_start g=1 seq=2\n"
                        "frame\nclock 100 100 0\nevents ring=0 sequence=0 offset=9 base=3 g=1 seq=2 tid=1 lost=0\n"
                        "1 go_yield\n1 go_start g=1 seq=4\n"
                        "frame\nclock 200 200 0\nevents ring=0 sequence=1 offset=0 base=150 g=1 seq=4 tid=1 lost=0\n"
                        "1 go_exit\nend 1 0\nring 5 0 0\nring 0 0 0\nring 0 0 0\n"),
        &size);
    struct tracefile_result result = read_bytes(bytes, size);
    ck_assert_uint_eq(result.counts.gaps, 0);
    ck_assert_uint_eq(result.counts.kept, 5);
    free(result.events);
    uint32_t stored;
    memcpy(&stored, bytes + FORMAT_HEAD_BYTES + 4, 4);
    bytes[FORMAT_HEAD_BYTES + 16 + le32toh(stored) + 20] ^= 1;
    result = read_bytes(bytes, size);
    ck_assert_uint_eq(result.event_count, 3);
    ck_assert_uint_eq(result.counts.gaps, 1);
    ck_assert_uint_eq(result.counts.resynced, 1);
    ck_assert_uint_eq(result.counts.violations, 0);
    ck_assert_uint_eq(result.gs_alive, 0);
    free(result.events);
    free(bytes);
}

TEST(reader, damage_without_anything_after_it_is_an_error)
{
    size_t size;
    uint8_t *bytes = big_file(2, &size);
    memset(bytes + size - 30, 0xee, 30);
    struct tracefile_result result = read_bytes(bytes, size);
    ck_assert_int_eq(result.last_result, -EPROTO);
    ck_assert_uint_eq(result.event_count, 120);
    free(result.events);
    free(bytes);
}

TEST(reader, a_damaged_head_costs_its_figures_only)
{
    size_t size;
    uint8_t *bytes = golden("hello", &size);
    bytes[20] ^= 1;
    struct tracefile_result result = read_bytes(bytes, size);
    ck_assert_int_eq(result.last_result, 0);
    ck_assert_int_eq(result.info.whole, 1);
    ck_assert_int_eq(result.info.expected_bytes, 0);
    ck_assert_ptr_nonnull(strstr(result.error.message, "head is damaged"));
    free(result.events);
    free(bytes);
}

TEST(reader, a_file_without_its_first_frame_is_read)
{
    size_t size;
    uint8_t *bytes = big_file(3, &size);
    bytes[FORMAT_HEAD_BYTES + 20] ^= 1;
    struct tracefile_result result = read_bytes(bytes, size);
    ck_assert_int_eq(result.last_result, 0);
    ck_assert_uint_eq(result.event_count, 120);
    ck_assert_uint_eq(result.counts.violations, 0);
    free(result.events);
    free(bytes);
}

TEST(reader, a_section_that_says_it_is_longer_than_its_frame_ends_it)
{
    uint8_t content[64] = { 0 };
    uint8_t *p = section_make(content, FORMAT_CLOCK, "\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\3\0\0\0\0\0\0", 24);
    *p++ = FORMAT_EVENTS;
    p = leb_put(p, 1u << 30);
    struct tracefile_result result = read_content(content, (size_t)(p - content));
    ck_assert_int_eq(result.last_result, 0);
    ck_assert_ptr_nonnull(strstr(result.error.message, "says nothing") ? result.error.message
                                                                       : strstr(result.error.message, "malformed"));
    free(result.events);
}

TEST(reader, a_section_with_a_wrong_number_of_records_is_damage)
{
    for (int off = -1; off <= 1; off += 2) {
        uint8_t content[256], body[64];
        uint8_t *b = events_begin(body, 0, 0, 10, (uint32_t)(3 + off));
        memcpy(b, "\3\1\x09\0\x09\x09\x09\1\1\1", 10);
        uint8_t *p = section_make(content, FORMAT_EVENTS, body, (size_t)(b + 10 - body));
        p = section_make(p, FORMAT_END, "\1\0\0", 3);
        struct tracefile_result result = read_content(content, (size_t)(p - content));
        ck_assert_uint_eq(result.event_count, 0);
        ck_assert_uint_eq(result.counts.gaps, 1);
        ck_assert_ptr_nonnull(strstr(result.error.message, "its section of kind 6"));
        ck_assert_int_eq(result.error.offset, FORMAT_HEAD_BYTES);
        free(result.events);
    }
}

/* ---- From the future -------------------------------------------------------------------------------------------- */

TEST(reader, another_format_version_is_refused_by_its_number)
{
    uint8_t bytes[FORMAT_HEAD_BYTES];
    struct tracefile_result result = read_bytes(bytes, head_make(bytes, 7));
    ck_assert_int_eq(result.last_result, -EPROTO);
    ck_assert_str_eq(result.error.message, "the file has format version 7; this gmptrace reads version 2");
    ck_assert_int_eq(result.error.offset, 8);
    free(result.events);
}

TEST(reader, an_unknown_section_is_skipped)
{
    uint8_t content[256];
    uint8_t *p = section_make(content, 99, "whatever", 8);
    p = section_make(p, FORMAT_EVENTS, "\0\0\0\2\0\0\0\0\0\1\1\1\x09\0\x09\5", 16);
    p = section_make(p, 200, "", 0);
    p = section_make(p, FORMAT_END, "\1\0\1\1\0\0", 6);
    struct tracefile_result result = read_content(content, (size_t)(p - content));
    ck_assert_int_eq(result.last_result, 0);
    ck_assert_int_eq(result.info.whole, 1);
    ck_assert_uint_eq(result.event_count, 1);
    ck_assert_str_eq(result.error.message, "");
    free(result.events);
}

TEST(reader, an_unknown_event_is_skipped_by_the_files_schema_and_counted)
{
    static const char schema[] = "event 0x09 proc_stop\nevent 0x70 newer num:a num:b\n";
    static const uint8_t records[] = { 0,    0, 0, 9,    0, 0, 0, 0,    0,    3,           /* until their number */
                                       3,    2, 9, 0,    0x70, 2, 2, 1,                    /* sizes and kinds */
                                       9,    0x70, 9, 5, 7, 5, 0x80, 0x01, 1 };            /* columns */
    uint8_t content[256];
    uint8_t *p = section_make(content, FORMAT_SCHEMA, schema, sizeof schema - 1);
    p = section_make(p, FORMAT_EVENTS, records, sizeof records);
    p = section_make(p, FORMAT_END, "\1\0\1\3\0\0", 6);
    struct tracefile_result result = read_content(content, (size_t)(p - content));
    ck_assert_str_eq(result.error.message, "");
    ck_assert_uint_eq(result.event_count, 2);
    ck_assert_ptr_nonnull(strstr(result.events, "0.000000017 P0 - proc_stop"));
    ck_assert_uint_eq(result.counts.unknown, 1);
    ck_assert_uint_eq(result.counts.emitted, result.counts.kept + result.counts.lost);
    ck_assert_uint_eq(result.counts.gaps, 0);
    free(result.events);
}

TEST(reader, an_event_that_not_even_the_schema_knows_is_skipped_as_well)
{
    static const uint8_t records[] = { 0, 0, 0, 7, 0, 0, 0, 0, 0, 3, 3, 2, 9, 0, 0x70, 1, 1, 9, 0x70, 9, 5, 7, 5, 0 };
    uint8_t content[256];
    uint8_t *p = section_make(content, FORMAT_EVENTS, records, sizeof records);
    struct tracefile_result result = read_content(content, (size_t)(p - content));
    ck_assert_uint_eq(result.event_count, 2);
    ck_assert_uint_eq(result.counts.unknown, 1);
    ck_assert_uint_eq(result.counts.gaps, 0);
    free(result.events);
}

/* ---- Bounds ----------------------------------------------------------------------------------------------------- */

TEST(reader, sizes_in_a_file_do_not_make_it_allocate)
{
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_AS, &limit), 0);
    uint8_t bytes[FORMAT_HEAD_BYTES + 16 + 64];
    for (int kind = 0; kind < 3; kind++) {
        memset(bytes, 0xff, sizeof bytes);
        size_t used = head_make(bytes, FORMAT_VERSION);
        uint32_t words[3] = { htole32(FORMAT_FRAME_MAGIC), htole32(kind == 0 ? UINT32_MAX : 64),
                              htole32(kind == 1 ? UINT32_MAX : FORMAT_FRAME_MAX) };
        memcpy(bytes + used, words, 12);
        uint32_t check = htole32(format_check(bytes + used, 12));
        memcpy(bytes + used + 12, &check, 4);
        struct tracefile_result result = read_bytes(bytes, sizeof bytes);
        ck_assert_int_eq(result.last_result, -EPROTO);
        ck_assert_ptr_nonnull(strstr(result.error.message, "damaged"));
        free(result.events);
    }
}

/* Appends an events section with one record to a frame's content. */
static uint8_t *events_make(uint8_t *p, uint32_t ring, uint64_t sequence, uint64_t ticks, unsigned code, uint64_t g,
                            uint64_t seq)
{
    uint8_t body[256], row[EVENT_BYTES_MAX];
    uint64_t fields[GMPT_EVENT_FIELDS_MAX] = { g, seq };
    struct column_splitter *splitter = column_splitter_open();
    ck_assert_int_eq(column_splitter_split(splitter, row, (size_t)(event_encode(row, code, 0, fields) - row), 1), 0);
    uint8_t *b = column_splitter_put(splitter, events_begin(body, ring, sequence, ticks, 1));
    column_splitter_close(splitter);
    return section_make(p, FORMAT_EVENTS, body, (size_t)(b - body));
}

#define JUNK_BYTES (8u << 20)
#define FAT_FILE_BYTES (1u << 20)

/* Appends a frame with a clock, then what is at content + 64 up to end, then a lot that means nothing. */
static size_t fat_frame_make(uint8_t *bytes, size_t used, uint8_t *content, uint8_t *end)
{
    static const char clock[] = "\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\3\0\0\0\0\0\0";
    uint8_t *p = section_make(content, FORMAT_CLOCK, clock, 24);
    memmove(p, content + 64, (size_t)(end - content) - 64);
    p += (size_t)(end - content) - 64;
    *p++ = 99;
    p = leb_put(p, JUNK_BYTES);
    memset(p, 0, JUNK_BYTES);
    return used + frame_make(bytes + used, FAT_FILE_BYTES - used, content, (size_t)(p - content) + JUNK_BYTES);
}

TEST_TIMEOUT(reader, memory_is_bounded_when_nothing_can_be_given_out, 120)
{
    /* Every record lies after all snapshots, in frames that are mostly junk: 40 of them unpack to 320 MiB. */
    uint8_t *content = malloc(JUNK_BYTES + 4096), *bytes = malloc(FAT_FILE_BYTES);
    size_t used = head_make(bytes, FORMAT_VERSION);
    for (uint32_t i = 0; i < 40; i++)
        used = fat_frame_make(bytes, used, content,
                              events_make(content + 64, 0, i, 1ull << 60, GMPT_EVENT_proc_stop, 0, 0));
    struct gmpt_trace_error error;
    struct gmpt_event event;
    free(content);
    struct gmpt_trace *trace = gmpt_trace_open(tracefile_write(bytes, used), &error);
#if !UNDER_SANITIZER /* which maps more */
    struct rlimit limit = { 256u << 20, RLIM_INFINITY };
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
#endif
    int events = 0, result;
    while ((result = gmpt_trace_next(trace, &event)) > 0)
        events++;
    ck_assert_int_eq(result, 0);
    ck_assert_int_eq(events, 40);
    gmpt_trace_close(trace);
    free(bytes);
}

TEST_TIMEOUT(reader, a_late_recorder_makes_no_violations, 120)
{
    /* One round in many frames, all after its snapshot, and each start comes a frame before its create. */
    uint8_t *content = malloc(JUNK_BYTES + 4096), *bytes = malloc(FAT_FILE_BYTES);
    size_t used = head_make(bytes, FORMAT_VERSION);
    for (uint32_t i = 0; i < 12; i++) {
        uint8_t *p = events_make(content + 64, 0, i, 1000 + i * 100, GMPT_EVENT_go_create, i + 1, 0);
        p = events_make(p, i + 1, 0, 1050 + i * 100, GMPT_EVENT_go_start, i + 2, 2);
        used = fat_frame_make(bytes, used, content, p);
    }
    uint8_t *p = events_make(content + 64, 0, 12, 3000, GMPT_EVENT_go_create, 13, 0);
    used = fat_frame_make(bytes, used, content, section_make(p, FORMAT_END, "\1\0\0", 3));
    struct tracefile_result result = read_bytes(bytes, used);
    ck_assert_int_eq(result.last_result, 0);
    ck_assert_uint_eq(result.event_count, 25);
    ck_assert_uint_eq(result.counts.violations, 0);
    ck_assert_uint_eq(result.counts.resynced, 0);
    free(result.events);
    free(content);
    free(bytes);
}

TEST(reader, a_program_that_ended_somehow_has_a_whole_file)
{
    struct tracefile_result result = tracefile_run(TRACEFILE_HEAD "frame\nclock 0 0 0\nend 3 0\nring 0 0 0\n"
                                                                  "ring 0 0 0\nring 0 0 0\n");
    ck_assert_int_eq(result.info.whole, 1);
    ck_assert_int_eq(result.info.exit_kind, 3);
    free(result.events);
}
