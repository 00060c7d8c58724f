/* Starting Gs with options, through the public header. */
#define _GNU_SOURCE
#include "run.h"

#include "runtime/runtime.h"
#include "runtime/seat.h"

#include <string.h>

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
    if (!RUN_SANITIZED) {
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
    EXPECT(RUN_SANITIZED || (g->stack_class == STACK_SMALL && (uintptr_t)g / 4096 == g->slot->stack_lo / 4096));
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
    if (!RUN_SANITIZED)
        EXPECT_EQ(start_with((struct gmpt_go_options){ .stack_bytes = GMPT_STACK_SMALL }, echo_small, args, 513),
                  -E2BIG);
    gmpt_chan_release(chan);
    return 0;
}

TEST(go, small_stacks_work_and_take_512_bytes_of_arguments) { RUN(2, use_small); }
