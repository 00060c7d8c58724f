/* The monitor runs on the thread that called gmpt_run, which leaves signals a thread with an ordinary stack to be
 * handled on. Every 20 us to 10 ms, the longer the less there is to do, it
 *   - retakes Ps from blocking calls that have lasted since its last look, or that Gs wait behind and that woke it,
 *   - asks Gs that have run for a whole slice to yield, and takes their P if they do not (preempt.h),
 *   - polls the network when nobody has for a while,
 *   - sees that timers of busy Ps are fired by somebody, and that Gs that nobody was woken for get an M.
 *
 * Retaking is a CAS of the P's status from P_SYSCALL, which only one of sysmon, the returning M and, after a retake,
 * the P's next M in a call of its own can win; call_tick tells a long call from many short ones. */
#define _GNU_SOURCE
#include "sysmon.h"

#include "call.h"
#include "deadlock.h"
#include "futex.h"
#include "inbox.h"
#include "latency.h"
#include "machine.h"
#include "netpoll.h"
#include "preempt.h"
#include "procs.h"
#include "proof.h"
#include "quit.h"
#include "reclaim.h"
#include "sampler.h"
#include "schedtrace.h"
#include "scheduler.h"
#include "search.h"
#include "shared.h"

#include <sys/prctl.h>

#define NAP_MIN_NS 20000
#define SLACK_NS 1000 /* the kernel's default, 50 us, would make a nap of 20 us one of 70 */
#define NAP_MAX_NS 10000000
#define NAP_QUIET_NS 1000000 /* the longest while a G may wait beside an idle P */
#define BUSY_NAP_NS 1000000  /* the longest while a P runs: how late sysmon sees that a slice has begun */
#define TAKE_NS (SLICE_NS - BUSY_NAP_NS) /* after it saw a slice begin, so that a slice ends within SLICE_NS */
#define SIGNAL_GAP_NS 500000             /* for a thread that was sent a signal to get a CPU and meet it */
#define ASK_NS (TAKE_NS - 1000000)       /* to give way is cheaper than to be taken from */
#define IDLE_ROUNDS 50 /* rounds without work before naps grow */
#define INBOX_NS 1000000 /* how long a G waits for the P that it prefers while others are idle */
#define POLL_GAP_NS 10000000
#define REFUSED_NS 5000000000
#define TIMER_LATE_NS 200000 /* later than this, somebody else than the busy P fires its timers */

ATOMIC(int64_t) coarse_now_ns;

static ATOMIC(uint32_t) wake_word;
static ATOMIC(uint32_t) napping_long;

/* What sysmon saw of a P at its last look. */
struct look {
    uint32_t tick, starts, call_tick;
    uint32_t signals; /* sent to the G of this slice */
    int64_t tick_ns, call_ns;
    int64_t inbox_ns; /* since when its inbox is not empty; 0 = it is empty */
    bool asked; /* the slice `tick` has been asked to end */
};

/* Whether anybody would run if there were one more P. */
static bool others_wait(struct p *p, int64_t now)
{
    if (inbox_or_runq_any(p) || load_relaxed(&sched.queue_size))
        return true;
    for (uint32_t i = 0; i < load_acquire(&sched.p_made); i++)
        if (load_relaxed(&sched.ps[i].timers.next_ns) <= now)
            return true;
    return false;
}

/* How long after it saw the slice begin sysmon may take the P, or send the next signal. */
static int64_t take_after_ns(const struct look *look)
{
    return TAKE_NS + (int64_t)look->signals * SIGNAL_GAP_NS;
}

/* Returns whether it took the P. */
static bool look_at_running(struct p *p, struct look *look, int64_t now)
{
    uint32_t tick = load_relaxed(&p->tick);
    if (tick != look->tick) {
        look->tick = tick;
        look->tick_ns = now;
        look->asked = false;
        look->signals = 0;
    } else if (!look->asked && now - look->tick_ns >= ASK_NS) {
        look->asked = true;
        TRACE(proc_preempt, p->index);
        struct m *m = load_acquire(&p->m);
        if (m)
            fetch_or_acq_rel(&m->attention, ATTENTION_YIELD);
    } else if (look->asked && now - look->tick_ns >= take_after_ns(look) &&
               (procs_is_over_limit(p) || (!load_relaxed(&sched.idle_p_count) && others_wait(p, now))) &&
               preempt_take(p, tick, &look->signals)) {
        call_hand_off(p);
        return true;
    }
    uint32_t starts = load_relaxed(&p->starts);
    if (starts == look->starts && load_relaxed(&sched.idle_p_count) &&
        (inbox_or_runq_any(p) || load_relaxed(&sched.queue_size))) {
        scheduler_waking_pays();
        scheduler_wake();
    }
    look->starts = starts;
    return false;
}

