/* Contexts: who is cancelled with whom, why, and what is left of them. */
#include "run.h"

#include "runtime/runtime.h"

#include <errno.h>
#include <string.h>

#define HOUR 3600000000000ll
#define ROUNDS (UNDER_SANITIZER ? 200 : 2000)

static ATOMIC(int64_t) counter;
static struct gmpt_waitgroup ended;

static int background(void *arg)
{
    (void)arg;
    struct gmpt_context *root = gmpt_context_background();
    EXPECT(root == gmpt_context_background());
    EXPECT_EQ(gmpt_context_err(root), 0);
    EXPECT_EQ(gmpt_context_cause(root), 0);
    EXPECT(gmpt_context_done(root) == NULL);
    EXPECT(gmpt_context_value(root, &counter) == NULL);
    EXPECT_EQ(gmpt_context_deadline(root), GMPT_NEVER);
    gmpt_context_release(gmpt_context_retain(root));
    gmpt_context_release(root);
    gmpt_context_release(root); /* need not be, but may */
    gmpt_context_release(NULL);
    return 0;
}

TEST(context, the_background_is_never_cancelled) { RUN(1, background); }

static int cancel_once(void *arg)
{
    (void)arg;
    struct gmpt_context *context = gmpt_context_with_cancel(gmpt_context_background());
    EXPECT_EQ(gmpt_context_err(context), 0);
    EXPECT_EQ(gmpt_chan_try_recv(gmpt_context_done(context), NULL), -EAGAIN);
    gmpt_context_cancel(context);
    EXPECT_EQ(gmpt_context_err(context), -ECANCELED);
    EXPECT_EQ(gmpt_context_cause(context), -ECANCELED);
    EXPECT(strcmp(gmpt_context_cause_text(context), "") == 0);
    EXPECT_EQ(gmpt_chan_try_recv(gmpt_context_done(context), NULL), -EPIPE);
    gmpt_context_cancel_cause(context, -EIO, "too late");
    EXPECT_EQ(gmpt_context_cause(context), -ECANCELED);
    EXPECT(strcmp(gmpt_context_cause_text(context), "") == 0);
    gmpt_context_release(context);
    return 0;
}

TEST(context, is_cancelled_once) { RUN(2, cancel_once); }

static int cause(void *arg)
{
    (void)arg;
    char text[] = "the disk is on fire";
    struct gmpt_context *top = gmpt_context_with_cancel(gmpt_context_background());
    struct gmpt_context *middle = gmpt_context_with_cancel(top), *below = gmpt_context_with_cancel(middle);
    gmpt_context_cancel_cause(middle, -EIO, text);
    memset(text, 'x', sizeof text - 1);
    struct gmpt_context *late = gmpt_context_with_timeout(below, HOUR);
    struct gmpt_context *all[] = { middle, below, late };
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(gmpt_context_err(all[i]), -ECANCELED);
        EXPECT_EQ(gmpt_context_cause(all[i]), -EIO);
    }
    EXPECT_EQ(gmpt_context_err(top), 0);
    gmpt_context_release(middle); /* the text stays as long as somebody below does */
    gmpt_context_release(below);
    gmpt_context_release(top);
    EXPECT(strcmp(gmpt_context_cause_text(late), "the disk is on fire") == 0);
    gmpt_context_release(late);
    return 0;
}

TEST(context, the_cause_goes_down_with_the_cancel) { RUN(2, cause); }

