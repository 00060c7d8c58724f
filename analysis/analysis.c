#include "analysis.h"

#include "trace/summaryturns.h"
#include "trace/timesum.h"

#include <errno.h>
#include <stdlib.h>

/* What was chosen so far of a piece that labels have split. */
struct split {
    int64_t lasted_ns;
};

static int interval_closed(void *analysis_arg, const struct interval *whole);
static int turn_started(void *analysis_arg, const struct interval *late);
static int turn_stopped(void *analysis_arg, const struct interval *run);
static int turn_woken(void *analysis_arg, const struct interval *wait);
static int g_born(void *analysis_arg, const struct interval *first);

struct analysis *analysis_open(struct intervals *intervals, const struct gmpt_trace *trace,
                               const struct analysis_options *options)
{
    struct analysis *analysis = calloc(1, sizeof *analysis);
    if (!analysis)
        return NULL;
    analysis->options = *options;
    analysis->trace = trace;
    analysis->alias.first = options->canonical_stack;
    analysis->alias.arg = options->canonical_arg;
    analysis->room = intervals_room(intervals, sizeof(struct split));
    analysis->convoys.waiters_min = options->limits.convoy_waiters;
    analysis->windowed = options->from_ns > 0 || options->to_ns < ANALYSIS_END;
    analysis->picky = analysis->windowed || options->filter;
    int64_t to_ns = options->to_ns < options->length_ns ? options->to_ns : options->length_ns;
    if (to_ns > options->from_ns)
        analysis->overtime = overtime_open(to_ns - options->from_ns, ANALYSIS_COLUMNS);
    if (to_ns > options->from_ns && !analysis->overtime) {
        analysis_close(analysis);
        errno = ENOMEM;
        return NULL;
    }
    wakeups_open(&analysis->wakeups, intervals, &analysis->alias, &options->limits);
    runs_open(&analysis->runs, intervals, &options->limits);
    lateness_open(&analysis->lateness, intervals, &options->limits);
    chains_open(&analysis->chains, intervals, options->from_ns);
    processors_open(&analysis->processors, &options->limits, trace, intervals_present(intervals), options->from_ns,
                    options->to_ns);
    kerneltime_open(&analysis->kernel, trace, &options->limits);
    analysis->intervals = intervals;
    analysis->listener = (struct interval_listener){ .closed = interval_closed, .born = g_born, .arg = analysis };
    if (!analysis->picky) {
        analysis->listener.started = turn_started;
        analysis->listener.stopped = turn_stopped;
        analysis->listener.woken = turn_woken;
    }
    intervals_listen(intervals, &analysis->listener);
    return analysis;
}

void analysis_close(struct analysis *analysis)
{
    if (!analysis)
        return;
    overtime_close(analysis->overtime);
    stackalias_clear(&analysis->alias);
    waits_clear(&analysis->waits);
    wakeups_clear(&analysis->wakeups);
    runs_clear(&analysis->runs);
    lateness_clear(&analysis->lateness);
    calls_clear(&analysis->calls);
    lives_clear(&analysis->lives);
    processors_clear(&analysis->processors);
    kerneltime_clear(&analysis->kernel);
    free(analysis);
}

/* ---- Of all Gs --------------------------------------------------------------------------------------------------- */

static inline void wait_follow(struct analysis *analysis, const struct piece *piece)
{
    const struct interval *wait = piece->interval;
    chains_idle(&analysis->chains, piece->g, piece->begin_ns, piece->end_ns);
    if (wait->waking)
        chains_wake(&analysis->chains, piece->g, wait->waking, wait->waker_stack, piece->end_ns);
}

static inline void chain_follow(struct analysis *analysis, const struct piece *piece)
{
    enum gmpt_g_state state = piece->interval->state;
    if (state == GMPT_G_RUNNABLE)
        chains_late(&analysis->chains, piece->g, piece->begin_ns, piece->end_ns);
    else if (state == GMPT_G_WAITING)
        wait_follow(analysis, piece);
    else if (state == INTERVAL_LOST)
        chains_idle(&analysis->chains, piece->g, piece->begin_ns, piece->end_ns);
}

/* ---- Of those that were chosen ----------------------------------------------------------------------------------- */

