#include "cgroup.h"

#include "harness.h"

#include <stdio.h>
#include <string.h>

bool cgroup_make(int quota_us, char group[CGROUP_PATH_BYTES])
{
    static const char make[] = "for root in /sys/fs/cgroup/cpu /sys/fs/cgroup/cpu,cpuacct /sys/fs/cgroup; do "
                               "group=$root/gmptrace-check-$$; mkdir $group 2>/dev/null || continue; "
                               "{ echo %1$d >$group/cpu.cfs_quota_us || echo '%1$d 100000' >$group/cpu.max; } "
                               "2>/dev/null && echo $group && exit 0; rmdir $group; done; exit 1";
    char command[1024];
    snprintf(command, sizeof command, make, quota_us);
    if (harness_shell(command, group, CGROUP_PATH_BYTES, NULL, 0) != 0)
        return false;
    group[strcspn(group, "\n")] = 0;
    return true;
}

void cgroup_remove(const char *group)
{
    char command[CGROUP_PATH_BYTES + 16];
    snprintf(command, sizeof command, "rmdir '%s'", group);
    ck_assert_int_eq(harness_shell(command, NULL, 0, NULL, 0), 0);
}
