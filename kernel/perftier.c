/* The tier perf: the kernel's perf events tell each thread's switches (switchevents.h), which a program's own user may
 * ask for, and /proc how long it waited in the kernel's queue in all (threadusage.h).
 *
 *     an event     thread was   then
 *     BLOCKED      any          off, since now
 *     PREEMPTED    any          off, since now
 *     RUN          off          an interval; on
 *     RUN          on           nothing: it is told of twice, having events that it inherited and others
 *     START        not there    off, since now, and so if no event of it came yet; else nothing, as before
 *     EXIT         any          not there
 *
 * Between the beginning and the end of a loss, and for each thread up to its next event after that, nothing is known:
 * an interval that ends there is counted as lost. So none is told of that was two. */
#include "switchevents.h"
#include "threadusage.h"

#include "trace/table.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define USAGE_PERIOD_NS 100000000
/* Of all rings, which bound those of many CPUs; one takes 32 bytes for each end of an interval. */
#define RINGS_BYTES (16u << 20)
#define RING_BYTES_MOST (4u << 20)
#define RING_BYTES_LEAST (512u << 10) /* what each CPU adds to what a user may lock, by default */

struct watched {
    uint32_t tid;
    bool off;
    bool since_before; /* no event of it was seen yet, and it was there before all of them */
    enum gmpt_kernel_why why;
    uint64_t off_ns;
    uint64_t losses; /* of the tier's, when this was so */
};

struct perftier {
    struct switchevents *events; /* NULL until it is aimed */
    struct threadusage *usage;   /* NULL also where /proc counts nothing */
    struct table watched;        /* by tid */
    uint64_t losses;             /* beginnings and ends so far */
    unsigned under_way;          /* losses that have begun, and did not end */
    uint64_t intervals_lost;     /* not told of yet */
    uint64_t halves_told;
    kernelside_take *take; /* of the poll that is under way */
    void *arg;
};

static void perftier_close(void *state)
{
    struct perftier *tier = state;
    switchevents_close(tier->events);
    threadusage_close(tier->usage);
    for (size_t i = 0; tier->watched.slots && i <= tier->watched.mask; i++)
        free(tier->watched.slots[i].entry);
    table_clear(&tier->watched);
    free(tier);
}

static int perftier_open(void **state, const struct kernelside_options *options, struct kernelside_lack *lack)
{
    (void)options;
    int result = switchevents_try(lack);
    if (result)
        return result;
    if (!(*state = calloc(1, sizeof(struct perftier)))) {
        kernelside_refuse(lack, "out of memory");
        return -ENOMEM;
    }
    return 0;
}

static struct watched *watched_find(const struct perftier *tier, uint32_t tid)
{
    return table_find(&tier->watched, table_mix(tid), NULL, NULL);
}

/* The thread, which is new if it was not there. NULL: no memory. */
static struct watched *watched_get(struct perftier *tier, uint32_t tid)
{
    struct watched *watched = watched_find(tier, tid);
    if (watched)
        return watched;
    watched = calloc(1, sizeof *watched);
    if (!watched || table_insert(&tier->watched, table_mix(tid), watched)) {
        free(watched);
        return NULL;
    }
    watched->tid = tid;
    return watched;
}

static int thread_found(void *arg, uint32_t tid)
{
    struct watched *watched = watched_get(arg, tid);
    if (!watched)
        return -ENOMEM;
    watched->since_before = true;
    return 0;
}

static int perftier_aim(void *state, const struct kernelside_target *target, struct kernelside_lack *lack)
{
    struct perftier *tier = state;
    struct kernelside_lack ignored;
    size_t ring_bytes = RING_BYTES_MOST;
    while (ring_bytes > RING_BYTES_LEAST && ring_bytes * (size_t)sysconf(_SC_NPROCESSORS_CONF) > RINGS_BYTES)
        ring_bytes /= 2;
    int result = switchevents_open(&tier->events, target->pid, ring_bytes, thread_found, tier, lack);
    if (result == 0 && threadusage_try(&ignored) == 0)
        result = threadusage_open(&tier->usage, target->pid, USAGE_PERIOD_NS, false, lack);
    return result;
}

/* ---- What comes ------------------------------------------------------------------------------------------------- */

static void watched_stop(const struct perftier *tier, struct watched *watched, const struct switchevent *event,
                         enum gmpt_kernel_why why)
{
    watched->off = true;
    watched->since_before = false;
    watched->why = why;
    watched->off_ns = event->at_ns;
    watched->losses = tier->losses;
}

