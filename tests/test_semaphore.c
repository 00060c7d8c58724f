/* Semaphores: units are neither lost nor made, and are had in the order of coming. */
#include "run.h"

#include "runtime/runtime.h"

#include <string.h>

#define SIZE 10
static struct gmpt_semaphore semaphore = GMPT_SEMAPHORE_INIT(SIZE), none = GMPT_SEMAPHORE_INIT(0);
static struct gmpt_waitgroup group;
static int order[16];
static ATOMIC(int) order_count;
static ATOMIC(int64_t) taken, given_up;

#define ROUNDS (UNDER_SANITIZER ? 500 : 8000)
#define FAR_NS 3600000000000

static int alone(void *arg)
{
    (void)arg;
    EXPECT_EQ(gmpt_semaphore_acquire(&semaphore, 4), 0);
    EXPECT_EQ(gmpt_semaphore_try_acquire(&semaphore, 6), 0);
    EXPECT_EQ(gmpt_semaphore_try_acquire(&semaphore, 1), -EAGAIN);
    EXPECT_EQ(gmpt_semaphore_try_acquire(&semaphore, 0), 0);
    EXPECT_EQ(gmpt_semaphore_acquire_until(&semaphore, 1, 0), -ETIMEDOUT);
    int64_t until = gmpt_now() + 1000000;
    EXPECT_EQ(gmpt_semaphore_acquire_until(&semaphore, 1, until), -ETIMEDOUT);
    EXPECT(gmpt_now() >= until);
    gmpt_semaphore_release(&semaphore, 1);
    EXPECT_EQ(gmpt_semaphore_acquire_until(&semaphore, 1, 0), 0);
    gmpt_semaphore_release(&semaphore, 10);
    EXPECT_EQ(gmpt_semaphore_acquire_until(&semaphore, SIZE, GMPT_NEVER), 0);
    gmpt_semaphore_release(&semaphore, 0);
    return 0;
}

TEST(semaphore, has_so_many_units) { RUN(1, alone); }

static int impossible(void *arg)
{
    (void)arg;
    EXPECT_EQ(gmpt_semaphore_acquire(&semaphore, SIZE + 1), -EINVAL);
    EXPECT_EQ(gmpt_semaphore_acquire_until(&semaphore, SIZE + 1, GMPT_NEVER), -EINVAL);
    EXPECT_EQ(gmpt_semaphore_try_acquire(&semaphore, SIZE + 1), -EINVAL);
    EXPECT_EQ(gmpt_semaphore_acquire(&semaphore, -1), -EINVAL);
    EXPECT_EQ(gmpt_semaphore_acquire(&semaphore, INT64_MIN), -EINVAL);
    EXPECT_EQ(gmpt_semaphore_acquire(&none, 1), -EINVAL);
    EXPECT_EQ(gmpt_semaphore_acquire(&none, 0), 0);
    return 0;
}

TEST(semaphore, what_can_never_be_had_is_an_error) { RUN(1, impossible); }

struct request {
    int number, units;
};

static void acquire_and_note(void *p)
{
    struct request *request = p;
    EXPECT_EQ(gmpt_semaphore_acquire(&semaphore, request->units), 0);
    order[fetch_add_relaxed(&order_count, 1)] = request->number;
    gmpt_waitgroup_done(&group);
}

static void start_waiter(int number, int units)
{
    struct request request = { number, units };
    gmpt_waitgroup_add(&group, 1);
    run_until_waiting(gmpt_go(acquire_and_note, &request, sizeof request));
}

static int large_among_small(void *arg)
{
    (void)arg;
    EXPECT_EQ(gmpt_semaphore_acquire(&semaphore, SIZE), 0);
    start_waiter(0, 2);
    start_waiter(1, 8);
    start_waiter(2, 1);
    gmpt_semaphore_release(&semaphore, 2);
    while (load_relaxed(&order_count) < 1)
        gmpt_yield();
    gmpt_semaphore_release(&semaphore, 7); /* one less than the first wants: none for the one behind it */
    EXPECT_EQ(gmpt_semaphore_try_acquire(&semaphore, 1), -EAGAIN);
    for (int i = 0; i < 50; i++)
        gmpt_yield();
    EXPECT_EQ(load_relaxed(&order_count), 1);
    gmpt_semaphore_release(&semaphore, 1);
    while (load_relaxed(&order_count) < 2)
        gmpt_yield();
    gmpt_semaphore_release(&semaphore, 1); /* what request 0 took */
    gmpt_waitgroup_wait(&group);
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(order[i], i);
    return 0;
}

TEST(semaphore, a_large_request_is_not_starved_by_small_ones) { RUN(1, large_among_small); }
TEST(semaphore, a_large_request_is_not_starved_by_small_ones_on_many_ps) { RUN(4, large_among_small); }

static int many_at_once(void *arg)
{
    (void)arg;
    EXPECT_EQ(gmpt_semaphore_acquire(&semaphore, SIZE), 0);
    for (int i = 0; i < 5; i++)
        start_waiter(i, 2);
    gmpt_semaphore_release(&semaphore, SIZE);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(gmpt_semaphore_try_acquire(&semaphore, 1), -EAGAIN);
    gmpt_semaphore_release(&semaphore, SIZE);
    EXPECT_EQ(gmpt_semaphore_try_acquire(&semaphore, SIZE), 0);
    return 0;
}

TEST(semaphore, one_release_serves_as_many_as_it_suffices_for) { RUN(2, many_at_once); }

