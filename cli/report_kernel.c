/* "kernel": null, or {
 *   "tier": "bpf", "lost": intervals that were not told, "error": ns,
 *   "usage": [ns that the kernel's counts are about, of all threads together, ns on a CPU, in queue, times on one],
 *   "ps": [{"p": number or -1, "cells": CELLS}, ...], "cpus": [{"cpu": number, "cells": CELLS}, ...],
 *   "keys": [[function, creation stack, stack, who had the CPU, doing, why, worst G, its ns, its end], ...],
 *   "sites": [[site, [ns running: blocked, in queue; in calls: blocked, in queue; of blocked, not told apart]], ...] }
 * CELLS: [[column, ns in queue, ns blocked, times, longest ns in queue, its G, TABLE], ...] of the columns in which
 * something was; TABLE (report_topk.c) has the time in queue, by keys. doing: enum gmpt_kernel_doing, why: enum
 * gmpt_kernel_why. The columns are those of the heat map.
 *
 * A time without a CPU is cut into the columns in which it was, at the P that its thread had as it ended, and at the
 * CPU that it waited for; times count where they began, the longest in each. Memory is bounded by rows, columns and
 * keys. */
#include "report_parts.h"

#include "kernelwords.h"

#include "analysis/analysis.h"

#include "trace/kernelgs.h"
#include "trace/keyset.h"
#include "trace/timesum.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define CPUS_MAX 1024
#define NO_P KERNELGS_PS_MAX
#define KEYS_MAX 65536

struct stop_key {
    uint64_t fn;
    uint32_t create_stack, stack;
    uint32_t by; /* a string */
    uint16_t doing, why;
};

struct stop_worst {
    uint64_t g;
    int64_t ns, end_ns;
};

struct cell {
    int64_t queued_ns, blocked_ns, longest_ns;
    uint64_t times, longest_g;
    struct topk who;
};

struct site_time {
    int64_t ns[5]; /* as they are written */
};

struct report_kernel {
    struct report *report;
    bool seen;
    enum gmpt_kernel_tier tier;
    uint64_t lost, error_ns;
    struct kernelintervals joined;
    struct kernelgs gs;
    struct cell **ps[NO_P + 1], **cpus[CPUS_MAX]; /* by column; NULL: nothing */
    struct keyset keys;
    struct stop_worst *worst; /* by key */
    uint32_t worst_room;
    struct site_time *sites; /* by number */
    uint32_t sites_room;
    /* While it is written: from keys to those that show the same. */
    struct keyset shown;
    uint32_t *shown_of;
};

struct report_kernel *report_kernel_open(struct report *report)
{
    struct report_kernel *kernel = calloc(1, sizeof *kernel);
    if (!kernel)
        return NULL;
    kernel->report = report;
    keyset_init(&kernel->keys, sizeof(struct stop_key), KEYS_MAX);
    keyset_init(&kernel->shown, sizeof(struct stop_key), KEYS_MAX);
    return kernel;
}

static void cells_free(const struct report_kernel *kernel, struct cell **cells)
{
    for (unsigned i = 0; cells && i < kernel->report->columns; i++)
        free(cells[i]);
    free(cells);
}

void report_kernel_close(struct report_kernel *kernel)
{
    if (!kernel)
        return;
    for (int i = 0; i <= NO_P; i++)
        cells_free(kernel, kernel->ps[i]);
    for (int i = 0; i < CPUS_MAX; i++)
        cells_free(kernel, kernel->cpus[i]);
    kernelintervals_clear(&kernel->joined);
    kernelgs_clear(&kernel->gs);
    keyset_free(&kernel->keys);
    keyset_free(&kernel->shown);
    free(kernel->worst);
    free(kernel->sites);
    free(kernel->shown_of);
    free(kernel);
}

/* ---- Times without a CPU ----------------------------------------------------------------------------------------- */

