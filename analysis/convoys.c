#include "convoys.h"

#include "waits.h"

#include "trace/table.h"

static int64_t waiters(const struct convoy *convoy) { return convoy->waited_ns / CONVOYS_WINDOW_NS; }

/* Where the place's worst window is kept. When all room is taken, that of the mildest place, if this one is worse. */
static struct convoy *worst_of(struct convoys *convoys, const struct convoy *lock)
{
    struct convoy *mildest = convoys->worst;
    for (size_t i = 0; i < convoys->worst_count; i++) {
        struct convoy *worst = &convoys->worst[i];
        if (worst->stack == lock->stack && worst->reason == lock->reason)
            return worst;
        if (worst->waited_ns < mildest->waited_ns)
            mildest = worst;
    }
    if (convoys->worst_count < CONVOYS_PLACES)
        return &convoys->worst[convoys->worst_count++];
    convoys->left_out++;
    if (lock->waited_ns <= mildest->waited_ns)
        return NULL;
    *mildest = (struct convoy){ 0 };
    return mildest;
}

static void window_close(struct convoys *convoys, const struct convoy *lock)
{
    if (lock->waits < CONVOYS_WAITS_MIN || waiters(lock) < (int64_t)convoys->waiters_min)
        return;
    struct convoy *worst = worst_of(convoys, lock);
    if (!worst)
        return;
    uint64_t windows = worst->windows + 1;
    if (lock->waited_ns > worst->waited_ns)
        *worst = *lock;
    worst->windows = windows;
}

void convoys_add(struct convoys *convoys, const struct piece *piece)
{
    const struct interval *wait = piece->interval;
    struct convoy *lock = &convoys->locks[table_mix(wait->object) % CONVOYS_LOCKS];
    if (lock->object != wait->object || piece->end_ns - lock->begin_ns >= CONVOYS_WINDOW_NS) {
        window_close(convoys, lock);
        *lock = (struct convoy){
            .object = wait->object,
            .fn = piece->g->fn,
            .owner_fn = waits_holder(wait),
            .g = piece->g->id,
            .stack = piece_stack(piece),
            .reason = (uint32_t)wait->reason,
            .create_stack = piece_create_stack(piece),
            .begin_ns = piece->end_ns,
        };
    }
    int64_t from_ns = piece->begin_ns > lock->begin_ns ? piece->begin_ns : lock->begin_ns;
    if (piece->end_ns > from_ns)
        lock->waited_ns += piece->end_ns - from_ns;
    lock->waits++;
    lock->end_ns = piece->end_ns;
}

void convoys_finish(struct convoys *convoys, struct findings *findings)
{
    for (size_t i = 0; i < CONVOYS_LOCKS; i++)
        window_close(convoys, &convoys->locks[i]);
    findings->left_out[FINDING_CONVOY] += convoys->left_out;
    for (size_t i = 0; i < convoys->worst_count; i++) {
        const struct convoy *worst = &convoys->worst[i];
        findings_add(findings, &(struct finding){
                                   .kind = FINDING_CONVOY,
                                   .severity = FINDING_WARNING,
                                   .value = waiters(worst),
                                   .threshold = (int64_t)convoys->waiters_min,
                                   .times = worst->windows,
                                   .begin_ns = worst->begin_ns,
                                   .end_ns = worst->end_ns,
                                   .fn = worst->fn,
                                   .by_fn = worst->owner_fn,
                                   .create_stack = worst->create_stack,
                                   .stack = worst->stack,
                                   .reason = worst->reason,
                                   .g = worst->g,
                                   .object = worst->object,
                               });
    }
}
