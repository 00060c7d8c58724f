/* Scheduling latency: how long Gs that could run had to wait until they did.
 *
 * Each latency belongs to where its G was started and to the line where it had waited. Most Gs wait at the same line
 * again and again, so it is entered once, under both together, and they are taken apart at the end. */
#ifndef GMPT_LATENESS_H
#define GMPT_LATENESS_H

#include "distribution.h"
#include "finding.h"
#include "piece.h"

#include <errno.h>

/* Of a G that lives: where its latest latency was entered that came after a wait or a call, and the latest one that did
 * not. */
struct late_g {
    struct distribution *pair, *pair_without;
    uint32_t stack; /* of pair: its line's, as the interval has it */
};

struct lateness {
    size_t room; /* where a G's struct late_g is */
    int64_t late_ns;             /* the limit */
    struct distributions pairs;  /* by function, where the G was started, and the line (kind) */
    struct histogram all;        /* this and the next two after lateness_finish */
    struct distributions starts; /* by function and where the G was started */
    struct distributions lines;  /* by where it had waited or called before; those who had not are under their start */
    struct distributions late;   /* those over the limit, as starts */
};

void lateness_open(struct lateness *lateness, struct intervals *intervals, const struct finding_limits *limits);
static inline struct distribution *late_pair(const struct late_g *g, uint32_t stack)
{
    if (stack == 0)
        return g->pair_without;
    return __builtin_expect(g->stack == stack, 1) ? g->pair : NULL;
}

/* Where a latency of late_ns is entered that is like a latest one of the G's, and not over the limit; NULL when it is
 * not. */
static inline struct distribution *lateness_usual(const struct lateness *lateness, const struct interval *late,
                                                  int64_t late_ns)
{
    bool usual = late_ns <= lateness->late_ns;
    return __builtin_expect(usual, 1) ? late_pair(interval_room(late->g, lateness->room), late->stack) : NULL;
}

/* A G has begun to run. Returns 0 or -ENOMEM. */
int lateness_add(struct lateness *lateness, const struct piece *piece);
int lateness_finish(struct lateness *lateness, struct findings *findings);
void lateness_clear(struct lateness *lateness);

#endif
