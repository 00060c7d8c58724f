/* Tier T2: preempting a G by a signal, wherever its code is.
 *
 * Only a G started with GMPT_PURE_COMPUTE, by which its author says that it computes and holds nothing of its thread's,
 * and even then only where that can be seen to be so: the handler of SIGURG looks at the program counter and at every
 * word of the stack, and unless all of them lie outside libc, the loader, the vdso, other libraries and the runtime, it
 * does nothing. Then it makes the G call async_stub, as if the code had called it at that very instruction:
 *
 *     before                         when the handler has returned
 *     rip -> the instruction         rip -> async_stub
 *     rsp -> | the G's stack         rsp -> | address of the instruction
 *                                           | red zone: 128 bytes below the old rsp, which leaf functions use
 *                                           | the G's stack
 *
 * The stub saves all registers, those of XSAVE included, calls async_arrived, which gives way like any safepoint,
 * restores them and returns past the red zone. By then the G may be on another thread.
 *
 * In the handler the M cannot change what it looks at, for it runs on the M's own thread: in_runtime is 0, so the G's
 * code runs, and m->current is that G. sysmon sends the signal only when it has seen the same (preempt_take), so that
 * no other G is ever interrupted in a system call, and says so in m->async_sent; one that comes late may find the G
 * between gmpt_blocking_begin and _end, where it has no P to give, and is then forgotten. A SIGURG that sysmon did not
 * send is the program's own, whatever it interrupts, and goes to the handler that was there before. Two that the kernel
 * makes one cannot be told apart. */
#ifndef GMPT_ASYNC_H
#define GMPT_ASYNC_H

#include "runtime.h"

/* Installs the handler, if this machine and build can do it. */
void async_start(void);

/* Whether g can be stopped so. */
bool async_works_for(const struct g *g);
/* Sends m the signal. */
void async_send(struct m *m);

#endif
