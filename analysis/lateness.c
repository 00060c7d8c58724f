#include "lateness.h"

#include <errno.h>

static int entry_add(struct distributions *set, const struct distribution_key *key, const struct piece *piece)
{
    struct distribution *entry = distributions_get(set, key);
    return entry ? distribution_add(entry, piece->lasted_ns, piece->end_ns, piece->g->id, 0) : -ENOMEM;
}

int lateness_add(struct lateness *lateness, const struct piece *piece, const struct finding_limits *limits)
{
    struct distribution_key start = { .fn = piece->g->fn, .stack = piece->create_stack };
    struct distribution_key line = { .stack = piece->stack };
    if (line.stack == 0)
        line = start;
    int result = entry_add(&lateness->starts, &start, piece);
    result = result ? result : entry_add(&lateness->lines, &line, piece);
    if (!result && piece->lasted_ns > limits->late_ns)
        result = entry_add(&lateness->late, &start, piece);
    return result;
}

int lateness_finish(struct lateness *lateness, const struct finding_limits *limits, struct findings *findings)
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
                                   .threshold = limits->late_ns,
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
    distributions_clear(&lateness->starts);
    distributions_clear(&lateness->lines);
    distributions_clear(&lateness->late);
}
