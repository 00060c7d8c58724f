/* What a trace says as a whole: counts, time by state, latencies, sites, and Gs that look leaked.
 *
 * Feed every event in order, then finish. Memory is bounded by live Gs and distinct sites.
 *
 * Of a leak a trace alone gives evidence, never proof: a G that at the end waits, without a deadline, for something
 * that only another G can bring. Sites where the number of such Gs rises and does not fall are `growing`; others
 * whose Gs have waited for longer than a threshold are `stuck`. The main G is never a suspect.
 *
 * The threshold, unless one is given: a second while the program runs on or was killed, since somebody may be about to
 * wake them. Once the main G has returned or the program has exited nobody will, so that 20 ms are enough, which only
 * keep out what was under way in the last moment. They are counted up to the main G's return. */
#ifndef GMPT_SUMMARY_H
#define GMPT_SUMMARY_H

#include <gmptrace/trace.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct summary;
struct intervals;
struct machines;
struct spans;
struct cpusamples;

/* Of a histogram (histogram.h): quantiles are at most 1/64 too large. */
struct summary_latency {
    uint64_t count;
    int64_t p50_ns, p90_ns, p99_ns, max_ns; /* max is exact */
};

struct summary_totals {
    int64_t length_ns;
    uint32_t p_count; /* GOMAXPROCS; the largest, if it was changed */
    int64_t p_room_ns; /* GOMAXPROCS over time: what p_busy_ns could be at most */
    uint32_t m_count; /* distinct threads that held a P */
    uint64_t gs_before; /* were there before the trace's start, which attached to the program */
    uint64_t gs_created, gs_ended, gs_alive, gs_peak;
    int64_t state_ns[GMPT_G_STATES];    /* by enum gmpt_g_state, summed over Gs */
    int64_t wait_ns[GMPT_WAIT_REASONS]; /* the waiting part by reason */
    int64_t p_busy_ns;                  /* summed over Ps: time with a G running */
    struct summary_latency scheduling;  /* runnable until running */
    uint64_t steals, stolen_gs, handoffs, yields, blocks, unblocks, syscalls;
    uint64_t preempt_requests, preemptions; /* asked for by sysmon; granted by the G at a safepoint */
    uint64_t detaches, attach_waits; /* Ps taken from Gs that computed; of these Gs, those that then found none */
    uint64_t async_preemptions;      /* by signal */
    uint64_t wakers[GMPT_WAKERS];    /* the unblocks by who made the G runnable */
};

/* Where Gs were started. */
struct summary_site {
    uint32_t create_stack;
    uint64_t fn;
    uint64_t created, alive;
    bool main; /* the main G is one of them */
    struct summary_latency scheduling;
};

/* The worse the later. The last two are a proof's, which the trace tells of. */
enum summary_verdict { SUMMARY_NONE, SUMMARY_STUCK, SUMMARY_GROWING, SUMMARY_CYCLE, SUMMARY_PROVEN };

/* Gs alive at the end that are alike. */
struct summary_group {
    uint32_t create_stack, wait_stack;
    uint64_t fn;
    enum gmpt_g_state state;
    enum gmpt_wait_reason reason; /* GMPT_WAIT_none unless waiting */
    bool bounded;
    bool main;                    /* the main G */
    uint64_t count;
    int64_t oldest_ns, newest_ns; /* how long the first and the last of them have been in this state at the end */
    enum summary_verdict verdict;
    uint64_t proven, cycles; /* of count: those that a proof has found to be lost in this wait */
    uint64_t example_g, example_object; /* one of them, and what it waits on */
};

struct summary_options {
    int64_t stuck_ns; /* waits at least this long are `stuck`; SUMMARY_STUCK_BY_END: one of the two below it */
    /* The stack that stands for all those that mean the same; called once for each stack but 0, with canonical_arg.
     * NULL: each stands for itself. */
    uint32_t (*canonical_stack)(void *arg, uint32_t stack);
    void *canonical_arg;
};
#define SUMMARY_STUCK_BY_END (-1)        /* the default */
#define SUMMARY_STUCK_NS 1000000000      /* the program runs on, or was killed */
#define SUMMARY_STUCK_EXITED_NS 20000000 /* it has ended by itself */

struct summary *summary_open(const struct gmpt_trace *trace, const struct summary_options *options);
void summary_close(struct summary *summary);

int summary_add(struct summary *summary, const struct gmpt_event *event); /* 0, -ENOMEM, or what a listener returned */
int summary_finish(struct summary *summary);                              /* 0 or -ENOMEM */
/* What it listens to, for others to listen as well before the first summary_add; they are finished with it. */
struct intervals *summary_intervals(const struct summary *summary);

/* Valid after summary_finish. */
int64_t summary_stuck_ns(const struct summary *summary); /* the threshold that held */
bool summary_exited(const struct summary *summary); /* the main G has returned or the program has exited by itself */

/* Valid after summary_finish. Sites by Gs created, most first; groups by verdict, then count, most first. */
const struct summary_totals *summary_totals(const struct summary *summary);
const struct summary_site *summary_sites(const struct summary *summary, size_t *count);
const struct summary_group *summary_groups(const struct summary *summary, size_t *count);
/* Threads, polls and timers: see machines.h. */
const struct machines *summary_machines(const struct summary *summary);
/* Tasks, regions and messages: see spans.h. */
const struct spans *summary_spans(const struct summary *summary);
const struct cpusamples *summary_samples(const struct summary *summary);

#endif
