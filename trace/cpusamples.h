/* CPU samples of a trace, summed up by stack. */
#ifndef GMPT_CPUSAMPLES_H
#define GMPT_CPUSAMPLES_H

#include "table.h"

#include <gmptrace/trace.h>

struct cpusamples_stack {
    uint32_t stack; /* 0 = not known */
    uint64_t count;
    int64_t cpu_ns;
};

/* Zero-initialised is empty. */
struct cpusamples {
    uint64_t count, lost;
    uint64_t scheduler; /* of count, those that are of no G */
    int64_t cpu_ns, scheduler_ns;
    struct table stacks;
};

/* When a sample was taken: its event is written later. Not before the trace's start. */
static inline int64_t cpusamples_time_ns(const struct gmpt_event *event)
{
    uint64_t ago_ns = event->cpu_sample.ago_ticks;
    return event->time_ns > 0 && ago_ns < (uint64_t)event->time_ns ? event->time_ns - (int64_t)ago_ns : 0;
}

/* Any event. Returns 0 or -ENOMEM. */
int cpusamples_add(struct cpusamples *samples, const struct gmpt_event *event);
/* Its stacks, most CPU time first; the caller frees the list. NULL when there are none, or, with errno ENOMEM, no room.
 * *count is how many. */
struct cpusamples_stack *cpusamples_list(const struct cpusamples *samples, size_t *count);
void cpusamples_clear(struct cpusamples *samples);

#endif
