/* The names of the kernel's functions that a trace's kernel_frames mean by numbers. */
#ifndef GMPT_KERNELSYMBOLS_H
#define GMPT_KERNELSYMBOLS_H

#include "kernelrecord.h"

#include <gmptrace/trace.h>

/* Zero-initialised is empty. */
struct kernelsymbols {
    char (*names)[KERNEL_NAME_MAX + 1]; /* by number, from 0 on */
    uint32_t count, room;
};

/* Any event. Returns 0 or -ENOMEM. */
int kernelsymbols_add(struct kernelsymbols *symbols, const struct gmpt_event *event);
/* What an address in a stack of kernel_frames means; "?" when that is not known. */
const char *kernelsymbols_name(const struct kernelsymbols *symbols, uint64_t address);
void kernelsymbols_clear(struct kernelsymbols *symbols);

#endif
