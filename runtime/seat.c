/* Makes seats in batches, guards their stacks, and keeps those that are free. See seat.h. */
#define _GNU_SOURCE
#include "seat.h"

#include <string.h>
#include <sys/mman.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

#define SEAT_BATCH 16       /* made at a time */
#define FREE_CACHE_MAX 128u /* in a P's own list; half of them go to the common one when it is full */
#define GUARD_MAPPINGS 16000u
#define CANARY 0x70616c6f766572ull

/* Gs at the same offset in their pages would all meet in the same few sets of the first-level cache, so neighbours'
 * tops are shifted by some lines. */
#define COLOURS 16u
#define COLOUR_BYTES 64u

static struct {
    uint8_t *base;
    uint32_t count;
    struct lock lock; /* of all below */
    uint32_t made;
    struct g *free;
    bool no_light_guards;
} seats;

uint32_t seat_reserve(void)
{
    for (uint32_t count = SEATS_MAX; count >= 1024; count /= 2) {
        void *base = mmap(NULL, (size_t)count * SEAT_BYTES, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
        if (base == MAP_FAILED)
            continue;
        madvise(base, (size_t)count * SEAT_BYTES, MADV_NOHUGEPAGE);
        seats.base = base;
        seats.count = count;
        return count;
    }
    return 0;
}

static bool guard_install(void *guard, uint32_t seat)
{
    if (!seats.no_light_guards) {
        if (madvise(guard, GUARD_BYTES, MADV_GUARD_INSTALL) == 0)
            return true;
        seats.no_light_guards = true;
    }
    return seat < GUARD_MAPPINGS && mprotect(guard, GUARD_BYTES, PROT_NONE) == 0;
}

static struct g *make_seat(uint32_t seat)
{
    uint8_t *base = seats.base + (size_t)seat * SEAT_BYTES;
    struct g *g = (struct g *)(base + SEAT_BYTES - (seat % COLOURS) * COLOUR_BYTES - sizeof(struct g));
    g->canary = !guard_install(base, seat);
    if (g->canary)
        *(uint64_t *)(base + GUARD_BYTES) = CANARY;
    g->seat = seat;
    g->slot = &trace_segment.registry[seat];
    g->slot->stack_lo = (uint64_t)(uintptr_t)(base + GUARD_BYTES);
    g->slot->stack_hi = (uint64_t)(uintptr_t)g;
    return g;
}

struct g *seat_take_owner(struct p *p)
{
    if (unlikely(!p->free)) {
        lock_acquire(&seats.lock);
        while (seats.free && p->free_count < FREE_CACHE_MAX / 2) {
            struct g *g = seats.free;
            seats.free = g->next;
            g->next = p->free;
            p->free = g;
            p->free_count++;
        }
        while (p->free_count < SEAT_BATCH && seats.made < seats.count) {
            struct g *g = make_seat(seats.made++);
            g->next = p->free;
            p->free = g;
            p->free_count++;
        }
        store_release(&trace_segment.header->registry_used, seats.made);
        lock_release(&seats.lock);
        if (!p->free)
            return NULL;
    }
    struct g *g = p->free;
    p->free = g->next;
    p->free_count--;
    return g;
}

void seat_give_owner(struct p *p, struct g *g)
{
    if (unlikely(g->canary) && *(uint64_t *)(uintptr_t)g->slot->stack_lo != CANARY)
        fatal("goroutine %llu overflowed its stack of %u KiB", (unsigned long long)g->id, STACK_BYTES / 1024);
    g->next = p->free;
    p->free = g;
    if (unlikely(++p->free_count >= FREE_CACHE_MAX)) {
        lock_acquire(&seats.lock);
        while (p->free_count > FREE_CACHE_MAX / 2) {
            g = p->free;
            p->free = g->next;
            p->free_count--;
            g->next = seats.free;
            seats.free = g;
        }
        lock_release(&seats.lock);
    }
}

int64_t seat_of_guard(const void *address)
{
    uint64_t offset = (uint64_t)((const uint8_t *)address - seats.base);
    if (offset >= (uint64_t)seats.count * SEAT_BYTES || offset % SEAT_BYTES >= GUARD_BYTES)
        return -1;
    return (int64_t)(offset / SEAT_BYTES);
}

struct g_slot *seat_slot(uint32_t seat)
{
    return &trace_segment.registry[seat];
}
