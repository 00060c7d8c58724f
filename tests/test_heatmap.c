/* Heat maps of traces made by hand, every cell of which is known, and of made-up ones, whose sums are. */
#include "gentrace.h"
#include "harness.h"
#include "tracefile.h"

#include "trace/heatmap.h"

#include <stdlib.h>

static struct heatmap *heatmap;
static struct intervals *intervals;
static int64_t runnable_ns;

static int on_closed(void *arg, const struct interval *interval)
{
    if (interval->state == GMPT_G_RUNNABLE)
        runnable_ns += interval->end_ns - interval->begin_ns;
    return heatmap_closed(arg, interval);
}

static void begin(int64_t end_ns, unsigned columns)
{
    runnable_ns = 0;
    heatmap = heatmap_open(end_ns, columns);
    ck_assert_ptr_nonnull(heatmap);
    intervals = intervals_open(NULL, on_closed, heatmap);
    ck_assert_ptr_nonnull(intervals);
    intervals_watch(intervals, heatmap_begun);
}

static void end(int64_t end_ns)
{
    ck_assert_int_eq(intervals_finish(intervals, end_ns), 0);
    ck_assert_int_eq(heatmap_finish(heatmap), 0);
    intervals_close(intervals);
}

static void feed(enum gmpt_event_type type, int p, int64_t time_ns, uint64_t g, uint64_t f0, uint64_t f1, uint64_t f2,
                 uint64_t f3)
{
    struct gmpt_event event = { .type = type, .p = p, .time_ns = time_ns, .g = g };
    event.field[0] = f0;
    event.field[1] = f1;
    event.field[2] = f2;
    event.field[3] = f3;
    ck_assert_int_eq(intervals_add(intervals, &event), 0);
    ck_assert_int_eq(heatmap_event(heatmap, &event), 0);
}

static int64_t weights(const struct topk *topk)
{
    int64_t sum = 0;
    for (uint32_t i = 0; topk && i < topk->used; i++)
        sum += topk->entries[i].weight;
    return sum;
}

/* What victims, or wakers, have of a column: of its own node and, in part, of all above it. */
static int64_t node_weights(unsigned row, unsigned column, bool wakers)
{
    unsigned wide = 1;
    int64_t sum = 0;
    for (unsigned n = heatmap_columns(heatmap) + column; n; n /= 2, wide *= 2) {
        const struct heatmap_node *node = heatmap_node(heatmap, row, n);
        if (node)
            sum += weights(wakers ? &node->wakers : &node->victims) / wide;
    }
    return sum;
}

/* G1 hogs P0 from 0 to 350 and starts G2 at 50: it waits from column 0 to 3. */
static void hogged(void)
{
    begin(400, 4);
    feed(GMPT_EVENT_proc_start, 0, 0, 0, 77, 0, 0, 0);
    feed(GMPT_EVENT_go_create, 0, 0, 1, 1, 0x100, 0, 0);
    feed(GMPT_EVENT_go_start, 0, 0, 1, 1, 2, 0, 0);
    feed(GMPT_EVENT_go_create, 0, 50, 2, 2, 0x200, 5, 0);
    feed(GMPT_EVENT_go_block, 0, 350, 1, GMPT_WAIT_chan_recv, 0xc0, 0, 9);
    feed(GMPT_EVENT_go_start, 0, 360, 2, 2, 2, 0, 0);
    end(400);
}

TEST(heatmap, a_delay_is_in_all_cells_that_it_lasts_for)
{
    static const int64_t wait_ns[] = { 50, 100, 100, 60 }, busy_ns[] = { 100, 100, 100, 90 };
    hogged();
    for (unsigned column = 0; column < 4; column++) {
        struct heatmap_cell cell = heatmap_cell(heatmap, 0, column);
        ck_assert_int_eq(cell.wait_ns, wait_ns[column]);
        ck_assert_int_eq(cell.busy_ns, busy_ns[column]);
        ck_assert_int_eq(cell.longest_ns, 310);
        ck_assert_uint_eq(cell.begun, column == 0 ? 2 : 0);
        ck_assert_int_eq(node_weights(0, column, false), wait_ns[column]);
        ck_assert_int_eq(node_weights(0, column, true), wait_ns[column]);
    }
    heatmap_close(heatmap);
}

