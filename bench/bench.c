/* What single operations of the runtime cost: turns, spawns, channels, selects, mutexes. Prints "ROW NS" lines;
 * bench/go/operations.go does the same work under the same names, and bench/run.sh sets them side by side.
 *
 *     bench [ROW...]     all, or those named
 *
 * Every workload runs once to warm up and then once for the clock. */
#define _GNU_SOURCE
#include "rows.h"

static struct gmpt_waitgroup group = GMPT_WAITGROUP_INIT;

/* ---- turns ---- */

static void yielder(void *args)
{
    for (long i = *(long *)args; i > 0; i--)
        gmpt_yield();
    gmpt_waitgroup_done(&group);
}

static long yield_among(long gs, long total)
{
    long each = total / gs;
    for (long i = 0; i < gs; i++)
        row_start(&group, yielder, &each, sizeof each);
    gmpt_waitgroup_wait(&group);
    return each * gs;
}

static long yield_2(void) { return yield_among(2, 2000000); }
static long yield_1000(void) { return yield_among(1000, 2000000); }

static void nothing(void *args)
{
    (void)args;
    gmpt_waitgroup_done(&group);
}

static long spawn_join_1000(void)
{
    for (int batch = 0; batch < 500; batch++) {
        for (int i = 0; i < 1000; i++)
            row_start(&group, nothing, NULL, 0);
        gmpt_waitgroup_wait(&group);
    }
    return 500 * 1000;
}

/* ---- channels ---- */

struct chan_pair {
    struct gmpt_chan *there, *back;
    long count;
};

static void ponger(void *args)
{
    struct chan_pair *pair = args;
    for (long value, i = 0; i < pair->count; i++) {
        gmpt_chan_recv(pair->there, &value);
        gmpt_chan_send(pair->back, &value);
    }
    gmpt_waitgroup_done(&group);
}

static long chan_round_trip(void)
{
    struct chan_pair pair = { gmpt_chan_new(sizeof(long), 0), gmpt_chan_new(sizeof(long), 0), 500000 };
    row_start(&group, ponger, &pair, sizeof pair);
    for (long value = 0; value < pair.count; value++) {
        long echoed;
        gmpt_chan_send(pair.there, &value);
        gmpt_chan_recv(pair.back, &echoed);
    }
    gmpt_waitgroup_wait(&group);
    gmpt_chan_release(pair.there);
    gmpt_chan_release(pair.back);
    return pair.count;
}

static void sender(void *args)
{
    struct chan_pair *pair = args;
    for (long value = 0; value < pair->count; value++)
        gmpt_chan_send(pair->there, &value);
    gmpt_waitgroup_done(&group);
}

static long chan_buffered(void)
{
    struct chan_pair pair = { gmpt_chan_new(sizeof(long), 128), NULL, 2000000 };
    row_start(&group, sender, &pair, sizeof pair);
    for (long value, i = 0; i < pair.count; i++)
        gmpt_chan_recv(pair.there, &value);
    gmpt_waitgroup_wait(&group);
    gmpt_chan_release(pair.there);
    return pair.count;
}

/* Two Gs, each with a few channels of its own: who has the turn sends to one of the other's channels, which blocks in a
 * select over all of them, and then blocks in its own. So every select blocks, and one operation is a send, a select
 * and a switch. */
enum { SELECT_MAX = 8 };

struct selecter {
    struct gmpt_chan *own[SELECT_MAX], *other[SELECT_MAX];
    int width;
    bool first;
    long turns;
};

static void selecter(void *args)
{
    struct selecter *self = args;
    for (long i = 0; i < self->turns; i++) {
        long value = i, got;
        struct gmpt_select_case cases[SELECT_MAX];
        if (self->first)
            gmpt_chan_send(self->other[i % self->width], &value);
        for (int c = 0; c < self->width; c++)
            cases[c] = (struct gmpt_select_case){ self->own[c], GMPT_RECV, &got, 0 };
        gmpt_select(cases, self->width);
        if (!self->first)
            gmpt_chan_send(self->other[i % self->width], &value);
    }
    gmpt_waitgroup_done(&group);
}

