/* What one recording, or a range of one, tells of each place: how often and how long, with the whole distribution, and
 * how that went over time.
 *
 *     kind       each value is                                              by
 *     running    the time that a G ran between two waits or calls,          its function, and what ended it where
 *                preemptions left out
 *     runnable   a time from being runnable to running                      its function
 *     waiting    a wait                                                     reason and place
 *     call       a blocking call                                            place
 *     life       a G's time from its start to its end                       its function, and where it was started
 *     start      (counted only) a G was started                             likewise
 *
 * Counted is what ended within the range, with its whole length; what was under way when the trace ended has none.
 * Places are functions, files and lines, so that those of two builds can be compared. The range is divided into windows
 * of a given width, and of each only the count and the median are kept: memory is bounded by Gs that live and distinct
 * places, times MEASURED_WINDOWS_MAX. */
#ifndef GMPT_MEASURED_H
#define GMPT_MEASURED_H

#include "load.h"

#include "trace/histogram.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum measured_kind {
    MEASURED_RUNNING,
    MEASURED_RUNNABLE,
    MEASURED_WAITING,
    MEASURED_CALL,
    MEASURED_LIFE,
    MEASURED_START,
    MEASURED_KINDS
};

#define MEASURED_WINDOWS_MAX 256

struct measured_site {
    const char *function; /* never NULL: without a name "prog+0x1234"; "" = nothing is known of the place */
    const char *file;     /* NULL = not known; the last part of its path */
    int line;             /* 0 = not known */
    int offset;           /* the line counted from the function's first one; 0 when that is not known */
};

struct measured_key {
    uint32_t site, fn;              /* numbers for measured_site; fn 0 = does not matter */
    uint8_t kind, reason, ended_by; /* reason: of the wait, or of the wait that ended the running */
    uint8_t padding;
};

struct measured_window {
    uint64_t count;
    double median;
};

struct measured_row {
    struct measured_key key;
    struct histogram all;
    struct measured_window *windows;
    struct histogram now; /* of the window that is filled */
    size_t now_index;
};

struct measured {
    const char *path;
    int64_t from_ns, to_ns; /* INT64_MAX: to the end; that, once it was read */
    struct load load;
    int64_t length_ns; /* of the range */
    uint64_t events;   /* within the range */
    int64_t window_ns;
    size_t window_count, window_room; /* whole windows in the range */
    struct measured_row *rows;
    size_t row_count;
    struct measured_site *sites; /* number 0 is not known */
    size_t site_count;
    struct measuring *measuring; /* while it is read */
};

/* Opens the trace. path, from_ns and to_ns are set, all else is 0. Returns CLI_OK or the status to exit with;
 * measured_close is due either way. */
int measured_open(struct measured *measured);
/* How long the range is going to be, as the trace says of itself; one that was cut off is read to its end for it.
 * Returns CLI_OK or the status to exit with. */
int measured_length(struct measured *measured, int64_t *length_ns);
/* Reads it, with windows of this width. Returns CLI_OK or the status to exit with. */
int measured_read(struct measured *measured, int64_t window_ns);
void measured_close(struct measured *measured);

/* The value that this share of all do not exceed, interpolated within a step. */
double measured_quantile(const struct histogram *histogram, double share);

#endif
