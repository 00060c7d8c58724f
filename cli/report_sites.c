/* "sites": [[function, creation stack, started, alive at the end, main, [ns by state]], ...],
 * "spawns": [[parent's site or -1, site, how many, example G], ...]
 * A site is a function and where it was started; memory is bounded by distinct ones. */
#include "report_parts.h"

#include "trace/keyset.h"
#include "trace/timesum.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define SITES_MAX 65536 /* also of spawns: further ones are counted together, as number 0 */

struct site_key {
    uint64_t fn;
    uint32_t create_stack, zero;
};

struct site {
    uint64_t started, alive;
    int64_t state_ns[GMPT_G_STATES];
    bool main;
};

struct spawn_key {
    uint32_t parent, site; /* numbers of sites; parent 0 = not known */
};

struct spawn {
    uint64_t count, example;
};

/* Of a G that lives. */
struct sited {
    uint32_t site; /* its number, valid when known */
    bool known;
};

struct report_sites {
    size_t room; /* where a G's struct sited is */
    struct keyset keys, spawn_keys;
    struct site *sites;   /* by number */
    struct spawn *spawns; /* by number */
    uint32_t sites_room, spawns_room;
};

struct report_sites *report_sites_open(struct intervals *intervals)
{
    struct report_sites *sites = calloc(1, sizeof *sites);
    if (sites) {
        sites->room = intervals_room(intervals, sizeof(struct sited));
        keyset_init(&sites->keys, sizeof(struct site_key), SITES_MAX);
        keyset_init(&sites->spawn_keys, sizeof(struct spawn_key), SITES_MAX);
    }
    return sites;
}

void report_sites_close(struct report_sites *sites)
{
    if (!sites)
        return;
    keyset_free(&sites->keys);
    keyset_free(&sites->spawn_keys);
    free(sites->sites);
    free(sites->spawns);
    free(sites);
}

int64_t report_sites_number(struct report_sites *sites, const struct interval_g *g)
{
    struct sited *sited = interval_room(g, sites->room);
    if (sited->known)
        return sited->site;
    struct site_key key = { g->fn, g->create_stack, 0 };
    int64_t number = keyset_put(&sites->keys, &key);
    if (number < 0)
        return number;
    void *bigger = report_room(sites->sites, &sites->sites_room, (uint32_t)number, sizeof *sites->sites);
    if (!bigger)
        return -ENOMEM;
    sites->sites = bigger;
    *sited = (struct sited){ (uint32_t)number, true };
    return number;
}

int report_sites_begun(struct report_sites *sites, const struct intervals *intervals, const struct interval *interval)
{
    if (interval->began_by != GMPT_EVENT_go_create && interval->began_by != GMPT_EVENT_go_was)
        return 0;
    const struct interval_g *parent = intervals_g(intervals, interval->g->parent);
    int64_t site = report_sites_number(sites, interval->g);
    int64_t of_parent = parent ? report_sites_number(sites, parent) : 0;
    if (site < 0 || of_parent < 0)
        return -ENOMEM;
    sites->sites[site].started++;
    sites->sites[site].main |= interval->g->main;
    struct spawn_key key = { (uint32_t)of_parent, (uint32_t)site };
    int64_t number = keyset_put(&sites->spawn_keys, &key);
    void *bigger =
        number < 0 ? NULL : report_room(sites->spawns, &sites->spawns_room, (uint32_t)number, sizeof *sites->spawns);
    if (!bigger)
        return -ENOMEM;
    sites->spawns = bigger;
    if (sites->spawns[number].count++ == 0)
        sites->spawns[number].example = interval->g->id;
    return 0;
}

int report_sites_closed(struct report_sites *sites, const struct interval *interval)
{
    int64_t number = report_sites_number(sites, interval->g);
    if (number < 0)
        return -ENOMEM;
    struct site *site = &sites->sites[number];
    if ((unsigned)interval->state < GMPT_G_STATES)
        timesum_add(&site->state_ns[interval->state], interval->end_ns - interval->begin_ns);
    site->alive += interval->ended_by == INTERVAL_TRACE_END;
    return 0;
}

int report_sites_write(struct report *report)
{
    const struct report_sites *sites = report->sites;
    FILE *out = report->out;
    fputs("\"sites\":[", out);
    for (uint32_t i = 0; i <= sites->keys.count && i < sites->sites_room; i++) {
        const struct site_key *key = keyset_get(&sites->keys, i);
        const struct site *site = &sites->sites[i];
        int64_t fn = key ? report_function(report->names, key->fn) : 0;
        int64_t stack = key ? report_stack(report->names, key->create_stack) : 0;
        if (fn < 0 || stack < 0)
            return -ENOMEM;
        fprintf(out, "%s[%" PRId64 ",%" PRId64 ",%" PRIu64 ",%" PRIu64 ",%d,[", i ? ",\n" : "", fn, stack,
                site->started, site->alive, site->main);
        for (int state = 0; state < GMPT_G_STATES; state++)
            fprintf(out, "%s%" PRId64, state ? "," : "", site->state_ns[state]);
        fputs("]]", out);
    }
    fputs("],\n\"spawns\":[", out);
    for (uint32_t i = 1; i <= sites->spawn_keys.count; i++) {
        const struct spawn_key *key = keyset_get(&sites->spawn_keys, i);
        fprintf(out, "%s[%u,%u,%" PRIu64 ",%" PRIu64 "]", i > 1 ? "," : "", key->parent, key->site,
                sites->spawns[i].count, sites->spawns[i].example);
    }
    fputc(']', out);
    return 0;
}
