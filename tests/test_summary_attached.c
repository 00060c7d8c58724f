/* The summary of a recording that attached: what was there before counts from the start. */
#include "harness.h"

#include "trace/summary.h"

#define MS 1000000ll
#define S 1000000000ll

static void was(struct summary *summary, int64_t t, uint64_t g, enum gmpt_g_state state, uint64_t parent)
{
    struct gmpt_event event = { .type = GMPT_EVENT_go_was, .p = -1, .time_ns = t, .g = g };
    event.go_was.g = g;
    event.go_was.state = (uint64_t)state;
    event.go_was.parent = parent;
    event.go_was.fn = 0x5000;
    ck_assert_int_eq(summary_add(summary, &event), 0);
}

static void waited(struct summary *summary, int64_t t, uint64_t g, int64_t waited_ns)
{
    struct gmpt_event event = { .type = GMPT_EVENT_go_waited, .p = -1, .time_ns = t, .g = g };
    event.go_waited.g = g;
    event.go_waited.reason = GMPT_WAIT_chan_recv;
    event.go_waited.waited_ns = (uint64_t)waited_ns;
    ck_assert_int_eq(summary_add(summary, &event), 0);
}

static void moves(struct summary *summary, enum gmpt_event_type type, int p, int64_t t, uint64_t g)
{
    struct gmpt_event event = { .type = type, .p = p, .time_ns = t, .g = g, .field = { g, 9 } };
    ck_assert_int_eq(summary_add(summary, &event), 0);
}

TEST(summary_attached, what_was_there_before_lives_from_the_start)
{
    struct summary_options options = { .stuck_ns = SUMMARY_STUCK_NS };
    struct summary *summary = summary_open(NULL, &options);
    was(summary, 0, 1, GMPT_G_SYSCALL, 0);
    was(summary, 0, 2, GMPT_G_WAITING, 1);
    waited(summary, 0, 2, 50 * S);
    was(summary, 3 * MS, 3, GMPT_G_WAITING, 1);
    waited(summary, 3 * MS, 3, 5 * MS);
    moves(summary, GMPT_EVENT_go_unblock, 0, 3 * MS, 3);
    moves(summary, GMPT_EVENT_go_start, 0, 4 * MS, 3);
    moves(summary, GMPT_EVENT_proc_stop, 3, 10 * MS, 0);
    ck_assert_int_eq(summary_finish(summary), 0);
    const struct summary_totals *totals = summary_totals(summary);
    ck_assert_uint_eq(totals->gs_before, 3);
    ck_assert_uint_eq(totals->gs_created, 0);
    ck_assert_uint_eq(totals->gs_alive, 3);
    ck_assert_int_eq(totals->state_ns[GMPT_G_SYSCALL], 10 * MS);
    ck_assert_int_eq(totals->state_ns[GMPT_G_WAITING], 10 * MS + 3 * MS);
    ck_assert_int_eq(totals->state_ns[GMPT_G_RUNNABLE], 1 * MS);
    ck_assert_int_eq(totals->state_ns[GMPT_G_RUNNING], 6 * MS);
    size_t count;
    const struct summary_group *groups = summary_groups(summary, &count);
    ck_assert_uint_ge(count, 1);
    ck_assert_uint_eq(groups[0].example_g, 2);
    ck_assert_int_eq(groups[0].oldest_ns, 50 * S + 10 * MS);
    ck_assert_int_eq(groups[0].verdict, SUMMARY_STUCK);
    summary_close(summary);
}
