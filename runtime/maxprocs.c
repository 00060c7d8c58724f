/* How many Ps: the CPUs in the affinity mask, cut down to the cgroup's CPU quota, or what GMPT_MAXPROCS says.
 *
 * A quota of 1.5 CPUs gives 2: with fewer Ps than the quota allows, the rest of it could never be used. */
#define _GNU_SOURCE
#include "start.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int maxprocs_parse_quota(const char *line)
{
    long long quota, period;
    if (sscanf(line, "%lld %lld", &quota, &period) != 2 || quota <= 0 || period <= 0)
        return 0; /* "max 100000": no limit */
    long long cpus = quota / period + (quota % period != 0);
    return cpus > PS_MAX ? PS_MAX : (int)cpus;
}

static bool read_line(const char *path, char *line, int size)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool got = fgets(line, size, file) != NULL;
    fclose(file);
    return got;
}

/* The tightest quota on the way from the process's cgroup to the root. 0 = none. */
static int quota_v2(const char *cgroup)
{
    char path[4200], line[128], group[4096];
    int least = 0;
    snprintf(group, sizeof group, "%s", cgroup);
    for (;;) {
        snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", strcmp(group, "/") ? group : "");
        if (read_line(path, line, sizeof line)) {
            int cpus = maxprocs_parse_quota(line);
            if (cpus && (!least || cpus < least))
                least = cpus;
        }
        char *slash = strrchr(group, '/');
        if (!slash || !group[1])
            return least;
        slash[slash == group] = 0;
    }
}

static int quota_v1(const char *cgroup)
{
    static const char *const roots[] = { "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct" };
    char path[4200], quota[64], period[64];
    for (size_t i = 0; i < sizeof roots / sizeof *roots; i++) {
        snprintf(path, sizeof path, "%s%s/cpu.cfs_quota_us", roots[i], cgroup);
        bool got = read_line(path, quota, sizeof quota);
        snprintf(path, sizeof path, "%s%s/cpu.cfs_period_us", roots[i], cgroup);
        if (got && read_line(path, period, sizeof period)) {
            char line[160];
            quota[strcspn(quota, "\n")] = 0;
            snprintf(line, sizeof line, "%s %s", quota, period);
            return maxprocs_parse_quota(line);
        }
    }
    return 0;
}

int maxprocs_quota(void)
{
    FILE *file = fopen("/proc/self/cgroup", "re");
    char line[4096];
    int least = 0;
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group)
            continue;
        *group++ = 0;
        int cpus = 0;
        if (controllers[1] == 0)
            cpus = quota_v2(group);
        else if (strstr(controllers, ":cpu,") || strstr(controllers, ",cpu,") || strcmp(controllers, ":cpu") == 0 ||
                 strcmp(controllers, ":cpuacct,cpu") == 0)
            cpus = quota_v1(group);
        if (cpus && (!least || cpus < least))
            least = cpus;
    }
    if (file)
        fclose(file);
    return least;
}

int maxprocs_choose(void)
{
    const char *text = getenv("GMPT_MAXPROCS");
    if (text && *text) {
        char *end;
        long count = strtol(text, &end, 10);
        return *end || count < 1 || count > PS_MAX ? -EINVAL : (int)count;
    }
    cpu_set_t set;
    /* The set is too small on a machine of more than 1024 CPUs: then their number. */
    long cpus = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : sysconf(_SC_NPROCESSORS_ONLN);
    int quota = maxprocs_quota();
    if (quota && quota < cpus)
        cpus = quota;
    return cpus > PS_MAX ? PS_MAX : cpus < 1 ? 1 : (int)cpus;
}
