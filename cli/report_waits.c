/* "waits": [[function, stack, reason, times, total ns, longest ns, waiting at the end, WAKERS], ...], the
 * longest in all first, at most WAITS_SHOWN; WAKERS: [floor, function, cause, times, error, ...], who ended such
 * waits. */
#include "report_parts.h"

#include "trace/keyset.h"
#include "trace/timesum.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define WAITS_MAX 65536
#define WAITS_SHOWN 1000

struct wait_key {
    uint64_t fn;
    uint32_t stack, reason;
};

struct waker_key {
    uint64_t fn;
    uint32_t cause, zero;
};

struct wait {
    uint64_t times, open;
    int64_t total_ns, longest_ns;
    struct topk wakers; /* by times */
};

struct report_waits {
    struct keyset keys, wakers;
    struct wait *waits; /* by number */
    uint32_t room;
};

struct report_waits *report_waits_open(void)
{
    struct report_waits *waits = calloc(1, sizeof *waits);
    if (waits) {
        keyset_init(&waits->keys, sizeof(struct wait_key), WAITS_MAX);
        keyset_init(&waits->wakers, sizeof(struct waker_key), WAITS_MAX);
    }
    return waits;
}

void report_waits_close(struct report_waits *waits)
{
    if (!waits)
        return;
    keyset_free(&waits->keys);
    keyset_free(&waits->wakers);
    free(waits->waits);
    free(waits);
}

int report_waits_closed(struct report_waits *waits, const struct interval *interval)
{
    if (interval->state != GMPT_G_WAITING)
        return 0;
    struct wait_key key = { interval->g->fn, interval->stack, (uint32_t)interval->reason };
    int64_t number = keyset_put(&waits->keys, &key);
    if (number < 0)
        return -ENOMEM;
    struct wait *bigger = report_room(waits->waits, &waits->room, (uint32_t)number, sizeof *bigger);
    if (!bigger)
        return -ENOMEM;
    waits->waits = bigger;
    struct wait *wait = &waits->waits[number];
    int64_t length_ns = interval->end_ns - interval->begin_ns;
    wait->times++;
    timesum_add(&wait->total_ns, length_ns);
    if (length_ns > wait->longest_ns)
        wait->longest_ns = length_ns;
    if (interval->ended_by == INTERVAL_TRACE_END) {
        wait->open++;
        return 0;
    }
    struct waker_key waker = { interval->waker_fn, (uint32_t)interval->ended_by, 0 };
    int64_t waker_number = keyset_put(&waits->wakers, &waker);
    if (waker_number < 0)
        return -ENOMEM;
    topk_add(&wait->wakers, (uint32_t)waker_number, 1);
    return 0;
}

static const struct report_waits *compared; /* qsort has no argument for it */

static int number_compare(const void *a_arg, const void *b_arg)
{
    uint32_t a = *(const uint32_t *)a_arg, b = *(const uint32_t *)b_arg;
    int64_t of_a = compared->waits[a].total_ns, of_b = compared->waits[b].total_ns;
    return of_a != of_b ? (of_a < of_b) - (of_a > of_b) : (a > b) - (a < b);
}

static int wait_write(struct report *report, const struct wait_key *key, const struct wait *wait)
{
    FILE *out = report->out;
    int64_t fn = report_function(report->names, key->fn), stack = report_stack(report->names, key->stack);
    if (fn < 0 || stack < 0)
        return -ENOMEM;
    fprintf(out, "[%" PRId64 ",%" PRId64 ",%u,%" PRIu64 ",%" PRId64 ",%" PRId64 ",%" PRIu64 ",[%" PRId64, fn, stack,
            key->reason, wait->times, wait->total_ns, wait->longest_ns, wait->open, topk_floor(&wait->wakers));
    for (uint32_t i = 0; i < wait->wakers.used; i++) {
        const struct topk_entry *entry = &wait->wakers.entries[i];
        const struct waker_key *waker = keyset_get(&report->waits->wakers, entry->key);
        int64_t waker_fn = waker ? report_function(report->names, waker->fn) : 0;
        if (waker_fn < 0)
            return -ENOMEM;
        fprintf(out, ",%" PRId64 ",%u,%" PRId64 ",%" PRId64, waker_fn, waker ? waker->cause : 0, entry->weight,
                entry->error);
    }
    fputs("]]", out);
    return 0;
}

int report_waits_write(struct report *report)
{
    const struct report_waits *waits = report->waits;
    uint32_t count = waits->keys.count, *order = calloc((size_t)count + 1, sizeof *order);
    int result = order ? 0 : -ENOMEM;
    for (uint32_t i = 0; i < count && order; i++)
        order[i] = i + 1;
    compared = waits;
    if (order)
        qsort(order, count, sizeof *order, number_compare);
    fputs("\"waits\":[", report->out);
    for (uint32_t i = 0; i < count && i < WAITS_SHOWN && !result; i++) {
        fputs(i ? ",\n" : "", report->out);
        result = wait_write(report, keyset_get(&waits->keys, order[i]), &waits->waits[order[i]]);
    }
    fprintf(report->out, "],\"waits_all\":%u", count);
    free(order);
    return result;
}
