/* Timers: a heap for each P, so that starting one seldom meets another CPU.
 *
 * A timer lives in its user's frame, is started once, and must be stopped before the frame ends. It fires with the
 * heap's lock held, on an M that holds a P: its function may take the lock of one object and make Gs ready, and must
 * not touch timers. timers_stop therefore returns only when the function is not running and will not run. */
#ifndef GMPT_TIMERS_H
#define GMPT_TIMERS_H

#include "runtime.h"

#define TIMER_IDLE UINT32_MAX

struct timer {
    int64_t when_ns;
    uint32_t place; /* in the heap, TIMER_IDLE when it is not in one */
    struct timers *home;
    void (*fire)(struct timer *timer, struct p *p);
};

struct timer_entry {
    int64_t when_ns; /* kept beside the pointer, so that sifting does not follow it */
    struct timer *timer;
};

void timers_init(struct timers *timers);

/* Starts it on p's heap. Returns 0 or -ENOMEM. */
int timers_start(struct p *p, struct timer *timer, int64_t when_ns, void (*fire)(struct timer *, struct p *));
/* The same with the heap's lock already held by the caller, who releases it. */
int timers_start_locked(struct p *p, struct timer *timer, int64_t when_ns, void (*fire)(struct timer *, struct p *));
void timers_stop(struct timer *timer);

/* Whether the earliest is due. now_ns may be 0: the clock is read if it matters. */
bool timers_due_any(struct timers *timers, int64_t now_ns);
/* Fires what is due; what it makes ready goes to p, which the caller's M holds. Returns how many. */
uint32_t timers_run(struct timers *timers, struct p *p);

#endif
