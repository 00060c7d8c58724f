/* What the runtime's operations cost. Prints "NAME NS_PER_OP" lines; bench/go/main.go does the same work under the same
 * names, and bench/run.sh sets them side by side.
 *
 *     bench [NAME...]     all, or those named
 *
 * Every workload runs once to warm up and then once for the clock. parked_100k_bytes is bytes a goroutine. */
#define _GNU_SOURCE
#include <gmptrace/gmpt.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct gmpt_waitgroup group = GMPT_WAITGROUP_INIT;

static void start(void (*fn)(void *args), const void *args, size_t size)
{
    gmpt_waitgroup_add(&group, 1);
    if (gmpt_go(fn, args, size) < 0) {
        fprintf(stderr, "bench: out of goroutines\n");
        exit(1);
    }
}

/* ---- Turns ----------------------------------------------------------------------------------------------------------
 */

static void yielder(void *args)
{
    for (long i = *(long *)args; i > 0; i--)
        gmpt_yield();
    gmpt_waitgroup_done(&group);
}

static long yield_among(long gs, long total)
{
    long each = total / gs;
    for (long i = 0; i < gs; i++)
        start(yielder, &each, sizeof each);
    gmpt_waitgroup_wait(&group);
    return each * gs;
}

static long yield_2(void) { return yield_among(2, 2000000); }
static long yield_1000(void) { return yield_among(1000, 2000000); }

static void nothing(void *args)
{
    (void)args;
    gmpt_waitgroup_done(&group);
}

static long spawn_join_1000(void)
{
    for (int batch = 0; batch < 500; batch++) {
        for (int i = 0; i < 1000; i++)
            start(nothing, NULL, 0);
        gmpt_waitgroup_wait(&group);
    }
    return 500 * 1000;
}

/* ---- Channels -------------------------------------------------------------------------------------------------------
 */

struct chan_pair {
    struct gmpt_chan *there, *back;
    long count;
};

static void ponger(void *args)
{
    struct chan_pair *pair = args;
    for (long value, i = 0; i < pair->count; i++) {
        gmpt_chan_recv(pair->there, &value);
        gmpt_chan_send(pair->back, &value);
    }
    gmpt_waitgroup_done(&group);
}

static long chan_round_trip(void)
{
    struct chan_pair pair = { gmpt_chan_new(sizeof(long), 0), gmpt_chan_new(sizeof(long), 0), 500000 };
    start(ponger, &pair, sizeof pair);
    for (long value = 0; value < pair.count; value++) {
        long echoed;
        gmpt_chan_send(pair.there, &value);
        gmpt_chan_recv(pair.back, &echoed);
    }
    gmpt_waitgroup_wait(&group);
    gmpt_chan_release(pair.there);
    gmpt_chan_release(pair.back);
    return pair.count;
}

static void sender(void *args)
{
    struct chan_pair *pair = args;
    for (long value = 0; value < pair->count; value++)
        gmpt_chan_send(pair->there, &value);
    gmpt_waitgroup_done(&group);
}

static long chan_buffered(void)
{
    struct chan_pair pair = { gmpt_chan_new(sizeof(long), 128), NULL, 2000000 };
    start(sender, &pair, sizeof pair);
    for (long value, i = 0; i < pair.count; i++)
        gmpt_chan_recv(pair.there, &value);
    gmpt_waitgroup_wait(&group);
    gmpt_chan_release(pair.there);
    return pair.count;
}

static long select_2(void)
{
    struct chan_pair left = { gmpt_chan_new(sizeof(long), 0), NULL, 250000 };
    struct chan_pair right = { gmpt_chan_new(sizeof(long), 0), NULL, 250000 };
    start(sender, &left, sizeof left);
    start(sender, &right, sizeof right);
    for (long i = 0; i < left.count + right.count; i++) {
        long value;
        struct gmpt_select_case cases[] = { { left.there, GMPT_RECV, &value, 0 },
                                            { right.there, GMPT_RECV, &value, 0 } };
        gmpt_select(cases, 2);
    }
    gmpt_waitgroup_wait(&group);
    gmpt_chan_release(left.there);
    gmpt_chan_release(right.there);
    return left.count + right.count;
}

