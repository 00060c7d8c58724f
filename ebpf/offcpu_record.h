/* What the BPF program tells its loader, both of which include this. Times are CLOCK_MONOTONIC nanoseconds. Words are
 * what an M tells of itself (m_word_make in trace/segment.h), 0 of any other thread.
 *
 * SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef GMPT_OFFCPU_RECORD_H
#define GMPT_OFFCPU_RECORD_H

enum offcpu_type {
    OFFCPU_INTERVAL,
    OFFCPU_THREAD_START,
    OFFCPU_THREAD_EXIT,
    OFFCPU_SLICE, /* another thread has lost a CPU for which one of the program's waits */
    OFFCPU_TYPES
};

enum offcpu_flag {
    OFFCPU_PREEMPTED = 1, /* it could have run on: the kernel took the CPU, or it gave way */
    OFFCPU_NEW = 2,       /* it had not run before; off_ns is when it was made runnable */
};

#define OFFCPU_SLICE_NS 50000 /* shorter ones are not told */
#define OFFCPU_NO_SYSCALL (-1)
#define OFFCPU_CPUS 4096u /* higher ones share */
#define OFFCPU_WORD_UNKNOWN 15 /* it could not be read */
#define OFFCPU_NOBODY (~0u) /* no process has this id */

/* A thread was not on a CPU: one record, as it comes back. In OFFCPU_THREAD_START and _EXIT only type, tid and on_ns
 * are set; in OFFCPU_SLICE the thief, who had cpu_to from off_ns to on_ns while one waited for it. */
struct offcpu_record {
    __u32 type; /* enum offcpu_type */
    __u32 tid;
    __u64 off_ns, on_ns;
    __u64 wake_ns;  /* when it became runnable; 0 = it was all the time */
    __u64 word;     /* of the thread, as it lost the CPU */
    __u64 argument; /* the first of the system call: of futex(2), its address */
    __s32 syscall;  /* the system call that it was in, OFFCPU_NO_SYSCALL = none */
    __u32 flags;    /* enum offcpu_flag */
    /* Who had the CPU next; tid 0 = nobody, it was idle. */
    __u64 thief_word;
    __u32 thief_tid, thief_pid;
    char thief_comm[16];
    /* On whose behalf it was woken, if wake_ns is set: the thread that ran there then, also of an interrupt. */
    __u64 waker_word;
    __u32 waker_tid, waker_pid;
    __u32 cpu_from, cpu_to;
};

/* Of a thread that blocked while its word said that it runs a G: what lay on top of its stack, and its frames by their
 * pointers, the first of which is where it was. Only of intervals of OFFCPU_STACK_NS or more. */
#define OFFCPU_STACK_NS 100000
#define OFFCPU_TOP_WORDS 64
#define OFFCPU_FRAMES 24
struct offcpu_stack {
    __u32 frame_count; /* 0 = not known */
    __u32 top_count;
    __u64 frame[OFFCPU_FRAMES];
    __u64 top[OFFCPU_TOP_WORDS];
};

/* What is in the ring: a record, or a record with a stack. */
struct offcpu_stacked {
    struct offcpu_record record;
    struct offcpu_stack stack;
};

/* All since the program was loaded; the loader reads them while they change. */
struct offcpu_counts {
    __u64 records[OFFCPU_TYPES]; /* written to the ring */
    __u64 dropped[OFFCPU_TYPES]; /* found no room there */
    __u64 unseen;                /* intervals that were not noted, for want of memory for their thread's state */
    __u64 unread;                /* words that could not be read */
};

#endif
