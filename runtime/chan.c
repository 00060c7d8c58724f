/* Send, receive, close. See chan.h for the invariants, select.c for waiting on several at once. */
#include "chan.h"

#include <stdlib.h>
#include <string.h>

#define VALUE_BYTES_MAX 65535u
#define CLOSE_BATCH 64u /* receivers that a close wakes at a time */

/* ---- waiters ---- */

void waiter_queue_push(struct waiter_queue *queue, struct waiter *waiter)
{
    waiter->next = NULL;
    waiter->previous = queue->last;
    if (queue->last)
        queue->last->next = waiter;
    else
        queue->first = waiter;
    queue->last = waiter;
    waiter->queued = true;
}

void waiter_queue_remove(struct waiter_queue *queue, struct waiter *waiter)
{
    *(waiter->previous ? &waiter->previous->next : &queue->first) = waiter->next;
    *(waiter->next ? &waiter->next->previous : &queue->last) = waiter->previous;
    waiter->next = waiter->previous = NULL; /* its frame may live on, and would seem to lead to the others' stacks */
    waiter->queued = false;
}

/* Takes the first waiter that can still be woken, and with it the right to wake it. */
static struct waiter *waiter_queue_pop(struct waiter_queue *queue)
{
    struct waiter *waiter;
    while ((waiter = queue->first)) {
        waiter_queue_remove(queue, waiter);
        int32_t none = SELECT_NONE;
        if (!waiter->select || cas_acq_rel(&waiter->select->winner, &none, waiter->index))
            return waiter;
    }
    return NULL;
}

/* ---- making and freeing ---- */

struct gmpt_chan *gmpt_chan_new(size_t value_bytes, size_t capacity)
{
    if (value_bytes > VALUE_BYTES_MAX || capacity > ((uint64_t)1 << 40)) {
        errno = EINVAL;
        return NULL;
    }
    struct gmpt_chan *chan = calloc(1, sizeof *chan + value_bytes * capacity + CHAN_TAIL_BYTES);
    if (!chan)
        return NULL;
    chan->value_bytes = (uint32_t)value_bytes;
    chan->capacity = capacity;
    store_relaxed(&chan->references, 1);
    return chan;
}

struct gmpt_chan *gmpt_chan_retain(struct gmpt_chan *chan)
{
    fetch_add_relaxed(&chan->references, 1);
    return chan;
}

void gmpt_chan_release(struct gmpt_chan *chan)
{
    if (chan && fetch_sub_acq_rel(&chan->references, 1) == 1)
        free(chan);
}

/* ---- the buffer ---- */

static void *buffer_slot(struct gmpt_chan *chan, uint64_t offset)
{
    uint64_t index = chan->read_index + offset;
    if (index >= chan->capacity)
        index -= chan->capacity;
    return chan->buffer + index * chan->value_bytes;
}

static inline void copy_value(const struct gmpt_chan *chan, void *to, const void *from)
{
    if (to && chan->value_bytes == sizeof(uint64_t))
        memcpy(to, from, sizeof(uint64_t));
    else if (to && chan->value_bytes)
        memcpy(to, from, chan->value_bytes);
}

static void buffer_push(struct gmpt_chan *chan, const void *value)
{
    copy_value(chan, buffer_slot(chan, chan->length), value);
    chan->length++;
}

static void buffer_pop(struct gmpt_chan *chan, void *value)
{
    copy_value(chan, value, buffer_slot(chan, 0));
    if (++chan->read_index == chan->capacity)
        chan->read_index = 0;
    chan->length--;
}

/* ---- at once ---- */

int chan_try_send_locked(struct gmpt_chan *chan, const void *value, struct g **wake)
{
    *wake = NULL;
    if (unlikely(chan->closed))
        return -EPIPE;
    struct waiter *receiver = waiter_queue_pop(&chan->receivers);
    if (receiver) {
        copy_value(chan, receiver->value, value);
        *wake = receiver->g;
        return 0;
    }
    if (chan->length < chan->capacity) {
        buffer_push(chan, value);
        return 0;
    }
    return -EAGAIN;
}

