/* Events into closed intervals: what each says of itself, and that they add up. */
#include "gentrace.h"
#include "harness.h"
#include "tracefile.h"

#include "trace/events.h"
#include "trace/intervals.h"
#include "trace/summary.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- By hand: a line for each interval --------------------------------------------------------------------------- */

static char lines[1 << 14];

static int line_add(void *arg, const struct interval *interval)
{
    size_t used = strlen(lines);
    (void)arg;
    used +=
        (size_t)snprintf(lines + used, sizeof lines - used, "G%llu %lld-%lld %s", (unsigned long long)interval->g->id,
                         (long long)interval->begin_ns, (long long)interval->end_ns,
                         interval->state == INTERVAL_LOST ? "lost" : gmpt_g_state_words(interval->state));
    if (interval->state == GMPT_G_WAITING)
        used += (size_t)snprintf(lines + used, sizeof lines - used, ":%s", event_reason_name(interval->reason));
    if (interval->stack)
        used += (size_t)snprintf(lines + used, sizeof lines - used, " at=%u", interval->stack);
    if (interval->waker)
        used += (size_t)snprintf(lines + used, sizeof lines - used, " by=G%llu", (unsigned long long)interval->waker);
    if (interval->owner)
        used += (size_t)snprintf(lines + used, sizeof lines - used, " of=G%llu", (unsigned long long)interval->owner);
    if (interval->waker_kind > GMPT_WAKER_G)
        used += (size_t)snprintf(lines + used, sizeof lines - used, " by %s", gmpt_waker_words(interval->waker_kind));
    if (interval->waker_stack && interval->began_by != GMPT_EVENT_go_create)
        used += (size_t)snprintf(lines + used, sizeof lines - used, " from=%u", interval->waker_stack);
    if (interval->g->labels)
        used += (size_t)snprintf(lines + used, sizeof lines - used, " labels=%u", interval->g->labels);
    snprintf(lines + used, sizeof lines - used, " P%d P%d%s%s\n", interval->p, interval->end_p,
             interval->continued ? " continued" : "", interval->ended_by == INTERVAL_TRACE_END ? " open" : "");
    return 0;
}

static struct intervals *opened(void)
{
    lines[0] = 0;
    struct intervals *intervals = intervals_open(NULL, line_add, NULL);
    ck_assert_ptr_nonnull(intervals);
    return intervals;
}

static void feed_all(struct intervals *intervals, enum gmpt_event_type type, int p, int64_t time_ns, uint64_t g,
                     const uint64_t field[5])
{
    struct gmpt_event event = { .type = type, .p = p, .time_ns = time_ns, .g = g };
    memcpy(event.field, field, 5 * sizeof *field);
    ck_assert_int_eq(intervals_add(intervals, &event), 0);
}

static void feed(struct intervals *intervals, enum gmpt_event_type type, int p, int64_t time_ns, uint64_t g,
                 uint64_t f0, uint64_t f1, uint64_t f2, uint64_t f3)
{
    feed_all(intervals, type, p, time_ns, g, (const uint64_t[]){ f0, f1, f2, f3, 0 });
}

static void create(struct intervals *intervals, int p, int64_t t, uint64_t g)
{
    feed(intervals, GMPT_EVENT_go_create, p, t, g, g, 0x5000, 7, 0);
}
static void start(struct intervals *intervals, int p, int64_t t, uint64_t g)
{
    feed(intervals, GMPT_EVENT_go_start, p, t, g, g, 2, 0, 0);
}
static void block(struct intervals *intervals, int p, int64_t t, uint64_t g, enum gmpt_wait_reason reason)
{
    feed(intervals, GMPT_EVENT_go_block, p, t, g, reason, 0xc000, 0, 9);
}
static void unblock(struct intervals *intervals, int p, int64_t t, uint64_t g)
{
    feed(intervals, GMPT_EVENT_go_unblock, p, t, g, g, 4, 0, 0);
}
static void simple(struct intervals *intervals, enum gmpt_event_type type, int p, int64_t t, uint64_t g)
{
    feed(intervals, type, p, t, g, g, 0, 0, 0);
}

