/* Locks, and what else lies in the program's own memory. Unlike a channel such an object need not be pointed to: code
 * can name it, or count up to it from something else that it has. */
#define _GNU_SOURCE
#include "hidden.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- Victims ----------------------------------------------------------------------------------------------------- */

static void lock_wait(void *args)
{
    struct gmpt_mutex *mutex = *(struct gmpt_mutex **)args;
    hidden_victim_waits();
    gmpt_mutex_lock(mutex);
    hidden_victim_woke();
}

/* Locks it, on a G that ends, and has a victim want it. */
static void lock_and_want(struct gmpt_mutex *mutex)
{
    gmpt_mutex_lock(mutex);
    gmpt_go(lock_wait, &mutex, sizeof mutex);
}

static void group_wait(void *args)
{
    struct gmpt_waitgroup *group = *(struct gmpt_waitgroup **)args;
    hidden_victim_waits();
    gmpt_waitgroup_wait(group);
    hidden_victim_woke();
}

/* ---- Named by code ----------------------------------------------------------------------------------------------- */

static struct gmpt_mutex global;
static void global_hide(void) { lock_and_want(&global); }
static void global_reveal(void) { gmpt_mutex_unlock(&global); }

static struct gmpt_waitgroup global_group;
static void global_group_hide(void)
{
    struct gmpt_waitgroup *group = &global_group;
    gmpt_waitgroup_add(group, 1);
    gmpt_go(group_wait, &group, sizeof group);
}
static void global_group_reveal(void) { gmpt_waitgroup_done(&global_group); }

static struct gmpt_mutex global_condition;
static struct gmpt_cond global_cond;
static void cond_wait(void *args)
{
    (void)args;
    gmpt_mutex_lock(&global_condition);
    hidden_victim_waits();
    gmpt_cond_wait(&global_cond, &global_condition);
    gmpt_mutex_unlock(&global_condition);
    hidden_victim_woke();
}
static void global_cond_hide(void) { gmpt_go(cond_wait, NULL, 0); }
static void global_cond_reveal(void) { gmpt_cond_signal(&global_cond); }

/* ---- Inside something larger ------------------------------------------------------------------------------------- */

struct object {
    char before[5000];
    struct gmpt_mutex mutex;
    char behind[5000];
};
static struct object *object;
static void embedded_hide(void)
{
    object = calloc(1, sizeof *object);
    if (!object)
        abort();
    lock_and_want(&object->mutex);
}
static void embedded_reveal(void) { gmpt_mutex_unlock(&object->mutex); }

/* Only a sleeping G has the object. */
static void sleep_with_object(void *args)
{
    struct object *mine = *(struct object **)args;
    gmpt_mutex_lock(&mine->mutex);
    gmpt_go(lock_wait, &(struct gmpt_mutex *){ &mine->mutex }, sizeof(struct gmpt_mutex *));
    gmpt_sleep(1000000000);
    gmpt_mutex_unlock(&mine->mutex);
}
static void embedded_with_sleeper_hide(void)
{
    struct object *mine = calloc(1, sizeof *mine);
    if (!mine)
        abort();
    gmpt_go(sleep_with_object, &mine, sizeof mine);
}

/* Whoever has locked it will unlock it, though no proof can see that he knows where it is. */
static void sleep_with_sealed(void *args)
{
    uintptr_t sealed = *(uintptr_t *)args;
    gmpt_mutex_lock(hidden_open(sealed));
    store_release(&hidden_holds, 1);
    gmpt_sleep(1000000000);
    gmpt_mutex_unlock(hidden_open(sealed));
}
static void sealed_owner_hide(void)
{
    struct gmpt_mutex *mutex = calloc(1, sizeof *mutex);
    if (!mutex)
        abort();
    uintptr_t sealed = hidden_seal(mutex);
    gmpt_go(sleep_with_sealed, &sealed, sizeof sealed);
    hidden_wait_held();
    gmpt_go(lock_wait, &mutex, sizeof mutex);
}

