/* Looking for work: an M's own P first, then what all share, then other Ps, then sleep. */
#ifndef GMPT_SEARCH_H
#define GMPT_SEARCH_H

#include "runtime.h"

#define GLOBAL_TICK 61 /* every so many starts the global queue goes first, so that it cannot starve */

/* On m's g0: a G to run, on the P that m holds when it returns, which may be another one than before. Sleeps when there
 * is none. *inherits: it goes on with the slice of the one before it. */
struct g *search_runnable(struct m *m, bool *inherits);
/* m has found one: it is no longer spinning, and whoever it kept from waking others need not be sorry. */
void search_end(struct m *m);

/* Whether any queue has something for an idle P to do. */
bool search_work_anywhere(void);

#endif
