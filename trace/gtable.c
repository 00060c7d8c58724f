/* See gtable.h. Records come from slabs that are freed at the end only. */
#include "gtable.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLAB_GS 256

struct gtable_slab {
    struct gtable_slab *next;
    struct gtable_g gs[SLAB_GS];
};

struct gtable_g *gtable_add(struct gtable *gs, uint64_t id)
{
    if (gs->ids.table.count >= GTABLE_MAX) {
        errno = EOVERFLOW;
        return NULL;
    }
    if (!gs->free_gs) {
        struct gtable_slab *slab = malloc(sizeof *slab);
        if (!slab) {
            errno = ENOMEM;
            return NULL;
        }
        slab->next = gs->slabs;
        gs->slabs = slab;
        for (int i = SLAB_GS; i-- > 0;) {
            slab->gs[i].g.id = 0;
            slab->gs[i].next_free = gs->free_gs;
            gs->free_gs = &slab->gs[i];
        }
    }
    struct gtable_g *g = gs->free_gs, *next_free = g->next_free;
    memset(g, 0, sizeof *g);
    g->g.id = id;
    if (idtable_insert(&gs->ids, g)) {
        g->g.id = 0;
        g->next_free = next_free;
        errno = ENOMEM;
        return NULL;
    }
    gs->free_gs = next_free;
    return g;
}

void gtable_remove(struct gtable *gs, struct gtable_g *g)
{
    idtable_remove(&gs->ids, g);
    g->next_free = gs->free_gs;
    gs->free_gs = g;
}

void gtable_clear(struct gtable *gs)
{
    for (struct gtable_slab *slab; (slab = gs->slabs);) {
        gs->slabs = slab->next;
        free(slab);
    }
    idtable_clear(&gs->ids);
    memset(gs, 0, sizeof *gs);
}
