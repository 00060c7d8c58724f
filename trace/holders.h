/* Which M holds each P, and whether a record there can be its doing: an M is in one place.
 *
 * Where it says that it is elsewhere (m_park, or proc_start on another P), the P that it held is past its last record,
 * or those up to its proc_stop are still to come, since their ring waits for another, with times before that. A record
 * of that P that is later, by more than clocks differ by, contradicts it. An M may also be told of late: what it said
 * before it took the P is no matter. */
#ifndef GMPT_HOLDERS_H
#define GMPT_HOLDERS_H

#include "sections.h"

#include <stdbool.h>
#include <stdint.h>

struct holders {
    uint32_t top;                         /* no P from this one on was ever held */
    uint32_t tid[SECTION_RINGS_MAX];      /* of the P with this index; 0 = nobody, or not known */
    int64_t since_ns[SECTION_RINGS_MAX];
    int64_t absent_ns[SECTION_RINGS_MAX]; /* when it was elsewhere for the first time, and a little; INT64_MAX = it was
                                             not */
};

void holders_init(struct holders *holders);
/* From now on this M holds the P; 0 = nobody does, or it is not known. A p that cannot be is ignored. */
void holders_set(struct holders *holders, uint64_t p, uint64_t tid, int64_t now_ns);
/* The M is at this moment on no P but here, an index (SECTION_RINGS_MAX = none). */
void holders_elsewhere(struct holders *holders, uint64_t here, uint64_t tid, int64_t now_ns);

/* The P that this M holds, plus 1; 0 = none. */
uint32_t holders_find(const struct holders *holders, uint64_t tid);

/* Whether the P's holder had gone by then. */
static inline bool holders_absent(const struct holders *holders, uint32_t p, int64_t now_ns)
{
    return __builtin_expect(now_ns > holders->absent_ns[p], 0);
}

#endif
