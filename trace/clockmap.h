/* Clock ticks to nanoseconds since the trace's start, piece by piece between the clock sections of a file. */
#ifndef GMPT_CLOCKMAP_H
#define GMPT_CLOCKMAP_H

#include "writer.h"

#include <stdint.h>

#define CLOCKMAP_POINTS 256

struct clockmap_point {
    uint64_t ticks;
    int64_t ns;     /* since the first point */
    uint64_t scale; /* ns per tick << 32, from this point to the next; of the last one: as before it */
};

/* The piece that was used last: from a point on, as far as its scale goes. */
struct clockmap_piece {
    uint64_t ticks, length_ticks; /* length_ticks 0: none was */
    int64_t ns;
    uint64_t scale;
};

/* Zero-initialised is empty, and takes a tick for a nanosecond. */
struct clockmap {
    struct clockmap_piece last;
    uint32_t count;
    int64_t first_monotonic_ns, first_realtime_ns;
    struct clockmap_point point[CLOCKMAP_POINTS];
};

/* Adds a snapshot. One that is not later than the last in both clocks is ignored: a frame may repeat it. Only the
 * newest points are kept, some seconds of them at least; earlier moments are mapped by the oldest. */
void clockmap_add(struct clockmap *map, const struct writer_clock *clock);
int64_t clockmap_last_ns(const struct clockmap *map); /* of the last point */
/* The ticks of the last point that is at least ns older than the newest; 0 when there is none. */
uint64_t clockmap_ticks_ago(const struct clockmap *map, int64_t ns);
/* How many ticks there are in so many nanoseconds, about now. */
uint64_t clockmap_ticks_in(const struct clockmap *map, uint32_t ns);

int64_t clockmap_ns_anywhere(struct clockmap *map, uint64_t ticks);

static inline int64_t clockmap_ns(struct clockmap *map, uint64_t ticks)
{
    uint64_t since = ticks - map->last.ticks;
    if (__builtin_expect(since >= map->last.length_ticks, 0))
        return clockmap_ns_anywhere(map, ticks);
    return (int64_t)((uint64_t)map->last.ns + (uint64_t)(((unsigned __int128)since * map->last.scale) >> 32));
}

/* How long a number of ticks is, by the piece that was used last. */
static inline int64_t clockmap_span_ns(const struct clockmap *map, uint64_t ticks)
{
    return (int64_t)(uint64_t)(((unsigned __int128)ticks * map->last.scale) >> 32);
}

#endif
