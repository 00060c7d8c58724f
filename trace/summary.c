/* Feeds on events only: it keeps its own table of live Gs, small and in the shape that the sums need, so that it can be
 * tested without a file and never depends on how the reader stores a G.
 *
 * A G's clock never runs back here: a moment before its last transition counts as that transition's moment, so the
 * times by state add up to each G's life exactly, whatever the skew between CPUs. */
#include "summary.h"

#include "cpusamples.h"
#include "histogram.h"
#include "machines.h"
#include "spans.h"
#include "stackalias.h"
#include "suspects.h"
#include "table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PS_MAX 256
#define SITES_MAX 65536   /* Gs from further places are counted together under fn 0, stack 0 */
#define SLAB_GS 128
#define TIME_MAX_NS (INT64_MAX / 2) /* so that no damaged clock can make a difference overflow */
#define STATE_LOST 0                /* ran when its ring lost records; nobody knows what it has done since */

struct site {
    uint32_t create_stack;
    uint64_t fn, created, alive;
    bool main;
    struct suspect *last_suspect; /* where a G from here waited last: mostly where the next one will */
    struct histogram scheduling;
};

struct live_g {
    uint64_t id, fn;
    struct site *site;
    struct suspect *suspect; /* the place that counts it now, or NULL */
    int64_t since_ns;
    int64_t seen_ns;   /* the last that was heard of it, not before since_ns: its clock never runs back (intervals.h) */
    int64_t before_ns; /* how long it had been in that state before the trace's start */
    uint64_t object;
    uint32_t create_stack, wait_stack;
    int32_t p; /* valid while it runs */
    uint8_t state, reason;
    bool bounded, main;
    struct live_g *next_free;
};

struct slab {
    struct slab *next;
    struct live_g gs[SLAB_GS];
};

/* The G on a P. The id tells whether the record is still that G's. */
struct current {
    struct live_g *g;
    uint64_t id;
};

struct summary {
    const struct gmpt_trace *trace;
    struct summary_options options;
    bool reason_suspect[GMPT_WAIT_REASONS];
    struct current current[PS_MAX];
    struct table gs, sites;
    struct suspects suspects;
    struct spans *spans;
    struct cpusamples samples;
    struct machines *machines;
    struct slab *slabs;
    struct live_g *free_gs;
    struct site *last_site;
    struct stackalias alias;
    int64_t now_ns; /* of the event that is being added */
    int64_t end_ns;
    uint32_t limit;   /* GOMAXPROCS; 0 = what the head says, not looked up yet */
    int64_t limit_ns; /* up to when p_room_ns is summed up */
    int64_t main_end_ns; /* valid when main_ended */
    bool main_seen, main_ended, exited;
    struct histogram scheduling;
    struct summary_totals totals;
    struct summary_site *site_list;
    struct summary_group *group_list;
    size_t site_count, group_count;
};

struct summary *summary_open(const struct gmpt_trace *trace, const struct summary_options *options)
{
    struct summary *summary = calloc(1, sizeof *summary);
    if (!summary)
        return NULL;
    summary->spans = spans_open();
    summary->machines = machines_open();
    if (!summary->spans || !summary->machines) {
        spans_close(summary->spans);
        machines_close(summary->machines);
        free(summary);
        return NULL;
    }
    summary->trace = trace;
    summary->options = options ? *options : (struct summary_options){ .stuck_ns = SUMMARY_STUCK_BY_END };
    summary->alias.first = summary->options.canonical_stack;
    summary->alias.arg = summary->options.canonical_arg;
    for (int reason = 0; reason < GMPT_WAIT_REASONS; reason++)
        summary->reason_suspect[reason] = gmpt_wait_reason_suspect((enum gmpt_wait_reason)reason);
    return summary;
}

void summary_close(struct summary *summary)
{
    if (!summary)
        return;
    for (size_t i = 0; summary->sites.slots && i <= summary->sites.mask; i++) {
        struct site *site = summary->sites.slots[i].entry;
        if (site) {
            histogram_clear(&site->scheduling);
            free(site);
        }
    }
    while (summary->slabs) {
        struct slab *slab = summary->slabs;
        summary->slabs = slab->next;
        free(slab);
    }
    histogram_clear(&summary->scheduling);
    machines_close(summary->machines);
    suspects_clear(&summary->suspects);
    spans_close(summary->spans);
    cpusamples_clear(&summary->samples);
    table_clear(&summary->gs);
    table_clear(&summary->sites);
    stackalias_clear(&summary->alias);
    free(summary->site_list);
    free(summary->group_list);
    free(summary);
}

