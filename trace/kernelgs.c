/* See kernelgs.h. */
#include "kernelgs.h"

#include <errno.h>
#include <stdlib.h>

/* The G that was on a thread as its P was taken, and is, as long as it does what it did. */
struct alone {
    uint32_t tid;
    uint64_t g;
    int64_t begin_ns; /* of that */
};

static int alone_put(struct kernelgs *gs, uint32_t tid, uint64_t g, const struct intervals *intervals)
{
    const struct interval *now = g ? intervals_now(intervals, g) : NULL;
    struct alone *alone = table_find(&gs->alone, table_mix(tid), NULL, NULL);
    if (!now || tid == 0 || (!alone && gs->alone.count == KERNELGS_ALONE_MAX))
        return 0;
    if (!alone) {
        alone = malloc(sizeof *alone);
        if (!alone || table_insert(&gs->alone, table_mix(tid), alone)) {
            free(alone);
            return -ENOMEM;
        }
    }
    *alone = (struct alone){ tid, g, now->begin_ns };
    return 0;
}

/* What that G does; NULL = not known. */
static const struct interval *alone_find(const struct kernelgs *gs, uint32_t tid, const struct intervals *intervals)
{
    const struct alone *alone = table_find(&gs->alone, table_mix(tid), NULL, NULL);
    const struct interval *now = alone ? intervals_now(intervals, alone->g) : NULL;
    bool still = now && now->begin_ns == alone->begin_ns &&
                 (now->state == GMPT_G_SYSCALL || now->state == GMPT_G_PREEMPTED);
    return still ? now : NULL;
}

static void holder_set(struct kernelgs *gs, uint64_t p, uint64_t tid)
{
    if (p >= KERNELGS_PS_MAX)
        return;
    gs->tid_of_p[p] = (uint32_t)tid;
    if ((int32_t)p > gs->p_top)
        gs->p_top = (int32_t)p;
}

/* Whoever held the P goes on without it. */
static int holder_lose(struct kernelgs *gs, uint64_t p, uint64_t g, const struct intervals *intervals)
{
    uint32_t tid = p < KERNELGS_PS_MAX ? gs->tid_of_p[p] : 0;
    holder_set(gs, p, 0);
    return alone_put(gs, tid, g, intervals);
}

int kernelgs_add(struct kernelgs *gs, const struct gmpt_event *event, const struct intervals *intervals)
{
    switch (event->type) {
    case GMPT_EVENT_proc_start:
        holder_set(gs, (uint64_t)event->p, event->proc_start.tid);
        return 0;
    case GMPT_EVENT_proc_was:
        holder_set(gs, event->proc_was.p, event->proc_was.tid);
        return 0;
    case GMPT_EVENT_proc_stop:
        holder_set(gs, (uint64_t)event->p, 0);
        return 0;
    case GMPT_EVENT_proc_retake:
        return holder_lose(gs, event->proc_retake.p, event->g, intervals);
    case GMPT_EVENT_go_detach:
        return holder_lose(gs, (uint64_t)event->p, event->g, intervals);
    default:
        return 0;
    }
}

int32_t kernelgs_p(const struct kernelgs *gs, uint32_t tid)
{
    for (int32_t p = 0; tid && p <= gs->p_top; p++)
        if (gs->tid_of_p[p] == tid)
            return p;
    return -1;
}

uint32_t kernelgs_tid(const struct kernelgs *gs, const struct interval *interval)
{
    for (size_t i = 0; gs->alone.slots && i <= gs->alone.mask && interval->state != GMPT_G_RUNNING; i++) {
        const struct alone *alone = gs->alone.slots[i].entry;
        if (alone && alone->g == interval->g->id && alone->begin_ns == interval->begin_ns)
            return alone->tid;
    }
    return interval->p >= 0 && interval->p < KERNELGS_PS_MAX ? gs->tid_of_p[interval->p] : 0;
}

const struct interval *kernelgs_doing(const struct kernelgs *gs, const struct kernel_interval *interval,
                                      const struct intervals *intervals)
{
    if (interval->doing != GMPT_KERNEL_NOT_KNOWN || interval->g)
        return interval->g ? intervals_now(intervals, interval->g) : NULL;
    int32_t p = kernelgs_p(gs, interval->tid);
    if (p >= 0)
        return intervals_on(intervals, p);
    return alone_find(gs, interval->tid, intervals);
}

enum gmpt_kernel_doing kernelgs_did(const struct kernel_interval *interval, const struct interval *doing)
{
    if (interval->g && !doing)
        return GMPT_KERNEL_SCHEDULER;
    if (interval->doing != GMPT_KERNEL_NOT_KNOWN || !doing)
        return interval->doing;
    return doing->state == GMPT_G_SYSCALL ? GMPT_KERNEL_IN_CALL : GMPT_KERNEL_RUNNING_G;
}

void kernelgs_clear(struct kernelgs *gs)
{
    for (size_t i = 0; gs->alone.slots && i <= gs->alone.mask; i++)
        free(gs->alone.slots[i].entry);
    table_clear(&gs->alone);
    *gs = (struct kernelgs){ 0 };
}
