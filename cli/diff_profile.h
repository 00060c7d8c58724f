/* The difference of two profiles of one type, as a profile for pprof or as folded stacks: gmptrace diff -o.
 *
 * Stacks are told apart by the names of their functions, so that two builds can be compared. Where the parts that are
 * compared are not equally long, a's values are brought to b's length, but for those of a moment. In pprof's format a's
 * samples are negative and carry the label by which pprof knows the base of a difference. Folded, each stack has two
 * values, a's and b's. */
#ifndef GMPT_DIFF_PROFILE_H
#define GMPT_DIFF_PROFILE_H

#include "pprof/tally.h"

#include <stdbool.h>

struct diff_part {
    const char *path;
    int64_t from_ns, to_ns;
};

/* Writes it to output, "-" being standard output. Returns an exit status, of which it has said why. */
int diff_profile(const struct diff_part *a, const struct diff_part *b, const struct tally_type *type, bool folded,
                 const char *output);

#endif
