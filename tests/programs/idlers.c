/* A program to be attached to: Gs that wait, each in its own way, and some that never stop moving. idlers [COUNT] has
 * COUNT more that wait for good. Says "ready" once they all do; ends when its standard input does. With one more
 * argument it asks a flight recorder for what it has. */
#include <gmptrace/gmpt.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct gmpt_chan *never, *ball;
static struct gmpt_mutex held;
static struct gmpt_waitgroup endless;
static int pipe_fds[2];
static int snapshot;

static void wants_message(void *args)
{
    (void)args;
    char byte;
    gmpt_chan_recv(never, &byte);
}

static void wants_mutex(void *args)
{
    (void)args;
    gmpt_mutex_lock(&held);
}

static void wants_end(void *args)
{
    (void)args;
    gmpt_waitgroup_wait(&endless);
}

static void sleeps(void *args)
{
    (void)args;
    gmpt_sleep(INT64_C(3600) * 1000000000);
}

static void calls(void *args)
{
    (void)args;
    char byte;
    gmpt_blocking_begin();
    if (read(pipe_fds[0], &byte, 1) < 0)
        abort();
    gmpt_blocking_end();
}

static void plays(void *args)
{
    (void)args;
    char byte = 0;
    for (;;) {
        if (gmpt_chan_send(ball, &byte) || gmpt_chan_recv(ball, &byte))
            return;
        gmpt_yield();
    }
}

static int main_g(void *arg)
{
    char byte;
    never = gmpt_chan_new(1, 0);
    ball = gmpt_chan_new(1, 2);
    gmpt_waitgroup_add(&endless, 1);
    gmpt_mutex_lock(&held);
    static const struct gmpt_label labels[] = { { "tenant", "acme" } };
    gmpt_go_with(&(struct gmpt_go_options){ .name = "the reader", .labels = labels, .label_count = 1 }, wants_message,
                 NULL, 0);
    gmpt_go(wants_mutex, NULL, 0);
    gmpt_go(wants_end, NULL, 0);
    gmpt_go(sleeps, NULL, 0);
    gmpt_go(calls, NULL, 0);
    for (int i = *(int *)arg; i > 0; i--)
        gmpt_go(wants_message, NULL, 0);
    gmpt_sleep(20000000);
    for (int i = 0; i < 4; i++)
        gmpt_go(plays, NULL, 0);
    puts("ready");
    fflush(stdout);
    if (snapshot && gmpt_trace_snapshot())
        return 3;
    if (snapshot)
        gmpt_sleep(300000000);
    gmpt_blocking_begin();
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    gmpt_blocking_end();
    _exit(0);
}

int main(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : 0;
    snapshot = argc > 2;
    return pipe(pipe_fds) ? 1 : gmpt_run(main_g, &count);
}
