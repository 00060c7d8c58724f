/* The summary, fed with events by hand: sums, sites, groups and verdicts. */
#include "harness.h"

#include "trace/summary.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#define MS 1000000ll
#define S 1000000000ll
#define MAIN_FN 0x4000
#define WORK_FN 0x5000

/* ---- Feeding ----------------------------------------------------------------------------------------------------- */

static struct summary *opened(void)
{
    struct summary_options options = { .stuck_ns = SUMMARY_STUCK_NS };
    struct summary *summary = summary_open(NULL, &options);
    ck_assert_ptr_nonnull(summary);
    return summary;
}

static void feed(struct summary *summary, enum gmpt_event_type type, int p, int64_t time_ns, uint64_t g, uint64_t f0,
                 uint64_t f1, uint64_t f2, uint64_t f3)
{
    struct gmpt_event event = { .type = type, .p = p, .time_ns = time_ns, .g = g };
    event.field[0] = f0;
    event.field[1] = f1;
    event.field[2] = f2;
    event.field[3] = f3;
    ck_assert_int_eq(summary_add(summary, &event), 0);
}

static void create(struct summary *summary, int p, int64_t t, uint64_t g, uint64_t fn, uint32_t stack)
{
    feed(summary, GMPT_EVENT_go_create, p, t, g, g, fn, stack, 0);
}
static void start(struct summary *summary, int p, int64_t t, uint64_t g)
{
    feed(summary, GMPT_EVENT_go_start, p, t, g, g, 2, 0, 0);
}
static void block(struct summary *summary, int p, int64_t t, uint64_t g, enum gmpt_wait_reason reason, int bounded,
                  uint32_t stack)
{
    feed(summary, GMPT_EVENT_go_block, p, t, g, reason, 0xc000 + g, (uint64_t)bounded, stack);
}
static void unblock(struct summary *summary, int p, int64_t t, uint64_t g)
{
    feed(summary, GMPT_EVENT_go_unblock, p, t, g, g, 4, 0, 0);
}
static void simple(struct summary *summary, enum gmpt_event_type type, int p, int64_t t, uint64_t g)
{
    feed(summary, type, p, t, g, 0, 0, 0, 0);
}

/* The main G runs on P 0. */
static struct summary *opened_with_main(void)
{
    struct summary *summary = opened();
    create(summary, -1, 0, 1, MAIN_FN, 0);
    start(summary, 0, 0, 1);
    return summary;
}

/* A G that is started by the main G on P 0 and blocks at once on P 1. */
static void leak(struct summary *summary, int64_t t, uint64_t g)
{
    create(summary, 0, t, g, WORK_FN, 7);
    start(summary, 1, t, g);
    block(summary, 1, t, g, GMPT_WAIT_chan_send, 0, 9);
}

static const struct summary_totals *finished(struct summary *summary, int64_t end_ns)
{
    simple(summary, GMPT_EVENT_proc_stop, 3, end_ns, 0);
    ck_assert_int_eq(summary_finish(summary), 0);
    return summary_totals(summary);
}

static const struct summary_group *group_with(const struct summary *summary, uint64_t fn)
{
    size_t count;
    const struct summary_group *groups = summary_groups(summary, &count);
    for (size_t i = 0; i < count; i++)
        if (groups[i].fn == fn)
            return &groups[i];
    ck_abort_msg("no group has this function");
    return NULL;
}

/* ---- Sums -------------------------------------------------------------------------------------------------------- */

TEST(summary, nothing_makes_an_empty_summary)
{
    struct summary *summary = opened();
    size_t count;
    ck_assert_int_eq(summary_finish(summary), 0);
    ck_assert_uint_eq(summary_totals(summary)->gs_created, 0);
    ck_assert_int_eq(summary_totals(summary)->length_ns, 0);
    summary_groups(summary, &count);
    ck_assert_uint_eq(count, 0);
    summary_sites(summary, &count);
    ck_assert_uint_eq(count, 0);
    summary_close(summary);
    summary_close(NULL);
}

TEST(summary, counts_created_ended_alive_and_peak)
{
    struct summary *summary = opened_with_main();
    for (uint64_t g = 2; g <= 5; g++)
        create(summary, 0, 10, g, WORK_FN, 1);
    for (uint64_t g = 2; g <= 4; g++) {
        start(summary, 1, 20, g);
        simple(summary, GMPT_EVENT_go_exit, 1, 30, g);
    }
    create(summary, 0, 40, 6, WORK_FN, 1);
    const struct summary_totals *totals = finished(summary, 50);
    ck_assert_uint_eq(totals->gs_created, 6);
    ck_assert_uint_eq(totals->gs_ended, 3);
    ck_assert_uint_eq(totals->gs_alive, 3);
    ck_assert_uint_eq(totals->gs_peak, 5);
    summary_close(summary);
}

