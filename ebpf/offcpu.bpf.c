/* The kernel's half of watching a program's threads: when each lost its CPU, why, to whom, and who woke it.
 *
 * A switch has two sides. As a thread of ours loses the CPU its memory is mapped, so that is when its word is read and
 * everything is noted in the thread's slot; nothing is told then. As it gets a CPU back there is one record of the
 * whole interval.
 *
 *     switch out   note when, the word, the system call, who is next
 *     waking       note who wakes it (its word, if it is one of ours), or that an interrupt does
 *     migrate      it waits for another CPU now
 *     switch in    tell all of that, and since when it waited, by the scheduler's account; forget it
 *
 * Only raw tracepoints with BTF are used: they need CAP_BPF and CAP_PERFMON, no tracefs, and cost other processes a
 * comparison. System calls are not traced; what call a thread sleeps in is in its saved registers. Nobody is woken by a
 * record: that would cost more than all the rest, and the loader looks every few milliseconds anyhow.
 *
 * A call of a helper costs more than what most of them do, the more where returns are slowed down against speculation:
 * reading the clock takes as long as all of a switch's own work. So what each switch needs is in memory that the
 * program reads and writes itself: slots found by a thread's id, lanes of records (struct offcpu_lane), the time that
 * the scheduler itself has just taken (the clock of the CPU's queue), saved registers, and words, where the program has
 * mapped `words`: else a helper reads them, which takes twice as long as all of the rest. What is long, or rare, goes
 * through a ring and has stacks: the kernel's as it comes back, while it is not running yet; its own only now and then,
 * as it leaves.
 *
 * Each tracepoint costs every process of the machine what an empty program does, so there are few. When a thread became
 * runnable has none: the scheduler adds up how long each waited (sched_info, which /proc shows, too), as it is moved to
 * another CPU and as it gets one, and has noted since when one waits that still does. There is one lie in that: who
 * falls asleep while others are owed the CPU is kept in the queue for a while, and if moved meanwhile counts as waiting
 * until it is woken and gets a CPU. So of these, who are few, the program notes when they are woken.
 *
 * A waker may come while the thread is still on its way to sleep. Who that is stays noted over the switch out, which
 * writes other members than a waker does, and is forgotten as the thread comes back. One that came early enough for
 * the thread to need no sleep stays noted, too, until the next one comes. A thread that takes the CPU has the word that
 * it left with, since it alone writes there.
 *
 * Some switches and wake-ups are not told: there are threads, like the agent of a virtual machine, upon whose leaving
 * the CPU no tracepoint is called. So it shows, as a thread leaves the CPU for the second time, that it has come back
 * in between; the scheduler has noted when. Who woke it is not known then.
 *
 * | what          | who writes                                        | how                                           |
 * |---------------|---------------------------------------------------|-----------------------------------------------|
 * | slot.tid      | whoever needs one first; as the thread ends, it   | compare and swap; a release, all else being 0 |
 * | slot          | its switches: one after the other; of wakers, one | plain                                         |
 * | .waits_for    | these, and who moves it, at once                  | compare and swap, exchange: what one adds to  |
 * |               |                                                   | lane.waiting is taken off once                |
 * | .woken_ns     | a waker, and who moves it, perhaps at once        | plain: if one is lost, the account is taken   |
 * | lane.head     | switches on its CPU, with interrupts off          | a release, after the record                   |
 * | lane.tail     | the loader                                        | a release, after it has read the record       |
 * | lane.waiting  | anybody                                           | add                                           |
 * | words         | the program's threads, each its own               | plain; read there, or while it is off the CPU |
 *
 * SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "kernel_types.h"

#include "offcpu_record.h"

#include <bpf/bpf_helpers.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "kernel_registers.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Set by the loader before loading: a power of two. */
const volatile __u32 lane_records = 1;
const volatile __u64 kernel_stack_ns = 0;
/* What this kernel has: a clock of the scheduler that is one of all CPUs; a call that is none, to name a type. */
const volatile bool scheduler_clock = false;
const volatile bool has_cast = false;
/* From a CPU's queue to its count of what it is in the midst of, which x86 has among the variables of each CPU; 0 = not
 * known. The kernel need not have symbols of these. */
