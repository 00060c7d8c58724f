#include "analysis.h"

#include <errno.h>

/* What was chosen so far of a piece that labels have split. */
struct split {
    uint64_t id;
    int64_t lasted_ns;
};

static int interval_closed(void *analysis_arg, const struct interval *whole);

struct analysis *analysis_open(const struct gmpt_trace *trace, const struct analysis_options *options)
{
    struct analysis *analysis = calloc(1, sizeof *analysis);
    if (!analysis)
        return NULL;
    analysis->options = *options;
    analysis->trace = trace;
    analysis->alias.first = options->canonical_stack;
    analysis->alias.arg = options->canonical_arg;
    analysis->slots.record_bytes = sizeof(struct split);
    analysis->convoys.waiters_min = options->limits.convoy_waiters;
    analysis->intervals = intervals_open(trace, interval_closed, analysis);
    int64_t to_ns = options->to_ns < options->length_ns ? options->to_ns : options->length_ns;
    if (to_ns > options->from_ns)
        analysis->overtime = overtime_open(to_ns - options->from_ns, ANALYSIS_COLUMNS);
    if (!analysis->intervals || (to_ns > options->from_ns && !analysis->overtime)) {
        analysis_close(analysis);
        errno = ENOMEM;
        return NULL;
    }
    wakeups_open(&analysis->wakeups, &options->limits);
    runs_open(&analysis->runs, &options->limits);
    chains_open(&analysis->chains, options->from_ns);
    uint32_t maxprocs = trace ? gmpt_trace_info(trace)->maxprocs : 0;
    processors_open(&analysis->processors, &options->limits, maxprocs, options->from_ns, options->to_ns);
    return analysis;
}

void analysis_close(struct analysis *analysis)
{
    if (!analysis)
        return;
    intervals_close(analysis->intervals);
    overtime_close(analysis->overtime);
    stackalias_clear(&analysis->alias);
    slots_clear(&analysis->slots);
    waits_clear(&analysis->waits);
    wakeups_clear(&analysis->wakeups);
    runs_clear(&analysis->runs);
    lateness_clear(&analysis->lateness);
    calls_clear(&analysis->calls);
    lives_clear(&analysis->lives);
    processors_clear(&analysis->processors);
    chains_clear(&analysis->chains);
    free(analysis);
}

/* Stops at the largest number: only a damaged clock gets there. */
static void time_sum(int64_t *sum_ns, int64_t ns)
{
    if (__builtin_add_overflow(*sum_ns, ns, sum_ns))
        *sum_ns = INT64_MAX;
}

/* ---- Of all Gs --------------------------------------------------------------------------------------------------- */

static enum gmpt_g_state state_after(enum gmpt_event_type type, enum gmpt_g_state before)
{
    switch (type) {
    case GMPT_EVENT_go_start:
    case GMPT_EVENT_syscall_end:
    case GMPT_EVENT_syscall_resume:
    case GMPT_EVENT_go_attach:
        return GMPT_G_RUNNING;
    case GMPT_EVENT_go_yield:
    case GMPT_EVENT_go_preempt:
    case GMPT_EVENT_go_preempt_async:
    case GMPT_EVENT_go_attach_wait:
    case GMPT_EVENT_go_unblock:
    case GMPT_EVENT_syscall_exit:
        return GMPT_G_RUNNABLE;
    case GMPT_EVENT_go_block:
        return GMPT_G_WAITING;
    case GMPT_EVENT_go_detach:
        return GMPT_G_PREEMPTED;
    case GMPT_EVENT_syscall_begin:
        return GMPT_G_SYSCALL;
    case GMPT_EVENT_go_exit:
        return GMPT_G_DEAD;
    case GMPT_EVENT_go_labels:
    case GMPT_EVENT_go_was: /* what it is, the next interval tells */
        return before;
    default:
        return INTERVAL_LOST;
    }
}

