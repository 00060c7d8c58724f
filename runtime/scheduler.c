/* The scheduler: which M runs which G, and how sleeping Ms learn of work.
 *
 * A G that blocks or yields switches straight to the next G of its P's queue when there is one: one switch, not two.
 * Only when the queue is empty, when the tick says that it is time to look further, or when the slice is over, does it
 * switch to its M's g0, which looks everywhere (search_runnable) and sleeps when there is nothing. Either way the first
 * thing the next context does is the `after` that the last one left: a G can be published (unlocked, queued, freed)
 * only once nothing runs on its stack.
 *
 * Waking. Threads that are woken too eagerly burn a CPU, those that are not woken leave a G runnable beside an idle P.
 * So, as in Go's src/runtime/proc.go: Ms that look for work without having any are `spinning`; who submits work wakes
 * one more only if none is spinning; a spinning M that finds work and was the last one to spin wakes another. What
 * remains is the race between submitting and giving up, which two fences close:
 *
 *     submit                                    give up
 *     S1 put the G on a queue                   G1 put the P on the idle list
 *     S2 full fence                             G2 spinning - 1, if it was counted
 *     S3 if spinning == 0 and there is          G3 full fence
 *        an idle P: wake an M for it            G4 look at all queues again; if there is work, take a P and spin
 *
 * Either G4 sees S1; or S3 comes after G3, sees G1 and, once nobody spins, wakes. A submitter that counts itself in
 * `spinning` and then finds no idle P ends that under sched.lock: before the next G1, and so before its G4. The same
 * pair closes the race between starting a timer and sleeping in the poller (P1-P4 in search_runnable and timers.c).
 * A submitter that saw an M spin leaves the waking to it. So when that M has found other work and was the last to spin,
 * it does S3 in the submitter's place, after a full fence of its own (S2') between its spinning - 1 and its look
 * for an idle P: without it the look could come first, miss a G1, and the G4 after that G1 could still miss the S1.
 *
 * Needless waking. Two Gs that take turns put each other into runnext, and whoever is woken finds nothing: the owner
 * was faster, and both paid. Or it finds one of the two, as its P's thread had lost the CPU, and has nothing more to do
 * a microsecond later. So only every wake_after-th G that was made ready alone (the queue was empty) wakes somebody.
 * The number doubles, up to WAKE_AFTER_MAX, each time that an M finds nothing which has not worked for WAKE_PAYS_NS
 * before, and is 1 again when one has. A yield wakes nobody either. Gs that this leaves in the queue of a P whose owner
 * runs on, beside an idle P, are seen by sysmon: within a millisecond as a rule, within its longest nap of 10 ms at the
 * latest (look_at_running).
 *
 * Invariants
 *  1. A G that is runnable is in exactly one queue, or in the hands of one M.
 *  2. If a G is in a queue and a P is idle, then an M is spinning, or is between S1 and S3, or between G2 and G4, or
 *     was woken for a P and is on its way; or sysmon's next looks will wake somebody, since the P of the queue runs a
 *     G, or is in a blocking call, or no thread could be had for it. For a G in an inbox its own P comes, or sysmon.
 *  3. A P is held by one M (P_RUNNING), on the idle list or in one taker's hands (P_IDLE), up for CAS (P_SYSCALL), or
 *     nobody's (P_RETIRED).
 *  4. Every change of a G's state is made by who holds it (runtime.h), in program order after its trace record.
 *  5. No lock is held across a switch but those that the `after` releases.
 *
 * Rejected: publishing a G before its switch and letting the next M wait until it is off its stack (Linux's on_cpu):
 * one more load at each start and a wait that may be long when the old thread loses its CPU. Publishing runnext only to
 * its owner: a G made ready by one that then computes would wait for the whole slice beside idle Ps. */
#define _GNU_SOURCE
#include "scheduler.h"

