/* The smallest leaks there are: one object, one G or two that wait for it. */
#include "leaks.h"

#define MANY 100

/* ---- Channels ---------------------------------------------------------------------------------------------------- */

/* Repaired, there is a channel, and it has been closed. */
static struct gmpt_chan *none_or_closed(bool repaired)
{
    struct gmpt_chan *chan = repaired ? leak_chan(1) : NULL;
    if (chan)
        gmpt_chan_close(chan);
    return chan;
}

static void null_receiver(void *repaired)
{
    struct gmpt_chan *chan = none_or_closed(*(bool *)repaired);
    gmpt_chan_recv(chan, NULL);
    gmpt_chan_release(chan);
}
static void null_receive(void *repaired) { gmpt_go(null_receiver, repaired, sizeof(bool)); }

static void null_sender(void *repaired)
{
    struct gmpt_chan *chan = none_or_closed(*(bool *)repaired);
    gmpt_chan_send(chan, NULL);
    gmpt_chan_release(chan);
}
static void null_send(void *repaired) { gmpt_go(null_sender, repaired, sizeof(bool)); }

static void selector_of_nothing(void *repaired)
{
    if (*(bool *)repaired)
        gmpt_try_select(NULL, 0);
    else
        gmpt_select(NULL, 0);
}
static void empty_select(void *repaired) { gmpt_go(selector_of_nothing, repaired, sizeof(bool)); }

static void receiver(void *repaired)
{
    struct gmpt_chan *chan = leak_chan(*(bool *)repaired);
    gmpt_chan_try_send(chan, NULL);
    gmpt_chan_recv(chan, NULL);
    gmpt_chan_release(chan);
}
static void chan_receive(void *repaired) { gmpt_go(receiver, repaired, sizeof(bool)); }

static void sender(void *repaired)
{
    struct gmpt_chan *chan = leak_chan(*(bool *)repaired);
    gmpt_chan_send(chan, NULL);
    gmpt_chan_release(chan);
}
static void chan_send(void *repaired) { gmpt_go(sender, repaired, sizeof(bool)); }

static void selector(void *repaired)
{
    struct gmpt_select_case cases[] = { { .chan = leak_chan(*(bool *)repaired), .op = GMPT_SEND },
                                        { .chan = leak_chan(0), .op = GMPT_RECV } };
    gmpt_select(cases, 2);
    gmpt_chan_release(cases[0].chan);
    gmpt_chan_release(cases[1].chan);
}
static void select_two(void *repaired) { gmpt_go(selector, repaired, sizeof(bool)); }

/* Not a leak: whoever can name the channel can send. */
static struct gmpt_chan *global_chan;

static void global_receiver(void *args)
{
    (void)args;
    gmpt_chan_recv(global_chan, NULL);
}
static void no_leak_global(void *repaired)
{
    global_chan = leak_chan(0);
    gmpt_go(global_receiver, NULL, 0);
    if (*(bool *)repaired)
        gmpt_chan_close(global_chan);
}

/* ---- Locks ------------------------------------------------------------------------------------------------------- */

static void stack_locker(void *repaired)
{
    struct gmpt_mutex mutex = GMPT_MUTEX_INIT;
    gmpt_mutex_lock(&mutex);
    if (*(bool *)repaired)
        gmpt_mutex_unlock(&mutex);
    gmpt_mutex_lock(&mutex);
    gmpt_mutex_unlock(&mutex);
}
static void mutex_stack(void *repaired)
{
    for (int i = 0; i < MANY; i++)
        gmpt_go(stack_locker, repaired, sizeof(bool));
}

struct locker {
    struct gmpt_mutex *mutex;
    bool repaired;
};

static void heap_locker(void *args)
{
    struct locker *locker = args;
    gmpt_mutex_lock(locker->mutex);
    if (locker->repaired)
        gmpt_mutex_unlock(locker->mutex);
    gmpt_mutex_lock(locker->mutex);
    gmpt_mutex_unlock(locker->mutex);
    free(locker->mutex);
}
static void mutex_heap(void *repaired)
{
    for (int i = 0; i < MANY; i++) {
        struct locker locker = { NEW(struct gmpt_mutex), *(bool *)repaired };
        GO(heap_locker, locker);
    }
}