static void finished(struct intervals *intervals, int64_t end_ns, const char *wanted)
{
    ck_assert_int_eq(intervals_finish(intervals, end_ns), 0);
    ck_assert_str_eq(lines, wanted);
    intervals_close(intervals);
}

TEST(intervals, nothing_gives_none)
{
    finished(opened(), 100, "");
    intervals_close(NULL);
}

TEST(intervals, a_life_from_end_to_end)
{
    struct intervals *intervals = opened();
    create(intervals, 0, 10, 1);
    start(intervals, 1, 20, 1);
    block(intervals, 1, 30, 1, GMPT_WAIT_chan_recv);
    unblock(intervals, -1, 50, 1);
    start(intervals, 0, 55, 1);
    simple(intervals, GMPT_EVENT_go_exit, 0, 60, 1);
    finished(intervals, 100,
             "G1 10-20 runnable P0 P1\n"
             "G1 20-30 running P1 P1\n"
             "G1 30-50 waiting:chan_recv at=9 P1 P-1\n"
             "G1 50-55 runnable at=9 P-1 P0\n"
             "G1 55-60 running P0 P0\n");
}

TEST(intervals, a_wait_knows_the_g_that_ended_it)
{
    struct intervals *intervals = opened();
    create(intervals, -1, 0, 1);
    start(intervals, 0, 1, 1);
    create(intervals, 0, 2, 2);
    start(intervals, 1, 3, 2);
    block(intervals, 1, 4, 2, GMPT_WAIT_mutex);
    unblock(intervals, 0, 9, 2);
    finished(intervals, 10,
             "G1 0-1 runnable P-1 P0\n"
             "G2 2-3 runnable by=G1 P0 P1\n"
             "G2 3-4 running P1 P1\n"
             "G2 4-9 waiting:mutex at=9 by=G1 P1 P0\n"
             "G1 1-10 running P0 P-1 open\n"
             "G2 9-10 runnable at=9 by=G1 P0 P-1 open\n");
}

TEST(intervals, a_wait_knows_whose_lock_it_was_and_where_it_was_unlocked)
{
    struct intervals *intervals = opened();
    create(intervals, -1, 0, 1);
    start(intervals, 0, 1, 1);
    create(intervals, 0, 2, 2);
    start(intervals, 1, 3, 2);
    feed_all(intervals, GMPT_EVENT_go_block, 1, 4, 2, (const uint64_t[]){ GMPT_WAIT_mutex, 0xc000, 0, 9, 1 });
    feed_all(intervals, GMPT_EVENT_go_unblock, 0, 9, 2, (const uint64_t[]){ 2, 4, GMPT_WAKER_G, 5, 0 });
    start(intervals, 1, 10, 2);
    finished(intervals, 11,
             "G1 0-1 runnable P-1 P0\n"
             "G2 2-3 runnable by=G1 P0 P1\n"
             "G2 3-4 running P1 P1\n"
             "G2 4-9 waiting:mutex at=9 by=G1 of=G1 from=5 P1 P0\n"
             "G2 9-10 runnable at=9 by=G1 from=5 P0 P1\n"
             "G1 1-11 running P0 P-1 open\n"
             "G2 10-11 running P1 P-1 open\n");
}

TEST(intervals, what_is_no_g_wakes_though_one_runs)
{
    struct intervals *intervals = opened();
    create(intervals, -1, 0, 1);
    create(intervals, -1, 0, 2);
    start(intervals, 0, 1, 1);
    start(intervals, 1, 1, 2);
    block(intervals, 1, 2, 2, GMPT_WAIT_net_read);
    feed(intervals, GMPT_EVENT_go_unblock, 0, 5, 2, 2, 4, GMPT_WAKER_NETPOLL, 0);
    start(intervals, 1, 6, 2);
    block(intervals, 1, 7, 2, GMPT_WAIT_sleep);
    feed(intervals, GMPT_EVENT_go_unblock, 1, 8, 2, 2, 7, 99, 0);
    finished(intervals, 9,
             "G1 0-1 runnable P-1 P0\n"
             "G2 0-1 runnable P-1 P1\n"
             "G2 1-2 running P1 P1\n"
             "G2 2-5 waiting:net_read at=9 by the network P1 P0\n"
             "G2 5-6 runnable at=9 by the network P0 P1\n"
             "G2 6-7 running P1 P1\n"
             "G2 7-8 waiting:sleep at=9 P1 P1\n"
             "G1 1-9 running P0 P-1 open\n"
             "G2 8-9 runnable at=9 P1 P-1 open\n");
}

