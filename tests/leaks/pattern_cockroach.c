/* Leaks that CockroachDB had, by the numbers of their issues in the GoKer collection. */
#include "leaks.h"

/* ---- 584: a loop that is left with the lock held ----------------------------------------------------------------- */

struct gossip {
    struct gmpt_mutex mutex;
    bool closed, repaired;
};

static void gossip_loop(struct gossip *gossip)
{
    for (;;) {
        gmpt_mutex_lock(&gossip->mutex);
        if (gossip->closed)
            break;
        gmpt_mutex_unlock(&gossip->mutex);
    }
    if (gossip->repaired)
        gmpt_mutex_unlock(&gossip->mutex);
}

static void gossip_run(void *args)
{
    struct gossip *gossip = *(struct gossip **)args;
    gossip_loop(gossip); /* to bootstrap */
    gossip_loop(gossip); /* to manage */
    free(gossip);
}

static void cockroach_584(void *repaired)
{
    struct gossip *gossip = NEW(struct gossip);
    gossip->closed = true;
    gossip->repaired = *(bool *)repaired;
    GO(gossip_run, gossip);
}

/* ---- 1055: who drains waits for tasks that wait to be stopped ---------------------------------------------------- */

#define STOPPERS 2

struct stopper {
    struct gmpt_chan *stopping;
    struct gmpt_waitgroup workers, tasks;
    struct gmpt_mutex mutex;
};

struct stop_all {
    struct stopper *stoppers[STOPPERS];
    struct gmpt_chan *done;
};

struct stopper_worker {
    struct stopper *stopper;
    struct gmpt_waitgroup *started;
    bool repaired;
};

static void stopper_work(void *args)
{
    struct stopper_worker *worker = args;
    struct stopper *stopper = worker->stopper;
    gmpt_mutex_lock(&stopper->mutex);
    gmpt_waitgroup_add(&stopper->tasks, 1);
    gmpt_mutex_unlock(&stopper->mutex);
    gmpt_waitgroup_done(worker->started);
    if (worker->repaired)
        gmpt_waitgroup_done(&stopper->tasks);
    gmpt_chan_recv(stopper->stopping, NULL);
    gmpt_waitgroup_done(&stopper->workers);
}

static void stopper_quiesce(struct stopper *stopper)
{
    gmpt_mutex_lock(&stopper->mutex);
    gmpt_waitgroup_wait(&stopper->tasks);
    gmpt_mutex_unlock(&stopper->mutex);
}

static void stopper_stop(struct stopper *stopper)
{
    stopper_quiesce(stopper);
    gmpt_chan_close(stopper->stopping);
    gmpt_waitgroup_wait(&stopper->workers);
}

static void stop_all(void *args)
{
    struct stop_all *all = args;
    for (int i = 0; i < STOPPERS; i++)
        stopper_quiesce(all->stoppers[i]);
    for (int i = 0; i < STOPPERS; i++)
        stopper_stop(all->stoppers[i]);
    gmpt_chan_close(all->done);
}

static void stoppers_test(void *repaired)
{
    struct stop_all all = { .done = leak_chan(0) };
    struct gmpt_waitgroup started = GMPT_WAITGROUP_INIT;
    gmpt_waitgroup_add(&started, STOPPERS);
    for (int i = 0; i < STOPPERS; i++) {
        struct stopper *stopper = all.stoppers[i] = NEW(struct stopper);
        stopper->stopping = leak_chan(0);
        gmpt_waitgroup_add(&stopper->workers, 1);
        struct stopper_worker worker = { stopper, &started, *(bool *)repaired };
        GO(stopper_work, worker);
    }
    gmpt_waitgroup_wait(&started);
    GO(stop_all, all);
    gmpt_chan_recv(all.done, NULL);
    for (int i = 0; i < STOPPERS; i++) {
        gmpt_chan_release(all.stoppers[i]->stopping);
        free(all.stoppers[i]);
    }
    gmpt_chan_release(all.done);
}

static void cockroach_1055(void *repaired)
{
    for (int i = 0; i < LEAK_TIMES; i++)
        gmpt_go(stoppers_test, repaired, sizeof(bool));
}

/* ---- 7504: a lease and the cache of names, locked in both orders ------------------------------------------------- */

#define LEASES 2

struct lease {
    struct gmpt_mutex mutex;
    int id;
};

struct name_cache {
    struct gmpt_mutex mutex;
    struct lease *tables[LEASES];
};

