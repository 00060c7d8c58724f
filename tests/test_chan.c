/* Channels: Go's rules. */
#include "run.h"

#include "runtime/runtime.h"

#include <stdlib.h>
#include <string.h>

static struct gmpt_chan *chan, *other;
static struct gmpt_waitgroup group;
static ATOMIC(int64_t) sum, received;
static int results[16];
static uint64_t values[16];

static void make(size_t value_bytes, size_t capacity)
{
    chan = gmpt_chan_new(value_bytes, capacity);
    EXPECT(chan != NULL);
}

static int send_value(uint64_t value) { return gmpt_chan_send(chan, &value); }
static int try_send_value(uint64_t value) { return gmpt_chan_try_send(chan, &value); }

/* Receives once and notes the result and the value at place i. */
static void receive_into(void *p)
{
    int i = *(int *)p;
    values[i] = 99;
    results[i] = gmpt_chan_recv(chan, &values[i]);
    gmpt_waitgroup_done(&group);
}

static void send_from(void *p)
{
    int i = *(int *)p;
    results[i] = send_value((uint64_t)i);
    gmpt_waitgroup_done(&group);
}

/* Starts count Gs that run fn with their number, one after the other, each waiting before the next is started. */
static void start_waiting(void (*fn)(void *), int count)
{
    gmpt_waitgroup_add(&group, count);
    for (int i = 0; i < count; i++)
        run_until_waiting(gmpt_go(fn, &i, sizeof i));
}

/* ---- making ---- */

TEST(chan, sizes_out_of_range_are_refused)
{
    errno = 0;
    ck_assert_ptr_null(gmpt_chan_new(65536, 0));
    ck_assert_int_eq(errno, EINVAL);
    errno = 0;
    ck_assert_ptr_null(gmpt_chan_new(8, SIZE_MAX));
    ck_assert_int_eq(errno, EINVAL);
    if (UNDER_SANITIZER)
        return; /* its allocator ends the program instead */
    errno = 0;
    ck_assert_ptr_null(gmpt_chan_new(65535, (size_t)1 << 40));
    ck_assert_int_eq(errno, ENOMEM);
}

TEST(chan, is_freed_with_its_last_reference)
{
    struct gmpt_chan *c = gmpt_chan_new(8, 4);
    ck_assert_ptr_eq(gmpt_chan_retain(c), c);
    gmpt_chan_release(c);
    ck_assert_uint_eq(gmpt_chan_cap(c), 4); /* AddressSanitizer would see it */
    gmpt_chan_release(c);
    gmpt_chan_release(NULL);
}

TEST(chan, null_has_neither_length_nor_capacity)
{
    ck_assert_uint_eq(gmpt_chan_len(NULL), 0);
    ck_assert_uint_eq(gmpt_chan_cap(NULL), 0);
}

/* ---- buffered ---- */

static int buffered_order(void *arg)
{
    (void)arg;
    make(sizeof(uint64_t), 3);
    uint64_t value;
    for (uint64_t round = 0; round < 10; round++) { /* the buffer wraps around */
        for (uint64_t i = 0; i < 3; i++)
            EXPECT_EQ(send_value(10 * round + i), 0);
        EXPECT_EQ(try_send_value(99), -EAGAIN);
        for (uint64_t i = 0; i < 2; i++) {
            EXPECT_EQ(gmpt_chan_recv(chan, &value), 0);
            EXPECT_EQ(value, 10 * round + i);
        }
        EXPECT_EQ(gmpt_chan_recv(chan, &value), 0);
        EXPECT_EQ(value, 10 * round + 2);
        EXPECT_EQ(gmpt_chan_try_recv(chan, &value), -EAGAIN);
    }
    gmpt_chan_release(chan);
    return 0;
}

TEST(chan, a_buffer_keeps_order_and_has_exactly_its_capacity) { RUN(1, buffered_order); }

static int length_and_capacity(void *arg)
{
    (void)arg;
    make(sizeof(uint64_t), 5);
    EXPECT_EQ(gmpt_chan_cap(chan), 5);
    for (size_t i = 0; i < 5; i++) {
        EXPECT_EQ(gmpt_chan_len(chan), i);
        EXPECT_EQ(send_value(i), 0);
    }
    EXPECT_EQ(gmpt_chan_len(chan), 5);
    EXPECT_EQ(gmpt_chan_recv(chan, NULL), 0);
    EXPECT_EQ(gmpt_chan_len(chan), 4);
    gmpt_chan_close(chan);
    EXPECT_EQ(gmpt_chan_len(chan), 4);
    gmpt_chan_release(chan);
    return 0;
}