TEST(heatmap, blames_what_ran_with_where_it_stopped)
{
    hogged();
    const struct topk *hogs = heatmap_hogs(heatmap, 0, 2);
    ck_assert_ptr_nonnull(hogs);
    ck_assert_uint_eq(hogs->used, 1);
    ck_assert_int_eq(hogs->entries[0].weight, 100);
    struct heatmap_hog hog = heatmap_hog(heatmap, hogs->entries[0].key);
    ck_assert_uint_eq(hog.kind, HEATMAP_HOG_RAN);
    ck_assert_uint_eq(hog.fn, 0x100);
    ck_assert_uint_eq(hog.to_stack, 9);
    ck_assert_uint_eq(hog.ended_by, GMPT_EVENT_go_block);
    heatmap_close(heatmap);
}

TEST(heatmap, what_nobody_ran_in_is_the_scheduler)
{
    hogged();
    const struct topk *hogs = heatmap_hogs(heatmap, 0, 3);
    ck_assert_ptr_nonnull(hogs);
    ck_assert_uint_eq(hogs->used, 2);
    ck_assert_int_eq(weights(hogs), 60);
    ck_assert_int_eq(hogs->entries[1].weight, 10);
    ck_assert_uint_eq(heatmap_hog(heatmap, hogs->entries[1].key).kind, HEATMAP_HOG_SCHEDULER);
    heatmap_close(heatmap);
}

TEST(heatmap, knows_who_waited_and_who_started_it)
{
    hogged();
    const struct heatmap_node *node = heatmap_node(heatmap, 0, 4);
    ck_assert_ptr_nonnull(node);
    struct heatmap_victim victim = heatmap_victim(heatmap, node->victims.entries[node->victims.used - 1].key);
    struct heatmap_waker waker = heatmap_waker(heatmap, node->wakers.entries[node->wakers.used - 1].key);
    ck_assert_uint_eq(victim.fn, 0x200);
    ck_assert_uint_eq(victim.create_stack, 5);
    ck_assert_uint_eq(victim.cause, GMPT_EVENT_go_create);
    ck_assert_uint_eq(waker.fn, 0x100);
    ck_assert_uint_eq(waker.stack, 5);
    heatmap_close(heatmap);
}

TEST(heatmap, a_delay_is_at_its_length_where_it_ended)
{
    hogged();
    const struct heatmap_lengths_cell *cell = heatmap_lengths(heatmap, 3, heatmap_length(310));
    ck_assert_ptr_nonnull(cell);
    ck_assert_uint_eq(cell->count, 1);
    ck_assert_int_eq(weights(&cell->victims), 310);
    ck_assert_ptr_null(heatmap_lengths(heatmap, 2, heatmap_length(310)));
    heatmap_close(heatmap);
}

TEST(heatmap, lengths_begin_where_they_say)
{
    for (unsigned length = 2; length < 126; length++) {
        ck_assert_uint_eq(heatmap_length(heatmap_length_floor_ns(length)), length);
        ck_assert_uint_eq(heatmap_length(heatmap_length_floor_ns(length) - 1), length > 2 ? length - 1 : 0);
    }
}

static void sums_are_exact(unsigned seed)
{
    struct gentrace made = gentrace_make(seed, 1000);
    const char *path = tracefile_build(made.text);
    struct gmpt_trace_error error;
    struct gmpt_event event;
    struct gmpt_trace *trace = gmpt_trace_open(path, &error);
    ck_assert_ptr_nonnull(trace);
    int64_t end_ns = gmpt_trace_info(trace)->expected_duration_ns, wait_ns = 0;
    begin(end_ns, 64);
    while (gmpt_trace_next(trace, &event) > 0) {
        ck_assert_int_eq(intervals_add(intervals, &event), 0);
        ck_assert_int_eq(heatmap_event(heatmap, &event), 0);
    }
    end(end_ns);
    for (unsigned row = 0; row < HEATMAP_ROWS; row++)
        for (unsigned column = 0; column < 64; column++) {
            struct heatmap_cell cell = heatmap_cell(heatmap, row, column);
            ck_assert_int_eq(weights(heatmap_hogs(heatmap, row, column)), cell.wait_ns);
            wait_ns += cell.wait_ns;
        }
    ck_assert_int_eq(wait_ns, runnable_ns);
    heatmap_close(heatmap);
    gmpt_trace_close(trace);
    free(made.text);
}

TEST(heatmap, blame_adds_up_to_all_time_that_was_waited)
{
    for (unsigned seed = 1; seed <= 12; seed++)
        sums_are_exact(seed);
}
