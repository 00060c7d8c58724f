/* The end of a program one of whose Gs has left its stack: says which, its function, and what to do. */
#ifndef GMPT_OVERFLOW_H
#define GMPT_OVERFLOW_H

#include "runtime.h"

/* Watches for accesses to guards, and for those of public functions that were called inside a blocking call or on a
 * thread of the user's (SIGSEGV); others go on to the handler that was there before. Calls before gmpt_run are watched
 * for from the start of the program on. */
void overflow_watch(void);

/* The canary of g's stack was found dead. */
void overflow_fatal(struct g *g) __attribute__((noreturn));

#endif
