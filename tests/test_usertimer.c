/* The user's timers: channels that receive, functions that are started, and neither once they were stopped. */
#include "run.h"

#include "runtime/runtime.h"

#include <errno.h>
#include <string.h>

#define SECOND 1000000000ll
#define HOUR (3600 * SECOND)
#define ROUNDS (UNDER_SANITIZER ? 300 : 3000)

static ATOMIC(int64_t) counter, sum;
static struct gmpt_waitgroup ended;

/* ---- channels ---- */

static int receive_when_due(void *arg)
{
    (void)arg;
    static const int64_t times[] = { INT64_MIN, -1, 0, 1, 1000, 2000000 };
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        int64_t before = gmpt_now(), value = 0;
        struct gmpt_timer *timer = gmpt_timer_new(times[i]);
        EXPECT_EQ(gmpt_chan_recv(gmpt_timer_chan(timer), &value), 0);
        EXPECT(value >= before && value <= gmpt_now());
        EXPECT(times[i] < 0 || value - before >= times[i]);
        EXPECT_EQ(gmpt_chan_try_recv(gmpt_timer_chan(timer), NULL), -EAGAIN);
        EXPECT_EQ(gmpt_timer_stop(timer), 0);
        gmpt_timer_release(timer);
    }
    gmpt_timer_release(NULL);
    return 0;
}

TEST(usertimer, its_channel_receives_the_time_when_it_is_due) { RUN(2, receive_when_due); }
TEST(usertimer, its_channel_receives_the_time_on_one_p) { RUN(1, receive_when_due); }

static int far(void *arg)
{
    (void)arg;
    struct gmpt_timer *timer = gmpt_timer_new(INT64_MAX);
    EXPECT_EQ(gmpt_chan_recv_until(gmpt_timer_chan(timer), NULL, gmpt_now() + 1000000), -ETIMEDOUT);
    EXPECT_EQ(gmpt_timer_stop(timer), 1);
    EXPECT_EQ(gmpt_timer_stop(timer), 0);
    gmpt_timer_release(timer);
    timer = gmpt_timer_new(HOUR);
    gmpt_timer_release(timer); /* is stopped with it */
    return 0;
}

TEST(usertimer, the_longest_time_does_not_overflow) { RUN(2, far); }

/* The value lies in the channel when the timer is stopped: it must not be received any more. */
static int no_stale_value(void *arg)
{
    (void)arg;
    struct gmpt_timer *timer = gmpt_timer_new(0);
    struct gmpt_chan *chan = gmpt_timer_chan(timer);
    while (gmpt_chan_len(chan) == 0)
        gmpt_yield();
    EXPECT_EQ(gmpt_timer_stop(timer), 1); /* nobody has received it */
    EXPECT_EQ(gmpt_chan_try_recv(chan, NULL), -EAGAIN);
    EXPECT_EQ(gmpt_timer_reset(timer, 0), 0);
    while (gmpt_chan_len(chan) == 0)
        gmpt_yield();
    int64_t before = gmpt_now(), value = 0;
    EXPECT_EQ(gmpt_timer_reset(timer, 1000), 1);
    EXPECT_EQ(gmpt_chan_recv(chan, &value), 0);
    EXPECT(value >= before + 1000);
    EXPECT_EQ(gmpt_chan_try_recv(chan, NULL), -EAGAIN);
    gmpt_timer_release(timer);
    return 0;
}

TEST(usertimer, after_stop_and_reset_no_value_of_before_is_received) { RUN(2, no_stale_value); }

