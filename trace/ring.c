/* The rare half of the producer: beginning sub-buffers, losses, and the table of stacks. See ring.h. */
#define _GNU_SOURCE
#include "ring.h"

#include <gmptrace/trace.h>

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

void ring_init(struct ring *ring, struct segment *segment, uint32_t index)
{
    memset(ring, 0, sizeof *ring);
    ring->segment = segment;
    ring->control = &segment->rings[index];
    ring->index = index;
    ring->stack_words = segment_stacks(segment, index);
    ring_turn(ring, 0, false);
}

void ring_turn(struct ring *ring, uint32_t epoch, bool continues)
{
    ring->epoch = epoch;
    ring->limit = NULL;
    ring->position = (uint8_t *)1; /* past the limit: the next record begins a sub-buffer */
    if (!continues)
        ring->lost_pending = 0;
}

void ring_emit_fields(struct ring *ring, uint8_t code, uint64_t ticks, const uint64_t *fields, int count)
{
    uint8_t *p = ring_begin(ring, code, ticks);
    if (!p)
        return;
    for (int i = 0; i < count; i++)
        p = leb_put(p, fields[i]);
    ring_commit(ring, p);
}

void ring_destroy(struct ring *ring)
{
    free(ring->stack_index);
    ring->stack_index = NULL;
}

void ring_prefault(struct ring *ring)
{
    madvise(segment_subbuffer(ring->segment, ring->index, 0), (size_t)ring->segment->subbuffers * SUBBUFFER_BYTES,
            MADV_POPULATE_WRITE);
}

bool ring_advance(struct ring *ring, uint64_t ticks)
{
    uint64_t consumed = load_acquire(&ring->control->consumed); /* C */
    /* A value above `opened` is nonsense from outside; the difference is then huge, and the ring counts as full. */
    if (ring->opened - consumed >= ring->segment->subbuffers) {
        if (ring->lost_pending++ == 0)
            ring->lost_first_ticks = ticks;
        ring->lost_last_ticks = ticks;
        store_relaxed(&ring->control->lost, ++ring->lost);
        return false;
    }
    struct subbuffer *head = segment_subbuffer(ring->segment, ring->index, ring->opened);
    if (ticks < ring->last_ticks)
        ticks = ring->last_ticks;
    head->magic = SUBBUFFER_MAGIC;
    head->ring = ring->index;
    head->sequence = ring->opened;
    head->base_ticks = ticks;
    head->current_g = 0;
    head->current_seq = 0;
    head->tid = 0;
    head->lost_before = ring->lost;
    head->epoch = ring->epoch;
    head->lost_marked = ring->lost_pending < UINT32_MAX ? (uint32_t)ring->lost_pending : UINT32_MAX;
    if (ring->describe)
        ring->describe(ring, head);
    store_relaxed(&head->commit, 0);
    ring->open = head;
    ring->count = 0;
    ring->last_ticks = ticks;
    ring->position = (uint8_t *)(head + 1);
    ring->limit = (uint8_t *)head + SUBBUFFER_BYTES - RING_RECORD_MAX;
    store_release(&ring->control->opened, ++ring->opened); /* B */

    if (ring->lost_pending) {
        uint64_t count = ring->lost_pending;
        ring->lost_pending = 0;
        ring_emit(ring, GMPT_EVENT_lost, ticks, 2, count, ring->lost_last_ticks - ring->lost_first_ticks, 0, 0);
    }
    return true;
}

/* An entry in the table is its count and then the addresses; the hash table maps to (offset + 1, ordinal). */
static uint32_t stack_hash(const uint64_t *pc, uint32_t count)
{
    uint64_t hash = count;
    for (uint32_t i = 0; i < count; i++)
        hash = (hash ^ pc[i]) * 0x9e3779b97f4a7c15ull;
    return (uint32_t)(hash >> 32);
}

uint32_t ring_stack(struct ring *ring, const uint64_t *pc, uint32_t count)
{
    if (count == 0)
        return 0;
    if (!ring->stack_index) {
        ring->stack_index = calloc(2 * RING_STACK_SLOTS, sizeof *ring->stack_index);
        if (!ring->stack_index)
            goto lost;
        ring->stack_ordinals = ring->stack_index + RING_STACK_SLOTS;
    }
    uint32_t slot = stack_hash(pc, count) % RING_STACK_SLOTS;
    while (ring->stack_index[slot]) {
        const uint64_t *entry = ring->stack_words + ring->stack_index[slot] - 1;
        if (entry[0] == count && memcmp(entry + 1, pc, count * sizeof *pc) == 0)
            return ring->stack_ordinals[slot];
        slot = (slot + 1) % RING_STACK_SLOTS;
    }
    if (ring->stack_count >= RING_STACK_SLOTS / 2 || ring->stack_used + 1 + count > ring->segment->stacks_words)
        goto lost;
    uint64_t *entry = ring->stack_words + ring->stack_used;
    entry[0] = count;
    memcpy(entry + 1, pc, count * sizeof *pc);
    ring->stack_index[slot] = (uint32_t)ring->stack_used + 1;
    ring->stack_ordinals[slot] = ++ring->stack_count;
    ring->stack_used += 1 + count;
    store_release(&ring->control->stacks_used, ring->stack_used); /* D */
    return ring->stack_count;
lost:
    store_relaxed(&ring->control->stacks_lost, load_relaxed(&ring->control->stacks_lost) + 1);
    return 0;
}
