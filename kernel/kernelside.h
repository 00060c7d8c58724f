/* The kernel's side of a program that is recorded, at the best tier that this machine and user allow.
 *
 *     kernelside_open -> kernelside_aim -> kernelside_poll ... -> kernelside_close
 *
 * Opening takes the privileges, before there is a program; only perf may need CAP_PERFMON to be aimed, and nothing does
 * after that, so capabilities can be given up then. Aiming says whose threads are meant; nothing is told of anybody
 * before. A tier is a file with a struct kernelside_tier, in the order of what they tell:
 *
 * | tier | what it wants                       | what it tells                                                      |
 * |------|-------------------------------------|--------------------------------------------------------------------|
 * | bpf  | CAP_BPF, CAP_PERFMON, BTF           | each interval without a CPU: G, why, which call, next, waker       |
 * | perf | perf_event_paranoid <= 2, same user | each interval, and whether the thread could have run on            |
 * | proc | /proc/PID/task/TID/schedstat        | how long each thread ran and waited for a CPU, a figure a poll     |
 *
 * A tier is tried by use; what cannot be opened says why. With `auto` the
 * next one is tried, down to none, so opening never fails then. A tier that was asked for by name fails instead. */
#ifndef GMPT_KERNELSIDE_H
#define GMPT_KERNELSIDE_H

#include "trace/kernelrecord.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FIRST_PID_NAMESPACE 0xeffffffcu /* the inode that Linux gives it, always: there bpf knows the ids */

/* Whom to watch. */
struct kernelside_target {
    pid_t pid; /* as this process sees it */
    /* Where the words of its threads lie, as the header of its segment has it; m_word_offset 0 = there are none. */
    int64_t thread_m_offset;
    uint32_t m_word_offset;
    uint64_t words_at; /* where it has mapped kernelside_words; 0 = it has not */
    uint64_t entry_pc; /* likewise: what a G begins with; 0 = not known */
};

/* What is wanted of it beside that; a tier that cannot do it goes without. */
struct kernelside_options {
    uint64_t kernel_stack_ns; /* of what lasts this long, where in the kernel the thread was; 0 = of nothing */
    uint32_t sample_hz;       /* CPU samples, for each second of CPU time; 0 = none */
};

/* What a tier that was opened does not do of what it could. */
enum kernelside_unable {
    KERNELSIDE_UNNAMED = 1,  /* where in the kernel: it does not show where its functions lie */
    KERNELSIDE_UNSAMPLED = 2, /* CPU samples */
    KERNELSIDE_UNFAULTED = 4, /* page faults */
};

/* Why a tier is not to be had: a sentence without a full stop. What would change that is for `gmptrace doctor` to say,
 * which tries the same. */
struct kernelside_lack {
    enum gmpt_kernel_tier tier;
    char why[256];
};

typedef int kernelside_take(void *arg, const struct kernel_record *record); /* 0, or what ends the poll */

struct kernelside_tier {
    enum gmpt_kernel_tier tier;
    const char *name;
    long call; /* the system call that it is made of, which a filter may kill for; -1 = nothing special */
    /* Takes what privileges it needs. Returns 0 with *state, or -errno with *lack filled and nothing left open. */
    int (*open)(void **state, const struct kernelside_options *options, struct kernelside_lack *lack);
    unsigned (*unable)(const void *state); /* after open; NULL: it does nothing of all that */
    int (*words)(const void *state);       /* after open: kernelside_words; NULL: it has none */
    int64_t (*error_ns)(const void *state); /* after open: kernelside_error_ns; NULL: 0 */
    /* From here on it watches this program. Returns 0, or -errno with *lack filled; it is then to be closed. */
    int (*aim)(void *state, const struct kernelside_target *target, struct kernelside_lack *lack);
    /* Tells all that has come by now, in any order; losses that came since the last poll, too. Does not wait. last: as
     * there will be no other. Returns 0, -errno, or what take returned. */
    int (*poll)(void *state, bool last, kernelside_take *take, void *arg);
    void (*close)(void *state); /* after open, at any stage */
};

extern const struct kernelside_tier kernelside_bpf, kernelside_perf, kernelside_proc; /* bpftier.c, ... */

void kernelside_refuse(struct kernelside_lack *lack, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define KERNELSIDE_AUTO GMPT_KERNEL_TIERS /* the best that there is */

struct kernelside; /* one thread at a time may use it */

/* wanted: enum gmpt_kernel_tier, or KERNELSIDE_AUTO. Returns 0, or, when the tier that was asked for is not to be had,
 * or for want of memory, -errno with *lack filled. */
int kernelside_open(struct kernelside **side, int wanted, const struct kernelside_options *options,
                    struct kernelside_lack *lack);
/* A file that the program may map for the words of its threads (SEGMENT_WORDS), where they are read much faster; -1 =
 * there is none. The side's, until it is closed. */
int kernelside_words(const struct kernelside *side);
/* With auto, a tier that cannot be aimed gives way to the next one. Returns as kernelside_open. */
int kernelside_aim(struct kernelside *side, const struct kernelside_target *target, struct kernelside_lack *lack);

enum gmpt_kernel_tier kernelside_tier_now(const struct kernelside *side);
int64_t kernelside_error_ns(const struct kernelside *side); /* how far off CLOCK_MONOTONIC its times may be */
unsigned kernelside_unable(const struct kernelside *side); /* a set of enum kernelside_unable */
/* What keeps it from the next better tier; NULL = nothing is better, or that was not tried. */
const struct kernelside_lack *kernelside_better(const struct kernelside *side);

/* Threads of the program have the ids that it has for them itself. */
int kernelside_poll(struct kernelside *side, bool last, kernelside_take *take, void *arg);

void kernelside_close(struct kernelside *side); /* NULL is allowed */

#endif
