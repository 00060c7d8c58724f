/* parked [crash]: goroutines that wait in known places, one that has not run yet; then says "ready" and waits for ever,
 * or aborts. What the debugger is to find is in the names. */
#include <gmptrace/gmpt.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct gmpt_chan *never;

static __attribute__((noinline)) int wait_inner(int depth)
{
    int value = depth;
    if (depth > 0)
        return wait_inner(depth - 1) + value;
    gmpt_chan_recv(never, &value);
    return value;
}

static void receiver(void *args) { exit(wait_inner(*(int *)args)); }

static void sleeper(void *args)
{
    (void)args;
    gmpt_sleep(INT64_MAX);
}

static void fresh(void *args) { (void)args; }

static __attribute__((noinline)) void hold(int crash)
{
    gmpt_go(fresh, NULL, 0);
    puts("ready");
    fflush(stdout);
    if (crash)
        abort();
    for (volatile int i = 0;; i++)
        ;
}

static int start(void *arg)
{
    char **argv = arg;
    int depth = 3;
    never = gmpt_chan_new(sizeof(int), 0);
    gmpt_go(receiver, &depth, sizeof depth);
    gmpt_go(sleeper, NULL, 0);
    for (int i = 0; i < 10; i++)
        gmpt_yield();
    hold(argv[1] && strcmp(argv[1], "crash") == 0);
    return 0;
}

int main(int argc, char **argv)
{
    (void)argc;
    return gmpt_run(start, argv);
}
