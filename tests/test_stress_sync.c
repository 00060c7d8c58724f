/* Random mixes of what sync.h has, many Gs on few objects, with deadlines that pass just as waits begin and end. What
 * must hold under a lock is checked there, and what must be conserved at the end. As in test_stress.c, STRESS_SEED
 * chooses another mix and STRESS_ROUNDS makes each G do more; a hang ends by the test's timeout. */
#include "run.h"

#include "runtime/runtime.h"

#include <stdlib.h>

#define WORKERS (UNDER_SANITIZER ? 20 : 48)
#define OBJECTS 3 /* of each kind */
#define UNITS 7
#define PARTIES 3
#define PLACES 4

static struct gmpt_rwmutex rwmutexes[OBJECTS];
static int64_t pairs[OBJECTS][2]; /* equal under the rwmutex */
static struct gmpt_mutex mutexes[OBJECTS];
static struct gmpt_cond filled[OBJECTS], emptied[OBJECTS];
static int64_t places[OBJECTS][PLACES], length[OBJECTS]; /* stacks of values, under the mutex */
static struct gmpt_semaphore semaphores[OBJECTS] = { GMPT_SEMAPHORE_INIT(UNITS), GMPT_SEMAPHORE_INIT(UNITS),
                                                     GMPT_SEMAPHORE_INIT(UNITS) };
static ATOMIC(int64_t) units_taken[OBJECTS];
static struct gmpt_barrier barriers[OBJECTS] = { GMPT_BARRIER_INIT(PARTIES), GMPT_BARRIER_INIT(PARTIES),
                                                 GMPT_BARRIER_INIT(PARTIES) };
static ATOMIC(int64_t) opened[OBJECTS], passed[OBJECTS];
#define ONCES 64
static struct gmpt_once onces[ONCES];
static int64_t once_runs[ONCES]; /* plain: written by the function only */

static struct gmpt_waitgroup workers;
static ATOMIC(int64_t) written, put, taken;
static int rounds;

static uint32_t below(uint32_t *state, uint32_t limit) { return random_next(state) % limit; }

static int64_t soon(uint32_t *state)
{
    return below(state, 8) ? gmpt_now() + below(state, 1u << below(state, 18)) : 0;
}

static void maybe_yield(uint32_t *state)
{
    if (below(state, 6) == 0)
        gmpt_yield();
}

static void use_rwmutex(uint32_t *state)
{
    uint32_t i = below(state, OBJECTS);
    struct gmpt_rwmutex *rwmutex = &rwmutexes[i];
    int64_t *pair = pairs[i];
    uint32_t way = below(state, 8);
    int result = 0;
    if (way < 2) { /* writes */
        if (way == 0)
            gmpt_rwmutex_lock(rwmutex);
        else
            result = gmpt_rwmutex_lock_until(rwmutex, soon(state));
        if (result != 0)
            return;
        EXPECT_EQ(gmpt_rwmutex_owner(rwmutex), gmpt_self());
        pair[0]++;
        maybe_yield(state);
        pair[1]++;
        gmpt_rwmutex_unlock(rwmutex);
        fetch_add_relaxed(&written, 1);
        return;
    }
    if (way < 4)
        gmpt_rwmutex_rlock(rwmutex);
    else
        result = way < 7 ? gmpt_rwmutex_rlock_until(rwmutex, soon(state)) : gmpt_rwmutex_tryrlock(rwmutex);
    if (result != 0)
        return;
    int64_t first = pair[0];
    EXPECT_EQ(first, pair[1]);
    maybe_yield(state);
    EXPECT_EQ(first, pair[1]);
    gmpt_rwmutex_runlock(rwmutex);
}

/* A bounded stack: whoever finds it full or empty waits for a while. */
static void use_cond(uint32_t *state)
{
    uint32_t i = below(state, OBJECTS);
    bool puts = below(state, 2);
    int64_t value = below(state, 1000) + 1, until = soon(state);
    int result = 0;
    gmpt_mutex_lock(&mutexes[i]);
    while (length[i] == (puts ? PLACES : 0) && result == 0)
        result = gmpt_cond_wait_until(puts ? &emptied[i] : &filled[i], &mutexes[i], until);
    EXPECT_EQ(gmpt_mutex_owner(&mutexes[i]), gmpt_self());
    bool can = length[i] != (puts ? PLACES : 0);
    if (can && puts)
        places[i][length[i]++] = value;
    else if (can)
        value = places[i][--length[i]];
    else
        EXPECT_EQ(result, -ETIMEDOUT);
    bool all = below(state, 4) == 0;
    if (all)
        gmpt_cond_broadcast(puts ? &filled[i] : &emptied[i]);
    gmpt_mutex_unlock(&mutexes[i]);
    if (!all)
        gmpt_cond_signal(puts ? &filled[i] : &emptied[i]);
    if (can)
        fetch_add_relaxed(puts ? &put : &taken, value);
}

