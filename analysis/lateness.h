/* Scheduling latency: how long Gs that could run had to wait until they did. */
#ifndef GMPT_LATENESS_H
#define GMPT_LATENESS_H

#include "distribution.h"
#include "finding.h"
#include "piece.h"
#include "trace/slots.h"

struct lateness {
    struct slots slots;
    int64_t late_ns;             /* the limit */
    struct histogram all;        /* after lateness_finish */
    struct distributions starts; /* by function and where the G was started */
    struct distributions lines;  /* by where it had waited or called before; those who had not are under their start */
    struct distributions late;   /* those over the limit, as starts */
};

void lateness_open(struct lateness *lateness, const struct finding_limits *limits);
/* A G has begun to run. Returns 0 or -ENOMEM. */
int lateness_add(struct lateness *lateness, const struct piece *piece);
int lateness_finish(struct lateness *lateness, struct findings *findings);
void lateness_clear(struct lateness *lateness);

#endif
