/* Stacks of Gs that do not run, read from outside by their frame pointers.
 *
 * A G that does not run left its stack pointer in its context; what lies there is in switch.h. While it runs the saved
 * pointer is NULL (switch_arrived), and the slot's status is a sequence lock:
 *
 *     the G                                      who reads
 *     W1 context.sp = NULL, as it arrives        R1 status (acquire): waiting or runnable
 *     W2 status = waiting (release)              R2 context.sp: NULL says that it has not left its stack yet
 *     W3 context.sp = its stack pointer          R3 its stack
 *     W4 status = running, then a store fence    R4 status again (after a load fence): the same as at R1
 *
 * R2 after R1 sees W1 or what came later; so a pointer that is not NULL is that of this wait, and an R4 that sees the
 * status of R1 says that nothing ran on the stack before R3 was done. Nothing outside the G's stack is read, whatever a
 * caller without frame pointers left there. */
#ifndef GMPT_UNWIND_H
#define GMPT_UNWIND_H

#include "runtime.h"

#define UNWIND_DEPTH_MAX STACK_DEPTH_MAX

/* Addresses in the calls, innermost first; each lies inside its call instruction, or 1 byte into a function that has
 * not begun, so that it names the line. */
struct unwind {
    uint32_t depth;
    uint64_t pc[UNWIND_DEPTH_MAX];
};

/* Follows the frames from this one up to the stack's end. */
void unwind_frames(struct unwind *unwind, uintptr_t frame, uintptr_t lo, uintptr_t hi);

/* R2 and R3, for a G whose slot was waiting or runnable a moment ago. False when its stack is in use. */
bool unwind_saved(struct unwind *unwind, const struct g *g, const struct g_slot *slot);

#endif
