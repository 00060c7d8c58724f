/* Copying stacks, with the threads that are stopped. See stackcopy.h. */
#define _GNU_SOURCE
#include "stackcopy.h"

#include "memorymap.h"
#include "seat.h"
#include "start.h"
#include "stopworld.h"

#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define STACKCOPY_MIN 2048u       /* stacks; fewer are forked in a few milliseconds */
#define STACKCOPY_BYTES_MAX 2048u /* in use by one, on average: more take longer to copy than page tables */
#define SAMPLES 1024u
#define CHUNK 64u /* Gs that are copied together: their stacks fit into a CPU's cache */
#define AHEAD 8u  /* so many Gs ahead their lines are fetched */
#define LINE_BYTES 64u
#define RED_ZONE_BYTES 128u

static struct {
    struct stack_copy *entries; /* room for all that can be; NULL: the class is not copied */
    uint32_t made;              /* as the program was stopped */
} classes[STACK_CLASSES];

/* The atomics only share out the work, and need no order: what the threads read was there before they were asked, and
 * what they wrote is seen once they have done (A6, B5 and A7 of stopworld.h). */
static struct {
    uint8_t *base;
    size_t bytes;
    ATOMIC(uint64_t) used;
    ATOMIC(uint64_t) next; /* the chunk to be copied next, counted over all classes that are copied */
    ATOMIC(uint32_t) failed;
} arena;

/* ---- before ---- */

/* What the G has in use, itself included; 0: nothing, or it runs. It may move meanwhile. */
static PEEK uint64_t used_bytes(const struct g *g, enum stack_class class, uint32_t index)
{
    uint64_t low = (uint64_t)(uintptr_t) * (void *const volatile *)&g->context.sp;
    uint64_t lowest = (uint64_t)(uintptr_t)seat_stack_lo(class, index), top = (uint64_t)(uintptr_t)g;
    return low >= lowest && low <= top ? top - low + sizeof *g : 0;
}

/* How many bytes the stacks of a class have in use, from samples; 0: it is not to be copied. */
static uint64_t estimate(enum stack_class class)
{
    uint32_t made = load_acquire(&seat_regions[class].made), step = made / SAMPLES + 1;
    uint64_t bytes = 0, used = 0, looked_at = 0;
    bool always = debug_settings.stackcopy != 0;
    if (made == 0 || (!always && (made < STACKCOPY_MIN || seat_guard_bytes(class) == 0)))
        return 0; /* those without guards lie close together, and are forked in no time */
    for (uint32_t index = 0; index < made; index += step, looked_at++) {
        uint64_t one = used_bytes(seat_g(class, index), class, index);
        bytes += one;
        used += one > 0;
    }
    if (!always && (used == 0 || bytes / used > STACKCOPY_BYTES_MAX))
        return 0;
    return bytes * made / looked_at + 1;
}