static inline __attribute__((always_inline)) int wait_over(struct analysis *analysis, const struct piece *piece)
{
    if (waits_add(&analysis->waits, piece) || wakeups_waited(&analysis->wakeups, piece))
        return -ENOMEM;
    if (!waits_lock(piece->interval->reason))
        return 0;
    convoys_add(&analysis->convoys, piece);
    return waits_locked(&analysis->waits, piece);
}

static inline int piece_over(struct analysis *analysis, const struct piece *piece)
{
    switch (piece->interval->state) {
    case GMPT_G_RUNNING:
        processors_ran(&analysis->processors, piece->interval->p, piece->lasted_ns);
        return runs_add(&analysis->runs, piece);
    case GMPT_G_PREEMPTED:
        return runs_add(&analysis->runs, piece);
    case GMPT_G_RUNNABLE:
        return piece->interval->ended_by == GMPT_EVENT_go_start ? lateness_add(&analysis->lateness, piece) : 0;
    case GMPT_G_SYSCALL:
        return calls_add(&analysis->calls, piece);
    case GMPT_G_WAITING:
        return wait_over(analysis, piece);
    default:
        return 0;
    }
}

static inline void piece_spend(struct analysis *analysis, const struct piece *piece)
{
    if (analysis->overtime)
        overtime_spend(analysis->overtime, piece->interval->state, piece->begin_ns - analysis->options.from_ns,
                       piece->end_ns - analysis->options.from_ns);
}

static int piece_take(struct analysis *analysis, struct piece *piece)
{
    const struct interval *interval = piece->interval;
    if (analysis->picky) {
        timesum_add(&analysis->state_ns[interval->state], piece->lasted_ns);
        if (interval->state == GMPT_G_WAITING)
            timesum_add(&analysis->wait_ns[interval->reason], piece->lasted_ns);
    }
    piece_spend(analysis, piece);
    bool splits = interval->ended_by == GMPT_EVENT_go_labels;
    if (splits || interval->continued) {
        struct split *split = interval_room(piece->g, analysis->room);
        piece->lasted_ns += split->lasted_ns;
        split->lasted_ns = splits ? piece->lasted_ns : 0;
    }
    return splits ? 0 : piece_over(analysis, piece);
}

/* Where only a part of it may count, or where more ends than the interval. */
static int interval_closed_rarely(struct analysis *analysis, struct piece *piece)
{
    const struct analysis_options *options = &analysis->options;
    const struct interval *whole = piece->interval;
    if (analysis->windowed) {
        int64_t begin_ns = whole->begin_ns, end_ns = whole->end_ns;
        if (!interval_clip(&begin_ns, &end_ns, options->from_ns, options->to_ns))
            return whole->ended_by == GMPT_EVENT_go_exit ? lives_end(&analysis->lives, piece, false) : 0;
        piece->begin_ns = begin_ns;
        piece->end_ns = end_ns;
        piece->lasted_ns = end_ns - begin_ns;
    }
    int result = 0;
    chain_follow(analysis, piece);
    if (whole->ended_by == GMPT_EVENT_go_exit || whole->ended_by == INTERVAL_TRACE_END ||
        whole->end_ns >= options->to_ns)
        chains_over(&analysis->chains, piece->g, piece->end_ns);
    bool chosen = !options->filter || filter_match(options->filter, &options->names, whole);
    if (chosen)
        result = piece_take(analysis, piece);
    if (!result && chosen && whole->ended_by == INTERVAL_TRACE_END)
        result = kerneltime_unfinished(&analysis->kernel, piece);
    if (!result && whole->ended_by == GMPT_EVENT_go_exit)
        result = lives_end(&analysis->lives, piece, chosen && whole->end_ns == piece->end_ns);
    return result;
}

static inline struct piece piece_of(struct analysis *analysis, const struct interval *whole)
{
    return (struct piece){
        .interval = whole,
        .g = whole->g,
        .begin_ns = whole->begin_ns,
        .end_ns = whole->end_ns,
        .lasted_ns = whole->end_ns - whole->begin_ns,
        .alias = &analysis->alias,
    };
}

static int interval_closed(void *analysis_arg, const struct interval *whole)
{
    struct analysis *analysis = analysis_arg;
    struct piece piece = piece_of(analysis, whole);
    if (analysis->picky || whole->continued || whole->ended_by == GMPT_EVENT_go_labels ||
        whole->ended_by == GMPT_EVENT_go_exit || whole->ended_by == INTERVAL_TRACE_END)
        return interval_closed_rarely(analysis, &piece);
    chain_follow(analysis, &piece);
    piece_spend(analysis, &piece);
    return piece_over(analysis, &piece);
}