TEST(intervals, between_two_gs_the_scheduler_wakes_and_nobody_else)
{
    struct intervals *intervals = opened();
    create(intervals, -1, 0, 1);
    start(intervals, 0, 0, 1);
    block(intervals, 0, 1, 1, GMPT_WAIT_sleep);
    unblock(intervals, 0, 2, 1);
    finished(intervals, 3,
             "G1 0-0 runnable P-1 P0\n"
             "G1 0-1 running P0 P0\n"
             "G1 1-2 waiting:sleep at=9 P0 P0\n"
             "G1 2-3 runnable at=9 P0 P-1 open\n");
}

TEST(intervals, a_g_in_a_call_whose_p_was_taken_wakes_nobody_there)
{
    struct intervals *intervals = opened();
    create(intervals, -1, 0, 1);
    create(intervals, -1, 0, 2);
    start(intervals, 0, 0, 2);
    block(intervals, 0, 1, 2, GMPT_WAIT_cond);
    start(intervals, 0, 1, 1);
    feed(intervals, GMPT_EVENT_syscall_begin, 0, 2, 1, 5, 0, 0, 0);
    feed(intervals, GMPT_EVENT_syscall_resume, 1, 3, 1, 1, 4, 0, 0);
    unblock(intervals, 0, 4, 2);
    start(intervals, 0, 5, 2); /* nor is it lost when the P that it had goes on with another */
    finished(intervals, 9,
             "G2 0-0 runnable P-1 P0\n"
             "G2 0-1 running P0 P0\n"
             "G1 0-1 runnable P-1 P0\n"
             "G1 1-2 running P0 P0\n"
             "G1 2-3 in a blocking call at=5 P0 P1\n"
             "G2 1-4 waiting:cond at=9 P0 P0\n"
             "G2 4-5 runnable at=9 P0 P0\n"
             "G1 3-9 running P1 P-1 open\n"
             "G2 5-9 running P0 P-1 open\n");
}

TEST(intervals, labels_are_inherited_and_split)
{
    struct intervals *intervals = opened();
    create(intervals, -1, 0, 1);
    start(intervals, 0, 0, 1);
    feed(intervals, GMPT_EVENT_go_labels, 0, 4, 1, 1, 6, 0, 0);
    feed(intervals, GMPT_EVENT_go_labels, 0, 4, 1, 1, 7, 0, 0);
    create(intervals, 0, 5, 2);
    feed(intervals, GMPT_EVENT_go_labels, 0, 7, 1, 1, 0, 0, 0);
    finished(intervals, 9,
             "G1 0-0 runnable P-1 P0\n"
             "G1 0-4 running P0 P0\n"
             "G1 4-7 running labels=7 P0 P0 continued\n"
             "G1 7-9 running P0 P-1 continued open\n"
             "G2 5-9 runnable by=G1 labels=7 P0 P-1 open\n");
}

TEST(intervals, a_clock_that_steps_back_makes_them_empty)
{
    struct intervals *intervals = opened();
    create(intervals, -1, 50, 1);
    start(intervals, 0, 40, 1);
    block(intervals, 0, 60, 1, GMPT_WAIT_mutex);
    unblock(intervals, 1, 30, 1);
    finished(intervals, 0,
             "G1 50-50 runnable P-1 P0\n"
             "G1 50-60 running P0 P0\n"
             "G1 60-60 waiting:mutex at=9 P0 P1\n"
             "G1 60-60 runnable at=9 P1 P-1 open\n");
}