/* The stack by which places are told apart. */
static uint32_t stack_canonical(struct summary *summary, uint64_t field)
{
    return stackalias_of(&summary->alias, (uint32_t)field);
}

/* ---- Sites and live Gs ------------------------------------------------------------------------------------------- */

struct site_key {
    uint64_t fn;
    uint32_t create_stack;
};

static bool site_equal(const void *entry, const void *key_arg)
{
    const struct site *site = entry;
    const struct site_key *key = key_arg;
    return site->fn == key->fn && site->create_stack == key->create_stack;
}

static struct site *site_get(struct summary *summary, struct site_key key)
{
    if (summary->last_site && site_equal(summary->last_site, &key))
        return summary->last_site;
    uint64_t hash = table_mix(key.fn ^ table_mix(key.create_stack));
    struct site *site = table_find(&summary->sites, hash, site_equal, &key);
    if (!site && summary->sites.count >= SITES_MAX) {
        key = (struct site_key){ 0 };
        hash = table_mix(table_mix(0));
        site = table_find(&summary->sites, hash, site_equal, &key);
    }
    if (!site) {
        site = calloc(1, sizeof *site);
        if (!site)
            return NULL;
        site->fn = key.fn;
        site->create_stack = key.create_stack;
        if (table_insert(&summary->sites, hash, site)) {
            free(site);
            return NULL;
        }
    }
    return summary->last_site = site;
}

static struct live_g *live_g_alloc(struct summary *summary)
{
    if (!summary->free_gs) {
        struct slab *slab = calloc(1, sizeof *slab);
        if (!slab)
            return NULL;
        slab->next = summary->slabs;
        summary->slabs = slab;
        for (int i = SLAB_GS - 1; i >= 0; i--) {
            slab->gs[i].next_free = summary->free_gs;
            summary->free_gs = &slab->gs[i];
        }
    }
    struct live_g *g = summary->free_gs;
    summary->free_gs = g->next_free;
    memset(g, 0, sizeof *g);
    return g;
}

static void live_g_free(struct summary *summary, struct live_g *g)
{
    g->id = 0;
    g->next_free = summary->free_gs;
    summary->free_gs = g;
}

static struct live_g *live_g_find(const struct summary *summary, uint64_t id)
{
    return table_find(&summary->gs, table_mix(id), NULL, NULL);
}

/* A new live G; id 0 is nobody's. Returns NULL when memory is short. */
static struct live_g *live_g_make(struct summary *summary, uint64_t id, uint64_t fn, uint32_t create_stack,
                                  int64_t time_ns)
{
    struct site *site = site_get(summary, (struct site_key){ fn, create_stack });
    struct live_g *g = site ? live_g_alloc(summary) : NULL;
    if (!g)
        return NULL;
    g->id = id;
    g->fn = fn;
    g->create_stack = create_stack;
    g->site = site;
    g->state = GMPT_G_RUNNABLE;
    g->since_ns = g->seen_ns = time_ns;
    if (table_insert(&summary->gs, table_mix(id), g)) {
        live_g_free(summary, g);
        return NULL;
    }
    site->alive++;
    if (++summary->totals.gs_alive > summary->totals.gs_peak)
        summary->totals.gs_peak = summary->totals.gs_alive;
    return g;
}

/* ---- Transitions ------------------------------------------------------------------------------------------------- */

/* Stops at the largest number: only a damaged clock gets there. */
static void time_sum(int64_t *sum_ns, int64_t ns)
{
    if (__builtin_add_overflow(*sum_ns, ns, sum_ns))
        *sum_ns = INT64_MAX;
}

static void state_account(struct summary *summary, const struct live_g *g, int64_t spent_ns)
{
    time_sum(&summary->totals.state_ns[g->state], spent_ns);
    if (g->state == GMPT_G_WAITING)
        time_sum(&summary->totals.wait_ns[g->reason], spent_ns);
}

