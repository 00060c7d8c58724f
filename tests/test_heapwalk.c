/* malloc's blocks are found by walking its heaps, to the byte or not at all (runtime/heapwalk.h). */
#define _GNU_SOURCE
#include "proofs.h"

#include "runtime/heapwalk.h"
#include "runtime/memorymap.h"
#include "runtime/tracepoint.h"

#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 4, BLOCKS = 4000, STEPS = 20000, PAGE_BYTES = 4096, SNAPSHOTS = 300 };

#define NEED_LIBCS_HEAP()                                                                                              \
    do {                                                                                                               \
        if (!heapwalk_is_possible())                                                                                   \
            SKIP("malloc is not that of a known version of the GNU C library");                                        \
        SKIP_IN_EMULATOR("names no heap among its mappings, and shows its own pages for the program's");               \
    } while (0)

static struct block {
    uint8_t *start;
    size_t bytes;
} blocks[THREADS + 1][BLOCKS];
static pthread_barrier_t barrier;
static volatile bool over;

/* ---- a copy that looks ---- */

static int pagemap = -1;

static bool is_there(uint64_t address)
{
    uint64_t entry = 0;
    return pread(pagemap, &entry, sizeof entry, (off_t)(address / PAGE_BYTES * sizeof entry)) == sizeof entry &&
           entry >> 62;
}

static enum heapwalk_result walk(void)
{
    struct proof_input input = { 0 };
    struct memory_map map = { 0 };
    struct given given = { 0 }; /* without room: what is shared is of no interest here */
    pagemap = open("/proc/self/pagemap", O_RDONLY);
    if (memory_map_prepare(&map) || memory_map_read(&map, &input, &given))
        _exit(99);
    return heapwalk_find(&input.roots, is_there);
}

static bool lies_in(const uint8_t *address, const uint8_t *start)
{
    struct heap_range chunk;
    return heapwalk_registry.chunk_find((uintptr_t)address, &chunk) && chunk.start == (uintptr_t)start;
}

static bool is_found(const struct block *block)
{
    return lies_in(block->start, block->start) && lies_in(block->start + block->bytes / 2, block->start) &&
           lies_in(block->start + block->bytes - 1, block->start) &&
           lies_in(block->start + block->bytes, block->start) &&
           heapwalk_begins_behind((uintptr_t)block->start - HEAPWALK_HEADER_BYTES);
}

/* How many blocks of these are not found as they are; large ones are no part of a heap. */
static int count_wrong(const struct block *of_one)
{
    int wrong = 0;
    for (int i = 0; i < BLOCKS; i++)
        wrong += of_one[i].start && !is_found(&of_one[i]);
    return wrong;
}

/* What `look` returns in a copy of the process, which has its other threads stopped wherever they were. */
static int look_in_copy(int (*look)(void))
{
    int status;
    pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid == 0)
        _exit(look());
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* ---- threads that get and free ---- */

static size_t size_drawn(unsigned *seed)
{
    unsigned kind = (unsigned)rand_r(seed) % 10;
    return 1 + (unsigned)rand_r(seed) % (kind < 6 ? 200 : kind < 9 ? 3000 : 60000);
}

static void step(struct block *block, unsigned *seed)
{
    switch (rand_r(seed) % 5) {
    case 0:
        free(block->start);
        *block = (struct block){ NULL, 0 };
        return;
    case 1:
        block->bytes = size_drawn(seed);
        block->start = realloc(block->start, block->bytes);
        break;
    case 2:
        free(block->start);
        block->bytes = size_drawn(seed);
        block->start = memalign(64u << rand_r(seed) % 4, block->bytes);
        break;
    default:
        free(block->start);
        block->bytes = size_drawn(seed);
        block->start = malloc(block->bytes);
    }
    memset(block->start, rand_r(seed), block->bytes); /* all kinds of words */
}

static void *mix(void *own)
{
    struct block *mine = own;
    unsigned seed = (unsigned)(mine - blocks[0]) + 1;
    for (int i = 0; i < STEPS; i++)
        step(&mine[(unsigned)rand_r(&seed) % BLOCKS], &seed);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return NULL;
}

static pthread_t threads[THREADS];

static void threads_start(void *(*run)(void *own), int waiting)
{
    pthread_barrier_init(&barrier, NULL, (unsigned)waiting);
    for (int i = 0; i < THREADS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, run, blocks[i]) == 0);
}

