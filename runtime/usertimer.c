/* Timers with a channel or a function. See usertimer.h.
 *
 * A channel's timer sends while the heap's lock is held. Who stops it has had that lock, so it fires no more; and then
 * takes out of the channel what it had sent before: what is received afterwards was sent afterwards. (Go has promised
 * that since 1.23.) A function is started by the call that the timer leaves behind, since a G is not started under
 * locks. */
#include "usertimer.h"

#include "chan.h"
#include "contexts.h"
#include "go.h"

#include <stdlib.h>
#include <string.h>

#define RETRY_NS 1000000 /* when no G was to be had */
#define PERIOD_MAX_NS (INT64_MAX / 2)

static void fire_channel(struct timer *timer, struct p *p)
{
    struct gmpt_chan *chan = container_of(timer, struct gmpt_timer, timer)->chan;
    int64_t now_ns = clock_now_ns();
    struct g *wake;
    lock_acquire(&chan->lock);
    chan_try_send_locked(chan, &now_ns, &wake);
    lock_release(&chan->lock);
    if (wake)
        timers_ready_after(p, wake, 0);
}

/* One without a handle: its only reference goes with it. */
static void fire_channel_once(struct timer *timer, struct p *p)
{
    fire_channel(timer, p);
    timers_call_after(p, &container_of(timer, struct gmpt_timer, timer)->call);
}

static void drop_after(struct timer_call *call, struct p *p)
{
    (void)p;
    usertimer_drop(container_of(call, struct gmpt_timer, call), 1);
}

/* ---- functions ---- */

static void note_due(struct gmpt_timer *timer, struct p *p)
{
    if (fetch_add_acq_rel(&timer->due, 1) == 0)
        timers_call_after(p, &timer->call);
}

static void fire_function(struct timer *timer, struct p *p)
{
    note_due(container_of(timer, struct gmpt_timer, timer), p);
}

/* A start that is put off; the timer itself may have been started again meanwhile. */
struct retry {
    struct timer timer;
    struct timer_call call;
    struct gmpt_timer *of;
};

static void fire_retry(struct timer *timer, struct p *p)
{
    timers_call_after(p, &container_of(timer, struct retry, timer)->call);
}

static void run_retry(struct timer_call *call, struct p *p)
{
    struct retry *retry = container_of(call, struct retry, call);
    struct gmpt_timer *timer = retry->of;
    free(retry);
    usertimer_start_function(timer, p);
}

static void put_off(struct gmpt_timer *timer, struct p *p)
{
    struct retry *retry = calloc(1, sizeof *retry);
    if (retry) {
        retry->of = timer;
        retry->call.run = run_retry;
        if (timers_start(p, &retry->timer, clock_now_ns() + RETRY_NS, fire_retry) == 0)
            return;
    }
    fatal("no memory to start the function of a timer");
}

void usertimer_start_function(struct gmpt_timer *timer, struct p *p)
{
    struct go_start start = { .entry = timer->fn,
                              .shown = (void (*)(void))timer->fn,
                              .args = timer->args,
                              .args_bytes = timer->args_bytes,
                              .origin = timer->origin };
    if (go_start(p, &start) < 0)
        put_off(timer, p);
    else
        usertimer_drop(timer, 1);
}

static void start_due(struct timer_call *call, struct p *p)
{
    struct gmpt_timer *timer = container_of(call, struct gmpt_timer, call);
    for (uint32_t due = exchange_acq_rel(&timer->due, 0); due > 0; due--)
        usertimer_start_function(timer, p); /* each with the reference of its start */
}

struct gmpt_timer *usertimer_new_function(void (*fn)(void *args), const void *args, size_t size)
{
    if (size > GO_ARGS_BYTES_MAX) {
        errno = E2BIG;
        return NULL;
    }
    struct gmpt_timer *timer = calloc(1, sizeof *timer + size);
    if (!timer)
        return NULL;
    store_relaxed(&timer->references, 1);
    timer->fn = fn;
    timer->origin = annotate_origin_of(g_self());
    timer->args_bytes = size;
    timer->call.run = start_due;
    if (size)
        memcpy(timer->args, args, size);
    return timer;
}

/* ---- starting ---- */

static struct gmpt_timer *new_channel(void)
{
    struct gmpt_timer *timer = calloc(1, sizeof *timer);
    if (!timer)
        return NULL;
    timer->chan = gmpt_chan_new(sizeof(int64_t), 1);
    if (!timer->chan) {
        free(timer);
        return NULL;
    }
    store_relaxed(&timer->references, 1);
    return timer;
}

/* Starts one that is not running; a function's takes a reference. A channel's that nobody has a handle of may have
 * fired and be gone by the time that it is started, so it is not touched then. */
