/* The peer of bench/emit.c: what an event with three integers costs a program that is traced by LTTng-UST. Prints
 * "emit_lttng NS". Bursts that fit into half of a buffer of 4 MiB, as there, and a pause for the consumer after each.
 * bench/trace.sh compiles it where LTTng is, and runs it while a session records. */
#define _GNU_SOURCE
#define LTTNG_UST_TRACEPOINT_CREATE_PROBES
#define LTTNG_UST_TRACEPOINT_DEFINE
#include "lttng_event.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { BURSTS = 100, BURST_EVENTS = 50000, PAUSE_NS = 20000000 };

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static double burst_ns(void)
{
    double began_ns = now_ns();
    for (uint32_t i = 0; i < BURST_EVENTS; i++)
        lttng_ust_tracepoint(gmptrace_bench, event, 17, i, 3);
    return (now_ns() - began_ns) / BURST_EVENTS;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(void)
{
    double ns[BURSTS];
    const struct timespec pause = { 0, PAUSE_NS };
    if (!lttng_ust_tracepoint_enabled(gmptrace_bench, event)) {
        fprintf(stderr, "emit_lttng: the session does not record this program\n");
        return 1;
    }
    burst_ns(); /* to warm up */
    for (int i = 0; i < BURSTS; i++) {
        nanosleep(&pause, NULL);
        ns[i] = burst_ns();
    }
    qsort(ns, BURSTS, sizeof *ns, compare);
    printf("emit_lttng %.2f\n", ns[BURSTS / 2]);
    printf("emit_lttng_events %d\n", (BURSTS + 1) * BURST_EVENTS);
    return 0;
}
