/* What the kernel did with the program's threads: how long Gs that ran were stopped by it, for whom, where threads
 * blocked while they had a P, and how long Ms were without a CPU in all.
 *
 *     G by our own trace   |------------------ running ------------------|
 *     its M by the kernel  |== on a CPU ==|. blocked .|. in queue .|= on =|
 *                                   kernel_off:  begin       able       end
 *
 * An interval belongs to what its thread did as it lost the CPU (trace/kernelgs.h). From `begin` to `able` it is
 * blocked, from `able` to `end` in the kernel's run queue: of one that could have run on, all of it is queue. A tier
 * that does not know `able` leaves all of it blocked, and unsplit. A window cuts intervals; a filter chooses those of
 * Gs that it chooses, by what they do then.
 *
 * An interval is told when it is over. So of a thread that has not ended nobody knows what it did since it last got a
 * CPU: of the time that its G ran since then, any part may have been without one. */
#ifndef GMPT_KERNELTIME_H
#define GMPT_KERNELTIME_H

#include "crosswakes.h"
#include "distribution.h"
#include "finding.h"
#include "pagefaults.h"
#include "piece.h"

#include "trace/filter.h"
#include "trace/intervals.h"
#include "trace/kernelgs.h"
#include "trace/kernelintervals.h"
#include "trace/stackalias.h"

#define KERNELTIME_NEIGHBOURS_MAX 4096
#define KERNELTIME_THREADS_MAX 65536

/* What a thread did that lost its CPU. */
enum kerneltime_part {
    KERNELTIME_RUNNING,   /* ran a G, which had not said that it would block */
    KERNELTIME_IN_CALL,   /* in a blocking call of a G's */
    KERNELTIME_SCHEDULER, /* ran no G: it looked for one, slept, polled; or is no M */
    KERNELTIME_NOT_KNOWN,
    KERNELTIME_PARTS
};

struct kerneltime_sum {
    uint64_t times;
    int64_t blocked_ns, queued_ns;
    int64_t unsplit_ns; /* of blocked_ns, what may have ended in queue: since when the threads could run is not known */
};

/* Who had the CPU while threads of Gs were in the kernel's queue: of each time, who had it for most of that. */
struct kerneltime_neighbour {
    uint32_t pid; /* 0 = not known, or not to be told, or one of too many; the program's own = another thread of it */
    char name[KERNEL_COMM_BYTES];
    bool judged; /* as a noisy one */
    uint64_t times;
    int64_t taken_ns, worst_ns, worst_end_ns;
    uint64_t worst_g, worst_fn;
    uint32_t worst_create_stack;
};

/* What the kernel counts of a thread, where it does not tell of each interval. */
struct kerneltime_usage {
    uint64_t slices;
    int64_t span_ns, ran_ns, queue_ns; /* span: of all threads together */
};

/* Threads that had not ended, and for how long their Gs ran, or were in calls, after what is told of them. */
struct kerneltime_open {
    uint64_t threads;
    int64_t running_ns, in_call_ns;
};

struct kerneltime {
    enum gmpt_kernel_tier tier;
    bool seen; /* there is a kernel's ring */
    bool others;
    int64_t since_ns; /* when it began */
    int64_t error_ns;
    uint64_t lost[GMPT_KERNEL_LOSSES];
    struct kerneltime_sum sums[KERNELTIME_PARTS];
    /* Of KERNELTIME_RUNNING: those that could have run on, and of these, those that the kernel says were stopped by a
     * quota, or whose CPU nobody else had then. */
    struct kerneltime_sum preempted, throttled;
    int64_t throttled_worst_ns, throttled_worst_end_ns;
    struct distributions stopped; /* of Gs that ran, in queue: by function and start; marked: over the limit */
    /* Of Gs that ran, blocked: by stack, or function and start; kind = call + 1; marked: over the limit. */
    struct distributions blocked;
    struct kerneltime_neighbour **neighbours; /* after kerneltime_finish: who took most first */
    size_t neighbour_count;
    struct kerneltime_usage usage;
    struct crosswakes crosswakes;
    struct pagefaults faults;
    struct kerneltime_open open;

    struct kernelintervals joined;
    struct table by_name;
    struct kernelgs gs;
    struct table threads; /* by tid */
    uint32_t pid;
};

struct analysis_options;

void kerneltime_open(struct kerneltime *kernel, const struct gmpt_trace *trace, const struct finding_limits *limits);
/* Whether it says anything here: most do not. */
static inline bool kerneltime_takes(enum gmpt_event_type type)
{
    return type < GMPT_EVENT_go_create || type >= GMPT_EVENT_kernel_tier || type == GMPT_EVENT_go_detach;
}
/* Such an event, after the intervals have had it. Returns 0 or -ENOMEM. */
int kerneltime_add(struct kerneltime *kernel, const struct gmpt_event *event, const struct analysis_options *options,
                   struct intervals *intervals, struct stackalias *alias);
/* What a G did as the trace ended, cut to the window. Returns 0 or -ENOMEM. */
int kerneltime_unfinished(struct kerneltime *kernel, const struct piece *piece);
/* running_ns: for how long Gs ran in all. */
int kerneltime_finish(struct kerneltime *kernel, const struct finding_limits *limits, int64_t running_ns,
                      struct findings *findings);
void kerneltime_clear(struct kerneltime *kernel);

#endif
