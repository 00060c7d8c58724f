/* Perf events' records of switches: a child that has one thread, whose switches the kernel counts. */
#define _GNU_SOURCE
#include "run.h"

#include "kernel/kernelside.h"
#include "kernel/switchevents.h"
#include "kernel/threadusage.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define RING_BYTES (256u << 10)

static int go[2], told[2], there[2], back[2]; /* parent to child and back; child to its peer and back */
static pid_t child;

static void await(int fd)
{
    char byte;
    if (read(fd, &byte, 1) != 1)
        _exit(0);
}

static void pass(int fd)
{
    if (write(fd, "x", 1) != 1)
        _exit(1);
}

/* Exchanges bytes with another process, so many at each word of the parent. */
static void child_exchange(long rounds)
{
    if (fork() == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
            await(there[0]);
            pass(back[1]);
        }
    }
    for (;;) {
        pass(told[1]);
        await(go[0]);
        for (long i = 0; i < rounds; i++) {
            pass(there[1]);
            await(back[0]);
        }
    }
}

static void child_start(void (*fn)(long), long argument)
{
    ck_assert_int_eq(pipe(go) | pipe(told) | pipe(there) | pipe(back), 0);
    child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(go[1]);
        fn(argument);
        _exit(0);
    }
    ck_assert_int_gt(child, 0);
}

/* Until it waits for the parent in the kernel, and has no switch to come: it says so shortly before the last one. */
static uint64_t switches_at_rest(void)
{
    char path[64], line[128];
    unsigned long long voluntary = 0, other = 0, before = 0;
    char state = 0;
    for (int same = 0; same < 100; same = state == 'S' && voluntary + other == before ? same + 1 : 0) {
        before = voluntary + other;
        snprintf(path, sizeof path, "/proc/%d/status", (int)child);
        FILE *file = fopen(path, "re");
        ck_assert_ptr_nonnull(file);
        while (fgets(line, sizeof line, file)) {
            sscanf(line, "State: %c", &state);
            sscanf(line, "voluntary_ctxt_switches: %llu", &voluntary);
            sscanf(line, "nonvoluntary_ctxt_switches: %llu", &other);
        }
        fclose(file);
    }
    return voluntary + other;
}

struct seen {
    uint64_t kinds[SWITCHEVENT_RUN + 1];
    uint64_t last_ns;
    bool in_order;
};

static int event_see(void *arg, const struct switchevent *event)
{
    struct seen *seen = arg;
    seen->kinds[event->kind]++;
    seen->in_order = seen->in_order && event->at_ns >= seen->last_ns;
    seen->last_ns = event->at_ns;
    return 0;
}

static int thread_see(void *arg, uint32_t tid)
{
    (void)tid;
    ++*(int *)arg;
    return 0;
}

/* Watches one exchange; polls: or reads what there is afterwards. */
static const char *exchange_watch(long rounds, bool polls, struct seen *seen, uint64_t *lost, uint64_t *switches)
{
    static struct kernelside_lack lack;
    struct switchevents *events;
    int found = 0;
    if (UNDER_TSAN)
        return "ThreadSanitizer has a thread of its own";
    if (switchevents_try(&lack))
        return lack.why;
    child_start(child_exchange, rounds);
    await(told[0]);
    *switches = switches_at_rest();
    ck_assert_msg(switchevents_open(&events, child, RING_BYTES, thread_see, &found, &lack) == 0, "%s", lack.why);
    ck_assert_int_eq(found, 1);
    *seen = (struct seen){ .in_order = true };
    pass(go[1]);
    for (long i = 0; polls && i < 50; i++)
        REQUIRE(switchevents_read(events, false, event_see, seen) == 0);
    await(told[0]);
    *switches = switches_at_rest() - *switches;
    ck_assert_int_eq(switchevents_read(events, true, event_see, seen), 0);
    *lost = switchevents_lost(events);
    switchevents_close(events);
    ck_assert_int_eq(kill(child, SIGKILL), 0);
    return NULL;
}

TEST(switchevents, each_switch_is_told_once_and_in_order)
{
    struct seen seen;
    uint64_t lost, switches;
    const char *lacking = exchange_watch(2000, true, &seen, &lost, &switches);
    if (lacking)
        SKIP("%s", lacking);
    ck_assert(seen.in_order);
    ck_assert_uint_eq(lost, 0);
    ck_assert_uint_gt(switches, 0);
    ck_assert_uint_eq(seen.kinds[SWITCHEVENT_RUN], switches);
    ck_assert_uint_eq(seen.kinds[SWITCHEVENT_BLOCKED] + seen.kinds[SWITCHEVENT_PREEMPTED], switches);
    /* The peer is no thread of it. */
    ck_assert_uint_eq(seen.kinds[SWITCHEVENT_START] + seen.kinds[SWITCHEVENT_EXIT], 0);
}

