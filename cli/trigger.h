/* The triggers of a flight recorder: what a G must not do for longer than so long, as the user says it, and who did.
 *
 *     --trigger runnable>50ms
 *     --trigger waiting>2s:mutex,rwmutex_write@handle_order
 *
 *     trigger     state ">" duration [":" reason {"," reason}] ["@" function]
 *     state       runnable, waiting, syscall, leaked (waiting, and nothing can ever end that, as a proof says)
 *     reason      of waits, as in filters (filter.h): mutex, chan_recv, ...
 *     function    that the G was started with
 *
 * An incident is a G in one state for too long; it triggers once. After a snapshot further incidents are only counted
 * for a while, so that a program in trouble does not fill the disk. A proof is asked for when a G has waited for long
 * enough, and for the time of that pause no other. */
#ifndef GMPT_TRIGGER_H
#define GMPT_TRIGGER_H

#include "trace/recorder.h"
#include "trace/watch.h"

#define TRIGGER_PAUSE_USUAL_NS INT64_C(60000000000)
#define TRIGGER_TEXT_BYTES 1024

/* Zero-initialised there are none. */
struct triggers {
    unsigned count;
    struct watch_limit limits[WATCH_LIMITS_MAX];
    const char *functions[WATCH_LIMITS_MAX]; /* into the command line; NULL = any */
    int64_t pause_ns;                        /* from one snapshot to the next */
    struct watch *watch;                     /* NULL until there is a recorder */
    struct symbolizer *symbolizer;           /* of the program's modules, when there were so many; NULL until needed */
    uint32_t modules;
    int64_t last_ns; /* CLOCK_MONOTONIC of the last that triggered; 0 = none so far */
    uint64_t others; /* incidents since then */
    uint32_t proof;   /* the last that was asked for */
    int64_t asked_ns; /* when that was; 0 = never */
    bool proof_is_due; /* it has not been answered so far */
    bool no_proof_told; /* it was said that there was none */
};

/* One more, from the command line. Returns CLI_OK, or CLI_USAGE after having said what may stand there. */
int trigger_parse(struct triggers *triggers, const char *text);

/* Whether it is time for a snapshot; text then says why, as a sentence without an end. */
bool triggers_check(struct triggers *triggers, const struct recorder *recorder, char text[TRIGGER_TEXT_BYTES]);

void triggers_close(struct triggers *triggers);

#endif