/* woken: a call with Gs behind it has ended a long nap, and has lasted for as long as that takes, which is as long as
 * it would be given between two looks at best. When it ends just then it costs its G a turn in the queue, once: from
 * here on sysmon looks often. */
static bool look_at_call(struct p *p, struct look *look, int64_t now, bool woken)
{
    uint32_t tick = load_relaxed(&p->call_tick);
    if (tick != look->call_tick) {
        look->call_tick = tick;
        look->call_ns = now;
        if (!woken || !inbox_or_runq_any(p))
            return false;
    }
    /* Nobody waits for this P, and others are free: leave it, so that the call ends cheaply. But not for ever, or a
     * hog elsewhere could keep its timers waiting. */
    if (!procs_is_over_limit(p) && !inbox_or_runq_any(p) && load_relaxed(&sched.queue_size) == 0 &&
        load_relaxed(&sched.spinning) + load_relaxed(&sched.idle_p_count) > 0 && now - look->call_ns < SLICE_NS)
        return false;
    uint32_t expected = P_SYSCALL;
    if (!cas_acq_rel(&p->status, &expected, P_IDLE))
        return false;
    trace_p_held(p, 0);
    TRACE(proc_retake, p->index, p->call_g);
    p->current = NULL;
    call_hand_off(p);
    return true;
}

/* Gs that wait for the P that they prefer go anywhere when it does not come and others could run them, or retired just
 * as they were sent to it. */
static void look_at_inbox(struct p *p, struct look *look, int64_t now)
{
    if (load_relaxed(&p->inbox_size) == 0) {
        look->inbox_ns = 0;
    } else if (look->inbox_ns == 0) {
        look->inbox_ns = now;
    } else if (now - look->inbox_ns >= INBOX_NS && (load_relaxed(&sched.idle_p_count) || procs_is_over_limit(p))) {
        shared_queue_put_list(inbox_take(p));
        scheduler_submitted();
        look->inbox_ns = 0;
    }
}

static bool retake(struct look *looks, int64_t now, bool woken)
{
    bool retook = false;
    for (uint32_t i = 0; i < load_acquire(&sched.p_made); i++) {
        struct p *p = &sched.ps[i];
        uint32_t status = load_relaxed(&p->status);
        if (status == P_RUNNING)
            retook |= look_at_running(p, &looks[i], now);
        else
            looks[i].tick_ns = now; /* no slice runs */
        look_at_inbox(p, &looks[i], now);
        if (status == P_SYSCALL)
            retook |= look_at_call(p, &looks[i], now, woken);
    }
    return retook;
}

/* How long until a slice is over, or until a timer that only a P whose slice is over could fire; at most nap_ns. */
static int64_t nap_until_due(const struct look *looks, int64_t nap_ns, bool *hogged)
{
    int64_t now = load_relaxed(&coarse_now_ns);
    int64_t next = now + nap_ns;
    *hogged = false;
    for (uint32_t i = 0; i < load_acquire(&sched.p_made); i++) {
        struct p *p = &sched.ps[i];
        if (load_relaxed(&p->status) != P_RUNNING)
            continue;
        int64_t due = looks[i].tick_ns + (looks[i].asked ? take_after_ns(&looks[i]) : ASK_NS);
        if (now + BUSY_NAP_NS < next)
            next = now + BUSY_NAP_NS;
        if (due > now && due < next)
            next = due;
        *hogged |= looks[i].asked;
    }
    for (uint32_t i = 0; *hogged && i < load_acquire(&sched.p_made); i++) {
        int64_t timer = load_relaxed(&sched.ps[i].timers.next_ns);
        if (timer > now && timer < next)
            next = timer;
    }
    return next - now > NAP_MIN_NS ? next - now : NAP_MIN_NS;
}

/* Returns whether there are any. */
static bool help_late_timers(int64_t now)
{
    for (uint32_t i = 0; i < load_acquire(&sched.p_made); i++) {
        if (load_relaxed(&sched.ps[i].timers.next_ns) < now - TIMER_LATE_NS) {
            scheduler_wake(); /* whoever wakes finds them when it looks for something to steal */
            return true;
        }
    }
    return false;
}

