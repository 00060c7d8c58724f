#include "wakeups.h"

#include "waits.h"

#include <errno.h>

#define BURST_NS 1000000

void wakeups_open(struct wakeups *wakeups, struct intervals *intervals, struct stackalias *alias,
                  const struct finding_limits *limits)
{
    wakeups->alias = alias;
    wakeups->last = &wakeups->bursts[WAKEUPS_BURSTS - 1];
    wakeups->room = intervals_room(intervals, sizeof(struct woken));
    wakeups->at_once_ns = limits->at_once_ns;
    wakeups->herd_gs = limits->herd_gs;
}

/* Keeps the worst of each place; when all room is taken, those places that are worst. */
static void worst_keep(struct wakeups *wakeups, const struct wakeup_burst *burst)
{
    struct wakeup_burst *mildest = wakeups->worst;
    for (size_t i = 0; i < wakeups->worst_count; i++) {
        struct wakeup_burst *worst = &wakeups->worst[i];
        if (worst->stack == burst->stack && worst->reason == burst->reason) {
            if (burst->woken > worst->woken)
                *worst = *burst;
            return;
        }
        if (worst->woken < mildest->woken)
            mildest = worst;
    }
    if (wakeups->worst_count < WAKEUPS_BURSTS) {
        wakeups->worst[wakeups->worst_count++] = *burst;
        return;
    }
    wakeups->left_out++;
    if (burst->woken > mildest->woken)
        *mildest = *burst;
}

/* A burst that makes room, or the last ones. */
static int burst_over(struct wakeups *wakeups, struct wakeup_burst *burst)
{
    if (burst->woken < wakeups->herd_gs || burst->back * 2 < burst->woken)
        return 0;
    burst->stack = stackalias_of(wakeups->alias, burst->stack);
    burst->create_stack = stackalias_of(wakeups->alias, burst->create_stack);
    struct distribution_key key = { .stack = burst->stack, .kind = burst->reason };
    if (key.stack == 0)
        key.fn = burst->fn;
    struct distribution *herd = distributions_get(&wakeups->herds, &key);
    if (!herd || distribution_add(herd, (int64_t)burst->woken, burst->end_ns, burst->g, burst->object))
        return -ENOMEM;
    herd->marked += burst->back;
    worst_keep(wakeups, burst);
    return 0;
}

/* Returns the number of the burst that this wake-up belongs to, or 0 when memory is short. A G that was in the last one
 * already begins another. Most are one wake-up: they are begun member by member, not by a slow instruction. */
static inline uint64_t burst_join(struct wakeups *wakeups, const struct piece *piece, uint64_t before)
{
    const struct interval *wait = piece->interval;
    struct wakeup_burst *last = wakeups->last;
    if (last->object != wait->object || last->waker != wait->waker || wakeups->burst_count == before ||
        piece->end_ns - last->begin_ns > BURST_NS) {
        last = &wakeups->bursts[wakeups->burst_count++ % WAKEUPS_BURSTS];
        wakeups->last = last;
        if (__builtin_expect(last->woken >= wakeups->herd_gs && burst_over(wakeups, last), 0))
            return 0;
        last->object = wait->object;
        last->waker = wait->waker;
        last->waker_fn = wait->waker_fn;
        last->fn = piece->g->fn;
        last->g = piece->g->id;
        last->stack = wait->stack;
        last->create_stack = piece->g->create_stack;
        last->reason = (uint32_t)wait->reason;
        last->begin_ns = piece->end_ns;
        last->woken = last->back = 0;
    }
    last->woken++;
    last->end_ns = piece->end_ns;
    return wakeups->burst_count;
}

static struct distribution *futile_site(struct wakeups *wakeups, struct woken *woken, const struct interval_g *g)
{
    struct distribution_key key = {
        .stack = stackalias_of(wakeups->alias, woken->stack), .kind = woken->reason, .by_fn = woken->waker_fn
    };
    if (key.stack == 0)
        key.fn = g->fn;
    return woken->futile = distributions_get(&wakeups->futile, &key);
}

