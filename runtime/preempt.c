/* Tiers T0 and T1: what sysmon does to a G that holds its P for too long, and what the G does about it when it next
 * comes into the runtime. See preempt.h and, for the protocol and its letters, enter.h. */
#define _GNU_SOURCE
#include "preempt.h"

#include "async.h"
#include "futex.h"
#include "latency.h"
#include "machine.h"
#include "pin.h"
#include "scheduler.h"
#include "shared.h"

#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Gs that run without a P each keep a thread busy; with more than this many, whoever is next keeps its P. */
#define DETACHED_MAX 64u

/* A G that cannot be stopped where it is may be elsewhere a moment later; after so many tries its P is taken. */
#define SIGNALS_MAX 3u

static bool membarrier_works;

static int membarrier_call(int command)
{
    return (int)syscall(SYS_membarrier, command, 0, 0);
}

/* What would come in here would wait for threads that the child does not have, and change the epoll that it has in
 * common with its parent. */
static void after_fork_in_child(void)
{
    if (m_self())
        fetch_or_acq_rel(&m_self()->attention, ATTENTION_FORKED);
}

void preempt_start(void)
{
    int errno_before = errno;
    pthread_atfork(NULL, NULL, after_fork_in_child);
    membarrier_works = membarrier_call(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0;
    errno = errno_before;
    if (membarrier_works)
        async_start();
}

bool preempt_take(struct p *p, uint32_t tick, uint32_t *signals)
{
    struct m *m = load_acquire(&p->m);
    if (!m || !membarrier_works || load_relaxed(&sched.detached) >= DETACHED_MAX)
        return false;
    fetch_or_acq_rel(&m->attention, ATTENTION_TAKING);              /* T1 */
    bool fenced = membarrier_call(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0; /* T2 */
    /* T3. With in_runtime 0 the M cannot come in before the decision, so what follows stands still; but it may have
     * been in and out since the caller's look: begun another slice, or a blocking call. */
    if (!fenced || load_acquire(&m->in_runtime) || m->p != p || load_relaxed(&p->tick) != tick) {
        fetch_and_acq_rel(&m->attention, ~(uint32_t)ATTENTION_TAKING);
        return false;
    }
    struct g *g = m->current;
    if (*signals < SIGNALS_MAX && async_works_for(g)) {
        ++*signals;
        async_send(m);
        fetch_and_acq_rel(&m->attention, ~(uint32_t)ATTENTION_TAKING);
        return false;
    }
    trace_p_held(p, 0);
    TRACE(go_detach, p);
    g_transition(g, G_PREEMPTED, GMPT_WAIT_none);
    fetch_add_relaxed(&sched.detached, 1);
    fetch_add_relaxed(&sched.preempted_t1, 1);
    pin_free(m);
    m->p = NULL;
    p->current = NULL;
    store_relaxed(&p->m, NULL);
    store_release(&p->status, P_IDLE);
    fetch_or_acq_rel(&m->attention, ATTENTION_TAKEN);
    fetch_and_acq_rel(&m->attention, ~(uint32_t)(ATTENTION_TAKING | ATTENTION_YIELD));
    /* Pairs with sysmon_stop: if that was its request that has just been cleared, it is seen as stopping. */
    if (load_relaxed(&sched.stopping))
        fetch_or_acq_rel(&m->attention, ATTENTION_YIELD);
    return true;
}

static void after_attach_wait(struct m *m, struct g *from, void *arg)
{
    (void)m, (void)arg;
    TRACE(go_attach_wait, from);
    latency_runnable(NULL, from);
    g_transition(from, G_RUNNABLE, GMPT_WAIT_none);
    fetch_sub_acq_rel(&sched.detached, 1);
    shared_queue_put(from);
    scheduler_submitted();
}

/* The calling G has lost its P: takes an idle one, or queues and lets its M sleep. */
static void attach(struct m *m)
{
    struct g *g = m->current;
    struct p *p = shared_idle_get();
    if (!p) {
        scheduler_leave_for_g0(after_attach_wait);
        return;
    }
    machine_acquire(m, p);
    TRACE(go_attach, p, g);
    g_transition_running(g);
    p->current = g;
    fetch_sub_acq_rel(&sched.detached, 1);
}

static uint32_t await_decision(struct m *m)
{
    uint32_t attention;
    for (unsigned tries = 0; (attention = load_acquire(&m->attention)) & ATTENTION_TAKING; tries++) {
        if (tries < 1000)
            cpu_relax();
        else
            sched_yield(); /* sysmon lost its CPU in mid-decision */
    }
    return attention;
}

/* As if it had not come in yet, and then comes in anew: what follows is an E2. */
static void wait_outside(struct m *m)
{
    uint32_t attention;
    store_release(&m->in_runtime, 0); /* E3 */
    while ((attention = load_acquire(&m->attention)) & ATTENTION_STAY_OUT)
        futex_wait(&m->attention, attention, INT64_MAX);
    store_relaxed(&m->in_runtime, 1); /* E1 */
    compiler_fence();
}

void enter_slow(struct m *m, bool was_inside, bool gives_way)
{
    if (load_relaxed(&m->attention) & ATTENTION_FORKED)
        fatal("a function of the runtime was called in a child of fork(), which may only exec or _exit");
    if (load_relaxed(&m->attention) & ATTENTION_STAY_OUT && !was_inside)
        wait_outside(m);
    uint32_t attention = await_decision(m);
    if (attention & ATTENTION_TAKEN) {
        fetch_and_acq_rel(&m->attention, ~(uint32_t)ATTENTION_TAKEN);
        attach(m);
    } else if ((attention & ATTENTION_YIELD) && gives_way && m->p) {
        scheduler_preempted();
    }
}