TEST(chan, length_counts_the_buffer) { RUN(1, length_and_capacity); }

static int waiting_senders_refill(void *arg)
{
    (void)arg;
    uint64_t value;
    make(sizeof(uint64_t), 2);
    EXPECT_EQ(send_value(100), 0);
    EXPECT_EQ(send_value(101), 0);
    start_waiting(send_from, 3);
    static const uint64_t expected[] = { 100, 101, 0, 1, 2 };
    for (int i = 0; i < 5; i++) {
        EXPECT_EQ(gmpt_chan_recv(chan, &value), 0);
        EXPECT_EQ(value, expected[i]);
        EXPECT_EQ(gmpt_chan_len(chan), i < 3 ? 2 : 4 - i);
    }
    gmpt_waitgroup_wait(&group);
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(results[i], 0);
    gmpt_chan_release(chan);
    return 0;
}

TEST(chan, who_waits_to_send_keeps_the_order_of_a_full_buffer) { RUN(1, waiting_senders_refill); }

/* ---- unbuffered ---- */

static void send_then_note(void *p)
{
    (void)p;
    results[0] = send_value(5);
    results[1] = 1;
}

static int rendezvous(void *arg)
{
    (void)arg;
    uint64_t value = 0;
    make(sizeof(uint64_t), 0);
    run_until_waiting(gmpt_go(send_then_note, NULL, 0));
    EXPECT_EQ(results[1], 0);
    EXPECT_EQ(gmpt_chan_len(chan), 0);
    EXPECT_EQ(gmpt_chan_recv(chan, &value), 0);
    EXPECT_EQ(value, 5);
    while (!results[1])
        gmpt_yield();
    EXPECT_EQ(results[0], 0);
    gmpt_chan_release(chan);
    return 0;
}

TEST(chan, a_send_waits_for_its_receive) { RUN(1, rendezvous); }

static int try_without_partner(void *arg)
{
    (void)arg;
    make(sizeof(uint64_t), 0);
    EXPECT_EQ(try_send_value(1), -EAGAIN);
    EXPECT_EQ(gmpt_chan_try_recv(chan, NULL), -EAGAIN);
    EXPECT_EQ(gmpt_chan_try_send(NULL, NULL), -EAGAIN);
    EXPECT_EQ(gmpt_chan_try_recv(NULL, NULL), -EAGAIN);
    gmpt_chan_release(chan);
    return 0;
}

TEST(chan, try_without_a_partner_says_again) { RUN(1, try_without_partner); }

static int try_with_partner(void *arg)
{
    (void)arg;
    uint64_t value = 0;
    make(sizeof(uint64_t), 0);
    start_waiting(receive_into, 1);
    EXPECT_EQ(try_send_value(8), 0);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(values[0], 8);
    start_waiting(send_from, 1);
    EXPECT_EQ(gmpt_chan_try_recv(chan, &value), 0);
    EXPECT_EQ(value, 0);
    gmpt_waitgroup_wait(&group);
    gmpt_chan_release(chan);
    return 0;
}

TEST(chan, try_serves_who_waits_already) { RUN(1, try_with_partner); }

static int receivers_in_order(void *arg)
{
    (void)arg;
    make(sizeof(uint64_t), 0);
    start_waiting(receive_into, 5);
    for (uint64_t i = 0; i < 5; i++)
        EXPECT_EQ(send_value(100 + i), 0);
    gmpt_waitgroup_wait(&group);
    for (int i = 0; i < 5; i++)
        EXPECT_EQ(values[i], 100 + i);
    gmpt_chan_release(chan);
    return 0;
}

TEST(chan, who_waited_first_is_served_first) { RUN(2, receivers_in_order); }

/* ---- closing ---- */

static int close_wakes_receivers(void *arg)
{
    (void)arg;
    make(sizeof(uint64_t), 0);
    start_waiting(receive_into, 6);
    EXPECT_EQ(gmpt_chan_close(chan), 0);
    gmpt_waitgroup_wait(&group);
    for (int i = 0; i < 6; i++) {
        EXPECT_EQ(results[i], -EPIPE);
        EXPECT_EQ(values[i], 0);
    }
    gmpt_chan_release(chan);
    return 0;
}

