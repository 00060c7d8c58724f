/* Starting Gs. */
#ifndef GMPT_GO_H
#define GMPT_GO_H

#include "runtime.h"

/* Starts the main G on the first P and the first M. Returns 0 or -errno. */
int go_start_main(void (*fn)(void *args), const void *args, size_t size);

#endif
