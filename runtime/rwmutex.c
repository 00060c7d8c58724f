/* gmpt_rwmutex: readers or a writer, in one word, and lists of those who wait behind it.
 *
 *     word = readers << 2 | WAITERS            while it is read or free
 *            id of the writer << 2 | WAITERS | WRITER
 *
 * Without WAITERS the word changes by CAS alone. With it newcomers queue, and it is handed over under the lock: by a
 * writer to all readers that wait, if any do, and otherwise to the first writer; by the last reader to the first
 * writer. So a reader waits for at most one writer that came after it, and writers come in in their order.
 *
 * | word     | writers                             | order   | pairs with                                     |
 * |----------|-------------------------------------|---------|------------------------------------------------|
 * | taken    | who comes; who hands over, for them | acquire | A: what was done under it                      |
 * | given up | who leaves                          | release | A; each reader's too, since the steps from one |
 * |          |                                     |         | to the next are read-modify-writes             |
 * | WAITERS  | under `lock` only                   | by CAS  | B: `lock` orders the lists                     |
 *
 * Invariants, at any moment when `lock` is free:
 *  1. WAITERS is set just when a list is not empty, and then it is held: nobody waits for what is free.
 *  2. While it is read and somebody waits, a writer does; when the last of those gives up, the readers come in.
 *  3. With WAITERS set only a reader that leaves others behind changes the word without the lock. So where a writer or
 *     the last reader has it, whoever holds `lock` may store.
 *  4. The last touch is the CAS that gives it up, or is made while a G that was handed it is not ready yet. */
#include "waitlist.h"

enum { WRITER = 1, WAITERS = 2, FLAGS = WRITER | WAITERS, COUNT_SHIFT = 2, READER = 1 << COUNT_SHIFT };

struct rwmutex {
    ATOMIC(uint64_t) word;
    struct lock lock;
    struct waitlist readers, writers;
};
_Static_assert(sizeof(struct rwmutex) <= sizeof(struct gmpt_rwmutex), "it must fit the public type");

static struct rwmutex *of(struct gmpt_rwmutex *rwmutex) { return (struct rwmutex *)rwmutex; }
static inline uint64_t count_of(uint64_t word) { return word >> COUNT_SHIFT; }
static inline uint64_t held_by(const struct g *g) { return g->id << COUNT_SHIFT | WRITER; }

static inline uint64_t waiters_flag_locked(const struct rwmutex *rwmutex)
{
    return rwmutex->readers.first || rwmutex->writers.first ? WAITERS : 0;
}

/* ---- handing over ---- */

static uint64_t admit_readers_locked(struct rwmutex *rwmutex, struct ready_batch *batch)
{
    uint64_t count = 0;
    for (struct waitlist_wait *wait; (wait = waitlist_pop_locked(&rwmutex->readers)); count++)
        batch_add(batch, wait);
    return count;
}

/* The caller is the writer, or the last reader, that has it. */
static void hand_over_locked(struct rwmutex *rwmutex, bool to_readers, struct ready_batch *batch)
{
    uint64_t word;
    if (rwmutex->writers.first && !(to_readers && rwmutex->readers.first)) {
        struct waitlist_wait *writer = waitlist_pop_locked(&rwmutex->writers);
        word = held_by(writer->g);
        batch_add(batch, writer);
    } else {
        word = admit_readers_locked(rwmutex, batch) << COUNT_SHIFT;
    }
    store_release(&rwmutex->word, word | waiters_flag_locked(rwmutex)); /* A, B */
}

/* A deadline has taken somebody out of a list. */
static void left_locked(struct rwmutex *rwmutex, struct ready_batch *batch)
{
    uint64_t word = load_relaxed(&rwmutex->word), admitted = 0;
    if (!(word & WRITER) && !rwmutex->writers.first)
        admitted = admit_readers_locked(rwmutex, batch);
    if (waiters_flag_locked(rwmutex))
        return;
    while (!cas_acq_rel(&rwmutex->word, &word, (word & ~(uint64_t)WAITERS) + admitted * READER)) /* A, B */
        ;
}

static void reader_left_locked(struct waitlist_wait *wait, struct ready_batch *batch)
{
    left_locked(container_of(wait->list, struct rwmutex, readers), batch);
}

static void writer_left_locked(struct waitlist_wait *wait, struct ready_batch *batch)
{
    left_locked(container_of(wait->list, struct rwmutex, writers), batch);
}

/* ---- waiting ---- */

/* What the word becomes when the calling G comes in; 0 if it may not. */
static inline uint64_t entered(uint64_t word, bool writes)
{
    if (writes)
        return word == 0 ? held_by(g_self()) : 0;
    return word & FLAGS ? 0 : word + READER;
}

static inline bool try_fast(struct rwmutex *rwmutex, bool writes)
{
    uint64_t word = load_relaxed(&rwmutex->word), next;
    while ((next = entered(word, writes))) {
        if (cas_acquire(&rwmutex->word, &word, next)) /* A */
            return true;
    }
    return false;
}

/* Comes in, or says in the word that somebody waits. */
static bool enter_or_mark_locked(struct rwmutex *rwmutex, bool writes)
{
    uint64_t word = load_relaxed(&rwmutex->word), next;
    do {
        next = entered(word, writes);
    } while (!cas_acquire(&rwmutex->word, &word, next ? next : word | WAITERS)); /* A, B */
    return next;
}

