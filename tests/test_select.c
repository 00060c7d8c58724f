/* Select: one case of those that can go on, and only one. */
#include "run.h"

#include "runtime/runtime.h"

#include <string.h>

static struct gmpt_chan *a, *b;
static struct gmpt_waitgroup group;
static int chosen, result;
static uint64_t got;
static ATOMIC(int64_t) sum, received;

static struct gmpt_select_case recv_case(struct gmpt_chan *chan, void *value)
{
    return (struct gmpt_select_case){ chan, GMPT_RECV, value, 77 };
}

static struct gmpt_select_case send_case(struct gmpt_chan *chan, void *value)
{
    return (struct gmpt_select_case){ chan, GMPT_SEND, value, 77 };
}

static void make(size_t capacity)
{
    a = gmpt_chan_new(sizeof(uint64_t), capacity);
    b = gmpt_chan_new(sizeof(uint64_t), capacity);
    EXPECT(a && b);
}

static void drop(void)
{
    gmpt_chan_release(a);
    gmpt_chan_release(b);
}

/* ---- at once ---- */

static int ready_at_once(void *arg)
{
    (void)arg;
    uint64_t in = 5, out = 0;
    make(1);
    EXPECT_EQ(gmpt_chan_send(b, &in), 0);
    struct gmpt_select_case cases[] = { recv_case(a, &out), recv_case(b, &out) };
    EXPECT_EQ(gmpt_select(cases, 2), 1);
    EXPECT_EQ(cases[1].result, 0);
    EXPECT_EQ(cases[0].result, 77); /* the others are left alone */
    EXPECT_EQ(out, 5);
    struct gmpt_select_case sends[] = { send_case(NULL, &in), send_case(a, &in) };
    EXPECT_EQ(gmpt_select(sends, 2), 1);
    EXPECT_EQ(gmpt_chan_len(a), 1);
    drop();
    return 0;
}

TEST(select, takes_the_case_that_is_ready) { RUN(1, ready_at_once); }

static int tries(void *arg)
{
    (void)arg;
    uint64_t value = 3;
    make(1);
    struct gmpt_select_case cases[] = { recv_case(a, &value), recv_case(b, &value) };
    EXPECT_EQ(gmpt_try_select(cases, 2), -EAGAIN);
    EXPECT_EQ(gmpt_try_select(NULL, 0), -EAGAIN);
    cases[0].chan = cases[1].chan = NULL;
    EXPECT_EQ(gmpt_try_select(cases, 2), -EAGAIN);
    EXPECT_EQ(gmpt_chan_send(b, &value), 0);
    cases[1].chan = b;
    EXPECT_EQ(gmpt_try_select(cases, 2), 1);
    drop();
    return 0;
}

TEST(select, try_never_blocks) { RUN(1, tries); }

static int too_many(void *arg)
{
    (void)arg;
    uint64_t value = 9;
    static struct gmpt_select_case cases[65];
    make(1);
    for (int i = 0; i < 65; i++)
        cases[i] = recv_case(i % 2 ? a : b, &value);
    EXPECT_EQ(gmpt_select(cases, 65), -EINVAL);
    EXPECT_EQ(gmpt_try_select(cases, 65), -EINVAL);
    EXPECT_EQ(gmpt_select(cases, -1), -EINVAL);
    EXPECT_EQ(gmpt_chan_send(a, &value), 0);
    EXPECT_EQ(gmpt_select(cases, 64) % 2, 1);
    drop();
    return 0;
}

TEST(select, takes_64_cases_and_no_more) { RUN(1, too_many); }

static int fair(void *arg)
{
    (void)arg;
    uint64_t value = 1;
    int counts[3] = { 0 };
    make(1);
    struct gmpt_chan *c = gmpt_chan_new(sizeof value, 1);
    gmpt_chan_close(a);
    gmpt_chan_close(b);
    gmpt_chan_close(c);
    for (int i = 0; i < 3000; i++) {
        struct gmpt_select_case cases[] = { recv_case(a, &value), recv_case(b, &value), recv_case(c, &value) };
        int index = gmpt_select(cases, 3);
        if (EXPECT(index >= 0 && index < 3))
            counts[index]++;
    }
    for (int i = 0; i < 3; i++)
        EXPECT(counts[i] > 600); /* a fair choice falls below that once in 10^50 runs */
    gmpt_chan_release(c);
    drop();
    return 0;
}

