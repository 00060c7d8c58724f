/* Tasks, regions and messages: from the calls of a recorded program to what the reader says of them. */
#define _GNU_SOURCE
#include "run.h"

#include "runtime/runtime.h"
#include "trace/drain.h"
#include "tracefile.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct gmpt_waitgroup group;
static struct gmpt_chan *chan;

/* Runs fn as a recorded program and opens what was recorded. */
static struct gmpt_trace *record(int p_count, int (*fn)(void *arg))
{
    struct segment view;
    const char *why;
    char path[256];
    int memfd = run_pass_segment();
    RUN(p_count, fn);
    ck_assert_int_eq(segment_open(&view, memfd, &why), 0);

    snprintf(path, sizeof path, "%s/user.data", harness_tmpdir());
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    struct writer_info info = {
        .p_count = (uint32_t)p_count, .clock = (int)view.clock, .command = "test", .host = "host"
    };
    struct writer_clock clock = { 0, 0, 0 };
    struct writer *writer = writer_open(fd, &info, 1);
    struct drain *drain = drain_open(&view, load_relaxed(&view.header->tracing), false);
    ck_assert(writer && drain);
    drain_begin(drain);
    while (!drain_collect(drain))
        ck_assert_int_eq(drain_write(drain, writer, &clock), 0);
    ck_assert_int_eq(drain_write(drain, writer, &clock), 0);
    ck_assert_str_eq(drain_damage(drain), "");
    ck_assert_int_eq(writer_close(writer), 0);
    drain_close(drain);

    struct gmpt_trace_error error;
    struct gmpt_trace *trace = gmpt_trace_open(path, &error);
    ck_assert_msg(trace != NULL, "%s", error.message);
    return trace;
}

/* The next event of this kind. */
static struct gmpt_event find(struct gmpt_trace *trace, enum gmpt_event_type type)
{
    struct gmpt_event event;
    while (gmpt_trace_next(trace, &event) > 0)
        if (event.type == type)
            return event;
    ck_abort_msg("there is no %s", gmpt_event_name(type));
    return event;
}

static void finish(struct gmpt_trace *trace)
{
    struct gmpt_event event;
    while (gmpt_trace_next(trace, &event) > 0)
        ;
    ck_assert_uint_eq(gmpt_trace_counts(trace)->violations, 0);
    gmpt_trace_close(trace);
}

/* ---- tasks ---- */

static void work_on(void *p)
{
    uint64_t outer = *(uint64_t *)p;
    EXPECT_EQ(gmpt_task_current(), outer);
    struct gmpt_task part = gmpt_task_begin("part");
    EXPECT_EQ(part.parent, outer);
    EXPECT_EQ(gmpt_task_current(), part.id);
    gmpt_task_end(part);
    EXPECT_EQ(gmpt_task_current(), outer);
    gmpt_waitgroup_done(&group);
}

static int one_task(void *arg)
{
    (void)arg;
    struct gmpt_task task = gmpt_task_begin("request");
    EXPECT(task.id != 0);
    EXPECT_EQ(task.parent, 0);
    gmpt_waitgroup_add(&group, 1);
    EXPECT(gmpt_go(work_on, &task.id, sizeof task.id) > 0);
    gmpt_waitgroup_wait(&group);
    gmpt_task_end(task);
    EXPECT_EQ(gmpt_task_current(), 0);
    return 0;
}

TEST(usertrace, a_childs_task_is_a_part_of_its_parents)
{
    struct gmpt_trace *trace = record(2, one_task);
    struct gmpt_event outer = find(trace, GMPT_EVENT_user_task_begin);
    ck_assert_str_eq(gmpt_trace_string(trace, outer.user_task_begin.name), "request");
    ck_assert_uint_eq(outer.user_task_begin.parent, 0);
    ck_assert_uint_eq(outer.g, 1);
    struct gmpt_event inner = find(trace, GMPT_EVENT_user_task_begin);
    ck_assert_str_eq(gmpt_trace_string(trace, inner.user_task_begin.name), "part");
    ck_assert_uint_eq(inner.user_task_begin.parent, outer.user_task_begin.task);
    ck_assert_uint_ne(inner.g, outer.g);
    ck_assert_uint_eq(find(trace, GMPT_EVENT_user_task_end).user_task_end.task, inner.user_task_begin.task);
    ck_assert_uint_eq(find(trace, GMPT_EVENT_user_task_end).user_task_end.task, outer.user_task_begin.task);
    finish(trace);
}

