/* Tests of whether two sets of measurements differ, and by how much. None assumes a shape of their distribution.
 *
 * Where the methods are from:
 *   ranks       H. B. Mann, D. R. Whitney, "On a test of whether one of two random variables is stochastically larger
 *               than the other", Annals of Mathematical Statistics 18 (1947); the variance with ties as in
 *               E. L. Lehmann, "Nonparametrics: Statistical Methods Based on Ranks" (1975), 1.4; the exact distribution
 *               as coefficients of a Gaussian binomial: A. di Bucchianico, "Combinatorics, computer algebra and the
 *               Wilcoxon-Mann-Whitney test", Journal of Statistical Planning and Inference 79 (1999)
 *   delta       N. Cliff, "Dominance statistics", Psychological Bulletin 114 (1993)
 *   series      the variance of a mean of first-order autocorrelated values, M. S. Bartlett, "Some aspects of the
 *               time-correlation problem", Journal of the Royal Statistical Society 98 (1935)
 *   medians     order statistics: H. A. David, H. N. Nagaraja, "Order Statistics" (3rd ed., 2003), 7.1
 *   rates       J. Przyborowski, H. Wilenski, "Homogeneity of results in testing samples from Poisson series",
 *               Biometrika 31 (1940)
 *   discoveries Y. Benjamini, Y. Hochberg, "Controlling the false discovery rate", Journal of the Royal Statistical
 *               Society B 57 (1995) */
#ifndef GMPT_STATISTICS_H
#define GMPT_STATISTICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* So many measurements of one value. */
struct statistics_group {
    double value;
    uint64_t count;
};

struct statistics_ranks {
    double p;     /* two-sided; 1 when there are none on a side */
    double delta; /* P(b > a) - P(b < a): 1 = every b is larger than every a */
};

/* Mann and Whitney's test of two lists that ascend. Exact for at most STATISTICS_EXACT_MAX values that are all
 * distinct; otherwise by the normal distribution, which wants some 8 on each side. inflation (1 or more) multiplies the
 * variance: what statistics_inflation says of values that follow each other in time. */
struct statistics_ranks statistics_ranks(const struct statistics_group *a, size_t a_groups,
                                         const struct statistics_group *b, size_t b_groups, double inflation);
#define STATISTICS_EXACT_MAX 40

/* By how much the variance of a mean of values in this order exceeds that of independent ones: (1 + r) / (1 - r), r
 * being the correlation of each with the next by their ranks; 1 when that is negative, or there are less than 4. */
double statistics_inflation(const double *values, size_t count);

/* Whether events that came a times in a_time and b times in b_time had the same rate, if they came independently of
 * each other: two-sided, exact for up to 1000 of them. */
double statistics_rate(uint64_t a, double a_time, uint64_t b, double b_time);

/* An interval that holds the median that count values were drawn from with at least this confidence: two of the values,
 * which ascend. False when they are too few. */
bool statistics_median_interval(const double *values, size_t count, double confidence, double *low, double *high);

/* For each p the smallest rate of false discoveries at which it is one, Benjamini and Hochberg's adjusted p. order is
 * room for count numbers. */
void statistics_discoveries(const double *p, double *q, size_t *order, size_t count);

#endif
