/* What a recording can do without, as the user says it: --stacks and --events. */
#ifndef GMPT_RECORDSET_H
#define GMPT_RECORDSET_H

#include <stdint.h>

/* Zero is all that there is. */
struct recordset {
    uint32_t frames_left_out; /* of the STACK_DEPTH_MAX of a stack */
    uint32_t events_left_out; /* a mask of enum event_group */
};

/* Both return CLI_OK, or CLI_USAGE after having said what may stand there. */
int recordset_stacks(struct recordset *set, const char *text);
int recordset_events(struct recordset *set, const char *text);

#endif
