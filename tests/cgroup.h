/* Cgroups with a CPU quota, of version 1 or 2, for tests. */
#ifndef GMPT_TEST_CGROUP_H
#define GMPT_TEST_CGROUP_H

#include <stdbool.h>

#define CGROUP_PATH_BYTES 256

/* Makes one with so much of a CPU in each tenth of a second; a process enters by its number in GROUP/cgroup.procs.
 * False: that cannot be done here. */
bool cgroup_make(int quota_us, char group[CGROUP_PATH_BYTES]);
void cgroup_remove(const char *group); /* fails the test when a process is left in it */

#endif
