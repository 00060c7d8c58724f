/* Where an M finds its next G. See search.h and, for the protocol and its letters, scheduler.c. */
#include "search.h"

#include "inbox.h"
#include "machine.h"
#include "nest.h"
#include "netpoll.h"
#include "procs.h"
#include "runq.h"
#include "scheduler.h"
#include "shared.h"
#include "timers.h"

#define STEAL_ROUNDS 4
#define THICK_PENDING 1000u /* with so many timers at least, */
#define THICK_NS 250000     /* the next of which follow each other so closely, */
#define THICK_TIMES 16      /* so many times in a row, */
#define COALESCE_NS 500000  /* they are late by up to this much while nothing else runs */
#define WAKE_AFTER_MAX 8192u
#define WAKE_PAYS_NS 10000 /* about what it costs to wake a thread that soon sleeps again */

/* Whether it pays to wake Ms is judged by what one has done: as it finds more, and as it finds nothing. */
static void waking_judge_found(struct m *m)
{
    int64_t now_ns = clock_now_ns();
    if (m->found_ns == 0)
        m->found_ns = now_ns;
    else if (now_ns - m->found_ns >= WAKE_PAYS_NS)
        scheduler_waking_pays();
}

static void waking_judge_none(struct m *m)
{
    uint32_t after = load_relaxed(&sched.wake_after);
    if (m->found_ns && clock_now_ns() - m->found_ns >= WAKE_PAYS_NS)
        scheduler_waking_pays();
    else if (after < WAKE_AFTER_MAX)
        store_relaxed(&sched.wake_after, after * 2);
    m->found_ns = 0;
}

static void become_spinning(struct m *m)
{
    m->spinning = true;
    fetch_add_acq_rel(&sched.spinning, 1);
    TRACE(m_spin, m->p);
}

static struct g *steal(struct m *m, struct p *p, bool *ran_timers)
{
    for (int round = 0; round < STEAL_ROUNDS; round++) {
        bool last = round == STEAL_ROUNDS - 1;
        uint32_t start = random_next(&m->random_state);
        uint32_t p_made = load_acquire(&sched.p_made);
        for (uint32_t i = 0; i < p_made; i++) {
            struct p *victim = &sched.ps[(start + i) % p_made];
            if (victim == p)
                continue;
            if (last && timers_due_any(&victim->timers, 0) && timers_run(&victim->timers, p)) {
                *ran_timers = true;
                return NULL;
            }
            uint32_t taken;
            struct g *g = runq_steal_owner(p, victim, last, &taken);
            if (g) {
                TRACE(proc_steal, p, victim->index, taken);
                counter_add_owner(&p->counters.steals, 1);
                counter_add_owner(&p->counters.stolen, taken);
                return g;
            }
        }
    }
    return NULL;
}

bool search_work_anywhere(void)
{
    if (load_acquire(&sched.queue_size) != 0)
        return true;
    for (uint32_t i = 0; i < load_acquire(&sched.p_made); i++) {
        struct p *p = &sched.ps[i];
        if (load_relaxed(&p->runq_tail) != load_relaxed(&p->runq_head) || nest_any(p) ||
            (load_relaxed(&p->runnext) && load_relaxed(&p->status) != P_RUNNING))
            return true;
    }
    return false;
}

static int64_t earliest_timer(void)
{
    int64_t earliest = INT64_MAX;
    for (uint32_t i = 0; i < load_acquire(&sched.p_made); i++) {
        int64_t next = load_relaxed(&sched.ps[i].timers.next_ns);
        if (next < earliest)
            earliest = next;
    }
    return earliest;
}

/* When timers come thick, to sleep for each costs more than all else about it: then the poller lets COALESCE_NS pass
 * from one wake-up to the next. A few that are short are not held up. Only who set sched.polling. */
static int64_t coalesce(int64_t until_ns)
{
    static int64_t last_until_ns;
    static uint32_t thick; /* times in a row */
    uint32_t pending = 0;
    for (uint32_t i = 0; i < load_acquire(&sched.p_made); i++)
        pending += load_relaxed(&sched.ps[i].timers.pending);
    thick = pending > THICK_PENDING && until_ns - last_until_ns < THICK_NS ? thick + 1 : 0;
    if (thick > THICK_TIMES && until_ns < last_until_ns + COALESCE_NS)
        until_ns = last_until_ns + COALESCE_NS;
    last_until_ns = until_ns;
    return until_ns;
}

/* Without a P: sleeps in the poller, if nobody else does, until something is ready or a timer is due. Comes back with a
 * P and true, or without one and false. *list is what became ready, not yet runnable. */
