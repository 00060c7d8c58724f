/* Leaks that gRPC had, by the numbers of their issues in the GoKer collection. */
#include "leaks.h"

/* ---- 660: the benchmark has stopped before its call was answered ------------------------------------------------- */

struct benchmark {
    struct gmpt_chan *stop, *network; /* closed when answers come */
    bool repaired;
};

struct call {
    struct gmpt_chan *network, *done;
};

static void call_unary(void *args)
{
    struct call *call = args;
    bool fine = true;
    gmpt_chan_recv(call->network, NULL);
    gmpt_chan_send(call->done, &fine);
    gmpt_chan_release(call->network);
    gmpt_chan_release(call->done);
}

static void benchmark_loop(void *args)
{
    struct benchmark *benchmark = args;
    for (int chosen = 1; chosen == 1;) {
        struct call call = { gmpt_chan_retain(benchmark->network), gmpt_chan_new(sizeof(bool), benchmark->repaired) };
        struct gmpt_select_case cases[] = { { .chan = benchmark->stop, .op = GMPT_RECV },
                                            { .chan = gmpt_chan_retain(call.done), .op = GMPT_RECV } };
        GO(call_unary, call);
        chosen = gmpt_select(cases, 2);
        gmpt_chan_release(cases[1].chan);
    }
    gmpt_chan_close(benchmark->network);
    gmpt_chan_release(benchmark->network);
    gmpt_chan_release(benchmark->stop);
}

static void benchmark_stop(void *args)
{
    struct gmpt_chan *stop = *(struct gmpt_chan **)args;
    gmpt_chan_send(stop, NULL);
    gmpt_chan_release(stop);
}

static void grpc_660(void *repaired)
{
    struct benchmark benchmark = { leak_chan(0), leak_chan(0), *(bool *)repaired };
    gmpt_chan_retain(benchmark.stop);
    GO(benchmark_loop, benchmark);
    GO(benchmark_stop, benchmark.stop);
}

/* ---- 795: a lock instead of an unlock ---------------------------------------------------------------------------- */

struct server {
    struct gmpt_mutex mutex;
    struct gmpt_waitgroup serving;
    bool drains, repaired;
};

static void server_stop(struct server *server)
{
    gmpt_mutex_lock(&server->mutex);
    if (server->drains) {
        if (server->repaired)
            gmpt_mutex_unlock(&server->mutex);
        else
            gmpt_mutex_lock(&server->mutex);
        return;
    }
    server->drains = true;
    gmpt_mutex_unlock(&server->mutex);
}

static void server_serve(void *args)
{
    struct server *server = *(struct server **)args;
    gmpt_mutex_lock(&server->mutex);
    gmpt_mutex_unlock(&server->mutex);
    gmpt_waitgroup_done(&server->serving);
}

static void server_test(void *repaired)
{
    struct server *server = NEW(struct server);
    server->repaired = *(bool *)repaired;
    gmpt_waitgroup_add(&server->serving, 1);
    GO(server_serve, server);
    gmpt_waitgroup_wait(&server->serving);
    for (int i = 0; i < 3; i++)
        server_stop(server);
}

static void grpc_795(void *repaired)
{
    for (int i = 0; i < LEAK_TIMES; i++)
        gmpt_go(server_test, repaired, sizeof(bool));
}

/* ---- 1275: a stream is closed, and its reader is not told -------------------------------------------------------- */

struct stream {
    struct gmpt_chan *received;
    bool repaired;
};

struct read {
    struct stream *stream;
    struct gmpt_chan *done;
};

static struct stream *stream_new(bool repaired)
{
    struct stream *stream = NEW(struct stream);
    *stream = (struct stream){ leak_chan(0), repaired };
    return stream;
}

static void stream_close(struct stream *stream)
{
    if (stream->repaired)
        gmpt_chan_close(stream->received);
}

static int stream_read(struct stream *stream)
{
    struct gmpt_select_case cases[] = { { .chan = stream->received, .op = GMPT_RECV } };
    gmpt_select(cases, 1);
    return cases[0].result;
}

static void read_stream(void *args)
{
    struct read *read = args;
    while (stream_read(read->stream) == 0)
        ;
    gmpt_chan_close(read->done);
    gmpt_chan_release(read->done);
    gmpt_chan_release(read->stream->received);
    free(read->stream);
}

