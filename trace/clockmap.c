/* See clockmap.h. The values come from a file, so sums wrap instead of overflowing: nonsense in, nonsense out. */
#include "clockmap.h"

#include <string.h>

#define SCALE_ONE ((uint64_t)1 << 32) /* a tick is a nanosecond, as long as nothing says otherwise */
#define SCALE_MAX ((uint64_t)1 << 62)

static int64_t wrap_sub(int64_t a, int64_t b) { return (int64_t)((uint64_t)a - (uint64_t)b); }

void clockmap_add(struct clockmap *map, const struct writer_clock *clock)
{
    if (map->count == 0) {
        map->first_monotonic_ns = clock->monotonic_ns;
        map->first_realtime_ns = clock->realtime_ns;
        map->point[0] = (struct clockmap_point){ clock->ticks, 0, SCALE_ONE };
        map->count = 1;
        return;
    }
    struct clockmap_point *last = &map->point[map->count - 1];
    int64_t ns = wrap_sub(clock->monotonic_ns, map->first_monotonic_ns);
    if (clock->ticks <= last->ticks || ns <= last->ns)
        return;
    if (map->count == CLOCKMAP_POINTS) {
        uint32_t half = CLOCKMAP_POINTS / 2;
        memmove(map->point, map->point + half, half * sizeof map->point[0]);
        map->count = half;
        map->used = 0;
        last = &map->point[half - 1];
    }
    unsigned __int128 scale = (unsigned __int128)((uint64_t)ns - (uint64_t)last->ns) << 32;
    scale /= clock->ticks - last->ticks;
    last->scale = scale < SCALE_MAX ? (uint64_t)scale : SCALE_MAX;
    last[1] = (struct clockmap_point){ clock->ticks, ns, last->scale };
    map->count++;
}

int64_t clockmap_last_ns(const struct clockmap *map) { return map->count ? map->point[map->count - 1].ns : 0; }

uint64_t clockmap_ticks_ago(const struct clockmap *map, int64_t ns)
{
    int64_t last_ns = clockmap_last_ns(map);
    for (uint32_t i = map->count; i-- > 0;)
        if (wrap_sub(last_ns, map->point[i].ns) >= ns)
            return map->point[i].ticks;
    return 0;
}

void clockmap_find(struct clockmap *map, uint64_t ticks)
{
    if (map->count == 0) {
        map->point[0].scale = SCALE_ONE;
        map->used = 0;
        return;
    }
    uint32_t low = 0, high = map->count; /* the piece is in [low, high); before the first point counts as the first */
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (map->point[middle].ticks <= ticks)
            low = middle;
        else
            high = middle;
    }
    map->used = low;
}
