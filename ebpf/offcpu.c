/* The loader of offcpu.bpf.c, which is in offcpu.skel.h as an object. See offcpu.h. */
#define _GNU_SOURCE
#include "offcpu.h"

#include "offcpu.skel.h"

#include <bpf/btf.h>

#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#define RECORDS_MOST 131072u /* in all lanes together; but in one at least: */
#define LANE_RECORDS_LEAST 8192u
#define LANE_RECORDS_MOST 65536u
#define CLOCK_TELL_NS 1000000
#define CLOCK_SLEEPS 64 /* in which the clocks are set beside each other, 60 microseconds each */
#define PCPU_HOT_PREEMPT_COUNT 8 /* in that of Linux 6.2 to 6.14, behind a pointer to the thread that runs */
#define DRIFT_MORE 2 /* millionths by which clocks may drift apart, beside what CLOCK_MONOTONIC is adjusted by */
#define CLOCK_ERROR_NS 1000 /* by which the scheduler's clock as it is mapped may be off */
#define CLOCK_STEPPED_NS 20000 /* further apart than expected, in so many polls, they have been set anew */
#define CLOCK_STEPPED_POLLS 8

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
    int64_t behind_ns, adjusted_by;
    int64_t least_behind_ns; /* of the last polls that said that they are further apart; INT64_MAX = none did */
    unsigned stepped_polls;
    uint32_t sample_hz;
    struct bpf_link **samplers; /* of each CPU that is there; NULL until they are attached */
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

/* The millionths by which CLOCK_MONOTONIC is made to run faster than the scheduler's clock. */
static int64_t adjusted_by(void)
{
    struct timex state = { 0 };
    if (adjtimex(&state) < 0)
        return 0;
    return state.freq / 65536 + (state.tick - 1000000 / sysconf(_SC_CLK_TCK)) * sysconf(_SC_CLK_TCK);
}

/* Both clocks at a moment: the scheduler had read its own a little before, mostly 0.2 microseconds, and at times it is
 * busy in between. So they are never further apart than this says, and what rises is only what a clock can drift. */
static void clock_take(struct offcpu *offcpu, const struct offcpu_record *both)
{
    int64_t behind_ns = (int64_t)(both->on_ns - both->off_ns), drift_ns = 0;
    if (offcpu->clock_at_ns && both->off_ns > offcpu->clock_at_ns)
        drift_ns = (int64_t)((both->off_ns - offcpu->clock_at_ns) / 1000) * (offcpu->adjusted_by + DRIFT_MORE) / 1000;
    if (offcpu->clock_at_ns == 0 || behind_ns < offcpu->behind_ns + drift_ns)
        offcpu->behind_ns = behind_ns;
    else
        offcpu->behind_ns += drift_ns;
    if (offcpu->clock_at_ns == 0 || drift_ns)
        offcpu->clock_at_ns = both->off_ns;
    if (behind_ns < offcpu->least_behind_ns)
        offcpu->least_behind_ns = behind_ns;
}

