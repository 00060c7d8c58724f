/* The analysis, fed with events by hand and with made-up traces (gentrace.h): sums to the nanosecond, and each finding
 * at its limit and just below. */
#include "gentrace.h"
#include "harness.h"
#include "tracefile.h"

#include "analysis/analysis.h"
#include "trace/reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define US 1000ll
#define MS 1000000ll
#define S 1000000000ll
#define MAIN_FN 0x4000
#define WORK_FN 0x5000

/* ---- Analyses ---------------------------------------------------------------------------------------------------- */

static struct analysis *opened_with(const struct gmpt_trace *trace, const struct analysis_options *options)
{
    struct intervals *intervals = intervals_open(trace, NULL, NULL);
    ck_assert_ptr_nonnull(intervals);
    struct analysis *analysis = analysis_open(intervals, trace, options);
    ck_assert_ptr_nonnull(analysis);
    return analysis;
}

static int event_take(struct analysis *analysis, const struct gmpt_event *event)
{
    int result = intervals_add(analysis->intervals, event);
    return result ? result : analysis_add(analysis, event);
}

static int all_finish(struct analysis *analysis)
{
    int result =
        intervals_finish(analysis->intervals, analysis->trace ? gmpt_trace_info(analysis->trace)->duration_ns : 0);
    return result ? result : analysis_finish(analysis);
}

static void all_close(struct analysis *analysis)
{
    struct intervals *intervals = analysis->intervals;
    analysis_close(analysis);
    intervals_close(intervals);
}

/* ---- Made-up traces ---------------------------------------------------------------------------------------------- */

static struct gentrace made;

struct window {
    int64_t from_ns, to_ns;
    const char *filter;
};

static struct analysis *analysis_of(const char *path, const struct window *window, struct gmpt_trace **trace)
{
    struct gmpt_trace_error error;
    struct filter_error filter_error;
    struct gmpt_event event;
    *trace = gmpt_trace_open(path, &error);
    ck_assert_ptr_nonnull(*trace);
    struct analysis_options options = {
        .limits = FINDING_LIMITS_DEFAULT,
        .from_ns = window->from_ns,
        .to_ns = window->to_ns,
        .length_ns = gmpt_trace_info(*trace)->expected_duration_ns,
        .filter = window->filter ? filter_parse(window->filter, &filter_error) : NULL,
        .names = { .trace = *trace },
    };
    struct analysis *analysis = opened_with(*trace, &options);
    while (gmpt_trace_next(*trace, &event) > 0)
        ck_assert_int_eq(event_take(analysis, &event), 0);
    ck_assert_int_eq(all_finish(analysis), 0);
    return analysis;
}

static void analysis_end(struct analysis *analysis, struct gmpt_trace *trace)
{
    filter_free((struct filter *)(uintptr_t)analysis->options.filter);
    all_close(analysis);
    gmpt_trace_close(trace);
}

static uint64_t set_count(const struct distributions *set, int64_t *total_ns)
{
    uint64_t count = 0;
    *total_ns = 0;
    for (size_t i = 0; i < set->table.count; i++) {
        count += set->list[i]->histogram.count;
        *total_ns += set->list[i]->histogram.total;
    }
    return count;
}

