/* See clockmap.h. The values come from a file, so sums wrap instead of overflowing: nonsense in, nonsense out. */
#include "clockmap.h"

#include <string.h>

#define SCALE_ONE ((uint64_t)1 << 32) /* a tick is a nanosecond, as long as nothing says otherwise */
#define SCALE_MAX ((uint64_t)1 << 62)
#define SPACING_NS 50000000 /* between points that are worth keeping */

static int64_t wrap_sub(int64_t a, int64_t b) { return (int64_t)((uint64_t)a - (uint64_t)b); }

/* Nanoseconds per tick << 32 from one point to a later one. */
static uint64_t scale_between(const struct clockmap_point *from, const struct clockmap_point *to)
{
    unsigned __int128 scale = (unsigned __int128)((uint64_t)to->ns - (uint64_t)from->ns) << 32;
    scale /= to->ticks - from->ticks;
    return scale < SCALE_MAX ? (uint64_t)scale : SCALE_MAX;
}

/* Makes room. Of points that are close together, as those of a fast recorder, some go: not of the newest, which are
 * what most records lie between. When that does not help, the oldest half goes. */
static void points_thin(struct clockmap *map)
{
    const uint32_t old = CLOCKMAP_POINTS / 4 * 3;
    uint32_t kept = 1;
    for (uint32_t i = 1; i < old; i++)
        if (wrap_sub(map->point[i + 1].ns, map->point[kept - 1].ns) > SPACING_NS)
            map->point[kept++] = map->point[i];
    if (kept > old / 2) {
        memmove(map->point, map->point + kept / 2, (kept - kept / 2) * sizeof map->point[0]);
        kept -= kept / 2;
    }
    memmove(map->point + kept, map->point + old, (map->count - old) * sizeof map->point[0]);
    map->count -= old - kept;
    for (uint32_t i = 0; i < kept; i++)
        map->point[i].scale = scale_between(&map->point[i], &map->point[i + 1]);
}

void clockmap_add(struct clockmap *map, const struct writer_clock *clock)
{
    if (map->count == 0) {
        map->first_monotonic_ns = clock->monotonic_ns;
        map->first_realtime_ns = clock->realtime_ns;
        map->point[0] = (struct clockmap_point){ clock->ticks, 0, SCALE_ONE };
        map->last = (struct clockmap_piece){ clock->ticks, 0, 0, SCALE_ONE };
        map->count = 1;
        return;
    }
    struct clockmap_point *last = &map->point[map->count - 1];
    int64_t ns = wrap_sub(clock->monotonic_ns, map->first_monotonic_ns);
    if (clock->ticks <= last->ticks || ns <= last->ns)
        return;
    if (map->count == CLOCKMAP_POINTS) {
        points_thin(map);
        last = &map->point[map->count - 1];
    }
    map->last.length_ticks = 0; /* looked up anew: what lies behind the last point has another scale now */
    last[1] = (struct clockmap_point){ clock->ticks, ns, 0 };
    last[1].scale = last->scale = scale_between(last, &last[1]);
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

uint64_t clockmap_ticks_in(const struct clockmap *map, uint32_t ns)
{
    uint64_t scale = map->count ? map->point[map->count - 1].scale : 0;
    return ((uint64_t)ns << 32) / (scale ? scale : SCALE_ONE);
}

int64_t clockmap_ns_anywhere(struct clockmap *map, uint64_t ticks)
{
    if (map->count == 0) {
        map->last = (struct clockmap_piece){ 0, 0, 0, SCALE_ONE };
        return (int64_t)ticks;
    }
    uint32_t low = 0, high = map->count; /* the piece is in [low, high); before the first point counts as the first */
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (map->point[middle].ticks <= ticks)
            low = middle;
        else
            high = middle;
    }
    const struct clockmap_point *point = &map->point[low];
    uint64_t length_ticks = high < map->count ? point[1].ticks - point->ticks : INT64_MAX;
    map->last = (struct clockmap_piece){ point->ticks, length_ticks, point->ns, point->scale };
    __int128 since = (int64_t)(ticks - point->ticks);
    return (int64_t)((uint64_t)point->ns + (uint64_t)(int64_t)((since * (__int128)point->scale) >> 32));
}
