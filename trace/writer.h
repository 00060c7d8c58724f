/* Writes a trace file, frame by frame. See format.h for the layout.
 *
 * The writer collects sections in memory and compresses them into one frame at writer_frame(). Errors stick: the
 * first one is returned by every later call, and what is in the file stays whole frames. On a full disk the first
 * sections of the frame that has no room, as far as they fit, become the file's last frame. */
#ifndef GMPT_WRITER_H
#define GMPT_WRITER_H

#include <gmptrace/trace.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct writer;

struct writer_info {
    uint32_t pid, p_count;
    int clock; /* enum segment_clock */
    const char *command, *host;
    uint32_t maxprocs;   /* 0 = not known */
    uint32_t quota_cpus; /* 0 = none, or not known */
    bool attached;     /* the recording begins in the midst of things: see census.h */
    uint32_t frames_left_out, events_left_out; /* as in the segment's header */
};

struct writer_clock {
    uint64_t ticks;
    int64_t monotonic_ns, realtime_ns;
};

/* A run of whole records of one ring, with the state at its start. */
struct writer_events {
    uint32_t ring;
    uint64_t sequence; /* of the sub-buffer */
    uint32_t offset;   /* of the first record in the sub-buffer's records */
    uint64_t base_ticks;
    uint64_t current_g;
    uint32_t current_seq, tid;
    uint64_t lost_before;
    uint32_t count;
    const uint8_t *bytes;
    size_t size;
};

struct writer_ring_end {
    uint64_t emitted, lost, stacks_lost;
};

/* Starts a file on fd, which is at offset 0 and is closed by writer_close. level is zstd's (1-19). The head says
 * "never finished" until writer_close. Returns NULL with errno. */
struct writer *writer_open(int fd, const struct writer_info *info, int level);

/* What a file of whole frames has that was not finished. */
struct writer_past {
    uint64_t bytes, events; /* records, markers included */
    uint64_t saved;         /* without markers */
    struct writer_clock first, last;
};
/* Goes on with such a file, which fd is at the end of. */
struct writer *writer_resume(int fd, const struct writer_past *past, int level);

/* What a frame has. */
struct writer_counts {
    uint64_t events, markers; /* records, `lost` markers not among them; and these */
    uint64_t lost;            /* records that the markers tell of */
};

/* Frames alone, which go to sink instead of a file: without a head, and without the info and schema sections. tag is
 * what writer_tag said last. sink returns 0 or -errno, which sticks. */
typedef int writer_sink(void *arg, uint32_t tag, const uint8_t *frame, size_t size, const struct writer_counts *counts);
struct writer *writer_open_sink(writer_sink *sink, void *arg, int level);
void writer_tag(struct writer *writer, uint32_t tag);
/* Puts such a frame into a file, behind what was collected. Returns 0 or -errno. */
int writer_put_frame(struct writer *writer, const uint8_t *frame, size_t size, const struct writer_counts *counts);

void writer_put_clock(struct writer *writer, const struct writer_clock *clock);
void writer_put_module(struct writer *writer, const struct gmpt_module *module);
/* words: entries of count, addresses...; ordinal counts from 1 within the ring. */
void writer_put_stacks(struct writer *writer, uint32_t ring, uint32_t first_ordinal, const uint64_t *words,
                       size_t count);
/* words: whole entries as in the segment (dictionary.h); first is the number of the first. */
void writer_put_dictionary(struct writer *writer, uint32_t first, const uint64_t *words, size_t count);
void writer_put_events(struct writer *writer, const struct writer_events *events);
void writer_put_end(struct writer *writer, int exit_kind, int exit_code, const struct writer_ring_end *rings,
                    uint32_t ring_count);

/* zstd's level for the frames from now on: -7 (fastest) to 19. */
void writer_set_level(struct writer *writer, int level);

/* Bytes collected since the last frame; call writer_frame before it nears FORMAT_FRAME_MAX. */
size_t writer_pending(const struct writer *writer);
/* Compresses and writes what was collected; nothing when there is nothing. Returns 0 or -errno. */
int writer_frame(struct writer *writer);

uint64_t writer_events_count(const struct writer *writer); /* records so far */
uint64_t writer_events_saved(const struct writer *writer); /* in the file's whole frames, without `lost` markers */
uint64_t writer_bytes(const struct writer *writer);        /* in the file so far */

/* Writes what is pending, completes the head (when fd can seek), closes fd. Returns 0 or the first -errno. */
int writer_close(struct writer *writer);

#endif
