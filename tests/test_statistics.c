/* The tests of statistics.h, against counting by hand and published tables. */
#include "harness.h"

#include "cli/statistics.h"

#include <math.h>
#include <stdint.h>

#define GROUPS_MAX 64

static size_t ones(struct statistics_group *groups, const double *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        groups[i] = (struct statistics_group){ values[i], 1 };
    return count;
}

static struct statistics_ranks ranks_of(const double *a, size_t a_count, const double *b, size_t b_count,
                                        double inflation)
{
    struct statistics_group a_groups[GROUPS_MAX], b_groups[GROUPS_MAX];
    return statistics_ranks(a_groups, ones(a_groups, a, a_count), b_groups, ones(b_groups, b, b_count), inflation);
}

TEST(statistics, three_below_three_have_one_chance_in_ten)
{
    static const double a[] = { 1, 2, 3 }, b[] = { 4, 5, 6 };
    struct statistics_ranks up = ranks_of(a, 3, b, 3, 1), down = ranks_of(b, 3, a, 3, 1);
    ck_assert_double_eq_tol(up.p, 0.1, 1e-12);
    ck_assert_double_eq_tol(up.delta, 1, 1e-12);
    ck_assert_double_eq_tol(down.p, 0.1, 1e-12);
    ck_assert_double_eq_tol(down.delta, -1, 1e-12);
}

/* Every way to choose which 4 of 1 .. 9 are a's is equally likely. */
TEST(statistics, exact_chances_are_those_of_all_orders)
{
    double us[512], chances[512];
    unsigned orders = 0;
    for (unsigned mask = 0; mask < 512; mask++) {
        double a[9], b[9];
        size_t a_count = 0, b_count = 0;
        if (__builtin_popcount(mask) != 4)
            continue;
        for (unsigned i = 0; i < 9; i++)
            if (mask >> i & 1)
                a[a_count++] = i;
            else
                b[b_count++] = i;
        us[orders] = 0;
        for (size_t i = 0; i < a_count; i++)
            for (size_t k = 0; k < b_count; k++)
                us[orders] += b[k] > a[i];
        chances[orders++] = ranks_of(a, a_count, b, b_count, 1).p;
    }
    ck_assert_uint_eq(orders, 126);
    for (unsigned i = 0; i < orders; i++) {
        unsigned as_far = 0;
        for (unsigned k = 0; k < orders; k++)
            as_far += fabs(us[k] - 10) >= fabs(us[i] - 10);
        ck_assert_double_eq_tol(chances[i], us[i] == 10 ? 1 : (double)as_far / orders, 1e-12);
    }
}

TEST(statistics, groups_are_as_many_values)
{
    static const struct statistics_group a[] = { { 1, 30 }, { 2, 50 }, { 3, 20 } },
                                         b[] = { { 1, 20 }, { 2, 50 }, { 4, 30 } };
    struct statistics_ranks ranks = statistics_ranks(a, 3, b, 3, 1);
    /* U = 20*15 + 50*(30+25) + 30*100 = 6050, ties 50^3-50, 100^3-100, 20^3-20, 30^3-30, n = 200 */
    double variance = 10000.0 / 12 * (201 - (124950 + 999900 + 7980 + 26970) / (200.0 * 199));
    ck_assert_double_eq_tol(ranks.p, erfc((6050 - 5000 - 0.5) / sqrt(2 * variance)), 1e-12);
    ck_assert_double_eq_tol(ranks.delta, 2 * 6050.0 / 10000 - 1, 1e-12);
}

TEST(statistics, nothing_and_all_alike_are_no_difference)
{
    static const struct statistics_group a[] = { { 5, 100 } }, b[] = { { 5, 1000 } };
    ck_assert_double_eq(statistics_ranks(a, 1, b, 1, 1).p, 1);
    ck_assert_double_eq(statistics_ranks(a, 1, b, 1, 1).delta, 0);
    ck_assert_double_eq(statistics_ranks(a, 0, b, 1, 1).p, 1);
}

