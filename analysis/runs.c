#include "runs.h"

#include "trace/timesum.h"

#include <errno.h>

void runs_open(struct runs *runs, struct intervals *intervals, const struct finding_limits *limits)
{
    runs->room = intervals_room(intervals, sizeof(struct stretch));
    runs->hog_ns = limits->hog_ns;
    runs->switches_per_s = limits->switches_per_s;
}

static int preempted_add(struct distributions *set, uint32_t tier, const struct piece *piece, int64_t ran_ns)
{
    struct distribution_key key = { .fn = piece->g->fn, .stack = piece_create_stack(piece), .kind = tier };
    struct distribution *entry = distributions_get(set, &key);
    return entry ? distribution_add(entry, ran_ns, piece->end_ns, piece->g->id, 0) : -ENOMEM;
}

static int storm_add(struct runs *runs, struct stretch *stretch, const struct piece *piece)
{
    struct distribution_key key = { .fn = piece->g->fn, .stack = piece_create_stack(piece) };
    struct distribution *storm = distributions_get(&runs->storms, &key);
    if (!storm)
        return -ENOMEM;
    storm->marked += !stretch->stormy;
    stretch->stormy = true;
    return distribution_add(storm, (int64_t)stretch->switches, piece->end_ns, piece->g->id, 0);
}

/* How a stretch that a piece ends was made to stop. */
static uint32_t tier_of(const struct interval *interval)
{
    if (interval->state == GMPT_G_PREEMPTED)
        return FINDING_TIER_DETACHED;
    return interval->ended_by == GMPT_EVENT_go_preempt         ? FINDING_TIER_SAFEPOINT
           : interval->ended_by == GMPT_EVENT_go_preempt_async ? FINDING_TIER_SIGNAL
                                                               : FINDING_TIER_NONE;
}

int runs_add(struct runs *runs, const struct piece *piece)
{
    struct stretch *stretch = interval_room(piece->g, runs->room);
    const struct interval *interval = piece->interval;
    int64_t ran_ns = piece->lasted_ns;
    if (interval->state == GMPT_G_PREEMPTED)
        timesum_add(&ran_ns, stretch->ran_ns);
    if (interval->ended_by == GMPT_EVENT_go_detach) {
        stretch->ran_ns = ran_ns;
        return 0;
    }
    uint32_t tier = tier_of(interval);
    int result = 0;
    if (tier != FINDING_TIER_NONE)
        result = preempted_add(&runs->preempted, tier, piece, ran_ns);
    if (ran_ns >= runs->hog_ns && !result)
        result = preempted_add(&runs->hogs, tier, piece, ran_ns);
    if (result || interval->ended_by == GMPT_EVENT_syscall_begin)
        return result;
    /* A window that is over is judged as the next begins. */
    if (stretch->switches && piece->end_ns - stretch->begin_ns >= RUNS_SWITCH_WINDOW_NS) {
        if (stretch->switches >= runs->switches_per_s)
            result = storm_add(runs, stretch, piece);
        stretch->switches = 0;
    }
    if (stretch->switches++ == 0)
        stretch->begin_ns = piece->end_ns;
    if (!result && (interval->ended_by == GMPT_EVENT_go_exit || interval->ended_by == INTERVAL_TRACE_END) &&
        stretch->switches >= runs->switches_per_s)
        result = storm_add(runs, stretch, piece);
    return result;
}

static int hogs_find(struct runs *runs, struct findings *findings)
{
    int count = distributions_sort(&runs->hogs, true);
    for (int i = 0; i < count; i++) {
        const struct distribution *hog = runs->hogs.list[i];
        findings_add(findings, &(struct finding){
                                   .kind = FINDING_HOG,
                                   .severity = FINDING_WARNING,
                                   .value = hog->histogram.max,
                                   .threshold = runs->hog_ns,
                                   .times = hog->histogram.count,
                                   .begin_ns = hog->worst_end_ns - hog->histogram.max,
                                   .end_ns = hog->worst_end_ns,
                                   .fn = hog->key.fn,
                                   .create_stack = hog->key.stack,
                                   .tier = hog->key.kind,
                                   .g = hog->worst_g,
                               });
    }
    return count < 0 ? count : 0;
}

int runs_finish(struct runs *runs, struct findings *findings)
{
    int result = hogs_find(runs, findings);
    int count = result ? result : distributions_sort(&runs->storms, true);
    for (int i = 0; i < count; i++) {
        const struct distribution *storm = runs->storms.list[i];
        findings_add(findings, &(struct finding){
                                   .kind = FINDING_STORM,
                                   .severity = FINDING_NOTE,
                                   .value = storm->histogram.max,
                                   .threshold = (int64_t)runs->switches_per_s,
                                   .times = storm->histogram.count,
                                   .begin_ns = storm->worst_end_ns > RUNS_SWITCH_WINDOW_NS
                                                   ? storm->worst_end_ns - RUNS_SWITCH_WINDOW_NS
                                                   : 0,
                                   .end_ns = storm->worst_end_ns,
                                   .fn = storm->key.fn,
                                   .create_stack = storm->key.stack,
                                   .g = storm->worst_g,
                                   .gs = storm->marked,
                               });
    }
    return count < 0 ? count : 0;
}

void runs_clear(struct runs *runs)
{
    distributions_clear(&runs->preempted);
    distributions_clear(&runs->hogs);
    distributions_clear(&runs->storms);
}
