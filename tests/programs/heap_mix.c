/* Says of itself whether libgmptrace-heap.so, preloaded, knows its chunks. The first argument says what to try; ends
 * with 0, or with 1 and a line that says what is not as it should be.
 *
 *     calls            each function that gives or changes memory
 *     mix T R SEED     T threads, R rounds of random calls on chunks that go from thread to thread; after each round
 *                      all stand still, and the registry must have exactly theirs, in a child after a fork, too
 *     forks T SEED     forks, again and again, while T threads go on
 *     arenas           which memory is told to be the allocator's alone
 *     ends             memory in constructors, destructors of threads' values and exit handlers
 *     pairs N          N pairs of malloc and free, for counting instructions
 *     absent           the registry must say that it is not asked */
#include "preload/heap_registry.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS_MAX 16
#define SLOTS 256
#define EXCHANGE 64
#define CALLS_A_ROUND 4000

static const struct gmpt_heap_registry *heap;

static void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
static void fail(const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof text - 1, format, args);
    va_end(args);
    text[length++] = '\n';
    ssize_t written = write(STDOUT_FILENO, text, (size_t)length);
    _exit(written == length ? 1 : 3);
}

/* What the caller has: in the registry there must be just that. */
struct piece {
    uint8_t *start;
    size_t bytes;
};

static uint64_t rounded(size_t bytes) { return bytes ? ((uint64_t)bytes + 15) / 16 * 16 : 16; }

static void expect_piece(const struct piece *piece, const char *after)
{
    struct heap_range chunk = { 0 };
    uint64_t start = (uintptr_t)piece->start;
    uint64_t addresses[] = { start, start + piece->bytes / 2, start + piece->bytes };
    for (int i = 0; i < 3; i++)
        if (!heap->chunk_find(addresses[i], &chunk) || chunk.start != start || chunk.bytes != rounded(piece->bytes))
            fail("after %s: %zu bytes at %p: for %#llx found %llu at %#llx", after, piece->bytes, (void *)piece->start,
                 (unsigned long long)addresses[i], (unsigned long long)chunk.bytes, (unsigned long long)chunk.start);
}

static bool is_chunk(uintptr_t start)
{
    struct heap_range chunk;
    return heap->chunk_find(start, &chunk) && chunk.start == start;
}

/* ---- Random calls ------------------------------------------------------------------------------------------------ */

struct worker {
    pthread_t thread;
    uint64_t random;
    struct piece slots[SLOTS];
};

static struct worker workers[THREADS_MAX];
static int worker_count, rounds;
static pthread_barrier_t barrier;

/* Chunks on their way to another thread, which may give them back. */
static struct piece exchange[EXCHANGE];
static pthread_mutex_t exchange_lock = PTHREAD_MUTEX_INITIALIZER;

static uint64_t random_below(uint64_t *state, uint64_t end)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (*state >> 20) % end;
}

static size_t random_size(uint64_t *state)
{
    static const size_t most[] = { 1, 40, 40, 100, 100, 600, 600, 3000, 10000, 200000, 3000000 };
    return (size_t)random_below(state, most[random_below(state, sizeof most / sizeof most[0])]);
}

static void piece_fill(struct piece *piece, const char *how)
{
    if (!piece->start)
        fail("no memory of %s", how);
    memset(piece->start, (int)((uintptr_t)piece->start >> 4 & 0xff), piece->bytes < 200 ? piece->bytes : 200);
    expect_piece(piece, how);
}

static void piece_get(struct piece *piece, uint64_t *state)
{
    size_t bytes = random_size(state), alignment = (size_t)16 << random_below(state, 9);
    void *start = NULL;
    const char *how = "malloc";
    switch (random_below(state, 10)) {
    case 0:
        how = "calloc";
        start = calloc(bytes / 8 + 1, 8);
        bytes = (bytes / 8 + 1) * 8;
        break;
    case 1:
        how = "aligned_alloc";
        start = aligned_alloc(alignment, bytes = (bytes + alignment - 1) / alignment * alignment);
        break;
    case 2:
        how = "posix_memalign";
        if (posix_memalign(&start, alignment, bytes))
            start = NULL;
        break;
    case 3:
        how = "memalign";
        start = memalign(alignment, bytes);
        break;
    default:
        start = malloc(bytes);
    }
    *piece = (struct piece){ start, bytes };
    piece_fill(piece, how);
}