static void take_over(void *p)
{
    (void)p;
    struct gmpt_task task;
    EXPECT_EQ(gmpt_chan_recv(chan, &task), 0);
    EXPECT_EQ(gmpt_task_enter(task.id), 0);
    gmpt_task_end(task);
    EXPECT_EQ(gmpt_task_current(), 0);
    gmpt_waitgroup_done(&group);
}

static int hand_over(void *arg)
{
    (void)arg;
    chan = gmpt_chan_new(sizeof(struct gmpt_task), 0);
    gmpt_waitgroup_add(&group, 1);
    run_go(take_over);
    struct gmpt_task task = gmpt_task_begin("request");
    EXPECT_EQ(gmpt_chan_send(chan, &task), 0);
    gmpt_waitgroup_wait(&group);
    EXPECT_EQ(gmpt_task_current(), task.id); /* only whoever ends it leaves it */
    EXPECT_EQ(gmpt_task_enter(0), task.id);
    gmpt_chan_release(chan);
    return 0;
}

TEST(usertrace, another_g_can_end_a_task)
{
    struct gmpt_trace *trace = record(2, hand_over);
    struct gmpt_event begin = find(trace, GMPT_EVENT_user_task_begin), end = find(trace, GMPT_EVENT_user_task_end);
    ck_assert_uint_eq(begin.user_task_begin.task, end.user_task_end.task);
    ck_assert_uint_ne(begin.g, end.g);
    finish(trace);
}

/* ---- regions and messages ---- */

static int regions(void *arg)
{
    (void)arg;
    struct gmpt_task task = gmpt_task_begin("request");
    struct gmpt_region outer = gmpt_region_begin("outer"), inner = gmpt_region_begin(NULL);
    gmpt_sleep(1000);
    gmpt_region_end(inner);
    gmpt_region_end(outer);
    gmpt_task_end(task);
    return 0;
}

TEST(usertrace, a_region_is_of_its_g_and_its_task)
{
    struct gmpt_trace *trace = record(2, regions);
    uint64_t task = find(trace, GMPT_EVENT_user_task_begin).user_task_begin.task;
    struct gmpt_event outer = find(trace, GMPT_EVENT_user_region_begin);
    ck_assert_uint_eq(outer.user_region_begin.task, task);
    ck_assert_str_eq(gmpt_trace_string(trace, outer.user_region_begin.name), "outer");
    ck_assert_uint_eq(outer.g, 1);
    struct gmpt_event inner = find(trace, GMPT_EVENT_user_region_begin);
    ck_assert_str_eq(gmpt_trace_string(trace, inner.user_region_begin.name), "");
    ck_assert_uint_eq(find(trace, GMPT_EVENT_user_region_end).user_region_end.name, inner.user_region_begin.name);
    ck_assert_uint_eq(find(trace, GMPT_EVENT_user_region_end).user_region_end.name, outer.user_region_begin.name);
    finish(trace);
}

static char long_text[1001];

static int messages(void *arg)
{
    (void)arg;
    memset(long_text, 'x', 1000);
    for (int length = 0; length < 100; length++)
        gmpt_logf("lengths", "%.*s", length,
                  "0123456789012345678901234567890123456789012345678901234567890123456789"
                  "0123456789012345678901234567890123456789");
    gmpt_log("utf-8", "\xc3\xbc\xff");
    gmpt_log("long", long_text);
    gmpt_logf("long", "%s", long_text);
    gmpt_log(NULL, NULL);
    return 0;
}