/* The usual turns (intervals.h), when all is chosen: the same, for a state that is known. Times are handed on, since
 * whatever is stored may have changed them for all that the compiler knows. */

static inline void turn_spend(struct analysis *analysis, enum gmpt_g_state state, int64_t begin_ns, int64_t end_ns)
{
    if (analysis->overtime)
        overtime_spend(analysis->overtime, state, begin_ns, end_ns);
}

static inline __attribute__((always_inline)) int late_take(struct analysis *analysis, const struct interval *late,
                                                           int64_t begin_ns, int64_t end_ns)
{
    struct distribution *pair = lateness_usual(&analysis->lateness, late, end_ns - begin_ns);
    if (__builtin_expect(!pair, 0))
        return interval_closed(analysis, late);
    chains_late(&analysis->chains, late->g, begin_ns, end_ns);
    turn_spend(analysis, GMPT_G_RUNNABLE, begin_ns, end_ns);
    return distribution_add(pair, end_ns - begin_ns, end_ns, late->g->id, 0);
}

static inline __attribute__((always_inline)) int run_take(struct analysis *analysis, const struct interval *run,
                                                          int64_t begin_ns, int64_t end_ns)
{
    if (!runs_add_usual(&analysis->runs, run->g, begin_ns, end_ns))
        return interval_closed(analysis, run);
    turn_spend(analysis, GMPT_G_RUNNING, begin_ns, end_ns);
    processors_ran(&analysis->processors, run->p, end_ns - begin_ns);
    return 0;
}

static inline __attribute__((always_inline)) int wait_take(struct analysis *analysis, const struct interval *wait)
{
    struct piece piece = piece_of(analysis, wait);
    wait_follow(analysis, &piece);
    turn_spend(analysis, GMPT_G_WAITING, piece.begin_ns, piece.end_ns);
    return wait_over(analysis, &piece);
}

static int turn_started(void *analysis, const struct interval *late)
{
    return late_take(analysis, late, late->begin_ns, late->end_ns);
}

static int turn_stopped(void *analysis, const struct interval *run)
{
    return run_take(analysis, run, run->begin_ns, run->end_ns);
}

static int turn_woken(void *analysis, const struct interval *wait) { return wait_take(analysis, wait); }

/* ---- Events ------------------------------------------------------------------------------------------------------ */

/* A new G: its life begins, and with it the chain of whoever started it. */
static int g_born(void *analysis_arg, const struct interval *first)
{
    struct analysis *analysis = analysis_arg;
    const struct interval_g *g = first->g;
    chains_begin(&analysis->chains, g);
    int result = lives_begin(&analysis->lives, g, stackalias_of(&analysis->alias, g->create_stack), g->created_ns);
    if (result || !first->waker || g->created_ns < analysis->options.from_ns ||
        g->created_ns >= analysis->options.to_ns)
        return result;
    const struct interval_g *parent = intervals_running(analysis->intervals, first->p);
    if (parent && parent->id == g->parent)
        chains_wake(&analysis->chains, g, parent, g->create_stack, g->created_ns);
    return 0;
}

int analysis_add_rare(struct analysis *analysis, const struct gmpt_event *event)
{
    int result = 0;
    if (kerneltime_takes(event->type))
        result = kerneltime_add(&analysis->kernel, event, &analysis->options, analysis->intervals, &analysis->alias);
    return result ? result : processors_move(&analysis->processors, event);
}

/* ---- In one pass with a summary ---------------------------------------------------------------------------------- */

/* An event on its way through both. What hears of it is inlined where the event is taken in (turns.h), so that its
 * times and its G stay at hand. */
struct passing {
    struct summary *summary;
    struct analysis *analysis;
    const struct gmpt_event *event;
};

static inline __attribute__((always_inline)) int pass_started(void *passing_arg, const struct interval *late)
{
    const struct passing *passing = passing_arg;
    struct summary *summary = passing->summary;
    int64_t begin_ns = late->begin_ns, end_ns = late->end_ns;
    summary->events[GMPT_EVENT_go_start]++;
    if (summary_start(summary, passing->event) || summary_late(summary, late->g, end_ns - begin_ns))
        return -ENOMEM;
    return late_take(passing->analysis, late, begin_ns, end_ns);
}

