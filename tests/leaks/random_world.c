/* Random topologies, and which of their Gs have leaked. See random_world.h. */
#include "random_world.h"

#include <string.h>

/* ---- Chance ------------------------------------------------------------------------------------------------------ */

static uint64_t chance_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static uint16_t below(uint64_t *state, uint16_t limit) { return (uint16_t)(chance_next(state) % limit); }
static bool one_in(uint64_t *state, uint16_t count) { return below(state, count) == 0; }

/* ---- Making ------------------------------------------------------------------------------------------------------ */

static bool is_chan(enum world_kind kind) { return kind == WORLD_CHAN_EMPTY || kind == WORLD_CHAN_FULL; }

static void object_make(struct world *world, uint16_t index, uint64_t *state)
{
    struct world_object *object = &world->objects[index];
    *object = (struct world_object){ .host = WORLD_NONE, .parent = WORLD_NONE, .owner = WORLD_NONE };
    object->kind = below(state, 2) ? (enum world_kind)below(state, WORLD_KINDS) : (enum world_kind)below(state, 2);
    for (int i = 0; i < WORLD_REFS_MAX; i++)
        object->buffer[i] = WORLD_NONE;
    if (object->kind == WORLD_CHAN_FULL) {
        object->room = (uint8_t)below(state, WORLD_REFS_MAX + 1);
        for (int i = 0; i < object->room; i++)
            if (!one_in(state, 3))
                object->buffer[i] = below(state, world->object_count);
    } else if (object->kind == WORLD_CONTEXT) {
        uint16_t parent = below(state, world->object_count);
        if (parent < index && world->objects[parent].kind == WORLD_CONTEXT)
            object->parent = parent;
    } else if (object->kind != WORLD_CHAN_EMPTY)
        object->home = (enum world_home)below(state, 3);
    if (object->home == WORLD_ON_STACK)
        object->host = below(state, world->g_count);
}

/* The references that everybody has: few enough that much leaks, and enough that not all does. */
static void g_make(struct world *world, uint16_t index, uint64_t *state)
{
    struct world_g *g = &world->gs[index];
    *g = (struct world_g){ .opener = WORLD_NONE, .in_block = one_in(state, 3) };
    if (one_in(state, 8))
        g->doing = (enum world_doing)(WORLD_SLEEPS + below(state, WORLD_SPINS - WORLD_SLEEPS));
    else if (one_in(state, 10))
        g->doing = WORLD_OPENS_GROUP;
    g->held_count = (uint8_t)below(state, WORLD_REFS_MAX);
    for (int i = 0; i < g->held_count; i++)
        g->held[i] = below(state, world->object_count);
    if (g->doing != WORLD_WAITS)
        return;
    g->waits[g->wait_count++] = below(state, world->object_count);
    while (g->wait_count < WORLD_REFS_MAX && is_chan(world->objects[g->waits[0]].kind) && one_in(state, 4)) {
        uint16_t other = below(state, world->object_count);
        if (is_chan(world->objects[other].kind))
            g->waits[g->wait_count++] = other;
    }
}

static void hold(struct world_g *g, uint16_t object)
{
    for (int i = 0; i < g->held_count; i++)
        if (g->held[i] == object)
            return;
    if (g->held_count == WORLD_REFS_MAX)
        g->held_count--;
    g->held[g->held_count++] = object;
}

/* A child is started by its opener, so it comes later. One that is in a group waits; a group without children is none.
 */
static void groups_make(struct world *world, uint64_t *state)
{
    for (uint16_t i = 0; i < world->g_count; i++) {
        struct world_g *opener = &world->gs[i];
        int children = 0;
        for (uint16_t k = i + 1; k < world->g_count && opener->doing == WORLD_OPENS_GROUP && children < 3; k++)
            if (world->gs[k].doing == WORLD_WAITS && world->gs[k].opener == WORLD_NONE && one_in(state, 2)) {
                world->gs[k].opener = i;
                children++;
            }
        if (opener->doing == WORLD_OPENS_GROUP && children == 0)
            opener->doing = WORLD_SLEEPS;
    }
}

/* Whoever hosts an object has a reference to it by having it, and stays until the end, as no group's child may; whoever
 * has locked a mutex knows it. */
