/* Makes seats in batches, guards their stacks, and keeps those that are free. See seat.h. */
#define _GNU_SOURCE
#include "seat.h"

#include "overflow.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

#ifndef PIDFD_SELF
#define PIDFD_SELF (-10000)
#endif

#define GUARD_MAPPINGS 16000u
#define MADE_TOGETHER 32u
#define CLEAR_BYTES 4096u
#define DUMP_STEP 1024u /* seats that are made part of core files at a time */
#define SMALL_MARGIN_BYTES (GUARD_BYTES + SMALL_ROOM_BYTES) /* below the first small stack */

static const struct limits {
    uint32_t count;  /* stacks, at most */
    uint32_t cached; /* by a P, at most SEAT_CACHE; half of them go to the store when it is full */
    uint32_t batch;  /* made at a time */
} limits[STACK_CLASSES] = {
    [STACK_SMALL] = { SEATS_MAX, SEAT_CACHE, MADE_TOGETHER }, [STACK_DEFAULT] = { SEATS_MAX, SEAT_CACHE, 16 },
    [STACK_256K] = { 65536, 16, 4 },               [STACK_1M] = { 16384, 8, 2 },
    [STACK_8M] = { 4096, 4, 1 },
};

struct seat_region seat_regions[STACK_CLASSES];

#ifdef MEMCHECK_REQUESTS
int memcheck_on;
#endif

/* Free seats of a class, taken from the end; the room is reserved for all that can be. */
struct store {
    struct seat_ref *refs;
    uint32_t count;
    uint32_t cold;  /* refs [0, cold) have had their stacks released */
    uint32_t floor; /* not 0: refs [cold, floor) are being released; those below floor cannot be taken until then */
    uint32_t low;   /* the fewest that were not cold since seat_surplus last asked */
    uint32_t dumped; /* stacks [0, dumped) are part of core files */
};

static struct {
    struct lock lock; /* of all below, and of the regions' making */
    uint32_t count;   /* registry slots */
    uint32_t made;
    uint32_t mappings; /* spent on guards */
    uint32_t dumped;   /* registry slots that are part of core files */
    struct store stores[STACK_CLASSES];
    ATOMIC(uint32_t) no_light_guards;
    ATOMIC(uint32_t) no_vectors; /* several guards cannot be had at once */
} seats;

static void *reserve(size_t bytes, int flags)
{
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
    return base == MAP_FAILED ? NULL : base;
}

/* Address space for as many stacks of the class as can be had, min at least. */
static bool reserve_class(enum stack_class class, uint32_t min)
{
    struct seat_region *region = &seat_regions[class];
    struct store *store = &seats.stores[class];
    for (uint32_t count = limits[class].count; count >= min; count /= 2) {
        size_t margin = class == STACK_SMALL ? SMALL_MARGIN_BYTES : 0;
        size_t bytes = margin + (size_t)count * seat_stride(class), refs_bytes = (size_t)count * sizeof *store->refs;
        uint8_t *base = reserve(bytes, MAP_STACK);
        void *refs = base ? reserve(refs_bytes, 0) : NULL;
        if (refs && (margin == 0 || mprotect(base, GUARD_BYTES, PROT_NONE) == 0)) {
            madvise(base, bytes, MADV_NOHUGEPAGE);
            madvise(base, bytes, MADV_DONTDUMP);
            memcheck_reserved(base, bytes);
            store->refs = refs;
            region->base = base + margin;
            region->count = count;
            store_relaxed(&region->guarded, class == STACK_SMALL ? 0 : UINT32_MAX);
            return true;
        }
        if (refs)
            munmap(refs, refs_bytes);
        if (base)
            munmap(base, bytes);
    }
    return false;
}

uint32_t seat_reserve(void)
{
#ifdef MEMCHECK_REQUESTS
    memcheck_on = (int)RUNNING_ON_VALGRIND;
#endif
    seats.count = reserve_class(STACK_DEFAULT, 1024) ? seat_regions[STACK_DEFAULT].count : 0;
    /* An emulator may take any advice and do nothing: only who refuses nonsense is believed about guards. */
    if (seats.count && madvise(seat_regions[STACK_DEFAULT].base, GUARD_BYTES, -1) == 0)
        store_relaxed(&seats.no_light_guards, 1);
    return seats.count;
}

enum stack_class seat_class_for(uint32_t stack_bytes)
{
#if defined(SWITCH_ASAN) || defined(SWITCH_TSAN)
    if (stack_bytes <= GMPT_STACK_SMALL) /* what the compiler adds to each frame does not fit */
        return STACK_DEFAULT;
#endif
    if (stack_bytes == 0)
        return STACK_DEFAULT;
    enum stack_class class = STACK_SMALL;
    while (class < STACK_CLASSES && seat_stack_bytes(class) < stack_bytes)
        class++;
    return class;
}

