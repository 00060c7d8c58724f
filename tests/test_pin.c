/* GMPT_PIN, and the limit of threads. */
#define _GNU_SOURCE
#include "run.h"

#include "runtime/runtime.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct gmpt_waitgroup group;

static void look(void *args)
{
    bool by_node = *(bool *)args;
    for (int i = 0; i < 50; i++) {
        cpu_set_t set;
        CPU_ZERO(&set);
        EXPECT_EQ(sched_getaffinity(0, sizeof set, &set), 0);
        EXPECT(by_node ? CPU_COUNT(&set) >= 1 : CPU_COUNT(&set) == 1);
        gmpt_yield();
    }
    gmpt_waitgroup_done(&group);
}

static int look_everywhere(void *arg)
{
    (void)arg;
    bool by_node = strcmp(getenv("GMPT_PIN"), "node") == 0;
    gmpt_waitgroup_add(&group, 16);
    for (int i = 0; i < 16; i++)
        gmpt_go(look, &by_node, sizeof by_node);
    gmpt_waitgroup_wait(&group);
    return 0;
}

TEST(pin, each_m_stays_on_the_cpu_of_its_p)
{
    setenv("GMPT_PIN", "cpu", 1);
    RUN(3, look_everywhere);
}

TEST(pin, or_on_its_node)
{
    setenv("GMPT_PIN", "node", 1);
    RUN(3, look_everywhere);
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

TEST(pin, nonsense_is_refused)
{
    setenv("GMPT_PIN", "socket", 1);
    ck_assert_int_eq(run_on(1, nothing), -EINVAL);
}

static void block(void *args)
{
    (void)args;
    gmpt_blocking_begin();
    usleep(20000);
    gmpt_blocking_end();
    gmpt_waitgroup_done(&group);
}

static int block_with_few_threads(void *arg)
{
    (void)arg;
    EXPECT_EQ(gmpt_max_threads(3), 10000);
    EXPECT_EQ(gmpt_max_threads(0), 3);
    gmpt_waitgroup_add(&group, 12);
    for (int i = 0; i < 12; i++)
        run_go(block);
    gmpt_waitgroup_wait(&group);
    EXPECT(sched.m_count <= 3);
    return 0;
}

TEST(pin, threads_stay_within_their_limit) { RUN(2, block_with_few_threads); }
