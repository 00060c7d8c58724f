/* Spare segments: files in memory that a recorder has ready for processes that it did not start itself, but that come
 * of one that it did: a test suite forks a process for each test, a script starts several programs.
 *
 * The recorder keeps a few of them open, with its lock on each, and its process id is in the environment of all that it
 * starts. A runtime that starts looks through the recorder's descriptors, as the recorder does in a program that it
 * attaches to, and lays its segment out in the first that is still empty: who seals it has it. So there is no path, no
 * socket, nothing to be cleaned up, and never a moment at which the segment is there and the lock is not. */
#ifndef GMPT_SPARES_H
#define GMPT_SPARES_H

#include "segment.h"

#define SPARES_ENV "GMPT_SPARES" /* the recorder's process id; stays, for the children's children */

/* The recorder's: makes one, locked. Returns its descriptor or -errno. */
int spare_make(void);

/* The target's: as segment_create, in a spare of the recorder's that the environment names; the program is to be held
 * at its end. -ENOENT: there is no such recorder, or it has none. */
int spare_claim(struct segment *segment, uint32_t p_count, size_t ring_bytes, uint32_t registry_slots);

#endif
