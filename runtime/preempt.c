/* What a G does at its next safepoint after sysmon wanted something of it. See enter.h. */
#include "scheduler.h"

#include <sched.h>

void enter_slow(struct m *m, bool was_inside)
{
    if ((load_acquire(&m->attention) & ATTENTION_YIELD) && !was_inside && m->p)
        scheduler_preempted();
}