struct lease_manager {
    struct gmpt_mutex mutex;
    struct name_cache *names;
    struct lease *active[LEASES];
    struct gmpt_waitgroup users;
    bool repaired;
};

static void name_cache_remove(struct name_cache *names, struct lease *lease)
{
    gmpt_mutex_lock(&names->mutex);
    if (names->tables[lease->id] == lease)
        names->tables[lease->id] = NULL;
    gmpt_mutex_unlock(&names->mutex);
}

static void lease_acquire_by_name(void *args)
{
    struct lease_manager *manager = *(struct lease_manager **)args;
    struct name_cache *names = manager->names;
    gmpt_mutex_lock(&names->mutex);
    struct lease *lease = names->tables[0];
    if (manager->repaired) {
        gmpt_mutex_unlock(&names->mutex);
    } else
        UNTIL(gmpt_mutex_owner(&lease->mutex));
    if (lease) {
        gmpt_mutex_lock(&lease->mutex);
        gmpt_mutex_unlock(&lease->mutex);
    }
    if (!manager->repaired)
        gmpt_mutex_unlock(&names->mutex);
    gmpt_waitgroup_done(&manager->users);
}

static void lease_release(void *args)
{
    struct lease_manager *manager = *(struct lease_manager **)args;
    gmpt_mutex_lock(&manager->mutex);
    struct lease *lease = manager->active[0];
    gmpt_mutex_lock(&lease->mutex);
    manager->active[0] = NULL;
    if (!manager->repaired)
        UNTIL(gmpt_mutex_owner(&manager->names->mutex));
    name_cache_remove(manager->names, lease);
    gmpt_mutex_unlock(&lease->mutex);
    gmpt_mutex_unlock(&manager->mutex);
    gmpt_waitgroup_done(&manager->users);
}

static void leases_test(void *repaired)
{
    struct lease_manager *manager = NEW(struct lease_manager);
    struct lease *leases[LEASES];
    manager->names = NEW(struct name_cache);
    manager->repaired = *(bool *)repaired;
    for (int i = 0; i < LEASES; i++) {
        leases[i] = manager->active[i] = manager->names->tables[i] = NEW(struct lease);
        leases[i]->id = i;
    }
    gmpt_waitgroup_add(&manager->users, 2);
    GO(lease_acquire_by_name, manager);
    GO(lease_release, manager);
    gmpt_waitgroup_wait(&manager->users);
    for (int i = 0; i < LEASES; i++)
        free(leases[i]);
    free(manager->names);
    free(manager);
}

static void cockroach_7504(void *repaired)
{
    for (int i = 0; i < LEAK_TIMES; i++)
        gmpt_go(leases_test, repaired, sizeof(bool));
}

/* ---- 10214: heartbeats and the Raft state, locked in both orders ------------------------------------------------- */

struct store {
    struct gmpt_mutex coalesced;
    struct replica *replicas;
    bool repaired;
};

struct replica {
    struct gmpt_mutex raft, state;
    struct store *store;
};

static void replica_report_unreachable(struct replica *replica)
{
    gmpt_mutex_lock(&replica->raft);
    gmpt_mutex_unlock(&replica->raft);
}

static void store_send_heartbeats(void *args)
{
    struct store *store = *(struct store **)args;
    gmpt_mutex_lock(&store->coalesced);
    if (store->repaired)
        gmpt_mutex_unlock(&store->coalesced);
    else
        UNTIL(gmpt_mutex_owner(&store->replicas[0].raft));
    replica_report_unreachable(&store->replicas[0]);
    replica_report_unreachable(&store->replicas[1]);
    if (!store->repaired)
        gmpt_mutex_unlock(&store->coalesced);
}

static void replica_coalesce_heartbeat(struct replica *replica)
{
    gmpt_mutex_lock(&replica->store->coalesced);
    gmpt_mutex_unlock(&replica->store->coalesced);
}

static void replica_tick(void *args)
{
    struct replica *replica = *(struct replica **)args;
    gmpt_mutex_lock(&replica->raft);
    gmpt_mutex_lock(&replica->state);
    if (!replica->store->repaired)
        UNTIL(gmpt_mutex_owner(&replica->store->coalesced));
    replica_coalesce_heartbeat(replica);
    gmpt_mutex_unlock(&replica->state);
    gmpt_mutex_unlock(&replica->raft);
}

