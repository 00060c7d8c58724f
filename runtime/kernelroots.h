/* Pointers that the kernel keeps for the program, for a proof of leaks (R8): data of epoll, values of timers and
 * eventfds, bytes in pipes and sockets. Read while everything stands still; nothing of it is taken away. */
#ifndef GMPT_KERNELROOTS_H
#define GMPT_KERNELROOTS_H

#include "memorymap.h"

/* What is needed for it; before the threads are stopped. Returns 0 or -errno. */
int kernelroots_prepare(void);

/* Hides where this notes what it has read, which is no root. Returns 0 or -ENOMEM. */
int kernelroots_hide(struct proof_input *input);

/* Gives what is there; given->overflowed when some of it cannot be read. Adds to *assumptions what is taken for granted
 * (enum proof_assumption). */
void kernelroots_give(struct given *given, uint32_t *assumptions);

#endif
