/* Groups: all children are joined, the first error wins and cancels the others, no more run than may. */
#include "run.h"

#include "runtime/runtime.h"

#include <errno.h>
#include <string.h>

#define ROUNDS (UNDER_SANITIZER ? 200 : 2000)

static ATOMIC(int64_t) counter, sum, running, most;
static struct gmpt_group group;
static struct gmpt_chan *gate;

static int add(void *args)
{
    int64_t value = *(int64_t *)args;
    if (value % 3 == 0)
        gmpt_yield();
    fetch_add_relaxed(&sum, value);
    return 0;
}

static int join(void *arg)
{
    (void)arg;
    EXPECT_EQ(gmpt_group_wait(&group), 0); /* nobody */
    for (int round = 1; round <= 10; round++) {
        for (int64_t i = 1; i <= 100; i++)
            EXPECT(gmpt_group_go(&group, add, &i, sizeof i) > 0);
        EXPECT_EQ(gmpt_group_wait(&group), 0);
        EXPECT_EQ(load_relaxed(&sum), round * 5050);
    }
    return 0;
}

TEST(group, waits_for_all_and_can_be_used_again) { RUN(4, join); }
TEST(group, waits_for_all_on_one_p) { RUN(1, join); }

struct large {
    int64_t value;
    uint8_t filling[4080 - sizeof(int64_t)];
};

static int check_large(void *args)
{
    struct large *large = args;
    EXPECT_EQ((uintptr_t)args % 16, 0);
    for (size_t i = 0; i < sizeof large->filling; i++)
        if (large->filling[i] != (uint8_t)i)
            return -EINVAL;
    return large->value == 7 ? 0 : -EINVAL;
}

static int nothing(void *args)
{
    (void)args;
    fetch_add_relaxed(&counter, 1);
    return 0;
}

static int arguments(void *arg)
{
    (void)arg;
    struct large large = { .value = 7 };
    for (size_t i = 0; i < sizeof large.filling; i++)
        large.filling[i] = (uint8_t)i;
    EXPECT(gmpt_group_go(&group, check_large, &large, sizeof large) > 0);
    memset(&large, 0, sizeof large);
    EXPECT(gmpt_group_go(&group, nothing, NULL, 0) > 0);
    EXPECT_EQ(gmpt_group_go(&group, nothing, &large, 4081), -E2BIG);
    EXPECT_EQ(gmpt_group_go(&group, nothing, &large, SIZE_MAX), -E2BIG);
    EXPECT_EQ(gmpt_group_wait(&group), 0);
    EXPECT_EQ(load_relaxed(&counter), 1);
    return 0;
}

TEST(group, a_child_has_a_copy_of_its_arguments) { RUN(2, arguments); }

/* The group lies in the frame of who waits: no child may touch it after the wait. */
static __attribute__((noinline)) void wait_in_frame(void)
{
    struct gmpt_group local = GMPT_GROUP_INIT;
    for (int64_t i = 0; i < 3; i++)
        EXPECT(gmpt_group_go(&local, add, &i, sizeof i) > 0);
    EXPECT_EQ(gmpt_group_wait(&local), 0);
    memset(&local, 0xff, sizeof local);
}

static int short_lived(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++)
        wait_in_frame();
    EXPECT_EQ(load_relaxed(&sum), 3 * ROUNDS);
    return 0;
}

TEST(group, may_end_once_the_wait_is_over) { RUN(4, short_lived); }

struct node {
    int64_t first, leaves;
    int64_t *sum;
};

static int sum_node(void *args)
{
    struct node *self = args;
    if (self->leaves == 1) {
        *self->sum = self->first;
        return 0;
    }
    struct gmpt_group children = GMPT_GROUP_INIT;
    int64_t sums[10];
    struct node child = { self->first, self->leaves / 10, NULL };
    for (int i = 0; i < 10; i++, child.first += child.leaves) {
        child.sum = &sums[i];
        EXPECT(gmpt_group_go(&children, sum_node, &child, sizeof child) > 0);
    }
    int error = gmpt_group_wait(&children);
    *self->sum = 0;
    for (int i = 0; i < 10; i++)
        *self->sum += sums[i];
    return error;
}

static int tree(void *arg)
{
    (void)arg;
    int64_t total = 0;
    struct node root = { 0, UNDER_SANITIZER ? 1000 : 100000, &total };
    EXPECT_EQ(sum_node(&root), 0);
    EXPECT_EQ(total, root.leaves * (root.leaves - 1) / 2);
    return 0;
}

