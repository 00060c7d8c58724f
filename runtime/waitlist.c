/* Queues of Gs in objects, with deadlines. See waitlist.h. */
#include "waitlist.h"

void waitlist_push_locked(struct waitlist_wait *wait)
{
    struct waitlist *list = wait->list;
    wait->next = NULL;
    wait->previous = list->last;
    *(list->last ? &list->last->next : &list->first) = wait;
    list->last = wait;
    wait->queued = true;
}

void waitlist_push_first_locked(struct waitlist_wait *wait)
{
    struct waitlist *list = wait->list;
    wait->previous = NULL;
    wait->next = list->first;
    *(list->first ? &list->first->previous : &list->last) = wait;
    list->first = wait;
    wait->queued = true;
}

static void remove_locked(struct waitlist_wait *wait)
{
    struct waitlist *list = wait->list;
    *(wait->previous ? &wait->previous->next : &list->first) = wait->next;
    *(wait->next ? &wait->next->previous : &list->last) = wait->previous;
    wait->next = wait->previous = NULL; /* its frame may live on, and would seem to lead to the others' stacks */
    wait->queued = false;
}

struct waitlist_wait *waitlist_pop_locked(struct waitlist *list)
{
    struct waitlist_wait *wait = list->first;
    if (wait)
        remove_locked(wait);
    return wait;
}

int waitlist_park_locked(struct waitlist_wait *wait, struct wait *description)
{
    description->bounded = wait->timed;
    description->record = wait;
    wait->parked = true;
    return scheduler_park(description, scheduler_after_unlock, wait->lock);
}

static void deadline_passed(struct timer *timer, struct p *p)
{
    struct waitlist_wait *wait = container_of(timer, struct waitlist_wait, timer);
    struct ready_batch others;
    batch_begin(&others);
    lock_acquire(wait->lock);
    bool ends = wait->queued;
    bool parked = wait->parked;
    if (ends) {
        remove_locked(wait);
        if (wait->left_locked)
            wait->left_locked(wait, &others);
    }
    wait->expired = true;
    wait->ended_by_deadline = ends;
    lock_release(wait->lock);
    batch_ready(&others, p);
    if (ends && parked)
        timers_ready_after(p, wait->g, -ETIMEDOUT);
}

int waitlist_set_deadline(struct waitlist_wait *wait, int64_t deadline_ns)
{
    if (deadline_ns == GMPT_NEVER)
        return 0;
    if (deadline_ns <= clock_now_ns())
        return -ETIMEDOUT;
    int error = timers_start(m_self()->p, &wait->timer, deadline_ns, deadline_passed);
    wait->timed = !error;
    return error;
}

void waitlist_end(struct waitlist_wait *wait)
{
    if (wait->timed)
        timers_stop(&wait->timer);
}

void batch_add_all_locked(struct ready_batch *batch, struct waitlist *list)
{
    struct waitlist_wait *wait;
    while ((wait = waitlist_pop_locked(list)))
        batch_add(batch, wait);
}

void batch_ready(struct ready_batch *batch, struct p *p)
{
    *batch->end = NULL;
    if (!batch->first)
        return;
    if (batch->first->next)
        scheduler_ready_list(p, batch->first);
    else
        scheduler_ready(p, batch->first, batch->first->wait_result);
}
