/* A million goroutines that wait on one channel: resident bytes of each, mappings that they add, how long it takes to
 * make one and to wake all. bench/go/parked.go is its peer.
 *
 *     parked [ROW...] */
#define _GNU_SOURCE
#include "rows.h"

enum { MANY = 1000000 };

static struct gmpt_waitgroup group = GMPT_WAITGROUP_INIT;

static void parker(void *args)
{
    struct gmpt_chan *gate = *(struct gmpt_chan **)args;
    gmpt_waitgroup_done(&group);
    gmpt_chan_recv(gate, NULL);
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

static double mappings(void)
{
    double lines = 0;
    FILE *file = fopen("/proc/self/maps", "r");
    if (!file)
        perror("parked: /proc/self/maps");
    for (int c; file && (c = getc(file)) != EOF;)
        lines += c == '\n';
    if (file)
        fclose(file);
    return lines;
}

static int parked(void *arg)
{
    (void)arg;
    struct gmpt_chan *gate = gmpt_chan_new(0, 0);
    double bytes_before = resident_bytes(), mappings_before = mappings();
    int64_t began_ns = gmpt_now();
    for (int i = 0; i < MANY; i++)
        row_start(&group, parker, &gate, sizeof gate);
    gmpt_waitgroup_wait(&group);
    int64_t made_ns = gmpt_now();
    if (row_is_wanted("parked_bytes"))
        row_print("parked_bytes", (resident_bytes() - bytes_before) / MANY);
    if (row_is_wanted("parked_vmas"))
        row_print("parked_vmas", mappings() - mappings_before);
    if (row_is_wanted("parked_create"))
        row_print("parked_create", (double)(made_ns - began_ns) / MANY);
    gmpt_waitgroup_add(&group, MANY);
    began_ns = gmpt_now();
    gmpt_chan_close(gate);
    gmpt_waitgroup_wait(&group);
    if (row_is_wanted("parked_wake"))
        row_print("parked_wake", (double)(gmpt_now() - began_ns) / 1e6);
    gmpt_chan_release(gate);
    return 0;
}

int main(int argc, char **argv)
{
    (void)argc;
    rows_wanted = argv + 1;
    return gmpt_run(parked, NULL);
}
