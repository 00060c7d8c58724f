/* How long Gs run at a stretch, how they are made to stop, and how often they switch.
 *
 * A stretch begins when the scheduler starts a G or the G comes back from where the scheduler could have stopped it (a
 * blocking call, the runtime after its P was taken), and goes on while it runs without its P. */
#ifndef GMPT_RUNS_H
#define GMPT_RUNS_H

#include "distribution.h"
#include "finding.h"
#include "piece.h"

#include <errno.h>

#define RUNS_SWITCH_WINDOW_NS 1000000000

/* Of a G that lives. */
struct stretch {
    int64_t ran_ns;    /* before its P was taken */
    uint64_t switches; /* in the window that goes on */
    int64_t begin_ns;  /* of that window */
    bool stormy;       /* was over the limit: it is counted */
};

struct runs {
    size_t room; /* where a G's struct stretch is */
    int64_t hog_ns;
    uint64_t switches_per_s;
    struct distributions preempted; /* stretches that a preemption ended, by tier (kind), function and creation */
    struct distributions hogs;      /* stretches over the limit, likewise */
    struct distributions storms;    /* switches in windows over the limit, by function and creation; marked: the Gs */
};

void runs_open(struct runs *runs, struct intervals *intervals, const struct finding_limits *limits);
int runs_add_rare(struct runs *runs, struct stretch *stretch, const struct piece *piece);

/* A piece of running, with or without a P, is over. Returns 0 or -ENOMEM. Nearly all are short, end by the G's own
 * doing, and lie in a window that goes on. */
static inline int runs_add(struct runs *runs, const struct piece *piece)
{
    enum gmpt_event_type ended_by = piece->interval->ended_by;
    struct stretch *stretch = interval_room(piece->g, runs->room);
    bool usual = ended_by == GMPT_EVENT_go_yield || ended_by == GMPT_EVENT_go_block;
    if (__builtin_expect(!usual || stretch->switches == 0 || piece->lasted_ns >= runs->hog_ns ||
                             piece->end_ns - stretch->begin_ns >= RUNS_SWITCH_WINDOW_NS, 0))
        return runs_add_rare(runs, stretch, piece);
    stretch->switches++;
    return 0;
}

int runs_finish(struct runs *runs, struct findings *findings);
void runs_clear(struct runs *runs);

#endif