static int chain_follow(struct analysis *analysis, const struct piece *piece)
{
    const struct interval *interval = piece->interval;
    int result = 0;
    if (interval->state == GMPT_G_WAITING) {
        const struct interval_g *waker =
            interval->waker ? intervals_running(analysis->intervals, interval->end_p) : NULL;
        if (waker && waker->id == interval->waker)
            result = chains_wake(&analysis->chains, piece->g, waker, interval->waker_stack, piece->end_ns);
        else
            result = chains_at(&analysis->chains, piece->g, piece->end_ns);
    } else if (interval->state != INTERVAL_LOST) {
        result = chains_work(&analysis->chains, piece);
    }
    if (!result && (interval->ended_by == GMPT_EVENT_go_exit || interval->ended_by == INTERVAL_TRACE_END ||
                    interval->end_ns >= analysis->options.to_ns))
        result = chains_over(&analysis->chains, piece->g, piece->end_ns);
    return result;
}

/* ---- Of those that were chosen ----------------------------------------------------------------------------------- */

static int wait_over(struct analysis *analysis, const struct piece *piece)
{
    const struct interval *wait = piece->interval;
    bool lock = waits_lock(wait->reason);
    const struct interval_g *owner = lock && wait->owner ? intervals_g(analysis->intervals, wait->owner) : NULL;
    int result = waits_add(&analysis->waits, piece, owner);
    if (!result)
        result = wakeups_waited(&analysis->wakeups, piece);
    if (lock)
        convoys_add(&analysis->convoys, piece, owner ? owner->fn : wait->waker_fn);
    return result;
}

static int piece_over(struct analysis *analysis, const struct piece *piece)
{
    int result;
    switch (piece->interval->state) {
    case GMPT_G_RUNNING:
        processors_ran(&analysis->processors, piece);
        result = runs_add(&analysis->runs, piece);
        return result ? result : wakeups_ran(&analysis->wakeups, piece);
    case GMPT_G_PREEMPTED:
        return runs_add(&analysis->runs, piece);
    case GMPT_G_RUNNABLE:
        return piece->interval->ended_by == GMPT_EVENT_go_start
                   ? lateness_add(&analysis->lateness, piece, &analysis->options.limits)
                   : 0;
    case GMPT_G_SYSCALL:
        return calls_add(&analysis->calls, piece);
    case GMPT_G_WAITING:
        return wait_over(analysis, piece);
    default:
        return 0;
    }
}

static int piece_take(struct analysis *analysis, struct piece *piece)
{
    const struct interval *interval = piece->interval;
    int64_t spent_ns = piece->end_ns - piece->begin_ns;
    time_sum(&analysis->state_ns[interval->state], spent_ns);
    if (interval->state == GMPT_G_WAITING)
        time_sum(&analysis->wait_ns[interval->reason], spent_ns);
    if (analysis->overtime)
        overtime_spend(analysis->overtime, interval->state, piece->begin_ns - analysis->options.from_ns,
                       piece->end_ns - analysis->options.from_ns);
    bool splits = interval->ended_by == GMPT_EVENT_go_labels;
    piece->lasted_ns = spent_ns;
    if (splits || interval->continued) {
        struct split *split = slots_of(&analysis->slots, piece->g);
        if (!split)
            return -ENOMEM;
        piece->lasted_ns += split->lasted_ns;
        split->lasted_ns = splits ? piece->lasted_ns : 0;
    }
    return splits ? 0 : piece_over(analysis, piece);
}

static int interval_closed(void *analysis_arg, const struct interval *whole)
{
    struct analysis *analysis = analysis_arg;
    const struct analysis_options *options = &analysis->options;
    struct piece piece = {
        .interval = whole,
        .g = whole->g,
        .begin_ns = whole->begin_ns,
        .end_ns = whole->end_ns,
        .stack = stackalias_of(&analysis->alias, whole->stack),
        .create_stack = stackalias_of(&analysis->alias, whole->g->create_stack),
    };
    int result = 0;
    if (whole->ended_by != INTERVAL_TRACE_END)
        result = processors_enter(&analysis->processors, whole->g, state_after(whole->ended_by, whole->state));
    if (options->from_ns > 0 || options->to_ns < ANALYSIS_END) {
        struct interval cut = *whole;
        bool outside = !interval_clip(&cut, options->from_ns, options->to_ns);
        if (!result && whole->ended_by == GMPT_EVENT_go_exit && outside)
            return lives_end(&analysis->lives, &piece, false);
        if (outside)
            return result;
        piece.begin_ns = cut.begin_ns;
        piece.end_ns = cut.end_ns;
    }
    if (!result)
        result = chain_follow(analysis, &piece);
    bool chosen = !options->filter || filter_match(options->filter, &options->names, whole);
    if (!result && chosen)
        result = piece_take(analysis, &piece);
    if (!result && whole->ended_by == GMPT_EVENT_go_exit)
        result = lives_end(&analysis->lives, &piece, chosen && whole->end_ns == piece.end_ns);
    return result;
}

