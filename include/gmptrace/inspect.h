/* gmptrace/inspect.h - the program looks at its own goroutines.
 *
 *     gmpt_dump(STDERR_FILENO);
 *
 * SIGQUIT writes the same dump on standard error and ends the program with status 2, as in Go, unless the program
 * has a handler of its own for it. So does a deadlock: when every G waits for another one, none of them for a
 * descriptor, a time or a signal, the program ends with "fatal error: all goroutines are asleep - deadlock!", the dump
 * and status 2 (GMPT_DEBUG=nodeadlock leaves it hanging instead).
 *
 * GMPT_DEBUG in the environment is a list such as schedtrace=1000,scheddetail; a name alone means 1:
 *   schedtrace=N   every N milliseconds a line on standard error with what Ps, Ms and queues do, as Go's
 *   scheddetail    and with it a line for each P, M and G
 *   nodeadlock     see above
 *   blockcheck     tells of Gs that block their thread: see net.h
 *   clearstacks    clears the top page of a stack before a new G gets it
 *   stackcopy      a proof of leaks copies all stacks by itself, and not only those of many Gs
 * What it does not know is told on standard error and left out.
 *
 * Included by gmpt.h, whose rules hold. */
#ifndef GMPT_INSPECT_H
#define GMPT_INSPECT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* Writes to fd what every G does: its state, what it waits for and for how many minutes, its stack, and who started it.
 * Gs that do the same at the same place are written once, with their number. Nobody is stopped meanwhile, and a G that
 * runs on another thread has no stack in it. An address is written as FILE+0xOFFSET, which addr2line -e FILE takes. Any
 * thread, also one with a lock held; wants 16 KiB of stack. Blocks the thread while fd does. Returns 0 or -errno. */
int gmpt_dump(int fd);

/* ---- Metrics ---------------------------------------------------------------------------------------------------- */

#define GMPT_METRICS_REASONS 64
#define GMPT_LATENCY_BUCKETS 160

/* What the runtime is doing and has done. Counters count from its start. Each number was true at a moment during the
 * call; together they need not have been. */
struct gmpt_metrics {
    /* Gs that are alive, by state; gs is the sum */
    uint64_t gs, gs_runnable, gs_running, gs_waiting;
    uint64_t gs_in_calls;                          /* in a blocking call */
    uint64_t gs_without_p;                         /* compute on a thread whose P was taken */
    uint64_t gs_waiting_for[GMPT_METRICS_REASONS]; /* of gs_waiting; by enum gmpt_wait_reason of trace.h */

    uint32_t ps, ps_idle;                /* GOMAXPROCS, and how many of these have nothing to do */
    uint32_t ms, ms_parked, ms_spinning; /* threads that run Gs, those asleep until needed, those that look for work */
    uint64_t queued;                     /* Gs in the global queue */
    uint64_t timers;                     /* started and not yet fired or stopped */
    uint64_t poll_waiters;               /* waits for descriptors, and 1 while signals are watched for */
    uint64_t stacks_bytes;               /* address space of all stacks made so far, in use or free; not memory */

    uint64_t steals, stolen; /* times that a P took Gs from another, and how many Gs */
    uint64_t handoffs;       /* times that a P left a thread in a blocking call or a hog */
    uint64_t preempted_t0, preempted_t1,
        preempted_t2; /* Gs that gave way on request, lost their P, or were signalled */

    /* How long Gs were runnable before they ran, in buckets (gmpt_latency_bucket_ns). One in latency_one_in of these
     * times is counted: 1, all of them, in a program that is being recorded from its start; else a sample. */
    uint32_t latency_one_in;
    uint64_t latency[GMPT_LATENCY_BUCKETS];
};

/* Fills in *metrics. Looks at every G that there has been at a time, some nanoseconds each. Does not block. Any thread
 * while the runtime runs. */
void gmpt_metrics_read(struct gmpt_metrics *metrics);

/* The least number of nanoseconds that falls into this bucket, 0 to GMPT_LATENCY_BUCKETS - 1 (others count as the
 * nearest of these); the last has no upper limit. Four buckets to an octave. Any thread, at any time. */
int64_t gmpt_latency_bucket_ns(int bucket);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
