/* gmpt_mutex: one word for the fast path, a list of waiters behind it, and two modes as in Go's sync.Mutex.
 *
 * Normally an unlock sets the mutex free and wakes the first waiter, which competes with whoever comes along: a running
 * G may take the mutex many times in a row at the cost of a CAS, where handing it over would cost a switch each
 * time. A waiter that was woken in vain goes back to the head of the list; once it has tried for STARVING_NS it asks for
 * the mutex to be handed over, in the order of the list, so that nobody waits for ever. That ends with a waiter that has
 * not waited for so long, or with the last one.
 *
 * | bit of word | set                                       | cleared                                            |
 * |-------------|-------------------------------------------|----------------------------------------------------|
 * | LOCKED      | by who takes it                           | by the unlock, unless it hands over                |
 * | WAITERS     | by who queues, under the list's lock      | by the unlock that empties the list, under its lock |
 * | WOKEN       | by the unlock that wakes, under that lock | by the G that was woken                            |
 * | STARVING    | by who queues, under that lock            | by the G it is handed to, or an unlock that finds  |
 * |             |                                           | nobody                                             |
 *
 * All changes are read-modify-writes; to take the mutex is an acquire, to set it free a release. Who queues sets WAITERS
 * in the same step that finds LOCKED set, so the unlock meets it. WAITERS may outlive the waiters, when deadlines took
 * them. WOKEN keeps other unlocks from waking more while one waiter is on its way. */
#include "enter.h"
#include "runq.h"
#include "sysmon.h"
#include "waitlist.h"

enum { LOCKED = 1, WAITERS = 2, WOKEN = 4, STARVING = 8 };
enum { TAKEN, HANDED_OVER, COMPETE }; /* what a wait for it ends with */

#define STARVING_NS 1000000
#define SPINS 4
#define SPIN_PAUSES 30

struct mutex {
    ATOMIC(uint32_t) word;
    struct waitlist waiters;
};
_Static_assert(sizeof(struct mutex) <= sizeof(struct gmpt_mutex), "it must fit the public type");

static struct mutex *of(struct gmpt_mutex *mutex) { return (struct mutex *)mutex; }

static inline bool try_fast(struct mutex *mutex)
{
    uint32_t word = load_relaxed(&mutex->word);
    return !(word & LOCKED) && cas_acquire(&mutex->word, &word, word | LOCKED);
}

/* Takes it, or sets `mark` so that the unlock will look at the list, whose lock is held. */
static bool take_or_mark_locked(struct mutex *mutex, uint32_t mark)
{
    uint32_t word = load_relaxed(&mutex->word);
    for (;;) {
        uint32_t next = word & LOCKED ? word | mark : word | LOCKED;
        if (cas_acquire(&mutex->word, &word, next))
            return !(word & LOCKED);
    }
}

static bool try_locked(struct waitlist *list)
{
    return take_or_mark_locked(container_of(list, struct mutex, waiters), WAITERS);
}

static bool try_locked_starving(struct waitlist *list)
{
    return take_or_mark_locked(container_of(list, struct mutex, waiters), WAITERS | STARVING);
}

/* Tries for a moment, if its holder may be running on another P and nobody else wants this one. */
static bool try_spinning(struct mutex *mutex)
{
    struct p *p = m_self()->p;
    for (int i = 0; i < SPINS; i++) {
        if (try_fast(mutex))
            return true;
        if (load_relaxed(&sched.idle_p_count) + 1 >= sched.p_count || !runq_is_empty_any(p))
            return false;
        for (int pause = 0; pause < SPIN_PAUSES; pause++)
            cpu_relax();
    }
    return try_fast(mutex);
}

static int wait_once(struct mutex *mutex, bool again, bool starving, int64_t deadline_ns, struct wait *wait)
{
    struct waitlist *list = &mutex->waiters;
    bool (*try)(struct waitlist *list) = starving ? try_locked_starving : try_locked;
    if (deadline_ns != GMPT_NEVER)
        return again ? waitlist_wait_again_until(list, try, deadline_ns, wait)
                     : waitlist_wait_until(list, try, deadline_ns, wait);
    lock_acquire(&list->lock);
    if (try(list)) {
        lock_release(&list->lock);
        return TAKEN;
    }
    return again ? waitlist_wait_again_locked(list, wait) : waitlist_wait_locked(list, wait);
}

