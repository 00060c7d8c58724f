/* See kernelintervals.h. */
#include "kernelintervals.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TASKS_MAX 65536

static void text_put(char *name, size_t at, uint64_t text)
{
    for (; text && at + 1 < KERNEL_COMM_BYTES; text >>= 8)
        name[at++] = (char)(text & 0xff);
}

static int task_take(struct kernelintervals *intervals, const struct gmpt_event_kernel_task *told)
{
    uint64_t hash = table_mix((uint32_t)told->tid);
    struct kernel_task *task = table_find(&intervals->tasks, hash, NULL, NULL);
    if (!task && intervals->tasks.count == TASKS_MAX)
        return 0;
    if (!task) {
        task = malloc(sizeof *task);
        if (!task || table_insert(&intervals->tasks, hash, task)) {
            free(task);
            return -ENOMEM;
        }
    }
    *task = (struct kernel_task){ .tid = (uint32_t)told->tid, .pid = (uint32_t)told->pid };
    text_put(task->name, 0, told->a);
    text_put(task->name, 7, told->b);
    text_put(task->name, 14, told->c);
    return 0;
}

static struct kernel_task task_of(const struct kernelintervals *intervals, uint64_t tid, uint64_t g)
{
    const struct kernel_task *task = table_find(&intervals->tasks, table_mix((uint32_t)tid), NULL, NULL);
    struct kernel_task copy = { .tid = (uint32_t)tid };
    if (kernelintervals_named(&copy) && task)
        copy = *task;
    copy.g = g;
    return copy;
}

/* So long before, as far as that can be said of a damaged file. */
static int64_t before(int64_t ns, uint64_t length_ns)
{
    int64_t length = length_ns < INT64_MAX / 4 ? (int64_t)length_ns : INT64_MAX / 4;
    return ns > INT64_MIN + length ? ns - length : INT64_MIN;
}

int kernelintervals_add(struct kernelintervals *intervals, const struct gmpt_event *event,
                        struct kernel_interval *interval)
{
    switch (event->type) {
    case GMPT_EVENT_kernel_task:
        return task_take(intervals, &event->kernel_task);
    case GMPT_EVENT_kernel_by:
        intervals->by = event->kernel_by;
        intervals->by_known = true;
        return 0;
    case GMPT_EVENT_kernel_stack:
        intervals->stack = (uint32_t)event->kernel_stack.stack;
        return 0;
    case GMPT_EVENT_kernel_frames:
        intervals->frames = (uint32_t)event->kernel_frames.stack;
        return 0;
    case GMPT_EVENT_cpu_sample:
    case GMPT_EVENT_kernel_faults:
        intervals->frames = 0; /* they were its */
        return 0;
    case GMPT_EVENT_kernel_off:
        break;
    default:
        return 0;
    }
    const struct gmpt_event_kernel_off *off = &event->kernel_off;
    const struct gmpt_event_kernel_by *by = &intervals->by;
    bool able_known = off->queue_ns != GMPT_KERNEL_NS_NOT_KNOWN;
    *interval = (struct kernel_interval){
        .tid = (uint32_t)off->tid,
        .g = off->g,
        .doing = off->doing == GMPT_KERNEL_SCHEDULER || off->doing == GMPT_KERNEL_RUNNING_G ||
                         off->doing == GMPT_KERNEL_IN_CALL
                     ? (enum gmpt_kernel_doing)off->doing
                     : GMPT_KERNEL_NOT_KNOWN,
        .why = off->why <= GMPT_KERNEL_SUSPENDED ? (enum gmpt_kernel_why)off->why : GMPT_KERNEL_BLOCKED,
        .call = off->call && off->call <= INT32_MAX ? (int32_t)off->call - 1
                : intervals->by_known                       ? -1
                                                            : KERNEL_CALL_NOT_KNOWN, /* one source tells both */
        .argument = off->argument,
        .begin_ns = before(event->time_ns, off->off_ns),
        .able_ns = able_known ? before(event->time_ns, off->queue_ns < off->off_ns ? off->queue_ns : off->off_ns)
                              : event->time_ns,
        .end_ns = event->time_ns,
        .able_known = able_known,
        .by_known = intervals->by_known,
        .stack = intervals->stack,
        .frames = intervals->frames,
    };
    if (intervals->by_known) {
        interval->next = task_of(intervals, by->next, by->next_g);
        interval->most = task_of(intervals, by->most, by->most_g);
        interval->waker = task_of(intervals, by->waker, by->waker_g);
        interval->cpu_from = (uint32_t)by->cpu_from;
        interval->cpu_to = (uint32_t)by->cpu_to;
    }
    intervals->by_known = false;
    intervals->stack = intervals->frames = 0;
    return 1;
}

void kernelintervals_clear(struct kernelintervals *intervals)
{
    for (size_t i = 0; intervals->tasks.slots && i <= intervals->tasks.mask; i++)
        free(intervals->tasks.slots[i].entry);
    table_clear(&intervals->tasks);
    *intervals = (struct kernelintervals){ 0 };
}
