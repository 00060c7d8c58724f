/* See histogram.h. */
#include "histogram.h"

#include <errno.h>
#include <stdlib.h>

/* The smallest value that shares a counter. */
static int64_t step_floor(unsigned octave, unsigned step)
{
    return octave == 0 ? (int64_t)step : (int64_t)((uint64_t)(HISTOGRAM_STEPS + step) << (octave - 1));
}

/* The largest one. */
static int64_t step_ceiling(unsigned octave, unsigned step)
{
    if (octave == 0)
        return step;
    return (int64_t)(((uint64_t)(HISTOGRAM_STEPS + step + 1) << (octave - 1)) - 1);
}

static int octave_make(struct histogram *histogram, unsigned octave)
{
    histogram->octave[octave] = calloc(HISTOGRAM_STEPS, sizeof(uint64_t));
    return histogram->octave[octave] ? 0 : -ENOMEM;
}

int histogram_add_first(struct histogram *histogram, int64_t value, unsigned octave)
{
    return octave_make(histogram, octave) ? -ENOMEM : histogram_add(histogram, value);
}

int histogram_merge(struct histogram *histogram, const struct histogram *other)
{
    for (unsigned octave = 0; octave < HISTOGRAM_OCTAVES; octave++)
        if (other->octave[octave] && !histogram->octave[octave] && octave_make(histogram, octave))
            return -ENOMEM;
    for (unsigned octave = 0; octave < HISTOGRAM_OCTAVES; octave++)
        for (unsigned step = 0; other->octave[octave] && step < HISTOGRAM_STEPS; step++)
            histogram->octave[octave][step] += other->octave[octave][step];
    histogram->count += other->count;
    timesum_add(&histogram->total, other->total);
    if (other->max > histogram->max)
        histogram->max = other->max;
    return 0;
}

int64_t histogram_quantile(const struct histogram *histogram, unsigned permille)
{
    if (histogram->count == 0)
        return 0;
    /* Rounded up, and split so that the product cannot overflow. */
    uint64_t whole = histogram->count / 1000, rest = histogram->count % 1000;
    uint64_t rank = whole * permille + (rest * permille + 999) / 1000;
    uint64_t seen = 0, count;
    int64_t low, high;
    for (unsigned cell = 0; histogram_next(histogram, &cell, &low, &high, &count);) {
        seen += count;
        if (seen >= rank)
            return high < histogram->max ? high : histogram->max;
    }
    return histogram->max;
}

struct summary_latency histogram_latency(const struct histogram *histogram)
{
    return (struct summary_latency){
        .count = histogram->count,
        .p50_ns = histogram_quantile(histogram, 500),
        .p90_ns = histogram_quantile(histogram, 900),
        .p99_ns = histogram_quantile(histogram, 990),
        .max_ns = histogram->max,
    };
}

bool histogram_next(const struct histogram *histogram, unsigned *cell, int64_t *low, int64_t *high, uint64_t *count)
{
    while (*cell < HISTOGRAM_OCTAVES * HISTOGRAM_STEPS) {
        unsigned octave = *cell / HISTOGRAM_STEPS, step = *cell % HISTOGRAM_STEPS;
        if (!histogram->octave[octave]) {
            *cell = (octave + 1) * HISTOGRAM_STEPS;
            continue;
        }
        ++*cell;
        *count = histogram->octave[octave][step];
        if (*count == 0)
            continue;
        *low = step_floor(octave, step);
        *high = step_ceiling(octave, step);
        return true;
    }
    return false;
}

void histogram_clear(struct histogram *histogram)
{
    for (unsigned octave = 0; octave < HISTOGRAM_OCTAVES; octave++)
        free(histogram->octave[octave]);
    *histogram = (struct histogram){ 0 };
}
