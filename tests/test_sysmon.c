/* What only the monitor sees: Gs that everybody else has left lying. */
#include "run.h"

#include "runtime/enter.h"
#include "runtime/inbox.h"
#include "runtime/scheduler.h"

static ATOMIC(uint32_t) has_run, computes;
static struct gmpt_waitgroup group;

static void note_run(void *args)
{
    (void)args;
    store_relaxed(&has_run, 1);
}

static void compute_until_it_has_run(void *args)
{
    (void)args;
    store_relaxed(&computes, 1);
    while (!load_relaxed(&has_run))
        ;
    gmpt_waitgroup_done(&group);
}

/* ---- in the queue of an idle P ---- */

static int allow_a_thread_and_wait(void *arg)
{
    (void)arg;
    gmpt_max_threads(3);
    compute_until_it_has_run(NULL);
    return 0;
}

/* Its P is handed off with a G in its queue when there is no thread for it; the only other M computes. */
static int hand_off_without_threads(void *arg)
{
    (void)arg;
    gmpt_max_threads(2);
    gmpt_waitgroup_add(&group, 2);
    run_go(compute_until_it_has_run);
    while (!load_relaxed(&computes)) /* on the other P, or this G has come there */
        gmpt_yield();
    run_go(note_run);
    gmpt_blocking_slow(allow_a_thread_and_wait, NULL);
    gmpt_waitgroup_wait(&group);
    return 0;
}

TEST(sysmon, a_g_that_no_thread_could_be_had_for_runs_when_there_is_one) { RUN(2, hand_off_without_threads); }

static void end_at_once(void *args) { (void)args; }

static int wait_until_it_has_run(void *arg)
{
    (void)arg;
    while (!load_relaxed(&has_run))
        ;
    return 0;
}

/* There are as many threads as there may be: one is in the call, and the other one sleeps in the poller. */
static int hand_off_to_the_poller(void *arg)
{
    (void)arg;
    run_go(end_at_once); /* for whom a second M is woken, which finds nothing else */
    while (!load_relaxed(&sched.polling))
        ;
    gmpt_max_threads(1);
    run_go(note_run);
    gmpt_blocking_slow(wait_until_it_has_run, NULL);
    return 0;
}

TEST(sysmon, a_g_that_no_thread_could_be_had_for_is_run_by_the_m_in_the_poller) { RUN(2, hand_off_to_the_poller); }

/* ---- in the inbox of a retired P ---- */

static struct g *left;

static void wait_to_be_left(void *args)
{
    API_ENTER();
    struct wait wait = { .reason = GMPT_WAIT_nil_chan };
    left = g_self();
    scheduler_park(&wait, NULL, NULL);
    note_run(args);
}

/* As its sender does who did not see yet that the P has retired. */
static void leave_in_inbox(struct p *p)
{
    API_ENTER();
    TRACE(go_unblock, m_self()->p, left);
    g_transition(left, G_RUNNABLE, GMPT_WAIT_none);
    inbox_put(p, left);
}

static int retire_a_p_with_mail(void *arg)
{
    (void)arg;
    run_go(wait_to_be_left);
    gmpt_yield();
    gmpt_gomaxprocs(2);
    gmpt_gomaxprocs(1);
    while (load_relaxed(&sched.ps[1].status) != P_RETIRED)
        gmpt_yield();
    gmpt_waitgroup_add(&group, 1);
    leave_in_inbox(&sched.ps[1]);
    compute_until_it_has_run(NULL);
    return 0;
}

TEST(sysmon, a_g_that_was_sent_to_a_retired_p_runs_beside_one_that_computes) { RUN(1, retire_a_p_with_mail); }
