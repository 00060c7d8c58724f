/* What libgmptrace-heap.so tells the runtime: for any address, the chunk of malloc's that it lies in.
 *
 * The object is preloaded, stands before the allocator (whichever dlsym finds next), and notes where each chunk begins
 * and how long it is. Who proves that a goroutine can never be woken follows the program's pointers from chunk to chunk
 * with it, in a forked child. heap_map.h says how the notes are kept.
 *
 *     const struct gmpt_heap_registry *gmpt_heap_registry(void);   by dlsym(RTLD_DEFAULT, HEAP_REGISTRY_FUNCTION)
 *
 * Not found, or NULL: the program's chunks are not noted, because something stands before this object (a sanitizer, an
 * allocator in the program itself), and all of its heap has to be taken as reachable.
 *
 * It allocates, so ask for it once, as the program starts. All functions may be called at any time from any thread,
 * but for those that say otherwise; none of them locks, allocates, or calls what does. What they say of chunks that
 * come and go meanwhile may be out of date, so whoever wants the truth stops the program, or forks, and then:
 *
 * 1. A chunk that the program gets is noted before the call that returns it ends, and one that it gives back is struck
 *    off before the allocator has it. A thread that stands still in between has a chunk that is not noted, with none of
 *    the program's data in it: nothing is missed.
 * 2. realloc alone is different: its new chunk has data before it is noted. resizes() tells how many threads are within
 *    it: unless it is 0 the picture has holes, so go on and look again, or take the heap as reachable.
 * 3. Bytes of a chunk beyond what was asked for, rounded up to 16, are not the chunk's. A program that asks
 *    malloc_usable_size for more is noted to have it.
 *
 * Who passes by the functions that are noted (__libc_malloc, an allocator on top of mmap or sbrk) has memory that is in
 * no chunk and in no arena: it is like any other mapping. */
#ifndef GMPT_HEAP_REGISTRY_H
#define GMPT_HEAP_REGISTRY_H

#include <stdbool.h>
#include <stdint.h>

#define HEAP_REGISTRY_VERSION 2u
#define HEAP_REGISTRY_FUNCTION "gmpt_heap_registry"

struct heap_range {
    uint64_t start, bytes;
};

struct gmpt_heap_registry {
    uint32_t version; /* HEAP_REGISTRY_VERSION; another one has another struct */

    /* The allocator is the GNU C library's, which has a word of its own before each chunk: an address one past what was
     * asked for is never the start of the next. */
    bool chunks_apart;

    /* The chunk that the address lies in, or right behind: an address one past a chunk counts as in it, unless the next
     * chunk begins there, which is found then (where an address is a chunk's start, ask for address - 1 as well). A
     * handful of accesses to memory, whatever the chunk's size. False: in no chunk. */
    bool (*chunk_find)(uint64_t address, struct heap_range *chunk);

    /* The first chunk that begins at *cursor or above; moves *cursor behind its start. From 0 on, all chunks in the
     * order of their addresses. False: there are no more. */
    bool (*chunk_next)(uint64_t *cursor, struct heap_range *chunk);

    /* The first that ends above *cursor of the allocator's arenas, and of what this object has for itself; moves
     * *cursor to its end. Memory there that lies in no chunk is free or their own affair, and no place of the program's
     * pointers. Arenas are known of the GNU C library's allocator only, and those that have a chunk in use; what else
     * there is of heaps is like any other mapping. Chunks may lie outside of all arenas. It reads the allocator's words
     * before chunks: only while the program stands still, or in a child. A call may go over many chunks, so do not ask
     * again before the cursor is behind the arena that was told last. */
    bool (*arena_next)(uint64_t *cursor, struct heap_range *arena);

    /* How many threads are within realloc: see 2. */
    uint32_t (*resizes)(void);

    /* False once there was no memory to note a chunk: from then on the heap has to be taken as reachable. */
    bool (*is_whole)(void);

    /* Marks for one who walks from chunk to chunk: marks the chunk that begins here, and returns whether it was marked
     * before. marks_clear takes all away. They take memory of the calling process, 1/128 of the heap at most. For one
     * thread at a time. */
    bool (*chunk_mark)(uint64_t start);
    bool (*chunk_is_marked)(uint64_t start);
    void (*marks_clear)(void);
};

#endif