static int watched_run(struct perftier *tier, struct watched *watched, const struct switchevent *event)
{
    bool sure = tier->under_way == 0 && watched->losses == tier->losses;
    bool was_off = watched->off, was_before = watched->since_before;
    uint64_t off_ns = event->at_ns - watched->off_ns;
    watched->off = watched->since_before = false;
    watched->losses = tier->losses;
    if (!sure && !was_before)
        tier->intervals_lost++;
    if (!sure || !was_off)
        return 0;
    struct kernel_record record = {
        .type = KERNEL_INTERVAL,
        .tid = watched->tid,
        .at_ns = event->at_ns,
        .interval = {
            .off_ns = off_ns,
            .queue_ns = watched->why == GMPT_KERNEL_BLOCKED ? GMPT_KERNEL_NS_NOT_KNOWN : off_ns,
            .word = KERNEL_WORD_UNKNOWN,
            .why = watched->why,
            .call = -1,
        },
    };
    return tier->take(tier->arg, &record);
}

static int thread_tell(const struct perftier *tier, const struct switchevent *event, bool ended)
{
    struct kernel_record record = {
        .type = KERNEL_THREAD, .tid = event->tid, .at_ns = event->at_ns, .thread = { .ended = ended }
    };
    return tier->take(tier->arg, &record);
}

static int thread_end(struct perftier *tier, const struct switchevent *event)
{
    struct watched *watched = watched_find(tier, event->tid);
    if (!watched)
        return 0;
    table_remove(&tier->watched, table_mix(event->tid), watched);
    free(watched);
    return thread_tell(tier, event, true);
}

static int event_take(void *arg, const struct switchevent *event)
{
    struct perftier *tier = arg;
    bool known = watched_find(tier, event->tid) != NULL;
    struct watched *watched = NULL;
    if (event->tid && event->kind != SWITCHEVENT_EXIT) {
        watched = watched_get(tier, event->tid);
        if (!watched)
            return -ENOMEM;
        if (!known)
            watched->losses = event->kind == SWITCHEVENT_RUN ? UINT64_MAX : tier->losses; /* its start was lost */
    }
    switch (event->kind) {
    case SWITCHEVENT_LOSS_BEGIN:
        tier->losses++;
        tier->under_way++;
        return 0;
    case SWITCHEVENT_LOSS_END:
        tier->losses++;
        tier->under_way--;
        return 0;
    case SWITCHEVENT_START:
        if (known && !watched->since_before) /* else it was found in /proc before this was read */
            return 0;
        watched_stop(tier, watched, event, GMPT_KERNEL_STARTED);
        return thread_tell(tier, event, false);
    case SWITCHEVENT_EXIT:
        return thread_end(tier, event);
    case SWITCHEVENT_BLOCKED:
        watched_stop(tier, watched, event, GMPT_KERNEL_BLOCKED);
        return 0;
    case SWITCHEVENT_PREEMPTED:
        watched_stop(tier, watched, event, GMPT_KERNEL_PREEMPTED);
        return 0;
    case SWITCHEVENT_RUN:
        return watched_run(tier, watched, event);
    }
    return 0;
}

static int loss_tell(const struct perftier *tier, enum gmpt_kernel_loss what, uint64_t count)
{
    struct kernel_record record = { .type = KERNEL_LOST, .lost = { what, count } };
    return count ? tier->take(tier->arg, &record) : 0;
}

static int perftier_poll(void *state, bool last, kernelside_take *take, void *arg)
{
    struct perftier *tier = state;
    tier->take = take;
    tier->arg = arg;
    int result = switchevents_read(tier->events, last, event_take, tier);
    uint64_t halves = switchevents_lost(tier->events), intervals = tier->intervals_lost;
    tier->intervals_lost = 0;
    result = result ? result : loss_tell(tier, GMPT_KERNEL_LOST_HALVES, halves - tier->halves_told);
    result = result ? result : loss_tell(tier, GMPT_KERNEL_LOST_INTERVALS, intervals);
    tier->halves_told = halves;
    if (result || !tier->usage)
        return result;
    return threadusage_poll(tier->usage, last, take, arg);
}

const struct kernelside_tier kernelside_perf = {
    .tier = GMPT_KERNEL_PERF,
    .name = "perf",
    .call = SYS_perf_event_open,
    .open = perftier_open,
    .aim = perftier_aim,
    .poll = perftier_poll,
    .close = perftier_close,
};
