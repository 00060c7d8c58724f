#include "pagefaults.h"

#include "busy.h"

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

static void fault_place(struct finding *found, const struct distribution *site)
{
    *(site->key.fn ? &found->create_stack : &found->stack) = site->key.stack;
    found->times = (uint64_t)site->histogram.total;
    found->object = site->worst_object;
}

int pagefaults_finish(struct pagefaults *faults, const struct finding_limits *limits, struct findings *findings)
{
    const struct busy_limit limit = { FINDING_FAULTS, PAGEFAULTS_WINDOW_NS, limits->faults_per_s };
    return busy_find(&faults->sites, &limit, fault_place, findings);
}

void pagefaults_clear(struct pagefaults *faults) { distributions_clear(&faults->sites); }
