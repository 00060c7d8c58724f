/* Blocking calls by where they are made: how long they take, how many lost their P meanwhile, and how many a second. */
#ifndef GMPT_CALLS_H
#define GMPT_CALLS_H

#include "distribution.h"
#include "finding.h"
#include "piece.h"

#define CALLS_WINDOW_NS 100000000

/* Zero-initialised is empty. */
struct calls {
    struct distributions sites; /* by stack; marked: those that lost their P; rate: over CALLS_WINDOW_NS */
};

/* A call is over, or the trace. Returns 0 or -ENOMEM. */
int calls_add(struct calls *calls, const struct piece *piece);
int calls_finish(struct calls *calls, const struct finding_limits *limits, struct findings *findings);
void calls_clear(struct calls *calls);

#endif
