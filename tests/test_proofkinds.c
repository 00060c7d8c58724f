/* What proofs of leaks say of each kind of object, of owners, and of a program that does not stand still. */
#define _GNU_SOURCE
#include "proofs.h"

#include "runtime/runtime.h"

#include <gmptrace/leak.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct gmpt_chan *volatile kept; /* static data is a root */

static void receive(void *args) { gmpt_chan_recv(*(struct gmpt_chan **)args, NULL); }

static void expect_complete(void) { EXPECT_EQ(proofs_make(), PROOF_COMPLETE); }

/* ---- R3: contexts ---- */

static struct gmpt_context *volatile kept_context;

static void wait_for_context(void *args)
{
    struct gmpt_context *context = *(struct gmpt_context **)args;
    gmpt_chan_recv(gmpt_context_done(context), NULL);
}

static __attribute__((noinline)) int64_t start_context_waiter(void)
{
    kept_context = gmpt_context_with_cancel(gmpt_context_background());
    struct gmpt_context *context = kept_context;
    int64_t id = gmpt_go(wait_for_context, &context, sizeof context);
    run_until_waiting(id);
    return id;
}

static int hold_context(void *arg)
{
    (void)arg;
    int64_t id = start_context_waiter();
    proofs_clear_stack();
    expect_complete();
    EXPECT_EQ(proofs_verdict(id), VERDICT_LIVE);
    return 0;
}

TEST(proofkinds, r3_a_context_that_is_reached_keeps_who_waits_for_its_end)
{
    proofs_skip_unless_exact();
    RUN(2, hold_context);
}

/* ---- R4: channels and selects ---- */

struct pair {
    struct gmpt_chan *first, *second;
};

static void select_both(void *args)
{
    struct pair *pair = args;
    struct gmpt_select_case cases[] = { { pair->first, GMPT_RECV, NULL, 0 }, { pair->second, GMPT_RECV, NULL, 0 } };
    gmpt_select(cases, 2);
}

static __attribute__((noinline)) int64_t start_select(void)
{
    struct pair pair = { gmpt_chan_new(8, 1), gmpt_chan_new(8, 1) };
    kept = pair.second;
    int64_t id = gmpt_go(select_both, &pair, sizeof pair);
    run_until_waiting(id);
    return id;
}

static int judge_select(void *arg)
{
    (void)arg;
    int64_t id = start_select();
    proofs_clear_stack();
    expect_complete();
    EXPECT_EQ(proofs_verdict(id), VERDICT_LIVE);
    kept = NULL;
    proofs_clear_stack();
    expect_complete();
    EXPECT_EQ(proofs_verdict(id), VERDICT_PROVEN);
    return 0;
}

TEST(proofkinds, r4_a_select_is_lost_with_all_its_channels)
{
    proofs_skip_unless_exact();
    RUN(2, judge_select);
}

/* A channel whose only pointer lies in another's buffer. */
static __attribute__((noinline)) int64_t start_in_buffer(void)
{
    struct gmpt_chan *inner = gmpt_chan_new(8, 0), *outer = gmpt_chan_new(sizeof inner, 2);
    gmpt_chan_send(outer, &inner);
    int64_t id = gmpt_go(receive, &inner, sizeof inner);
    run_until_waiting(id);
    kept = outer;
    return id;
}

static int judge_buffer(void *arg)
{
    (void)arg;
    int64_t id = start_in_buffer();
    proofs_clear_stack();
    expect_complete();
    EXPECT_EQ(proofs_verdict(id), VERDICT_LIVE);
    return 0;
}

TEST(proofkinds, r4_what_lies_in_a_reached_buffer_is_reached)
{
    proofs_skip_unless_exact();
    RUN(2, judge_buffer);
}

/* ---- owners ---- */

static struct gmpt_mutex locks[3];
static ATOMIC(uint32_t) locked;

/* Locks one, waits until all have theirs, and wants another. */
static void lock_two(void *args)
{
    const int *which = args;
    gmpt_mutex_lock(&locks[which[0]]);
    fetch_add_acq_rel(&locked, 1);
    while (load_acquire(&locked) < (uint32_t)which[2])
        gmpt_yield();
    gmpt_mutex_lock(&locks[which[1]]);
}

static void lock_one(void *args)
{
    gmpt_mutex_lock(&locks[*(int *)args]);
    gmpt_mutex_unlock(&locks[*(int *)args]);
}

