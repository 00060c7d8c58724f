/* Asking, stopping, copying, and what becomes of it. See proof.h. */
#define _GNU_SOURCE
#include "proof.h"

#include "runtime.h"

#define HOLD_NAP_NS 1000000

void proof_hold_at_end(void)
{
    struct segment_header *header = trace_segment.header;
    while (load_relaxed(&header->hold_at_end) && trace_segment.fd >= 0 && trace_is_locked())
        gmpt_sleep(HOLD_NAP_NS);
}