TEST(analysis, sums_are_what_happened)
{
    for (unsigned seed = 1; seed <= 12; seed++) {
        struct gmpt_trace *trace;
        free(made.text);
        made = gentrace_make(seed, 1200);
        struct analysis *analysis =
            analysis_of(tracefile_build(made.text), &(struct window){ 0, ANALYSIS_END, NULL }, &trace);
        int64_t all_ns = 0, life_ns = 0, waits_ns = 0, busy_ns = 0, total_ns;
        uint64_t waits = 0, ended = 0, stolen = 0;
        for (int state = 0; state < GMPT_G_STATES; state++) {
            ck_assert_int_eq(analysis->state_ns[state], made.state_ns[state]);
            all_ns += analysis->state_ns[state];
        }
        for (int reason = 0; reason < GMPT_WAIT_REASONS; reason++) {
            ck_assert_int_eq(analysis->wait_ns[reason], made.wait_ns[reason]);
            waits_ns += made.wait_ns[reason];
            waits += made.waits[reason];
        }
        for (uint64_t id = 1; id <= made.g_count; id++)
            life_ns += made.g[id].ended_ns - made.g[id].created_ns;
        ck_assert_int_eq(all_ns, life_ns);
        ck_assert_uint_eq(set_count(&analysis->waits.sites, &total_ns), waits);
        ck_assert_int_eq(total_ns, waits_ns);
        ck_assert_uint_eq(set_count(&analysis->lateness.starts, &total_ns), made.starts);
        ck_assert_uint_eq(analysis->lateness.all.count, made.starts);
        ck_assert_int_eq(total_ns, analysis->lateness.all.total);
        ck_assert_uint_eq(set_count(&analysis->lateness.lines, &total_ns), made.starts);
        ck_assert_int_eq(total_ns, analysis->lateness.all.total);
        ck_assert_uint_eq(set_count(&analysis->calls.sites, &total_ns), made.syscalls);
        ck_assert_int_eq(total_ns, made.state_ns[GMPT_G_SYSCALL]);
        ended = set_count(&analysis->lives.starts, &total_ns);
        ck_assert_uint_eq(ended, made.g_count - made.alive);
        for (int p = 0; p < PROCESSORS_MAX; p++) {
            busy_ns += analysis->processors.ps[p].busy_ns;
            stolen += analysis->processors.ps[p].stolen;
        }
        ck_assert_int_eq(busy_ns, made.state_ns[GMPT_G_RUNNING]);
        ck_assert_uint_eq(stolen, made.stolen_gs);
        analysis_end(analysis, trace);
    }
}

static void distributions_compare(const struct distributions *one, const struct distributions *other)
{
    ck_assert_uint_eq(one->table.count, other->table.count);
    for (size_t i = 0; i < one->table.count; i++) {
        const struct distribution *a = one->list[i], *b = other->list[i];
        ck_assert(distribution_key_equal(&a->key, &b->key));
        ck_assert_uint_eq(a->histogram.count, b->histogram.count);
        ck_assert_int_eq(a->histogram.total, b->histogram.total);
        ck_assert_int_eq(a->histogram.max, b->histogram.max);
        ck_assert_int_eq(a->worst_end_ns, b->worst_end_ns);
        ck_assert_uint_eq(a->worst_g, b->worst_g);
    }
}

static void analyses_compare(const struct analysis *one, const struct analysis *other)
{
    ck_assert_mem_eq(one->state_ns, other->state_ns, sizeof one->state_ns);
    ck_assert_mem_eq(one->wait_ns, other->wait_ns, sizeof one->wait_ns);
    distributions_compare(&one->waits.sites, &other->waits.sites);
    distributions_compare(&one->waits.locks, &other->waits.locks);
    distributions_compare(&one->wakeups.futile, &other->wakeups.futile);
    distributions_compare(&one->lateness.starts, &other->lateness.starts);
    distributions_compare(&one->lateness.lines, &other->lateness.lines);
    distributions_compare(&one->runs.preempted, &other->runs.preempted);
    distributions_compare(&one->calls.sites, &other->calls.sites);
    distributions_compare(&one->lives.starts, &other->lives.starts);
    ck_assert_mem_eq(one->processors.ps, other->processors.ps, sizeof one->processors.ps);
    ck_assert_int_eq(one->processors.starved_ns, other->processors.starved_ns);
    for (int i = 0; i < CHAINS_SHOWN; i++)
        ck_assert_int_eq(one->chains.longest[i].length_ns, other->chains.longest[i].length_ns);
    for (int state = 0; state < GMPT_G_STATES; state++)
        for (unsigned column = 0; column < ANALYSIS_COLUMNS; column++)
            ck_assert_int_eq(overtime_ns(one->overtime, (enum gmpt_g_state)state, column),
                             overtime_ns(other->overtime, (enum gmpt_g_state)state, column));
    ck_assert_uint_eq(one->findings.count, other->findings.count);
}