TEST(group, groups_nest) { RUN(4, tree); }
TEST(group, groups_nest_on_one_p) { RUN(1, tree); }

/* A tree of ten thousand takes few stacks: each child runs to its end before the next is started. */
static int depth_first(void *arg)
{
    (void)arg;
    enum { LEAVES = 10000 };
    int64_t total = 0;
    struct node root = { 0, LEAVES, &total };
    EXPECT_EQ(sum_node(&root), 0);
    EXPECT_EQ(total, (int64_t)LEAVES * (LEAVES - 1) / 2);
    EXPECT(load_relaxed(&trace_segment.header->registry_used) < 1000);
    return 0;
}

TEST(group, a_tree_is_walked_depth_first_on_one_p) { RUN(1, depth_first); }

static int wait_for_turn(void *args)
{
    (void)args;
    EXPECT_EQ(gmpt_chan_recv(gate, NULL), 0);
    return 0;
}

/* The parent goes on when the child waits. */
static int child_waits(void *arg)
{
    (void)arg;
    gate = gmpt_chan_new(0, 0);
    for (int i = 0; i < 100; i++)
        EXPECT(gmpt_group_go(&group, wait_for_turn, NULL, 0) > 0);
    for (int i = 0; i < 100; i++)
        EXPECT_EQ(gmpt_chan_send(gate, NULL), 0);
    EXPECT_EQ(gmpt_group_wait(&group), 0);
    gmpt_chan_release(gate);
    return 0;
}

TEST(group, a_child_that_waits_lets_its_parent_go_on) { RUN(1, child_waits); }

static int hog(void *args)
{
    (void)args;
    while (load_acquire(&counter) == 0)
        gmpt_preempt_check();
    return 0;
}

/* So does one whose slice is over, beside others that want to run. */
static void count_soon(void *args)
{
    (void)args;
    fetch_add_relaxed(&counter, 1);
}

static int child_computes(void *arg)
{
    (void)arg;
    EXPECT(gmpt_go(count_soon, NULL, 0) > 0);
    EXPECT(gmpt_group_go(&group, hog, NULL, 0) > 0);
    EXPECT_EQ(gmpt_group_wait(&group), 0);
    return 0;
}

TEST(group, a_child_that_computes_starves_nobody) { RUN(1, child_computes); }

/* ---- errors ---- */

static int fail_with(void *args) { return *(int *)args; }

static int until_cancelled(void *args)
{
    (void)args;
    struct gmpt_context *context = gmpt_group_context(&group);
    EXPECT_EQ(gmpt_chan_recv(gmpt_context_done(context), NULL), -EPIPE);
    fetch_add_relaxed(&counter, 1);
    return gmpt_context_err(context);
}

static int first_error(void *arg)
{
    (void)arg;
    int error = -EIO, other = -EPERM;
    for (int i = 0; i < 5; i++)
        run_until_waiting(gmpt_group_go(&group, until_cancelled, NULL, 0));
    EXPECT(gmpt_group_go(&group, fail_with, &error, sizeof error) > 0);
    while (gmpt_group_go(&group, nothing, NULL, 0) != -ECANCELED)
        gmpt_yield();
    EXPECT_EQ(gmpt_group_go(&group, fail_with, &other, sizeof other), -ECANCELED);
    EXPECT_EQ(gmpt_group_wait(&group), -EIO);
    EXPECT(load_relaxed(&counter) >= 5);
    EXPECT(gmpt_group_go(&group, nothing, NULL, 0) > 0); /* as new */
    EXPECT_EQ(gmpt_context_err(gmpt_group_context(&group)), 0);
    EXPECT_EQ(gmpt_group_wait(&group), 0);
    return 0;
}

TEST(group, the_first_error_cancels_the_others) { RUN(4, first_error); }
TEST(group, the_first_error_cancels_the_others_on_one_p) { RUN(1, first_error); }

static int late_context(void *arg)
{
    (void)arg;
    int positive = 3;
    EXPECT(gmpt_group_go(&group, fail_with, &positive, sizeof positive) > 0);
    while (gmpt_group_go(&group, nothing, NULL, 0) != -ECANCELED)
        gmpt_yield();
    EXPECT_EQ(gmpt_context_err(gmpt_group_context(&group)), -ECANCELED);
    EXPECT_EQ(gmpt_group_wait(&group), 3);
    return 0;
}

