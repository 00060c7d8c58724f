/* How much time all Gs spent in each state, over columns of equal width: an average number of Gs in each state when it
 * is divided by the width. An interval costs the same however many columns it covers. */
#ifndef GMPT_OVERTIME_H
#define GMPT_OVERTIME_H

#include "intervals.h"
#include "timesum.h"

#include <stddef.h>
#include <stdint.h>

/* Parts of a column are added to it; of whole columns only the first and the one past the last are noted, so that the
 * sum up to a column is how many cover it. */
struct overtime_column {
    int64_t part_ns[GMPT_G_STATES], whole[GMPT_G_STATES];
};

struct overtime {
    unsigned columns;
    int64_t width_ns, end_ns;
    struct overtime_column *near;   /* one that had something lately, */
    int64_t near_ns;                /* where it begins, */
    int64_t near_end_ns;            /* and where it is over, or all is */
    struct overtime_column *column; /* columns of them, and one more */
};

/* NULL with errno ENOMEM or EINVAL. What lies after the end is left out. */
struct overtime *overtime_open(int64_t end_ns, unsigned columns);
void overtime_close(struct overtime *overtime); /* NULL: nothing */
void overtime_add(struct overtime *overtime, const struct interval *interval);
void overtime_spend_anywhere(struct overtime *overtime, enum gmpt_g_state state, int64_t begin_ns, int64_t end_ns);

/* The same for a known state from begin_ns to end_ns. Nearly all intervals are short and lie in the column of the one
 * before. */
static inline void overtime_spend(struct overtime *overtime, enum gmpt_g_state state, int64_t begin_ns, int64_t end_ns)
{
    if (begin_ns >= overtime->near_ns && end_ns < overtime->near_end_ns)
        timesum_grow(&overtime->near->part_ns[state], end_ns - begin_ns);
    else
        overtime_spend_anywhere(overtime, state, begin_ns, end_ns);
}

/* state 0 is INTERVAL_LOST. */
int64_t overtime_ns(const struct overtime *overtime, enum gmpt_g_state state, unsigned column);
int64_t overtime_width_ns(const struct overtime *overtime);

#endif
