/* What is said of the kernel's side, by all commands alike: its calls, the programs that had the CPU, why a thread had
 * none. */
#ifndef GMPT_KERNELWORDS_H
#define GMPT_KERNELWORDS_H

#include "trace/kernelintervals.h"

#define KERNELWORDS_CALL_BYTES 32
#define KERNELWORDS_PROGRAM_BYTES 96

/* "off", "proc", "perf", "bpf" */
const char *kernelwords_tier(enum gmpt_kernel_tier tier);
/* "read"; "no system call"; "an unknown call" */
const char *kernelwords_call(int32_t call, char buffer[KERNELWORDS_CALL_BYTES]);
/* "ffmpeg (process 12)"; own_pid is that of the program that the trace is of. */
const char *kernelwords_program(uint32_t pid, const char *name, uint32_t own_pid,
                                char buffer[KERNELWORDS_PROGRAM_BYTES]);
/* Likewise; "cc1 (8 processes, such as 12)" when they are several */
const char *kernelwords_programs(uint32_t pid, const char *name, uint64_t count, uint32_t own_pid,
                                 char buffer[KERNELWORDS_PROGRAM_BYTES]);
/* "preempted"; "starting"; of one that blocked, its call */
const char *kernelwords_why(const struct kernel_interval *interval, char buffer[KERNELWORDS_CALL_BYTES]);

#endif