static void state_enter(struct summary *summary, struct live_g *g, unsigned state, int64_t time_ns)
{
    if (time_ns < g->seen_ns)
        time_ns = g->seen_ns;
    state_account(summary, g, time_ns - g->since_ns);
    if (g->suspect) {
        suspect_leave(g->suspect, time_ns);
        g->suspect = NULL;
    }
    g->state = (uint8_t)state;
    g->since_ns = g->seen_ns = time_ns;
    g->before_ns = 0;
}

/* Labels end no state, but its G was there. */
static int add_labels(struct summary *summary, const struct gmpt_event *event)
{
    struct live_g *g = event->go_labels.g ? live_g_find(summary, event->go_labels.g) : NULL;
    if (g && g->seen_ns < summary->now_ns)
        g->seen_ns = summary->now_ns;
    return 0;
}

static void created_count(struct summary *summary, struct live_g *g)
{
    if (!g)
        return;
    g->site->created++;
    summary->totals.gs_created++;
}

static struct current *current_of(struct summary *summary, const struct gmpt_event *event)
{
    return event->p >= 0 && event->p < PS_MAX ? &summary->current[event->p] : NULL;
}

/* The G that the event is about. One that was never seen, because records were lost, is made known. *g is NULL when the
 * event does not say which G it is. Returns 0 or -ENOMEM. */
static int event_g(struct summary *summary, const struct gmpt_event *event, struct live_g **g)
{
    struct current *current = current_of(summary, event);
    if (current && current->g && current->id == event->g && current->g->id == event->g) {
        *g = current->g;
        return 0;
    }
    *g = NULL;
    if (event->g == 0)
        return 0;
    *g = live_g_find(summary, event->g);
    if (!*g) {
        *g = live_g_make(summary, event->g, 0, 0, summary->now_ns);
        created_count(summary, *g);
    }
    return *g ? 0 : -ENOMEM;
}

static int add_create(struct summary *summary, const struct gmpt_event *event)
{
    uint64_t id = event->go_create.g;
    if (id == 0 || live_g_find(summary, id))
        return 0;
    uint32_t stack = stack_canonical(summary, event->go_create.stack);
    struct live_g *g = live_g_make(summary, id, event->go_create.fn, stack, summary->now_ns);
    if (!g)
        return -ENOMEM;
    created_count(summary, g);
    struct current *current = current_of(summary, event);
    g->main = !summary->main_seen && !(current && current->id);
    summary->main_seen = true;
    g->site->main |= g->main;
    return 0;
}

/* A G begins or goes on to run on the event's P. */
static int add_run(struct summary *summary, const struct gmpt_event *event, struct live_g *g)
{
    int result = 0;
    if (g->state == GMPT_G_RUNNABLE && event->type == GMPT_EVENT_go_start) {
        int64_t late_ns = summary->now_ns - g->since_ns;
        result = histogram_add(&summary->scheduling, late_ns);
        if (!result)
            result = histogram_add(&g->site->scheduling, late_ns);
    }
    struct current *current = current_of(summary, event);
    if (current) {
        struct live_g *before = current->g;
        /* One that was in a call may have gone on elsewhere since. */
        if (before && before != g && before->id == current->id && before->state == GMPT_G_RUNNING &&
            before->p == event->p)
            state_enter(summary, before, STATE_LOST, summary->now_ns);
        *current = (struct current){ g, g->id };
    }
    state_enter(summary, g, GMPT_G_RUNNING, summary->now_ns);
    g->p = event->p;
    return result;
}

/* What the G waits for, and which place counts it for that; its state and wait_stack are set. */
static int wait_note(struct summary *summary, struct live_g *g, uint64_t reason, uint64_t object, bool bounded)
{
    g->reason = reason < GMPT_WAIT_REASONS ? (uint8_t)reason : GMPT_WAIT_none;
    g->bounded = bounded;
    g->object = object;
    if (!summary->reason_suspect[g->reason] || g->bounded || g->main)
        return 0;
    struct suspect *suspect = g->site->last_suspect;
    if (!suspect || suspect->key.wait_stack != g->wait_stack || suspect->key.reason != g->reason ||
        suspect->key.fn != g->fn || suspect->key.create_stack != g->create_stack) {
        struct suspect_key key = { g->fn, g->create_stack, g->wait_stack, (enum gmpt_wait_reason)g->reason };
        suspect = suspects_get(&summary->suspects, &key);
        if (!suspect)
            return -ENOMEM;
        g->site->last_suspect = suspect;
    }
    g->suspect = suspect;
    suspect_enter(suspect, g->since_ns);
    return 0;
}