TEST(summary, times_by_state_add_up_to_the_life_of_each)
{
    struct summary *summary = opened();
    create(summary, -1, 0, 1, MAIN_FN, 0);
    start(summary, 0, 5, 1);
    block(summary, 0, 25, 1, GMPT_WAIT_sleep, 1, 2);
    unblock(summary, -1, 125, 1);
    start(summary, 0, 132, 1);
    feed(summary, GMPT_EVENT_syscall_begin, 0, 140, 1, 3, 0, 0, 0);
    simple(summary, GMPT_EVENT_syscall_end, 0, 190, 1);
    simple(summary, GMPT_EVENT_go_exit, 0, 200, 1);
    const struct summary_totals *totals = finished(summary, 500);
    ck_assert_int_eq(totals->state_ns[GMPT_G_RUNNABLE], 5 + 7);
    ck_assert_int_eq(totals->state_ns[GMPT_G_RUNNING], 20 + 8 + 10);
    ck_assert_int_eq(totals->state_ns[GMPT_G_WAITING], 100);
    ck_assert_int_eq(totals->state_ns[GMPT_G_SYSCALL], 50);
    ck_assert_int_eq(totals->p_busy_ns, 38);
    ck_assert_int_eq(totals->length_ns, 500);
    summary_close(summary);
}

TEST(summary, the_state_at_the_end_counts_to_the_end)
{
    struct summary *summary = opened_with_main();
    create(summary, 0, 100, 2, WORK_FN, 1);
    const struct summary_totals *totals = finished(summary, 1000);
    ck_assert_int_eq(totals->state_ns[GMPT_G_RUNNING], 1000);
    ck_assert_int_eq(totals->state_ns[GMPT_G_RUNNABLE], 900);
    summary_close(summary);
}

TEST(summary, waiting_is_told_apart_by_reason)
{
    struct summary *summary = opened_with_main();
    block(summary, 0, 10, 1, GMPT_WAIT_mutex, 0, 2);
    unblock(summary, 1, 40, 1);
    start(summary, 0, 40, 1);
    block(summary, 0, 50, 1, GMPT_WAIT_net_read, 0, 2);
    unblock(summary, 1, 150, 1);
    const struct summary_totals *totals = finished(summary, 200);
    ck_assert_int_eq(totals->wait_ns[GMPT_WAIT_mutex], 30);
    ck_assert_int_eq(totals->wait_ns[GMPT_WAIT_net_read], 100);
    ck_assert_int_eq(totals->state_ns[GMPT_G_WAITING], 130);
    summary_close(summary);
}

TEST(summary, a_reason_that_is_not_known_counts_as_none)
{
    struct summary *summary = opened_with_main();
    block(summary, 0, 10, 1, (enum gmpt_wait_reason)200, 0, 2);
    const struct summary_totals *totals = finished(summary, 30);
    ck_assert_int_eq(totals->wait_ns[GMPT_WAIT_none], 20);
    summary_close(summary);
}

TEST(summary, a_clock_that_steps_back_never_gives_negative_times)
{
    struct summary *summary = opened_with_main();
    block(summary, 0, 100, 1, GMPT_WAIT_mutex, 0, 2);
    unblock(summary, 1, 90, 1);
    start(summary, 2, 80, 1);
    const struct summary_totals *totals = finished(summary, 150);
    ck_assert_int_eq(totals->state_ns[GMPT_G_WAITING], 0);
    ck_assert_int_eq(totals->state_ns[GMPT_G_RUNNABLE], 0);
    ck_assert_int_eq(totals->state_ns[GMPT_G_RUNNING], 150);
    ck_assert_int_eq(totals->scheduling.max_ns, 0);
    summary_close(summary);
}

TEST(summary, latency_is_from_runnable_to_running)
{
    struct summary *summary = opened();
    create(summary, -1, 0, 1, MAIN_FN, 0);
    start(summary, 0, 3, 1);
    simple(summary, GMPT_EVENT_go_yield, 0, 10, 1);
    start(summary, 0, 14, 1);
    simple(summary, GMPT_EVENT_go_preempt, 0, 20, 1);
    start(summary, 0, 25, 1);
    block(summary, 0, 30, 1, GMPT_WAIT_mutex, 0, 2);
    unblock(summary, 1, 1030, 1);
    start(summary, 1, 1036, 1);
    const struct summary_totals *totals = finished(summary, 2000);
    ck_assert_uint_eq(totals->scheduling.count, 4);
    ck_assert_int_eq(totals->scheduling.max_ns, 6);
    ck_assert_int_eq(totals->scheduling.p50_ns, 4);
    ck_assert_uint_eq(totals->yields, 1);
    ck_assert_uint_eq(totals->preemptions, 1);
    summary_close(summary);
}

