/* Where a thread blocks that runs a G and did not say that it would: the program's own frames, from what the kernel
 * copied of its stack.
 *
 * A system call is made in the C library, whose functions need not have frame pointers, so following those from there
 * misses the function that called it. Its return address lies between the stack pointer and the first frame that a
 * pointer names: it is the first word there which a call instruction outside the C library precedes. That can be a
 * left-over word. The code is read from the program's memory, each address once. */
#ifndef GMPT_BLOCKPLACE_H
#define GMPT_BLOCKPLACE_H

#include "trace/kernelrecord.h"

#include <sys/types.h>

struct offcpu_stack;
struct blockplace;

/* entry_pc: where the runtime's code lies in which each G's function begins and ends, and which is no place of the
 * program's; 0 = not known. NULL with errno ENOMEM. */
struct blockplace *blockplace_open(pid_t pid, uint64_t entry_pc);
void blockplace_close(struct blockplace *place); /* NULL is allowed */

/* Fills stack with addresses as of a cpu_sample, innermost first; returns how many, 0 = not known. in_call: the thread
 * was in a system call. */
uint32_t blockplace_find(struct blockplace *place, const struct offcpu_stack *copied, bool in_call,
                         uint64_t stack[KERNEL_STACK_MAX]);

#endif
