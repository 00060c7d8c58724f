/* Sums of CPU samples, and how the reader attributes them. */
#include "harness.h"

#include "trace/cpusamples.h"

#include <errno.h>
#include <stdlib.h>

static struct gmpt_event sample(uint64_t g, uint32_t stack, uint64_t cpu_ns)
{
    struct gmpt_event event = { .type = GMPT_EVENT_cpu_sample, .p = -1, .time_ns = 1000 };
    event.cpu_sample = (struct gmpt_event_cpu_sample){ .g = g, .held = 1, .ago_ticks = 10, .cpu_ns = cpu_ns };
    event.cpu_sample.stack = stack;
    return event;
}

static void add(struct cpusamples *samples, struct gmpt_event event)
{
    ck_assert_int_eq(cpusamples_add(samples, &event), 0);
}

TEST(cpusamples, are_summed_up_by_stack_with_the_most_first)
{
    struct cpusamples samples = { 0 };
    size_t count;
    add(&samples, sample(1, 7, 100));
    add(&samples, sample(2, 8, 400));
    add(&samples, sample(1, 7, 200));
    add(&samples, sample(0, 9, 50));
    add(&samples, (struct gmpt_event){ .type = GMPT_EVENT_go_exit });
    add(&samples,
        (struct gmpt_event){ .type = GMPT_EVENT_cpu_sample_lost, .cpu_sample_lost = { .tid = 1, .count = 3 } });
    struct cpusamples_stack *list = cpusamples_list(&samples, &count);
    ck_assert_uint_eq(count, 3);
    ck_assert_uint_eq(list[0].stack, 8);
    ck_assert_uint_eq(list[1].stack, 7);
    ck_assert_uint_eq(list[1].count, 2);
    ck_assert_int_eq(list[1].cpu_ns, 300);
    ck_assert_uint_eq(samples.count, 4);
    ck_assert_int_eq(samples.cpu_ns, 750);
    ck_assert_uint_eq(samples.scheduler, 1);
    ck_assert_int_eq(samples.scheduler_ns, 50);
    ck_assert_uint_eq(samples.lost, 3);
    free(list);
    cpusamples_clear(&samples);
}

TEST(cpusamples, sums_stop_at_the_largest_number)
{
    struct cpusamples samples = { 0 };
    add(&samples, sample(1, 7, INT64_MAX));
    add(&samples, sample(1, 7, INT64_MAX));
    ck_assert_int_eq(samples.cpu_ns, INT64_MAX);
    cpusamples_clear(&samples);
}

TEST(cpusamples, of_nothing_there_is_no_list)
{
    struct cpusamples samples = { 0 };
    size_t count = 1;
    ck_assert_ptr_null(cpusamples_list(&samples, &count));
    ck_assert_uint_eq(count, 0);
    cpusamples_clear(&samples);
}

TEST(cpusamples, were_taken_before_they_were_written_and_not_before_the_start)
{
    struct gmpt_event event = sample(1, 1, 1);
    ck_assert_int_eq(cpusamples_time_ns(&event), 990);
    event.cpu_sample.ago_ticks = UINT64_MAX;
    ck_assert_int_eq(cpusamples_time_ns(&event), 0);
    event.time_ns = -5;
    ck_assert_int_eq(cpusamples_time_ns(&event), 0);
}
