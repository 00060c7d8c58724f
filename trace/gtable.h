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

/* The G makes a transition. Returns how far its clock steps back with that, which is nothing when it is below 0. */
static inline int64_t gtable_g_enter(struct gtable_g *g, uint32_t seq, enum gmpt_g_state state, int64_t now_ns)
{
    int64_t back_ns = (int64_t)((uint64_t)g->g.state_since_ns - (uint64_t)now_ns);
    g->seq = seq;
    g->g.state = state;
    g->g.state_since_ns = now_ns;
    g->g.waited_before_ns = g->g.ran_before_ns = 0;
    return back_ns;
}

/* What it waits for. */
static inline void gtable_g_waits(struct gtable_g *g, const struct gmpt_event_go_block *block)
{
    g->g.reason = block->reason < GMPT_WAIT_REASONS ? (enum gmpt_wait_reason)block->reason : GMPT_WAIT_none;
    g->g.wait_object = block->object;
    g->g.bounded = block->bounded != 0;
    g->g.wait_stack = (uint32_t)block->stack;
    g->g.wait_owner = block->owner;
}

#endif
