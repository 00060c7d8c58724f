#include "lateness.h"

#include <errno.h>

/* Of a G that lives: where its latencies go, which stays the same. */
struct late_g {
    uint64_t id;
    struct distribution *start;
    struct distribution *line; /* as long as it has waited nowhere */
};

void lateness_open(struct lateness *lateness, const struct finding_limits *limits)
{
    lateness->slots.record_bytes = sizeof(struct late_g);
    lateness->late_ns = limits->late_ns;
}

static int entry_add(struct distribution *entry, const struct piece *piece)
{
    return entry ? distribution_add(entry, piece->lasted_ns, piece->end_ns, piece->g->id, 0) : -ENOMEM;
}

int lateness_add(struct lateness *lateness, const struct piece *piece)
{
    struct distribution_key start = { .fn = piece->g->fn, .stack = piece->create_stack };
    struct distribution_key place = { .stack = piece->stack };
    struct late_g *g = slots_of(&lateness->slots, piece->g);
    if (!g)
        return -ENOMEM;
    if (!g->start && !(g->start = distributions_get(&lateness->starts, &start)))
        return -ENOMEM;
    if (!place.stack && !g->line && !(g->line = distributions_get(&lateness->lines, &start)))
        return -ENOMEM;
    int result = entry_add(g->start, piece);
    if (!result)
        result = entry_add(place.stack ? distributions_get(&lateness->lines, &place) : g->line, piece);
    if (!result && piece->lasted_ns > lateness->late_ns)
        result = entry_add(distributions_get(&lateness->late, &start), piece);
    return result;
}

int lateness_finish(struct lateness *lateness, struct findings *findings)
{
    int count = distributions_sort(&lateness->starts, false), result = 0;
    for (int i = 0; i < count && !result; i++)
        result = histogram_merge(&lateness->all, &lateness->starts.list[i]->histogram);
    if (count < 0 || result)
        return -ENOMEM;
    count = distributions_sort(&lateness->late, true);
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
    slots_clear(&lateness->slots);
    histogram_clear(&lateness->all);
    distributions_clear(&lateness->starts);
    distributions_clear(&lateness->lines);
    distributions_clear(&lateness->late);
}
