/* What the kernel tells, by hand: records in any order become events in the order of their times, in ticks, and are
 * read back joined. This is what the kernel's side is tested by where the kernel may not be asked. */
#include "harness.h"

#include "kernel/cpuslices.h"
#include "trace/events.h"
#include "trace/kernelintervals.h"
#include "trace/kernelring.h"
#include "trace/kernelsymbols.h"
#include "trace/segment.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define OWN_PID 7u
#define KERNEL_RING 4u /* of 2 Ps */

static struct kernelring *ring;
static char path[512];

/* Ticks are 10 a nanosecond, from 1000 at the moment 0. */
static struct writer_clock at(int64_t ns)
{
    return (struct writer_clock){ 1000 + (uint64_t)ns * 10, 5000000000 + ns, 1700000000000000000 + ns };
}

static struct kernel_record interval(uint32_t tid, uint64_t end_ns, uint64_t off_ns)
{
    return (struct kernel_record){
        .type = KERNEL_INTERVAL,
        .tid = tid,
        .at_ns = 5000000000u + end_ns,
        .interval = { .off_ns = off_ns, .queue_ns = off_ns / 2, .word = m_word_make(3, G_RUNNING), .call = 202,
                      .argument = 0xabc, .by_known = true, .next = { 90, 91, 0, "fifteen letters" },
                      .most = { 92, 91, 0, "other" }, .waker = { 71, OWN_PID, m_word_make(4, G_RUNNING), "" },
                      .cpu_from = 1, .cpu_to = 2 },
    };
}

static void take(struct kernel_record record) { ck_assert_int_eq(kernelring_take(ring, &record), 0); }

static void round_do(int64_t from_ns, int64_t to_ns)
{
    struct writer_clock from = at(from_ns), to = at(to_ns);
    ck_assert_int_eq(kernelring_round(ring, &from, &to, 20), 0);
}

/* The events, as a file that is read again. */
static struct gmpt_trace *written(int64_t end_ns)
{
    struct writer_info info = { .pid = OWN_PID, .p_count = 2, .clock = SEGMENT_CLOCK_TSC, .command = "", .host = "" };
    struct writer_ring_end ends[KERNEL_RING + 1] = { 0 };
    struct writer_clock clock = at(0), end = at(end_ns);
    struct gmpt_trace_error error;
    snprintf(path, sizeof path, "%s/ring.data", harness_tmpdir());
    struct writer *writer = writer_open(open(path, O_RDWR | O_CREAT | O_TRUNC, 0600), &info, 1);
    ck_assert_ptr_nonnull(writer);
    writer_put_clock(writer, &clock);
    ck_assert_int_eq(writer_frame(writer), 0);
    writer_put_clock(writer, &clock);
    kernelring_put(ring, writer);
    ck_assert_uint_eq(kernelring_pending(ring), 0);
    ends[KERNEL_RING].emitted = kernelring_events(ring);
    writer_put_clock(writer, &end);
    writer_put_end(writer, 1, 0, ends, KERNEL_RING + 1);
    ck_assert_int_eq(writer_close(writer), 0);
    struct gmpt_trace *trace = gmpt_trace_open(path, &error);
    ck_assert_msg(trace != NULL, "%s", error.message);
    return trace;
}

static void read_whole(struct gmpt_trace *trace)
{
    const struct gmpt_trace_counts *counts = gmpt_trace_counts(trace);
    ck_assert_uint_eq(counts->emitted, counts->kept);
    ck_assert_uint_eq(counts->violations, 0);
    ck_assert_uint_eq(counts->gaps, 0);
    ck_assert_int_eq(gmpt_trace_info(trace)->whole, 1);
    gmpt_trace_close(trace);
    kernelring_close(ring);
}

