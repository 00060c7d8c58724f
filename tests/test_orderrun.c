/* Events that are asked for by the batch are those that are given out one by one, and what changes more than the states
 * of Gs comes alone. */
#include "gentrace.h"
#include "harness.h"
#include "trace/events.h"
#include "trace/reader.h"
#include "tracefile.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>

static struct gmpt_trace *opened(const char *path)
{
    struct gmpt_trace_error error;
    struct gmpt_trace *trace = gmpt_trace_open(path, &error);
    ck_assert_msg(trace != NULL, "%s: %s", path, error.message);
    return trace;
}

static void events_compare(const struct gmpt_event *one, const struct gmpt_event *other)
{
    ck_assert_int_eq(one->type, other->type);
    ck_assert_int_eq(one->p, other->p);
    ck_assert_int_eq(one->time_ns, other->time_ns);
    ck_assert_uint_eq(one->g, other->g);
    ck_assert_mem_eq(one->field, other->field, event_field_counts[one->type] * sizeof one->field[0]);
}

static void counts_compare(const struct gmpt_trace *one, const struct gmpt_trace *other)
{
    ck_assert_mem_eq(gmpt_trace_counts(one), gmpt_trace_counts(other), sizeof *gmpt_trace_counts(one));
    ck_assert_uint_eq(gmpt_trace_g_count(one), gmpt_trace_g_count(other));
}

/* Returns how many events came in company. */
static uint64_t batches_compare(const char *path, int room)
{
    struct gmpt_event events[TRACE_BATCH], event;
    struct gmpt_trace *by_one = opened(path), *by_batch = opened(path);
    uint64_t together = 0;
    int count;
    while ((count = trace_next_batch(by_batch, events, room)) > 0) {
        ck_assert_int_le(count, room);
        together += count > 1 ? (uint64_t)count : 0;
        for (int i = 0; i < count; i++) {
            ck_assert_int_eq(gmpt_trace_next(by_one, &event), 1);
            events_compare(&event, &events[i]);
        }
        counts_compare(by_one, by_batch);
    }
    ck_assert_int_eq(gmpt_trace_next(by_one, &event), count);
    counts_compare(by_one, by_batch);
    gmpt_trace_close(by_one);
    gmpt_trace_close(by_batch);
    return together;
}

TEST(orderrun, batches_of_any_size_have_the_same_events)
{
    static const int rooms[] = { 1, 2, 7, TRACE_BATCH };
    for (unsigned seed = 1; seed <= 8; seed++) {
        struct gentrace made = gentrace_make(seed, 1500);
        const char *path = tracefile_build(made.text);
        for (size_t i = 0; i < sizeof rooms / sizeof rooms[0]; i++)
            ck_assert_int_eq(batches_compare(path, rooms[i]) > 0, rooms[i] > 1);
        free(made.text);
    }
}

TEST(orderrun, batches_of_traces_with_losses_and_contradictions_have_the_same_events)
{
    glob_t traces;
    ck_assert_int_eq(glob("tests/traces/*.txt", 0, NULL, &traces), 0);
    for (size_t i = 0; i < traces.gl_pathc; i++) {
        size_t size;
        char *text = (char *)tracefile_slurp(traces.gl_pathv[i], &size);
        batches_compare(tracefile_build(text), TRACE_BATCH);
        free(text);
    }
    globfree(&traces);
}

/* As reader.h has it. */
static bool may_come_in_company(enum gmpt_event_type type)
{
    switch (type) {
    case GMPT_EVENT_go_create:
    case GMPT_EVENT_go_start:
    case GMPT_EVENT_go_yield:
    case GMPT_EVENT_go_block:
    case GMPT_EVENT_go_unblock:
    case GMPT_EVENT_go_exit:
    case GMPT_EVENT_proc_start:
    case GMPT_EVENT_proc_stop:
    case GMPT_EVENT_proc_steal:
    case GMPT_EVENT_m_create:
    case GMPT_EVENT_m_park:
    case GMPT_EVENT_m_unpark:
    case GMPT_EVENT_m_spin:
    case GMPT_EVENT_netpoll:
    case GMPT_EVENT_timer_fire:
        return true;
    default:
        return false;
    }
}

TEST(orderrun, what_changes_more_than_states_comes_alone_and_an_end_comes_last)
{
    for (unsigned seed = 11; seed <= 14; seed++) {
        struct gentrace made = gentrace_make(seed, 2000);
        struct gmpt_trace *trace = opened(tracefile_build(made.text));
        struct gmpt_event events[TRACE_BATCH];
        uint64_t alone = 0, ends = 0;
        for (int count; (count = trace_next_batch(trace, events, TRACE_BATCH)) > 0;) {
            for (int i = 0; i < count; i++) {
                alone += !may_come_in_company(events[i].type);
                ck_assert(count == 1 || may_come_in_company(events[i].type));
                if (events[i].type != GMPT_EVENT_go_exit)
                    continue;
                ends++;
                ck_assert_int_eq(i, count - 1);
                const struct gmpt_g *ended = gmpt_trace_g(trace, events[i].g);
                ck_assert_ptr_nonnull(ended);
                ck_assert_int_eq(ended->state, GMPT_G_DEAD);
            }
        }
        ck_assert_uint_gt(alone, 0);
        ck_assert_uint_gt(ends, 0);
        gmpt_trace_close(trace);
        free(made.text);
    }
}
