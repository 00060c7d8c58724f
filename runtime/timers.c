/* A 4-ary heap of timers for each P. See timers.h. */
#include "timers.h"

#include "netpoll.h"

#include <stdlib.h>

#define ARITY 4u

static void place(struct timers *timers, uint32_t index, struct timer_entry entry)
{
    timers->heap[index] = entry;
    entry.timer->place = index;
}

static void sift_up(struct timers *timers, uint32_t index)
{
    struct timer_entry entry = timers->heap[index];
    while (index > 0) {
        uint32_t parent = (index - 1) / ARITY;
        if (timers->heap[parent].when_ns <= entry.when_ns)
            break;
        place(timers, index, timers->heap[parent]);
        index = parent;
    }
    place(timers, index, entry);
}

static void sift_down(struct timers *timers, uint32_t index)
{
    struct timer_entry entry = timers->heap[index];
    for (;;) {
        uint32_t first = index * ARITY + 1, least = index;
        int64_t least_ns = entry.when_ns;
        for (uint32_t child = first; child < first + ARITY && child < timers->count; child++) {
            if (timers->heap[child].when_ns < least_ns) {
                least = child;
                least_ns = timers->heap[child].when_ns;
            }
        }
        if (least == index)
            break;
        place(timers, index, timers->heap[least]);
        index = least;
    }
    place(timers, index, entry);
}

static void publish_next(struct timers *timers)
{
    store_relaxed(&timers->next_ns, timers->count ? timers->heap[0].when_ns : INT64_MAX);
}

static void take_out(struct timers *timers, uint32_t index)
{
    timers->heap[index].timer->place = TIMER_IDLE;
    struct timer_entry last = timers->heap[--timers->count];
    if (index < timers->count) {
        place(timers, index, last);
        sift_up(timers, index);
        sift_down(timers, last.timer->place);
    }
    publish_next(timers);
}

void timers_init(struct timers *timers)
{
    store_relaxed(&timers->next_ns, INT64_MAX);
}

int timers_start_locked(struct p *p, struct timer *timer, int64_t when_ns, void (*fire)(struct timer *, struct p *))
{
    struct timers *timers = &p->timers;
    if (timers->count == timers->capacity) {
        uint32_t capacity = timers->capacity ? timers->capacity * 2 : 64;
        struct timer_entry *heap = realloc(timers->heap, capacity * sizeof *heap);
        if (!heap)
            return -ENOMEM;
        timers->heap = heap;
        timers->capacity = capacity;
    }
    timer->when_ns = when_ns;
    timer->fire = fire;
    timer->home = timers;
    place(timers, timers->count++, (struct timer_entry){ when_ns, timer });
    sift_up(timers, timers->count - 1);
    if (timer->place == 0) {
        publish_next(timers); /* P3 */
        full_fence();         /* P4, pairs with P2 in poll_idle: the poller sees this timer, or we see the poller */
        netpoll_wake_by(when_ns);
    }
    return 0;
}

int timers_start(struct p *p, struct timer *timer, int64_t when_ns, void (*fire)(struct timer *, struct p *))
{
    lock_acquire(&p->timers.lock);
    int error = timers_start_locked(p, timer, when_ns, fire);
    lock_release(&p->timers.lock);
    return error;
}

void timers_stop(struct timer *timer)
{
    struct timers *timers = timer->home;
    lock_acquire(&timers->lock);
    if (timer->place != TIMER_IDLE)
        take_out(timers, timer->place);
    lock_release(&timers->lock);
}

bool timers_due_any(struct timers *timers, int64_t now_ns)
{
    int64_t next = load_relaxed(&timers->next_ns);
    if (next == INT64_MAX)
        return false;
    return next <= (now_ns ? now_ns : clock_now_ns());
}

uint32_t timers_run(struct timers *timers, struct p *p)
{
    uint32_t fired = 0;
    int64_t now = clock_now_ns();
    lock_acquire(&timers->lock);
    while (timers->count && timers->heap[0].when_ns <= now) {
        struct timer *timer = timers->heap[0].timer;
        take_out(timers, 0);
        timer->fire(timer, p);
        fired++;
    }
    lock_release(&timers->lock);
    return fired;
}