static void lock_and_read(struct gmpt_rwmutex *rwmutex, bool repaired)
{
    gmpt_rwmutex_lock(rwmutex);
    if (repaired)
        gmpt_rwmutex_unlock(rwmutex);
    gmpt_rwmutex_rlock(rwmutex);
    gmpt_rwmutex_runlock(rwmutex);
}

static void lock_twice(struct gmpt_rwmutex *rwmutex, bool repaired)
{
    gmpt_rwmutex_lock(rwmutex);
    if (repaired)
        gmpt_rwmutex_unlock(rwmutex);
    gmpt_rwmutex_lock(rwmutex);
    gmpt_rwmutex_unlock(rwmutex);
}

static void stack_reader(void *repaired)
{
    struct gmpt_rwmutex rwmutex = GMPT_RWMUTEX_INIT;
    lock_and_read(&rwmutex, *(bool *)repaired);
}
static void rwmutex_read_stack(void *repaired) { gmpt_go(stack_reader, repaired, sizeof(bool)); }

static void stack_writer(void *repaired)
{
    struct gmpt_rwmutex rwmutex = GMPT_RWMUTEX_INIT;
    lock_twice(&rwmutex, *(bool *)repaired);
}
static void rwmutex_write_stack(void *repaired) { gmpt_go(stack_writer, repaired, sizeof(bool)); }

static void heap_reader(void *repaired)
{
    struct gmpt_rwmutex *rwmutex = NEW(struct gmpt_rwmutex);
    lock_and_read(rwmutex, *(bool *)repaired);
    free(rwmutex);
}
static void rwmutex_read_heap(void *repaired) { gmpt_go(heap_reader, repaired, sizeof(bool)); }

static void heap_writer(void *repaired)
{
    struct gmpt_rwmutex *rwmutex = NEW(struct gmpt_rwmutex);
    lock_twice(rwmutex, *(bool *)repaired);
    free(rwmutex);
}
static void rwmutex_write_heap(void *repaired) { gmpt_go(heap_writer, repaired, sizeof(bool)); }

/* ---- The others -------------------------------------------------------------------------------------------------- */

static void group_waiter(void *repaired)
{
    struct gmpt_waitgroup group = GMPT_WAITGROUP_INIT;
    gmpt_waitgroup_add(&group, 1);
    if (*(bool *)repaired)
        gmpt_waitgroup_done(&group);
    gmpt_waitgroup_wait(&group);
}
static void waitgroup(void *repaired) { gmpt_go(group_waiter, repaired, sizeof(bool)); }

static void cond_waiter(void *repaired)
{
    struct gmpt_mutex mutex = GMPT_MUTEX_INIT;
    struct gmpt_cond cond = GMPT_COND_INIT;
    gmpt_mutex_lock(&mutex);
    if (!*(bool *)repaired)
        gmpt_cond_wait(&cond, &mutex);
    gmpt_mutex_unlock(&mutex);
}
static void cond(void *repaired) { gmpt_go(cond_waiter, repaired, sizeof(bool)); }

static void acquirer(void *repaired)
{
    struct gmpt_semaphore semaphore = GMPT_SEMAPHORE_INIT(1);
    gmpt_semaphore_acquire(&semaphore, 1);
    if (*(bool *)repaired)
        gmpt_semaphore_release(&semaphore, 1);
    gmpt_semaphore_acquire(&semaphore, 1);
}
static void semaphore(void *repaired) { gmpt_go(acquirer, repaired, sizeof(bool)); }

static void lonely_party(void *repaired)
{
    struct gmpt_barrier barrier = GMPT_BARRIER_INIT(*(bool *)repaired ? 1 : 2);
    gmpt_barrier_wait(&barrier);
}
static void barrier(void *repaired) { gmpt_go(lonely_party, repaired, sizeof(bool)); }

struct module {
    struct gmpt_once once;
    struct gmpt_chan *loaded;
};

