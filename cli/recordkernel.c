/* See recordkernel.h. */
#define _GNU_SOURCE
#include "recordkernel.h"

#include "cli.h"
#include "doctorcheck.h"

#include "kernel/kernelside.h"

#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *const names[] = {
    [GMPT_KERNEL_OFF] = "off",
    [GMPT_KERNEL_PROC] = "proc",
    [GMPT_KERNEL_PERF] = "perf",
    [GMPT_KERNEL_BPF] = "bpf",
    [KERNELSIDE_AUTO] = "auto",
};
#define NAMES (sizeof names / sizeof names[0])

/* The check of the doctor's that tries what a tier is made of. */
static const char *const checks[] = {
    [GMPT_KERNEL_PROC] = "schedstat",
    [GMPT_KERNEL_PERF] = "perf",
    [GMPT_KERNEL_BPF] = "bpf",
};

int recordkernel_parse(struct recordkernel *kernel, const char *text)
{
    const char *value = text ? text : getenv(RECORDKERNEL_ENV);
    if (!value)
        value = "auto";
    for (size_t i = 0; i < NAMES; i++)
        if (strcmp(names[i], value) == 0) {
            kernel->wanted = (int)i;
            return CLI_OK;
        }
    return cli_usage("'%s'%s is none of auto, bpf, perf, proc and off, which say how closely the kernel's side is seen",
                     value, text ? "" : " in " RECORDKERNEL_ENV);
}

/* What keeps a tier away, and what would help. */
static void lack_tell(const struct kernelside_lack *lack, const char *before)
{
    struct doctor_machine machine;
    struct doctor_check check = { .state = DOCTOR_OK };
    doctor_machine_read(&machine);
    if ((size_t)lack->tier < sizeof checks / sizeof checks[0] && checks[lack->tier])
        doctor_try(&check, &machine, checks[lack->tier]);
    bool known = check.state == DOCTOR_LACKING;
    fprintf(stderr, "[ gmptrace record: %s%s: %s%s%s ]\n", before, names[lack->tier], known ? check.found : lack->why,
            known && check.fix[0] ? "; to have it: " : "", known ? check.fix : "");
}

static int refused(const struct kernelside_lack *lack)
{
    lack_tell(lack, "no --kernel=");
    return CLI_MACHINE;
}

/* Whoever was given capabilities for this gives them up but for this one, if it is needed yet; who is root has them
 * anyway. */
static void capabilities_drop(unsigned but)
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];
    if (geteuid() == 0 || syscall(SYS_capget, &head, sets))
        return;
    uint32_t dropped = CAP_TO_MASK(CAP_BPF) | CAP_TO_MASK(CAP_PERFMON) | CAP_TO_MASK(CAP_SYSLOG);
    uint32_t set = CAP_TO_INDEX(CAP_BPF);
    sets[set].effective &= ~dropped | but;
    sets[set].permitted &= ~dropped | but;
    sets[set].inheritable &= ~dropped; /* so that the program has none of them */
    syscall(SYS_capset, &head, sets);
}

int recordkernel_open(struct recordkernel *kernel)
{
    struct kernelside_lack lack;
    struct kernelside_options options = { (uint64_t)kernel->stack_ns, kernel->sample_hz };
    if (kernel->wanted == GMPT_KERNEL_OFF)
        return CLI_OK;
    if (kernelside_open(&kernel->side, kernel->wanted, &options, &lack))
        return refused(&lack);
    /* Perf events are opened on the program itself. */
    capabilities_drop(kernelside_tier_now(kernel->side) == GMPT_KERNEL_PERF ? CAP_TO_MASK(CAP_PERFMON) : 0);
    return CLI_OK;
}

bool recordkernel_samples(const struct recordkernel *kernel)
{
    return kernel->side && kernel->sample_hz && !(kernelside_unable(kernel->side) & KERNELSIDE_UNSAMPLED);
}

struct taking {
    struct recordkernel *kernel;
    struct kernelring *ring;
};