/* The same while it fires: whatever is received was sent after the last reset. */
static int race_reset(void *arg)
{
    (void)arg;
    uint32_t random_state = 5;
    struct gmpt_timer *timer = gmpt_timer_new(0);
    struct gmpt_chan *chan = gmpt_timer_chan(timer);
    for (int i = 0; i < ROUNDS; i++) {
        int64_t ns = random_next(&random_state) % 20000, value = 0;
        int64_t spin_until = gmpt_now() + random_next(&random_state) % 20000;
        while (gmpt_now() < spin_until)
            gmpt_yield();
        int64_t before = gmpt_now();
        int result = gmpt_timer_reset(timer, ns);
        EXPECT(result == 0 || result == 1);
        switch (random_next(&random_state) % 3) {
        case 0:
            EXPECT_EQ(gmpt_chan_recv(chan, &value), 0);
            EXPECT(value - before >= ns);
            EXPECT_EQ(gmpt_chan_try_recv(chan, NULL), -EAGAIN);
            break;
        case 1:
            if (gmpt_chan_recv_until(chan, &value, before + ns / 2) == 0)
                EXPECT(value - before >= ns);
            break;
        default:
            gmpt_timer_stop(timer);
            EXPECT_EQ(gmpt_chan_try_recv(chan, NULL), -EAGAIN);
        }
    }
    gmpt_timer_release(timer);
    return 0;
}

TEST(usertimer, resets_race_with_firing) { RUN(4, race_reset); }
TEST(usertimer, resets_race_with_firing_on_one_p) { RUN(1, race_reset); }

static struct gmpt_timer *shared;

static void reset_shared(void *args)
{
    uint32_t random_state = *(uint32_t *)args;
    for (int i = 0; i < ROUNDS; i++) {
        if (random_next(&random_state) % 3 == 0)
            gmpt_timer_stop(shared);
        else
            EXPECT(gmpt_timer_reset(shared, random_next(&random_state) % 5000) >= 0);
        if (random_next(&random_state) % 4 == 0 && gmpt_timer_chan(shared))
            gmpt_chan_try_recv(gmpt_timer_chan(shared), NULL);
        if (random_next(&random_state) % 8 == 0)
            gmpt_yield();
    }
    gmpt_waitgroup_done(&ended);
}

static void race_shared(void)
{
    gmpt_waitgroup_add(&ended, 4);
    for (uint32_t seed = 1; seed <= 4; seed++)
        EXPECT(gmpt_go(reset_shared, &seed, sizeof seed) > 0);
    gmpt_waitgroup_wait(&ended);
    gmpt_timer_stop(shared);
}

static int many_share_channel(void *arg)
{
    (void)arg;
    shared = gmpt_timer_new(HOUR);
    race_shared();
    EXPECT_EQ(gmpt_chan_try_recv(gmpt_timer_chan(shared), NULL), -EAGAIN);
    EXPECT_EQ(gmpt_timer_reset(shared, 0), 0);
    EXPECT_EQ(gmpt_chan_recv(gmpt_timer_chan(shared), NULL), 0);
    gmpt_timer_release(shared);
    return 0;
}

TEST(usertimer, several_may_reset_and_stop_one) { RUN(4, many_share_channel); }

static int chan_outlives(void *arg)
{
    (void)arg;
    struct gmpt_timer *timer = gmpt_timer_new(0);
    struct gmpt_chan *chan = gmpt_chan_retain(gmpt_timer_chan(timer));
    gmpt_timer_release(timer);
    EXPECT_EQ(gmpt_chan_recv_until(chan, NULL, gmpt_now() + 1000000), -ETIMEDOUT);
    gmpt_chan_release(chan);
    return 0;
}

TEST(usertimer, a_released_one_sends_nothing_more) { RUN(2, chan_outlives); }

static int after(void *arg)
{
    (void)arg;
    int64_t before = gmpt_now(), value = 0;
    struct gmpt_chan *soon = gmpt_after(1000000), *late = gmpt_after(HOUR);
    struct gmpt_select_case cases[] = { { late, GMPT_RECV, NULL, 0 }, { soon, GMPT_RECV, &value, 0 } };
    EXPECT_EQ(gmpt_select(cases, 2), 1);
    EXPECT(value - before >= 1000000);
    gmpt_chan_release(soon);
    struct gmpt_chan *unused = gmpt_after(0); /* nobody receives, and it is released before or while it fires */
    gmpt_chan_release(unused);
    for (int i = 0; i < 100; i++) {
        struct gmpt_chan *chan = gmpt_after(i * 100);
        if (i % 2)
            EXPECT_EQ(gmpt_chan_recv(chan, NULL), 0);
        gmpt_chan_release(chan);
    }
    gmpt_sleep(1000000);
    gmpt_chan_release(late);
    return 0;
}

