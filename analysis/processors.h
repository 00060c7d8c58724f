/* What the Ps did: how long each ran Gs and was held by an M, who took Gs from whom, and whether some idled while
 * others had more Gs than they could run.
 *
 * A P idles while no M holds it; one in a blocking call, or that looks for work, does not. Gs starve while at least one
 * can run and does not, and a P idles: it takes a moment to wake an M, so only stretches that last count. */
#ifndef GMPT_PROCESSORS_H
#define GMPT_PROCESSORS_H

#include "finding.h"
#include "piece.h"
#include "slots.h"

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
    struct slots slots;
    int64_t from_ns, to_ns;
    uint32_t limit; /* GOMAXPROCS now */
    uint32_t top;   /* the most Ps that were seen */
    uint32_t held;
    int64_t counts[GMPT_G_STATES]; /* Gs in each state now */
    struct processor ps[PROCESSORS_MAX];
    uint64_t *steals; /* [thief * PROCESSORS_MAX + victim], Gs; NULL: none */
    int64_t now_ns;
    int64_t starved_ns, starved_worst_ns, starved_worst_end_ns; /* in all; the longest stretch */
    int64_t starving_since_ns;                                  /* -1 = not now */
    int64_t starving_most, starved_worst_most;                  /* Gs that could run, at most */
    uint64_t starved_times;                                     /* stretches over the limit */
    int64_t starved_limit_ns;
};

void processors_open(struct processors *processors, const struct finding_limits *limits, uint32_t maxprocs,
                     int64_t from_ns, int64_t to_ns);
/* Before an event is taken in: time goes on with things as they are. Afterwards: what it says of Ps. */
void processors_until(struct processors *processors, int64_t time_ns);
int processors_event(struct processors *processors, const struct gmpt_event *event);
/* A G has entered a state; GMPT_G_DEAD: it is gone. */
int processors_enter(struct processors *processors, const struct interval_g *g, enum gmpt_g_state state);
/* A G ran on a P. */
void processors_ran(struct processors *processors, const struct piece *piece);
void processors_finish(struct processors *processors, int64_t end_ns, struct findings *findings);
void processors_clear(struct processors *processors);

#endif