TEST(summary, going_on_after_a_call_without_a_queue_is_no_latency)
{
    struct summary *summary = opened_with_main();
    feed(summary, GMPT_EVENT_syscall_begin, 0, 10, 1, 5, 0, 0, 0);
    feed(summary, GMPT_EVENT_syscall_resume, 1, 500, 1, 1, 4, 0, 0);
    const struct summary_totals *totals = finished(summary, 600);
    ck_assert_uint_eq(totals->scheduling.count, 1);
    ck_assert_int_eq(totals->state_ns[GMPT_G_SYSCALL], 490);
    summary_close(summary);
}

TEST(summary, a_call_that_finds_no_p_queues)
{
    struct summary *summary = opened_with_main();
    feed(summary, GMPT_EVENT_syscall_begin, 0, 10, 1, 5, 0, 0, 0);
    feed(summary, GMPT_EVENT_syscall_exit, -1, 50, 1, 1, 4, 0, 0);
    start(summary, 1, 57, 1);
    const struct summary_totals *totals = finished(summary, 100);
    ck_assert_int_eq(totals->scheduling.max_ns, 7);
    ck_assert_int_eq(totals->state_ns[GMPT_G_SYSCALL], 40);
    ck_assert_uint_eq(totals->syscalls, 1);
    summary_close(summary);
}

TEST(summary, a_p_that_was_taken_away_leaves_its_g_in_the_call)
{
    struct summary *summary = opened_with_main();
    create(summary, 0, 5, 2, WORK_FN, 1);
    feed(summary, GMPT_EVENT_syscall_begin, 0, 10, 1, 5, 0, 0, 0);
    feed(summary, GMPT_EVENT_proc_retake, -1, 20, 0, 0, 1, 0, 0);
    feed(summary, GMPT_EVENT_proc_start, 0, 25, 0, 1234, 0, 0, 0);
    start(summary, 0, 30, 2);
    const struct summary_totals *totals = finished(summary, 110);
    ck_assert_int_eq(totals->state_ns[GMPT_G_SYSCALL], 100);
    ck_assert_int_eq(totals->state_ns[GMPT_G_RUNNING], 10 + 80);
    ck_assert_uint_eq(totals->handoffs, 1);
    summary_close(summary);
}

TEST(summary, a_g_that_went_on_elsewhere_after_its_call_is_not_lost_by_its_old_p)
{
    struct summary *summary = opened_with_main();
    create(summary, 0, 5, 2, WORK_FN, 1);
    feed(summary, GMPT_EVENT_syscall_begin, 0, 10, 1, 5, 0, 0, 0);
    feed(summary, GMPT_EVENT_proc_retake, -1, 20, 0, 0, 1, 0, 0);
    feed(summary, GMPT_EVENT_syscall_resume, 1, 30, 1, 1, 4, 0, 0);
    start(summary, 0, 40, 2);
    const struct summary_totals *totals = finished(summary, 100);
    ck_assert_int_eq(totals->state_ns[GMPT_G_RUNNING], 10 + 70 + 60);
    ck_assert_int_eq(totals->state_ns[0], 0);
    summary_close(summary);
}

TEST(summary, a_g_whose_p_was_taken_runs_on_without_it)
{
    struct summary *summary = opened_with_main();
    create(summary, 0, 5, 2, WORK_FN, 1);
    simple(summary, GMPT_EVENT_go_detach, 0, 10, 1);
    feed(summary, GMPT_EVENT_proc_start, 0, 15, 0, 1234, 0, 0, 0);
    start(summary, 0, 20, 2);
    feed(summary, GMPT_EVENT_go_attach, 1, 60, 1, 1, 4, 0, 0);
    simple(summary, GMPT_EVENT_go_detach, 1, 70, 1);
    feed(summary, GMPT_EVENT_go_attach_wait, -1, 100, 1, 1, 6, 0, 0);
    start(summary, 1, 107, 1);
    const struct summary_totals *totals = finished(summary, 110);
    ck_assert_int_eq(totals->state_ns[GMPT_G_PREEMPTED], 50 + 30);
    ck_assert_int_eq(totals->state_ns[GMPT_G_RUNNING], 10 + 10 + 3 + 90);
    ck_assert_int_eq(totals->p_busy_ns, 113);
    ck_assert_int_eq(totals->state_ns[GMPT_G_RUNNABLE], 15 + 7);
    ck_assert_uint_eq(totals->scheduling.count, 3);
    ck_assert_uint_eq(totals->detaches, 2);
    ck_assert_uint_eq(totals->attach_waits, 1);
    ck_assert_uint_eq(totals->preemptions, 0);
    summary_close(summary);
}

