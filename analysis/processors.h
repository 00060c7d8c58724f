/* What the Ps did: how long each ran Gs and was held by an M, who took Gs from whom, and whether some idled while
 * others had more Gs than they could run.
 *
 * A P idles while no M holds it; one in a blocking call, or that looks for work, does not. Gs starve while at least one
 * can run and does not, and a P idles: it takes a moment to wake an M, so only stretches that last count, and none
 * while the program is about to start its first P. */
#ifndef GMPT_PROCESSORS_H
#define GMPT_PROCESSORS_H

#include "finding.h"
#include "piece.h"
#include "trace/timesum.h"

#define PROCESSORS_MAX 256

struct processor {
    int64_t busy_ns; /* ran Gs */
    int64_t held_ns; /* was held by an M; only where the trace tells */
    uint64_t runs;
    uint64_t stolen; /* Gs that it took from others */
    int64_t since_ns;
    bool held;
};

struct processors {
    int64_t from_ns, to_ns;
    uint32_t limit; /* GOMAXPROCS now */
    uint32_t limit_most, quota; /* the most that it was; what the cgroup allows, 0 = there is no quota */
    uint32_t top;   /* the most Ps that were seen; valid after processors_finish */
    uint32_t held;
    bool started; /* some P was held */
    bool idle;    /* and one is not now, so that Gs that could run starve */
    struct processor ps[PROCESSORS_MAX];
    const struct intervals_present *present; /* of the intervals */
    uint64_t *steals; /* [thief * PROCESSORS_MAX + victim], Gs; NULL: none */
    int64_t starved_ns, starved_worst_ns, starved_worst_end_ns; /* in all; the longest stretch */
    uint64_t starving;                                          /* how many do, as was seen last */
    int64_t starving_since_ns;                                  /* valid while some do */
    uint64_t starving_most, starved_worst_most;                 /* at most */
    uint64_t starved_times;                                     /* stretches over the limit */
    int64_t starved_limit_ns;
};

/* The trace may be NULL. */
void processors_open(struct processors *processors, const struct finding_limits *limits,
                     const struct gmpt_trace *trace, const struct intervals_present *present, int64_t from_ns,
                     int64_t to_ns);
/* What an event says of Ps. Returns 0 or -ENOMEM. */
int processors_move(struct processors *processors, const struct gmpt_event *event);
/* More Gs starve than before, or fewer. */
void processors_starve(struct processors *processors, uint64_t starving);

/* After each event that the intervals have taken in, and processors_move: whether Gs starve. */
static inline void processors_look(struct processors *processors)
{
    if (processors->idle && processors->present->counts[GMPT_G_RUNNABLE] != processors->starving)
        processors_starve(processors, processors->present->counts[GMPT_G_RUNNABLE]);
}

/* A G ran on a P; -1 = it is not known on which. */
static inline void processors_ran(struct processors *processors, int32_t p, int64_t ran_ns)
{
    if (p < 0 || p >= PROCESSORS_MAX)
        return;
    timesum_grow(&processors->ps[p].busy_ns, ran_ns);
    processors->ps[p].runs++;
}

void processors_finish(struct processors *processors, int64_t end_ns, struct findings *findings);
void processors_clear(struct processors *processors);

#endif