static int deadlines(void *arg)
{
    (void)arg;
    struct gmpt_context *root = gmpt_context_background();
    static const int64_t past[] = { INT64_MIN, -1, 0 };
    for (int i = 0; i < 3; i++) {
        struct gmpt_context *context = gmpt_context_with_timeout(root, past[i]);
        EXPECT_EQ(gmpt_context_err(context), -ETIMEDOUT);
        EXPECT_EQ(gmpt_context_cause(context), -ETIMEDOUT);
        EXPECT_EQ(gmpt_chan_try_recv(gmpt_context_done(context), NULL), -EPIPE);
        gmpt_context_release(context);
    }
    int64_t deadline = gmpt_now() + 1000000;
    struct gmpt_context *soon = gmpt_context_with_deadline(root, deadline);
    struct gmpt_context *below = gmpt_context_with_timeout(soon, HOUR); /* the parent's comes first */
    EXPECT_EQ(gmpt_context_deadline(soon), deadline);
    EXPECT_EQ(gmpt_context_deadline(below), deadline);
    EXPECT_EQ(gmpt_chan_recv(gmpt_context_done(below), NULL), -EPIPE);
    EXPECT(gmpt_now() >= deadline);
    EXPECT_EQ(gmpt_context_err(below), -ETIMEDOUT);
    EXPECT_EQ(gmpt_context_err(soon), -ETIMEDOUT);
    gmpt_context_release(below);
    gmpt_context_release(soon);
    struct gmpt_context *far = gmpt_context_with_timeout(root, INT64_MAX);
    EXPECT_EQ(gmpt_context_deadline(far), GMPT_NEVER);
    gmpt_context_release(far);
    far = gmpt_context_with_timeout(root, HOUR);
    gmpt_context_cancel(far);
    EXPECT_EQ(gmpt_context_err(far), -ECANCELED);
    gmpt_context_release(far);
    gmpt_context_release(gmpt_context_with_timeout(root, HOUR)); /* never cancelled */
    return 0;
}

TEST(context, a_deadline_cancels) { RUN(2, deadlines); }
TEST(context, a_deadline_cancels_on_one_p) { RUN(1, deadlines); }

static int values(void *arg)
{
    (void)arg;
    static int a, b, c;
    int one = 1, two = 2;
    struct gmpt_context *root = gmpt_context_background();
    struct gmpt_context *first = gmpt_context_with_value(root, &a, &one);
    struct gmpt_context *second = gmpt_context_with_value(first, &b, &two);
    struct gmpt_context *third = gmpt_context_with_cancel(second);
    struct gmpt_context *fourth = gmpt_context_with_value(third, &a, &two);
    EXPECT(gmpt_context_value(fourth, &a) == &two);
    EXPECT(gmpt_context_value(third, &a) == &one);
    EXPECT(gmpt_context_value(fourth, &b) == &two);
    EXPECT(gmpt_context_value(fourth, &c) == NULL);
    EXPECT(gmpt_context_value(fourth, NULL) == NULL);
    EXPECT(gmpt_context_with_value(fourth, NULL, &one) == NULL && errno == EINVAL);
    gmpt_context_cancel(first);
    EXPECT_EQ(gmpt_context_err(fourth), -ECANCELED);
    EXPECT(gmpt_context_value(fourth, &a) == &two);
    gmpt_context_release(first);
    gmpt_context_release(second);
    gmpt_context_release(third);
    EXPECT(gmpt_context_value(fourth, &b) == &two);
    gmpt_context_release(fourth);
    return 0;
}

TEST(context, a_value_is_found_by_its_key_from_below) { RUN(1, values); }

/* ---- trees ---- */

static int deep(void *arg)
{
    (void)arg;
    enum { DEPTH = 100000 };
    struct gmpt_context *top = gmpt_context_with_cancel(gmpt_context_background());
    struct gmpt_context *last = gmpt_context_retain(top);
    for (int i = 0; i < DEPTH; i++) {
        struct gmpt_context *next = gmpt_context_with_cancel(last);
        gmpt_context_release(last);
        last = next;
    }
    gmpt_context_cancel(top);
    EXPECT_EQ(gmpt_context_err(last), -ECANCELED);
    gmpt_context_release(last); /* the whole chain goes */
    gmpt_context_release(top);
    return 0;
}

TEST(context, a_chain_of_any_length_is_cancelled_and_freed) { RUN(2, deep); }

static void wait_done(void *args)
{
    struct gmpt_context *context = *(struct gmpt_context **)args;
    EXPECT_EQ(gmpt_chan_recv(gmpt_context_done(context), NULL), -EPIPE);
    EXPECT_EQ(gmpt_context_err(context), -ECANCELED);
    gmpt_context_release(context);
    fetch_add_relaxed(&counter, 1);
    gmpt_waitgroup_done(&ended);
}

