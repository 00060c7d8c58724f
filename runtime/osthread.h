/* Gs that are locked to their thread: such a G runs on its M only, and the M runs nothing else.
 *
 * The G is scheduled like any other. Whoever takes it from a queue and is not its M gives that M its own P and sleeps;
 * the M, which waits without a P whenever its G does not run, goes on with both. While it is locked the M's attention
 * has ATTENTION_LOCKED, so that it never switches from its G straight to another one. */
#ifndef GMPT_OSTHREAD_H
#define GMPT_OSTHREAD_H

#include "runtime.h"

/* On the g0 of an M whose locked G has just left: gives the P away, and sleeps until it is given one. Returns the G. */
struct g *osthread_wait(struct m *m);
/* Gives m's P to the M that g is locked to, which runs it, and sleeps until m is given another one. */
void osthread_pass(struct m *m, struct g *g);
/* The G ends, or unlocks. */
void osthread_unlock(struct m *m, struct g *g);

#endif
