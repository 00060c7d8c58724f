#include "convoys.h"

#include "trace/table.h"

static int64_t waiters(const struct convoy *convoy) { return convoy->waited_ns / CONVOYS_WINDOW_NS; }

static void window_close(struct convoys *convoys, struct convoy *lock)
{
    if (lock->waits < CONVOYS_WAITS_MIN || waiters(lock) < (int64_t)convoys->waiters_min)
        return;
    for (size_t i = 0; i < convoys->worst_count; i++)
        if (convoys->worst[i].stack == lock->stack && convoys->worst[i].reason == lock->reason) {
            convoys->times[i]++;
            if (lock->waited_ns > convoys->worst[i].waited_ns)
                convoys->worst[i] = *lock;
            return;
        }
    if (convoys->worst_count == CONVOYS_PLACES)
        return;
    convoys->times[convoys->worst_count] = 1;
    convoys->worst[convoys->worst_count++] = *lock;
}

void convoys_add(struct convoys *convoys, const struct piece *piece, uint64_t owner_fn)
{
    const struct interval *wait = piece->interval;
    struct convoy *lock = &convoys->locks[table_mix(wait->object) % CONVOYS_LOCKS];
    if (lock->object != wait->object || piece->end_ns - lock->begin_ns >= CONVOYS_WINDOW_NS) {
        window_close(convoys, lock);
        *lock = (struct convoy){
            .object = wait->object,
            .fn = piece->g->fn,
            .owner_fn = owner_fn,
            .g = piece->g->id,
            .stack = piece->stack,
            .reason = (uint32_t)wait->reason,
            .create_stack = piece->create_stack,
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
    for (size_t i = 0; i < convoys->worst_count; i++) {
        const struct convoy *worst = &convoys->worst[i];
        findings_add(findings, &(struct finding){
                                   .kind = FINDING_CONVOY,
                                   .severity = FINDING_WARNING,
                                   .value = waiters(worst),
                                   .threshold = (int64_t)convoys->waiters_min,
                                   .times = convoys->times[i],
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
