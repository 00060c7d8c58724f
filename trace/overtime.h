/* How much time all Gs spent in each state, over columns of equal width: an average number of Gs in each state when it
 * is divided by the width. An interval costs the same however many columns it covers. */
#ifndef GMPT_OVERTIME_H
#define GMPT_OVERTIME_H

#include "intervals.h"

#include <stdint.h>

struct overtime;

/* NULL with errno ENOMEM or EINVAL. What lies after the end is left out. */
struct overtime *overtime_open(int64_t end_ns, unsigned columns);
void overtime_close(struct overtime *overtime); /* NULL: nothing */
void overtime_add(struct overtime *overtime, const struct interval *interval);
/* The same for a known state from begin_ns to end_ns. */
void overtime_spend(struct overtime *overtime, enum gmpt_g_state state, int64_t begin_ns, int64_t end_ns);
/* state 0 is INTERVAL_LOST. */
int64_t overtime_ns(const struct overtime *overtime, enum gmpt_g_state state, unsigned column);
int64_t overtime_width_ns(const struct overtime *overtime);

#endif
