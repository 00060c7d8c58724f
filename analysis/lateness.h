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

/* Of a G that lives: where its latest latency was entered. */
struct late_g {
    struct distribution *pair;
    uint32_t stack; /* its line's, as the interval has it */
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
int lateness_late(struct lateness *lateness, const struct piece *piece);
struct distribution *lateness_pair(struct lateness *lateness, struct late_g *g, const struct piece *piece);

/* A G has begun to run. Returns 0 or -ENOMEM. */
static inline int lateness_add(struct lateness *lateness, const struct piece *piece)
{
    struct late_g *g = interval_room(piece->g, lateness->room);
    struct distribution *pair = g->pair;
    if (__builtin_expect(!pair || g->stack != piece->interval->stack, 0))
        pair = lateness_pair(lateness, g, piece);
    if (__builtin_expect(!pair || distribution_add(pair, piece->lasted_ns, piece->end_ns, piece->g->id, 0), 0))
        return -ENOMEM;
    return __builtin_expect(piece->lasted_ns > lateness->late_ns, 0) ? lateness_late(lateness, piece) : 0;
}

int lateness_finish(struct lateness *lateness, struct findings *findings);
void lateness_clear(struct lateness *lateness);

#endif
