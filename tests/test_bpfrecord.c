/* What becomes of the records of the program in the kernel: made-up ones, so that it takes no rights to test. */
#include "harness.h"

#include "kernel/bpfrecord.h"
#include "trace/segment.h"

#include <string.h>
#include <sys/syscall.h>

#define G5 (UINT64_C(5) << 4 | G_RUNNING) /* m_word_make(5, G_RUNNING) */
#define G6 (UINT64_C(6) << 4 | G_RUNNING)

/* Thread 71 with G5 waits in futex(2) from 1000 to 4000, when thread 72 with G6 wakes it, and runs on CPU 1 at 4500. */
static const struct offcpu_record blocked = {
    .type = OFFCPU_INTERVAL,
    .tid = 71,
    .off_ns = 1000,
    .wake_ns = 4000,
    .on_ns = 4500,
    .word = G5,
    .argument = 0xabc0,
    .syscall = SYS_futex,
    .thief_tid = 90,
    .thief_pid = 91,
    .thief_comm = "ffmpeg",
    .waker_word = G6,
    .waker_tid = 72,
    .waker_pid = 70,
    .cpu_from = 0,
    .cpu_to = 1,
};
/* In that queue process 93 has CPU 1 for 150, with two threads, and process 91 for 100. */
static const struct offcpu_record slices_told[] = {
    { .type = OFFCPU_SLICE, .off_ns = 3950, .on_ns = 4080, .thief_tid = 94, .thief_pid = 93, .cpu_to = 1 },
    { .type = OFFCPU_SLICE, .off_ns = 4100, .on_ns = 4200, .thief_tid = 90, .thief_pid = 91, .cpu_to = 1 },
    { .type = OFFCPU_SLICE, .off_ns = 4300, .on_ns = 4370, .thief_tid = 95, .thief_pid = 93, .cpu_to = 1 },
    { .type = OFFCPU_SLICE, .off_ns = 4000, .on_ns = 4500, .thief_tid = 98, .thief_pid = 97, .cpu_to = 0 },
};

static struct kernel_record filled(struct offcpu_record from)
{
    struct cpuslices slices = { 0 };
    struct kernel_record record = { .tid = from.tid, .at_ns = from.on_ns };
    for (size_t i = 0; i < sizeof slices_told / sizeof slices_told[0]; i++)
        ck_assert_int_eq(cpuslices_add(&slices, &slices_told[i]), 0);
    bpfrecord_interval(&record, &from, &slices);
    cpuslices_clear(&slices);
    ck_assert_int_eq(record.type, KERNEL_INTERVAL);
    ck_assert(record.interval.by_known);
    return record;
}

TEST(bpfrecord, a_wait_has_its_call_and_who_ended_it)
{
    struct kernel_record record = filled(blocked);
    ck_assert_int_eq(record.interval.why, GMPT_KERNEL_BLOCKED);
    ck_assert_uint_eq(record.interval.off_ns, 3500);
    ck_assert_uint_eq(record.interval.queue_ns, 500);
    ck_assert_uint_eq(record.interval.word, G5);
    ck_assert_int_eq(record.interval.call, SYS_futex);
    ck_assert_uint_eq(record.interval.argument, 0xabc0);
    ck_assert_uint_eq(record.interval.next.pid, 91);
    ck_assert_str_eq(record.interval.next.comm, "ffmpeg");
    ck_assert_uint_eq(record.interval.most.pid, 93);
    ck_assert_uint_eq(record.interval.waker.tid, 72);
    ck_assert_uint_eq(record.interval.waker.word, G6);
    ck_assert_uint_eq(record.interval.cpu_from, 0);
    ck_assert_uint_eq(record.interval.cpu_to, 1);
}

TEST(bpfrecord, an_interrupt_is_nobody)
{
    struct offcpu_record from = blocked;
    from.waker_tid = OFFCPU_INTERRUPT;
    from.waker_pid = 0;
    from.waker_word = 0;
    struct kernel_record record = filled(from);
    ck_assert_uint_eq(record.interval.waker.tid, KERNEL_TID_INTERRUPT);
    ck_assert_uint_eq(record.interval.waker.pid | record.interval.waker.word, 0);
}

TEST(bpfrecord, who_could_run_on_was_in_queue_all_along_and_nobody_woke_it)
{
    struct offcpu_record from = blocked;
    from.wake_ns = 0; /* what a waker has left there is of another time */
    from.flags = OFFCPU_PREEMPTED;
    from.syscall = OFFCPU_NO_SYSCALL;
    struct kernel_record record = filled(from);
    ck_assert_int_eq(record.interval.why, GMPT_KERNEL_PREEMPTED);
    ck_assert_uint_eq(record.interval.queue_ns, 3500);
    ck_assert_int_eq(record.interval.call, -1);
    ck_assert_uint_eq(record.interval.argument, 0);
    ck_assert_uint_eq(record.interval.waker.tid, 0);
    from.cpu_to = 2; /* where nobody was for long: then it is who took it */
    ck_assert_uint_eq(filled(from).interval.most.tid, 90);
}

TEST(bpfrecord, what_a_quota_stops_nobody_took)
{
    struct offcpu_record from = blocked;
    from.wake_ns = 0;
    from.flags = OFFCPU_PREEMPTED | OFFCPU_THROTTLED;
    struct kernel_record record = filled(from);
    ck_assert_int_eq(record.interval.why, GMPT_KERNEL_THROTTLED);
    ck_assert_uint_eq(record.interval.most.tid, 0);
}

TEST(bpfrecord, who_was_stopped_did_not_block)
{
    struct offcpu_record from = blocked;
    from.flags = OFFCPU_SUSPENDED;
    struct kernel_record record = filled(from);
    ck_assert_int_eq(record.interval.why, GMPT_KERNEL_SUSPENDED);
    ck_assert_uint_eq(record.interval.queue_ns, blocked.on_ns - blocked.wake_ns);
}

TEST(bpfrecord, a_new_thread_is_in_queue_since_it_was_made_runnable)
{
    struct offcpu_record from = blocked;
    from.wake_ns = from.off_ns;
    from.flags = OFFCPU_NEW;
    struct kernel_record record = filled(from);
    ck_assert_int_eq(record.interval.why, GMPT_KERNEL_STARTED);
    ck_assert_uint_eq(record.interval.queue_ns, 3500);
    ck_assert_uint_eq(record.interval.waker.tid, 0);
}

TEST(bpfrecord, times_in_no_order_make_no_length_of_ages)
{
    struct offcpu_record from = blocked;
    from.on_ns = 900;
    struct kernel_record record = filled(from);
    ck_assert_uint_eq(record.interval.off_ns, 0);
    ck_assert_uint_eq(record.interval.queue_ns, 0);
}