TEST(summary, preemptions_are_counted_by_their_tier)
{
    struct summary *summary = opened_with_main();
    simple(summary, GMPT_EVENT_go_preempt, 0, 10, 1);
    start(summary, 0, 11, 1);
    simple(summary, GMPT_EVENT_go_preempt_async, 0, 20, 1);
    start(summary, 0, 25, 1);
    simple(summary, GMPT_EVENT_go_detach, 0, 30, 1);
    const struct summary_totals *totals = finished(summary, 40);
    ck_assert_uint_eq(totals->preemptions, 1);
    ck_assert_uint_eq(totals->async_preemptions, 1);
    ck_assert_uint_eq(totals->detaches, 1);
    ck_assert_int_eq(totals->state_ns[GMPT_G_RUNNABLE], 1 + 5);
    size_t count;
    ck_assert_int_eq(summary_groups(summary, &count)->state, GMPT_G_PREEMPTED);
    summary_close(summary);
}

TEST(summary, scheduler_events_are_counted)
{
    struct summary *summary = opened_with_main();
    feed(summary, GMPT_EVENT_proc_steal, 0, 1, 0, 1, 5, 0, 0);
    feed(summary, GMPT_EVENT_proc_steal, 0, 2, 0, 1, 3, 0, 0);
    feed(summary, GMPT_EVENT_proc_preempt, -1, 3, 0, 0, 0, 0, 0);
    block(summary, 0, 4, 1, GMPT_WAIT_sleep, 1, 0);
    unblock(summary, -1, 5, 1);
    const struct summary_totals *totals = finished(summary, 10);
    ck_assert_uint_eq(totals->steals, 2);
    ck_assert_uint_eq(totals->stolen_gs, 8);
    ck_assert_uint_eq(totals->preempt_requests, 1);
    ck_assert_uint_eq(totals->blocks, 1);
    ck_assert_uint_eq(totals->unblocks, 1);
    summary_close(summary);
}

TEST(summary, threads_are_counted_once)
{
    struct summary *summary = opened();
    feed(summary, GMPT_EVENT_proc_start, 0, 1, 0, 100, 0, 0, 0);
    feed(summary, GMPT_EVENT_proc_start, 1, 2, 0, 101, 0, 0, 0);
    feed(summary, GMPT_EVENT_proc_start, 1, 3, 0, 100, 0, 0, 0);
    ck_assert_uint_eq(finished(summary, 4)->m_count, 2);
    summary_close(summary);
}

/* ---- Sites and groups -------------------------------------------------------------------------------------------- */

TEST(summary, sites_are_ordered_by_created)
{
    struct summary *summary = opened_with_main();
    create(summary, 0, 1, 2, WORK_FN, 1);
    for (uint64_t g = 3; g < 8; g++)
        create(summary, 0, 2, g, WORK_FN, 2);
    for (uint64_t g = 8; g < 10; g++)
        create(summary, 0, 3, g, WORK_FN + 16, 2);
    start(summary, 1, 9, 3);
    simple(summary, GMPT_EVENT_go_exit, 1, 10, 3);
    finished(summary, 20);
    size_t count;
    const struct summary_site *sites = summary_sites(summary, &count);
    ck_assert_uint_eq(count, 4);
    ck_assert_uint_eq(sites[0].created, 5);
    ck_assert_uint_eq(sites[0].alive, 4);
    ck_assert_uint_eq(sites[0].create_stack, 2);
    ck_assert_uint_eq(sites[0].fn, WORK_FN);
    ck_assert_uint_eq(sites[0].scheduling.count, 1);
    ck_assert_int_eq(sites[0].scheduling.max_ns, 7);
    ck_assert_uint_eq(sites[1].created, 2);
    ck_assert_uint_eq(sites[1].fn, WORK_FN + 16);
    summary_close(summary);
}