/* Who had the CPU for most of the time in queue. */
static int64_t by_string(struct report_kernel *kernel, const struct kernel_interval *interval)
{
    const struct gmpt_trace_info *info = gmpt_trace_info(kernel->report->load.trace);
    const struct kernel_task *by = &interval->most;
    char program[KERNELWORDS_PROGRAM_BYTES];
    if (!interval->by_known || interval->end_ns == interval->able_ns)
        return 0;
    if (interval->why == GMPT_KERNEL_THROTTLED)
        return report_string(kernel->report->names, "nobody: a CPU quota was used up");
    if (!by->tid) /* turns that are shorter than OFFCPU_SLICE_NS are not told */
        return report_string(kernel->report->names, "nobody for long");
    return report_string(kernel->report->names, kernelwords_program(by->pid, by->name, info->pid, program));
}

static int64_t key_number(struct report_kernel *kernel, const struct kernel_interval *interval,
                          const struct interval *doing)
{
    int64_t by = by_string(kernel, interval);
    struct stop_key key = {
        .fn = doing ? doing->g->fn : 0,
        .create_stack = doing ? doing->g->create_stack : 0,
        .stack = interval->stack                                ? interval->stack
                 : doing && doing->state == GMPT_G_SYSCALL ? doing->stack
                                                                : 0,
        .by = (uint32_t)by,
        .doing = (uint16_t)kernelgs_did(interval, doing),
        .why = (uint16_t)interval->why,
    };
    int64_t number = by < 0 ? by : keyset_put(&kernel->keys, &key);
    if (number < 0)
        return number;
    void *bigger = report_room(kernel->worst, &kernel->worst_room, (uint32_t)number, sizeof *kernel->worst);
    if (!bigger)
        return -ENOMEM;
    kernel->worst = bigger;
    struct stop_worst *worst = &kernel->worst[number];
    int64_t queued_ns = interval->end_ns - interval->able_ns;
    if (queued_ns > worst->ns || !worst->g)
        *worst = (struct stop_worst){ doing ? doing->g->id : 0, queued_ns, interval->end_ns };
    return number;
}

static struct cell *cell_get(const struct report_kernel *kernel, struct cell ***row, unsigned column)
{
    if (!*row && !(*row = calloc(kernel->report->columns, sizeof **row)))
        return NULL;
    if (!(*row)[column])
        (*row)[column] = calloc(1, sizeof *(*row)[column]);
    return (*row)[column];
}

static int64_t common(int64_t a_from, int64_t a_to, int64_t b_from, int64_t b_to)
{
    int64_t from = a_from > b_from ? a_from : b_from, to = a_to < b_to ? a_to : b_to;
    return to > from ? to - from : 0;
}

/* Cut to the columns. */
static int row_add(struct report_kernel *kernel, struct cell ***row, const struct kernel_interval *interval,
                   uint32_t key, uint64_t g)
{
    int64_t width_ns = heatmap_width_ns(kernel->report->heatmap), end_ns = kernel->report->end_ns;
    int64_t from_ns = interval->begin_ns < 0 ? 0 : interval->begin_ns;
    int64_t to_ns = interval->end_ns < end_ns ? interval->end_ns : end_ns;
    int64_t whole_ns = interval->end_ns - interval->able_ns;
    for (int64_t column = from_ns / width_ns; from_ns < to_ns && column <= (to_ns - 1) / width_ns; column++) {
        int64_t begin_ns = column * width_ns;
        struct cell *cell =
            column < (int64_t)kernel->report->columns ? cell_get(kernel, row, (unsigned)column) : NULL;
        if (!cell)
            return -ENOMEM;
        int64_t queued_ns = common(interval->able_ns, to_ns, begin_ns, begin_ns + width_ns);
        timesum_add(&cell->queued_ns, queued_ns);
        timesum_add(&cell->blocked_ns, common(from_ns, interval->able_ns, begin_ns, begin_ns + width_ns));
        cell->times += column == from_ns / width_ns;
        if (!queued_ns)
            continue;
        topk_add(&cell->who, key, queued_ns);
        if (whole_ns > cell->longest_ns) {
            cell->longest_ns = whole_ns;
            cell->longest_g = g;
        }
    }
    return 0;
}

