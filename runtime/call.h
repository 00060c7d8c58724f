/* Blocking calls.
 *
 * The M keeps its P through a call, in state P_SYSCALL, so that a short call costs two stores and a CAS. Whoever moves
 * the status on by CAS has the P: the M as it comes back, sysmon when the call lasts, or, once sysmon has given the P
 * to another M that is in a call of its own, the first M again. The M that finds its P gone takes an idle one or queues
 * its G and sleeps. */
#ifndef GMPT_CALL_H
#define GMPT_CALL_H

#include "scheduler.h"

/* known_slow: the P is given to others at once, without waiting for sysmon to see that the call lasts. */
void call_begin(bool known_slow, struct api_site site);
void call_end(void);
/* Sysmon has taken p out of a call: finds an M for it if there is anything to do, else makes it idle. */
void call_hand_off(struct p *p);

#endif
