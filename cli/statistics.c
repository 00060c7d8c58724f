/* See statistics.h. */
#define _GNU_SOURCE
#include "statistics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RATE_EXACT_MAX 1000
#define CORRELATION_MAX 0.95

/* Both tails beyond this many standard deviations. */
static double normal_tails(double z) { return erfc(z / sqrt(2)); }

/* ---- Ranks ------------------------------------------------------------------------------------------------------- */

static uint64_t groups_count(const struct statistics_group *groups, size_t count)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += groups[i].count;
    return sum;
}

/* How likely a u at most this large is, of n values and m others: how many of the choose(n + m, n) orders have each u
 * are the coefficients of prod (1 - x^(m+i)) / (1 - x^i), i = 1 .. n. All are whole numbers below 2^53. */
static double ranks_exact(unsigned n, unsigned m, double u)
{
    double orders[STATISTICS_EXACT_MAX * STATISTICS_EXACT_MAX / 4 + 1] = { 1 }, all = 0, below = 0;
    unsigned last = n * m;
    for (unsigned i = 1; i <= n; i++) {
        for (unsigned k = last; k >= m + i; k--)
            orders[k] -= orders[k - m - i];
        for (unsigned k = i; k <= last; k++)
            orders[k] += orders[k - i];
    }
    for (unsigned k = 0; k <= last; k++) {
        all += orders[k];
        if (k <= u)
            below += orders[k];
    }
    return below / all;
}

struct statistics_ranks statistics_ranks(const struct statistics_group *a, size_t a_groups,
                                         const struct statistics_group *b, size_t b_groups, double inflation)
{
    double n = (double)groups_count(a, a_groups), m = (double)groups_count(b, b_groups);
    double a_below = 0, u = 0, ties = 0;
    if (n == 0 || m == 0)
        return (struct statistics_ranks){ .p = 1 };
    for (size_t i = 0, k = 0; i < a_groups || k < b_groups;) {
        double value = k == b_groups || (i < a_groups && a[i].value <= b[k].value) ? a[i].value : b[k].value;
        double a_here = i < a_groups && a[i].value == value ? (double)a[i++].count : 0;
        double b_here = k < b_groups && b[k].value == value ? (double)b[k++].count : 0;
        double here = a_here + b_here;
        u += b_here * (a_below + a_here / 2);
        a_below += a_here;
        ties += here * here * here - here;
    }
    double pairs = n * m, all = n + m, mean = pairs / 2;
    struct statistics_ranks ranks = { .p = 1, .delta = 2 * u / pairs - 1 };
    double variance = pairs / 12 * (all + 1 - (all > 1 ? ties / (all * (all - 1)) : 0)) * inflation;
    double off = fabs(u - mean) - 0.5;
    if (variance > 0 && off > 0)
        ranks.p = normal_tails(off / sqrt(variance));
    if (ties == 0 && all <= STATISTICS_EXACT_MAX) {
        double exact = fmin(1, 2 * ranks_exact((unsigned)n, (unsigned)m, fmin(u, pairs - u)));
        ranks.p = inflation > 1 ? fmax(exact, ranks.p) : exact;
    }
    return ranks;
}

/* ---- Series ------------------------------------------------------------------------------------------------------ */

static int value_compare(const void *a, const void *b)
{
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

static double rank_of(const double *sorted, size_t count, double value)
{
    size_t below = 0, equal = 0;
    for (size_t i = 0; i < count; i++) {
        below += sorted[i] < value;
        equal += sorted[i] == value;
    }
    return (double)below + ((double)equal + 1) / 2;
}

double statistics_inflation(const double *values, size_t count)
{
    double middle = ((double)count + 1) / 2, squares = 0, products = 0, before = 0;
    double *sorted = count >= 4 ? malloc(count * sizeof *sorted) : NULL;
    if (!sorted)
        return 1;
    memcpy(sorted, values, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, value_compare);
    for (size_t i = 0; i < count; i++) {
        double off = rank_of(sorted, count, values[i]) - middle;
        squares += off * off;
        products += off * before;
        before = off;
    }
    free(sorted);
    double correlation = squares > 0 ? products / squares : 0;
    correlation = fmin(fmax(correlation, 0), CORRELATION_MAX);
    return (1 + correlation) / (1 - correlation);
}

/* ---- Rates ------------------------------------------------------------------------------------------------------- */

/* Of n independent events each falls into the first time with this probability: how likely are at most k. */
static double binomial_at_most(uint64_t k, uint64_t n, double probability)
{
    double sum = 0;
    int sign;
    for (uint64_t i = 0; i <= k; i++)
        sum +=
            exp(lgamma_r((double)n + 1, &sign) - lgamma_r((double)i + 1, &sign) - lgamma_r((double)(n - i) + 1, &sign) +
                (double)i * log(probability) + (double)(n - i) * log1p(-probability));
    return fmin(sum, 1);
}

double statistics_rate(uint64_t a, double a_time, uint64_t b, double b_time)
{
    uint64_t n = a + b;
    if (n == 0 || a_time <= 0 || b_time <= 0)
        return 1;
    double probability = a_time / (a_time + b_time), mean = (double)n * probability;
    if (n <= RATE_EXACT_MAX) {
        double at_most = binomial_at_most(a, n, probability), at_least = binomial_at_most(b, n, 1 - probability);
        return fmin(1, 2 * fmin(at_most, at_least));
    }
    double off = fabs((double)a - mean) - 0.5;
    return off > 0 ? normal_tails(off / sqrt(mean * (1 - probability))) : 1;
}

/* ---- Medians, discoveries ---------------------------------------------------------------------------------------- */

bool statistics_median_interval(const double *values, size_t count, double confidence, double *low, double *high)
{
    double tail = (1 - confidence) / 2, at_most = exp2(-(double)count);
    double term = at_most;
    size_t skipped = 0;
    if (count == 0 || at_most > tail)
        return false;
    /* The median lies below the value after the skipped ones with the probability that at most so many lie below it. */
    while (2 * (skipped + 1) < count) {
        term *= (double)(count - skipped) / (double)(skipped + 1);
        if (at_most + term > tail)
            break;
        at_most += term;
        skipped++;
    }
    *low = values[skipped];
    *high = values[count - 1 - skipped];
    return true;
}

static int p_compare(const void *a, const void *b, void *p_arg)
{
    const double *p = p_arg;
    double left = p[*(const size_t *)a], right = p[*(const size_t *)b];
    return (left > right) - (left < right);
}

void statistics_discoveries(const double *p, double *q, size_t *order, size_t count)
{
    double least = 1;
    for (size_t i = 0; i < count; i++)
        order[i] = i;
    if (count)
        qsort_r(order, count, sizeof *order, p_compare, (void *)(uintptr_t)p);
    for (size_t i = count; i-- > 0;) {
        least = fmin(least, p[order[i]] * (double)count / (double)(i + 1));
        q[order[i]] = least;
    }
}
