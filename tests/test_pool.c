/* Pools: everything that was taken is run once, by no more Gs than allowed, in order. */
#include "run.h"

#include "runtime/runtime.h"

#include <errno.h>
#include <string.h>

#define ROUNDS (UNDER_SANITIZER ? 300 : 3000)

static struct gmpt_pool *pool;
static ATOMIC(int64_t) counter, sum, running, most, ended;
static int64_t expected_next;
static struct gmpt_chan *gate;
static struct gmpt_waitgroup submitters;

static void measure(void *args)
{
    int64_t now = fetch_add_relaxed(&running, 1) + 1, before = load_relaxed(&most);
    while (before < now && !cas_acq_rel(&most, &before, now))
        ;
    if (*(int64_t *)args % 4 == 0)
        gmpt_yield();
    fetch_add_relaxed(&running, -1);
    fetch_add_relaxed(&sum, *(int64_t *)args);
    fetch_add_relaxed(&counter, 1);
}

static int run_all(void *arg)
{
    (void)arg;
    static const uint32_t queues[] = { 0, 1, 5, 1000 };
    for (int q = 0; q < 4; q++) {
        store_relaxed(&sum, 0);
        pool = gmpt_pool_new(3, queues[q]);
        for (int64_t i = 1; i <= ROUNDS; i++)
            EXPECT_EQ(gmpt_pool_submit(pool, measure, &i, sizeof i), 0);
        gmpt_pool_wait(pool);
        EXPECT_EQ(load_relaxed(&sum), (int64_t)ROUNDS * (ROUNDS + 1) / 2);
        EXPECT(load_relaxed(&most) <= 3);
        gmpt_pool_free(pool);
    }
    EXPECT(gmpt_pool_new(0, 1) == NULL && errno == EINVAL);
    gmpt_pool_free(NULL);
    return 0;
}

TEST(pool, runs_each_once_on_few_gs) { RUN(4, run_all); }
TEST(pool, runs_each_once_on_one_p) { RUN(1, run_all); }

static void in_order(void *args)
{
    EXPECT_EQ(*(int64_t *)args, expected_next);
    expected_next++;
    if (expected_next % 3 == 0)
        gmpt_yield();
}

static int keep_order(void *arg)
{
    (void)arg;
    pool = gmpt_pool_new(1, 3); /* one worker, so no two run at once */
    for (int64_t i = 0; i < ROUNDS; i++)
        EXPECT_EQ(gmpt_pool_submit(pool, in_order, &i, sizeof i), 0);
    gmpt_pool_free(pool);
    EXPECT_EQ(expected_next, ROUNDS);
    return 0;
}

TEST(pool, one_worker_keeps_the_order) { RUN(4, keep_order); }

static void wait_at_gate(void *args)
{
    (void)args;
    gmpt_chan_recv(gate, NULL);
    fetch_add_relaxed(&counter, 1);
}

static void submit_when_allowed(void *args)
{
    (void)args;
    int result = gmpt_pool_submit(pool, wait_at_gate, NULL, 0);
    fetch_add_relaxed(&sum, result == 0);
    fetch_add_relaxed(&ended, 1);
    EXPECT(result == 0 || result == -EPIPE);
    gmpt_waitgroup_done(&submitters);
}

static int full(void *arg)
{
    (void)arg;
    uint8_t large[4097] = { 0 };
    gate = gmpt_chan_new(0, 0);
    pool = gmpt_pool_new(2, 1);
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(gmpt_pool_try_submit(pool, wait_at_gate, large, 4096), 0);
    EXPECT_EQ(gmpt_pool_try_submit(pool, wait_at_gate, NULL, 0), -EAGAIN);
    EXPECT_EQ(gmpt_pool_submit_until(pool, wait_at_gate, NULL, 0, 0), -ETIMEDOUT);
    EXPECT_EQ(gmpt_pool_submit_until(pool, wait_at_gate, NULL, 0, gmpt_now() + 100000), -ETIMEDOUT);
    EXPECT_EQ(gmpt_pool_submit(pool, wait_at_gate, large, 4097), -E2BIG);
    gmpt_waitgroup_add(&submitters, 4);
    for (int i = 0; i < 4; i++)
        run_until_waiting(gmpt_go(submit_when_allowed, NULL, 0));
    EXPECT_EQ(load_relaxed(&ended), 0);
    EXPECT_EQ(gmpt_chan_send(gate, NULL), 0); /* one ends, the queue moves on, one more is taken */
    while (load_acquire(&ended) < 1)
        gmpt_yield();
    EXPECT_EQ(load_relaxed(&sum), 1);
    gmpt_pool_close(pool);
    EXPECT_EQ(gmpt_pool_submit(pool, wait_at_gate, NULL, 0), -EPIPE);
    EXPECT_EQ(gmpt_pool_try_submit(pool, wait_at_gate, NULL, 0), -EPIPE);
    EXPECT_EQ(gmpt_pool_submit_until(pool, wait_at_gate, NULL, 0, gmpt_now() + 1000000000), -EPIPE);
    gmpt_waitgroup_wait(&submitters);
    EXPECT_EQ(load_relaxed(&sum), 1); /* the three others were sent away */
    gmpt_chan_close(gate);
    gmpt_pool_free(pool);
    EXPECT_EQ(load_relaxed(&counter), 4);
    gmpt_chan_release(gate);
    return 0;
}

