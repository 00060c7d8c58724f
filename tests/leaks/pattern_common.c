/* Leaks that are common in services: what is not closed, not stopped, not received any more. */
#include "leaks.h"

/* ---- A channel that is never closed ------------------------------------------------------------------------------ */

struct items {
    int workers, items;
    bool repaired;
};

static void take_items(void *args)
{
    struct gmpt_chan *items = *(struct gmpt_chan **)args;
    while (gmpt_chan_recv(items, NULL) == 0)
        ;
    gmpt_chan_release(items);
}

static void give_items(void *args)
{
    struct items *work = args;
    struct gmpt_chan *chan = leak_chan(0);
    for (int i = 0; i < work->workers; i++) {
        gmpt_chan_retain(chan);
        GO(take_items, chan);
    }
    for (int i = 0; i < work->items; i++)
        gmpt_chan_send(chan, NULL);
    if (work->repaired)
        gmpt_chan_close(chan);
    gmpt_chan_release(chan);
}

static void unclosed_range(void *repaired)
{
    struct items nobody_takes = { *(bool *)repaired, 3, *(bool *)repaired };
    struct items nobody_closes = { 3, 3, *(bool *)repaired };
    GO(give_items, nobody_takes);
    GO(give_items, nobody_closes);
}

/* ---- A worker that must be stopped, and is not ------------------------------------------------------------------- */

struct worker {
    struct gmpt_chan *items, *done;
};

static void work(void *args)
{
    struct worker *worker = args;
    struct gmpt_select_case cases[] = { { .chan = worker->items, .op = GMPT_RECV },
                                        { .chan = worker->done, .op = GMPT_RECV } };
    while (gmpt_select(cases, 2) == 0)
        ;
    gmpt_chan_release(worker->items);
    gmpt_chan_release(worker->done);
}

static void worker_start(const struct worker *worker)
{
    struct worker own = { gmpt_chan_retain(worker->items), gmpt_chan_retain(worker->done) };
    GO(work, own);
}

static void worker_stop(struct worker *worker) { gmpt_chan_close(worker->done); }

static void contract_violation(void *repaired)
{
    struct worker worker = { leak_chan(0), leak_chan(0) };
    worker_start(&worker);
    for (int i = 0; i < 10; i++)
        gmpt_chan_send(worker.items, NULL);
    if (*(bool *)repaired)
        worker_stop(&worker);
    gmpt_chan_release(worker.items);
    gmpt_chan_release(worker.done);
}

/* ---- After the error the return is missing ----------------------------------------------------------------------- */

struct answer {
    struct gmpt_chan *chan;
    bool error, repaired;
};

static void send_twice(void *args)
{
    struct answer *answer = args;
    if (answer->error) {
        gmpt_chan_send(answer->chan, NULL);
        if (answer->repaired)
            goto out;
    }
    gmpt_chan_send(answer->chan, NULL);
out:
    gmpt_chan_release(answer->chan);
}

static void answer_get(size_t capacity, bool error, bool repaired)
{
    struct answer answer = { leak_chan(capacity), error, repaired };
    gmpt_chan_retain(answer.chan);
    GO(send_twice, answer);
    gmpt_chan_recv(answer.chan, NULL);
    gmpt_chan_release(answer.chan);
}

static void double_send(void *repaired)
{
    answer_get(0, false, *(bool *)repaired);
    answer_get(0, true, *(bool *)repaired);
    answer_get(1, true, *(bool *)repaired); /* which has room for the second */
}

/* ---- Nobody receives any more ------------------------------------------------------------------------------------ */

static void send_result(void *args)
{
    struct gmpt_chan *result = *(struct gmpt_chan **)args;
    gmpt_chan_send(result, NULL);
    gmpt_chan_release(result);
}

/* Repaired, the result has room even when nobody wants it. */
static void early_return(void *repaired)
{
    struct gmpt_chan *result = leak_chan(*(bool *)repaired);
    bool error = true;
    gmpt_chan_retain(result);
    GO(send_result, result);
    if (!error)
        gmpt_chan_recv(result, NULL);
    gmpt_chan_release(result);
}

struct cast {
    int senders;
    bool repaired;
};

static void take_first(void *args)
{
    struct cast *cast = args;
    struct gmpt_chan *result = leak_chan(cast->repaired ? (size_t)cast->senders : 0);
    for (int i = 0; i < cast->senders; i++) {
        gmpt_chan_retain(result);
        GO(send_result, result);
    }
    if (cast->senders || !cast->repaired)
        gmpt_chan_recv(result, NULL);
    gmpt_chan_release(result);
}

static void n_cast(void *repaired)
{
    struct cast none = { 0, *(bool *)repaired }, five = { 5, *(bool *)repaired };
    GO(take_first, none);
    GO(take_first, five);
}

/* ---- Who asked has given up by then ------------------------------------------------------------------------------ */

#define REQUESTS 100

struct request {
    struct gmpt_context *context;
    struct gmpt_chan *backend; /* closed when it answers */
    struct gmpt_chan *result;
    struct gmpt_waitgroup *asking;
    bool repaired;
};

static void answer_late(void *args)
{
    struct request *request = args;
    gmpt_chan_recv(request->backend, NULL);
    gmpt_chan_send(request->result, NULL);
    gmpt_chan_release(request->backend);
    gmpt_chan_release(request->result);
}

static void ask(void *args)
{
    struct request *request = args;
    struct request job = { .backend = gmpt_chan_retain(request->backend), .result = leak_chan(request->repaired) };
    struct gmpt_select_case cases[] = { { .chan = gmpt_chan_retain(job.result), .op = GMPT_RECV },
                                        { .chan = gmpt_context_done(request->context), .op = GMPT_RECV } };
    GO(answer_late, job);
    gmpt_select(cases, 2);
    gmpt_chan_release(cases[0].chan);
    gmpt_waitgroup_done(request->asking);
}

static void timeout(void *repaired)
{
    struct gmpt_waitgroup asking = GMPT_WAITGROUP_INIT;
    struct request request = { .context = gmpt_context_with_cancel(gmpt_context_background()),
                               .backend = leak_chan(0),
                               .asking = &asking,
                               .repaired = *(bool *)repaired };
    gmpt_context_cancel(request.context);
    gmpt_waitgroup_add(&asking, REQUESTS);
    for (int i = 0; i < REQUESTS; i++)
        GO(ask, request);
    gmpt_waitgroup_wait(&asking);
    gmpt_chan_close(request.backend);
    gmpt_chan_release(request.backend);
    gmpt_context_release(request.context);
}

static const struct leak_pattern patterns[] = {
    { "unclosed_range",
      unclosed_range,
      { LEAK_SITE(give_items, 1, LEAK_PROVEN, give_items), LEAK_SITE(take_items, 3, LEAK_PROVEN, take_items) } },
    { "contract_violation", contract_violation, { LEAK_SITE(work, 1, LEAK_PROVEN, work) } },
    { "double_send", double_send, { LEAK_SITE(send_twice, 1, LEAK_PROVEN, send_twice) } },
    { "early_return", early_return, { LEAK_SITE(send_result, 1, LEAK_PROVEN, send_result) } },
    { "n_cast",
      n_cast,
      { LEAK_SITE(take_first, 1, LEAK_PROVEN, take_first), LEAK_SITE(send_result, 4, LEAK_PROVEN, send_result) } },
    { "timeout", timeout, { LEAK_SITE(answer_late, REQUESTS, LEAK_PROVEN, answer_late) } },
};

const struct leak_family leak_common = LEAK_FAMILY(patterns);
