/* The segment as a file: `record` makes one in tmpfs for the program that it starts, so that what the program wrote is
 * still there when both are killed. Its name has the recorder's process id and a random part: gmptrace.PID.RANDOM.
 *
 * Never on a disk, whose pages the kernel writes back and write-protects under the program. The places are
 * $XDG_RUNTIME_DIR, if it is private and in tmpfs, and /dev/shm. */
#ifndef GMPT_SEGFILE_H
#define GMPT_SEGFILE_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

/* Makes an empty segment for a program that is about to be started: passed_fd is inherited by it, own_fd is an open of
 * this process's own and has the recorder's lock. path is "" when no tmpfs has room for what a program may write: it is
 * then a memfd, and on a terminal that is said. Returns 0 or -errno. */
int segfile_create(char path[PATH_MAX], int *passed_fd, int *own_fd);

/* Another number for fd, by which a program inherits it; -1 with errno. */
int segfile_passed(int fd);

/* Whether a path, or one with " (deleted)" behind it as in /proc, ends in such a name, and whose it is. */
bool segfile_name(const char *path, pid_t *recorder);

/* Calls fn for each file with such a name that is ours and could be a segment, until it returns non-zero; returns that
 * or 0. fd is an open of its own, closed after fn unless it is taken by storing -1 to *fd. */
int segfile_each(int (*fn)(const char *path, int *fd, void *arg), void *arg);

/* Opens one by its path, not followed if it is a link. -1 with errno; EPROTO when it cannot be a segment. */
int segfile_open(const char *path);

/* Nobody else has the file open. */
bool segfile_is_left(int fd);

#endif
