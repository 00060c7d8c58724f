/* The dump of all Gs: what each does, since when, where, and who started it, alike ones together.
 *
 *     goroutine 1 [wait group, 5 minutes]:
 *     gmpt_waitgroup_wait
 *             /usr/bin/server+0x4a3f
 *     start
 *             /usr/bin/server+0x1234
 *
 *     98 goroutines [chan receive, 1 to 5 minutes]: 4 5 6 7 8 9 10 11 ...
 *     gmpt_chan_recv
 *     ...
 *     created in goroutine 1 to run worker
 *             /usr/bin/server+0x1201
 *
 * It takes no lock, allocates a fixed amount with mmap, and reads stacks without stopping anybody (unwind.h), so it
 * works whatever the Gs are doing. Any thread, on a G or not. */
#ifndef GMPT_DUMP_H
#define GMPT_DUMP_H

#include "tracepoint.h"

/* Writes the dump to fd, after the text of `heading`. Returns 0, -ENOMEM, or -errno of a write that failed. */
int dump_all(int fd, const char *heading);

/* The same of those Gs only that are wanted. */
int dump_some(int fd, const char *heading, bool (*wanted)(const struct g_slot *slot, const void *arg), const void *arg);

#endif
