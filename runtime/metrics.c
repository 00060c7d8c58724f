/* Sums the Ps' counters and looks over the registry for gmpt_metrics_read. */
#include "latency.h"
#include "netpoll.h"
#include "seat.h"

#include <string.h>

static void count_gs(struct gmpt_metrics *metrics)
{
    uint32_t used = load_acquire(&trace_segment.header->registry_used);
    for (uint32_t i = 0; i < used; i++) {
        uint64_t status = load_relaxed(&trace_segment.registry[i].status);
        unsigned reason = g_status_reason(status);
        switch (g_status_state(status)) {
        case G_RUNNABLE:
            metrics->gs_runnable++;
            break;
        case G_RUNNING:
            metrics->gs_running++;
            break;
        case G_SYSCALL:
            metrics->gs_in_calls++;
            break;
        case G_PREEMPTED:
            metrics->gs_without_p++;
            break;
        case G_WAITING:
            metrics->gs_waiting++;
            metrics->gs_waiting_for[reason < GMPT_METRICS_REASONS ? reason : 0]++;
            break;
        default:
            break;
        }
    }
    metrics->gs =
        metrics->gs_runnable + metrics->gs_running + metrics->gs_in_calls + metrics->gs_without_p + metrics->gs_waiting;
}

static void sum_ps(struct gmpt_metrics *metrics)
{
    uint32_t p_made = load_acquire(&sched.p_made);
    for (uint32_t i = 0; i < p_made; i++) {
        struct p *p = &sched.ps[i];
        metrics->steals += load_relaxed(&p->counters.steals);
        metrics->stolen += load_relaxed(&p->counters.stolen);
        metrics->handoffs += load_relaxed(&p->counters.handoffs);
        for (int b = 0; b < GMPT_LATENCY_BUCKETS; b++)
            metrics->latency[b] += load_relaxed(&p->counters.latency[b]);
        lock_acquire(&p->timers.lock);
        metrics->timers += p->timers.count - p->timers.stopped;
        lock_release(&p->timers.lock);
    }
}

void gmpt_metrics_read(struct gmpt_metrics *metrics)
{
    memset(metrics, 0, sizeof *metrics);
    count_gs(metrics);
    sum_ps(metrics);
    metrics->latency_one_in = load_relaxed(&latency_mask) + 1;
    metrics->preempted_t0 = load_relaxed(&sched.preempted_t0);
    metrics->preempted_t1 = load_relaxed(&sched.preempted_t1);
    metrics->preempted_t2 = load_relaxed(&sched.preempted_t2);
    metrics->ps = load_relaxed(&sched.p_count);
    metrics->ps_idle = load_relaxed(&sched.idle_p_count);
    metrics->ms_spinning = load_relaxed(&sched.spinning);
    metrics->queued = load_relaxed(&sched.queue_size);
    metrics->poll_waiters = netpoll_waiters();
    lock_acquire(&sched.lock);
    metrics->ms = sched.m_count;
    for (struct m *m = sched.idle_ms; m; m = m->next_idle)
        metrics->ms_parked++;
    lock_release(&sched.lock);
    for (int class = 0; class < STACK_CLASSES; class ++)
        metrics->stacks_bytes +=
            (uint64_t)load_relaxed(&seat_regions[class].made) * seat_stack_bytes((enum stack_class) class);
}
