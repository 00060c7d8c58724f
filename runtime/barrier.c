/* gmpt_barrier: a count of those who have come, under a lock; the last one wakes the others. */
#include "waitlist.h"

struct barrier {
    uint64_t parties; /* as GMPT_BARRIER_INIT lays it out */
    uint64_t waiting; /* in the list; below parties whenever `lock` is free */
    struct lock lock;
    struct waitlist waiters;
};
_Static_assert(sizeof(struct barrier) <= sizeof(struct gmpt_barrier), "it must fit the public type");

static void left_locked(struct waitlist_wait *wait, struct ready_batch *batch)
{
    (void)batch;
    container_of(wait->list, struct barrier, waiters)->waiting--;
}

static inline bool is_last_locked(const struct barrier *barrier) { return barrier->waiting + 1 == barrier->parties; }

/* Lets all go; releases the lock. */
static int open_locked(struct barrier *barrier)
{
    struct ready_batch batch;
    batch_begin(&batch);
    barrier->waiting = 0;
    batch_add_all_locked(&batch, &barrier->waiters);
    lock_release(&barrier->lock);
    batch_ready(&batch, m_self()->p);
    return 1;
}

static int wait_until(struct barrier *barrier, int64_t deadline_ns, struct api_site site)
{
    API_ENTER();
    if (unlikely(barrier->parties == 0))
        return -EINVAL;
    struct waitlist_wait self;
    waitlist_begin(&self, &barrier->lock, &barrier->waiters);
    self.left_locked = left_locked;
    lock_acquire(&barrier->lock);
    if (!is_last_locked(barrier) && deadline_ns != GMPT_NEVER) {
        lock_release(&barrier->lock);
        int error = waitlist_set_deadline(&self, deadline_ns);
        if (error)
            return error;
        lock_acquire(&barrier->lock);
    }
    int result;
    if (is_last_locked(barrier)) {
        result = open_locked(barrier);
    } else if (self.expired) {
        lock_release(&barrier->lock);
        result = -ETIMEDOUT;
    } else {
        struct wait description = { .reason = GMPT_WAIT_barrier, .object = barrier, .site = site };
        barrier->waiting++;
        waitlist_push_locked(&self);
        result = waitlist_park_locked(&self, &description);
    }
    waitlist_end(&self);
    return result;
}

int gmpt_barrier_wait(struct gmpt_barrier *barrier)
{
    return wait_until((struct barrier *)barrier, GMPT_NEVER, API_SITE(gmpt_barrier_wait));
}

int gmpt_barrier_wait_until(struct gmpt_barrier *barrier, int64_t deadline_ns)
{
    return wait_until((struct barrier *)barrier, deadline_ns, API_SITE(gmpt_barrier_wait_until));
}