static void use_semaphore(uint32_t *state)
{
    uint32_t i = below(state, OBJECTS);
    int64_t n = below(state, UNITS + 1);
    int result = 0;
    if (below(state, 2))
        result = gmpt_semaphore_acquire_until(&semaphores[i], n, soon(state));
    else
        EXPECT_EQ(gmpt_semaphore_acquire(&semaphores[i], n), 0);
    if (result != 0)
        return;
    EXPECT(fetch_add_relaxed(&units_taken[i], n) + n <= UNITS);
    maybe_yield(state);
    fetch_sub_acq_rel(&units_taken[i], n);
    gmpt_semaphore_release(&semaphores[i], n);
}

static void use_barrier(uint32_t *state)
{
    uint32_t i = below(state, OBJECTS);
    int result = gmpt_barrier_wait_until(&barriers[i], soon(state));
    if (result != -ETIMEDOUT)
        fetch_add_relaxed(result == 1 ? &opened[i] : &passed[i], 1);
}

static void run_once(void *arg)
{
    int64_t *runs = arg;
    int64_t before = *runs;
    gmpt_yield();
    *runs = before + 1;
}

static void use_once(uint32_t *state)
{
    uint32_t i = below(state, ONCES);
    gmpt_once_do(&onces[i], run_once, &once_runs[i]);
    EXPECT_EQ(once_runs[i], 1);
}

static void work(void *p)
{
    static void (*const uses[])(uint32_t *) = { use_rwmutex, use_cond, use_semaphore, use_barrier, use_once };
    uint32_t state = *(uint32_t *)p * 2654435761u | 1;
    for (int i = 0; i < rounds; i++)
        uses[below(&state, sizeof uses / sizeof *uses)](&state);
    gmpt_waitgroup_done(&workers);
}

static void settle_accounts(void)
{
    int64_t total = 0;
    for (int i = 0; i < OBJECTS; i++) {
        EXPECT_EQ(gmpt_rwmutex_trylock(&rwmutexes[i]), 0);
        EXPECT_EQ(pairs[i][0], pairs[i][1]);
        total += pairs[i][0];
        EXPECT_EQ(gmpt_semaphore_try_acquire(&semaphores[i], UNITS), 0);
        EXPECT_EQ(load_relaxed(&passed[i]), load_relaxed(&opened[i]) * (PARTIES - 1));
        EXPECT_EQ(gmpt_mutex_trylock(&mutexes[i]), 0);
        while (length[i])
            fetch_add_relaxed(&taken, places[i][--length[i]]);
    }
    EXPECT_EQ(total, load_relaxed(&written));
    EXPECT_EQ(load_relaxed(&put), load_relaxed(&taken));
}

static int run_mix(void *arg)
{
    (void)arg;
    const char *seed = getenv("STRESS_SEED"), *text = getenv("STRESS_ROUNDS");
    rounds = text ? atoi(text) : UNDER_SANITIZER ? 300 : 1500;
    gmpt_waitgroup_add(&workers, WORKERS);
    for (uint32_t i = 0; i < WORKERS; i++) {
        uint32_t own = (seed ? (uint32_t)atol(seed) * 1000003u : 0) + i;
        EXPECT(gmpt_go(work, &own, sizeof own) > 0);
    }
    gmpt_waitgroup_wait(&workers);
    settle_accounts();
    return 0;
}

TEST(stress, a_mix_of_locks_on_one_p_conserves_everything) { RUN(1, run_mix); }
TEST(stress, a_mix_of_locks_on_two_ps_conserves_everything) { RUN(2, run_mix); }
TEST(stress, a_mix_of_locks_on_eight_ps_conserves_everything) { RUN(8, run_mix); }
TEST(stress, a_mix_of_locks_on_sixteen_ps_conserves_everything) { RUN(16, run_mix); }