static int wide(void *arg)
{
    (void)arg;
    enum { WIDTH = 300 };
    struct gmpt_context *top = gmpt_context_with_cancel(gmpt_context_background());
    gmpt_waitgroup_add(&ended, WIDTH);
    for (int i = 0; i < WIDTH; i++) {
        struct gmpt_context *child = i % 2 ? gmpt_context_with_cancel(top) : gmpt_context_with_timeout(top, HOUR);
        int64_t id = gmpt_go(wait_done, &child, sizeof child);
        EXPECT(id > 0);
        if (i % 3 == 0)
            run_until_waiting(id);
    }
    EXPECT_EQ(load_relaxed(&counter), 0);
    gmpt_context_cancel(top);
    gmpt_waitgroup_wait(&ended);
    EXPECT_EQ(load_relaxed(&counter), WIDTH);
    gmpt_context_release(top);
    return 0;
}

TEST(context, all_who_wait_below_are_woken) { RUN(4, wide); }

/* ---- races ---- */

/* Children come, end and are freed while their parent is cancelled, by hand or by its deadline. */
static struct gmpt_context *parent;

static void come_and_go(void *args)
{
    uint32_t random_state = *(uint32_t *)args;
    for (int i = 0; i < 20; i++) {
        struct gmpt_context *child = random_next(&random_state) % 2
                                         ? gmpt_context_with_cancel(parent)
                                         : gmpt_context_with_timeout(parent, random_next(&random_state) % 20000);
        struct gmpt_context *below = gmpt_context_with_cancel(child);
        if (random_next(&random_state) % 4 == 0)
            gmpt_yield();
        if (random_next(&random_state) % 3 == 0)
            gmpt_context_cancel_cause(child, -EIO, "because");
        int err = gmpt_context_err(child);
        if (err) { /* what is below is cancelled too, or will be, for the same reason */
            EXPECT_EQ(gmpt_chan_recv(gmpt_context_done(below), NULL), -EPIPE);
            EXPECT_EQ(gmpt_context_err(below), err);
            EXPECT_EQ(gmpt_context_cause(below), gmpt_context_cause(child));
            EXPECT(strcmp(gmpt_context_cause_text(below), gmpt_context_cause_text(child)) == 0);
        }
        bool child_first = random_next(&random_state) % 2;
        gmpt_context_release(child_first ? child : below);
        gmpt_context_release(child_first ? below : child);
    }
    gmpt_waitgroup_done(&ended);
}

static int race_cancel(void *arg)
{
    (void)arg;
    uint32_t random_state = 31337;
    for (int i = 0; i < ROUNDS / 10; i++) {
        bool timed = i % 2;
        parent = timed ? gmpt_context_with_timeout(gmpt_context_background(), random_next(&random_state) % 50000)
                       : gmpt_context_with_cancel(gmpt_context_background());
        gmpt_waitgroup_add(&ended, 4);
        for (int j = 0; j < 4; j++) {
            uint32_t seed = random_next(&random_state);
            EXPECT(gmpt_go(come_and_go, &seed, sizeof seed) > 0);
        }
        int64_t spin_until = gmpt_now() + random_next(&random_state) % 50000;
        while (gmpt_now() < spin_until)
            gmpt_yield();
        if (!timed)
            gmpt_context_cancel(parent);
        gmpt_waitgroup_wait(&ended);
        if (!timed)
            EXPECT_EQ(gmpt_context_err(parent), -ECANCELED);
        gmpt_context_release(parent);
    }
    return 0;
}

TEST(context, children_come_and_go_while_the_parent_is_cancelled) { RUN(4, race_cancel); }
TEST(context, children_come_and_go_on_one_p) { RUN(1, race_cancel); }

/* A child that is cancelled on its own account while its parent's cancel is on the way to it takes nobody along. */
enum { SIBLINGS = 300 };
static struct gmpt_context *siblings[SIBLINGS];

