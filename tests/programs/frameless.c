/* frameless [abort]: goroutines whose functions have no frame pointers, and use that register for something else: one
 * waits, one is in a blocking call, one computes. Compiled accordingly. Says "ready" once they do; ends when its
 * standard input does, or aborts. What is to be found is in the names. */
#include <gmptrace/gmpt.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct gmpt_chan *never;
static int pipe_fds[2];
static volatile int computes;

/* A frame pointer that leads nowhere. */
#if defined(__x86_64__)
#define SPOIL() __asm__ volatile("xorl %%ebp, %%ebp" ::: "rbp")
#else
#define SPOIL() __asm__ volatile("mov x29, #0" ::: "x29")
#endif

static __attribute__((noinline)) int wait_inner(int depth)
{
    int value = depth;
    SPOIL();
    if (depth > 0)
        value += wait_inner(depth - 1);
    else
        gmpt_chan_recv(never, &value);
    SPOIL();
    return value;
}

static __attribute__((noinline)) int wait_outer(int depth)
{
    SPOIL();
    int value = wait_inner(depth) + 1;
    SPOIL();
    return value;
}

static void waits(void *args)
{
    (void)args;
    exit(wait_outer(3));
}

static __attribute__((noinline)) long call_inner(void)
{
    char byte;
    gmpt_blocking_begin();
    SPOIL();
    long got = read(pipe_fds[0], &byte, 1);
    SPOIL();
    gmpt_blocking_end();
    return got;
}

static void calls(void *args)
{
    (void)args;
    exit((int)call_inner() + 1);
}

static __attribute__((noinline)) int compute_inner(int abort_too)
{
    int value = 0;
    for (computes = 1; computes;) {
        SPOIL();
        if (abort_too)
            abort();
        value++;
    }
    return value;
}

static void compute(void *args)
{
    exit(compute_inner(*(int *)args) + 1);
}

static int main_g(void *arg)
{
    char byte;
    int crash = *(int *)arg;
    never = gmpt_chan_new(sizeof(int), 0);
    gmpt_go(waits, NULL, 0);
    gmpt_go(calls, NULL, 0);
    gmpt_sleep(20000000);
    gmpt_go(compute, &crash, sizeof crash);
    while (!computes)
        gmpt_sleep(1000000);
    puts("ready");
    fflush(stdout);
    gmpt_blocking_begin();
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    gmpt_blocking_end();
    _exit(0);
}

int main(int argc, char **argv)
{
    (void)argv;
    int crash = argc > 1;
    return pipe(pipe_fds) ? 1 : gmpt_run(main_g, &crash);
}