TEST(pool, a_full_one_makes_wait_and_a_closed_one_sends_away) { RUN(2, full); }
TEST(pool, a_full_one_makes_wait_on_one_p) { RUN(1, full); }

static int no_idlers(void *arg)
{
    (void)arg;
    int64_t one = 1;
    pool = gmpt_pool_new(8, 8);
    for (int round = 1; round <= 20; round++) {
        for (int i = 0; i < 10; i++)
            EXPECT_EQ(gmpt_pool_submit(pool, measure, &one, sizeof one), 0);
        gmpt_pool_wait(pool);
        EXPECT_EQ(load_relaxed(&sum), round * 10);
    }
    while (gmpt_count() > 1) /* the workers end by themselves */
        gmpt_yield();
    gmpt_pool_free(pool);
    return 0;
}

TEST(pool, its_gs_end_when_there_is_nothing_to_do) { RUN(4, no_idlers); }

static void submit_some(void *args)
{
    uint32_t random_state = *(uint32_t *)args;
    int64_t mine = 0;
    for (int i = 0; i < ROUNDS; i++) {
        int64_t value = random_next(&random_state) % 1000;
        int result;
        switch (random_next(&random_state) % 3) {
        case 0:
            result = gmpt_pool_submit(pool, measure, &value, sizeof value);
            break;
        case 1:
            result = gmpt_pool_try_submit(pool, measure, &value, sizeof value);
            EXPECT(result != -ETIMEDOUT);
            break;
        default:
            result = gmpt_pool_submit_until(pool, measure, &value, sizeof value,
                                            gmpt_now() + random_next(&random_state) % 10000);
            EXPECT(result != -EAGAIN);
        }
        if (result == 0)
            mine += value;
        else
            EXPECT(result == -EAGAIN || result == -ETIMEDOUT || result == -EPIPE);
        if (result == -EPIPE)
            break;
    }
    fetch_add_relaxed(&ended, mine);
    gmpt_waitgroup_done(&submitters);
}

/* Whatever was accepted is run, once, also when the pool is closed amid it all. */
static int stress(void *arg)
{
    (void)arg;
    static const uint32_t sizes[][2] = { { 1, 0 }, { 1, 2 }, { 3, 0 }, { 3, 1 }, { 2, 10 } };
    for (uint32_t i = 0; i < sizeof sizes / sizeof *sizes * 2; i++) {
        uint32_t workers = sizes[i / 2][0];
        store_relaxed(&most, 0);
        pool = gmpt_pool_new(workers, sizes[i / 2][1]);
        gmpt_waitgroup_add(&submitters, 5);
        for (uint32_t seed = i * 5 + 1; seed <= i * 5 + 5; seed++)
            EXPECT(gmpt_go(submit_some, &seed, sizeof seed) > 0);
        if (i % 2) {
            gmpt_sleep(200000);
            gmpt_pool_close(pool);
        }
        gmpt_waitgroup_wait(&submitters);
        gmpt_pool_free(pool);
        EXPECT(load_relaxed(&most) <= workers);
    }
    EXPECT_EQ(load_relaxed(&sum), load_relaxed(&ended));
    return 0;
}

TEST(pool, what_is_accepted_is_run_once) { RUN(4, stress); }
TEST(pool, what_is_accepted_is_run_once_on_one_p) { RUN(1, stress); }