TEST(switchevents, what_found_no_room_is_counted_exactly)
{
    struct seen seen;
    uint64_t lost, switches;
    const char *lacking = exchange_watch(60000, false, &seen, &lost, &switches);
    if (lacking)
        SKIP("%s", lacking);
    uint64_t out = seen.kinds[SWITCHEVENT_BLOCKED] + seen.kinds[SWITCHEVENT_PREEMPTED];
    if (2 * switches < 40000)
        SKIP("the peers hardly had to wait for each other");
    ck_assert_uint_gt(lost, 0);
    ck_assert_uint_eq(seen.kinds[SWITCHEVENT_RUN] + out + lost, 2 * switches);
    ck_assert_uint_gt(seen.kinds[SWITCHEVENT_LOSS_BEGIN], 0);
    ck_assert_uint_eq(seen.kinds[SWITCHEVENT_LOSS_BEGIN], seen.kinds[SWITCHEVENT_LOSS_END]);
}

/* ---- The tier ---------------------------------------------------------------------------------------------------- */

#define THREADS 200

static void *thread_pass(void *arg)
{
    (void)arg;
    return NULL;
}

/* Starts threads one after another, at the parent's word. */
static void child_threads(long count)
{
    pass(told[1]);
    await(go[0]);
    for (long i = 0; i < count; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, thread_pass, NULL) || pthread_join(thread, NULL))
            _exit(1);
    }
    pass(told[1]);
    await(go[0]);
}

struct tier_told {
    uint64_t starts, ends, first_runs, intervals, usages, lost[GMPT_KERNEL_LOSSES];
};

static int tier_see(void *arg, const struct kernel_record *record)
{
    struct tier_told *all = arg;
    switch (record->type) {
    case KERNEL_THREAD:
        ++*(record->thread.ended ? &all->ends : &all->starts);
        break;
    case KERNEL_INTERVAL:
        all->intervals++;
        all->first_runs += record->interval.why == GMPT_KERNEL_STARTED;
        REQUIRE(record->interval.word == KERNEL_WORD_UNKNOWN && !record->interval.by_known);
        REQUIRE((record->interval.why == GMPT_KERNEL_BLOCKED) ==
                (record->interval.queue_ns == GMPT_KERNEL_NS_NOT_KNOWN));
        break;
    case KERNEL_USAGE:
        all->usages++;
        break;
    case KERNEL_LOST:
        all->lost[record->lost.what] += record->lost.count;
        break;
    case KERNEL_SAMPLE:
    case KERNEL_FAULTS:
        ck_abort_msg("the tier bpf alone tells of these");
    }
    return 0;
}

/* Watches a child by the tier perf, which had had so many switches by then; NULL, or why that cannot be. */
static const char *tier_watch(void **tier, void (*fn)(long), long argument, uint64_t *switches)
{
    static struct kernelside_lack lack;
    if (kernelside_perf.open(tier, &(struct kernelside_options){ 0 }, &lack))
        return lack.why;
    child_start(fn, argument);
    await(told[0]);
    *switches = switches_at_rest();
    struct kernelside_target target = { .pid = child };
    ck_assert_msg(kernelside_perf.aim(*tier, &target, &lack) == 0, "%s", lack.why);
    pass(go[1]);
    return NULL;
}

TEST(perftier, threads_are_seen_from_their_start_to_their_end)
{
    SKIP_UNDER_TSAN("ThreadSanitizer has a thread of its own");
    struct tier_told all = { 0 };
    uint64_t switches;
    void *tier;
    const char *lacking = tier_watch(&tier, child_threads, THREADS, &switches);
    if (lacking)
        SKIP("%s", lacking);
    while (all.ends < THREADS)
        REQUIRE(kernelside_perf.poll(tier, false, tier_see, &all) == 0);
    await(told[0]);
    switches_at_rest();
    ck_assert_int_eq(kernelside_perf.poll(tier, true, tier_see, &all), 0);
    ck_assert_uint_eq(all.starts, THREADS);
    ck_assert_uint_eq(all.ends, THREADS);
    ck_assert_uint_eq(all.first_runs, THREADS);
    ck_assert_uint_gt(all.usages, 0);
    ck_assert_uint_eq(all.lost[GMPT_KERNEL_LOST_HALVES] + all.lost[GMPT_KERNEL_LOST_INTERVALS], 0);
    kernelside_perf.close(tier);
    ck_assert_int_eq(kill(child, SIGKILL), 0);
}