TEST(chan, close_wakes_all_receivers_with_zeroes) { RUN(2, close_wakes_receivers); }

static void receive_end_and_release(void *p)
{
    struct gmpt_chan *mine = *(struct gmpt_chan **)p;
    EXPECT_EQ(gmpt_chan_recv(mine, NULL), -EPIPE);
    gmpt_chan_release(mine);
    gmpt_waitgroup_done(&group);
}

/* More than a close wakes at a time, and all references are theirs. */
static int close_what_others_free(void *arg)
{
    (void)arg;
    enum { MANY = 1000 };
    struct gmpt_chan *theirs = gmpt_chan_new(sizeof(uint64_t), 0);
    gmpt_waitgroup_add(&group, MANY);
    for (int i = 0; i < MANY; i++) {
        if (i > 0)
            gmpt_chan_retain(theirs);
        run_until_waiting(gmpt_go(receive_end_and_release, &theirs, sizeof theirs));
    }
    EXPECT_EQ(gmpt_chan_close(theirs), 0);
    gmpt_waitgroup_wait(&group);
    return 0;
}

TEST(chan, close_wakes_many_who_free_it_on_one_p) { RUN(1, close_what_others_free); }
TEST(chan, close_wakes_many_who_free_it_on_many_ps) { RUN(4, close_what_others_free); }

static int close_wakes_senders(void *arg)
{
    (void)arg;
    make(sizeof(uint64_t), 1);
    EXPECT_EQ(send_value(7), 0);
    start_waiting(send_from, 6);
    EXPECT_EQ(gmpt_chan_close(chan), 0);
    gmpt_waitgroup_wait(&group);
    for (int i = 0; i < 6; i++)
        EXPECT_EQ(results[i], -EPIPE);
    uint64_t value = 0;
    EXPECT_EQ(gmpt_chan_recv(chan, &value), 0); /* what was sent before stays */
    EXPECT_EQ(value, 7);
    EXPECT_EQ(gmpt_chan_recv(chan, &value), -EPIPE);
    gmpt_chan_release(chan);
    return 0;
}

TEST(chan, close_wakes_all_senders_and_sends_nothing_of_theirs) { RUN(2, close_wakes_senders); }

static int drain(void *arg)
{
    (void)arg;
    uint64_t value = 99;
    make(sizeof(uint64_t), 3);
    for (uint64_t i = 1; i <= 3; i++)
        EXPECT_EQ(send_value(i), 0);
    EXPECT_EQ(gmpt_chan_close(chan), 0);
    EXPECT_EQ(send_value(4), -EPIPE);
    EXPECT_EQ(try_send_value(4), -EPIPE);
    for (uint64_t i = 1; i <= 3; i++) {
        EXPECT_EQ(gmpt_chan_recv(chan, &value), 0);
        EXPECT_EQ(value, i);
    }
    value = 99;
    EXPECT_EQ(gmpt_chan_recv(chan, &value), -EPIPE);
    EXPECT_EQ(value, 0);
    value = 99;
    EXPECT_EQ(gmpt_chan_try_recv(chan, &value), -EPIPE);
    EXPECT_EQ(value, 0);
    EXPECT_EQ(gmpt_chan_recv(chan, NULL), -EPIPE);
    EXPECT_EQ(gmpt_chan_close(chan), -EPIPE);
    gmpt_chan_release(chan);
    return 0;
}

TEST(chan, a_closed_channel_is_drained_and_then_empty_for_ever) { RUN(1, drain); }

/* ---- deadlines ---- */

static int deadlines_passed(void *arg)
{
    (void)arg;
    uint64_t value = 5;
    make(sizeof value, 1);
    static const int64_t past[] = { 0, -1, INT64_MIN, 1 };
    for (int i = 0; i < 4; i++) {
        EXPECT_EQ(gmpt_chan_recv_until(chan, &value, past[i]), -ETIMEDOUT);
        EXPECT_EQ(gmpt_chan_send_until(chan, &value, past[i]), 0); /* need not wait */
        EXPECT_EQ(gmpt_chan_send_until(chan, &value, past[i]), -ETIMEDOUT);
        EXPECT_EQ(gmpt_chan_recv_until(chan, &value, past[i]), 0);
        EXPECT_EQ(gmpt_chan_recv_until(NULL, &value, past[i]), -ETIMEDOUT);
    }
    EXPECT_EQ(gmpt_chan_len(chan), 0);
    gmpt_chan_release(chan);
    return 0;
}

