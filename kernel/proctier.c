/* The tier proc: what /proc counts of each thread (threadusage.h), which takes no privileges. */
#include "threadusage.h"

#include <errno.h>
#include <stdlib.h>

#define PERIOD_NS 10000000

struct proctier {
    struct threadusage *usage; /* NULL until it is aimed */
};

static void proctier_close(void *state)
{
    struct proctier *tier = state;
    threadusage_close(tier->usage);
    free(tier);
}

static int proctier_open(void **state, const struct kernelside_options *options, struct kernelside_lack *lack)
{
    (void)options;
    struct proctier *tier = calloc(1, sizeof *tier);
    int result = threadusage_try(lack);
    if (!tier || result) {
        if (!result)
            kernelside_refuse(lack, "out of memory");
        free(tier);
        return result ? result : -ENOMEM;
    }
    *state = tier;
    return 0;
}

static int proctier_aim(void *state, const struct kernelside_target *target, struct kernelside_lack *lack)
{
    struct proctier *tier = state;
    return threadusage_open(&tier->usage, target->pid, PERIOD_NS, true, lack);
}

static int proctier_poll(void *state, bool last, kernelside_take *take, void *arg)
{
    const struct proctier *tier = state;
    return threadusage_poll(tier->usage, last, take, arg);
}

const struct kernelside_tier kernelside_proc = {
    .tier = GMPT_KERNEL_PROC,
    .name = "proc",
    .call = -1,
    .open = proctier_open,
    .aim = proctier_aim,
    .poll = proctier_poll,
    .close = proctier_close,
};
