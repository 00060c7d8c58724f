/* gmptrace leaks -p and of a core file: the leaks of a program as it stands at one moment. */
#ifndef GMPT_LEAKS_LIVE_H
#define GMPT_LEAKS_LIVE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct leaks_live {
    pid_t pid;
    int64_t stuck_ns; /* a wait this long is stuck */
    uint64_t scope;   /* only Gs of this scope; 0 = all */
    bool json;
};

/* Asks the program for a proof, looks at it and prints the report. Returns the status to exit with. */
int leaks_live_run(const struct leaks_live *live);
/* The same of a core file, without a proof; pid is not looked at. */
int leaks_core_run(const struct leaks_live *live, const char *path);

#endif
