/* Leaks that etcd had, by the numbers of their issues in the GoKer collection. */
#include "leaks.h"

/* ---- 5509: an error is returned with the read lock held ---------------------------------------------------------- */

struct client {
    struct gmpt_rwmutex rwmutex;
    bool open, repaired;
};

struct get {
    struct client *client;
    struct gmpt_chan *done;
};

static int client_acquire(struct client *client)
{
    gmpt_rwmutex_rlock(&client->rwmutex);
    if (!client->open) {
        if (client->repaired)
            gmpt_rwmutex_runlock(&client->rwmutex);
        return -1;
    }
    gmpt_rwmutex_runlock(&client->rwmutex);
    return 0;
}

static void client_close(struct client *client)
{
    gmpt_rwmutex_lock(&client->rwmutex);
    client->open = false;
    gmpt_rwmutex_unlock(&client->rwmutex);
}

static void client_get(void *args)
{
    struct get *get = args;
    client_acquire(get->client);
    gmpt_chan_close(get->done);
    gmpt_chan_release(get->done);
}

static void client_test(void *repaired)
{
    struct client *client = NEW(struct client);
    client->repaired = *(bool *)repaired;
    struct get get = { client, leak_chan(0) };
    gmpt_chan_retain(get.done);
    GO(client_get, get);
    gmpt_chan_recv(get.done, NULL);
    client_close(client);
    gmpt_chan_release(get.done);
    free(client);
}

static void etcd_5509(void *repaired) { gmpt_go(client_test, repaired, sizeof(bool)); }

/* ---- 6857: who asks a node that has stopped; nobody frees it
 * ----------------------------------------------------------------- */

struct node {
    struct gmpt_chan *status, *stop, *done;
    bool repaired;
};

static void node_run(void *args)
{
    struct node *node = *(struct node **)args;
    struct gmpt_chan *answer;
    struct gmpt_select_case cases[] = { { .chan = node->status, .op = GMPT_RECV, .value = &answer },
                                        { .chan = node->stop, .op = GMPT_RECV } };
    while (gmpt_select(cases, 2) == 0)
        gmpt_chan_send(answer, NULL);
    gmpt_chan_close(node->done);
}

static void node_ask_status(void *args)
{
    struct node *node = *(struct node **)args;
    struct gmpt_chan *answer = leak_chan(0);
    struct gmpt_select_case cases[] = { { .chan = node->status, .op = GMPT_SEND, .value = &answer },
                                        { .chan = node->repaired ? node->done : NULL, .op = GMPT_RECV } };
    if (gmpt_select(cases, 2) == 0)
        gmpt_chan_recv(answer, NULL);
    gmpt_chan_release(answer);
}

static void node_stop(struct node *node)
{
    struct gmpt_select_case cases[] = { { .chan = node->stop, .op = GMPT_SEND },
                                        { .chan = node->done, .op = GMPT_RECV } };
    if (gmpt_select(cases, 2) == 0)
        gmpt_chan_recv(node->done, NULL);
}

static void etcd_6857(void *repaired)
{
    for (int i = 0; i < LEAK_TIMES; i++) {
        struct node *node = NEW(struct node);
        *node = (struct node){ gmpt_chan_new(sizeof(struct gmpt_chan *), 0), leak_chan(0), leak_chan(0),
                               *(bool *)repaired };
        GO(node_run, node);
        node_stop(node);
        GO(node_ask_status, node);
    }
}

/* ---- 7902: a follower waits for the leader with the lock that the leader needs ----------------------------------- */

#define CLIENTS 3

struct election {
    struct gmpt_mutex mutex;
    struct gmpt_waitgroup running;
    struct gmpt_barrier validated;
    struct gmpt_chan *next; /* closed when the leader goes on */
    int leaders;
    bool repaired;
};

struct elector {
    struct election *election;
    struct gmpt_chan *next;
    bool leads;
};

static void elector_release(struct elector *elector)
{
    struct election *election = elector->election;
    if (elector->leads)
        gmpt_chan_close(election->next);
    if (election->repaired)
        gmpt_mutex_unlock(&election->mutex);
    gmpt_chan_recv(elector->next, NULL);
    if (election->repaired)
        gmpt_mutex_lock(&election->mutex);
}

static void elector_run(void *args)
{
    struct elector *elector = args;
    struct election *election = elector->election;
    gmpt_mutex_lock(&election->mutex);
    elector->next = gmpt_chan_retain(election->next);
    gmpt_mutex_unlock(&election->mutex);
    gmpt_barrier_wait(&election->validated);
    if (elector->leads && !election->repaired)
        UNTIL(gmpt_mutex_owner(&election->mutex));
    gmpt_mutex_lock(&election->mutex);
    elector_release(elector);
    gmpt_mutex_unlock(&election->mutex);
    gmpt_chan_release(elector->next);
    gmpt_waitgroup_done(&election->running);
}

static void election_run(void *repaired)
{
    struct election election = { .validated = GMPT_BARRIER_INIT(CLIENTS),
                                 .next = leak_chan(0),
                                 .repaired = *(bool *)repaired };
    gmpt_waitgroup_add(&election.running, CLIENTS);
    for (int i = 0; i < CLIENTS; i++) {
        struct elector elector = { .election = &election, .leads = i == 0 };
        GO(elector_run, elector);
    }
    gmpt_waitgroup_wait(&election.running);
    gmpt_chan_release(election.next);
}

static void etcd_7902(void *repaired)
{
    for (int i = 0; i < LEAK_TIMES; i++)
        gmpt_go(election_run, repaired, sizeof(bool));
}

/* ---- 10492: a callback locks what its caller has locked ---------------------------------------------------------- */

struct lessor {
    struct gmpt_rwmutex rwmutex;
    void (*checkpoint)(struct lessor *lessor);
    bool repaired;
};

static void lessor_checkpoint(struct lessor *lessor)
{
    gmpt_rwmutex_lock(&lessor->rwmutex);
    gmpt_rwmutex_unlock(&lessor->rwmutex);
}

static void lessor_renew(struct lessor *lessor)
{
    gmpt_rwmutex_lock(&lessor->rwmutex);
    if (lessor->repaired)
        gmpt_rwmutex_unlock(&lessor->rwmutex);
    lessor->checkpoint(lessor);
    if (!lessor->repaired)
        gmpt_rwmutex_unlock(&lessor->rwmutex);
}

static void lessor_test(void *repaired)
{
    struct lessor *lessor = NEW(struct lessor);
    lessor->repaired = *(bool *)repaired;
    lessor->checkpoint = lessor_checkpoint;
    lessor_renew(lessor);
    free(lessor);
}

static void etcd_10492(void *repaired) { gmpt_go(lessor_test, repaired, sizeof(bool)); }

static const struct leak_pattern patterns[] = {
    { "etcd_5509", etcd_5509, { LEAK_SITE(client_test, 1, LEAK_PROVEN, client_close) } },
    { "etcd_6857", etcd_6857, { LEAK_SITE(node_ask_status, LEAK_TIMES, LEAK_PROVEN, node_ask_status) } },
    { "etcd_7902",
      etcd_7902,
      { LEAK_SITE(election_run, LEAK_TIMES, LEAK_PROVEN, election_run),
        LEAK_SITE(elector_run, CLIENTS *LEAK_TIMES, LEAK_EITHER, elector_run or elector_release) } },
    { "etcd_10492", etcd_10492, { LEAK_SITE(lessor_test, 1, LEAK_EITHER, lessor_checkpoint) } },
};

const struct leak_family leak_etcd = LEAK_FAMILY(patterns);
