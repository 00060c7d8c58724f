/* scopes: uses contexts, groups, pools, timers, signals, stacks of every size and sockets by their address, with sums
 * over all that is sent, while one call of one function fails (failing.h).
 *
 * What returns an error is called once more, and what failed once must then succeed. Ends with 0 and "calls N" (of that
 * function, in all) when all was right, with 3 and a message when an error stays or the runtime could not start, with 4
 * when something is wrong, and is killed by SIGALRM when it hangs. */
#define _GNU_SOURCE
#include "failing.h"

#include <gmptrace/gmpt.h>

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LONG_NS 20000000000

/* ---- errors ---- */

static void wrong(const char *what, long is, long should)
{
    fprintf(stderr, "scopes: %s: %ld, not %ld\n", what, is, should);
    _exit(4);
}

static void expect(const char *what, long is, long should)
{
    if (is != should)
        wrong(what, is, should);
}

static void give_up(const char *what, long error)
{
    fprintf(stderr, "scopes: %s: %s\n", what, strerror((int)-error));
    _exit(3);
}

/* Whether a call with this result is to be made again. */
static bool again(const char *what, long result, int *failures)
{
    if (result >= 0)
        return false;
    if (!failed_yet() || result == -ETIMEDOUT || (!fail_on && *failures > 0))
        wrong(what, result, 0);
    if ((*failures)++ > 0)
        give_up(what, result);
    return true;
}

