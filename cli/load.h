/* What analyze and leaks have in common: their options, and a trace read to its end into a summary. */
#ifndef GMPT_LOAD_H
#define GMPT_LOAD_H

#include "place.h"

#include "pprof/symbolize.h"
#include "trace/summary.h"

#include <stdbool.h>
#include <stdint.h>

#define LOAD_DEFAULT_PATH "gmptrace.data"
#define LOAD_GO_ON (-1)

struct load_options {
    const char *path;
    bool json;
    int64_t stuck_ns;
};

/* Reads FILE, --json, --stuck T, --help and --version. Returns LOAD_GO_ON, or the status to exit with. */
int load_options_read(struct load_options *options, int argc, char **argv);

struct load {
    struct gmpt_trace *trace;
    struct summary *summary;
    struct symbolizer *symbolizer;
    struct places *places;
};

/* Reads the whole trace; what is damaged, cut off or lost has been said on standard error. Returns CLI_OK or the status
 * to exit with; load_close is due either way. */
int load_open(struct load *load, const struct load_options *options);
/* Says what the symbolizer had to say. */
void load_warn(const struct load *load);
void load_close(struct load *load);

/* Whether the counts are what happened: nothing lost, cut off or contradictory. */
bool load_exact(const struct load *load);

/* How many Gs look leaked; *groups (may be NULL) is set to the number of groups, which are the first ones in
 * summary_groups. */
uint64_t load_suspected(const struct load *load, size_t *groups);

/* "growing", "stuck", "none". */
const char *load_verdict_words(enum summary_verdict verdict);

/* "chan_send": the name for machines. */
const char *load_reason_key(enum gmpt_wait_reason reason);

#endif
