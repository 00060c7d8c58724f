/* A million goroutines that wait on one channel: resident bytes of each, how many mappings their stacks lie in, how
 * long it takes to make one and to wake all. Once with the default stack, once (small_...) with the smallest.
 * bench/go/parked.go is its peer.
 *
 *     parked [ROW...] */
#define _GNU_SOURCE
#include "rows.h"

#include <inttypes.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MANY = 1000000 };

static struct gmpt_waitgroup group = GMPT_WAITGROUP_INIT;
static uintptr_t *frames; /* where the frame of each lies */

struct parker {
    struct gmpt_chan *gate;
    long self;
};

static void parker(void *args)
{
    struct parker *parker = args;
    frames[parker->self] = (uintptr_t)__builtin_frame_address(0);
    gmpt_waitgroup_done(&group);
    gmpt_chan_recv(parker->gate, NULL);
    gmpt_waitgroup_done(&group);
}

static double resident_bytes(void)
{
    double pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%*d %lf", &pages) != 1)
        perror("parked: /proc/self/statm");
    if (file)
        fclose(file);
    return pages * 4096;
}

/* Those from the lowest frame to the highest. */
static double mappings(void)
{
    uintptr_t low = UINTPTR_MAX, high = 0, from, to;
    for (long i = 0; i < MANY; i++) {
        low = frames[i] < low ? frames[i] : low;
        high = frames[i] > high ? frames[i] : high;
    }
    double count = 0;
    FILE *file = fopen("/proc/self/maps", "r");
    if (!file)
        perror("parked: /proc/self/maps");
    while (file && fscanf(file, "%" SCNxPTR "-%" SCNxPTR "%*[^\n]", &from, &to) == 2)
        count += from <= high && low < to;
    if (file)
        fclose(file);
    return count;
}

static void report(const char *kind, const char *what, double value)
{
    char name[64];
    snprintf(name, sizeof name, "%s_%s", kind, what);
    if (row_is_wanted(name))
        row_print(name, value);
}

static const char *kind;
static struct gmpt_go_options options;

static int park_and_wake(void *arg)
{
    (void)arg;
    struct parker self = { gmpt_chan_new(0, 0), 0 };
    frames = row_alloc(MANY, sizeof *frames);
    memset(frames, 1, MANY * sizeof *frames); /* so that these pages are there before */
    double bytes_before = resident_bytes();
    int64_t began_ns = gmpt_now();
    for (; self.self < MANY; self.self++) {
        gmpt_waitgroup_add(&group, 1);
        if (gmpt_go_with(&options, parker, &self, sizeof self) < 0) {
            fprintf(stderr, "parked: out of goroutines\n");
            return 1;
        }
    }
    gmpt_waitgroup_wait(&group);
    report(kind, "create", (double)(gmpt_now() - began_ns) / MANY);
    report(kind, "bytes", (resident_bytes() - bytes_before) / MANY);
    report(kind, "vmas", mappings());
    gmpt_waitgroup_add(&group, MANY);
    began_ns = gmpt_now();
    gmpt_chan_close(self.gate);
    gmpt_waitgroup_wait(&group);
    report(kind, "wake", (double)(gmpt_now() - began_ns) / 1e6);
    gmpt_chan_release(self.gate);
    free(frames);
    return 0;
}

static bool any_is_wanted(const char *prefix)
{
    for (char **one = rows_wanted; *one; one++)
        if (strncmp(*one, prefix, strlen(prefix)) == 0)
            return true;
    return !*rows_wanted;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        uint32_t stack_bytes;
    } kinds[] = { { "parked", GMPT_STACK_DEFAULT }, { "small", GMPT_STACK_SMALL } };
    (void)argc;
    rows_wanted = argv + 1;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (!any_is_wanted(kinds[i].name))
            continue;
        kind = kinds[i].name;
        options.stack_bytes = kinds[i].stack_bytes;
        pid_t child = fork(); /* each in a process of its own, where no page has been touched yet */
        if (child == 0)
            return gmpt_run(park_and_wake, NULL);
        int status;
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
            fprintf(stderr, "parked: the process failed\n");
            return 1;
        }
    }
    return 0;
}