static int record_take(void *arg, const struct kernel_record *record)
{
    const struct taking *taking = arg;
    taking->kernel->intervals += record->type == KERNEL_INTERVAL;
    taking->kernel->figures += record->type == KERNEL_USAGE;
    taking->kernel->samples += record->type == KERNEL_SAMPLE;
    if (record->type == KERNEL_LOST &&
        (record->lost.what == GMPT_KERNEL_LOST_INTERVALS || record->lost.what == GMPT_KERNEL_LOST_NOTES ||
         record->lost.what == GMPT_KERNEL_LOST_HALVES))
        taking->kernel->lost += record->lost.count;
    return kernelring_take(taking->ring, record);
}

static int records_poll(void *arg, bool last, struct kernelring *ring)
{
    struct recordkernel *kernel = arg;
    struct taking taking = { kernel, ring };
    return kernelside_poll(kernel->side, last, record_take, &taking);
}

int recordkernel_words(const struct recordkernel *kernel)
{
    return kernel->side && kernel->starts ? kernelside_words(kernel->side) : -1;
}

int recordkernel_begin(struct recordkernel *kernel, struct recorder *recorder, pid_t pid)
{
    struct kernelside_lack lack;
    const struct segment_header *header = recorder_segment(recorder)->header;
    /* What it mapped once was another recorder's, if this one did not start it. */
    struct kernelside_target target = { pid, header->thread_m_offset, header->m_word_offset,
                                        kernel->starts ? header->words_at : 0, header->entry_pc };
    if (!kernel->side)
        return CLI_OK;
    int result = kernelside_aim(kernel->side, &target, &lack);
    capabilities_drop(0);
    if (result)
        return refused(&lack);
    struct recorder_kernel source = {
        .poll = records_poll,
        .arg = kernel,
        .tier = kernelside_tier_now(kernel->side),
        .others = !kernel->others_hidden,
        .error_ns = kernelside_error_ns(kernel->side),
    };
    if (source.tier != GMPT_KERNEL_OFF && recorder_kernel(recorder, &source)) {
        cli_error("out of memory");
        return CLI_MACHINE;
    }
    return CLI_OK;
}

void recordkernel_tell(const struct recordkernel *kernel, const struct recorder *recorder)
{
    char intervals[32], lost[32];
    /* What a tier cannot know. */
    static const char *const unknown[] = {
        [GMPT_KERNEL_PROC] = "; not known: each time without a CPU, and for whom",
        [GMPT_KERNEL_PERF] = "; not known: for whom, in which call, and who woke it",
        [GMPT_KERNEL_BPF] = "",
    };
    if (!kernel->side)
        return;
    enum gmpt_kernel_tier tier = kernelside_tier_now(kernel->side);
    int error = recorder_kernel_error(recorder);
    if (error)
        cli_error("what the kernel tells ends before the recording does: %s", strerror(-error));
    if (tier >= GMPT_KERNEL_PERF)
        fprintf(stderr, "[ gmptrace record: the kernel's side by %s: %s times without a CPU, %s lost%s ]\n",
                names[tier], cli_count(intervals, kernel->intervals), cli_count(lost, kernel->lost), unknown[tier]);
    else if (tier == GMPT_KERNEL_PROC)
        fprintf(stderr, "[ gmptrace record: the kernel's side by %s: %s figures of threads%s ]\n", names[tier],
                cli_count(intervals, kernel->figures), unknown[tier]);
    if (tier == GMPT_KERNEL_BPF && kernel->stack_ns && kernelside_unable(kernel->side) & KERNELSIDE_UNNAMED)
        fprintf(stderr, "[ gmptrace record: not known: where in the kernel, which does not show where its functions "
                        "lie; to have it: CAP_SYSLOG ]\n");
    if (tier == GMPT_KERNEL_BPF && kernelside_unable(kernel->side) & KERNELSIDE_UNFAULTED)
        fputs("[ gmptrace record: not known: page faults, of which this kernel does not tell ]\n", stderr);
    const struct kernelside_lack *lack = kernelside_better(kernel->side);
    if (lack)
        lack_tell(lack, tier == GMPT_KERNEL_OFF ? "nothing of the kernel's side, not even by " : "not by ");
}

void recordkernel_close(struct recordkernel *kernel) { kernelside_close(kernel->side); }