static void cockroach_10214(void *repaired)
{
    for (int i = 0; i < LEAK_TIMES; i++) {
        struct store *store = NEW(struct store);
        struct replica *replicas = leak_new(2 * sizeof *replicas);
        store->replicas = replicas;
        store->repaired = *(bool *)repaired;
        replicas[0].store = replicas[1].store = store;
        GO(store_send_heartbeats, store);
        GO(replica_tick, replicas);
    }
}

/* ---- 13755: rows that are never closed, so that their context is never cancelled --------------------------------- */

struct rows {
    struct gmpt_context *context;
};

static void rows_close(struct rows *rows) { gmpt_context_cancel(rows->context); }

static void rows_await_done(void *args)
{
    struct rows *rows = *(struct rows **)args;
    gmpt_chan_recv(gmpt_context_done(rows->context), NULL);
    rows_close(rows);
    gmpt_context_release(rows->context);
    free(rows);
}

static void cockroach_13755(void *repaired)
{
    struct rows *rows = NEW(struct rows);
    rows->context = gmpt_context_with_cancel(gmpt_context_background());
    struct gmpt_context *context = gmpt_context_retain(rows->context);
    GO(rows_await_done, rows);
    if (*(bool *)repaired)
        gmpt_context_cancel(context);
    gmpt_context_release(context);
}

/* ---- 16167: read locks of one G, with a writer that came in between ---------------------------------------------- */

struct executor {
    struct gmpt_rwmutex config;
    struct gmpt_waitgroup running;
    bool repaired;
};

static void executor_update_config(void *args)
{
    struct executor *executor = *(struct executor **)args;
    gmpt_rwmutex_lock(&executor->config);
    gmpt_rwmutex_unlock(&executor->config);
    gmpt_waitgroup_done(&executor->running);
}

static bool writer_waits(struct gmpt_rwmutex *rwmutex)
{
    if (gmpt_rwmutex_tryrlock(rwmutex) != 0)
        return true;
    gmpt_rwmutex_runlock(rwmutex);
    return false;
}

static void executor_get_database_cache(struct executor *executor)
{
    gmpt_rwmutex_rlock(&executor->config);
    gmpt_rwmutex_runlock(&executor->config);
}

static void executor_run(void *args)
{
    struct executor *executor = *(struct executor **)args;
    gmpt_rwmutex_rlock(&executor->config);
    GO(executor_update_config, executor);
    UNTIL(writer_waits(&executor->config));
    if (!executor->repaired)
        executor_get_database_cache(executor);
    gmpt_rwmutex_runlock(&executor->config);
    gmpt_waitgroup_wait(&executor->running);
    free(executor);
}

static void cockroach_16167(void *repaired)
{
    for (int i = 0; i < LEAK_TIMES; i++) {
        struct executor *executor = NEW(struct executor);
        executor->repaired = *(bool *)repaired;
        gmpt_waitgroup_add(&executor->running, 1);
        GO(executor_run, executor);
    }
}

/* ---- 24808: what shall start the receiver sends first ------------------------------------------------------------ */

struct compactor {
    struct gmpt_chan *suggestions, *stopping;
    struct gmpt_waitgroup workers;
};

static void compactor_work(void *args)
{
    struct compactor *compactor = *(struct compactor **)args;
    struct gmpt_select_case cases[] = { { .chan = compactor->stopping, .op = GMPT_RECV },
                                        { .chan = compactor->suggestions, .op = GMPT_RECV } };
    while (gmpt_select(cases, 2) != 0)
        ;
    gmpt_waitgroup_done(&compactor->workers);
}

static void compactor_start(struct compactor *compactor, bool repaired)
{
    if (repaired)
        gmpt_chan_try_send(compactor->suggestions, NULL);
    else
        gmpt_chan_send(compactor->suggestions, NULL);
    gmpt_waitgroup_add(&compactor->workers, 1);
    GO(compactor_work, compactor);
}

static void compactor_test(void *repaired)
{
    struct compactor *compactor = NEW(struct compactor);
    compactor->suggestions = leak_chan(1);
    compactor->stopping = leak_chan(0);
    gmpt_chan_send(compactor->suggestions, NULL);
    compactor_start(compactor, *(bool *)repaired);
    gmpt_chan_close(compactor->stopping);
    gmpt_waitgroup_wait(&compactor->workers);
    gmpt_chan_release(compactor->suggestions);
    gmpt_chan_release(compactor->stopping);
    free(compactor);
}

