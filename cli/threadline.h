/* Turns what the kernel tells of threads into what export.h tells a format: when each had a CPU, and when not.
 *
 *     kernel_off tells     |.... blocked ....|.. in queue ..|
 *     export tells   on   |        off                      |   on          |  off ...
 *
 * Between two times without a CPU a thread had one. Before the first it had one, too, but since when nobody tells; and
 * after the last nobody tells until when: it may be without one to the end, as a time without a CPU is told when it is
 * over. Memory is bounded by the number of threads. */
#ifndef GMPT_THREADLINE_H
#define GMPT_THREADLINE_H

#include "export.h"

#include "trace/kernelgs.h"

struct threadline {
    struct export *export;
    int64_t from_ns, to_ns; /* the window */
    struct kernelintervals joined;
    struct kernelgs gs;
    struct table threads; /* by tid */
};

void threadline_open(struct threadline *threads, struct export *export, int64_t from_ns, int64_t to_ns);
/* Any event, in order, after the intervals have had it, or those that threadline_takes. Returns 0 or a negative
 * errno. */
int threadline_add(struct threadline *threads, const struct gmpt_event *event, const struct intervals *intervals);
static inline bool threadline_takes(enum gmpt_event_type type)
{
    return kernelgs_takes(type) || type >= GMPT_EVENT_cpu_sample;
}
int threadline_finish(struct threadline *threads, int64_t end_ns); /* likewise */
void threadline_close(struct threadline *threads);

#endif
