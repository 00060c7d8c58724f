/* The tier bpf: a program in the kernel notes each switch of each thread (ebpf/offcpu.h). */
#include "blockplace.h"
#include "bpfrecord.h"
#include "cpuslices.h"
#include "kernelnames.h"
#include "kernelside.h"

#include "ebpf/offcpu.h"
#include "trace/segment.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

struct bpftier {
    struct offcpu *offcpu;
    struct blockplace *place; /* NULL until it is aimed */
    struct cpuslices slices;
    struct kernelnames *names; /* NULL: the kernel does not show them */
    uint32_t sample_hz;        /* 0 = it does not sample */
    uint64_t lost_told[GMPT_KERNEL_LOSSES];
    kernelside_take *take;     /* of the poll that is under way */
    void *arg;
};

static void bpftier_close(void *state)
{
    struct bpftier *tier = state;
    offcpu_close(tier->offcpu);
    blockplace_close(tier->place);
    cpuslices_clear(&tier->slices);
    kernelnames_close(tier->names);
    free(tier);
}

static int bpftier_open(void **state, const struct kernelside_options *options, struct kernelside_lack *lack)
{
    struct bpftier *tier = calloc(1, sizeof *tier);
    struct stat namespace;
    if (!tier) {
        kernelside_refuse(lack, "out of memory");
        return -ENOMEM;
    }
    /* The program in the kernel sees the ids of the first one. */
    if (stat("/proc/self/ns/pid", &namespace) == 0 && namespace.st_ino != FIRST_PID_NAMESPACE) {
        kernelside_refuse(lack, "process ids here are those of a container (a pid namespace), which it does not know");
        free(tier);
        return -EOPNOTSUPP;
    }
    const char *what = "the BPF program cannot be read";
    if (options->kernel_stack_ns || options->sample_hz)
        tier->names = kernelnames_open(KERNELNAMES_PATH);
    int result = offcpu_open(&tier->offcpu, &(struct offcpu_options){ tier->names ? options->kernel_stack_ns : 0,
                                                                      options->sample_hz });
    if (result == 0) {
        what = "the kernel does not take the BPF program";
        result = offcpu_load(tier->offcpu);
    }
    if (result == 0) {
        what = "the BPF program cannot be attached to the scheduler";
        result = offcpu_attach(tier->offcpu);
    }
    if (result) {
        kernelside_refuse(lack, "%s: %s", what, strerror(-result));
        bpftier_close(tier);
        return result;
    }
    if (options->sample_hz && offcpu_sample(tier->offcpu) == 0)
        tier->sample_hz = options->sample_hz;
    *state = tier;
    return 0;
}

static unsigned bpftier_unable(const void *state)
{
    const struct bpftier *tier = state;
    return (tier->names ? 0 : KERNELSIDE_UNNAMED) | (tier->sample_hz ? 0 : KERNELSIDE_UNSAMPLED) |
           (offcpu_tells_faults(tier->offcpu) ? 0 : KERNELSIDE_UNFAULTED);
}

_Static_assert(OFFCPU_WORDS == SEGMENT_WORDS && sizeof(struct offcpu_word) == SEGMENT_WORD_BYTES,
               "one is written as the other");

static int bpftier_words(const void *state)
{
    const struct bpftier *tier = state;
    return offcpu_words(tier->offcpu);
}

static int64_t bpftier_error_ns(const void *state)
{
    const struct bpftier *tier = state;
    return offcpu_error_ns(tier->offcpu);
}

static int bpftier_aim(void *state, const struct kernelside_target *target, struct kernelside_lack *lack)
{
    struct bpftier *tier = state;
    tier->place = blockplace_open(target->pid, target->entry_pc);
    if (!tier->place) {
        kernelside_refuse(lack, "out of memory");
        return -ENOMEM;
    }
    offcpu_aim(tier->offcpu, &(struct offcpu_target){ target->pid, target->thread_m_offset, target->m_word_offset,
                                                      target->words_at });
    return 0;
}

