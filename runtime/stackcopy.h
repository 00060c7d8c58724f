/* Copies of the stacks of many Gs, made while a proof of leaks has the program stopped.
 *
 * fork() copies the page tables of all stacks, entry by entry. A G that waits has one page in use, but it has entries
 * for its guard as well, seventeen, and shares a page table with fifteen others only: a microsecond each, a second for
 * a million of them. What is in use of that page is some hundred bytes. To copy these takes a fifth of the time,
 * several threads can do it at once, and the copied process then does without the stacks (MADV_DONTFORK, for as long
 * as the program stands still; a fork of the program's own finds them as ever). It takes memory for as long as the
 * copied process reads it: as much as the stacks have in use, and an eighth more.
 *
 *     stack in the program                            in the arena
 *       ... not in use | frames, args | struct g        ... | frames, args | struct g | frames, args | struct g | ...
 *                      ^ low                    ---->       ^ ----------- an entry tells where ----------- ^
 *
 * What lies at an address of a copied stack is found with its seat's entry; the addresses stay those of the program.
 * A read of the stack itself, which is not there, would end the copied process, and the proof comes to nothing.
 *
 * A class is copied when it has had STACKCOPY_MIN stacks and those in use have few bytes each; GMPT_DEBUG=stackcopy=1
 * copies whatever there is. */
#ifndef GMPT_STACKCOPY_H
#define GMPT_STACKCOPY_H

#include "proofscan.h"

/* Of a seat in a class that is copied. */
struct stack_copy {
    const struct g *g; /* the copied one; NULL: nobody has the seat */
    uint64_t low;      /* the address in the program of what was copied first */
};

/* Before the threads are stopped: finds out which classes are to be copied, and makes room. Without room none is. */
void stackcopy_prepare(void);
/* While they stand still: copies; sets the arena and its tables among input's holes. Returns 0 or -ENOMEM. That no
 * stack was copied is no failure. */
int stackcopy_make(struct proof_input *input);
/* Around the fork. */
void stackcopy_fork_begin(void);
void stackcopy_fork_end(void);
void stackcopy_free(void);

/* In the copied process. NULL: the class is not copied, and its stacks are where they are. */
const struct stack_copy *stackcopy_of(enum stack_class class, uint32_t index);
/* Where to read what the program has at this address; NULL: it lay in a part of a copied stack that was not in use. */
const void *stackcopy_at(const void *address);

#endif
