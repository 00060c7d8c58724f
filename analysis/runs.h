/* How long Gs run at a stretch, how they are made to stop, and how often they switch.
 *
 * A stretch begins when the scheduler starts a G or the G comes back from where the scheduler could have stopped it (a
 * blocking call, the runtime after its P was taken), and goes on while it runs without its P. */
#ifndef GMPT_RUNS_H
#define GMPT_RUNS_H

#include "distribution.h"
#include "finding.h"
#include "piece.h"

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
/* A piece of running, with or without a P, is over. Returns 0 or -ENOMEM. */
int runs_add(struct runs *runs, const struct piece *piece);

/* The same of a run that the G has ended itself. Nearly all are short, and lie in a window that goes on: such a one is
 * taken in; of another it returns false. */
static inline bool runs_add_usual(struct runs *runs, const struct interval_g *g, int64_t begin_ns, int64_t end_ns)
{
    struct stretch *stretch = interval_room(g, runs->room);
    bool usual = stretch->switches && end_ns - begin_ns < runs->hog_ns &&
                 end_ns - stretch->begin_ns < RUNS_SWITCH_WINDOW_NS;
    if (__builtin_expect(usual, 1))
        stretch->switches++;
    return __builtin_expect(usual, 1);
}

int runs_finish(struct runs *runs, struct findings *findings);
void runs_clear(struct runs *runs);

#endif
