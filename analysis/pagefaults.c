#include "pagefaults.h"

#include <errno.h>

int pagefaults_add(struct pagefaults *faults, const struct gmpt_event *event, const struct interval_g *g,
                   struct stackalias *alias)
{
    const struct gmpt_event_kernel_faults *told = &event->kernel_faults;
    struct distribution_key key = { .stack = stackalias_of(alias, (uint32_t)told->stack) };
    int64_t count = told->count < INT64_MAX ? (int64_t)told->count : INT64_MAX;
    if (key.stack == 0 && g)
        key = (struct distribution_key){ .fn = g->fn, .stack = stackalias_of(alias, g->create_stack) };
    struct distribution *site = distributions_get(&faults->sites, &key);
    if (!site)
        return -ENOMEM;
    if (__builtin_add_overflow(faults->count, told->count, &faults->count))
        faults->count = UINT64_MAX;
    rate_add_many(&site->rate, event->time_ns, PAGEFAULTS_WINDOW_NS, (uint64_t)count);
    return distribution_add(site, count, event->time_ns, g ? g->id : 0, told->address);
}

int pagefaults_finish(struct pagefaults *faults, const struct finding_limits *limits, struct findings *findings)
{
    int count = distributions_sort(&faults->sites, false);
    for (int i = 0; i < count; i++) {
        const struct distribution *site = faults->sites.list[i];
        uint64_t per_s = rate_peak(&site->rate, PAGEFAULTS_WINDOW_NS);
        if (per_s < limits->faults_per_s)
            continue;
        findings_add(findings, &(struct finding){
                                   .kind = FINDING_FAULTS,
                                   .severity = FINDING_WARNING,
                                   .value = (int64_t)per_s,
                                   .threshold = (int64_t)limits->faults_per_s,
                                   .times = (uint64_t)site->histogram.total,
                                   .begin_ns = site->rate.peak_begin_ns,
                                   .end_ns = site->rate.peak_begin_ns + PAGEFAULTS_WINDOW_NS,
                                   .fn = site->key.fn,
                                   .create_stack = site->key.fn ? site->key.stack : 0,
                                   .stack = site->key.fn ? 0 : site->key.stack,
                                   .g = site->worst_g,
                                   .object = site->worst_object,
                               });
    }
    return count < 0 ? count : 0;
}

void pagefaults_clear(struct pagefaults *faults) { distributions_clear(&faults->sites); }