static void piece_give(struct piece *piece)
{
    free(piece->start);
    *piece = (struct piece){ 0 };
}

static void piece_change(struct piece *piece, uint64_t *state)
{
    size_t bytes = random_size(state);
    if (random_below(state, 8) == 0) {
        piece->bytes = malloc_usable_size(piece->start);
        expect_piece(piece, "malloc_usable_size");
        return;
    }
    bool counted = random_below(state, 4) == 0;
    void *moved = counted ? reallocarray(piece->start, bytes / 4 + 1, 4) : realloc(piece->start, bytes);
    if (!counted && bytes == 0) { /* which gives it back */
        *piece = (struct piece){ moved, 0 };
        if (moved)
            piece_give(piece);
        return;
    }
    *piece = (struct piece){ moved, counted ? (bytes / 4 + 1) * 4 : bytes };
    piece_fill(piece, "realloc");
}

static void worker_step(struct worker *worker)
{
    struct piece *piece = &worker->slots[random_below(&worker->random, SLOTS)];
    if (!piece->start) {
        piece_get(piece, &worker->random);
        return;
    }
    expect_piece(piece, "other calls");
    switch (random_below(&worker->random, 4)) {
    case 0:
        piece_change(piece, &worker->random);
        break;
    case 1: {
        struct piece mine = *piece, *there = &exchange[random_below(&worker->random, EXCHANGE)];
        pthread_mutex_lock(&exchange_lock);
        *piece = *there;
        *there = mine;
        pthread_mutex_unlock(&exchange_lock);
        break;
    }
    default:
        piece_give(piece);
    }
}

static void *worker_run(void *arg)
{
    struct worker *worker = arg;
    for (int round = 0; round < rounds; round++) {
        pthread_barrier_wait(&barrier);
        for (int i = 0; i < CALLS_A_ROUND; i++)
            worker_step(worker);
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier); /* while it is looked at */
    }
    return NULL;
}

static void workers_start(int count, int round_count, uint64_t seed)
{
    worker_count = count;
    rounds = round_count;
    pthread_barrier_init(&barrier, NULL, (unsigned)count + 1);
    for (int i = 0; i < count; i++) {
        workers[i].random = seed * 1000 + (uint64_t)i;
        if (pthread_create(&workers[i].thread, NULL, worker_run, &workers[i]))
            fail("no thread");
    }
}

/* ---- The whole registry against what all have -------------------------------------------------------------------- */

static struct piece all[THREADS_MAX * SLOTS + EXCHANGE];
static size_t all_count;

static int order(const void *left, const void *right)
{
    const struct piece *a = left, *b = right;
    return (a->start > b->start) - (a->start < b->start);
}

static void all_collect(void)
{
    all_count = 0;
    for (int i = 0; i < worker_count; i++)
        for (int k = 0; k < SLOTS; k++)
            if (workers[i].slots[k].start)
                all[all_count++] = workers[i].slots[k];
    for (int k = 0; k < EXCHANGE; k++)
        if (exchange[k].start)
            all[all_count++] = exchange[k];
    qsort(all, all_count, sizeof all[0], order); /* in place: small elements */
}

/* Returns how many chunks there are that nobody here has: the C library's. */
static size_t all_compare(void)
{
    struct heap_range chunk;
    uint64_t cursor = 0, end = 0;
    size_t at = 0, others = 0;
    while (heap->chunk_next(&cursor, &chunk)) {
        if (chunk.start < end)
            fail("the chunk at %#llx begins in the one before", (unsigned long long)chunk.start);
        end = chunk.start + chunk.bytes;
        if (at < all_count && (uintptr_t)all[at].start == chunk.start)
            expect_piece(&all[at++], "a round");
        else if (at < all_count && (uintptr_t)all[at].start < chunk.start)
            fail("%p is not gone over", (void *)all[at].start);
        else
            others++;
    }
    if (at < all_count)
        fail("%p is not gone over", (void *)all[at].start);
    if (heap->resizes() || !heap->is_whole())
        fail("%u in realloc, whole: %d", heap->resizes(), heap->is_whole());
    return others;
}

static void child_expect_success(pid_t child)
{
    int status = -1;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        fail("the child ended with %#x", (unsigned)status);
}

