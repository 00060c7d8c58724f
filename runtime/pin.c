/* Pinning Ms to the CPU or the node of their P. See pin.h. */
#define _GNU_SOURCE
#include "pin.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool pin_is_on;

static struct {
    cpu_set_t all; /* what the process may use */
    int cpus[CPU_SETSIZE];
    int cpu_count;
    bool by_node;
} pin;

/* The CPUs of the node that cpu is on, of those that the process may use; cpu alone when the kernel does not tell. */
static void node_of(int cpu, cpu_set_t *set)
{
    CPU_ZERO(set);
    CPU_SET(cpu, set);
    for (int node = 0; node < 1024; node++) {
        char path[96], line[4096];
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/node%d/cpulist", cpu, node);
        FILE *file = fopen(path, "re");
        if (!file)
            continue;
        bool got = fgets(line, sizeof line, file) != NULL;
        fclose(file);
        int first, last, length;
        for (const char *at = line; got && sscanf(at, "%d%n", &first, &length) == 1; at += *at == ',') {
            at += length;
            last = first;
            if (*at == '-' && sscanf(at + 1, "%d%n", &last, &length) == 1)
                at += 1 + length;
            for (int i = first; i <= last && i < CPU_SETSIZE; i++)
                if (CPU_ISSET(i, &pin.all))
                    CPU_SET(i, set);
        }
        return;
    }
}

int pin_start(void)
{
    const char *text = getenv("GMPT_PIN");
    if (!text || !*text)
        return 0;
    pin.by_node = strcmp(text, "node") == 0;
    if (!pin.by_node && strcmp(text, "cpu") != 0)
        return -EINVAL;
    if (sched_getaffinity(0, sizeof pin.all, &pin.all) != 0) {
        fprintf(stderr, "gmptrace: GMPT_PIN does nothing: %s\n", strerror(errno));
        return 0;
    }
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &pin.all))
            pin.cpus[pin.cpu_count++] = cpu;
    pin_is_on = pin.cpu_count > 0;
    return 0;
}

void pin_thread_slow(struct m *m, const struct p *p)
{
    int cpu = pin.cpus[p->index % (uint32_t)pin.cpu_count];
    if (m->pinned == cpu + 1)
        return;
    cpu_set_t set;
    if (pin.by_node) {
        node_of(cpu, &set);
    } else {
        CPU_ZERO(&set);
        CPU_SET(cpu, &set);
    }
    int errno_before = errno;
    /* A CPU that went offline, or a cpuset that shrank, leaves the thread where it is. */
    sched_setaffinity(0, sizeof set, &set);
    errno = errno_before;
    m->pinned = cpu + 1;
}

void pin_free(struct m *m)
{
    if (likely(!pin_is_on))
        return;
    int errno_before = errno;
    sched_setaffinity((pid_t)m->tid, sizeof pin.all, &pin.all);
    errno = errno_before;
    m->pinned = 0;
}
