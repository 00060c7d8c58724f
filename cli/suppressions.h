/* Leaks that are known and accepted: a file of patterns, each with a reason, and a last day if need be.
 *
 *     # A line that begins with # is a remark.
 *     leak
 *         started  handle_compute gateway.c +12
 *         waits    compute_worker gateway.c +3
 *         reason   the backend's client cannot be cancelled
 *         until    2027-03-31
 *
 *     started FUNCTION [FILE [+LINE]]   where its Gs were started: the innermost of the user's frames
 *     waits   FUNCTION [FILE [+LINE]]   where they wait, likewise
 *     started-under, waits-under        likewise, but any frame of the stack
 *     function NAME                     that the Gs were started with
 *     label KEY=VALUE                   that they have
 *     in REASON                         what they wait for: chan_send, mutex, ...
 *     kind KIND[,KIND]                  how they are judged: proven, ...
 *     reason TEXT                       why it is accepted; required
 *     until YYYY-MM-DD                  the last day of it
 *
 * All that an entry says must hold. Names are patterns as of the shell, with * ? [...] and \ before what is to be
 * taken as it is; a FILE is the whole path or its end; "..." holds blanks together. LINE counts from the
 * function's first line, so that nothing changes when the file changes elsewhere; when the function itself has
 * changed, the entry goes to the leak at the nearest lines. So one entry with lines never covers two places: a
 * second leak in the same function is new. */
#ifndef GMPT_SUPPRESSIONS_H
#define GMPT_SUPPRESSIONS_H

#include "leakreport.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct suppression_place {
    char *function, *file; /* patterns; NULL = any */
    int line;              /* from the function's first line; -1 = any */
};

struct suppression {
    int file_line; /* where the entry begins */
    struct suppression_place started, waits, started_under, waits_under;
    char *function;
    char *label_key, *label_value;
    int in;         /* enum gmpt_wait_reason; -1 = any */
    unsigned kinds; /* LEAK_KIND_BIT; 0 = any */
    char *reason;
    char until[11]; /* "" = for ever */
    bool expired;   /* valid, like used, after suppressions_apply */
    uint64_t used;  /* Gs */
};

/* Zero-initialised there are none. */
struct suppressions {
    const char *path;
    struct suppression *list;
    size_t count, room;
};

/* Reads a file. Returns CLI_OK, or the status to exit with after having said what is wrong with which line. path must
 * outlive them. suppressions_free is due either way. */
int suppressions_read(struct suppressions *suppressions, const char *path);
void suppressions_free(struct suppressions *suppressions);

/* Marks the groups of a sorted report that an entry covers. today: YYYY-MM-DD. */
void suppressions_apply(struct suppressions *suppressions, struct leak_report *report, const char *today);

/* Says on standard error which entries are out of date or cover nothing. */
void suppressions_tell(const struct suppressions *suppressions);

/* Writes a file that covers all that the report has of these kinds. A group that is covered already keeps its entry's
 * reason and date. *written is the number of entries. Returns 0 or -errno. */
int suppressions_write(const struct leak_report *report, unsigned kinds, const char *path, const char *today,
                       size_t *written);

/* The current day, in UTC. */
void suppressions_today(char today[11]);

#endif
