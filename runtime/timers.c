/* A 4-ary heap of timers for each P. See timers.h. */
#include "timers.h"

#include "netpoll.h"
#include "scheduler.h"

#include <stdlib.h>
#include <string.h>

#define ARITY 4u
#define CAPACITY_MIN 64u
#define FIRE_MIN 16u /* fired at a time, however full the queue is */
#define NO_CELL UINT32_MAX

/* Entry i lies at heap[i + SHIFT], so that the children of one, 4i+1 to 4i+4, share a cache line. */
#define SHIFT 3u
_Static_assert(sizeof(struct timer_entry) * ARITY == 64, "a cache line holds the children of an entry");

static inline struct timer_entry *entries(const struct timers *timers) { return timers->heap + SHIFT; }

/* ---- the heap ---- */

static void sift_up(struct timers *timers, uint32_t index)
{
    struct timer_entry *heap = entries(timers), entry = heap[index];
    while (index > 0) {
        uint32_t parent = (index - 1) / ARITY;
        if (heap[parent].when_ns <= entry.when_ns)
            break;
        heap[index] = heap[parent];
        index = parent;
    }
    heap[index] = entry;
}

static inline uint32_t least_child(const struct timer_entry *heap, uint32_t first, uint32_t count)
{
    uint32_t least = first, end = first + ARITY < count ? first + ARITY : count;
    for (uint32_t child = first + 1; child < end; child++)
        least = heap[child].when_ns < heap[least].when_ns ? child : least;
    return least;
}

static void sift_down(struct timers *timers, uint32_t index)
{
    struct timer_entry *heap = entries(timers), entry = heap[index];
    for (;;) {
        uint32_t first = index * ARITY + 1;
        if (first >= timers->count)
            break;
        uint32_t least = least_child(heap, first, timers->count);
        if (heap[least].when_ns >= entry.when_ns)
            break;
        heap[index] = heap[least];
        index = least;
    }
    heap[index] = entry;
}

static void remove_top(struct timers *timers)
{
    struct timer_entry *heap = entries(timers);
    uint32_t cell = heap[0].cell;
    timers->cells[cell].next_free = timers->free_cell;
    timers->free_cell = cell;
    heap[0] = heap[--timers->count];
    if (timers->count > 1)
        sift_down(timers, 0);
}

/* Drops what was stopped from the top, so that next_ns is the moment of a timer that will fire. */
static void publish_next(struct timers *timers)
{
    while (timers->count && !timers->cells[entries(timers)[0].cell].timer) {
        remove_top(timers);
        timers->stopped--;
    }
    store_relaxed(&timers->pending, timers->count);
    store_relaxed(&timers->next_ns, timers->count ? entries(timers)[0].when_ns : INT64_MAX);
}

static void sweep(struct timers *timers)
{
    struct timer_entry *heap = entries(timers);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < timers->count; i++) {
        uint32_t cell = heap[i].cell;
        if (timers->cells[cell].timer) {
            heap[kept++] = heap[i];
        } else {
            timers->cells[cell].next_free = timers->free_cell;
            timers->free_cell = cell;
        }
    }
    timers->count = kept;
    timers->stopped = 0;
    for (uint32_t i = kept > 1 ? (kept - 2) / ARITY + 1 : 0; i-- > 0;)
        sift_down(timers, i);
}

static int grow(struct timers *timers)
{
    uint32_t capacity = timers->capacity ? timers->capacity * 2 : CAPACITY_MIN;
    union timer_cell *cells = realloc(timers->cells, capacity * sizeof *cells);
    if (!cells)
        return -ENOMEM;
    timers->cells = cells;
    /* Whole lines, as aligned_alloc wants; one more for the shift. */
    struct timer_entry *heap = aligned_alloc(64, ((size_t)capacity + ARITY) * sizeof *heap);
    if (!heap)
        return -ENOMEM;
    if (timers->heap)
        memcpy(heap + SHIFT, entries(timers), timers->count * sizeof *heap);
    free(timers->heap);
    timers->heap = heap;
    for (uint32_t cell = capacity; cell-- > timers->capacity;) {
        cells[cell].next_free = timers->free_cell;
        timers->free_cell = cell;
    }
    timers->capacity = capacity;
    return 0;
}

/* ---- starting and stopping ---- */

int64_t timers_moment_in(int64_t ns)
{
    int64_t now_ns = clock_now_ns(), when_ns;
    if (ns <= 0)
        return now_ns;
    return __builtin_add_overflow(now_ns, ns, &when_ns) || when_ns == INT64_MAX ? INT64_MAX - 1 : when_ns;
}

void timers_init(struct timers *timers)
{
    store_relaxed(&timers->next_ns, INT64_MAX);
    timers->free_cell = NO_CELL;
}

static int start_locked(struct p *p, struct timer *timer, enum gmpt_timer_use use, int64_t when_ns, int64_t period_ns,
                        void (*fire)(struct timer *, struct p *))
{
    struct timers *timers = &p->timers;
    if (timers->count == timers->capacity) {
        int error = grow(timers);
        if (error)
            return error;
    }
    uint32_t cell = timers->free_cell;
    timers->free_cell = (uint32_t)timers->cells[cell].next_free;
    timers->cells[cell].timer = timer;
    timer->cell = cell;
    timer->use = (uint8_t)use;
    timer->home = timers;
    timer->fire = fire;
    timer->period_ns = period_ns;
    entries(timers)[timers->count++] = (struct timer_entry){ when_ns, cell, period_ns != 0 };
    sift_up(timers, timers->count - 1);
    if (entries(timers)[0].cell == cell) {
        publish_next(timers); /* P3 */
        full_fence();         /* P4, pairs with P2 in poll_idle: the poller sees this timer, or we see the poller */
        netpoll_wake_by(when_ns);
    }
    return 0;
}

