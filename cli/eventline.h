/* An event as a line of text, for a person or, raw, for programs. */
#ifndef GMPT_EVENTLINE_H
#define GMPT_EVENTLINE_H

#include "captions.h"

#include <gmptrace/trace.h>

#include <stdbool.h>
#include <stdio.h>

struct eventlines {
    struct gmpt_trace *trace;
    struct captions *captions;
    bool raw; /* as text_event has it: numbers instead of the program's names */
};

/* Writes the line of the event that gmpt_trace_next has just returned; none for the parts of a message, which is one
 * line, unless raw. Returns 0 or -ENOMEM; what cannot be written is ferror(out)'s matter. */
int eventlines_print(struct eventlines *lines, FILE *out, const struct gmpt_event *event);

#endif
