/* The kernel's half of watching a program's threads: when each lost its CPU, why, to whom, and who woke it.
 *
 * A switch has two sides. As a thread of ours loses the CPU its memory is mapped, so that is when its word is read and
 * everything is noted in the thread's storage; nothing is written to the ring then. As it gets a CPU back there is one
 * record of the whole interval. So a switch costs one read, and one record.
 *
 *     switch out   note when, the word, the system call, who is next
 *     waking       note who wakes it (its word, if it is one of ours)
 *     wakeup       note when it became runnable
 *     switch in    write all of that; forget it
 *
 * Only raw tracepoints with BTF are used: they need CAP_BPF and CAP_PERFMON, no tracefs, and cost other processes a
 * comparison. System calls are not traced; what call a thread sleeps in is in its saved registers. Nobody is woken by a
 * record: that would cost more than all the rest, and the loader looks every few milliseconds anyhow.
 *
 * A waker may come while the thread is still on its way to sleep. Who that is stays noted over the switch out, which
 * writes other members than a waker does; it counts only if a wakeup follows, before which there is always a waking.
 * The word of the thread that takes the CPU is read as well if it is of the same process, since the memory is the same.
 *
 * SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "kernel_types.h"

#include "offcpu_record.h"

#include <bpf/bpf_helpers.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Set by the loader as it aims: see struct offcpu_target. No process has the first pid, not even the idle one. */
volatile __u32 target_pid = OFFCPU_NOBODY;
volatile __s64 thread_m_offset = 0;
volatile __u32 m_word_offset = 0;

struct offcpu_counts counts = {};

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 8 << 20);
} ring SEC(".maps");

/* A word's state: m_word_make in trace/segment.h. */
#define OFFCPU_WORD_STATE 15
#define OFFCPU_WORD_RUNNING 2

/* A thread's, between its switch out and its switch in. */
struct thread_state {
    __u64 word_at;                 /* where its word lies, which never changes; 0 = not known yet */
    bool exiting; /* its memory is not, or not for long, mapped as it is switched out */
    bool stacked; /* `stack` is of this interval */
    __u32 waits_for; /* the CPU, plus 1; 0 = it does not wait for one */
    struct offcpu_stacked noted; /* valid while off_ns is not 0 */
};

struct {
    __uint(type, BPF_MAP_TYPE_TASK_STORAGE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, int);
    __type(value, struct thread_state);
} threads SEC(".maps");

