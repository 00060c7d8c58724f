/* The lanes of an order (order.h) whose head may be enabled, earliest first: a binary heap with the times beside the
 * lanes, so that they are compared without a look at these. */
#ifndef GMPT_LANEHEAP_H
#define GMPT_LANEHEAP_H

#include "sections.h"

#include <stdint.h>

struct order_lane;

struct laneheap_slot {
    uint64_t ticks;
    struct order_lane *lane;
};

/* What is not used has the time UINT64_MAX, so the two below the first can be looked at without a look at count. */
struct laneheap {
    struct laneheap_slot slot[SECTION_RINGS_MAX + 2];
    uint32_t count;
};

static inline void laneheap_init(struct laneheap *heap)
{
    heap->count = 0;
    for (uint32_t i = 0; i < SECTION_RINGS_MAX + 2; i++)
        heap->slot[i] = (struct laneheap_slot){ UINT64_MAX, NULL };
}

/* Moves the lane that belongs at or below `at` down to its place. */
void laneheap_sink(struct laneheap *heap, uint32_t at);
void laneheap_push(struct laneheap *heap, struct order_lane *lane, uint64_t ticks);
void laneheap_pop(struct laneheap *heap);

/* The first lane has another head. */
static inline void laneheap_again(struct laneheap *heap, uint64_t ticks)
{
    struct laneheap_slot *slot = heap->slot;
    slot[0].ticks = ticks;
    if (slot[1].ticks < ticks || slot[2].ticks < ticks)
        laneheap_sink(heap, 0);
}

#endif
