/* The gate between the user's code and the runtime: marks the M as being inside, where its P cannot be taken from it.
 *
 * A G that computes for longer than its slice loses its P to sysmon and runs on without it (tier T1, preempt.h). That
 * must not happen while the runtime uses the P, and being inside must cost next to nothing. So:
 *
 *     the M, coming in                        sysmon, taking
 *     E1 in_runtime = 1                       T1 attention = TAKING
 *     E2 attention? then enter_slow           T2 membarrier: a full fence on every thread of the process
 *                                             T3 in_runtime? then attention = 0, else the P is taken: TAKEN
 *     the M, leaving
 *     E3 in_runtime = 0 (release)
 *
 * E1 and E2 are a store and a load that the processor may swap, but not across T2: either E2 sees T1, and
 * the M waits for sysmon to decide; or T3 sees E1, and sysmon lets go. A 0 that T3 reads by acquire was
 * written by an E3, so everything that the M did inside is done and seen by sysmon, and whatever it does next inside is
 * after an E2 that sees T1.
 *
 * | word       | writers        | readers | order            | pairs with                                            |
 * |------------|----------------|---------|------------------|-------------------------------------------------------|
 * | in_runtime | the M          | sysmon  | relaxed, release | E1 with T2; E3 with T3 (acquire)                      |
 * | attention  | sysmon, the M  | the M   | acq_rel, acquire | bits, set and cleared by read-modify-write; a decision |
 * |            |                |         |                  | with enter_slow                                       |
 *
 * A proof of leaks asks threads to wait at the door (ATTENTION_STAY_OUT): the M does an E3, sleeps until the bit is
 * gone, and comes in anew by E1 and E2. An M that does not see the bit yet comes in once more, and is only met later.
 *
 * `attention` has a bit of its own for the request to yield (tier T0), so that every entry is a safepoint at no cost.
 *
 * Every public function that touches the P begins with API_ENTER(): from there to its return the G holds a P. It nests.
 * What runs on a g0 is always inside. Around a function of the user's that the runtime calls stand API_LEAVE_FOR and
 * the end of its block. */
#ifndef GMPT_ENTER_H
#define GMPT_ENTER_H

#include "runtime.h"

enum attention {
    ATTENTION_TAKING = 1, /* sysmon is about to decide whether it takes the P */
    ATTENTION_TAKEN = 2,  /* it did: the G that runs on this M has no P */
    ATTENTION_YIELD = 4,  /* sysmon asks the G to give way */
    ATTENTION_LOCKED = 8, /* the M runs one G only, see osthread.h */
    ATTENTION_STAY_OUT = 16, /* the M is to wait before it comes in, see stopworld.h */
    ATTENTION_FORKED = 32, /* this is a child of fork(), where the runtime has no other threads */
};

/* Does what attention asks for: waits outside, and for sysmon's decision, gets a P when there is none, gives way if it
 * may. The G may go on on another M. */
void enter_slow(struct m *m, bool was_inside, bool gives_way);

struct api_call {
    uint32_t was_inside;
};

static inline struct api_call enter_begin(bool gives_way)
{
    struct m *m = m_self();
    struct api_call call = { load_relaxed(&m->in_runtime) };
    store_relaxed(&m->in_runtime, 1); /* E1 */
    compiler_fence();
    if (unlikely(load_acquire(&m->attention))) /* E2; acquire: sysmon has done with what it saw before it let go */
        enter_slow(m, call.was_inside, gives_way && !call.was_inside);
    return call;
}

static inline void enter_end(const struct api_call *call)
{
    store_release(&m_self()->in_runtime, call->was_inside); /* E3 */
}

static inline void leave_quick(struct m *m)
{
    store_release(&m->in_runtime, 0); /* E3 */
    compiler_fence();
}

/* Enters the runtime without a call; false, and not entered, for who is inside already, and if attention has a bit that
 * matters to the caller. What is stored then is the same each time: were it what was loaded before, one call after the
 * other would wait for that. */
static inline bool enter_quick(struct m *m, uint32_t matters)
{
    if (unlikely(load_relaxed(&m->in_runtime)))
        return false;
    store_relaxed(&m->in_runtime, 1); /* E1 */
    compiler_fence();
    if (likely(!(load_acquire(&m->attention) & matters))) /* E2 */
        return true;
    leave_quick(m);
    return false;
}

/* In builds that hunt for races: what follows uses the P, so the M must be inside. */
static inline void enter_check(void)
{
#ifdef GMPT_FORCE_YIELD
    if (!load_relaxed(&m_self()->in_runtime))
        fatal("the runtime was called without entering it");
#endif
}

/* Who is inside already does not give way, since locks may be held; nor does who enters holding a lock of the user's
 * that others would then wait for. */
#define API_ENTER() __attribute__((cleanup(enter_end), unused)) const struct api_call api_call = enter_begin(true)
#define API_ENTER_HOLDING()                                                                                            \
    __attribute__((cleanup(enter_end), unused)) const struct api_call api_call = enter_begin(false)

/* The other way round: { API_LEAVE_FOR(); user_function(); } */
static inline struct api_call enter_leave(void)
{
    store_release(&m_self()->in_runtime, 0); /* E3 */
    return (struct api_call){ 1 };
}

static inline void enter_again(const struct api_call *left)
{
    (void)left;
    enter_begin(true);
}

#define API_LEAVE_FOR() __attribute__((cleanup(enter_again), unused)) const struct api_call api_left = enter_leave()

#endif
