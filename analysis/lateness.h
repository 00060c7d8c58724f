/* Scheduling latency: how long Gs that could run had to wait until they did. */
#ifndef GMPT_LATENESS_H
#define GMPT_LATENESS_H

#include "distribution.h"
#include "finding.h"
#include "piece.h"

/* Zero-initialised is empty. */
struct lateness {
    struct histogram all;        /* after lateness_finish */
    struct distributions starts; /* by function and where the G was started */
    struct distributions lines;  /* by where it had waited or called before; those who had not are under their start */
    struct distributions late;   /* those over the limit, as starts */
};

/* A G has begun to run. Returns 0 or -ENOMEM. */
int lateness_add(struct lateness *lateness, const struct piece *piece, const struct finding_limits *limits);
int lateness_finish(struct lateness *lateness, const struct finding_limits *limits, struct findings *findings);
void lateness_clear(struct lateness *lateness);

#endif
