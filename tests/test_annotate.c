/* Labels, names and scopes: what a G has, what it passes on, and what the outside sees of it. */
#define _GNU_SOURCE
#include "run.h"

#include "runtime/runtime.h"

#include <stdio.h>
#include <string.h>

static struct gmpt_chan *chan;
static struct gmpt_waitgroup group;

static bool is(const char *value, const char *wanted)
{
    return value && wanted ? strcmp(value, wanted) == 0 : value == wanted;
}

static struct g_slot *own_slot(void) { return g_self()->slot; }

/* ---- labels ---- */

static int set_and_get(void *arg)
{
    (void)arg;
    EXPECT(gmpt_label_get("tenant") == NULL);
    EXPECT_EQ(gmpt_label_set("tenant", "acme"), 0);
    EXPECT(is(gmpt_label_get("tenant"), "acme"));
    EXPECT_EQ(gmpt_label_set("route", "/x"), 0);
    EXPECT_EQ(gmpt_label_set("tenant", "other"), 0);
    EXPECT(is(gmpt_label_get("tenant"), "other"));
    EXPECT(is(gmpt_label_get("route"), "/x"));
    EXPECT_EQ(gmpt_label_set("empty", ""), 0);
    EXPECT(is(gmpt_label_get("empty"), ""));
    EXPECT_EQ(gmpt_label_set("empty", NULL), 0);
    EXPECT_EQ(gmpt_label_set("tenant", NULL), 0);
    EXPECT(gmpt_label_get("tenant") == NULL);
    EXPECT_EQ(gmpt_label_set("never had", NULL), 0);
    EXPECT_EQ(gmpt_label_set("route", NULL), 0);
    EXPECT_EQ(load_relaxed(&own_slot()->labels), 0);
    return 0;
}

TEST(annotate, a_label_is_set_replaced_and_taken_away) { RUN(1, set_and_get); }

static int same_set(void *arg)
{
    (void)arg;
    gmpt_label_set("a", "1");
    gmpt_label_set("b", "2");
    uint32_t first = load_relaxed(&own_slot()->labels);
    gmpt_label_set("a", NULL);
    gmpt_label_set("b", NULL);
    gmpt_label_set("b", "2");
    gmpt_label_set("a", "1");
    EXPECT_EQ(load_relaxed(&own_slot()->labels), first);
    EXPECT(first != 0);
    return 0;
}

TEST(annotate, equal_labels_are_one_set_however_they_came) { RUN(1, same_set); }

static int wrong_labels(void *arg)
{
    char text[258];
    (void)arg;
    memset(text, 'x', sizeof text);
    text[257] = 0;
    EXPECT_EQ(gmpt_label_set(NULL, "x"), -EINVAL);
    EXPECT_EQ(gmpt_label_set("", "x"), -EINVAL);
    EXPECT_EQ(gmpt_label_set(text, "x"), -E2BIG);
    EXPECT_EQ(gmpt_label_set("x", text), -E2BIG);
    text[255] = 0;
    EXPECT_EQ(gmpt_label_set(text, text), 0);
    EXPECT(is(gmpt_label_get(text), text));
    for (int i = 0; i < 15; i++) {
        snprintf(text, sizeof text, "key %d", i);
        EXPECT_EQ(gmpt_label_set(text, "v"), 0);
    }
    EXPECT_EQ(gmpt_label_set("one too many", "v"), -ENOSPC);
    EXPECT_EQ(gmpt_label_set("key 3", "w"), 0);
    EXPECT(is(gmpt_label_get("key 3"), "w"));
    return 0;
}

TEST(annotate, what_cannot_be_a_label_is_refused) { RUN(1, wrong_labels); }

static int fill_the_table(void *arg)
{
    char text[32];
    int error = 0;
    (void)arg;
    for (int i = 0; i < 70000 && !error; i++) {
        snprintf(text, sizeof text, "request %d", i);
        error = gmpt_label_set("id", text);
    }
    EXPECT_EQ(error, -ENOSPC);
    EXPECT(gmpt_label_get("id") != NULL); /* the last that there was room for */
    EXPECT_EQ(gmpt_label_set("id", "request 1"), 0);
    return 0;
}

TEST(annotate, a_full_table_is_an_error_and_no_more) { RUN(1, fill_the_table); }

static int push_and_pop(void *arg)
{
    (void)arg;
    gmpt_label_set("a", "1");
    int64_t outer = gmpt_label_push("b", "2"), inner = gmpt_label_push("a", "3");
    EXPECT(outer >= 0 && inner >= 0);
    EXPECT(is(gmpt_label_get("a"), "3"));
    gmpt_label_pop(gmpt_label_push("", "x"));
    EXPECT(is(gmpt_label_get("a"), "3"));
    gmpt_label_pop(inner);
    EXPECT(is(gmpt_label_get("a"), "1"));
    EXPECT(is(gmpt_label_get("b"), "2"));
    gmpt_label_pop(outer);
    EXPECT(gmpt_label_get("b") == NULL);
    return 0;
}

TEST(annotate, pop_gives_back_the_labels_that_there_were) { RUN(1, push_and_pop); }

static void grandchild(void *p)
{
    (void)p;
    EXPECT(is(gmpt_label_get("tenant"), "acme"));
    EXPECT(is(gmpt_label_get("step"), "child"));
    gmpt_waitgroup_done(&group);
}

static void child(void *p)
{
    (void)p;
    EXPECT(is(gmpt_label_get("tenant"), "acme"));
    gmpt_label_set("step", "child");
    run_go(grandchild);
    gmpt_label_set("tenant", "other");
    gmpt_waitgroup_done(&group);
}

