/* The histogram: what is exact is exact, what is rounded is within a sixty-fourth. */
#include "harness.h"

#include "trace/histogram.h"

#include <stdint.h>

TEST(histogram, empty_has_no_values)
{
    struct histogram histogram = { 0 };
    struct summary_latency latency = histogram_latency(&histogram);
    ck_assert_uint_eq(latency.count, 0);
    ck_assert_int_eq(latency.p50_ns, 0);
    ck_assert_int_eq(latency.p99_ns, 0);
    ck_assert_int_eq(latency.max_ns, 0);
}

TEST(histogram, small_values_are_exact)
{
    struct histogram histogram = { 0 };
    for (int value = 0; value < 16; value++)
        ck_assert_int_eq(histogram_add(&histogram, value), 0);
    ck_assert_int_eq(histogram_quantile(&histogram, 500), 7);
    ck_assert_int_eq(histogram_quantile(&histogram, 1000), 15);
    ck_assert_int_eq(histogram_quantile(&histogram, 1), 0);
    histogram_clear(&histogram);
}

TEST(histogram, one_value_is_every_quantile)
{
    struct histogram histogram = { 0 };
    ck_assert_int_eq(histogram_add(&histogram, 123456789), 0);
    ck_assert_int_eq(histogram_quantile(&histogram, 1), 123456789);
    ck_assert_int_eq(histogram_quantile(&histogram, 500), 123456789);
    ck_assert_int_eq(histogram_quantile(&histogram, 999), 123456789);
    histogram_clear(&histogram);
}

TEST(histogram, max_and_count_are_exact)
{
    struct histogram histogram = { 0 };
    for (int i = 1; i <= 1000; i++)
        ck_assert_int_eq(histogram_add(&histogram, (int64_t)i * 1000003), 0);
    struct summary_latency latency = histogram_latency(&histogram);
    ck_assert_uint_eq(latency.count, 1000);
    ck_assert_int_eq(latency.max_ns, 1000 * 1000003ll);
    histogram_clear(&histogram);
}

TEST(histogram, quantiles_are_within_a_sixty_fourth)
{
    struct histogram histogram = { 0 };
    for (int64_t i = 1; i <= 100000; i++)
        ck_assert_int_eq(histogram_add(&histogram, i * 37), 0);
    for (unsigned permille = 1; permille < 1000; permille++) {
        int64_t truth = (int64_t)permille * 100 * 37, got = histogram_quantile(&histogram, permille);
        ck_assert_int_ge(got, truth);
        ck_assert_int_le(got, truth + truth / 64 + 1);
    }
    histogram_clear(&histogram);
}

TEST(histogram, every_power_of_two_keeps_its_size)
{
    for (unsigned bit = 0; bit < 63; bit++) {
        struct histogram histogram = { 0 };
        int64_t value = (int64_t)1 << bit;
        ck_assert_int_eq(histogram_add(&histogram, value), 0);
        ck_assert_int_eq(histogram_add(&histogram, INT64_MAX), 0);
        int64_t got = histogram_quantile(&histogram, 500);
        ck_assert_int_ge(got, value);
        ck_assert_int_le(got - value, value / 64);
        histogram_clear(&histogram);
    }
}

TEST(histogram, the_largest_value_fits)
{
    struct histogram histogram = { 0 };
    ck_assert_int_eq(histogram_add(&histogram, INT64_MAX), 0);
    ck_assert(histogram_quantile(&histogram, 990) == INT64_MAX);
    ck_assert(histogram_latency(&histogram).max_ns == INT64_MAX);
    histogram_clear(&histogram);
}

TEST(histogram, negative_counts_as_zero)
{
    struct histogram histogram = { 0 };
    ck_assert_int_eq(histogram_add(&histogram, -5), 0);
    ck_assert_uint_eq(histogram.count, 1);
    ck_assert_int_eq(histogram_quantile(&histogram, 990), 0);
    histogram_clear(&histogram);
}

TEST(histogram, p99_ignores_one_in_a_thousand)
{
    struct histogram histogram = { 0 };
    for (int i = 0; i < 999; i++)
        ck_assert_int_eq(histogram_add(&histogram, 10), 0);
    ck_assert_int_eq(histogram_add(&histogram, 1000000), 0);
    struct summary_latency latency = histogram_latency(&histogram);
    ck_assert_int_eq(latency.p99_ns, 10);
    ck_assert_int_eq(latency.max_ns, 1000000);
    histogram_clear(&histogram);
}

TEST(histogram, clear_leaves_it_empty_and_usable)
{
    struct histogram histogram = { 0 };
    ck_assert_int_eq(histogram_add(&histogram, 500), 0);
    histogram_clear(&histogram);
    ck_assert_uint_eq(histogram.count, 0);
    ck_assert_int_eq(histogram_add(&histogram, 7), 0);
    ck_assert_int_eq(histogram_quantile(&histogram, 500), 7);
    histogram_clear(&histogram);
}

TEST(histogram, merging_is_adding_all_values)
{
    struct histogram a = { 0 }, b = { 0 }, both = { 0 };
    int64_t total = 0;
    for (int64_t i = 1; i <= 5000; i++) {
        int64_t value = i * i * 17;
        total += value;
        ck_assert_int_eq(histogram_add(i % 3 ? &a : &b, value), 0);
        ck_assert_int_eq(histogram_add(&both, value), 0);
    }
    ck_assert_int_eq(histogram_merge(&a, &b), 0);
    ck_assert_uint_eq(a.count, 5000);
    ck_assert_int_eq(a.total, total);
    ck_assert_int_eq(a.max, both.max);
    for (unsigned permille = 0; permille <= 1000; permille += 10)
        ck_assert_int_eq(histogram_quantile(&a, permille), histogram_quantile(&both, permille));
    histogram_clear(&a);
    histogram_clear(&b);
    histogram_clear(&both);
}

TEST(histogram, steps_follow_each_other_and_hold_all)
{
    struct histogram histogram = { 0 };
    const int64_t values[] = { 0, 1, 63, 64, 65, 127, 128, 129, 4096, 1000000007, INT64_MAX };
    size_t seen = 0;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        ck_assert_int_eq(histogram_add(&histogram, values[i]), 0);
    int64_t low, high, before = -1;
    uint64_t count;
    for (unsigned cell = 0; histogram_next(&histogram, &cell, &low, &high, &count); seen += count) {
        ck_assert(low > before && high >= low);
        ck_assert(low <= values[seen] && values[seen] <= high);
        before = high;
    }
    ck_assert_uint_eq(seen, sizeof values / sizeof *values);
    ck_assert(histogram.total == INT64_MAX);
    histogram_clear(&histogram);
}
