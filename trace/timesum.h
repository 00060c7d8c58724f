/* Sums of times that stop at the largest number instead of overflowing: only damaged clocks get there. */
#ifndef GMPT_TIMESUM_H
#define GMPT_TIMESUM_H

#include <stdint.h>

/* ns may be negative, as when a part is taken out again. */
static inline void timesum_add(int64_t *sum_ns, int64_t ns)
{
    if (__builtin_expect(__builtin_add_overflow(*sum_ns, ns, sum_ns), 0))
        *sum_ns = ns < 0 ? INT64_MIN : INT64_MAX;
}

/* Of a sum that has overflown. */
void timesum_stop(int64_t *sum_ns) __attribute__((cold));

/* The same where neither the sum nor ns is ever below 0: an addition to memory, and a look at its sign. */
static inline void timesum_grow(int64_t *sum_ns, int64_t ns)
{
    *sum_ns = (int64_t)((uint64_t)*sum_ns + (uint64_t)ns);
    if (__builtin_expect(*sum_ns < 0, 0))
        timesum_stop(sum_ns);
}

#endif
