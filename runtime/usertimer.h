/* The user's timers: gmpt_timer, gmpt_ticker, gmpt_after_func, and what a context starts when it is cancelled.
 *
 * References: one for the handle, if there is one; one for each time that it is started and not yet stopped or done
 * (a timer with a channel that has a handle needs none: its release stops it). */
#ifndef GMPT_USERTIMER_H
#define GMPT_USERTIMER_H

#include "annotate.h"
#include "timers.h"

struct gmpt_timer {
    struct lock lock; /* of starting and stopping; taken before the heap's */
    ATOMIC(uint32_t) references;
    bool started; /* at least once: timer.home is valid */
    struct timer timer;
    struct timer_call call;
    int64_t period_ns; /* of a ticker */

    struct gmpt_chan *chan; /* NULL: it has a function */

    ATOMIC(uint32_t) due; /* how often the function is to be started, by the call that is pending while it is not 0 */
    void (*fn)(void *args);
    struct annotate_origin origin; /* of the G that made it */
    size_t args_bytes;

    /* Started by a context and not by time. The handle holds a reference to the context. */
    struct gmpt_context *context;
    struct gmpt_timer *next, **link; /* in the context's list, under its lock; link is NULL when it is in none */

    _Alignas(16) uint8_t args[];
};

/* With a function; one reference. NULL with errno ENOMEM or E2BIG. On a G. */
struct gmpt_timer *usertimer_new_function(void (*fn)(void *args), const void *args, size_t size);

/* Starts the function on p, which the caller's M holds; takes over a reference. */
void usertimer_start_function(struct gmpt_timer *timer, struct p *p);

void usertimer_drop(struct gmpt_timer *timer, uint32_t references);

#endif
