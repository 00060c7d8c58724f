/* Who had a CPU while a thread waited for it: the last few slices of each CPU for which one does.
 *
 * Who takes a CPU first need not be who keeps it: the thread that a preempted one waits for is whoever had the CPU for
 * most of that time, all slices of a process together. */
#ifndef GMPT_CPUSLICES_H
#define GMPT_CPUSLICES_H

#include "ebpf/offcpu.h"
#include "trace/kernelrecord.h"

#include <stddef.h>
#include <stdint.h>

#define CPUSLICES_KEPT 64u /* of a CPU */

struct cpuslices_cpu {
    uint64_t count; /* that there were; number i lies at i modulo CPUSLICES_KEPT */
    struct cpuslices_one {
        uint64_t begin_ns, end_ns;
        struct kernel_other other;
    } slices[CPUSLICES_KEPT];
};

/* Zero-initialised is empty. */
struct cpuslices {
    struct cpuslices_cpu **cpus;
    size_t cpu_room;
};

int cpuslices_add(struct cpuslices *slices, const struct offcpu_record *slice); /* 0 or -ENOMEM */
/* Who had that CPU for most of [begin_ns, end_ns); tid 0 = nobody, or not known. */
struct kernel_other cpuslices_most(const struct cpuslices *slices, uint32_t cpu, uint64_t begin_ns, uint64_t end_ns);
void cpuslices_clear(struct cpuslices *slices);

#endif
