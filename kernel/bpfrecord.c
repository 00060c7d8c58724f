/* See bpfrecord.h. */
#include "bpfrecord.h"

#include <string.h>

void bpfrecord_interval(struct kernel_record *record, const struct offcpu_record *from,
                        const struct cpuslices *slices)
{
    uint64_t off_ns = from->on_ns > from->off_ns ? from->on_ns - from->off_ns : 0;
    uint64_t able_ns = from->wake_ns ? from->wake_ns : from->off_ns; /* since when it could run */
    bool woken = from->wake_ns && !(from->flags & OFFCPU_NEW);
    record->type = KERNEL_INTERVAL;
    record->interval.off_ns = off_ns;
    record->interval.queue_ns = from->on_ns > able_ns ? from->on_ns - able_ns : 0;
    record->interval.word = from->word;
    record->interval.why = from->flags & OFFCPU_NEW         ? GMPT_KERNEL_STARTED
                           : from->flags & OFFCPU_THROTTLED ? GMPT_KERNEL_THROTTLED
                           : from->flags & OFFCPU_PREEMPTED ? GMPT_KERNEL_PREEMPTED
                           : from->flags & OFFCPU_SUSPENDED ? GMPT_KERNEL_SUSPENDED
                                                            : GMPT_KERNEL_BLOCKED;
    record->interval.call = from->syscall < 0 ? -1 : from->syscall;
    record->interval.argument = from->syscall < 0 ? 0 : from->argument;
    record->interval.by_known = true;
    record->interval.next = (struct kernel_other){ from->thief_tid, from->thief_pid, from->thief_word, "" };
    memcpy(record->interval.next.comm, from->thief_comm, sizeof record->interval.next.comm);
    if (record->interval.why != GMPT_KERNEL_THROTTLED) /* else nobody took it */
        record->interval.most = cpuslices_most(slices, from->cpu_to, able_ns, from->on_ns);
    if (record->interval.most.tid == 0 && record->interval.why == GMPT_KERNEL_PREEMPTED)
        record->interval.most = record->interval.next; /* nobody had it for long */
    if (woken && from->waker_tid == OFFCPU_INTERRUPT)
        record->interval.waker.tid = KERNEL_TID_INTERRUPT;
    else if (woken)
        record->interval.waker = (struct kernel_other){ from->waker_tid, from->waker_pid, from->waker_word, "" };
    record->interval.cpu_from = from->cpu_from;
    record->interval.cpu_to = from->cpu_to;
}
