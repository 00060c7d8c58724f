/* How long Gs live, by where they were started, and whether ever more of them do. */
#ifndef GMPT_LIVES_H
#define GMPT_LIVES_H

#include "distribution.h"
#include "finding.h"
#include "piece.h"

#include "trace/suspects.h"

/* Zero-initialised is empty. */
struct lives {
    struct distributions starts; /* lives that are over, by function and where the G was started */
    struct suspects places;      /* how many live over time, by the same */
    struct suspect *last;
};

/* A G was started; create_stack stands for all that mean the same. Returns 0 or -ENOMEM. */
int lives_begin(struct lives *lives, const struct interval_g *g, uint32_t create_stack, int64_t time_ns);
/* It is over. Its end counts for the number alive; its length only when it was chosen. */
int lives_end(struct lives *lives, const struct piece *piece, bool chosen);
int lives_finish(struct lives *lives, const struct finding_limits *limits, int64_t end_ns, struct findings *findings);
void lives_clear(struct lives *lives);

#endif
