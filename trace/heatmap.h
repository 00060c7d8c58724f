/* Scheduling delay as a map of P and time, and what is behind each of its cells: who waited, who woke them, and what
 * ran meanwhile on the P that they waited for.
 *
 * A delay is an interval (intervals.h) in which a G is runnable. It belongs to the P in whose ring it began, since that
 * is where the G was queued, even when another P then ran it; to row HEATMAP_NO_P when it was queued by none. The
 * trace's length is cut into columns of equal width, a power of two of them.
 *
 *         column   0         1         2         3
 *     P0 runs     [hog ........................)[a)[b)          waiting: a and b, from column 0 to 3, and 2 to 3
 *     a waits           [======================)
 *     b waits                     [===============)
 *
 * For each row and column:
 *   wait_ns   the integral of the number of waiting Gs: what each waited in this column, added up
 *   busy_ns   how long a G ran, or was in a blocking call with the P
 *   begun     delays that began
 *   longest   the longest of the delays that touch it, by their whole length
 *   victims   who waited: function, where it was started, where it waited before, why it is runnable; by wait_ns
 *   wakers    who made them runnable, and where; by wait_ns
 *   hogs      what the P did meanwhile; by blame
 *
 * Blame: while a G runs for dt on a P for which W others wait, it delays them by W * dt. Adding that up as it happens
 * needs no list of who waits for whom, and accounts for every nanosecond of wait_ns: what nobody ran in is a key of its
 * own. A hog is known by its function, where it was started, where it came from (its wait before) and where it stopped.
 *
 * Victims and wakers are kept in a tree over the columns of each row: a delay is cut into the column in which it
 * begins, that in which it ends, and the fewest nodes that make up what is between. So it costs no more than the
 * logarithm of the columns, and since all delays in an inner node cover the whole of it, a part of the node is that
 * part of their weights, exactly.
 *
 * The second map has columns and lengths of delays: each that ended by running is in one cell, at the moment of that.
 *
 * 1. In a row, the weights of hogs add up to wait_ns in every column, exactly.
 * 2. So do those of victims, and of wakers, but for clocks that step back between CPUs: a P's own clock never does.
 * 3. Tables of victims, wakers and hogs keep the TOPK_ROOM heaviest, and say by how much they may be wrong (topk.h).
 * 4. Beyond HEATMAP_KEYS_MAX distinct victims, or wakers, or hogs, further ones are the key HEATMAP_OTHERS.
 *
 * Memory is bounded by rows times columns and by distinct keys, never by the length of the trace. */
#ifndef GMPT_HEATMAP_H
#define GMPT_HEATMAP_H

#include "intervals.h"
#include "topk.h"

#include <gmptrace/trace.h>

#include <stdbool.h>
#include <stdint.h>

#define HEATMAP_ROWS 257
#define HEATMAP_NO_P 256
#define HEATMAP_COLUMNS_MAX 4096
#define HEATMAP_KEYS_MAX (1u << 20)
#define HEATMAP_OTHERS 0
#define HEATMAP_LENGTHS 128 /* two an octave: see heatmap_length */

struct heatmap_victim {
    uint64_t fn;
    uint32_t create_stack, stack;
    uint32_t cause; /* the event that made it runnable */
    uint32_t zero;
};

struct heatmap_waker {
    uint64_t fn; /* 0 = not known, or no G did it */
    uint32_t stack; /* 0 = not known */
    uint32_t cause;
};

enum heatmap_hog_kind {
    HEATMAP_HOG_OTHERS,
    HEATMAP_HOG_NO_THREAD, /* no M had the P: one was being woken, or came late */
    HEATMAP_HOG_SCHEDULER, /* an M had it and ran nothing */
    HEATMAP_HOG_RAN,
    HEATMAP_HOG_CALLED, /* a G in a blocking call kept it */
    HEATMAP_HOG_NO_P    /* nothing runs on row HEATMAP_NO_P */
};

struct heatmap_hog {
    uint64_t fn;
    uint32_t create_stack;
    uint32_t from_stack; /* where it waited or called before it ran; of a call, where that is; 0 = not known */
    uint32_t to_stack;   /* where it waited or called afterwards; 0 = it did not, or not known */
    uint32_t ended_by;   /* the event */
    uint32_t kind;
    uint32_t zero;
};

struct heatmap_cell {
    int64_t wait_ns, busy_ns, longest_ns;
    uint64_t begun;
};

struct heatmap_node {
    struct topk victims, wakers;
    int64_t longest_ns;
};

struct heatmap_lengths_cell {
    uint64_t count;
    struct topk victims, wakers; /* by the delays' whole lengths */
};

struct heatmap;

/* Of a trace that ends at end_ns; columns is a power of two. What lies after the end counts as at the end. NULL with
 * errno ENOMEM or EINVAL. */
struct heatmap *heatmap_open(int64_t end_ns, unsigned columns);
void heatmap_close(struct heatmap *heatmap); /* NULL: nothing */

/* For intervals_open and intervals_watch, the latter of which it needs too. 0 or -ENOMEM. */
int heatmap_closed(void *heatmap, const struct interval *interval);
int heatmap_begun(void *heatmap, const struct interval *interval);
/* What is no interval: for every event, after intervals_add. 0 or -ENOMEM. */
int heatmap_event(struct heatmap *heatmap, const struct gmpt_event *event);
/* After intervals_finish. 0 or -ENOMEM. */
int heatmap_finish(struct heatmap *heatmap);

unsigned heatmap_columns(const struct heatmap *heatmap);
int64_t heatmap_width_ns(const struct heatmap *heatmap);
bool heatmap_row_used(const struct heatmap *heatmap, unsigned row);
struct heatmap_cell heatmap_cell(const struct heatmap *heatmap, unsigned row, unsigned column);
/* NULL: nothing there. */
const struct topk *heatmap_hogs(const struct heatmap *heatmap, unsigned row, unsigned column);
/* Node 1 is the whole row, the halves of node n are 2n and 2n + 1, the columns are columns + column. NULL: empty. */
const struct heatmap_node *heatmap_node(const struct heatmap *heatmap, unsigned row, unsigned node);
const struct heatmap_lengths_cell *heatmap_lengths(const struct heatmap *heatmap, unsigned column, unsigned length);

/* Which of HEATMAP_LENGTHS a delay falls into, and the least that does. */
unsigned heatmap_length(int64_t ns);
int64_t heatmap_length_floor_ns(unsigned length);

/* What keys mean. */
struct heatmap_victim heatmap_victim(const struct heatmap *heatmap, uint32_t key);
struct heatmap_waker heatmap_waker(const struct heatmap *heatmap, uint32_t key);
struct heatmap_hog heatmap_hog(const struct heatmap *heatmap, uint32_t key);

#endif
