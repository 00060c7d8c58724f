/* leaks_corpus NAME leak|repaired [hold]: runs one of the patterns of leaks.h until nothing moves any more, and ends,
 * as a program under `gmptrace check` does; leaks_corpus list names them, and leaks_corpus sites tells of each what
 * leaks: the G's function, how many, and in which function they wait.
 *
 * With `hold` it first tells what is true, a line each, and `ready`; then it waits until its standard input ends:
 *
 *     site 0x55d0c0de1234 gossip_run 1 proven cycle
 *     ready */
#include "leaks.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct leak_family *const families[] = { &leak_micro, &leak_common,     &leak_cockroach, &leak_etcd,
                                                      &leak_grpc,  &leak_kubernetes, &leak_moby,      &leak_others,
                                                      &leak_goker };
#define FAMILIES (sizeof families / sizeof families[0])

struct run {
    const struct leak_pattern *pattern;
    bool repaired, hold;
};

/* All Gs but this one wait, and not for a time to pass. */
static bool nothing_moves(void)
{
    struct gmpt_metrics metrics;
    gmpt_metrics_read(&metrics);
    return metrics.gs_waiting == metrics.gs - 1 && metrics.timers == 0;
}

static void settle(void)
{
    for (int still = 0; still < 3; still = nothing_moves() ? still + 1 : 0)
        gmpt_sleep(500000);
}

static void truth_tell(const struct run *run)
{
    const struct leak_site *sites = run->pattern->sites;
    for (size_t i = 0; i < LEAK_SITES_MAX && sites[i].fn && !run->repaired; i++)
        printf("site 0x%" PRIxPTR " %s %" PRIu32 "%s%s%s\n", (uintptr_t)sites[i].fn, sites[i].function, sites[i].count,
               sites[i].kinds & LEAK_PROVEN ? " proven" : "", sites[i].kinds & LEAK_CYCLE ? " cycle" : "",
               sites[i].kinds & LEAK_LIVE ? " live" : "");
    puts("ready");
    fflush(stdout);
}

static int main_g(void *arg)
{
    const struct run *run = arg;
    char byte;
    bool repaired = run->repaired;
    GO(run->pattern->run, repaired);
    settle();
    if (run->hold) {
        truth_tell(run);
        while (gmpt_read(STDIN_FILENO, &byte, 1) > 0)
            ;
    }
    return 0;
}

static void sites_print(const struct leak_pattern *pattern)
{
    for (size_t i = 0; i < LEAK_SITES_MAX && pattern->sites[i].fn; i++)
        if (pattern->sites[i].kinds != LEAK_LIVE)
            printf("%s %s %" PRIu32 " %s\n", pattern->name, pattern->sites[i].function, pattern->sites[i].count,
                   pattern->sites[i].waits);
}

static int list(bool sites)
{
    for (size_t i = 0; i < FAMILIES; i++)
        for (size_t k = 0; k < families[i]->count; k++)
            if (sites)
                sites_print(&families[i]->patterns[k]);
            else
                puts(families[i]->patterns[k].name);
    return 0;
}

int main(int argc, char **argv)
{
    struct run run = { 0 };
    if (argc == 2 && (strcmp(argv[1], "list") == 0 || strcmp(argv[1], "sites") == 0))
        return list(argv[1][0] == 's');
    for (size_t i = 0; i < FAMILIES && argc >= 3; i++)
        for (size_t k = 0; k < families[i]->count; k++)
            if (strcmp(families[i]->patterns[k].name, argv[1]) == 0)
                run.pattern = &families[i]->patterns[k];
    if (!run.pattern || (strcmp(argv[2], "leak") && strcmp(argv[2], "repaired"))) {
        fprintf(stderr, "usage: leaks_corpus NAME leak|repaired [hold], or leaks_corpus list|sites\n");
        return 2;
    }
    run.repaired = strcmp(argv[2], "repaired") == 0;
    run.hold = argc > 3 && strcmp(argv[3], "hold") == 0;
    return gmpt_run(main_g, &run);
}
