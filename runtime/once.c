/* gmpt_once: a word that says whether it is done, and those who wait until it is. */
#include "owners.h"
#include "waitlist.h"

enum { FRESH, DONE }; /* any other state is the id of the G that runs the function << 1 */

struct once {
    ATOMIC(uint64_t) state; /* changes under `lock`; the release of DONE pairs with the acquire of who sees it (A) */
    struct lock lock;
    struct waitlist waiters;
};
_Static_assert(sizeof(struct once) <= sizeof(struct gmpt_once), "it must fit the public type");

static void run(struct once *once, void (*fn)(void *arg), void *arg)
{
    {
        API_LEAVE_FOR();
        fn(arg);
    }
    struct ready_batch batch;
    batch_begin(&batch);
    lock_acquire(&once->lock);
    store_release(&once->state, DONE); /* A */
    batch_add_all_locked(&batch, &once->waiters);
    lock_release(&once->lock);
    batch_ready(&batch, m_self()->p);
}

static __attribute__((noinline)) void do_slow(struct once *once, void (*fn)(void *arg), void *arg, struct api_site site)
{
    API_ENTER();
    struct waitlist_wait self;
    waitlist_begin(&self, &once->lock, &once->waiters);
    lock_acquire(&once->lock);
    uint64_t state = load_acquire(&once->state); /* A */
    if (state == FRESH) {
        store_relaxed(&once->state, self.g->id << 1);
        lock_release(&once->lock);
        run(once, fn, arg);
    } else if (state == DONE) {
        lock_release(&once->lock);
    } else {
        if (state == self.g->id << 1)
            fatal("gmpt_once_do by the function that it runs (%p)", (void *)once);
        struct wait description = { .reason = GMPT_WAIT_once, .object = once, .site = site };
        waitlist_push_locked(&self);
        waitlist_park_locked(&self, &description);
    }
}

void gmpt_once_do(struct gmpt_once *public, void (*fn)(void *arg), void *arg)
{
    struct once *once = (struct once *)public;
    if (unlikely(load_acquire(&once->state) != DONE)) /* A */
        do_slow(once, fn, arg, API_SITE(gmpt_once_do));
}

uint64_t once_owner(const struct gmpt_once *public)
{
    uint64_t state = load_relaxed(&((const struct once *)public)->state);
    return state == DONE ? 0 : state >> 1;
}
