/* hogged [ROUNDS]: short goroutines wait for their turn behind one that computes. A report must lead
 * from these delays to the lines between which hog() did not give way. */
#include <gmptrace/gmpt.h>

#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#define SERVANTS 6

static int rounds = 20;
static struct gmpt_waitgroup all = GMPT_WAITGROUP_INIT;
static struct gmpt_chan *requests;
static volatile uint64_t sink;

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static __attribute__((noinline)) void crunch_numbers(int64_t for_ns)
{
    int64_t until_ns = now_ns() + for_ns;
    while (now_ns() < until_ns)
        for (int i = 0; i < 1000; i++)
            sink = sink * 3 + 1;
}

/* Wakes the servants and then does not give way to them. */
static void hog(void *args)
{
    (void)args;
    for (int i = 0; i < rounds; i++) {
        gmpt_sleep(4000000);
        for (int request = 0; request < SERVANTS; request++)
            gmpt_chan_send(requests, &request);
        crunch_numbers(6000000);
    }
    gmpt_chan_close(requests);
    gmpt_waitgroup_done(&all);
}

static void servant(void *args)
{
    (void)args;
    int request;
    while (gmpt_chan_recv(requests, &request) == 0)
        sink++;
    gmpt_waitgroup_done(&all);
}

static int start(void *arg)
{
    (void)arg;
    requests = gmpt_chan_new(sizeof(int), SERVANTS);
    gmpt_waitgroup_add(&all, SERVANTS + 1);
    for (int i = 0; i < SERVANTS; i++)
        gmpt_go(servant, NULL, 0);
    gmpt_go(hog, NULL, 0);
    gmpt_waitgroup_wait(&all);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        rounds = atoi(argv[1]);
    return gmpt_run(start, NULL);
}
