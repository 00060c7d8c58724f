/* Which pages of a process are there: /proc/PID/pagemap, of this process or its copy, for proofs of leaks.
 *
 * Reservations may be terabytes large and have a few pages in use. Linux 6.7 tells the runs of these in one call,
 * however far they lie apart (PAGEMAP_SCAN); before that each page of a reservation has a word to be read, which takes
 * milliseconds for each gigabyte. No call takes memory, or a lock of the process's own. */
#ifndef GMPT_PAGEMAP_H
#define GMPT_PAGEMAP_H

#include <stdbool.h>
#include <stdint.h>

#define PAGEMAP_RUNS 256u

struct pagemap_run {
    uint64_t start, end; /* inverted: a proof would take addresses on the stack for the program's pointers */
    uint64_t unused; /* what the kernel would say of it */
};

/* A walk through a range, in pages, by the file's descriptor. */
struct pagemap {
    int fd;
    bool of_file; /* what lies there is a file's: of these pages only those count that the process has changed */
    bool by_word; /* as before Linux 6.7 */
    uint64_t at, end; /* of what has not been asked for */
    uint32_t next, count;
    struct pagemap_run runs[PAGEMAP_RUNS];
};

/* Of the pages that [start, end) touches. */
void pagemap_begin(struct pagemap *map, int fd, uint64_t start, uint64_t end, bool of_file);
/* The next pages that are there, present or swapped out, as many as follow each other. Returns 1, 0 when there are no
 * more, or -EIO when the file cannot be read. */
int pagemap_next(struct pagemap *map, uint64_t *start, uint64_t *end);
/* Whether the page with this address is there: 1, 0 or -EIO. */
int pagemap_has(int fd, uint64_t address, bool of_file);

#endif
