/* The global run queue and the list of idle Ps. See shared.h. */
#include "shared.h"

#include "inbox.h"
#include "procs.h"

static void put_locked(struct g *first, struct g *last, uint32_t count);

static void retire_locked(struct p *p)
{
    struct g *g, *list = inbox_take(p);
    bool inherits;
    while ((g = list)) {
        list = g->next;
        put_locked(g, g, 1);
    }
    while ((g = runq_get_owner(p, &inherits)))
        put_locked(g, g, 1);
    store_release(&p->status, P_RETIRED);
}

void shared_retire_idle_locked(void)
{
    struct p *list = sched.idle_ps;
    sched.idle_ps = NULL;
    store_relaxed(&sched.idle_p_count, 0);
    while (list) {
        struct p *p = list;
        list = p->next_idle;
        shared_idle_put_locked(p);
    }
}

void shared_idle_put_locked(struct p *p)
{
    if (procs_is_over_limit(p)) {
        retire_locked(p);
        return;
    }
    p->next_idle = sched.idle_ps;
    sched.idle_ps = p;
    store_release(&sched.idle_p_count, load_relaxed(&sched.idle_p_count) + 1); /* G1 */
}

struct p *shared_idle_get_locked(void)
{
    struct p *p = sched.idle_ps;
    if (p) {
        sched.idle_ps = p->next_idle;
        store_relaxed(&sched.idle_p_count, load_relaxed(&sched.idle_p_count) - 1);
    }
    return p;
}

bool shared_idle_take_locked(struct p *p)
{
    struct p **link = &sched.idle_ps;
    while (*link && *link != p)
        link = &(*link)->next_idle;
    if (!*link)
        return false;
    *link = p->next_idle;
    store_relaxed(&sched.idle_p_count, load_relaxed(&sched.idle_p_count) - 1);
    return true;
}

bool shared_idle_take(struct p *p)
{
    lock_acquire(&sched.lock);
    bool taken = shared_idle_take_locked(p);
    lock_release(&sched.lock);
    return taken;
}

struct p *shared_idle_get(void)
{
    lock_acquire(&sched.lock);
    struct p *p = shared_idle_get_locked();
    lock_release(&sched.lock);
    return p;
}

static void put_locked(struct g *first, struct g *last, uint32_t count)
{
    last->next = NULL;
    if (sched.queue_tail)
        sched.queue_tail->next = first;
    else
        sched.queue_head = first;
    sched.queue_tail = last;
    store_release(&sched.queue_size, load_relaxed(&sched.queue_size) + count); /* S1 */
}

void shared_queue_put(struct g *first, struct g *last, uint32_t count)
{
    lock_acquire(&sched.lock);
    put_locked(first, last, count);
    lock_release(&sched.lock);
}

static struct g *pop_locked(void)
{
    struct g *g = sched.queue_head;
    sched.queue_head = g->next;
    if (!sched.queue_head)
        sched.queue_tail = NULL;
    store_relaxed(&sched.queue_size, load_relaxed(&sched.queue_size) - 1);
    return g;
}

struct g *shared_queue_get_locked(struct p *p, uint32_t max)
{
    uint32_t size = load_relaxed(&sched.queue_size);
    if (size == 0)
        return NULL;
    uint32_t count = size / load_relaxed(&sched.p_count) + 1;
    if (count > size)
        count = size;
    if (count > max)
        count = max;
    struct g *g = pop_locked();
    for (uint32_t i = 1; i < count; i++) {
        struct g *more = pop_locked();
        uint32_t tail = load_relaxed(&p->runq_tail);
        store_relaxed(&p->runq[tail % RUNQ_SLOTS], more); /* max is chosen so that there is room */
        store_release(&p->runq_tail, tail + 1);
    }
    return g;
}

struct g *shared_queue_get(struct p *p, uint32_t max)
{
    lock_acquire(&sched.lock);
    struct g *g = shared_queue_get_locked(p, max);
    lock_release(&sched.lock);
    return g;
}