const volatile __s64 preempt_count_beyond = 0;

/* Set by the loader as it aims: see struct offcpu_target. No process has the first pid, not even the idle one. */
volatile __u32 target_pid = OFFCPU_NOBODY;
volatile __s64 thread_m_offset = 0;
volatile __u32 m_word_offset = 0;
volatile __u64 words_at = 0;

struct offcpu_counts counts = {};
struct offcpu_lane lanes[OFFCPU_CPUS] = {};

extern void *bpf_rdonly_cast(const void *object, __u32 type) __ksym __weak;

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1); /* for each CPU lane_records, by the loader */
    __type(key, __u32);
    __type(value, struct offcpu_record);
} records SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 4 << 20);
} ring SEC(".maps");

/* What the program writes there is its own affair: it has nothing but this, and only its own words come of it. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, OFFCPU_WORDS);
    __type(key, __u32);
    __type(value, struct offcpu_word);
} words SEC(".maps");

/* A word's state: m_word_make in trace/segment.h. */
#define OFFCPU_WORD_STATE 15
#define OFFCPU_WORD_RUNNING 2

/* Of the kernel's states of a thread: it never runs again; it is stopped by a signal, by a debugger, or frozen (Linux
 * 6.1). */
#define TASK_IS_DEAD 0x80
#define TASK_IS_SUSPENDED (0x4 | 0x8 | 0x8000)

/* ---- Threads ---------------------------------------------------------------------------------------------------- */

#define SLOTS OFFCPU_SLOTS
#define SLOTS_TRIED 8u /* from the one on that the id names */

struct offcpu_slot slots[SLOTS] = {};

struct {
    __uint(type, BPF_MAP_TYPE_TASK_STORAGE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, int);
    __type(value, struct offcpu_stack);
} stacks SEC(".maps");

/* What was written before is there for whoever sees it. x86 keeps the order of stores by itself. */
static __always_inline void release_store(volatile __u64 *to, __u64 value)
{
    struct thread_struct *thread = 0;
    barrier();
    if (bpf_core_field_exists(thread->fsbase))
        *to = value;
    else
        __sync_lock_test_and_set(to, value);
}

static __noinline struct offcpu_slot *slot_search(__u32 tid, bool make)
{
    for (__u32 i = 0; i < SLOTS_TRIED; i++) {
        struct offcpu_slot *slot = &slots[(tid + i) & (SLOTS - 1)];
        if (slot->tid == tid)
            return slot;
    }
    if (!make)
        return 0;
    for (__u32 i = 0; i < SLOTS_TRIED; i++) {
        struct offcpu_slot *slot = &slots[(tid + i) & (SLOTS - 1)];
        __u32 was = __sync_val_compare_and_swap(&slot->tid, 0, tid);
        if (was == 0 || was == tid)
            return slot;
    }
    __sync_fetch_and_add(&counts.unseen, 1);
    return 0;
}

/* NULL: it has none, or there is no room. */
static __always_inline struct offcpu_slot *slot_of(struct task_struct *task, bool make)
{
    __u32 tid = (__u32)task->pid;
    struct offcpu_slot *slot = &slots[tid & (SLOTS - 1)];
    return slot->tid == tid ? slot : slot_search(tid, make);
}

/* Who has a CPU is told only while somebody waits for it. */
static __always_inline void waiting_begin(struct offcpu_slot *slot, __u32 cpu)
{
    if (cpu < OFFCPU_CPUS && __sync_val_compare_and_swap(&slot->waits_for, 0, cpu + 1) == 0)
        __sync_fetch_and_add(&lanes[cpu].waiting, 1);
}

static __always_inline void waiting_end(struct offcpu_slot *slot)
{
    __u32 cpu = __sync_lock_test_and_set(&slot->waits_for, 0) - 1;
    if (cpu < OFFCPU_CPUS)
        __sync_fetch_and_add(&lanes[cpu].waiting, -1);
}

/* Its thread never runs again. */
static __always_inline void slot_free(struct offcpu_slot *slot)
{
    waiting_end(slot);
    __u64 *words = (__u64 *)slot;
#pragma unroll
    for (unsigned i = 1; i < sizeof *slot / sizeof *words; i++)
        words[i] = 0;
    release_store(words, 0);
}

