/* A profile in speedscope's file format (https://www.speedscope.app/file-format-schema.json): a sampled profile for
 * each type of value, of which the one that is shown first is the profile's own. */
#ifndef GMPT_SPEEDSCOPE_H
#define GMPT_SPEEDSCOPE_H

#include "pprof/profile.h"

#include <stdio.h>

/* name is what viewers call it, types those that the profile was opened with. Returns 0 or -ENOMEM; what cannot be
 * written is in the file's error flag. */
int speedscope_write(struct profile *profile, const char *name, const struct profile_type *types, size_t type_count,
                     size_t shown, FILE *file);

#endif
