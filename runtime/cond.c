/* gmpt_cond: Gs that wait for a signal, and leave a mutex while they do.
 *
 * A G queues itself, unlocks the mutex, and only then parks, so that the lock of the list is never held while the
 * mutex's is taken. A signal that comes in between finds a wait that is not parked: it takes it out of the list, and
 * the G sees that before it parks. */
#include "waitlist.h"

struct cond {
    struct lock lock;
    struct waitlist waiters;
};
_Static_assert(sizeof(struct cond) <= sizeof(struct gmpt_cond), "it must fit the public type");

static struct cond *of(struct gmpt_cond *cond) { return (struct cond *)cond; }

static int wait_until(struct cond *cond, struct gmpt_mutex *mutex, int64_t deadline_ns, struct api_site site)
{
    API_ENTER();
    if (unlikely(gmpt_mutex_owner(mutex) == 0))
        fatal("gmpt_cond_wait with a mutex that is not locked (%p)", (void *)mutex);
    struct waitlist_wait self;
    waitlist_begin(&self, &cond->lock, &cond->waiters);
    int result = waitlist_set_deadline(&self, deadline_ns);
    if (result)
        return result;

    lock_acquire(&cond->lock);
    if (self.expired)
        self.ended_by_deadline = true;
    else
        waitlist_push_locked(&self);
    lock_release(&cond->lock);

    gmpt_mutex_unlock(mutex);

    lock_acquire(&cond->lock);
    if (self.queued) {
        struct wait description = { .reason = GMPT_WAIT_cond, .object = cond, .site = site };
        result = waitlist_park_locked(&self, &description);
    } else {
        result = self.ended_by_deadline ? -ETIMEDOUT : 0;
        lock_release(&cond->lock);
    }
    waitlist_end(&self);
    gmpt_mutex_lock(mutex);
    return result;
}

void gmpt_cond_wait(struct gmpt_cond *cond, struct gmpt_mutex *mutex)
{
    wait_until(of(cond), mutex, GMPT_NEVER, API_SITE(gmpt_cond_wait));
}

int gmpt_cond_wait_until(struct gmpt_cond *cond, struct gmpt_mutex *mutex, int64_t deadline_ns)
{
    return wait_until(of(cond), mutex, deadline_ns, API_SITE(gmpt_cond_wait_until));
}

static void wake(struct cond *cond, bool all)
{
    API_ENTER();
    struct ready_batch batch;
    struct waitlist_wait *wait;
    batch_begin(&batch);
    lock_acquire(&cond->lock);
    do {
        wait = waitlist_pop_locked(&cond->waiters);
        if (wait && wait->parked)
            batch_add(&batch, wait);
    } while (wait && all);
    lock_release(&cond->lock);
    batch_ready(&batch, m_self()->p);
}

void gmpt_cond_signal(struct gmpt_cond *cond) { wake(of(cond), false); }

void gmpt_cond_broadcast(struct gmpt_cond *cond) { wake(of(cond), true); }