/* ---- The time --------------------------------------------------------------------------------------------------- */

/* Both clocks are told of so often at most; by the loader. */
volatile __u64 clock_tell_ns = 1;

/* When the scheduler read the clock of this thread's CPU last: just now, in a switch or as it begins to run. It is one
 * of that CPU alone, unless scheduler_clock. */
static __always_inline __u64 queue_ns(struct task_struct *task)
{
    return bpf_core_field_exists(task->se.cfs_rq) ? task->se.cfs_rq->rq->clock : 0;
}

static __always_inline __u64 clock_ns(struct task_struct *task)
{
    if (scheduler_clock && bpf_core_field_exists(task->se.cfs_rq))
        return queue_ns(task);
    return bpf_ktime_get_ns();
}

/* ---- What a thread does ----------------------------------------------------------------------------------------- */

/* The process's memory is mapped: one of its threads had the CPU last. */
static __always_inline __u64 word_read(struct task_struct *task, struct offcpu_slot *slot)
{
    __u64 m = 0, word = 0;
    __u32 word_offset = m_word_offset;
    if (word_offset == 0 || slot->exiting)
        return 0;
    if (slot->word_at == 0) {
        /* A thread that has not written there yet need not have that page. */
        if (bpf_probe_read_user(&m, sizeof m, (void *)(thread_pointer(task) + thread_m_offset)) || m == 0 ||
            bpf_probe_read_user(&slot->word_at, sizeof slot->word_at, (void *)(m + word_offset)) || !slot->word_at)
            return 0; /* no M, or not yet */
    }
    __u64 from = slot->word_at - words_at;
    if (from < OFFCPU_WORDS * sizeof(struct offcpu_word)) {
        __u32 at = from / sizeof(struct offcpu_word);
        const volatile struct offcpu_word *told = bpf_map_lookup_elem(&words, &at);
        return told ? told->word : OFFCPU_WORD_UNKNOWN;
    }
    if (bpf_probe_read_user(&word, sizeof word, (void *)slot->word_at)) {
        __sync_fetch_and_add(&counts.unread, 1);
        return OFFCPU_WORD_UNKNOWN;
    }
    return word;
}

/* They lie at the same place in each thread's stack in the kernel. */
__u64 registers_offset = 0;

static __always_inline struct pt_regs *registers_of(struct task_struct *task)
{
    __u64 offset = registers_offset;
    if (has_cast && offset)
        return bpf_rdonly_cast(task->stack + offset, bpf_core_type_id_kernel(struct pt_regs));
    struct pt_regs *registers = (void *)bpf_task_pt_regs(task);
    registers_offset = (__u64)registers - (__u64)task->stack;
    return registers;
}

/* Which call it is in, and with what, or the page that it needs. */
static __always_inline void syscall_note(struct pt_regs *registers, struct offcpu_slot *slot)
{
    struct offcpu_record *interval = &slot->noted;
    /* Volatile: one load for this and the argument would be of two kinds of memory, which the verifier refuses. */
    const volatile __u64 *fault_address = &slot->fault_address;
    interval->syscall = syscall_of(registers);
    if (interval->syscall != OFFCPU_NO_SYSCALL)
        interval->argument = argument_of(registers);
    else
        interval->argument = instruction_of(registers) == slot->fault_ip ? *fault_address : 0;
}

/* The kernel's preempt_count, by the thread that has this CPU; 0 also where that cannot be told. */
static __always_inline __u32 preempt_count(struct task_struct *running)
{
    struct task_struct___arm64 *arm = (void *)running;
    __u32 count = 0;
    if (bpf_core_field_exists(arm->thread_info.preempt_count))
        return (__u32)arm->thread_info.preempt_count;
    if (preempt_count_beyond == 0 || !bpf_core_field_exists(running->se.cfs_rq))
        return 0;
    __u64 at = (__u64)running->se.cfs_rq->rq + preempt_count_beyond;
    if (has_cast) {
        const struct refcount_struct *number =
            bpf_rdonly_cast((void *)at, bpf_core_type_id_kernel(struct refcount_struct));
        return (__u32)number->refs.counter;
    }
    bpf_probe_read_kernel(&count, sizeof count, (void *)at);
    return count;
}