#define TRY(call)                                                                                                      \
    ({                                                                                                                 \
        long try_result;                                                                                               \
        int try_failures = 0;                                                                                          \
        do {                                                                                                           \
            try_result = (long)(call);                                                                                 \
        } while (again(#call, try_result, &try_failures));                                                             \
        try_result;                                                                                                    \
    })

static long error_of(const void *made) { return made ? 0 : -(long)errno; }
#define TRY_NEW(made, call) TRY(error_of((made) = (call)))

/* ---- messages ---- */

struct message {
    uint32_t number, words[61], sum, unused;
};

static uint32_t sum_of(const struct message *message)
{
    uint32_t sum = message->number;
    for (int i = 0; i < 61; i++)
        sum = sum * 31 + message->words[i];
    return sum;
}

static void message_fill(struct message *message, uint32_t number)
{
    memset(message, 0, sizeof *message);
    message->number = number;
    for (uint32_t i = 0; i < 61; i++)
        message->words[i] = (number + i) * 2654435761u;
    message->sum = sum_of(message);
}

static void message_check(const struct message *message) { expect("sum of a message", message->sum, sum_of(message)); }

/* ---- contexts ---- */

static struct gmpt_waitgroup all;

static void done(void *args)
{
    (void)args;
    gmpt_waitgroup_done(&all);
}

static void wait_cancelled(void *args)
{
    struct gmpt_context *context = *(struct gmpt_context **)args;
    int result, failures = 0;
    do
        result = gmpt_sleep_context(context, LONG_NS);
    while (result != -ECANCELED && again("gmpt_sleep_context", result, &failures));
    expect("gmpt_sleep_context", result, -ECANCELED);
    gmpt_context_release(context);
    gmpt_waitgroup_done(&all);
}

static void wait_late(void *args)
{
    struct gmpt_context *context = *(struct gmpt_context **)args;
    while (gmpt_context_err(context) == 0)
        gmpt_chan_recv_context(context, NULL, NULL);
    expect("gmpt_context_err", gmpt_context_err(context), -ETIMEDOUT);
    gmpt_context_release(context);
    gmpt_waitgroup_done(&all);
}

static void use_contexts(void)
{
    static int key, value;
    struct gmpt_context *root, *valued, *timed;
    struct gmpt_timer *function;
    TRY_NEW(root, gmpt_context_with_cancel(gmpt_context_background()));
    TRY_NEW(valued, gmpt_context_with_value(root, &key, &value));
    TRY_NEW(timed, gmpt_context_with_timeout(valued, 1000000));
    TRY_NEW(function, gmpt_context_after_func(root, done, NULL, 0));
    expect("gmpt_context_value", gmpt_context_value(timed, &key) == &value, true);
    gmpt_waitgroup_add(&all, 1 + 8);
    for (int i = 0; i < 4; i++) {
        gmpt_context_retain(root);
        TRY(gmpt_go(wait_cancelled, &root, sizeof root));
        gmpt_context_retain(timed);
        TRY(gmpt_go(wait_late, &timed, sizeof timed));
    }
    int got, failures = 0;
    do
        got = gmpt_sleep_context(timed, LONG_NS);
    while (got != -ETIMEDOUT && again("gmpt_sleep_context", got, &failures));
    expect("gmpt_context_err", gmpt_context_err(root), 0);
    gmpt_context_cancel_cause(root, -EPROTO, "enough");
    expect("gmpt_context_cause", gmpt_context_cause(valued), -EPROTO);
    const char *text = gmpt_context_cause_text(valued);
    expect("gmpt_context_cause_text", strcmp(text, "enough") == 0 || (failed_yet() && !*text), true);
    gmpt_waitgroup_wait(&all);
    gmpt_timer_release(function);
    gmpt_context_release(timed);
    gmpt_context_release(valued);
    gmpt_context_release(root);
}

/* ---- groups ---- */

static struct gmpt_chan *messages;
static int at_once;

static int send_message(void *args)
{
    struct message message;
    expect("children at once", __atomic_add_fetch(&at_once, 1, __ATOMIC_RELAXED) <= 3, true);
    message_fill(&message, *(uint32_t *)args);
    TRY(gmpt_sleep(1000));
    TRY(gmpt_chan_send_until(messages, &message, gmpt_now() + LONG_NS));
    __atomic_sub_fetch(&at_once, 1, __ATOMIC_RELAXED);
    return 0;
}

static int fail_child(void *args) { return *(int *)args; }

static int sleep_child(void *args)
{
    struct gmpt_context *context = *(struct gmpt_context **)args;
    int result, failures = 0;
    do
        result = gmpt_sleep_context(context, LONG_NS);
    while (result != -ECANCELED && again("gmpt_sleep_context", result, &failures));
    return 0;
}

static void receive_messages(void *args)
{
    uint32_t count = *(uint32_t *)args, numbers = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct message message;
        TRY(gmpt_chan_recv_until(messages, &message, gmpt_now() + LONG_NS));
        message_check(&message);
        numbers += message.number;
    }
    expect("sum of all numbers", numbers, count * (count - 1) / 2);
    gmpt_waitgroup_done(&all);
}

static void use_groups(void)
{
    uint32_t count = 60;
    struct gmpt_group group = GMPT_GROUP_INIT;
    gmpt_group_set_limit(&group, 3);
    TRY_NEW(messages, gmpt_chan_new(sizeof(struct message), 2));
    gmpt_waitgroup_add(&all, 1);
    TRY(gmpt_go(receive_messages, &count, sizeof count));
    for (uint32_t i = 0; i < count; i++)
        TRY(gmpt_group_go(&group, send_message, &i, sizeof i));
    expect("gmpt_group_wait", gmpt_group_wait(&group), 0);
    gmpt_waitgroup_wait(&all);
    gmpt_chan_release(messages);

    struct gmpt_context *context;
    int error = -EPROTO;
    gmpt_group_set_limit(&group, 0);
    TRY_NEW(context, gmpt_group_context(&group));
    for (int i = 0; i < 5; i++)
        TRY(gmpt_group_go(&group, sleep_child, &context, sizeof context));
    TRY(gmpt_group_go(&group, fail_child, &error, sizeof error));
    expect("gmpt_group_wait", gmpt_group_wait(&group), error);
}

/* ---- pools ---- */

static uint32_t pool_sum;

static void job(void *args)
{
    const struct message *message = args;
    message_check(message);
    gmpt_yield();
    message_check(message);
    __atomic_add_fetch(&pool_sum, message->number, __ATOMIC_RELAXED);
}

static void use_pool(void)
{
    enum { JOBS = 40 };
    struct gmpt_pool *pool;
    TRY_NEW(pool, gmpt_pool_new(3, 4));
    for (uint32_t i = 0; i < JOBS; i++) {
        struct message message;
        message_fill(&message, i);
        TRY(gmpt_pool_submit_until(pool, job, &message, sizeof message, gmpt_now() + LONG_NS));
    }
    gmpt_pool_wait(pool);
    expect("sum of a pool", pool_sum, JOBS * (JOBS - 1) / 2);
    gmpt_pool_free(pool);
}

/* ---- timers ---- */

static void take_time(struct gmpt_chan *chan)
{
    int64_t when_ns;
    TRY(gmpt_chan_recv_until(chan, &when_ns, gmpt_now() + LONG_NS));
    expect("a time that has come", when_ns <= gmpt_now(), true);
}

static void use_timers(void)
{
    enum { LATER = 300 };
    struct gmpt_timer *later[LATER], *ticker, *function;
    struct gmpt_chan *after;
    TRY_NEW(ticker, gmpt_ticker_new(200000));
    for (int i = 0; i < LATER; i++)
        TRY_NEW(later[i], gmpt_timer_new(LONG_NS + i));
    gmpt_waitgroup_add(&all, 10);
    for (int i = 0; i < 10; i++) {
        TRY_NEW(function, gmpt_after_func(i * 1000, done, NULL, 0));
        gmpt_timer_release(function);
    }
    TRY_NEW(after, gmpt_after(100000));
    for (int i = 0; i < 3; i++)
        take_time(gmpt_timer_chan(ticker));
    take_time(after);
    TRY(gmpt_timer_reset(later[7], 1000));
    take_time(gmpt_timer_chan(later[7]));
    gmpt_waitgroup_wait(&all);
    for (int i = 0; i < LATER; i++)
        gmpt_timer_release(later[i]);
    gmpt_timer_release(ticker);
    gmpt_chan_release(after);
}

/* ---- stacks ---- */

static __attribute__((noinline)) void descend(int depth)
{
    struct message message;
    message_fill(&message, (uint32_t)depth);
    if (depth > 0)
        descend(depth - 1);
    else
        gmpt_yield();
    message_check(&message);
}

static void use_stack(void *args)
{
    descend(*(int *)args);
    gmpt_waitgroup_done(&all);
}

static void use_stacks(void)
{
    static const struct {
        uint32_t bytes;
        int depth;
    } classes[] = { { GMPT_STACK_SMALL, 0 }, { 65536, 100 }, { 262144, 400 }, { 1048576, 400 }, { 8388608, 400 } };
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        int count = classes[i].bytes > 65536 ? 4 : 40, depth = classes[i].depth;
        struct gmpt_go_options options = { .stack_bytes = classes[i].bytes };
        gmpt_waitgroup_add(&all, count);
        for (int n = 0; n < count; n++)
            TRY(gmpt_go_with(&options, use_stack, &depth, sizeof depth));
        gmpt_waitgroup_wait(&all);
    }
    TRY(gmpt_free_os_memory());
}