static int add_block(struct summary *summary, const struct gmpt_event *event, struct live_g *g)
{
    state_enter(summary, g, GMPT_G_WAITING, summary->now_ns);
    g->wait_stack = stack_canonical(summary, event->go_block.stack);
    return wait_note(summary, g, event->go_block.reason, event->go_block.object, event->go_block.bounded != 0);
}

/* A G that was there before the trace's start; `g` is 0 when it is known better. */
static int add_was(struct summary *summary, const struct gmpt_event *event)
{
    uint64_t id = event->g;
    if (id == 0 || event->go_was.state >= GMPT_G_STATES)
        return 0;
    struct live_g *g = live_g_find(summary, id);
    if (!g) {
        uint32_t stack = stack_canonical(summary, event->go_was.stack);
        if (!(g = live_g_make(summary, id, event->go_was.fn, stack, 0)))
            return -ENOMEM;
        summary->totals.gs_before++;
        g->main = event->go_was.parent == 0;
        summary->main_seen |= g->main;
        g->site->main |= g->main;
    }
    state_enter(summary, g, (unsigned)event->go_was.state, g->since_ns == 0 ? 0 : summary->now_ns);
    return 0;
}

static int add_waited(struct summary *summary, const struct gmpt_event *event)
{
    struct live_g *g = event->g ? live_g_find(summary, event->g) : NULL;
    if (!g || g->suspect)
        return 0;
    uint64_t waited_ns = event->go_waited.waited_ns, within_ns = (uint64_t)(summary->now_ns - g->since_ns);
    if (g->since_ns == 0 && waited_ns > within_ns)
        g->before_ns = waited_ns - within_ns < TIME_MAX_NS / 2 ? (int64_t)(waited_ns - within_ns) : TIME_MAX_NS / 2;
    g->wait_stack = stack_canonical(summary, event->go_waited.stack);
    if (g->state != GMPT_G_WAITING)
        return 0;
    return wait_note(summary, g, event->go_waited.reason, event->go_waited.object, event->go_waited.bounded != 0);
}

static void add_exit(struct summary *summary, struct live_g *g)
{
    state_enter(summary, g, GMPT_G_DEAD, summary->now_ns);
    if (g->main) {
        summary->main_ended = true;
        summary->main_end_ns = g->since_ns;
    }
    summary->totals.gs_ended++;
    summary->totals.gs_alive--;
    g->site->alive--;
    table_remove(&summary->gs, table_mix(g->id), g);
    live_g_free(summary, g);
}

static void leave_p(struct summary *summary, const struct gmpt_event *event)
{
    struct current *current = current_of(summary, event);
    if (current)
        *current = (struct current){ NULL, 0 };
}

/* Events that are about a G and its state. */
static int add_transition(struct summary *summary, const struct gmpt_event *event)
{
    struct summary_totals *totals = &summary->totals;
    struct live_g *g;
    int result = event_g(summary, event, &g);
    if (result || !g)
        return result;
    switch (event->type) {
    case GMPT_EVENT_go_start:
    case GMPT_EVENT_syscall_end:
    case GMPT_EVENT_syscall_resume:
    case GMPT_EVENT_go_attach:
        return add_run(summary, event, g);
    case GMPT_EVENT_go_yield:
    case GMPT_EVENT_go_preempt:
    case GMPT_EVENT_go_preempt_async:
        *(event->type == GMPT_EVENT_go_yield     ? &totals->yields
          : event->type == GMPT_EVENT_go_preempt ? &totals->preemptions
                                                 : &totals->async_preemptions) += 1;
        state_enter(summary, g, GMPT_G_RUNNABLE, summary->now_ns);
        leave_p(summary, event);
        return 0;
    case GMPT_EVENT_go_detach:
        totals->detaches++;
        state_enter(summary, g, GMPT_G_PREEMPTED, summary->now_ns);
        leave_p(summary, event);
        return 0;
    case GMPT_EVENT_go_attach_wait:
        totals->attach_waits++;
        state_enter(summary, g, GMPT_G_RUNNABLE, summary->now_ns);
        return 0;
    case GMPT_EVENT_go_block:
        totals->blocks++;
        leave_p(summary, event);
        return add_block(summary, event, g);
    case GMPT_EVENT_go_unblock:
        totals->unblocks++;
        totals->wakers[event->go_unblock.by < GMPT_WAKERS ? event->go_unblock.by : GMPT_WAKER_UNKNOWN]++;
        state_enter(summary, g, GMPT_G_RUNNABLE, summary->now_ns);
        return 0;
    case GMPT_EVENT_go_exit:
        leave_p(summary, event);
        add_exit(summary, g);
        return 0;
    case GMPT_EVENT_syscall_begin:
        totals->syscalls++;
        state_enter(summary, g, GMPT_G_SYSCALL, summary->now_ns);
        g->wait_stack = stack_canonical(summary, event->syscall_begin.stack);
        return 0;
    case GMPT_EVENT_syscall_exit:
        state_enter(summary, g, GMPT_G_RUNNABLE, summary->now_ns);
        return 0;
    default:
        return 0;
    }
}