static void owners_make(struct world *world, uint64_t *state)
{
    for (uint16_t i = 0; i < world->object_count; i++) {
        struct world_object *object = &world->objects[i];
        if (object->home == WORLD_ON_STACK && world->gs[object->host].opener != WORLD_NONE) {
            object->home = WORLD_OWN_BLOCK;
            object->host = WORLD_NONE;
        }
        if (object->home == WORLD_ON_STACK)
            hold(&world->gs[object->host], i);
        if (object->kind == WORLD_MUTEX && one_in(state, 2)) {
            object->owner = below(state, world->g_count);
            hold(&world->gs[object->owner], i);
        }
    }
    for (uint16_t i = 0; i < world->object_count; i++) { /* which may have lost it to another one */
        struct world_object *object = &world->objects[i];
        bool host_holds = object->home != WORLD_ON_STACK, owner_holds = object->owner == WORLD_NONE;
        for (uint16_t g = 0; g < world->g_count; g++)
            for (int k = 0; k < world->gs[g].held_count; k++)
                if (world->gs[g].held[k] == i) {
                    host_holds |= g == object->host;
                    owner_holds |= g == object->owner;
                }
        if (!host_holds) {
            object->home = WORLD_OWN_BLOCK;
            object->host = WORLD_NONE;
        }
        if (!owner_holds)
            object->owner = WORLD_NONE;
    }
}

/* ---- The truth --------------------------------------------------------------------------------------------------- */

struct reach {
    bool object[WORLD_OBJECTS_MAX], g[WORLD_GS_MAX], changed;
};

/* by: the G that has the reference, or WORLD_NONE. */
static void reach_object(const struct world *world, struct reach *reach, uint16_t object, uint16_t by)
{
    if (object == WORLD_NONE || reach->object[object])
        return;
    if (world->objects[object].owner == WORLD_NONE || world->objects[object].owner == by)
        reach->changed = reach->object[object] = true;
}

/* all: a group's opener goes on when all its children have; else, when one could. */
static bool g_goes_on(const struct world *world, const struct reach *reach, uint16_t index, bool all)
{
    const struct world_g *g = &world->gs[index];
    bool some = false, every = true;
    if (g->doing == WORLD_OPENS_GROUP) {
        for (uint16_t i = 0; i < world->g_count; i++)
            if (world->gs[i].opener == index) {
                some |= reach->g[i];
                every &= reach->g[i];
            }
        return all ? every : some;
    }
    for (int i = 0; i < g->wait_count; i++)
        some |= reach->object[g->waits[i]];
    return some || g->doing != WORLD_WAITS;
}

static void reach_all(const struct world *world, struct reach *reach, bool all)
{
    memset(reach, 0, sizeof *reach);
    for (uint16_t i = 0; i < world->root_count; i++)
        reach_object(world, reach, world->roots[i].object, WORLD_NONE);
    do {
        reach->changed = false;
        for (uint16_t i = 0; i < world->object_count; i++) {
            const struct world_object *object = &world->objects[i];
            for (int k = 0; k < object->room && reach->object[i]; k++)
                reach_object(world, reach, object->buffer[k], WORLD_NONE);
            if (object->parent != WORLD_NONE && reach->object[object->parent])
                reach_object(world, reach, i, WORLD_NONE);
        }
        for (uint16_t i = 0; i < world->g_count; i++) {
            const struct world_g *g = &world->gs[i];
            if (!reach->g[i] && g_goes_on(world, reach, i, all))
                reach->changed = reach->g[i] = true;
            for (int k = 0; k < g->held_count && reach->g[i]; k++)
                reach_object(world, reach, g->held[k], i);
        }
    } while (reach->changed);
}

static void truth_find(struct world *world)
{
    struct reach certain, possible;
    reach_all(world, &certain, true);
    reach_all(world, &possible, false);
    for (uint16_t i = 0; i < world->g_count; i++)
        world->gs[i].truth = certain.g[i] ? WORLD_LIVE : possible.g[i] ? WORLD_OTHER : WORLD_LEAKED;
}

void world_make(struct world *world, uint64_t seed)
{
    uint64_t state = seed * 0x2545f4914f6cdd1d;
    memset(world, 0, sizeof *world);
    world->object_count = (uint16_t)(4 + below(&state, WORLD_OBJECTS_MAX - 3));
    world->g_count = (uint16_t)(4 + below(&state, WORLD_GS_MAX - 3));
    world->root_count = below(&state, (uint16_t)(1 + world->object_count / 4));
    for (uint16_t i = 0; i < world->object_count; i++)
        object_make(world, i, &state);
    for (uint16_t i = 0; i < world->g_count; i++)
        g_make(world, i, &state);
    groups_make(world, &state);
    owners_make(world, &state);
    if (one_in(&state, 4) && world->gs[0].doing == WORLD_SLEEPS)
        world->gs[0].doing = WORLD_SPINS;
    for (uint16_t i = 0; i < world->root_count; i++)
        world->roots[i] =
            (struct world_root){ (enum world_place)below(&state, WORLD_PLACES), below(&state, world->object_count) };
    truth_find(world);
}
