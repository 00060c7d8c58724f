/* Durations by key: what is added is found again, the worst is remembered, keys are bounded. */
#include "harness.h"

#include "analysis/distribution.h"

static void add(struct distributions *set, uint64_t fn, int64_t ns, int64_t end_ns, uint64_t g)
{
    struct distribution_key key = { .fn = fn };
    struct distribution *entry = distributions_get(set, &key);
    ck_assert_ptr_nonnull(entry);
    ck_assert_int_eq(distribution_add(entry, ns, end_ns, g, 0), 0);
}

TEST(distribution, the_longest_total_comes_first)
{
    struct distributions set = { 0 };
    add(&set, 1, 100, 1000, 1);
    add(&set, 2, 60, 2000, 2);
    add(&set, 2, 50, 3000, 3);
    ck_assert_int_eq(distributions_sort(&set, false), 2);
    ck_assert_uint_eq(set.list[0]->key.fn, 2);
    ck_assert_int_eq(set.list[0]->histogram.total, 110);
    ck_assert_int_eq(distributions_sort(&set, true), 2);
    ck_assert_uint_eq(set.list[0]->key.fn, 1);
    distributions_clear(&set);
}

TEST(distribution, the_worst_has_its_moment_and_its_goroutine)
{
    struct distributions set = { 0 };
    add(&set, 1, 10, 100, 7);
    add(&set, 1, 30, 200, 8);
    add(&set, 1, 20, 300, 9);
    ck_assert_int_eq(distributions_sort(&set, false), 1);
    ck_assert_int_eq(set.list[0]->worst_end_ns, 200);
    ck_assert_uint_eq(set.list[0]->worst_g, 8);
    distributions_clear(&set);
}

TEST(distribution, keys_that_differ_in_any_part_are_apart)
{
    struct distributions set = { 0 };
    const struct distribution_key keys[] = { { .fn = 1 }, { .by_fn = 1 }, { .stack = 1 }, { .kind = 1 } };
    for (size_t i = 0; i < 4; i++)
        ck_assert_int_eq(distribution_add(distributions_get(&set, &keys[i]), 1, 1, 1, 0), 0);
    ck_assert_int_eq(distributions_sort(&set, false), 4);
    distributions_clear(&set);
}

TEST(distribution, keys_are_bounded_and_nothing_is_lost)
{
    struct distributions set = { 0 };
    uint64_t count = 0;
    for (uint64_t fn = 1; fn <= DISTRIBUTION_KEYS_MAX + 100; fn++)
        add(&set, fn, 1, 1, 1);
    int entries = distributions_sort(&set, false);
    ck_assert_int_le(entries, DISTRIBUTION_KEYS_MAX + 1);
    for (int i = 0; i < entries; i++)
        count += set.list[i]->histogram.count;
    ck_assert_uint_eq(count, DISTRIBUTION_KEYS_MAX + 100);
    ck_assert_uint_eq(set.list[0]->key.fn, 0);
    ck_assert_uint_eq(set.list[0]->histogram.count, 100);
    distributions_clear(&set);
}

TEST(distribution, a_rate_is_of_its_busiest_window)
{
    struct rate rate = { 0 };
    for (int64_t t = 0; t < 10; t++)
        rate_add(&rate, t * 50, 1000);
    for (int64_t t = 0; t < 30; t++)
        rate_add(&rate, 5000 + t * 20, 1000);
    rate_add(&rate, 9000, 1000);
    ck_assert_uint_eq(rate.peak_count, 30);
    ck_assert_int_eq(rate.peak_begin_ns, 5000);
    ck_assert_uint_eq(rate_peak(&rate, 1000), 30000000);
}