static void cancel_some(void *args)
{
    uint32_t start = *(uint32_t *)args;
    store_release(&counter, 1);
    while (!gmpt_context_err(parent)) /* on a thread of its own: the time that the parent's cancel takes is short */
        cpu_relax();
    for (uint32_t i = 0; i < SIBLINGS; i += 10)
        gmpt_context_cancel(siblings[(start + i) % SIBLINGS]);
    gmpt_waitgroup_done(&ended);
}

static int race_siblings(void *arg)
{
    (void)arg;
    uint32_t random_state = 4711;
    for (int i = 0; i < ROUNDS * 2; i++) {
        parent = gmpt_context_with_cancel(gmpt_context_background());
        for (int j = 0; j < SIBLINGS; j++)
            siblings[j] = gmpt_context_with_cancel(parent);
        gmpt_waitgroup_add(&ended, 1);
        store_relaxed(&counter, 0);
        uint32_t start = random_next(&random_state) % SIBLINGS;
        EXPECT(gmpt_go(cancel_some, &start, sizeof start) > 0);
        while (!load_acquire(&counter))
            cpu_relax();
        gmpt_context_cancel(parent);
        gmpt_waitgroup_wait(&ended);
        for (int j = 0; j < SIBLINGS; j++) {
            EXPECT_EQ(gmpt_context_err(siblings[j]), -ECANCELED);
            gmpt_context_release(siblings[j]);
        }
        gmpt_context_release(parent);
    }
    return 0;
}

TEST(context, a_child_that_is_cancelled_meanwhile_keeps_its_siblings) { RUN(4, race_siblings); }

/* Each is released or cancelled about when its deadline fires. */
static int race_deadline(void *arg)
{
    (void)arg;
    uint32_t random_state = 9;
    for (int i = 0; i < ROUNDS; i++) {
        int64_t ns = random_next(&random_state) % 4000;
        int64_t spin_until = gmpt_now() + random_next(&random_state) % 6000;
        struct gmpt_context *context = gmpt_context_with_timeout(gmpt_context_background(), ns);
        while (gmpt_now() < spin_until)
            gmpt_yield();
        if (random_next(&random_state) % 2) {
            gmpt_context_cancel(context);
            int err = gmpt_context_err(context);
            EXPECT(err == -ECANCELED || err == -ETIMEDOUT);
            EXPECT_EQ(gmpt_context_err(context), err);
            EXPECT_EQ(gmpt_chan_try_recv(gmpt_context_done(context), NULL), -EPIPE);
        }
        gmpt_context_release(context);
    }
    return 0;
}

TEST(context, a_release_races_with_the_deadline) { RUN(4, race_deadline); }

static void cancel_with(void *args)
{
    static const char *const texts[] = { "zero", "one", "two", "three" };
    int i = *(int *)args;
    gmpt_context_cancel_cause(parent, -100 - i, texts[i]);
    int cause = gmpt_context_cause(parent); /* one has won, and its text belongs to it */
    EXPECT(cause <= -100 && cause >= -103);
    EXPECT(strcmp(gmpt_context_cause_text(parent), texts[-100 - cause]) == 0);
    gmpt_waitgroup_done(&ended);
}

static int race_causes(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS / 4; i++) {
        parent = gmpt_context_with_cancel(gmpt_context_background());
        gmpt_waitgroup_add(&ended, 4);
        for (int j = 0; j < 4; j++)
            EXPECT(gmpt_go(cancel_with, &j, sizeof j) > 0);
        gmpt_waitgroup_wait(&ended);
        gmpt_context_release(parent);
    }
    return 0;
}

TEST(context, of_several_who_cancel_one_gives_cause_and_text) { RUN(4, race_causes); }

/* ---- functions ---- */

static void count_one(void *args) { fetch_add_relaxed(&counter, *(int *)args); }

static void until_counter(int64_t count)
{
    while (load_acquire(&counter) < count)
        gmpt_sleep(10000);
}

