/* Finds out that all Gs are asleep for ever.
 *
 * A G that waits is made ready by a G that runs, by a timer, by the poller, or by something outside that has announced
 * itself. So it is a deadlock if, at one moment,
 *
 *   1. every P is on the idle list or retired (procs.h). It is looked at under sched.lock, without which no P leaves
 *      either state, so until the lock is released no M holds a P: no G runs on one, none is started, no timer is
 *      started or fired, no list of Gs that some M found in the poller is made ready by the holder of a P;
 *   2. the global queue is empty, no inbox has a G, and no heap has a timer;
 *   3. nobody waits in the poller, it watches for no signals, and no M is between the poller and a P with what it found
 *      there (sched.poll_out, counted before the first G is taken out of a descriptor or a signal's channel, until the
 *      M has a P or its Gs are in the global queue);
 *   4. every G in the registry waits, and none of them for a descriptor.
 *
 * What can move while (4) is checked, slot by slot, moves without a P, and there are only three such things: a G in a
 * blocking call whose P was retaken (G_SYSCALL), a G that computes without its P (G_PREEMPTED), and either of them on
 * its way to the global queue (still in that state, then G_RUNNABLE). Each step goes from a state that (4) refuses to
 * another that it refuses; the step after that, to G_RUNNING, needs a P. None of the three can change any other G:
 * that, too, needs a P. So if any of them is there, the check meets it in whatever state it is, and if the check meets
 * none, every G waits for another G. As this is so at one moment and nobody can change it, it is so for ever.
 *
 * A G that is just being made cannot be missed either: its maker has a P. A G whose `status` says waiting while it is
 * still on its way off the stack has a P as well. An M that gets into the poller's events after (3) was looked at finds
 * nobody to wake: who waited there, or was to be sent a signal, would have been counted.
 *
 * The registry may be long, so the slot that refused last time is asked first, and the lock is only taken once a look
 * without it found nothing. */
#define _GNU_SOURCE
#include "deadlock.h"

#include "debug.h"
#include "dump.h"
#include "netpoll.h"
#include "proof.h"
#include "quit.h"
#include "runtime.h"

#include <stdio.h>
#include <unistd.h>

/* Conditions 1 to 3. */
static bool nothing_moves(void)
{
    uint32_t p_count = load_relaxed(&sched.p_count), p_made = load_acquire(&sched.p_made);
    if (load_relaxed(&sched.idle_p_count) != p_count || load_relaxed(&sched.queue_size) || netpoll_waiters() ||
        load_acquire(&sched.poll_out) || load_relaxed(&sched.stopping))
        return false;
    for (uint32_t i = 0; i < p_made; i++)
        if (load_relaxed(&sched.ps[i].timers.next_ns) != INT64_MAX || load_relaxed(&sched.ps[i].inbox_size) ||
            (i >= p_count && load_relaxed(&sched.ps[i].status) != P_RETIRED))
            return false;
    return true;
}

static bool may_go_on(const struct g_slot *slot)
{
    uint64_t status = load_acquire(&slot->status);
    enum g_state state = g_status_state(status);
    unsigned reason = g_status_reason(status);
    if (state == G_IDLE || state == G_DEAD)
        return false;
    return state != G_WAITING || reason == GMPT_WAIT_net_read || reason == GMPT_WAIT_net_write;
}

/* Condition 4. */
static bool all_asleep(void)
{
    static ATOMIC(uint32_t) refused_last; /* the slot that did last time: a hint */
    uint32_t used = load_acquire(&trace_segment.header->registry_used);
    uint32_t refused = load_relaxed(&refused_last);
    if (refused < used && may_go_on(&trace_segment.registry[refused]))
        return false;
    for (uint32_t i = 0; i < used; i++) {
        if (may_go_on(&trace_segment.registry[i])) {
            store_relaxed(&refused_last, i);
            return false;
        }
    }
    return used > 0;
}

bool deadlock_found(void)
{
    if (!nothing_moves() || !all_asleep())
        return false;
    lock_acquire(&sched.lock);
    bool found = nothing_moves() && all_asleep();
    lock_release(&sched.lock);
    return found;
}

static void tell(void)
{
    /* What the program has printed shall not be lost, unless somebody sleeps in the middle of printing. */
    if (ftrylockfile(stdout) == 0) {
        fflush_unlocked(stdout);
        funlockfile(stdout);
    }
    dump_all(STDERR_FILENO, "fatal error: all goroutines are asleep - deadlock!\n\n");
}

void deadlock_check(void)
{
    static bool told;
    if (!told) {
        if (debug_settings.nodeadlock || !deadlock_found())
            return;
        tell();
        told = true;
    }
    if (!proof_holds_asleep())
        _exit(QUIT_STATUS);
}