TEST(usertimer, after_is_a_channel_that_receives_once) { RUN(2, after); }

static void after_nothing(void *args)
{
    (void)args;
    for (int i = 0; i < 5000; i++)
        gmpt_chan_release(gmpt_after(0)); /* another P may have fired it before gmpt_after returns */
}

static int many_after_nothing(void *arg)
{
    (void)arg;
    for (int i = 0; i < 4; i++)
        EXPECT(gmpt_go(after_nothing, NULL, 0) > 0);
    while (gmpt_count() > 1)
        gmpt_sleep(100000);
    return 0;
}

TEST(usertimer, after_no_time_at_all_it_may_be_gone_as_it_is_started) { RUN(4, many_after_nothing); }

/* ---- tickers ---- */

static int tick(void *arg)
{
    (void)arg;
    int64_t began = gmpt_now(), value, last = began;
    struct gmpt_timer *ticker = gmpt_ticker_new(100000);
    for (int i = 1; i <= 20; i++) {
        EXPECT_EQ(gmpt_chan_recv(gmpt_timer_chan(ticker), &value), 0);
        EXPECT(value >= began + i * 100000);
        EXPECT(value > last);
        last = value;
    }
    EXPECT_EQ(gmpt_timer_stop(ticker), 1);
    EXPECT_EQ(gmpt_chan_recv_until(gmpt_timer_chan(ticker), NULL, gmpt_now() + 1000000), -ETIMEDOUT);
    EXPECT_EQ(gmpt_timer_reset(ticker, 0), -EINVAL);
    EXPECT_EQ(gmpt_timer_reset(ticker, 50000), 0);
    EXPECT_EQ(gmpt_chan_recv(gmpt_timer_chan(ticker), NULL), 0);
    EXPECT_EQ(gmpt_chan_recv(gmpt_timer_chan(ticker), NULL), 0);
    EXPECT_EQ(gmpt_timer_reset(ticker, HOUR), 1);
    EXPECT_EQ(gmpt_chan_try_recv(gmpt_timer_chan(ticker), NULL), -EAGAIN);
    EXPECT_EQ(gmpt_timer_reset(ticker, INT64_MAX), 1);
    gmpt_timer_release(ticker);
    gmpt_timer_release(gmpt_ticker_new(1)); /* released while it fires */
    EXPECT(gmpt_ticker_new(0) == NULL && errno == EINVAL);
    EXPECT(gmpt_ticker_new(-1) == NULL);
    return 0;
}

TEST(usertimer, a_ticker_ticks_until_it_is_stopped) { RUN(2, tick); }

/* Many periods pass before somebody looks: one value is there, and none is queued behind it. */
static int slow_receiver(void *arg)
{
    (void)arg;
    struct gmpt_timer *ticker = gmpt_ticker_new(1000);
    struct gmpt_chan *chan = gmpt_timer_chan(ticker);
    gmpt_sleep(3000000);
    EXPECT_EQ(gmpt_chan_cap(chan), 1);
    gmpt_timer_stop(ticker);
    EXPECT_EQ(gmpt_chan_try_recv(chan, NULL), -EAGAIN);
    EXPECT_EQ(gmpt_timer_reset(ticker, 1000), 0);
    gmpt_sleep(3000000);
    int64_t first, second;
    EXPECT_EQ(gmpt_chan_recv(chan, &first), 0);
    EXPECT_EQ(gmpt_chan_recv(chan, &second), 0);
    EXPECT(second > first);
    gmpt_timer_release(ticker);
    return 0;
}

TEST(usertimer, a_ticker_leaves_out_what_nobody_receives) { RUN(2, slow_receiver); }

/* ---- functions ---- */

struct numbers {
    int64_t value;
    uint8_t filling[1000];
};

