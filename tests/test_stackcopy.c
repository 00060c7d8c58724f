/* Proofs of leaks of programs with so many stacks that they are copied by themselves (runtime/stackcopy.h). */
#define _GNU_SOURCE
#include "proofs.h"

#include "runtime/runtime.h"
#include "runtime/seat.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MANY = 4000, LOST_OF = 4, WORDS = 40 };

static struct gmpt_chan *kept[MANY];

/* Has more in its frame than a page's half, so that copies are of several lines. */
static __attribute__((noinline)) void receive_deep(void *args)
{
    struct gmpt_chan *chan = *(struct gmpt_chan **)args;
    volatile uint64_t words[WORDS] = { 0 };
    gmpt_chan_recv(chan, NULL);
    words[0]++;
}

static __attribute__((noinline)) void start_many(int64_t *ids)
{
    for (int i = 0; i < MANY; i++) {
        struct gmpt_chan *chan = gmpt_chan_new(0, 0);
        ids[i] = gmpt_go(receive_deep, &chan, sizeof chan);
        kept[i] = i % LOST_OF ? chan : NULL;
    }
    for (int i = 0; i < MANY; i++)
        run_until_waiting(ids[i]);
}

static int judge_many(void *arg)
{
    static int64_t ids[MANY];
    uint32_t lost = 0, wrong = 0;
    (void)arg;
    start_many(ids);
    proofs_clear_stack();
    EXPECT_EQ(proofs_make(), PROOF_COMPLETE);
    for (int i = 0; i < MANY; i++) {
        enum g_verdict verdict = proofs_verdict(ids[i]);
        lost += verdict == VERDICT_PROVEN;
        wrong += i % LOST_OF && verdict != VERDICT_LIVE;
    }
    EXPECT_EQ(wrong, 0u);
    EXPECT(lost >= MANY / LOST_OF * 9u / 10); /* something that is left of a pointer may hide a few */
    return 0;
}

TEST(stackcopy, of_many_goroutines_those_are_lost_that_nothing_leads_to)
{
    proofs_skip_unless_exact();
    RUN(2, judge_many);
}

TEST(stackcopy, with_one_processor_as_well)
{
    proofs_skip_unless_exact();
    RUN(1, judge_many);
}

/* ---- Each way that leads through a stack, with the copies of few ---- */

static struct gmpt_waitgroup ended = GMPT_WAITGROUP_INIT;

static void receive(void *args)
{
    struct gmpt_chan *chan = *(struct gmpt_chan **)args;
    gmpt_chan_recv(chan, NULL);
    gmpt_chan_release(chan);
    gmpt_waitgroup_done(&ended);
}

struct holder {
    struct gmpt_chan *own, *other;
};

/* Waits on its own channel, and has another in its frame. */
static void hold(void *args)
{
    struct holder holder = *(struct holder *)args;
    gmpt_chan_recv(holder.own, NULL);
    gmpt_chan_close(holder.other);
    gmpt_chan_release(holder.other);
    gmpt_waitgroup_done(&ended);
}

struct started {
    int64_t receiver, holder;
};

static __attribute__((noinline)) struct started start_holder(struct gmpt_chan **volatile keep)
{
    struct holder holder = { gmpt_chan_new(0, 0), gmpt_chan_new(0, 0) };
    gmpt_chan_retain(holder.other);
    gmpt_waitgroup_add(&ended, 2);
    struct started started = { gmpt_go(receive, &holder.other, sizeof holder.other),
                               gmpt_go(hold, &holder, sizeof holder) };
    run_until_waiting(started.receiver);
    run_until_waiting(started.holder);
    *keep = holder.own;
    return started;
}

static int judge_holder(void *arg)
{
    (void)arg;
    struct started started = start_holder(&kept[0]);
    proofs_clear_stack();
    EXPECT_EQ(proofs_make(), PROOF_COMPLETE);
    EXPECT_EQ(proofs_verdict(started.holder), VERDICT_LIVE);
    EXPECT_EQ(proofs_verdict(started.receiver), VERDICT_LIVE);
    kept[0] = NULL;
    proofs_clear_stack();
    EXPECT_EQ(proofs_make(), PROOF_COMPLETE);
    EXPECT_EQ(proofs_verdict(started.holder), VERDICT_PROVEN);
    EXPECT_EQ(proofs_verdict(started.receiver), VERDICT_PROVEN);
    return 0;
}

static void copy_always(void) { setenv("GMPT_DEBUG", "stackcopy=1", 1); }