TEST(summary, gs_that_are_alike_make_one_group)
{
    struct summary *summary = opened_with_main();
    leak(summary, 100, 2);
    leak(summary, 300, 3);
    leak(summary, 200, 4);
    finished(summary, 1000);
    const struct summary_group *group = group_with(summary, WORK_FN);
    ck_assert_uint_eq(group->count, 3);
    ck_assert_int_eq(group->oldest_ns, 900);
    ck_assert_int_eq(group->newest_ns, 700);
    ck_assert_uint_eq(group->example_g, 2);
    ck_assert_uint_eq(group->example_object, 0xc002);
    ck_assert_uint_eq(group->create_stack, 7);
    ck_assert_uint_eq(group->wait_stack, 9);
    ck_assert_int_eq(group->reason, GMPT_WAIT_chan_send);
    ck_assert_int_eq(group->state, GMPT_G_WAITING);
    summary_close(summary);
}

TEST(summary, a_running_g_has_no_wait)
{
    struct summary *summary = opened_with_main();
    block(summary, 0, 10, 1, GMPT_WAIT_mutex, 1, 3);
    unblock(summary, 1, 20, 1);
    start(summary, 0, 20, 1);
    finished(summary, 30);
    const struct summary_group *group = group_with(summary, MAIN_FN);
    ck_assert_int_eq(group->state, GMPT_G_RUNNING);
    ck_assert_int_eq(group->reason, GMPT_WAIT_none);
    ck_assert_uint_eq(group->wait_stack, 0);
    ck_assert_uint_eq(group->example_object, 0);
    ck_assert(!group->bounded);
    summary_close(summary);
}

TEST(summary, groups_of_many_kinds_are_all_there)
{
    struct summary *summary = opened_with_main();
    for (uint64_t g = 2; g < 1002; g++) {
        create(summary, 0, 1, g, WORK_FN + g % 500, 7);
        start(summary, 1, 2, g);
        block(summary, 1, 3, g, GMPT_WAIT_chan_recv, 0, (uint32_t)(g % 500) + 1);
    }
    finished(summary, 10);
    size_t count;
    uint64_t gs = 0;
    const struct summary_group *groups = summary_groups(summary, &count);
    ck_assert_uint_eq(count, 501);
    for (size_t i = 0; i < count; i++)
        gs += groups[i].count;
    ck_assert_uint_eq(gs, 1001);
    summary_close(summary);
}

TEST(summary, many_short_lives_leave_nothing)
{
    struct summary *summary = opened_with_main();
    for (uint64_t g = 2; g < 50000; g++) {
        create(summary, 0, (int64_t)g, g, WORK_FN, 7);
        start(summary, 1, (int64_t)g, g);
        simple(summary, GMPT_EVENT_go_exit, 1, (int64_t)g + 1, g);
    }
    const struct summary_totals *totals = finished(summary, 100000);
    ck_assert_uint_eq(totals->gs_alive, 1);
    ck_assert_uint_eq(totals->gs_peak, 2);
    ck_assert_uint_eq(totals->state_ns[GMPT_G_RUNNING], 100000 + 49998);
    summary_close(summary);
}

/* ---- Verdicts ---------------------------------------------------------------------------------------------------- */

TEST(summary, a_growing_place_is_growing)
{
    struct summary *summary = opened_with_main();
    for (int i = 0; i < 10; i++)
        leak(summary, i * 100 * MS, (uint64_t)i + 2);
    finished(summary, S);
    size_t count;
    const struct summary_group *groups = summary_groups(summary, &count);
    ck_assert_int_eq(groups[0].verdict, SUMMARY_GROWING);
    ck_assert_uint_eq(groups[0].count, 10);
    summary_close(summary);
}

TEST(summary, a_long_wait_is_stuck)
{
    struct summary *summary = opened_with_main();
    leak(summary, 0, 2);
    finished(summary, S);
    ck_assert_int_eq(group_with(summary, WORK_FN)->verdict, SUMMARY_STUCK);
    summary_close(summary);
}

TEST(summary, a_wait_just_under_the_threshold_is_not_stuck)
{
    struct summary *summary = opened_with_main();
    leak(summary, 1, 2);
    finished(summary, S);
    ck_assert_int_eq(group_with(summary, WORK_FN)->verdict, SUMMARY_NONE);
    summary_close(summary);
}

TEST(summary, the_threshold_can_be_chosen)
{
    struct summary_options options = { .stuck_ns = 10 };
    struct summary *summary = summary_open(NULL, &options);
    ck_assert_ptr_nonnull(summary);
    create(summary, -1, 0, 1, MAIN_FN, 0);
    start(summary, 0, 0, 1);
    leak(summary, 90, 2);
    finished(summary, 100);
    ck_assert_int_eq(group_with(summary, WORK_FN)->verdict, SUMMARY_STUCK);
    summary_close(summary);
}

