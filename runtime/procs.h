/* How many Ps there are, and changing it while Gs run.
 *
 * sched.ps has room for sched.p_room of them from the start, sched.p_made have been laid out, and those below
 * sched.p_count take part. Growing lays out new ones or takes retired ones back. Shrinking only lowers p_count and asks
 * whoever runs on a P above it to give way; such a P is retired (P_RETIRED) instead of going idle, its Gs first moved
 * to the global queue. Nothing stops meanwhile, so for a moment more Ps may run than p_count says: until their Gs' next
 * safepoint, or until their slice is over and sysmon takes the P.
 *
 * A retired P keeps its timers, since whoever stops one knows it by its heap. The others fire them. Loops that look for
 * timers or work therefore go over p_made, not p_count. */
#ifndef GMPT_PROCS_H
#define GMPT_PROCS_H

#include "runtime.h"

/* Makes room for p_room Ps, and Ps 0 .. count-1, all but the first idle. Returns 0 or -ENOMEM. */
int procs_start(uint32_t p_room, uint32_t count);

/* For p, which the caller's M holds: fires what is due of the timers of retired Ps, and takes over what was sent to
 * their inboxes before that was known. */
void procs_serve_retired(struct p *p);

/* Whether this P no longer takes part. */
static inline bool procs_is_over_limit(const struct p *p)
{
    return unlikely(p->index >= load_relaxed(&sched.p_count));
}

#endif
