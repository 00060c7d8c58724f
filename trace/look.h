/* A look at a running program from outside: what each G does now, as a trace that has no events but go_was and its
 * like. Whatever reads traces can then tell of it: names, places, filters, groups.
 *
 * Nothing in the program is asked, stopped or changed, nor is its memory written to: it may hang, be stopped, be
 * recorded by somebody else. So this is not one moment: each G is told of as it was when its slot was read, and one
 * that began or ended meanwhile may be missing or told of. That of a program that stands still is exact. */
#ifndef GMPT_LOOK_H
#define GMPT_LOOK_H

#include "segment.h"

#include <sys/types.h>

struct census_source; /* census.h */

/* Writes the trace to fd, which is at offset 0 and is closed. pid is where stacks are read from, 0 = nowhere; source:
 * who is asked for them instead, NULL = nobody. Returns 0 or -errno. */
int look_write(const struct segment *segment, pid_t pid, const struct census_source *source, const char *command,
               const char *host, int fd);

#endif
