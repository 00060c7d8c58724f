/* Places where something happens too often: what is found of a set whose entries have rates. */
#ifndef GMPT_BUSY_H
#define GMPT_BUSY_H

#include "distribution.h"
#include "finding.h"

struct busy_limit {
    enum finding_kind kind;
    int64_t window_ns; /* that the rates were fed with */
    uint64_t per_s;
};

/* Adds a warning for each entry that had the limit's rate in a window, those with the longest total first. place fills
 * in where that is, and what else its kind tells. Returns 0 or -ENOMEM. */
int busy_find(struct distributions *set, const struct busy_limit *limit,
              void (*place)(struct finding *found, const struct distribution *entry), struct findings *findings);

#endif
