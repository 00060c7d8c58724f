/* The times that threads of the program were without a CPU, put together from the events that tell of each: what
 * kernel_by, kernel_stack, kernel_frames and kernel_task say before a kernel_off. */
#ifndef GMPT_KERNELINTERVALS_H
#define GMPT_KERNELINTERVALS_H

#include "kernelrecord.h"
#include "table.h"

#include <stdbool.h>
#include <stdint.h>

/* A thread that had to do with one of ours. */
struct kernel_task {
    uint32_t tid; /* 0 = none, or not known; KERNEL_TID_HIDDEN: of another program, more was not to be told; a waker's
                     can be KERNEL_TID_INTERRUPT */
    uint32_t pid; /* 0 = not known */
    uint64_t g;   /* that it ran, if it is one of the program's; 0 = none, or not known */
    char name[KERNEL_COMM_BYTES];
};

#define KERNEL_CALL_NOT_KNOWN (-2)

struct kernel_interval {
    uint32_t tid;
    uint64_t g; /* 0 = none, or not known: see doing */
    enum gmpt_kernel_doing doing;
    enum gmpt_kernel_why why;
    int32_t call; /* the system call; -1 = none, or KERNEL_CALL_NOT_KNOWN */
    uint64_t argument;
    /* Lost the CPU, could run, had one again: in this order, whatever the file says. Before the start they are < 0. */
    int64_t begin_ns, able_ns, end_ns;
    bool able_known;                   /* else it could run at some time from begin_ns to able_ns, which is end_ns */
    bool by_known;                     /* next, most, waker and the CPUs are */
    struct kernel_task next, most, waker;
    uint32_t cpu_from, cpu_to;
    uint32_t stack;  /* 0 = not known */
    uint32_t frames; /* likewise, in the kernel: its addresses are for kernelsymbols_name */
};

/* Zero-initialised is empty. */
struct kernelintervals {
    struct gmpt_event_kernel_by by;
    bool by_known;
    uint32_t stack, frames;
    struct table tasks; /* by tid; bounded as tids are */
};

/* Whether it is a thread, of which it is told which. */
static inline bool kernelintervals_named(const struct kernel_task *task)
{
    return task->tid && task->tid != KERNEL_TID_HIDDEN && task->tid != KERNEL_TID_INTERRUPT;
}

/* Whether the thread could have run on. */
static inline bool kernelintervals_stopped(const struct kernel_interval *interval)
{
    return interval->why == GMPT_KERNEL_PREEMPTED || interval->why == GMPT_KERNEL_THROTTLED;
}

/* Whether an event may be one of these, or one that the frames before it are of. */
static inline bool kernelintervals_takes(enum gmpt_event_type type)
{
    return (type >= GMPT_EVENT_kernel_task && type <= GMPT_EVENT_kernel_off) || type == GMPT_EVENT_kernel_frames ||
           type == GMPT_EVENT_cpu_sample || type == GMPT_EVENT_kernel_faults;
}

/* Of a kernel_tier: the tier, GMPT_KERNEL_OFF when it is none of ours. */
static inline enum gmpt_kernel_tier kernelintervals_tier(const struct gmpt_event *event)
{
    uint64_t tier = event->kernel_tier.tier;
    return tier < GMPT_KERNEL_TIERS ? (enum gmpt_kernel_tier)tier : GMPT_KERNEL_OFF;
}

/* Any event, in order. Returns 1 when *interval is one that is complete now, 0, or -ENOMEM. */
int kernelintervals_add(struct kernelintervals *intervals, const struct gmpt_event *event,
                        struct kernel_interval *interval);
void kernelintervals_clear(struct kernelintervals *intervals);

#endif
