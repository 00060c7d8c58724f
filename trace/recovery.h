/* A recording whose recorder was killed, put together again: the file as far as it was written, and what the segment
 * has that is not in it.
 *
 * The file ends somewhere in a frame. Its whole frames are copied; up to where they have each ring is told by its last
 * events section there. The recorder gives a sub-buffer back to the target only when what it had is written
 * (drain.h), so all that comes after that place is still in the ring, and is appended as the recorder would have done:
 *
 *     file      ... | frame | frame | fra                     ring    ... | s - 1 | s            | s + 1     |
 *                             last section of the ring:                    ^consumed, at most
 *                             sub-buffer s, up to x                               | x: from here ...   to here: commit
 *
 * 1. A record is in a whole frame of the file, or at or behind its ring's place: every committed record is there once.
 * 2. Neither the file nor the segment is changed, but that `tracing` is off afterwards; so it may fail and be done
 * again.
 * 3. What the recorder had not begun to write, the next epoch of a recording that goes over several files, or all when
 * it was killed at once, becomes a file as that of a recorder that attaches, with the Gs that the registry has.
 * 4. Both were written by others. What does not fit together is refused or left out, as by frames.h and drain.h. */
#ifndef GMPT_RECOVERY_H
#define GMPT_RECOVERY_H

#include "drain.h"

#include <stdbool.h>
#include <stdint.h>

struct recovery {
    /* asked */
    int segment_fd;        /* an open of its own (segment_lock) */
    const char *part_path; /* the file; NULL = there is none, or nothing in it */
    int out_fd;            /* empty; closed by recovery_run when that returns 0 or *why is NULL */
    bool ended;            /* the program is gone */
    bool rest;             /* only what comes after the file's epoch: see `more` */
    /* answered */
    uint64_t file_bytes, events; /* of the result */
    uint64_t recovered;          /* events that were not in the file */
    struct drain_counts drained;
    char damage[160];
    bool unfinished; /* the recorder had not told yet of all Gs that were there as it attached; no end is written */
    bool more;       /* another epoch had begun, whose file has nothing; it is to be had by another run with `rest` */
};

/* Returns 0 or -errno: -EBUSY when a recorder has the segment, -EPROTO when one of both cannot be used; *why is then a
 * sentence, or NULL when it is out_fd that cannot be written. */
int recovery_run(struct recovery *recovery, const char **why);

#endif
