/* What atomics.h needs of its own only in builds that hunt for races. */
#define _GNU_SOURCE
#include "atomics.h"

#include <sched.h>

#ifdef ATOMICS_TSAN
_Atomic(int) atomics_fence_word;
#endif

#ifdef GMPT_FORCE_YIELD
void atomics_maybe_yield(void)
{
    static __thread uint32_t random_state;
    random_state = random_state * 1664525u + 1013904223u + (uint32_t)(uintptr_t)&random_state;
    if (random_state >> 26 == 0)
        sched_yield();
}
#endif
