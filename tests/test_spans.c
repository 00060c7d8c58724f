/* Tasks, regions and messages added up, from events made by hand. */
#include "harness.h"

#include "trace/spans.h"

#include <stdlib.h>
#include <string.h>

static struct spans *spans;

static void feed(enum gmpt_event_type type, int64_t time_ns, uint64_t g, uint64_t f0, uint64_t f1, uint64_t f2)
{
    struct gmpt_event event = { .type = type, .p = 0, .time_ns = time_ns, .g = g };
    event.field[0] = f0;
    event.field[1] = f1;
    event.field[2] = f2;
    ck_assert_int_eq(spans_add(spans, &event), 0);
}

static void task_begin(int64_t t, uint64_t id, uint64_t name) { feed(GMPT_EVENT_user_task_begin, t, 1, id, 0, name); }
static void task_end(int64_t t, uint64_t id) { feed(GMPT_EVENT_user_task_end, t, 2, id, 0, 0); }
static void begin(int64_t t, uint64_t g, uint64_t name) { feed(GMPT_EVENT_user_region_begin, t, g, 0, name, 0); }
static void end(int64_t t, uint64_t g, uint64_t name) { feed(GMPT_EVENT_user_region_end, t, g, name, 0, 0); }

static void open_spans(void)
{
    spans = spans_open();
    ck_assert_ptr_nonnull(spans);
}

/* The kind with this name, once no more come. */
static struct span_kind kind_named(const struct span_kind *(*list)(const struct spans *, size_t *), uint64_t name)
{
    size_t count;
    const struct span_kind *kinds = list(spans, &count);
    for (size_t i = 0; i < count; i++)
        if (kinds[i].name == name)
            return kinds[i];
    ck_abort_msg("no kind has this name");
    return (struct span_kind){ 0 };
}

TEST(spans, nothing_gives_nothing)
{
    size_t count;
    open_spans();
    feed(GMPT_EVENT_go_exit, 5, 1, 0, 0, 0);
    ck_assert_int_eq(spans_finish(spans), 0);
    spans_tasks(spans, &count);
    ck_assert_uint_eq(count, 0);
    spans_regions(spans, &count);
    ck_assert_uint_eq(count, 0);
    spans_messages(spans, &count);
    ck_assert_uint_eq(count, 0);
    spans_close(spans);
    spans_close(NULL);
}

TEST(spans, tasks_last_from_begin_to_end_on_any_g)
{
    open_spans();
    task_begin(100, 1, 7);
    task_begin(110, 2, 7);
    task_begin(120, 3, 8);
    task_end(118, 2);
    task_end(200, 1);
    ck_assert_int_eq(spans_finish(spans), 0);
    struct span_kind kind = kind_named(spans_tasks, 7);
    ck_assert_uint_eq(kind.begun, 2);
    ck_assert_uint_eq(kind.ended, 2);
    ck_assert_int_eq(kind.total_ns, 108);
    ck_assert_int_eq(kind.latency.max_ns, 100);
    ck_assert_int_eq(kind.latency.p50_ns, 8);
    kind = kind_named(spans_tasks, 8);
    ck_assert_uint_eq(kind.begun, 1);
    ck_assert_uint_eq(kind.ended, 0);
    ck_assert_uint_eq(kind.latency.count, 0);
    ck_assert_uint_eq(spans_unmatched(spans), 0);
    spans_close(spans);
}

TEST(spans, regions_too_deep_to_follow_leave_the_outer_ones_alone)
{
    open_spans();
    for (int i = 0; i < 260; i++)
        begin(i, 1, 7);
    for (int i = 0; i < 4; i++)
        end(1000, 1, 7);
    begin(1500, 1, 7);
    end(1600, 1, 7);
    for (int i = 0; i < 256; i++)
        end(2000, 1, 7);
    ck_assert_int_eq(spans_finish(spans), 0);
    struct span_kind kind = kind_named(spans_regions, 7);
    ck_assert_uint_eq(kind.begun, 261);
    ck_assert_uint_eq(kind.ended, 256);
    ck_assert_int_eq(kind.total_ns, 256 * 2000 - 255 * 256 / 2);
    ck_assert_uint_eq(spans_unmatched(spans), 5);
    spans_close(spans);
}

