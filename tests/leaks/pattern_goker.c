/* More leaks of the GoKer collection, by the numbers of their issues: what the other files have nothing like. */
#include "leaks.h"

#include <errno.h>

static struct gmpt_chan *retain(struct gmpt_chan *chan) { return gmpt_chan_retain(chan); }

/* ---- Cockroach 2448: two loops send to each other before they receive -------------------------------------------- */

struct raft {
    struct gmpt_chan *events, *callbacks;
    bool repaired; /* then there is room for what is sent first */
};

static void raft_loop(void *args)
{
    struct raft *raft = args;
    gmpt_chan_send(raft->events, NULL);
    gmpt_chan_recv(raft->callbacks, NULL);
    gmpt_chan_release(raft->events);
    gmpt_chan_release(raft->callbacks);
}

static void store_loop(void *args)
{
    struct raft *raft = args;
    gmpt_chan_send(raft->callbacks, NULL);
    gmpt_chan_recv(raft->events, NULL);
    gmpt_chan_release(raft->events);
    gmpt_chan_release(raft->callbacks);
}

static void cockroach_2448(void *repaired)
{
    size_t room = *(bool *)repaired;
    struct raft raft = { leak_chan(room), leak_chan(room), room };
    retain(raft.events);
    retain(raft.callbacks);
    GO(raft_loop, raft);
    GO(store_loop, raft);
}

/* ---- Cockroach 9935: what is called for an error takes the lock that is held ------------------------------------- */

struct logger {
    struct gmpt_mutex mutex;
    bool repaired;
};

static void log_exit(struct logger *logger)
{
    gmpt_mutex_lock(&logger->mutex);
    gmpt_mutex_unlock(&logger->mutex);
}

static void log_output(void *args)
{
    struct logger *logger = *(struct logger **)args;
    gmpt_mutex_lock(&logger->mutex);
    if (logger->repaired)
        gmpt_mutex_unlock(&logger->mutex);
    log_exit(logger); /* it could not be written */
    if (!logger->repaired)
        gmpt_mutex_unlock(&logger->mutex);
    free(logger);
}

static void cockroach_9935(void *repaired)
{
    struct logger *logger = NEW(struct logger);
    logger->repaired = *(bool *)repaired;
    GO(log_output, logger);
}

/* ---- Cockroach 13197: a transaction that is neither committed nor given up --------------------------------------- */

static void tx_await_done(void *args)
{
    struct gmpt_context *context = *(struct gmpt_context **)args;
    gmpt_chan_recv(gmpt_context_done(context), NULL);
    gmpt_context_release(context);
}

static void cockroach_13197(void *repaired)
{
    struct gmpt_context *context = gmpt_context_with_cancel(gmpt_context_background());
    gmpt_context_retain(context);
    GO(tx_await_done, context);
    if (*(bool *)repaired)
        gmpt_context_cancel(context);
    gmpt_context_release(context);
}

/* ---- Cockroach 18101: who takes the ranges is cancelled, and those who split them send on ------------------------ */

struct restore {
    struct gmpt_chan *ready;
    struct gmpt_context *context;
    bool repaired;
};

static void split_and_scatter(void *args)
{
    struct restore *restore = args;
    if (restore->repaired)
        gmpt_chan_send_context(restore->context, restore->ready, NULL);
    else
        gmpt_chan_send(restore->ready, NULL);
    gmpt_chan_release(restore->ready);
    gmpt_context_release(restore->context);
}

static void cockroach_18101(void *repaired)
{
    struct gmpt_context *context = gmpt_context_with_cancel(gmpt_context_background());
    struct restore restore = { leak_chan(0), context, *(bool *)repaired };
    for (int i = 0; i < LEAK_TIMES; i++) {
        retain(restore.ready);
        gmpt_context_retain(restore.context);
        GO(split_and_scatter, restore);
    }
    gmpt_chan_recv_context(context, restore.ready, NULL); /* the first */
    gmpt_context_cancel(context);
    gmpt_context_release(context);
    gmpt_chan_release(restore.ready);
}

/* ---- etcd 6708: with the lock for writing, what asks for the leader locks for reading ---------------------------- */

