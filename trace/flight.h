/* The last part of a recording, kept in memory as whole frames.
 *
 * Frames belong to generations, each an epoch of the trace (segment.h), so that one without those before it tells of
 * every G that it has. The oldest generations go, whole, when there are more bytes than allowed, or when the rest is
 * long enough without them. A frame that comes late still goes to its own generation, or nowhere when that is gone. */
#ifndef GMPT_FLIGHT_H
#define GMPT_FLIGHT_H

#include "writer.h"

#include <stdbool.h>
#include <stdint.h>

#define FLIGHT_GENERATIONS_MAX 64
#define FLIGHT_PARTS 8 /* a generation is about this part of the whole */

struct flight;

struct flight_limits {
    uint64_t bytes; /* never more than this */
    int64_t ns;     /* at least as much as this, when there is as much; 0 = as much as fits into bytes */
};

struct flight_counts {
    uint64_t bytes, events, lost;
};

/* NULL when out of memory. */
struct flight *flight_open(const struct flight_limits *limits);
void flight_close(struct flight *flight); /* NULL is allowed */

/* From now on frames may belong to this generation; start is the clock from right before it. Drops what is too much. */
void flight_begin(struct flight *flight, uint32_t epoch, const struct writer_clock *start);
/* Keeps a copy. Returns 0 or -ENOMEM. */
int flight_add(struct flight *flight, uint32_t epoch, const uint8_t *frame, size_t size,
               const struct writer_counts *counts);
/* Whether the newest generation is as long, or as large, as one should be. */
bool flight_due(const struct flight *flight, int64_t now_ns);

/* Of the oldest generation that is kept; *epoch is its number. */
const struct writer_clock *flight_start(const struct flight *flight, uint32_t *epoch);
struct flight_counts flight_counts(const struct flight *flight);
/* Puts all that is kept into a file, oldest first. Returns 0 or the writer's -errno. */
int flight_write(const struct flight *flight, struct writer *writer);

#endif