static __attribute__((noinline)) int lock_slow(struct mutex *mutex, int64_t deadline_ns, struct wait *wait)
{
    API_ENTER();
    if (try_spinning(mutex))
        return 0;
    int64_t since_ns = load_relaxed(&coarse_now_ns);
    bool again = false, starving = false;
    for (;;) {
        int result = wait_once(mutex, again, starving, deadline_ns, wait);
        if (result == HANDED_OVER && (!starving || !(load_relaxed(&mutex->word) & WAITERS)))
            fetch_and_acq_rel(&mutex->word, ~(uint32_t)STARVING);
        if (result != COMPETE)
            return result < 0 ? result : 0;
        bool taken = try_spinning(mutex);
        fetch_and_acq_rel(&mutex->word, ~(uint32_t)WOKEN);
        if (taken)
            return 0;
        again = true;
        starving = load_relaxed(&coarse_now_ns) - since_ns >= STARVING_NS;
    }
}

void gmpt_mutex_lock(struct gmpt_mutex *public)
{
    if (likely(try_fast(of(public))))
        return;
    struct wait wait = { .reason = GMPT_WAIT_mutex, .object = public, .site = API_SITE(gmpt_mutex_lock) };
    lock_slow(of(public), GMPT_NEVER, &wait);
}

int gmpt_mutex_lock_until(struct gmpt_mutex *public, int64_t deadline_ns)
{
    if (likely(try_fast(of(public))))
        return 0;
    struct wait wait = { .reason = GMPT_WAIT_mutex, .object = public, .site = API_SITE(gmpt_mutex_lock_until) };
    return lock_slow(of(public), deadline_ns, &wait);
}

int gmpt_mutex_trylock(struct gmpt_mutex *mutex)
{
    return try_fast(of(mutex)) ? 0 : -EBUSY;
}

/* Wakes a waiter or hands the mutex to it. Returns false when there was none: then the mutex is still held. Setting it
 * free here is no danger to who then destroys it, since the waiter that was popped still has to have it. */
static bool pass_on(struct mutex *mutex)
{
    API_ENTER();
    lock_acquire(&mutex->waiters.lock);
    struct g *next = waitlist_pop_locked(&mutex->waiters);
    uint32_t word = load_relaxed(&mutex->word), left = mutex->waiters.first ? WAITERS : 0;
    bool hand_over = word & STARVING;
    if (!next) {
        fetch_and_acq_rel(&mutex->word, ~(uint32_t)(WAITERS | STARVING));
    } else if (hand_over) {
        if (!left)
            fetch_and_acq_rel(&mutex->word, ~(uint32_t)WAITERS);
    } else {
        while (!cas_release(&mutex->word, &word, left | WOKEN))
            continue; /* only WOKEN can have changed */
    }
    lock_release(&mutex->waiters.lock);
    if (next)
        scheduler_ready(m_self()->p, next, hand_over ? HANDED_OVER : COMPETE);
    return next;
}

void gmpt_mutex_unlock(struct gmpt_mutex *public)
{
    struct mutex *mutex = of(public);
    uint32_t word = LOCKED; /* a guess, which is cheaper than a look */
    if (likely(cas_release(&mutex->word, &word, 0)))
        return;
    for (;;) {
        if (unlikely(!(word & LOCKED)))
            fatal("gmpt_mutex_unlock of a mutex that is not locked (%p)", (void *)public);
        if (unlikely(word & STARVING || (word & (WAITERS | WOKEN)) == WAITERS)) {
            if (pass_on(mutex))
                return;
            word = load_relaxed(&mutex->word);
        } else if (likely(cas_release(&mutex->word, &word, word & ~(uint32_t)LOCKED))) {
            return; /* and touch it no more: who has it next may free it */
        }
    }
}
