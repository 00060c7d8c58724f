/* Chooses among the tiers. See kernelside.h. */
#define _GNU_SOURCE
#include "kernelside.h"

#include "ownids.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The best first. */
static const struct kernelside_tier *const tiers[] = { &kernelside_bpf, &kernelside_perf, &kernelside_proc };
#define TIERS (sizeof tiers / sizeof tiers[0])

struct kernelside {
    bool automatic;
    struct kernelside_options options;
    size_t tier; /* of tiers; TIERS = off */
    void *state; /* of the tier */
    struct ownids ids;
    kernelside_take *take; /* of the poll that is under way */
    void *arg;
    bool lacking;
    struct kernelside_lack better; /* valid when lacking */
};

void kernelside_refuse(struct kernelside_lack *lack, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(lack->why, sizeof lack->why, format, args);
    va_end(args);
}

/* Whether a filter of system calls kills who makes this one: then it is not to be tried here. */
static bool call_kills(long call)
{
    int status = 0;
    if (call < 0 || prctl(PR_GET_SECCOMP) != SECCOMP_MODE_FILTER)
        return false;
    pid_t pid = fork();
    if (pid == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){ 0 });
        syscall(call, -1, NULL, 0, 0, 0); /* of no kernel's meaning */
        _exit(0);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return pid > 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
}

static int tier_open(struct kernelside *side, struct kernelside_lack *lack)
{
    const struct kernelside_tier *tier = tiers[side->tier];
    if (!call_kills(tier->call))
        return tier->open(&side->state, &side->options, lack);
    kernelside_refuse(lack, "a filter of system calls (seccomp) kills who tries it");
    return -EPERM;
}

/* The next tier from this one on that can be opened; the reason why the last one before it cannot is kept. */
static void tier_descend(struct kernelside *side)
{
    for (; side->tier < TIERS; side->tier++) {
        struct kernelside_lack lack = { .tier = tiers[side->tier]->tier };
        if (tier_open(side, &lack) == 0)
            return;
        side->better = lack;
        side->lacking = true;
    }
}

int kernelside_open(struct kernelside **out, int wanted, const struct kernelside_options *options,
                    struct kernelside_lack *lack)
{
    struct kernelside *side = calloc(1, sizeof *side);
    int result = 0;
    lack->tier = (enum gmpt_kernel_tier)wanted;
    if (!side) {
        kernelside_refuse(lack, "out of memory");
        return -ENOMEM;
    }
    side->options = *options;
    side->automatic = wanted == KERNELSIDE_AUTO;
    if (side->automatic) {
        tier_descend(side);
    } else {
        while (side->tier < TIERS && (int)tiers[side->tier]->tier != wanted)
            side->tier++;
        if (side->tier < TIERS)
            result = tier_open(side, lack);
    }
    if (result) {
        free(side);
        return result;
    }
    *out = side;
    return 0;
}

int kernelside_aim(struct kernelside *side, const struct kernelside_target *target, struct kernelside_lack *lack)
{
    ownids_open(&side->ids, target->pid);
    while (side->tier < TIERS) {
        lack->tier = tiers[side->tier]->tier;
        int result = tiers[side->tier]->aim(side->state, target, lack);
        if (result == 0 || !side->automatic)
            return result;
        side->better = *lack;
        side->lacking = true;
        tiers[side->tier]->close(side->state);
        side->tier++;
        tier_descend(side);
    }
    return 0;
}

enum gmpt_kernel_tier kernelside_tier_now(const struct kernelside *side)
{
    return side->tier < TIERS ? tiers[side->tier]->tier : GMPT_KERNEL_OFF;
}

int64_t kernelside_error_ns(const struct kernelside *side)
{
    return side->tier < TIERS && tiers[side->tier]->error_ns ? tiers[side->tier]->error_ns(side->state) : 0;
}

unsigned kernelside_unable(const struct kernelside *side)
{
    if (side->tier < TIERS && tiers[side->tier]->unable)
        return tiers[side->tier]->unable(side->state);
    return KERNELSIDE_UNNAMED | KERNELSIDE_UNSAMPLED | KERNELSIDE_UNFAULTED;
}

int kernelside_words(const struct kernelside *side)
{
    return side->tier < TIERS && tiers[side->tier]->words ? tiers[side->tier]->words(side->state) : -1;
}

const struct kernelside_lack *kernelside_better(const struct kernelside *side)
{
    return side->lacking ? &side->better : NULL;
}

static int record_take(void *arg, const struct kernel_record *record)
{
    struct kernelside *side = arg;
    struct kernel_record own = *record;
    int result = ownids_put(&side->ids, &own);
    return result ? result : side->take(side->arg, &own);
}

int kernelside_poll(struct kernelside *side, bool last, kernelside_take *take, void *arg)
{
    if (side->tier == TIERS)
        return 0;
    if (!ownids_differ(&side->ids))
        return tiers[side->tier]->poll(side->state, last, take, arg);
    side->take = take;
    side->arg = arg;
    return tiers[side->tier]->poll(side->state, last, record_take, side);
}

void kernelside_close(struct kernelside *side)
{
    if (!side)
        return;
    if (side->tier < TIERS)
        tiers[side->tier]->close(side->state);
    ownids_close(&side->ids);
    free(side);
}
