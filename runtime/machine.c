/* Ms: threads that are made when a P has nobody to run it, and sleep, not end, when there is no P for them. See
 * machine.h. */
#define _GNU_SOURCE
#include "machine.h"

#include "futex.h"
#include "mwords.h"
#include "netpoll.h"
#include "pin.h"
#include "scheduler.h"
#include "shared.h"
#include "start.h"

#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define M_STACK_BYTES (256u * 1024)

__thread struct m *m_of_thread;

void machine_acquire(struct m *m, struct p *p)
{
    pin_thread(m, p);
    m->p = p;
    store_release(&p->m, m); /* with sysmon: the M is laid out before it can be seen */
    store_relaxed(&p->status, P_RUNNING);
    trace_p_held(p, m->tid);
    if (trace_is_on()) {
        trace_emit_proc_start(p, m->tid);
        if (m->spinning)
            trace_emit_m_spin(p);
    }
}

struct p *machine_release(struct m *m)
{
    struct p *p = m->p;
    trace_p_held(p, 0);
    TRACE(proc_stop, p);
    m->p = NULL;
    store_relaxed(&p->m, NULL);
    store_release(&p->status, P_IDLE);
    return p;
}

/* An M's thread never ends before the process, but when a G ends it: by pthread_exit, or because somebody has cancelled
 * it. Its P would be lost with it. */
static pthread_key_t end_key;

static void thread_ended(void *value)
{
    const struct m *m = value;
    fatal("the thread that goroutine %llu ran on was ended (pthread_exit, pthread_cancel); a goroutine ends by "
          "returning",
          m->current ? (unsigned long long)m->current->id : 0ULL);
}

static void make_end_key(void) { pthread_key_create(&end_key, thread_ended); } /* without one it goes unnoticed */

static void *m_main(void *arg)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct m *m = arg;
    m_of_thread = m;
    pthread_once(&once, make_end_key);
    pthread_setspecific(end_key, m);
    m->tid = (uint32_t)syscall(SYS_gettid);
    m->errno_at = &errno;
    m->random_state = m->tid * 2654435761u | 1;
    start_signal_stack_use(m->signal_stack);
    switch_adopt_thread(&m->g0);
    m->stack_top = (uintptr_t)__builtin_frame_address(0);
    store_release(&m->thread_made, 1); /* D of sampler.h */
    machine_acquire(m, m->given);
    TRACE(m_create, m->p, m->tid);
    scheduler_loop(m);
}

static void m_wake(struct m *m, struct p *p, bool spinning)
{
    const struct m *waker = m_self();
    TRACE(m_unpark, waker ? waker->p : NULL, m->tid, p->index);
    m->given = p;
    m->spinning = spinning;
    store_release(&m->wake, 1); /* given and spinning before the wake */
    futex_wake(&m->wake, 1);
}

static void forget_locked(struct m *m)
{
    struct m **link = &sched.ms;
    while (*link != m)
        link = &(*link)->next_made;
    *link = m->next_made;
}

ATOMIC(uint32_t) machine_refusals;

struct making {
    struct p *p;
    bool spinning;
    bool allowed; /* and counted in m_count */
    bool made;
};

static void make(void *arg)
{
    struct making *making = arg;
    struct p *p = making->p;
    bool spinning = making->spinning, allowed = making->allowed;
    struct m *m = allowed ? aligned_alloc(64, (sizeof *m + 63) & ~(size_t)63) : NULL;
    void *signal_stack = m ? start_signal_stack_new() : NULL;
    if (signal_stack) {
        memset(m, 0, sizeof *m);
        m->signal_stack = signal_stack;
        m->word_at = mwords_place(&m->word);
        store_relaxed(&m->in_runtime, 1);
        m->given = p;
        m->spinning = spinning;
        /* Before the thread runs: sysmon_stop must find every M that may run a G. */
        lock_acquire(&sched.lock);
        m->next_made = sched.ms;
        sched.ms = m;
        lock_release(&sched.lock);
        pthread_attr_t attributes;
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, M_STACK_BYTES);
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        pthread_t thread;
        int error = pthread_create(&thread, &attributes, m_main, m);
        pthread_attr_destroy(&attributes);
        if (error == 0) {
            making->made = true;
            return;
        }
    }
    fetch_add_acq_rel(&machine_refusals, 1);
    lock_acquire(&sched.lock);
    if (signal_stack)
        forget_locked(m);
    sched.m_count -= allowed;
    if (spinning) /* under the lock, as in scheduler_wake */
        fetch_sub_acq_rel(&sched.spinning, 1);
    shared_idle_put_locked(p);
    lock_release(&sched.lock);
    start_signal_stack_free(signal_stack);
    free(m);
    /* The M that sleeps in the poller, if there is one, is on no list to be taken from; awake it looks for an idle P.
     * It sees this one: the P is on the list before the poller is told, and the M takes the lock after. */
    netpoll_wake_by(0);
}

bool machine_start(struct p *p, bool spinning)
{
    lock_acquire(&sched.lock);
    struct m *m = sched.idle_ms;
    if (m) {
        sched.idle_ms = m->next_idle;
        lock_release(&sched.lock);
        m_wake(m, p, spinning);
        return true;
    }
    struct making making = { .p = p, .spinning = spinning };
    making.allowed = sched.m_count < sched.m_max && load_relaxed(&sched.stopping) == 0;
    sched.m_count += making.allowed;
    lock_release(&sched.lock);
    m = m_self();
    if (m && m->current && m->current->stack_class == STACK_SMALL)
        switch_call_on(&m->g0, make, &making); /* pthread_create needs up to 4 KiB of stack */
    else
        make(&making);
    return making.made;
}

void machine_stop(struct m *m)
{
    lock_acquire(&sched.lock);
    m->next_idle = sched.idle_ms;
    sched.idle_ms = m;
    lock_release(&sched.lock);
    machine_sleep(m);
}

void machine_give(struct m *m, struct p *p)
{
    m_wake(m, p, false);
}

void machine_sleep(struct m *m)
{
    TRACE(m_park, m->tid);
    while (load_acquire(&m->wake) == 0)
        futex_wait(&m->wake, 0, INT64_MAX);
    store_relaxed(&m->wake, 0);
    machine_acquire(m, m->given);
}

int gmpt_max_threads(int count)
{
    lock_acquire(&sched.lock);
    int before = (int)sched.m_max;
    if (count > 0)
        sched.m_max = (uint32_t)count;
    lock_release(&sched.lock);
    return before;
}
