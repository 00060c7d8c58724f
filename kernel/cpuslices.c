/* See cpuslices.h. */
#include "cpuslices.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int cpuslices_add(struct cpuslices *slices, const struct offcpu_record *slice)
{
    size_t cpu = slice->cpu_to % OFFCPU_CPUS;
    if (cpu >= slices->cpu_room) {
        struct cpuslices_cpu **cpus = realloc(slices->cpus, (cpu + 16) * sizeof *cpus);
        if (!cpus)
            return -ENOMEM;
        memset(cpus + slices->cpu_room, 0, (cpu + 16 - slices->cpu_room) * sizeof *cpus);
        slices->cpus = cpus;
        slices->cpu_room = cpu + 16;
    }
    if (!slices->cpus[cpu] && !(slices->cpus[cpu] = calloc(1, sizeof *slices->cpus[cpu])))
        return -ENOMEM;
    struct cpuslices_one *one = &slices->cpus[cpu]->slices[slices->cpus[cpu]->count++ % CPUSLICES_KEPT];
    *one = (struct cpuslices_one){
        .begin_ns = slice->off_ns,
        .end_ns = slice->on_ns,
        .other = { slice->thief_tid, slice->thief_pid, slice->thief_word, "" },
    };
    memcpy(one->other.comm, slice->thief_comm, sizeof one->other.comm);
    return 0;
}

static uint64_t overlap_ns(const struct cpuslices_one *one, uint64_t begin_ns, uint64_t end_ns)
{
    uint64_t from = one->begin_ns > begin_ns ? one->begin_ns : begin_ns;
    uint64_t to = one->end_ns < end_ns ? one->end_ns : end_ns;
    return to > from ? to - from : 0;
}

struct kernel_other cpuslices_most(const struct cpuslices *slices, uint32_t cpu, uint64_t begin_ns, uint64_t end_ns)
{
    struct kernel_other most = { .tid = 0 };
    const struct cpuslices_cpu *own = cpu % OFFCPU_CPUS < slices->cpu_room ? slices->cpus[cpu % OFFCPU_CPUS] : NULL;
    uint64_t most_ns = 0, kept = own && own->count < CPUSLICES_KEPT ? own->count : CPUSLICES_KEPT;
    /* Few lie in the time of one interval: each process's are added up at its latest. */
    for (uint64_t i = 0; own && i < kept; i++) {
        const struct cpuslices_one *one = &own->slices[(own->count - 1 - i) % CPUSLICES_KEPT];
        uint64_t sum_ns = 0;
        if (one->end_ns <= begin_ns)
            break;
        if (one->begin_ns >= end_ns)
            continue;
        for (uint64_t k = i; k < kept; k++) {
            const struct cpuslices_one *other = &own->slices[(own->count - 1 - k) % CPUSLICES_KEPT];
            if (other->end_ns <= begin_ns)
                break;
            if (other->other.pid == one->other.pid)
                sum_ns += overlap_ns(other, begin_ns, end_ns);
        }
        if (sum_ns > most_ns) {
            most_ns = sum_ns;
            most = one->other;
        }
    }
    return most;
}

void cpuslices_clear(struct cpuslices *slices)
{
    for (size_t i = 0; i < slices->cpu_room; i++)
        free(slices->cpus[i]);
    free(slices->cpus);
    *slices = (struct cpuslices){ 0 };
}