struct client {
    struct gmpt_rwmutex endpoints;
    bool repaired;
};

static void client_do(struct client *client)
{
    gmpt_rwmutex_rlock(&client->endpoints);
    gmpt_rwmutex_runlock(&client->endpoints);
}

static void client_sync(void *args)
{
    struct client *client = *(struct client **)args;
    gmpt_rwmutex_lock(&client->endpoints);
    if (client->repaired)
        gmpt_rwmutex_unlock(&client->endpoints);
    client_do(client);
    if (!client->repaired)
        gmpt_rwmutex_unlock(&client->endpoints);
    free(client);
}

static void etcd_6708(void *repaired)
{
    struct client *client = NEW(struct client);
    client->repaired = *(bool *)repaired;
    GO(client_sync, client);
}

/* ---- etcd 6873: who stops holds the lock that who is to stop wants ----------------------------------------------- */

struct broadcasts {
    struct gmpt_mutex mutex;
    struct gmpt_chan *updates, *done;
    bool repaired;
};

static void broadcasts_run(void *args)
{
    struct broadcasts *broadcasts = *(struct broadcasts **)args;
    while (gmpt_chan_recv(broadcasts->updates, NULL) == 0) {
        UNTIL(gmpt_mutex_owner(&broadcasts->mutex) || broadcasts->repaired);
        gmpt_mutex_lock(&broadcasts->mutex);
        gmpt_mutex_unlock(&broadcasts->mutex);
    }
    gmpt_chan_close(broadcasts->done);
}

static void broadcasts_stop(void *args)
{
    struct broadcasts *broadcasts = *(struct broadcasts **)args;
    gmpt_chan_send(broadcasts->updates, NULL);
    gmpt_mutex_lock(&broadcasts->mutex);
    gmpt_chan_close(broadcasts->updates);
    if (broadcasts->repaired)
        gmpt_mutex_unlock(&broadcasts->mutex);
    gmpt_chan_recv(broadcasts->done, NULL);
    if (!broadcasts->repaired)
        gmpt_mutex_unlock(&broadcasts->mutex);
    gmpt_chan_release(broadcasts->updates);
    gmpt_chan_release(broadcasts->done);
    free(broadcasts);
}

static void etcd_6873(void *repaired)
{
    struct broadcasts *broadcasts = NEW(struct broadcasts);
    broadcasts->updates = leak_chan(0);
    broadcasts->done = leak_chan(0);
    broadcasts->repaired = *(bool *)repaired;
    GO(broadcasts_run, broadcasts);
    GO(broadcasts_stop, broadcasts);
}

/* ---- Kubernetes 10182: sent with the lock held that the receiver wants first ------------------------------------- */

struct status_manager {
    struct gmpt_mutex statuses;
    struct gmpt_chan *pods;
    struct gmpt_waitgroup users;
    bool repaired;
};

static void status_sync(void *args)
{
    struct status_manager *manager = *(struct status_manager **)args;
    UNTIL(gmpt_mutex_owner(&manager->statuses) || manager->repaired);
    gmpt_mutex_lock(&manager->statuses);
    gmpt_mutex_unlock(&manager->statuses);
    gmpt_chan_recv(manager->pods, NULL);
    gmpt_waitgroup_done(&manager->users);
}

static void status_set(void *args)
{
    struct status_manager *manager = *(struct status_manager **)args;
    gmpt_mutex_lock(&manager->statuses);
    if (manager->repaired)
        gmpt_mutex_unlock(&manager->statuses);
    gmpt_chan_send(manager->pods, NULL);
    if (!manager->repaired)
        gmpt_mutex_unlock(&manager->statuses);
    gmpt_waitgroup_wait(&manager->users);
    gmpt_chan_release(manager->pods);
    free(manager);
}

static void kubernetes_10182(void *repaired)
{
    struct status_manager *manager = NEW(struct status_manager);
    manager->pods = leak_chan(0);
    manager->repaired = *(bool *)repaired;
    gmpt_waitgroup_add(&manager->users, 1);
    GO(status_sync, manager);
    GO(status_set, manager);
}

