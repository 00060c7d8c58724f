/* What a G carries for those who look at it: labels, a name, a scope, a task. It lies in the G's registry slot and is
 * written by whoever holds the G: its creator until it is in a queue, then the G itself. */
#ifndef GMPT_ANNOTATE_H
#define GMPT_ANNOTATE_H

#include "runtime.h"

/* A new G's part: what it has from its parent (NULL: none). Before its first transition. */
static inline void annotate_inherit(struct g *g, const struct g *parent)
{
    struct g_slot *slot = g->slot;
    store_relaxed(&slot->labels, parent ? load_relaxed(&parent->slot->labels) : 0);
    store_relaxed(&slot->scope, parent ? load_relaxed(&parent->slot->scope) : 0);
    slot->task = parent ? parent->slot->task : 0;
    store_relaxed(&slot->name, 0);
}

/* The set `base` with count more labels, each as by gmpt_label_set, in *set. Returns 0 or that one's errors. */
int annotate_label_set(uint32_t base, const struct gmpt_label *labels, size_t count, uint32_t *set);

/* Give a G a set, a name (NULL: none), a scope. By whoever holds it and p; after its go_create. */
void annotate_labels(struct p *p, struct g *g, uint32_t set);
void annotate_name(struct p *p, struct g *g, const char *name);
void annotate_scope(struct g *g, uint64_t scope);

#endif