TEST(statistics, values_that_follow_each_other_count_less)
{
    static const double a[] = { 1, 2, 3, 4, 5, 6, 7, 8 }, b[] = { 11, 12, 13, 14, 15, 16, 17, 18 };
    double alone = ranks_of(a, 8, b, 8, 1).p, together = ranks_of(a, 8, b, 8, statistics_inflation(a, 8)).p;
    ck_assert_double_eq_tol(alone, 2.0 / 12870, 1e-12);
    ck_assert(together > 10 * alone);
}

TEST(statistics, a_trend_inflates_and_noise_does_not)
{
    static const double trend[] = { 1, 2, 3, 4, 5, 6, 7, 8 }, zigzag[] = { 1, 9, 1, 9, 1, 9 }, flat[] = { 3, 3, 3, 3 };
    /* ranks -3.5 .. 3.5: squares 42, products of neighbours 26.25 */
    ck_assert_double_eq_tol(statistics_inflation(trend, 8), (1 + 0.625) / (1 - 0.625), 1e-12);
    ck_assert_double_eq(statistics_inflation(zigzag, 6), 1);
    ck_assert_double_eq(statistics_inflation(flat, 4), 1);
    ck_assert_double_eq(statistics_inflation(trend, 3), 1);
}

TEST(statistics, rates_are_compared_by_the_time_they_took)
{
    ck_assert_double_eq_tol(statistics_rate(0, 1, 10, 1), 2 * pow(0.5, 10), 1e-12);
    ck_assert_double_eq_tol(statistics_rate(5, 1, 5, 1), 1, 1e-12);
    ck_assert_double_eq_tol(statistics_rate(3, 1, 0, 3), 2 * pow(0.25, 3), 1e-12);
    ck_assert(statistics_rate(100, 1, 300, 3) > 0.9);
    ck_assert(statistics_rate(10000, 1, 30000, 3) > 0.9);
    ck_assert(statistics_rate(10000, 1, 11000, 1) < 1e-9);
    ck_assert_double_eq(statistics_rate(0, 1, 0, 1), 1);
    ck_assert_double_eq(statistics_rate(5, 0, 5, 1), 1);
}

TEST(statistics, exact_rates_go_over_into_approximate_ones)
{
    double exact = statistics_rate(470, 1, 530, 1), approximate = statistics_rate(470, 1, 531, 1);
    ck_assert_double_eq_tol(exact, approximate, 0.01);
    ck_assert_double_eq_tol(exact, 0.0619, 0.002);
}

TEST(statistics, a_median_lies_between_two_of_the_values)
{
    double values[20], low, high;
    for (int i = 0; i < 20; i++)
        values[i] = i + 1;
    /* as in tables of the sign test: 2 and 9 of 10 (97.9 %), 6 and 15 of 20 (95.9 %) */
    ck_assert(statistics_median_interval(values, 10, 0.95, &low, &high));
    ck_assert_double_eq(low, 2);
    ck_assert_double_eq(high, 9);
    ck_assert(statistics_median_interval(values, 20, 0.95, &low, &high));
    ck_assert_double_eq(low, 6);
    ck_assert_double_eq(high, 15);
    ck_assert(!statistics_median_interval(values, 5, 0.95, &low, &high));
    ck_assert(statistics_median_interval(values, 6, 0.95, &low, &high));
    ck_assert_double_eq(low, 1);
    ck_assert_double_eq(high, 6);
    ck_assert(!statistics_median_interval(values, 0, 0.95, &low, &high));
}

/* The example of Benjamini and Hochberg's paper: the four smallest of fifteen are discoveries at 5 %. */
TEST(statistics, discoveries_are_those_of_the_paper)
{
    static const double p[] = { 0.0201, 0.0001, 0.0278, 0.0004, 0.0298, 0.0019, 0.0344, 0.0095,
                                0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000 };
    double q[15];
    size_t order[15];
    unsigned found = 0;
    statistics_discoveries(p, q, order, 15);
    for (unsigned i = 0; i < 15; i++)
        found += q[i] <= 0.05;
    ck_assert_uint_eq(found, 4);
    ck_assert_double_eq_tol(q[1], 0.0015, 1e-12);
    ck_assert_double_eq_tol(q[7], 0.035625, 1e-12);
    ck_assert_double_eq(q[14], 1);
    statistics_discoveries(p, q, order, 0);
}
