/* The file as a run of frames: finds, checks and unpacks them, steps over damage, and knows what is missing at the end.
 */
#ifndef GMPT_FRAMES_H
#define GMPT_FRAMES_H

#include "format.h"
#include "leb.h"

#include <gmptrace/trace.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_SPARE LEB_MAX_BYTES

struct frames_file;

/* An unpacked frame. Whoever holds it calls frame_release when done; the bytes are used again for a later frame. */
struct frame {
    struct frames_file *file;
    struct frame *next_free;
    size_t room, size;
    unsigned users;
    unsigned parts;    /* for whoever orders the events in it: those it still needs */
    int64_t offset;    /* of its head in the file */
    bool after_damage; /* bytes that could not be read lie between it and the frame before */
    uint8_t bytes[]; /* FRAME_SPARE more than size can be read */
};

/* What the file's head says. The last three are 0 when the file was never finished, or the head is damaged. */
struct frames_head {
    uint32_t version;
    int64_t bytes;
    uint64_t events;
    int64_t duration_ns;
};

enum frames_ending {
    FRAMES_MORE,    /* not at the end yet */
    FRAMES_WHOLE,   /* the last frame ends where the file ends */
    FRAMES_CUT,     /* the file ends inside a frame */
    FRAMES_DAMAGED, /* after the last frame there is nothing that can be read */
};

/* Opens a file and reads its head. Returns NULL with errno set and *error filled. */
struct frames_file *frames_open(const char *path, struct gmpt_trace_error *error);
void frames_close(struct frames_file *file); /* every frame has been released */

/* Reads the next frame, with one user. Returns 1, 0 at the end, or -errno when the file cannot be read. *error is
 * written when something is damaged, and left alone when not. */
int frames_next(struct frames_file *file, struct frame **frame, struct gmpt_trace_error *error);
void frame_release(struct frame *frame);

const struct frames_head *frames_head(const struct frames_file *file);
int64_t frames_size(const struct frames_file *file); /* of the file, in bytes */
enum frames_ending frames_ending(const struct frames_file *file);
int64_t frames_missing(const struct frames_file *file); /* bytes that are known to be missing after a cut */
int64_t frames_offset(const struct frames_file *file);  /* where the frame after the last one would start */

void frames_error(struct gmpt_trace_error *error, int64_t offset, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