TEST(intervals, a_g_that_was_never_created_begins_where_it_is_seen)
{
    struct intervals *intervals = opened();
    unblock(intervals, -1, 5, 8);
    start(intervals, 0, 7, 8);
    finished(intervals, 9,
             "G8 5-7 runnable P-1 P0\n"
             "G8 7-9 running P0 P-1 open\n");
}

TEST(intervals, what_was_there_before_the_trace_begins_with_it)
{
    struct intervals *intervals = opened();
    struct gmpt_event was = { .type = GMPT_EVENT_go_was, .p = -1, .time_ns = 5, .g = 1 };
    was.go_was.g = 1;
    was.go_was.state = GMPT_G_WAITING;
    was.go_was.parent = 7;
    was.go_was.fn = 0x5000;
    struct gmpt_event waited = { .type = GMPT_EVENT_go_waited, .p = -1, .time_ns = 5, .g = 1 };
    waited.go_waited.g = 1;
    waited.go_waited.reason = GMPT_WAIT_select;
    waited.go_waited.stack = 3;
    ck_assert_int_eq(intervals_add(intervals, &was), 0);
    ck_assert_int_eq(intervals_add(intervals, &waited), 0);
    ck_assert_uint_eq(intervals_g(intervals, 1)->fn, 0x5000);
    ck_assert(!intervals_g(intervals, 1)->main);
    unblock(intervals, -1, 9, 1);
    was.time_ns = 12; /* records were lost; it is told anew */
    ck_assert_int_eq(intervals_add(intervals, &was), 0);
    was.g = 0; /* known better */
    ck_assert_int_eq(intervals_add(intervals, &was), 0);
    finished(intervals, 20,
             "G1 0-9 waiting:select at=3 P-1 P-1\n"
             "G1 9-12 runnable at=3 P-1 P-1\n"
             "G1 12-20 waiting:none P-1 P-1 open\n");
}

TEST(intervals, what_ran_when_records_were_lost_is_lost)
{
    struct intervals *intervals = opened();
    create(intervals, -1, 0, 1);
    create(intervals, -1, 0, 2);
    start(intervals, 0, 0, 1);
    start(intervals, 0, 5, 2);
    finished(intervals, 9,
             "G1 0-0 runnable P-1 P0\n"
             "G1 0-5 running P0 P0\n"
             "G2 0-5 runnable P-1 P0\n"
             "G1 5-9 lost P0 P-1 open\n"
             "G2 5-9 running P0 P-1 open\n");
}

TEST(intervals, without_a_p_a_g_runs_on)
{
    struct intervals *intervals = opened();
    create(intervals, -1, 0, 1);
    start(intervals, 0, 0, 1);
    simple(intervals, GMPT_EVENT_go_detach, 0, 3, 1);
    simple(intervals, GMPT_EVENT_go_attach_wait, -1, 5, 1);
    start(intervals, 1, 6, 1);
    simple(intervals, GMPT_EVENT_go_preempt, 1, 8, 1);
    finished(intervals, 9,
             "G1 0-0 runnable P-1 P0\n"
             "G1 0-3 running P0 P0\n"
             "G1 3-5 preempted (running without a P) P0 P-1\n"
             "G1 5-6 runnable P-1 P1\n"
             "G1 6-8 running P1 P1\n"
             "G1 8-9 runnable P1 P-1 open\n");
}

TEST(intervals, what_runs_on_a_p_is_known)
{
    struct intervals *intervals = opened();
    ck_assert_ptr_null(intervals_running(intervals, 0));
    create(intervals, -1, 0, 1);
    start(intervals, 0, 0, 1);
    ck_assert_uint_eq(intervals_running(intervals, 0)->id, 1);
    ck_assert_uint_eq(intervals_g(intervals, 1)->create_stack, 7);
    ck_assert_ptr_null(intervals_running(intervals, 1));
    ck_assert_ptr_null(intervals_running(intervals, -1));
    ck_assert_ptr_null(intervals_running(intervals, 100000));
    simple(intervals, GMPT_EVENT_go_exit, 0, 1, 1);
    ck_assert_ptr_null(intervals_running(intervals, 0));
    ck_assert_ptr_null(intervals_g(intervals, 1));
    intervals_close(intervals);
}