#include "blockcheck.h"
#include "latency.h"
#include "inbox.h"
#include "machine.h"
#include "osthread.h"
#include "overflow.h"
#include "procs.h"
#include "proof.h"
#include "runq.h"
#include "search.h"
#include "seat.h"
#include "shared.h"
#include "sysmon.h"
#include "timers.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TIMER_TICK 16 /* every so many starts a P with timers looks at the clock */
#define MS_MAX_DEFAULT 10000u

struct sched sched;

/* ---- starting and leaving Gs ---- */

/* The M goes on with g, which the trace knows; the caller switches. */
static inline void begin_run(struct m *m, struct p *p, struct g *g, bool inherits)
{
    latency_running(p, g);
    g_transition_running(g);
    store_relaxed(&p->starts, load_relaxed(&p->starts) + 1);
    if (!inherits)
        store_relaxed(&p->tick, load_relaxed(&p->tick) + 1);
    p->current = g;
    m->current = g;
    m->mutex_who = g->mutex_who;
    m_tell(m, g, G_RUNNING);
}

static inline void run_after(struct m *m)
{
    after_switch_fn *after = m->after;
    if (after) {
        m->after = NULL;
        after(m, m->after_g, m->after_arg);
    }
}

/* The next G if the P's own queue has one and nothing else is due. */
static inline struct g *next_local(struct m *m, struct p *p, bool *inherits)
{
    uint32_t starts = load_relaxed(&p->starts);
    if (unlikely(load_relaxed(&m->attention)) || unlikely(starts % GLOBAL_TICK == 0) ||
        (unlikely(starts % TIMER_TICK == 0) && load_relaxed(&p->timers.next_ns) != INT64_MAX))
        return NULL;
    struct g *g = runq_get_owner(p, inherits);
    if (likely(!g || !g->locked_m))
        return g;
    m->found = g;
    return NULL;
}

/* Leaves the calling G, whose state is no longer running, for whatever comes next. */
static inline __attribute__((always_inline)) void leave(struct m *m, struct g *g, after_switch_fn *after, void *arg,
                                                        bool dying)
{
    struct p *p = m->p;
    bool inherits;
    p->current = NULL;
    m->after = after;
    m->after_g = g;
    m->after_arg = arg;
    struct g *next = next_local(m, p, &inherits);
    if (likely(next != NULL)) {
        TRACE(go_start_at_once, p, next);
        begin_run(m, p, next, inherits);
        switch_context(&g->context, &next->context, dying);
    } else {
        m->current = NULL;
        m_tell_scheduler(m);
        switch_context(&g->context, &m->g0, dying);
    }
}

/* Leaves the calling G and comes back when it runs again, maybe on another thread. */
static inline __attribute__((always_inline)) void leave_and_return(struct m *m, struct g *g, after_switch_fn *after,
                                                                   void *arg)
{
    if (unlikely(g->canary) && seat_is_overflowed(g, __builtin_frame_address(0)))
        overflow_fatal(g);
    g->saved_errno = *m->errno_at;
    leave(m, g, after, arg, false);
    switch_arrived(&g->context);
    m = m_self();
    run_after(m);
    *m->errno_at = g->saved_errno;
}

void scheduler_leave_for_g0(after_switch_fn *after)
{
    struct m *m = m_self();
    struct g *g = m->current;
    g->saved_errno = *m->errno_at;
    m->current = NULL;
    m_tell_scheduler(m);
    m->after = after;
    m->after_g = g;
    switch_context(&g->context, &m->g0, false);
    switch_arrived(&g->context);
    m = m_self();
    run_after(m);
    *m->errno_at = g->saved_errno;
}

