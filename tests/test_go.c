/* Starting Gs with options, through the public header. */
#define _GNU_SOURCE
#include "run.h"

#include "runtime/runtime.h"
#include "runtime/seat.h"

#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

static struct gmpt_waitgroup group;

static int64_t start_with(struct gmpt_go_options options, void (*fn)(void *), const void *args, size_t size)
{
    return gmpt_go_with(&options, fn, args, size);
}

static void nothing(void *args) { (void)args; }

static void add_args(void *args)
{
    int64_t *pair = args;
    *(int64_t *)(uintptr_t)pair[0] += pair[1];
    gmpt_waitgroup_done(&group);
}

static int options_default(void *arg)
{
    int64_t sum = 0, args[2] = { (int64_t)(uintptr_t)&sum, 5 };
    (void)arg;
    gmpt_waitgroup_add(&group, 2);
    EXPECT(gmpt_go_with(NULL, add_args, args, sizeof args) > 0);
    EXPECT(start_with((struct gmpt_go_options){ 0 }, add_args, args, sizeof args) > 0);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(sum, 10);
    return 0;
}

TEST(go, no_options_and_zero_options_mean_defaults) { RUN(1, options_default); }

static void see_options(void *args)
{
    (void)args;
    struct g *g = g_self();
    EXPECT_EQ(g->flags, GMPT_PURE_COMPUTE);
    EXPECT_EQ(g->prefers_p, 2);
    EXPECT(g->name && strcmp(g->name, "reader") == 0);
    gmpt_waitgroup_done(&group);
}

static void see_none(void *args)
{
    (void)args;
    struct g *g = g_self();
    EXPECT_EQ(g->flags, 0);
    EXPECT_EQ(g->prefers_p, 0);
    EXPECT(g->name == NULL);
    gmpt_waitgroup_done(&group);
}

static int store_options(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) { /* each on the stack of the one before it */
        gmpt_waitgroup_add(&group, 1);
        EXPECT(start_with((struct gmpt_go_options){ .flags = GMPT_PURE_COMPUTE, .p = 2, .name = "reader" }, see_options,
                          NULL, 0) > 0);
        gmpt_waitgroup_wait(&group);
        gmpt_waitgroup_add(&group, 1);
        EXPECT(gmpt_go(see_none, NULL, 0) > 0);
        gmpt_waitgroup_wait(&group);
    }
    return 0;
}

TEST(go, a_g_has_its_own_options_and_no_one_elses) { RUN(2, store_options); }

static int refuse(void *arg)
{
    (void)arg;
    int64_t before = gmpt_count();
    EXPECT_EQ(start_with((struct gmpt_go_options){ .stack_bytes = GMPT_STACK_MAX + 1 }, nothing, NULL, 0), -EINVAL);
    EXPECT_EQ(start_with((struct gmpt_go_options){ .flags = 2 }, nothing, NULL, 0), -EINVAL);
    EXPECT_EQ(start_with((struct gmpt_go_options){ .p = -1 }, nothing, NULL, 0), -EINVAL);
    EXPECT_EQ(start_with((struct gmpt_go_options){ .p = 65 }, nothing, NULL, 0), -EINVAL);
    EXPECT_EQ(gmpt_count(), before);
    EXPECT(start_with((struct gmpt_go_options){ .p = 2 }, nothing, NULL, 0) > 0);
    return 0;
}

TEST(go, bad_options_are_refused) { RUN(2, refuse); }

/* ---- stacks ---- */

static __attribute__((noinline)) int dig(volatile int depth)
{
    volatile char room[1024];
    room[0] = (char)depth;
    room[1023] = 1;
    return depth <= 0 ? room[0] : dig(depth - 1) + room[1023];
}

static void use_stack(void *args)
{
    uint32_t bytes = *(uint32_t *)args;
    struct g *g = g_self();
    EXPECT_EQ(g->slot->stack_hi, (uintptr_t)g);
    EXPECT(g->slot->stack_hi - g->slot->stack_lo > bytes - 2048);
    EXPECT(g->slot->stack_hi - g->slot->stack_lo <= bytes);
    EXPECT_EQ(g->slot->stack_lo, (uintptr_t)seat_stack_lo(g->stack_class, g->index));
    if (!UNDER_SANITIZER) {
        int deep = (int)(bytes / 1200);
        for (int i = 0; i < 3; i++) {
            EXPECT_EQ(dig(deep), deep);
            gmpt_yield();
        }
    }
    gmpt_waitgroup_done(&group);
}