/* By the pass, or event by event. */
static struct analysis *summed_up(const char *path, bool by_pass, struct summary **summary, struct gmpt_trace **trace)
{
    struct gmpt_trace_error error;
    struct gmpt_event events[TRACE_BATCH];
    *trace = gmpt_trace_open(path, &error);
    ck_assert_ptr_nonnull(*trace);
    *summary = summary_open(*trace, NULL);
    ck_assert_ptr_nonnull(*summary);
    struct analysis_options options = {
        .limits = FINDING_LIMITS_DEFAULT,
        .to_ns = ANALYSIS_END,
        .length_ns = gmpt_trace_info(*trace)->expected_duration_ns,
    };
    struct analysis *analysis = analysis_open(summary_intervals(*summary), *trace, &options);
    ck_assert_ptr_nonnull(analysis);
    for (int count; (count = trace_next_batch(*trace, events, TRACE_BATCH)) > 0;) {
        if (by_pass)
            ck_assert_int_eq(analysis_pass(analysis, *summary, events, count), 0);
        for (int i = 0; i < count && !by_pass; i++) {
            ck_assert_int_eq(summary_add(*summary, &events[i]), 0);
            ck_assert_int_eq(analysis_add(analysis, &events[i]), 0);
        }
    }
    ck_assert_int_eq(summary_finish(*summary), 0);
    ck_assert_int_eq(analysis_finish(analysis), 0);
    return analysis;
}

TEST(analysis, one_pass_with_a_summary_says_what_events_one_by_one_say)
{
    for (unsigned seed = 50; seed < 60; seed++) {
        struct gmpt_trace *traces[2];
        struct summary *summaries[2];
        free(made.text);
        made = gentrace_make(seed, 1500);
        const char *path = tracefile_build(made.text);
        struct analysis *by_pass = summed_up(path, true, &summaries[0], &traces[0]);
        struct analysis *by_one = summed_up(path, false, &summaries[1], &traces[1]);
        ck_assert_mem_eq(summary_totals(summaries[0]), summary_totals(summaries[1]), sizeof(struct summary_totals));
        analyses_compare(by_pass, by_one);
        analysis_close(by_pass);
        analysis_close(by_one);
        for (int i = 0; i < 2; i++) {
            summary_close(summaries[i]);
            gmpt_trace_close(traces[i]);
        }
    }
}

TEST(analysis, windows_side_by_side_add_up_to_the_whole)
{
    for (unsigned seed = 20; seed < 26; seed++) {
        struct gmpt_trace *trace;
        int64_t state_ns[GMPT_G_STATES] = { 0 }, runs_ns = 0, columns_ns = 0;
        free(made.text);
        made = gentrace_make(seed, 1200);
        const char *path = tracefile_build(made.text);
        for (int part = 0; part < 4; part++) {
            struct window window = { made.length_ns * part / 4,
                                     part == 3 ? ANALYSIS_END : made.length_ns * (part + 1) / 4, NULL };
            struct analysis *analysis = analysis_of(path, &window, &trace);
            for (int state = 0; state < GMPT_G_STATES; state++)
                state_ns[state] += analysis->state_ns[state];
            for (int p = 0; p < PROCESSORS_MAX; p++)
                runs_ns += analysis->processors.ps[p].busy_ns;
            for (unsigned column = 0; column < ANALYSIS_COLUMNS; column++)
                columns_ns += overtime_ns(analysis->overtime, GMPT_G_RUNNING, column);
            analysis_end(analysis, trace);
        }
        for (int state = 0; state < GMPT_G_STATES; state++)
            ck_assert_int_eq(state_ns[state], made.state_ns[state]);
        ck_assert_int_eq(runs_ns, made.state_ns[GMPT_G_RUNNING]);
        ck_assert_int_eq(columns_ns, made.state_ns[GMPT_G_RUNNING]);
    }
}

TEST(analysis, a_filter_chooses_and_its_opposite_has_the_rest)
{
    static const char *const filters[] = { "label.tenant=acme", "not label.tenant=acme" };
    struct gmpt_trace *trace;
    int64_t state_ns[GMPT_G_STATES] = { 0 }, tenant_ns = 0;
    free(made.text);
    made = gentrace_make(31, 1500);
    const char *path = tracefile_build(made.text);
    for (size_t i = 0; i < 2; i++) {
        struct analysis *analysis = analysis_of(path, &(struct window){ 0, ANALYSIS_END, filters[i] }, &trace);
        for (int state = 0; state < GMPT_G_STATES; state++) {
            state_ns[state] += analysis->state_ns[state];
            tenant_ns += i == 0 ? analysis->state_ns[state] : 0;
        }
        analysis_end(analysis, trace);
    }
    ck_assert_int_eq(tenant_ns, made.tenant_ns[0]);
    for (int state = 0; state < GMPT_G_STATES; state++)
        ck_assert_int_eq(state_ns[state], made.state_ns[state]);
}

/* ---- By hand ----------------------------------------------------------------------------------------------------- */