TEST(chan, a_deadline_that_has_passed_fails_only_what_must_wait) { RUN(1, deadlines_passed); }

static int deadlines_future(void *arg)
{
    (void)arg;
    uint64_t value = 5;
    make(sizeof value, 0);
    int64_t deadline = gmpt_now() + 2000000;
    EXPECT_EQ(gmpt_chan_recv_until(chan, &value, deadline), -ETIMEDOUT);
    EXPECT(gmpt_now() >= deadline);
    deadline = gmpt_now() + 2000000;
    EXPECT_EQ(gmpt_chan_send_until(chan, &value, deadline), -ETIMEDOUT);
    EXPECT(gmpt_now() >= deadline);
    deadline = gmpt_now() + 2000000;
    EXPECT_EQ(gmpt_chan_send_until(NULL, &value, deadline), -ETIMEDOUT);
    EXPECT(gmpt_now() >= deadline);
    EXPECT_EQ(gmpt_chan_try_recv(chan, &value), -EAGAIN); /* the one that timed out has sent nothing */
    start_waiting(receive_into, 1);
    EXPECT_EQ(gmpt_chan_send_until(chan, &value, GMPT_NEVER), 0);
    gmpt_waitgroup_wait(&group);
    gmpt_chan_release(chan);
    return 0;
}

TEST(chan, a_deadline_ends_a_wait_and_not_before) { RUN(2, deadlines_future); }

static void receive_with_far_deadline(void *p)
{
    (void)p;
    results[0] = gmpt_chan_recv_until(chan, &values[0], gmpt_now() + 3600000000000);
    gmpt_waitgroup_done(&group);
}

static int far_deadline(void *arg)
{
    (void)arg;
    make(sizeof(uint64_t), 0);
    gmpt_waitgroup_add(&group, 1);
    run_until_waiting(gmpt_go(receive_with_far_deadline, NULL, 0));
    EXPECT_EQ(send_value(6), 0);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(results[0], 0);
    EXPECT_EQ(values[0], 6);
    gmpt_chan_release(chan);
    return 0;
}

TEST(chan, a_wait_with_a_deadline_ends_at_a_send_too) { RUN(2, far_deadline); }

/* Senders and receivers whose deadlines are about now: what a send says must agree with what is received. */
#define RACERS 4
#define RACES (UNDER_SANITIZER ? 500 : 4000)

static void race_send(void *p)
{
    uint64_t random_state = (uint64_t)*(int *)p * 2654435761u + 1;
    for (int i = 0; i < RACES; i++) {
        uint64_t value = (uint64_t)i + 1;
        random_state = random_state * 6364136223846793005u + 1442695040888963407u;
        if (gmpt_chan_send_until(chan, &value, gmpt_now() + (int64_t)(random_state >> 50)) == 0)
            fetch_add_relaxed(&sum, (int64_t)value);
    }
    gmpt_waitgroup_done(&group);
}

static void race_receive(void *p)
{
    uint64_t random_state = (uint64_t)*(int *)p * 40503u + 7, value;
    for (int i = 0; i < RACES; i++) {
        random_state = random_state * 6364136223846793005u + 1442695040888963407u;
        if (gmpt_chan_recv_until(chan, &value, gmpt_now() + (int64_t)(random_state >> 50)) == 0)
            fetch_add_relaxed(&received, (int64_t)value);
    }
    gmpt_waitgroup_done(&group);
}

static int race_deadlines(void *arg)
{
    (void)arg;
    uint64_t value;
    make(sizeof value, 0);
    gmpt_waitgroup_add(&group, 2 * RACERS);
    for (int i = 0; i < RACERS; i++) {
        EXPECT(gmpt_go(race_send, &i, sizeof i) > 0);
        EXPECT(gmpt_go(race_receive, &i, sizeof i) > 0);
    }
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(load_relaxed(&sum), load_relaxed(&received));
    EXPECT_EQ(gmpt_chan_try_recv(chan, &value), -EAGAIN); /* nobody was left behind in the queues */
    EXPECT_EQ(gmpt_chan_try_send(chan, &value), -EAGAIN);
    gmpt_chan_release(chan);
    return 0;
}

