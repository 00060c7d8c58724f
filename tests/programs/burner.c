/* burner [MS [ticks]]: uses MS milliseconds of CPU time (1000), three quarters of them in burn_much and one in
 * burn_little, in one goroutine, called "burner"; another, "waiter", waits all the while. With ticks a third one wants
 * a processor every millisecond, so that the burner, which makes no calls meanwhile, loses its own if there is one. */
#define _GNU_SOURCE
#include <gmptrace/gmpt.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#define UNIT 200000 /* on average */

static long burn_ms = 1000;
static bool ticks;
static struct gmpt_chan *done, *never;
static volatile uint64_t burnt;

static uint64_t work(long steps, uint64_t x)
{
    for (long i = 0; i < steps; i++)
        x = x * 6364136223846793005u + 1442695040888963407u;
    return x;
}

static __attribute__((noinline)) void burn_much(long unit) { burnt = work(3 * unit, burnt); }
static __attribute__((noinline)) void burn_little(long unit) { burnt = work(unit, burnt); }

static long cpu_ms(void)
{
    struct timespec used;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return used.tv_sec * 1000 + used.tv_nsec / 1000000;
}

static void burner(void *args)
{
    (void)args;
    gmpt_name_set("burner");
    /* Rounds of one length could keep step with the kernel's tick, so that one of the two is always met. */
    uint32_t random = 1;
    for (long end = cpu_ms() + burn_ms; cpu_ms() < end;) {
        random = random * 1664525 + 1013904223;
        long unit = UNIT / 2 + (long)(random >> 8) % UNIT;
        burn_much(unit);
        burn_little(unit);
    }
    gmpt_chan_send(done, &(int){ 1 });
}

static void waiter(void *args)
{
    int value;
    (void)args;
    gmpt_name_set("waiter");
    gmpt_chan_recv(never, &value);
}

static void ticker(void *args)
{
    (void)args;
    gmpt_name_set("ticker");
    while (gmpt_sleep(1000000) == 0)
        ;
}

static int start(void *arg)
{
    int value;
    (void)arg;
    done = gmpt_chan_new(sizeof value, 0);
    never = gmpt_chan_new(sizeof value, 0);
    gmpt_go(waiter, NULL, 0);
    if (ticks)
        gmpt_go(ticker, NULL, 0);
    gmpt_go(burner, NULL, 0);
    gmpt_chan_recv(done, &value);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        burn_ms = atol(argv[1]);
    ticks = argc > 2;
    return gmpt_run(start, NULL);
}
