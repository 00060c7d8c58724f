/* How a G stands in the word of a mutex that it holds:
 *
 *     who  = (its seat + 1) << 41 | its id (39 bits) << 2
 *
 * The id alone would not say where to look whether it runs. A G has it ready, and the M that runs it as well: what goes
 * into a locked instruction should not have to be computed first. */
#ifndef GMPT_MUTEX_H
#define GMPT_MUTEX_H

#include "seat.h"

enum { MUTEX_ID_SHIFT = 2, MUTEX_ID_BITS = 39, MUTEX_SEAT_SHIFT = MUTEX_ID_SHIFT + MUTEX_ID_BITS };
_Static_assert(SEATS_MAX < UINT64_C(1) << (64 - MUTEX_SEAT_SHIFT), "a seat + 1 must fit");

static inline uint64_t mutex_who(const struct g *g)
{
    uint64_t id = g->id << (64 - MUTEX_ID_BITS) >> (64 - MUTEX_ID_BITS - MUTEX_ID_SHIFT);
    return ((uint64_t)g->seat + 1) << MUTEX_SEAT_SHIFT | id;
}

#endif
