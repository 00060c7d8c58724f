/* What the BPF program tells its loader, both of which include this. Times of intervals and slices are nanoseconds of
 * the scheduler's clock, which the loader makes CLOCK_MONOTONIC of, as all others are. Words are what an M tells of
 * itself (m_word_make in trace/segment.h), 0 of any other thread.
 *
 * SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef GMPT_OFFCPU_RECORD_H
#define GMPT_OFFCPU_RECORD_H

enum offcpu_type {
    OFFCPU_INTERVAL,
    OFFCPU_THREAD_START,
    OFFCPU_THREAD_EXIT,
    OFFCPU_SLICE,  /* another thread has lost a CPU for which one of the program's waits */
    OFFCPU_SAMPLE, /* what a thread executes */
    OFFCPU_FAULTS, /* pages that a thread needed, and did not have */
    OFFCPU_CLOCK,  /* for the loader alone: a moment by the scheduler's clock, off_ns, and by CLOCK_MONOTONIC, on_ns */
    OFFCPU_TYPES
};

enum offcpu_flag {
    OFFCPU_PREEMPTED = 1, /* it could have run on: the kernel took the CPU, or it gave way */
    OFFCPU_NEW = 2,       /* it had not run before; off_ns is when it was made runnable */
    OFFCPU_THROTTLED = 4, /* it was preempted, as its cgroup's CPU quota was used up */
    OFFCPU_SUSPENDED = 8, /* it was stopped, by a signal or a debugger, or frozen with its cgroup */
};

#define OFFCPU_SLICE_NS 50000 /* shorter ones are not told */
/* Of a thread's page faults each is told, until they are more than so many in this time; then one of some, chosen at
 * random: whichever came first after a while would stand for others elsewhere. As the thread ends it tells of the
 * rest. */
#define OFFCPU_FAULTS_TOLD 32u
#define OFFCPU_FAULTS_NS 10000000
#define OFFCPU_FAULTS_PERIOD_MAX 65536u
#define OFFCPU_NO_SYSCALL (-1)
#define OFFCPU_CPUS 4096u /* higher ones are not seen */
#define OFFCPU_WORD_UNKNOWN 15 /* it could not be read */
#define OFFCPU_NOBODY (~0u) /* no process has this id */
#define OFFCPU_INTERRUPT (~0u) /* nor a thread: what was done was done on no thread's behalf */

/* A thread was not on a CPU: one record, as it comes back. In OFFCPU_THREAD_START and _EXIT only type, tid and on_ns
 * are set; in OFFCPU_SLICE the thief, who had cpu_to from off_ns to on_ns, by when one waited for it; in OFFCPU_SAMPLE
 * tid, on_ns, word and syscall; in OFFCPU_FAULTS the same, the last one's address in argument, and in off_ns how many
 * there were since the last such record of the thread. */
struct offcpu_record {
    __u32 type; /* enum offcpu_type */
    __u32 tid;
    __u64 off_ns, on_ns;
    __u64 wake_ns;  /* when it became runnable; 0 = it was all the time */
    __u64 word;     /* of the thread, as it lost the CPU */
    __u64 argument; /* the first of the system call, of futex(2) its address; in none, of the page it needs, or 0 */
    __s32 syscall;  /* the system call that it was in, OFFCPU_NO_SYSCALL = none */
    __u32 flags;    /* enum offcpu_flag */
    /* Who had the CPU next; tid 0 = nobody, it was idle. */
    __u64 thief_word;
    __u32 thief_tid, thief_pid;
    char thief_comm[16];
    /* Who woke it, if wake_ns is set; 0: that is not known; OFFCPU_INTERRUPT: nobody, but a timer or a device. */
    __u64 waker_word;
    __u32 waker_tid, waker_pid;
    __u32 cpu_from, cpu_to;
};

