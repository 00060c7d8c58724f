/* What the sections of an analysis are fed with: what a G did, from one of its transitions to the next, cut to the
 * window that was asked for, and put together again where only its labels changed. */
#ifndef GMPT_PIECE_H
#define GMPT_PIECE_H

#include "trace/intervals.h"
#include "trace/stackalias.h"

struct piece {
    const struct interval *interval; /* the last part of it */
    const struct interval_g *g;
    int64_t begin_ns, end_ns; /* within the window */
    int64_t lasted_ns; /* all parts that were chosen */
    struct stackalias *alias;
};

/* The stacks that stand for all that mean the same as the interval's, and as that where the G was started. */
static inline uint32_t piece_stack(const struct piece *piece)
{
    return stackalias_of(piece->alias, piece->interval->stack);
}

static inline uint32_t piece_create_stack(const struct piece *piece)
{
    return stackalias_of(piece->alias, piece->g->create_stack);
}

#endif