/* After those of a poll: when even the best of several polls in a row says that they are further apart, they are. */
static void clock_check(struct offcpu *offcpu)
{
    bool any = offcpu->least_behind_ns != INT64_MAX;
    if (any && offcpu->least_behind_ns <= offcpu->behind_ns + CLOCK_STEPPED_NS)
        offcpu->stepped_polls = 0;
    else if (any && ++offcpu->stepped_polls == CLOCK_STEPPED_POLLS) {
        offcpu->behind_ns = offcpu->least_behind_ns;
        offcpu->stepped_polls = 0;
    }
    if (offcpu->stepped_polls == 0)
        offcpu->least_behind_ns = INT64_MAX;
    offcpu->adjusted_by = adjusted_by();
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

/* Whether the kernel has a function, or a tracepoint's type, of this name. */
static bool kernel_has(const struct btf *types, const char *name, uint32_t kind)
{
    return types && btf__find_by_name_kind(types, name, kind) > 0;
}

/* Where a variable that each CPU has lies among these; -1: there is no such. */
static int64_t percpu_offset(const struct btf *types, const char *name)
{
    int32_t variable = types ? btf__find_by_name_kind(types, name, BTF_KIND_VAR) : -1;
    int32_t section = types ? btf__find_by_name_kind(types, ".data..percpu", BTF_KIND_DATASEC) : -1;
    if (variable < 0 || section < 0)
        return -1;
    const struct btf_type *all = btf__type_by_id(types, (uint32_t)section);
    const struct btf_var_secinfo *one = btf_var_secinfos(all);
    for (unsigned i = 0; i < btf_vlen(all); i++)
        if (one[i].type == (uint32_t)variable)
            return one[i].offset;
    return -1;
}

static int64_t preempt_count_beyond(const struct btf *types)
{
    int64_t queue = percpu_offset(types, "runqueues"), count = percpu_offset(types, "__preempt_count");
    if (count < 0 && (count = percpu_offset(types, "pcpu_hot")) >= 0)
        count += PCPU_HOT_PREEMPT_COUNT;
    return queue < 0 || count < 0 ? 0 : count - queue;
}

int offcpu_open(struct offcpu **offcpu, const struct offcpu_options *options)
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
    new->least_behind_ns = INT64_MAX;
    new->cpu_count = (uint32_t)cpus < OFFCPU_CPUS ? (uint32_t)cpus : OFFCPU_CPUS;
    new->lane_records = LANE_RECORDS_LEAST;
    while (new->lane_records < LANE_RECORDS_MOST && new->lane_records * 2 * new->cpu_count <= RECORDS_MOST)
        new->lane_records *= 2;
    new->skeleton->rodata->lane_records = new->lane_records;
    new->skeleton->rodata->kernel_stack_ns = options->kernel_stack_ns;
    new->skeleton->rodata->scheduler_clock = scheduler_clock();
    new->sample_hz = options->sample_hz;
    struct btf *types = btf__load_vmlinux_btf();
    new->skeleton->rodata->has_cast = kernel_has(types, "bpf_rdonly_cast", BTF_KIND_FUNC);
    new->skeleton->rodata->preempt_count_beyond = preempt_count_beyond(types);
    bpf_program__set_autoload(new->skeleton->progs.on_fault,
                              kernel_has(types, "btf_trace_page_fault_user", BTF_KIND_TYPEDEF));
    bpf_program__set_autoload(new->skeleton->progs.on_sample, options->sample_hz > 0);
    bpf_program__set_autoattach(new->skeleton->progs.on_sample, false);
    btf__free(types);
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

/* A clock for each CPU: it is only looked at who runs there. */
int offcpu_sample(struct offcpu *offcpu)
{
    struct perf_event_attr clock = {
        .type = PERF_TYPE_SOFTWARE,
        .size = sizeof clock,
        .config = PERF_COUNT_SW_CPU_CLOCK,
        .sample_freq = offcpu->sample_hz,
        .freq = 1,
    };
    offcpu->samplers = calloc(offcpu->cpu_count, sizeof *offcpu->samplers);
    if (!offcpu->samplers)
        return -ENOMEM;
    for (uint32_t cpu = 0; cpu < offcpu->cpu_count; cpu++) {
        int fd = (int)syscall(SYS_perf_event_open, &clock, -1, (int)cpu, -1, PERF_FLAG_FD_CLOEXEC);
        if (fd < 0 && (errno == ENODEV || errno == ENXIO))
            continue; /* that CPU is off */
        offcpu->samplers[cpu] = fd < 0 ? NULL : bpf_program__attach_perf_event(offcpu->skeleton->progs.on_sample, fd);
        if (!offcpu->samplers[cpu]) {
            int error = errno;
            if (fd >= 0)
                close(fd);
            return -error;
        }
    }
    return 0;
}

int64_t offcpu_error_ns(const struct offcpu *offcpu)
{
    return offcpu->skeleton->rodata->scheduler_clock ? CLOCK_ERROR_NS : 0;
}

bool offcpu_tells_faults(const struct offcpu *offcpu)
{
    return bpf_program__autoload(offcpu->skeleton->progs.on_fault);
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
    clock_check(offcpu);
    int result = ring_buffer__consume(offcpu->ring);
    for (uint32_t cpu = 0; result >= 0 && cpu < offcpu->cpu_count; cpu++)
        result = lane_take(offcpu, cpu, heads[cpu]);
    return result < 0 ? result : 0;
}

static int record_drop(const struct offcpu_record *record, const struct offcpu_stacked *stacked, void *arg)
{
    (void)record;
    (void)stacked;
    (void)arg;
    return 0;
}

/* Both clocks, often, by switches of this thread, before there are others; no record of them stays. */
static void clocks_compare(struct offcpu *offcpu)
{
    struct offcpu_bpf *skeleton = offcpu->skeleton;
    __atomic_store_n(&skeleton->data->target_pid, (uint32_t)getpid(), __ATOMIC_RELEASE);
    for (int i = 0; i < CLOCK_SLEEPS; i++)
        nanosleep(&(struct timespec){ .tv_nsec = 1 }, NULL);
    __atomic_store_n(&skeleton->data->target_pid, OFFCPU_NOBODY, __ATOMIC_RELEASE);
    skeleton->data->clock_tell_ns = CLOCK_TELL_NS;
    offcpu_poll(offcpu, record_drop, NULL);
    for (uint32_t cpu = 0; cpu < offcpu->cpu_count; cpu++)
        skeleton->bss->lanes[cpu].intervals = 0;
    memset(&skeleton->bss->counts, 0, sizeof skeleton->bss->counts);
}

int offcpu_attach(struct offcpu *offcpu)
{
    int result = offcpu_bpf__attach(offcpu->skeleton);
    if (result == 0)
        clocks_compare(offcpu);
    return result;
}

int offcpu_words(const struct offcpu *offcpu) { return bpf_map__fd(offcpu->skeleton->maps.words); }

void offcpu_aim(struct offcpu *offcpu, const struct offcpu_target *target)
{
    struct offcpu_bpf *skeleton = offcpu->skeleton;
    skeleton->bss->thread_m_offset = target->thread_m_offset;
    skeleton->bss->m_word_offset = target->m_word_offset;
    skeleton->bss->words_at = target->words_at ? target->words_at : UINT64_MAX;
    /* The program looks at the others only for the process that this names. */
    __atomic_store_n(&skeleton->data->target_pid, (uint32_t)target->pid, __ATOMIC_RELEASE);
}

int offcpu_finish(struct offcpu *offcpu, offcpu_take *fn, void *arg)
{
    struct timespec now;
    int result = 0;
    clock_gettime(CLOCK_MONOTONIC, &now);
    for (uint32_t i = 0; result == 0 && i < OFFCPU_SLOTS; i++) {
        const volatile struct offcpu_slot *slot = &offcpu->skeleton->bss->slots[i];
        struct offcpu_record record = {
            .type = OFFCPU_FAULTS,
            .tid = slot->tid,
            .on_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec,
            .off_ns = slot->faults - slot->faults_told,
            .argument = slot->fault_address,
            .word = OFFCPU_WORD_UNKNOWN,
        };
        if (record.tid && record.off_ns)
            result = fn(&record, NULL, arg);
    }
    return result;
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
    for (uint32_t cpu = 0; offcpu->samplers && cpu < offcpu->cpu_count; cpu++)
        bpf_link__destroy(offcpu->samplers[cpu]);
    free(offcpu->samplers);
    ring_buffer__free(offcpu->ring);
    if (offcpu->records)
        munmap((void *)offcpu->records, offcpu->records_bytes);
    offcpu_bpf__destroy(offcpu->skeleton);
    free(offcpu);
}
