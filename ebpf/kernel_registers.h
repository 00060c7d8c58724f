/* What a thread's saved registers tell of it, on x86-64 and aarch64. For the BPF program, which has included
 * kernel_types.h, offcpu_record.h, bpf_helpers.h and bpf_core_read.h before.
 *
 * SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef GMPT_KERNEL_REGISTERS_H
#define GMPT_KERNEL_REGISTERS_H

static __always_inline __u64 thread_pointer(struct task_struct *task)
{
    struct task_struct___arm64 *arm = (void *)task;
    if (bpf_core_field_exists(task->thread.fsbase))
        return task->thread.fsbase;
    if (bpf_core_field_exists(arm->thread.uw.tp_value))
        return arm->thread.uw.tp_value;
    return 0;
}

static __always_inline __u64 instruction_of(struct pt_regs *registers)
{
    struct pt_regs___arm64 *arm = (void *)registers;
    if (bpf_core_field_exists(registers->ip))
        return registers->ip;
    return bpf_core_field_exists(arm->pc) ? arm->pc : 0;
}

static __always_inline __s32 syscall_of(struct pt_regs *registers)
{
    struct pt_regs___arm64 *arm = (void *)registers;
    __s32 call = OFFCPU_NO_SYSCALL;
    if (bpf_core_field_exists(registers->orig_ax))
        call = (__s32)registers->orig_ax;
    else if (bpf_core_field_exists(arm->syscallno))
        call = arm->syscallno;
    return call < 0 ? OFFCPU_NO_SYSCALL : call;
}

static __always_inline __u64 argument_of(struct pt_regs *registers)
{
    struct pt_regs___arm64 *arm = (void *)registers;
    if (bpf_core_field_exists(registers->di))
        return registers->di;
    return bpf_core_field_exists(arm->orig_x0) ? arm->orig_x0 : 0;
}

#endif