static int refuse(void *arg, const struct interval *interval)
{
    (void)arg;
    (void)interval;
    return -ENOSPC;
}

TEST(intervals, the_callback_can_stop_it)
{
    struct intervals *intervals = intervals_open(NULL, refuse, NULL);
    create(intervals, -1, 0, 1);
    struct gmpt_event event = { .type = GMPT_EVENT_go_start, .g = 1 };
    event.go_start.g = 1;
    ck_assert_int_eq(intervals_add(intervals, &event), -ENOSPC);
    ck_assert_int_eq(intervals_finish(intervals, 5), -ENOSPC);
    intervals_close(intervals);
}

TEST(intervals, are_clipped_to_the_window)
{
    static const struct {
        int64_t begin, end, from, to, wanted_begin, wanted_end; /* wanted_begin -1: nothing is left */
    } cases[] = {
        { 10, 20, 0, 100, 10, 20 }, { 10, 20, 15, 100, 15, 20 }, { 10, 20, 0, 15, 10, 15 },
        { 10, 20, 12, 13, 12, 13 }, { 10, 20, 20, 30, -1, 0 },   { 10, 20, 0, 10, -1, 0 },
        { 10, 10, 10, 11, 10, 10 }, { 10, 10, 0, 10, -1, 0 },    { 10, 10, 11, 20, -1, 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t begin_ns = cases[i].begin, end_ns = cases[i].end;
        bool left = interval_clip(&begin_ns, &end_ns, cases[i].from, cases[i].to);
        ck_assert_msg(left == (cases[i].wanted_begin >= 0), "case %zu", i);
        if (left) {
            ck_assert_int_eq(begin_ns, cases[i].wanted_begin);
            ck_assert_int_eq(end_ns, cases[i].wanted_end);
        }
    }
}

/* ---- They add up ------------------------------------------------------------------------------------------------- */

struct sums {
    struct gentrace_g g[GENTRACE_GS_MAX + 1];
    int64_t last_end_ns[GENTRACE_GS_MAX + 1];
    int64_t state_ns[GMPT_G_STATES], wait_ns[GMPT_WAIT_REASONS];
    uint64_t waits, woken_by_g, holes, open;
};

static int sums_add(void *arg, const struct interval *interval)
{
    struct sums *sums = arg;
    uint64_t id = interval->g->id;
    int64_t length_ns = interval->end_ns - interval->begin_ns;
    if (id == 0 || id > GENTRACE_GS_MAX || length_ns < 0)
        return -EINVAL;
    int64_t before_ns = sums->last_end_ns[id] ? sums->last_end_ns[id] : interval->g->created_ns;
    sums->holes += before_ns != interval->begin_ns;
    sums->last_end_ns[id] = interval->end_ns;
    sums->g[id].state_ns[interval->state] += length_ns;
    sums->state_ns[interval->state] += length_ns;
    sums->open += interval->ended_by == INTERVAL_TRACE_END;
    if (interval->state == GMPT_G_WAITING) {
        sums->g[id].wait_ns[interval->reason] += length_ns;
        sums->wait_ns[interval->reason] += length_ns;
        sums->waits += !interval->continued;
        sums->woken_by_g += interval->waker != 0;
    }
    return 0;
}

static void sums_are_exact(unsigned seed)
{
    struct gentrace made = gentrace_make(seed, 1500);
    struct gmpt_trace_error error;
    struct sums sums = { 0 };
    struct gmpt_event event;
    uint64_t waits = 0;

    struct gmpt_trace *trace = gmpt_trace_open(tracefile_build(made.text), &error);
    ck_assert_ptr_nonnull(trace);
    struct intervals *intervals = intervals_open(trace, sums_add, &sums);
    struct summary *summary = summary_open(trace, NULL);
    while (gmpt_trace_next(trace, &event) > 0) {
        ck_assert_int_eq(intervals_add(intervals, &event), 0);
        ck_assert_int_eq(summary_add(summary, &event), 0);
    }
    const struct gmpt_trace_counts *counts = gmpt_trace_counts(trace);
    ck_assert_msg(counts->violations == 0 && counts->resynced == 0 && counts->gaps == 0, "seed %u is no true trace",
                  seed);
    ck_assert_int_eq(gmpt_trace_info(trace)->duration_ns, made.length_ns);
    ck_assert_int_eq(intervals_finish(intervals, gmpt_trace_info(trace)->duration_ns), 0);
    ck_assert_int_eq(summary_finish(summary), 0);

    ck_assert_uint_eq(sums.holes, 0);
    ck_assert_uint_eq(sums.open, made.alive);
    ck_assert_uint_eq(sums.woken_by_g, made.woken_by_g);
    for (uint64_t id = 1; id <= made.g_count; id++) {
        int64_t life_ns = 0;
        for (int state = 0; state < GMPT_G_STATES; state++)
            life_ns += sums.g[id].state_ns[state];
        ck_assert_msg(memcmp(sums.g[id].state_ns, made.g[id].state_ns, sizeof made.g[id].state_ns) == 0 &&
                          memcmp(sums.g[id].wait_ns, made.g[id].wait_ns, sizeof made.g[id].wait_ns) == 0,
                      "seed %u: G%llu", seed, (unsigned long long)id);
        ck_assert_int_eq(life_ns, made.g[id].ended_ns - made.g[id].created_ns);
    }
    const struct summary_totals *totals = summary_totals(summary);
    for (int state = 0; state < GMPT_G_STATES; state++) {
        ck_assert_int_eq(sums.state_ns[state], made.state_ns[state]);
        ck_assert_msg(totals->state_ns[state] == made.state_ns[state], "seed %u: the summary of state %d", seed, state);
    }
    for (int reason = 0; reason < GMPT_WAIT_REASONS; reason++) {
        ck_assert_int_eq(sums.wait_ns[reason], made.wait_ns[reason]);
        ck_assert_int_eq(totals->wait_ns[reason], made.wait_ns[reason]);
        waits += made.waits[reason];
    }
    ck_assert_uint_eq(sums.waits, waits);
    ck_assert_uint_eq(totals->blocks, waits);
    summary_close(summary);
    intervals_close(intervals);
    gmpt_trace_close(trace);
    free(made.text);
}

/* After a gap time may step back behind labels, which are no transition. */
TEST(intervals, add_up_to_the_summary_when_labels_are_later_than_what_follows)
{
    static const struct gmpt_event events[] = {
        { .type = GMPT_EVENT_go_create, .p = -1, .time_ns = 0, .g = 1, .go_create = { .g = 1 } },
        { .type = GMPT_EVENT_go_create, .p = -1, .time_ns = 0, .g = 2, .go_create = { .g = 2 } },
        { .type = GMPT_EVENT_go_start, .p = 0, .time_ns = 10, .g = 1, .go_start = { .g = 1, .seq = 2 } },
        { .type = GMPT_EVENT_go_labels, .p = 0, .time_ns = 84, .g = 1, .go_labels = { .g = 1, .labels = 1 } },
        { .type = GMPT_EVENT_go_start, .p = 0, .time_ns = 20, .g = 2, .go_start = { .g = 2, .seq = 2 } },
    };
    struct sums sums = { 0 };
    struct intervals *intervals = intervals_open(NULL, sums_add, &sums);
    struct summary *summary = summary_open(NULL, NULL);
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        ck_assert_int_eq(intervals_add(intervals, &events[i]), 0);
        ck_assert_int_eq(summary_add(summary, &events[i]), 0);
    }
    ck_assert_int_eq(intervals_finish(intervals, 84), 0);
    ck_assert_int_eq(summary_finish(summary), 0);
    ck_assert_int_eq(sums.g[1].state_ns[GMPT_G_RUNNING], 74);
    ck_assert_int_eq(summary_totals(summary)->state_ns[GMPT_G_RUNNING], sums.state_ns[GMPT_G_RUNNING]);
    summary_close(summary);
    intervals_close(intervals);
}

