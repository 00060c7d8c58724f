/* Parts of a column are added to it; of whole columns only the first and the one past the last are noted, so that the
 * sum up to a column is how many cover it. */
#include "overtime.h"

#include <errno.h>
#include <stdlib.h>

struct overtime {
    unsigned columns;
    int64_t width_ns, end_ns;
    int64_t *part_ns, *whole; /* by state * (columns + 1) + column */
};

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
    overtime->part_ns = calloc((size_t)GMPT_G_STATES * (columns + 1), sizeof *overtime->part_ns);
    overtime->whole = calloc((size_t)GMPT_G_STATES * (columns + 1), sizeof *overtime->whole);
    if (overtime->part_ns && overtime->whole)
        return overtime;
    overtime_close(overtime);
    errno = ENOMEM;
    return NULL;
}

void overtime_close(struct overtime *overtime)
{
    if (!overtime)
        return;
    free(overtime->part_ns);
    free(overtime->whole);
    free(overtime);
}

static void part_add(int64_t *part_ns, int64_t ns)
{
    if (__builtin_add_overflow(*part_ns, ns, part_ns))
        *part_ns = INT64_MAX;
}

void overtime_add(struct overtime *overtime, const struct interval *whole)
{
    struct interval cut = *whole;
    if (!interval_clip(&cut, 0, overtime->end_ns) || (unsigned)cut.state >= GMPT_G_STATES)
        return;
    size_t base = (size_t)cut.state * (overtime->columns + 1);
    int64_t width_ns = overtime->width_ns, first = cut.begin_ns / width_ns, last = cut.end_ns / width_ns;
    if (first == last) {
        part_add(&overtime->part_ns[base + (size_t)first], cut.end_ns - cut.begin_ns);
        return;
    }
    part_add(&overtime->part_ns[base + (size_t)first], (first + 1) * width_ns - cut.begin_ns);
    part_add(&overtime->part_ns[base + (size_t)last], cut.end_ns - last * width_ns);
    overtime->whole[base + (size_t)first + 1]++;
    overtime->whole[base + (size_t)last]--;
}

int64_t overtime_ns(const struct overtime *overtime, enum gmpt_g_state state, unsigned column)
{
    if ((unsigned)state >= GMPT_G_STATES || column >= overtime->columns)
        return 0;
    size_t base = (size_t)state * (overtime->columns + 1);
    int64_t covering = 0, ns;
    for (unsigned i = 0; i <= column; i++)
        covering += overtime->whole[base + i];
    if (__builtin_mul_overflow(covering, overtime->width_ns, &ns))
        return INT64_MAX;
    part_add(&ns, overtime->part_ns[base + column]);
    return ns;
}

int64_t overtime_width_ns(const struct overtime *overtime) { return overtime->width_ns; }
