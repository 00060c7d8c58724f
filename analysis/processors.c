#include "processors.h"

#include <errno.h>
#include <stdlib.h>

void processors_open(struct processors *processors, const struct finding_limits *limits,
                     const struct gmpt_trace *trace, const struct intervals_present *present, int64_t from_ns,
                     int64_t to_ns)
{
    processors->present = present;
    uint32_t maxprocs = trace ? gmpt_trace_info(trace)->maxprocs : 0;
    processors->limit = processors->top = maxprocs > PROCESSORS_MAX ? PROCESSORS_MAX : maxprocs;
    processors->limit_most = processors->limit;
    processors->quota = trace ? gmpt_trace_info(trace)->quota_cpus : 0;
    processors->from_ns = from_ns;
    processors->to_ns = to_ns;
    processors->starved_limit_ns = limits->starved_ns;
}

static int64_t within(const struct processors *processors, int64_t begin_ns, int64_t end_ns)
{
    if (begin_ns < processors->from_ns)
        begin_ns = processors->from_ns;
    if (end_ns > processors->to_ns)
        end_ns = processors->to_ns;
    return end_ns > begin_ns ? end_ns - begin_ns : 0;
}

static void starving_end(struct processors *processors)
{
    int64_t lasted_ns = within(processors, processors->starving_since_ns, processors->present->end_ns);
    timesum_add(&processors->starved_ns, lasted_ns);
    processors->starved_times += lasted_ns >= processors->starved_limit_ns;
    if (lasted_ns > processors->starved_worst_ns) {
        processors->starved_worst_ns = lasted_ns;
        processors->starved_worst_end_ns =
            processors->present->end_ns < processors->to_ns ? processors->present->end_ns : processors->to_ns;
        processors->starved_worst_most = processors->starving_most;
    }
    processors->starving_most = 0;
}

void processors_starve(struct processors *processors, uint64_t starving)
{
    if (processors->starving == 0)
        processors->starving_since_ns = processors->present->end_ns;
    else if (starving == 0)
        starving_end(processors);
    processors->starving = starving;
    if (starving > processors->starving_most)
        processors->starving_most = starving;
}

/* After a change of what it depends on. */
static void idle_set(struct processors *processors)
{
    processors->idle = processors->started && processors->held < processors->limit;
    if (!processors->idle && processors->starving)
        processors_starve(processors, 0);
}

static void hold(struct processors *processors, uint64_t p, bool held)
{
    if (p >= PROCESSORS_MAX || processors->ps[p].held == held)
        return;
    struct processor *processor = &processors->ps[p];
    if (held) {
        processor->since_ns = processors->present->end_ns;
        processors->started = true;
    } else {
        timesum_add(&processor->held_ns, within(processors, processor->since_ns, processors->present->end_ns));
    }
    processor->held = held;
    processors->held += held ? 1 : -1u;
    idle_set(processors);
    if (p >= processors->top)
        processors->top = (uint32_t)p + 1;
}

static int steal(struct processors *processors, const struct gmpt_event *event)
{
    uint64_t from = event->proc_steal.from;
    if (event->p < 0 || event->p >= PROCESSORS_MAX || from >= PROCESSORS_MAX ||
        processors->present->end_ns < processors->from_ns || processors->present->end_ns >= processors->to_ns)
        return 0;
    if (!processors->steals)
        processors->steals = calloc((size_t)PROCESSORS_MAX * PROCESSORS_MAX, sizeof *processors->steals);
    if (!processors->steals)
        return -ENOMEM;
    processors->steals[(size_t)event->p * PROCESSORS_MAX + from] += event->proc_steal.count;
    processors->ps[event->p].stolen += event->proc_steal.count;
    if ((uint32_t)event->p >= processors->top)
        processors->top = (uint32_t)event->p + 1;
    if (from >= processors->top)
        processors->top = (uint32_t)from + 1;
    return 0;
}

int processors_move(struct processors *processors, const struct gmpt_event *event)
{
    switch (event->type) {
    case GMPT_EVENT_proc_start:
        hold(processors, (uint64_t)event->p, true);
        return 0;
    case GMPT_EVENT_proc_was:
        hold(processors, event->proc_was.p, true);
        return 0;
    case GMPT_EVENT_proc_stop:
    case GMPT_EVENT_go_detach:
        hold(processors, (uint64_t)event->p, false);
        return 0;
    case GMPT_EVENT_proc_retake:
        hold(processors, event->proc_retake.p, false);
        return 0;
    case GMPT_EVENT_proc_limit:
        processors->limit =
            event->proc_limit.count < PROCESSORS_MAX ? (uint32_t)event->proc_limit.count : PROCESSORS_MAX;
        if (processors->limit > processors->limit_most)
            processors->limit_most = processors->limit;
        idle_set(processors);
        return 0;
    case GMPT_EVENT_proc_steal:
        return steal(processors, event);
    default:
        return 0;
    }
}

void processors_finish(struct processors *processors, int64_t end_ns, struct findings *findings)
{
    if (processors->starving)
        processors_starve(processors, 0);
    for (uint32_t p = 0; p < PROCESSORS_MAX; p++) {
        hold(processors, p, false);
        if (processors->ps[p].runs && p >= processors->top)
            processors->top = p + 1;
    }
    if (processors->quota && processors->limit_most > processors->quota)
        findings_add(findings, &(struct finding){
                                   .kind = FINDING_QUOTA,
                                   .severity = FINDING_WARNING,
                                   .value = processors->limit_most,
                                   .threshold = processors->quota,
                                   .times = 1,
                                   .end_ns = end_ns,
                               });
    if (processors->starved_times)
        findings_add(findings, &(struct finding){
                                   .kind = FINDING_STARVATION,
                                   .severity = FINDING_WARNING,
                                   .value = processors->starved_worst_ns,
                                   .threshold = processors->starved_limit_ns,
                                   .times = processors->starved_times,
                                   .begin_ns = processors->starved_worst_end_ns - processors->starved_worst_ns,
                                   .end_ns = processors->starved_worst_end_ns,
                                   .gs = processors->starved_worst_most,
                               });
}

void processors_clear(struct processors *processors)
{
    free(processors->steals);
    processors->steals = NULL;
}
