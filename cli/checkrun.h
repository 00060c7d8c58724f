/* Runs a program, and judges the goroutines of each process on the runtime that comes of it. */
#ifndef GMPT_CHECKRUN_H
#define GMPT_CHECKRUN_H

#include "leakreport.h"

#include <stdbool.h>
#include <stdint.h>

enum check_heap {
    CHECK_HEAP_TRACE, /* malloc's memory is followed block by block, by a library that is preloaded */
    CHECK_HEAP_ROOT,  /* all of it counts as reachable */
};

struct check_run {
    /* What is wanted: */
    char **argv;
    int64_t grace_ns;   /* how long goroutines on their way out are waited for */
    int64_t every_ns;   /* how often a process is judged while it runs; 0 = at its end only */
    int64_t stuck_ns, runaway_ns;
    unsigned fail_on;   /* LEAK_KIND_BIT: of what is found while it runs, this is told at once */
    enum check_heap heap;
    /* What came of it: */
    bool started;       /* PROG was */
    int program_status; /* PROG's own: its status, or 128 + the signal that ended it */
};

/* Fills an open report. Returns CLI_OK, or the status to exit with after having said why; then there is no verdict. */
int check_run(struct check_run *run, struct leak_report *report);

#endif
