/* Blocking calls: how a P stays with an M in a call that may block, and how others come by it. See call.h. */
#include "call.h"

#include "inbox.h"
#include "latency.h"
#include "machine.h"
#include "netpoll.h"
#include "search.h"
#include "shared.h"
#include "sysmon.h"

#include <gmptrace/net.h>

#include <netdb.h>

void call_begin(bool known_slow, struct api_site site)
{
    struct m *m = m_self();
    struct p *p = m->p;
    struct g *g = m->current;
    if (unlikely(m->call_p != NULL))
        fatal("goroutine %llu: gmpt_blocking_begin inside a blocking call", (unsigned long long)g->id);
    TRACE(syscall_begin, p, g, site);
    void **frame = site.frame;
    g->call.function = site.function;
    g->call.caller_frame = frame[0];
    g->call.caller = (void *)(uintptr_t)codeaddress_of((uintptr_t)frame[1]);
    g->slot->wait_since_ns = load_relaxed(&coarse_now_ns);
    g_transition(g, G_SYSCALL, GMPT_WAIT_none);
    m_tell(m, g, G_SYSCALL);
    m->call_p = p;
    p->call_g = g->id;
    m->p = NULL;
    store_relaxed(&p->call_tick, load_relaxed(&p->call_tick) + 1);
    if (known_slow) {
        trace_p_held(p, 0);
        TRACE(proc_retake, p->index, g->id);
        p->current = NULL;
        store_release(&p->status, P_IDLE);
        call_hand_off(p);
        return;
    }
    bool others_wait = inbox_or_runq_any(p) || load_relaxed(&sched.queue_size);
    store_release(&p->status, P_SYSCALL); /* everything that this M did with the P, before others may take it */
    if (others_wait)
        sysmon_look_soon();
}

/* Takes p out of its blocking call, whoever's it now is. */
static bool take_p(struct p *p)
{
    uint32_t expected = P_SYSCALL;
    return load_relaxed(&p->status) == P_SYSCALL && cas_acq_rel(&p->status, &expected, P_IDLE);
}

/* The G comes back from a call without a P: queues it and lets its M sleep. */
static void after_end_without_p(struct m *m, struct g *from, void *arg)
{
    (void)m, (void)arg;
    TRACE(syscall_exit, from);
    latency_runnable(NULL, from);
    g_transition(from, G_RUNNABLE, GMPT_WAIT_none);
    shared_queue_put(from);
    scheduler_submitted();
}

void call_end(void)
{
    struct m *m = m_self();
    struct g *g = m->current;
    struct p *p = m->call_p;
    if (unlikely(p == NULL))
        fatal("goroutine %llu: gmpt_blocking_end without gmpt_blocking_begin", (unsigned long long)g->id);
    m->call_p = NULL;
    if (likely(take_p(p))) {
        m->p = p;
        if (likely(load_relaxed(&p->m) == m)) {
            store_relaxed(&p->status, P_RUNNING);
            TRACE(syscall_end, p);
            g_transition_running(g);
            m_tell(m, g, G_RUNNING);
            return;
        }
        /* It was retaken, and its next M is in a call of its own now: that one finds it gone. */
        p->current = NULL;
    } else {
        p = shared_idle_get();
    }
    if (p) {
        machine_acquire(m, p);
        TRACE(syscall_resume, p, g);
        g_transition_running(g);
        m_tell(m, g, G_RUNNING);
        p->current = g;
        return;
    }
    scheduler_leave_for_g0(after_end_without_p);
}

void call_hand_off(struct p *p)
{
    counter_add_owner(&p->counters.handoffs, 1);
    /* Somebody has to wait for the network and the timers, too. */
    bool last_to_poll =
        load_relaxed(&sched.idle_p_count) + 1 >= load_relaxed(&sched.p_count) && !load_relaxed(&sched.polling);
    if (inbox_or_runq_any(p) || load_relaxed(&sched.queue_size) != 0 || last_to_poll) {
        machine_start(p, false);
        return;
    }
    lock_acquire(&sched.lock);
    shared_idle_put_locked(p);
    lock_release(&sched.lock);
    full_fence(); /* pairs with S2: a G submitted before the P was idle, whose submitter saw no idle P */
    if (unlikely(load_relaxed(&p->inbox_size)) && shared_idle_take(p)) {
        machine_start(p, false);
        return;
    }
    if (search_work_anywhere())
        scheduler_wake();
    netpoll_wake_by(load_relaxed(&p->timers.next_ns));
}

void gmpt_blocking_begin(void)
{
    API_ENTER();
    call_begin(false, API_SITE(gmpt_blocking_begin));
}

void gmpt_blocking_end(void)
{
    API_ENTER();
    call_end();
}

/* The user's function runs between the two API sections, as between gmpt_blocking_begin and _end. */
static void begin(bool known_slow, struct api_site site)
{
    API_ENTER();
    call_begin(known_slow, site);
}

int gmpt_blocking(int (*fn)(void *arg), void *arg)
{
    begin(false, API_SITE(gmpt_blocking));
    int result = fn(arg);
    gmpt_blocking_end();
    return result;
}

int gmpt_blocking_slow(int (*fn)(void *arg), void *arg)
{
    begin(true, API_SITE(gmpt_blocking_slow));
    int result = fn(arg);
    gmpt_blocking_end();
    return result;
}

int gmpt_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
    begin(true, API_SITE(gmpt_getaddrinfo));
    int error = getaddrinfo(node, service, hints, result);
    gmpt_blocking_end();
    return error;
}