static struct analysis *opened(void)
{
    struct analysis_options options = { .limits = FINDING_LIMITS_DEFAULT, .to_ns = ANALYSIS_END };
    return opened_with(NULL, &options);
}

static void feed(struct analysis *analysis, enum gmpt_event_type type, int p, int64_t t, uint64_t g,
                 const uint64_t fields[GMPT_EVENT_FIELDS_MAX])
{
    struct gmpt_event event = { .type = type, .p = p, .time_ns = t, .g = g };
    memcpy(event.field, fields, GMPT_EVENT_FIELDS_MAX * sizeof fields[0]);
    ck_assert_int_eq(event_take(analysis, &event), 0);
}
#define FIELDS(...)                                                                                                    \
    (const uint64_t[GMPT_EVENT_FIELDS_MAX]) { __VA_ARGS__ }

static void create(struct analysis *analysis, int p, int64_t t, uint64_t g, uint64_t fn, uint32_t stack)
{
    feed(analysis, GMPT_EVENT_go_create, p, t, 0, FIELDS(g, fn, stack));
}
static void start(struct analysis *analysis, int p, int64_t t, uint64_t g)
{
    feed(analysis, GMPT_EVENT_go_start, p, t, g, FIELDS(g, 2));
}
static void block(struct analysis *analysis, int p, int64_t t, uint64_t g, enum gmpt_wait_reason reason,
                  uint64_t object, uint64_t owner)
{
    struct gmpt_event event = { .type = GMPT_EVENT_go_block, .p = p, .time_ns = t, .g = g };
    event.go_block.reason = reason;
    event.go_block.object = object;
    event.go_block.stack = 9;
    event.go_block.owner = owner;
    ck_assert_int_eq(event_take(analysis, &event), 0);
}
static void unblock(struct analysis *analysis, int p, int64_t t, uint64_t g)
{
    struct gmpt_event event = { .type = GMPT_EVENT_go_unblock, .p = p, .time_ns = t, .g = g };
    event.go_unblock.g = g;
    event.go_unblock.by = GMPT_WAKER_G;
    event.go_unblock.stack = 11;
    ck_assert_int_eq(event_take(analysis, &event), 0);
}
static void simple(struct analysis *analysis, enum gmpt_event_type type, int p, int64_t t, uint64_t g)
{
    feed(analysis, type, p, t, g, FIELDS(g, 3));
}

/* The main G runs on P 0, which an M holds. */
static struct analysis *opened_with_main(void)
{
    struct analysis *analysis = opened();
    feed(analysis, GMPT_EVENT_proc_start, 0, 0, 0, FIELDS(77));
    create(analysis, -1, 0, 1, MAIN_FN, 0);
    start(analysis, 0, 0, 1);
    return analysis;
}

static const struct finding *finished(struct analysis *analysis, int64_t end_ns, enum finding_kind kind)
{
    simple(analysis, GMPT_EVENT_proc_stop, 7, end_ns, 0);
    ck_assert_int_eq(all_finish(analysis), 0);
    for (size_t i = 0; i < analysis->findings.count; i++)
        if (analysis->findings.list[i].kind == kind)
            return &analysis->findings.list[i];
    return NULL;
}

TEST(analysis, nothing_has_no_findings)
{
    struct analysis *analysis = opened();
    ck_assert_int_eq(all_finish(analysis), 0);
    ck_assert_uint_eq(analysis->findings.count, 0);
    all_close(analysis);
    analysis_close(NULL);
}

/* A stretch of running that ends by `type`, after len. */
static const struct finding *hog_of(struct analysis **analysis, enum gmpt_event_type type, int64_t length_ns)
{
    *analysis = opened_with_main();
    create(*analysis, 0, 0, 2, WORK_FN, 5);
    start(*analysis, 1, 10, 2);
    simple(*analysis, type, 1, 10 + length_ns, 2);
    if (type == GMPT_EVENT_go_detach)
        simple(*analysis, GMPT_EVENT_go_attach, 1, 10 + length_ns + 7 * MS, 2);
    simple(*analysis, GMPT_EVENT_go_exit, 1, 10 + length_ns + 8 * MS, 2);
    simple(*analysis, GMPT_EVENT_go_exit, 0, 5, 1);
    return finished(*analysis, 100 * MS, FINDING_HOG);
}