TEST(kernelring, intervals_are_read_as_they_were_told_in_the_order_of_their_times)
{
    struct kernelintervals joined = { 0 };
    struct kernel_interval off;
    struct gmpt_event event;
    unsigned count = 0, tasks = 0;
    ring = kernelring_open(KERNEL_RING, GMPT_KERNEL_BPF, OWN_PID, true);
    take(interval(72, 3000, 500));
    take(interval(71, 2000, 800));
    take(interval(72, 9000, 100)); /* after the round */
    round_do(0, 4000);
    round_do(4000, 10000);
    struct gmpt_trace *trace = written(10000);
    while (gmpt_trace_next(trace, &event) > 0) {
        ck_assert_int_eq(event.p, -1);
        tasks += event.type == GMPT_EVENT_kernel_task;
        if (kernelintervals_add(&joined, &event, &off) == 0)
            continue;
        static const int64_t ends_ns[] = { 2000, 3000, 9000 }, offs_ns[] = { 800, 500, 100 };
        ck_assert_int_le(ends_ns[count] - off.end_ns, 1); /* rounded down to ticks, and again to nanoseconds */
        ck_assert_int_ge(ends_ns[count] - off.end_ns, 0);
        ck_assert_int_eq(off.end_ns - off.begin_ns, offs_ns[count]);
        ck_assert_int_eq(off.end_ns - off.able_ns, offs_ns[count] / 2);
        ck_assert_uint_eq(off.g, 3);
        ck_assert_int_eq(off.doing, GMPT_KERNEL_RUNNING_G);
        ck_assert_int_eq(off.why, GMPT_KERNEL_BLOCKED);
        ck_assert_int_eq(off.call, 202);
        ck_assert_uint_eq(off.argument, 0xabc);
        ck_assert_str_eq(off.next.name, "fifteen letters");
        ck_assert_uint_eq(off.next.pid, 91);
        ck_assert_str_eq(off.most.name, "other");
        ck_assert_uint_eq(off.waker.tid, 71);
        ck_assert_uint_eq(off.waker.g, 4);
        ck_assert_uint_eq(off.cpu_from, 1);
        ck_assert_uint_eq(off.cpu_to, 2);
        count++;
    }
    ck_assert_uint_eq(count, 3);
    ck_assert_uint_eq(tasks, 3); /* each of them once */
    kernelintervals_clear(&joined);
    read_whole(trace);
}

TEST(kernelring, others_are_not_told_of_when_they_are_not_to_be)
{
    struct gmpt_event event;
    unsigned hidden = 0;
    ring = kernelring_open(KERNEL_RING, GMPT_KERNEL_BPF, OWN_PID, false);
    struct kernel_record by_timer = interval(72, 3500, 100);
    by_timer.interval.waker = (struct kernel_other){ .tid = KERNEL_TID_INTERRUPT };
    take(interval(72, 3000, 500));
    take(by_timer);
    round_do(0, 4000);
    struct gmpt_trace *trace = written(4000);
    while (gmpt_trace_next(trace, &event) > 0) {
        if (event.type == GMPT_EVENT_kernel_task)
            ck_assert_uint_eq(event.kernel_task.pid, OWN_PID);
        if (event.type != GMPT_EVENT_kernel_by)
            continue;
        ck_assert_uint_eq(event.kernel_by.next, KERNEL_TID_HIDDEN);
        ck_assert_uint_eq(event.kernel_by.most, KERNEL_TID_HIDDEN);
        ck_assert_uint_eq(event.kernel_by.waker, hidden == 0 ? 71 : KERNEL_TID_INTERRUPT); /* which is no program's */
        hidden++;
    }
    ck_assert_uint_eq(hidden, 2);
    read_whole(trace);
}

TEST(kernelring, losses_stacks_and_the_largest_error_are_told)
{
    struct gmpt_event event;
    uint64_t lost = 0, error_ns = 0;
    unsigned stacks = 0;
    ring = kernelring_open(KERNEL_RING, GMPT_KERNEL_BPF, OWN_PID, true);
    struct kernel_record stacked = interval(72, 3000, 500);
    stacked.stack_count = 2;
    stacked.stack[0] = 0x1111;
    stacked.stack[1] = 0x2222;
    take(stacked);
    take((struct kernel_record){ .type = KERNEL_LOST, .lost = { GMPT_KERNEL_LOST_INTERVALS, 12 } });
    round_do(0, 4000);
    struct writer_clock from = at(4000), to = at(5000);
    ck_assert_int_eq(kernelring_round(ring, &from, &to, 35), 0);
    ck_assert_int_eq(kernelring_finish(ring), 0);
    struct gmpt_trace *trace = written(5000);
    while (gmpt_trace_next(trace, &event) > 0) {
        if (event.type == GMPT_EVENT_kernel_lost)
            lost += event.kernel_lost.count;
        if (event.type == GMPT_EVENT_kernel_tier)
            error_ns = event.kernel_tier.error_ns;
        if (event.type != GMPT_EVENT_kernel_stack)
            continue;
        struct gmpt_stack stack = gmpt_trace_stack(trace, (uint32_t)event.kernel_stack.stack);
        ck_assert_uint_eq(stack.count, 2);
        ck_assert_uint_eq(stack.pc[0], 0x1111);
        ck_assert_uint_eq(stack.pc[1], 0x2222);
        stacks++;
    }
    ck_assert_uint_eq(lost, 12);
    ck_assert_uint_eq(error_ns, 35);
    ck_assert_uint_eq(stacks, 1);
    read_whole(trace);
}

static struct kernel_record in_the_kernel(struct kernel_record record)
{
    record.kernel_count = 2;
    record.kernel[0] = "schedule";
    record.kernel[1] = "a_name_that_has_more_than_the_forty_nine_bytes_of_which_it_consists";
    return record;
}

