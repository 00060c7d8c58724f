/* Where CPU time went, by the samples of a trace: what analyze shows of them. */
#ifndef GMPT_CPUTOP_H
#define GMPT_CPUTOP_H

#include "load.h"

/* The functions that used the most themselves; nothing when there are no samples. When memory is short it
 * says less. */
void cputop_print(const struct load *load);
/* "cpu_samples": {...}, for a line of an object; likewise. */
void cputop_json(const struct load *load);

#endif
