/* Leaks that Hugo, Istio and Syncthing had, by the numbers of their issues in the GoKer collection. */
#include "leaks.h"

/* ---- Hugo 3251: a lock for each URL, and one for their table ----------------------------------------------------- */

#define WORKERS 4

struct url_locks {
    struct gmpt_rwmutex table;
    struct gmpt_mutex *url; /* the only one so far; made by the first who locks it */
    struct gmpt_waitgroup working;
    bool repaired;
};

/* Repaired, the table is not kept while somebody else has the URL. */
static void url_lock(struct url_locks *locks)
{
    gmpt_rwmutex_lock(&locks->table);
    if (!locks->url)
        locks->url = NEW(struct gmpt_mutex);
    struct gmpt_mutex *url = locks->url;
    if (locks->repaired)
        gmpt_rwmutex_unlock(&locks->table);
    gmpt_mutex_lock(url);
    if (!locks->repaired)
        gmpt_rwmutex_unlock(&locks->table);
}

static void url_unlock(struct url_locks *locks)
{
    UNTIL(gmpt_rwmutex_owner(&locks->table) || locks->repaired);
    gmpt_rwmutex_rlock(&locks->table);
    gmpt_mutex_unlock(locks->url);
    gmpt_rwmutex_runlock(&locks->table);
}

static void get_remote(void *args)
{
    struct url_locks *locks = *(struct url_locks **)args;
    url_lock(locks);
    url_unlock(locks);
    gmpt_waitgroup_done(&locks->working);
}

static void get_all(void *repaired)
{
    struct url_locks *locks = NEW(struct url_locks);
    locks->repaired = *(bool *)repaired;
    gmpt_waitgroup_add(&locks->working, WORKERS);
    for (int i = 0; i < WORKERS; i++)
        GO(get_remote, locks);
    gmpt_waitgroup_wait(&locks->working);
    free(locks->url);
    free(locks);
}

static void hugo_3251(void *repaired)
{
    for (int i = 0; i < LEAK_TIMES; i++)
        gmpt_go(get_all, repaired, sizeof(bool));
}

/* ---- Istio 16224: a handler sends to who waits for its lock ------------------------------------------------------ */

struct monitor {
    struct gmpt_chan *events;
    struct gmpt_chan *stop;
    void (*handle)(void *handler);
    void *handler;
};

struct handled {
    struct gmpt_mutex mutex;
    struct gmpt_chan *done;
    bool repaired;
};

static void monitor_run(void *args)
{
    struct monitor *monitor = args;
    struct gmpt_select_case cases[] = { { .chan = monitor->stop, .op = GMPT_RECV },
                                        { .chan = monitor->events, .op = GMPT_RECV } };
    while (gmpt_select(cases, 2) == 1)
        monitor->handle(monitor->handler);
    gmpt_chan_release(monitor->events);
    gmpt_chan_release(monitor->stop);
}

static void event_handle(void *handler)
{
    struct handled *handled = handler;
    gmpt_mutex_lock(&handled->mutex);
    gmpt_chan_send(handled->done, NULL);
    gmpt_mutex_unlock(&handled->mutex);
}

static void controller_test(void *repaired)
{
    struct handled handled = { .done = leak_chan(*(bool *)repaired) };
    struct monitor monitor = { leak_chan(0), leak_chan(0), event_handle, &handled };
    gmpt_chan_retain(monitor.events);
    gmpt_chan_retain(monitor.stop);
    GO(monitor_run, monitor);
    gmpt_chan_send(monitor.events, NULL);
    UNTIL(gmpt_mutex_owner(&handled.mutex) || *(bool *)repaired);
    gmpt_mutex_lock(&handled.mutex);
    gmpt_mutex_unlock(&handled.mutex);
    gmpt_chan_recv(handled.done, NULL);
    gmpt_chan_send(monitor.stop, NULL); /* not a close, so that the handler has ended */
    gmpt_chan_release(handled.done);
    gmpt_chan_release(monitor.events);
    gmpt_chan_release(monitor.stop);
}

static void istio_16224(void *repaired)
{
    for (int i = 0; i < LEAK_TIMES; i++)
        gmpt_go(controller_test, repaired, sizeof(bool));
}

/* ---- Syncthing 4829: what is called under the write lock wants to read ------------------------------------------- */

struct mapping {
    struct gmpt_rwmutex rwmutex;
    int addresses;
    bool repaired;
};

struct service {
    struct gmpt_rwmutex rwmutex;
    struct mapping *mapping;
};

static void mapping_notify(struct mapping *mapping)
{
    gmpt_rwmutex_rlock(&mapping->rwmutex);
    gmpt_rwmutex_runlock(&mapping->rwmutex);
}

static void mapping_clear(struct mapping *mapping)
{
    gmpt_rwmutex_lock(&mapping->rwmutex);
    int removed = mapping->addresses;
    mapping->addresses = 0;
    if (mapping->repaired)
        gmpt_rwmutex_unlock(&mapping->rwmutex);
    if (removed)
        mapping_notify(mapping);
    if (!mapping->repaired)
        gmpt_rwmutex_unlock(&mapping->rwmutex);
}

static void service_test(void *repaired)
{
    struct service *service = NEW(struct service);
    struct mapping *mapping = service->mapping = NEW(struct mapping);
    *mapping = (struct mapping){ .addresses = 1, .repaired = *(bool *)repaired };
    gmpt_rwmutex_lock(&service->rwmutex);
    mapping_clear(service->mapping);
    gmpt_rwmutex_unlock(&service->rwmutex);
    free(mapping);
    free(service);
}

static void syncthing_4829(void *repaired) { gmpt_go(service_test, repaired, sizeof(bool)); }

static const struct leak_pattern patterns[] = {
    { "hugo_3251",
      hugo_3251,
      { LEAK_SITE(get_all, LEAK_TIMES, LEAK_PROVEN, get_all),
        LEAK_SITE(get_remote, LEAK_TIMES *WORKERS, LEAK_EITHER, url_lock or url_unlock) } },
    { "istio_16224",
      istio_16224,
      { LEAK_SITE(controller_test, LEAK_TIMES, LEAK_EITHER, controller_test),
        LEAK_SITE(monitor_run, LEAK_TIMES, LEAK_PROVEN, event_handle) } },
    { "syncthing_4829", syncthing_4829, { LEAK_SITE(service_test, 1, LEAK_EITHER, mapping_notify) } },
};

const struct leak_family leak_others = LEAK_FAMILY(patterns);
