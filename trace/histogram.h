/* A log-linear histogram of durations (HDR style): 64 steps an octave, so a quantile is at most 1/64 (1.6 %) above the
 * truth and never below it; count, total and maximum are exact. Octaves are allocated when a value first falls into
 * them, so that thousands of histograms, one for each creation site, cost little. */
#ifndef GMPT_HISTOGRAM_H
#define GMPT_HISTOGRAM_H

#include "summary.h"
#include "timesum.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#define HISTOGRAM_STEP_BITS 6
#define HISTOGRAM_STEPS (1 << HISTOGRAM_STEP_BITS)
#define HISTOGRAM_OCTAVES (64 - HISTOGRAM_STEP_BITS) /* 0-63 by ones, then 64-127, 128-255, ... to INT64_MAX */

/* Zero-initialised is empty. */
struct histogram {
    uint64_t count;
    int64_t total; /* stays at INT64_MAX once it would be more */
    int64_t max;
    uint64_t *octave[HISTOGRAM_OCTAVES]; /* HISTOGRAM_STEPS counters each, or NULL */
};

/* As histogram_add, of the first value of an octave, which makes its counters. */
int histogram_add_first(struct histogram *histogram, int64_t value, unsigned octave);

/* Values below 0 count as 0. Returns 0 or -ENOMEM. A value's octave is its highest bit, its step the bits right below
 * that; the smallest values have a counter each. So the two together are a number that rises with the value. */
static inline int histogram_add(struct histogram *histogram, int64_t value)
{
    value = value < 0 ? 0 : value;
    unsigned shift = 63 - HISTOGRAM_STEP_BITS - (unsigned)__builtin_clzll((uint64_t)value | HISTOGRAM_STEPS);
    unsigned cell = (shift << HISTOGRAM_STEP_BITS) + (unsigned)((uint64_t)value >> shift);
    uint64_t *octave = histogram->octave[cell / HISTOGRAM_STEPS];
    if (__builtin_expect(!octave, 0))
        return histogram_add_first(histogram, value, cell / HISTOGRAM_STEPS);
    octave[cell % HISTOGRAM_STEPS]++;
    histogram->count++;
    timesum_grow(&histogram->total, value);
    if (value > histogram->max)
        histogram->max = value;
    return 0;
}
/* Adds all of other's values; the steps are the same, so nothing is rounded anew. Returns 0 or -ENOMEM. */
int histogram_merge(struct histogram *histogram, const struct histogram *other);

/* The value that a share of permille/1000 of all values does not exceed; 0 when there are none. */
int64_t histogram_quantile(const struct histogram *histogram, unsigned permille);

struct summary_latency histogram_latency(const struct histogram *histogram);

/* Steps that hold values, from the smallest: *cell is 0 before the first call. Returns false after the last; else *low
 * and *high are the least and the largest value that fall into the step, and *count says how many did. */
bool histogram_next(const struct histogram *histogram, unsigned *cell, int64_t *low, int64_t *high, uint64_t *count);

/* Frees the counters and leaves it empty. */
void histogram_clear(struct histogram *histogram);

#endif
