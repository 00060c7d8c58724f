/* The names of the kernel's functions, by what /proc/kallsyms shows whoever may see where they lie: root, or
 * CAP_SYSLOG; or anybody where kernel.kptr_restrict is 0 and kernel.perf_event_paranoid at most 1. Who opened that file
 * goes on to see it, so this is opened while there are privileges; it is read as the first name is asked for, which
 * takes some tens of milliseconds. */
#ifndef GMPT_KERNELNAMES_H
#define GMPT_KERNELNAMES_H

#include <stdint.h>

struct kernelnames;

/* NULL with errno: EPERM when the kernel does not show where its functions lie. */
struct kernelnames *kernelnames_open(void);
void kernelnames_close(struct kernelnames *names); /* NULL is allowed */
/* "?" when it is in no function that has a name. Lives as long as the names do. */
const char *kernelnames_find(struct kernelnames *names, uint64_t address);

#endif
