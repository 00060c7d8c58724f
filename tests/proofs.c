/* Asking for proofs of leaks. See proofs.h. */
#define _GNU_SOURCE
#include "proofs.h"

#include "runtime/tracepoint.h"

#include <string.h>

#define TRIES 20

static enum proof_status make_once(void)
{
    struct segment_header *header = trace_segment.header;
    uint32_t number = segment_ask_proof(&trace_segment);
    while (!segment_proof_is_done(&trace_segment, number))
        gmpt_sleep(200000);
    return (enum proof_status)load_relaxed(&header->proof_status);
}

enum proof_status proofs_make(void)
{
    enum proof_status status = PROOF_NO_ANSWER;
    for (int i = 0; i < TRIES && status == PROOF_NO_ANSWER; i++)
        status = make_once();
    return status;
}

enum g_verdict proofs_verdict(int64_t id)
{
    uint32_t used = load_acquire(&trace_segment.header->registry_used);
    uint32_t number = load_acquire(&trace_segment.header->proofs_done);
    for (uint32_t i = 0; i < used; i++) {
        const struct g_slot *slot = &trace_segment.registry[i];
        if (load_relaxed(&slot->id) == (uint64_t)id)
            return g_verdict_of(slot, number, (uint64_t)id, load_acquire(&slot->status));
    }
    return VERDICT_NONE;
}

__attribute__((noinline)) void proofs_clear_stack(void)
{
    volatile char below[16384];
    for (size_t i = 0; i < sizeof below; i++)
        below[i] = 0;
}
