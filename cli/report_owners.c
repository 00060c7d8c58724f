/* "owners": [[site that waited, where, site of who had the lock, times, in all ns, longest ns, waiting at the end],
 *           ...], the longest in all first: who waited for locks that whom had;
 * "held": [[G, its function, where it waits, since ns, owner G, the owner's function, what the owner does], ...]: those
 *           that wait for a lock at the end, at most HELD_SHOWN; what: enum gmpt_g_state, 0 = not known. */
#include "report_parts.h"

#include "trace/keyset.h"
#include "trace/timesum.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define OWNERS_MAX 16384
#define OWNERS_SHOWN 500
#define HELD_SHOWN 500

struct owner_key {
    uint32_t waiter, stack, owner, zero; /* waiter and owner: numbers of sites */
};

struct ownership {
    uint64_t times, open;
    int64_t total_ns, longest_ns;
};

struct held {
    uint64_t g, fn, owner;
    uint32_t stack;
    int64_t since_ns;
};

struct report_owners {
    struct keyset keys;
    struct ownership *list; /* by number */
    uint32_t room;
    struct held held[HELD_SHOWN];
    uint32_t held_count;
};

struct report_owners *report_owners_open(void)
{
    struct report_owners *owners = calloc(1, sizeof *owners);
    if (owners)
        keyset_init(&owners->keys, sizeof(struct owner_key), OWNERS_MAX);
    return owners;
}

void report_owners_close(struct report_owners *owners)
{
    if (!owners)
        return;
    keyset_free(&owners->keys);
    free(owners->list);
    free(owners);
}

static struct ownership *ownership_at(struct report_owners *owners, uint32_t number)
{
    struct ownership *bigger = report_room(owners->list, &owners->room, number, sizeof *bigger);
    if (!bigger)
        return NULL;
    owners->list = bigger;
    return &owners->list[number];
}

int report_owners_closed(struct report_owners *owners, const struct interval *interval, uint32_t site,
                         uint32_t owner_site)
{
    if (interval->state != GMPT_G_WAITING || !interval->owner)
        return 0;
    struct owner_key key = { site, interval->stack, owner_site, 0 };
    int64_t number = keyset_put(&owners->keys, &key);
    struct ownership *ownership = number < 0 ? NULL : ownership_at(owners, (uint32_t)number);
    if (!ownership)
        return -ENOMEM;
    int64_t length_ns = interval->end_ns - interval->begin_ns;
    ownership->times++;
    timesum_add(&ownership->total_ns, length_ns);
    if (length_ns > ownership->longest_ns)
        ownership->longest_ns = length_ns;
    if (interval->ended_by != INTERVAL_TRACE_END)
        return 0;
    ownership->open++;
    if (owners->held_count < HELD_SHOWN)
        owners->held[owners->held_count++] = (struct held){
            .g = interval->g->id,
            .fn = interval->g->fn,
            .owner = interval->owner,
            .stack = interval->stack,
            .since_ns = interval->begin_ns,
        };
    return 0;
}

static const struct report_owners *compared; /* qsort has no argument for it */

static int number_compare(const void *a_arg, const void *b_arg)
{
    uint32_t a = *(const uint32_t *)a_arg, b = *(const uint32_t *)b_arg;
    int64_t of_a = compared->list[a].total_ns, of_b = compared->list[b].total_ns;
    return of_a != of_b ? (of_a < of_b) - (of_a > of_b) : (a > b) - (a < b);
}

static int held_write(struct report *report, const struct held *held)
{
    const struct gmpt_g *owner = gmpt_trace_g(report->load.trace, held->owner);
    int64_t fn = report_function(report->names, held->fn), stack = report_stack(report->names, held->stack);
    int64_t owner_fn = owner ? report_function(report->names, owner->fn) : 0;
    if (fn < 0 || stack < 0 || owner_fn < 0)
        return -ENOMEM;
    fprintf(report->out, "[%" PRIu64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRIu64 ",%" PRId64 ",%d]", held->g, fn,
            stack, held->since_ns, held->owner, owner_fn, owner ? (int)owner->state : 0);
    return 0;
}

int report_owners_write(struct report *report)
{
    const struct report_owners *owners = report->owners;
    FILE *out = report->out;
    uint32_t count = owners->keys.count, *order = calloc((size_t)count + 1, sizeof *order);
    int result = order ? 0 : -ENOMEM;
    for (uint32_t i = 0; i < count && order; i++)
        order[i] = i + 1;
    compared = owners;
    if (order)
        qsort(order, count, sizeof *order, number_compare);
    fputs("\"owners\":[", out);
    for (uint32_t i = 0; i < count && i < OWNERS_SHOWN && !result; i++) {
        const struct owner_key *key = keyset_get(&owners->keys, order[i]);
        const struct ownership *ownership = &owners->list[order[i]];
        int64_t stack = report_stack(report->names, key->stack);
        fprintf(out, "%s[%u,%" PRId64 ",%u,%" PRIu64 ",%" PRId64 ",%" PRId64 ",%" PRIu64 "]", i ? ",\n" : "",
                key->waiter, stack, key->owner, ownership->times, ownership->total_ns, ownership->longest_ns,
                ownership->open);
        result = stack < 0 ? -ENOMEM : 0;
    }
    fputs("],\n\"held\":[", out);
    for (uint32_t i = 0; i < owners->held_count && !result; i++) {
        fputs(i ? ",\n" : "", out);
        result = held_write(report, &owners->held[i]);
    }
    fputc(']', out);
    free(order);
    return result;
}