/* By the default threshold: the main G returns at main_end_ns unless that is 0, a worker waits since a moment. */
static enum summary_verdict judged_by_end(int64_t since_ns, int64_t main_end_ns, int64_t end_ns, int64_t *stuck_ns)
{
    struct summary *summary = summary_open(NULL, NULL);
    ck_assert_ptr_nonnull(summary);
    create(summary, -1, 0, 1, MAIN_FN, 0);
    start(summary, 0, 0, 1);
    leak(summary, since_ns, 2);
    if (main_end_ns)
        simple(summary, GMPT_EVENT_go_exit, 0, main_end_ns, 1);
    finished(summary, end_ns);
    enum summary_verdict verdict = group_with(summary, WORK_FN)->verdict;
    ck_assert_int_eq(summary_exited(summary), main_end_ns != 0);
    *stuck_ns = summary_stuck_ns(summary);
    summary_close(summary);
    return verdict;
}

TEST(summary, a_second_is_the_threshold_while_the_program_runs)
{
    int64_t stuck_ns;
    ck_assert_int_eq(judged_by_end(S, 0, 2 * S - 1, &stuck_ns), SUMMARY_NONE);
    ck_assert_int_eq(stuck_ns, S);
    ck_assert_int_eq(judged_by_end(S, 0, 2 * S, &stuck_ns), SUMMARY_STUCK);
}

TEST(summary, twenty_milliseconds_are_once_main_has_returned)
{
    int64_t stuck_ns;
    ck_assert_int_eq(judged_by_end(S, S + 20 * MS, S + 20 * MS, &stuck_ns), SUMMARY_STUCK);
    ck_assert_int_eq(stuck_ns, 20 * MS);
    ck_assert_int_eq(judged_by_end(S, S + 20 * MS - 1, S + 20 * MS, &stuck_ns), SUMMARY_NONE);
}

TEST(summary, the_time_after_main_is_no_waiting)
{
    int64_t stuck_ns;
    ck_assert_int_eq(judged_by_end(S, S + MS, 100 * S, &stuck_ns), SUMMARY_NONE);
}

static int asked;

static uint32_t odd_or_even(void *arg, uint32_t stack)
{
    ck_assert_ptr_eq(arg, &asked);
    asked++;
    return stack % 2 ? 1 : 2;
}

TEST(summary, stacks_that_mean_the_same_are_one_place)
{
    struct summary_options options = { SUMMARY_STUCK_NS, odd_or_even, &asked };
    struct summary *summary = summary_open(NULL, &options);
    size_t count;
    ck_assert_ptr_nonnull(summary);
    create(summary, -1, 0, 1, MAIN_FN, 0);
    start(summary, 0, 0, 1);
    for (int i = 0; i < 10; i++) {
        int64_t t = i * 100 * MS;
        uint64_t g = (uint64_t)i + 2;
        create(summary, 0, t, g, WORK_FN, 11 + (uint32_t)(i % 3) * 2);
        start(summary, 1, t, g);
        block(summary, 1, t, g, GMPT_WAIT_chan_send, 0, 500 + (uint32_t)(i % 5) * 2);
    }
    finished(summary, S);
    const struct summary_group *group = group_with(summary, WORK_FN);
    ck_assert_int_eq(group->verdict, SUMMARY_GROWING);
    ck_assert_uint_eq(group->count, 10);
    ck_assert_uint_eq(group->create_stack, 1);
    ck_assert_uint_eq(group->wait_stack, 2);
    summary_sites(summary, &count);
    ck_assert_uint_eq(count, 2);
    ck_assert_int_eq(asked, 3 + 5); /* once for each, and never for the stack that is not known */
    summary_close(summary);
}

TEST(summary, the_site_of_the_main_goroutine_is_marked)
{
    struct summary *summary = opened_with_main();
    leak(summary, 0, 2);
    finished(summary, S);
    size_t count;
    const struct summary_site *sites = summary_sites(summary, &count);
    ck_assert_uint_eq(count, 2);
    for (size_t i = 0; i < count; i++)
        ck_assert_int_eq(sites[i].main, sites[i].fn == MAIN_FN);
    summary_close(summary);
}

TEST(summary, a_wait_with_a_deadline_is_never_suspect)
{
    struct summary *summary = opened_with_main();
    for (int i = 0; i < 10; i++) {
        uint64_t g = (uint64_t)i + 2;
        create(summary, 0, i * S, g, WORK_FN, 7);
        start(summary, 1, i * S, g);
        block(summary, 1, i * S, g, GMPT_WAIT_chan_send, 1, 9);
    }
    finished(summary, 100 * S);
    ck_assert_int_eq(group_with(summary, WORK_FN)->verdict, SUMMARY_NONE);
    ck_assert(group_with(summary, WORK_FN)->bounded);
    summary_close(summary);
}

