/* The names of the kernel's functions, by what /proc/kallsyms shows whoever may see where they lie: root, or
 * CAP_SYSLOG; or anybody where kernel.kptr_restrict is 0 and kernel.perf_event_paranoid at most 1.
 *
 * All of it is read at once, which takes 0.1 s of CPU time, most of it the kernel's: while the program that is recorded
 * runs it would have that much less. */
#ifndef GMPT_KERNELNAMES_H
#define GMPT_KERNELNAMES_H

#include <stdint.h>

#define KERNELNAMES_PATH "/proc/kallsyms"

struct kernelnames;

/* NULL with errno: EPERM when the kernel does not show where its functions lie, ENOENT when it shows none. */
struct kernelnames *kernelnames_open(const char *path);
void kernelnames_close(struct kernelnames *names); /* NULL is allowed */
/* "?" when it is in no function that has a name. Lives as long as the names do. Of several names of one address it is
 * the one that is shown first, by which the kernel calls it, too. */
const char *kernelnames_find(const struct kernelnames *names, uint64_t address);

#endif