static void threads_join(void)
{
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

static int look_at_all(void)
{
    int wrong = 0;
    if (walk() != HEAPWALK_ALL)
        return 98;
    for (int i = 0; i <= THREADS; i++)
        wrong += count_wrong(blocks[i]);
    return wrong < 97 ? wrong : 97;
}

TEST_TIMEOUT(heapwalk, finds_each_block_of_threads_with_arenas_of_their_own, 60)
{
    NEED_LIBCS_HEAP();
    threads_start(mix, THREADS + 1);
    pthread_barrier_wait(&barrier);
    ck_assert_int_eq(look_in_copy(look_at_all), 0);
    pthread_barrier_wait(&barrier);
    threads_join();
}

/* Arenas that have left several heaps, full, for another. */
static void *fill(void *own)
{
    struct block *mine = own;
    for (int i = 0; i < BLOCKS; i++) {
        mine[i] = (struct block){ NULL, 50000 + (unsigned)i % 16 * 8 };
        mine[i].start = malloc(mine[i].bytes);
    }
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return NULL;
}

TEST_TIMEOUT(heapwalk, finds_blocks_in_heaps_that_an_arena_has_left, 60)
{
    NEED_LIBCS_HEAP();
    threads_start(fill, THREADS + 1);
    pthread_barrier_wait(&barrier);
    ck_assert_int_eq(look_in_copy(look_at_all), 0);
    pthread_barrier_wait(&barrier);
    threads_join();
}

/* ---- while they do ---- */

static void *mix_on(void *own)
{
    struct block *mine = own;
    unsigned seed = (unsigned)(mine - blocks[0]) + 1;
    pthread_barrier_wait(&barrier);
    while (!over) {
        step(&mine[(unsigned)rand_r(&seed) % 100], &seed);
        for (volatile int i = 0; i < 2000; i++) /* nobody has the arena's lock meanwhile */
            ;
    }
    return NULL;
}

/* Those that nobody touches, in the same arena. */
static int look_at_still(void)
{
    enum heapwalk_result result = walk();
    int wrong = 0;
    for (int i = 0; i < BLOCKS; i++) {
        struct heap_range chunk;
        const struct block *block = &blocks[THREADS][i];
        bool followed = heapwalk_registry.chunk_find((uintptr_t)block->start, &chunk);
        wrong += block->start && (followed ? !is_found(block) : result == HEAPWALK_ALL);
    }
    return wrong ? 1 : result == HEAPWALK_BUSY ? 2 : result == HEAPWALK_ALL ? 3 : 4;
}

TEST_TIMEOUT(heapwalk, amid_calls_of_malloc_a_heap_is_found_as_it_is_or_said_to_be_busy, 120)
{
    int came[8] = { 0 };
    unsigned seed = 7;
    NEED_LIBCS_HEAP();
    mallopt(M_ARENA_MAX, 1); /* all share brk's heap */
    threads_start(mix_on, THREADS + 1);
    for (int i = 0; i < BLOCKS; i++) {
        blocks[THREADS][i].bytes = size_drawn(&seed) % 4000 + 1;
        blocks[THREADS][i].start = malloc(blocks[THREADS][i].bytes);
    }
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < SNAPSHOTS; i++) {
        int result = look_in_copy(look_at_still);
        ck_assert_int_gt(result, 1);
        ck_assert_int_lt(result, 8);
        came[result]++;
    }
    over = true;
    threads_join();
    ck_assert_int_gt(came[2] + came[4], 0);
    ck_assert_int_gt(came[3], 0);
}

/* ---- what is free ---- */

static uint8_t *freed[7];

static int look_at_freed(void)
{
    int found = 0;
    struct heap_range chunk;
    if (walk() == HEAPWALK_NONE)
        return 98;
    for (int i = 0; i < 7; i++)
        found += heapwalk_registry.chunk_find((uintptr_t)freed[i], &chunk);
    return found;
}

static void get_seven(size_t bytes)
{
    for (int i = 0; i < 7; i++) {
        freed[i] = malloc(bytes);
        free(malloc(bytes + 4000)); /* apart from each other */
    }
}

