/* gmptrace/inspect.h - the program looks at its own goroutines.
 *
 *     gmpt_dump(STDERR_FILENO);
 *
 * SIGQUIT writes the same dump on standard error and ends the program with status 2, as in Go, unless the program
 * has a handler of its own for it. So does a deadlock: when every G waits for another one, none of them for a
 * descriptor, a time or a signal, the program ends with "fatal error: all goroutines are asleep - deadlock!", the dump
 * and status 2 (GMPT_DEBUG=nodeadlock leaves it hanging instead).
 *
 * GMPT_DEBUG in the environment, a list such as schedtrace=1000,scheddetail=1:
 *   schedtrace=N    every N milliseconds a line on standard error with what Ps, Ms and queues do, as Go's
 *   scheddetail=1   and with it a line for each P, M and G
 *   nodeadlock=1    see above
 *
 * Included by gmpt.h, whose rules hold. */
#ifndef GMPT_INSPECT_H
#define GMPT_INSPECT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* Writes to fd what every G does: its state, what it waits for and for how many minutes, its stack, and who started it.
 * Gs that do the same at the same place are written once, with their number. Nobody is stopped meanwhile, and a G that
 * runs on another thread has no stack in it. An address is written as FILE+0xOFFSET, which addr2line -e FILE takes. Any
 * thread, also one with a lock held; wants 16 KiB of stack. Blocks the thread while fd does. Returns 0 or -errno. */
int gmpt_dump(int fd);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
