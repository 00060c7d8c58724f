/* What the program says of its own work, added up: tasks and regions by name, with how long they lasted, and messages
 * by category. Memory is bounded by those that are open and by distinct names. */
#ifndef GMPT_SPANS_H
#define GMPT_SPANS_H

#include "summary.h"

#include <stdbool.h>
#include <stdint.h>

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

/* A task or a region that is over: it has ended, or its G has, or the trace. */
struct span {
    bool task;         /* else a region */
    bool ended;        /* false: nobody knows when; end_ns is when its G ended, or the trace's end */
    uint64_t id;       /* the task's; of a region that of the task that it works for, 0 = none */
    uint64_t parent;   /* of a task: the task that it is a part of, 0 = none */
    uint64_t name;     /* for gmpt_trace_string */
    uint64_t g, end_g; /* where it began and ended; a region has one G */
    uint32_t lane;     /* of a region: the smallest number that no other one open on its G has */
    int64_t begin_ns, end_ns;
};

struct spans *spans_open(void); /* NULL with errno ENOMEM */
/* Calls over for each span when it is over. What it returns, 0 or a negative errno, the call that made it over returns.
 * Set it before the first spans_add. */
void spans_watch(struct spans *spans, int (*over)(void *arg, const struct span *span), void *arg);
void spans_close(struct spans *spans);

/* Takes what is its own of any event. Returns 0 or -ENOMEM. */
int spans_add(struct spans *spans, const struct gmpt_event *event);
/* The trace ends: those that are open are over. Only who watches needs it. */
int spans_cut(struct spans *spans, int64_t end_ns);
int spans_finish(struct spans *spans); /* 0 or -ENOMEM */

/* Valid after spans_finish; those that lasted longest together first, categories by count. */
const struct span_kind *spans_tasks(const struct spans *spans, size_t *count);
const struct span_kind *spans_regions(const struct spans *spans, size_t *count);
const struct span_messages *spans_messages(const struct spans *spans, size_t *count);
/* Ends whose begin is not in the trace, or was one of too many that were open. */
uint64_t spans_unmatched(const struct spans *spans);

#endif