static bool guard_by_mprotect(void *guard, uint32_t bytes)
{
    lock_acquire(&seats.lock);
    bool allowed = seats.mappings < GUARD_MAPPINGS;
    seats.mappings += allowed;
    lock_release(&seats.lock);
    return allowed && mprotect(guard, bytes, PROT_NONE) == 0;
}

static bool guard_install(void *guard, uint32_t bytes)
{
    if (!load_relaxed(&seats.no_light_guards)) {
        if (madvise(guard, bytes, MADV_GUARD_INSTALL) == 0)
            return true;
        store_relaxed(&seats.no_light_guards, 1);
    }
    return guard_by_mprotect(guard, bytes);
}

/* Guards as many of the first of these stacks as one system call will (Linux 6.15), which costs each a tenth of a
 * microsecond less than one of its own. Returns how many. */
static uint32_t guard_together(enum stack_class class, const struct seat_ref *refs, uint32_t count)
{
    struct iovec guards[MADE_TOGETHER];
    uint32_t guard_bytes = seat_guard_bytes(class);
    if (count < 2 || memcheck_on || load_relaxed(&seats.no_light_guards) || load_relaxed(&seats.no_vectors))
        return 0;
    for (uint32_t i = 0; i < count; i++)
        guards[i] = (struct iovec){ seat_stack_lo(class, refs[i].index) - guard_bytes, guard_bytes };
    ssize_t bytes = process_madvise(PIDFD_SELF, guards, count, MADV_GUARD_INSTALL, 0);
    if (bytes == (ssize_t)count * guard_bytes)
        return count;
    store_relaxed(&seats.no_vectors, 1);
    return bytes < 0 ? 0 : (uint32_t)(bytes / guard_bytes);
}

static void guard(enum stack_class class, const struct seat_ref *refs, uint32_t count)
{
    struct seat_region *region = &seat_regions[class];
    uint32_t guard_bytes = seat_guard_bytes(class), guarded = load_relaxed(&region->guarded);
    if (guard_bytes == 0)
        return;
    for (uint32_t i = guard_together(class, refs, count); i < count; i++) {
        uint32_t index = refs[i].index;
        if (index < guarded && !guard_install(seat_stack_lo(class, index) - guard_bytes, guard_bytes))
            while (index < guarded && !cas_acq_rel(&region->guarded, &guarded, index))
                ;
    }
}

/* Shows a new stack to the outside. */
static void furnish(enum stack_class class, struct seat_ref ref)
{
    uint8_t *lo = seat_stack_lo(class, ref.index);
    struct g_slot *slot = &trace_segment.registry[ref.seat];
    struct g *g = seat_g(class, ref.index);
    memcheck_used(g, sizeof *g);
    memcheck_stack_made(lo, g);
    memcheck_used(slot, sizeof *slot);
    slot->stack_lo = (uint64_t)(uintptr_t)lo;
    slot->stack_hi = (uint64_t)(uintptr_t)g;
}

/* Core files hold what has been in use, and not all that is reserved: they would have hundreds of gigabytes. */
static void dump_locked(void *base, size_t unit_bytes, uint32_t *dumped, uint32_t used, uint32_t count)
{
    if (used <= *dumped)
        return;
    uint32_t end = used < count - count % DUMP_STEP ? (used + DUMP_STEP - 1) / DUMP_STEP * DUMP_STEP : count;
    madvise((uint8_t *)base + *dumped * unit_bytes, (end - *dumped) * unit_bytes, MADV_DODUMP);
    *dumped = end;
}

/* Under the lock: the numbers of up to batch new seats. */
static uint32_t number_locked(enum stack_class class, struct seat_ref *refs)
{
    struct seat_region *region = &seat_regions[class];
    if (!region->base && !reserve_class(class, 1))
        return 0;
    uint32_t index = load_relaxed(&region->made), count = limits[class].batch;
    if (count > region->count - index)
        count = region->count - index;
    if (count > seats.count - seats.made)
        count = seats.count - seats.made;
    /* The lowest is to be taken first, and the cache is taken from its end. */
    for (uint32_t i = 0; i < count; i++)
        refs[i] = (struct seat_ref){ .index = index + count - 1 - i, .seat = seats.made + count - 1 - i };
    seats.made += count;
    dump_locked(region->base, seat_stride(class), &seats.stores[class].dumped, index + count, region->count);
    dump_locked(trace_segment.registry, sizeof(struct g_slot), &seats.dumped, seats.made, seats.count);
    store_release(&region->made, index + count);
    store_release(&trace_segment.header->registry_used, seats.made);
    return count;
}

static void note_low_locked(struct store *store)
{
    if (store->cold > store->count)
        store->cold = store->count;
    if (store->low > store->count - store->cold)
        store->low = store->count - store->cold;
}

