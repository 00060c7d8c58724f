/* The callers of a place in a program, from its registers and its stack's memory, by the call frame information of its
 * objects (libdw), and by frame pointers where an object has none.
 *
 * Frame pointers alone pass over functions that were built without them, and their callers with them; so the
 * information comes first, since every object has it that was not stripped on purpose. Registers that are not known
 * (of a goroutine that is parked the stack pointer, the frame pointer and the pc are) stay so until a frame has saved
 * them; where they would be needed the walk ends.
 *
 * Memory is what the caller says it is: the program's now, a copy, a core file. It is input: a walk goes up the stack
 * only, and ends after as many frames as there is room for. One thread at a time. */
#ifndef GMPT_UNWINDER_H
#define GMPT_UNWINDER_H

#include <gmptrace/trace.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__aarch64__)
#define UNWINDER_REGISTERS 32 /* by their numbers in DWARF: x0 to x30, sp */
#define UNWINDER_FP 29
#define UNWINDER_SP 31
#else
#define UNWINDER_REGISTERS 16 /* rax, rdx, rcx, rbx, rsi, rdi, rbp, rsp, r8 to r15 */
#define UNWINDER_FP 6
#define UNWINDER_SP 7
#endif

struct unwinder_place {
    uint64_t pc;
    uint64_t registers[UNWINDER_REGISTERS];
    uint32_t known; /* a bit for each register */
    bool called;    /* pc is where a call returns to; false: an instruction that has not been executed */
};

struct unwinder_memory {
    bool (*word)(void *arg, uint64_t address, uint64_t *value);
    void *arg;
};

struct unwinder;

/* modules: ordered or not; they are copied. NULL with errno ENOMEM. */
struct unwinder *unwinder_open(const struct gmpt_module *modules, size_t count);
void unwinder_close(struct unwinder *unwinder); /* NULL: nothing */

/* The place itself and its callers, innermost first, as addresses that are 1 byte or more into their instruction (as
 * in traces), at most room. stack_lo, stack_hi: what is not in there is no frame. *whole: the walk came to the stack's
 * end. Returns how many, at least 1. */
size_t unwinder_walk(struct unwinder *unwinder, const struct unwinder_place *place,
                     const struct unwinder_memory *memory, uint64_t stack_lo, uint64_t stack_hi, uint64_t *pc,
                     size_t room, bool *whole);

#endif