TEST(analysis, a_hog_is_told_with_its_tier)
{
    static const struct {
        enum gmpt_event_type type;
        uint32_t tier;
        int64_t more_ns;
    } cases[] = {
        { GMPT_EVENT_go_preempt, FINDING_TIER_SAFEPOINT, 0 },
        { GMPT_EVENT_go_preempt_async, FINDING_TIER_SIGNAL, 0 },
        { GMPT_EVENT_go_detach, FINDING_TIER_DETACHED, 7 * MS },
        { GMPT_EVENT_go_yield, FINDING_TIER_NONE, 0 },
    };
    struct analysis *analysis;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct finding *hog = hog_of(&analysis, cases[i].type, 20 * MS);
        ck_assert_ptr_nonnull(hog);
        ck_assert_int_eq(hog->value, 20 * MS + cases[i].more_ns);
        ck_assert_uint_eq(hog->tier, cases[i].tier);
        ck_assert_uint_eq(hog->fn, WORK_FN);
        ck_assert_uint_eq(hog->create_stack, 5);
        ck_assert_uint_eq(hog->g, 2);
        ck_assert_int_eq(hog->begin_ns, 10);
        all_close(analysis);
    }
    ck_assert_ptr_null(hog_of(&analysis, GMPT_EVENT_go_preempt, 20 * MS - 1));
    all_close(analysis);
}

TEST(analysis, a_call_is_a_safepoint)
{
    struct analysis *analysis = opened_with_main();
    for (int64_t t = 15; t <= 90; t += 15) {
        feed(analysis, GMPT_EVENT_syscall_begin, 0, t * MS, 1, FIELDS(9));
        simple(analysis, GMPT_EVENT_syscall_end, 0, t * MS, 1);
    }
    ck_assert_ptr_null(finished(analysis, 91 * MS, FINDING_HOG));
    all_close(analysis);
}

TEST(analysis, who_waits_to_run_for_too_long_is_told)
{
    for (int64_t over = 0; over <= 1; over++) {
        struct analysis *analysis = opened_with_main();
        create(analysis, 0, 3 * MS, 2, WORK_FN, 5);
        simple(analysis, GMPT_EVENT_go_yield, 0, 8 * MS, 1);
        start(analysis, 0, 8 * MS + over, 2);
        const struct finding *late = finished(analysis, 9 * MS, FINDING_LATE);
        ck_assert_int_eq(late != NULL, over);
        if (late) {
            ck_assert_int_eq(late->value, 5 * MS + 1);
            ck_assert_int_eq(late->begin_ns, 3 * MS);
            ck_assert_uint_eq(late->g, 2);
        }
        all_close(analysis);
    }
}

/* `gs` Gs wait for one condition; each event wakes all, and all but one go back after ran_ns. */
static const struct finding *herd_of(struct analysis **out, uint64_t gs, int64_t ran_ns, enum gmpt_wait_reason reason)
{
    struct analysis *analysis = *out = opened_with_main();
    int64_t t = 1000;
    for (uint64_t g = 2; g < gs + 2; g++) {
        create(analysis, 0, t, g, WORK_FN, 5);
        start(analysis, 1, t, g);
        block(analysis, 1, t, g, reason, 0xc0, 0);
    }
    for (int event = 0; event < 3; event++) {
        t += 100 * MS;
        for (uint64_t g = 2; g < gs + 2; g++)
            unblock(analysis, 0, t + (int64_t)g, g);
        for (uint64_t g = 2; g < gs + 2; g++) {
            int64_t at = t + (int64_t)g * MS, ran = g == 2 ? 50 * US : ran_ns;
            start(analysis, 1, at, g);
            block(analysis, 1, at + ran, g, reason, 0xc0, 0);
        }
    }
    return finished(analysis, t + S, FINDING_HERD);
}

TEST(analysis, a_herd_that_goes_back_is_told)
{
    struct analysis *analysis;
    const struct finding *herd = herd_of(&analysis, 10, 2 * US, GMPT_WAIT_cond);
    ck_assert_ptr_nonnull(herd);
    ck_assert_int_eq(herd->value, 10);
    ck_assert_uint_eq(herd->back, 9);
    ck_assert_uint_eq(herd->times, 3);
    ck_assert_uint_eq(herd->by_fn, MAIN_FN);
    ck_assert_uint_eq(herd->stack, 9);
    ck_assert_uint_eq(analysis->wakeups.futile.list[0]->histogram.count, 27);
    all_close(analysis);
}