TEST(group, a_context_that_is_asked_for_after_the_error_is_cancelled) { RUN(2, late_context); }

static int cancel(void *arg)
{
    (void)arg;
    struct gmpt_context *context = gmpt_context_retain(gmpt_group_context(&group));
    for (int i = 0; i < 5; i++)
        EXPECT(gmpt_group_go(&group, until_cancelled, NULL, 0) > 0);
    gmpt_group_cancel(&group);
    EXPECT_EQ(gmpt_group_go(&group, nothing, NULL, 0), -ECANCELED);
    EXPECT_EQ(gmpt_group_wait(&group), -ECANCELED); /* what the children returned */
    EXPECT_EQ(load_relaxed(&counter), 5);
    EXPECT_EQ(gmpt_context_err(context), -ECANCELED);
    gmpt_context_release(context);
    gmpt_group_cancel(&group);
    EXPECT_EQ(gmpt_group_wait(&group), 0);
    context = gmpt_context_retain(gmpt_group_context(&group));
    EXPECT_EQ(gmpt_context_err(context), 0);
    EXPECT_EQ(gmpt_group_wait(&group), 0);
    EXPECT_EQ(gmpt_context_err(context), -ECANCELED); /* it ends with the wait */
    gmpt_context_release(context);
    return 0;
}

TEST(group, is_cancelled_by_hand) { RUN(2, cancel); }

static int below_context(void *arg)
{
    (void)arg;
    static int key;
    struct gmpt_context *value = gmpt_context_with_value(gmpt_context_background(), &key, &sum);
    struct gmpt_context *parent = gmpt_context_with_cancel(value);
    gmpt_group_init(&group, parent);
    EXPECT(gmpt_context_value(gmpt_group_context(&group), &key) == &sum);
    for (int i = 0; i < 5; i++)
        EXPECT(gmpt_group_go(&group, until_cancelled, NULL, 0) > 0);
    gmpt_context_cancel(parent);
    EXPECT_EQ(gmpt_group_go(&group, nothing, NULL, 0), -ECANCELED);
    EXPECT_EQ(gmpt_group_wait(&group), -ECANCELED);
    EXPECT_EQ(gmpt_group_go(&group, nothing, NULL, 0), -ECANCELED); /* the parent stays cancelled */
    EXPECT_EQ(gmpt_group_wait(&group), 0);
    gmpt_context_release(parent);
    gmpt_context_release(value);
    return 0;
}

TEST(group, is_cancelled_with_its_parent) { RUN(2, below_context); }

static int maybe_fail(void *args)
{
    int i = *(int *)args;
    if (i % 2)
        gmpt_yield();
    if (i % 5 == 0)
        EXPECT(gmpt_group_context(&group) != NULL);
    fetch_add_relaxed(&counter, 1);
    return i % 7 == 3 ? -1000 - i : 0;
}

/* Errors, contexts and ends of children in every order. */
static int race_errors(void *arg)
{
    (void)arg;
    int64_t started = 0;
    for (int round = 0; round < ROUNDS / 4; round++) {
        for (int i = 0; i < 10; i++) {
            int value = round + i;
            int64_t id = gmpt_group_go(&group, maybe_fail, &value, sizeof value);
            EXPECT(id > 0 || id == -ECANCELED);
            started += id > 0;
        }
        int error = gmpt_group_wait(&group);
        EXPECT(error != 0 && (-error - 1000) % 7 == 3);
    }
    EXPECT_EQ(load_relaxed(&counter), started);
    return 0;
}

TEST(group, errors_race_with_starts_and_ends) { RUN(4, race_errors); }

/* ---- limits ---- */

static int measure(void *args)
{
    (void)args;
    int64_t now = fetch_add_relaxed(&running, 1) + 1, before = load_relaxed(&most);
    while (before < now && !cas_acq_rel(&most, &before, now))
        ;
    gmpt_yield();
    if (now % 2)
        gmpt_sleep(1000);
    fetch_add_relaxed(&running, -1);
    fetch_add_relaxed(&counter, 1);
    return 0;
}

