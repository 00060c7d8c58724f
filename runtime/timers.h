/* Timers: a heap for each P, so that starting one seldom meets another CPU.
 *
 * A timer lives in its user's frame or object, and must be stopped before that ends. It fires with the heap's lock
 * held, on an M that holds a P: its function may take the lock of one object and make Gs ready, and must not touch
 * timers. timers_stop therefore returns only when the function is not running and will not run (again). What a function
 * may not do, or what would keep the lock for long, it leaves to a call: timers_call_after runs that on the same M,
 * holding the P and no lock, when the lock has been released.
 *
 * The heap never follows a pointer to order its entries, since timers lie scattered over the stacks of their Gs, a page
 * each. Nor does a timer know its place: a timer that is stopped leaves its entry behind, which finds its cell empty
 * when its time comes. When more than half of a heap is such leavings, they are swept out; so a heap takes at most
 * twice the room of its timers, and stopping costs no search.
 *
 *     heap:  when, cell | when, cell | ...      ordered by when
 *                   |
 *     cells:        timer | NULL, stopped | ...  by number; timer->cell is the way back
 */
#ifndef GMPT_TIMERS_H
#define GMPT_TIMERS_H

#include "runtime.h"

struct timer {
    uint32_t cell; /* valid while the cell holds this timer; TIMER_IDLE when it is in no heap */
    uint8_t use;   /* enum gmpt_timer_use */
    struct timers *home;
    void (*fire)(struct timer *timer, struct p *p);
    int64_t period_ns; /* 0 = it fires once */
};

#define TIMER_IDLE UINT32_MAX

struct timer_entry {
    int64_t when_ns;
    uint32_t cell;
    uint32_t periodic; /* beside the timer's own word for the same reason */
};

union timer_cell {
    struct timer *timer; /* NULL: it was stopped, its entry is still in the heap */
    uint64_t next_free;  /* of a cell that no entry has */
};

/* Something to do once the heap's lock is free; lies in the object that it is about. */
struct timer_call {
    struct timer_call *next;
    void (*run)(struct timer_call *call, struct p *p);
};

/* The moment ns from now; at once when ns is not positive, and never GMPT_NEVER. */
int64_t timers_moment_in(int64_t ns);

void timers_init(struct timers *timers);

/* Starts that of a deadline on p's heap; it is idle. Returns 0 or -ENOMEM. */
int timers_start(struct p *p, struct timer *timer, int64_t when_ns, void (*fire)(struct timer *, struct p *));
/* The same of a sleep, with the heap's lock already held by the caller, who releases it. */
int timers_start_locked(struct p *p, struct timer *timer, int64_t when_ns, void (*fire)(struct timer *, struct p *));
/* One for this use that fires at when_ns and then each period_ns (0 = not again, at most INT64_MAX / 2); the moments
 * that it is too late for are left out. */
int timers_start_periodic(struct p *p, struct timer *timer, enum gmpt_timer_use use, int64_t when_ns, int64_t period_ns,
                          void (*fire)(struct timer *, struct p *));
/* Returns whether it would have fired (again). It must have been started before. */
bool timers_stop(struct timer *timer);

/* Whether the earliest is due. now_ns may be 0: the clock is read if it matters. */
bool timers_due_any(struct timers *timers, int64_t now_ns);
/* Fires what is due, up to a number that p's queue has room for; what it makes ready goes to p, which the caller's M
 * holds. Returns how many. Not inside another timers_run. */
uint32_t timers_run(struct timers *timers, struct p *p);

/* For a timer's function only: makes a waiting G runnable, soon. Cheaper than scheduler_ready when many fire. */
void timers_ready_after(struct p *p, struct g *g, int wait_result);
/* For a timer's function only: runs the call once the lock is free. It must not be pending already. */
void timers_call_after(struct p *p, struct timer_call *call);

#endif
