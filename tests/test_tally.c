/* Profiles of made-up traces (gentrace.h): their totals are what happened, to the nanosecond and to the last wait. */
#include "exported.h"
#include "gentrace.h"
#include "harness.h"
#include "tracefile.h"

#include "pprof/tally.h"
#include "trace/summary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEEDS 12
#define STEPS 1200

/* A trace on disk, and what is known of it. */
static struct gentrace made;
static const char *path;

static void make(unsigned seed)
{
    free(made.text);
    made = gentrace_make(seed, STEPS);
    path = tracefile_build(made.text);
}

struct totals {
    int64_t first, second;
};

static struct totals tally_of(const char *type, int64_t from_ns, int64_t to_ns, int64_t at_ns, const char *expression)
{
    struct gmpt_trace_error error;
    struct filter_error filter_error;
    struct gmpt_event event;
    struct gmpt_trace *trace = gmpt_trace_open(path, &error);
    ck_assert_ptr_nonnull(trace);
    struct filter *filter = expression ? filter_parse(expression, &filter_error) : NULL;
    ck_assert(!expression || filter);
    struct tally_options options = {
        .type = tally_type_find(type),
        .from_ns = from_ns,
        .to_ns = to_ns,
        .at_ns = at_ns,
        .filter = filter,
        .names = { .trace = trace },
    };
    ck_assert_ptr_nonnull(options.type);
    struct tally *tally = tally_open(&options);
    struct intervals *intervals = intervals_open(trace, NULL, NULL);
    tally_listen(tally, intervals);
    while (gmpt_trace_next(trace, &event) > 0)
        ck_assert(intervals_add(intervals, &event) == 0 && tally_event(tally, &event) == 0);
    ck_assert_int_eq(intervals_finish(intervals, gmpt_trace_info(trace)->duration_ns), 0);
    struct totals totals = { tally_total(tally, 0), tally_total(tally, 1) };
    intervals_close(intervals);
    tally_close(tally);
    filter_free(filter);
    gmpt_trace_close(trace);
    return totals;
}

static struct totals whole(const char *type) { return tally_of(type, 0, INT64_MAX, TALLY_AT_END, NULL); }

static void expect(unsigned seed, const char *type, struct totals totals, uint64_t first, int64_t second)
{
    ck_assert_msg(totals.first == (int64_t)first && totals.second == second,
                  "seed %u, %s: %lld of %lld, not %llu of %lld", seed, type, (long long)totals.first,
                  (long long)totals.second, (unsigned long long)first, (long long)second);
}

static bool is_network(int reason) { return reason == GMPT_WAIT_net_read || reason == GMPT_WAIT_net_write; }

TEST(tally, totals_are_what_happened)
{
    for (unsigned seed = 1; seed <= SEEDS; seed++) {
        make(seed);
        int64_t block_ns = 0, net_ns = 0, lock_ns = 0, life_ns = 0;
        uint64_t blocks = 0, nets = 0, locks = 0;
        for (int reason = 0; reason < GMPT_WAIT_REASONS; reason++) {
            bool lock =
                reason == GMPT_WAIT_mutex || reason == GMPT_WAIT_rwmutex_read || reason == GMPT_WAIT_rwmutex_write;
            net_ns += is_network(reason) ? made.wait_ns[reason] : 0;
            nets += is_network(reason) ? made.waits[reason] : 0;
            lock_ns += lock ? made.wait_ns[reason] : 0;
            locks += lock ? made.waits[reason] : 0;
            block_ns += reason == GMPT_WAIT_sleep || is_network(reason) ? 0 : made.wait_ns[reason];
            blocks += reason == GMPT_WAIT_sleep || is_network(reason) ? 0 : made.waits[reason];
        }
        for (uint64_t id = 1; id <= made.g_count; id++)
            life_ns += made.g[id].ended_ns - made.g[id].created_ns;
        expect(seed, "goroutine", whole("goroutine"), made.alive, 0);
        expect(seed, "create", whole("create"), made.g_count, 0);
        expect(seed, "wall", whole("wall"), (uint64_t)life_ns, 0);
        expect(seed, "block", whole("block"), blocks, block_ns);
        expect(seed, "net", whole("net"), nets, net_ns);
        expect(seed, "mutex", whole("mutex"), locks, lock_ns);
        expect(seed, "sleep", whole("sleep"), made.waits[GMPT_WAIT_sleep], made.wait_ns[GMPT_WAIT_sleep]);
        expect(seed, "syscall", whole("syscall"), made.syscalls, made.state_ns[GMPT_G_SYSCALL]);
        expect(seed, "sched", whole("sched"), made.starts + made.runnable_at_end, made.state_ns[GMPT_G_RUNNABLE]);
        expect(seed, "steal", whole("steal"), made.steals, (int64_t)made.stolen_gs);
        ck_assert_int_eq(whole("preempt").first, (int64_t)(made.preempts + made.detaches));
        expect(seed, "wall of what runs", tally_of("wall", 0, INT64_MAX, TALLY_AT_END, "state=running"),
               (uint64_t)made.state_ns[GMPT_G_RUNNING], 0);
    }
}

