/* What a summary keeps, and what it does at the usual turns of goroutines: for summary.c, which hears of these as
 * others do, and for a pass that hears of them by functions of its own (turns.h). */
#ifndef GMPT_SUMMARYTURNS_H
#define GMPT_SUMMARYTURNS_H

#include "cpusamples.h"
#include "histogram.h"
#include "judgements.h"
#include "machines.h"
#include "stackalias.h"
#include "summary.h"
#include "suspects.h"
#include "table.h"
#include "turns.h"

#include <errno.h>

struct site {
    uint32_t create_stack;
    uint64_t fn, created, alive;
    bool main;
    struct suspect *last_suspect; /* where a G from here waited last: mostly where the next one will */
    struct histogram scheduling;
};

/* Of a G that lives. */
struct resident {
    struct site *site;
    struct suspect *suspect; /* the place that counts it now, or NULL */
    int64_t before_ns;       /* how long it had been in its state before the trace's start */
    int64_t split_ns;        /* what labels have split off from the interval that goes on */
    uint32_t create_stack;
};

struct summary {
    const struct gmpt_trace *trace;
    struct summary_options options;
    bool reason_suspect[GMPT_WAIT_REASONS];
    bool spins[TURNS_PS_MAX]; /* an M looks for work on this P, for all that is known */
    struct intervals *intervals;
    struct interval_listener listener;
    size_t room; /* where a G's struct resident is */
    struct table sites;
    struct suspects suspects;
    struct judgements judgements;
    struct spans *spans;
    struct cpusamples samples;
    struct machines *machines;
    struct site *last_site;
    struct stackalias alias;
    int64_t end_ns;      /* valid when finished */
    uint32_t limit;      /* GOMAXPROCS; 0 = what the head says, not looked up yet */
    int64_t limit_ns;    /* up to when p_room_ns is summed up */
    int64_t main_end_ns; /* valid when main_ended */
    bool main_ended, exited;
    uint64_t events[GMPT_EVENT_CODES]; /* of each kind, that are about a G */
    struct summary_totals totals;
    struct summary_site *site_list;
    struct summary_group *group_list;
    size_t site_count, group_count, group_room;
    struct table groups; /* points into group_list, while that is gathered */
};

/* As summary_add, of an event that turns_take has left. */
int summary_rest(struct summary *summary, const struct gmpt_event *event);
/* An M that spun on a P has found the G that starts there. Returns 0 or -ENOMEM. */
int summary_spun(struct summary *summary, const struct gmpt_event *start);
/* The place where the G waits, when that is another than where the last one from its site waited. */
struct suspect *summary_suspect(struct summary *summary, const struct resident *resident, const struct interval *wait,
                                uint32_t wait_stack);

/* The stack by which places are told apart. */
static inline uint32_t summary_stack(struct summary *summary, uint64_t field)
{
    return stackalias_of(&summary->alias, (uint32_t)field);
}

static inline struct resident *summary_resident(const struct summary *summary, const struct interval_g *g)
{
    return interval_room(g, summary->room);
}

/* ---- Turns ------------------------------------------------------------------------------------------------------- */

/* A G could run for so long until it did. Returns 0 or -ENOMEM, as the others. */
static inline int summary_late(struct summary *summary, const struct interval_g *g, int64_t late_ns)
{
    return histogram_add(&summary_resident(summary, g)->site->scheduling, late_ns);
}

static inline void summary_wait_over(struct resident *resident, int64_t end_ns)
{
    if (resident->suspect)
        suspect_leave(resident->suspect, end_ns);
    resident->suspect = NULL;
}

static inline void summary_woken(struct summary *summary, const struct interval *wait)
{
    struct resident *resident = summary_resident(summary, wait->g);
    resident->before_ns = 0;
    summary_wait_over(resident, wait->end_ns);
}

/* The G waits; which place counts it for that. */
static inline int summary_waits(struct summary *summary, const struct interval *wait)
{
    const struct interval_g *g = wait->g;
    if (!summary->reason_suspect[wait->reason] || wait->bounded || g->main)
        return 0;
    struct resident *resident = summary_resident(summary, g);
    if (resident->suspect)
        return 0;
    uint32_t wait_stack = summary_stack(summary, wait->stack);
    struct suspect *suspect = resident->site->last_suspect;
    if (!suspect || suspect->key.wait_stack != wait_stack || suspect->key.reason != wait->reason ||
        suspect->key.fn != g->fn || suspect->key.create_stack != resident->create_stack)
        suspect = summary_suspect(summary, resident, wait, wait_stack);
    if (!suspect)
        return -ENOMEM;
    resident->suspect = suspect;
    suspect_enter(suspect, wait->begin_ns);
    return 0;
}

/* ---- What their events tell beside that -------------------------------------------------------------------------- */

static inline int summary_start(struct summary *summary, const struct gmpt_event *event)
{
    bool spun = event->p >= 0 && event->p < TURNS_PS_MAX && summary->spins[event->p];
    return spun ? summary_spun(summary, event) : 0;
}

static inline void summary_unblock(struct summary *summary, const struct gmpt_event *event)
{
    summary->totals.wakers[event->go_unblock.by < GMPT_WAKERS ? event->go_unblock.by : GMPT_WAKER_UNKNOWN]++;
}

#endif