static int start_locked(struct gmpt_timer *timer, int64_t ns, void (*fire)(struct timer *, struct p *))
{
    if (!timer->chan)
        fetch_add_relaxed(&timer->references, 1);
    int64_t when_ns = timers_moment_in(timer->period_ns ? timer->period_ns : ns);
    enum gmpt_timer_use use = !timer->chan        ? GMPT_TIMER_FUNCTION
                              : timer->period_ns ? GMPT_TIMER_TICKER
                                                 : GMPT_TIMER_CHANNEL;
    bool before = timer->started;
    timer->started = true;
    int error = timers_start_periodic(m_self()->p, &timer->timer, use, when_ns, timer->period_ns, fire);
    if (!error)
        return 0;
    timer->started = before;
    if (!timer->chan)
        usertimer_drop(timer, 1);
    return error;
}

static struct gmpt_timer *start_new(struct gmpt_timer *timer, int64_t ns, void (*fire)(struct timer *, struct p *))
{
    if (!timer || start_locked(timer, ns, fire) == 0)
        return timer;
    usertimer_drop(timer, 1);
    errno = ENOMEM;
    return NULL;
}

struct gmpt_timer *gmpt_timer_new(int64_t ns)
{
    API_ENTER();
    return start_new(new_channel(), ns, fire_channel);
}

struct gmpt_timer *gmpt_ticker_new(int64_t period_ns)
{
    API_ENTER();
    if (period_ns <= 0) {
        errno = EINVAL;
        return NULL;
    }
    struct gmpt_timer *timer = new_channel();
    if (timer)
        timer->period_ns = period_ns < PERIOD_MAX_NS ? period_ns : PERIOD_MAX_NS;
    return start_new(timer, period_ns, fire_channel);
}

struct gmpt_timer *gmpt_after_func(int64_t ns, void (*fn)(void *args), const void *args, size_t size)
{
    API_ENTER();
    return start_new(usertimer_new_function(fn, args, size), ns, fire_function);
}

struct gmpt_chan *gmpt_after(int64_t ns)
{
    API_ENTER();
    struct gmpt_timer *timer = new_channel();
    if (!timer)
        return NULL;
    struct gmpt_chan *chan = gmpt_chan_retain(timer->chan);
    timer->call.run = drop_after;
    if (start_new(timer, ns, fire_channel_once))
        return chan;
    gmpt_chan_release(chan);
    return NULL;
}

/* ---- stopping ---- */

/* Takes back what was sent and not received. */
static bool drain(struct gmpt_chan *chan)
{
    struct g *wake;
    lock_acquire(&chan->lock);
    bool drained = chan->length && chan_try_recv_locked(chan, NULL, &wake) == 0;
    lock_release(&chan->lock);
    if (drained && wake)
        scheduler_ready(m_self()->p, wake, 0); /* somebody who sends on a timer's channel */
    return drained;
}

static bool stop_locked(struct gmpt_timer *timer)
{
    bool stopped = timer->started && timers_stop(&timer->timer);
    if (timer->chan)
        stopped |= drain(timer->chan);
    else if (stopped)
        usertimer_drop(timer, 1);
    return stopped;
}

int gmpt_timer_stop(struct gmpt_timer *timer)
{
    API_ENTER();
    if (timer->context)
        return context_forget_function(timer);
    lock_acquire(&timer->lock);
    bool stopped = stop_locked(timer);
    lock_release(&timer->lock);
    return stopped;
}

int gmpt_timer_reset(struct gmpt_timer *timer, int64_t ns)
{
    API_ENTER();
    if (timer->context || (timer->period_ns && ns <= 0))
        return -EINVAL;
    lock_acquire(&timer->lock);
    int stopped = stop_locked(timer);
    if (timer->period_ns)
        timer->period_ns = ns < PERIOD_MAX_NS ? ns : PERIOD_MAX_NS;
    int error = start_locked(timer, ns, timer->chan ? fire_channel : fire_function);
    lock_release(&timer->lock);
    return error ? error : stopped;
}

struct gmpt_chan *gmpt_timer_chan(struct gmpt_timer *timer) { return timer->chan; }

void usertimer_drop(struct gmpt_timer *timer, uint32_t references)
{
    if (fetch_sub_acq_rel(&timer->references, references) != references)
        return;
    gmpt_chan_release(timer->chan);
    free(timer);
}

void gmpt_timer_release(struct gmpt_timer *timer)
{
    if (!timer)
        return;
    API_ENTER();
    if (timer->chan)
        gmpt_timer_stop(timer);
    if (timer->context)
        gmpt_context_release(timer->context);
    usertimer_drop(timer, 1);
}
