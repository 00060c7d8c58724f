/* What the program says of its own work, added up: tasks and regions by name, with how long they lasted, and messages
 * by category. Memory is bounded by those that are open and by distinct names. */
#ifndef GMPT_SPANS_H
#define GMPT_SPANS_H

#include "summary.h"

struct spans;

/* Tasks or regions with one name. What has begun and not ended was open at the end; a region that its G did not end is
 * open as well. */
struct span_kind {
    uint64_t name; /* for gmpt_trace_string; 0 = none, or more than SPANS_KINDS_MAX names */
    uint64_t begun, ended;
    struct summary_latency latency; /* of those that ended */
    int64_t total_ns;
};
#define SPANS_KINDS_MAX 4096

struct span_messages {
    uint64_t category; /* likewise */
    uint64_t count;
};

struct spans *spans_open(void); /* NULL with errno ENOMEM */
void spans_close(struct spans *spans);

/* Takes what is its own of any event. Returns 0 or -ENOMEM. */
int spans_add(struct spans *spans, const struct gmpt_event *event);
int spans_finish(struct spans *spans); /* 0 or -ENOMEM */

/* Valid after spans_finish; those that lasted longest together first, categories by count. */
const struct span_kind *spans_tasks(const struct spans *spans, size_t *count);
const struct span_kind *spans_regions(const struct spans *spans, size_t *count);
const struct span_messages *spans_messages(const struct spans *spans, size_t *count);
/* Ends whose begin is not in the trace, or was one of too many that were open. */
uint64_t spans_unmatched(const struct spans *spans);

#endif