static void close_inflight_stream(void *repaired)
{
    struct stream *stream = stream_new(*(bool *)repaired);
    struct read read = { stream, leak_chan(0) };
    struct gmpt_timer *timeout = gmpt_timer_new(300);
    struct gmpt_select_case cases[] = { { .chan = gmpt_chan_retain(read.done), .op = GMPT_RECV },
                                        { .chan = gmpt_timer_chan(timeout), .op = GMPT_RECV } };
    GO(read_stream, read);
    stream_close(stream);
    gmpt_select(cases, 2);
    gmpt_chan_release(cases[0].chan);
    gmpt_timer_release(timeout);
}

static void grpc_1275(void *repaired) { gmpt_go(close_inflight_stream, repaired, sizeof(bool)); }

/* ---- 3017: a deletion that was called off too late does not unlock ----------------------------------------------- */

struct connections {
    struct gmpt_mutex mutex;
    struct deletion *deletion; /* of the connection that is to be deleted; NULL = of none */
    struct gmpt_waitgroup deletions;
    bool repaired;
};

struct deletion {
    struct connections *connections;
    struct gmpt_timer *timer;
    struct gmpt_chan *due; /* closed when it begins */
    bool aborted;
};

struct churn {
    struct connections *connections;
    struct gmpt_chan *done;
};

static void deletion_run(void *args)
{
    struct deletion *deletion = *(struct deletion **)args;
    struct connections *connections = deletion->connections;
    gmpt_chan_close(deletion->due);
    gmpt_mutex_lock(&connections->mutex);
    bool aborted = deletion->aborted;
    if (!aborted)
        connections->deletion = NULL;
    gmpt_timer_release(deletion->timer);
    gmpt_chan_release(deletion->due);
    free(deletion);
    if (!aborted || connections->repaired)
        gmpt_mutex_unlock(&connections->mutex);
    gmpt_waitgroup_done(&connections->deletions);
}

static void connection_remove(struct connections *connections)
{
    gmpt_mutex_lock(&connections->mutex);
    struct deletion *deletion = connections->deletion = NEW(struct deletion);
    deletion->connections = connections;
    deletion->due = leak_chan(0);
    gmpt_waitgroup_add(&connections->deletions, 1);
    deletion->timer = gmpt_after_func(1, deletion_run, &deletion, sizeof deletion);
    gmpt_chan_recv(deletion->due, NULL);
    gmpt_mutex_unlock(&connections->mutex);
}

static void connection_new(struct connections *connections)
{
    gmpt_mutex_lock(&connections->mutex);
    if (connections->deletion && gmpt_timer_stop(connections->deletion->timer) == 0)
        connections->deletion->aborted = true;
    connections->deletion = NULL;
    gmpt_mutex_unlock(&connections->mutex);
}

static void connections_churn(void *args)
{
    struct churn *churn = args;
    for (int i = 0; i < 100; i++) {
        connection_remove(churn->connections);
        connection_new(churn->connections);
        gmpt_waitgroup_wait(&churn->connections->deletions);
    }
    gmpt_chan_close(churn->done);
    gmpt_chan_release(churn->done);
}

static void connections_test(void *repaired)
{
    struct connections *connections = NEW(struct connections);
    connections->repaired = *(bool *)repaired;
    struct churn churn = { connections, leak_chan(0) };
    gmpt_chan_retain(churn.done);
    GO(connections_churn, churn);
    gmpt_chan_recv(churn.done, NULL);
    gmpt_chan_release(churn.done);
}

static void grpc_3017(void *repaired)
{
    for (int i = 0; i < LEAK_TIMES; i++)
        gmpt_go(connections_test, repaired, sizeof(bool));
}

static const struct leak_pattern patterns[] = {
    { "grpc_660", grpc_660, { LEAK_SITE(call_unary, 1, LEAK_PROVEN, call_unary) } },
    { "grpc_795", grpc_795, { LEAK_SITE(server_test, LEAK_TIMES, LEAK_EITHER, server_stop) } },
    { "grpc_1275", grpc_1275, { LEAK_SITE(read_stream, 1, LEAK_PROVEN, stream_read) } },
    { "grpc_3017",
      grpc_3017,
      { LEAK_SITE(connections_test, LEAK_TIMES, LEAK_PROVEN, connections_test),
        LEAK_SITE(connections_churn, LEAK_TIMES, LEAK_PROVEN, connection_remove) } },
};

const struct leak_family leak_grpc = LEAK_FAMILY(patterns);