int scheduler_park(const struct wait *wait, after_switch_fn *after, void *arg)
{
    enter_check();
    struct m *m = m_self();
    struct g *g = m->current;
    struct p *p = m->p;
    if (unlikely(blockcheck_mutexes))
        blockcheck_park(g, wait->reason);
    g->slot->wait_object = (uint64_t)(uintptr_t)wait->object;
    g->slot->wait_since_ns = load_relaxed(&coarse_now_ns);
    g->slot->wait_bounded = wait->bounded;
    g->slot->wait_reason = (uint8_t)wait->reason;
    g->slot->wait_stack = 0;
    if (trace_is_on()) {
        trace_note_wait_site(p, g, wait->site);
        trace_emit_go_block(p, g);
    }
    g_transition(g, G_WAITING, wait->reason);
    g->wait.object = wait->object;
    g->wait.record = wait->record;
    g->wait.seq = g->seq;
    g->wait.reason = (uint8_t)wait->reason;
    g->wait.bounded = wait->bounded;
    leave_and_return(m, g, after, arg);
    return g->wait_result;
}

void scheduler_after_unlock(struct m *m, struct g *from, void *lock)
{
    (void)m, (void)from;
    lock_release(lock);
}

static void after_requeue(struct m *m, struct g *from, void *arg)
{
    (void)arg;
    runq_put_owner(m->p, from);
}

static void after_requeue_global(struct m *m, struct g *from, void *arg)
{
    (void)m, (void)arg;
    shared_queue_put(from);
    scheduler_submitted();
}

static void after_free(struct m *m, struct g *from, void *arg)
{
    (void)arg;
    switch_destroyed(&from->context);
    seat_give_owner(m->p, from);
}

void gmpt_yield(void)
{
    API_ENTER();
    struct m *m = m_self();
    struct p *p = m->p;
    if (!runq_has_queued_owner(p) && !inbox_or_runq_any(p) && load_relaxed(&sched.queue_size) == 0) {
        store_relaxed(&p->tick, load_relaxed(&p->tick) + 1);
        uint32_t starts = load_relaxed(&p->starts) + 1;
        store_relaxed(&p->starts, starts);
        if (starts % GLOBAL_TICK != 0)
            return; /* nobody to yield to; now and then the poller and the timers get a look */
    }
    TRACE(go_yield, p);
    latency_runnable(p, m->current);
    g_transition(m->current, G_RUNNABLE, GMPT_WAIT_none);
    leave_and_return(m, m->current, after_requeue, NULL);
}

int gmpt_yield_if(void)
{
    API_ENTER();
    if (!inbox_or_runq_any(m_self()->p) && load_relaxed(&sched.queue_size) == 0)
        return 0;
    gmpt_yield();
    return 1;
}

static void give_way(bool by_signal)
{
    struct m *m = m_self();
    struct p *p = m->p;
    /* Pairs with sysmon_stop: a request that is cleared here is seen as stopping. */
    fetch_and_acq_rel(&m->attention, ~(uint32_t)ATTENTION_YIELD);
    if (load_relaxed(&sched.stopping) == 0) {
        store_relaxed(&p->tick, load_relaxed(&p->tick) + 1); /* a new slice, even if it is the same G's */
        runq_demote_next_owner(p);
        if (!inbox_or_runq_any(p) && load_relaxed(&sched.queue_size) == 0 && !procs_is_over_limit(p))
            return;
    }
    if (by_signal) {
        fetch_add_relaxed(&sched.preempted_t2, 1);
        TRACE(go_preempt_async, p);
    } else {
        fetch_add_relaxed(&sched.preempted_t0, 1);
        TRACE(go_preempt, p);
    }
    latency_runnable(p, m->current);
    g_transition(m->current, G_RUNNABLE, GMPT_WAIT_none);
    leave_and_return(m, m->current, after_requeue_global, NULL);
}

void scheduler_preempted(void) { give_way(false); }
void scheduler_preempted_async(void) { give_way(true); }

void switch_entry_begin(void)
{
    struct m *m = m_self();
    switch_arrived(&m->current->context);
    run_after(m);
    enter_leave(); /* the user's function begins */
}

