/* What our own commands use of the reader beside <gmptrace/trace.h>. */
#ifndef GMPT_READER_H
#define GMPT_READER_H

#include <gmptrace/trace.h>

/* As gmpt_trace_next, for as many events as there is room for, or fewer: returns how many. What is known of Gs is then
 * as of the last of them; but up to that one nothing has changed of it except their states, what they wait for, and
 * which there are: an event that tells of anything else than that, of Ms or of Ps comes alone. */
int trace_next_batch(struct gmpt_trace *trace, struct gmpt_event *events, int room);

#define TRACE_BATCH 64 /* a good number for that */

#endif
