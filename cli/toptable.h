/* A profile as a table of functions for a terminal: what each has by itself (flat) and with all that it calls (cum). */
#ifndef GMPT_TOPTABLE_H
#define GMPT_TOPTABLE_H

#include "pprof/profile.h"

#include <stdio.h>

/* Of the values of one type. Returns 0 or -ENOMEM; what cannot be written is in the file's error flag. */
int toptable_write(struct profile *profile, const struct profile_type *type, size_t type_index, FILE *file);

#endif
