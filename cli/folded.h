/* A profile as folded stacks, the input of flame graph scripts: a line for each stack, its functions from the root on
 * with ';' between them, a blank, and the value. Stacks that differ in addresses or labels only are one line; those
 * with the value 0 have none. Sorted by their text, so that two can be compared by diff. */
#ifndef GMPT_FOLDED_H
#define GMPT_FOLDED_H

#include "pprof/profile.h"

#include <stdio.h>

/* Of the values of this type. Returns 0 or -ENOMEM; what cannot be written is in the file's error flag. */
int folded_write(struct profile *profile, size_t type, FILE *file);

#endif
