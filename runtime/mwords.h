/* Where Ms tell what they do (m_word_make): each in its own memory, where whoever is to know has to look into this
 * process for it; or, when a recorder passed such, in memory of its program in the kernel, which then just reads it at
 * each switch: a tenth of the cost.
 *
 * Nothing is ever read from there, so it matters only to the recorder what it holds. An M's place does not change. */
#ifndef GMPT_MWORDS_H
#define GMPT_MWORDS_H

#include "trace/atomics.h"

#include <stdbool.h>
#include <stdint.h>

/* Maps what the recorder that has this program passed, if it did. Before there is an M. Returns where it is, 0 = it is
 * not there. */
uint64_t mwords_take(void);
/* What was passed is for another program, or not wanted: children find no trace of it. */
void mwords_leave(void);
/* A place for a new M's word: `own` where nothing was passed, or no more is free. */
ATOMIC(uint64_t) *mwords_place(ATOMIC(uint64_t) *own);
/* Whether what was passed is mapped from here on. */
bool mwords_lie_at(uint64_t start);
/* In a child of fork(), which must not tell what its parent does. Returns 0 or -errno. */
int mwords_after_fork(void);

#endif
