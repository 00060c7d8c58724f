#include "laneheap.h"

void laneheap_sink(struct laneheap *heap, uint32_t at)
{
    struct laneheap_slot *slot = heap->slot, moving = slot[at];
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= heap->count)
            break;
        if (child + 1 < heap->count && slot[child + 1].ticks < slot[child].ticks)
            child++;
        if (slot[child].ticks >= moving.ticks)
            break;
        slot[at] = slot[child];
        at = child;
    }
    slot[at] = moving;
}

void laneheap_push(struct laneheap *heap, struct order_lane *lane, uint64_t ticks)
{
    uint32_t at = heap->count++;
    while (at > 0 && heap->slot[(at - 1) / 2].ticks > ticks) {
        heap->slot[at] = heap->slot[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap->slot[at] = (struct laneheap_slot){ ticks, lane };
}

void laneheap_pop(struct laneheap *heap)
{
    heap->slot[0] = heap->slot[--heap->count];
    heap->slot[heap->count] = (struct laneheap_slot){ UINT64_MAX, NULL };
    if (heap->count)
        laneheap_sink(heap, 0);
}
