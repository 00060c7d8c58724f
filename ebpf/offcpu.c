/* The loader of offcpu.bpf.c, which is in offcpu.skel.h as an object. See offcpu.h. */
#define _GNU_SOURCE
#include "offcpu.h"

#include "offcpu.skel.h"

#include <bpf/btf.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define RECORDS_MOST 131072u /* in all lanes together; but in one at least: */
#define LANE_RECORDS_LEAST 8192u
#define LANE_RECORDS_MOST 65536u
#define DRIFT_PER_MILLION 100 /* that the scheduler's clock may run slower than CLOCK_MONOTONIC */

struct offcpu {
    struct offcpu_bpf *skeleton;
    struct ring_buffer *ring;
    /* The lanes' records, of each CPU `lane_records` behind those of the one before; NULL until they are mapped. */
    const struct offcpu_record *records;
    uint32_t cpu_count, lane_records;
    size_t records_bytes;
    /* What the scheduler's clock is behind CLOCK_MONOTONIC, as far as is known; clock_at_ns: as of when by the former,
     * 0 = nothing is. */
    uint64_t clock_at_ns;
    int64_t behind_ns;
    /* Of the poll that is under way. */
    offcpu_take *fn;
    void *arg;
};

/* ---- The time --------------------------------------------------------------------------------------------------- */

/* Where the scheduler's clock is the same on all CPUs. Elsewhere CLOCK_MONOTONIC is read at each switch. */
static bool scheduler_clock(void)
{
    static const char *const sources[] = { "tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter" };
    char name[64] = "";
    FILE *file = fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "re");
    bool known = file && fgets(name, sizeof name, file);
    name[strcspn(name, "\n")] = 0;
    if (file)
        fclose(file);
    for (size_t i = 0; known && i < sizeof sources / sizeof sources[0]; i++)
        if (strcmp(name, sources[i]) == 0)
            return true;
    return false;
}

/* Both clocks at a moment: the scheduler had read its own a little before, mostly 0.2 microseconds, and at times it is
 * busy in between. So they are never further apart than this says, and what rises is only what a clock can drift. */
static void clock_take(struct offcpu *offcpu, const struct offcpu_record *both)
{
    int64_t behind_ns = (int64_t)(both->on_ns - both->off_ns), drift_ns = 0;
    if (offcpu->clock_at_ns && both->off_ns > offcpu->clock_at_ns)
        drift_ns = (int64_t)((both->off_ns - offcpu->clock_at_ns) / 1000000 * DRIFT_PER_MILLION);
    if (offcpu->clock_at_ns == 0 || behind_ns < offcpu->behind_ns + drift_ns)
        offcpu->behind_ns = behind_ns;
    else
        offcpu->behind_ns += drift_ns;
    if (offcpu->clock_at_ns == 0 || drift_ns)
        offcpu->clock_at_ns = both->off_ns;
}

static uint64_t monotonic(const struct offcpu *offcpu, uint64_t ns)
{
    return ns ? ns + (uint64_t)offcpu->behind_ns : 0;
}

static int record_give(struct offcpu *offcpu, const struct offcpu_record *record, const struct offcpu_stacked *stacked)
{
    struct offcpu_record given = *record;
    if (record->type == OFFCPU_CLOCK)
        return 0;
    if (record->type == OFFCPU_INTERVAL || record->type == OFFCPU_SLICE) {
        given.off_ns = monotonic(offcpu, record->off_ns);
        given.on_ns = monotonic(offcpu, record->on_ns);
        given.wake_ns = monotonic(offcpu, record->wake_ns);
    }
    return offcpu->fn(&given, stacked, offcpu->arg);
}

static int record_take(void *context, void *data, size_t size)
{
    const struct offcpu_stacked *stacked = data;
    if (size != sizeof *stacked && size != sizeof stacked->record)
        return -EPROTO;
    return record_give(context, &stacked->record, size == sizeof *stacked ? stacked : NULL);
}

/* ---- Its life --------------------------------------------------------------------------------------------------- */

/* Whether BPF programs may call this function of the kernel's. */
static bool kernel_has(const char *function)
{
    struct btf *types = btf__load_vmlinux_btf();
    bool has = types && btf__find_by_name_kind(types, function, BTF_KIND_FUNC) > 0;
    btf__free(types);
    return has;
}

int offcpu_open(struct offcpu **offcpu, uint64_t kernel_stack_ns)
{
    struct offcpu *new = calloc(1, sizeof *new);
    int cpus = libbpf_num_possible_cpus();
    if (!new)
        return -ENOMEM;
    libbpf_set_print(NULL); /* it would advise a limit where a capability lacks */
    new->skeleton = cpus > 0 ? offcpu_bpf__open() : NULL;
    if (!new->skeleton) {
        int error = cpus > 0 ? errno : -cpus;
        free(new);
        return -error;
    }
    new->cpu_count = (uint32_t)cpus < OFFCPU_CPUS ? (uint32_t)cpus : OFFCPU_CPUS;
    new->lane_records = LANE_RECORDS_LEAST;
    while (new->lane_records < LANE_RECORDS_MOST && new->lane_records * 2 * new->cpu_count <= RECORDS_MOST)
        new->lane_records *= 2;
    new->skeleton->rodata->lane_records = new->lane_records;
    new->skeleton->rodata->kernel_stack_ns = kernel_stack_ns;
    new->skeleton->rodata->scheduler_clock = scheduler_clock();
    new->skeleton->rodata->has_cast = kernel_has("bpf_rdonly_cast");
    *offcpu = new;
    return 0;
}