TEST(select, chooses_by_chance_among_those_ready) { RUN(1, fair); }

static int closed_cases(void *arg)
{
    (void)arg;
    uint64_t value = 9;
    make(0);
    gmpt_chan_close(b);
    struct gmpt_select_case cases[] = { recv_case(a, &value), recv_case(b, &value) };
    EXPECT_EQ(gmpt_select(cases, 2), 1);
    EXPECT_EQ(cases[1].result, -EPIPE);
    EXPECT_EQ(value, 0);
    cases[1] = send_case(b, &value);
    EXPECT_EQ(gmpt_select(cases, 2), 1);
    EXPECT_EQ(cases[1].result, -EPIPE);
    drop();
    return 0;
}

TEST(select, a_closed_channel_is_ready_with_epipe) { RUN(1, closed_cases); }

static int passed_deadline(void *arg)
{
    (void)arg;
    uint64_t value = 4;
    make(1);
    struct gmpt_select_case cases[] = { recv_case(a, &value), recv_case(b, &value) };
    EXPECT_EQ(gmpt_select_until(cases, 2, 0), -ETIMEDOUT);
    EXPECT_EQ(gmpt_select_until(cases, 2, INT64_MIN), -ETIMEDOUT);
    EXPECT_EQ(gmpt_select_until(NULL, 0, 0), -ETIMEDOUT);
    EXPECT_EQ(gmpt_chan_send(a, &value), 0);
    EXPECT_EQ(gmpt_select_until(cases, 2, 0), 0); /* need not wait */
    drop();
    return 0;
}

TEST(select, a_deadline_that_has_passed_fails_only_what_must_wait) { RUN(1, passed_deadline); }

/* ---- waiting ---- */

static void wait_on_two(void *p)
{
    (void)p;
    struct gmpt_select_case cases[] = { recv_case(a, &got), recv_case(b, &got) };
    chosen = gmpt_select(cases, 2);
    result = chosen >= 0 ? cases[chosen].result : 0;
    gmpt_waitgroup_done(&group);
}

static void start_waiting(void (*fn)(void *))
{
    gmpt_waitgroup_add(&group, 1);
    run_until_waiting(gmpt_go(fn, NULL, 0));
}

static int woken_by_send(void *arg)
{
    (void)arg;
    make(0);
    for (uint64_t i = 0; i < 2; i++) {
        uint64_t value = 10 + i;
        start_waiting(wait_on_two);
        EXPECT_EQ(gmpt_chan_send(i ? b : a, &value), 0);
        gmpt_waitgroup_wait(&group);
        EXPECT_EQ(chosen, i);
        EXPECT_EQ(result, 0);
        EXPECT_EQ(got, value);
    }
    drop();
    return 0;
}

TEST(select, a_send_to_any_channel_wakes_it) { RUN(2, woken_by_send); }

static void wait_to_send_two(void *p)
{
    (void)p;
    uint64_t one = 1, two = 2;
    struct gmpt_select_case cases[] = { send_case(a, &one), send_case(b, &two) };
    chosen = gmpt_select(cases, 2);
    result = chosen >= 0 ? cases[chosen].result : 0;
    gmpt_waitgroup_done(&group);
}

static int woken_by_receive(void *arg)
{
    (void)arg;
    make(0);
    for (uint64_t i = 0; i < 2; i++) {
        uint64_t value = 0;
        start_waiting(wait_to_send_two);
        EXPECT_EQ(gmpt_chan_recv(i ? b : a, &value), 0);
        gmpt_waitgroup_wait(&group);
        EXPECT_EQ(chosen, i);
        EXPECT_EQ(value, i + 1);
        EXPECT_EQ(gmpt_chan_try_recv(i ? a : b, &value), -EAGAIN); /* the other case has sent nothing */
    }
    drop();
    return 0;
}

TEST(select, sends_one_value_only) { RUN(2, woken_by_receive); }

