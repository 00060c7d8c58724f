/* Ms and the Ps that they hold. */
#ifndef GMPT_MACHINE_H
#define GMPT_MACHINE_H

#include "runtime.h"

/* The M takes a P that is in the caller's hands. */
void machine_acquire(struct m *m, struct p *p);
/* The M gives its P up: returns it, for the idle list. */
struct p *machine_release(struct m *m);

/* An M from the idle list, or a new one, goes on with p, which is the caller's to give. Returns false, with p on the
 * idle list and the M no longer counted as spinning, when there is none to be had. */
bool machine_start(struct p *p, bool spinning);
/* How many times there was none, since sysmon last saw that nothing was left lying for want of one: memory or threads
 * are short, or the limit is reached. */
extern ATOMIC(uint32_t) machine_refusals;
/* Wakes an M that is asleep, or is about to be, with a P that is the caller's to give. */
void machine_give(struct m *m, struct p *p);
/* Sleeps until machine_give; comes back holding the P. */
void machine_sleep(struct m *m);
/* Sleeps on the idle list until machine_start picks this M; comes back holding the P that was given. */
void machine_stop(struct m *m);

#endif
