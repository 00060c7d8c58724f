/* See kernelwords.h. */
#include "kernelwords.h"

#include "cli.h"

#include "trace/syscallname.h"

#include <inttypes.h>
#include <stdio.h>

const char *kernelwords_tier(enum gmpt_kernel_tier tier)
{
    static const char *const names[GMPT_KERNEL_TIERS] = { "off", "proc", "perf", "bpf" };
    return tier < GMPT_KERNEL_TIERS ? names[tier] : names[0];
}

const char *kernelwords_call(int32_t call, char buffer[KERNELWORDS_CALL_BYTES])
{
    const char *name = call == KERNEL_CALL_NOT_KNOWN ? "an unknown call"
                       : call < 0                    ? "no system call"
                                                     : syscall_name(call);
    if (name)
        return name;
    snprintf(buffer, KERNELWORDS_CALL_BYTES, "system call %" PRId32, call);
    return buffer;
}

const char *kernelwords_program(uint32_t pid, const char *name, uint32_t own_pid,
                                char buffer[KERNELWORDS_PROGRAM_BYTES])
{
    char text[KERNEL_COMM_BYTES * 4 + 1];
    cli_text(text, sizeof text, name, KERNEL_COMM_BYTES);
    if (pid == 0)
        snprintf(buffer, KERNELWORDS_PROGRAM_BYTES, "other programs");
    else if (pid == own_pid)
        snprintf(buffer, KERNELWORDS_PROGRAM_BYTES, "another thread of the program");
    else
        snprintf(buffer, KERNELWORDS_PROGRAM_BYTES, "%s%s(process %" PRIu32 ")", text, *text ? " " : "", pid);
    return buffer;
}

const char *kernelwords_programs(uint32_t pid, const char *name, uint64_t count, uint32_t own_pid,
                                 char buffer[KERNELWORDS_PROGRAM_BYTES])
{
    char text[KERNEL_COMM_BYTES * 4 + 1];
    if (count <= 1 || pid == 0)
        return kernelwords_program(pid, name, own_pid, buffer);
    snprintf(buffer, KERNELWORDS_PROGRAM_BYTES, "%s (%" PRIu64 " processes, such as %" PRIu32 ")",
             cli_text(text, sizeof text, name, KERNEL_COMM_BYTES), count, pid);
    return buffer;
}

const char *kernelwords_why(const struct kernel_interval *interval, char buffer[KERNELWORDS_CALL_BYTES])
{
    switch (interval->why) {
    case GMPT_KERNEL_PREEMPTED:
        return "preempted";
    case GMPT_KERNEL_THROTTLED:
        return "throttled";
    case GMPT_KERNEL_SUSPENDED:
        return "suspended";
    case GMPT_KERNEL_STARTED:
        return "starting";
    default:
        return kernelwords_call(interval->call, buffer);
    }
}
