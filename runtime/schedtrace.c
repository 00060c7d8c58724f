/* Writes SCHED lines. See schedtrace.h.
 *
 * What Ps and Ms are doing is read while they do it: each number was true at some moment, and two of them need not have
 * been at the same one. Ps and Ms are never freed. */
#include "schedtrace.h"

#include "debug.h"
#include "report.h"
#include "runtime.h"

#include <unistd.h>

static uint32_t runq_size(struct p *p)
{
    return load_relaxed(&p->runq_tail) - load_relaxed(&p->runq_head) + (load_relaxed(&p->runnext) != NULL) +
           load_relaxed(&p->inbox_size) + load_relaxed(&p->nest.count);
}

static void print_number(struct report *report, const char *name, bool known, uint64_t number)
{
    if (known)
        report_print(report, " %s=%llu", name, (unsigned long long)number);
    else
        report_print(report, " %s=nil", name);
}

static PEEK void print_p(struct report *report, struct p *p)
{
    static const char *const states[] = {
        [P_IDLE] = "idle", [P_RUNNING] = "running", [P_RETIRED] = "retired", [P_SYSCALL] = "syscall"
    };
    const struct m *m = load_acquire(&p->m);
    uint32_t status = load_relaxed(&p->status);
    report_print(report, "  P%u: status=%u(%s) schedtick=%u syscalltick=%u", p->index, status, states[status],
                 load_relaxed(&p->tick), load_relaxed(&p->call_tick));
    print_number(report, "m", m != NULL, m ? m->tid : 0);
    report_print(report, " runqsize=%u gfreecnt=%u timerslen=%u\n", runq_size(p), p->seats[STACK_DEFAULT].count,
                 p->timers.count - p->timers.stopped);
}

static PEEK void print_m(struct report *report, const struct m *m)
{
    const struct p *p = *(struct p *const volatile *)&m->p;
    const struct g *g = *(struct g *const volatile *)&m->current;
    const struct g *locked = *(struct g *const volatile *)&m->locked_g;
    report_print(report, "  M%u:", m->tid);
    print_number(report, "p", p != NULL, p ? p->index : 0);
    print_number(report, "curg", g != NULL, g ? g->id : 0);
    report_print(report, " spinning=%s", m->spinning ? "true" : "false");
    print_number(report, "lockedg", locked != NULL, locked ? locked->id : 0);
    report_print(report, "\n");
}

static void print_gs(struct report *report)
{
    static const char *const states[G_STATES] = { "idle",    "runnable", "running",  "waiting",
                                                  "syscall", "dead",     "preempted" };
    static const char *const reasons[] = {
#define REASON(code, name, text, suspect) [code] = text,
#include <gmptrace/reasons.def>
    };
    uint32_t used = load_acquire(&trace_segment.header->registry_used);
    for (uint32_t i = 0; i < used; i++) {
        const struct g_slot *slot = &trace_segment.registry[i];
        uint64_t status = load_acquire(&slot->status);
        enum g_state state = g_status_state(status);
        unsigned reason = g_status_reason(status);
        if (state == G_IDLE || state == G_DEAD || state >= G_STATES)
            continue;
        bool named = state == G_WAITING && reason < sizeof reasons / sizeof *reasons && reasons[reason];
        report_print(report, "  G%llu: status=%u(%s)\n", (unsigned long long)load_relaxed(&slot->id), (unsigned)state,
                     named ? reasons[reason] : states[state]);
    }
}

static void print_all(int64_t since_start_ns)
{
    struct report report;
    uint32_t idle_ms = 0, ms, p_made = load_acquire(&sched.p_made), p_count = load_relaxed(&sched.p_count);
    lock_acquire(&sched.lock);
    for (struct m *m = sched.idle_ms; m; m = m->next_idle)
        idle_ms++;
    ms = sched.m_count;
    struct m *all = sched.ms; /* Ms are put in front of it and stay */
    lock_release(&sched.lock);

    report_begin(&report, STDERR_FILENO);
    report_print(
        &report,
        "SCHED %lldms: gomaxprocs=%u idleprocs=%u threads=%u spinningthreads=%u needspinning=%u idlethreads=%u "
        "runqueue=%u",
        (long long)(since_start_ns / 1000000), p_count, load_relaxed(&sched.idle_p_count), ms + 1,
        load_relaxed(&sched.spinning), 0u, idle_ms, load_relaxed(&sched.queue_size));
    if (debug_settings.scheddetail) {
        report_print(&report, "\n");
        for (uint32_t i = 0; i < p_made; i++)
            print_p(&report, &sched.ps[i]);
        for (const struct m *m = all; m; m = m->next_made)
            print_m(&report, m);
        print_gs(&report);
    } else {
        report_print(&report, " [");
        for (uint32_t i = 0; i < p_count; i++)
            report_print(&report, " %u", runq_size(&sched.ps[i]));
        report_print(&report, " ] schedticks=[");
        for (uint32_t i = 0; i < p_count; i++)
            report_print(&report, " %u", load_relaxed(&sched.ps[i].tick));
        report_print(&report, " ]\n");
    }
    report_end(&report);
}

void schedtrace_check(int64_t now_ns)
{
    static int64_t start_ns, last_ns;
    if (debug_settings.schedtrace == 0)
        return;
    if (start_ns == 0)
        start_ns = now_ns;
    if (last_ns != 0 && now_ns - last_ns < debug_settings.schedtrace * 1000000)
        return;
    last_ns = now_ns;
    print_all(now_ns - start_ns);
}
