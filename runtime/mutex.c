/* gmpt_mutex: one word for the fast path, a list of waiters behind it.
 *
 * `word` is 0 free, 1 held, 2 held and somebody waits. It leaves 2 only under the list's lock; 0 and 1 change into each
 * other by CAS without it. An unlock that finds waiters hands the mutex to the first of them (it stays held), so that
 * nobody starves. */
#include "waitlist.h"

enum { FREE, HELD, CONTENDED };

struct mutex {
    ATOMIC(uint32_t) word;
    struct waitlist waiters;
};
_Static_assert(sizeof(struct mutex) <= sizeof(struct gmpt_mutex), "it must fit the public type");

static struct mutex *of(struct gmpt_mutex *mutex) { return (struct mutex *)mutex; }

static inline bool try_fast(struct mutex *mutex)
{
    uint32_t expected = FREE;
    return cas_acquire(&mutex->word, &expected, HELD);
}

/* Takes it, or marks it contended, under the list's lock. */
static bool try_locked(struct waitlist *list)
{
    struct mutex *mutex = container_of(list, struct mutex, waiters);
    for (;;) {
        uint32_t word = load_relaxed(&mutex->word);
        if (word == CONTENDED)
            return false;
        if (cas_acquire(&mutex->word, &word, word == FREE ? HELD : CONTENDED) && word == FREE)
            return true;
    }
}

void gmpt_mutex_lock(struct gmpt_mutex *public)
{
    struct mutex *mutex = of(public);
    if (likely(try_fast(mutex)))
        return;
    API_ENTER();
    lock_acquire(&mutex->waiters.lock);
    if (try_locked(&mutex->waiters)) {
        lock_release(&mutex->waiters.lock);
        return;
    }
    struct wait wait = { .reason = GMPT_WAIT_mutex, .object = public, .site = API_SITE(gmpt_mutex_lock) };
    waitlist_wait_locked(&mutex->waiters, &wait);
}

int gmpt_mutex_lock_until(struct gmpt_mutex *public, int64_t deadline_ns)
{
    struct mutex *mutex = of(public);
    if (likely(try_fast(mutex)))
        return 0;
    if (deadline_ns == GMPT_NEVER) {
        gmpt_mutex_lock(public);
        return 0;
    }
    API_ENTER();
    struct wait wait = { .reason = GMPT_WAIT_mutex, .object = public, .site = API_SITE(gmpt_mutex_lock_until) };
    return waitlist_wait_until(&mutex->waiters, try_locked, deadline_ns, &wait);
}

int gmpt_mutex_trylock(struct gmpt_mutex *mutex)
{
    return try_fast(of(mutex)) ? 0 : -EBUSY;
}

void gmpt_mutex_unlock(struct gmpt_mutex *public)
{
    struct mutex *mutex = of(public);
    for (;;) {
        uint32_t expected = HELD;
        if (likely(cas_release(&mutex->word, &expected, FREE)))
            return; /* and touch it no more: who has it next may free it */
        if (expected == FREE)
            fatal("gmpt_mutex_unlock of a mutex that is not locked (%p)", (void *)public);
        API_ENTER();
        lock_acquire(&mutex->waiters.lock);
        struct g *next = waitlist_pop_locked(&mutex->waiters);
        if (!next)
            store_relaxed(&mutex->word, HELD); /* the waiters' deadlines have passed; try again */
        lock_release(&mutex->waiters.lock);
        if (next) {
            scheduler_ready(m_self()->p, next, 0); /* and the mutex is its */
            return;
        }
    }
}