/* ---- Locks ----------------------------------------------------------------------------------------------------------
 */

static struct gmpt_mutex mutex = GMPT_MUTEX_INIT;
static volatile long guarded;

static void locker(void *args)
{
    for (long i = *(long *)args; i > 0; i--) {
        gmpt_mutex_lock(&mutex);
        guarded++;
        gmpt_mutex_unlock(&mutex);
    }
    gmpt_waitgroup_done(&group);
}

static long lock_among(long gs, long total)
{
    long each = total / gs;
    for (long i = 0; i < gs; i++)
        start(locker, &each, sizeof each);
    gmpt_waitgroup_wait(&group);
    return each * gs;
}

static long mutex_alone(void) { return lock_among(1, 10000000); }
static long mutex_8(void) { return lock_among(8, 4000000); }

/* ---- Many -----------------------------------------------------------------------------------------------------------
 */

static void sleeper(void *args)
{
    (void)args;
    gmpt_sleep(10000000);
    gmpt_waitgroup_done(&group);
}

static long sleep_100k(void)
{
    for (int i = 0; i < 100000; i++)
        start(sleeper, NULL, 0);
    gmpt_waitgroup_wait(&group);
    return 100000;
}

static void parker(void *args)
{
    struct chan_pair *pair = args;
    gmpt_waitgroup_done(&group);
    gmpt_chan_recv(pair->there, NULL);
    gmpt_waitgroup_done(&group);
}

static long resident_bytes(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%*d %ld", &pages) != 1)
        pages = 0;
    if (file)
        fclose(file);
    return pages * 4096;
}

/* Returns bytes for each of 100,000 goroutines that wait on a channel. */
static double parked_bytes(void)
{
    enum { MANY = 100000 };
    struct chan_pair pair = { gmpt_chan_new(0, 0), NULL, 0 };
    long before = resident_bytes();
    for (int i = 0; i < MANY; i++)
        start(parker, &pair, sizeof pair);
    gmpt_waitgroup_wait(&group);
    double bytes = (double)(resident_bytes() - before) / MANY;
    gmpt_waitgroup_add(&group, MANY);
    gmpt_chan_close(pair.there);
    gmpt_waitgroup_wait(&group);
    gmpt_chan_release(pair.there);
    return bytes;
}

/* ---- All of them
 * ------------------------------------------------------------------------------------------------------ */

static const struct workload {
    const char *name;
    long (*run)(void); /* returns how many operations it did */
} workloads[] = {
    { "yield_2", yield_2 },
    { "yield_1000", yield_1000 },
    { "spawn_join_1000", spawn_join_1000 },
    { "chan_round_trip", chan_round_trip },
    { "chan_buffered", chan_buffered },
    { "select_2", select_2 },
    { "mutex_alone", mutex_alone },
    { "mutex_8", mutex_8 },
    { "sleep_100k", sleep_100k },
};

static char **chosen; /* NULL-terminated; empty = all */

static bool is_chosen(const char *name)
{
    for (char **one = chosen; *one; one++)
        if (strcmp(*one, name) == 0)
            return true;
    return !*chosen;
}

static int bench(void *arg)
{
    (void)arg;
    if (is_chosen("parked_100k_bytes")) /* first, while no stack has been touched yet */
        printf("parked_100k_bytes %.0f\n", parked_bytes());
    for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++) {
        if (!is_chosen(workloads[i].name))
            continue;
        workloads[i].run();
        int64_t began_ns = gmpt_now();
        long operations = workloads[i].run();
        printf("%s %.1f\n", workloads[i].name, (double)(gmpt_now() - began_ns) / (double)operations);
        fflush(stdout);
    }
    return 0;
}

int main(int argc, char **argv)
{
    (void)argc;
    chosen = argv + 1;
    return gmpt_run(bench, NULL);
}
