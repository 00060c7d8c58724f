/* Once: the function runs once, and nobody goes on before it has. */
#include "run.h"

#include "runtime/runtime.h"

#include <string.h>

static struct gmpt_once once = GMPT_ONCE_INIT;
static struct gmpt_waitgroup group;
static struct gmpt_mutex gate;
static int64_t runs, seen; /* plain: the once is what orders them */
static ATOMIC(int64_t) through;

static void count(void *arg)
{
    runs += *(int64_t *)arg;
}

static int alone(void *arg)
{
    (void)arg;
    int64_t one = 1, many = 100;
    gmpt_once_do(&once, count, &one);
    EXPECT_EQ(runs, 1);
    gmpt_once_do(&once, count, &many);
    EXPECT_EQ(runs, 1);
    return 0;
}

TEST(once, runs_the_first_function_and_no_other) { RUN(1, alone); }

static void block_and_count(void *arg)
{
    (void)arg;
    gmpt_mutex_lock(&gate);
    gmpt_mutex_unlock(&gate);
    runs++;
}

static void do_it(void *p)
{
    (void)p;
    gmpt_once_do(&once, block_and_count, NULL);
    EXPECT_EQ(runs, 1);
    fetch_add_relaxed(&through, 1);
    gmpt_waitgroup_done(&group);
}

static int all_wait(void *arg)
{
    (void)arg;
    gmpt_mutex_lock(&gate);
    gmpt_waitgroup_add(&group, 10);
    for (int i = 0; i < 10; i++)
        run_until_waiting(gmpt_go(do_it, NULL, 0));
    EXPECT_EQ(load_relaxed(&through), 0);
    gmpt_mutex_unlock(&gate);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(load_relaxed(&through), 10);
    return 0;
}

TEST(once, others_wait_until_the_function_has_returned) { RUN(1, all_wait); }
TEST(once, others_wait_until_the_function_has_returned_on_many_ps) { RUN(4, all_wait); }

#define ROUNDS (UNDER_SANITIZER ? 300 : 5000)
static struct gmpt_once many[ROUNDS];

static void count_one(void *arg)
{
    (void)arg;
    runs++;
    if (runs % 16 == 0)
        gmpt_yield();
    seen = runs;
}

static void do_all(void *p)
{
    (void)p;
    for (int i = 0; i < ROUNDS; i++) {
        gmpt_once_do(&many[i], count_one, NULL);
        fetch_add_relaxed(&through, 1);
    }
    gmpt_waitgroup_done(&group);
}

static int race(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&group, 8);
    for (int i = 0; i < 8; i++)
        run_go(do_all);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(runs, ROUNDS);
    EXPECT_EQ(seen, ROUNDS);
    return 0;
}

TEST(once, many_at_once_run_it_once) { RUN(4, race); }

/* The function is the user's: it may compute for longer than its slice, and lose its P while it does. */
static void compute(void *arg)
{
    (void)arg;
    while (!load_relaxed(&through))
        ;
    runs++;
}

static void let_through(void *p)
{
    (void)p;
    store_relaxed(&through, 1);
}

static int compute_beside_another(void *arg)
{
    (void)arg;
    run_go(let_through);
    gmpt_once_do(&once, compute, NULL);
    EXPECT_EQ(runs, 1);
    return 0;
}

TEST(once, the_function_can_lose_its_p_as_any_users_code) { RUN(1, compute_beside_another); }

static void again(void *arg)
{
    gmpt_once_do(&once, again, arg);
}

static int recurse(void *arg)
{
    gmpt_once_do(&once, again, arg);
    return 0;
}

static void child_recurse(void) { run_on(1, recurse); }

TEST(once, a_function_that_waits_for_itself_ends_the_program)
{
    char err[512];
    ck_assert_int_ne(run_child(child_recurse, err, sizeof err), 0);
    ck_assert_ptr_nonnull(strstr(err, "gmpt_once_do by the function that it runs"));
}
