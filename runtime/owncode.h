/* Which addresses are code of the runtime: the Makefile puts it into one section, and the linker names its ends. */
#ifndef GMPT_OWNCODE_H
#define GMPT_OWNCODE_H

#include <stdbool.h>
#include <stdint.h>

extern const char __start_gmpt_text[], __stop_gmpt_text[];

static inline bool owncode_has(uintptr_t address)
{
    return address >= (uintptr_t)__start_gmpt_text && address < (uintptr_t)__stop_gmpt_text;
}

#endif