/* Objects of the program's own allocator: what it has is where the first one lies. */
static struct object *arena;
static void arena_hide(void)
{
    arena = mmap(NULL, 16 * sizeof *arena, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (arena == MAP_FAILED)
        abort();
    lock_and_want(&arena[7].mutex);
}
static void arena_reveal(void) { gmpt_mutex_unlock(&arena[7].mutex); }

/* The same in a block of malloc's that is as large. */
static void array_hide(void)
{
    arena = calloc(64, sizeof *arena);
    if (!arena)
        abort();
    lock_and_want(&arena[31].mutex);
}
static void array_reveal(void) { gmpt_mutex_unlock(&arena[31].mutex); }

/* In memory that processes share: another one may unlock it. */
static struct gmpt_mutex *shared;
static void shared_hide(void)
{
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        abort();
    lock_and_want(shared);
}
static void shared_reveal(void) { gmpt_mutex_unlock(shared); }

/* ---- On stacks --------------------------------------------------------------------------------------------------- */

/* The frame's owner sleeps, and needs no pointer to what lies in its frame. */
static void sleep_with_frame(void *args)
{
    (void)args;
    struct gmpt_mutex mutex = GMPT_MUTEX_INIT;
    gmpt_mutex_lock(&mutex);
    gmpt_go(lock_wait, &(struct gmpt_mutex *){ &mutex }, sizeof(struct gmpt_mutex *));
    gmpt_sleep(1000000000);
    gmpt_mutex_unlock(&mutex);
    gmpt_mutex_lock(&mutex); /* after the victim, who needs the frame */
}
static void live_frame_hide(void) { gmpt_go(sleep_with_frame, NULL, 0); }

/* Somebody has a pointer to a structure in the frame of a G that waits for something in it. */
struct framed {
    char before[500];
    struct gmpt_waitgroup group;
};
static struct framed *frame;
static void wait_in_frame(void *args)
{
    (void)args;
    struct framed own;
    memset(&own, 0, sizeof own);
    frame = &own;
    gmpt_waitgroup_add(&own.group, 1);
    hidden_victim_waits();
    gmpt_waitgroup_wait(&own.group);
    hidden_victim_woke();
}
static void foreign_frame_hide(void) { gmpt_go(wait_in_frame, NULL, 0); }
static void foreign_frame_reveal(void) { gmpt_waitgroup_done(&frame->group); }

/* A lock that its owner waits for is a cycle, on the assumption that nobody else unlocks it. */
static struct gmpt_mutex twice;
static void lock_twice(void *args)
{
    (void)args;
    gmpt_mutex_lock(&twice);
    hidden_victim_waits();
    gmpt_mutex_lock(&twice);
    hidden_victim_woke();
}
static void unlocked_by_another_hide(void) { gmpt_go(lock_twice, NULL, 0); }
static void unlocked_by_another_reveal(void) { gmpt_mutex_unlock(&twice); }

/* What is local to a thread of the program's. It cannot unlock it, but it can tell others where it is. */
static _Thread_local struct gmpt_mutex local;
static uintptr_t local_sealed;
static void *local_keep(void *arg)
{
    local_sealed = hidden_seal(&local);
    store_release(&hidden_holds, 1);
    while (!load_acquire(&hidden_give_back))
        usleep(1000);
    local_sealed = hidden_seal(&local);
    store_release(&hidden_holds, 2);
    return arg;
}
static void thread_local_hide(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, local_keep, NULL))
        abort();
    hidden_wait_held();
    lock_and_want(hidden_open(local_sealed));
    local_sealed = 0;
}
static void thread_local_reveal(void)
{
    while (load_acquire(&hidden_holds) != 2)
        gmpt_sleep(1000000);
    gmpt_mutex_unlock(hidden_open(local_sealed));
}

/* ---- The other objects, with somebody who will bring what they wait for ------------------------------------------ */

struct meeting {
    struct gmpt_rwmutex rwmutex;
    struct gmpt_semaphore semaphore;
    struct gmpt_barrier barrier;
    struct gmpt_once once;
    struct gmpt_waitgroup group;
};

