/* How long Gs run at a stretch, how they are made to stop, and how often they switch.
 *
 * A stretch begins when the scheduler starts a G or the G comes back from where the scheduler could have stopped it (a
 * blocking call, the runtime after its P was taken), and goes on while it runs without its P. */
#ifndef GMPT_RUNS_H
#define GMPT_RUNS_H

#include "distribution.h"
#include "finding.h"
#include "piece.h"
#include "trace/slots.h"

#define RUNS_SWITCH_WINDOW_NS 1000000000

struct runs {
    struct slots slots;
    int64_t hog_ns;
    uint64_t switches_per_s;
    struct distributions preempted; /* stretches that a preemption ended, by tier (kind), function and creation */
    struct distributions hogs;      /* stretches over the limit, likewise */
    struct distributions storms;    /* switches in windows over the limit, by function and creation; marked: the Gs */
};

void runs_open(struct runs *runs, const struct finding_limits *limits);
/* A piece of running, with or without a P, is over. Returns 0 or -ENOMEM. */
int runs_add(struct runs *runs, const struct piece *piece);
int runs_finish(struct runs *runs, struct findings *findings);
void runs_clear(struct runs *runs);

#endif