static void module_load(void *arg)
{
    struct module *module = arg;
    gmpt_chan_recv(module->loaded, NULL);
}
static void module_user(void *args)
{
    struct module *module = *(struct module **)args;
    gmpt_once_do(&module->once, module_load, module);
}
static void once(void *repaired)
{
    struct module *module = NEW(struct module);
    module->loaded = leak_chan(0);
    GO(module_user, module);
    GO(module_user, module);
    if (*(bool *)repaired)
        gmpt_chan_close(module->loaded);
}

/* ---- Two that wait for each other -------------------------------------------------------------------------------- */

struct mixed {
    struct gmpt_chan *chan;
    struct gmpt_waitgroup group;
};

static void mixed_sender(void *args)
{
    struct mixed *mixed = *(struct mixed **)args;
    gmpt_chan_send(mixed->chan, NULL);
    gmpt_waitgroup_done(&mixed->group);
}
static void mixed_waiter(void *repaired)
{
    struct mixed mixed = { .chan = leak_chan(*(bool *)repaired) }, *shared = &mixed;
    gmpt_waitgroup_add(&mixed.group, 1);
    GO(mixed_sender, shared);
    gmpt_waitgroup_wait(&mixed.group);
    gmpt_chan_recv(mixed.chan, NULL);
    gmpt_chan_release(mixed.chan);
}
static void mixed(void *repaired) { gmpt_go(mixed_waiter, repaired, sizeof(bool)); }

static const struct leak_pattern patterns[] = {
    { "null_receive", null_receive, { LEAK_SITE(null_receiver, 1, LEAK_PROVEN, null_receiver) } },
    { "null_send", null_send, { LEAK_SITE(null_sender, 1, LEAK_PROVEN, null_sender) } },
    { "empty_select", empty_select, { LEAK_SITE(selector_of_nothing, 1, LEAK_PROVEN, selector_of_nothing) } },
    { "chan_receive", chan_receive, { LEAK_SITE(receiver, 1, LEAK_PROVEN, receiver) } },
    { "chan_send", chan_send, { LEAK_SITE(sender, 1, LEAK_PROVEN, sender) } },
    { "select", select_two, { LEAK_SITE(selector, 1, LEAK_PROVEN, selector) } },
    { "waitgroup", waitgroup, { LEAK_SITE(group_waiter, 1, LEAK_PROVEN, group_waiter) } },
    { "mutex_stack", mutex_stack, { LEAK_SITE(stack_locker, MANY, LEAK_EITHER, stack_locker) } },
    { "mutex_heap", mutex_heap, { LEAK_SITE(heap_locker, MANY, LEAK_EITHER, heap_locker) } },
    { "rwmutex_read_stack", rwmutex_read_stack, { LEAK_SITE(stack_reader, 1, LEAK_EITHER, lock_and_read) } },
    { "rwmutex_write_stack", rwmutex_write_stack, { LEAK_SITE(stack_writer, 1, LEAK_EITHER, lock_twice) } },
    { "rwmutex_read_heap", rwmutex_read_heap, { LEAK_SITE(heap_reader, 1, LEAK_EITHER, lock_and_read) } },
    { "rwmutex_write_heap", rwmutex_write_heap, { LEAK_SITE(heap_writer, 1, LEAK_EITHER, lock_twice) } },
    { "cond", cond, { LEAK_SITE(cond_waiter, 1, LEAK_PROVEN, cond_waiter) } },
    { "semaphore", semaphore, { LEAK_SITE(acquirer, 1, LEAK_PROVEN, acquirer) } },
    { "barrier", barrier, { LEAK_SITE(lonely_party, 1, LEAK_PROVEN, lonely_party) } },
    { "once", once, { LEAK_SITE(module_user, 2, LEAK_PROVEN, module_load or module_user) } },
    { "mixed",
      mixed,
      { LEAK_SITE(mixed_sender, 1, LEAK_PROVEN, mixed_sender),
        LEAK_SITE(mixed_waiter, 1, LEAK_PROVEN, mixed_waiter) } },
    { "no_leak_global", no_leak_global, { LEAK_SITE(global_receiver, 1, LEAK_LIVE, global_receiver) } },
};

const struct leak_family leak_micro = LEAK_FAMILY(patterns);
