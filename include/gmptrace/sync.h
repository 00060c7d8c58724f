/* gmptrace/sync.h - what Gs meet at besides channels, mutexes and wait groups. gmpt.h includes it.
 *
 *     static struct gmpt_rwmutex lock = GMPT_RWMUTEX_INIT;
 *     static struct gmpt_semaphore connections = GMPT_SEMAPHORE_INIT(100);
 *
 *     gmpt_semaphore_acquire(&connections, 1);
 *     gmpt_rwmutex_rlock(&lock);
 *
 * The rules at the top of gmpt.h hold here: calls come from a G and block it, not its thread; they return 0 or a
 * negative errno value; deadlines are on the clock of gmpt_now(), GMPT_NEVER is none. A call with a deadline returns
 * -ETIMEDOUT once that has passed, unless it need not wait, and -ENOMEM when there is no memory for its timer; then
 * nothing was taken. None of these objects may be moved while in use, or freed before all calls have returned but those
 * that wait for nothing and only hand something on (an unlock, a release, a signal), if it is not said otherwise. */
#ifndef GMPT_SYNC_H
#define GMPT_SYNC_H

#include <stdint.h>

struct gmpt_mutex;

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* ---- Readers and writers ---------------------------------------------------------------------------------------- */

/* Many readers, or one writer. Zero-initialised is unlocked. Once a writer waits no new reader comes in, and when a
 * writer leaves, all readers that wait come in before the next: neither starves. So a G that reads must not lock it for
 * reading again: a writer that came in between would wait for it, and it for the writer. */
struct gmpt_rwmutex {
    uint64_t gmpt_private[6];
};
#define GMPT_RWMUTEX_INIT { { 0 } }

void gmpt_rwmutex_rlock(struct gmpt_rwmutex *rwmutex);                           /* for reading; blocks */
int gmpt_rwmutex_rlock_until(struct gmpt_rwmutex *rwmutex, int64_t deadline_ns); /* the same, until a deadline */
int gmpt_rwmutex_tryrlock(struct gmpt_rwmutex *rwmutex);                         /* 0 or -EBUSY; does not block */
void gmpt_rwmutex_runlock(struct gmpt_rwmutex *rwmutex);                         /* by any G; does not block */

void gmpt_rwmutex_lock(struct gmpt_rwmutex *rwmutex);                           /* for writing; blocks */
int gmpt_rwmutex_lock_until(struct gmpt_rwmutex *rwmutex, int64_t deadline_ns); /* the same, until a deadline */
int gmpt_rwmutex_trylock(struct gmpt_rwmutex *rwmutex);                         /* 0 or -EBUSY; does not block */
void gmpt_rwmutex_unlock(struct gmpt_rwmutex *rwmutex);                         /* by any G; does not block */

/* The id of the G that has it locked for writing, 0 when none has; it may be another one by the time you look. Any
 * thread. */
uint64_t gmpt_rwmutex_owner(struct gmpt_rwmutex *rwmutex);

/* ---- Conditions ------------------------------------------------------------------------------------------------- */

/* Gs that wait, in the order of their coming, for something that a mutex protects to change. Zero-initialised is ready
 * for use. */
struct gmpt_cond {
    uint64_t gmpt_private[4];
};
#define GMPT_COND_INIT { { 0 } }

/* Unlocks the mutex, which must be locked, waits for a signal, and locks the mutex again; no signal that comes after
 * the unlock is missed. Blocks. Nobody is woken without a signal, but the condition may have changed again until the
 * mutex is locked: call it in a loop that checks. */
void gmpt_cond_wait(struct gmpt_cond *cond, struct gmpt_mutex *mutex);
/* The same until a deadline, which does not bound the wait for the mutex. Returns 0, -ETIMEDOUT or -ENOMEM, always with
 * the mutex locked. */
int gmpt_cond_wait_until(struct gmpt_cond *cond, struct gmpt_mutex *mutex, int64_t deadline_ns);
/* Wakes the G that waits longest, or all; with or without the mutex. Do not block. */
void gmpt_cond_signal(struct gmpt_cond *cond);
void gmpt_cond_broadcast(struct gmpt_cond *cond);

/* ---- Semaphores ------------------------------------------------------------------------------------------------- */

/* A number of units, of which each user takes some and gives them back. Who waits gets them in the order of coming:
 * many small requests do not starve a large one. GMPT_SEMAPHORE_INIT(size) has size units, all free; 0 <= size < 2^62.
 */
struct gmpt_semaphore {
    uint64_t gmpt_private[5];
};
#define GMPT_SEMAPHORE_INIT(size) { { (uint64_t)(size) << 1, (uint64_t)(size), 0, 0, 0 } }

/* Takes n units. Blocks until they are free and nobody waits for longer. Returns 0, or -EINVAL when n is negative or
 * more than there are in all; with a deadline also -ETIMEDOUT and -ENOMEM. */
int gmpt_semaphore_acquire(struct gmpt_semaphore *semaphore, int64_t n);
int gmpt_semaphore_acquire_until(struct gmpt_semaphore *semaphore, int64_t n, int64_t deadline_ns);
int gmpt_semaphore_try_acquire(struct gmpt_semaphore *semaphore, int64_t n); /* or -EAGAIN; does not block */
/* Gives n units back, by any G; does not block. More than are taken ends the program with a message. */
void gmpt_semaphore_release(struct gmpt_semaphore *semaphore, int64_t n);

/* ---- Once ------------------------------------------------------------------------------------------------------- */

/* Zero-initialised has not been done. */
struct gmpt_once {
    uint64_t gmpt_private[4];
};
#define GMPT_ONCE_INIT { { 0 } }

/* Calls fn(arg) if this is the first call with this once, and returns when it has been done: others block until it
 * has returned. Later calls cost a load. fn must not call it again with the same once. */
void gmpt_once_do(struct gmpt_once *once, void (*fn)(void *arg), void *arg);

/* ---- Barriers --------------------------------------------------------------------------------------------------- */

/* Where a number of Gs wait for each other, again and again. */
struct gmpt_barrier {
    uint64_t gmpt_private[5];
};
#define GMPT_BARRIER_INIT(parties) { { (uint64_t)(parties), 0, 0, 0, 0 } }

/* Blocks until as many Gs as the barrier has parties have come, then lets all go on, and begins anew. Returns 1 to the
 * one that came last, 0 to the others, -EINVAL for a barrier of no parties. */
int gmpt_barrier_wait(struct gmpt_barrier *barrier);
/* The same until a deadline. After -ETIMEDOUT or -ENOMEM the G counts as not having come. */
int gmpt_barrier_wait_until(struct gmpt_barrier *barrier, int64_t deadline_ns);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
