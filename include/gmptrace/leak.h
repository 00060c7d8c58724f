/* gmptrace/leak.h - goroutines that nothing can ever wake, found by the program itself.
 *
 *     struct gmpt_leak_mark mark = gmpt_leak_begin();
 *     serve_one_request();
 *     if (gmpt_leak_check(mark, STDERR_FILENO) != 0)
 *         abort();
 *
 * A G leaks when it waits without a deadline and nothing that may still run can reach what it waits for. A proof shows
 * it for one moment: it stops all threads for some milliseconds, copies the process, and follows in the copy every
 * pointer from static data, from malloc's memory and from the stacks of Gs that may go on. What it calls lost is lost,
 * as far as pointers are kept as pointers. What it does not call lost may be: all of malloc's memory counts as
 * reachable unless libgmptrace-heap.so is preloaded, as by `gmptrace check`; then only blocks that something points to.
 *
 * A pointer that is kept in another form is not seen: XORed with another, as an index into a table that is not memory
 * of this process, in a file. Pin what is kept so.
 *
 * While the threads are stopped, system calls that a signal ends although SA_RESTART is asked for (man 7 signal lists
 * them: sleep, poll, epoll_wait, ...) return early with EINTR.
 *
 * gmptrace leaks -p PID asks for the same proof from outside. Included by gmpt.h, whose rules hold. */
#ifndef GMPT_LEAK_H
#define GMPT_LEAK_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* ---- What a proof cannot see by itself --------------------------------------------------------------------------- */

/* What this points to counts as reachable, as if a global variable held the pointer, until it is unpinned as often
 * as it was pinned. Does not block. Returns 0, or -ENOMEM. */
int gmpt_leak_pin(const void *pointer);
/* Returns 0, or -ENOENT when it is not pinned. */
int gmpt_leak_unpin(const void *pointer);

/* Gs that run this function, or were started by the call that returns to this address, may wait for ever: they count
 * as alive, with all that they can reach. A function is given as (const void *)function. For the rest of the process's
 * life. Does not block. Returns 0, or -ENOMEM. */
int gmpt_leak_ignore(const void *site);

/* ---- Checking ---------------------------------------------------------------------------------------------------- */

struct gmpt_leak_mark {
    uint64_t gmpt_private[2];
};

/* From here on the Gs that the calling G starts, and those that they start, belong to the mark: it puts the caller into
 * a scope of its own (observe.h). So checks on several Gs at a time do not see each other's. Marks nest. */
struct gmpt_leak_mark gmpt_leak_begin(void);

/* Makes a proof, and returns how many Gs of the mark are lost, 0 when none; the caller is in the scope again that it
 * was in before gmpt_leak_begin, whose mark must not be used any more. If there are any, and fd is not negative, it
 * writes to fd what each waits for, its stack, and who started it. Gs that have not come to wait yet are not lost; a G
 * on its way out need not be waited for. Blocks for as long as the proof takes: for a large program tenths of a
 * second. Returns -EAGAIN when no proof could be had, because a thread did not stop in time or there was no memory for
 * the copy; -ENOTSUP under ThreadSanitizer and Valgrind. */
int64_t gmpt_leak_check(struct gmpt_leak_mark mark, int fd);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