static int inherit(void *arg)
{
    (void)arg;
    gmpt_label_set("tenant", "acme");
    gmpt_waitgroup_add(&group, 2);
    run_go(child);
    gmpt_waitgroup_wait(&group);
    EXPECT(is(gmpt_label_get("tenant"), "acme"));
    EXPECT(gmpt_label_get("step") == NULL);
    return 0;
}

TEST(annotate, children_have_the_labels_of_their_start) { RUN(2, inherit); }

static void no_labels(void *p)
{
    (void)p;
    EXPECT(gmpt_label_get("tenant") == NULL);
    EXPECT_EQ(gmpt_scope_current(), 0);
    EXPECT(is(gmpt_name_get(), ""));
    gmpt_waitgroup_done(&group);
}

static void dirty(void *p)
{
    (void)p;
    gmpt_label_set("tenant", "acme");
    gmpt_scope_enter(77);
    gmpt_name_set("dirty");
    gmpt_waitgroup_done(&group);
}

static int reuse(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        gmpt_waitgroup_add(&group, 1);
        run_go(dirty);
        gmpt_waitgroup_wait(&group);
        gmpt_waitgroup_add(&group, 1);
        run_go(no_labels);
        gmpt_waitgroup_wait(&group);
    }
    return 0;
}

TEST(annotate, a_seat_that_is_used_again_has_nothing_of_the_dead) { RUN(1, reuse); }

static void with_options(void *p)
{
    (void)p;
    EXPECT(is(gmpt_label_get("tenant"), "acme"));
    EXPECT(is(gmpt_label_get("route"), "/x"));
    EXPECT(is(gmpt_name_get(), "reader"));
    EXPECT_EQ(gmpt_scope_current(), 9);
    gmpt_waitgroup_done(&group);
}

static int start_with_options(void *arg)
{
    (void)arg;
    char name[] = "reader";
    struct gmpt_label labels[] = { { "route", "/x" } }, wrong[] = { { "", "x" } };
    struct gmpt_go_options options = { .name = name, .labels = labels, .label_count = 1, .scope = 9 };
    gmpt_label_set("tenant", "acme");
    gmpt_label_set("route", "/y");
    gmpt_waitgroup_add(&group, 1);
    EXPECT(gmpt_go_with(&options, with_options, NULL, 0) > 0);
    memset(name, 'x', sizeof name); /* it was copied */
    gmpt_waitgroup_wait(&group);
    options.labels = wrong;
    int64_t count = gmpt_count();
    EXPECT_EQ(gmpt_go_with(&options, with_options, NULL, 0), -EINVAL);
    EXPECT_EQ(gmpt_count(), count);
    return 0;
}

TEST(annotate, a_g_can_be_given_all_at_its_start) { RUN(1, start_with_options); }

static int see_from_outside(void *arg)
{
    struct segment view;
    const char *why;
    (void)arg;
    EXPECT_EQ(segment_open(&view, trace_segment.fd, &why), 0);
    gmpt_label_set("tenant", "acme");
    gmpt_name_set("main loop");
    uint32_t name = load_relaxed(&own_slot()->name), number = 1;
    uint64_t used = load_acquire(&view.header->dictionary_used), at = 0;
    bool seen = false;
    for (; at < used; at += 1 + dictionary_content_words(view.dictionary[at]), number++) {
        EXPECT(dictionary_content_words(view.dictionary[at]) > 0);
        if (number == name)
            seen = strcmp((const char *)&view.dictionary[at + 1], "main loop") == 0;
    }
    EXPECT(seen);
    EXPECT_EQ(at, used);
    EXPECT(number > load_relaxed(&own_slot()->labels));
    return 0;
}

TEST(annotate, the_outside_finds_the_name) { RUN(1, see_from_outside); }

/* ---- scopes ---- */

static void wait_for_word(void *p)
{
    (void)p;
    gmpt_chan_recv(chan, NULL);
}

static void spawn_and_wait(void *p)
{
    (void)p;
    run_go(wait_for_word);
    gmpt_chan_recv(chan, NULL);
}

static int count_scopes(void *arg)
{
    (void)arg;
    chan = gmpt_chan_new(0, 0);
    uint64_t a = gmpt_scope_new(), b = gmpt_scope_new();
    EXPECT(a != b && a != 0 && b != 0);
    EXPECT_EQ(gmpt_scope_count(a), 0);
    EXPECT_EQ(gmpt_scope_enter(a), 0);
    for (int i = 0; i < 50; i++)
        run_go(spawn_and_wait);
    EXPECT_EQ(gmpt_scope_enter(b), a);
    run_go(wait_for_word);
    while (gmpt_count() < 102)
        gmpt_yield();
    EXPECT_EQ(gmpt_scope_count(a), 100);
    EXPECT_EQ(gmpt_scope_count(b), 2); /* this one too */
    EXPECT_EQ(gmpt_scope_enter(0), b);
    EXPECT_EQ(gmpt_scope_count(b), 1);
    gmpt_chan_close(chan);
    while (gmpt_count() > 1)
        gmpt_yield();
    EXPECT_EQ(gmpt_scope_count(a), 0);
    EXPECT_EQ(gmpt_scope_count(b), 0);
    EXPECT_EQ(gmpt_scope_count(0), 1);
    gmpt_chan_release(chan);
    return 0;
}

TEST(annotate, a_scope_counts_what_came_of_it) { RUN(2, count_scopes); }
