/* gmpt_lock_os_thread. See osthread.h. */
#include "osthread.h"

#include "call.h"
#include "enter.h"
#include "machine.h"

struct g *osthread_wait(struct m *m)
{
    if (m->p)
        call_hand_off(machine_release(m));
    machine_sleep(m);
    return m->locked_g;
}

void osthread_pass(struct m *m, struct g *g)
{
    machine_give(g->locked_m, machine_release(m));
    machine_stop(m);
}

void osthread_unlock(struct m *m, struct g *g)
{
    g->lock_depth = 0;
    g->locked_m = NULL;
    m->locked_g = NULL;
    fetch_and_acq_rel(&m->attention, ~(uint32_t)ATTENTION_LOCKED);
}

void gmpt_lock_os_thread(void)
{
    API_ENTER();
    struct m *m = m_self();
    struct g *g = m->current;
    if (g->lock_depth++ > 0)
        return;
    g->locked_m = m;
    m->locked_g = g;
    fetch_or_acq_rel(&m->attention, ATTENTION_LOCKED);
}

void gmpt_unlock_os_thread(void)
{
    API_ENTER();
    struct m *m = m_self();
    struct g *g = m->current;
    if (g->lock_depth == 0)
        fatal("goroutine %llu: gmpt_unlock_os_thread without gmpt_lock_os_thread", (unsigned long long)g->id);
    if (g->lock_depth > 1)
        g->lock_depth--;
    else
        osthread_unlock(m, g);
}