static void try_mix(int count, int round_count, uint64_t seed)
{
    size_t others = 0;
    workers_start(count, round_count, seed);
    for (int round = 0; round < rounds; round++) {
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
        all_collect();
        size_t now = all_compare();
        if (round > 0 && now != others)
            fail("%zu chunks of nobody's, %zu before", now, others);
        others = now;
        pid_t child = fork();
        if (child == 0) {
            all_compare();
            for (int i = 0; i < CALLS_A_ROUND; i++) /* it has a heap of its own */
                worker_step(&workers[0]);
            all_collect();
            _exit(all_compare() == others ? 0 : 1);
        }
        child_expect_success(child);
        pthread_barrier_wait(&barrier);
    }
    for (int i = 0; i < count; i++)
        pthread_join(workers[i].thread, NULL);
}

/* A child that was made while others went on sees what did not change, and can go over what did. */
static void try_forks(int count, uint64_t seed)
{
    enum { FORKS = 40, STEADY = 1000 };
    static struct piece steady[STEADY];
    for (int i = 0; i < STEADY; i++)
        piece_get(&steady[i], &seed);
    workers_start(count, 1, seed);
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < FORKS; i++) {
        pid_t child = fork();
        if (child == 0) {
            struct heap_range chunk;
            uint64_t cursor = 0;
            for (int k = 0; k < STEADY; k++)
                expect_piece(&steady[k], "a fork");
            while (heap->chunk_next(&cursor, &chunk))
                if (cursor != chunk.start + 16 || chunk.bytes == 0)
                    fail("%llu bytes at %#llx", (unsigned long long)chunk.bytes, (unsigned long long)chunk.start);
            _exit(0);
        }
        child_expect_success(child);
    }
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < count; i++)
        pthread_join(workers[i].thread, NULL);
}

/* ---- One call at a time ------------------------------------------------------------------------------------------ */

static void expect_call(void *start, size_t bytes, const char *call)
{
    struct piece piece = { start, bytes };
    if (!start)
        fail("no memory of %s", call);
    expect_piece(&piece, call);
    uintptr_t was = (uintptr_t)start;
    free(start);
    if (is_chunk(was))
        fail("free leaves what %s gave", call);
}

static void try_calls(void)
{
    void *start = NULL;
    char *line = NULL;
    expect_call(malloc(0), 0, "malloc(0)");
    expect_call(malloc(1), 1, "malloc");
    expect_call(malloc(10 << 20), 10 << 20, "malloc of pages of its own");
    expect_call(calloc(3, 100), 300, "calloc");
    expect_call(realloc(NULL, 70), 70, "realloc(NULL)");
    expect_call(realloc(malloc(5000), 50), 50, "realloc that shortens");
    expect_call(realloc(malloc(50), 500000), 500000, "realloc that moves");
    expect_call(realloc(malloc(1 << 20), 16 << 20), 16 << 20, "realloc of pages");
    expect_call(reallocarray(NULL, 7, 9), 63, "reallocarray");
    expect_call(aligned_alloc(64, 640), 640, "aligned_alloc");
    expect_call(posix_memalign(&start, 4096, 33) ? NULL : start, 33, "posix_memalign");
    expect_call(memalign(256, 1000), 1000, "memalign");
    expect_call(valloc(77), 77, "valloc");
    expect_call(pvalloc(5000), 8192, "pvalloc");
    expect_call(strdup("the C library's own calls"), 26, "strdup");
    expect_call(asprintf(&line, "%d", 1234567) < 0 ? NULL : line, 8, "asprintf");
    start = malloc(20);
    size_t usable = malloc_usable_size(start);
    expect_call(start, usable, "malloc_usable_size");

    volatile size_t most = SIZE_MAX / 2;
    void *volatile none; /* so that a compiler does not leave the call out */
    errno = 0;
    if ((none = malloc(most)) || errno != ENOMEM)
        fail("malloc of everything");
    errno = 0;
    if ((none = calloc(most, 4)) || errno != ENOMEM)
        fail("calloc beyond everything");
    start = malloc(100);
    errno = 0;
    if (realloc(start, most) || errno != ENOMEM || reallocarray(start, most, 3))
        fail("realloc to everything");
    expect_call(start, 100, "a realloc that failed");
    if (realloc(malloc(32), 0) || heap->resizes() != 0)
        fail("realloc to nothing");
    if (malloc_usable_size(NULL) != 0)
        fail("the usable size of nothing");
    free(NULL);
}

/* ---- Arenas ------------------------------------------------------------------------------------------------------ */

static bool in_arena(const void *start)
{
    struct heap_range arena;
    uint64_t cursor = 0, address = (uintptr_t)start;
    while (heap->arena_next(&cursor, &arena))
        if (address - arena.start < arena.bytes)
            return true;
    return false;
}

