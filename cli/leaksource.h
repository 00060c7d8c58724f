/* What a leak report is filled from: a look at a process, with the verdicts that a proof has left in its registry, and
 * a trace, which shows what grows and what runs. */
#ifndef GMPT_LEAKSOURCE_H
#define GMPT_LEAKSOURCE_H

#include "leakreport.h"
#include "load.h"

#include "trace/segment.h"

/* What a proof says of one G. */
struct leak_verdict {
    uint64_t g, owner; /* owner: of a cycle, the G that it waits for; 0 = none */
    enum g_verdict verdict;
    int64_t held_bytes; /* of who is lost; -1 = not known */
};

/* Ordered by g. */
struct leak_verdicts {
    struct leak_verdict *list;
    size_t count;
};

struct leak_source {
    uint32_t pid;
    int64_t stuck_ns;   /* a wait this long is stuck */
    int64_t runaway_ns; /* and a run this long runs away */
    uint64_t scope;     /* only Gs of this scope; 0 = all */
    void (*meanwhile)(void *arg); /* called now and then while a trace is read; may be NULL */
    void *meanwhile_arg;
    bool *warned;       /* set once it has been said which modules lack names; NULL: it is not said */
};

/* The verdicts of the proof with this number that still hold, from the registry. Returns 0 or -ENOMEM; list is to be
 * freed either way. */
int leak_verdicts_read(struct leak_verdicts *verdicts, const struct segment *segment, uint32_t proof);

/* Adds what a look at a process found: load has read a whole trace of look_write. growth: NULL, or a summary's trace of
 * the same process up to about now. Returns 0 or -ENOMEM. */
int leak_source_add(struct leak_report *report, struct load *look, const struct leak_verdicts *verdicts,
                    struct load *growth, const struct leak_source *source);

/* Whether a look shows anything that a trace could tell more about: Gs that wait without a deadline and are not judged,
 * or run. */
bool leak_source_wants_trace(const struct load *look, const struct leak_verdicts *verdicts);

/* Adds what a trace alone shows: groups that its summary found growing or stuck. Returns 0 or -ENOMEM. */
int leak_source_add_trace(struct leak_report *report, struct load *load);

#endif
