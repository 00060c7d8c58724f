/* gmpt_mutex: one word for the fast path, a list of waiters behind it.
 *
 * To hand the mutex to the first waiter at each unlock is fair and slow: nobody has it until the waiter runs, so that
 * under contention every lock costs a switch. So, as in Go's sync.Mutex: an unlock frees the mutex and wakes the first
 * waiter, and who comes meanwhile may take it before the waiter runs. It lost, then it goes back to the front of the
 * list. Only a waiter that has waited for STARVED_NS is handed the mutex. Go's waiter switches the mutex to another
 * mode when it sees that it starves; here the unlock that would wake the waiter reads the clock instead, so that there
 * are no modes, and newcomers behave the same at all times.
 *
 *     word = who holds it | WOKEN | WAITERS
 *     who  = the G's mutex_who (mutex.h), or 0 if it is free
 *
 *     lock     CAS 0 -> who, or from free with flags to who with the same flags
 *     unlock   CAS who -> 0, flags kept, if there are no waiters or one of them is on its way; else unlock_slow
 *
 * | word            | writers                      | order            | pairs with                                  |
 * |-----------------|------------------------------|------------------|---------------------------------------------|
 * | who: 0 -> G     | G; an unlock that hands over | acquire          | A: what was done under the mutex            |
 * | who: G -> 0     | who unlocks                  | release          | A                                           |
 * | WAITERS, WOKEN  | under `lock` only            | by CAS, with who | B: `lock` orders the list                   |
 *
 * The seat says whether the holder runs, which decides about spinning. The id is whole in the registry, at the seat.
 *
 * While there has never been a second P (runq_is_alone) who holds the P locks and unlocks by plain loads and stores: it
 * enters the runtime, so that the P cannot be taken from it in between, and who has the P next sees what it did
 * (enter.h). It stores only in a mutex that is free, or that the caller holds and nobody waits for. A G that lost its P
 * gets one before it locks, but unlocks first, by CAS: that changes only a mutex that is held, in which nobody else
 * stores. With more Ps lock and unlock do not enter; a look at `attention` makes lock a safepoint all the same. Unlock
 * is none before the mutex is free: a G that gives way while it holds one makes others wait for it.
 *
 * Invariants, at any moment when `lock` is free:
 *  1. WAITERS is set just when the list is not empty.
 *  2. WOKEN is set just when one waiter, no longer in the list, is on its way to try again.
 *  3. If the mutex is free and somebody waits, WOKEN is set. `who` goes to 0 only where WAITERS is clear or WOKEN is
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
#include "mutex.h"
#include "runq.h"
#include "waitlist.h"

#define STARVED_NS 1000000
#define SPIN_ROUNDS 4
#define SPIN_PAUSES 30

enum { WAITERS = 1, WOKEN = 2, FLAGS = WAITERS | WOKEN };
_Static_assert(FLAGS < 1 << MUTEX_ID_SHIFT, "who and flags are apart");

struct mutex {
    ATOMIC(uint64_t) word;
    struct lock lock;
    struct waitlist waiters;
};
_Static_assert(sizeof(struct mutex) <= sizeof(struct gmpt_mutex), "it must fit the public type");

struct mutex_wait {
    struct waitlist_wait wait;
    int64_t since_ns;
};

enum { OWNED, TRY_AGAIN }; /* what a waiter is woken with */

static struct mutex *of(struct gmpt_mutex *mutex) { return (struct mutex *)mutex; }
static inline uint64_t who_holds(uint64_t word) { return word & ~(uint64_t)FLAGS; }

static inline struct g_slot *holder_slot(uint64_t word)
{
    return &trace_segment.registry[(word >> MUTEX_SEAT_SHIFT) - 1];
}

/* The id of the G that holds it. A seat's ids only grow, and it had this one now or before. */
static uint64_t id_of(uint64_t word)
{
    if (who_holds(word) == 0)
        return 0;
    const uint64_t span = UINT64_C(1) << MUTEX_ID_BITS;
    uint64_t id = load_relaxed(&holder_slot(word)->id), low = word >> MUTEX_ID_SHIFT & (span - 1);
    uint64_t candidate = (id & ~(span - 1)) | low;
    return candidate > id && candidate >= span ? candidate - span : candidate;
}

static inline uint64_t waiters_flag_locked(const struct mutex *mutex) { return mutex->waiters.first ? WAITERS : 0; }

static inline bool try_alone(struct mutex *mutex, struct m *m)
{
    if (unlikely(!enter_quick(m, ~(uint32_t)ATTENTION_LOCKED)))
        return false;
    uint64_t word = load_acquire(&mutex->word); /* A: with the unlock of a G that lost its P */
    bool taken = who_holds(word) == 0;
    if (likely(word == 0)) /* what is stored does not wait for what was loaded */
        store_relaxed(&mutex->word, m->mutex_who);
    else if (taken)
        store_relaxed(&mutex->word, word | m->mutex_who);
    leave_quick(m);
    return taken;
}