static int use_classes(void *arg)
{
    static const struct {
        uint32_t asked, got;
    } sizes[] = { { 0, 65536 },       { 2049, 65536 },     { 65536, 65536 },     { 65537, 262144 },
                  { 262144, 262144 }, { 500000, 1048576 }, { 1048577, 8388608 }, { GMPT_STACK_MAX, 8388608 } };
    (void)arg;
    for (int round = 0; round < 40; round++) {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            gmpt_waitgroup_add(&group, 1);
            EXPECT(start_with((struct gmpt_go_options){ .stack_bytes = sizes[i].asked }, use_stack, &sizes[i].got,
                              sizeof sizes[i].got) > 0);
        }
        if (round % 10 == 9)
            gmpt_waitgroup_wait(&group);
    }
    gmpt_waitgroup_wait(&group);
    return 0;
}

TEST(go, a_stack_is_of_the_smallest_class_that_is_enough) { RUN(2, use_classes); }

static struct gmpt_chan *chan;

static void echo_small(void *args)
{
    int64_t *value = args;
    struct g *g = g_self();
    EXPECT(UNDER_SANITIZER || (g->stack_class == STACK_SMALL && (uintptr_t)g / 4096 == g->slot->stack_lo / 4096));
    gmpt_chan_send(chan, value);
    gmpt_sleep(1000);
    gmpt_chan_send(chan, &value[63]);
}

static int use_small(void *arg)
{
    enum { GS = 3000 };
    int64_t args[64], sum = 0, value = 0;
    (void)arg;
    chan = gmpt_chan_new(sizeof(int64_t), 10);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < GS; i++) {
            args[0] = i;
            args[63] = -2 * i;
            EXPECT(start_with((struct gmpt_go_options){ .stack_bytes = GMPT_STACK_SMALL }, echo_small, args,
                              sizeof args) > 0);
        }
        for (int i = 0; i < 2 * GS; i++) {
            EXPECT_EQ(gmpt_chan_recv(chan, &value), 0);
            sum += value;
        }
        EXPECT_EQ(sum, -(int64_t)(round + 1) * GS * (GS - 1) / 2);
    }
    if (!UNDER_SANITIZER)
        EXPECT_EQ(start_with((struct gmpt_go_options){ .stack_bytes = GMPT_STACK_SMALL }, echo_small, args, 513),
                  -E2BIG);
    gmpt_chan_release(chan);
    return 0;
}

TEST(go, small_stacks_work_and_take_512_bytes_of_arguments) { RUN(2, use_small); }

/* ---- what fits a small stack ---- */

#define CALL_BYTES_MAX 1400 /* as gmpt.h says */
#define PAINT 0x1122334455667788ull

static struct gmpt_chan *other;
static struct gmpt_mutex mutex;
static struct gmpt_waitgroup inner;
static int pipe_fds[2], listener;

static int64_t soon(void) { return gmpt_now() + 100000; }

static void send_zero(void *args)
{
    (void)args;
    gmpt_chan_send(chan, &(int64_t){ 0 });
}

static void nap(void *args)
{
    (void)args;
    gmpt_sleep(1000);
    gmpt_waitgroup_done(&inner);
}

static void call_go(void)
{
    for (int i = 0; i < 600; i++) /* beyond the run queue, and beyond the P's seats */
        gmpt_go(nothing, NULL, 0);
    gmpt_yield();
}
static void call_sleep(void)
{
    for (int i = 0; i < 1000; i++) { /* the heap of timers grows */
        gmpt_waitgroup_add(&inner, 1);
        gmpt_go(nap, NULL, 0);
    }
    gmpt_waitgroup_wait(&inner);
    gmpt_sleep(1000);
}
static void call_new(void) { gmpt_chan_release(gmpt_chan_new(8, 100000)); }
static void call_receive(void)
{
    int64_t value;
    gmpt_go(send_zero, NULL, 0);
    gmpt_chan_recv(chan, &value);
    gmpt_chan_recv_until(chan, &value, soon());
    gmpt_chan_send_until(chan, &value, soon());
}
static void call_select(void)
{
    struct gmpt_select_case cases[] = { { chan, GMPT_RECV, NULL, 0 }, { other, GMPT_RECV, NULL, 0 } };
    gmpt_select_until(cases, 2, soon());
}
static void call_mutex(void)
{
    gmpt_mutex_lock(&mutex);
    gmpt_mutex_lock_until(&mutex, soon());
    gmpt_mutex_unlock(&mutex);
}
static void call_group(void)
{
    gmpt_waitgroup_add(&inner, 1);
    gmpt_waitgroup_wait_until(&inner, soon());
    gmpt_waitgroup_done(&inner);
}
static void call_pipe(void)
{
    char byte = 1;
    gmpt_write(pipe_fds[1], &byte, 1);
    gmpt_read(pipe_fds[0], &byte, 1);
    gmpt_read_until(pipe_fds[0], &byte, 1, soon());
}
static void call_accept(void) { gmpt_accept_until(listener, NULL, NULL, soon()); }
static void call_close(void) { gmpt_close(pipe_fds[0]); }
static void call_blocking(void)
{
    gmpt_blocking_begin();
    gmpt_blocking_end();
}
static void call_free(void) { gmpt_free_os_memory(); }