static int site_add(struct report_kernel *kernel, const struct kernel_interval *interval, const struct interval *doing)
{
    enum gmpt_kernel_doing did = kernelgs_did(interval, doing);
    if (!doing || (did != GMPT_KERNEL_RUNNING_G && did != GMPT_KERNEL_IN_CALL))
        return 0;
    int64_t number = report_sites_number(kernel->report->sites, doing->g);
    if (number < 0)
        return (int)number;
    void *bigger = report_room(kernel->sites, &kernel->sites_room, (uint32_t)number, sizeof *kernel->sites);
    if (!bigger)
        return -ENOMEM;
    kernel->sites = bigger;
    int64_t *ns = kernel->sites[number].ns, first = did == GMPT_KERNEL_RUNNING_G ? 0 : 2;
    int64_t begin_ns = interval->begin_ns < 0 ? 0 : interval->begin_ns;
    timesum_add(&ns[first], common(begin_ns, interval->able_ns, 0, kernel->report->end_ns));
    timesum_add(&ns[first + 1], common(interval->able_ns, interval->end_ns, 0, kernel->report->end_ns));
    if (!interval->able_known)
        timesum_add(&ns[4], common(begin_ns, interval->able_ns, 0, kernel->report->end_ns));
    return 0;
}

static int interval_add(struct report_kernel *kernel, const struct kernel_interval *interval,
                        const struct intervals *intervals)
{
    const struct interval *doing = kernelgs_doing(&kernel->gs, interval, intervals);
    int32_t p = kernelgs_p(&kernel->gs, interval->tid);
    uint64_t g = doing ? doing->g->id : 0;
    int64_t key = key_number(kernel, interval, doing);
    int result = key < 0 ? (int)key : row_add(kernel, &kernel->ps[p < 0 ? NO_P : p], interval, (uint32_t)key, g);
    if (!result && interval->by_known && interval->cpu_to < CPUS_MAX) {
        struct kernel_interval queued = *interval;
        queued.begin_ns = interval->able_ns; /* blocked it was at none */
        result = row_add(kernel, &kernel->cpus[interval->cpu_to], &queued, (uint32_t)key, g);
    }
    return result ? result : site_add(kernel, interval, doing);
}

int report_kernel_event(struct report_kernel *kernel, const struct gmpt_event *event,
                        const struct intervals *intervals)
{
    struct kernel_interval interval;
    int result = kernelgs_add(&kernel->gs, event, intervals);
    if (result)
        return result;
    if (event->type == GMPT_EVENT_kernel_tier) {
        kernel->seen = true;
        kernel->tier = kernelintervals_tier(event);
        kernel->error_ns = event->kernel_tier.error_ns;
    } else if (event->type == GMPT_EVENT_kernel_lost) {
        bool told = event->kernel_lost.what == GMPT_KERNEL_LOST_INTERVALS ||
                    event->kernel_lost.what == GMPT_KERNEL_LOST_NOTES;
        kernel->lost += told ? event->kernel_lost.count : 0;
    }
    if (!kernelintervals_takes(event->type))
        return 0;
    result = kernelintervals_add(&kernel->joined, event, &interval);
    return result > 0 ? interval_add(kernel, &interval, intervals) : result;
}

/* ---- The page's data --------------------------------------------------------------------------------------------- */

/* Finds which keys show the same. */
static int keys_show(struct report_kernel *kernel)
{
    struct report_names *names = kernel->report->names;
    kernel->shown_of = calloc((size_t)kernel->keys.count + 1, sizeof *kernel->shown_of);
    if (!kernel->shown_of)
        return -ENOMEM;
    for (uint32_t i = 1; i <= kernel->keys.count; i++) {
        struct stop_key key = *(const struct stop_key *)keyset_get(&kernel->keys, i);
        int64_t fn = report_function(names, key.fn), create = report_stack(names, key.create_stack),
                stack = report_stack(names, key.stack);
        if (fn < 0 || create < 0 || stack < 0)
            return -ENOMEM;
        key.fn = (uint64_t)fn;
        key.create_stack = (uint32_t)create;
        key.stack = (uint32_t)stack;
        int64_t shown = keyset_put(&kernel->shown, &key);
        if (shown < 0)
            return (int)shown;
        kernel->shown_of[i] = (uint32_t)shown;
    }
    return 0;
}

static int64_t shown_number(void *kernel_arg, uint32_t key)
{
    const struct report_kernel *kernel = kernel_arg;
    return kernel->shown_of[key];
}

