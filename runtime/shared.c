/* The global run queue and the list of idle Ps. See shared.h. */
#include "shared.h"

#include "inbox.h"
#include "procs.h"

#include <sys/mman.h>

int shared_start(uint32_t gs)
{
    uint32_t slots = 1;
    while (slots < gs)
        slots *= 2;
    void *queue = mmap(NULL, slots * sizeof *sched.queue, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (queue == MAP_FAILED)
        return -ENOMEM;
    sched.queue = queue;
    sched.queue_mask = slots - 1;
    return 0;
}

static inline void put_locked(struct g *g)
{
    uint32_t size = load_relaxed(&sched.queue_size);
    sched.queue[(sched.queue_first + size) & sched.queue_mask] = g;
    store_release(&sched.queue_size, size + 1); /* S1 */
}

static inline struct g *get_locked(void)
{
    uint32_t size = load_relaxed(&sched.queue_size);
    struct g *g = sched.queue[sched.queue_first & sched.queue_mask];
    /* An empty queue begins anew, so that one that is mostly short stays in a few lines. */
    sched.queue_first = size == 1 ? 0 : sched.queue_first + 1;
    store_relaxed(&sched.queue_size, size - 1);
    return g;
}

static void retire_locked(struct p *p)
{
    struct g *g, *list = inbox_take(p);
    bool inherits;
    while ((g = list)) {
        list = g->next;
        put_locked(g);
    }
    while ((g = runq_get_owner(p, &inherits)))
        put_locked(g);
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

void shared_queue_put(struct g *g)
{
    lock_acquire(&sched.lock);
    put_locked(g);
    lock_release(&sched.lock);
}

uint32_t shared_queue_put_list(struct g *list)
{
    uint32_t count = 0;
    lock_acquire(&sched.lock);
    while (list) {
        struct g *g = list;
        list = g->next; /* before g can run */
        put_locked(g);
        count++;
    }
    lock_release(&sched.lock);
    return count;
}

void shared_queue_put_half(struct p *p, uint32_t head, uint32_t count, struct g *last)
{
    lock_acquire(&sched.lock);
    for (uint32_t i = 0; i < count; i++)
        put_locked(load_relaxed(&p->runq[(head + i) % RUNQ_SLOTS]));
    put_locked(last);
    lock_release(&sched.lock);
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
    struct g *g = get_locked();
    uint32_t tail = load_relaxed(&p->runq_tail);
    for (uint32_t i = 1; i < count; i++)
        store_relaxed(&p->runq[tail++ % RUNQ_SLOTS], get_locked()); /* max is chosen so that there is room */
    store_release(&p->runq_tail, tail);                             /* A of runq.h */
    return g;
}

struct g *shared_queue_get(struct p *p, uint32_t max)
{
    lock_acquire(&sched.lock);
    struct g *g = shared_queue_get_locked(p, max);
    lock_release(&sched.lock);
    return g;
}
