/* What a G carries for those who look at it: labels, a name, a scope, a task. It lies in the G's registry slot and is
 * written by whoever holds the G: its creator until it is in a queue, then the G itself. */
#ifndef GMPT_ANNOTATE_H
#define GMPT_ANNOTATE_H

#include "runtime.h"

/* What a G hands down to those that it starts, or that are started for it when it may have ended. */
struct annotate_origin {
    uint64_t parent; /* its id; 0 = none */
    uint64_t scope;
    uint64_t task;
    uint32_t labels;
};

static inline struct annotate_origin annotate_origin_of(const struct g *parent)
{
    const struct g_slot *slot = parent->slot;
    return (struct annotate_origin){ parent->id, load_relaxed(&slot->scope), slot->task, load_relaxed(&slot->labels) };
}

/* A new G's part. Before its first transition. */
static inline void annotate_inherit(struct g *g, const struct annotate_origin *origin)
{
    struct g_slot *slot = g->slot;
    slot->parent = origin->parent;
    store_relaxed(&slot->labels, origin->labels);
    store_relaxed(&slot->scope, origin->scope);
    slot->task = origin->task;
    store_relaxed(&slot->name, 0);
}

/* The set `base` with count more labels, each as by gmpt_label_set, in *set. Returns 0 or that one's errors. */
int annotate_label_set(uint32_t base, const struct gmpt_label *labels, size_t count, uint32_t *set);

/* Give a G a set, a name (NULL: none), a scope. By whoever holds it and p; after its go_create. */
void annotate_labels(struct p *p, struct g *g, uint32_t set);
void annotate_name(struct p *p, struct g *g, const char *name);
void annotate_scope(struct p *p, struct g *g, uint64_t scope);

#endif