TEST(spans, regions_nest_on_each_g)
{
    open_spans();
    begin(0, 1, 7);
    begin(5, 2, 7);
    begin(10, 1, 7);
    begin(20, 1, 8);
    end(30, 1, 8);
    end(40, 1, 7); /* the inner one */
    end(100, 1, 7);
    end(105, 2, 7);
    ck_assert_int_eq(spans_finish(spans), 0);
    struct span_kind kind = kind_named(spans_regions, 7);
    ck_assert_uint_eq(kind.ended, 3);
    ck_assert_int_eq(kind.total_ns, 30 + 100 + 100);
    ck_assert_int_eq(kind_named(spans_regions, 8).total_ns, 10);
    ck_assert_uint_eq(spans_unmatched(spans), 0);
    spans_close(spans);
}

TEST(spans, regions_that_cross_end_by_their_names)
{
    open_spans();
    begin(0, 1, 7);
    begin(10, 1, 8);
    end(30, 1, 7);
    end(50, 1, 8);
    ck_assert_int_eq(spans_finish(spans), 0);
    ck_assert_int_eq(kind_named(spans_regions, 7).total_ns, 30);
    ck_assert_int_eq(kind_named(spans_regions, 8).total_ns, 40);
    ck_assert_uint_eq(spans_unmatched(spans), 0);
    spans_close(spans);
}

TEST(spans, what_a_g_leaves_open_is_not_the_next_ones)
{
    open_spans();
    begin(0, 1, 7);
    begin(1, 1, 8);
    feed(GMPT_EVENT_go_exit, 10, 1, 0, 0, 0);
    end(30, 1, 7);
    ck_assert_int_eq(spans_finish(spans), 0);
    struct span_kind kind = kind_named(spans_regions, 7);
    ck_assert_uint_eq(kind.begun, 1);
    ck_assert_uint_eq(kind.ended, 0);
    ck_assert_uint_eq(spans_unmatched(spans), 1);
    spans_close(spans);
}

TEST(spans, ends_without_a_begin_are_counted)
{
    open_spans();
    task_end(5, 99);
    end(6, 1, 7);
    begin(7, 1, 8);
    end(8, 1, 7);
    task_begin(9, 4, 7);
    task_begin(10, 4, 7); /* twice the same id */
    ck_assert_int_eq(spans_finish(spans), 0);
    ck_assert_uint_eq(spans_unmatched(spans), 4);
    spans_close(spans);
}

TEST(spans, a_clock_that_steps_back_gives_no_negative_time)
{
    open_spans();
    task_begin(100, 1, 7);
    task_end(90, 1);
    ck_assert_int_eq(spans_finish(spans), 0);
    ck_assert_int_eq(kind_named(spans_tasks, 7).total_ns, 0);
    ck_assert_uint_eq(kind_named(spans_tasks, 7).latency.count, 1);
    spans_close(spans);
}

TEST(spans, the_longest_come_first)
{
    size_t count;
    open_spans();
    for (uint64_t i = 1; i <= 5; i++) {
        task_begin(0, i, i);
        task_end(i == 3 ? 1000 : (int64_t)i, i);
    }
    ck_assert_int_eq(spans_finish(spans), 0);
    const struct span_kind *kinds = spans_tasks(spans, &count);
    ck_assert_uint_eq(count, 5);
    ck_assert_uint_eq(kinds[0].name, 3);
    ck_assert_uint_eq(kinds[1].name, 5);
    spans_close(spans);
}

TEST(spans, messages_are_counted_by_category)
{
    size_t count;
    open_spans();
    for (int i = 0; i < 5; i++)
        feed(GMPT_EVENT_user_log, i, 1, 0, i % 2 ? 7 : 8, 10);
    ck_assert_int_eq(spans_finish(spans), 0);
    const struct span_messages *messages = spans_messages(spans, &count);
    ck_assert_uint_eq(count, 2);
    ck_assert_uint_eq(messages[0].category, 8);
    ck_assert_uint_eq(messages[0].count, 3);
    ck_assert_uint_eq(messages[1].count, 2);
    spans_close(spans);
}

TEST(spans, names_over_the_limit_are_one_kind)
{
    size_t count;
    open_spans();
    for (uint64_t i = 1; i <= 2 * SPANS_KINDS_MAX; i++) {
        begin(0, 1, i);
        end(1, 1, i);
    }
    ck_assert_int_eq(spans_finish(spans), 0);
    spans_regions(spans, &count);
    ck_assert_uint_le(count, SPANS_KINDS_MAX + 1);
    spans_close(spans);
}

