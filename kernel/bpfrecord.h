/* What the program in the kernel tells of an interval, as all tiers tell it. */
#ifndef GMPT_BPFRECORD_H
#define GMPT_BPFRECORD_H

#include "cpuslices.h"

#include "ebpf/offcpu.h"
#include "trace/kernelrecord.h"

/* Fills type and interval. slices: of the CPUs, up to its end. */
void bpfrecord_interval(struct kernel_record *record, const struct offcpu_record *from,
                        const struct cpuslices *slices);

#endif
