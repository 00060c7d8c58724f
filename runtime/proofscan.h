/* The part of a proof of leaks that runs in the copy of the process: what is reachable, so who is not. See proof.h. */
#ifndef GMPT_PROOFSCAN_H
#define GMPT_PROOFSCAN_H

#include "preload/heap_registry.h"
#include "runtime.h"

/* So many bits has an address of a program's; what is above in a word may be a tag (R5). On aarch64 half of a program
 * lies where the highest of them is set. */
#if defined(__x86_64__)
#define PROOF_ADDRESS_BITS 47
#else
#define PROOF_ADDRESS_BITS 48
#endif
static inline uint64_t proof_address_in(uint64_t word) { return word & ((UINT64_C(1) << PROOF_ADDRESS_BITS) - 1); }

/* Of an address, the byte with bits 40 and up. */
#define PROOF_FIFTHS (1u << (PROOF_ADDRESS_BITS - 40))

struct proof_range {
    uint64_t start, end;
    bool of_file; /* only the pages count that are no longer the file's */
    bool hidden;  /* it cannot be read as it is mapped; the copy changes that for itself */
    bool of_libc; /* libc's static data: malloc's own words are among it */
    bool of_brk;  /* it begins with the heap that grows by brk */
};

/* Growing memory without malloc, of the process that grows it. Zero is empty. */
struct proof_table {
    void *items;
    size_t count, capacity; /* of items */
};
/* Room for count more items of this size; false when there is no memory. */
bool proof_table_reserve(struct proof_table *table, size_t count, size_t item_bytes);
void proof_table_free(struct proof_table *table, size_t item_bytes);

/* What the program lays out before it is copied; the copy has a copy of it. */
struct proof_input {
    uint32_t number;
    struct proof_table roots;  /* struct proof_range: private mappings, by address, without the stacks of Gs */
    struct proof_table holes;  /* struct proof_range: the parts of them that are the runtime's own */
    struct proof_table values; /* uint64_t: what was found outside of memory, and what is pinned */
    struct proof_table ignored; /* uint64_t: functions and places of creation */
    const struct gmpt_heap_registry *heap; /* NULL: nobody notes blocks, they have to be found */
    bool heap_is_root;  /* what is in malloc's blocks counts as reachable, whether anything points to them or not */
    bool heap_is_libcs; /* malloc's heaps can be walked */
    bool heap_may_wait; /* when they cannot be just now, another try is to be made */
    bool kernel_unread;
    bool all_asleep; /* no G is live: what can be reached helps nobody */
};

/* What both sides see. */
struct proof_shared {
    ATOMIC(int32_t) pagemap_fd; /* the program: of the copy's pages; -1 = not yet */
    ATOMIC(uint32_t) given;     /* the program: 1 = all of `bytes` is there, 2 = it could not be had */
    uint64_t given_bytes;
    /* the copy; valid once it has ended with status 0 */
    uint32_t status; /* enum proof_status */
    uint32_t kernel_unread;
    uint32_t heap; /* enum proof_assumption: PROOF_HEAP_ROOT, PROOF_HEAP_TRACED or both */
    uint64_t bytes_read, gs, proven, cycles;
    _Alignas(64) uint8_t bytes[]; /* what the copy has not got (R7) */
};

/* Judges all Gs, stores the verdicts and ends the process. */
void proofscan_run(const struct proof_input *input, struct proof_shared *shared) __attribute__((noreturn));

#endif
