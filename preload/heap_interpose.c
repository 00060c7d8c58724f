/* libgmptrace-heap.so: stands before the allocator and notes its chunks, so that a proof of leaks can follow pointers
 * from chunk to chunk.
 *
 *     GMPT_LEAK_HEAP=trace LD_PRELOAD=/usr/local/lib/libgmptrace-heap.so ./server
 *
 * The allocator stays what it was: each call goes on to the one that dlsym finds next. heap_registry.h says what is
 * told of chunks, heap_map.h how they are noted. There are no locks and no words of threads here, so it works as early
 * and as late in a program's or a thread's life as the allocator does, and in the child after a fork.
 *
 * The order of the two halves matters to whoever looks at a program that stands still in between:
 *
 *     malloc   the allocator gives, then it is noted        the program has put nothing there yet
 *     free     it is struck off, then the allocator takes   the program wants nothing of it any more; and once the
 *                                                           allocator has it another thread may get and note it
 *     realloc  struck off, moved by the allocator, noted    what is in it is out of sight: counted in `resizing`
 *
 * dlsym may allocate. While it looks for the allocator it gets pieces of `early`, which are never given back. */
#define _GNU_SOURCE
#include "heap_map.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))
#define EARLY_BYTES 16384u
#define STRIPES 32u
#define PAGE_BYTES 4096u

static struct heap_map map;

/* Threads that are within realloc: each counts in the stripe of the stack that it is on. */
static struct {
    _Alignas(128) ATOMIC(uint32_t) count;
} resizing[STRIPES];

static ATOMIC(uint32_t) breaks_moved; /* the program moves the end of the heap itself */

static struct {
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void *(*aligned_alloc)(size_t, size_t);
    int (*posix_memalign)(void **, size_t, size_t);
    void *(*memalign)(size_t, size_t);
    void *(*valloc)(size_t);
    void *(*pvalloc)(size_t);
    size_t (*usable_size)(void *);
    void (*free)(void *);
    int (*brk)(void *);
    void *(*sbrk)(intptr_t);
    void *first_break;                /* where the heap of the GNU C library begins, if it is that one's */
    ATOMIC(void *(*)(size_t)) malloc; /* set last, by release */
    ATOMIC(uint32_t) looking;         /* and dlsym may call us */
} real;

/* ---- The allocator ----------------------------------------------------------------------------------------------- */

static _Alignas(16) uint8_t early[EARLY_BYTES];
static ATOMIC(uint32_t) early_used;

static bool is_early(const void *start) { return (uintptr_t)start - (uintptr_t)early < EARLY_BYTES; }

/* Of zeros, and with its size before it. */
static void *early_get(size_t bytes)
{
    uint32_t need = bytes < EARLY_BYTES ? ((uint32_t)bytes + 31) & ~15u : EARLY_BYTES;
    uint32_t at = fetch_add_relaxed(&early_used, need);
    if (at > EARLY_BYTES || need > EARLY_BYTES - at) {
        errno = ENOMEM;
        return NULL;
    }
    *(size_t *)(void *)(early + at) = bytes;
    return early + at + 16;
}

static size_t early_bytes(const void *start) { return *(const size_t *)(const void *)((const uint8_t *)start - 16); }

static void look_up(void)
{
    store_relaxed(&real.looking, 1);
    *(void **)&real.calloc = dlsym(RTLD_NEXT, "calloc");
    *(void **)&real.realloc = dlsym(RTLD_NEXT, "realloc");
    *(void **)&real.free = dlsym(RTLD_NEXT, "free");
    *(void **)&real.aligned_alloc = dlsym(RTLD_NEXT, "aligned_alloc");
    *(void **)&real.posix_memalign = dlsym(RTLD_NEXT, "posix_memalign");
    *(void **)&real.memalign = dlsym(RTLD_NEXT, "memalign");
    *(void **)&real.valloc = dlsym(RTLD_NEXT, "valloc");
    *(void **)&real.pvalloc = dlsym(RTLD_NEXT, "pvalloc");
    *(void **)&real.usable_size = dlsym(RTLD_NEXT, "malloc_usable_size");
    *(void **)&real.brk = dlsym(RTLD_NEXT, "brk");
    *(void **)&real.sbrk = dlsym(RTLD_NEXT, "sbrk");
    void *found = dlsym(RTLD_NEXT, "malloc");
    if (found == dlsym(RTLD_NEXT, "__libc_malloc") && real.sbrk)
        real.first_break = real.sbrk(0);
    void *(*allocate)(size_t);
    *(void **)&allocate = found;
    store_release(&real.malloc, allocate);
    store_relaxed(&real.looking, 0);
}

