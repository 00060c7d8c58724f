/* gmpt_mutex: one word for the fast path, a list of waiters behind it.
 *
 * To hand the mutex to the first waiter at each unlock is fair and slow: nobody has it until the waiter runs, so that
 * under contention every lock costs a switch. So, as in Go's sync.Mutex: an unlock frees the mutex and wakes the first
 * waiter, and who comes meanwhile may take it before the waiter runs. It lost, then it goes back to the front of the
 * list. Only a waiter that has waited for STARVED_NS is handed the mutex. Go's waiter switches the mutex to another
 * mode when it sees that it starves; here the unlock that would wake the waiter reads the clock instead, so that there
 * are no modes, and newcomers behave the same at all times.
 *
 *     word = id of the G that holds it << 2 | WOKEN | WAITERS; an id of 0 is free
 *
 *     lock     CAS 0 -> own id, or from free with flags to own id with the same flags
 *     unlock   CAS own id -> 0, flags kept, if there are no waiters or one of them is on its way; else unlock_slow
 *
 * | word            | writers                      | order            | pairs with                                  |
 * |-----------------|------------------------------|------------------|---------------------------------------------|
 * | id: 0 -> G      | G; an unlock that hands over | acquire          | A: what was done under the mutex            |
 * | id: G -> 0      | who unlocks                  | release          | A                                           |
 * | WAITERS, WOKEN  | under `lock` only            | by CAS, with id  | B: `lock` orders the list                   |
 * | owner_seat      | as id, just after it         | relaxed          | a hint for spinning, checked against the id |
 *
 * Invariants, at any moment when `lock` is free:
 *  1. WAITERS is set just when the list is not empty.
 *  2. WOKEN is set just when one waiter, no longer in the list, is on its way to try again.
 *  3. If the mutex is free and somebody waits, WOKEN is set. The id goes to 0 only where WAITERS is clear or WOKEN is
 *     set; WOKEN is cleared only by the CAS with which its G takes the mutex, or finds it held: its holder's unlock
 *     then sees WAITERS without WOKEN. WAITERS is set only by a CAS on a mutex that is held.
 *  4. Who waits has the mutex at last. Waits are woken in the order of their coming, one that lost its race is the
 *     first again, and once the first is STARVED_NS old the next unlock that finds WOKEN clear hands over to it. So it
 *     waits for STARVED_NS, and then for those before it, each for its turn to run and its time under the mutex.
 *  5. A CAS that frees the mutex is the last touch of it, but where a waiter of it, made ready later, keeps it alive:
 *     whoever has the mutex next may free its memory.
 *
 * A G that finds the mutex held spins for some hundred nanoseconds if its owner runs on another thread right now and
 * it keeps no other G from running: most holds are shorter than a switch. Spinning is in vain while the owner waits or
 * is queued itself.
 *
 * Rejected: unlocking by a plain store, which would halve the uncontended cost: the unlock would have to look for
 * waiters after the store, in memory that the next owner may have freed, and waiters would need a fence on all CPUs. */
#include "runq.h"
#include "waitlist.h"

#define STARVED_NS 1000000
#define SPIN_ROUNDS 4
#define SPIN_PAUSES 30

enum { WAITERS = 1, WOKEN = 2, FLAGS = WAITERS | WOKEN, ID_SHIFT = 2 };

struct mutex {
    ATOMIC(uint64_t) word;
    struct lock lock;
    ATOMIC(uint32_t) owner_seat;
    struct waitlist waiters;
};
_Static_assert(sizeof(struct mutex) <= sizeof(struct gmpt_mutex), "it must fit the public type");

struct mutex_wait {
    struct waitlist_wait wait;
    int64_t since_ns;
};

enum { OWNED, TRY_AGAIN }; /* what a waiter is woken with */

static struct mutex *of(struct gmpt_mutex *mutex) { return (struct mutex *)mutex; }
static inline uint64_t id_of(uint64_t word) { return word >> ID_SHIFT; }
static inline uint64_t held_by(const struct g *g) { return g->id << ID_SHIFT; }

