/* Turns a trace's events, in order, into what export.h tells a format. Memory is bounded by the Gs that are alive. */
#ifndef GMPT_TIMELINE_H
#define GMPT_TIMELINE_H

#include "export.h"

#include <gmptrace/trace.h>

#include <stdint.h>

#define TIMELINE_END (INT64_MAX / 2) /* later than anything */
#define TIMELINE_EVERY_NS 100000

struct timeline;

struct timeline_options {
    int64_t from_ns, to_ns;
    int64_t every_ns; /* a step of the counters; 0: every change is told */
};

struct timeline *timeline_open(struct export *export, const struct timeline_options *options); /* NULL: ENOMEM */
void timeline_close(struct timeline *timeline);                                                /* NULL: nothing */

/* 0 or a negative errno. The event is the last one that the trace gave out; for a format that hears no counts, any of
 * the last batch (trace/reader.h), in order. */
int timeline_add(struct timeline *timeline, const struct gmpt_event *event);
int timeline_finish(struct timeline *timeline);

#endif