void switch_entry_end(void)
{
    enter_begin(true);
    struct m *m = m_self();
    struct g *g = m->current;
    struct p *p = m->p;
    if (unlikely(!p))
        fatal("goroutine %llu ended inside a blocking call: gmpt_blocking_end is missing", (unsigned long long)g->id);
    if (unlikely(g->locked_m))
        osthread_unlock(m, g);
    TRACE(go_exit, p);
    g_transition(g, G_DEAD, GMPT_WAIT_none);
    store_relaxed(&p->alive_delta, load_relaxed(&p->alive_delta) - 1);
    leave(m, g, after_free, NULL, true);
}

void scheduler_retire(void)
{
    /* The process is about to exit, or to go on without the runtime: this thread has no more to do. */
    for (;;)
        pause();
}

void scheduler_end_main(void)
{
    enter_begin(true);
    struct m *m = m_self();
    if (unlikely(!m->p))
        fatal("the main goroutine ended inside a blocking call: gmpt_blocking_end is missing");
    sched.main_over = m->current;
    trace_at_end();
    proof_hold_at_end();
    m = m_self();
    TRACE(go_exit, m->p);
    g_transition(m->current, G_DEAD, GMPT_WAIT_none);
    store_relaxed(&m->p->alive_delta, load_relaxed(&m->p->alive_delta) - 1);
    sysmon_stop(); /* from here on the process may end at any time */
    scheduler_retire();
}

/* ---- making Gs ready ---- */

static inline void make_runnable(struct p *p, struct g *g)
{
    if (p)
        enter_check();
    TRACE(go_unblock, p, g);
    latency_runnable(p, g);
    g_transition(g, G_RUNNABLE, GMPT_WAIT_none);
}

void scheduler_wake(void)
{
    if (load_acquire(&sched.spinning) != 0 || load_relaxed(&sched.idle_p_count) == 0) /* S3 */
        return;
    uint32_t none = 0;
    if (!cas_acq_rel(&sched.spinning, &none, 1))
        return;
    lock_acquire(&sched.lock);
    struct p *p = shared_idle_get_locked();
    /* Our moment of spinning may have kept another submitter from waking somebody. It ends under the lock, so that it
     * is over before the next P goes idle, and the M of that P looks at all queues after it (G4). */
    if (!p)
        fetch_sub_acq_rel(&sched.spinning, 1);
    lock_release(&sched.lock);
    if (p)
        machine_start(p, true);
}

/* The submitter's half of the protocol, after the G is on a queue. */
static inline void submitted(void)
{
    full_fence(); /* S2, pairs with G3 */
    scheduler_wake();
}

void scheduler_submitted(void) { submitted(); }

/* Whether somebody is to be woken for what p's holder has submitted: see "Needless waking". */
static inline bool wake_is_due(struct p *p, bool alone)
{
    if (load_relaxed(&sched.p_count) == 1 || (alone && ++p->quiet_wakes < load_relaxed(&sched.wake_after)))
        return false;
    p->quiet_wakes = 0;
    return true;
}

/* The same by who holds a P, after runq_put_next_owner, whose exchange serves as the fence when it is the last store,
 * or after runq_put_new_owner. */
static inline void submitted_next(struct p *p, bool alone)
{
    if (!wake_is_due(p, alone))
        return;
    if (alone)
        full_fence_after_rmw(); /* S2 */
    else
        full_fence(); /* S2 */
    scheduler_wake();
}

/* Whether g prefers another P than p. */
static inline bool prefers_another(const struct g *g, const struct p *p)
{
    return unlikely(g->prefers_p) && (!p || (uint32_t)g->prefers_p - 1 != p->index) &&
           (uint32_t)g->prefers_p - 1 < load_relaxed(&sched.p_count);
}

/* Sends a runnable G to the P that it prefers. */
static __attribute__((noinline)) void send_to_preferred(struct g *g)
{
    struct p *target = &sched.ps[g->prefers_p - 1];
    inbox_put(target, g); /* S1 */
    full_fence();         /* S2 */
    if (shared_idle_take(target))
        machine_start(target, false);
    else if (load_relaxed(&target->status) == P_SYSCALL)
        sysmon_look_soon(); /* it ends the call, or hands the P off */
    else if (load_relaxed(&target->status) == P_RETIRED)
        scheduler_wake();
}