static int lanes_map(struct offcpu *offcpu)
{
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    size_t bytes = (size_t)offcpu->cpu_count * offcpu->lane_records * sizeof *offcpu->records;
    offcpu->records_bytes = (bytes + page_bytes - 1) / page_bytes * page_bytes;
    void *records = mmap(NULL, offcpu->records_bytes, PROT_READ, MAP_SHARED,
                         bpf_map__fd(offcpu->skeleton->maps.records), 0);
    if (records == MAP_FAILED)
        return -errno;
    offcpu->records = records;
    return 0;
}

int offcpu_load(struct offcpu *offcpu)
{
    int result = bpf_map__set_max_entries(offcpu->skeleton->maps.records, offcpu->cpu_count * offcpu->lane_records);
    if (result == 0)
        result = offcpu_bpf__load(offcpu->skeleton);
    if (result == 0)
        result = lanes_map(offcpu);
    if (result)
        return result;
    offcpu->ring = ring_buffer__new(bpf_map__fd(offcpu->skeleton->maps.ring), record_take, offcpu, NULL);
    return offcpu->ring ? 0 : -errno;
}

int offcpu_attach(struct offcpu *offcpu) { return offcpu_bpf__attach(offcpu->skeleton); }

void offcpu_aim(struct offcpu *offcpu, const struct offcpu_target *target)
{
    struct offcpu_bpf *skeleton = offcpu->skeleton;
    skeleton->bss->thread_m_offset = target->thread_m_offset;
    skeleton->bss->m_word_offset = target->m_word_offset;
    /* The program looks at the others only for the process that this names. */
    __atomic_store_n(&skeleton->data->target_pid, (uint32_t)target->pid, __ATOMIC_RELEASE);
}

/* ---- What comes ------------------------------------------------------------------------------------------------- */

static const struct offcpu_record *lane_record(const struct offcpu *offcpu, uint32_t cpu, uint64_t number)
{
    return &offcpu->records[(size_t)cpu * offcpu->lane_records + number % offcpu->lane_records];
}

static void lane_clocks_take(struct offcpu *offcpu, uint32_t cpu, uint64_t head)
{
    for (uint64_t number = offcpu->skeleton->bss->lanes[cpu].tail; number != head; number++)
        if (lane_record(offcpu, cpu, number)->type == OFFCPU_CLOCK)
            clock_take(offcpu, lane_record(offcpu, cpu, number));
}

/* What is in the lane before `head`. */
static int lane_take(struct offcpu *offcpu, uint32_t cpu, uint64_t head)
{
    struct offcpu_lane *lane = &offcpu->skeleton->bss->lanes[cpu];
    uint64_t tail = lane->tail;
    int result = 0;
    for (; result == 0 && tail != head; tail++)
        result = record_give(offcpu, lane_record(offcpu, cpu, tail), NULL);
    __atomic_store_n(&lane->tail, tail, __ATOMIC_RELEASE);
    return result;
}

/* Who had a CPU meanwhile is in the ring before the interval in which somebody waited for that is in its lane. */
int offcpu_poll(struct offcpu *offcpu, offcpu_take *fn, void *arg)
{
    uint64_t heads[OFFCPU_CPUS];
    offcpu->fn = fn;
    offcpu->arg = arg;
    for (uint32_t cpu = 0; cpu < offcpu->cpu_count; cpu++)
        heads[cpu] = __atomic_load_n(&offcpu->skeleton->bss->lanes[cpu].head, __ATOMIC_ACQUIRE);
    for (uint32_t cpu = 0; cpu < offcpu->cpu_count; cpu++)
        lane_clocks_take(offcpu, cpu, heads[cpu]);
    int result = ring_buffer__consume(offcpu->ring);
    for (uint32_t cpu = 0; result >= 0 && cpu < offcpu->cpu_count; cpu++)
        result = lane_take(offcpu, cpu, heads[cpu]);
    return result < 0 ? result : 0;
}

void offcpu_counts_read(const struct offcpu *offcpu, struct offcpu_counts *counts)
{
    const struct offcpu_bpf__bss *bss = offcpu->skeleton->bss;
    *counts = *(const volatile struct offcpu_counts *)&bss->counts;
    for (uint32_t cpu = 0; cpu < offcpu->cpu_count; cpu++) {
        counts->records[OFFCPU_INTERVAL] += *(const volatile __u64 *)&bss->lanes[cpu].intervals;
        counts->dropped[OFFCPU_INTERVAL] += *(const volatile __u64 *)&bss->lanes[cpu].dropped;
    }
}

void offcpu_close(struct offcpu *offcpu)
{
    if (!offcpu)
        return;
    ring_buffer__free(offcpu->ring);
    if (offcpu->records)
        munmap((void *)offcpu->records, offcpu->records_bytes);
    offcpu_bpf__destroy(offcpu->skeleton);
    free(offcpu);
}