int chan_try_recv_locked(struct gmpt_chan *chan, void *value, struct g **wake)
{
    *wake = NULL;
    if (chan->length) {
        buffer_pop(chan, value);
        struct waiter *sender = waiter_queue_pop(&chan->senders);
        if (sender) {
            buffer_push(chan, sender->value);
            *wake = sender->g;
        }
        return 0;
    }
    struct waiter *sender = waiter_queue_pop(&chan->senders);
    if (sender) {
        copy_value(chan, value, sender->value);
        *wake = sender->g;
        return 0;
    }
    if (chan->closed) {
        if (value && chan->value_bytes)
            memset(value, 0, chan->value_bytes);
        return -EPIPE;
    }
    return -EAGAIN;
}

/* ---- waiting ---- */

struct chan_wait {
    struct waiter waiter;
    struct timer timer;
    struct gmpt_chan *chan;
    struct waiter_queue *queue;
    bool expired; /* the deadline passed before the G was queued */
};

static void deadline_passed(struct timer *timer, struct p *p)
{
    struct chan_wait *wait = container_of(timer, struct chan_wait, timer);
    lock_acquire(&wait->chan->lock);
    bool mine = wait->waiter.queued;
    if (mine)
        waiter_queue_remove(wait->queue, &wait->waiter);
    else
        wait->expired = true;
    lock_release(&wait->chan->lock);
    if (mine)
        scheduler_ready(p, wait->waiter.g, -ETIMEDOUT);
}

enum direction { SEND, RECV };

static inline int try_locked(struct gmpt_chan *chan, enum direction direction, void *value, struct g **wake)
{
    return direction == SEND ? chan_try_send_locked(chan, value, wake) : chan_try_recv_locked(chan, value, wake);
}

/* The lock is held; the G's turn has not come. Without a deadline. */
static int park_locked(struct gmpt_chan *chan, enum direction direction, void *value, struct api_site site)
{
    struct waiter waiter = { .g = g_self(), .value = value };
    waiter_queue_push(direction == SEND ? &chan->senders : &chan->receivers, &waiter);
    struct wait wait = { .reason = direction == SEND ? GMPT_WAIT_chan_send : GMPT_WAIT_chan_recv,
                         .object = chan,
                         .site = site };
    return scheduler_park(&wait, scheduler_after_unlock, &chan->lock);
}

/* No lock is held: the timer's comes before the channel's. */
static __attribute__((noinline)) int park_until(struct gmpt_chan *chan, enum direction direction, void *value,
                                                int64_t deadline_ns, struct api_site site)
{
    struct chan_wait wait = { .waiter = { .g = g_self(), .value = value },
                              .chan = chan,
                              .queue = direction == SEND ? &chan->senders : &chan->receivers };
    if (deadline_ns <= clock_now_ns())
        return -ETIMEDOUT;
    int error = timers_start(m_self()->p, &wait.timer, deadline_ns, deadline_passed);
    if (error)
        return error;
    struct g *wake;
    lock_acquire(&chan->lock);
    int result = try_locked(chan, direction, value, &wake);
    if (result == -EAGAIN && !wait.expired) {
        waiter_queue_push(wait.queue, &wait.waiter);
        struct wait description = { .reason = direction == SEND ? GMPT_WAIT_chan_send : GMPT_WAIT_chan_recv,
                                    .bounded = true,
                                    .object = chan,
                                    .site = site };
        result = scheduler_park(&description, scheduler_after_unlock, &chan->lock);
    } else {
        lock_release(&chan->lock);
        if (result == -EAGAIN)
            result = -ETIMEDOUT;
        else if (wake)
            scheduler_ready(m_self()->p, wake, 0);
    }
    timers_stop(&wait.timer);
    return result;
}

int chan_wait_on_nothing(int64_t deadline_ns, struct api_site site)
{
    if (deadline_ns != GMPT_NEVER) {
        int error = gmpt_sleep_until(deadline_ns);
        return error ? error : -ETIMEDOUT;
    }
    struct wait wait = { .reason = GMPT_WAIT_nil_chan, .site = site };
    return scheduler_park(&wait, NULL, NULL);
}

