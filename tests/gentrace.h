/* Traces of a made-up program whose every nanosecond is known: a scheduler of a few Ps that acts at random, written
 * down as text (trace/text.h), and kept account of by itself, apart from all that the tools count. */
#ifndef GMPT_GENTRACE_H
#define GMPT_GENTRACE_H

#include <gmptrace/trace.h>

#include <stdint.h>

#define GENTRACE_PS 3
#define GENTRACE_GS_MAX 64
#define GENTRACE_STACKS 4 /* where Gs wait, call and start others: 1 .. this; stack n has n + 1 addresses */

struct gentrace_g {
    int64_t created_ns, ended_ns; /* ended_ns: the trace's end while it lives */
    int64_t state_ns[GMPT_G_STATES];
    int64_t wait_ns[GMPT_WAIT_REASONS];
};

struct gentrace {
    char *text; /* the caller frees it */
    int64_t length_ns;
    uint64_t g_count, alive; /* Gs are 1 .. g_count */
    struct gentrace_g g[GENTRACE_GS_MAX + 1];
    int64_t state_ns[GMPT_G_STATES], wait_ns[GMPT_WAIT_REASONS];
    uint64_t waits[GMPT_WAIT_REASONS];
    uint64_t runnable_at_end, syscalls, starts, preempts, detaches, steals, stolen_gs, woken_by_g;
    int64_t tenant_ns[2]; /* of all Gs while labelled tenant=acme, tenant=zeta */
};

/* The same seed gives the same trace. */
struct gentrace gentrace_make(unsigned seed, int steps);

#endif