static long select_among(int width)
{
    struct selecter left = { .width = width, .turns = 250000 };
    for (int i = 0; i < width; i++) {
        left.own[i] = gmpt_chan_new(sizeof(long), 0);
        left.other[i] = gmpt_chan_new(sizeof(long), 0);
    }
    struct selecter right = { .width = width, .first = true, .turns = left.turns };
    memcpy(right.own, left.other, sizeof left.other);
    memcpy(right.other, left.own, sizeof left.own);
    row_start(&group, selecter, &left, sizeof left);
    row_start(&group, selecter, &right, sizeof right);
    gmpt_waitgroup_wait(&group);
    for (int i = 0; i < width; i++) {
        gmpt_chan_release(left.own[i]);
        gmpt_chan_release(left.other[i]);
    }
    return 2 * left.turns;
}

static long select_2(void) { return select_among(2); }
static long select_8(void) { return select_among(8); }

/* ---- mutexes ---- */

static struct gmpt_mutex mutex = GMPT_MUTEX_INIT;
static volatile long guarded;

static void locker(void *args)
{
    for (long i = *(long *)args; i > 0; i--) {
        gmpt_mutex_lock(&mutex);
        guarded++;
        gmpt_mutex_unlock(&mutex);
    }
    gmpt_waitgroup_done(&group);
}

static long lock_among(long gs, long total)
{
    long each = total / gs;
    for (long i = 0; i < gs; i++)
        row_start(&group, locker, &each, sizeof each);
    gmpt_waitgroup_wait(&group);
    return each * gs;
}

static long mutex_alone(void) { return lock_among(1, 10000000); }
static long mutex_8(void) { return lock_among(8, 4000000); }

/* Nothing of which repeats itself: who waits, for which mutex, where and for how long. The trace that is the hardest to
 * make small. */
enum { RANDOM_GS = 1000 };

static struct gmpt_mutex mutexes[RANDOM_GS];

static uint64_t random_next(uint64_t *state) /* xorshift */
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

static void compute_random(uint64_t *state)
{
    for (volatile uint64_t i = random_next(state) >> 32 & 511; i > 0; i--)
        ;
}

static void random_locker(void *args)
{
    uint64_t state = *(uint64_t *)args;
    for (int i = 0; i < 300; i++) {
        struct gmpt_mutex *one = &mutexes[(random_next(&state) >> 32) % RANDOM_GS];
        gmpt_mutex_lock(one);
        compute_random(&state);
        gmpt_yield();
        gmpt_mutex_unlock(one);
        compute_random(&state);
    }
    gmpt_waitgroup_done(&group);
}

static long mutex_random(void)
{
    for (uint64_t i = 0; i < RANDOM_GS; i++) {
        uint64_t seed = (i + 1) * 0x9e3779b97f4a7c15u;
        row_start(&group, random_locker, &seed, sizeof seed);
    }
    gmpt_waitgroup_wait(&group);
    return RANDOM_GS * 300;
}

/* ---- all of them ---- */

static const struct workload {
    const char *name;
    long (*run)(void); /* returns how many operations it did */
} workloads[] = {
    { "yield_2", yield_2 },
    { "yield_1000", yield_1000 },
    { "spawn_join_1000", spawn_join_1000 },
    { "chan_round_trip", chan_round_trip },
    { "chan_buffered", chan_buffered },
    { "select_2", select_2 },
    { "select_8", select_8 },
    { "mutex_alone", mutex_alone },
    { "mutex_8", mutex_8 },
    { "mutex_random", mutex_random },
};

static int bench(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++) {
        if (!row_is_wanted(workloads[i].name))
            continue;
        workloads[i].run();
        int64_t began_ns = gmpt_now();
        long operations = workloads[i].run();
        row_print(workloads[i].name, (double)(gmpt_now() - began_ns) / (double)operations);
    }
    return 0;
}

int main(int argc, char **argv)
{
    (void)argc;
    rows_wanted = argv + 1;
    return gmpt_run(bench, NULL);
}