static void *reserve(size_t bytes)
{
    void *memory =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

/* Pages that are there before the program is stopped, large ones if there are any. */
static void populate(void *memory, size_t bytes)
{
    madvise(memory, bytes, MADV_HUGEPAGE);
    madvise(memory, bytes, MADV_POPULATE_WRITE);
}

static bool prepare_class(enum stack_class class)
{
    struct stack_copy *entries = reserve(seat_regions[class].count * sizeof *entries);
    if (entries)
        populate(entries, load_acquire(&seat_regions[class].made) * sizeof *entries);
    classes[class].entries = entries;
    return entries != NULL;
}

void stackcopy_prepare(void)
{
    uint64_t bytes = 0;
#ifdef SWITCH_ASAN
    return; /* parts of each stack are poisoned */
#endif
    for (enum stack_class class = 0; class < STACK_CLASSES; class++) {
        uint64_t one = estimate(class);
        if (one > 0 && prepare_class(class))
            bytes += one;
    }
    if (bytes == 0)
        return;
    arena.bytes = 2 * bytes + (1u << 20);
    arena.base = reserve(arena.bytes);
    if (arena.base)
        populate(arena.base, bytes + bytes / 8);
    else
        stackcopy_free();
}

/* ---- while all stand still ---- */

/* Room for so many bytes and some that may be left over; NULL = there is none. */
static uint8_t *take(uint64_t bytes)
{
    uint64_t used = fetch_add_relaxed(&arena.used, bytes);
    if (used + bytes > arena.bytes) {
        store_relaxed(&arena.failed, 1);
        return NULL;
    }
    return arena.base + used;
}

static void prefetch(const uint8_t *from, const uint8_t *to)
{
    for (; from < to; from += LINE_BYTES)
        __builtin_prefetch(from);
}

static uint64_t round_up(uint64_t bytes) { return (bytes + 15) & ~UINT64_C(15); }

static void copy_seat(struct stack_copy *entry, const struct g *g, uint64_t low, uint8_t *to)
{
    uint64_t bytes = (uint64_t)(uintptr_t)(g + 1) - low;
    uint8_t *end = to + round_up(bytes);
    memcpy(end - bytes, (const void *)(uintptr_t)low, bytes);
    *entry = (struct stack_copy){ (const struct g *)(const void *)(end - sizeof *g), low };
}

static void copy_chunk(enum stack_class class, uint32_t first, uint32_t end)
{
    uint64_t bytes[CHUNK], all = 0;
    for (uint32_t i = first; i < end && i < first + AHEAD; i++)
        __builtin_prefetch(seat_g(class, i));
    for (uint32_t i = first; i < end; i++) {
        const struct g *g = seat_g(class, i);
        if (i + AHEAD < end)
            __builtin_prefetch(seat_g(class, i + AHEAD));
        bytes[i - first] = used_bytes(g, class, i);
        if (bytes[i - first])
            prefetch((const uint8_t *)(g + 1) - bytes[i - first], (const uint8_t *)(g + 1));
        else if (g->context.sp)
            store_relaxed(&arena.failed, 1); /* beyond its stack: let fork() see to it */
        all += round_up(bytes[i - first]);
    }
    uint8_t *to = take(all);
    for (uint32_t i = first; i < end && to; i++) {
        const struct g *g = seat_g(class, i);
        if (bytes[i - first])
            copy_seat(&classes[class].entries[i], g, (uint64_t)(uintptr_t)(g + 1) - bytes[i - first], to);
        to += round_up(bytes[i - first]);
    }
}

/* By several threads at once: chunk after chunk, until there are no more. */
static void copy_chunks(void *unused)
{
    (void)unused;
    while (!load_relaxed(&arena.failed)) {
        uint64_t chunk = fetch_add_relaxed(&arena.next, 1) * CHUNK;
        enum stack_class class = 0;
        for (; class < STACK_CLASSES; class++) {
            uint64_t made = classes[class].entries ? (classes[class].made + CHUNK - 1) / CHUNK * CHUNK : 0;
            if (chunk < made)
                break;
            chunk -= made;
        }
        if (class == STACK_CLASSES)
            return;
        uint32_t end = (uint32_t)chunk + CHUNK;
        copy_chunk(class, (uint32_t)chunk, end < classes[class].made ? end : classes[class].made);
    }
}

/* The lowest address of a stack that a stopped thread runs on; what the signal has put aside may lie there, too. */
static uint64_t running_low(const struct stopped_thread *thread, const struct g *g)
{
    uint64_t lowest = (uint64_t)(uintptr_t)seat_stack_lo(g->stack_class, g->index), top = (uint64_t)(uintptr_t)g;
    uint64_t sp = thread->sp, context = (uint64_t)(uintptr_t)thread->context;
    if (sp < lowest || sp >= top)
        return 0; /* elsewhere: nobody says how far down it goes */
    uint64_t low = sp - lowest > RED_ZONE_BYTES ? sp - RED_ZONE_BYTES : lowest;
    return (context >= lowest && context < low ? context : low) & ~UINT64_C(15);
}

static void copy_running(void)
{
    uint32_t count;
    const struct stopped_thread *threads = stopworld_threads(&count);
    for (uint32_t i = 0; i < count; i++) {
        const struct g *g = threads[i].m ? threads[i].m->current : NULL;
        if (!g || !classes[g->stack_class].entries || g->context.sp)
            continue;
        uint64_t low = running_low(&threads[i], g);
        uint8_t *to = low ? take(round_up((uint64_t)(uintptr_t)(g + 1) - low)) : NULL;
        if (to)
            copy_seat(&classes[g->stack_class].entries[g->index], g, low, to);
        else
            store_relaxed(&arena.failed, 1);
    }
}

static int hide(struct proof_input *input, const void *start, size_t bytes)
{
    return memory_map_hide(input, (uint64_t)(uintptr_t)start, (uint64_t)(uintptr_t)start + bytes);
}

static uint32_t helpers(void)
{
    cpu_set_t cpus;
    uint32_t ps = load_relaxed(&sched.p_count);
    int count = sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? CPU_COUNT(&cpus) : 1;
    return (uint32_t)count - 1 < ps ? (uint32_t)count - 1 : ps; /* and this thread */
}

int stackcopy_make(struct proof_input *input)
{
    if (!arena.base)
        return 0;
    store_relaxed(&arena.used, 0);
    store_relaxed(&arena.next, 0);
    store_relaxed(&arena.failed, 0);
    for (enum stack_class class = 0; class < STACK_CLASSES; class++)
        classes[class].made = load_acquire(&seat_regions[class].made);
    stopworld_share(copy_chunks, NULL, helpers());
    copy_running();
    if (load_relaxed(&arena.failed)) {
        stackcopy_free();
        return 0;
    }
    int error = hide(input, arena.base, arena.bytes);
    for (enum stack_class class = 0; class < STACK_CLASSES && !error; class++)
        if (classes[class].entries)
            error = hide(input, classes[class].entries, seat_regions[class].count * sizeof(struct stack_copy));
    return error;
}

static int advise(enum stack_class class, int advice)
{
    return madvise(seat_regions[class].base, (size_t)seat_regions[class].count * seat_stride(class), advice);
}

void stackcopy_fork_begin(void)
{
    for (enum stack_class class = 0; class < STACK_CLASSES; class++)
        if (classes[class].entries)
            advise(class, MADV_DONTFORK); /* if it cannot, they are copied in vain */
}

void stackcopy_fork_end(void)
{
    for (enum stack_class class = 0; class < STACK_CLASSES; class++)
        if (classes[class].entries && advise(class, MADV_DOFORK) < 0)
            fatal("stacks cannot be made part of forked processes again");
}

void stackcopy_free(void)
{
    for (enum stack_class class = 0; class < STACK_CLASSES; class++) {
        if (classes[class].entries)
            munmap(classes[class].entries, seat_regions[class].count * sizeof(struct stack_copy));
        classes[class].entries = NULL;
    }
    if (arena.base)
        munmap(arena.base, arena.bytes);
    arena.base = NULL;
}

/* ---- in the copied process ---- */

const struct stack_copy *stackcopy_of(enum stack_class class, uint32_t index)
{
    return classes[class].entries ? &classes[class].entries[index] : NULL;
}

const void *stackcopy_at(const void *address)
{
    for (enum stack_class class = 0; class < STACK_CLASSES; class++) {
        uint64_t offset = (uint64_t)((uintptr_t)address - (uintptr_t)seat_regions[class].base);
        if (!classes[class].entries || offset >= (uint64_t)classes[class].made * seat_stride(class))
            continue;
        uint32_t index = (uint32_t)(offset / seat_stride(class));
        const struct stack_copy *copy = &classes[class].entries[index];
        uint64_t top = (uint64_t)(uintptr_t)seat_g(class, index), at = (uint64_t)(uintptr_t)address;
        return copy->g && at >= copy->low && at < top ? (const uint8_t *)copy->g - (top - at) : NULL;
    }
    return address;
}
