/* How far a long reading of a trace is: a line on standard error that is written over, when that is a terminal, and
 * only once the work has lasted for a second. */
#ifndef GMPT_READING_H
#define GMPT_READING_H

#include <gmptrace/trace.h>

#include <stdbool.h>
#include <stdint.h>

struct reading {
    const struct gmpt_trace *trace;
    bool terminal, shown;
    uint32_t calls;
    int64_t next_ns; /* by CLOCK_MONOTONIC */
};

void reading_begin(struct reading *reading, const struct gmpt_trace *trace);
void reading_look(struct reading *reading, int64_t time_ns);
void reading_end(struct reading *reading); /* takes the line away */

/* For each event, or a few. */
static inline void reading_show(struct reading *reading, int64_t time_ns)
{
    if (reading->terminal && (++reading->calls & 0x3fff) == 0)
        reading_look(reading, time_ns);
}

#endif
