/* What a filter asks of an interval's functions: whether one of its stack's, or the one that its G was started with,
 * has a name. Answers are kept, so that each stack is looked up once for each text asked for. */
#ifndef GMPT_STACKMATCH_H
#define GMPT_STACKMATCH_H

#include "symbolize.h"

#include "trace/intervals.h"

struct stackmatch;

/* NULL with errno ENOMEM. Both must outlive it. */
struct stackmatch *stackmatch_open(const struct gmpt_trace *trace, struct symbolizer *symbolizer);
void stackmatch_close(struct stackmatch *match); /* NULL: nothing */

/* The `function` of a struct filter_names, whose arg is the struct stackmatch; text must live as long as it. */
bool stackmatch_function(void *match, const struct interval *interval, const char *text, bool part);

#endif
