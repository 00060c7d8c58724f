/* What proofs of leaks said of Gs, as a trace tells it: the last verdict of each, until it is asked for. */
#ifndef GMPT_JUDGEMENTS_H
#define GMPT_JUDGEMENTS_H

#include <gmptrace/trace.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct judgement {
    uint64_t g;
    int64_t at_ns; /* since the trace's start */
    bool cycle;    /* it waits for owners that wait for each other; else nothing can reach what it waits for */
};

/* Zero is empty. */
struct judgements {
    struct judgement *list;
    size_t count, room;
    bool ordered;
};

/* A go_judged. Returns 0 or -ENOMEM. */
int judgements_add(struct judgements *judgements, const struct gmpt_event *event);
/* The last one of this G, NULL = none. */
const struct judgement *judgements_find(struct judgements *judgements, uint64_t g);
void judgements_free(struct judgements *judgements);

#endif