/* ---- signals ---- */

/* On a small stack, beside others: the handler must find another one than that. */
static void raise_signal(void *args)
{
    uint64_t pattern[16];
    int signo = *(int *)args;
    for (size_t i = 0; i < 16; i++)
        ((volatile uint64_t *)pattern)[i] = i * 0x9e3779b97f4a7c15u;
    for (int i = 0; i < 3; i++) {
        gmpt_yield();
        if (signo)
            raise(signo);
    }
    for (size_t i = 0; i < 16; i++)
        if (((volatile uint64_t *)pattern)[i] != i * 0x9e3779b97f4a7c15u)
            _exit(4);
    gmpt_waitgroup_done(&all);
}

static void expect_default(int signo)
{
    struct sigaction now;
    expect("sigaction", __real_sigaction(signo, NULL, &now), 0);
    expect("a signal's default", now.sa_handler == SIG_DFL, true);
}

static void use_signals(void)
{
    enum { RAISING = 32 };
    struct gmpt_chan *chan;
    TRY_NEW(chan, gmpt_chan_new(sizeof(int), 4));
    TRY(gmpt_signal_ignore(SIGUSR2));
    TRY(gmpt_signal_notify(chan, SIGUSR1));
    TRY(gmpt_signal_notify(chan, SIGUSR2));
    gmpt_waitgroup_add(&all, RAISING);
    for (int i = 0; i < RAISING; i++) {
        struct gmpt_go_options options = { .stack_bytes = GMPT_STACK_SMALL };
        int signo = i % 3 == 0 ? 0 : i % 3 == 1 ? SIGUSR1 : SIGUSR2;
        TRY(gmpt_go_with(&options, raise_signal, &signo, sizeof signo));
    }
    int signo;
    TRY(gmpt_chan_recv_until(chan, &signo, gmpt_now() + LONG_NS));
    expect("a signal", signo == SIGUSR1 || signo == SIGUSR2, true);
    gmpt_waitgroup_wait(&all);
    TRY(gmpt_signal_ignore(SIGUSR1));
    raise(SIGUSR1); /* would end the program */
    TRY(gmpt_signal_reset(SIGUSR1));
    expect_default(SIGUSR1);
    /* A stop says nothing of a signal that it could not give back; the next one tries again. */
    TRY(gmpt_signal_stop(chan));
    TRY(gmpt_signal_notify(chan, SIGWINCH));
    TRY(gmpt_signal_stop(chan));
    expect_default(SIGUSR2);
    gmpt_chan_release(chan);
}