static const struct call {
    const char *name;
    void (*fn)(void);
} calls[] = {
    { "yield", gmpt_yield },   { "go", call_go },       { "sleep", call_sleep },   { "chan_new", call_new },
    { "recv", call_receive },  { "select", call_select }, { "mutex", call_mutex }, { "waitgroup", call_group },
    { "pipe", call_pipe },     { "accept", call_accept }, { "close", call_close }, { "blocking", call_blocking },
    { "free_os_memory", call_free },
};

static const struct call *deepest;
static long deepest_bytes;

/* Paints the rest of its stack, calls, and looks how far down the paint is gone. */
static void measure(void *args)
{
    const struct call *call = *(const struct call **)args;
    struct g *g = g_self();
    volatile uint64_t *frame = __builtin_frame_address(0);
    volatile uint64_t *end = (volatile uint64_t *)seat_stack_lo(g->stack_class, g->index) + 1;
    for (volatile uint64_t *word = end; word < frame - 32; word++)
        *word = PAINT;
    call->fn();
    volatile uint64_t *word = end;
    while (*word == PAINT)
        word++;
    long bytes = (const volatile char *)frame - (const volatile char *)word;
    if (bytes > deepest_bytes) {
        deepest_bytes = bytes;
        deepest = call;
    }
    gmpt_waitgroup_done(&group);
}

static int measure_calls(void *arg)
{
    (void)arg;
    chan = gmpt_chan_new(8, 0);
    other = gmpt_chan_new(8, 0);
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    listener = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT_EQ(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    EXPECT_EQ(listen(listener, 1), 0);
    for (int traced = 0; traced < 2; traced++) {
        store_relaxed(&trace_segment.header->tracing, (uint32_t)traced);
        EXPECT_EQ(pipe(pipe_fds), 0);
        for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
            gmpt_waitgroup_add(&group, 1);
            EXPECT(gmpt_go(measure, &(const struct call *){ &calls[i] }, sizeof(void *)) > 0);
            gmpt_waitgroup_wait(&group);
        }
        close(pipe_fds[1]);
    }
    store_relaxed(&trace_segment.header->tracing, 0);
    close(listener);
    return 0;
}

TEST(go, every_call_leaves_room_on_a_small_stack)
{
    if (UNDER_SANITIZER)
        SKIP("frames are larger there");
    RUN(2, measure_calls);
    ck_assert_msg(deepest_bytes <= CALL_BYTES_MAX, "%s took %ld bytes", deepest->name, deepest_bytes);
    ck_assert_int_ge(deepest_bytes, 400);
}

static void select_many(void *args)
{
    (void)args;
    struct gmpt_select_case cases[5] = { { chan, GMPT_RECV, NULL, 0 } };
    EXPECT_EQ(gmpt_try_select(cases, 4), -EAGAIN);
    EXPECT_EQ(gmpt_try_select(cases, 5), g_self()->stack_class == STACK_SMALL ? -E2BIG : -EAGAIN);
    gmpt_waitgroup_done(&group);
}

static int select_on_both(void *arg)
{
    (void)arg;
    chan = gmpt_chan_new(8, 0);
    gmpt_waitgroup_add(&group, 1);
    EXPECT(start_with((struct gmpt_go_options){ .stack_bytes = GMPT_STACK_SMALL }, select_many, NULL, 0) > 0);
    gmpt_waitgroup_wait(&group);
    gmpt_waitgroup_add(&group, 1);
    run_go(select_many);
    gmpt_waitgroup_wait(&group);
    gmpt_chan_release(chan);
    return 0;
}

TEST(go, a_large_select_is_refused_on_a_small_stack) { RUN(1, select_on_both); }