TEST(summary, waiting_for_the_network_is_never_suspect)
{
    struct summary *summary = opened_with_main();
    for (int i = 0; i < 10; i++) {
        uint64_t g = (uint64_t)i + 2;
        create(summary, 0, i * S, g, WORK_FN, 7);
        start(summary, 1, i * S, g);
        block(summary, 1, i * S, g, GMPT_WAIT_net_read, 0, 9);
    }
    finished(summary, 100 * S);
    ck_assert_int_eq(group_with(summary, WORK_FN)->verdict, SUMMARY_NONE);
    summary_close(summary);
}

TEST(summary, the_main_g_is_never_suspect)
{
    struct summary *summary = opened_with_main();
    block(summary, 0, 10, 1, GMPT_WAIT_wait_group, 0, 3);
    finished(summary, 100 * S);
    const struct summary_group *group = group_with(summary, MAIN_FN);
    ck_assert(group->main);
    ck_assert_int_eq(group->verdict, SUMMARY_NONE);
    summary_close(summary);
}

TEST(summary, only_the_first_g_is_main)
{
    struct summary *summary = opened_with_main();
    create(summary, -1, 10, 2, WORK_FN, 7);
    start(summary, 1, 10, 2);
    block(summary, 1, 10, 2, GMPT_WAIT_chan_send, 0, 9);
    finished(summary, 10 * S);
    ck_assert(!group_with(summary, WORK_FN)->main);
    ck_assert_int_eq(group_with(summary, WORK_FN)->verdict, SUMMARY_STUCK);
    summary_close(summary);
}

TEST(summary, a_g_that_was_woken_is_not_suspect)
{
    struct summary *summary = opened_with_main();
    for (int i = 0; i < 10; i++)
        leak(summary, i * 100 * MS, (uint64_t)i + 2);
    for (int i = 0; i < 10; i++)
        unblock(summary, 0, S, (uint64_t)i + 2);
    finished(summary, 10 * S);
    ck_assert_int_eq(group_with(summary, WORK_FN)->state, GMPT_G_RUNNABLE);
    ck_assert_int_eq(group_with(summary, WORK_FN)->verdict, SUMMARY_NONE);
    summary_close(summary);
}

TEST(summary, workers_that_come_back_to_rest_are_not_growing)
{
    struct summary *summary = opened_with_main();
    for (int i = 0; i < 4; i++)
        leak(summary, 0, (uint64_t)i + 2);
    for (int round = 1; round < 100; round++) {
        for (int i = 0; i < 4; i++) {
            int64_t t = round * 10 * MS + i;
            unblock(summary, 0, t, (uint64_t)i + 2);
            start(summary, 1, t + 10, (uint64_t)i + 2);
            block(summary, 1, t + 20, (uint64_t)i + 2, GMPT_WAIT_chan_send, 0, 9);
        }
    }
    finished(summary, 1010 * MS);
    ck_assert_int_eq(group_with(summary, WORK_FN)->verdict, SUMMARY_NONE);
    summary_close(summary);
}

TEST(summary, groups_come_by_verdict_then_by_count)
{
    struct summary *summary = opened_with_main();
    for (int i = 0; i < 5; i++)
        leak(summary, i * 300 * MS, (uint64_t)i + 2);
    for (uint64_t g = 10; g < 30; g++) {
        create(summary, 0, 0, g, WORK_FN + 16, 7);
        start(summary, 1, 0, g);
        block(summary, 1, 0, g, GMPT_WAIT_mutex, 0, 9);
    }
    for (uint64_t g = 30; g < 130; g++)
        create(summary, 0, 5, g, WORK_FN + 32, 7);
    finished(summary, 2 * S);
    size_t count;
    const struct summary_group *groups = summary_groups(summary, &count);
    ck_assert_uint_eq(count, 4);
    ck_assert_int_eq(groups[0].verdict, SUMMARY_GROWING);
    ck_assert_int_eq(groups[1].verdict, SUMMARY_STUCK);
    ck_assert_uint_eq(groups[1].count, 20);
    ck_assert_int_eq(groups[2].verdict, SUMMARY_NONE);
    ck_assert_uint_eq(groups[2].count, 100);
    summary_close(summary);
}

/* ---- Traces with holes ------------------------------------------------------------------------------------------- */

TEST(summary, a_g_never_seen_before_is_made_known)
{
    struct summary *summary = opened_with_main();
    unblock(summary, -1, 10, 77);
    start(summary, 1, 15, 77);
    const struct summary_totals *totals = finished(summary, 20);
    ck_assert_uint_eq(totals->gs_created, 2);
    ck_assert_uint_eq(totals->gs_alive, 2);
    ck_assert_int_eq(totals->scheduling.max_ns, 5);
    summary_close(summary);
}

