/* Proofs of leaks: who is found lost, who is not, rule by rule (runtime/proof.h). */
#define _GNU_SOURCE
#include "proofs.h"

#include "runtime/runtime.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct gmpt_chan *kept; /* static data: a root */

static void receive(void *args) { gmpt_chan_recv(*(struct gmpt_chan **)args, NULL); }

/* A G that waits to receive from a channel that nobody else has; the caller keeps nothing of it. */
static __attribute__((noinline)) int64_t start_lost(void)
{
    struct gmpt_chan *chan = gmpt_chan_new(8, 0);
    int64_t id = gmpt_go(receive, &chan, sizeof chan);
    run_until_waiting(id);
    return id;
}

static int find_one(void *arg)
{
    (void)arg;
    int64_t lost = start_lost();
    proofs_clear_stack();
    kept = gmpt_chan_new(8, 0);
    int64_t held = gmpt_go(receive, &kept, sizeof kept);
    run_until_waiting(held);
    EXPECT_EQ(proofs_make(), PROOF_COMPLETE);
    EXPECT_EQ(proofs_verdict(lost), VERDICT_PROVEN);
    EXPECT_EQ(proofs_verdict(held), VERDICT_LIVE);
    return 0;
}

TEST(proof, a_receiver_whose_channel_nobody_has_is_lost)
{
    proofs_skip_unless_possible();
    RUN(1, find_one);
}

TEST(proof, a_receiver_whose_channel_nobody_has_is_lost_with_two_ps)
{
    proofs_skip_unless_possible();
    RUN(2, find_one);
}
