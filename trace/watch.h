/* Watches the registry for Gs that are in one state for too long, while a recording goes on.
 *
 * Why the registry and not the events: what a G is now is there whether or not the rings have lost events, and a look
 * costs the program nothing. What the registry cannot say is when a G became runnable, and of a wait it knows the time
 * to sysmon's last tick only, which may lie far back when the process was stopped. So the watch trusts its own eyes:
 *
 *     status      A A A A | B B B B B B B B B     (id, status) never comes twice: the same pair at two looks
 *     looks         ^      .    ^     ^     ^      means that nothing has happened in between
 *                 before        seen        now
 *
 * A G has been in B since `seen` at the latest and since `before` at the earliest. A wait or a call began when its slot
 * says, as far as that lies between the two; a G is runnable since `seen`. So no G is said to have been in a state for
 * longer than it was, whatever the target writes, but when it was so before the first look: then the slot's word counts
 * alone. What is over before a second look is not seen: for states that last shorter than a look at the whole registry
 * takes, the trace itself is there.
 *
 * A step looks at a bounded number of slots, and steps are a few milliseconds apart. Memory goes by the slots that have
 * a G: 32 bytes each.
 *
 * A limit may ask for more than a wait: that a proof of leaks (segment.h) says that nothing can end it. The watch asks
 * for none by itself, since each stops the program for a moment; it says when one would tell something. */
#ifndef GMPT_WATCH_H
#define GMPT_WATCH_H

#include "segment.h"

#include <gmptrace/trace.h>

#include <stdbool.h>
#include <stdint.h>

#define WATCH_LIMITS_MAX 16

struct watch;

struct watch_limit {
    enum g_state state; /* G_RUNNABLE, G_WAITING or G_SYSCALL */
    int64_t ns;         /* longer than this */
    uint64_t reasons;   /* of waits: a bit for each enum gmpt_wait_reason; 0 = waits without a deadline that only
                           another G can end, and not the main G's */
    bool leaked;        /* and nothing can ever end the wait, as the last proof says */
};

/* A G beyond a limit; all of it is the target's word but for_ns, as above. */
struct watch_found {
    unsigned limit; /* its index */
    uint64_t id, fn;
    uint64_t create_pc; /* 0 = not known */
    uint32_t name;      /* watch_name */
    unsigned reason;
    int64_t for_ns;
};

/* The limits are copied; the segment must outlive the watch. NULL: no memory. */
struct watch *watch_open(const struct segment *segment, const struct watch_limit *limits, unsigned count);
void watch_close(struct watch *watch); /* NULL is allowed */

/* The next G beyond a limit, at now_ns (CLOCK_MONOTONIC). False: none before the next step. Each G is found once for
 * each limit until its status changes. */
bool watch_next(struct watch *watch, int64_t now_ns, struct watch_found *found);

/* Whether a G has waited beyond a limit that asks for a proof, since the last one that was given. */
bool watch_wants_proof(const struct watch *watch);
/* A proof that is complete: from the next look on its verdicts count, and no earlier one's. */
void watch_give_proof(struct watch *watch, uint32_t proof);

/* A G's name, from the dictionary; "" when it has none. */
const char *watch_name(const struct segment *segment, uint32_t name, char buffer[256]);

#endif