#define LARGE ((size_t)40 << 20) /* has pages of its own, whatever the allocator has learnt */

static int a_variable;

static void *arenas_in_thread(void *arg)
{
    void *small = malloc(100), *large = malloc(LARGE);
    int local = 0;
    if (!in_arena(small) || in_arena(large) || in_arena(&local) || in_arena(&a_variable))
        fail("in a thread: in an arena: %d %d %d %d", in_arena(small), in_arena(large), in_arena(&local),
             in_arena(&a_variable));
    free(large);
    (void)arg;
    return small;
}

static void try_arenas(void)
{
    void *of_threads[4], *small = malloc(100), *large = malloc(LARGE);
    for (int i = 0; i < 4; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, arenas_in_thread, NULL) || pthread_join(thread, &of_threads[i]))
            fail("no thread");
    }
    for (int i = 0; i < 4; i++)
        if (!in_arena(of_threads[i]))
            fail("%p of a thread that has ended", of_threads[i]);
    if (!in_arena(small) || in_arena(large) || in_arena(&small) || in_arena(&a_variable))
        fail("in an arena: %d %d %d %d", in_arena(small), in_arena(large), in_arena(&small), in_arena(&a_variable));
    if (sbrk(0) == (void *)-1 || !in_arena(small))
        fail("asking for the end of the heap ends the main arena");
    void *own = sbrk(4096);
    if (own == (void *)-1 || in_arena(own) || in_arena(small))
        fail("what the program gets by sbrk is in an arena");
    if (!in_arena(of_threads[0]))
        fail("sbrk ends the arenas of threads");
}

/* ---- Early and late ---------------------------------------------------------------------------------------------- */

static struct piece of_constructor;

__attribute__((constructor)) static void begin(void)
{
    of_constructor = (struct piece){ (uint8_t *)strdup("early"), 6 };
}

static void value_destroy(void *value)
{
    struct piece more = { malloc(300), 300 };
    expect_piece(&more, "malloc in a destructor");
    uintptr_t were[] = { (uintptr_t)value, (uintptr_t)more.start };
    free(more.start);
    free(value);
    if (is_chunk(were[0]) || is_chunk(were[1]))
        fail("free in a destructor");
}

static void *value_set(void *key)
{
    pthread_setspecific(*(pthread_key_t *)key, malloc(40));
    return NULL;
}

static void at_exit(void)
{
    struct piece piece = { malloc(200), 200 };
    expect_piece(&piece, "malloc in an exit handler");
    free(piece.start);
}

static void try_ends(void)
{
    pthread_key_t key;
    pthread_t thread;
    expect_piece(&of_constructor, "a constructor");
    pthread_key_create(&key, value_destroy);
    for (int i = 0; i < 20; i++)
        if (pthread_create(&thread, NULL, value_set, &key) || pthread_join(thread, NULL))
            fail("no thread");
    atexit(at_exit);
}

int main(int argc, char **argv)
{
    const struct gmpt_heap_registry *(*get)(void);
    const char *what = argc > 1 ? argv[1] : "";
    *(void **)&get = dlsym(RTLD_DEFAULT, HEAP_REGISTRY_FUNCTION);
    heap = get ? get() : NULL;
    if (strcmp(what, "pairs") == 0 && argc == 3) {
        void *volatile start;
        for (long i = strtol(argv[2], NULL, 10); i > 0; i--) {
            start = malloc((size_t)(i & 127) + 8);
            free(start);
        }
        return 0;
    }
    if (strcmp(what, "absent") == 0)
        return heap != NULL;
    if (!heap || heap->version != HEAP_REGISTRY_VERSION)
        fail("there is no registry");
    if (strcmp(what, "calls") == 0)
        try_calls();
    else if (strcmp(what, "mix") == 0 && argc == 5)
        try_mix(atoi(argv[2]), atoi(argv[3]), strtoull(argv[4], NULL, 10));
    else if (strcmp(what, "forks") == 0 && argc == 4)
        try_forks(atoi(argv[2]), strtoull(argv[3], NULL, 10));
    else if (strcmp(what, "arenas") == 0)
        try_arenas();
    else if (strcmp(what, "ends") == 0)
        try_ends();
    else
        fail("heap_mix calls | mix T R SEED | forks T SEED | arenas | ends | pairs N | absent");
    return 0;
}
