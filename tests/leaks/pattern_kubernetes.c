/* Leaks that Kubernetes had, by the numbers of their issues in the GoKer collection. */
#include "leaks.h"

/* ---- 5316: a request's result when its time is over -------------------------------------------------------------- */

struct request {
    struct gmpt_chan *timed_out; /* closed when who asked has given up */
    struct gmpt_chan *result, *error;
    bool fails;
};

static void request_run(void *args)
{
    struct request *request = args;
    gmpt_chan_recv(request->timed_out, NULL);
    gmpt_chan_send(request->fails ? request->error : request->result, NULL);
    gmpt_chan_release(request->timed_out);
    gmpt_chan_release(request->result);
    gmpt_chan_release(request->error);
}

static void request_finish(bool fails, bool repaired)
{
    struct request request = { leak_chan(0), leak_chan(repaired), leak_chan(repaired), fails };
    struct request own = { gmpt_chan_retain(request.timed_out), gmpt_chan_retain(request.result),
                           gmpt_chan_retain(request.error), fails };
    struct gmpt_select_case cases[] = { { .chan = request.result, .op = GMPT_RECV },
                                        { .chan = request.error, .op = GMPT_RECV } };
    GO(request_run, own);
    gmpt_select_until(cases, 2, gmpt_now() + 1000);
    gmpt_chan_close(request.timed_out);
    gmpt_chan_release(request.timed_out);
    gmpt_chan_release(request.result);
    gmpt_chan_release(request.error);
}

static void kubernetes_5316(void *repaired)
{
    request_finish(false, *(bool *)repaired);
    request_finish(true, *(bool *)repaired);
}

/* ---- 6632: a frame is written while the connection is being closed ----------------------------------------------- */

struct framer {
    struct gmpt_chan *reset, *closing;
    struct gmpt_mutex writes;
    bool repaired;
};

static void framer_monitor(void *args)
{
    struct framer *framer = *(struct framer **)args;
    gmpt_chan_recv(framer->closing, NULL);
    if (framer->repaired)
        gmpt_chan_close(framer->reset); /* so that who holds the lock to send gives it back */
    gmpt_mutex_lock(&framer->writes);
    if (!framer->repaired)
        gmpt_chan_close(framer->reset);
    gmpt_mutex_unlock(&framer->writes);
}

static void frame_write(void *args)
{
    struct framer *framer = *(struct framer **)args;
    gmpt_mutex_lock(&framer->writes);
    gmpt_chan_send(framer->reset, NULL);
    gmpt_mutex_unlock(&framer->writes);
}

static void kubernetes_6632(void *repaired)
{
    for (int i = 0; i < LEAK_TIMES; i++) {
        struct framer *framer = NEW(struct framer);
        *framer = (struct framer){ .reset = leak_chan(0), .closing = leak_chan(0), .repaired = *(bool *)repaired };
        GO(frame_write, framer);
        UNTIL(gmpt_mutex_owner(&framer->writes));
        GO(framer_monitor, framer);
        gmpt_chan_send(framer->closing, NULL);
    }
}

/* ---- 26980: a listener waits to be stopped with the lock that whoever stops it needs ----------------------------- */

struct listener {
    struct gmpt_mutex mutex;
    struct gmpt_cond cond;
    int pending;
    bool repaired;
};

struct pop {
    struct listener *listener;
    struct gmpt_chan *stop;
};

static void listener_add(struct listener *listener)
{
    gmpt_mutex_lock(&listener->mutex);
    listener->pending++;
    gmpt_cond_broadcast(&listener->cond);
    gmpt_mutex_unlock(&listener->mutex);
}

static void listener_pop(void *args)
{
    struct pop *pop = args;
    struct listener *listener = pop->listener;
    gmpt_mutex_lock(&listener->mutex);
    while (listener->pending == 0)
        gmpt_cond_wait(&listener->cond, &listener->mutex);
    if (listener->repaired)
        gmpt_mutex_unlock(&listener->mutex);
    gmpt_chan_recv(pop->stop, NULL);
    if (!listener->repaired)
        gmpt_mutex_unlock(&listener->mutex);
    gmpt_chan_release(pop->stop);
}