TEST(intervals, add_up_to_each_life_and_to_the_summary)
{
    for (unsigned seed = 1; seed <= 40; seed++)
        sums_are_exact(seed);
}

/* ---- Turns and rooms --------------------------------------------------------------------------------------------- */

struct turns {
    size_t room;
    uint64_t count, started, stopped, woken, waits, wrong;
    int64_t lasted_ns;
};

/* Each G has the room to itself, and it is zero when the G becomes known. */
static int turns_born(void *turns_arg, const struct interval *first)
{
    struct turns *turns = turns_arg;
    uint64_t *id = interval_room(first->g, turns->room);
    turns->wrong += *id != 0;
    *id = first->g->id;
    return 0;
}

static int turns_add(void *turns_arg, const struct interval *interval)
{
    struct turns *turns = turns_arg;
    turns->count++;
    turns->lasted_ns += interval->end_ns - interval->begin_ns;
    turns->wrong += *(const uint64_t *)interval_room(interval->g, turns->room) != interval->g->id;
    return 0;
}

static int turns_started(void *turns_arg, const struct interval *late)
{
    struct turns *turns = turns_arg;
    turns->started++;
    turns->wrong += late->state != GMPT_G_RUNNABLE || late->ended_by != GMPT_EVENT_go_start || late->continued;
    return turns_add(turns, late);
}

