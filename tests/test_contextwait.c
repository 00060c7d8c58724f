/* Sleeps, sends and receives that a context ends. */
#include "run.h"

#include "runtime/runtime.h"

#include <errno.h>

#define HOUR 3600000000000ll
#define ROUNDS (UNDER_SANITIZER ? 300 : 3000)

static struct gmpt_context *context;
static struct gmpt_chan *chan;
static struct gmpt_waitgroup ended, receivers_ended;
static ATOMIC(int64_t) sent, received;

static void cancel_later(void *args)
{
    (void)args;
    gmpt_sleep(100000);
    gmpt_context_cancel(context);
}

static int end_each(void *arg)
{
    (void)arg;
    int64_t value = 1;
    for (int i = 0; i < 3; i++) {
        context = gmpt_context_with_cancel(gmpt_context_background());
        chan = gmpt_chan_new(sizeof value, 0);
        run_go(cancel_later);
        for (int again = 0; again < 2; again++) { /* first it waits, then it is cancelled already */
            int result = i == 0   ? gmpt_sleep_context(context, HOUR)
                         : i == 1 ? gmpt_chan_send_context(context, chan, &value)
                                  : gmpt_chan_recv_context(context, chan, &value);
            EXPECT_EQ(result, -ECANCELED);
        }
        gmpt_chan_release(chan);
        gmpt_context_release(context);
    }
    context = gmpt_context_with_timeout(gmpt_context_background(), 100000);
    EXPECT_EQ(gmpt_sleep_context(context, INT64_MAX), -ETIMEDOUT);
    EXPECT_EQ(gmpt_sleep_context(context, 0), -ETIMEDOUT);
    EXPECT_EQ(gmpt_chan_recv_context(context, NULL, NULL), -ETIMEDOUT);
    gmpt_context_release(context);
    return 0;
}

TEST(contextwait, a_cancel_ends_each_kind_of_wait) { RUN(2, end_each); }

static int go_on(void *arg)
{
    (void)arg;
    int64_t value = 5, got = 0, before = gmpt_now();
    struct gmpt_context *root = gmpt_context_background();
    context = gmpt_context_with_timeout(root, HOUR);
    EXPECT_EQ(gmpt_sleep_context(context, 100000), 0);
    EXPECT_EQ(gmpt_sleep_context(root, 100000), 0);
    EXPECT(gmpt_now() - before >= 200000);
    EXPECT_EQ(gmpt_sleep_context(root, 0), 0);
    EXPECT_EQ(gmpt_sleep_context(context, -1), 0);
    chan = gmpt_chan_new(sizeof value, 1);
    EXPECT_EQ(gmpt_chan_send_context(context, chan, &value), 0);
    EXPECT_EQ(gmpt_chan_recv_context(context, chan, &got), 0);
    EXPECT_EQ(got, 5);
    EXPECT_EQ(gmpt_chan_send_context(root, chan, &value), 0);
    EXPECT_EQ(gmpt_chan_close(chan), 0);
    EXPECT_EQ(gmpt_chan_send_context(context, chan, &value), -EPIPE);
    EXPECT_EQ(gmpt_chan_recv_context(root, chan, &got), 0);
    EXPECT_EQ(gmpt_chan_recv_context(context, chan, &got), -EPIPE);
    EXPECT_EQ(got, 0);
    gmpt_chan_release(chan);
    gmpt_context_release(context);
    return 0;
}

TEST(contextwait, without_a_cancel_they_do_what_they_do) { RUN(2, go_on); }

/* What was sent is received, whatever was cancelled on either side. */
static void send_some(void *args)
{
    uint32_t random_state = *(uint32_t *)args;
    for (int i = 0; i < ROUNDS; i++) {
        int64_t value = i + 1;
        struct gmpt_context *mine =
            gmpt_context_with_timeout(gmpt_context_background(), random_next(&random_state) % 30000);
        int result = gmpt_chan_send_context(mine, chan, &value);
        if (result == 0)
            fetch_add_relaxed(&sent, value);
        else
            EXPECT_EQ(result, -ETIMEDOUT);
        gmpt_context_release(mine);
    }
    gmpt_waitgroup_done(&ended);
}

static void receive_some(void *args)
{
    uint32_t random_state = *(uint32_t *)args;
    for (;;) {
        int64_t value;
        struct gmpt_context *mine =
            gmpt_context_with_timeout(gmpt_context_background(), random_next(&random_state) % 30000);
        int result = gmpt_chan_recv_context(mine, chan, &value);
        gmpt_context_release(mine);
        if (result == 0)
            fetch_add_relaxed(&received, value);
        else if (result == -EPIPE)
            break;
        else
            EXPECT_EQ(result, -ETIMEDOUT);
    }
    gmpt_waitgroup_done(&receivers_ended);
}

static int stress(void *arg)
{
    (void)arg;
    chan = gmpt_chan_new(sizeof(int64_t), 2);
    gmpt_waitgroup_add(&ended, 3);
    gmpt_waitgroup_add(&receivers_ended, 3);
    for (uint32_t seed = 1; seed <= 3; seed++) {
        EXPECT(gmpt_go(receive_some, &seed, sizeof seed) > 0);
        EXPECT(gmpt_go(send_some, &seed, sizeof seed) > 0);
    }
    gmpt_waitgroup_wait(&ended);
    EXPECT_EQ(gmpt_chan_close(chan), 0);
    gmpt_waitgroup_wait(&receivers_ended);
    EXPECT_EQ(load_relaxed(&sent), load_relaxed(&received));
    EXPECT(load_relaxed(&sent) > 0);
    gmpt_chan_release(chan);
    return 0;
}

TEST(contextwait, nothing_is_lost_between_deadlines) { RUN(4, stress); }
