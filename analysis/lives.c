#include "lives.h"

#include <errno.h>

static struct suspect *place_of_start(struct lives *lives, uint64_t fn, uint32_t create_stack)
{
    struct suspect *last = lives->last;
    if (last && last->key.fn == fn && last->key.create_stack == create_stack)
        return last;
    struct suspect_key key = { .fn = fn, .create_stack = create_stack };
    return lives->last = suspects_get(&lives->places, &key);
}

int lives_begin(struct lives *lives, const struct interval_g *g, uint32_t create_stack, int64_t time_ns)
{
    struct suspect *place = place_of_start(lives, g->fn, create_stack);
    if (!place)
        return -ENOMEM;
    suspect_enter(place, time_ns);
    return 0;
}

int lives_end(struct lives *lives, const struct piece *piece, bool chosen)
{
    struct suspect *place = place_of_start(lives, piece->g->fn, piece_create_stack(piece));
    if (!place)
        return -ENOMEM;
    if (place->count > 0)
        suspect_leave(place, piece->end_ns);
    if (!chosen)
        return 0;
    struct distribution_key key = { .fn = piece->g->fn, .stack = piece_create_stack(piece) };
    struct distribution *start = distributions_get(&lives->starts, &key);
    return start ? distribution_add(start, piece->end_ns - piece->g->created_ns, piece->end_ns, piece->g->id, 0)
                 : -ENOMEM;
}

int lives_finish(struct lives *lives, const struct finding_limits *limits, int64_t end_ns, struct findings *findings)
{
    for (size_t i = 0; lives->places.table.slots && i <= lives->places.table.mask; i++) {
        struct suspect *place = lives->places.table.slots[i].entry;
        if (!place || place->count < limits->spawned_gs || !suspect_grows(place, end_ns))
            continue;
        findings_add(findings, &(struct finding){
                                   .kind = FINDING_SPAWNING,
                                   .severity = FINDING_ERROR,
                                   .value = (int64_t)place->count,
                                   .threshold = (int64_t)limits->spawned_gs,
                                   .times = 1,
                                   .end_ns = end_ns,
                                   .fn = place->key.fn,
                                   .create_stack = place->key.create_stack,
                                   .gs = place->count,
                               });
    }
    return 0;
}

void lives_clear(struct lives *lives)
{
    distributions_clear(&lives->starts);
    suspects_clear(&lives->places);
}
