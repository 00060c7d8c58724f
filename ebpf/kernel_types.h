/* What the BPF program knows of the kernel's types: only the members that it reads. Where they lie in the kernel that
 * runs is found out as the program is loaded (CO-RE). Ending in ___, a name stands for another version of its type.
 *
 * SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef GMPT_KERNEL_TYPES_H
#define GMPT_KERNEL_TYPES_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef int __s32;
typedef long long __s64;
typedef unsigned long long __u64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef _Bool bool;
#define true 1
#define false 0

enum { BPF_MAP_TYPE_ARRAY = 2, BPF_MAP_TYPE_RINGBUF = 27, BPF_MAP_TYPE_TASK_STORAGE = 29 };
enum { BPF_F_NO_PREALLOC = 1, BPF_F_MMAPABLE = 1024 };
enum { BPF_LOCAL_STORAGE_GET_F_CREATE = 1 };
enum { BPF_RB_NO_WAKEUP = 1 };
enum { BPF_F_USER_STACK = 256 };

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct thread_struct {
    unsigned long fsbase;
};

struct thread_info {
    __u32 cpu; /* Linux 5.16 */
};

struct thread_info___arm64 {
    __u64 preempt_count;
};

/* As a type of one number, which any may be taken for. */
struct refcount_struct {
    struct {
        int counter;
    } refs;
};

/* A CPU's queue, and the time of its scheduler. */
struct rq {
    __u64 clock;
};

struct cfs_rq {
    struct rq *rq;
    int throttle_count; /* with CONFIG_CFS_BANDWIDTH: of groups above it, and itself, that have used up their quota */
};

struct sched_entity {
    struct cfs_rq *cfs_rq; /* with CONFIG_FAIR_GROUP_SCHED */
};

/* With CONFIG_SCHED_INFO; by the clock of the CPU's queue. */
struct sched_info {
    __u64 run_delay;    /* in which it waited for a CPU, of all that it got */
    __u64 last_arrival; /* when it got a CPU last; while it has one, that one */
    __u64 last_queued;  /* since when it waits for a CPU; 0 = it does not */
};

struct task_struct {
    struct thread_info thread_info;
    void *stack;          /* its lower end, in the kernel */
    unsigned int __state; /* Linux 5.14 */
    int pid, tgid;        /* a thread's id, its process's */
    struct sched_entity se;
    struct sched_info sched_info;
    char comm[16];
    struct thread_struct thread;
};

struct task_struct___quota {
    bool throttled; /* Linux 6.18, with CONFIG_CFS_BANDWIDTH */
};

struct task_struct___old {
    unsigned int cpu;
};

struct pt_regs {
    unsigned long orig_ax, di, ip, sp;
};

struct user_fpsimd_context___arm64 {
    unsigned long tp_value;
};

struct thread_struct___arm64 {
    struct user_fpsimd_context___arm64 uw;
};

struct task_struct___arm64 {
    struct thread_info___arm64 thread_info;
    struct thread_struct___arm64 thread;
};

struct pt_regs___arm64 {
    __u64 orig_x0;
    __u64 sp, pc;
    __s32 syscallno;
};

#pragma clang attribute pop

#endif