static inline uint64_t waiters_flag_locked(const struct mutex *mutex) { return mutex->waiters.first ? WAITERS : 0; }

static inline bool try_fast(struct mutex *mutex)
{
    struct g *g = g_self();
    uint64_t word = 0;
    if (unlikely(!cas_acquire(&mutex->word, &word, held_by(g)))) /* A */
        return false;
    store_relaxed(&mutex->owner_seat, g->seat);
    return true;
}

/* Takes it if it is free, whoever else is about to. *word is what was seen last. */
static bool try_barging(struct mutex *mutex, struct g *g, uint64_t *word)
{
    *word = load_relaxed(&mutex->word);
    while (id_of(*word) == 0) {
        if (cas_acquire(&mutex->word, word, *word | held_by(g))) { /* A */
            store_relaxed(&mutex->owner_seat, g->seat);
            return true;
        }
    }
    return false;
}

/* Whether the G that holds it is on a CPU now, as far as one can see from here. */
static bool owner_runs(struct mutex *mutex, uint64_t word)
{
    struct g_slot *slot = &trace_segment.registry[load_relaxed(&mutex->owner_seat)];
    if (load_relaxed(&slot->id) != id_of(word))
        return false;
    enum g_state state = g_status_state(load_relaxed(&slot->status));
    return state == G_RUNNING || state == G_PREEMPTED;
}

/* False once spinning on is no use. */
static bool spin(struct mutex *mutex, uint64_t word, int round)
{
    struct m *m = m_self();
    if (round == SPIN_ROUNDS || load_relaxed(&sched.p_count) == 1 || load_relaxed(&m->attention) ||
        !runq_is_empty_any(m->p) || !owner_runs(mutex, word))
        return false;
    for (int i = 0; i < SPIN_PAUSES; i++)
        cpu_relax();
    return true;
}

/* Takes it if it is free; else, if the G is to wait, says in the word that somebody does. woken: the G was on its way,
 * and this is where it arrives. */
static bool take_or_mark_locked(struct mutex *mutex, struct g *g, bool woken, bool waits)
{
    uint64_t word = load_relaxed(&mutex->word), next;
    bool take;
    do {
        uint64_t flags = waiters_flag_locked(mutex) | (woken ? 0 : word & WOKEN);
        take = id_of(word) == 0;
        next = take ? held_by(g) | flags : (word & ~(uint64_t)FLAGS) | flags | (waits ? WAITERS : 0);
    } while (!cas_acquire(&mutex->word, &word, next)); /* A, B */
    if (take)
        store_relaxed(&mutex->owner_seat, g->seat);
    return take;
}

static void left_locked(struct waitlist_wait *wait, struct ready_batch *batch)
{
    struct mutex *mutex = container_of(wait->list, struct mutex, waiters);
    (void)batch;
    if (!mutex->waiters.first)
        fetch_and_acq_rel(&mutex->word, ~(uint64_t)WAITERS); /* B */
}

/* Waits in the list, and again after each race that was lost. */
static int wait_for_it(struct mutex *mutex, struct g *g, int64_t deadline_ns, struct wait *description)
{
    struct mutex_wait self;
    waitlist_begin(&self.wait, &mutex->lock, &mutex->waiters);
    self.wait.left_locked = left_locked;
    int result = waitlist_set_deadline(&self.wait, deadline_ns);
    if (result)
        return result;
    self.since_ns = clock_now_ns();
    for (bool woken = false;; woken = true) {
        lock_acquire(&mutex->lock);
        bool waits = !self.wait.expired;
        bool taken = take_or_mark_locked(mutex, g, woken, waits);
        if (taken || !waits) {
            lock_release(&mutex->lock);
            result = taken ? 0 : -ETIMEDOUT;
            break;
        }
        if (woken)
            waitlist_push_first_locked(&self.wait);
        else
            waitlist_push_locked(&self.wait);
        result = waitlist_park_locked(&self.wait, description);
        if (result != TRY_AGAIN)
            break;
        uint64_t word = load_relaxed(&mutex->word);
        for (int round = 0; id_of(word) != 0 && spin(mutex, word, round); round++)
            word = load_relaxed(&mutex->word);
    }
    waitlist_end(&self.wait);
    return result;
}

