/* Which G a thread had when the kernel took its CPU: by the thread's own word, or, where a tier cannot read that, by
 * our own trace: the G that has the P that the thread holds, or had it when that was taken from it. */
#ifndef GMPT_KERNELGS_H
#define GMPT_KERNELGS_H

#include "intervals.h"
#include "kernelintervals.h"
#include "table.h"

#include <stdint.h>

#define KERNELGS_PS_MAX 256
#define KERNELGS_ALONE_MAX 65536 /* of further threads that is not known */

/* Zero-initialised is empty. */
struct kernelgs {
    uint32_t tid_of_p[KERNELGS_PS_MAX]; /* who holds it by our own trace; 0 = nobody, or not known */
    int32_t p_top;                      /* no higher P than that was held */
    struct table alone;                 /* by tid: threads whose P was taken while a G was on them */
};

/* Any event, after the intervals have had it, or those that kernelgs_takes. Returns 0 or -ENOMEM. */
int kernelgs_add(struct kernelgs *gs, const struct gmpt_event *event, const struct intervals *intervals);
static inline bool kernelgs_takes(enum gmpt_event_type type)
{
    return type < GMPT_EVENT_go_unblock || type == GMPT_EVENT_go_detach;
}

/* What the G does as the interval ends, which it did all along: its thread was not there to change it. NULL = the
 * thread had none, or it is not known. Valid until the next event. */
const struct interval *kernelgs_doing(const struct kernelgs *gs, const struct kernel_interval *interval,
                                      const struct intervals *intervals);
/* What the thread did, as far as it is known; doing is what kernelgs_doing has returned. A G that has ended by our own
 * trace is none, though its thread still has its word. */
enum gmpt_kernel_doing kernelgs_did(const struct kernel_interval *interval, const struct interval *doing);
/* The P that the thread holds by our own trace; -1 = none, or not known. */
int32_t kernelgs_p(const struct kernelgs *gs, uint32_t tid);
/* The thread that a G was on, of an interval in which it ran or was in a call, as that ends; 0 = not known. */
uint32_t kernelgs_tid(const struct kernelgs *gs, const struct interval *interval);
void kernelgs_clear(struct kernelgs *gs);

#endif