static void cockroach_24808(void *repaired) { gmpt_go(compactor_test, repaired, sizeof(bool)); }

/* ---- 35073: the rows' consumer has gone, and nobody has told those who push them --------------------------------- */

#define ROWS_ROOM 16

struct outbox {
    struct gmpt_chan *rows;
    struct gmpt_waitgroup runs, pushers;
    bool drains; /* repaired: who runs takes what has been pushed until there is no more */
};

static void outbox_push(struct outbox *outbox)
{
    int row = 0;
    gmpt_chan_send(outbox->rows, &row);
}

static void outbox_run(void *args)
{
    struct outbox *outbox = *(struct outbox **)args;
    while (outbox->drains && gmpt_chan_recv(outbox->rows, NULL) == 0)
        ;
    gmpt_waitgroup_done(&outbox->runs);
}

static void push_one_more(void *args)
{
    struct outbox *outbox = *(struct outbox **)args;
    outbox_push(outbox);
    gmpt_waitgroup_done(&outbox->pushers);
}

static void outbox_test(void *repaired)
{
    struct outbox *outbox = NEW(struct outbox);
    outbox->rows = gmpt_chan_new(sizeof(int), ROWS_ROOM);
    outbox->drains = *(bool *)repaired;
    for (int i = 0; i < ROWS_ROOM; i++)
        outbox_push(outbox);
    gmpt_waitgroup_add(&outbox->pushers, 1);
    GO(push_one_more, outbox);
    gmpt_waitgroup_add(&outbox->runs, 1);
    GO(outbox_run, outbox);
    if (!outbox->drains)
        gmpt_waitgroup_wait(&outbox->runs);
    outbox_push(outbox);
    gmpt_waitgroup_wait(&outbox->pushers);
    gmpt_chan_close(outbox->rows);
    gmpt_waitgroup_wait(&outbox->runs);
    gmpt_chan_release(outbox->rows);
    free(outbox);
}

static void cockroach_35073(void *repaired) { gmpt_go(outbox_test, repaired, sizeof(bool)); }

static const struct leak_pattern patterns[] = {
    { "cockroach_584", cockroach_584, { LEAK_SITE(gossip_run, 1, LEAK_EITHER, gossip_loop) } },
    { "cockroach_1055",
      cockroach_1055,
      { LEAK_SITE(stoppers_test, LEAK_TIMES, LEAK_PROVEN, stoppers_test),
        LEAK_SITE(stopper_work, STOPPERS *LEAK_TIMES, LEAK_PROVEN, stopper_work),
        LEAK_SITE(stop_all, LEAK_TIMES, LEAK_PROVEN, stopper_quiesce) } },
    { "cockroach_7504",
      cockroach_7504,
      { LEAK_SITE(lease_acquire_by_name, LEAK_TIMES, LEAK_EITHER, lease_acquire_by_name),
        LEAK_SITE(lease_release, LEAK_TIMES, LEAK_EITHER, name_cache_remove),
        LEAK_SITE(leases_test, LEAK_TIMES, LEAK_PROVEN, leases_test) } },
    { "cockroach_10214",
      cockroach_10214,
      { LEAK_SITE(store_send_heartbeats, LEAK_TIMES, LEAK_EITHER, replica_report_unreachable),
        LEAK_SITE(replica_tick, LEAK_TIMES, LEAK_EITHER, replica_coalesce_heartbeat) } },
    { "cockroach_13755", cockroach_13755, { LEAK_SITE(rows_await_done, 1, LEAK_PROVEN, rows_await_done) } },
    { "cockroach_16167",
      cockroach_16167,
      { LEAK_SITE(executor_run, LEAK_TIMES, LEAK_EITHER, executor_get_database_cache),
        LEAK_SITE(executor_update_config, LEAK_TIMES, LEAK_EITHER, executor_update_config) } },
    { "cockroach_24808", cockroach_24808, { LEAK_SITE(compactor_test, 1, LEAK_PROVEN, compactor_start) } },
    { "cockroach_35073",
      cockroach_35073,
      { LEAK_SITE(push_one_more, 1, LEAK_PROVEN, outbox_push), LEAK_SITE(outbox_test, 1, LEAK_PROVEN, outbox_push) } },
};

const struct leak_family leak_cockroach = LEAK_FAMILY(patterns);
