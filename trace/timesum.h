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

#endif
