/* A running program to attach to, found by its process id.
 *
 * The runtime's shared memory is one of the program's open files, so who may look into the program's descriptors, which
 * the kernel decides as for ptrace, may attach; nothing in the program listens for it. */
#ifndef GMPT_TARGET_H
#define GMPT_TARGET_H

#include <stdbool.h>
#include <sys/types.h>

struct target {
    pid_t pid;
    int segment_fd; /* an open of its own: segment_lock */
    int pid_fd;     /* becomes readable as the program ends; -1 where the kernel has no such thing */
    char command[4096];
};

/* Returns 0, or an exit status after having said why not. */
int target_open(struct target *target, pid_t pid);
bool target_ended(const struct target *target);
void target_close(struct target *target);

#endif
