/* Starting Gs with options, through the public header. */
#define _GNU_SOURCE
#include "run.h"

#include "runtime/runtime.h"

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
