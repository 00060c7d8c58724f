/* One pass over a trace that finds out where time went and what is wrong: the sections of `gmptrace analyze`.
 *
 *     events -> intervals.h -> window and filter -> piece.h -> waits, wakeups, convoys, runs, lateness, calls, lives,
 *            \-------------------------------------------------> processors, kerneltime    chains
 *
 * Feed every event in order to the intervals and then to the analysis, then finish both; what each section holds is
 * then valid, and findings are sorted. Memory is bounded by the Gs that live, by distinct keys (distribution.h) and by
 * the columns of time, never by the length of the trace.
 *
 * A filter chooses pieces of the lives of Gs, a window cuts them. What is about Ps (processors), about who waits for
 * whom (chains), and the number of Gs alive (of lives) is of all Gs. */
#ifndef GMPT_ANALYSIS_H
#define GMPT_ANALYSIS_H

#include "calls.h"
#include "chains.h"
#include "convoys.h"
#include "finding.h"
#include "kerneltime.h"
#include "lateness.h"
#include "lives.h"
#include "processors.h"
#include "runs.h"
#include "waits.h"
#include "wakeups.h"

#include "trace/filter.h"
#include "trace/overtime.h"
#include "trace/summary.h"

#define ANALYSIS_COLUMNS 64
#define ANALYSIS_END INT64_MAX

struct analysis_options {
    struct finding_limits limits;
    int64_t from_ns, to_ns;      /* ANALYSIS_END: to the end */
    int64_t length_ns;           /* the trace's, for states over time; 0 = not known: there are none */
    const struct filter *filter; /* NULL: all */
    struct filter_names names;
    /* The stack that stands for all that mean the same; NULL: each stands for itself. */
    uint32_t (*canonical_stack)(void *arg, uint32_t stack);
    void *canonical_arg;
};

struct analysis {
    struct analysis_options options;
    const struct gmpt_trace *trace;
    struct intervals *intervals; /* not ours */
    struct interval_listener listener;
    bool windowed, picky; /* there is a window; that, or a filter */
    struct stackalias alias;
    size_t room; /* where a G's struct split is */
    int64_t end_ns; /* of the window */
    int64_t state_ns[GMPT_G_STATES], wait_ns[GMPT_WAIT_REASONS]; /* of what was chosen; after analysis_finish */
    struct overtime *overtime; /* from options.from_ns on; NULL: none */
    struct waits waits;
    struct wakeups wakeups;
    struct convoys convoys;
    struct runs runs;
    struct lateness lateness;
    struct calls calls;
    struct lives lives;
    struct processors processors;
    struct chains chains;
    struct kerneltime kernel;
    struct findings findings;
};

/* For how long the chosen Gs ran, with a P or without. */
static inline int64_t analysis_ran_ns(const struct analysis *analysis)
{
    return analysis->state_ns[GMPT_G_RUNNING] + analysis->state_ns[GMPT_G_PREEMPTED];
}

/* Listens to these intervals, which live as long. NULL with errno ENOMEM. The trace may be NULL. */
struct analysis *analysis_open(struct intervals *intervals, const struct gmpt_trace *trace,
                               const struct analysis_options *options);
void analysis_close(struct analysis *analysis); /* NULL: nothing */

int analysis_add_rare(struct analysis *analysis, const struct gmpt_event *event);

/* What an event says beside the intervals, to which it has been added; after intervals_finish. 0 or -ENOMEM. Few say
 * anything of Ps or of the kernel. */
static inline int analysis_add(struct analysis *analysis, const struct gmpt_event *event)
{
    bool rare = event->type < GMPT_EVENT_go_unblock || event->type == GMPT_EVENT_go_detach ||
                event->type >= GMPT_EVENT_kernel_tier;
    int result = __builtin_expect(rare, 0) ? analysis_add_rare(analysis, event) : 0;
    processors_look(&analysis->processors);
    return result;
}

/* Adds events to a summary and to an analysis of its intervals, to which nobody else listens: as summary_add and then
 * analysis_add of each, with less between them. Returns 0 or -ENOMEM. */
int analysis_pass(struct analysis *analysis, struct summary *summary, const struct gmpt_event *events, int count);

int analysis_finish(struct analysis *analysis);

#endif