TEST(usertrace, messages_keep_their_text)
{
    struct gmpt_trace *trace = record(1, messages);
    struct gmpt_event event;
    size_t bytes;
    for (size_t length = 0; length < 100; length++) {
        event = find(trace, GMPT_EVENT_user_log);
        const char *text = gmpt_trace_log_text(trace, &bytes);
        ck_assert_uint_eq(bytes, length);
        ck_assert_uint_eq(event.user_log.bytes, length);
        for (size_t i = 0; i < length; i++)
            ck_assert_int_eq(text[i], '0' + (int)(i % 10));
    }
    event = find(trace, GMPT_EVENT_user_log);
    ck_assert_str_eq(gmpt_trace_string(trace, event.user_log.category), "utf-8");
    ck_assert_str_eq(gmpt_trace_log_text(trace, NULL), "\xc3\xbc\xff");
    for (int i = 0; i < 2; i++) {
        event = find(trace, GMPT_EVENT_user_log);
        ck_assert_uint_eq(event.user_log.bytes, 1000);
        ck_assert_uint_eq(strspn(gmpt_trace_log_text(trace, &bytes), "x"), GMPT_LOG_BYTES_MAX);
    }
    event = find(trace, GMPT_EVENT_user_log);
    ck_assert_str_eq(gmpt_trace_log_text(trace, NULL), "");
    ck_assert_str_eq(gmpt_trace_string(trace, event.user_log.category), "");
    finish(trace);
}

/* ---- labels and names in the trace ---- */

static void wait_a_while(void *p)
{
    (void)p;
    gmpt_chan_recv(chan, NULL);
}

static int label_children(void *arg)
{
    (void)arg;
    struct gmpt_label route = { "route", "/x" };
    struct gmpt_go_options options = { .name = "reader", .labels = &route, .label_count = 1, .scope = 9 };
    chan = gmpt_chan_new(0, 0);
    gmpt_label_set("tenant", "acme");
    gmpt_scope_enter(7);
    EXPECT(gmpt_go(wait_a_while, NULL, 0) > 0);
    EXPECT(gmpt_go_with(&options, wait_a_while, NULL, 0) > 0);
    gmpt_label_set("tenant", NULL);
    gmpt_scope_enter(0);
    EXPECT(gmpt_go(wait_a_while, NULL, 0) > 0);
    return 0;
}

static bool has_label(const struct gmpt_trace *trace, const struct gmpt_g *g, const char *key, const char *value)
{
    for (uint32_t i = 0; i < gmpt_trace_label_count(trace, g->labels); i++) {
        struct gmpt_trace_label label = gmpt_trace_label(trace, g->labels, i);
        if (strcmp(label.key, key) == 0)
            return strcmp(label.value, value) == 0;
    }
    return false;
}

TEST(usertrace, the_reader_knows_every_gs_labels_name_and_scope)
{
    struct gmpt_trace *trace = record(1, label_children);
    struct gmpt_event event;
    uint64_t created[4]; /* the first is the main G */
    for (int i = 0; i < 4; i++)
        created[i] = find(trace, GMPT_EVENT_go_create).go_create.g;
    while (gmpt_trace_next(trace, &event) > 0)
        ;
    const struct gmpt_g *plain = gmpt_trace_g(trace, created[1]), *named = gmpt_trace_g(trace, created[2]),
                        *last = gmpt_trace_g(trace, created[3]);
    ck_assert(plain && named && last);
    ck_assert_uint_eq(gmpt_trace_label_count(trace, plain->labels), 1);
    ck_assert(has_label(trace, plain, "tenant", "acme"));
    ck_assert_str_eq(gmpt_trace_string(trace, plain->name), "");
    ck_assert_uint_eq(gmpt_trace_label_count(trace, named->labels), 2);
    ck_assert(has_label(trace, named, "tenant", "acme"));
    ck_assert(has_label(trace, named, "route", "/x"));
    ck_assert_str_eq(gmpt_trace_string(trace, named->name), "reader");
    ck_assert_uint_eq(last->labels, 0);
    ck_assert_uint_eq(plain->scope, 7);
    ck_assert_uint_eq(named->scope, 9);
    ck_assert_uint_eq(last->scope, 0);
    finish(trace);
}

/* ---- on a small stack ---- */

static void all_but_printf(void *p)
{
    (void)p;
    char text[200];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    for (int i = 0; i < 16; i++) {
        text[0] = (char)('a' + i);
        EXPECT_EQ(gmpt_label_set(text, text), 0);
    }
    struct gmpt_task task = gmpt_task_begin(text);
    struct gmpt_region region = gmpt_region_begin(text);
    int64_t pushed = gmpt_label_push(text, "other");
    EXPECT(pushed > 0);
    gmpt_name_set(text);
    gmpt_log(text, text);
    gmpt_label_pop(pushed);
    gmpt_region_end(region);
    gmpt_task_end(task);
    gmpt_waitgroup_done(&group);
}

