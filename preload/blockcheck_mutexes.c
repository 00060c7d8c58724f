/* libgmptrace-blockcheck.so: tells the runtime which pthread mutexes the calling thread holds.
 *
 *     GMPT_DEBUG=blockcheck LD_PRELOAD=/usr/local/lib/libgmptrace-blockcheck.so ./server
 *
 * It stands before the C library's locking functions and notes, for each thread, what was locked and from where. A
 * mutex that another thread unlocks stays on the list of who locked it, until the runtime has told of it. What the C
 * library does inside itself (stdio's and malloc's locks) does not come by here. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <time.h>

#include "blockcheck_preload.h"

#define PUBLIC __attribute__((visibility("default")))

static __thread struct blockcheck_held held;

PUBLIC struct blockcheck_held *gmpt_blockcheck_held(void);
struct blockcheck_held *gmpt_blockcheck_held(void) { return &held; }

static struct {
    int (*lock)(pthread_mutex_t *);
    int (*trylock)(pthread_mutex_t *);
    int (*timedlock)(pthread_mutex_t *, const struct timespec *);
    int (*clocklock)(pthread_mutex_t *, clockid_t, const struct timespec *);
    int (*unlock)(pthread_mutex_t *);
} real;

/* May be called before the constructor, by another library's: so it looks whenever it has nothing. */
static void look_up(void)
{
    *(void **)&real.trylock = dlsym(RTLD_NEXT, "pthread_mutex_trylock");
    *(void **)&real.timedlock = dlsym(RTLD_NEXT, "pthread_mutex_timedlock");
    *(void **)&real.clocklock = dlsym(RTLD_NEXT, "pthread_mutex_clocklock");
    *(void **)&real.unlock = dlsym(RTLD_NEXT, "pthread_mutex_unlock");
    *(void **)&real.lock = dlsym(RTLD_NEXT, "pthread_mutex_lock");
}

__attribute__((constructor)) static void begin(void)
{
    if (!real.lock)
        look_up();
}

static int locked(int result, pthread_mutex_t *mutex, void *caller)
{
    if (result != 0)
        return result;
    if (held.count < BLOCKCHECK_HELD_MAX)
        held.mutexes[held.count++] = (struct blockcheck_mutex){ mutex, caller };
    else
        held.overflowed++;
    return 0;
}

PUBLIC int pthread_mutex_lock(pthread_mutex_t *mutex)
{
    begin();
    return locked(real.lock(mutex), mutex, __builtin_return_address(0));
}

PUBLIC int pthread_mutex_trylock(pthread_mutex_t *mutex)
{
    begin();
    return locked(real.trylock(mutex), mutex, __builtin_return_address(0));
}

PUBLIC int pthread_mutex_timedlock(pthread_mutex_t *mutex, const struct timespec *time)
{
    begin();
    return locked(real.timedlock(mutex, time), mutex, __builtin_return_address(0));
}

PUBLIC int pthread_mutex_clocklock(pthread_mutex_t *mutex, clockid_t clock, const struct timespec *time)
{
    begin();
    return locked(real.clocklock(mutex, clock, time), mutex, __builtin_return_address(0));
}

PUBLIC int pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    begin();
    for (unsigned i = held.count; i-- > 0;) { /* the last locked is the first that is unlocked, as a rule */
        if (held.mutexes[i].mutex != mutex)
            continue;
        for (held.count--; i < held.count; i++)
            held.mutexes[i] = held.mutexes[i + 1];
        break;
    }
    return real.unlock(mutex);
}