static void give_up_soon(void *p)
{
    (void)p;
    EXPECT_EQ(gmpt_semaphore_acquire_until(&semaphore, 8, gmpt_now() + 20000000), -ETIMEDOUT);
    fetch_add_relaxed(&given_up, 1);
}

static int large_gives_up(void *arg)
{
    (void)arg;
    EXPECT_EQ(gmpt_semaphore_acquire(&semaphore, 5), 0);
    run_go(give_up_soon);
    while (!load_relaxed(&given_up) && gmpt_semaphore_try_acquire(&semaphore, 1) == 0) { /* until it waits */
        gmpt_semaphore_release(&semaphore, 1);
        gmpt_yield();
    }
    struct request request = { 7, 3 };
    gmpt_waitgroup_add(&group, 1);
    EXPECT(gmpt_go(acquire_and_note, &request, sizeof request) > 0);
    gmpt_waitgroup_wait(&group); /* nobody releases anything: the small one goes on when the large one gives up */
    EXPECT_EQ(order[0], 7);
    EXPECT_EQ(gmpt_semaphore_try_acquire(&semaphore, 2), 0);
    return 0;
}

TEST(semaphore, those_behind_go_on_when_the_first_gives_up) { RUN(1, large_gives_up); }
TEST(semaphore, those_behind_go_on_when_the_first_gives_up_on_many_ps) { RUN(4, large_gives_up); }

static void acquire_far(void *p)
{
    (void)p;
    EXPECT_EQ(gmpt_semaphore_acquire_until(&semaphore, 3, gmpt_now() + FAR_NS), 0);
    gmpt_semaphore_release(&semaphore, 3);
    gmpt_waitgroup_done(&group);
}

static int far_deadline(void *arg)
{
    (void)arg;
    EXPECT_EQ(gmpt_semaphore_acquire(&semaphore, SIZE), 0);
    gmpt_waitgroup_add(&group, 1);
    run_until_waiting(gmpt_go(acquire_far, NULL, 0));
    gmpt_semaphore_release(&semaphore, SIZE);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(gmpt_semaphore_try_acquire(&semaphore, SIZE), 0);
    return 0;
}

TEST(semaphore, a_wait_with_a_deadline_ends_with_the_units_too) { RUN(2, far_deadline); }

static void take_and_give(void *p)
{
    uint32_t state = (uint32_t)*(int *)p * 7919 + 1;
    for (int i = 0; i < ROUNDS / 4; i++) {
        int64_t n = random_next(&state) % (SIZE + 1);
        int result = 0;
        if (random_next(&state) % 2)
            result = gmpt_semaphore_acquire_until(&semaphore, n, gmpt_now() + random_next(&state) % 20000);
        else
            EXPECT_EQ(gmpt_semaphore_acquire(&semaphore, n), 0);
        if (result != 0) {
            EXPECT_EQ(result, -ETIMEDOUT);
            fetch_add_relaxed(&given_up, 1);
            continue;
        }
        EXPECT(fetch_add_relaxed(&taken, n) + n <= SIZE);
        if (random_next(&state) % 4 == 0)
            gmpt_yield();
        fetch_sub_acq_rel(&taken, n);
        gmpt_semaphore_release(&semaphore, n);
    }
    gmpt_waitgroup_done(&group);
}

static int race_deadlines(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&group, 10);
    for (int i = 0; i < 10; i++)
        EXPECT(gmpt_go(take_and_give, &i, sizeof i) > 0);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(gmpt_semaphore_try_acquire(&semaphore, SIZE), 0); /* all are back */
    return 0;
}

TEST(semaphore, racing_deadlines_neither_lose_nor_make_units_on_one_p) { RUN(1, race_deadlines); }
TEST(semaphore, racing_deadlines_neither_lose_nor_make_units) { RUN(4, race_deadlines); }

static void release_by_pointer(void *p) { gmpt_semaphore_release(*(struct gmpt_semaphore **)p, 1); }

static __attribute__((noinline)) void wait_in_frame(void)
{
    struct gmpt_semaphore local = GMPT_SEMAPHORE_INIT(1), *pointer = &local;
    EXPECT_EQ(gmpt_semaphore_acquire(&local, 1), 0);
    EXPECT(gmpt_go(release_by_pointer, &pointer, sizeof pointer) > 0);
    EXPECT_EQ(gmpt_semaphore_acquire(&local, 1), 0);
    memset(&local, 0xff, sizeof local);
}

static int short_lived(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++)
        wait_in_frame();
    return 0;
}

TEST(semaphore, may_be_freed_by_who_has_got_the_units) { RUN(4, short_lived); }

static int release_too_much(void *arg)
{
    (void)arg;
    EXPECT_EQ(gmpt_semaphore_acquire(&semaphore, 3), 0);
    gmpt_semaphore_release(&semaphore, 4);
    return 0;
}

static int release_negative(void *arg)
{
    (void)arg;
    EXPECT_EQ(gmpt_semaphore_acquire(&semaphore, 3), 0);
    gmpt_semaphore_release(&semaphore, -1);
    return 0;
}

static int (*wrong_use)(void *arg);
static void child_wrong_use(void) { run_on(1, wrong_use); }

TEST(semaphore, releasing_more_than_is_taken_ends_the_program)
{
    char err[512];
    wrong_use = release_too_much;
    ck_assert_int_ne(run_child(child_wrong_use, err, sizeof err), 0);
    ck_assert_ptr_nonnull(strstr(err, "release of 4 units where 3 are taken"));
    wrong_use = release_negative;
    ck_assert_int_ne(run_child(child_wrong_use, err, sizeof err), 0);
    ck_assert_ptr_nonnull(strstr(err, "release of -1 units"));
}