static inline int back_note(struct wakeups *wakeups, struct woken *woken, const struct piece *piece, int64_t ran_ns)
{
    struct distribution *site = woken->futile ? woken->futile : futile_site(wakeups, woken, piece->g);
    if (!site || distribution_add(site, ran_ns, piece->begin_ns, piece->g->id, woken->object))
        return -ENOMEM;
    if (woken->burst && wakeups->burst_count - woken->burst < WAKEUPS_BURSTS)
        wakeups->bursts[(woken->burst - 1) % WAKEUPS_BURSTS].back++;
    return 0;
}

int wakeups_told(struct wakeups *wakeups, struct woken *woken, const struct piece *piece, bool tells)
{
    const struct interval *wait = piece->interval;
    int64_t ran_ns = piece->g->ran_ns;
    if (woken->waiting) {
        if (wait->reason == GMPT_WAIT_mutex && woken->reason == GMPT_WAIT_cond)
            return 0;
        bool back = wait->object == woken->object && (uint8_t)wait->reason == woken->reason;
        if (back && ran_ns - woken->ran_ns < wakeups->at_once_ns &&
            back_note(wakeups, woken, piece, ran_ns - woken->ran_ns))
            return -ENOMEM;
    }
    uint64_t before = woken->burst;
    woken->ran_ns = ran_ns;
    woken->burst = 0;
    woken->waiting = tells;
    if (!tells)
        return 0;
    wakeups->woken++;
    if (woken->stack != wait->stack || woken->waker_fn != wait->waker_fn || woken->reason != (uint8_t)wait->reason)
        woken->futile = NULL;
    woken->object = wait->object;
    woken->reason = (uint8_t)wait->reason;
    woken->stack = wait->stack;
    woken->waker_fn = wait->waker_fn;
    if (!(1u << wait->reason & WAKEUPS_MANY))
        return 0;
    woken->burst = burst_join(wakeups, piece, before);
    return woken->burst ? 0 : -ENOMEM;
}

int wakeups_finish(struct wakeups *wakeups, struct findings *findings)
{
    uint64_t first = wakeups->burst_count > WAKEUPS_BURSTS ? wakeups->burst_count - WAKEUPS_BURSTS : 0;
    for (uint64_t number = first; number < wakeups->burst_count; number++)
        if (burst_over(wakeups, &wakeups->bursts[number % WAKEUPS_BURSTS]))
            return -ENOMEM;
    findings->left_out[FINDING_HERD] += wakeups->left_out;
    for (size_t i = 0; i < wakeups->worst_count; i++) {
        const struct wakeup_burst *worst = &wakeups->worst[i];
        struct distribution_key key = { .stack = worst->stack, .kind = worst->reason };
        if (key.stack == 0)
            key.fn = worst->fn;
        struct distribution *herd = distributions_get(&wakeups->herds, &key);
        if (!herd)
            return -ENOMEM;
        findings_add(findings, &(struct finding){
                                   .kind = FINDING_HERD,
                                   .severity = FINDING_WARNING,
                                   .value = (int64_t)worst->woken,
                                   .threshold = (int64_t)wakeups->herd_gs,
                                   .times = herd->histogram.count,
                                   .begin_ns = worst->begin_ns,
                                   .end_ns = worst->end_ns,
                                   .fn = worst->fn,
                                   .by_fn = worst->waker_fn,
                                   .create_stack = worst->create_stack,
                                   .stack = worst->stack,
                                   .reason = worst->reason,
                                   .g = worst->g,
                                   .object = worst->object,
                                   .gs = worst->woken,
                                   .back = worst->back,
                               });
    }
    return 0;
}

void wakeups_clear(struct wakeups *wakeups)
{
    distributions_clear(&wakeups->futile);
    distributions_clear(&wakeups->herds);
}
