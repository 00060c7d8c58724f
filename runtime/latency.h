/* Scheduling latency: how long Gs are runnable before they run, as a histogram in each P.
 *
 * One in LATENCY_ONE_IN of the moments at which a G becomes runnable is noted in the G, and counted by the P that runs
 * it: two readings of the clock each time would cost more than the switch itself. While the program is recorded every
 * one is, by the times that the records of these moments in the P's ring have. Which one it is follows from the G's id
 * and transition number, so that each G is looked at now and then, whatever it does in turn. */
#ifndef GMPT_LATENCY_H
#define GMPT_LATENCY_H

#include "runtime.h"

#define LATENCY_ONE_IN 32u

/* LATENCY_ONE_IN - 1, or 0 while all are counted. */
extern ATOMIC(uint32_t) latency_mask;

/* After the trace has chosen its clock. */
void latency_start(void);
/* By sysmon: from now on all are counted, or one in LATENCY_ONE_IN. */
void latency_count_all(bool all);
/* By sysmon: measures the clock against CLOCK_MONOTONIC. */
void latency_calibrate(int64_t now_ns);

/* What the clock says now, never 0. */
uint64_t latency_clock(void);
void latency_count(struct p *p, struct g *g);

/* Whether p's last record is the one of this moment. */
static inline bool latency_is_told(const struct p *p)
{
    const struct ring *ring = &p->ring;
    uint32_t epoch = load_relaxed(&trace_segment.header->tracing);
    return likely(epoch != 0 && ring->epoch == epoch && ring->lost_pending == 0);
}

/* Before the transition to runnable, of which p's ring has been told; NULL = another ring, or none. */
static inline void latency_runnable(const struct p *p, struct g *g)
{
    if (unlikely((((g->seq >> 1) + (uint32_t)g->id) & load_relaxed(&latency_mask)) == 0))
        g->ready_ticks = p && latency_is_told(p) ? p->ring.last_ticks | 1 : latency_clock();
}

/* The G begins to run on p, whose ring has been told. */
static inline void latency_running(struct p *p, struct g *g)
{
    if (unlikely(g->ready_ticks != 0))
        latency_count(p, g);
}

/* The bucket of a duration: four to an octave. */
uint32_t latency_bucket(uint64_t ns);

#endif
