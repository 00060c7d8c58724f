/* The stacks of events: who called, as an ordinal in the table of the P's ring.
 *
 * Most stacks of a program were seen a moment ago. A P keeps the walks that it made last, with the place of each frame
 * counted from the end of the G's stack, so that all Gs that came the same way share one. A walk that is kept is
 * repeated by comparing: every word that following the frame pointers would read, in the same order, each frame only
 * after the one below has led there, so that nothing is read that a walk would not read. The processor does the
 * comparisons side by side, where a walk waits for each frame to tell of the next and for a hash over all of them.
 *
 * A difference anywhere means to walk. The ordinal of a stack never changes, so nothing that is kept gets old. Only the
 * M that holds the P may call these. */
#ifndef GMPT_CALLERS_H
#define GMPT_CALLERS_H

#include "tracepoint.h"

enum {
    CALLERS_WALKS = 256,
    CALLERS_FRAMES = 18, /* deeper stacks are walked each time */
};

struct callers_walk {
    uint64_t first; /* what the stack begins with before any caller, 0 = nothing */
    uint32_t ordinal;
    uint16_t room;   /* how many addresses the stack could have */
    uint8_t frames;  /* read, 0 = no walk */
    bool at_the_end; /* the last frame is the G's first: it has nothing above it */
    uint64_t caller[CALLERS_FRAMES];
    uint32_t down[CALLERS_FRAMES]; /* bytes from the frame to the end of the G's stack */
};

struct callers {
    uint64_t pc[STACK_DEPTH_MAX]; /* of the walk that is under way: a G's own stack may be small */
    struct callers_walk walks[CALLERS_WALKS];
};

/* How many addresses the recorder wants of a stack, at most STACK_DEPTH_MAX whatever it has written; 0 = no stacks. */
uint32_t callers_room(void);
/* Of the API function, which has told its own frame. 0 = no stack. */
uint32_t callers_of_site(struct p *p, const struct g *g, struct api_site site);
/* Of the running G, from a frame in the runtime's own code: begins with the public function that the program called. */
uint32_t callers_of_frame(struct p *p, const struct g *g, const void *frame);

#endif
