/* gmptrace/context.h - timers, contexts, groups and pools: when things happen, and when they are given up.
 *
 *     static int fetch(void *args) { return load(*(int *)args); }       // what one child does: 0 or an error
 *     struct gmpt_group group = GMPT_GROUP_INIT;
 *     for (int i = 0; i < 10; i++)
 *         gmpt_group_go(&group, fetch, &i, sizeof i);
 *     int error = gmpt_group_wait(&group);                               // all have ended; the first error, or 0
 *
 * The rules at the head of gmpt.h hold here as well. Times are nanoseconds, deadlines moments of gmpt_now(). */
#ifndef GMPT_CONTEXT_H
#define GMPT_CONTEXT_H

#include <gmptrace/gmpt.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* ---- Timers ------------------------------------------------------------------------------------------------------ */

/* A moment to come, once or again and again. A timer has a channel of int64_t with room for one value, which receives
 * gmpt_now() when it is due; or a function, which is then started as a G. Functions of one timer may be called by
 * several Gs at once. */
struct gmpt_timer;

/* A timer that is due in ns (at once if that is not positive). NULL with errno ENOMEM. Does not block. */
struct gmpt_timer *gmpt_timer_new(int64_t ns);

/* One that is due every period_ns, first after one period. When its channel is full, or the time of several periods has
 * passed at once, the others are left out. NULL with errno ENOMEM, or EINVAL when period_ns is not positive. Does not
 * block. */
struct gmpt_timer *gmpt_ticker_new(int64_t period_ns);

/* One that starts a G in ns, which runs fn on its own copy of the size bytes at args. NULL with errno ENOMEM, or E2BIG
 * when size is over 4096. Should no G be had when it is due, it tries again each millisecond. Does not block. */
struct gmpt_timer *gmpt_after_func(int64_t ns, void (*fn)(void *args), const void *args, size_t size);

/* The channel; NULL for a timer with a function. It lives as long as the timer, or as references to it that you take
 * with gmpt_chan_retain. Any thread. */
struct gmpt_chan *gmpt_timer_chan(struct gmpt_timer *timer);

/* Stops it. Returns 1 if that has kept a value from being received or a function from being started, and 0 if it was
 * not running or too late. No value of before can be received from the channel afterwards; a G that was started may
 * still run. Does not block. */
int gmpt_timer_stop(struct gmpt_timer *timer);

/* Stops it as gmpt_timer_stop, with the same result, and makes it due in ns; for a ticker that is its new period. Or
 * returns -EINVAL for a ticker's period that is not positive (it runs on as before), or -ENOMEM (it is stopped). Does
 * not block. */
int gmpt_timer_reset(struct gmpt_timer *timer, int64_t ns);

/* Ends the use of a timer; NULL is allowed. One with a channel is stopped; a function that is not yet due will still be
 * started. Does not block. */
void gmpt_timer_release(struct gmpt_timer *timer);

/* A channel that receives one int64_t, gmpt_now(), in ns. The caller releases it with gmpt_chan_release; the timer
 * behind it takes memory until it is due. NULL with errno ENOMEM. Does not block. */
struct gmpt_chan *gmpt_after(int64_t ns);

/* ---- Contexts ---------------------------------------------------------------------------------------------------- */

/* What a piece of work is told from outside: that it shall end, by when, and values. Contexts form a tree: who cancels
 * one cancels all below it. The caller of a function that makes one holds a reference to it, a child holds one to its
 * parent, and it is freed with the last; whoever uses a context must hold a reference, or know of somebody who does. It
 * need not be cancelled before it is released. */
struct gmpt_context;

/* The root, which is never cancelled. It need not be released. Any thread. */
struct gmpt_context *gmpt_context_background(void);

/* A child that can be cancelled, and that is when its parent is. NULL with errno ENOMEM. Does not block. */
struct gmpt_context *gmpt_context_with_cancel(struct gmpt_context *parent);

/* The same, and cancelled with -ETIMEDOUT when the deadline has passed or ns are over. Does not block. */
struct gmpt_context *gmpt_context_with_deadline(struct gmpt_context *parent, int64_t deadline_ns);
struct gmpt_context *gmpt_context_with_timeout(struct gmpt_context *parent, int64_t ns);

/* A child with a value, which gmpt_context_value finds by the address key in it and in all below it. The value is not
 * copied, and is the caller's to free, later than the context. NULL with errno ENOMEM, or EINVAL when key is NULL. Does
 * not block. */
struct gmpt_context *gmpt_context_with_value(struct gmpt_context *parent, const void *key, void *value);

struct gmpt_context *gmpt_context_retain(struct gmpt_context *context); /* returns context; any thread */
void gmpt_context_release(struct gmpt_context *context);                /* NULL is allowed; any thread */

/* Cancels it and all below it; all who wait for that are woken. Nothing happens if it was cancelled before. The
 * background must not be cancelled. Does not block. */
void gmpt_context_cancel(struct gmpt_context *context);

/* The same with a reason: a negative errno value, and a text, which is copied (NULL: none; when there is no memory for
 * the copy it is lost). */
void gmpt_context_cancel_cause(struct gmpt_context *context, int cause, const char *text);

/* 0, or once it is cancelled -ECANCELED, or -ETIMEDOUT if a deadline did that. Does not block. Any thread. */
int gmpt_context_err(struct gmpt_context *context);

/* 0, or once it is cancelled the reason: what gmpt_context_cancel_cause was given, here or above, or else its err. Does
 * not block. Any thread. */
int gmpt_context_cause(struct gmpt_context *context);

/* The reason's text, "" when there is none. It lives as long as the context. Does not block. Any thread. */
const char *gmpt_context_cause_text(struct gmpt_context *context);

