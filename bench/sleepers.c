/* 100,000 goroutines, each of which sleeps until a moment of its own in every second: CPU time that one sleep costs,
 * and how late they wake. bench/go/sleepers.go is its peer.
 *
 *     sleepers [ROW...] */
#define _GNU_SOURCE
#include "rows.h"

#include <sys/resource.h>

enum { MANY = 100000, SECONDS = 2 };
#define SECOND_NS 1000000000ll
#define START_NS 300000000ll /* time for all of them to be made */

static struct gmpt_waitgroup group = GMPT_WAITGROUP_INIT;
static int64_t base_ns;
static int64_t *late_ns; /* of each, in the second that is measured */

static void sleeper(void *args)
{
    uint32_t self = *(uint32_t *)args;
    int64_t offset_ns = (int64_t)(self * 2654435761u % 1000000u) * 1000; /* spread evenly, in no order */
    for (int second = 0; second < SECONDS; second++) {
        int64_t deadline_ns = base_ns + second * SECOND_NS + offset_ns;
        gmpt_sleep_until(deadline_ns);
        late_ns[self] = gmpt_now() - deadline_ns;
    }
    gmpt_waitgroup_done(&group);
}

static double cpu_ns(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return ((double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
            (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec)) *
           1e3;
}

static int sleepers(void *arg)
{
    (void)arg;
    late_ns = row_alloc(MANY, sizeof *late_ns);
    base_ns = gmpt_now() + START_NS;
    for (uint32_t i = 0; i < MANY; i++)
        row_start(&group, sleeper, &i, sizeof i);
    /* Until all are done, however late: on a busy machine a window of fixed length would miss some of the work. */
    gmpt_sleep_until(base_ns);
    double began_ns = cpu_ns();
    gmpt_waitgroup_wait(&group);
    if (row_is_wanted("sleep_cpu"))
        row_print("sleep_cpu", (cpu_ns() - began_ns) / (SECONDS * MANY));
    if (row_is_wanted("sleep_late"))
        row_print("sleep_late", (double)row_percentile(late_ns, MANY, 50) / 1e3);
    free(late_ns);
    return 0;
}

int main(int argc, char **argv)
{
    (void)argc;
    rows_wanted = argv + 1;
    return gmpt_run(sleepers, NULL);
}
