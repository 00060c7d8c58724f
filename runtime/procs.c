/* Making Ps, and gmpt_gomaxprocs. See procs.h. */
#include "procs.h"

#include "inbox.h"
#include "machine.h"
#include "scheduler.h"
#include "shared.h"
#include "sysmon.h"
#include "timers.h"

#include <sys/mman.h>

/* One change at a time; taken before sched.lock. */
static struct lock change;

static void make_next(void)
{
    uint32_t index = load_relaxed(&sched.p_made);
    struct p *p = &sched.ps[index];
    p->index = index;
    timers_init(&p->timers);
    trace_start_p(p);
    store_release(&sched.p_made, index + 1); /* the P is laid out before anybody looks at it */
}

int procs_start(uint32_t p_room, uint32_t count)
{
    /* Zero, and of those that are never made no page is touched. */
    void *ps = mmap(NULL, p_room * sizeof *sched.ps, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (ps == MAP_FAILED)
        return -ENOMEM;
    switch_roots_made(ps, p_room * sizeof *sched.ps);
    sched.ps = ps;
    sched.p_room = p_room;
    store_relaxed(&sched.p_count, count);
    while (load_relaxed(&sched.p_made) < count)
        make_next();
    for (uint32_t i = count; i-- > 1;)
        shared_idle_put_locked(&sched.ps[i]);
    return 0;
}

static void grow(uint32_t before, uint32_t count)
{
    while (load_relaxed(&sched.p_made) < count) {
        store_relaxed(&sched.ps[load_relaxed(&sched.p_made)].status, P_RETIRED);
        make_next(); /* not under sched.lock: with a trace it touches all pages of a ring */
    }
    lock_acquire(&sched.lock);
    store_relaxed(&sched.p_count, count);
    for (uint32_t i = before; i < count; i++) {
        struct p *p = &sched.ps[i];
        if (load_relaxed(&p->status) == P_RETIRED) { /* else it has not noticed that it was over the limit */
            store_relaxed(&p->status, P_IDLE);
            shared_idle_put_locked(p);
        }
    }
    lock_release(&sched.lock);
    scheduler_submitted(); /* for Gs that wait for a P; who is woken wakes the next */
}

static void shrink(uint32_t count)
{
    lock_acquire(&sched.lock);
    store_relaxed(&sched.p_count, count);
    shared_retire_idle_locked();
    for (struct m *m = sched.ms; m; m = m->next_made)
        fetch_or_acq_rel(&m->attention, ATTENTION_YIELD); /* those that hold a P above the limit, and a few more */
    lock_release(&sched.lock);
    sysmon_look_soon(); /* at those in blocking calls */
}

int gmpt_gomaxprocs(int count)
{
    API_ENTER();
    if (count > (int)sched.p_room)
        return -ERANGE;
    lock_acquire(&change);
    uint32_t before = load_relaxed(&sched.p_count);
    if (count > 0 && (uint32_t)count != before) {
        if ((uint32_t)count > before)
            grow(before, (uint32_t)count);
        else
            shrink((uint32_t)count);
        trace_set_maxprocs((uint32_t)count);
        TRACE(proc_limit, (uint32_t)count);
    }
    lock_release(&change);
    return (int)before;
}

void procs_serve_retired(struct p *p)
{
    uint32_t p_made = load_acquire(&sched.p_made);
    for (uint32_t i = load_relaxed(&sched.p_count); i < p_made; i++) {
        if (timers_due_any(&sched.ps[i].timers, 0))
            timers_run(&sched.ps[i].timers, p);
        if (load_relaxed(&sched.ps[i].status) == P_RETIRED)
            inbox_move_owner(&sched.ps[i], p);
    }
}

int gmpt_maxprocs(void) { return (int)load_relaxed(&sched.p_count); }