/* ---- Events ------------------------------------------------------------------------------------------------------ */

/* A new G: its life begins, and with it the chain of whoever started it. */
static int g_begins(struct analysis *analysis, const struct gmpt_event *event, bool was)
{
    const struct interval_g *g = intervals_g(analysis->intervals, was ? event->g : event->go_create.g);
    if (!g)
        return 0;
    int64_t time_ns = was ? 0 : intervals_end_ns(analysis->intervals);
    enum gmpt_g_state state =
        was && event->go_was.state < GMPT_G_STATES ? (enum gmpt_g_state)event->go_was.state : GMPT_G_RUNNABLE;
    int result = processors_enter(&analysis->processors, g, state);
    if (!result)
        result = lives_begin(&analysis->lives, g, stackalias_of(&analysis->alias, g->create_stack), time_ns);
    if (result || was || event->time_ns < analysis->options.from_ns || event->time_ns >= analysis->options.to_ns)
        return result;
    const struct interval_g *parent = g->parent ? intervals_running(analysis->intervals, event->p) : NULL;
    return parent && parent->id == g->parent ? chains_wake(&analysis->chains, g, parent, g->create_stack, g->created_ns)
                                             : 0;
}

int analysis_add(struct analysis *analysis, const struct gmpt_event *event)
{
    bool was = event->type == GMPT_EVENT_go_was;
    uint64_t begins = event->type == GMPT_EVENT_go_create ? event->go_create.g : was ? event->g : 0;
    bool known = begins && intervals_g(analysis->intervals, begins);
    int64_t time_ns = event->time_ns < 0 ? 0 : event->time_ns > INT64_MAX / 2 ? INT64_MAX / 2 : event->time_ns;
    processors_until(&analysis->processors, time_ns);
    int result = intervals_add(analysis->intervals, event);
    if (!result)
        result = processors_event(&analysis->processors, event);
    return !result && begins && !known ? g_begins(analysis, event, was) : result;
}

int analysis_finish(struct analysis *analysis)
{
    const struct finding_limits *limits = &analysis->options.limits;
    struct findings *findings = &analysis->findings;
    int64_t duration_ns = analysis->trace ? gmpt_trace_info(analysis->trace)->duration_ns : 0;
    int result = intervals_finish(analysis->intervals, duration_ns);
    int64_t end_ns = intervals_end_ns(analysis->intervals);
    processors_finish(&analysis->processors, end_ns, findings);
    convoys_finish(&analysis->convoys, findings);
    result = result ? result : wakeups_finish(&analysis->wakeups, findings);
    result = result ? result : runs_finish(&analysis->runs, findings);
    result = result ? result : lateness_finish(&analysis->lateness, limits, findings);
    result = result ? result : calls_finish(&analysis->calls, limits, findings);
    result = result ? result : lives_finish(&analysis->lives, limits, end_ns, findings);
    findings_sort(findings);
    analysis->end_ns = end_ns < analysis->options.to_ns ? end_ns : analysis->options.to_ns;
    struct distributions *const sorted[] = {
        &analysis->waits.sites,    &analysis->waits.locks,    &analysis->wakeups.futile,
        &analysis->wakeups.herds,  &analysis->runs.preempted, &analysis->lateness.starts,
        &analysis->lateness.lines, &analysis->calls.sites,    &analysis->lives.starts,
    };
    for (size_t i = 0; i < sizeof sorted / sizeof sorted[0] && !result; i++)
        if (distributions_sort(sorted[i], false) < 0)
            result = -ENOMEM;
    return result;
}