TEST(analysis, who_gets_to_work_or_got_a_value_is_no_herd)
{
    struct analysis *analysis;
    ck_assert_ptr_null(herd_of(&analysis, 10, 10 * US, GMPT_WAIT_cond));
    all_close(analysis);
    ck_assert_ptr_null(herd_of(&analysis, 10, 2 * US, GMPT_WAIT_chan_recv));
    all_close(analysis);
    ck_assert_ptr_null(herd_of(&analysis, 7, 2 * US, GMPT_WAIT_cond));
    all_close(analysis);
}

/* gs Gs want a lock that each has for hold_ns and asks for again at once. */
static const struct finding *convoy_of(struct analysis **out, uint64_t gs, int64_t hold_ns)
{
    struct analysis *analysis = *out = opened_with_main();
    int64_t t = 1000;
    for (uint64_t g = 2; g < gs + 2; g++) {
        create(analysis, 0, t, g, WORK_FN, 5);
        start(analysis, 1, t, g);
        block(analysis, 1, t, g, GMPT_WAIT_mutex, 0xc0, 1);
    }
    for (uint64_t turn = 0; t < 300 * MS; turn++) {
        uint64_t g = 2 + turn % gs;
        t += hold_ns;
        unblock(analysis, 0, t, g);
        start(analysis, 1, t, g);
        block(analysis, 1, t, g, GMPT_WAIT_mutex, 0xc0, 1);
    }
    return finished(analysis, t + 1, FINDING_CONVOY);
}

TEST(analysis, a_lock_that_many_queue_for_is_a_convoy)
{
    struct analysis *analysis;
    const struct finding *convoy = convoy_of(&analysis, 8, 100 * US);
    ck_assert_ptr_nonnull(convoy);
    ck_assert_int_ge(convoy->value, 7); /* the last tick of the window belongs to the next */
    ck_assert_int_le(convoy->value, 8);
    ck_assert_uint_eq(convoy->object, 0xc0);
    ck_assert_uint_eq(convoy->by_fn, MAIN_FN);
    const struct distribution *lock = analysis->waits.locks.list[0];
    ck_assert_uint_eq(lock->key.by_fn, MAIN_FN);
    ck_assert_uint_eq(lock->marked, lock->histogram.count);
    all_close(analysis);
}

TEST(analysis, few_waiters_or_long_turns_are_no_convoy)
{
    struct analysis *analysis;
    ck_assert_ptr_null(convoy_of(&analysis, 3, 100 * US));
    all_close(analysis);
    ck_assert_ptr_null(convoy_of(&analysis, 8, 2 * MS));
    all_close(analysis);
}

TEST(analysis, calls_are_a_storm_from_a_rate_on)
{
    for (int more = 0; more <= 1; more++) {
        struct analysis *analysis = opened_with_main();
        for (int64_t call = 0; call < 999 + more; call++) {
            feed(analysis, GMPT_EVENT_syscall_begin, 0, call * 100 * US, 1, FIELDS(9));
            simple(analysis, GMPT_EVENT_syscall_end, 0, call * 100 * US + 10, 1);
        }
        const struct finding *storm = finished(analysis, S, FINDING_SYSCALLS);
        ck_assert_int_eq(storm != NULL, more);
        ck_assert(!storm || (storm->value == 10000 && storm->stack == 9));
        all_close(analysis);
    }
}

TEST(analysis, switches_are_a_storm_from_a_rate_on)
{
    for (int more = 0; more <= 1; more++) {
        struct analysis *analysis = opened_with_main();
        for (int64_t turn = 0; turn < 1999 + more; turn++) {
            simple(analysis, GMPT_EVENT_go_yield, 0, turn * 400 * US + 10, 1);
            start(analysis, 0, turn * 400 * US + 20, 1);
        }
        simple(analysis, GMPT_EVENT_go_yield, 0, 5 * S, 1);
        const struct finding *storm = finished(analysis, 6 * S, FINDING_STORM);
        ck_assert_int_eq(storm != NULL, more);
        ck_assert(!storm || (storm->value == 2000 && storm->gs == 1 && storm->fn == MAIN_FN));
        all_close(analysis);
    }
}

