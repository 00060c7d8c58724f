/* GMPT_DEBUG=blockcheck: tells on standard error of Gs that block what others need.
 *
 * Two mistakes are looked for. A plain blocking call: a G that sleeps in the kernel while it holds its P, which nobody
 * else can use meanwhile. And a G that parks while it holds a pthread mutex: it may go on, and unlock, on another
 * thread, and who wants the mutex blocks a thread and not a G.
 *
 * The first is seen by a thread that looks every half millisecond, so shorter calls are seen by chance. The second is
 * seen at every park, when libgmptrace-blockcheck.so is preloaded, which notes what is locked. Each is told once for a
 * place in the program. */
#ifndef GMPT_BLOCKCHECK_H
#define GMPT_BLOCKCHECK_H

#include "runtime.h"

/* Mutexes are watched. Constant once Gs run. */
extern bool blockcheck_mutexes;

/* Starts watching, if GMPT_DEBUG says so. */
void blockcheck_start(void);
/* Tells what was seen and is not told yet. */
void blockcheck_stop(void);

/* The calling G is about to park for this reason. */
void blockcheck_park(const struct g *g, enum gmpt_wait_reason reason);

#endif