static inline __attribute__((always_inline)) int pass_stopped(void *passing_arg, const struct interval *run)
{
    const struct passing *passing = passing_arg;
    int64_t begin_ns = run->begin_ns, end_ns = run->end_ns;
    passing->summary->events[run->ended_by]++;
    return run_take(passing->analysis, run, begin_ns, end_ns);
}

static inline __attribute__((always_inline)) int pass_woken(void *passing_arg, const struct interval *wait)
{
    const struct passing *passing = passing_arg;
    passing->summary->events[GMPT_EVENT_go_unblock]++;
    summary_unblock(passing->summary, passing->event);
    summary_woken(passing->summary, wait);
    return wait_take(passing->analysis, wait);
}

static inline __attribute__((always_inline)) int pass_waits(void *passing_arg, const struct interval *wait)
{
    const struct passing *passing = passing_arg;
    return summary_waits(passing->summary, wait);
}

static int pass_rest(struct analysis *analysis, struct summary *summary, const struct gmpt_event *event)
{
    int result = summary_rest(summary, event);
    return result ? result : analysis_add(analysis, event);
}

static int pass_generally(struct analysis *analysis, struct summary *summary, const struct gmpt_event *events,
                          int count)
{
    int result = 0;
    for (const struct gmpt_event *event = events; event < events + count && !result; event++) {
        result = summary_add(summary, event);
        if (!result)
            result = analysis_add(analysis, event);
    }
    return result;
}

int analysis_pass(struct analysis *analysis, struct summary *summary, const struct gmpt_event *events, int count)
{
    static const struct turns_hearers hearers = { pass_started, pass_stopped, pass_woken, pass_waits };
    struct intervals *intervals = analysis->intervals;
    if (analysis->picky)
        return pass_generally(analysis, summary, events, count);
    for (const struct gmpt_event *event = events; event < events + count; event++) {
        struct passing passing = { summary, analysis, event };
        int result = turns_take(intervals, event, &hearers, &passing);
        if (result == 0) {
            processors_look(&analysis->processors);
            continue;
        }
        if (result == TURNS_UNUSUAL)
            result = pass_rest(analysis, summary, event);
        if (result)
            return result;
    }
    return 0;
}

int analysis_finish(struct analysis *analysis)
{
    const struct finding_limits *limits = &analysis->options.limits;
    struct findings *findings = &analysis->findings;
    int result = 0;
    int64_t end_ns = intervals_end_ns(analysis->intervals);
    for (int state = 0; state < GMPT_G_STATES && !analysis->picky; state++)
        analysis->state_ns[state] = intervals_state_ns(analysis->intervals, (enum gmpt_g_state)state);
    for (int reason = 0; reason < GMPT_WAIT_REASONS && !analysis->picky; reason++)
        analysis->wait_ns[reason] = intervals_wait_ns(analysis->intervals, (enum gmpt_wait_reason)reason);
    processors_finish(&analysis->processors, end_ns, findings);
    convoys_finish(&analysis->convoys, findings);
    result = result ? result : wakeups_finish(&analysis->wakeups, findings);
    result = result ? result : runs_finish(&analysis->runs, findings);
    result = result ? result : lateness_finish(&analysis->lateness, findings);
    result = result ? result : kerneltime_finish(&analysis->kernel, limits, analysis_ran_ns(analysis), findings);
    result = result ? result : calls_finish(&analysis->calls, limits, findings);
    result = result ? result : lives_finish(&analysis->lives, limits, end_ns, findings);
    findings_sort(findings);
    analysis->end_ns = end_ns < analysis->options.to_ns ? end_ns : analysis->options.to_ns;
    struct distributions *const sorted[] = {
        &analysis->waits.sites,    &analysis->waits.locks,    &analysis->wakeups.futile,
        &analysis->wakeups.herds,  &analysis->runs.preempted, &analysis->lateness.starts,
        &analysis->lateness.lines, &analysis->calls.sites,    &analysis->lives.starts,
        &analysis->kernel.stopped, &analysis->kernel.blocked, &analysis->kernel.faults.sites,
    };
    for (size_t i = 0; i < sizeof sorted / sizeof sorted[0] && !result; i++)
        if (distributions_sort(sorted[i], false) < 0)
            result = -ENOMEM;
    return result;
}