static __attribute__((noinline)) int lock_slow(struct rwmutex *rwmutex, bool writes, int64_t deadline_ns,
                                               struct api_site site)
{
    API_ENTER();
    struct waitlist_wait self;
    waitlist_begin(&self, &rwmutex->lock, writes ? &rwmutex->writers : &rwmutex->readers);
    self.left_locked = writes ? writer_left_locked : reader_left_locked;
    int result = waitlist_set_deadline(&self, deadline_ns);
    if (result)
        return result;
    struct wait description = { .reason = writes ? GMPT_WAIT_rwmutex_write : GMPT_WAIT_rwmutex_read,
                                .object = rwmutex,
                                .site = site };
    lock_acquire(&rwmutex->lock);
    if (self.expired) {
        lock_release(&rwmutex->lock);
        result = try_fast(rwmutex, writes) ? 0 : -ETIMEDOUT;
    } else if (enter_or_mark_locked(rwmutex, writes)) {
        lock_release(&rwmutex->lock);
    } else {
        waitlist_push_locked(&self);
        result = waitlist_park_locked(&self, &description);
    }
    waitlist_end(&self);
    return result;
}

/* ---- reading ---- */

void gmpt_rwmutex_rlock(struct gmpt_rwmutex *rwmutex)
{
    if (unlikely(!try_fast(of(rwmutex), false)))
        lock_slow(of(rwmutex), false, GMPT_NEVER, API_SITE(gmpt_rwmutex_rlock));
}

int gmpt_rwmutex_rlock_until(struct gmpt_rwmutex *rwmutex, int64_t deadline_ns)
{
    if (likely(try_fast(of(rwmutex), false)))
        return 0;
    return lock_slow(of(rwmutex), false, deadline_ns, API_SITE(gmpt_rwmutex_rlock_until));
}

int gmpt_rwmutex_tryrlock(struct gmpt_rwmutex *rwmutex) { return try_fast(of(rwmutex), false) ? 0 : -EBUSY; }

/* Leaves, unless it is the last reader and somebody waits: then returns false. */
static inline bool runlock_fast(struct rwmutex *rwmutex)
{
    uint64_t word = load_relaxed(&rwmutex->word);
    do {
        if (unlikely(count_of(word) == 0 || (word & WRITER)))
            fatal("gmpt_rwmutex_runlock of an rwmutex that is not locked for reading (%p)", (void *)rwmutex);
        if (unlikely(word == (READER | WAITERS)))
            return false;
    } while (unlikely(!cas_release(&rwmutex->word, &word, word - READER))); /* A */
    return true;
}

static __attribute__((noinline)) void runlock_slow(struct rwmutex *rwmutex)
{
    API_ENTER();
    do {
        struct ready_batch batch;
        batch_begin(&batch);
        lock_acquire(&rwmutex->lock);
        bool hands_over = load_acquire(&rwmutex->word) == (READER | WAITERS); /* A: of all who read */
        if (hands_over)
            hand_over_locked(rwmutex, false, &batch);
        lock_release(&rwmutex->lock);
        if (hands_over) {
            batch_ready(&batch, m_self()->p);
            return;
        }
    } while (!runlock_fast(rwmutex)); /* those who waited have given up */
}

void gmpt_rwmutex_runlock(struct gmpt_rwmutex *rwmutex)
{
    if (unlikely(!runlock_fast(of(rwmutex))))
        runlock_slow(of(rwmutex));
}

/* ---- writing ---- */

void gmpt_rwmutex_lock(struct gmpt_rwmutex *rwmutex)
{
    if (unlikely(!try_fast(of(rwmutex), true)))
        lock_slow(of(rwmutex), true, GMPT_NEVER, API_SITE(gmpt_rwmutex_lock));
}

int gmpt_rwmutex_lock_until(struct gmpt_rwmutex *rwmutex, int64_t deadline_ns)
{
    if (likely(try_fast(of(rwmutex), true)))
        return 0;
    return lock_slow(of(rwmutex), true, deadline_ns, API_SITE(gmpt_rwmutex_lock_until));
}

int gmpt_rwmutex_trylock(struct gmpt_rwmutex *rwmutex) { return try_fast(of(rwmutex), true) ? 0 : -EBUSY; }

/* Leaves, unless somebody waits: then returns false. */
static inline bool unlock_fast(struct rwmutex *rwmutex)
{
    uint64_t word = load_relaxed(&rwmutex->word);
    do {
        if (unlikely(!(word & WRITER)))
            fatal("gmpt_rwmutex_unlock of an rwmutex that is not locked for writing (%p)", (void *)rwmutex);
        if (unlikely(word & WAITERS))
            return false;
    } while (unlikely(!cas_release(&rwmutex->word, &word, 0))); /* A */
    return true;
}

static __attribute__((noinline)) void unlock_slow(struct rwmutex *rwmutex)
{
    API_ENTER();
    do {
        struct ready_batch batch;
        batch_begin(&batch);
        lock_acquire(&rwmutex->lock);
        bool hands_over = (load_relaxed(&rwmutex->word) & FLAGS) == FLAGS;
        if (hands_over)
            hand_over_locked(rwmutex, true, &batch);
        lock_release(&rwmutex->lock);
        if (hands_over) {
            batch_ready(&batch, m_self()->p);
            return;
        }
    } while (!unlock_fast(rwmutex)); /* those who waited have given up */
}

void gmpt_rwmutex_unlock(struct gmpt_rwmutex *rwmutex)
{
    if (unlikely(!unlock_fast(of(rwmutex))))
        unlock_slow(of(rwmutex));
}

uint64_t gmpt_rwmutex_owner(struct gmpt_rwmutex *rwmutex)
{
    uint64_t word = load_relaxed(&of(rwmutex)->word);
    return word & WRITER ? count_of(word) : 0;
}