TEST(summary, events_without_a_g_do_no_harm)
{
    struct summary *summary = opened_with_main();
    for (unsigned type = 0; type < 256; type++)
        simple(summary, (enum gmpt_event_type)type, 5, 10, 0);
    const struct summary_totals *totals = finished(summary, 20);
    ck_assert_uint_eq(totals->gs_created, 1);
    summary_close(summary);
}

TEST(summary, ps_out_of_range_do_no_harm)
{
    struct summary *summary = opened_with_main();
    create(summary, INT32_MAX, 5, 2, WORK_FN, 1);
    start(summary, INT32_MAX, 6, 2);
    start(summary, INT32_MIN, 7, 2);
    simple(summary, GMPT_EVENT_go_exit, 256, 8, 2);
    ck_assert_uint_eq(finished(summary, 20)->gs_ended, 1);
    summary_close(summary);
}

TEST(summary, two_gs_never_run_on_one_p)
{
    struct summary *summary = opened_with_main();
    create(summary, 0, 0, 2, WORK_FN, 1);
    start(summary, 0, 100, 2); /* what the main G did between was lost */
    const struct summary_totals *totals = finished(summary, 1000);
    ck_assert_int_eq(totals->state_ns[GMPT_G_RUNNING], 1000);
    summary_close(summary);
}

TEST(summary, damaged_clocks_do_no_harm)
{
    struct summary *summary = opened();
    create(summary, -1, INT64_MIN, 1, MAIN_FN, 0);
    start(summary, 0, INT64_MAX, 1);
    for (uint64_t g = 2; g < 10; g++)
        leak(summary, g % 2 ? INT64_MIN : INT64_MAX, g);
    create(summary, 0, INT64_MIN, 10, WORK_FN, 1);
    create(summary, 0, INT64_MIN, 11, WORK_FN, 1);
    create(summary, 0, INT64_MIN, 12, WORK_FN, 1);
    ck_assert_int_eq(finished(summary, INT64_MAX)->state_ns[GMPT_G_RUNNABLE], INT64_MAX);
    summary_close(summary);
}

TEST(summary, a_damaged_limit_does_no_harm)
{
    struct summary *summary = opened_with_main();
    struct gmpt_event event = { .type = GMPT_EVENT_proc_limit, .time_ns = 0 };
    event.proc_limit.count = UINT32_MAX;
    ck_assert_int_eq(summary_add(summary, &event), 0);
    ck_assert_int_eq(finished(summary, INT64_MAX)->p_room_ns, INT64_MAX);
    summary_close(summary);
}

TEST(summary, any_order_of_events_keeps_the_books)
{
    struct summary *summary = opened();
    unsigned random = 3;
    for (int64_t i = 0; i < 200000; i++) {
        struct gmpt_event event;
        memset(&event, 0, sizeof event);
        random = random * 1103515245 + 12345;
        event.type = (enum gmpt_event_type)(0x08 + (random >> 16) % 0x15);
        random = random * 1103515245 + 12345;
        event.g = (random >> 16) % 50;
        event.p = (int)(random >> 24) % 5 - 1;
        event.time_ns = i * 1000;
        for (int k = 0; k < GMPT_EVENT_FIELDS_MAX; k++) {
            random = random * 1103515245 + 12345;
            event.field[k] = (random >> 16) % 50;
        }
        ck_assert_int_eq(summary_add(summary, &event), 0);
    }
    const struct summary_totals *totals = finished(summary, S);
    ck_assert_uint_eq(totals->gs_created - totals->gs_ended, totals->gs_alive);
    size_t count;
    uint64_t gs = 0;
    const struct summary_group *groups = summary_groups(summary, &count);
    for (size_t i = 0; i < count; i++)
        gs += groups[i].count;
    ck_assert_uint_eq(gs, totals->gs_alive);
    const struct summary_site *sites = summary_sites(summary, &count);
    uint64_t created = 0, alive = 0;
    for (size_t i = 0; i < count; i++) {
        created += sites[i].created;
        alive += sites[i].alive;
    }
    ck_assert_uint_eq(created, totals->gs_created);
    ck_assert_uint_eq(alive, totals->gs_alive);
    int64_t waits = 0;
    for (int reason = 0; reason < GMPT_WAIT_REASONS; reason++)
        waits += totals->wait_ns[reason];
    ck_assert_int_eq(waits, totals->state_ns[GMPT_G_WAITING]);
    summary_close(summary);
}
