/* How long a goroutine that could run waits for a P that another one does not give up.
 *
 *     delays [ROW...]
 *
 * preempt: beside four that compute and never call the runtime, one sleeps for a millisecond again and again; how late
 * it wakes, in us, 99 % of the time. The four look at the clock and stop, so that the program ends whatever the runtime
 * does about them.
 * handoff: from the beginning of a long blocking call until another one runs, in us, half of the time.
 * bench/go/delays.go is its peer. */
#define _GNU_SOURCE
#include "rows.h"

#include <poll.h>

enum { HOGS = 4, SLEEPS_MAX = 10000, CALLS = 50 };
#define HOGGING_NS 2000000000ll
#define SLEEP_NS 1000000

static struct gmpt_waitgroup group = GMPT_WAITGROUP_INIT;

static void hog(void *args)
{
    int64_t end_ns = *(int64_t *)args;
    while (gmpt_now() < end_ns)
        for (volatile int i = 0; i < 10000; i++)
            continue;
    gmpt_waitgroup_done(&group);
}

static void preempt(void)
{
    int64_t *late_ns = row_alloc(SLEEPS_MAX, sizeof *late_ns);
    size_t sleeps = 0;
    int64_t end_ns = gmpt_now() + HOGGING_NS;
    for (int i = 0; i < HOGS; i++)
        row_start(&group, hog, &end_ns, sizeof end_ns);
    while (gmpt_now() < end_ns && sleeps < SLEEPS_MAX) {
        int64_t deadline_ns = gmpt_now() + SLEEP_NS;
        gmpt_sleep_until(deadline_ns);
        late_ns[sleeps++] = gmpt_now() - deadline_ns;
    }
    gmpt_waitgroup_wait(&group);
    row_print("preempt", (double)row_percentile(late_ns, sleeps, 99) / 1e3);
    free(late_ns);
}

static void note_time(void *args)
{
    **(int64_t **)args = gmpt_now();
    gmpt_waitgroup_done(&group);
}

static void handoff(void)
{
    int64_t waited_ns[CALLS];
    for (int i = 0; i < CALLS; i++) {
        int64_t ran_ns, *where = &ran_ns;
        row_start(&group, note_time, &where, sizeof where);
        int64_t began_ns = gmpt_now();
        gmpt_blocking_begin();
        poll(NULL, 0, 5);
        gmpt_blocking_end();
        gmpt_waitgroup_wait(&group);
        waited_ns[i] = ran_ns - began_ns;
    }
    row_print("handoff", (double)row_percentile(waited_ns, CALLS, 50) / 1e3);
}

static int delays(void *arg)
{
    (void)arg;
    if (row_is_wanted("preempt"))
        preempt();
    if (row_is_wanted("handoff"))
        handoff();
    return 0;
}

int main(int argc, char **argv)
{
    (void)argc;
    rows_wanted = argv + 1;
    return gmpt_run(delays, NULL);
}
