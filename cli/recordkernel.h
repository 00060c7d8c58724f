/* What `record --kernel` has of the kernel's side: opened before the program starts, aimed at it once it is known, told
 * of at the end. */
#ifndef GMPT_RECORDKERNEL_H
#define GMPT_RECORDKERNEL_H

#include "trace/recorder.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define RECORDKERNEL_STACK_NS 1000000 /* unless something else is asked for */
#define RECORDKERNEL_ENV "GMPTRACE_KERNEL" /* what --kernel is without the option */

struct kernelside;

struct recordkernel {
    int wanted; /* as of kernelside_open */
    bool others_hidden;
    int64_t stack_ns; /* of what lasts this long, where in the kernel; 0 = of nothing */
    uint32_t sample_hz; /* CPU samples that are wanted; 0 = none */
    bool starts;        /* this recorder starts the program, and passes it recordkernel_words */
    struct kernelside *side; /* NULL: off */
    uint64_t intervals, lost, figures, samples;
};

/* The option's value; NULL: the environment's, or auto. Return CLI_OK, or CLI_USAGE after having said what may stand
 * there. */
int recordkernel_parse(struct recordkernel *kernel, const char *text);
/* Before the program starts. Returns CLI_OK, or CLI_MACHINE after having said why what was asked for cannot be had. */
int recordkernel_open(struct recordkernel *kernel);
/* After that: whether it takes the CPU samples, so that the program need not. */
bool recordkernel_samples(const struct recordkernel *kernel);
/* What the program that is started inherits for the words of its threads; -1 = nothing. */
int recordkernel_words(const struct recordkernel *kernel);
/* Once it is recorded. Returns likewise. */
int recordkernel_begin(struct recordkernel *kernel, struct recorder *recorder, pid_t pid);
/* At the end: which tier it was, and how to get the next one. */
void recordkernel_tell(const struct recordkernel *kernel, const struct recorder *recorder);
void recordkernel_close(struct recordkernel *kernel);

#endif