/* ---- sockets ---- */

/* Returns false when the other side has ended. */
static bool receive(int fd, struct message *message)
{
    size_t have = 0, more;
    int result, failures = 0;
    do {
        result = gmpt_read_full_until(fd, (char *)message + have, sizeof *message - have, &more, gmpt_now() + LONG_NS);
        have += result == 0 ? 0 : more;
    } while (result != -ENODATA && again("gmpt_read_full", result, &failures));
    if (result == 0)
        message_check(message);
    else
        expect("the end of a connection", (long)have, 0);
    return result == 0;
}

static void send_all(int fd, const struct message *message)
{
    size_t have = 0, more;
    int result, failures = 0;
    do {
        const char *rest = (const char *)message + have;
        result = gmpt_write_full_until(fd, rest, sizeof *message - have, &more, gmpt_now() + LONG_NS);
        have += result == 0 ? 0 : more;
    } while (again("gmpt_write_full", result, &failures));
}

static void answer(void *args)
{
    int fd = *(int *)args;
    struct message message;
    while (receive(fd, &message)) {
        message_fill(&message, message.number + 1000);
        send_all(fd, &message);
    }
    TRY(gmpt_close(fd));
    gmpt_waitgroup_done(&all);
}

static void serve(void *args)
{
    int listener = *(int *)args;
    for (;;) {
        int fd, failures = 0;
        do
            fd = gmpt_accept_until(listener, NULL, NULL, gmpt_now() + LONG_NS);
        while (fd != -ECANCELED && fd != -EBADF && again("gmpt_accept", fd, &failures));
        if (fd == -ECANCELED || fd == -EBADF) /* closed while it waited, or while it did not */
            break;
        gmpt_waitgroup_add(&all, 1);
        TRY(gmpt_go(answer, &fd, sizeof fd));
    }
    gmpt_waitgroup_done(&all);
}

static int ask(void *args)
{
    int fd = (int)TRY(gmpt_dial_until(args, gmpt_now() + LONG_NS));
    for (uint32_t i = 0; i < 10; i++) {
        struct message message;
        message_fill(&message, i);
        send_all(fd, &message);
        expect("an answer", receive(fd, &message), true);
        expect("the number of an answer", message.number, i + 1000);
    }
    TRY(gmpt_close(fd));
    return 0;
}

static void use_sockets(const char *address, const char *dialled)
{
    struct sockaddr_in name;
    socklen_t size = sizeof name;
    char peer[64];
    struct gmpt_group group = GMPT_GROUP_INIT;
    int listener = (int)TRY(gmpt_listen(address));
    if (dialled && getsockname(listener, (struct sockaddr *)&name, &size) < 0)
        wrong("getsockname", -errno, 0);
    snprintf(peer, sizeof peer, "%s", address);
    if (dialled)
        snprintf(peer, sizeof peer, "%s:%d", dialled, ntohs(name.sin_port));
    gmpt_waitgroup_add(&all, 1);
    TRY(gmpt_go(serve, &listener, sizeof listener));
    for (int i = 0; i < 4; i++)
        TRY(gmpt_group_go(&group, ask, peer, sizeof peer));
    expect("gmpt_group_wait", gmpt_group_wait(&group), 0);
    TRY(gmpt_close(listener));
    gmpt_waitgroup_wait(&all);
}

/* ---- all ---- */

static int start(void *arg)
{
    char name[64];
    (void)arg;
    use_contexts();
    use_groups();
    use_pool();
    use_timers();
    use_signals();
    use_stacks();
    use_sockets("tcp:127.0.0.1:0", "tcp4:localhost");
    snprintf(name, sizeof name, "unix:@gmptrace-scopes-%d", (int)getpid());
    use_sockets(name, NULL);
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    TRY(gmpt_dump(null));
    close(null);
    return 0;
}

int main(void)
{
    alarm(20);
    fail_start();
    int result = gmpt_run(start, NULL);
    if (result != 0)
        give_up("gmpt_run", result);
    printf("calls %u\n", __atomic_load_n(&fail_calls, __ATOMIC_RELAXED));
    return 0;
}