TEST(stackcopy, what_a_live_goroutine_has_in_its_frame_is_live)
{
    proofs_skip_unless_exact();
    copy_always();
    RUN(2, judge_holder);
}

/* Two locks in the frame of a G that has ended long ago in its waiting: each of two others has one, and waits. */
struct locks {
    struct gmpt_mutex a, b;
    struct gmpt_waitgroup both;
};

static void lock_in_order(struct gmpt_mutex *first, struct gmpt_mutex *second, struct gmpt_waitgroup *both)
{
    gmpt_mutex_lock(first);
    gmpt_waitgroup_done(both);
    gmpt_waitgroup_wait(both);
    gmpt_mutex_lock(second);
}
static void lock_a_b(void *args)
{
    struct locks *locks = *(struct locks **)args;
    lock_in_order(&locks->a, &locks->b, &locks->both);
}
static void lock_b_a(void *args)
{
    struct locks *locks = *(struct locks **)args;
    lock_in_order(&locks->b, &locks->a, &locks->both);
}

static int64_t lockers[2];

static void own_locks(void *args)
{
    (void)args;
    struct locks locks = { GMPT_MUTEX_INIT, GMPT_MUTEX_INIT, GMPT_WAITGROUP_INIT }, *at = &locks;
    gmpt_waitgroup_add(&locks.both, 2);
    lockers[0] = gmpt_go(lock_a_b, &at, sizeof at);
    lockers[1] = gmpt_go(lock_b_a, &at, sizeof at);
    gmpt_sleep(3600 * INT64_C(1000000000));
}

static int judge_locks(void *arg)
{
    (void)arg;
    int64_t owner = gmpt_go(own_locks, NULL, 0);
    run_until_waiting(owner);
    run_until_waiting(lockers[0]);
    run_until_waiting(lockers[1]);
    EXPECT_EQ(proofs_make(), PROOF_COMPLETE);
    EXPECT_EQ(proofs_verdict(lockers[0]), VERDICT_CYCLE);
    EXPECT_EQ(proofs_verdict(lockers[1]), VERDICT_CYCLE);
    return 0;
}

TEST(stackcopy, locks_that_lie_in_a_frame_have_owners)
{
    proofs_skip_unless_possible();
    copy_always();
    RUN(2, judge_locks);
}

static void select_two(void *args)
{
    struct holder chans = *(struct holder *)args;
    struct gmpt_select_case cases[] = { { chans.own, GMPT_RECV, NULL, 0 }, { chans.other, GMPT_RECV, NULL, 0 } };
    gmpt_select(cases, 2);
}

static __attribute__((noinline)) int64_t start_select(struct gmpt_chan **volatile keep)
{
    struct holder chans = { gmpt_chan_new(0, 0), gmpt_chan_new(0, 0) };
    int64_t id = gmpt_go(select_two, &chans, sizeof chans);
    run_until_waiting(id);
    *keep = chans.other;
    return id;
}

static int judge_select(void *arg)
{
    (void)arg;
    int64_t id = start_select(&kept[0]);
    proofs_clear_stack();
    EXPECT_EQ(proofs_make(), PROOF_COMPLETE);
    EXPECT_EQ(proofs_verdict(id), VERDICT_LIVE);
    kept[0] = NULL;
    proofs_clear_stack();
    EXPECT_EQ(proofs_make(), PROOF_COMPLETE);
    EXPECT_EQ(proofs_verdict(id), VERDICT_PROVEN);
    return 0;
}

TEST(stackcopy, a_select_has_all_its_channels)
{
    proofs_skip_unless_exact();
    copy_always();
    RUN(2, judge_select);
}

/* ---- The program itself ---- */

/* In a child of the program's own: its stack is there, as those of others are. */
static int fork_after_a_proof(void *arg)
{
    (void)arg;
    volatile uint64_t word = 0x5eed;
    struct started started = start_holder(&kept[0]);
    EXPECT_EQ(proofs_make(), PROOF_COMPLETE);
    EXPECT_EQ(proofs_verdict(started.holder), VERDICT_LIVE);
    pid_t child = fork();
    if (child == 0)
        _exit(word == 0x5eed && *(volatile uint8_t *)seat_stack_lo(STACK_DEFAULT, 1) == 0 ? 7 : 8);
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    gmpt_chan_close(kept[0]);
    gmpt_waitgroup_wait(&ended);
    gmpt_chan_release(kept[0]);
    return 0;
}

TEST(stackcopy, a_process_that_the_program_forks_later_has_all_stacks)
{
    proofs_skip_unless_possible();
    copy_always();
    RUN(2, fork_after_a_proof);
}
