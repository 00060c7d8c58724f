/* gmpt_semaphore: a number of free units in one word, and those who wait for some in their order.
 *
 *     word = free units << 1 | WAITERS
 *
 * WAITERS is set just when the list is not empty, whenever `lock` is free. Without it the word changes by CAS alone: to
 * take is an acquire, to give back a release (A). With it newcomers queue, whatever they want, and the word changes
 * under the lock only: units that are given back go to the first in the list, and to the next, as far as they
 * suffice. So the first waits only for units, never for those who came later. The last touch of who gives back is the
 * CAS, or is made while a waiter that got its units is not ready yet. */
#include "waitlist.h"

#define WAITERS 1

struct semaphore {
    ATOMIC(uint64_t) word; /* as GMPT_SEMAPHORE_INIT lays it out */
    uint64_t size;
    struct lock lock;
    struct waitlist waiters;
};
_Static_assert(sizeof(struct semaphore) <= sizeof(struct gmpt_semaphore), "it must fit the public type");
_Static_assert(offsetof(struct semaphore, size) == 8, "GMPT_SEMAPHORE_INIT knows the place");

struct semaphore_wait {
    struct waitlist_wait wait;
    uint64_t units;
};

static struct semaphore *of(struct gmpt_semaphore *semaphore) { return (struct semaphore *)semaphore; }
static inline uint64_t free_of(uint64_t word) { return word >> 1; }

static inline bool is_valid(const struct semaphore *semaphore, int64_t n)
{
    return n >= 0 && (uint64_t)n <= semaphore->size;
}

static inline bool acquire_fast(struct semaphore *semaphore, uint64_t units)
{
    uint64_t word = load_relaxed(&semaphore->word);
    while (!(word & WAITERS) && free_of(word) >= units) {
        if (cas_acquire(&semaphore->word, &word, word - (units << 1))) /* A */
            return true;
    }
    return false;
}

/* Gives the free units to those who wait; the word has WAITERS, so that it is the lock's. */
static void grant_locked(struct semaphore *semaphore, uint64_t units, struct ready_batch *batch)
{
    struct waitlist_wait *first;
    while ((first = semaphore->waiters.first)) {
        uint64_t wanted = container_of(first, struct semaphore_wait, wait)->units;
        if (wanted > units)
            break;
        units -= wanted;
        waitlist_pop_locked(&semaphore->waiters);
        batch_add(batch, first);
    }
    store_release(&semaphore->word, units << 1 | (first ? WAITERS : 0)); /* A */
}

/* A deadline has taken somebody out of the list; the next may want less. */
static void left_locked(struct waitlist_wait *wait, struct ready_batch *batch)
{
    struct semaphore *semaphore = container_of(wait->list, struct semaphore, waiters);
    grant_locked(semaphore, free_of(load_acquire(&semaphore->word)), batch); /* A */
}

/* Takes them, or says in the word that somebody waits. */
static bool acquire_or_mark_locked(struct semaphore *semaphore, uint64_t units)
{
    do {
        if (acquire_fast(semaphore, units))
            return true;
        uint64_t word = load_relaxed(&semaphore->word);
        if (word & WAITERS || (free_of(word) < units && cas_acquire(&semaphore->word, &word, word | WAITERS)))
            return false;
    } while (true);
}

static __attribute__((noinline)) int acquire_slow(struct semaphore *semaphore, uint64_t units, int64_t deadline_ns,
                                                  struct api_site site)
{
    API_ENTER();
    struct semaphore_wait self = { .units = units };
    waitlist_begin(&self.wait, &semaphore->lock, &semaphore->waiters);
    self.wait.left_locked = left_locked;
    int result = waitlist_set_deadline(&self.wait, deadline_ns);
    if (result)
        return result;
    lock_acquire(&semaphore->lock);
    if (self.wait.expired) {
        lock_release(&semaphore->lock);
        result = acquire_fast(semaphore, units) ? 0 : -ETIMEDOUT;
    } else if (acquire_or_mark_locked(semaphore, units)) {
        lock_release(&semaphore->lock);
    } else {
        struct wait description = { .reason = GMPT_WAIT_semaphore, .object = semaphore, .site = site };
        waitlist_push_locked(&self.wait);
        result = waitlist_park_locked(&self.wait, &description);
    }
    waitlist_end(&self.wait);
    return result;
}

int gmpt_semaphore_acquire(struct gmpt_semaphore *semaphore, int64_t n)
{
    if (unlikely(!is_valid(of(semaphore), n)))
        return -EINVAL;
    if (likely(acquire_fast(of(semaphore), (uint64_t)n)))
        return 0;
    return acquire_slow(of(semaphore), (uint64_t)n, GMPT_NEVER, API_SITE(gmpt_semaphore_acquire));
}

int gmpt_semaphore_acquire_until(struct gmpt_semaphore *semaphore, int64_t n, int64_t deadline_ns)
{
    if (unlikely(!is_valid(of(semaphore), n)))
        return -EINVAL;
    if (likely(acquire_fast(of(semaphore), (uint64_t)n)))
        return 0;
    return acquire_slow(of(semaphore), (uint64_t)n, deadline_ns, API_SITE(gmpt_semaphore_acquire_until));
}

int gmpt_semaphore_try_acquire(struct gmpt_semaphore *semaphore, int64_t n)
{
    if (unlikely(!is_valid(of(semaphore), n)))
        return -EINVAL;
    return acquire_fast(of(semaphore), (uint64_t)n) ? 0 : -EAGAIN;
}

static inline void check_release(const struct semaphore *semaphore, uint64_t word, int64_t n)
{
    if (unlikely(n < 0 || (uint64_t)n > semaphore->size - free_of(word)))
        fatal("gmpt_semaphore_release of %lld units where %llu are taken (%p)", (long long)n,
              (unsigned long long)(semaphore->size - free_of(word)), (const void *)semaphore);
}

/* Gives them back, unless somebody waits: then returns false. */
static inline bool release_fast(struct semaphore *semaphore, int64_t n)
{
    uint64_t word = load_relaxed(&semaphore->word);
    do {
        if (unlikely(word & WAITERS))
            return false;
        check_release(semaphore, word, n);
    } while (unlikely(!cas_release(&semaphore->word, &word, word + ((uint64_t)n << 1)))); /* A */
    return true;
}

static __attribute__((noinline)) void release_slow(struct semaphore *semaphore, int64_t n)
{
    API_ENTER();
    do {
        struct ready_batch batch;
        batch_begin(&batch);
        lock_acquire(&semaphore->lock);
        uint64_t word = load_acquire(&semaphore->word); /* A: of all who gave back */
        if (word & WAITERS) {
            check_release(semaphore, word, n);
            grant_locked(semaphore, free_of(word) + (uint64_t)n, &batch);
        }
        lock_release(&semaphore->lock);
        if (word & WAITERS) {
            batch_ready(&batch, m_self()->p);
            return;
        }
    } while (!release_fast(semaphore, n)); /* those who waited have given up */
}

void gmpt_semaphore_release(struct gmpt_semaphore *semaphore, int64_t n)
{
    if (unlikely(!release_fast(of(semaphore), n)))
        release_slow(of(semaphore), n);
}
