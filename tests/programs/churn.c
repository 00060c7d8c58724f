/* A program to be recorded, in which Gs change their Ps and threads in every way: taken from while they compute,
 * stopped by a signal, locked to their thread, in slow and quick calls, sent to the P that they prefer, started before
 * their parent goes on, while the number of Ps changes. churn SEED ROUNDS; its status is 0 when all have ended. */
#include <gmptrace/gmpt.h>

#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define WORKERS 24

static struct gmpt_waitgroup all;
static struct gmpt_chan *chan;
static struct gmpt_mutex mutex;
static uint32_t seed;
static int rounds;

static uint32_t below(uint32_t *state, uint32_t limit)
{
    *state = *state * 1664525u + 1013904223u;
    return (*state >> 8) % limit;
}

static void compute(void *args)
{
    for (volatile uint64_t i = 0, end = *(uint32_t *)args; i < end; i++)
        ;
    gmpt_waitgroup_done(&all);
}

static void rest(void *args)
{
    gmpt_sleep(*(uint32_t *)args);
    gmpt_waitgroup_done(&all);
}

static int grow(void *args)
{
    int depth = *(int *)args - 1;
    struct gmpt_group group = GMPT_GROUP_INIT;
    if (depth < 0)
        return 0;
    gmpt_group_go(&group, grow, &depth, sizeof depth);
    gmpt_group_go(&group, grow, &depth, sizeof depth);
    return gmpt_group_wait(&group);
}

static int nap(void *arg) { return usleep(*(uint32_t *)arg); }

static void go(void (*fn)(void *), uint32_t arg, uint32_t flags, int p)
{
    struct gmpt_go_options options = { .flags = flags, .p = p };
    gmpt_waitgroup_add(&all, 1);
    if (gmpt_go_with(&options, fn, &arg, sizeof arg) < 0)
        abort();
}

static void locked(uint32_t *state)
{
    uint32_t us = below(state, 100);
    gmpt_lock_os_thread();
    gmpt_yield();
    gmpt_blocking_slow(nap, &us);
    gmpt_sleep(below(state, 50000));
    gmpt_unlock_os_thread();
}

static void step(uint32_t *state)
{
    uint32_t us = below(state, 300), value = 0;
    switch (below(state, 11)) {
    case 0:
        return gmpt_yield();
    case 1:
        gmpt_chan_send_until(chan, &value, gmpt_now() + us * 100);
        return;
    case 2:
        gmpt_chan_recv_until(chan, &value, gmpt_now() + us * 100);
        return;
    case 3:
        gmpt_mutex_lock(&mutex);
        gmpt_yield();
        return gmpt_mutex_unlock(&mutex);
    case 4:
        gmpt_blocking(nap, &us);
        return;
    case 5:
        gmpt_blocking_slow(nap, &us);
        return;
    case 6:
        if (below(state, 8) == 0)
            locked(state);
        return;
    case 7:
        return go(rest, us * 100, 0, (int)below(state, 9));
    case 8:
        if (below(state, 16) == 0)
            go(compute, below(state, 60000000), below(state, 2) ? GMPT_PURE_COMPUTE : 0, 0);
        return;
    case 9:
        if (below(state, 8) == 0)
            gmpt_gomaxprocs(1 + (int)below(state, 8));
        return;
    default:
        grow(&(int){ 3 });
    }
}

static void work(void *args)
{
    uint32_t state = *(uint32_t *)args;
    for (int i = 0; i < rounds; i++)
        step(&state);
    gmpt_waitgroup_done(&all);
}

static int run(void *arg)
{
    (void)arg;
    chan = gmpt_chan_new(sizeof(uint32_t), 0);
    for (uint32_t i = 0; i < WORKERS; i++)
        go(work, seed * 7919u + i, 0, 0);
    gmpt_waitgroup_wait(&all);
    while (gmpt_count() > 1)
        gmpt_yield();
    gmpt_chan_release(chan);
    return 0;
}

int main(int argc, char **argv)
{
    seed = argc > 1 ? (uint32_t)atol(argv[1]) : 1;
    rounds = argc > 2 ? atoi(argv[2]) : 200;
    return gmpt_run(run, NULL);
}