static int cells_write(struct report_kernel *kernel, const char *name, int number, struct cell **cells)
{
    FILE *out = kernel->report->out;
    const char *comma = "";
    int result = 0;
    fprintf(out, "{\"%s\":%d,\"cells\":[", name, number);
    for (unsigned column = 0; column < kernel->report->columns && !result; column++) {
        const struct cell *cell = cells[column];
        if (!cell)
            continue;
        fprintf(out, "%s[%u,%" PRId64 ",%" PRId64 ",%" PRIu64 ",%" PRId64 ",%" PRIu64 ",", comma, column,
                cell->queued_ns, cell->blocked_ns, cell->times, cell->longest_ns, cell->longest_g);
        result = report_topk_write(out, &cell->who, shown_number, kernel);
        fputc(']', out);
        comma = ",";
    }
    fputs("]}", out);
    return result;
}

static int rows_write(struct report_kernel *kernel)
{
    FILE *out = kernel->report->out;
    const char *comma = "";
    int result = 0;
    fputs(",\n\"ps\":[", out);
    for (int p = 0; p <= NO_P && !result; p++)
        if (kernel->ps[p]) {
            fputs(comma, out);
            result = cells_write(kernel, "p", p == NO_P ? -1 : p, kernel->ps[p]);
            comma = ",\n";
        }
    fputs("],\n\"cpus\":[", out);
    comma = "";
    for (int cpu = 0; cpu < CPUS_MAX && !result; cpu++)
        if (kernel->cpus[cpu]) {
            fputs(comma, out);
            result = cells_write(kernel, "cpu", cpu, kernel->cpus[cpu]);
            comma = ",\n";
        }
    fputc(']', out);
    return result;
}

static int keys_write(struct report_kernel *kernel)
{
    FILE *out = kernel->report->out;
    struct stop_worst *worst = calloc((size_t)kernel->shown.count + 1, sizeof *worst);
    if (!worst)
        return -ENOMEM;
    for (uint32_t i = 1; i <= kernel->keys.count; i++)
        if (kernel->worst[i].ns > worst[kernel->shown_of[i]].ns || !worst[kernel->shown_of[i]].g)
            worst[kernel->shown_of[i]] = kernel->worst[i];
    fputs(",\n\"keys\":[[0,0,0,0,0,0,0,0,0]", out);
    for (uint32_t i = 1; i <= kernel->shown.count; i++) {
        const struct stop_key *key = keyset_get(&kernel->shown, i);
        fprintf(out, ",\n[%" PRIu64 ",%u,%u,%u,%u,%u,%" PRIu64 ",%" PRId64 ",%" PRId64 "]", key->fn,
                key->create_stack, key->stack, key->by, key->doing, key->why, worst[i].g, worst[i].ns,
                worst[i].end_ns);
    }
    fputc(']', out);
    free(worst);
    return 0;
}

int report_kernel_write(struct report *report)
{
    struct report_kernel *kernel = report->kernel;
    FILE *out = report->out;
    const char *comma = "";
    if (!kernel->seen) {
        fputs("\"kernel\":null", out);
        return 0;
    }
    fprintf(out, "\"kernel\":{\"tier\":\"%s\",\"lost\":%" PRIu64 ",\"error\":%" PRIu64, kernelwords_tier(kernel->tier),
            kernel->lost, kernel->error_ns);
    const struct kerneltime_usage *usage = &report->analysis->kernel.usage;
    fprintf(out, ",\"usage\":[%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRIu64 "]", usage->span_ns, usage->ran_ns,
            usage->queue_ns, usage->slices);
    int result = keys_show(kernel);
    result = result ? result : rows_write(kernel);
    result = result ? result : keys_write(kernel);
    fputs(",\n\"sites\":[", out);
    for (uint32_t i = 0; i < kernel->sites_room; i++) {
        const int64_t *ns = kernel->sites[i].ns;
        if (!ns[0] && !ns[1] && !ns[2] && !ns[3])
            continue;
        fprintf(out, "%s[%u,[%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 "]]", comma, i, ns[0], ns[1],
                ns[2], ns[3], ns[4]);
        comma = ",";
    }
    fputs("]}", out);
    return result;
}