static inline __attribute__((always_inline)) int operate(struct gmpt_chan *chan, enum direction direction, void *value,
                                                         int64_t deadline_ns, struct api_site site)
{
    API_ENTER();
    if (unlikely(!chan))
        return chan_wait_on_nothing(deadline_ns, site);
    struct g *wake;
    lock_acquire(&chan->lock);
    int result = try_locked(chan, direction, value, &wake);
    if (result == -EAGAIN && deadline_ns == GMPT_NEVER)
        return park_locked(chan, direction, value, site);
    lock_release(&chan->lock);
    if (wake)
        scheduler_ready(m_self()->p, wake, 0);
    if (result == -EAGAIN)
        return park_until(chan, direction, value, deadline_ns, site);
    return result;
}

int gmpt_chan_send(struct gmpt_chan *chan, const void *value)
{
    return operate(chan, SEND, (void *)(uintptr_t)value, GMPT_NEVER, API_SITE(gmpt_chan_send));
}

int gmpt_chan_send_until(struct gmpt_chan *chan, const void *value, int64_t deadline_ns)
{
    return operate(chan, SEND, (void *)(uintptr_t)value, deadline_ns, API_SITE(gmpt_chan_send_until));
}

int gmpt_chan_recv(struct gmpt_chan *chan, void *value)
{
    return operate(chan, RECV, value, GMPT_NEVER, API_SITE(gmpt_chan_recv));
}

int gmpt_chan_recv_until(struct gmpt_chan *chan, void *value, int64_t deadline_ns)
{
    return operate(chan, RECV, value, deadline_ns, API_SITE(gmpt_chan_recv_until));
}

static int try_now(struct gmpt_chan *chan, enum direction direction, void *value)
{
    API_ENTER();
    if (!chan)
        return -EAGAIN;
    struct g *wake;
    lock_acquire(&chan->lock);
    int result = try_locked(chan, direction, value, &wake);
    lock_release(&chan->lock);
    if (wake)
        scheduler_ready(m_self()->p, wake, 0);
    return result;
}

int gmpt_chan_try_send(struct gmpt_chan *chan, const void *value)
{
    return try_now(chan, SEND, (void *)(uintptr_t)value);
}

int gmpt_chan_try_recv(struct gmpt_chan *chan, void *value)
{
    return try_now(chan, RECV, value);
}

/* Ends up to max waits of the queue, and appends their Gs to the list that ends at *end. Returns how many. */
static uint32_t end_waits_locked(struct gmpt_chan *chan, struct waiter_queue *queue, uint32_t max, struct g ***end)
{
    uint32_t count = 0;
    struct waiter *waiter;
    for (; count < max && (waiter = waiter_queue_pop(queue)); count++) {
        if (queue == &chan->receivers && waiter->value && chan->value_bytes)
            memset(waiter->value, 0, chan->value_bytes);
        waiter->g->wait_result = -EPIPE;
        **end = waiter->g;
        *end = &waiter->g->next;
    }
    return count;
}

int gmpt_chan_close(struct gmpt_chan *chan)
{
    API_ENTER();
    lock_acquire(&chan->lock);
    if (chan->closed) {
        lock_release(&chan->lock);
        return -EPIPE;
    }
    chan->closed = true;
    gmpt_chan_retain(chan); /* a G that is woken may release what the caller relies on */
    /* Senders first and all at once: one that was left would still be received from. Receivers, of which there may be a
     * million, in batches that are made ready before their lines have left the cache. */
    struct g *list, **end = &list;
    end_waits_locked(chan, &chan->senders, UINT32_MAX, &end);
    for (;;) {
        uint32_t count = end_waits_locked(chan, &chan->receivers, CLOSE_BATCH, &end);
        *end = NULL;
        lock_release(&chan->lock);
        scheduler_ready_list(m_self()->p, list);
        if (count < CLOSE_BATCH)
            break;
        end = &list;
        lock_acquire(&chan->lock);
    }
    gmpt_chan_release(chan);
    return 0;
}

size_t gmpt_chan_len(struct gmpt_chan *chan)
{
    if (!chan)
        return 0;
    lock_acquire(&chan->lock);
    size_t length = chan->length;
    lock_release(&chan->lock);
    return length;
}

size_t gmpt_chan_cap(struct gmpt_chan *chan)
{
    return chan ? chan->capacity : 0;
}