static int after_func(void *arg)
{
    (void)arg;
    struct gmpt_context *context = gmpt_context_with_cancel(gmpt_context_background());
    int one = 1, ten = 10, hundred = 100;
    struct gmpt_timer *first = gmpt_context_after_func(context, count_one, &one, sizeof one);
    struct gmpt_timer *second = gmpt_context_after_func(context, count_one, &ten, sizeof ten);
    struct gmpt_timer *third = gmpt_context_after_func(context, count_one, &ten, sizeof ten);
    gmpt_timer_release(gmpt_context_after_func(context, count_one, &hundred, sizeof hundred));
    EXPECT(gmpt_timer_chan(first) == NULL);
    EXPECT_EQ(gmpt_timer_reset(first, 0), -EINVAL);
    EXPECT_EQ(gmpt_timer_stop(second), 1);
    EXPECT_EQ(gmpt_timer_stop(second), 0);
    EXPECT_EQ(gmpt_timer_stop(third), 1);
    gmpt_timer_release(third);
    gmpt_context_cancel(context);
    until_counter(101);
    EXPECT_EQ(gmpt_timer_stop(first), 0);
    gmpt_timer_release(first);
    gmpt_timer_release(second);
    gmpt_timer_release(gmpt_context_after_func(context, count_one, &one, sizeof one)); /* at once */
    until_counter(102);
    EXPECT_EQ(load_relaxed(&counter), 102);
    gmpt_context_release(context);
    context = gmpt_context_with_timeout(gmpt_context_background(), 100000);
    gmpt_timer_release(gmpt_context_after_func(context, count_one, &one, sizeof one));
    until_counter(103);
    gmpt_context_release(context);
    /* One that is never cancelled takes its functions with it. */
    context = gmpt_context_with_timeout(gmpt_context_background(), HOUR);
    gmpt_timer_release(gmpt_context_after_func(context, count_one, &one, sizeof one));
    struct gmpt_timer *last = gmpt_context_after_func(context, count_one, &one, sizeof one);
    gmpt_context_release(context);
    gmpt_timer_release(last);
    last = gmpt_context_after_func(gmpt_context_background(), count_one, &one, sizeof one);
    EXPECT_EQ(gmpt_timer_stop(last), 0);
    gmpt_timer_release(last);
    EXPECT_EQ(load_relaxed(&counter), 103);
    return 0;
}

TEST(context, a_function_is_started_when_it_is_cancelled) { RUN(2, after_func); }

static void cancel_parent(void *args)
{
    (void)args;
    gmpt_context_cancel(parent);
    gmpt_waitgroup_done(&ended);
}

static int race_after_func(void *arg)
{
    (void)arg;
    int64_t expected = 0;
    int one = 1;
    for (int i = 0; i < ROUNDS; i++) {
        parent = gmpt_context_with_cancel(gmpt_context_background());
        gmpt_waitgroup_add(&ended, 1);
        struct gmpt_timer *function = gmpt_context_after_func(parent, count_one, &one, sizeof one);
        EXPECT(gmpt_go(cancel_parent, NULL, 0) > 0);
        if (i % 3 == 0)
            gmpt_yield();
        expected += !gmpt_timer_stop(function);
        gmpt_timer_release(function);
        gmpt_waitgroup_wait(&ended);
        gmpt_context_release(parent);
    }
    until_counter(expected);
    gmpt_sleep(1000000);
    EXPECT_EQ(load_relaxed(&counter), expected);
    return 0;
}

TEST(context, a_function_is_started_just_when_it_was_not_stopped) { RUN(4, race_after_func); }

static int cancel_background(void *arg)
{
    (void)arg;
    gmpt_context_cancel(gmpt_context_background());
    return 0;
}

static void child_cancel_background(void) { run_on(1, cancel_background); }

TEST(context, cancelling_the_background_ends_the_program)
{
    char err[512];
    ck_assert_int_ne(run_child(child_cancel_background, err, sizeof err), 0);
    ck_assert_ptr_nonnull(strstr(err, "background"));
}
