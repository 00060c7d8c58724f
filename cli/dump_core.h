/* The goroutines of a core file with their whole stacks, as a trace of look.h. */
#ifndef GMPT_DUMP_CORE_H
#define GMPT_DUMP_CORE_H

#include <sys/types.h>

struct dump_core {
    int trace_fd; /* the caller's to close; -1 = there is none */
    pid_t pid;    /* 0 = not known */
    char command[81];
};

/* Returns CLI_OK, or an exit status after having said what is wrong. */
int dump_core_read(struct dump_core *core, const char *path);

#endif
