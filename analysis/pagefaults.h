/* Page faults by where they were: how many, and how many a second.
 *
 * The kernel's side does not tell of each: a record has the number of a thread's since the record before, with place
 * and address of the last. A thread makes one a millisecond at most, and at once when it made none for so long, so what
 * a record counts is that one fault and those of less than a millisecond before; they all count where the last one was.
 * Sums are exact, and places are so for whatever makes many. Of a thread's last faults nobody knows where they were.
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