static int woken_by_close(void *arg)
{
    (void)arg;
    make(0);
    got = 99;
    start_waiting(wait_on_two);
    EXPECT_EQ(gmpt_chan_close(b), 0);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(chosen, 1);
    EXPECT_EQ(result, -EPIPE);
    EXPECT_EQ(got, 0);
    drop();
    make(0);
    start_waiting(wait_to_send_two);
    EXPECT_EQ(gmpt_chan_close(a), 0);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(chosen, 0);
    EXPECT_EQ(result, -EPIPE);
    drop();
    return 0;
}

TEST(select, close_wakes_it_with_epipe) { RUN(2, woken_by_close); }

static int times_out(void *arg)
{
    (void)arg;
    uint64_t value;
    make(0);
    struct gmpt_select_case cases[] = { recv_case(a, &value), send_case(b, &value) };
    int64_t deadline = gmpt_now() + 2000000;
    EXPECT_EQ(gmpt_select_until(cases, 2, deadline), -ETIMEDOUT);
    EXPECT(gmpt_now() >= deadline);
    EXPECT_EQ(gmpt_chan_try_send(a, &value), -EAGAIN); /* it has left both queues */
    EXPECT_EQ(gmpt_chan_try_recv(b, &value), -EAGAIN);
    deadline = gmpt_now() + 2000000;
    EXPECT_EQ(gmpt_select_until(NULL, 0, deadline), -ETIMEDOUT);
    EXPECT(gmpt_now() >= deadline);
    drop();
    return 0;
}

TEST(select, a_deadline_ends_the_wait_and_leaves_the_queues) { RUN(2, times_out); }

static void wait_on_nothing(void *p)
{
    (void)p;
    struct gmpt_select_case none = recv_case(NULL, NULL);
    gmpt_select(&none, *(int *)p);
    chosen = 1;
}

static int nothing_blocks(void *arg)
{
    (void)arg;
    run_waits_for_ever(wait_on_nothing);
    run_until_waiting(gmpt_go(wait_on_nothing, &(int){ 0 }, sizeof(int)));
    run_until_waiting(gmpt_go(wait_on_nothing, &(int){ 1 }, sizeof(int)));
    for (int i = 0; i < 100; i++)
        gmpt_yield();
    EXPECT_EQ(chosen, 0);
    return 0;
}

TEST(select, without_channels_it_blocks_for_ever) { RUN(1, nothing_blocks); }

static void wait_twice_on_one(void *p)
{
    (void)p;
    struct gmpt_select_case cases[] = { recv_case(a, &got), recv_case(a, &got), recv_case(a, &got) };
    chosen = gmpt_select(cases, 3);
    gmpt_waitgroup_done(&group);
}

static int same_channel(void *arg)
{
    (void)arg;
    uint64_t value = 12;
    make(0);
    start_waiting(wait_twice_on_one);
    EXPECT_EQ(gmpt_chan_send(a, &value), 0);
    gmpt_waitgroup_wait(&group);
    EXPECT(chosen >= 0 && chosen < 3);
    EXPECT_EQ(got, 12);
    EXPECT_EQ(gmpt_chan_try_send(a, &value), -EAGAIN); /* the other two are gone */
    drop();
    return 0;
}

TEST(select, one_channel_may_stand_in_several_cases) { RUN(2, same_channel); }

static void wait_on_both_ends(void *p)
{
    (void)p;
    uint64_t mine = 50;
    struct gmpt_select_case cases[] = { send_case(a, &mine), recv_case(a, &got) };
    chosen = gmpt_select(cases, 2);
    gmpt_waitgroup_done(&group);
}

static int both_ends(void *arg)
{
    (void)arg;
    uint64_t value = 60;
    make(0);
    start_waiting(wait_on_both_ends); /* it must not serve itself */
    EXPECT_EQ(gmpt_chan_send(a, &value), 0);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(chosen, 1);
    EXPECT_EQ(got, 60);
    start_waiting(wait_on_both_ends);
    EXPECT_EQ(gmpt_chan_recv(a, &value), 0);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(chosen, 0);
    EXPECT_EQ(value, 50);
    drop();
    return 0;
}

TEST(select, it_does_not_serve_itself) { RUN(2, both_ends); }

