/* The goroutines that live at one moment of a trace, and which of them are alike. */
#ifndef GMPT_MUSTER_H
#define GMPT_MUSTER_H

#include "load.h"

#include "trace/filter.h"

struct muster_g {
    uint64_t id, parent, fn;
    int64_t age_ns; /* in its state; -1 = not known */
    uint64_t object;
    uint32_t at;      /* where it waits, or its call is, or what a sample says; 0 = not known */
    uint32_t alike;   /* the first stack that has the same functions and lines */
    uint32_t created; /* where it was started */
    uint32_t name, labels;
    uint32_t tid; /* the thread that runs it, 0 = none, or not known */
    enum gmpt_g_state state;
    enum gmpt_wait_reason reason; /* none when it does not wait */
    bool bounded;                 /* a deadline ends its wait */
};

/* Of the same function, in the same state, at the same place. */
struct muster_group {
    const struct muster_g *first; /* of count, the longest in its state first */
    size_t count;
    int64_t oldest_ns, newest_ns; /* -1 = not known */
};

struct muster {
    struct muster_g *gs; /* group by group */
    size_t count, room;
    struct muster_group *groups; /* the largest first */
    size_t group_count;
    uint64_t in_state[GMPT_G_STATES];
    uint64_t left_out; /* by the filter */
};

/* What a goroutine executes, though it does not wait. */
struct muster_sample {
    uint64_t g;
    uint32_t stack, tid;
};

/* From the trace as it has been read so far, at now_ns. filter: NULL = all; samples: ordered by g. Returns 0 or
 * -ENOMEM; muster_free is due either way. */
int muster_read(struct muster *muster, const struct load *load, int64_t now_ns, const struct filter *filter,
                const struct muster_sample *samples, size_t sample_count);
void muster_free(struct muster *muster);

/* Whether both are of one group. */
bool muster_same(const struct muster_g *a, const struct muster_g *b);

#endif
