/* What the commands that look at a trace's end have in common: a trace read into a summary. */
#ifndef GMPT_LOAD_H
#define GMPT_LOAD_H

#include "alike.h"
#include "place.h"

#include "pprof/symbolize.h"
#include "trace/reader.h"
#include "trace/summary.h"

#include <stdbool.h>
#include <stdint.h>

#define LOAD_GO_ON (-1)

struct load_options {
    const char *path;
    bool json;
    int64_t stuck_ns; /* SUMMARY_STUCK_BY_END unless given */
    void (*meanwhile)(void *arg); /* called now and then while the trace is read; may be NULL */
    void *meanwhile_arg;
};

#define LOAD_MEANWHILE_EVENTS 0x4000u /* about so often */

struct load {
    struct gmpt_trace *trace;
    struct summary *summary;
    struct symbolizer *symbolizer;
    struct places *places;
    struct alike *alike;
};

/* Opens the trace and what shows its places; nothing is read yet, and there is no summary. For a command that reads by
 * itself. Returns CLI_OK or the status to exit with; load_close is due either way. */
int load_prepare(struct load *load, const struct load_options *options);
/* Reads the next events of a trace, TRACE_BATCH at most, as trace_next_batch does; *count is how many there have been
 * since meanwhile was called. */
static inline int load_next(const struct load *load, const struct load_options *options, struct gmpt_event *events,
                            uint32_t *count)
{
    if (options->meanwhile && *count >= LOAD_MEANWHILE_EVENTS) {
        options->meanwhile(options->meanwhile_arg);
        *count = 0;
    }
    int result = trace_next_batch(load->trace, events, TRACE_BATCH);
    *count += result > 0 ? (uint32_t)result : 0;
    return result;
}

/* Reads the whole trace; what is damaged, cut off or lost has been said on standard error. Returns CLI_OK or the status
 * to exit with; load_close is due either way. */
int load_open(struct load *load, const struct load_options *options);
/* The same, but nothing is said of what is damaged, cut off or lost. */
int load_open_quietly(struct load *load, const struct load_options *options);
void load_close(struct load *load);

/* Whether the file is all that was recorded: neither cut off nor damaged. */
bool load_whole(const struct load *load);
/* Whether the counts are what happened: the file is whole, and nothing was lost or is contradictory. What is not exact
 * may show a leak, but cannot show that there is none. */
bool load_exact(const struct load *load);
/* What keeps it from being exact, and how much is missing, as part of a sentence: "12 of 20 events found no room while
 * recording". Only for a trace that is not exact. In buffer, or as long as the trace. */
const char *load_missing(const struct load *load, char buffer[256]);
/* For a command that looked for leaks and found none: CLI_OK, or CLI_INPUT when it cannot tell. */
int load_none_status(const struct load *load);

/* How many Gs look leaked; *groups (may be NULL) is set to the number of groups, which are the first ones in
 * summary_groups. */
uint64_t load_suspected(const struct load *load, size_t *groups);

/* How many Gs wait, without a deadline, in a way that could be a leak but has not lasted. */
uint64_t load_below_threshold(const struct load *load);

/* "proven", "cycle", "growing", "stuck", "none". */
const char *load_verdict_words(enum summary_verdict verdict);

/* "chan_send": the name for machines. */
const char *load_reason_key(enum gmpt_wait_reason reason);

#endif