static int limit(void *arg)
{
    (void)arg;
    gmpt_group_set_limit(&group, 3);
    for (int round = 1; round <= 3; round++) {
        for (int i = 0; i < 100; i++)
            EXPECT(gmpt_group_go(&group, measure, NULL, 0) > 0);
        EXPECT_EQ(gmpt_group_wait(&group), 0);
        EXPECT_EQ(load_relaxed(&counter), 100 * round);
    }
    EXPECT(load_relaxed(&most) <= 3);
    gmpt_group_set_limit(&group, 0);
    for (int i = 0; i < 10; i++)
        EXPECT(gmpt_group_go(&group, measure, NULL, 0) > 0);
    EXPECT_EQ(gmpt_group_wait(&group), 0);
    return 0;
}

TEST(group, no_more_run_than_the_limit_allows) { RUN(4, limit); }
TEST(group, no_more_run_than_the_limit_allows_on_one_p) { RUN(1, limit); }

static int wait_at_gate(void *args)
{
    (void)args;
    gmpt_chan_recv(gate, NULL);
    return 0;
}

static void start_when_allowed(void *args)
{
    (void)args;
    EXPECT_EQ(gmpt_group_go(&group, nothing, NULL, 0), -ECANCELED);
    fetch_add_relaxed(&sum, 1);
}

static int cancel_starters(void *arg)
{
    (void)arg;
    gate = gmpt_chan_new(0, 0);
    gmpt_group_set_limit(&group, 2);
    EXPECT(gmpt_group_try_go(&group, wait_at_gate, NULL, 0) > 0);
    EXPECT(gmpt_group_try_go(&group, wait_at_gate, NULL, 0) > 0);
    EXPECT_EQ(gmpt_group_try_go(&group, nothing, NULL, 0), -EAGAIN);
    for (int i = 0; i < 3; i++)
        run_until_waiting(gmpt_go(start_when_allowed, NULL, 0));
    gmpt_group_cancel(&group);
    while (load_acquire(&sum) < 3)
        gmpt_yield();
    gmpt_chan_close(gate);
    EXPECT_EQ(gmpt_group_wait(&group), 0);
    EXPECT_EQ(load_relaxed(&counter), 0);
    EXPECT(gmpt_group_try_go(&group, nothing, NULL, 0) > 0); /* both places are free again */
    EXPECT(gmpt_group_try_go(&group, nothing, NULL, 0) > 0);
    EXPECT_EQ(gmpt_group_wait(&group), 0);
    gmpt_chan_release(gate);
    return 0;
}

TEST(group, a_cancel_wakes_who_waits_to_start) { RUN(2, cancel_starters); }

/* A place that was refused for another reason is given back. */
static int refused(void *arg)
{
    (void)arg;
    uint8_t large[5000] = { 0 };
    gmpt_group_set_limit(&group, 1);
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(gmpt_group_go(&group, nothing, large, sizeof large), -E2BIG);
    EXPECT(gmpt_group_try_go(&group, nothing, NULL, 0) > 0);
    EXPECT_EQ(gmpt_group_wait(&group), 0);
    return 0;
}

TEST(group, a_start_that_fails_takes_no_place) { RUN(1, refused); }

static int spawn_more(void *args)
{
    int left = *(int *)args - 1;
    if (left > 0)
        for (int i = 0; i < 3; i++)
            EXPECT(gmpt_group_go(&group, spawn_more, &left, sizeof left) > 0);
    fetch_add_relaxed(&counter, 1);
    return 0;
}

static int children_start_others(void *arg)
{
    (void)arg;
    int levels = 7;
    EXPECT(gmpt_group_go(&group, spawn_more, &levels, sizeof levels) > 0);
    EXPECT_EQ(gmpt_group_wait(&group), 0);
    EXPECT_EQ(load_relaxed(&counter), (2187 - 1) / 2);
    return 0;
}

TEST(group, children_may_start_others) { RUN(4, children_start_others); }

static int limit_while_running(void *arg)
{
    (void)arg;
    gate = gmpt_chan_new(0, 0);
    gmpt_group_go(&group, wait_at_gate, NULL, 0);
    gmpt_group_set_limit(&group, 2);
    return 0;
}

static void child_limit(void) { run_on(1, limit_while_running); }

TEST(group, a_limit_while_children_run_ends_the_program)
{
    char err[512];
    ck_assert_int_ne(run_child(child_limit, err, sizeof err), 0);
    ck_assert_ptr_nonnull(strstr(err, "set_limit"));
}
