/* gmpt_leak_check: a proof that the program asks for itself, and a dump of those of one scope that are lost. */
#include "dump.h"
#include "runtime.h"

#include <gmptrace/leak.h>

#define NAP_NS 200000
#define TRIES 20 /* a thread that does not get a CPU in time keeps a proof from being made */

struct gmpt_leak_mark gmpt_leak_begin(void)
{
    uint64_t scope = gmpt_scope_new();
    return (struct gmpt_leak_mark){ { scope, gmpt_scope_enter(scope) } };
}

/* The number of a proof that is complete, or 0. */
static uint32_t make_proof(enum proof_status *status)
{
    struct segment_header *header = trace_segment.header;
    for (int i = 0; i < TRIES; i++) {
        uint32_t asked = fetch_add_acq_rel(&header->proofs_asked, 1) + 1;
        while ((int32_t)(load_acquire(&header->proofs_done) - asked) < 0) /* V */
            gmpt_sleep(NAP_NS);
        *status = (enum proof_status)load_relaxed(&header->proof_status);
        if (*status == PROOF_COMPLETE)
            return load_relaxed(&header->proofs_done);
        if (*status == PROOF_UNSUPPORTED)
            break;
    }
    return 0;
}

struct lost {
    uint64_t scope;
    uint32_t proof;
};

static bool is_lost(const struct g_slot *slot, const void *arg)
{
    const struct lost *lost = arg;
    uint64_t status = load_acquire(&slot->status);
    enum g_verdict verdict = g_verdict_of(slot, lost->proof, load_relaxed(&slot->id), status);
    return load_relaxed(&slot->scope) == lost->scope && g_status_state(status) == G_WAITING &&
           (verdict == VERDICT_PROVEN || verdict == VERDICT_CYCLE);
}

int64_t gmpt_leak_check(struct gmpt_leak_mark mark, int fd)
{
    enum proof_status status;
    struct lost lost = { mark.gmpt_private[0], make_proof(&status) };
    gmpt_scope_enter(mark.gmpt_private[1]);
    if (lost.proof == 0)
        return status == PROOF_UNSUPPORTED ? -ENOTSUP : -EAGAIN;
    int64_t count = 0;
    uint32_t used = load_acquire(&trace_segment.header->registry_used);
    for (uint32_t i = 0; i < used; i++)
        count += is_lost(&trace_segment.registry[i], &lost);
    if (count && fd >= 0)
        dump_some(fd, "gmptrace: goroutines that nothing can wake any more:\n\n", is_lost, &lost);
    return count;
}
