#include "busy.h"

int busy_find(struct distributions *set, const struct busy_limit *limit,
              void (*place)(struct finding *found, const struct distribution *entry), struct findings *findings)
{
    int count = distributions_sort(set, false);
    for (int i = 0; i < count; i++) {
        const struct distribution *entry = set->list[i];
        uint64_t per_s = rate_peak(&entry->rate, limit->window_ns);
        if (per_s < limit->per_s)
            continue;
        struct finding found = {
            .kind = limit->kind,
            .severity = FINDING_WARNING,
            .value = (int64_t)per_s,
            .threshold = (int64_t)limit->per_s,
            .times = entry->histogram.count,
            .begin_ns = entry->rate.peak_begin_ns,
            .end_ns = entry->rate.peak_begin_ns + limit->window_ns,
            .fn = entry->key.fn,
            .g = entry->worst_g,
        };
        place(&found, entry);
        findings_add(findings, &found);
    }
    return count < 0 ? count : 0;
}
