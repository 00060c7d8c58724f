/* A log-linear histogram of durations (HDR style): 16 steps an octave, so a quantile is within 1/16 of the truth; count
 * and maximum are exact. Octaves are allocated when a value first falls into them, so that thousands of histograms, one
 * for each creation site, cost little. */
#ifndef GMPT_HISTOGRAM_H
#define GMPT_HISTOGRAM_H

#include "summary.h"

#include <stdint.h>

#define HISTOGRAM_STEPS 16
#define HISTOGRAM_OCTAVES 60 /* 0-15 by ones, then 16-31, 32-63, ... to INT64_MAX */

/* Zero-initialised is empty. */
struct histogram {
    uint64_t count;
    int64_t max;
    uint64_t *octave[HISTOGRAM_OCTAVES]; /* HISTOGRAM_STEPS counters each, or NULL */
};

/* Values below 0 count as 0. Returns 0 or -ENOMEM. */
int histogram_add(struct histogram *histogram, int64_t value);

/* The value that a share of permille/1000 of all values does not exceed; 0 when there are none. */
int64_t histogram_quantile(const struct histogram *histogram, unsigned permille);

struct summary_latency histogram_latency(const struct histogram *histogram);

/* Frees the counters and leaves it empty. */
void histogram_clear(struct histogram *histogram);

#endif