TEST(tally, totals_are_the_summarys)
{
    for (unsigned seed = 20; seed < 20 + SEEDS; seed++) {
        struct gmpt_trace_error error;
        struct gmpt_event event;
        make(seed);
        struct gmpt_trace *trace = gmpt_trace_open(path, &error);
        struct summary *summary = summary_open(trace, NULL);
        while (gmpt_trace_next(trace, &event) > 0)
            ck_assert_int_eq(summary_add(summary, &event), 0);
        ck_assert_int_eq(summary_finish(summary), 0);
        const struct summary_totals *totals = summary_totals(summary);
        int64_t all_ns = 0;
        for (int state = 0; state < GMPT_G_STATES; state++)
            all_ns += totals->state_ns[state];
        expect(seed, "goroutine", whole("goroutine"), totals->gs_alive, 0);
        expect(seed, "create", whole("create"), totals->gs_created, 0);
        expect(seed, "wall", whole("wall"), (uint64_t)all_ns, 0);
        expect(seed, "steal", whole("steal"), totals->steals, (int64_t)totals->stolen_gs);
        expect(seed, "syscall", whole("syscall"), totals->syscalls, totals->state_ns[GMPT_G_SYSCALL]);
        ck_assert_int_eq(whole("sched").second, totals->state_ns[GMPT_G_RUNNABLE]);
        ck_assert_int_eq(whole("block").second + whole("net").second + whole("sleep").second,
                         totals->state_ns[GMPT_G_WAITING]);
        ck_assert_int_eq(whole("block").first + whole("net").first + whole("sleep").first, (int64_t)totals->blocks);
        ck_assert_int_eq(whole("preempt").first,
                         (int64_t)(totals->preemptions + totals->async_preemptions + totals->detaches));
        summary_close(summary);
        gmpt_trace_close(trace);
    }
}

TEST(tally, windows_side_by_side_are_the_whole)
{
    static const char *const types[] = { "block", "mutex", "net", "sleep", "syscall", "sched", "wall", "preempt" };
    make(77);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct totals all = whole(types[i]);
        bool wall = strcmp(types[i], "wall") == 0;
        int64_t sum_ns = 0, from_ns = 0, step_ns = made.length_ns / 7 + 3;
        for (; from_ns <= made.length_ns; from_ns += step_ns, step_ns += 1001) {
            struct totals part = tally_of(types[i], from_ns, from_ns + step_ns, TALLY_AT_END, NULL);
            sum_ns += wall ? part.first : part.second;
        }
        ck_assert_msg(sum_ns == (wall ? all.first : all.second), "%s: %lld", types[i], (long long)sum_ns);
    }
}

TEST(tally, what_is_a_moment_is_in_one_window)
{
    static const char *const types[] = { "create", "steal" };
    make(78);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct totals all = whole(types[i]), sum = { 0, 0 };
        for (int64_t from_ns = 0; from_ns <= made.length_ns; from_ns += 54321) {
            struct totals part = tally_of(types[i], from_ns, from_ns + 54321, TALLY_AT_END, NULL);
            sum.first += part.first;
            sum.second += part.second;
        }
        expect(78, types[i], sum, (uint64_t)all.first, all.second);
    }
}

TEST(tally, a_window_of_a_nanosecond_has_as_much_wall_as_goroutines_lived)
{
    make(79);
    for (int i = 0; i < 20; i++) {
        int64_t at_ns = made.length_ns / 20 * i;
        uint64_t alive = 0;
        for (uint64_t id = 1; id <= made.g_count; id++)
            alive += made.g[id].created_ns <= at_ns && at_ns < made.g[id].ended_ns;
        expect(79, "goroutine", tally_of("goroutine", 0, INT64_MAX, at_ns, NULL), alive, 0);
        expect(79, "wall", tally_of("wall", at_ns, at_ns + 1, TALLY_AT_END, NULL), alive, 0);
    }
    expect(79, "goroutine at the very end", tally_of("goroutine", 0, INT64_MAX, made.length_ns, NULL), made.alive, 0);
}