TEST(analysis, ever_more_goroutines_are_told_and_many_that_end_are_not)
{
    for (int ends = 0; ends <= 1; ends++) {
        struct analysis *analysis = opened_with_main();
        for (uint64_t g = 2; g < 1502; g++) {
            int64_t t = (int64_t)g * MS;
            create(analysis, 0, t, g, WORK_FN, 5);
            start(analysis, 1, t, g);
            if (ends)
                simple(analysis, GMPT_EVENT_go_exit, 1, t + 10, g);
            else
                block(analysis, 1, t + 10, g, GMPT_WAIT_chan_recv, 0xc0, 0);
        }
        const struct finding *spawning = finished(analysis, 1502 * MS, FINDING_SPAWNING);
        ck_assert_int_eq(spawning == NULL, ends);
        if (spawning) {
            ck_assert_int_eq(spawning->value, 1500);
            ck_assert_uint_eq(spawning->create_stack, 5);
            ck_assert_int_eq(spawning->severity, FINDING_ERROR);
        }
        all_close(analysis);
    }
}

TEST(analysis, goroutines_starve_while_a_p_idles)
{
    for (int64_t over = 0; over <= 1; over++) {
        struct analysis *analysis = opened_with_main();
        feed(analysis, GMPT_EVENT_proc_limit, 0, 0, 1, FIELDS(2));
        create(analysis, 0, 3 * MS, 2, WORK_FN, 5);
        create(analysis, 0, 4 * MS, 3, WORK_FN, 5);
        feed(analysis, GMPT_EVENT_proc_start, 1, 13 * MS - 1 + over, 0, FIELDS(78));
        start(analysis, 1, 14 * MS, 2);
        const struct finding *starved = finished(analysis, 15 * MS, FINDING_STARVATION);
        ck_assert_int_eq(analysis->processors.starved_ns, 10 * MS - 1 + over);
        ck_assert_int_eq(starved != NULL, over);
        if (starved) {
            ck_assert_int_eq(starved->value, 10 * MS);
            ck_assert_int_eq(starved->begin_ns, 3 * MS);
            ck_assert_uint_eq(starved->gs, 2);
        }
        all_close(analysis);
    }
}

TEST(analysis, before_the_first_p_has_started_nobody_starves)
{
    struct analysis *analysis = opened();
    feed(analysis, GMPT_EVENT_proc_limit, 0, 0, 1, FIELDS(1));
    create(analysis, -1, 0, 1, MAIN_FN, 0);
    feed(analysis, GMPT_EVENT_proc_start, 0, 20 * MS, 0, FIELDS(77));
    start(analysis, 0, 20 * MS, 1);
    ck_assert_ptr_null(finished(analysis, 30 * MS, FINDING_STARVATION));
    ck_assert_int_eq(analysis->processors.starved_ns, 0);
    all_close(analysis);
}

/* main runs 10, starts a, runs 20 more and waits; a is late by 25, runs 100, wakes main, runs 5 and ends; main is late
 * by 3 and runs 40. */
TEST(analysis, a_chain_goes_through_whoever_was_waited_for)
{
    struct analysis *analysis = opened_with_main();
    create(analysis, 0, 10, 2, WORK_FN, 5);
    block(analysis, 0, 30, 1, GMPT_WAIT_chan_recv, 0xc0, 0);
    start(analysis, 0, 35, 2);
    unblock(analysis, 0, 135, 1);
    simple(analysis, GMPT_EVENT_go_exit, 0, 140, 2);
    start(analysis, 0, 143, 1);
    simple(analysis, GMPT_EVENT_go_exit, 0, 183, 1);
    finished(analysis, 200, FINDING_HOG);
    const struct chain *chain = &analysis->chains.longest[0];
    ck_assert_uint_eq(chain->g, 1);
    ck_assert_int_eq(chain->length_ns, 10 + 25 + 100 + 8 + 40);
    ck_assert_int_eq(chain->ran_ns, 10 + 100 + 40);
    ck_assert_uint_eq(chain->hops, 3);
    ck_assert_int_eq(chain->last[0].ns, 10);
    ck_assert_uint_eq(chain->last[0].stack, 5);
    ck_assert_int_eq(chain->last[1].ns, 125);
    ck_assert_uint_eq(chain->last[1].g, 2);
    ck_assert_uint_eq(chain->last[1].stack, 11);
    ck_assert_int_eq(chain->last[2].ns, 48);
    chain = &analysis->chains.longest[1];
    ck_assert_uint_eq(chain->g, 2);
    ck_assert_int_eq(chain->length_ns, 10 + 25 + 105);
    all_close(analysis);
}
