/* How often something happens: counted in windows that begin with the first event after the one before is over. A rate
 * is the count of a window divided by its length, so one that had no time to last is never made more of. */
#ifndef GMPT_RATE_H
#define GMPT_RATE_H

#include <stdint.h>

/* Zero-initialised is empty. */
struct rate {
    int64_t begin_ns;
    uint64_t count;        /* in the window that goes on */
    uint64_t peak_count;   /* the most that a window has had */
    int64_t peak_begin_ns; /* when that one began */
};

static inline void rate_add_many(struct rate *rate, int64_t time_ns, int64_t window_ns, uint64_t count)
{
    if (rate->count == 0 || time_ns - rate->begin_ns >= window_ns) {
        rate->begin_ns = time_ns;
        rate->count = 0;
    }
    if (__builtin_add_overflow(rate->count, count, &rate->count))
        rate->count = UINT64_MAX;
    if (rate->count > rate->peak_count) {
        rate->peak_count = rate->count;
        rate->peak_begin_ns = rate->begin_ns;
    }
}

static inline void rate_add(struct rate *rate, int64_t time_ns, int64_t window_ns)
{
    rate_add_many(rate, time_ns, window_ns, 1);
}

static inline uint64_t rate_peak(const struct rate *rate, int64_t window_ns)
{
    return (uint64_t)((double)rate->peak_count * 1e9 / (double)window_ns);
}

#endif