static int on_small_stacks(void *arg)
{
    (void)arg;
    struct gmpt_go_options options = { .stack_bytes = GMPT_STACK_SMALL, .name = "small" };
    gmpt_waitgroup_add(&group, 4);
    for (int i = 0; i < 4; i++)
        EXPECT(gmpt_go_with(&options, all_but_printf, NULL, 0) > 0);
    gmpt_waitgroup_wait(&group); /* an overflow ends the program when the G does */
    return 0;
}

TEST(usertrace, a_small_stack_is_enough_for_all_but_printf) { finish(record(2, on_small_stacks)); }

/* ---- off ---- */

static int use_all(void *arg)
{
    (void)arg;
    struct gmpt_task task = gmpt_task_begin("request");
    struct gmpt_region region = gmpt_region_begin("outer");
    gmpt_log("category", "text");
    gmpt_logf("category", "%d", 1);
    EXPECT_EQ(task.id, 0);
    EXPECT_EQ(gmpt_task_current(), 0);
    gmpt_region_end(region);
    gmpt_task_end(task);
    return 0;
}

TEST(usertrace, without_a_recorder_nothing_happens)
{
    unsetenv(SEGMENT_FD_ENV);
    RUN(2, use_all);
    ck_assert_uint_eq(load_relaxed(&trace_segment.header->dictionary_used), 0);
    for (uint32_t i = 0; i < trace_segment.ring_count; i++)
        ck_assert_uint_eq(load_relaxed(&trace_segment.rings[i].opened), 0);
}

/* ---- many at once ---- */

static void busy(void *p)
{
    uint32_t own = *(uint32_t *)p;
    char name[32];
    for (uint32_t i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "kind %u", (own + i) % 50);
        struct gmpt_task task = gmpt_task_begin(name);
        struct gmpt_region region = gmpt_region_begin(name);
        int64_t pushed = gmpt_label_push("kind", name);
        gmpt_logf("busy", "%u of %s", i, name);
        gmpt_yield();
        gmpt_label_pop(pushed);
        gmpt_region_end(region);
        gmpt_task_end(task);
    }
    gmpt_waitgroup_done(&group);
}

static int all_busy(void *arg)
{
    (void)arg;
    gmpt_waitgroup_add(&group, 40);
    for (uint32_t i = 0; i < 40; i++)
        EXPECT(gmpt_go(busy, &i, sizeof i) > 0);
    gmpt_waitgroup_wait(&group);
    return 0;
}

TEST(usertrace, every_end_finds_its_begin)
{
    struct gmpt_trace *trace = record(4, all_busy);
    static uint64_t task_name[40 * 200 + 1];
    struct gmpt_event event;
    char name[32];
    uint64_t ended = 0, logged = 0;
    unsigned number;
    while (gmpt_trace_next(trace, &event) > 0) {
        switch (event.type) {
        case GMPT_EVENT_user_task_begin:
            REQUIRE(event.user_task_begin.task <= 40 * 200);
            task_name[event.user_task_begin.task] = event.user_task_begin.name;
            break;
        case GMPT_EVENT_user_task_end:
            REQUIRE(task_name[event.user_task_end.task] != 0);
            ended++;
            break;
        case GMPT_EVENT_user_log:
            REQUIRE(sscanf(gmpt_trace_log_text(trace, NULL), "%*u of %31[^\n]", name) == 1);
            REQUIRE(sscanf(name, "kind %u", &number) == 1);
            REQUIRE(strcmp(name, gmpt_trace_string(trace, task_name[event.user_log.task])) == 0);
            REQUIRE(has_label(trace, gmpt_trace_g(trace, event.g), "kind", name));
            logged++;
            break;
        default:
            break;
        }
    }
    ck_assert_uint_eq(ended, 40 * 200);
    ck_assert_uint_eq(logged, 40 * 200);
    finish(trace);
}