static bool poll_idle(struct m *m, struct g **list)
{
    *list = NULL;
    uint32_t nobody = 0;
    if (!cas_acq_rel(&sched.polling, &nobody, 1)) /* P1, pairs with the look at `polling` in timers_start */
        return false;
    store_relaxed(&sched.poll_until_ns, INT64_MAX);
    full_fence(); /* P2: who starts a timer from now on sees `polling`, or we see its timer */
    int64_t until = earliest_timer();
    if (until != INT64_MAX)
        until = coalesce(until);
    store_relaxed(&sched.poll_until_ns, until);
    int64_t since_ns = trace_is_on() ? clock_now_ns() : 0;
    *list = netpoll_wait(until);
    store_release(&sched.polling, 0);
    struct p *p = shared_idle_get();
    if (!p) {
        TRACE(netpoll, NULL, m->tid, *list, since_ns);
        scheduler_ready_list_global(*list);
        *list = NULL;
        fetch_sub_acq_rel(&sched.poll_out, 1);
        return false;
    }
    machine_acquire(m, p);
    TRACE(netpoll, p, m->tid, *list, since_ns);
    fetch_sub_acq_rel(&sched.poll_out, 1);
    return true;
}

static void polled(struct m *m, struct p *p, struct g *list)
{
    TRACE(netpoll, p, m->tid, list, 0);
    scheduler_ready_list(p, list);
}

/* A G to run, on the P that the M holds when it returns, which may be another one than before. */
struct g *search_runnable(struct m *m, bool *inherits)
{
    struct g *g;
    *inherits = false;
    if (!m->p)
        machine_stop(m); /* a G came back from a blocking call and found no P */
top:;
    struct p *p = m->p;
    if (load_relaxed(&m->attention) & ATTENTION_YIELD) {
        fetch_and_acq_rel(&m->attention, ~(uint32_t)ATTENTION_YIELD); /* as in scheduler_preempted */
        runq_demote_next_owner(p);
    }
    if (unlikely(load_relaxed(&sched.stopping)))
        scheduler_retire();
    if (procs_is_over_limit(p)) {
        lock_acquire(&sched.lock);
        goto give_up_locked;
    }
    if (timers_due_any(&p->timers, 0))
        timers_run(&p->timers, p);
    if (unlikely(load_relaxed(&sched.p_made) > load_relaxed(&sched.p_count)))
        procs_serve_retired(p);
    if (load_relaxed(&p->starts) % GLOBAL_TICK == 0) {
        if (load_relaxed(&sched.queue_size) && (g = shared_queue_get(p, 1)))
            return g;
        struct g *list = netpoll_check();
        if (list)
            polled(m, p, list);
    }
    if (unlikely(load_relaxed(&p->inbox_size)))
        inbox_move_owner(p, p);
    if ((g = runq_get_owner(p, inherits)))
        return g;
    if (load_relaxed(&sched.queue_size) && (g = shared_queue_get(p, RUNQ_SLOTS / 2)))
        return g;
    struct g *list = netpoll_check();
    if (list) {
        polled(m, p, list);
        goto top;
    }
    /* Half as many look for work as have some: more would only compete. */
    if (m->spinning ||
        2 * load_relaxed(&sched.spinning) + load_relaxed(&sched.idle_p_count) < load_relaxed(&sched.p_count)) {
        if (!m->spinning)
            become_spinning(m);
        bool ran_timers = false;
        g = steal(m, p, &ran_timers);
        if (g)
            return g;
        if (ran_timers)
            goto top;
        waking_judge_none(m);
    }

    lock_acquire(&sched.lock);
    if (load_relaxed(&sched.queue_size)) {
        g = shared_queue_get_locked(p, RUNQ_SLOTS / 2);
        lock_release(&sched.lock);
        return g;
    }
give_up_locked:
    shared_idle_put_locked(machine_release(m)); /* G1 */
    lock_release(&sched.lock);

    if (m->spinning) {
        m->spinning = false;
        fetch_sub_acq_rel(&sched.spinning, 1); /* G2 */
    }
    full_fence(); /* G3, pairs with S2 */
    if (unlikely(load_relaxed(&p->inbox_size)) && shared_idle_take(p)) { /* G4: only this M and the sender look there */
        machine_acquire(m, p);
        goto top;
    }
    if (search_work_anywhere() && (p = shared_idle_get())) { /* G4 */
        machine_acquire(m, p);
        become_spinning(m);
        goto top;
    }
    if (poll_idle(m, &list)) {
        become_spinning(m);
        scheduler_ready_list(m->p, list);
        goto top;
    }
    machine_stop(m);
    goto top;
}

void search_end(struct m *m)
{
    if (!m->spinning)
        return;
    m->spinning = false;
    uint32_t before = fetch_sub_acq_rel(&sched.spinning, 1);
    /* The last to stop may have kept a submitter from waking somebody. */
    if (before == 1) {
        full_fence_after_rmw(); /* S2', pairs with G3 */
        scheduler_wake();
    }
    waking_judge_found(m);
}
