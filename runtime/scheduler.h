/* Running, parking and waking Gs. The essay is at the top of scheduler.c. */
#ifndef GMPT_SCHEDULER_H
#define GMPT_SCHEDULER_H

#include "enter.h"
#include "runtime.h"

/* What a G is about to wait for. */
struct wait {
    enum gmpt_wait_reason reason;
    bool bounded; /* a deadline ends it at the latest */
    const void *object;
    const void *record; /* its struct waitlist_wait or struct select_wait; NULL for a wait that has neither */
    struct api_site site;
};

/* Parks the calling G. after(m, g, arg) runs once nothing runs on the G's stack any more, on whichever context comes
 * next; from its call on anybody may make the G ready, so it is what releases the lock that the G was queued
 * under. Returns what the waker put in g->wait_result. */
int scheduler_park(const struct wait *wait, after_switch_fn *after, void *arg);

/* The `after` that releases a struct lock. */
void scheduler_after_unlock(struct m *m, struct g *from, void *lock);

/* Makes a waiting G runnable, next on p, which the caller's M holds. The caller has taken the G out of
 * wherever it was queued, so nobody else does the same. */
void scheduler_ready(struct p *p, struct g *g, int wait_result);
/* The same for a list of them, linked by `next`, at the end of p's queue. */
void scheduler_ready_list(struct p *p, struct g *list);
/* The same where the caller has no P: they go to the global queue. */
void scheduler_ready_list_global(struct g *list);

/* Puts a new G on p's queue and sees that somebody runs it. */
void scheduler_started(struct p *p, struct g *g);

/* The same for a child that the calling G waits for sooner or later: the child runs at once, and the caller goes on
 * when it pauses or ends, or on another P. The child prefers no P and is locked to no M. */
void scheduler_started_first(struct g *g);

/* Ends the slice of a G that sysmon asked to. */
void scheduler_preempted(void);
/* The same after a signal made it call. */
void scheduler_preempted_async(void);

/* Leaves the calling G, which has no P, for its M's g0; comes back when somebody runs the G. */
void scheduler_leave_for_g0(after_switch_fn *after);

/* After a G was put on a queue: the submitter's half of the waking protocol. */
void scheduler_submitted(void);
/* The runtime ends, and this thread has no more to do: it sleeps until the process has exited. */
void scheduler_retire(void) __attribute__((noreturn));

/* Sees that an idle P gets an M that looks for work, unless one is looking already. */
void scheduler_wake(void);

/* Somebody is to be woken for each G again; see "Needless waking". */
static inline void scheduler_waking_pays(void)
{
    if (load_relaxed(&sched.wake_after) != 1)
        store_relaxed(&sched.wake_after, 1);
}

/* The main G has returned: ends it and the runtime. The thread stays behind, asleep. */
void scheduler_end_main(void) __attribute__((noreturn));

/* An M's life on its g0: finds Gs and runs them. The M holds a P. */
void scheduler_loop(struct m *m) __attribute__((noreturn));

/* Sets up what Ps have in common; procs_start comes next. */
void scheduler_start(void);
/* Starts the first M, with P 0 and this G. Returns 0 or -EAGAIN. */
int scheduler_first(struct p *p, struct g *g);

#endif