/* False: dlsym is looking for it. */
static inline bool allocator_found(void)
{
    if (__builtin_expect(load_acquire(&real.malloc) != NULL, 1))
        return true;
    if (load_relaxed(&real.looking))
        return false;
    look_up();
    return true;
}

__attribute__((constructor(101))) static void begin(void) { allocator_found(); }

/* So much that a chunk begins at a granule, whatever the allocator does with small ones. */
static inline size_t at_least(size_t bytes) { return bytes < HEAP_GRANULE_BYTES ? HEAP_GRANULE_BYTES : bytes; }

static void *no_such_function(void)
{
    errno = ENOSYS;
    return NULL;
}

/* ---- What programs call ------------------------------------------------------------------------------------------ */

PUBLIC void *malloc(size_t bytes)
{
    void *(*allocate)(size_t) = load_acquire(&real.malloc);
    if (__builtin_expect(!allocate, 0))
        return allocator_found() ? malloc(bytes) : early_get(bytes);
    bytes = at_least(bytes);
    return heap_map_note(&map, allocate(bytes), bytes);
}

static __attribute__((noinline)) void unknown_free(void *start)
{
    if (start && !is_early(start) && allocator_found())
        real.free(start);
}

PUBLIC void free(void *start)
{
    if (__builtin_expect(heap_map_strike(&map, start) != 0, 1))
        real.free(start);
    else
        unknown_free(start);
}

PUBLIC void *calloc(size_t count, size_t bytes)
{
    size_t all;
    if (__builtin_mul_overflow(count, bytes, &all)) {
        errno = ENOMEM;
        return NULL;
    }
    if (__builtin_expect(!allocator_found(), 0))
        return early_get(all);
    all = at_least(all);
    return heap_map_note(&map, real.calloc(1, all), all);
}

static void *early_leave(void *start, size_t bytes)
{
    size_t had = early_bytes(start);
    void *moved = malloc(bytes);
    if (moved)
        memcpy(moved, start, had < bytes ? had : bytes);
    return moved;
}

PUBLIC void *realloc(void *start, size_t bytes)
{
    if (!start)
        return malloc(bytes);
    if (__builtin_expect(is_early(start), 0))
        return early_leave(start, bytes);
    ATOMIC(uint32_t) *count = &resizing[(uintptr_t)__builtin_frame_address(0) >> 16 & (STRIPES - 1)].count;
    fetch_add_acq_rel(count, 1);
    uint64_t had = heap_map_strike(&map, start);
    allocator_found();
    void *moved = real.realloc(start, bytes ? at_least(bytes) : 0);
    if (moved)
        heap_map_note(&map, moved, at_least(bytes));
    else if (bytes && had)
        heap_map_note(&map, start, had * HEAP_GRANULE_BYTES); /* it failed, and left it alone */
    fetch_sub_acq_rel(count, 1);
    return moved;
}