int timers_start_locked(struct p *p, struct timer *timer, int64_t when_ns, void (*fire)(struct timer *, struct p *))
{
    return start_locked(p, timer, GMPT_TIMER_SLEEP, when_ns, 0, fire);
}

int timers_start_periodic(struct p *p, struct timer *timer, enum gmpt_timer_use use, int64_t when_ns, int64_t period_ns,
                          void (*fire)(struct timer *, struct p *))
{
    lock_acquire(&p->timers.lock);
    int error = start_locked(p, timer, use, when_ns, period_ns, fire);
    lock_release(&p->timers.lock);
    return error;
}

int timers_start(struct p *p, struct timer *timer, int64_t when_ns, void (*fire)(struct timer *, struct p *))
{
    return timers_start_periodic(p, timer, GMPT_TIMER_DEADLINE, when_ns, 0, fire);
}

bool timers_stop(struct timer *timer)
{
    struct timers *timers = timer->home;
    lock_acquire(&timers->lock);
    bool pending = timer->cell != TIMER_IDLE;
    if (pending) {
        timers->cells[timer->cell].timer = NULL;
        timers->stopped++;
        if (entries(timers)[0].cell == timer->cell)
            publish_next(timers);
        else if (timers->stopped > timers->count / 2 && timers->count >= CAPACITY_MIN)
            sweep(timers);
        timer->cell = TIMER_IDLE;
    }
    lock_release(&timers->lock);
    return pending;
}

/* ---- firing ---- */

bool timers_due_any(struct timers *timers, int64_t now_ns)
{
    int64_t next = load_relaxed(&timers->next_ns);
    if (next == INT64_MAX)
        return false;
    return next <= (now_ns ? now_ns : clock_now_ns());
}

void timers_ready_after(struct p *p, struct g *g, int wait_result)
{
    g->wait_result = wait_result;
    g->next = NULL;
    *(p->fired.gs ? &p->fired.last_g->next : &p->fired.gs) = g;
    p->fired.last_g = g;
}

void timers_call_after(struct p *p, struct timer_call *call)
{
    call->next = NULL;
    *(p->fired.calls ? &p->fired.last_call->next : &p->fired.calls) = call;
    p->fired.last_call = call;
}

/* Takes the earliest out, or on to its next time, without a look at the timer unless it is periodic. */
static struct timer *take_top(struct timers *timers, int64_t now_ns)
{
    struct timer_entry *top = entries(timers);
    struct timer *timer = timers->cells[top->cell].timer;
    if (!timer) {
        timers->stopped--;
        remove_top(timers);
    } else if (!top->periodic) {
        remove_top(timers);
    } else {
        int64_t missed = (now_ns - top->when_ns) / timer->period_ns;
        if (__builtin_add_overflow(top->when_ns, (missed + 1) * timer->period_ns, &top->when_ns))
            top->when_ns = INT64_MAX - 1;
        sift_down(timers, 0);
    }
    return timer;
}

/* What the functions left to be done without the lock. */
static void finish_fired(struct p *p)
{
    struct g *first = p->fired.gs;
    struct timer_call *calls = p->fired.calls;
    p->fired.gs = NULL;
    p->fired.calls = NULL;
    if (first) { /* the one that has waited longest runs next, the others in the order of their times */
        struct g *others = first->next;
        if (others)
            scheduler_ready_list(p, others);
        scheduler_ready(p, first, first->wait_result);
    }
    while (calls) {
        struct timer_call *call = calls;
        calls = call->next;
        call->run(call, p);
    }
}

uint32_t timers_run(struct timers *timers, struct p *p)
{
    struct timer *due[RUNQ_SLOTS / 2];
    int64_t when_ns[RUNQ_SLOTS / 2];
    uint32_t count = 0, queued = load_relaxed(&p->runq_tail) - load_relaxed(&p->runq_head);
    uint32_t most = queued + FIRE_MIN < RUNQ_SLOTS / 2 ? RUNQ_SLOTS / 2 - queued : FIRE_MIN;
    uint32_t home = container_of(timers, struct p, timers)->index;
    int64_t now = clock_now_ns();
    lock_acquire(&timers->lock);
    /* Each lies on a page of its own, which is rarely in a cache: all are fetched at once while the next are looked
     * for, instead of one after another. */
    while (count < most && timers->count && entries(timers)[0].when_ns <= now) {
        when_ns[count] = entries(timers)[0].when_ns;
        struct timer *timer = take_top(timers, now);
        __builtin_prefetch(timer, 1);
        due[count] = timer;
        count += timer != NULL;
    }
    publish_next(timers);
    p->waking = GMPT_WAKER_TIMER;
    for (uint32_t i = 0; i < count; i++) {
        if (!due[i]->period_ns)
            due[i]->cell = TIMER_IDLE;
        TRACE(timer_fire, p, (enum gmpt_timer_use)due[i]->use, now - when_ns[i], home);
        due[i]->fire(due[i], p);
    }
    lock_release(&timers->lock);
    finish_fired(p);
    p->waking = 0;
    return count;
}
