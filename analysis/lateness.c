#include "lateness.h"

void lateness_open(struct lateness *lateness, struct intervals *intervals, const struct finding_limits *limits)
{
    lateness->room = intervals_room(intervals, sizeof(struct late_g));
    lateness->late_ns = limits->late_ns;
}

static struct distribution *pair_find(struct lateness *lateness, struct late_g *g, const struct piece *piece)
{
    struct distribution_key key = {
        .fn = piece->g->fn, .stack = piece_create_stack(piece), .kind = piece_stack(piece)
    };
    struct distribution *pair = distributions_get(&lateness->pairs, &key);
    if (piece->interval->stack == 0)
        return g->pair_without = pair;
    g->stack = piece->interval->stack;
    return g->pair = pair;
}

static int late_add(struct lateness *lateness, const struct piece *piece)
{
    struct distribution_key start = { .fn = piece->g->fn, .stack = piece_create_stack(piece) };
    struct distribution *late = distributions_get(&lateness->late, &start);
    return late ? distribution_add(late, piece->lasted_ns, piece->end_ns, piece->g->id, 0) : -ENOMEM;
}

int lateness_add(struct lateness *lateness, const struct piece *piece)
{
    struct late_g *g = interval_room(piece->g, lateness->room);
    struct distribution *pair = late_pair(g, piece->interval->stack);
    if (!pair)
        pair = pair_find(lateness, g, piece);
    if (!pair || distribution_add(pair, piece->lasted_ns, piece->end_ns, piece->g->id, 0))
        return -ENOMEM;
    return piece->lasted_ns > lateness->late_ns ? late_add(lateness, piece) : 0;
}

static int pair_part(struct distributions *set, struct distribution_key key, const struct distribution *pair)
{
    struct distribution *entry = distributions_get(set, &key);
    return entry ? distribution_merge(entry, pair) : -ENOMEM;
}

/* Those without a line are under their start. */
static int pairs_part(struct lateness *lateness)
{
    int count = distributions_sort(&lateness->pairs, false), result = count < 0 ? count : 0;
    for (int i = 0; i < count && !result; i++) {
        const struct distribution *pair = lateness->pairs.list[i];
        struct distribution_key start = { .fn = pair->key.fn, .stack = pair->key.stack };
        struct distribution_key line = { .stack = pair->key.kind };
        result = pair_part(&lateness->starts, start, pair);
        if (!result)
            result = pair_part(&lateness->lines, line.stack ? line : start, pair);
        if (!result)
            result = histogram_merge(&lateness->all, &pair->histogram);
    }
    return result;
}

int lateness_finish(struct lateness *lateness, struct findings *findings)
{
    int result = pairs_part(lateness);
    int count = result ? result : distributions_sort(&lateness->late, true);
    for (int i = 0; i < count; i++) {
        const struct distribution *late = lateness->late.list[i];
        findings_add(findings, &(struct finding){
                                   .kind = FINDING_LATE,
                                   .severity = FINDING_NOTE,
                                   .value = late->histogram.max,
                                   .threshold = lateness->late_ns,
                                   .times = late->histogram.count,
                                   .begin_ns = late->worst_end_ns - late->histogram.max,
                                   .end_ns = late->worst_end_ns,
                                   .fn = late->key.fn,
                                   .create_stack = late->key.stack,
                                   .g = late->worst_g,
                               });
    }
    return count < 0 ? count : 0;
}

void lateness_clear(struct lateness *lateness)
{
    histogram_clear(&lateness->all);
    distributions_clear(&lateness->pairs);
    distributions_clear(&lateness->starts);
    distributions_clear(&lateness->lines);
    distributions_clear(&lateness->late);
}
