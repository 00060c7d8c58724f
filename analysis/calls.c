#include "calls.h"

#include <errno.h>

int calls_add(struct calls *calls, const struct piece *piece)
{
    struct distribution_key key = { .stack = piece_stack(piece) };
    if (key.stack == 0)
        key.fn = piece->g->fn;
    struct distribution *site = distributions_get(&calls->sites, &key);
    if (!site)
        return -ENOMEM;
    site->marked +=
        piece->interval->ended_by == GMPT_EVENT_syscall_resume || piece->interval->ended_by == GMPT_EVENT_syscall_exit;
    rate_add(&site->rate, piece->end_ns, CALLS_WINDOW_NS);
    return distribution_add(site, piece->lasted_ns, piece->end_ns, piece->g->id, 0);
}

int calls_finish(struct calls *calls, const struct finding_limits *limits, struct findings *findings)
{
    int count = distributions_sort(&calls->sites, false);
    for (int i = 0; i < count; i++) {
        const struct distribution *site = calls->sites.list[i];
        uint64_t per_s = rate_peak(&site->rate, CALLS_WINDOW_NS);
        if (per_s < limits->calls_per_s)
            continue;
        findings_add(findings, &(struct finding){
                                   .kind = FINDING_SYSCALLS,
                                   .severity = FINDING_WARNING,
                                   .value = (int64_t)per_s,
                                   .threshold = (int64_t)limits->calls_per_s,
                                   .times = site->histogram.count,
                                   .begin_ns = site->rate.peak_begin_ns,
                                   .end_ns = site->rate.peak_begin_ns + CALLS_WINDOW_NS,
                                   .fn = site->key.fn,
                                   .stack = site->key.stack,
                                   .g = site->worst_g,
                               });
    }
    return count < 0 ? count : 0;
}

void calls_clear(struct calls *calls) { distributions_clear(&calls->sites); }