/* Of a thread that blocked while its word said that it runs a G, or that executes something: what lay on top of its
 * stack, and its frames by their pointers, the first of which is where it was. Of intervals, only of those of
 * OFFCPU_STACK_NS or more; and of a thread that blocks without end in shorter ones the stack is looked at in each
 * OFFCPU_COPY_NS once, or OFFCPU_COPIES times at once when it has not been for long. */
#define OFFCPU_STACK_NS 100000
#define OFFCPU_COPY_NS 200000
#define OFFCPU_COPIES 32
#define OFFCPU_TOP_WORDS 64
#define OFFCPU_FRAMES 24
struct offcpu_stack {
    __u32 frame_count; /* 0 = not known */
    __u32 top_count;
    __u64 frame[OFFCPU_FRAMES];
    __u64 top[OFFCPU_TOP_WORDS];
};

/* Where it is in the kernel, by addresses there, the innermost first: of intervals that are long, and of samples. */
#define OFFCPU_KERNEL_FRAMES 32
struct offcpu_kernel {
    __u32 frame_count; /* 0 = not known */
    __u32 reserved;
    __u64 frame[OFFCPU_KERNEL_FRAMES];
};

/* What is in the ring for what is rare: a record, or one with stacks. */
struct offcpu_stacked {
    struct offcpu_record record;
    struct offcpu_stack stack;
    struct offcpu_kernel kernel;
};

/* What is not rare, intervals without stacks, goes through memory that both sides have mapped, a lane for each CPU,
 * which alone writes there: number n of CPU c is entry c * lane_records + n % lane_records of the map `records`. `tail`
 * is the loader's: so many it has taken. */
struct offcpu_lane {
    __u64 head; /* written with all that is before it */
    __u64 tail;
    __u64 intervals, dropped; /* that were written; that found no room */
    __u64 clock_told_ns; /* when both clocks were told of last */
    __u64 reserved[3];
    __s32 waiting; /* written by all CPUs: how many of the program's threads wait for this one */
    __u32 reserved_too;
    __u64 reserved_all[7];
};

/* A thread's, from when it is first seen until it ends: the program's own notes, of which the loader reads the
 * faults. */
#define OFFCPU_SLOTS 4096u
#define OFFCPU_MOVED_ASLEEP 1 /* no time of CLOCK_MONOTONIC */
struct offcpu_slot {
    __u32 tid;       /* 0 = free */
    __u32 waits_for; /* the CPU, plus 1; 0 = it does not wait for one */
    __u64 word_at;   /* where its word lies, which never changes; 0 = not known yet */
    __u64 waited_ns; /* by the scheduler's account, as it lost the CPU */
    __u64 woken_ns;  /* only of one that was moved as it slept: when it was woken, or OFFCPU_MOVED_ASLEEP: not yet */
    __u64 copied_ns; /* when it had used up what it may show of its stack */
    __u64 fault_ip, fault_address; /* of its last page fault */
    __u64 faults, faults_told, faults_next; /* that there were; of these told; which is to be told next */
    __u64 faults_since_ns;                  /* since when faults_records were told, each for faults_period of them */
    __u32 faults_records, faults_period;
    __u8 exiting; /* its memory is not, or not for long, mapped as it is switched out */
    __u8 stacked; /* its stack was copied in this interval */
    struct offcpu_record noted; /* valid while off_ns is not 0 */
} __attribute__((aligned(256)));

/* Of a thread, written by itself in memory that is mapped into its program: each has a line of its own. */
#define OFFCPU_WORDS 4096u
struct offcpu_word {
    __u64 word;
    __u64 reserved[7];
};

/* All since the program was loaded; the loader reads them while they change. */
struct offcpu_counts {
    __u64 records[OFFCPU_TYPES]; /* written to the ring, or the lanes */
    __u64 dropped[OFFCPU_TYPES]; /* found no room there */
    __u64 unseen; /* intervals that were not noted: no room for their thread's state, or the kernel did not tell */
    __u64 unread;                /* words that could not be read */
    __u64 unplaced; /* intervals that were written without their stacks, for which there was no room */
};

#endif
