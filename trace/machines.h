/* What the threads of a trace did: how many were made, how often and how long they slept, waited in the poller, or
 * looked for work, and how long the kernel took to run one that was woken.
 *
 *     m_unpark     proc_start                 m_spin        go_start     proc_stop   m_park
 *        |- waking -|- holds a P ----------------|- spinning --|----------------|       |- parked ...
 *
 * And what they did on no G's behalf: polls of the network, timers that were due.
 *
 * Feed every event in order, then finish. An M spins on the P that it holds, so that time is part of the one in which
 * it held it, though the P ran no G. Threads that slept already when an attached recording began are first seen when
 * they are woken: they count as parked from the trace's start. Memory is bounded by distinct threads.
 */
#ifndef GMPT_MACHINES_H
#define GMPT_MACHINES_H

#include "histogram.h"

#include <gmptrace/trace.h>

struct machines;

struct machine_totals {
    uint64_t seen;    /* threads that held a P, slept or were woken */
    uint64_t held;    /* of these, threads that held a P */
    uint64_t created; /* threads that were made */
    uint64_t parks, unparks, spins;
    uint64_t polls;     /* of the network, that made Gs runnable or that an M slept in */
    uint64_t polled_gs; /* that they made runnable */
    int64_t held_ns, spinning_ns, parked_ns, polling_ns; /* summed over threads; polling_ns: asleep in the poller */
    struct summary_latency waking; /* from m_unpark until the M has its P */
    uint64_t timers_fired[GMPT_TIMER_USES], timers_taken; /* taken: by another P than they were started on */
    struct summary_latency timer_lateness;
};

struct machines *machines_open(void); /* NULL with errno ENOMEM */
void machines_close(struct machines *machines); /* NULL: nothing */

/* Returns 0 or -ENOMEM. */
int machines_add(struct machines *machines, const struct gmpt_event *event);
/* Ends what still goes on at end_ns. */
void machines_finish(struct machines *machines, int64_t end_ns);

/* Valid after machines_finish. */
const struct machine_totals *machines_totals(const struct machines *machines);

#endif
