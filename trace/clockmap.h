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

/* Zero-initialised is empty, and takes a tick for a nanosecond. */
struct clockmap {
    uint32_t count, used; /* points; the piece that was used last */
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

void clockmap_find(struct clockmap *map, uint64_t ticks);

static inline int64_t clockmap_scaled(int64_t ticks, uint64_t scale)
{
    return (int64_t)(((__int128)ticks * (__int128)scale) >> 32);
}

static inline int64_t clockmap_ns(struct clockmap *map, uint64_t ticks)
{
    const struct clockmap_point *point = &map->point[map->used];
    if (__builtin_expect(map->used + 1 >= map->count || ticks < point->ticks || ticks >= point[1].ticks, 0)) {
        clockmap_find(map, ticks);
        point = &map->point[map->used];
    }
    return (int64_t)((uint64_t)point->ns + (uint64_t)clockmap_scaled((int64_t)(ticks - point->ticks), point->scale));
}

/* How long a number of ticks is, by the piece that was used last. */
static inline int64_t clockmap_span_ns(const struct clockmap *map, uint64_t ticks)
{
    return (int64_t)(uint64_t)(((unsigned __int128)ticks * map->point[map->used].scale) >> 32);
}

#endif