/* Sums up what the Ps could have run until then. */
static void limit_until(struct summary *summary, int64_t until_ns)
{
    struct summary_totals *totals = &summary->totals;
    if (!summary->limit && summary->trace)
        summary->limit = gmpt_trace_info(summary->trace)->maxprocs;
    int64_t room_ns;
    if (until_ns > summary->limit_ns) {
        if (__builtin_mul_overflow(until_ns - summary->limit_ns, summary->limit, &room_ns))
            room_ns = INT64_MAX;
        time_sum(&totals->p_room_ns, room_ns);
    }
    summary->limit_ns = until_ns;
    if (summary->limit > totals->p_count)
        totals->p_count = summary->limit;
}

int summary_add(struct summary *summary, const struct gmpt_event *event)
{
    struct summary_totals *totals = &summary->totals;
    summary->now_ns = event->time_ns < 0 ? 0 : event->time_ns > TIME_MAX_NS ? TIME_MAX_NS : event->time_ns;
    if (summary->now_ns > summary->end_ns)
        summary->end_ns = summary->now_ns;
    switch (event->type) {
    case GMPT_EVENT_go_create:
        return add_create(summary, event);
    case GMPT_EVENT_go_was:
        return add_was(summary, event);
    case GMPT_EVENT_go_waited:
        return add_waited(summary, event);
    case GMPT_EVENT_proc_steal:
        totals->steals++;
        totals->stolen_gs += event->proc_steal.count;
        return 0;
    case GMPT_EVENT_proc_retake:
        totals->handoffs++;
        return machines_add(summary->machines, event);
    case GMPT_EVENT_proc_preempt:
        totals->preempt_requests++;
        return 0;
    case GMPT_EVENT_proc_limit:
        limit_until(summary, summary->now_ns);
        summary->limit = (uint32_t)event->proc_limit.count;
        return 0;
    case GMPT_EVENT_lost:
    case GMPT_EVENT_proc_was:
    case GMPT_EVENT_proc_start:
    case GMPT_EVENT_proc_stop:
    case GMPT_EVENT_m_create:
    case GMPT_EVENT_m_park:
    case GMPT_EVENT_m_unpark:
    case GMPT_EVENT_m_spin:
    case GMPT_EVENT_netpoll:
    case GMPT_EVENT_timer_fire:
        return machines_add(summary->machines, event);
    case GMPT_EVENT_go_name:
    case GMPT_EVENT_go_scope:
    case GMPT_EVENT_user_log_text:
        return 0;
    case GMPT_EVENT_go_labels:
        return add_labels(summary, event);
    case GMPT_EVENT_cpu_sample:
    case GMPT_EVENT_cpu_sample_lost:
        return cpusamples_add(&summary->samples, event);
    case GMPT_EVENT_user_task_begin:
    case GMPT_EVENT_user_task_end:
    case GMPT_EVENT_user_region_begin:
    case GMPT_EVENT_user_region_end:
    case GMPT_EVENT_user_log:
        return spans_add(summary->spans, event);
    case GMPT_EVENT_go_exit:
        if (spans_add(summary->spans, event))
            return -ENOMEM;
        break;
    case GMPT_EVENT_go_start:
    case GMPT_EVENT_go_detach:
        if (machines_add(summary->machines, event))
            return -ENOMEM;
        break;
    default:
        break;
    }
    return add_transition(summary, event);
}