TEST(kernelring, functions_of_the_kernel_are_told_by_name_with_what_they_are_of)
{
    struct gmpt_event event;
    struct kernelintervals joined = { 0 };
    struct kernelsymbols symbols = { 0 };
    struct kernel_interval off;
    unsigned named = 0, offs = 0, samples = 0, faults = 0;
    ring = kernelring_open(KERNEL_RING, GMPT_KERNEL_BPF, OWN_PID, true);
    take(in_the_kernel(interval(72, 1000, 500)));
    take(in_the_kernel((struct kernel_record){ .type = KERNEL_SAMPLE,
                                               .tid = 72,
                                               .at_ns = 5000002000,
                                               .sample = { m_word_make(3, G_RUNNING), 1000000 },
                                               .stack_count = 1,
                                               .stack = { 0x1111 } }));
    take(interval(72, 3000, 500));
    take((struct kernel_record){ .type = KERNEL_FAULTS,
                                 .tid = 72,
                                 .at_ns = 5000003500,
                                 .faults = { m_word_make(3, G_RUNNING), 17, 0x7000 },
                                 .stack_count = 1,
                                 .stack = { 0x2222 } });
    round_do(0, 4000);
    struct gmpt_trace *trace = written(4000);
    while (gmpt_trace_next(trace, &event) > 0) {
        ck_assert_int_eq(kernelsymbols_add(&symbols, &event), 0);
        named += event.type == GMPT_EVENT_kernel_symbol;
        for (int i = 0; i < event_field_counts[event.type] && event.type != GMPT_EVENT_kernel_frames; i++)
            ck_assert_uint_lt(event.field[i] & ~UINT64_MAX >> 1, 1); /* no address of the kernel's */
        if (event.type == GMPT_EVENT_cpu_sample) {
            samples++;
            ck_assert_uint_eq(event.cpu_sample.cpu_ns, 1000000);
            ck_assert_uint_eq(event.cpu_sample.held, 0); /* nobody holds a P in this trace */
        }
        if (event.type == GMPT_EVENT_kernel_faults) {
            faults++;
            ck_assert_uint_eq(event.kernel_faults.count, 17);
            ck_assert_uint_eq(event.kernel_faults.address, 0x7000);
            ck_assert_uint_eq(gmpt_trace_stack(trace, (uint32_t)event.kernel_faults.stack).pc[0], 0x2222);
        }
        if (!kernelintervals_add(&joined, &event, &off))
            continue;
        struct gmpt_stack frames = gmpt_trace_stack(trace, off.frames);
        ck_assert_uint_eq(frames.count, offs++ ? 0 : 2); /* those of the sample are none of the second's */
        if (frames.count) {
            ck_assert_str_eq(kernelsymbols_name(&symbols, frames.pc[0]), "schedule");
            ck_assert_str_eq(kernelsymbols_name(&symbols, frames.pc[1]),
                             "a_name_that_has_more_than_the_forty_nine_bytes_of");
        }
    }
    ck_assert_uint_eq(named, 2);
    ck_assert_uint_eq(offs, 2);
    ck_assert_uint_eq(samples, 1);
    ck_assert_uint_eq(faults, 1);
    ck_assert_str_eq(kernelsymbols_name(&symbols, GMPT_KERNEL_FRAME | 3), "?");
    kernelsymbols_clear(&symbols);
    kernelintervals_clear(&joined);
    read_whole(trace);
}

TEST(kernelring, who_had_a_cpu_for_most_of_a_wait_is_named)
{
    struct cpuslices slices = { 0 };
    static const struct {
        uint64_t begin_ns, end_ns;
        uint32_t pid;
    } had[] = { { 100, 200, 1 }, { 200, 250, 2 }, { 250, 320, 1 }, { 320, 460, 3 } };
    for (size_t i = 0; i < 4; i++)
        ck_assert_int_eq(cpuslices_add(&slices, &(struct offcpu_record){ .type = OFFCPU_SLICE,
                                                                         .off_ns = had[i].begin_ns,
                                                                         .on_ns = had[i].end_ns,
                                                                         .thief_tid = had[i].pid,
                                                                         .thief_pid = had[i].pid,
                                                                         .cpu_to = 5 }),
                         0);
    ck_assert_uint_eq(cpuslices_most(&slices, 5, 100, 460).pid, 1); /* 170 of it, in two parts */
    ck_assert_uint_eq(cpuslices_most(&slices, 5, 300, 460).pid, 3);
    ck_assert_uint_eq(cpuslices_most(&slices, 5, 205, 240).pid, 2);
    ck_assert_uint_eq(cpuslices_most(&slices, 5, 460, 500).tid, 0);
    ck_assert_uint_eq(cpuslices_most(&slices, 6, 100, 460).tid, 0);
    cpuslices_clear(&slices);
}
