/* The map from ticks to nanoseconds: which snapshots it keeps, and what it says between them. */
#include "harness.h"
#include "trace/clockmap.h"

TEST(clockmap, the_newest_snapshots_are_kept)
{
    static struct clockmap map;
    for (uint64_t i = 0; i < 10 * CLOCKMAP_POINTS; i++)
        clockmap_add(&map, &(struct writer_clock){ i * 100, (int64_t)(i * 300), 0 });
    ck_assert_uint_le(map.count, CLOCKMAP_POINTS);
    ck_assert_int_eq(clockmap_ns(&map, 255950), 767850);
    ck_assert_int_eq(clockmap_ns(&map, 50), 150);
    ck_assert_int_eq(clockmap_ns(&map, 1000000), 3000000);
    ck_assert_int_eq(clockmap_span_ns(&map, 7), 21);
    clockmap_add(&map, &(struct writer_clock){ 5, 5, 5 });
    ck_assert_int_eq(clockmap_ns(&map, 50), 150);
    ck_assert_uint_eq(clockmap_ticks_ago(&map, 600), 255900 - 200);
    ck_assert_uint_eq(clockmap_ticks_ago(&map, INT64_MAX), 0);
    ck_assert_uint_eq(clockmap_ticks_in(&map, 300), 100);
}

TEST(clockmap, a_fast_recorder_leaves_seconds_of_snapshots)
{
    /* A snapshot every millisecond; for the last second the ticks go at half their speed. */
    static struct clockmap map;
    uint64_t ticks = 0;
    for (uint64_t ms = 0; ms <= 10000; ms++, ticks += ms > 9000 ? 500000 : 1000000)
        clockmap_add(&map, &(struct writer_clock){ ticks, (int64_t)ms * 1000000, 0 });
    ck_assert_uint_le(map.count, CLOCKMAP_POINTS);
    ck_assert_int_eq(clockmap_ns(&map, 9250000000), 9500000000);
    ck_assert_int_eq(clockmap_ns(&map, 8500000000), 8500000000);
    ck_assert_uint_gt(clockmap_ticks_ago(&map, 1500000000), 8000000000);
    ck_assert_uint_eq(clockmap_ticks_in(&map, 1000000), 500000);
}