/* ---- Kubernetes 62464: reads again while a writer waits for the first reading to end ----------------------------- */

struct cpu_state {
    struct gmpt_rwmutex lock;
    struct gmpt_waitgroup users;
    bool repaired;
};

static void wait_for_writer(struct cpu_state *state)
{
    while (gmpt_rwmutex_tryrlock(&state->lock) == 0) {
        gmpt_rwmutex_runlock(&state->lock);
        gmpt_yield();
    }
}

static void cpus_get(void *args)
{
    struct cpu_state *state = *(struct cpu_state **)args;
    gmpt_rwmutex_rlock(&state->lock);
    if (!state->repaired) {
        wait_for_writer(state);
        gmpt_rwmutex_rlock(&state->lock);
        gmpt_rwmutex_runlock(&state->lock);
    }
    gmpt_rwmutex_runlock(&state->lock);
    gmpt_waitgroup_wait(&state->users);
    free(state);
}

static void cpus_set(void *args)
{
    struct cpu_state *state = *(struct cpu_state **)args;
    gmpt_rwmutex_lock(&state->lock);
    gmpt_rwmutex_unlock(&state->lock);
    gmpt_waitgroup_done(&state->users);
}

static void kubernetes_62464(void *repaired)
{
    struct cpu_state *state = NEW(struct cpu_state);
    state->repaired = *(bool *)repaired;
    gmpt_waitgroup_add(&state->users, 1);
    GO(cpus_get, state);
    UNTIL(gmpt_rwmutex_trylock(&state->lock) || (gmpt_rwmutex_unlock(&state->lock), state->repaired));
    GO(cpus_set, state);
}

/* ---- Moby 21233: more progress than anybody looks at ------------------------------------------------------------- */

struct transfer {
    struct gmpt_chan *progress;
    bool repaired;
};

static void transfer_run(void *args)
{
    struct transfer *transfer = args;
    for (int i = 0; i < LEAK_TIMES; i++)
        gmpt_chan_send(transfer->progress, NULL);
    gmpt_chan_close(transfer->progress);
    gmpt_chan_release(transfer->progress);
}

static void moby_21233(void *repaired)
{
    struct transfer transfer = { leak_chan(0), *(bool *)repaired };
    retain(transfer.progress);
    GO(transfer_run, transfer);
    while (gmpt_chan_recv(transfer.progress, NULL) == 0 && transfer.repaired)
        ;
    gmpt_chan_release(transfer.progress);
}

/* ---- Moby 30408: those who wait are not told that it has failed -------------------------------------------------- */

struct plugin {
    struct gmpt_mutex mutex;
    struct gmpt_cond activated;
    struct gmpt_waitgroup users;
    int error; /* guarded by mutex; 1 = not known yet */
    bool repaired;
};

static void plugin_wait_active(void *args)
{
    struct plugin *plugin = *(struct plugin **)args;
    gmpt_mutex_lock(&plugin->mutex);
    gmpt_waitgroup_done(&plugin->users);
    while (plugin->error == 1)
        gmpt_cond_wait(&plugin->activated, &plugin->mutex);
    gmpt_mutex_unlock(&plugin->mutex);
    gmpt_waitgroup_done(&plugin->users);
}

static void plugin_activate(void *args)
{
    struct plugin *plugin = *(struct plugin **)args;
    gmpt_waitgroup_wait(&plugin->users);
    gmpt_waitgroup_add(&plugin->users, LEAK_TIMES);
    gmpt_mutex_lock(&plugin->mutex);
    plugin->error = plugin->repaired ? -ENOENT : 1;
    if (plugin->repaired)
        gmpt_cond_broadcast(&plugin->activated);
    gmpt_mutex_unlock(&plugin->mutex);
    if (!plugin->repaired)
        return;
    gmpt_waitgroup_wait(&plugin->users);
    free(plugin);
}

static void moby_30408(void *repaired)
{
    struct plugin *plugin = NEW(struct plugin);
    plugin->error = 1;
    plugin->repaired = *(bool *)repaired;
    gmpt_waitgroup_add(&plugin->users, LEAK_TIMES);
    for (int i = 0; i < LEAK_TIMES; i++)
        GO(plugin_wait_active, plugin);
    GO(plugin_activate, plugin);
}