static void add_number(void *args)
{
    struct numbers *numbers = args;
    for (size_t i = 0; i < sizeof numbers->filling; i++)
        EXPECT_EQ(numbers->filling[i], (uint8_t)(numbers->value + (int64_t)i));
    EXPECT_EQ((uintptr_t)args % 16, 0);
    gmpt_yield(); /* it may do what every G may */
    fetch_add_relaxed(&sum, numbers->value);
    fetch_add_relaxed(&counter, 1);
}

static struct gmpt_timer *add_in(int64_t ns, int64_t value)
{
    struct numbers numbers = { .value = value };
    for (size_t i = 0; i < sizeof numbers.filling; i++)
        numbers.filling[i] = (uint8_t)(value + (int64_t)i);
    struct gmpt_timer *timer = gmpt_after_func(ns, add_number, &numbers, sizeof numbers);
    memset(&numbers, 0xff, sizeof numbers);
    EXPECT(timer != NULL && gmpt_timer_chan(timer) == NULL);
    return timer;
}

static void until_counter(int64_t count)
{
    while (load_acquire(&counter) < count)
        gmpt_sleep(10000);
}

static int start_functions(void *arg)
{
    (void)arg;
    for (int i = 1; i <= 100; i++)
        gmpt_timer_release(add_in(i % 7 * 10000 - 10000, i)); /* runs without its handle */
    until_counter(100);
    EXPECT_EQ(load_relaxed(&sum), 5050);
    struct gmpt_timer *timer = add_in(HOUR, 7);
    EXPECT_EQ(gmpt_timer_stop(timer), 1);
    EXPECT_EQ(gmpt_timer_stop(timer), 0);
    EXPECT_EQ(gmpt_timer_reset(timer, HOUR), 0);
    EXPECT_EQ(gmpt_timer_reset(timer, 0), 1);
    until_counter(101);
    EXPECT_EQ(gmpt_timer_reset(timer, 0), 0);
    until_counter(102);
    EXPECT_EQ(load_relaxed(&sum), 5064);
    EXPECT_EQ(gmpt_timer_stop(timer), 0);
    gmpt_timer_release(timer);
    uint8_t large[4097] = { 0 };
    EXPECT(gmpt_after_func(0, add_number, large, sizeof large) == NULL && errno == E2BIG);
    return 0;
}

TEST(usertimer, a_function_is_started_with_a_copy_of_its_arguments) { RUN(2, start_functions); }
TEST(usertimer, a_function_is_started_on_one_p) { RUN(1, start_functions); }

static void count_one(void *args)
{
    (void)args;
    fetch_add_relaxed(&counter, 1);
}

/* Each is stopped about when it is due: it runs just when it could not be stopped. */
static int race_stop(void *arg)
{
    (void)arg;
    uint32_t random_state = 77;
    int64_t expected = 0;
    for (int i = 0; i < ROUNDS; i++) {
        int64_t spin_until = gmpt_now() + random_next(&random_state) % 4000;
        struct gmpt_timer *timer = gmpt_after_func(random_next(&random_state) % 4000, count_one, NULL, 0);
        while (gmpt_now() < spin_until)
            gmpt_yield();
        expected += !gmpt_timer_stop(timer);
        gmpt_timer_release(timer);
    }
    until_counter(expected);
    gmpt_sleep(1000000);
    EXPECT_EQ(load_relaxed(&counter), expected);
    return 0;
}

TEST(usertimer, a_function_runs_just_when_it_was_not_stopped) { RUN(4, race_stop); }

static int many_share_function(void *arg)
{
    (void)arg;
    shared = gmpt_after_func(HOUR, count_one, NULL, 0);
    race_shared();
    gmpt_sleep(1000000);
    int64_t before = load_relaxed(&counter);
    EXPECT_EQ(gmpt_timer_reset(shared, 0), 0);
    until_counter(before + 1);
    gmpt_timer_release(shared);
    return 0;
}

TEST(usertimer, several_may_reset_and_stop_one_with_a_function) { RUN(4, many_share_function); }
