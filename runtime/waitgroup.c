/* gmpt_waitgroup: a count in one word, and those who wait for it to be 0 behind it.
 *
 *     word = count << 1 | WAITERS, never negative
 *
 * WAITERS is set just when the list is not empty, whenever `lock` is free. Without it the word changes by CAS alone.
 * The step to 0 is the last touch of the group, since whoever sees the 0 may free it; with WAITERS it is made under the
 * lock, and the Gs in the list, not ready yet, keep the group alive until it is released. */
#include "waitlist.h"

#define WAITERS 1
#define COUNT_MAX ((INT64_C(1) << 61) - 1) /* twice this, shifted, is no less than 0 yet: one look finds both ends */

struct waitgroup {
    ATOMIC(int64_t) word; /* A: a release by who adds pairs with an acquire by who waits */
    struct lock lock;
    struct waitlist waiters;
};
_Static_assert(sizeof(struct waitgroup) <= sizeof(struct gmpt_waitgroup), "it must fit the public type");

static struct waitgroup *of(struct gmpt_waitgroup *group) { return (struct waitgroup *)group; }
static inline int64_t count_of(int64_t word) { return word >> 1; }

static _Noreturn __attribute__((noinline)) void out_of_range(const struct waitgroup *group, int64_t delta)
{
    fatal("wait group %p: the count %s", (const void *)group, delta < 0 ? "fell below 0" : "is too large");
}

/* Adds delta, which is in range, or finds that this would wake those who wait: returns false. */
static inline bool add_fast(struct waitgroup *group, int64_t delta)
{
    int64_t word = load_relaxed(&group->word), next;
    do {
        next = (int64_t)((uint64_t)word + (uint64_t)delta * 2);
        if (unlikely(next < 0))
            out_of_range(group, delta);
        if (unlikely(next == WAITERS))
            return false;
    } while (!cas_acq_rel(&group->word, &word, next)); /* A */
    return true;
}

static __attribute__((noinline)) void add_slow(struct waitgroup *group, int64_t delta)
{
    API_ENTER();
    struct ready_batch batch;
    do {
        batch_begin(&batch);
        lock_acquire(&group->lock);
        int64_t word = load_relaxed(&group->word);
        bool wakes = (word & WAITERS) && count_of(word) + delta == 0 && cas_acq_rel(&group->word, &word, 0); /* A */
        if (wakes)
            batch_add_all_locked(&batch, &group->waiters);
        lock_release(&group->lock);
        if (wakes) {
            batch_ready(&batch, m_self()->p);
            return;
        }
    } while (!add_fast(group, delta)); /* others have added, or given up, meanwhile */
}

void gmpt_waitgroup_add(struct gmpt_waitgroup *group, int64_t delta)
{
    if (unlikely(delta < -COUNT_MAX || delta > COUNT_MAX))
        out_of_range(of(group), delta);
    if (unlikely(!add_fast(of(group), delta)))
        add_slow(of(group), delta);
}

void gmpt_waitgroup_done(struct gmpt_waitgroup *group)
{
    if (unlikely(!add_fast(of(group), -1)))
        add_slow(of(group), -1);
}

static void left_locked(struct waitlist_wait *wait, struct ready_batch *batch)
{
    struct waitgroup *group = container_of(wait->list, struct waitgroup, waiters);
    (void)batch;
    if (!group->waiters.first)
        fetch_and_acq_rel(&group->word, ~(int64_t)WAITERS);
}

/* Whether there is something to wait for; then, if the G is to wait, says in the word that somebody does. */
static bool mark_locked(struct waitgroup *group, bool waits)
{
    int64_t word = load_acquire(&group->word); /* A */
    while (count_of(word) != 0) {
        if (!waits || cas_acq_rel(&group->word, &word, word | WAITERS)) /* A */
            return true;
    }
    return false;
}

static __attribute__((noinline)) int wait_slow(struct waitgroup *group, int64_t deadline_ns, struct api_site site)
{
    API_ENTER();
    struct waitlist_wait self;
    waitlist_begin(&self, &group->lock, &group->waiters);
    self.left_locked = left_locked;
    int result = waitlist_set_deadline(&self, deadline_ns);
    if (result)
        return result;
    lock_acquire(&group->lock);
    if (!mark_locked(group, !self.expired)) {
        lock_release(&group->lock);
    } else if (self.expired) {
        lock_release(&group->lock);
        result = -ETIMEDOUT;
    } else {
        waitlist_push_locked(&self);
        struct wait description = { .reason = GMPT_WAIT_wait_group, .object = group, .site = site };
        result = waitlist_park_locked(&self, &description);
    }
    waitlist_end(&self);
    return result;
}

void gmpt_waitgroup_wait(struct gmpt_waitgroup *group)
{
    if (count_of(load_acquire(&of(group)->word)) != 0) /* A */
        wait_slow(of(group), GMPT_NEVER, API_SITE(gmpt_waitgroup_wait));
}

int gmpt_waitgroup_wait_until(struct gmpt_waitgroup *group, int64_t deadline_ns)
{
    if (count_of(load_acquire(&of(group)->word)) == 0) /* A */
        return 0;
    return wait_slow(of(group), deadline_ns, API_SITE(gmpt_waitgroup_wait_until));
}
