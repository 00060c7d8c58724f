/* What a recording can do without, or has on request, as the user says it: --stacks, --events and --sample. */
#ifndef GMPT_RECORDSET_H
#define GMPT_RECORDSET_H

#include <stdint.h>

/* Zero is all that there is without being asked for. */
struct recordset {
    uint32_t frames_left_out; /* of the STACK_DEPTH_MAX of a stack */
    uint32_t events_left_out; /* a mask of enum event_group */
    uint32_t sample_hz;       /* CPU samples, which a recording has on request only */
};

/* All return CLI_OK, or CLI_USAGE after having said what may stand there. */
int recordset_stacks(struct recordset *set, const char *text);
int recordset_events(struct recordset *set, const char *text);
int recordset_sample(struct recordset *set, const char *text);

#endif
