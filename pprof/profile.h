/* Builds a profile in pprof's format (profile.proto, gzip) and writes it.
 *
 * Conventions kept: string 0 is empty, a sample's leaf is its first location, inlined functions are lines of one
 * location with the innermost first, mappings carry build ids, addresses are those of the recorded process. */
#ifndef GMPT_PROFILE_H
#define GMPT_PROFILE_H

#include "symbolize.h"

#include <stddef.h>
#include <stdint.h>

struct profile;

struct profile_label {
    const char *key;
    const char *text; /* NULL: number and unit count */
    int64_t number;
    const char *unit;
};

/* sample_type and unit as in "goroutine", "count". The trace tells the time, the duration and, in comments, the
 * command, the host and what was lost; all of it is taken when the profile is written. It may be NULL. Trace and
 * symbolizer must outlive the profile. NULL with errno ENOMEM. */
struct profile *profile_open(const struct gmpt_trace *trace, struct symbolizer *symbolizer, const char *sample_type,
                             const char *unit);
int profile_comment(struct profile *profile, const char *text); /* 0 or -ENOMEM */
/* Adds a sample; pc is leaf first. Samples with the same stack and labels are summed. Returns 0 or -ENOMEM. */
int profile_add(struct profile *profile, const uint64_t *pc, size_t count, int64_t value,
                const struct profile_label *labels, size_t label_count);
size_t profile_sample_count(const struct profile *profile);
/* Looks up all addresses and writes the profile to fd. Returns 0 or -errno. */
int profile_write(struct profile *profile, int fd);
void profile_close(struct profile *profile); /* NULL: nothing */

#endif
