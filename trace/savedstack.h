/* Stacks of Gs that do not run, read by their saved frames rather than noted as the wait began. */
#ifndef GMPT_SAVEDSTACK_H
#define GMPT_SAVEDSTACK_H

#include <stdint.h>

/* How many of the innermost addresses to leave out, so that of those in the runtime's own code [lo, hi) only the
 * outermost is left: the public function that the program called. */
static inline uint32_t savedstack_private(const uint64_t *pc, uint32_t count, uint64_t lo, uint64_t hi)
{
    uint32_t private = 0;
    while (private + 1 < count && pc[private + 1] >= lo && pc[private + 1] < hi)
        private++;
    return private;
}

#endif