static __always_inline struct thread_state *state_of(struct task_struct *task)
{
    struct thread_state *state = bpf_task_storage_get(&threads, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
    if (!state)
        __sync_fetch_and_add(&counts.unseen, 1);
    return state;
}

static __always_inline __u64 thread_pointer(struct task_struct *task)
{
    struct task_struct___arm64 *arm = (void *)task;
    if (bpf_core_field_exists(task->thread.fsbase))
        return task->thread.fsbase;
    if (bpf_core_field_exists(arm->thread.uw.tp_value))
        return arm->thread.uw.tp_value;
    return 0;
}

/* The process's memory is mapped: one of its threads had the CPU last. */
static __always_inline __u64 word_read(struct task_struct *task, struct thread_state *state)
{
    __u64 m = 0, word = 0;
    __u32 word_offset = m_word_offset;
    if (word_offset == 0 || state->exiting)
        return 0;
    if (state->word_at == 0) {
        /* A thread that has not written there yet need not have that page. */
        if (bpf_probe_read_user(&m, sizeof m, (void *)(thread_pointer(task) + thread_m_offset)) || m == 0)
            return 0; /* no M, or not yet */
        state->word_at = m + word_offset;
    }
    if (bpf_probe_read_user(&word, sizeof word, (void *)state->word_at)) {
        __sync_fetch_and_add(&counts.unread, 1);
        return OFFCPU_WORD_UNKNOWN;
    }
    return word;
}

static __always_inline void syscall_note(struct task_struct *task, struct offcpu_record *interval)
{
    struct pt_regs *registers = (void *)bpf_task_pt_regs(task);
    struct pt_regs___arm64 *arm = (void *)registers;
    interval->syscall = OFFCPU_NO_SYSCALL;
    if (bpf_core_field_exists(registers->orig_ax)) {
        interval->syscall = (__s32)registers->orig_ax;
        interval->argument = registers->di;
    } else if (bpf_core_field_exists(arm->syscallno)) {
        interval->syscall = arm->syscallno;
        interval->argument = arm->orig_x0;
    }
}

/* Where a thread blocks that did not say that it would. It is still the one that runs. */
static __always_inline void stack_note(void *context, struct task_struct *task, struct thread_state *state)
{
    struct offcpu_stack *stack = &state->noted.stack;
    struct pt_regs *registers = (void *)bpf_task_pt_regs(task);
    struct pt_regs___arm64 *arm = (void *)registers;
    __u64 sp = 0;
    if (bpf_core_field_exists(registers->orig_ax))
        sp = registers->sp;
    else if (bpf_core_field_exists(arm->syscallno))
        sp = arm->sp;
    long bytes = bpf_get_stack(context, stack->frame, sizeof stack->frame, BPF_F_USER_STACK);
    stack->frame_count = bytes > 0 ? (__u32)bytes / sizeof stack->frame[0] : 0;
    stack->top_count = 0;
    if (bpf_probe_read_user(stack->top, sizeof stack->top, (void *)sp) == 0)
        stack->top_count = OFFCPU_TOP_WORDS;
    else if (bpf_probe_read_user(stack->top, sizeof stack->top / 4, (void *)sp) == 0)
        stack->top_count = OFFCPU_TOP_WORDS / 4; /* near the stack's end */
    else if (bpf_probe_read_user(stack->top, sizeof stack->top / 8, (void *)sp) == 0)
        stack->top_count = OFFCPU_TOP_WORDS / 8;
    state->stacked = true;
}

/* How many threads of the program wait for each CPU, as far as they have not been moved meanwhile, and since when
 * whoever has it has it, or they wait, whichever is later. Who has a CPU is told only while somebody waits for it. */
__s32 waiting[OFFCPU_CPUS] = {};
__u64 slice_ns[OFFCPU_CPUS] = {};

static __always_inline __u32 cpu_of(struct task_struct *task)
{
    struct task_struct___old *old = (void *)task;
    if (bpf_core_field_exists(task->thread_info.cpu))
        return task->thread_info.cpu;
    return bpf_core_field_exists(old->cpu) ? old->cpu : 0;
}

static __always_inline void waiting_begin(struct thread_state *state, __u32 cpu, __u64 now_ns)
{
    if (state->waits_for)
        return;
    state->waits_for = cpu + 1;
    if (waiting[cpu] <= 0)
        slice_ns[cpu] = now_ns;
    __sync_fetch_and_add(&waiting[cpu], 1);
}

static __always_inline void waiting_end(struct thread_state *state)
{
    __u32 cpu = state->waits_for - 1;
    state->waits_for = 0;
    if (cpu < OFFCPU_CPUS)
        __sync_fetch_and_add(&waiting[cpu], -1);
}

static __always_inline void switch_out(void *context, __u64 now_ns, bool preempted, struct task_struct *prev,
                                       struct task_struct *next)
{
    struct thread_state *state = state_of(prev);
    if (!state)
        return;
    struct offcpu_record *interval = &state->noted.record;
    interval->tid = (__u32)prev->pid;
    interval->off_ns = now_ns;
    interval->wake_ns = 0;
    interval->flags = preempted || prev->__state == 0 ? OFFCPU_PREEMPTED : 0;
    interval->cpu_from = bpf_get_smp_processor_id();
    interval->word = word_read(prev, state);
    syscall_note(prev, interval);
    state->stacked = false;
    if (!interval->flags && (interval->word & OFFCPU_WORD_STATE) == OFFCPU_WORD_RUNNING)
        stack_note(context, prev, state);
    interval->thief_tid = (__u32)next->pid;
    interval->thief_pid = (__u32)next->tgid;
    interval->thief_word = 0;
    __builtin_memcpy(interval->thief_comm, next->comm, sizeof interval->thief_comm);
    if (interval->flags)
        waiting_begin(state, interval->cpu_from % OFFCPU_CPUS, now_ns);
    if (interval->thief_pid == target_pid && !state->exiting) {
        struct thread_state *thief = state_of(next);
        if (thief)
            interval->thief_word = word_read(next, thief);
    }
}

/* What became of a record of this type that was to be written. */
static __always_inline void record_count(__u32 type, long result)
{
    if (type < OFFCPU_TYPES)
        __sync_fetch_and_add(result == 0 ? &counts.records[type] : &counts.dropped[type], 1);
}

static __always_inline void record_write(const struct offcpu_record *record)
{
    record_count(record->type, bpf_ringbuf_output(&ring, (void *)record, sizeof *record, BPF_RB_NO_WAKEUP));
}

static __always_inline void slice_write(__u32 cpu, __u64 now_ns, struct task_struct *prev)
{
    struct offcpu_record slice = {
        .type = OFFCPU_SLICE,
        .off_ns = slice_ns[cpu],
        .on_ns = now_ns,
        .thief_tid = (__u32)prev->pid,
        .thief_pid = (__u32)prev->tgid,
        .cpu_to = cpu,
    };
    slice_ns[cpu] = now_ns;
    if (prev->pid == 0 || now_ns - slice.off_ns < OFFCPU_SLICE_NS)
        return;
    if (slice.thief_pid == target_pid) {
        struct thread_state *state = state_of(prev);
        if (state)
            slice.thief_word = word_read(prev, state);
    }
    __builtin_memcpy(slice.thief_comm, prev->comm, sizeof slice.thief_comm);
    record_write(&slice);
}

static __always_inline void switch_in(__u64 now_ns, struct task_struct *next)
{
    struct thread_state *state = bpf_task_storage_get(&threads, next, 0, 0);
    if (!state || state->noted.record.off_ns == 0)
        return; /* it ran already as we came */
    state->noted.record.on_ns = now_ns;
    waiting_end(state);
    state->noted.record.cpu_to = bpf_get_smp_processor_id();
    if (state->stacked && state->noted.record.on_ns - state->noted.record.off_ns >= OFFCPU_STACK_NS)
        record_count(OFFCPU_INTERVAL,
                     bpf_ringbuf_output(&ring, &state->noted, sizeof state->noted, BPF_RB_NO_WAKEUP));
    else
        record_write(&state->noted.record);
    state->noted.record.off_ns = 0;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, bool preempted, struct task_struct *prev, struct task_struct *next)
{
    __u32 target = target_pid;
    __u32 cpu = bpf_get_smp_processor_id() % OFFCPU_CPUS;
    bool from = (__u32)prev->tgid == target, to = (__u32)next->tgid == target;
    bool awaited = waiting[cpu] > 0;
    if (!from && !to && !awaited)
        return 0;
    __u64 now_ns = bpf_ktime_get_ns(); /* of all: the first parts take a while */
    if (awaited)
        slice_write(cpu, now_ns, prev);
    if (from)
        switch_out(ctx, now_ns, preempted, prev, next);
    if (to)
        switch_in(now_ns, next);
    return 0;
}

SEC("tp_btf/sched_waking")
int BPF_PROG(on_waking, struct task_struct *task)
{
    if ((__u32)task->tgid != target_pid)
        return 0;
    struct thread_state *state = state_of(task);
    if (!state)
        return 0;
    struct task_struct *waker = bpf_get_current_task_btf();
    state->noted.record.waker_tid = (__u32)waker->pid;
    state->noted.record.waker_pid = (__u32)waker->tgid;
    state->noted.record.waker_word = 0;
    if ((__u32)waker->tgid != target_pid)
        return 0;
    struct thread_state *its = bpf_task_storage_get(&threads, waker, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
    if (its)
        state->noted.record.waker_word = word_read(waker, its);
    return 0;
}

SEC("tp_btf/sched_wakeup")
int BPF_PROG(on_wakeup, struct task_struct *task)
{
    if ((__u32)task->tgid != target_pid)
        return 0;
    struct thread_state *state = state_of(task);
    if (!state || state->noted.record.off_ns == 0)
        return 0;
    state->noted.record.wake_ns = bpf_ktime_get_ns();
    waiting_begin(state, cpu_of(task) % OFFCPU_CPUS, state->noted.record.wake_ns);
    return 0;
}

SEC("tp_btf/sched_wakeup_new")
int BPF_PROG(on_wakeup_new, struct task_struct *task)
{
    if ((__u32)task->tgid != target_pid)
        return 0;
    struct thread_state *state = state_of(task);
    if (!state)
        return 0;
    state->noted.record.tid = (__u32)task->pid;
    state->noted.record.off_ns = state->noted.record.wake_ns = bpf_ktime_get_ns();
    state->noted.record.flags = OFFCPU_NEW;
    state->noted.record.syscall = OFFCPU_NO_SYSCALL;
    state->noted.record.cpu_from = bpf_get_smp_processor_id();
    return 0;
}

static __always_inline void thread_tell(enum offcpu_type type, struct task_struct *task)
{
    struct offcpu_record record = {
        .type = type,
        .tid = (__u32)task->pid,
        .on_ns = bpf_ktime_get_ns(),
    };
    record_write(&record);
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
    if ((__u32)child->tgid == target_pid)
        thread_tell(OFFCPU_THREAD_START, child);
    return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
    if ((__u32)task->tgid != target_pid)
        return 0;
    struct thread_state *state = state_of(task);
    if (state)
        state->exiting = true;
    thread_tell(OFFCPU_THREAD_EXIT, task);
    return 0;
}