static int turns_stopped(void *turns_arg, const struct interval *run)
{
    struct turns *turns = turns_arg;
    bool by_itself = run->ended_by == GMPT_EVENT_go_block || run->ended_by == GMPT_EVENT_go_yield;
    turns->stopped++;
    turns->wrong += run->state != GMPT_G_RUNNING || !by_itself || run->continued || run->waker || run->stack;
    return turns_add(turns, run);
}

static int turns_woken(void *turns_arg, const struct interval *wait)
{
    struct turns *turns = turns_arg;
    turns->woken++;
    turns->wrong += wait->state != GMPT_G_WAITING || wait->ended_by != GMPT_EVENT_go_unblock || wait->continued;
    return turns_add(turns, wait);
}

static int turns_waits(void *turns_arg, const struct interval *wait)
{
    struct turns *turns = turns_arg;
    turns->waits++;
    turns->wrong += wait->state != GMPT_G_WAITING || wait->began_by != GMPT_EVENT_go_block;
    return 0;
}

TEST(intervals, who_hears_of_turns_hears_of_the_same_as_who_hears_of_all)
{
    for (unsigned seed = 1; seed <= 10; seed++) {
        struct gentrace made = gentrace_make(seed, 1500);
        struct gmpt_trace_error error;
        struct gmpt_event event;
        struct gmpt_trace *trace = gmpt_trace_open(tracefile_build(made.text), &error);
        ck_assert_ptr_nonnull(trace);
        struct intervals *intervals = intervals_open(trace, NULL, NULL);
        struct turns all = { .room = intervals_room(intervals, 8) }, split = { .room = intervals_room(intervals, 8) };
        struct interval_listener of_all = { .closed = turns_add, .born = turns_born, .arg = &all };
        struct interval_listener of_turns = {
            .closed = turns_add,
            .started = turns_started,
            .stopped = turns_stopped,
            .woken = turns_woken,
            .waits = turns_waits,
            .born = turns_born,
            .arg = &split,
        };
        intervals_listen(intervals, &of_all);
        intervals_listen(intervals, &of_turns);
        uint64_t blocks = 0;
        while (gmpt_trace_next(trace, &event) > 0) {
            ck_assert_int_eq(intervals_add(intervals, &event), 0);
            blocks += event.type == GMPT_EVENT_go_block && event.g;
        }
        ck_assert_int_eq(intervals_finish(intervals, gmpt_trace_info(trace)->duration_ns), 0);
        ck_assert_uint_eq(all.wrong + split.wrong, 0);
        ck_assert_uint_eq(all.count, split.count);
        ck_assert_int_eq(all.lasted_ns, split.lasted_ns);
        ck_assert_uint_eq(split.waits, blocks);
        ck_assert(split.started > 0 && split.stopped > 0 && split.woken > 0);
        intervals_close(intervals);
        gmpt_trace_close(trace);
        free(made.text);
    }
}
