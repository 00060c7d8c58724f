/* Page faults by where they were: how many, and how many a second.
 *
 * A record of the kernel's side tells of one fault, with its place, and how many of its thread's it stands for: when
 * they are few each is told, when they are many one of some, chosen at random. So sums are exact, and places are so of
 * few, and within some percent of many. Of what a thread made last, before it ended, nobody knows where that was.
 *
 * What is a storm is judged by a whole second: memory that is touched for the first time as a program starts is often
 * thousands of pages in some milliseconds, and no fault of anybody's. */
#ifndef GMPT_PAGEFAULTS_H
#define GMPT_PAGEFAULTS_H

#include "distribution.h"
#include "finding.h"

#include "trace/intervals.h"
#include "trace/stackalias.h"

#define PAGEFAULTS_WINDOW_NS 1000000000

/* Zero-initialised is empty. */
struct pagefaults {
    uint64_t count;
    /* By stack, or function and start. Of each record how many it counts (histogram.total: all); worst_object: an
     * address; rate: over PAGEFAULTS_WINDOW_NS. */
    struct distributions sites;
};

/* A kernel_faults; g: whose it was as far as that is known, or NULL. Returns 0 or -ENOMEM. */
int pagefaults_add(struct pagefaults *faults, const struct gmpt_event *event, const struct interval_g *g,
                   struct stackalias *alias);
int pagefaults_finish(struct pagefaults *faults, const struct finding_limits *limits, struct findings *findings);
void pagefaults_clear(struct pagefaults *faults);

#endif