/* ---- The end ----------------------------------------------------------------------------------------------------- */

static uint64_t group_hash(const struct summary_group *group)
{
    uint64_t hash = table_mix(group->fn);
    hash = table_mix(hash ^ ((uint64_t)group->create_stack << 32 | group->wait_stack));
    return table_mix(hash ^ ((uint64_t)group->state << 16 | (uint64_t)group->reason << 8 |
                             (uint64_t)group->bounded << 1 | (uint64_t)group->main));
}

static bool group_equal(const void *entry, const void *key)
{
    const struct summary_group *a = entry, *b = key;
    return a->fn == b->fn && a->create_stack == b->create_stack && a->wait_stack == b->wait_stack &&
           a->state == b->state && a->reason == b->reason && a->bounded == b->bounded && a->main == b->main;
}

static struct summary_group group_of(const struct live_g *g)
{
    bool waits = g->state == GMPT_G_WAITING, calls = g->state == GMPT_G_SYSCALL;
    return (struct summary_group){
        .create_stack = g->create_stack,
        .fn = g->fn,
        .wait_stack = waits || calls ? g->wait_stack : 0,
        .state = g->state == STATE_LOST ? GMPT_G_RUNNABLE : (enum gmpt_g_state)g->state,
        .reason = waits ? (enum gmpt_wait_reason)g->reason : GMPT_WAIT_none,
        .bounded = waits && g->bounded,
        .main = g->main,
        .example_g = g->id,
        .example_object = waits ? g->object : 0,
    };
}

static int group_compare(const void *a_arg, const void *b_arg)
{
    const struct summary_group *a = a_arg, *b = b_arg;
    if (a->verdict != b->verdict)
        return a->verdict > b->verdict ? -1 : 1;
    if (a->count != b->count)
        return a->count > b->count ? -1 : 1;
    return (a->example_g > b->example_g) - (a->example_g < b->example_g);
}

static int site_compare(const void *a_arg, const void *b_arg)
{
    const struct summary_site *a = a_arg, *b = b_arg;
    if (a->created != b->created)
        return a->created > b->created ? -1 : 1;
    if (a->alive != b->alive)
        return a->alive > b->alive ? -1 : 1;
    if (a->fn != b->fn)
        return a->fn < b->fn ? -1 : 1;
    return (a->create_stack > b->create_stack) - (a->create_stack < b->create_stack);
}

static enum summary_verdict group_judge(struct summary *summary, const struct summary_group *group)
{
    if (group->state != GMPT_G_WAITING || group->bounded || group->main || !summary->reason_suspect[group->reason])
        return SUMMARY_NONE;
    struct suspect_key key = { group->fn, group->create_stack, group->wait_stack, group->reason };
    struct suspect *suspect = suspects_find(&summary->suspects, &key);
    if (suspect && suspect_grows(suspect, summary->end_ns))
        return SUMMARY_GROWING;
    /* The recorder may be at work for a while after the end, which is no waiting. */
    int64_t waited_ns = group->oldest_ns - (summary->main_ended ? summary->end_ns - summary->main_end_ns : 0);
    return (waited_ns > 0 ? waited_ns : 0) >= summary_stuck_ns(summary) ? SUMMARY_STUCK : SUMMARY_NONE;
}