static void rwmutex_want(void *args)
{
    struct meeting *meeting = *(struct meeting **)args;
    hidden_victim_waits();
    gmpt_rwmutex_rlock(&meeting->rwmutex);
    gmpt_rwmutex_runlock(&meeting->rwmutex);
    hidden_victim_woke();
}
static void semaphore_want(void *args)
{
    struct meeting *meeting = *(struct meeting **)args;
    hidden_victim_waits();
    gmpt_semaphore_acquire(&meeting->semaphore, 1);
    hidden_victim_woke();
}
static void barrier_want(void *args)
{
    struct meeting *meeting = *(struct meeting **)args;
    hidden_victim_waits();
    gmpt_barrier_wait(&meeting->barrier);
    hidden_victim_woke();
}
static void sleep_once(void *arg)
{
    (void)arg;
    gmpt_sleep(1000000000);
}
static void once_want(void *args)
{
    struct meeting *meeting = *(struct meeting **)args;
    hidden_victim_waits();
    gmpt_once_do(&meeting->once, sleep_once, NULL);
    hidden_victim_woke();
}
static void group_want(void *args)
{
    struct meeting *meeting = *(struct meeting **)args;
    hidden_victim_waits();
    gmpt_waitgroup_wait(&meeting->group);
    hidden_victim_woke();
}

static void bring_all(void *args)
{
    struct meeting *meeting = *(struct meeting **)args;
    gmpt_rwmutex_lock(&meeting->rwmutex);
    gmpt_semaphore_acquire(&meeting->semaphore, 1);
    gmpt_waitgroup_add(&meeting->group, 1);
    void (*const wants[])(void *) = { rwmutex_want, semaphore_want, barrier_want, once_want, once_want, group_want };
    for (size_t i = 0; i < sizeof wants / sizeof wants[0]; i++)
        gmpt_go(wants[i], &meeting, sizeof meeting);
    gmpt_sleep(1000000000);
    gmpt_rwmutex_unlock(&meeting->rwmutex);
    gmpt_semaphore_release(&meeting->semaphore, 1);
    gmpt_barrier_wait(&meeting->barrier);
    gmpt_waitgroup_done(&meeting->group);
}
static void meeting_hide(void)
{
    struct meeting *meeting = calloc(1, sizeof *meeting);
    if (!meeting)
        abort();
    *meeting = (struct meeting){ .semaphore = GMPT_SEMAPHORE_INIT(1), .barrier = GMPT_BARRIER_INIT(2) };
    gmpt_go(bring_all, &meeting, sizeof meeting);
}

static const struct hidden_place places[] = {
    { "global_lock", HIDDEN_LIVE, global_hide, global_reveal },
    { "global_waitgroup", HIDDEN_LIVE, global_group_hide, global_group_reveal },
    { "global_cond", HIDDEN_LIVE, global_cond_hide, global_cond_reveal },
    { "embedded_lock", HIDDEN_LIVE, embedded_hide, embedded_reveal },
    { "sleepers_object", HIDDEN_LIVE, embedded_with_sleeper_hide, NULL },
    { "sealed_owner", HIDDEN_ENCODED, sealed_owner_hide, NULL },
    { "arena_lock", HIDDEN_LIVE, arena_hide, arena_reveal },
    { "array_lock", HIDDEN_LIVE, array_hide, array_reveal },
    { "shared_lock", HIDDEN_LIVE, shared_hide, shared_reveal },
    { "live_frame", HIDDEN_LIVE, live_frame_hide, NULL },
    { "foreign_frame", HIDDEN_LIVE, foreign_frame_hide, foreign_frame_reveal },
    { "unlocked_by_another", HIDDEN_ENCODED, unlocked_by_another_hide, unlocked_by_another_reveal },
    { "thread_local_lock", HIDDEN_LIVE, thread_local_hide, thread_local_reveal },
    { "all_objects", HIDDEN_LIVE, meeting_hide, NULL },
};

const struct hidden_places hidden_locks = HIDDEN_PLACES(places);
