/* Sleeping on a word: the futex system call, private to the process. */
#ifndef GMPT_FUTEX_H
#define GMPT_FUTEX_H

#include "trace/atomics.h"

#include <stdint.h>

/* Sleeps while *word is value, at most timeout_ns (INT64_MAX: for ever). May return early for no reason. Keeps
 * errno. */
void futex_wait(ATOMIC(uint32_t) *word, uint32_t value, int64_t timeout_ns);
void futex_wake(ATOMIC(uint32_t) *word, int count);

#endif