/* The channel that is closed when the context is cancelled, to select on; NULL, which is never ready, if it never will
 * be. It lives as long as the context. Does not block. Any thread. */
struct gmpt_chan *gmpt_context_done(struct gmpt_context *context);

/* The earliest deadline of it and all above it; GMPT_NEVER if there is none. Any thread. */
int64_t gmpt_context_deadline(struct gmpt_context *context);

/* The value that was given with this key, the nearest; NULL if there is none. Any thread. */
void *gmpt_context_value(struct gmpt_context *context, const void *key);

/* Starts a G once the context is cancelled (at once if it is), which runs fn on its own copy of the size bytes at args.
 * The result is stopped with gmpt_timer_stop, which returns 1 if fn will not be started, and is given up with
 * gmpt_timer_release; it has no channel and cannot be reset (-EINVAL). Returns NULL with errno ENOMEM or E2BIG. Does
 * not block. */
struct gmpt_timer *gmpt_context_after_func(struct gmpt_context *context, void (*fn)(void *args), const void *args,
                                           size_t size);

/* As gmpt_sleep, gmpt_chan_send and gmpt_chan_recv, but they return gmpt_context_err as soon as the context is
 * cancelled, or if it is already; then nothing was sent or received. For other calls that wait there is the form
 * ..._until with gmpt_context_deadline, and to end one when the context is cancelled, gmpt_context_after_func with a
 * function that ends the wait, such as gmpt_shutdown of a socket. */
int gmpt_sleep_context(struct gmpt_context *context, int64_t ns);
int gmpt_chan_send_context(struct gmpt_context *context, struct gmpt_chan *chan, const void *value);
int gmpt_chan_recv_context(struct gmpt_context *context, struct gmpt_chan *chan, void *value);

/* ---- Groups ------------------------------------------------------------------------------------------------------ */

/* Gs that belong together: they are waited for together, and the first that fails cancels the others. A group may lie
 * on the stack of who opens it; it must not be moved, and must be waited for before it ends. Zero-initialised it has no
 * parent context and no limit. */
struct gmpt_group {
    uint64_t gmpt_private[10];
};
#define GMPT_GROUP_INIT { { 0 } }

/* Makes an empty group below a context, which must outlive it (NULL: the background). */
void gmpt_group_init(struct gmpt_group *group, struct gmpt_context *parent);

/* Starts a G that runs fn on its own copy of the size bytes at args; what it returns, if not 0, is an error. The
 * child runs at once, and the caller goes on, maybe on another thread, when it pauses or ends. Blocks while as many run
 * as the limit allows. Returns the new G's id, or -ECANCELED when the group or its parent is cancelled or a child has
 * failed (then nothing is started), -E2BIG when size is over 4080, -ENOMEM. May be called by the children. */
int64_t gmpt_group_go(struct gmpt_group *group, int (*fn)(void *args), const void *args, size_t size);

/* The same, but returns -EAGAIN instead of waiting until one more may run. */
int64_t gmpt_group_try_go(struct gmpt_group *group, int (*fn)(void *args), const void *args, size_t size);

/* Blocks until all children have ended, cancels and releases the group's context, and returns the first error of a
 * child, or 0. Then the group is as it was made, and may be used again. By one G at a time, which is not a child. */
int gmpt_group_wait(struct gmpt_group *group);

/* Cancels the group's context, and starts no more children until it has been waited for. Does not block. By any G,
 * while the group lives. */
void gmpt_group_cancel(struct gmpt_group *group);

/* At most limit children run at once (0: as many as there are). Only while the group is empty. */
void gmpt_group_set_limit(struct gmpt_group *group, uint32_t limit);

/* The context of the children, which is cancelled with the group. Made by the first call, it lives until the end of
 * gmpt_group_wait. NULL with errno ENOMEM. For the opener, before it waits, and for the children. Does not block. */
struct gmpt_context *gmpt_group_context(struct gmpt_group *group);

/* ---- Pools ------------------------------------------------------------------------------------------------------- */

/* Functions that are run by a limited number of Gs, in the order in which they were handed in. */
struct gmpt_pool;

/* A pool of at most workers Gs (at least 1), which are started when there is something to do and end when there is not,
 * with room for queue functions that wait for one. NULL with errno EINVAL or ENOMEM. */
struct gmpt_pool *gmpt_pool_new(uint32_t workers, uint32_t queue);

/* Has fn run on a copy of the size bytes at args. Blocks while all workers are busy and the queue is full. Returns 0,
 * or -EPIPE when the pool is closed, -ETIMEDOUT, -E2BIG when size is over 4096, -ENOMEM: then fn will not run. */
int gmpt_pool_submit(struct gmpt_pool *pool, void (*fn)(void *args), const void *args, size_t size);
int gmpt_pool_submit_until(struct gmpt_pool *pool, void (*fn)(void *args), const void *args, size_t size,
                           int64_t deadline_ns);
/* Never blocks: -EAGAIN instead. */
int gmpt_pool_try_submit(struct gmpt_pool *pool, void (*fn)(void *args), const void *args, size_t size);

/* Takes no more; who waits in gmpt_pool_submit gets -EPIPE. What was handed in before will be run. Does not block. */
void gmpt_pool_close(struct gmpt_pool *pool);

/* Blocks until nothing runs and nothing waits to be run. Not on a worker. */
void gmpt_pool_wait(struct gmpt_pool *pool);

/* Closes it, waits, and frees it; NULL is allowed. Nobody may use it any more. Not on a worker. */
void gmpt_pool_free(struct gmpt_pool *pool);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