/* No call and no stack in the usual case: a store right before a locked instruction makes it wait. */
static inline __attribute__((always_inline)) bool try_fast(struct mutex *mutex)
{
    struct m *m = m_self();
    if (runq_is_alone())
        return try_alone(mutex, m);
    if (unlikely(load_relaxed(&m->attention) & ~(uint32_t)ATTENTION_LOCKED))
        return false;
    uint64_t word = 0, mine = m->mutex_who;
    if (likely(cas_acquire(&mutex->word, &word, mine))) /* A */
        return true;
    return who_holds(word) == 0 && cas_acquire(&mutex->word, &word, word | mine); /* A */
}

/* Takes it if it is free, whoever else is about to. *word is what was seen last. */
static bool try_barging(struct mutex *mutex, struct g *g, uint64_t *word)
{
    *word = load_relaxed(&mutex->word);
    while (who_holds(*word) == 0) {
        if (cas_acquire(&mutex->word, word, *word | g->mutex_who)) /* A */
            return true;
    }
    return false;
}

/* Whether the G that holds it is on a CPU now, as far as one can see from here. */
static bool owner_runs(uint64_t word)
{
    struct g_slot *slot = holder_slot(word);
    if ((load_relaxed(&slot->id) ^ word >> MUTEX_ID_SHIFT) << (64 - MUTEX_ID_BITS))
        return false; /* it has ended */
    enum g_state state = g_status_state(load_relaxed(&slot->status));
    return state == G_RUNNING || state == G_PREEMPTED;
}

/* False once spinning on is no use. */
static bool spin(uint64_t word, int round)
{
    struct m *m = m_self();
    if (round == SPIN_ROUNDS || load_relaxed(&sched.p_count) == 1 || load_relaxed(&m->attention) ||
        !runq_is_empty_any(m->p) || !owner_runs(word))
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
        take = who_holds(word) == 0;
        next = take ? g->mutex_who | flags : (word & ~(uint64_t)FLAGS) | flags | (waits ? WAITERS : 0);
    } while (!cas_acquire(&mutex->word, &word, next)); /* A, B */
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
        for (int round = 0; who_holds(word) != 0 && spin(word, round); round++)
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
        if (!spin(word, round))
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
    API_ENTER();
    uint64_t word;
    return try_barging(of(mutex), g_self(), &word) ? 0 : -EBUSY;
}

/* Frees it unless a waiter has to be told: then returns false. */
static bool free_unless_waited_for(struct mutex *mutex)
{
    uint64_t word = load_relaxed(&mutex->word);
    do {
        if (unlikely(who_holds(word) == 0))
            fatal("gmpt_mutex_unlock of a mutex that is not locked (%p)", (void *)mutex);
        if ((word & FLAGS) == WAITERS)
            return false;
    } while (!cas_release(&mutex->word, &word, word & FLAGS)); /* A */
    return true;
}

static inline bool free_alone(struct mutex *mutex, struct m *m)
{
    if (unlikely(!enter_quick(m, ATTENTION_TAKING | ATTENTION_TAKEN)))
        return false;
    bool freed = load_relaxed(&mutex->word) == m->mutex_who;
    if (likely(freed))
        store_release(&mutex->word, 0); /* A; as in try_alone */
    leave_quick(m);
    return freed;
}

static inline bool free_fast(struct mutex *mutex)
{
    struct m *m = m_self();
    if (runq_is_alone())
        return free_alone(mutex, m);
    uint64_t word = m->mutex_who; /* what is stored does not wait for what was loaded */
    if (likely(cas_release(&mutex->word, &word, 0))) /* A */
        return true;
    return who_holds(word) != 0 && (word & FLAGS) != WAITERS &&
           likely(cas_release(&mutex->word, &word, word & FLAGS)); /* A */
}

/* Replaces who and flags under the lock, where newcomers cannot change them but wrong use can. */
static void set_locked(struct mutex *mutex, uint64_t who, uint64_t flags)
{
    uint64_t word = load_relaxed(&mutex->word);
    while (!cas_acq_rel(&mutex->word, &word, who | flags)) /* A, B */
        ;
}

static void wake_and_free(struct mutex *mutex)
{
    API_ENTER_HOLDING();
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
            set_locked(mutex, g->mutex_who, flags);
            lock_release(&mutex->lock);
            scheduler_ready(m_self()->p, g, OWNED);
            return;
        }
        set_locked(mutex, who_holds(load_relaxed(&mutex->word)), flags | WOKEN);
        lock_release(&mutex->lock);
        free_unless_waited_for(mutex); /* it does not: WOKEN is set */
        scheduler_ready(m_self()->p, g, TRY_AGAIN);
        return;
    } while (!free_unless_waited_for(mutex));
}

static __attribute__((noinline)) void unlock_slow(struct mutex *mutex)
{
    if (!free_unless_waited_for(mutex))
        wake_and_free(mutex);
}

void gmpt_mutex_unlock(struct gmpt_mutex *mutex)
{
    if (unlikely(!free_fast(of(mutex))))
        unlock_slow(of(mutex));
}

uint64_t gmpt_mutex_owner(struct gmpt_mutex *mutex) { return id_of(load_relaxed(&of(mutex)->word)); }
