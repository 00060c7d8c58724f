/* Proofs of leaks: which waiting Gs nothing can ever wake, shown for one moment of the program.
 *
 * A G that waits without a deadline is woken by who reaches what it waits for: a channel's sender, a lock's owner, who
 * cancels its context. Whoever is to reach it has a pointer to it, or will get one from memory that it can reach. So,
 * as Go's goroutineleak profile has it from the GOLF paper: what nothing that may still run can reach is never woken.
 * C has no types that say where pointers are, and its threads hold some in registers; hence a conservative form of it.
 *
 *     sysmon                                     the threads              a copy of the process (fork)
 *     asked? stop all threads ----- SIGURG ----> registers to memory
 *     the stacks of many Gs ------- copied by several at once
 *     fork --------------------------------------------------------------> only this thread: reads its own memory
 *     what a copy has not got (R7, R8) is handed over
 *     go on <----------------------------------> go on                     roots, reach, verdicts -> registry slots
 *     proofs_done <------------------------------------------------------- exits
 *
 * Words. Root: memory that counts as reachable whatever points to it. Object: what a G waits on. Live: may go on by
 * itself, or be woken by something live. Settled: a thread of which it is known where its pointers are (stopworld.h).
 *
 * Rules (each has its tests in tests/test_proof.c, R11 in tests/test_check.c)
 *  R1  One moment: every thread is stopped and settled when the process is copied, or there is no verdict at all.
 *  R2  Live is who runs, is runnable, in a call, asleep, waits for a descriptor or until a deadline; the main G.
 *  R3  What cancels or wakes through a handle (a context, a timer, a pool) does so through pointers that are followed.
 *  R4  A channel that is reached gives its buffer and all its waiters; a select is lost only with all its channels.
 *  R5  A pointer may lie at any byte, have a tag in its upper 17 bits (aarch64: 16), and point into an object or just
 *      past it.
 *  R6  All writable memory is a root but the runtime's pools and stacks that are not in use: of a G that is not live
 *      none of it is, of one that is, from its stack pointer up. malloc's blocks are followed where it is known where
 *      they lie, those that something points into: the preload registry says so (preload/heap_registry.h), or the heaps
 *      of the C library are walked (heapwalk.h). Other blocks are roots, as are all on request.
 *  R7  What a copy shares with the program or does not get (MAP_SHARED, MADV_DONTFORK, MADV_WIPEONFORK) is read before
 *      the threads go on.
 *  R8  The kernel keeps pointers for the program: data of epoll, values of timers, bytes in pipes and sockets. They are
 *      roots. When some cannot be read, all that would be proven counts as live.
 *  R9  A pointer that is kept otherwise (XOR, an index, in a file, in another process) is not seen: gmpt_leak_pin.
 *  R10 Nothing is done about a G that is found lost.
 *  R11 When all Gs are asleep for ever (deadlock.h) nobody is live, not even the main G, whatever can be reached.
 *
 * An object inside a larger block is reached by pointers to any place of that block; where its bounds are not known,
 * which is so for memory that is mapped and for blocks of a malloc that nothing is known of, it counts as reached. So
 * does what lies in the program's static data, to which code needs no pointer. A stack that something points into is
 * read as memory, though its G is not live by that: the object in a frame is then reached, too.
 *
 * Invariants
 *  1. The copy writes only the registry's verdicts and its own memory, calls no function that takes a lock of the
 *     process, opens nothing, and ends with the program (PR_SET_PDEATHSIG).
 *  2. No verdict is stored before all are known, and none unless the proof is complete.
 *  3. Links of the runtime's own (queues of waiters, lists of Ps) never count as references; a G that is in the hands
 *     of a thread, out of one queue and not yet in another, is missed by none: such a thread is not settled.
 *
 * How long the program stands: fork() takes some 30 ms for a gigabyte of heap, but a microsecond for each G's stack:
 * for the entries of its guard, and for a page table that few share. Hence many stacks are copied before, and left out
 * of the fork (stackcopy.h).
 *
 * Rejected: to scan beside the running program (a pointer that moves is missed); to scan the stacks of Gs that wait
 * before the stop, and to see in it only that they were not woken since (others write into frames that they have
 * pointers to, as to a result, and nobody would notice); to write-protect instead of forking (a fault for each page
 * that is written, on the program's threads); ptrace from outside (no rights in most containers,
 * and it cannot know what the runtime's words mean). */
#ifndef GMPT_PROOF_H
#define GMPT_PROOF_H

#include <stdbool.h>
#include <stdint.h>

/* By sysmon at every look: begins a proof when one has been asked for, and ends one whose copy has done. */
void proof_look(int64_t now_ns);
/* Before the process goes on without sysmon: ends the copy, if there is one. */
void proof_stop(void);

/* By sysmon, all Gs being asleep for ever: whether the recorder wants the program to stay. Proofs show all of them. */
bool proof_holds_asleep(void);
/* By the main G once it has returned: sleeps for as long as the recorder wants the program to stay. */
void proof_hold_at_end(void);
/* As the runtime starts: the same when a G ends the process by exit(0). One that fails has not come to its end. */
void proof_hold_at_exit(void);

#endif