TEST(tally, labels_choose_exactly_the_time_that_they_were_set)
{
    for (unsigned seed = 40; seed < 44; seed++) {
        make(seed);
        ck_assert_int_gt(made.tenant_ns[0], 0);
        struct totals all = whole("wall");
        struct totals acme = tally_of("wall", 0, INT64_MAX, TALLY_AT_END, "label.tenant=acme");
        struct totals zeta = tally_of("wall", 0, INT64_MAX, TALLY_AT_END, "label.tenant=zeta");
        struct totals others = tally_of("wall", 0, INT64_MAX, TALLY_AT_END, "not label.tenant~e");
        expect(seed, "acme", acme, (uint64_t)made.tenant_ns[0], 0);
        expect(seed, "zeta", zeta, (uint64_t)made.tenant_ns[1], 0);
        ck_assert_int_eq(acme.first + zeta.first + others.first, all.first);
    }
}

TEST(tally, one_goroutine_has_its_own_times)
{
    make(50);
    for (uint64_t id = 1; id <= made.g_count; id += 5) {
        char expression[64];
        snprintf(expression, sizeof expression, "g=%llu", (unsigned long long)id);
        ck_assert_int_eq(tally_of("sched", 0, INT64_MAX, TALLY_AT_END, expression).second,
                         made.g[id].state_ns[GMPT_G_RUNNABLE]);
        ck_assert_int_eq(tally_of("wall", 0, INT64_MAX, TALLY_AT_END, expression).first,
                         made.g[id].ended_ns - made.g[id].created_ns);
    }
}

/* Intervals by hand, of one G. */
static struct totals tally_by_hand(const char *type, int64_t from_ns, int64_t to_ns, int64_t at_ns,
                                   const struct interval *list, size_t count)
{
    struct tally_options options = {
        .type = tally_type_find(type), .from_ns = from_ns, .to_ns = to_ns, .at_ns = at_ns
    };
    struct tally *tally = tally_open(&options);
    for (size_t i = 0; i < count; i++)
        ck_assert_int_eq(tally_interval(tally, &list[i]), 0);
    struct totals totals = { tally_total(tally, 0), tally_total(tally, 1) };
    tally_close(tally);
    return totals;
}

TEST(tally, a_wait_whose_labels_change_is_one_wait)
{
    static const struct interval_g before = { .id = 1 }, after = { .id = 1, .labels = 7 };
    static const struct interval parts[] = {
        { .g = &before, .begin_ns = 10, .end_ns = 30, .state = GMPT_G_WAITING, .reason = GMPT_WAIT_select },
        { .g = &after,
          .begin_ns = 30,
          .end_ns = 60,
          .state = GMPT_G_WAITING,
          .reason = GMPT_WAIT_select,
          .continued = true },
        { .g = &before,
          .begin_ns = 60,
          .end_ns = 90,
          .state = GMPT_G_WAITING,
          .reason = GMPT_WAIT_select,
          .continued = true },
    };
    expect(0, "all", tally_by_hand("block", 0, INT64_MAX, TALLY_AT_END, parts, 3), 1, 80);
    expect(0, "from the second on", tally_by_hand("block", 30, INT64_MAX, TALLY_AT_END, parts, 3), 1, 60);
    expect(0, "in the second", tally_by_hand("block", 40, 50, TALLY_AT_END, parts, 3), 1, 10);
    expect(0, "over the last seam", tally_by_hand("block", 50, 70, TALLY_AT_END, parts, 3), 1, 20);
    expect(0, "before", tally_by_hand("block", 0, 10, TALLY_AT_END, parts, 3), 0, 0);
}

TEST(tally, a_moment_between_two_intervals_is_in_the_second)
{
    static const struct interval_g g = { .id = 1 };
    static const struct interval parts[] = {
        { .g = &g,
          .begin_ns = 10,
          .end_ns = 30,
          .state = GMPT_G_RUNNABLE,
          .began_by = GMPT_EVENT_go_create,
          .ended_by = GMPT_EVENT_go_start },
        { .g = &g, .begin_ns = 30, .end_ns = 30, .state = GMPT_G_RUNNING, .ended_by = GMPT_EVENT_go_block },
        { .g = &g, .begin_ns = 30, .end_ns = 60, .state = GMPT_G_WAITING },
    };
    static const int64_t alive[][2] = { { 9, 0 }, { 10, 1 }, { 29, 1 }, { 30, 1 }, { 59, 1 }, { 60, 1 }, { 61, 0 } };
    for (size_t i = 0; i < sizeof alive / sizeof alive[0]; i++)
        expect((unsigned)alive[i][0], "goroutine", tally_by_hand("goroutine", 0, INT64_MAX, alive[i][0], parts, 3),
               (uint64_t)alive[i][1], 0);
    expect(0, "at the end", tally_by_hand("goroutine", 0, INT64_MAX, TALLY_AT_END, parts, 3), 1, 0);
    expect(0, "created in", tally_by_hand("create", 10, 11, TALLY_AT_END, parts, 3), 1, 0);
    expect(0, "created before", tally_by_hand("create", 11, 50, TALLY_AT_END, parts, 3), 0, 0);
    expect(0, "created after", tally_by_hand("create", 0, 10, TALLY_AT_END, parts, 3), 0, 0);
}