/* In it: an interrupt of a device, or that cannot be masked; work that one has left to do. */
#define IN_HARD_INTERRUPT 0xff0000u
#define IN_SOFT_INTERRUPT 0x100u

/* Whether what is done here is not what the thread that runs here does. What an interrupt has left to do is done when
 * that ends, and also by a thread that had it wait: of one in a system call, which may be what sends to the one that is
 * woken, nobody can tell, so it counts as the thread's. */
static __always_inline bool is_interrupt(struct task_struct *running)
{
    if (running->pid == 0)
        return true; /* who idles does nothing else */
    __u32 count = preempt_count(running);
    if (count & IN_HARD_INTERRUPT)
        return true;
    return count & IN_SOFT_INTERRUPT && syscall_of(registers_of(running)) == OFFCPU_NO_SYSCALL;
}

/* Of the thread that runs. */
static __always_inline void stack_copy(void *context, struct task_struct *task, struct offcpu_stack *stack)
{
    struct pt_regs *registers = (void *)bpf_task_pt_regs(task);
    struct pt_regs___arm64 *arm = (void *)registers;
    __u64 sp = 0;
    if (bpf_core_field_exists(registers->sp))
        sp = registers->sp;
    else if (bpf_core_field_exists(arm->sp))
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
}

/* Where a thread blocks that did not say that it would; not each time, when it does so all the time. */
static __always_inline void stack_note(void *context, __u64 now_ns, struct task_struct *task, struct offcpu_slot *slot)
{
    __u64 used_ns = slot->copied_ns, most_ns = OFFCPU_COPY_NS * OFFCPU_COPIES;
    if (used_ns + most_ns < now_ns)
        used_ns = now_ns - most_ns;
    if (used_ns + OFFCPU_COPY_NS > now_ns)
        return;
    struct offcpu_stack *stack = bpf_task_storage_get(&stacks, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
    if (!stack)
        return;
    slot->copied_ns = used_ns + OFFCPU_COPY_NS;
    stack_copy(context, task, stack);
    slot->stacked = true;
}

/* ---- What is told ----------------------------------------------------------------------------------------------- */

/* What became of a record of this type that was to be written. */
static __always_inline void record_count(__u32 type, bool written)
{
    if (type < OFFCPU_TYPES)
        __sync_fetch_and_add(written ? &counts.records[type] : &counts.dropped[type], 1);
}

static __always_inline void record_write(const struct offcpu_record *record)
{
    record_count(record->type, bpf_ringbuf_output(&ring, (void *)record, sizeof *record, BPF_RB_NO_WAKEUP) == 0);
}

/* In a switch on this CPU. Returns whether there was room. */
static __always_inline bool lane_write(__u32 cpu, const struct offcpu_record *record)
{
    struct offcpu_lane *lane = &lanes[cpu & (OFFCPU_CPUS - 1)];
    __u64 head = lane->head, tail = *(volatile __u64 *)&lane->tail;
    __u32 at = cpu * lane_records + ((__u32)head & (lane_records - 1));
    struct offcpu_record *to = head - tail < lane_records ? bpf_map_lookup_elem(&records, &at) : 0;
    if (!to)
        return false;
    *to = *record;
    release_store(&lane->head, head + 1);
    return true;
}

static __always_inline void clocks_tell(__u32 cpu, __u64 now_ns)
{
    struct offcpu_record both = { .type = OFFCPU_CLOCK, .off_ns = now_ns, .on_ns = bpf_ktime_get_ns() };
    lanes[cpu & (OFFCPU_CPUS - 1)].clock_told_ns = now_ns;
    lane_write(cpu, &both);
}

/* Room in the ring for a record with stacks, which has none yet; NULL: there is none. */
static __always_inline struct offcpu_stacked *ring_reserve(void)
{
    struct offcpu_stacked *stacked = bpf_ringbuf_reserve(&ring, sizeof *stacked, 0);
    if (stacked)
        stacked->stack.frame_count = stacked->stack.top_count = stacked->kernel.frame_count = 0;
    return stacked;
}

/* Likewise, and counts what became of it. */
static __always_inline struct offcpu_stacked *stacked_reserve(__u32 type)
{
    struct offcpu_stacked *stacked = ring_reserve();
    record_count(type, stacked);
    return stacked;
}

/* A long time without a CPU. The thread is not running yet, so its stack in the kernel is where it waited. Returns
 * whether there was room for all of that. */
static __always_inline bool long_write(struct task_struct *task, const struct offcpu_slot *slot, __u64 lasted_ns)
{
    struct offcpu_stacked *stacked = ring_reserve();
    if (!stacked)
        return false;
    record_count(OFFCPU_INTERVAL, true);
    stacked->record = slot->noted;
    if (slot->stacked) {
        const struct offcpu_stack *stack = bpf_task_storage_get(&stacks, task, 0, 0);
        if (stack)
            bpf_probe_read_kernel(&stacked->stack, sizeof stacked->stack, stack);
    }
    if (kernel_stack_ns && lasted_ns >= kernel_stack_ns) {
        long bytes = bpf_get_task_stack(task, stacked->kernel.frame, sizeof stacked->kernel.frame, 0);
        stacked->kernel.frame_count = bytes > 0 ? (__u32)bytes / sizeof stacked->kernel.frame[0] : 0;
    }
    bpf_ringbuf_submit(stacked, BPF_RB_NO_WAKEUP);
    return true;
}

/* A time without a CPU that is not long, or for whose stacks there is no room. */
static __always_inline void short_write(__u32 cpu, const struct offcpu_record *interval, bool is_long)
{
    struct offcpu_lane *lane = &lanes[cpu & (OFFCPU_CPUS - 1)];
    if (!lane_write(cpu, interval)) {
        lane->dropped++;
        return;
    }
    lane->intervals++;
    if (is_long)
        __sync_fetch_and_add(&counts.unplaced, 1);
}

/* ---- Who waits for a CPU ---------------------------------------------------------------------------------------- */

static __always_inline __u32 cpu_of(struct task_struct *task)
{
    struct task_struct___old *old = (void *)task;
    if (bpf_core_field_exists(task->thread_info.cpu))
        return task->thread_info.cpu;
    return bpf_core_field_exists(old->cpu) ? old->cpu : 0;
}

static __always_inline void slice_write(__u32 cpu, __u64 now_ns, struct task_struct *prev)
{
    __u64 lasted_ns = queue_ns(prev) - prev->sched_info.last_arrival;
    if (prev->pid == 0 || lasted_ns < OFFCPU_SLICE_NS || lasted_ns > now_ns)
        return;
    struct offcpu_record slice = {
        .type = OFFCPU_SLICE,
        .off_ns = now_ns - lasted_ns,
        .on_ns = now_ns,
        .thief_tid = (__u32)prev->pid,
        .thief_pid = (__u32)prev->tgid,
        .cpu_to = cpu,
    };
    if (slice.thief_pid == target_pid) {
        struct offcpu_slot *slot = slot_of(prev, true);
        if (slot)
            slice.thief_word = word_read(prev, slot);
    }
    __builtin_memcpy(slice.thief_comm, prev->comm, sizeof slice.thief_comm);
    record_write(&slice);
}

/* Of one that could run on: whether that is why it does not. Set by the time of the switch. */
static __always_inline bool is_throttled(struct task_struct *task)
{
    struct task_struct___quota *quota = (void *)task;
    if (bpf_core_field_exists(quota->throttled))
        return quota->throttled;
    if (bpf_core_field_exists(task->se.cfs_rq) && bpf_core_field_exists(task->se.cfs_rq->throttle_count))
        return task->se.cfs_rq->throttle_count > 0;
    return false;
}

/* ---- Switches --------------------------------------------------------------------------------------------------- */

/* How long one that gets a CPU has waited for one, in all its life; by that CPU's clock. */
static __always_inline __u64 waited_ns(struct task_struct *next, __u64 now_ns)
{
    __u64 queued_ns = next->sched_info.last_queued;
    return next->sched_info.run_delay + (queued_ns && queued_ns < now_ns ? now_ns - queued_ns : 0);
}

/* For how long it can have waited for a CPU at most, having been off for so long; it has run for ran_ns since. */
static __always_inline __u64 waited_most_ns(const struct offcpu_slot *slot, __u64 lasted_ns, __u64 ran_ns)
{
    __u64 woken_ns = lasted_ns;
    if (slot->woken_ns > OFFCPU_MOVED_ASLEEP)
        woken_ns = bpf_ktime_get_ns() - slot->woken_ns - ran_ns;
    return woken_ns < lasted_ns ? woken_ns : lasted_ns;
}

/* `waited_ns`: of all its life; `late`: it runs already. */
static __always_inline void switch_in(__u64 now_ns, __u64 waited_ns, __u32 cpu, struct task_struct *next,
                                      struct offcpu_slot *slot, bool late)
{
    __u64 off_ns = slot->noted.off_ns, lasted_ns = now_ns - off_ns;
    if (off_ns == 0) {
        if (slot->noted.on_ns)
            __sync_fetch_and_add(&counts.unseen, 1);
        return; /* else it ran already as we came */
    }
    slot->noted.on_ns = now_ns;
    slot->noted.cpu_to = cpu;
    if (!(slot->noted.flags & (OFFCPU_PREEMPTED | OFFCPU_NEW))) {
        __u64 most_ns = waited_most_ns(slot, lasted_ns, late ? queue_ns(next) - now_ns : 0);
        waited_ns -= slot->waited_ns;
        slot->noted.wake_ns = now_ns - (waited_ns < most_ns ? waited_ns : most_ns);
    }
    if (slot->waits_for)
        waiting_end(slot);
    bool shows = slot->stacked && lasted_ns >= OFFCPU_STACK_NS;
    if (shows)
        slot->copied_ns -= OFFCPU_COPY_NS; /* that look was not in vain */
    bool is_long = shows || (kernel_stack_ns && lasted_ns >= kernel_stack_ns);
    if (!is_long || !long_write(next, slot, late ? 0 : lasted_ns))
        short_write(cpu, &slot->noted, is_long);
    slot->noted.off_ns = slot->woken_ns = 0;
    slot->noted.waker_tid = slot->noted.waker_pid = 0;
    slot->noted.waker_word = 0;
}

/* Of a thread that loses a CPU which nobody has told that it got. */
static __always_inline void switch_in_missed(__u32 cpu, struct task_struct *prev, struct offcpu_slot *slot)
{
    __u64 on_ns = scheduler_clock ? prev->sched_info.last_arrival : 0;
    if (on_ns >= slot->noted.off_ns)
        switch_in(on_ns, prev->sched_info.run_delay, cpu, prev, slot, true);
    else
        __sync_fetch_and_add(&counts.unseen, 1);
}

static __always_inline void switch_out(void *context, __u64 now_ns, __u32 cpu, bool preempted, struct task_struct *prev,
                                       struct task_struct *next, struct offcpu_slot *thief)
{
    struct offcpu_slot *slot = slot_of(prev, true);
    __u32 state = prev->__state;
    if (!slot)
        return;
    if (slot->noted.off_ns)
        switch_in_missed(cpu, prev, slot);
    if (!preempted && state & TASK_IS_DEAD) {
        slot_free(slot);
        return;
    }
    struct offcpu_record *interval = &slot->noted;
    interval->tid = (__u32)prev->pid;
    interval->off_ns = now_ns;
    interval->wake_ns = 0;
    slot->waited_ns = prev->sched_info.run_delay;
    interval->flags = preempted || state == 0 ? OFFCPU_PREEMPTED : 0;
    interval->cpu_from = cpu;
    interval->word = word_read(prev, slot);
    syscall_note(registers_of(prev), slot);
    slot->stacked = false;
    if (interval->flags && is_throttled(prev))
        interval->flags |= OFFCPU_THROTTLED;
    else if (interval->flags)
        waiting_begin(slot, cpu);
    else if (state & TASK_IS_SUSPENDED)
        interval->flags = OFFCPU_SUSPENDED;
    else if ((interval->word & OFFCPU_WORD_STATE) == OFFCPU_WORD_RUNNING)
        stack_note(context, now_ns, prev, slot);
    interval->thief_tid = (__u32)next->pid;
    interval->thief_pid = (__u32)next->tgid;
    interval->thief_word = 0;
    __builtin_memcpy(interval->thief_comm, next->comm, sizeof interval->thief_comm);
    if (thief && !slot->exiting)
        interval->thief_word = thief->noted.off_ns ? thief->noted.word : word_read(next, thief);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, bool preempted, struct task_struct *prev, struct task_struct *next)
{
    __u32 target = target_pid;
    __u32 cpu = cpu_of(prev);
    bool from = (__u32)prev->tgid == target, to = (__u32)next->tgid == target;
    bool awaited = lanes[cpu & (OFFCPU_CPUS - 1)].waiting > 0 && target != OFFCPU_NOBODY;
    if (!from && !to && !awaited)
        return 0;
    __u64 now_ns = clock_ns(prev);
    struct offcpu_slot *slot = to ? slot_of(next, true) : 0;
    if (now_ns - lanes[cpu & (OFFCPU_CPUS - 1)].clock_told_ns >= clock_tell_ns)
        clocks_tell(cpu, now_ns);
    if (awaited)
        slice_write(cpu, now_ns, prev);
    if (from)
        switch_out(ctx, now_ns, cpu, preempted, prev, next, slot);
    if (slot)
        switch_in(now_ns, waited_ns(next, queue_ns(prev)), cpu, next, slot, false);
    return 0;
}

SEC("tp_btf/sched_waking")
int BPF_PROG(on_waking, struct task_struct *task)
{
    __u32 target = target_pid;
    if ((__u32)task->tgid != target)
        return 0;
    struct offcpu_slot *slot = slot_of(task, true);
    if (!slot)
        return 0;
    if (slot->noted.off_ns)
        waiting_begin(slot, cpu_of(task));
    if (slot->woken_ns)
        slot->woken_ns = bpf_ktime_get_ns();
    struct task_struct *waker = bpf_get_current_task_btf();
    bool interrupt = is_interrupt(waker);
    slot->noted.waker_tid = interrupt ? OFFCPU_INTERRUPT : (__u32)waker->pid;
    slot->noted.waker_pid = interrupt ? 0 : (__u32)waker->tgid;
    slot->noted.waker_word = 0;
    if (interrupt || (__u32)waker->tgid != target)
        return 0;
    struct offcpu_slot *own = slot_of(waker, true);
    if (own)
        slot->noted.waker_word = word_read(waker, own);
    return 0;
}

SEC("tp_btf/sched_migrate_task")
int BPF_PROG(on_migrate, struct task_struct *task, int cpu)
{
    if ((__u32)task->tgid != target_pid)
        return 0;
    struct offcpu_slot *slot = slot_of(task, false);
    if (!slot)
        return 0;
    if (slot->waits_for) {
        waiting_end(slot);
        waiting_begin(slot, (__u32)cpu);
    } else if (slot->noted.off_ns) {
        slot->woken_ns = OFFCPU_MOVED_ASLEEP;
    }
    return 0;
}

SEC("tp_btf/sched_wakeup_new")
int BPF_PROG(on_wakeup_new, struct task_struct *task)
{
    if ((__u32)task->tgid != target_pid)
        return 0;
    struct offcpu_slot *slot = slot_of(task, true);
    if (!slot)
        return 0;
    slot->noted.tid = (__u32)task->pid;
    slot->noted.off_ns = slot->noted.wake_ns = clock_ns(task);
    slot->noted.word = 0;
    slot->noted.flags = OFFCPU_NEW;
    slot->noted.syscall = OFFCPU_NO_SYSCALL;
    slot->noted.cpu_from = cpu_of(task);
    waiting_begin(slot, slot->noted.cpu_from);
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
    struct offcpu_slot *slot = slot_of(task, true);
    if (slot) {
        slot->exiting = true;
        if (slot->faults != slot->faults_told) {
            struct offcpu_record faults = {
                .type = OFFCPU_FAULTS,
                .tid = (__u32)task->pid,
                .on_ns = bpf_ktime_get_ns(),
                .off_ns = slot->faults - slot->faults_told,
                .argument = slot->fault_address,
                .word = OFFCPU_WORD_UNKNOWN,
            };
            slot->faults_told = slot->faults;
            record_write(&faults);
        }
    }
    thread_tell(OFFCPU_THREAD_EXIT, task);
    return 0;
}

/* What it executes from now on has no words, nor goroutines. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, int old_tid)
{
    if ((__u32)task->tgid != target_pid)
        return 0;
    struct offcpu_record record = {
        .type = OFFCPU_THREAD_EXIT,
        .tid = (__u32)old_tid,
        .on_ns = bpf_ktime_get_ns(),
    };
    record_write(&record);
    target_pid = OFFCPU_NOBODY;
    return 0;
}

/* ---- Samples and page faults ------------------------------------------------------------------------------------ */

static __always_inline void place_note(struct task_struct *task, struct offcpu_slot *slot, struct offcpu_record *record)
{
    record->tid = (__u32)task->pid;
    record->on_ns = bpf_ktime_get_ns();
    record->word = word_read(task, slot);
    record->syscall = syscall_of((void *)bpf_task_pt_regs(task));
}

/* At a clock of this CPU's, many times a second. */
SEC("perf_event")
int on_sample(void *context)
{
    struct task_struct *task = bpf_get_current_task_btf();
    if ((__u32)task->tgid != target_pid)
        return 0;
    struct offcpu_slot *slot = slot_of(task, true);
    struct offcpu_stacked *stacked = slot ? stacked_reserve(OFFCPU_SAMPLE) : 0;
    if (!stacked)
        return 0;
    stacked->record.type = OFFCPU_SAMPLE;
    place_note(task, slot, &stacked->record);
    if (!slot->exiting)
        stack_copy(context, task, &stacked->stack);
    long bytes = bpf_get_stack(context, stacked->kernel.frame, sizeof stacked->kernel.frame, 0);
    stacked->kernel.frame_count = bytes > 0 ? (__u32)bytes / sizeof stacked->kernel.frame[0] : 0;
    bpf_ringbuf_submit(stacked, BPF_RB_NO_WAKEUP);
    return 0;
}

/* How many faults the next record stands for, on average. */
static __always_inline __u32 fault_period(struct offcpu_slot *slot, __u64 now_ns)
{
    __u64 lasted_ns = now_ns - slot->faults_since_ns;
    __u32 period = slot->faults_period, records = slot->faults_records + 1;
    if (lasted_ns >= OFFCPU_FAULTS_NS && records < OFFCPU_FAULTS_TOLD / 2)
        period = lasted_ns < 16 * (__u64)OFFCPU_FAULTS_NS ? period >> (lasted_ns / OFFCPU_FAULTS_NS) : 1;
    else if (records >= OFFCPU_FAULTS_TOLD && period < OFFCPU_FAULTS_PERIOD_MAX)
        period *= 2;
    if (lasted_ns >= OFFCPU_FAULTS_NS || records >= OFFCPU_FAULTS_TOLD) {
        slot->faults_since_ns = now_ns;
        records = 0;
    }
    slot->faults_records = records;
    return slot->faults_period = period ? period : 1;
}

/* In user mode. */
SEC("tp_btf/page_fault_user")
int BPF_PROG(on_fault, unsigned long address, struct pt_regs *registers)
{
    struct task_struct *task = bpf_get_current_task_btf();
    if ((__u32)task->tgid != target_pid)
        return 0;
    struct offcpu_slot *slot = slot_of(task, true);
    if (!slot)
        return 0;
    slot->fault_ip = instruction_of(registers);
    slot->fault_address = address;
    if (++slot->faults < slot->faults_next)
        return 0;
    __u32 period = fault_period(slot, bpf_ktime_get_ns());
    slot->faults_next = slot->faults + 1 + (period > 1 ? bpf_get_prandom_u32() % (2 * period - 1) : 0);
    struct offcpu_stacked *stacked = stacked_reserve(OFFCPU_FAULTS);
    if (!stacked)
        return 0;
    stacked->record.type = OFFCPU_FAULTS;
    place_note(task, slot, &stacked->record);
    stacked->record.syscall = OFFCPU_NO_SYSCALL;
    stacked->record.argument = address;
    stacked->record.off_ns = slot->faults - slot->faults_told;
    slot->faults_told = slot->faults;
    stack_copy(ctx, task, &stacked->stack);
    bpf_ringbuf_submit(stacked, BPF_RB_NO_WAKEUP);
    return 0;
}
