/* A look at a process for its leaks: taken while the process is there, told of when there is time. */
#ifndef GMPT_LEAKLOOK_H
#define GMPT_LEAKLOOK_H

#include "leakreport.h"
#include "leaksource.h"

#include "trace/recorder.h"
#include "trace/segment.h"

#include <sys/types.h>

struct leak_look {
    int gs_fd;    /* a trace of look_write; -1 = it could not be taken */
    int trace_fd; /* of a flight recorder up to then; -1 = there is none */
    struct leak_verdicts verdicts;
};

/* Takes it. proof: the number of one that is complete, 0 = none, so that nothing is proven. recorder: NULL, or one with
 * flight limits, whose last part is taken as well. Returns 0 or -errno; leak_look_free is due either way. */
int leak_look_take(struct leak_look *look, const struct segment *segment, pid_t pid, uint32_t proof,
                   struct recorder *recorder);
/* Of a process that has gone, the last part of its recording only. */
int leak_look_take_trace(struct leak_look *look, struct recorder *recorder, int exit_kind, int exit_code);

/* Adds to the report what it shows. Returns CLI_OK, or the status to exit with after having said why. */
int leak_look_report(struct leak_look *look, struct leak_report *report, const struct leak_source *source);
void leak_look_free(struct leak_look *look);

/* Adds notes: what the last proof rests on, or why it came to nothing. Returns 0 or -ENOMEM. */
int leak_look_notes(struct leak_report *report, const struct segment *segment);
/* Why a proof came to nothing, as part of a sentence. */
const char *leak_proof_failure(uint32_t status);

#endif
