/* See overtime.h. */
#include "overtime.h"

#include <errno.h>
#include <stdlib.h>

struct overtime *overtime_open(int64_t end_ns, unsigned columns)
{
    if (columns == 0 || columns > (1u << 20) || end_ns < 0) {
        errno = EINVAL;
        return NULL;
    }
    struct overtime *overtime = calloc(1, sizeof *overtime);
    if (!overtime)
        return NULL;
    overtime->columns = columns;
    overtime->width_ns = end_ns > 0 ? (end_ns - 1) / columns + 1 : 1;
    overtime->end_ns = end_ns;
    overtime->near = overtime->column = calloc((size_t)columns + 1, sizeof *overtime->column);
    if (overtime->column)
        return overtime;
    overtime_close(overtime);
    errno = ENOMEM;
    return NULL;
}

void overtime_close(struct overtime *overtime)
{
    if (!overtime)
        return;
    free(overtime->column);
    free(overtime);
}

void overtime_spend_anywhere(struct overtime *overtime, enum gmpt_g_state state, int64_t begin_ns, int64_t end_ns)
{
    struct overtime_column *column = overtime->column;
    int64_t width_ns = overtime->width_ns;
    if (begin_ns < 0)
        begin_ns = 0;
    if (end_ns > overtime->end_ns)
        end_ns = overtime->end_ns;
    if (begin_ns >= end_ns)
        return;
    int64_t first = begin_ns / width_ns, last = end_ns / width_ns;
    if (last < overtime->columns) {
        overtime->near = &column[last];
        overtime->near_ns = last * width_ns;
        overtime->near_end_ns = overtime->near_ns + width_ns;
        if (overtime->near_end_ns > overtime->end_ns)
            overtime->near_end_ns = overtime->end_ns;
    }
    if (first == last) {
        timesum_add(&column[first].part_ns[state], end_ns - begin_ns);
        return;
    }
    timesum_add(&column[first].part_ns[state], (first + 1) * width_ns - begin_ns);
    timesum_add(&column[last].part_ns[state], end_ns - last * width_ns);
    column[first + 1].whole[state]++;
    column[last].whole[state]--;
}

void overtime_add(struct overtime *overtime, const struct interval *interval)
{
    if ((unsigned)interval->state < GMPT_G_STATES)
        overtime_spend(overtime, interval->state, interval->begin_ns, interval->end_ns);
}

int64_t overtime_ns(const struct overtime *overtime, enum gmpt_g_state state, unsigned column)
{
    if ((unsigned)state >= GMPT_G_STATES || column >= overtime->columns)
        return 0;
    int64_t covering = 0, ns;
    for (unsigned i = 0; i <= column; i++)
        covering += overtime->column[i].whole[state];
    if (__builtin_mul_overflow(covering, overtime->width_ns, &ns))
        return INT64_MAX;
    timesum_add(&ns, overtime->column[column].part_ns[state]);
    return ns;
}

int64_t overtime_width_ns(const struct overtime *overtime) { return overtime->width_ns; }