__attribute__((noinline)) bool seat_refill_owner(struct p *p, enum stack_class class)
{
    struct seat_cache *cache = &p->seats[class];
    struct store *store = &seats.stores[class];
    lock_acquire(&seats.lock);
    uint32_t count = limits[class].cached / 2, made = 0;
    if (count > store->count - store->floor)
        count = store->count - store->floor;
    if (count) {
        store->count -= count;
        memcpy(cache->refs, store->refs + store->count, count * sizeof *cache->refs);
        note_low_locked(store);
    } else {
        count = made = number_locked(class, cache->refs);
    }
    lock_release(&seats.lock);
    guard(class, cache->refs, made);
    for (uint32_t i = 0; i < made; i++)
        furnish(class, cache->refs[i]);
    cache->count = count;
    return count > 0;
}

/* Moves the oldest of the cache, all but so many, to the store. */
static void spill(struct p *p, enum stack_class class, uint32_t left)
{
    struct seat_cache *cache = &p->seats[class];
    struct store *store = &seats.stores[class];
    uint32_t count = cache->count - left;
    lock_acquire(&seats.lock);
    memcpy(store->refs + store->count, cache->refs, count * sizeof *cache->refs);
    store->count += count;
    lock_release(&seats.lock);
    memmove(cache->refs, cache->refs + count, left * sizeof *cache->refs);
    cache->count = left;
}

void seat_flush_owner(struct p *p, enum stack_class class)
{
    if (p->seats[class].count)
        spill(p, class, 0);
}

void seat_clear(struct g *g)
{
    uint8_t *lo = seat_stack_lo(g->stack_class, g->index), *from = (uint8_t *)g - CLEAR_BYTES;
    if (from < lo || g->stack_class == STACK_SMALL)
        from = lo;
#ifdef SWITCH_ASAN
    __asan_unpoison_memory_region(from, (size_t)((uint8_t *)g - from)); /* as switch_created is about to */
#endif
    memset(from, 0, (size_t)((uint8_t *)g - from));
}

void seat_give_owner(struct p *p, struct g *g)
{
    if (unlikely(g->canary) && seat_is_overflowed(g, g))
        overflow_fatal(g);
    g->context.sp = NULL; /* nobody's stack, as a proof of leaks sees it */
    enum stack_class class = g->stack_class;
    struct seat_cache *cache = &p->seats[class];
    cache->refs[cache->count] = (struct seat_ref){ .index = g->index, .seat = g->seat };
    if (unlikely(++cache->count == limits[class].cached))
        spill(p, class, cache->count / 2);
}

struct g *seat_of_guard(const void *address)
{
    for (enum stack_class class = STACK_DEFAULT; class < STACK_CLASSES; class++) {
        struct seat_region *region = &seat_regions[class];
        uint64_t made = load_acquire(&region->made);
        uint64_t offset = (uint64_t)((const uint8_t *)address - region->base);
        if (made && offset < made * seat_stride(class) && offset % seat_stride(class) < seat_guard_bytes(class))
            return seat_g(class, (uint32_t)(offset / seat_stride(class)));
    }
    return NULL;
}

struct g_slot *seat_slot(uint32_t seat) { return &trace_segment.registry[seat]; }

/* ---- for reclaim.c ---- */

uint32_t seat_reclaim_begin(enum stack_class class, uint32_t max, struct seat_ref **refs)
{
    struct store *store = &seats.stores[class];
    lock_acquire(&seats.lock);
    uint32_t count = store->count - store->cold;
    if (count > max)
        count = max;
    *refs = store->refs + store->cold;
    if (count)
        store->floor = store->cold + count;
    lock_release(&seats.lock);
    return count;
}

void seat_reclaim_end(enum stack_class class, uint32_t released)
{
    struct store *store = &seats.stores[class];
    lock_acquire(&seats.lock);
    store->cold += released;
    struct seat_ref *kept = store->refs + store->cold, *end = store->refs + store->count;
    uint32_t kept_count = store->floor - store->cold;
    for (uint32_t i = 0; i < kept_count && kept + i < end - 1 - i; i++) { /* to where they are taken first */
        struct seat_ref ref = kept[i];
        kept[i] = end[-1 - (ptrdiff_t)i];
        end[-1 - (ptrdiff_t)i] = ref;
    }
    store->floor = 0;
    note_low_locked(store);
    lock_release(&seats.lock);
}

uint32_t seat_free_count(enum stack_class class)
{
    lock_acquire(&seats.lock);
    uint32_t count = seats.stores[class].count;
    lock_release(&seats.lock);
    return count;
}

uint32_t seat_surplus(enum stack_class class)
{
    struct store *store = &seats.stores[class];
    lock_acquire(&seats.lock);
    uint32_t surplus = store->low;
    store->low = store->count - store->cold;
    lock_release(&seats.lock);
    return surplus;
}
