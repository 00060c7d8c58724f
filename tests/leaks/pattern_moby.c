/* Leaks that Moby had, by the numbers of their issues in the GoKer collection. */
#include "leaks.h"

#include <errno.h>

/* ---- 4951: a lock that is given back for a moment is taken again in the other order ------------------------------ */

struct device {
    struct gmpt_mutex mutex;
    int removing; /* guarded by the set's lock */
};

struct device_set {
    struct gmpt_mutex mutex;
    struct device *device;
    struct gmpt_waitgroup removed;
    bool repaired;
};

/* Gives the set back while the kernel works; we go on when somebody else has it, and waits for the device. */
static void device_remove_and_wait(struct device_set *set)
{
    gmpt_mutex_unlock(&set->mutex);
    if (!set->repaired)
        UNTIL(gmpt_mutex_owner(&set->mutex));
    gmpt_mutex_lock(&set->mutex);
}

static void device_delete(void *args)
{
    struct device_set *set = *(struct device_set **)args;
    struct device *device = set->device;
    if (set->repaired)
        gmpt_mutex_lock(&device->mutex);
    gmpt_mutex_lock(&set->mutex);
    if (!set->repaired)
        gmpt_mutex_lock(&device->mutex);
    device->removing++;
    device_remove_and_wait(set);
    device->removing--;
    gmpt_mutex_unlock(&device->mutex);
    gmpt_mutex_unlock(&set->mutex);
    gmpt_waitgroup_done(&set->removed);
}

static void devices_test(void *repaired)
{
    struct device_set *set = NEW(struct device_set);
    set->device = NEW(struct device);
    set->repaired = *(bool *)repaired;
    gmpt_waitgroup_add(&set->removed, 2);
    GO(device_delete, set);
    GO(device_delete, set);
    gmpt_waitgroup_wait(&set->removed);
    free(set->device);
    free(set);
}

static void moby_4951(void *repaired) { gmpt_go(devices_test, repaired, sizeof(bool)); }

/* ---- 7559: an error goes on to the next round with the lock held ------------------------------------------------- */

struct proxy {
    struct gmpt_mutex connections;
    bool repaired;
};

static int proxy_dial(void) { return -ECONNREFUSED; }

static void proxy_run(void *args)
{
    struct proxy *proxy = *(struct proxy **)args;
    for (int i = 0; i < 2; i++) {
        gmpt_mutex_lock(&proxy->connections);
        if (proxy_dial() < 0) {
            if (proxy->repaired)
                gmpt_mutex_unlock(&proxy->connections);
            continue;
        }
        gmpt_mutex_unlock(&proxy->connections);
    }
    free(proxy);
}

static void moby_7559(void *repaired)
{
    for (int i = 0; i < LEAK_TIMES; i++) {
        struct proxy *proxy = NEW(struct proxy);
        proxy->repaired = *(bool *)repaired;
        GO(proxy_run, proxy);
    }
}

/* ---- 25384: who starts several waits for all after the first ----------------------------------------------------- */

#define PLUGINS 2

struct manager {
    int *plugins[PLUGINS];
    bool repaired;
};

static void plugin_restore(void *args)
{
    struct gmpt_waitgroup *group = *(struct gmpt_waitgroup **)args;
    gmpt_waitgroup_done(group);
}

static void manager_init(void *args)
{
    struct manager *manager = *(struct manager **)args;
    struct gmpt_waitgroup restored = GMPT_WAITGROUP_INIT, *group = &restored;
    gmpt_waitgroup_add(&restored, PLUGINS);
    for (int i = 0; i < PLUGINS; i++) {
        GO(plugin_restore, group);
        if (!manager->repaired)
            gmpt_waitgroup_wait(&restored);
    }
    gmpt_waitgroup_wait(&restored);
    for (int i = 0; i < PLUGINS; i++)
        free(manager->plugins[i]);
    free(manager);
}

static void moby_25384(void *repaired)
{
    struct manager *manager = NEW(struct manager);
    manager->repaired = *(bool *)repaired;
    for (int i = 0; i < PLUGINS; i++)
        manager->plugins[i] = NEW(int);
    GO(manager_init, manager);
}

/* ---- 28462: a monitor is told to stop by who holds the lock that it waits for ------------------------------------ */

struct container {
    struct gmpt_mutex mutex;
    struct gmpt_chan *stop;
    bool repaired;
};

static void probe_result_handle(struct container *container)
{
    UNTIL(gmpt_mutex_owner(&container->mutex) || container->repaired);
    gmpt_mutex_lock(&container->mutex);
    gmpt_mutex_unlock(&container->mutex);
}

static void container_state_changed(void *args)
{
    struct container *container = *(struct container **)args;
    gmpt_mutex_lock(&container->mutex);
    if (container->repaired)
        gmpt_chan_close(container->stop);
    else
        gmpt_chan_send(container->stop, NULL);
    gmpt_mutex_unlock(&container->mutex);
}

/* The state changes while the first probe's result is being handled. */
static void container_monitor(void *args)
{
    struct container *container = *(struct container **)args;
    struct gmpt_select_case cases[] = { { .chan = container->stop, .op = GMPT_RECV } };
    for (int probe = 0; gmpt_try_select(cases, 1) < 0; probe++) {
        if (probe == 0)
            GO(container_state_changed, container);
        probe_result_handle(container);
        gmpt_yield();
    }
}

static void moby_28462(void *repaired)
{
    for (int i = 0; i < LEAK_TIMES; i++) {
        struct container *container = NEW(struct container);
        container->stop = leak_chan(0);
        container->repaired = *(bool *)repaired;
        GO(container_monitor, container);
    }
}

static const struct leak_pattern patterns[] = {
    { "moby_4951",
      moby_4951,
      { LEAK_SITE(device_delete, 2, LEAK_EITHER, device_delete),
        LEAK_SITE(devices_test, 1, LEAK_PROVEN, devices_test) } },
    { "moby_7559", moby_7559, { LEAK_SITE(proxy_run, LEAK_TIMES, LEAK_EITHER, proxy_run) } },
    { "moby_25384", moby_25384, { LEAK_SITE(manager_init, 1, LEAK_PROVEN, manager_init) } },
    { "moby_28462",
      moby_28462,
      { LEAK_SITE(container_monitor, LEAK_TIMES, LEAK_EITHER, probe_result_handle),
        LEAK_SITE(container_state_changed, LEAK_TIMES, LEAK_PROVEN, container_state_changed) } },
};

const struct leak_family leak_moby = LEAK_FAMILY(patterns);