TEST(heapwalk, blocks_that_a_thread_has_put_aside_are_no_blocks)
{
    NEED_LIBCS_HEAP();
    get_seven(72);
    ck_assert_int_eq(look_in_copy(look_at_freed), 7);
    for (int i = 0; i < 7; i++)
        free(freed[i]);
    ck_assert_int_eq(look_in_copy(look_at_freed), 0);
    ck_assert_ptr_nonnull(malloc(72)); /* the last is in use again */
    ck_assert_int_eq(look_in_copy(look_at_freed), 1);
}

TEST(heapwalk, blocks_that_have_been_freed_are_no_blocks)
{
    NEED_LIBCS_HEAP();
    get_seven(2000);
    for (int i = 0; i < 7; i += 2)
        free(freed[i]);
    ck_assert_int_eq(look_in_copy(look_at_freed), 3);
}

/* ---- what is no heap of malloc's ---- */

static int look_whether_any(void) { return (int)walk(); }

TEST(heapwalk, a_heap_with_a_length_that_is_none_is_not_followed)
{
    NEED_LIBCS_HEAP();
    uint8_t *start = malloc(100);
    volatile uint64_t *word = (volatile uint64_t *)((uintptr_t)start - sizeof *word);
    uint64_t length = *word;
    ck_assert_int_eq(look_in_copy(look_whether_any), HEAPWALK_ALL);
    *word = length + 8;
    ck_assert_int_eq(look_in_copy(look_whether_any), HEAPWALK_NONE);
    *word = length | 2;
    ck_assert_int_eq(look_in_copy(look_whether_any), HEAPWALK_NONE);
    *word = 0;
    ck_assert_int_eq(look_in_copy(look_whether_any), HEAPWALK_NONE);
    *word = length;
    ck_assert_int_eq(look_in_copy(look_whether_any), HEAPWALK_ALL);
    free(start);
}

TEST(heapwalk, a_heap_that_the_program_goes_on_with_by_itself_is_not_followed)
{
    NEED_LIBCS_HEAP();
    free(malloc(100));
    ck_assert_int_eq(look_in_copy(look_whether_any), HEAPWALK_ALL);
    ck_assert_ptr_ne(sbrk(PAGE_BYTES), (void *)-1);
    ck_assert_int_eq(look_in_copy(look_whether_any), HEAPWALK_NONE);
    void *large = malloc(100000); /* malloc goes on behind it */
    ck_assert_int_eq(look_in_copy(look_whether_any), HEAPWALK_NONE);
    free(large);
}

/* ---- what a leak holds ---- */

static uint64_t bytes_of_blocks;

static __attribute__((noinline)) void **make_two(void)
{
    void **first = malloc(1000), **second = calloc(1, 3000);
    memset(first, 0, 1000);
    first[10] = second;
    bytes_of_blocks = malloc_usable_size(first) + malloc_usable_size(second) + 2 * sizeof(size_t);
    return first;
}

static void hold_two(void *args)
{
    void **volatile first = make_two();
    gmpt_chan_recv(*(struct gmpt_chan **)args, NULL);
    free(first);
}

static __attribute__((noinline)) int64_t start_holder(void)
{
    struct gmpt_chan *chan = gmpt_chan_new(0, 0);
    int64_t id = gmpt_go(hold_two, &chan, sizeof chan);
    run_until_waiting(id);
    bytes_of_blocks += malloc_usable_size(chan) + sizeof(size_t);
    return id;
}

static int weigh_holder(void *arg)
{
    (void)arg;
    int64_t id = start_holder();
    proofs_clear_stack();
    EXPECT_EQ(proofs_make(), PROOF_COMPLETE);
    EXPECT_EQ(proofs_verdict(id), VERDICT_PROVEN);
    for (uint32_t i = 0; i < load_acquire(&trace_segment.header->registry_used); i++)
        if (load_relaxed(&trace_segment.registry[i].id) == (uint64_t)id) {
            uint64_t of_stack = trace_segment.held[i] - bytes_of_blocks;
            EXPECT(of_stack >= PAGE_BYTES && of_stack <= 4 * PAGE_BYTES && of_stack % PAGE_BYTES == 0);
            return 0;
        }
    return 1;
}

TEST(heapwalk, what_a_leak_holds_is_pages_of_its_stack_and_blocks_to_the_byte)
{
    NEED_LIBCS_HEAP();
    RUN(2, weigh_holder);
}
