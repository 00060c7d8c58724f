/* malloc's blocks without a registry: found by walking the C library's heaps, in the copy of a process that is judged.
 *
 * The GNU C library's malloc has, 16 bytes before each block, the distance to the next, and in the lowest bit whether
 * the block before is in use. So its heaps can be walked from their start to the block at the top, from which malloc
 * cuts when nothing else is free, and which its arena points to:
 *
 *     brk's heap      | block | block | free  | block | ... | top            |     main_arena, in libc's static data
 *     an arena's      | heap_info | malloc_state | block | free | ... | top  | rest of 64 MiB, at a multiple of them
 *     ... next heap   | heap_info | block | block | ...                      |
 *
 * The heap of another allocator is not to be taken for one of these: pointers in it would not be followed, and what
 * they lead to be proven wrongly. Hence each heap has to come out to the byte, in all of this, or it stays a root:
 *
 *   - every length is a multiple of 16, each block that is free has its length at both ends;
 *   - the walk ends at the end of the heap, with the block that its arena names as its top, or with the two fences
 *     that malloc puts at the end of a heap that it has left for another;
 *   - the arena looks like one: lists of free blocks behind the top, which begin as empty or lead to blocks; its lock
 *     before. While that is held, a thread has been stopped where blocks are split and joined: see heapwalk_find;
 *   - `malloc` is the library's own, of a version whose layout is known. It takes that lock, as it would not in a
 *     process of one thread: there is sysmon.
 *
 * Blocks that a thread has put aside for itself (its tcache) look as if they were in use. They are told by the thread's
 * table of them, whose lists have to come out as well; those of the arenas' own quick lists (fastbins) are not told
 * apart, and count as blocks in use that nothing points to.
 *
 * What has been mapped for one block alone, as malloc does from 128 KiB on, is no heap, and remains a root.
 *
 * A thread that was stopped in realloc may know its new block by the address of the words before it alone. That address
 * lies at the end of the block below, which is found; heapwalk_begins_behind tells of the other. */
#ifndef GMPT_HEAPWALK_H
#define GMPT_HEAPWALK_H

#include "proofscan.h"

/* Whether the program's malloc is the library's own, of a known version. It may allocate: in the program, early. */
bool heapwalk_is_possible(void);

enum heapwalk_result {
    HEAPWALK_NONE, /* no heap came out */
    HEAPWALK_SOME, /* others stay roots */
    HEAPWALK_ALL,
    HEAPWALK_BUSY, /* some would have, but for a thread that was stopped within malloc */
};

/* Walks what heaps there are among these mappings (struct proof_range); is_there tells of an address whether its page
 * can be read. In the copy, once. */
enum heapwalk_result heapwalk_find(const struct proof_table *roots, bool (*is_there)(uint64_t address));

/* What was found; its arenas are the heaps that were walked. */
extern const struct gmpt_heap_registry heapwalk_registry;

#define HEAPWALK_HEADER_BYTES 16u

/* Whether the words before a block are at this address. */
bool heapwalk_begins_behind(uint64_t address);

#endif
