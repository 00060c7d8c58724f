/* The wait group: everyone waits until the count is 0. */
#include "run.h"

#include "runtime/runtime.h"

#include <string.h>

static struct gmpt_waitgroup group = GMPT_WAITGROUP_INIT, ended;
static ATOMIC(int64_t) counter;

static int zero(void *arg)
{
    (void)arg;
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(gmpt_waitgroup_wait_until(&group, 0), 0);
    EXPECT_EQ(gmpt_waitgroup_wait_until(&group, GMPT_NEVER), 0);
    gmpt_waitgroup_add(&group, 0);
    gmpt_waitgroup_wait(&group);
    return 0;
}

TEST(waitgroup, zero_is_no_wait) { RUN(1, zero); }

static void count_and_done(void *p)
{
    (void)p;
    for (int i = 0; i < 3; i++)
        gmpt_yield();
    fetch_add_relaxed(&counter, 1);
    gmpt_waitgroup_done(&group);
}

static int wait_for_all(void *arg)
{
    (void)arg;
    for (int round = 1; round <= 20; round++) {
        gmpt_waitgroup_add(&group, 50);
        for (int i = 0; i < 50; i++)
            run_go(count_and_done);
        gmpt_waitgroup_wait(&group);
        EXPECT_EQ(load_relaxed(&counter), 50 * round);
    }
    return 0;
}

TEST(waitgroup, waits_for_all_and_can_be_used_again) { RUN(4, wait_for_all); }

static void wait_and_count(void *p)
{
    (void)p;
    gmpt_waitgroup_wait(&group);
    fetch_add_relaxed(&counter, 1);
    gmpt_waitgroup_done(&ended);
}

static int many_wait(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&group, 2);
    gmpt_waitgroup_add(&ended, 30);
    for (int i = 0; i < 30; i++)
        run_until_waiting(gmpt_go(wait_and_count, NULL, 0));
    gmpt_waitgroup_done(&group);
    for (int i = 0; i < 50; i++)
        gmpt_yield();
    EXPECT_EQ(load_relaxed(&counter), 0); /* 1 is not 0 */
    gmpt_waitgroup_done(&group);
    gmpt_waitgroup_wait(&ended);
    EXPECT_EQ(load_relaxed(&counter), 30);
    return 0;
}

TEST(waitgroup, all_who_wait_are_woken_at_zero) { RUN(2, many_wait); }

static int deadline(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&group, 1);
    EXPECT_EQ(gmpt_waitgroup_wait_until(&group, 0), -ETIMEDOUT);
    int64_t until = gmpt_now() + 1000000;
    EXPECT_EQ(gmpt_waitgroup_wait_until(&group, until), -ETIMEDOUT);
    EXPECT(gmpt_now() >= until);
    gmpt_waitgroup_done(&group);
    EXPECT_EQ(gmpt_waitgroup_wait_until(&group, until), 0);
    return 0;
}

TEST(waitgroup, a_deadline_ends_the_wait) { RUN(2, deadline); }

static void wait_far(void *p)
{
    (void)p;
    EXPECT_EQ(gmpt_waitgroup_wait_until(&group, gmpt_now() + 3600000000000), 0);
    gmpt_waitgroup_done(&ended);
}

static int far_deadline(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&group, 1);
    gmpt_waitgroup_add(&ended, 1);
    run_until_waiting(gmpt_go(wait_far, NULL, 0));
    gmpt_waitgroup_done(&group);
    gmpt_waitgroup_wait(&ended);
    return 0;
}

TEST(waitgroup, a_wait_with_a_deadline_ends_at_zero_too) { RUN(2, far_deadline); }

#define ROUNDS (UNDER_SANITIZER ? 300 : 4000)

static void done_soon(void *p)
{
    if (*(uint32_t *)p % 2)
        gmpt_yield();
    gmpt_waitgroup_done(&group);
}

static int race_deadlines(void *arg)
{
    (void)arg;
    uint32_t random_state = 4242;
    for (int i = 0; i < ROUNDS; i++) {
        uint32_t r = random_next(&random_state);
        gmpt_waitgroup_add(&group, 1);
        EXPECT(gmpt_go(done_soon, &r, sizeof r) > 0);
        int result = gmpt_waitgroup_wait_until(&group, gmpt_now() + r % 10000);
        EXPECT(result == 0 || result == -ETIMEDOUT);
        gmpt_waitgroup_wait(&group);
    }
    return 0;
}

TEST(waitgroup, racing_deadlines_wake_once) { RUN(4, race_deadlines); }

/* The group lies in the frame of who waits: nobody may touch it after the wait. */
static void done_by_pointer(void *p) { gmpt_waitgroup_done(*(struct gmpt_waitgroup **)p); }

static __attribute__((noinline)) void wait_in_frame(void)
{
    struct gmpt_waitgroup local = GMPT_WAITGROUP_INIT, *pointer = &local;
    gmpt_waitgroup_add(&local, 3);
    for (int i = 0; i < 3; i++)
        EXPECT(gmpt_go(done_by_pointer, &pointer, sizeof pointer) > 0);
    gmpt_waitgroup_wait(&local);
    memset(&local, 0xff, sizeof local);
}

static int short_lived(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++)
        wait_in_frame();
    return 0;
}

TEST(waitgroup, may_be_freed_once_the_wait_is_over) { RUN(4, short_lived); }

static int below_zero(void *arg)
{
    (void)arg;
    gmpt_waitgroup_done(&group);
    return 0;
}

static void child_below_zero(void) { run_on(1, below_zero); }

TEST(waitgroup, a_count_below_zero_ends_the_program)
{
    char err[512];
    ck_assert_int_ne(run_child(child_below_zero, err, sizeof err), 0);
    ck_assert_ptr_nonnull(strstr(err, "below 0"));
}

static int far_below_zero(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&group, 5);
    gmpt_waitgroup_add(&group, INT64_MIN);
    return 0;
}

static int large_then_larger(void *arg)
{
    (void)arg;
    const int64_t largest = (INT64_C(1) << 61) - 1;
    gmpt_waitgroup_add(&group, largest);
    EXPECT_EQ(gmpt_waitgroup_wait_until(&group, 0), -ETIMEDOUT);
    gmpt_waitgroup_add(&group, -largest);
    EXPECT_EQ(gmpt_waitgroup_wait_until(&group, 0), 0);
    gmpt_waitgroup_add(&group, largest);
    for (int i = 0; i < 3; i++)
        gmpt_waitgroup_add(&group, largest);
    return 0;
}

static int largest_at_once(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&group, INT64_MAX);
    return 0;
}

static void child_far_below_zero(void) { run_on(1, far_below_zero); }
static void child_large_then_larger(void) { run_on(1, large_then_larger); }
static void child_largest_at_once(void) { run_on(1, largest_at_once); }

TEST(waitgroup, a_count_that_there_is_no_room_for_ends_the_program)
{
    char err[512];
    ck_assert_int_ne(run_child(child_far_below_zero, err, sizeof err), 0);
    ck_assert_msg(strstr(err, "below 0") != NULL, "%s", err);
    ck_assert_int_ne(run_child(child_large_then_larger, err, sizeof err), 0);
    ck_assert_msg(strstr(err, "too large") != NULL, "%s", err);
    ck_assert_int_ne(run_child(child_largest_at_once, err, sizeof err), 0);
    ck_assert_msg(strstr(err, "too large") != NULL, "%s", err);
}
