/* A value's octave is its highest bit, its step the four bits below that; values below 16 have a counter each. */
#include "histogram.h"

#include <errno.h>
#include <stdlib.h>

static void value_split(int64_t value, unsigned *octave, unsigned *step)
{
    uint64_t bits = (uint64_t)value;
    if (bits < HISTOGRAM_STEPS) {
        *octave = 0;
        *step = (unsigned)bits;
        return;
    }
    unsigned top = 63 - (unsigned)__builtin_clzll(bits);
    *octave = top - 3;
    *step = (unsigned)(bits >> (top - 4)) & (HISTOGRAM_STEPS - 1);
}

/* The largest value that shares a counter. */
static int64_t step_ceiling(unsigned octave, unsigned step)
{
    if (octave == 0)
        return step;
    unsigned shift = octave - 1;
    return (int64_t)(((uint64_t)(HISTOGRAM_STEPS + step + 1) << shift) - 1);
}

int histogram_add(struct histogram *histogram, int64_t value)
{
    unsigned octave, step;
    if (value < 0)
        value = 0;
    value_split(value, &octave, &step);
    if (!histogram->octave[octave]) {
        histogram->octave[octave] = calloc(HISTOGRAM_STEPS, sizeof(uint64_t));
        if (!histogram->octave[octave])
            return -ENOMEM;
    }
    histogram->octave[octave][step]++;
    histogram->count++;
    if (value > histogram->max)
        histogram->max = value;
    return 0;
}

int64_t histogram_quantile(const struct histogram *histogram, unsigned permille)
{
    if (histogram->count == 0)
        return 0;
    /* Rounded up, and split so that the product cannot overflow. */
    uint64_t whole = histogram->count / 1000, rest = histogram->count % 1000;
    uint64_t rank = whole * permille + (rest * permille + 999) / 1000;
    uint64_t seen = 0;
    for (unsigned octave = 0; octave < HISTOGRAM_OCTAVES; octave++) {
        if (!histogram->octave[octave])
            continue;
        for (unsigned step = 0; step < HISTOGRAM_STEPS; step++) {
            seen += histogram->octave[octave][step];
            if (seen >= rank && seen > 0) {
                int64_t ceiling = step_ceiling(octave, step);
                return ceiling < histogram->max ? ceiling : histogram->max;
            }
        }
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

void histogram_clear(struct histogram *histogram)
{
    for (unsigned octave = 0; octave < HISTOGRAM_OCTAVES; octave++)
        free(histogram->octave[octave]);
    *histogram = (struct histogram){ 0 };
}
