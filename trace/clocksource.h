/* Whether the CPU's own counter is a clock: one that ticks at the same rate in every power state, and is the same on
 * all CPUs. The kernel found out the latter as it chose its clock source. */
#ifndef GMPT_CLOCKSOURCE_H
#define GMPT_CLOCKSOURCE_H

#include <stdbool.h>

struct clocksource {
    bool invariant;  /* the CPU says that its counter is */
    char kernel[32]; /* what the kernel uses; "" = not known */
    bool tsc;        /* so rdtsc is a clock */
};

void clocksource_look(struct clocksource *source);

#endif