TEST(perftier, an_interval_that_a_loss_may_have_cut_is_counted_and_not_told)
{
    struct tier_told all = { 0 };
    uint64_t switches;
    void *tier;
    const char *lacking = tier_watch(&tier, child_exchange, 250000, &switches);
    if (lacking)
        SKIP("%s", lacking);
    await(told[0]);
    switches_at_rest();
    ck_assert_int_eq(kernelside_perf.poll(tier, false, tier_see, &all), 0); /* the ring is full */
    if (all.lost[GMPT_KERNEL_LOST_HALVES] == 0)
        SKIP("the peers hardly had to wait for each other");
    ck_assert_uint_gt(all.intervals, 0);
    pass(go[1]); /* it runs again, and what it was is not known */
    await(told[0]);
    switches = switches_at_rest() - switches;
    ck_assert_int_eq(kernelside_perf.poll(tier, true, tier_see, &all), 0);
    ck_assert_uint_ge(all.lost[GMPT_KERNEL_LOST_INTERVALS], 1);
    ck_assert_uint_le(all.intervals + all.lost[GMPT_KERNEL_LOST_INTERVALS], switches);
    /* Each that is not told has lost an end, or is counted. */
    ck_assert_uint_ge(all.intervals + all.lost[GMPT_KERNEL_LOST_INTERVALS] + all.lost[GMPT_KERNEL_LOST_HALVES],
                      switches);
    kernelside_perf.close(tier);
    ck_assert_int_eq(kill(child, SIGKILL), 0);
}

/* ---- threadusage.h ----------------------------------------------------------------------------------------------- */

static void *thread_wait(void *arg)
{
    (void)arg;
    pass(told[1]);
    await(there[0]);
    return NULL;
}

/* A thread that comes, and goes, at the parent's word. */
static void child_thread(long unused)
{
    pthread_t thread;
    (void)unused;
    pass(told[1]);
    await(go[0]);
    if (pthread_create(&thread, NULL, thread_wait, NULL) || pthread_join(thread, NULL))
        _exit(1);
    pass(told[1]);
    await(go[0]);
}

struct told {
    uint64_t starts, ends, usages, lost;
    uint32_t started, ended; /* who was the last */
    uint64_t slices;         /* of that which started */
};

static int record_see(void *arg, const struct kernel_record *record)
{
    struct told *all = arg;
    switch (record->type) {
    case KERNEL_THREAD:
        ++*(record->thread.ended ? &all->ends : &all->starts);
        *(record->thread.ended ? &all->ended : &all->started) = record->tid;
        break;
    case KERNEL_USAGE:
        all->usages++;
        all->slices += record->tid == all->started ? record->usage.slices : 0;
        break;
    case KERNEL_LOST:
        all->lost += record->lost.what == GMPT_KERNEL_LOST_USAGES ? record->lost.count : 0;
        break;
    default:
        break;
    }
    return 0;
}

TEST(threadusage, threads_come_and_go_and_what_is_not_known_of_them_is_counted)
{
    struct kernelside_lack lack;
    struct threadusage *usage;
    struct told all = { 0 };
    SKIP_UNDER_TSAN("ThreadSanitizer has a thread of its own");
    SKIP_IN_EMULATOR("has a thread of its own");
    if (threadusage_try(&lack))
        SKIP("%s", lack.why);
    child_start(child_thread, 0);
    await(told[0]);
    ck_assert_int_eq(threadusage_open(&usage, child, 0, true, &lack), 0);
    ck_assert_int_eq(threadusage_poll(usage, false, record_see, &all), 0);
    ck_assert_uint_eq(all.starts, 0); /* those that were there */
    pass(go[1]);
    await(told[0]); /* from the thread: it is there, and has run */
    ck_assert_int_eq(threadusage_poll(usage, false, record_see, &all), 0);
    ck_assert_uint_eq(all.starts, 1);
    ck_assert_uint_ne(all.started, (uint32_t)child);
    ck_assert_uint_ge(all.slices, 1);
    ck_assert_uint_eq(all.ends + all.lost, 0);
    pass(there[1]);
    await(told[0]);
    while (all.ends == 0) /* whoever joins it goes on shortly before it is gone */
        REQUIRE(threadusage_poll(usage, false, record_see, &all) == 0);
    ck_assert_uint_eq(all.ends, 1);
    ck_assert_uint_eq(all.ended, all.started);
    ck_assert_uint_eq(all.lost, 1);
    ck_assert_int_eq(kill(child, SIGKILL), 0);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    ck_assert_int_eq(threadusage_poll(usage, true, record_see, &all), 0);
    ck_assert_uint_eq(all.ends, 2);
    ck_assert_uint_eq(all.lost, 2);
    threadusage_close(usage);
    ck_assert_int_eq(threadusage_open(&usage, child, 0, true, &lack), -ENOENT);
    ck_assert_ptr_nonnull(strstr(lack.why, "/task: No such file"));
}