static void listener_check(void *args)
{
    struct pop *check = args;
    gmpt_mutex_lock(&check->listener->mutex);
    gmpt_mutex_unlock(&check->listener->mutex);
    gmpt_chan_close(check->stop);
    gmpt_chan_release(check->stop);
}

static void listener_test(void *repaired)
{
    struct listener *listener = NEW(struct listener);
    listener->repaired = *(bool *)repaired;
    struct pop pop = { listener, leak_chan(0) }, check = { listener, leak_chan(0) };
    gmpt_chan_retain(pop.stop);
    gmpt_chan_retain(check.stop);
    listener_add(listener);
    GO(listener_pop, pop);
    UNTIL(gmpt_mutex_owner(&listener->mutex) || listener->repaired);
    GO(listener_check, check);
    gmpt_chan_recv(check.stop, NULL);
    gmpt_chan_close(pop.stop);
    gmpt_chan_release(check.stop);
    gmpt_chan_release(pop.stop);
}

static void kubernetes_26980(void *repaired)
{
    for (int i = 0; i < LEAK_TIMES; i++)
        gmpt_go(listener_test, repaired, sizeof(bool));
}

/* ---- 38669: the events that a watcher begins with have no room --------------------------------------------------- */

#define EVENTS 2

struct watcher {
    struct gmpt_mutex mutex;
    struct gmpt_chan *input, *result;
    int events[EVENTS];
    bool stopped;
};

static void watcher_stop(struct watcher *watcher)
{
    gmpt_mutex_lock(&watcher->mutex);
    if (!watcher->stopped) {
        watcher->stopped = true;
        gmpt_chan_close(watcher->input);
    }
    gmpt_mutex_unlock(&watcher->mutex);
}

static void watcher_send(struct watcher *watcher, const int *event) { gmpt_chan_send(watcher->result, event); }

static void watcher_process(void *args)
{
    struct watcher *watcher = *(struct watcher **)args;
    for (int i = 0; i < EVENTS; i++)
        watcher_send(watcher, &watcher->events[i]);
    while (gmpt_chan_recv(watcher->input, NULL) == 0)
        ;
    watcher_stop(watcher);
    gmpt_chan_close(watcher->result);
}

static struct watcher *watcher_new(size_t room)
{
    struct watcher *watcher = NEW(struct watcher);
    watcher->input = leak_chan(room);
    watcher->result = gmpt_chan_new(sizeof(int), room);
    GO(watcher_process, watcher);
    return watcher;
}

static void kubernetes_38669(void *repaired)
{
    struct watcher *watcher = watcher_new(*(bool *)repaired ? EVENTS : 0);
    watcher_stop(watcher);
}

static const struct leak_pattern patterns[] = {
    { "kubernetes_5316", kubernetes_5316, { LEAK_SITE(request_run, 2, LEAK_PROVEN, request_run) } },
    { "kubernetes_6632",
      kubernetes_6632,
      { LEAK_SITE(framer_monitor, LEAK_TIMES, LEAK_EITHER, framer_monitor),
        LEAK_SITE(frame_write, LEAK_TIMES, LEAK_PROVEN, frame_write) } },
    { "kubernetes_26980",
      kubernetes_26980,
      { LEAK_SITE(listener_test, LEAK_TIMES, LEAK_PROVEN, listener_test),
        LEAK_SITE(listener_pop, LEAK_TIMES, LEAK_PROVEN, listener_pop),
        LEAK_SITE(listener_check, LEAK_TIMES, LEAK_EITHER, listener_check) } },
    { "kubernetes_38669", kubernetes_38669, { LEAK_SITE(watcher_process, 1, LEAK_PROVEN, watcher_send) } },
};

const struct leak_family leak_kubernetes = LEAK_FAMILY(patterns);