TEST(chan, racing_deadlines_lose_and_double_nothing) { RUN(4, race_deadlines); }

/* ---- values ---- */

static void send_large(void *p)
{
    (void)p;
    uint8_t *large = malloc(65535);
    for (int i = 0; i < 65535; i++)
        large[i] = (uint8_t)(i * 31);
    EXPECT_EQ(gmpt_chan_send(chan, large), 0);
    EXPECT_EQ(gmpt_chan_send(other, large), 0);
    free(large);
    gmpt_waitgroup_done(&group);
}

static void expect_large(struct gmpt_chan *from)
{
    uint8_t *large = malloc(65536);
    int wrong = 0;
    large[65535] = 0xa5;
    EXPECT_EQ(gmpt_chan_recv(from, large), 0);
    for (int i = 0; i < 65535; i++)
        wrong += large[i] != (uint8_t)(i * 31);
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(large[65535], 0xa5);
    free(large);
}

static int large_values(void *arg)
{
    (void)arg;
    make(65535, 0);
    other = gmpt_chan_new(65535, 2);
    gmpt_waitgroup_add(&group, 1);
    run_go(send_large);
    expect_large(chan);
    gmpt_waitgroup_wait(&group);
    expect_large(other);
    gmpt_chan_release(chan);
    gmpt_chan_release(other);
    return 0;
}

TEST(chan, values_of_65535_bytes_come_whole) { RUN(2, large_values); }

static int odd_values(void *arg)
{
    (void)arg;
    for (size_t size = 0; size <= 17; size++) {
        uint8_t in[18], out[18];
        make(size, 3);
        for (int round = 0; round < 5; round++) {
            memset(in, round + 1, sizeof in);
            memset(out, 0xee, sizeof out);
            EXPECT_EQ(gmpt_chan_send(chan, in), 0);
            EXPECT_EQ(gmpt_chan_recv(chan, out), 0);
            EXPECT(memcmp(in, out, size) == 0);
            EXPECT_EQ(out[size], 0xee);
        }
        gmpt_chan_release(chan);
    }
    return 0;
}

TEST(chan, values_of_any_size_touch_nothing_beside_them) { RUN(1, odd_values); }

static void signal_nothing(void *p)
{
    (void)p;
    EXPECT_EQ(gmpt_chan_send(chan, NULL), 0);
}

static int zero_size(void *arg)
{
    (void)arg;
    make(0, 0);
    run_go(signal_nothing);
    EXPECT_EQ(gmpt_chan_recv(chan, NULL), 0);
    gmpt_chan_release(chan);
    make(0, 3);
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(gmpt_chan_send(chan, NULL), 0);
    EXPECT_EQ(gmpt_chan_try_send(chan, NULL), -EAGAIN);
    EXPECT_EQ(gmpt_chan_len(chan), 3);
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(gmpt_chan_recv(chan, NULL), 0);
    EXPECT_EQ(gmpt_chan_try_recv(chan, NULL), -EAGAIN);
    gmpt_chan_release(chan);
    return 0;
}

TEST(chan, values_of_no_size_are_signals) { RUN(2, zero_size); }

static int throw_away(void *arg)
{
    (void)arg;
    uint64_t value;
    make(sizeof value, 1);
    EXPECT_EQ(send_value(1), 0);
    EXPECT_EQ(gmpt_chan_recv(chan, NULL), 0);
    EXPECT_EQ(send_value(2), 0);
    EXPECT_EQ(gmpt_chan_recv(chan, &value), 0);
    EXPECT_EQ(value, 2);
    gmpt_chan_release(chan);
    return 0;
}

TEST(chan, a_value_may_be_thrown_away) { RUN(1, throw_away); }

/* ---- NULL ---- */

static void receive_null(void *p)
{
    (void)p;
    gmpt_chan_recv(NULL, NULL);
    results[0] = 1;
}

static void send_null(void *p)
{
    (void)p;
    gmpt_chan_send(NULL, NULL);
    results[0] = 1;
}

static int null_blocks(void *arg)
{
    (void)arg;
    run_waits_for_ever(receive_null);
    run_waits_for_ever(send_null);
    run_until_waiting(gmpt_go(receive_null, NULL, 0));
    run_until_waiting(gmpt_go(send_null, NULL, 0));
    for (int i = 0; i < 100; i++)
        gmpt_yield();
    EXPECT_EQ(results[0], 0);
    EXPECT_EQ(gmpt_count(), 3);
    return 0;
}