static int judge_ring(void *arg)
{
    (void)arg;
    int64_t first = gmpt_go(lock_two, (int[]){ 0, 1, 2 }, 3 * sizeof(int));
    int64_t second = gmpt_go(lock_two, (int[]){ 1, 0, 2 }, 3 * sizeof(int));
    run_until_waiting(first);
    run_until_waiting(second);
    int64_t third = gmpt_go(lock_one, (int[]){ 0 }, sizeof(int));
    run_until_waiting(third);
    expect_complete();
    EXPECT_EQ(proofs_verdict(first), VERDICT_CYCLE);
    EXPECT_EQ(proofs_verdict(second), VERDICT_CYCLE);
    EXPECT_EQ(proofs_verdict(third), VERDICT_CYCLE);
    EXPECT(load_relaxed(&trace_segment.header->proof_assumptions) & PROOF_OWNERS_UNLOCK);
    return 0;
}

TEST(proofkinds, owners_that_wait_for_each_other_are_a_cycle)
{
    proofs_skip_unless_possible();
    RUN(2, judge_ring);
}

static void lock_twice(void *args)
{
    (void)args;
    gmpt_mutex_lock(&locks[2]);
    gmpt_mutex_lock(&locks[2]);
}

static void lock_and_sleep(void *args)
{
    (void)args;
    gmpt_mutex_lock(&locks[0]);
    gmpt_sleep(3600 * INT64_C(1000000000));
}

static int judge_owners(void *arg)
{
    (void)arg;
    int64_t alone = gmpt_go(lock_twice, NULL, 0), owner = gmpt_go(lock_and_sleep, NULL, 0);
    run_until_waiting(alone);
    run_until_waiting(owner);
    int64_t waiter = gmpt_go(lock_one, (int[]){ 0 }, sizeof(int));
    run_until_waiting(waiter);
    expect_complete();
    EXPECT_EQ(proofs_verdict(alone), VERDICT_CYCLE);
    EXPECT_EQ(proofs_verdict(waiter), VERDICT_LIVE);
    return 0;
}

TEST(proofkinds, who_locks_twice_is_a_cycle_and_who_waits_for_a_sleeper_is_not)
{
    proofs_skip_unless_possible();
    RUN(2, judge_owners);
}

/* ---- gmpt_leak_check ---- */

static __attribute__((noinline)) void leak_one(void)
{
    struct gmpt_chan *chan = gmpt_chan_new(0, 0);
    run_until_waiting(gmpt_go(receive, &chan, sizeof chan));
}

static int check_scopes(void *arg)
{
    (void)arg;
    int fds[2];
    char text[4096] = "";
    EXPECT_EQ(pipe(fds), 0);
    struct gmpt_leak_mark outer = gmpt_leak_begin();
    struct gmpt_leak_mark inner = gmpt_leak_begin();
    leak_one();
    proofs_clear_stack();
    EXPECT_EQ(gmpt_leak_check(inner, fds[1]), 1);
    EXPECT_EQ(gmpt_leak_check(outer, fds[1]), 0);
    close(fds[1]);
    EXPECT(read(fds[0], text, sizeof text - 1) > 0);
    EXPECT(strstr(text, "goroutines that nothing can wake") != NULL);
    EXPECT(strstr(text, "receive") != NULL);
    EXPECT(strstr(text, "1 goroutine in 1 group") != NULL);
    return 0;
}

TEST(proofkinds, a_check_counts_and_tells_of_those_of_its_mark)
{
    proofs_skip_unless_exact();
    RUN(2, check_scopes);
}

/* ---- R1: a program that does not stand still ---- */

static ATOMIC(uint32_t) over;

/* Deaf to signals, and runs. */
static void *run_deaf(void *arg)
{
    (void)arg;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    fetch_add_acq_rel(&locked, 1);
    while (!load_acquire(&over))
        ;
    return NULL;
}

static void *sleep_deaf(void *arg)
{
    (void)arg;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    fetch_add_acq_rel(&locked, 1);
    while (!load_acquire(&over))
        usleep(3000000);
    return NULL;
}

static int prove_beside(void *(*fn)(void *), enum proof_status *status)
{
    pthread_t thread;
    pthread_create(&thread, NULL, fn, NULL);
    while (!load_acquire(&locked))
        gmpt_sleep(100000);
    gmpt_sleep(1000000);
    uint32_t number = segment_ask_proof(&trace_segment);
    while (!segment_proof_is_done(&trace_segment, number))
        gmpt_sleep(1000000);
    *status = (enum proof_status)load_relaxed(&trace_segment.header->proof_status);
    uint32_t assumptions = load_relaxed(&trace_segment.header->proof_assumptions);
    store_release(&over, 1);
    pthread_join(thread, NULL);
    return (int)assumptions;
}