TEST(tally, one_that_lost_its_p_is_delayed_when_it_comes_back)
{
    static const struct interval_g g = { .id = 1 };
    static const struct interval parts[] = {
        { .g = &g, .begin_ns = 0, .end_ns = 50, .state = GMPT_G_PREEMPTED, .began_by = GMPT_EVENT_go_detach },
        { .g = &g, .begin_ns = 50, .end_ns = 53, .state = GMPT_G_RUNNABLE, .began_by = GMPT_EVENT_go_attach_wait },
        { .g = &g, .begin_ns = 60, .end_ns = 67, .state = GMPT_G_RUNNABLE, .began_by = GMPT_EVENT_go_preempt },
        { .g = &g, .begin_ns = 70, .end_ns = 90, .state = GMPT_G_RUNNABLE, .began_by = GMPT_EVENT_go_yield },
    };
    expect(0, "preempt", tally_by_hand("preempt", 0, INT64_MAX, TALLY_AT_END, parts, 4), 2, 10);
    expect(0, "preempt", tally_by_hand("preempt", 52, 62, TALLY_AT_END, parts, 4), 1, 3);
}

/* G1 on thread 70 runs from 20 ns on, and is in a call from 320 to 620; thread 99 is not known. */
static const char offs[] =
    "pid 7\np_count 1\nclock_kind monotonic\nframe\nclock 1000 500000 1700000000000000000\n"
    "stack 0 1 0x1010 0x1011\nstack 0 2 0x2010 0x2011\n"
    "events ring=0 sequence=0 offset=0 base=1000 g=0 seq=0 tid=70 lost=0\n"
    "  0 proc_start tid=70\n  10 go_create g=1 fn=0x10 stack=1\n  10 go_start g=1 seq=2\n"
    "  300 syscall_begin stack=2\n  300 syscall_end\n"
    "events ring=2 sequence=0 offset=0 base=1000 g=0 seq=0 tid=0 lost=0\n"
    "  0 kernel_tier tier=2 others=1 error_ns=5\n"
    "  120 kernel_off tid=70 g=0 doing=15 why=1 call=0 argument=0 off_ns=40 queue_ns=40\n"
    "  300 kernel_off tid=70 g=0 doing=15 why=0 call=0 argument=0 off_ns=60 queue_ns=18446744073709551615\n"
    "  80 kernel_off tid=99 g=0 doing=15 why=0 call=0 argument=0 off_ns=70 queue_ns=18446744073709551615\n"
    "  30 kernel_off tid=99 g=0 doing=15 why=1 call=0 argument=0 off_ns=5 queue_ns=5\n"
    "  40 kernel_off tid=70 g=0 doing=0 why=0 call=203 argument=0 off_ns=1 queue_ns=1\n"
    "frame\nclock 2000 501000 1700000000000001000\nend 1 0\nring 5 0 0\nring 0 0 0\nring 6 0 0\n";

/* The tier perf does not tell whose times they are, but our own trace does. */
TEST(tally, times_off_a_cpu_are_of_the_goroutines_that_our_own_trace_has_there)
{
    path = tracefile_build(offs);
    expect(0, "of G1", tally_of("offcpu", 0, INT64_MAX, TALLY_AT_END, "g=1"), 2, 100);
    expect(0, "of all", whole("offcpu"), 4, 175);
    expect(0, "in the kernel", whole("kernel"), 4, 175);
    expect(0, "in queue, of G1", tally_of("runqueue", 0, INT64_MAX, TALLY_AT_END, "g=1"), 1, 40);
    expect(0, "in queue", whole("runqueue"), 2, 45);
    ck_assert_int_eq(exported_run("mv %s gmptrace.data; $GMPTRACE pprof --type=offcpu --format=folded -o -", path), 0);
    exported_has(exported_out, "[unknown];[blocked] 70\n[unknown];[preempted] 5\n");
    exported_has(exported_out, "0x2010;0x200f;[blocked] 60\n");
    exported_has(exported_out, "0x10;[preempted] 40\n");
}

TEST(tally, types_are_found_by_name)
{
    size_t count = 0;
    for (const struct tally_type *type; (type = tally_type_at(count)); count++) {
        ck_assert_ptr_eq(tally_type_find(type->name), type);
        ck_assert_uint_lt(type->shown, type->value_count);
    }
    ck_assert_uint_eq(count, 15);
    ck_assert_ptr_null(tally_type_find("heap"));
    ck_assert_ptr_null(tally_type_find(""));
}
