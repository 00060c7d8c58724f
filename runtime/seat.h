/* Seats: a stack and a registry slot each, made once and used by one G after another.
 *
 * There are a few classes of stacks (enum stack_class). The stacks of a class lie in one reservation, seat_stride()
 * apart, and cost memory by the page as they are touched. A seat's number is its registry slot's, whatever the class;
 * where a stack lies follows from its class and its index in it.
 *
 *     guarded    | guard | stack ... args | struct g | colour |  | guard | ...
 *     small      | canary | stack ... args | struct g || canary | stack ... args | struct g |     two to a page
 *
 * Below each stack but the small ones lies a guard: by MADV_GUARD_INSTALL where the kernel has it (6.13), which splits
 * no mapping; by mprotect for the first GUARD_MAPPINGS seats elsewhere. The rest, and all small ones, have a canary: a
 * word at the stack's end that is written when a G gets the stack, and checked when it parks and when it ends. Below
 * the region of the small ones are SMALL_ROOM_BYTES that anybody may overwrite, and then a guard for all of them.
 *
 * Free seats are told apart by reference, not linked through their stacks, so that neither moving nor releasing them
 * touches one: a cache in each P, and behind the caches a store for each class (under a lock), whose stacks may have
 * been released to the system ("cold"). Every field of struct g is set when the seat is taken. */
#ifndef GMPT_SEAT_H
#define GMPT_SEAT_H

#include "debug.h"
#include "memcheck.h"
#include "runtime.h"

#include <sys/mman.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

#define STACK_BYTES GMPT_STACK_DEFAULT
/* Address space only; a larger frame may jump over it. An odd number of pages from seat to seat: were it a power of
 * two, all stacks would meet in a few sets of the TLB, which costs a thousand Gs that are spawned and joined half as
 * much again. */
#define GUARD_BYTES (65536u + 4096u)
#define SMALL_ROOM_BYTES 65536u
#define SEATS_MAX (4u << 20)
#define STACK_CANARY 0x70616c6f766572ull

/* Gs at the same offset in their pages would all meet in the same few sets of the first-level cache, so neighbours'
 * tops are shifted by some lines. */
#define COLOURS 16u
#define COLOUR_BYTES 64u

static inline uint32_t seat_stack_bytes(enum stack_class class)
{
    static const uint32_t bytes[STACK_CLASSES] = { GMPT_STACK_SMALL, GMPT_STACK_DEFAULT, 256u << 10, 1u << 20,
                                                   GMPT_STACK_MAX };
    return bytes[class];
}

static inline uint32_t seat_guard_bytes(enum stack_class class) { return class == STACK_SMALL ? 0 : GUARD_BYTES; }

static inline uint32_t seat_stride(enum stack_class class) { return seat_stack_bytes(class) + seat_guard_bytes(class); }

/* A class's reservation: base and count are set before the first seat is made. */
struct seat_region {
    uint8_t *base;
    uint32_t count;
    ATOMIC(uint32_t) made;    /* stacks [0, made) have been in use */
    ATOMIC(uint32_t) guarded; /* from this index on guards could not be had; seats are decided when they are taken */
};
extern struct seat_region seat_regions[STACK_CLASSES];

static inline uint8_t *seat_stack_lo(enum stack_class class, uint32_t index)
{
    return seat_regions[class].base + (size_t)index * seat_stride(class) + seat_guard_bytes(class);
}

static inline struct g *seat_g(enum stack_class class, uint32_t index)
{
    uint32_t colour = class == STACK_SMALL ? 0 : (index % COLOURS) * COLOUR_BYTES;
    return (struct g *)(seat_stack_lo(class, index) + seat_stack_bytes(class) - colour - sizeof(struct g));
}

/* The smallest class with at least so many bytes, 0 meaning the default; STACK_CLASSES when there is none. */
enum stack_class seat_class_for(uint32_t stack_bytes);

/* Reserves address space for as many seats as can be had, up to SEATS_MAX. Returns their number, 0 when there is
 * none. */
uint32_t seat_reserve(void);

bool seat_refill_owner(struct p *p, enum stack_class class);

/* Zeroes the part of g's stack that its first frames will lie in. Not for every G: half a kilobyte of it would cost a
 * spawn a third more (12 ns). */
void seat_clear(struct g *g);

/* A G with a seat: slot, seat, index, stack_class and canary are set, what else it holds is anything. From p's cache if
 * that has one. NULL when there are no more seats. Only the holder of p. */
static inline __attribute__((always_inline)) struct g *seat_take_owner(struct p *p, enum stack_class class)
{
    struct seat_cache *cache = &p->seats[class];
    if (unlikely(cache->count == 0) && !seat_refill_owner(p, class))
        return NULL;
    struct seat_ref ref = cache->refs[--cache->count];
    struct g *g = seat_g(class, ref.index);
    if (likely(cache->count)) { /* the next one's lines come meanwhile */
        struct seat_ref next = cache->refs[cache->count - 1];
        const char *next_g = (const char *)seat_g(class, next.index);
        __builtin_prefetch(next_g, 1);
        __builtin_prefetch(next_g + 64, 1);
        __builtin_prefetch(&trace_segment.registry[next.seat], 1);
        __builtin_prefetch((const char *)&trace_segment.registry[next.seat] + 64, 1);
    }
    g->slot = &trace_segment.registry[ref.seat];
    g->seat = ref.seat;
    g->index = ref.index;
    g->stack_class = (uint8_t)class;
    g->canary = ref.index >= load_relaxed(&seat_regions[class].guarded);
    if (unlikely(memcheck_on))
        memcheck_stack_taken(seat_stack_lo(class, ref.index), g);
    if (unlikely(debug_settings.clearstacks != 0))
        seat_clear(g);
    if (unlikely(g->canary))
        *(uint64_t *)seat_stack_lo(class, ref.index) = STACK_CANARY;
    return g;
}

/* Whether a G without a guard, whose stack pointer is sp, is or has been beyond the end of its stack. */
static inline bool seat_is_overflowed(const struct g *g, const void *sp)
{
    const uint8_t *lo = seat_stack_lo(g->stack_class, g->index);
    return *(const uint64_t *)lo != STACK_CANARY || (const uint8_t *)sp <= lo;
}

/* Gives the seat of a G back that nothing runs on. Only the holder of p. */
void seat_give_owner(struct p *p, struct g *g);

/* The G whose guard this address lies in, NULL = none. Async-signal-safe. */
struct g *seat_of_guard(const void *address);

struct g_slot *seat_slot(uint32_t seat);
/* The private half of the G in a slot. */
static inline struct g *seat_g_of(const struct g_slot *slot) { return (struct g *)(uintptr_t)slot->stack_hi; }

/* Empties the P's cache of a class into the store. Only the holder of p. */
void seat_flush_owner(struct p *p, enum stack_class class);

/* ---- for reclaim.c, by one caller at a time ---- */

/* Sets up to max refs of a class's store aside, of those that have been free for longest and are not cold; *refs is
 * where they lie, the caller's to put in another order. */
uint32_t seat_reclaim_begin(enum stack_class class, uint32_t max, struct seat_ref **refs);
/* The first so many of them are cold now; the others come to where they are taken first. */
void seat_reclaim_end(enum stack_class class, uint32_t released);
/* How many refs are in the store, cold ones included. */
uint32_t seat_free_count(enum stack_class class);
/* How many refs were in the store and not cold throughout the time since the last call. */
uint32_t seat_surplus(enum stack_class class);

#endif
