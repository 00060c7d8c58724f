/* Watches, for each place where Gs wait without a deadline for one another, how many do so over time, and judges at
 * the end whether that number grows. suspects.c states the rule. */
#ifndef GMPT_SUSPECTS_H
#define GMPT_SUSPECTS_H

#include "table.h"

#include <gmptrace/trace.h>

#include <stdbool.h>
#include <stdint.h>

#define SUSPECTS_CELLS 32       /* even */
#define SUSPECTS_FIRST_SHIFT 16 /* the first cells are 2^16 ns long */
#define SUSPECTS_MAX 65536      /* distinct places; Gs at further ones are counted together and never judged growing */

struct suspect_key {
    uint64_t fn;
    uint32_t create_stack, wait_stack;
    enum gmpt_wait_reason reason;
};

struct suspect {
    struct suspect_key key;
    uint64_t count;                 /* Gs that wait here now */
    unsigned shift;                 /* a cell is 1 << shift ns long */
    unsigned cell;                  /* the one that holds the latest change */
    int64_t cell_last_ns;           /* the last moment that lies in it; 0 at first */
    uint64_t floor[SUSPECTS_CELLS]; /* the least count in each cell, up to `cell` */
};

/* Zero-initialised is empty. */
struct suspects {
    struct table table;
    struct suspect *others; /* where further places are counted once there are SUSPECTS_MAX */
};

/* The place with this key, made when it is new. NULL when memory is short. Lives until suspects_clear. */
struct suspect *suspects_get(struct suspects *suspects, const struct suspect_key *key);
/* The same, but never makes one. */
struct suspect *suspects_find(const struct suspects *suspects, const struct suspect_key *key);

/* Makes a later cell than that of the latest change the latest one. */
void suspect_advance(struct suspect *suspect, int64_t time_ns);

/* A G begins to wait here. */
static inline void suspect_enter(struct suspect *suspect, int64_t time_ns)
{
    if (time_ns > suspect->cell_last_ns)
        suspect_advance(suspect, time_ns);
    suspect->count++;
}

/* It is woken. */
static inline void suspect_leave(struct suspect *suspect, int64_t time_ns)
{
    if (time_ns > suspect->cell_last_ns)
        suspect_advance(suspect, time_ns);
    suspect->count--;
    if (suspect->count < suspect->floor[suspect->cell])
        suspect->floor[suspect->cell] = suspect->count;
}

/* Whether the number of Gs that wait here rose over the trace, which ended at end_ns, and did not fall. */
bool suspect_grows(struct suspect *suspect, int64_t end_ns);

void suspects_clear(struct suspects *suspects);

#endif
