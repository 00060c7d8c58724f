/* The Gs that are alive, by id. A record never moves while its G lives, so a ring may keep a pointer to its current G;
 * that the pointer is still that G's it knows by the id, which is 0 in a record that is free. */
#ifndef GMPT_GTABLE_H
#define GMPT_GTABLE_H

#include "idtable.h"

#include <gmptrace/trace.h>

#include <stdint.h>

#define GTABLE_MAX (1u << 24) /* a runtime has room for far fewer; a file that claims more is not one of its */

struct gtable_g {
    struct gmpt_g g;
    uint32_t seq;    /* its transition number */
    int32_t retakes; /* of its P in calls, minus its returns without it */
    struct gtable_g *next_free;
};

struct gtable_slab;

/* Zero-initialised is empty. */
struct gtable {
    struct idtable ids;
    struct gtable_g *free_gs;
    struct gtable_slab *slabs;
};

static inline struct gtable_g *gtable_find(struct gtable *gs, uint64_t id) { return idtable_find(&gs->ids, id); }

/* A record for a G that is not there yet, all zero but for its id, which is not 0. NULL with errno ENOMEM, or EOVERFLOW
 * over GTABLE_MAX. */
struct gtable_g *gtable_add(struct gtable *gs, uint64_t id);
void gtable_remove(struct gtable *gs, struct gtable_g *g);
void gtable_clear(struct gtable *gs);

#endif
