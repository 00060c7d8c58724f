/* Stacks that mean the same to a person: the same functions at the same lines.
 *
 * One source line may call from many addresses (an unrolled loop, an inlined function), and each makes a stack of its
 * own. Told apart by address a leak falls into groups so small that none of them grows. */
#ifndef GMPT_ALIKE_H
#define GMPT_ALIKE_H

#include "place.h"

#include <stdint.h>

struct alike;

/* NULL with errno ENOMEM. places must outlive it. */
struct alike *alike_open(struct places *places);
void alike_close(struct alike *alike); /* NULL: nothing */

/* The first stack asked about that has the same frames as this one; the stack itself when there is none, or memory is
 * short. The argument is the struct alike: a summary's canonical_stack. */
uint32_t alike_first(void *alike, uint32_t stack);

#endif