/* A waiter that another channel has woken must not take a second value. */
static int stale_waiter(void *arg)
{
    (void)arg;
    uint64_t value = 1;
    make(0);
    for (int i = 0; i < 100; i++) {
        start_waiting(wait_on_two);
        /* On one P the G is not run in between: its waiter is still in b's queue at the second send. */
        EXPECT_EQ(gmpt_chan_try_send(a, &value), 0);
        EXPECT_EQ(gmpt_chan_try_send(b, &value), -EAGAIN);
        EXPECT_EQ(gmpt_chan_close(b), 0);
        gmpt_waitgroup_wait(&group);
        EXPECT_EQ(chosen, 0);
        EXPECT_EQ(result, 0);
        gmpt_chan_release(b);
        b = gmpt_chan_new(sizeof value, 0);
    }
    drop();
    return 0;
}

TEST(select, one_that_was_woken_takes_nothing_more) { RUN(1, stale_waiter); }

/* ---- many ---- */

#define ROUNDS (UNDER_SANITIZER ? 500 : 5000)

/* Two selects that each can only be served by the other, with their channels in either order. */
static void cross(void *p)
{
    bool swapped = *(int *)p;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t out = (uint64_t)i, in;
        struct gmpt_chan *mine = swapped ? b : a, *theirs = swapped ? a : b;
        struct gmpt_select_case cases[] = { send_case(mine, &out), recv_case(theirs, &in) };
        int index = gmpt_select(cases, 2);
        EXPECT(index == 0 || index == 1);
        EXPECT_EQ(cases[index].result, 0);
        if (index == 0)
            fetch_add_relaxed(&sum, (int64_t)out);
        else
            fetch_add_relaxed(&received, (int64_t)in);
    }
    gmpt_waitgroup_done(&group);
}

static int crossing(void *arg)
{
    (void)arg;
    make(0);
    gmpt_waitgroup_add(&group, 2);
    EXPECT(gmpt_go(cross, &(int){ 0 }, sizeof(int)) > 0);
    EXPECT(gmpt_go(cross, &(int){ 1 }, sizeof(int)) > 0);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(load_relaxed(&sum), load_relaxed(&received));
    drop();
    return 0;
}

TEST(select, two_selects_serve_each_other) { RUN(2, crossing); }

#define CHANS 5
#define WORKERS 12

static struct gmpt_chan *chans[CHANS];

static void mix(void *p)
{
    uint32_t random_state = (uint32_t)*(int *)p * 7919 + 1;
    for (int i = 0; i < ROUNDS; i++) {
        struct gmpt_select_case cases[4];
        uint64_t out[4], in;
        for (int c = 0; c < 4; c++) {
            uint32_t r = random_next(&random_state);
            out[c] = r % 1000;
            cases[c] = r & 1024 ? send_case(chans[r / 2048 % CHANS], &out[c]) : recv_case(chans[r / 2048 % CHANS], &in);
        }
        int index = gmpt_select_until(cases, 4, gmpt_now() + random_next(&random_state) % 30000);
        if (index == -ETIMEDOUT)
            continue;
        if (!EXPECT(index >= 0 && index < 4))
            break;
        if (cases[index].op == GMPT_SEND)
            fetch_add_relaxed(&sum, (int64_t)out[index]);
        else
            fetch_add_relaxed(&received, (int64_t)in);
    }
    gmpt_waitgroup_done(&group);
}

static int mixed(size_t capacity)
{
    uint64_t value;
    for (int i = 0; i < CHANS; i++)
        chans[i] = gmpt_chan_new(sizeof value, capacity);
    gmpt_waitgroup_add(&group, WORKERS);
    for (int i = 0; i < WORKERS; i++)
        EXPECT(gmpt_go(mix, &i, sizeof i) > 0);
    gmpt_waitgroup_wait(&group);
    for (int i = 0; i < CHANS; i++) {
        while (gmpt_chan_try_recv(chans[i], &value) == 0)
            fetch_add_relaxed(&received, (int64_t)value);
        gmpt_chan_release(chans[i]);
    }
    EXPECT_EQ(load_relaxed(&sum), load_relaxed(&received));
    return 0;
}

static int mixed_unbuffered(void *arg) { return mixed(arg ? 1 : 0); }
static int mixed_buffered(void *arg) { return mixed(arg ? 1 : 3); }

TEST(select, many_with_deadlines_lose_nothing_unbuffered) { RUN(4, mixed_unbuffered); }
TEST(select, many_with_deadlines_lose_nothing_buffered) { RUN(4, mixed_buffered); }