static __attribute__((noinline)) int lock_slow(struct mutex *mutex, int64_t deadline_ns, struct api_site site)
{
    API_ENTER();
    struct g *g = g_self();
    uint64_t word;
    for (int round = 0;; round++) {
        if (try_barging(mutex, g, &word))
            return 0;
        if (!spin(mutex, word, round))
            break;
    }
    struct wait description = { .reason = GMPT_WAIT_mutex, .object = mutex, .site = site };
    return wait_for_it(mutex, g, deadline_ns, &description);
}

void gmpt_mutex_lock(struct gmpt_mutex *mutex)
{
    if (unlikely(!try_fast(of(mutex))))
        lock_slow(of(mutex), GMPT_NEVER, API_SITE(gmpt_mutex_lock));
}

int gmpt_mutex_lock_until(struct gmpt_mutex *mutex, int64_t deadline_ns)
{
    if (likely(try_fast(of(mutex))))
        return 0;
    return lock_slow(of(mutex), deadline_ns, API_SITE(gmpt_mutex_lock_until));
}

int gmpt_mutex_trylock(struct gmpt_mutex *mutex)
{
    uint64_t word;
    return try_barging(of(mutex), g_self(), &word) ? 0 : -EBUSY;
}

/* Frees it unless a waiter has to be told: then returns false. */
static inline bool free_fast(struct mutex *mutex)
{
    uint64_t word = load_relaxed(&mutex->word);
    while (likely((word & FLAGS) != WAITERS)) {
        if (unlikely(id_of(word) == 0))
            fatal("gmpt_mutex_unlock of a mutex that is not locked (%p)", (void *)mutex);
        if (likely(cas_release(&mutex->word, &word, word & FLAGS))) /* A */
            return true;
    }
    return false;
}

/* Replaces id and flags under the lock, where newcomers cannot change them but wrong use can. */
static void set_locked(struct mutex *mutex, uint64_t id, uint64_t flags)
{
    uint64_t word = load_relaxed(&mutex->word);
    while (!cas_acq_rel(&mutex->word, &word, id << ID_SHIFT | flags)) /* A, B */
        ;
}

static __attribute__((noinline)) void unlock_slow(struct mutex *mutex)
{
    API_ENTER();
    do {
        int64_t now = clock_now_ns();
        lock_acquire(&mutex->lock);
        struct waitlist_wait *first = waitlist_pop_locked(&mutex->waiters);
        if (!first) {
            lock_release(&mutex->lock);
            continue; /* its deadline has passed meanwhile */
        }
        struct g *g = first->g;
        uint64_t flags = waiters_flag_locked(mutex);
        if (now - container_of(first, struct mutex_wait, wait)->since_ns >= STARVED_NS) {
            set_locked(mutex, g->id, flags);
            store_relaxed(&mutex->owner_seat, g->seat);
            lock_release(&mutex->lock);
            scheduler_ready(m_self()->p, g, OWNED);
            return;
        }
        set_locked(mutex, id_of(load_relaxed(&mutex->word)), flags | WOKEN);
        lock_release(&mutex->lock);
        free_fast(mutex); /* WOKEN lets it */
        scheduler_ready(m_self()->p, g, TRY_AGAIN);
        return;
    } while (!free_fast(mutex));
}

void gmpt_mutex_unlock(struct gmpt_mutex *mutex)
{
    if (unlikely(!free_fast(of(mutex))))
        unlock_slow(of(mutex));
}

uint64_t gmpt_mutex_owner(struct gmpt_mutex *mutex) { return id_of(load_relaxed(&of(mutex)->word)); }
