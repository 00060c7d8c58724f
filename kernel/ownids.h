/* The ids of a program's threads as it has them itself: in a container (a pid namespace of its own) they are others
 * than those by which the kernel tells of it to who watches from outside. Where they are the same, nothing is done.
 *
 * A thread is looked up once, in /proc; one that has ended before keeps the number that it has outside. */
#ifndef GMPT_OWNIDS_H
#define GMPT_OWNIDS_H

#include "trace/kernelrecord.h"
#include "trace/table.h"

#include <sys/types.h>

#define OWNIDS_MAX 65536

/* Zero-initialised: they are the same. */
struct ownids {
    uint32_t pid, own_pid; /* the program's, outside and by itself; equal: all are */
    struct table by_tid;
};

void ownids_open(struct ownids *ids, pid_t pid);
void ownids_close(struct ownids *ids);
/* Whether records are to be changed. */
static inline bool ownids_differ(const struct ownids *ids) { return ids->pid != ids->own_pid; }
/* Gives the threads of the program in a record the ids that it has for them. Returns 0 or -ENOMEM. */
int ownids_put(struct ownids *ids, struct kernel_record *record);

#endif
