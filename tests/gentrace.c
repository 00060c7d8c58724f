/* See gentrace.h. One step is one event, on one ring. */
#define _GNU_SOURCE
#include "gentrace.h"

#include "harness.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NO_P GENTRACE_PS

struct sim_g {
    enum gmpt_g_state state;
    enum gmpt_wait_reason reason;
    uint32_t seq, labels;
    int64_t since_ns;
    int p; /* in a call: the P that stays with it, or -1 once that was taken */
};

struct sim {
    struct gentrace *trace;
    struct sim_g g[GENTRACE_GS_MAX + 1];
    uint64_t on[GENTRACE_PS];
    unsigned random;
    int64_t now_ns;
    FILE *ring[GENTRACE_PS + 1];
    char *text[GENTRACE_PS + 1];
    size_t size[GENTRACE_PS + 1];
    int64_t ring_ns[GENTRACE_PS + 1];
};

static unsigned draw(struct sim *sim, unsigned below)
{
    sim->random = sim->random * 1103515245u + 12345u;
    return (sim->random >> 8) % below;
}

static void emit(struct sim *sim, int ring, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void emit(struct sim *sim, int ring, const char *format, ...)
{
    va_list args;
    fprintf(sim->ring[ring], "%lld ", (long long)(sim->now_ns - sim->ring_ns[ring]));
    sim->ring_ns[ring] = sim->now_ns;
    va_start(args, format);
    vfprintf(sim->ring[ring], format, args);
    va_end(args);
    fputc('\n', sim->ring[ring]);
}

static void account(struct sim *sim, uint64_t id)
{
    struct sim_g *g = &sim->g[id];
    struct gentrace_g *sums = &sim->trace->g[id];
    int64_t spent_ns = sim->now_ns - g->since_ns;
    sums->state_ns[g->state] += spent_ns;
    if (g->state == GMPT_G_WAITING)
        sums->wait_ns[g->reason] += spent_ns;
    if (g->labels && g->state != GMPT_G_DEAD)
        sim->trace->tenant_ns[g->labels - 1] += spent_ns;
    sums->ended_ns = sim->now_ns;
    g->since_ns = sim->now_ns;
}

static void enter(struct sim *sim, uint64_t id, enum gmpt_g_state state)
{
    account(sim, id);
    sim->g[id].state = state;
    sim->g[id].seq++;
}

/* One of the Gs in this state, or 0. */
static uint64_t pick(struct sim *sim, enum gmpt_g_state state)
{
    uint64_t count = sim->trace->g_count, first = count ? draw(sim, (unsigned)count) : 0;
    for (uint64_t i = 0; i < count; i++)
        if (sim->g[1 + (first + i) % count].state == state)
            return 1 + (first + i) % count;
    return 0;
}

static void spawn(struct sim *sim, int ring, uint64_t parent)
{
    struct gentrace *trace = sim->trace;
    if (trace->g_count == GENTRACE_GS_MAX)
        return;
    uint64_t id = ++trace->g_count;
    sim->g[id] =
        (struct sim_g){ GMPT_G_RUNNABLE, GMPT_WAIT_none, 1, parent ? sim->g[parent].labels : 0, sim->now_ns, -1 };
    trace->g[id].created_ns = trace->g[id].ended_ns = sim->now_ns;
    emit(sim, ring, "go_create g=%llu fn=0x%x stack=%u", (unsigned long long)id, 0x2000 + 0x100 * (unsigned)(id % 3),
         parent ? 1 + draw(sim, GENTRACE_STACKS) : 0);
}

static void run(struct sim *sim, int p, uint64_t id, const char *event)
{
    enter(sim, id, GMPT_G_RUNNING);
    sim->on[p] = id;
    emit(sim, p, "%s g=%llu seq=%u", event, (unsigned long long)id, sim->g[id].seq);
}

static void wake(struct sim *sim, int ring, uint64_t id, const char *event)
{
    enter(sim, id, GMPT_G_RUNNABLE);
    emit(sim, ring, "%s g=%llu seq=%u", event, (unsigned long long)id, sim->g[id].seq);
}

static const char *const reasons[] = {
#define REASON(code, name, words, suspect) #name,
#include <gmptrace/reasons.def>
};

/* The G that runs on this P does something. */
static void act(struct sim *sim, int p)
{
    struct gentrace *trace = sim->trace;
    uint64_t id = sim->on[p], other;
    switch (draw(sim, 12)) {
    case 0:
    case 1:
        spawn(sim, p, id);
        return;
    case 2:
        enter(sim, id, GMPT_G_RUNNABLE);
        emit(sim, p, "go_yield");
        break;
    case 3:
        enter(sim, id, GMPT_G_RUNNABLE);
        trace->preempts++;
        emit(sim, p, draw(sim, 2) ? "go_preempt" : "go_preempt_async");
        break;
    case 4:
    case 5:
    case 6:
        sim->g[id].reason = 1 + draw(sim, GMPT_WAIT_REASONS - 1);
        enter(sim, id, GMPT_G_WAITING);
        trace->waits[sim->g[id].reason]++;
        emit(sim, p, "go_block reason=%s object=0x%x bounded=%u stack=%u", reasons[sim->g[id].reason],
             0xc000 + draw(sim, 4), draw(sim, 2), draw(sim, GENTRACE_STACKS + 1));
        break;
    case 7:
        enter(sim, id, GMPT_G_SYSCALL);
        sim->g[id].p = p;
        trace->syscalls++;
        emit(sim, p, "syscall_begin stack=%u", 1 + draw(sim, GENTRACE_STACKS));
        return;
    case 8:
        enter(sim, id, GMPT_G_PREEMPTED);
        trace->detaches++;
        emit(sim, p, "go_detach");
        break;
    case 9:
        account(sim, id);
        sim->g[id].labels = draw(sim, 3);
        emit(sim, p, "go_labels g=%llu labels=%u", (unsigned long long)id,
             sim->g[id].labels ? 4 + sim->g[id].labels : 0);
        return;
    case 10:
        other = pick(sim, GMPT_G_WAITING);
        if (other) {
            trace->woken_by_g++;
            wake(sim, p, other, "go_unblock");
        }
        return;
    default:
        if (id == 1)
            return;
        enter(sim, id, GMPT_G_DEAD);
        emit(sim, p, "go_exit");
        break;
    }
    sim->on[p] = 0;
}

static void step(struct sim *sim)
{
    struct gentrace *trace = sim->trace;
    int p = (int)draw(sim, GENTRACE_PS + 1);
    uint64_t id;
    if (p == NO_P) {
        if (draw(sim, 2) && (id = pick(sim, GMPT_G_WAITING))) {
            wake(sim, NO_P, id, "go_unblock");
        } else if (draw(sim, 2) && (id = pick(sim, GMPT_G_PREEMPTED))) {
            wake(sim, NO_P, id, "go_attach_wait");
        } else if ((id = pick(sim, GMPT_G_SYSCALL)) && sim->g[id].p >= 0) {
            emit(sim, NO_P, "proc_retake p=%d g=%llu", sim->g[id].p, (unsigned long long)id);
            sim->on[sim->g[id].p] = 0;
            sim->g[id].p = -1;
        } else if (id) {
            wake(sim, NO_P, id, "syscall_exit");
        }
        return;
    }
    if ((id = sim->on[p])) {
        if (sim->g[id].state == GMPT_G_SYSCALL) {
            enter(sim, id, GMPT_G_RUNNING);
            emit(sim, p, "syscall_end");
        } else {
            act(sim, p);
        }
        return;
    }
    if (draw(sim, 4) == 0 && (id = pick(sim, GMPT_G_WAITING))) {
        wake(sim, p, id, "go_unblock"); /* the scheduler itself, between two Gs */
    } else if (draw(sim, 2) && (id = pick(sim, GMPT_G_PREEMPTED))) {
        run(sim, p, id, "go_attach");
    } else if ((id = pick(sim, GMPT_G_SYSCALL)) && sim->g[id].p < 0) {
        run(sim, p, id, "syscall_resume");
    } else if ((id = pick(sim, GMPT_G_RUNNABLE))) {
        if (draw(sim, 4) == 0) {
            unsigned count = 1 + draw(sim, 3);
            trace->steals++;
            trace->stolen_gs += count;
            emit(sim, p, "proc_steal from=%d count=%u", (p + 1) % GENTRACE_PS, count);
            sim->now_ns++;
        }
        trace->starts++;
        run(sim, p, id, "go_start");
    }
}

struct gentrace gentrace_make(unsigned seed, int steps)
{
    struct gentrace trace = { 0 };
    struct sim sim = { .trace = &trace, .random = seed * 2654435761u + 1 };
    size_t size;
    FILE *out = open_memstream(&trace.text, &size);
    ck_assert_ptr_nonnull(out);

    for (int ring = 0; ring <= NO_P; ring++) {
        sim.ring[ring] = open_memstream(&sim.text[ring], &sim.size[ring]);
        ck_assert_ptr_nonnull(sim.ring[ring]);
    }
    sim.now_ns = 10;
    for (int p = 0; p < GENTRACE_PS; p++)
        emit(&sim, p, "proc_start tid=%d", 70 + p);
    spawn(&sim, 0, 0);
    for (int i = 0; i < steps; i++) {
        sim.now_ns += 1 + draw(&sim, draw(&sim, 10) ? 100 : 100000);
        step(&sim);
    }
    sim.now_ns += 1 + draw(&sim, 1000);
    trace.length_ns = sim.now_ns;
    for (uint64_t id = 1; id <= trace.g_count; id++) {
        struct gentrace_g *g = &trace.g[id];
        if (sim.g[id].state != GMPT_G_DEAD) {
            account(&sim, id);
            trace.alive++;
            trace.runnable_at_end += sim.g[id].state == GMPT_G_RUNNABLE;
        }
        for (int state = 0; state < GMPT_G_STATES; state++)
            trace.state_ns[state] += g->state_ns[state];
        for (int reason = 0; reason < GMPT_WAIT_REASONS; reason++)
            trace.wait_ns[reason] += g->wait_ns[reason];
    }

    fprintf(out, "pid 7\np_count %d\nclock_kind monotonic\ncommand ./made-up\nhost box\n", GENTRACE_PS);
    fprintf(out, "frame\nclock 0 0 1700000000000000000\nstring 1 tenant\nstring 2 acme\nstring 3 zeta\n");
    fprintf(out, "module 0x1000 0x4000 0x0 a1b2c3 /nowhere/made-up\n");
    fprintf(out, "labels 5 1=2\nlabels 6 1=3\n");
    for (int ring = 0; ring < GENTRACE_PS; ring++)
        for (int stack = 1; stack <= GENTRACE_STACKS; stack++) {
            fprintf(out, "stack %d %d", ring, stack);
            for (int i = 0; i <= stack; i++)
                fprintf(out, " 0x%x", 0x1000 + 0x100 * stack + 0x10 * i);
            fputc('\n', out);
        }
    fprintf(out, "frame\nclock %lld %lld %lld\n", (long long)sim.now_ns, (long long)sim.now_ns,
            1700000000000000000ll + sim.now_ns);
    for (int ring = 0; ring <= NO_P; ring++) {
        fclose(sim.ring[ring]);
        fprintf(out, "events ring=%d sequence=0 offset=0 base=0 g=0 seq=0 tid=7 lost=0\n%s", ring, sim.text[ring]);
        free(sim.text[ring]);
    }
    fprintf(out, "end 0 0\n");
    fclose(out);
    return trace;
}
