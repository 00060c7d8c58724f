/* The Gs, objects and blocks of the heap that pointers lead to, for a proof of leaks; in the copy of the process only.
 *
 *     a word ---> a stack --------> all objects in it, what it holds
 *            ---> a channel ------> its buffer, the Gs that wait on it --> their stacks from the stack pointer up
 *            ---> a heap's block -> all objects in it, what it holds       (with the registry)
 *
 * Objects are in the order of their addresses, so that those in a stack or in a block follow each other. What is
 * reached is put on a list, and followed from there: no recursion, which a chain of a million Gs would make deep. */
#ifndef GMPT_PROOFGRAPH_H
#define GMPT_PROOFGRAPH_H

#include "proofscan.h"

/* The copy's state, of both files. */
struct scan {
    const struct proof_input *input;
    struct proof_shared *shared;
    uint8_t fifths[PROOF_FIFTHS]; /* of addresses that matter */
    uint32_t fifth_count;
    struct proof_table hole_table;
    const struct proof_range *holes; /* once settled: by address, apart from each other */
    size_t hole_count;
    const struct gmpt_heap_registry *heap; /* malloc's blocks; NULL: it is not known where they lie */
    bool heap_is_root;
    uint64_t bytes_read;
    bool kernel_unread; /* nothing is to be proven */
    bool in_libc;       /* what is being read is libc's static data */
};

/* Ends the copy. */
void scan_fail(enum proof_status status) __attribute__((noreturn));
void *scan_memory(size_t bytes); /* zero */
/* A part of memory whose words mean nothing; before the holes are settled. */
void scan_hole(uint64_t start, uint64_t end);
/* The words in a range, holes or not. */
void scan_words(uint64_t start, uint64_t end);
/* The words in a range but for holes, of all its pages or of those that have been touched. */
void scan_range(uint64_t start, uint64_t end);
/* Those of a range that is to be read so much further up. */
void scan_range_at(uint64_t start, uint64_t end, uint64_t further);
void scan_pages(uint64_t start, uint64_t end, bool of_file);

/* Finds the Gs and what they wait on; those that are live are reached. */
void graph_build(struct scan *scan);
/* What threads that run Gs have in registers. */
void graph_scan_registers(void);
/* A word that a live G might use. */
void graph_reach(uint64_t address);
/* Until nothing that was reached is left to be followed. */
void graph_follow(void);
/* Stores the verdicts. */
void graph_judge(void);

#endif
