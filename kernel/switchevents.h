/* The switches of a process's threads as the kernel's perf events tell them, in one order.
 *
 * An event on each thread and CPU, which threads that are started later inherit; a ring for each CPU, which all of its
 * events write to. What comes out is in the order of CLOCK_MONOTONIC: a thread cannot run on another CPU before its
 * switch on this one is written, so all that was before a round's beginning is in the rings by then.
 *
 * A ring that is full loses what comes. The kernel counts that, but not of whom it was: so the time within which it
 * happened is told of as a loss that begins and ends, between what was before and after it in that ring. */
#ifndef GMPT_SWITCHEVENTS_H
#define GMPT_SWITCHEVENTS_H

#include "kernelside.h"

enum switchevent_kind {
    SWITCHEVENT_LOSS_BEGIN, /* something may be missing from here on; several may overlap */
    SWITCHEVENT_LOSS_END,
    SWITCHEVENT_START, /* a thread starts; it does not run yet */
    SWITCHEVENT_EXIT,
    SWITCHEVENT_BLOCKED,   /* it loses the CPU, and waits */
    SWITCHEVENT_PREEMPTED, /* it loses the CPU, and could have run on */
    SWITCHEVENT_RUN,       /* it has a CPU */
};

struct switchevent {
    uint64_t at_ns, number; /* number: in which order they were read */
    uint32_t tid;           /* 0 of a loss */
    enum switchevent_kind kind;
};

struct switchevents;

/* Whether threads of one's own can be watched. Returns 0, or -errno with *lack filled. */
int switchevents_try(struct kernelside_lack *lack);

/* Hands the ids of the threads that are there to `found`. ring_bytes: of each CPU's ring, a power of two; it is less
 * where the user may not have so much. Returns 0, or -errno with *lack filled. */
int switchevents_open(struct switchevents **events, pid_t pid, size_t ring_bytes,
                      int (*found)(void *arg, uint32_t tid), void *arg, struct kernelside_lack *lack);
/* Hands out all that happened before now and was not handed out yet; with `last` all that there is. Returns 0, -ENOMEM,
 * or what take returned. */
int switchevents_read(struct switchevents *events, bool last, int (*take)(void *arg, const struct switchevent *event),
                      void *arg);
/* How many were lost since switchevents_open. After the last read it is exact from Linux 6.0 on; before, what is lost
 * after all that was read is not counted. */
uint64_t switchevents_lost(const struct switchevents *events);
void switchevents_close(struct switchevents *events); /* NULL is allowed */

#endif