void scheduler_ready(struct p *p, struct g *g, int wait_result)
{
    g->wait_result = wait_result;
    make_runnable(p, g);
    if (prefers_another(g, p)) {
        send_to_preferred(g);
        return;
    }
    bool alone = runq_put_next_owner(p, g); /* S1 */
    submitted_next(p, alone);
}

void scheduler_ready_list(struct p *p, struct g *list)
{
    while (list) {
        struct g *g = list;
        list = g->next;
        make_runnable(p, g);
        if (prefers_another(g, p)) {
            send_to_preferred(g);
            continue;
        }
        runq_put_owner(p, g);
        submitted();
    }
}

void scheduler_ready_list_global(struct g *list)
{
    for (struct g *g = list; g; g = g->next)
        make_runnable(NULL, g);
    for (uint32_t count = shared_queue_put_list(list); count > 0; count--)
        submitted();
}

void scheduler_started(struct p *p, struct g *g)
{
    if (prefers_another(g, p)) {
        send_to_preferred(g);
        return;
    }
    runq_put_new_owner(p, g);
    submitted_next(p, false);
}

static void after_nest(struct m *m, struct g *from, void *arg)
{
    (void)arg;
    bool alone = runq_put_nested_owner(m->p, from); /* S1 */
    if (wake_is_due(m->p, alone)) {
        full_fence(); /* S2 */
        scheduler_wake();
    }
}

void scheduler_started_first(struct g *g)
{
    struct m *m = m_self();
    struct p *p = m->p;
    struct g *parent = m->current;
    if (unlikely(parent->locked_m || load_relaxed(&m->attention))) {
        scheduler_started(p, g);
        return;
    }
    if (unlikely(parent->canary) && seat_is_overflowed(parent, __builtin_frame_address(0)))
        overflow_fatal(parent);
    TRACE(go_yield, p);
    latency_runnable(p, parent);
    g_transition(parent, G_RUNNABLE, GMPT_WAIT_none);
    parent->saved_errno = *m->errno_at;
    m->after = after_nest;
    m->after_g = parent;
    TRACE(go_start, p, g);
    begin_run(m, p, g, true);
    switch_context(&parent->context, &g->context, false);
    switch_arrived(&parent->context);
    m = m_self();
    run_after(m);
    *m->errno_at = parent->saved_errno;
}

static struct g *next_on_g0(struct m *m, bool *inherits)
{
    if (unlikely(m->locked_g)) {
        *inherits = false;
        struct g *g = osthread_wait(m);
        if (unlikely(load_relaxed(&sched.stopping)))
            scheduler_retire();
        return g;
    }
    for (;;) {
        struct g *g = m->found;
        m->found = NULL;
        if (likely(!g))
            g = search_runnable(m, inherits);
        search_end(m);
        if (likely(!g->locked_m))
            return g;
        osthread_pass(m, g);
    }
}

void scheduler_loop(struct m *m)
{
    for (;;) {
        run_after(m);
        bool inherits;
        struct g *g = next_on_g0(m, &inherits);
        TRACE(go_start, m->p, g);
        begin_run(m, m->p, g, inherits);
        switch_context(&m->g0, &g->context, false);
        switch_arrived(&m->g0);
        switch_forget();
    }
}

/* ---- the beginning ---- */

void scheduler_start(void)
{
    store_relaxed(&sched.next_id, 1);
    sched.m_max = MS_MAX_DEFAULT;
    store_relaxed(&sched.wake_after, 1);
    store_relaxed(&sched.poll_until_ns, INT64_MAX);
}

int scheduler_first(struct p *p, struct g *g)
{
    runq_put_owner(p, g);
    return machine_start(p, false) ? 0 : -EAGAIN;
}