/* No M could be had when there was need of one, so that Gs may lie in the queue of an idle P, of which no other P takes
 * notice while it runs a G: tries again, and gives up when Gs have been runnable for long while every M there is sits
 * in a blocking call, which may wait for just those Gs. */
static void help_refused(int64_t now, bool late_timers)
{
    static int64_t since_ns;
    uint32_t idle_ps = load_relaxed(&sched.idle_p_count);
    uint32_t refusals = load_acquire(&machine_refusals); /* before the look for what was left lying */
    if (refusals && !late_timers && !search_work_anywhere())
        cas_acq_rel(&machine_refusals, &refusals, 0); /* not when one more has come since */
    if (!load_relaxed(&machine_refusals) || !idle_ps) {
        since_ns = 0;
        return;
    }
    if (since_ns == 0 || idle_ps != load_relaxed(&sched.p_count))
        since_ns = now;
    if (now - since_ns > REFUSED_NS)
        fatal("goroutines are runnable, but for %d s no thread could be made to run them (memory, or the limit of "
              "threads)",
              (int)(REFUSED_NS / 1000000000));
    scheduler_wake();
}

void sysmon_look_soon(void)
{
    if (load_relaxed(&napping_long) && exchange_acq_rel(&napping_long, 0)) {
        store_release(&wake_word, 1);
        futex_wake(&wake_word, 1);
    }
}

void sysmon_wake(void)
{
    store_release(&wake_word, 1);
    futex_wake(&wake_word, 1);
}

void sysmon_stop(void)
{
    store_release(&sched.stopping, 1);
    lock_acquire(&sched.lock);
    for (struct m *m = sched.ms; m; m = m->next_made)
        fetch_or_acq_rel(&m->attention, ATTENTION_YIELD); /* their Gs stop at the next safepoint */
    lock_release(&sched.lock);
    sysmon_wake();
}

void sysmon_run(void)
{
    struct look looks[PS_MAX] = { 0 };
    int64_t nap_ns = NAP_MIN_NS, polled_ns = 0;
    for (uint32_t i = 0; i < load_acquire(&sched.p_made); i++)
        looks[i].tick_ns = load_relaxed(&coarse_now_ns);
    uint32_t idle_rounds = 0, polls = 0;
    int slack_before = prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0); /* the thread is the user's: it gets it back */
    prctl(PR_SET_TIMERSLACK, SLACK_NS, 0, 0, 0);
    while (!load_acquire(&sched.stopping)) {
        if (idle_rounds == 0)
            nap_ns = NAP_MIN_NS;
        else if (idle_rounds > IDLE_ROUNDS && nap_ns < NAP_MAX_NS)
            nap_ns = nap_ns * 2 < NAP_MAX_NS ? nap_ns * 2 : NAP_MAX_NS;
        uint32_t idle_ps = load_relaxed(&sched.idle_p_count);
        if (load_relaxed(&sched.wake_after) > 1 && idle_ps && idle_ps < load_relaxed(&sched.p_count) &&
            nap_ns > NAP_QUIET_NS)
            nap_ns = NAP_QUIET_NS;
        bool hogged;
        int64_t nap_now_ns = nap_until_due(looks, nap_ns, &hogged);
        store_relaxed(&napping_long, nap_now_ns > NAP_MIN_NS);
        futex_wait(&wake_word, 0, nap_now_ns);
        store_relaxed(&napping_long, 0); /* a call that begins now must not count as one that ended the nap */
        bool woken = load_acquire(&wake_word); /* with sysmon_stop: what was stored before it */
        if (woken) {
            store_relaxed(&wake_word, 0);
            idle_rounds = 0;
            nap_ns = NAP_MIN_NS;
        }
        int64_t now = clock_now_ns();
        store_relaxed(&coarse_now_ns, now);
        bool worked = retake(looks, now, woken);
        if (polls != netpoll_polls()) {
            polls = netpoll_polls();
            polled_ns = now;
        }
        if (hogged || now - polled_ns > POLL_GAP_NS) {
            struct g *list = netpoll_check();
            if (list) {
                TRACE(netpoll, NULL, 0, list, 0);
                scheduler_ready_list_global(list);
            }
        }
        help_refused(now, help_late_timers(now));
        latency_calibrate(now);
        trace_watch(now);
        sampler_watch(now);
        proof_look(now);
        schedtrace_check(now);
        quit_check();
        deadlock_check();
        reclaim_look(now);
        idle_rounds = worked ? 0 : idle_rounds + 1;
    }
    sampler_stop();
    if (slack_before > 0)
        prctl(PR_SET_TIMERSLACK, slack_before, 0, 0, 0);
}