/* An end looks for its begin from the innermost region outwards, so that without a bound a small file takes hours. */
TEST_TIMEOUT(spans, regions_in_very_many_others_are_counted_only, 20)
{
    const uint64_t many = 400000;
    open_spans();
    for (uint64_t i = 0; i < many; i++)
        begin(0, 5, 7);
    for (uint64_t i = 0; i < many; i++)
        end(1, 5, 8);
    ck_assert_int_eq(spans_finish(spans), 0);
    struct span_kind kind = kind_named(spans_regions, 7);
    ck_assert_uint_eq(kind.begun, many);
    ck_assert_uint_eq(kind.ended, 0);
    ck_assert_uint_eq(spans_unmatched(spans), many);
    spans_close(spans);
}

TEST(spans, regions_that_overlap_without_end_are_not_inside_each_other)
{
    const uint64_t many = 100000;
    open_spans();
    begin(0, 5, 1);
    for (uint64_t i = 1; i <= many; i++) {
        begin(0, 5, 1 + i % 2);
        end(1, 5, 1 + (i - 1) % 2);
    }
    ck_assert_int_eq(spans_finish(spans), 0);
    ck_assert_uint_eq(kind_named(spans_regions, 1).ended + kind_named(spans_regions, 2).ended, many);
    ck_assert_uint_eq(spans_unmatched(spans), 0);
    spans_close(spans);
}

/* ---- Watched ----------------------------------------------------------------------------------------------------- */

static struct span over[8];
static size_t over_count;

static int note_over(void *arg, const struct span *span)
{
    (void)arg;
    ck_assert_uint_lt(over_count, sizeof over / sizeof over[0]);
    over[over_count++] = *span;
    return 0;
}

static void watch(void)
{
    open_spans();
    over_count = 0;
    spans_watch(spans, note_over, NULL);
}

TEST(spans, who_watches_is_told_of_each_that_is_over)
{
    watch();
    feed(GMPT_EVENT_user_task_begin, 10, 1, 5, 4, 70);
    feed(GMPT_EVENT_user_region_begin, 20, 3, 5, 80, 0);
    begin(25, 3, 81);
    end(30, 3, 80); /* not the innermost */
    task_end(40, 5);
    feed(GMPT_EVENT_go_exit, 50, 3, 0, 0, 0);
    ck_assert_uint_eq(over_count, 3);
    ck_assert(!over[0].task && over[0].ended);
    ck_assert_uint_eq(over[0].id, 5);
    ck_assert_uint_eq(over[0].g, 3);
    ck_assert_int_eq(over[0].begin_ns, 20);
    ck_assert_int_eq(over[0].end_ns, 30);
    ck_assert(over[1].task && over[1].ended);
    ck_assert_uint_eq(over[1].id, 5);
    ck_assert_uint_eq(over[1].parent, 4);
    ck_assert_uint_eq(over[1].name, 70);
    ck_assert_uint_eq(over[1].g, 1);
    ck_assert_uint_eq(over[1].end_g, 2);
    ck_assert(!over[2].task && !over[2].ended);
    ck_assert_uint_eq(over[2].name, 81);
    ck_assert_int_eq(over[2].end_ns, 50);
    spans_close(spans);
}

TEST(spans, regions_that_are_open_together_have_lanes_of_their_own)
{
    watch();
    begin(1, 3, 80);
    begin(2, 3, 81);
    begin(3, 3, 82);
    end(4, 3, 81);
    begin(5, 3, 83); /* takes the lane that is free, beside 82 */
    begin(6, 4, 80); /* of another G */
    end(7, 3, 83);
    end(7, 3, 82);
    end(7, 3, 80);
    end(7, 4, 80);
    static const uint64_t names[] = { 81, 83, 82, 80, 80 };
    static const uint32_t lanes[] = { 1, 1, 2, 0, 0 };
    ck_assert_uint_eq(over_count, 5);
    for (size_t i = 0; i < over_count; i++) {
        ck_assert_uint_eq(over[i].name, names[i]);
        ck_assert_uint_eq(over[i].lane, lanes[i]);
    }
    spans_close(spans);
}

TEST(spans, the_end_of_the_trace_cuts_what_is_open)
{
    watch();
    task_begin(10, 5, 70);
    begin(20, 3, 80);
    ck_assert_int_eq(spans_cut(spans, 90), 0);
    ck_assert_uint_eq(over_count, 2);
    for (size_t i = 0; i < over_count; i++) {
        ck_assert(!over[i].ended);
        ck_assert_int_eq(over[i].end_ns, 90);
    }
    ck_assert_int_eq(spans_finish(spans), 0);
    ck_assert_uint_eq(kind_named(spans_tasks, 70).begun, 1);
    spans_close(spans);
}
