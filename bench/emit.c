/* What one event costs the program that emits it: through the hooks that the scheduler calls, on a G, with the recorder
 * at work. Prints "ROW VALUE" lines; of the rows of bench/trace_rows.txt those for a program that is recorded if it is,
 * else the others.
 *
 *     emit [ROW...]
 *
 * Events are emitted in bursts that fit into the ring, and between them the recorder gets the time to empty it, so that
 * what is measured is emitting, never dropping; a row's value is that of its median burst. The trace makes no sense as
 * a story: a G cannot begin a blocking call twice. */
#define _GNU_SOURCE
#include "rows.h"
#include "runtime/enter.h"

enum {
    BURSTS = 100,
    BURST_EVENTS = 50000, /* of at most 30 bytes each: less than half a ring */
    CALL_DEPTH = 4,       /* frames of the program's own below those that emit */
    STACK_KINDS = 64,
    FLOOR_WORDS = 512 * 1024, /* 4 MiB, as a ring has */
    PACED_TICK_EVENTS = 10000, /* each ms */
    PACED_TICKS = 1000,
};
#define PACED_TICK_NS 1000000

typedef void burst_fn(struct p *p, struct g *g, long events);

/* ---- bursts ---- */

static uint64_t floor_ring[FLOOR_WORDS];

static void __attribute__((noinline)) burst_floor(struct p *p, struct g *g, long events)
{
    static size_t at;
    (void)p, (void)g;
    for (; events > 0; events--) {
        floor_ring[at++ % FLOOR_WORDS] = ring_ticks(SEGMENT_CLOCK_TSC);
        compiler_fence();
    }
}

static void __attribute__((noinline)) burst_nothing(struct p *p, struct g *g, long events)
{
    (void)p, (void)g;
    for (; events > 0; events--)
        compiler_fence();
}

/* Three integers, as the event of bench/lttng has. */
static void __attribute__((noinline)) burst_hook(struct p *p, struct g *g, long events)
{
    struct gmpt_task task = { 0, g->id };
    for (; events > 0; events--) {
        task.id = (uint64_t)events;
        TRACE(user_task_begin, p, &task, 1);
        compiler_fence();
    }
}

static void __attribute__((noinline)) burst_stack(struct p *p, struct g *g, long events)
{
    for (; events > 0; events--)
        TRACE(syscall_begin, p, g, API_SITE(burst_stack));
}

static void __attribute__((noinline)) burst_stacks(struct p *p, struct g *g, long events)
{
    static uint32_t random = 1;
    for (; events > 0; events--) {
        random = random * 1664525 + 1013904223;
        uintptr_t function = (uintptr_t)burst_stacks + (random >> 16) % STACK_KINDS;
        TRACE(syscall_begin, p, g, API_SITE(function));
    }
}

/* With a few frames below it, as an event of a real program has. */
static void __attribute__((noinline)) burst_deep(int depth, burst_fn *burst, struct p *p, struct g *g)
{
    if (depth > 0)
        burst_deep(depth - 1, burst, p, g);
    else
        burst(p, g, BURST_EVENTS);
    compiler_fence();
}

/* How long a burst took, in ns an event. Inside the runtime, where the P stays ours. */
static double burst_ns(burst_fn *burst)
{
    API_ENTER();
    struct m *m = m_self();
    int64_t began_ns = gmpt_now();
    burst_deep(CALL_DEPTH, burst, m->p, m->current);
    return (double)(gmpt_now() - began_ns) / BURST_EVENTS;
}

/* Until the recorder has copied all but the open sub-buffer. */
static void await_recorder(void)
{
    if (!trace_is_on())
        return;
    for (int tries = 0; tries < 10000; tries++) {
        bool empty = true;
        for (uint32_t i = 0; i < trace_segment.ring_count; i++) {
            struct segment_ring *ring = &trace_segment.rings[i];
            if (load_acquire(&ring->opened) > load_relaxed(&ring->consumed) + 1)
                empty = false;
        }
        if (empty)
            return;
        gmpt_sleep(1000000);
    }
    fprintf(stderr, "emit: the recorder does not empty the rings\n");
    exit(1);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values)
{
    qsort(values, BURSTS, sizeof *values, compare);
    return values[BURSTS / 2];
}

/* The median burst, less that of a loop around nothing if there is one to compare with, in turn with it. */
static double median_ns(burst_fn *burst, burst_fn *less)
{
    double with[BURSTS], without[BURSTS] = { 0 };
    burst_ns(burst); /* to warm up */
    for (int i = 0; i < BURSTS; i++) {
        await_recorder();
        with[i] = burst_ns(burst);
        if (less)
            without[i] = burst_ns(less);
    }
    await_recorder();
    return median(with) - median(without);
}

/* ---- rows ---- */

static double emit_floor(void) { return median_ns(burst_floor, NULL); }
static double hook_off(void) { return median_ns(burst_hook, burst_nothing); }
static double emit(void) { return median_ns(burst_hook, NULL); }
static double emit_stack(void) { return median_ns(burst_stack, NULL); }
static double emit_stacks_64(void) { return median_ns(burst_stacks, NULL); }

static uint64_t lost_events(void)
{
    uint64_t lost = 0;
    for (uint32_t i = 0; i < trace_segment.ring_count; i++)
        lost += load_relaxed(&trace_segment.rings[i].lost);
    return lost;
}

/* Ten million events a second for a second: how many of them find the ring full. */
static double emit_10m(void)
{
    await_recorder();
    uint64_t lost = lost_events();
    int64_t began_ns = gmpt_now();
    for (int64_t tick = 1; tick <= PACED_TICKS; tick++) {
        {
            API_ENTER();
            struct m *m = m_self();
            burst_hook(m->p, m->current, PACED_TICK_EVENTS);
        }
        while (gmpt_now() < began_ns + tick * PACED_TICK_NS)
            gmpt_preempt_check();
    }
    double took_ns = (double)(gmpt_now() - began_ns);
    if (took_ns > 1.1 * PACED_TICKS * PACED_TICK_NS)
        fprintf(stderr, "emit: emit_10m got no further than %.1f million events a second: this machine is busy\n",
                PACED_TICKS * (double)PACED_TICK_EVENTS * 1e3 / took_ns);
    return (double)(lost_events() - lost);
}

static const struct {
    const char *name;
    bool recorded; /* makes sense only so; the others only when nobody records */
    double (*run)(void);
} rows[] = {
    { "emit_floor", false, emit_floor },
    { "hook_off", false, hook_off },
    { "emit", true, emit },
    { "emit_stack", true, emit_stack },
    { "emit_stacks_64", true, emit_stacks_64 },
    { "emit_10m", true, emit_10m },
};

static int bench(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (row_is_wanted(rows[i].name) && rows[i].recorded == trace_is_on())
            row_print(rows[i].name, rows[i].run());
    return 0;
}

int main(int argc, char **argv)
{
    (void)argc;
    rows_wanted = argv + 1;
    return gmpt_run(bench, NULL);
}