/* ---- Moby 33293: what is returned to be received from is sent to first ------------------------------------------- */

static struct gmpt_chan *container_wait(bool repaired)
{
    struct gmpt_chan *errors = leak_chan(repaired);
    gmpt_chan_send(errors, NULL); /* the context is cancelled already */
    return errors;
}

static void container_test(void *repaired)
{
    struct gmpt_chan *errors = container_wait(*(bool *)repaired);
    gmpt_chan_recv(errors, NULL);
    gmpt_chan_release(errors);
}

static void moby_33293(void *repaired) { gmpt_go(container_test, repaired, sizeof(bool)); }

/* ---- Syncthing 5795: the loop closes the connection, which waits for the loop's end ------------------------------ */

struct connection {
    struct gmpt_chan *loop_stopped;
    bool repaired;
};

static void connection_close(struct connection *connection)
{
    gmpt_chan_recv(connection->loop_stopped, NULL);
    gmpt_chan_release(connection->loop_stopped);
    free(connection);
}

static void connection_close_g(void *args) { connection_close(*(struct connection **)args); }

static void dispatcher_loop(void *args)
{
    struct connection *connection = *(struct connection **)args;
    struct gmpt_chan *stopped = retain(connection->loop_stopped);
    if (connection->repaired)
        GO(connection_close_g, connection);
    else
        connection_close(connection);
    gmpt_chan_close(stopped);
    gmpt_chan_release(stopped);
}

static void syncthing_5795(void *repaired)
{
    struct connection *connection = NEW(struct connection);
    connection->loop_stopped = leak_chan(0);
    connection->repaired = *(bool *)repaired;
    GO(dispatcher_loop, connection);
}

static const struct leak_pattern patterns[] = {
    { "cockroach_2448",
      cockroach_2448,
      { LEAK_SITE(raft_loop, 1, LEAK_PROVEN, raft_loop), LEAK_SITE(store_loop, 1, LEAK_PROVEN, store_loop) } },
    { "cockroach_9935", cockroach_9935, { LEAK_SITE(log_output, 1, LEAK_EITHER, log_exit or log_output) } },
    { "cockroach_13197", cockroach_13197, { LEAK_SITE(tx_await_done, 1, LEAK_PROVEN, tx_await_done) } },
    { "cockroach_18101",
      cockroach_18101,
      { LEAK_SITE(split_and_scatter, LEAK_TIMES - 1, LEAK_PROVEN, split_and_scatter) } },
    { "etcd_6708", etcd_6708, { LEAK_SITE(client_sync, 1, LEAK_EITHER, client_do or client_sync) } },
    { "etcd_6873",
      etcd_6873,
      { LEAK_SITE(broadcasts_run, 1, LEAK_EITHER, broadcasts_run),
        LEAK_SITE(broadcasts_stop, 1, LEAK_PROVEN, broadcasts_stop) } },
    { "kubernetes_10182",
      kubernetes_10182,
      { LEAK_SITE(status_sync, 1, LEAK_EITHER, status_sync), LEAK_SITE(status_set, 1, LEAK_PROVEN, status_set) } },
    { "kubernetes_62464",
      kubernetes_62464,
      { LEAK_SITE(cpus_get, 1, LEAK_EITHER, cpus_get), LEAK_SITE(cpus_set, 1, LEAK_EITHER, cpus_set) } },
    { "moby_21233", moby_21233, { LEAK_SITE(transfer_run, 1, LEAK_PROVEN, transfer_run) } },
    { "moby_30408", moby_30408, { LEAK_SITE(plugin_wait_active, LEAK_TIMES, LEAK_PROVEN, plugin_wait_active) } },
    { "moby_33293",
      moby_33293,
      { LEAK_SITE(container_test, 1, LEAK_PROVEN, container_wait or container_test) } },
    { "syncthing_5795",
      syncthing_5795,
      { LEAK_SITE(dispatcher_loop, 1, LEAK_PROVEN, connection_close or dispatcher_loop) } },
};

const struct leak_family leak_goker = LEAK_FAMILY(patterns);