TEST(chan, null_blocks_for_ever) { RUN(1, null_blocks); }

/* ---- many ---- */

#define PRODUCERS 20
#define PER_PRODUCER (UNDER_SANITIZER ? 300 : 3000)

static void produce(void *p)
{
    int from = *(int *)p * PER_PRODUCER;
    for (int i = 0; i < PER_PRODUCER; i++)
        EXPECT_EQ(send_value((uint64_t)(from + i)), 0);
    gmpt_waitgroup_done(&group);
}

static void consume(void *p)
{
    uint64_t value;
    (void)p;
    while (gmpt_chan_recv(chan, &value) == 0) {
        fetch_add_relaxed(&sum, (int64_t)value);
        fetch_add_relaxed(&received, 1);
    }
    fetch_add_relaxed(&sum, 0);
    gmpt_chan_send(other, NULL);
}

static int produce_and_consume(size_t capacity)
{
    make(sizeof(uint64_t), capacity);
    other = gmpt_chan_new(0, 0);
    gmpt_waitgroup_add(&group, PRODUCERS);
    for (int i = 0; i < PRODUCERS; i++) {
        EXPECT(gmpt_go(produce, &i, sizeof i) > 0);
        run_go(consume);
    }
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(gmpt_chan_close(chan), 0);
    for (int i = 0; i < PRODUCERS; i++)
        EXPECT_EQ(gmpt_chan_recv(other, NULL), 0);
    int64_t total = PRODUCERS * PER_PRODUCER;
    EXPECT_EQ(load_relaxed(&received), total);
    EXPECT_EQ(load_relaxed(&sum), total * (total - 1) / 2);
    gmpt_chan_release(chan);
    gmpt_chan_release(other);
    return 0;
}

static int many_unbuffered(void *arg) { return produce_and_consume(arg ? 1 : 0); }
static int many_buffered(void *arg) { return produce_and_consume(arg ? 1 : 16); }

TEST(chan, many_producers_and_consumers_lose_nothing_unbuffered) { RUN(4, many_unbuffered); }
TEST(chan, many_producers_and_consumers_lose_nothing_buffered) { RUN(4, many_buffered); }

/* Each stage takes a number, filters its multiples out, and starts the next: the sieve. */
static struct gmpt_chan *stages[64];

static void sieve_numbers(void *p)
{
    (void)p;
    for (int i = 2;; i++)
        if (gmpt_chan_send(stages[0], &i) != 0)
            return;
}

static void sieve_filter(void *p)
{
    int stage = ((int *)p)[0], prime = ((int *)p)[1], i;
    while (gmpt_chan_recv(stages[stage], &i) == 0)
        if (i % prime && gmpt_chan_send(stages[stage + 1], &i) != 0)
            return;
}

static int sieve(void *arg)
{
    (void)arg;
    int prime = 0;
    for (int i = 0; i < 64; i++)
        stages[i] = gmpt_chan_new(sizeof(int), 0);
    run_go(sieve_numbers);
    for (int i = 0; i < 63; i++) {
        EXPECT_EQ(gmpt_chan_recv(stages[i], &prime), 0);
        EXPECT(gmpt_go(sieve_filter, (int[]){ i, prime }, 2 * sizeof(int)) > 0);
    }
    EXPECT_EQ(prime, 307);
    return 0;
}

TEST(chan, a_chain_of_channels_sieves_primes) { RUN(4, sieve); }

static void hold_reference(void *p)
{
    struct gmpt_chan *c = *(struct gmpt_chan **)p;
    EXPECT_EQ(gmpt_chan_recv(c, NULL), 0);
    gmpt_chan_release(c);
    gmpt_waitgroup_done(&group);
}

static int hand_over_references(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2000; i++) {
        struct gmpt_chan *c = gmpt_chan_new(0, 0);
        gmpt_chan_retain(c);
        gmpt_waitgroup_add(&group, 1);
        EXPECT(gmpt_go(hold_reference, &c, sizeof c) > 0);
        EXPECT_EQ(gmpt_chan_send(c, NULL), 0);
        gmpt_chan_release(c);
    }
    gmpt_waitgroup_wait(&group);
    return 0;
}

TEST(chan, either_side_may_drop_the_last_reference) { RUN(2, hand_over_references); }