PUBLIC void *reallocarray(void *start, size_t count, size_t bytes)
{
    size_t all;
    if (__builtin_mul_overflow(count, bytes, &all)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(start, all);
}

PUBLIC void *aligned_alloc(size_t alignment, size_t bytes)
{
    allocator_found();
    bytes = at_least(bytes);
    return real.aligned_alloc ? heap_map_note(&map, real.aligned_alloc(alignment, bytes), bytes) : no_such_function();
}

PUBLIC int posix_memalign(void **start, size_t alignment, size_t bytes)
{
    allocator_found();
    bytes = at_least(bytes);
    int error = real.posix_memalign ? real.posix_memalign(start, alignment, bytes) : ENOSYS;
    if (error == 0)
        heap_map_note(&map, *start, bytes);
    return error;
}

PUBLIC void *memalign(size_t alignment, size_t bytes)
{
    allocator_found();
    bytes = at_least(bytes);
    return real.memalign ? heap_map_note(&map, real.memalign(alignment, bytes), bytes) : no_such_function();
}

PUBLIC void *valloc(size_t bytes)
{
    allocator_found();
    bytes = at_least(bytes);
    return real.valloc ? heap_map_note(&map, real.valloc(bytes), bytes) : no_such_function();
}

PUBLIC void *pvalloc(size_t bytes)
{
    allocator_found();
    bytes = at_least(bytes);
    size_t pages = bytes / PAGE_BYTES + (bytes % PAGE_BYTES != 0); /* all of them are the caller's */
    return real.pvalloc ? heap_map_note(&map, real.pvalloc(bytes), pages * PAGE_BYTES) : no_such_function();
}

/* Later C libraries have these, and would free without our seeing it. */
PUBLIC void free_sized(void *start, size_t bytes);
PUBLIC void free_aligned_sized(void *start, size_t alignment, size_t bytes);

void free_sized(void *start, size_t bytes)
{
    (void)bytes;
    free(start);
}

void free_aligned_sized(void *start, size_t alignment, size_t bytes)
{
    (void)alignment, (void)bytes;
    free(start);
}

PUBLIC size_t malloc_usable_size(void *start)
{
    if (!start)
        return 0;
    if (is_early(start))
        return early_bytes(start);
    allocator_found();
    size_t usable = real.usable_size ? real.usable_size(start) : 0;
    struct heap_range chunk;
    if (heap_map_find(&map, (uintptr_t)start, &chunk) && chunk.start == (uintptr_t)start && chunk.bytes < usable) {
        heap_map_strike(&map, start);
        heap_map_note(&map, start, usable);
    }
    return usable;
}

/* The allocator's own calls of these do not come by here. */
PUBLIC int brk(void *end)
{
    allocator_found();
    store_relaxed(&breaks_moved, 1);
    return real.brk(end);
}

PUBLIC void *sbrk(intptr_t increment)
{
    allocator_found();
    if (increment)
        store_relaxed(&breaks_moved, 1);
    return real.sbrk(increment);
}

/* ---- What the runtime asks --------------------------------------------------------------------------------------- */

static bool chunk_find(uint64_t address, struct heap_range *chunk) { return heap_map_find(&map, address, chunk); }
static bool chunk_next(uint64_t *cursor, struct heap_range *chunk) { return heap_map_next(&map, cursor, chunk); }
static bool chunk_mark(uint64_t start) { return heap_map_mark(&map, start); }
static bool chunk_is_marked(uint64_t start) { return heap_map_is_marked(&map, start); }
static void marks_clear(void) { heap_map_marks_clear(&map); }
static bool is_whole(void) { return !load_relaxed(&map.broken); }

static uint32_t resizes(void)
{
    uint32_t count = 0;
    for (unsigned i = 0; i < STRIPES; i++)
        count += load_acquire(&resizing[i].count);
    return count;
}

/* ---- Arenas of the GNU C library --------------------------------------------------------------------------------- */

/* What its malloc keeps at the beginning of each heap of an arena other than the main one (malloc/arena.c). A heap lies
 * in a reservation of its own, as large as it is aligned. */
#define GLIBC_HEAP_BYTES (UINT64_C(64) << 20)
struct glibc_heap {
    uint64_t arena, previous, bytes, bytes_committed;
};

/* In the word before a chunk. */
#define GLIBC_MMAPPED 2u
#define GLIBC_NOT_MAIN 4u

static bool is_glibc_heap(uint64_t base, uint64_t chunk)
{
    const struct glibc_heap *heap = (const struct glibc_heap *)(uintptr_t)base;
    return heap->bytes % PAGE_BYTES == 0 && heap->bytes_committed % PAGE_BYTES == 0 &&
           heap->bytes_committed <= GLIBC_HEAP_BYTES && heap->bytes <= heap->bytes_committed &&
           chunk - base < heap->bytes && heap->previous % GLIBC_HEAP_BYTES == 0 && heap->arena % 8 == 0 &&
           heap->arena % GLIBC_HEAP_BYTES < PAGE_BYTES && heap->arena >= PAGE_BYTES;
}

/* The main arena, as far as it grew by brk. */
static bool main_arena(struct heap_range *arena)
{
    if (!real.first_break || load_relaxed(&breaks_moved))
        return false;
    arena->start = (uintptr_t)real.first_break;
    arena->bytes = (uintptr_t)real.sbrk(0) - arena->start;
    return arena->bytes > 0;
}

/* The first arena of a thread that ends above `from`, but does not begin as high as `until`. */
static bool thread_arena(uint64_t from, uint64_t until, struct heap_range *arena)
{
    struct heap_range chunk;
    const char *tunables = getenv("GLIBC_TUNABLES"); /* hugetlb: heaps are smaller */
    if (!real.first_break || (tunables && strstr(tunables, "hugetlb")))
        return false;
    for (uint64_t at = from; heap_map_next(&map, &at, &chunk) && chunk.start < until;) {
        uint64_t base = chunk.start & ~(GLIBC_HEAP_BYTES - 1);
        uint64_t word = *((const uint64_t *)(uintptr_t)chunk.start - 1);
        if (base + GLIBC_HEAP_BYTES <= from || word & GLIBC_MMAPPED || !(word & GLIBC_NOT_MAIN) ||
            !is_glibc_heap(base, chunk.start))
            continue;
        *arena = (struct heap_range){ base, GLIBC_HEAP_BYTES };
        return true;
    }
    return false;
}

static void nearer_take(struct heap_range *nearest, uint64_t from, const struct heap_range *other)
{
    if (other->start + other->bytes > from && other->start < nearest->start)
        *nearest = *other;
}

static bool arena_next(uint64_t *cursor, struct heap_range *arena)
{
    struct heap_range nearest = { UINT64_MAX, 0 }, other;
    for (struct heap_leaf *leaf = load_acquire(&map.made_last); leaf; leaf = leaf->made_before) /* F of heap_map.h */
        nearer_take(&nearest, *cursor, &(struct heap_range){ (uintptr_t)leaf, sizeof *leaf });
    if (main_arena(&other))
        nearer_take(&nearest, *cursor, &other);
    if (thread_arena(*cursor, nearest.start, &other))
        nearer_take(&nearest, *cursor, &other);
    if (nearest.start == UINT64_MAX)
        return false;
    *arena = nearest;
    *cursor = nearest.start + nearest.bytes;
    return true;
}

/* ---- Whether we are asked at all --------------------------------------------------------------------------------- */

/* A chunk that the program would get is noted: no sanitizer, Valgrind or allocator in the program is before us. */
static bool is_asked(void)
{
    void *(*allocate)(size_t);
    void (*give_back)(void *);
    *(void **)&allocate = dlsym(RTLD_DEFAULT, "malloc");
    *(void **)&give_back = dlsym(RTLD_DEFAULT, "free");
    if (!allocate || !give_back)
        return false;
    struct heap_range chunk;
    void *start = allocate(EARLY_BYTES);
    bool seen = start && heap_map_find(&map, (uintptr_t)start, &chunk) && chunk.start == (uintptr_t)start;
    give_back(start);
    return seen && !(heap_map_find(&map, (uintptr_t)start, &chunk) && chunk.start == (uintptr_t)start);
}

PUBLIC const struct gmpt_heap_registry *gmpt_heap_registry(void);

const struct gmpt_heap_registry *gmpt_heap_registry(void)
{
    static struct gmpt_heap_registry registry = {
        .version = HEAP_REGISTRY_VERSION,
        .chunk_find = chunk_find,
        .chunk_next = chunk_next,
        .arena_next = arena_next,
        .resizes = resizes,
        .is_whole = is_whole,
        .chunk_mark = chunk_mark,
        .chunk_is_marked = chunk_is_marked,
        .marks_clear = marks_clear,
    };
    registry.chunks_apart = real.first_break != NULL;
    return is_asked() ? &registry : NULL;
}
