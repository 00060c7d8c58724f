/* Which memory of the process may hold pointers, for a proof of leaks: read from /proc while all stands still. */
#ifndef GMPT_MEMORYMAP_H
#define GMPT_MEMORYMAP_H

#include "proofscan.h"

struct memory_map {
    int fd; /* /proc/self/maps */
    char *text;
    size_t room, length;
};

/* What the program puts where a copy of it sees it. */
struct given {
    uint8_t *bytes;
    size_t used, room;
    bool overflowed; /* something did not fit, or could not be read */
};
/* Adds memory of this process, whatever it is. */
void given_add(struct given *given, uint64_t start, uint64_t end);
/* Adds words that have been read. */
void given_add_bytes(struct given *given, const void *bytes, size_t count);

/* Makes room for the text; before the threads are stopped. Returns 0 or -errno. */
int memory_map_prepare(struct memory_map *map);
void memory_map_free(struct memory_map *map);

/* Sets input's roots and holes, and gives what is shared. Returns 0, -ENOMEM, or -EIO when it cannot be read. */
int memory_map_read(struct memory_map *map, struct proof_input *input, struct given *given);

/* Makes a part of memory one whose words mean nothing. Returns 0 or -ENOMEM. */
int memory_map_hide(struct proof_input *input, uint64_t start, uint64_t end);

/* After the copy was made: gives what it has not got, by MADV_DONTFORK and MADV_WIPEONFORK. pagemap_fd is of the
 * copy's pages. */
void memory_map_give_missing(const struct proof_input *input, int pagemap_fd, struct given *given);

/* The thread that called gmpt_run has nothing of the program's below here: notes that place, and the registers. To be
 * called by gmpt_run itself, right before sysmon begins. */
void memory_map_note_caller(void);

#endif
