/* An event as a JSON object on a line of its own. */
#ifndef GMPT_EVENTJSON_H
#define GMPT_EVENTJSON_H

#include "place.h"

#include <gmptrace/trace.h>

#include <stdio.h>

/* Writes the event that gmpt_trace_next has just returned; nothing for the parts of a message, which is one line. What
 * cannot be written is ferror(out)'s matter. */
void eventjson_print(const struct gmpt_trace *trace, struct places *places, FILE *out, const struct gmpt_event *event);

#endif
