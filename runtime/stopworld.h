/* Stops every thread of the process but the caller's, with its registers in memory, and lets them go on.
 *
 * Each thread that /proc/self/task lists is sent SIGURG. Its handler leaves the interrupted context where it is
 * put, says so, and sleeps until it is let go. A thread that was created meanwhile shows in the next look at the list,
 * and the stop is complete once a look has found nobody new.
 *
 *     sysmon                                       the thread
 *     A1 state = ASKED, then the signal            B1 context, m
 *     A2 state == STOPPED (acquire)?               B2 state: CAS ASKED -> STOPPED (release)
 *     A3 state = LEAVING, wakes it                 B3 sleeps while state == STOPPED
 *     A4 state == RUNS? only then it is asked      B4 state = RUNS
 *        again, or its record used again
 *     A5 gives up: CAS ASKED -> RUNS               (then B2 fails, and it goes on)
 *     A6 state = WORKS, wakes it                   B5 works, state = STOPPED (release), to B3
 *     A7 state == STOPPED (acquire)? it has done
 *
 * To stand still is not enough for an M: inside the runtime it may have taken a G out of one queue, and not have put it
 * into another yet. So it must be settled as well: in the user's code; or without a P, since only who holds one, or has
 * come from the poller (sched.poll_out), has such a G in its hands. One that is not settled is let go on until it has
 * left the runtime, which it does not come into again (ATTENTION_STAY_OUT, enter.h: it waits at the door, where it has
 * nothing in its hands), or has no P, and is asked again then, while the others stay. Those that are stopped hold no
 * lock of the runtime that it could need, but for a moment now and then (gmpt_chan_len takes one without coming in): so
 * when that does not help, all are let go and asked anew.
 *
 * A thread of the program's own that has SIGURG blocked cannot be stopped. When it sleeps in the kernel, and has not
 * been switched to by the end, it stood as still; only its registers are not known.
 *
 * A signal ends some system calls (sleep, poll, epoll_wait...; man 7 signal has the list) with EINTR, though the
 * handler asks that they be restarted. */
#ifndef GMPT_STOPWORLD_H
#define GMPT_STOPWORLD_H

#include "runtime.h"

#include <ucontext.h>

enum stop_state { STOP_RUNS, STOP_ASKED, STOP_STOPPED, STOP_WORKS, STOP_LEAVING };

struct stopped_thread {
    ATOMIC(uint32_t) state; /* enum stop_state; what a stopped thread sleeps on */
    ATOMIC(uint32_t) tid;
    struct m *m;               /* NULL: a thread of the program's own; valid while it is stopped, as is the next */
    const ucontext_t *context; /* what the signal has interrupted; lies on the stack that the handler runs on */
    uintptr_t sp;              /* in it */
    bool asleep;               /* cannot be stopped, but sleeps */
    uint64_t switches;         /* how often it had been switched to by then */
};

/* Returns 0; -ETIMEDOUT when a thread did not stop or settle within budget_ns; -ENOSYS without /proc, without SIGURG or
 * under a sanitizer that keeps signals back; -ENOMEM. Unless it returns 0 all go on. Only sysmon. */
int stopworld_stop(int64_t budget_ns);
void stopworld_go(void);

/* While it is stopped. Those whose m and context are NULL are asleep, see above. */
const struct stopped_thread *stopworld_threads(uint32_t *count);
/* Whether those that were asleep have slept on until now. */
bool stopworld_slept_on(void);
/* Whether there are any. */
bool stopworld_has_sleepers(void);

/* While it is stopped: the caller does the work, and Ms up to this number do it at the same time, in their signal
 * handlers. Returns when all have done. */
void stopworld_share(void (*work)(void *arg), void *arg, uint32_t helpers);

#endif
