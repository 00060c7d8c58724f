/* A core file of a program on the runtime: its memory, its threads, and the segment, as a file like that of a running
 * program. A core file is input: nothing in it is trusted. */
#ifndef GMPT_COREFILE_H
#define GMPT_COREFILE_H

#include "pprof/unwinder.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct corefile_part; /* of memory */

struct corefile_thread {
    pid_t tid;
    struct unwinder_place place;
};

struct corefile {
    int fd;
    int segment_fd; /* a memfd with what the core file has of it, sealed as a program's own; -1 = it has none */
    pid_t pid;      /* 0 = it does not say */
    int signal;     /* that ended it, or 0 */
    char command[81];
    struct corefile_thread *threads;
    size_t thread_count;
    struct corefile_part *parts; /* by address */
    size_t part_count;
    uint64_t bytes, missing_bytes; /* of the file; that the file should have, but was cut off before */
};

/* Returns 0, or an exit status after having said what is wrong; corefile_close is due either way. */
int corefile_open(struct corefile *core, const char *path);
void corefile_close(struct corefile *core);

/* Reads memory, up to the first byte that the file does not have; returns how many bytes. arg: the struct corefile. */
size_t corefile_read(void *arg, uint64_t address, void *to, size_t bytes);

#endif