static int beside_runner(void *arg)
{
    (void)arg;
    enum proof_status status;
    prove_beside(run_deaf, &status);
    EXPECT_EQ(status, PROOF_NO_ANSWER);
    return 0;
}

TEST(proofkinds, r1_a_thread_that_cannot_be_stopped_leaves_it_open)
{
    proofs_skip_unless_possible();
    RUN(1, beside_runner);
}

static int beside_sleeper(void *arg)
{
    (void)arg;
    enum proof_status status;
    int assumptions = prove_beside(sleep_deaf, &status);
    EXPECT(status == PROOF_NO_ANSWER || (status == PROOF_COMPLETE && assumptions & PROOF_REGISTERS_UNREAD));
    return 0;
}

TEST(proofkinds, r1_a_deaf_thread_that_sleeps_is_an_assumption)
{
    proofs_skip_unless_possible();
    RUN(1, beside_sleeper);
}

/* ---- stress ---- */

#define TRAFFIC 4
#define PROOFS 25

static ATOMIC(uint64_t) sent, received, ended;

static void child(void *args)
{
    (void)args;
    fetch_add_relaxed(&ended, 1);
}

static void produce(void *args)
{
    struct gmpt_chan *chan = *(struct gmpt_chan **)args;
    uint64_t count = 0, sum = 0;
    while (!load_relaxed(&over)) {
        sum += ++count;
        gmpt_chan_send(chan, &count);
        if (count % 8 == 0 && gmpt_go(child, NULL, 0) < 0)
            break;
    }
    fetch_add_relaxed(&sent, sum);
    gmpt_chan_close(chan);
    gmpt_chan_release(chan);
}

static void consume(void *args)
{
    struct gmpt_chan *chan = *(struct gmpt_chan **)args;
    uint64_t value, sum = 0;
    struct gmpt_select_case one = { chan, GMPT_RECV, &value, 0 };
    while (gmpt_select(&one, 1) == 0 && one.result == 0)
        sum += value;
    gmpt_chan_release(chan);
    fetch_add_relaxed(&received, sum);
    fetch_add_acq_rel(&locked, 1);
}

static int prove_in_traffic(void *arg)
{
    (void)arg;
    uint32_t complete = 0;
    for (int i = 0; i < TRAFFIC; i++) {
        struct gmpt_chan *chan = gmpt_chan_new(8, (size_t)i);
        gmpt_chan_retain(chan); /* each of the two has it */
        gmpt_go(produce, &chan, sizeof chan);
        gmpt_go(consume, &chan, sizeof chan);
    }
    for (int i = 0; i < PROOFS; i++) {
        uint32_t number = segment_ask_proof(&trace_segment);
        while (!segment_proof_is_done(&trace_segment, number))
            gmpt_sleep(200000);
        const struct segment_header *header = trace_segment.header;
        enum proof_status status = (enum proof_status)load_relaxed(&header->proof_status);
        complete += status == PROOF_COMPLETE;
        EXPECT(status == PROOF_COMPLETE || status == PROOF_NO_ANSWER);
        EXPECT(status != PROOF_COMPLETE || load_relaxed(&header->proof_proven) == 0); /* all of them go on */
    }
    store_relaxed(&over, 1);
    while (load_acquire(&locked) < TRAFFIC)
        gmpt_sleep(1000000);
    EXPECT_EQ(load_relaxed(&sent), load_relaxed(&received));
    EXPECT(complete > 0);
    return 0;
}

TEST_TIMEOUT(proofkinds, proofs_disturb_no_traffic_on_one_p, 200)
{
    proofs_skip_unless_possible();
    RUN(1, prove_in_traffic);
}

TEST_TIMEOUT(proofkinds, proofs_disturb_no_traffic_on_two_ps, 200)
{
    proofs_skip_unless_possible();
    RUN(2, prove_in_traffic);
}

/* The copy is killed from outside: the program goes on, and is told. */
static int kill_copies(void *arg)
{
    (void)arg;
    char command[200];
    uint32_t number = segment_ask_proof(&trace_segment);
    snprintf(command, sizeof command, "pkill -KILL -P %d gmptrace-proof", (int)getpid());
    while (!segment_proof_is_done(&trace_segment, number)) {
        gmpt_blocking_begin();
        if (system(command) < 0)
            abort();
        gmpt_blocking_end();
        gmpt_sleep(100000);
    }
    expect_complete();
    return 0;
}

TEST(proofkinds, a_copy_that_is_killed_harms_nobody)
{
    proofs_skip_unless_possible();
    RUN(2, kill_copies);
}