/* What it executed, or where it was. */
static void stacks_fill(struct bpftier *tier, struct kernel_record *record, const struct offcpu_stacked *stacked)
{
    const struct offcpu_kernel *kernel = &stacked->kernel;
    record->stack_count =
        blockplace_find(tier->place, &stacked->stack, stacked->record.syscall >= 0, record->stack);
    for (uint32_t i = 0; tier->names && i < kernel->frame_count && i < OFFCPU_KERNEL_FRAMES; i++)
        record->kernel[record->kernel_count++] = kernelnames_find(tier->names, kernel->frame[i]);
}

static int record_take(const struct offcpu_record *from, const struct offcpu_stacked *stacked, void *arg)
{
    struct bpftier *tier = arg;
    struct kernel_record record = { .tid = from->tid, .at_ns = from->on_ns };
    switch (from->type) {
    case OFFCPU_SLICE:
        return cpuslices_add(&tier->slices, from);
    case OFFCPU_INTERVAL:
        bpfrecord_interval(&record, from, &tier->slices);
        break;
    case OFFCPU_SAMPLE:
        if (!tier->sample_hz)
            return 0;
        record.type = KERNEL_SAMPLE;
        record.sample.word = from->word;
        record.sample.cpu_ns = 1000000000 / tier->sample_hz;
        break;
    case OFFCPU_FAULTS:
        record.type = KERNEL_FAULTS;
        record.faults.word = from->word;
        record.faults.count = from->off_ns;
        record.faults.address = from->argument;
        break;
    default:
        record.type = KERNEL_THREAD;
        record.thread.ended = from->type == OFFCPU_THREAD_EXIT;
    }
    if (stacked)
        stacks_fill(tier, &record, stacked);
    return tier->take(tier->arg, &record);
}

static int losses_tell(struct bpftier *tier)
{
    struct offcpu_counts counts;
    offcpu_counts_read(tier->offcpu, &counts);
    const uint64_t lost[GMPT_KERNEL_LOSSES] = {
        [GMPT_KERNEL_LOST_INTERVALS] = counts.dropped[OFFCPU_INTERVAL],
        [GMPT_KERNEL_LOST_STARTS] = counts.dropped[OFFCPU_THREAD_START],
        [GMPT_KERNEL_LOST_ENDS] = counts.dropped[OFFCPU_THREAD_EXIT],
        [GMPT_KERNEL_LOST_NOTES] = counts.unseen,
        [GMPT_KERNEL_LOST_WORDS] = counts.unread,
        [GMPT_KERNEL_LOST_SLICES] = counts.dropped[OFFCPU_SLICE],
        [GMPT_KERNEL_LOST_SAMPLES] = counts.dropped[OFFCPU_SAMPLE],
        [GMPT_KERNEL_LOST_FAULTS] = counts.dropped[OFFCPU_FAULTS],
        [GMPT_KERNEL_LOST_PLACES] = counts.unplaced,
    };
    int result = 0;
    for (int what = 0; result == 0 && what < GMPT_KERNEL_LOSSES; what++) {
        struct kernel_record record = {
            .type = KERNEL_LOST,
            .lost = { (enum gmpt_kernel_loss)what, lost[what] - tier->lost_told[what] },
        };
        tier->lost_told[what] = lost[what];
        if (record.lost.count)
            result = tier->take(tier->arg, &record);
    }
    return result;
}

static int bpftier_poll(void *state, bool last, kernelside_take *take, void *arg)
{
    struct bpftier *tier = state;
    tier->take = take;
    tier->arg = arg;
    int result = offcpu_poll(tier->offcpu, record_take, tier);
    if (result == 0 && last)
        result = offcpu_finish(tier->offcpu, record_take, tier);
    return result ? result : losses_tell(tier);
}

const struct kernelside_tier kernelside_bpf = {
    .tier = GMPT_KERNEL_BPF,
    .name = "bpf",
    .call = SYS_bpf,
    .open = bpftier_open,
    .unable = bpftier_unable,
    .words = bpftier_words,
    .error_ns = bpftier_error_ns,
    .aim = bpftier_aim,
    .poll = bpftier_poll,
    .close = bpftier_close,
};