/* Sorts the live Gs into groups; also ends the time that each has been in its state. */
static int groups_collect(struct summary *summary)
{
    struct table table = { 0 };
    size_t room = 0;
    int result = 0;
    for (size_t i = 0; summary->gs.slots && i <= summary->gs.mask; i++) {
        struct live_g *g = summary->gs.slots[i].entry;
        if (!g)
            continue;
        int64_t age_ns = summary->end_ns > g->since_ns ? summary->end_ns - g->since_ns : 0;
        state_account(summary, g, age_ns);
        age_ns += g->before_ns;
        struct summary_group group = group_of(g);
        uint64_t hash = group_hash(&group);
        struct summary_group *known = table_find(&table, hash, group_equal, &group);
        if (!known) {
            if (summary->group_count == room) {
                /* The table points into the list, so a list that moves takes a new table. */
                room = room ? room * 2 : 64;
                struct summary_group *list = realloc(summary->group_list, room * sizeof *list);
                if (!list) {
                    result = -ENOMEM;
                    goto out;
                }
                summary->group_list = list;
                table_clear(&table);
                for (size_t k = 0; k < summary->group_count && !result; k++)
                    result = table_insert(&table, group_hash(&list[k]), &list[k]);
            }
            known = &summary->group_list[summary->group_count];
            *known = group;
            known->oldest_ns = known->newest_ns = age_ns;
            if (!result)
                result = table_insert(&table, hash, known);
            if (result)
                goto out;
            summary->group_count++;
        }
        known->count++;
        if (age_ns < known->newest_ns)
            known->newest_ns = age_ns;
        if (age_ns > known->oldest_ns || (age_ns == known->oldest_ns && g->id < known->example_g)) {
            known->oldest_ns = age_ns;
            known->example_g = group.example_g;
            known->example_object = group.example_object;
        }
    }
out:
    table_clear(&table);
    return result;
}

static int sites_collect(struct summary *summary)
{
    if (summary->sites.count == 0)
        return 0;
    summary->site_list = calloc(summary->sites.count, sizeof *summary->site_list);
    if (!summary->site_list)
        return -ENOMEM;
    for (size_t i = 0; i <= summary->sites.mask; i++) {
        const struct site *site = summary->sites.slots[i].entry;
        if (!site)
            continue;
        summary->site_list[summary->site_count++] = (struct summary_site){
            .create_stack = site->create_stack,
            .fn = site->fn,
            .created = site->created,
            .alive = site->alive,
            .main = site->main,
            .scheduling = histogram_latency(&site->scheduling),
        };
    }
    qsort(summary->site_list, summary->site_count, sizeof *summary->site_list, site_compare);
    return 0;
}

int summary_finish(struct summary *summary)
{
    struct summary_totals *totals = &summary->totals;
    if (summary->trace) {
        const struct gmpt_trace_info *info = gmpt_trace_info(summary->trace);
        if (info->duration_ns > summary->end_ns)
            summary->end_ns = info->duration_ns;
        summary->exited = info->whole && info->exit_kind == 1;
    }
    summary->exited |= summary->main_ended;
    int result = spans_finish(summary->spans);
    if (!result)
        result = groups_collect(summary);
    if (!result)
        result = sites_collect(summary);
    if (result)
        return result;
    for (size_t i = 0; i < summary->group_count; i++)
        summary->group_list[i].verdict = group_judge(summary, &summary->group_list[i]);
    if (summary->group_count)
        qsort(summary->group_list, summary->group_count, sizeof *summary->group_list, group_compare);
    totals->length_ns = summary->end_ns;
    limit_until(summary, summary->end_ns);
    totals->m_count = (uint32_t)machines_totals(summary->machines)->held;
    totals->p_busy_ns = totals->state_ns[GMPT_G_RUNNING];
    totals->scheduling = histogram_latency(&summary->scheduling);
    machines_finish(summary->machines, summary->end_ns);
    return 0;
}

int64_t summary_stuck_ns(const struct summary *summary)
{
    if (summary->options.stuck_ns != SUMMARY_STUCK_BY_END)
        return summary->options.stuck_ns;
    return summary->exited ? SUMMARY_STUCK_EXITED_NS : SUMMARY_STUCK_NS;
}

bool summary_exited(const struct summary *summary) { return summary->exited; }

const struct summary_totals *summary_totals(const struct summary *summary) { return &summary->totals; }

const struct summary_site *summary_sites(const struct summary *summary, size_t *count)
{
    *count = summary->site_count;
    return summary->site_list;
}

const struct summary_group *summary_groups(const struct summary *summary, size_t *count)
{
    *count = summary->group_count;
    return summary->group_list;
}

const struct machines *summary_machines(const struct summary *summary) { return summary->machines; }
const struct spans *summary_spans(const struct summary *summary) { return summary->spans; }

const struct cpusamples *summary_samples(const struct summary *summary) { return &summary->samples; }
