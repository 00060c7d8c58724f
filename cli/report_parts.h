/* The parts of gmptrace report. Each takes what it needs while the trace goes by, and writes one member of the page's
 * data afterwards; what the members are is said where they are written. All return 0 or a negative errno. */
#ifndef GMPT_REPORT_H
#define GMPT_REPORT_H

#include "load.h"
#include "report_names.h"

#include "trace/heatmap.h"
#include "trace/intervals.h"
#include "trace/overtime.h"
#include "trace/topk.h"

#include <stdint.h>
#include <stdio.h>

#define REPORT_FLAME_BUCKETS 64
#define REPORT_SLICES_DEFAULT 20000

struct report_delay {
    uint64_t g, fn, waker;
    uint32_t create_stack, stack;
    int32_t p;
    enum gmpt_event_type cause;
    int64_t begin_ns, length_ns;
};

/* The longest delays, longest first. */
#define REPORT_WORST 32
struct report_worst {
    struct report_delay list[REPORT_WORST];
    uint32_t count;
};

struct analysis;

struct report {
    struct load load;
    struct report_names *names;
    const char *path; /* the trace */
    int64_t end_ns;
    unsigned columns;
    uint32_t slices_max;
    uint64_t intervals; /* of all Gs */
    struct report_worst worst;
    struct heatmap *heatmap;
    struct overtime *overtime;
    struct report_flame *flame;
    struct report_sites *sites;
    struct report_waits *waits;
    struct report_over *over;
    struct report_delays *delays;
    struct report_owners *owners;
    struct report_kernel *kernel;
    struct analysis *analysis; /* for its findings */
    FILE *out;
};

/* report_heat.c: the heat maps. */
int report_heat_write(struct report *report);

/* report_flame.c: every type of profile, with its values in each of REPORT_FLAME_BUCKETS parts of the time. */
struct report_flame *report_flame_open(const struct report *report);
void report_flame_close(struct report_flame *flame);
int report_flame_interval(struct report_flame *flame, const struct interval *interval);
int report_flame_event(struct report_flame *flame, const struct gmpt_event *event);
int report_flame_write(struct report *report);

/* report_sites.c: Gs by function and place of their start, and who starts whom. Opened before the intervals have their
 * first event. */
struct report_sites *report_sites_open(struct intervals *intervals);
void report_sites_close(struct report_sites *sites);
int report_sites_begun(struct report_sites *sites, const struct intervals *intervals, const struct interval *interval);
int report_sites_closed(struct report_sites *sites, const struct interval *interval);
int64_t report_sites_number(struct report_sites *sites, const struct interval_g *g); /* or -ENOMEM */
int report_sites_write(struct report *report);

/* report_waits.c: places of waits, and who ends them; and what waits at the end. */
struct report_waits *report_waits_open(void);
void report_waits_close(struct report_waits *waits);
int report_waits_closed(struct report_waits *waits, const struct interval *interval);
int report_waits_write(struct report *report);

/* report_over.c: the timeline as a whole. */
struct report_over *report_over_open(const struct report *report);
void report_over_close(struct report_over *over);
int report_over_closed(struct report_over *over, const struct interval *interval, uint32_t site);
int report_over_write(struct report *report);

/* report_delays.c: histograms of delays and of waits. */
struct report_delays *report_delays_open(void);
void report_delays_close(struct report_delays *delays);
int report_delays_closed(struct report_delays *delays, const struct interval *interval, uint32_t site);
int report_delays_write(struct report *report);

/* report_owners.c: who waited for locks that whom had. */
struct report_owners *report_owners_open(void);
void report_owners_close(struct report_owners *owners);
int report_owners_closed(struct report_owners *owners, const struct interval *interval, uint32_t site,
                         uint32_t owner_site);
int report_owners_write(struct report *report);

/* report_kernel.c: what the kernel did with threads, over time and by goroutine. An event comes after the intervals
 * have had it. */
struct report_kernel *report_kernel_open(struct report *report);
void report_kernel_close(struct report_kernel *kernel);
int report_kernel_event(struct report_kernel *kernel, const struct gmpt_event *event,
                        const struct intervals *intervals);
int report_kernel_write(struct report *report);

/* report_room.c: the list, longer when it has no room for this number, what is new being zero. NULL: memory is short,
 * and the list is as it was. */
void *report_room(void *list, uint32_t *room, uint32_t number, size_t size);

/* report_topk.c: a table of the heaviest; number makes the page's of its keys, which are not negative. */
int report_topk_write(FILE *out, const struct topk *topk, int64_t (*number)(void *arg, uint32_t key), void *arg);

/* report_findings.c: what is wrong. */
int report_findings_write(struct report *report);

/* report_slices.c: the longest delays, and exact slices of a few windows of time, from a second reading. */
void report_worst_add(struct report_worst *worst, const struct interval *interval);
int report_slices_write(struct report *report);

/* report_head.c: what the trace is, totals, states over time. */
int report_head_write(struct report *report);

/* report_page.c: the page around the data, with its scripts and styles, which must stand in report->out already
 * written up to the data, and after it. */
void report_page_begin(FILE *out, const char *title);
void report_page_end(FILE *out);

#endif
