/* Listens to the intervals of all Gs (intervals.h), and keeps a record beside each live one: what the sums need, and no
 * more. What it does at the usual turns is in summaryturns.h. */
#include "summaryturns.h"

#include "spans.h"
#include "timesum.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SITES_MAX 65536             /* Gs from further places are counted together under fn 0, stack 0 */

static int g_born(void *summary_arg, const struct interval *first);
static int interval_closed(void *summary_arg, const struct interval *interval);
static int turn_started(void *summary_arg, const struct interval *late);
static int turn_woken(void *summary_arg, const struct interval *wait);
static int wait_begun(void *summary_arg, const struct interval *wait);

struct summary *summary_open(const struct gmpt_trace *trace, const struct summary_options *options)
{
    struct summary *summary = calloc(1, sizeof *summary);
    if (!summary)
        return NULL;
    summary->spans = spans_open();
    summary->machines = machines_open();
    summary->intervals = intervals_open(trace, NULL, NULL);
    if (!summary->spans || !summary->machines || !summary->intervals) {
        summary_close(summary);
        return NULL;
    }
    summary->listener = (struct interval_listener){
        .closed = interval_closed,
        .started = turn_started,
        .stopped = interval_unheard,
        .woken = turn_woken,
        .waits = wait_begun,
        .born = g_born,
        .arg = summary,
    };
    intervals_listen(summary->intervals, &summary->listener);
    summary->room = intervals_room(summary->intervals, sizeof(struct resident));
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
    intervals_close(summary->intervals);
    machines_close(summary->machines);
    suspects_clear(&summary->suspects);
    judgements_free(&summary->judgements);
    spans_close(summary->spans);
    cpusamples_clear(&summary->samples);
    table_clear(&summary->sites);
    table_clear(&summary->groups);
    stackalias_clear(&summary->alias);
    free(summary->site_list);
    free(summary->group_list);
    free(summary);
}

/* ---- Sites ------------------------------------------------------------------------------------------------------- */

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

/* ---- Groups ------------------------------------------------------------------------------------------------------ */

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

static struct summary_group group_of(const struct interval *interval, uint32_t create_stack, uint32_t wait_stack)
{
    bool waits = interval->state == GMPT_G_WAITING, calls = interval->state == GMPT_G_SYSCALL;
    return (struct summary_group){
        .create_stack = create_stack,
        .fn = interval->g->fn,
        .wait_stack = waits || calls ? wait_stack : 0,
        .state = interval->state == INTERVAL_LOST ? GMPT_G_RUNNABLE : interval->state,
        .reason = waits ? interval->reason : GMPT_WAIT_none,
        .bounded = waits && interval->bounded,
        .main = interval->g->main,
        .example_g = interval->g->id,
        .example_object = waits ? interval->object : 0,
    };
}

/* The list has room for one more group. A table that points into a list that moves is made anew. */
static int groups_room(struct summary *summary)
{
    if (summary->group_count < summary->group_room)
        return 0;
    size_t room = summary->group_room ? summary->group_room * 2 : 64;
    struct summary_group *list = realloc(summary->group_list, room * sizeof *list);
    if (!list)
        return -ENOMEM;
    summary->group_list = list;
    summary->group_room = room;
    table_clear(&summary->groups);
    int result = 0;
    for (size_t i = 0; i < summary->group_count && !result; i++)
        result = table_insert(&summary->groups, group_hash(&list[i]), &list[i]);
    return result;
}

/* A G that lives to the end, with what it does then and for how long it has. */
static int group_add(struct summary *summary, const struct interval *interval, uint32_t create_stack, int64_t age_ns)
{
    struct summary_group group = group_of(interval, create_stack, summary_stack(summary, interval->stack));
    uint64_t hash = group_hash(&group);
    struct summary_group *known = table_find(&summary->groups, hash, group_equal, &group);
    if (!known) {
        if (groups_room(summary))
            return -ENOMEM;
        known = &summary->group_list[summary->group_count];
        *known = group;
        known->oldest_ns = known->newest_ns = age_ns;
        if (table_insert(&summary->groups, hash, known))
            return -ENOMEM;
        summary->group_count++;
    }
    known->count++;
    const struct judgement *judgement = judgements_find(&summary->judgements, interval->g->id);
    if (judgement && judgement->at_ns >= interval->end_ns - age_ns) { /* of this wait */
        known->proven += !judgement->cycle;
        known->cycles += judgement->cycle;
    }
    if (age_ns < known->newest_ns)
        known->newest_ns = age_ns;
    if (age_ns > known->oldest_ns || (age_ns == known->oldest_ns && interval->g->id < known->example_g)) {
        known->oldest_ns = age_ns;
        known->example_g = group.example_g;
        known->example_object = group.example_object;
    }
    return 0;
}

/* ---- Intervals --------------------------------------------------------------------------------------------------- */

static int g_born(void *summary_arg, const struct interval *first)
{
    struct summary *summary = summary_arg;
    const struct interval_g *g = first->g;
    struct summary_totals *totals = &summary->totals;
    struct resident *resident = summary_resident(summary, g);
    resident->create_stack = summary_stack(summary, g->create_stack);
    resident->site = site_get(summary, (struct site_key){ g->fn, resident->create_stack });
    if (!resident->site)
        return -ENOMEM;
    resident->site->alive++;
    resident->site->main |= g->main;
    if (g->was_there) {
        totals->gs_before++;
    } else {
        totals->gs_created++;
        resident->site->created++;
    }
    if (++totals->gs_alive > totals->gs_peak)
        totals->gs_peak = totals->gs_alive;
    return 0;
}

static void g_ended(struct summary *summary, const struct interval *interval, struct resident *resident)
{
    if (interval->g->main) {
        summary->main_ended = true;
        summary->main_end_ns = interval->end_ns;
    }
    summary->totals.gs_ended++;
    summary->totals.gs_alive--;
    resident->site->alive--;
}

struct suspect *summary_suspect(struct summary *summary, const struct resident *resident, const struct interval *wait,
                                uint32_t wait_stack)
{
    struct suspect_key key = { wait->g->fn, resident->create_stack, wait_stack, wait->reason };
    return resident->site->last_suspect = suspects_get(&summary->suspects, &key);
}

static int interval_closed(void *summary_arg, const struct interval *interval)
{
    struct summary *summary = summary_arg;
    int64_t spent_ns = interval->end_ns - interval->begin_ns;
    struct resident *resident = summary_resident(summary, interval->g);
    if (interval->continued)
        timesum_add(&spent_ns, resident->split_ns);
    if (interval->ended_by == GMPT_EVENT_go_labels) {
        resident->split_ns = spent_ns;
        return 0;
    }
    int result = 0;
    if (interval->ended_by == INTERVAL_TRACE_END) {
        timesum_add(&spent_ns, resident->before_ns);
        return group_add(summary, interval, resident->create_stack, spent_ns);
    }
    resident->before_ns = 0;
    if (interval->state == GMPT_G_RUNNABLE && interval->ended_by == GMPT_EVENT_go_start)
        result = histogram_add(&resident->site->scheduling, spent_ns);
    summary_wait_over(resident, interval->end_ns);
    if (interval->ended_by == GMPT_EVENT_go_exit)
        g_ended(summary, interval, resident);
    return result;
}

/* The usual turns (intervals.h): the same, of what such a G has. */

static int turn_started(void *summary_arg, const struct interval *late)
{
    return summary_late(summary_arg, late->g, late->end_ns - late->begin_ns);
}

static int turn_woken(void *summary_arg, const struct interval *wait)
{
    summary_woken(summary_arg, wait);
    return 0;
}

static int wait_begun(void *summary_arg, const struct interval *wait) { return summary_waits(summary_arg, wait); }

/* ---- Events ------------------------------------------------------------------------------------------------------ */

/* What a G that was there waits for; how long it has by a clock that began before the trace. */
static int add_waited(struct summary *summary, const struct gmpt_event *event)
{
    const struct interval *wait = intervals_now(summary->intervals, event->g);
    if (!wait || (wait->state != GMPT_G_WAITING && wait->state != GMPT_G_SYSCALL))
        return 0;
    struct resident *resident = summary_resident(summary, wait->g);
    int64_t now_ns = intervals_present(summary->intervals)->moment_ns;
    uint64_t waited_ns = event->go_waited.waited_ns, within_ns = (uint64_t)(now_ns - wait->begin_ns);
    if (wait->begin_ns == 0 && waited_ns > within_ns)
        resident->before_ns = waited_ns - within_ns < TURNS_TIME_MAX_NS / 2 ? (int64_t)(waited_ns - within_ns)
                                                                      : TURNS_TIME_MAX_NS / 2;
    return wait->state == GMPT_G_WAITING ? summary_waits(summary, wait) : 0;
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
        timesum_add(&totals->p_room_ns, room_ns);
    }
    summary->limit_ns = until_ns;
    if (summary->limit > totals->p_count)
        totals->p_count = summary->limit;
}

int summary_spun(struct summary *summary, const struct gmpt_event *start)
{
    summary->spins[start->p] = false;
    return machines_add(summary->machines, start);
}

/* What is told of Ps, Ms and the program's own doings; of Gs, their states are told by intervals. */
static __attribute__((noinline)) int add_rare(struct summary *summary, const struct gmpt_event *event)
{
    struct summary_totals *totals = &summary->totals;
    switch (event->type) {
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
        limit_until(summary, intervals_present(summary->intervals)->moment_ns);
        summary->limit = (uint32_t)event->proc_limit.count;
        return 0;
    case GMPT_EVENT_m_spin:
        if (event->p >= 0 && event->p < TURNS_PS_MAX)
            summary->spins[event->p] = true;
        return machines_add(summary->machines, event);
    case GMPT_EVENT_lost:
    case GMPT_EVENT_proc_was:
    case GMPT_EVENT_proc_start:
    case GMPT_EVENT_proc_stop:
    case GMPT_EVENT_m_create:
    case GMPT_EVENT_m_park:
    case GMPT_EVENT_m_unpark:
    case GMPT_EVENT_netpoll:
    case GMPT_EVENT_timer_fire:
    case GMPT_EVENT_go_detach:
        return machines_add(summary->machines, event);
    case GMPT_EVENT_go_judged:
        return judgements_add(&summary->judgements, event);
    case GMPT_EVENT_cpu_sample:
    case GMPT_EVENT_cpu_sample_lost:
        return cpusamples_add(&summary->samples, event);
    case GMPT_EVENT_user_task_begin:
    case GMPT_EVENT_user_task_end:
    case GMPT_EVENT_user_region_begin:
    case GMPT_EVENT_user_region_end:
    case GMPT_EVENT_user_log:
    case GMPT_EVENT_go_exit:
        return spans_add(summary->spans, event);
    default:
        return 0;
    }
}

static inline int add_taken(struct summary *summary, const struct gmpt_event *event)
{
    summary->events[event->type] += event->g != 0;
    switch (event->type) {
    case GMPT_EVENT_go_start:
        return summary_start(summary, event);
    case GMPT_EVENT_go_yield:
    case GMPT_EVENT_go_block:
        return 0;
    case GMPT_EVENT_go_unblock:
        if (event->g)
            summary_unblock(summary, event);
        return 0;
    default:
        return add_rare(summary, event);
    }
}

int summary_add(struct summary *summary, const struct gmpt_event *event)
{
    int result = intervals_add(summary->intervals, event);
    return __builtin_expect(result, 0) ? result : add_taken(summary, event);
}

int summary_rest(struct summary *summary, const struct gmpt_event *event)
{
    int result = turns_rest(summary->intervals, event);
    return __builtin_expect(result, 0) ? result : add_taken(summary, event);
}

/* ---- The end ----------------------------------------------------------------------------------------------------- */

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
    if (group->proven || group->cycles)
        return group->proven ? SUMMARY_PROVEN : SUMMARY_CYCLE;
    struct suspect_key key = { group->fn, group->create_stack, group->wait_stack, group->reason };
    struct suspect *suspect = suspects_find(&summary->suspects, &key);
    if (suspect && suspect_grows(suspect, summary->end_ns))
        return SUMMARY_GROWING;
    /* The recorder may be at work for a while after the end, which is no waiting. */
    int64_t waited_ns = group->oldest_ns - (summary->main_ended ? summary->end_ns - summary->main_end_ns : 0);
    return (waited_ns > 0 ? waited_ns : 0) >= summary_stuck_ns(summary) ? SUMMARY_STUCK : SUMMARY_NONE;
}

static int sites_collect(struct summary *summary)
{
    struct histogram all = { 0 };
    int result = 0;
    summary->site_list = calloc(summary->sites.count + 1, sizeof *summary->site_list);
    if (!summary->site_list)
        return -ENOMEM;
    for (size_t i = 0; summary->sites.slots && i <= summary->sites.mask && !result; i++) {
        const struct site *site = summary->sites.slots[i].entry;
        if (!site)
            continue;
        result = histogram_merge(&all, &site->scheduling);
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
    summary->totals.scheduling = histogram_latency(&all);
    histogram_clear(&all);
    return result;
}

int summary_finish(struct summary *summary)
{
    struct summary_totals *totals = &summary->totals;
    const struct gmpt_trace_info *info = summary->trace ? gmpt_trace_info(summary->trace) : NULL;
    int result = intervals_finish(summary->intervals, info ? info->duration_ns : 0);
    summary->end_ns = intervals_end_ns(summary->intervals);
    summary->exited = summary->main_ended || (info && info->whole && info->exit_kind == 1);
    if (!result)
        result = spans_finish(summary->spans);
    if (!result)
        result = sites_collect(summary);
    if (result)
        return result;
    for (size_t i = 0; i < summary->group_count; i++)
        summary->group_list[i].verdict = group_judge(summary, &summary->group_list[i]);
    if (summary->group_count)
        qsort(summary->group_list, summary->group_count, sizeof *summary->group_list, group_compare);
    totals->length_ns = summary->end_ns;
    totals->yields = summary->events[GMPT_EVENT_go_yield];
    totals->preemptions = summary->events[GMPT_EVENT_go_preempt];
    totals->async_preemptions = summary->events[GMPT_EVENT_go_preempt_async];
    totals->detaches = summary->events[GMPT_EVENT_go_detach];
    totals->attach_waits = summary->events[GMPT_EVENT_go_attach_wait];
    totals->blocks = summary->events[GMPT_EVENT_go_block];
    totals->unblocks = summary->events[GMPT_EVENT_go_unblock];
    totals->syscalls = summary->events[GMPT_EVENT_syscall_begin];
    for (int state = 0; state < GMPT_G_STATES; state++)
        totals->state_ns[state] = intervals_state_ns(summary->intervals, (enum gmpt_g_state)state);
    for (int reason = 0; reason < GMPT_WAIT_REASONS; reason++)
        totals->wait_ns[reason] = intervals_wait_ns(summary->intervals, (enum gmpt_wait_reason)reason);
    limit_until(summary, summary->end_ns);
    totals->m_count = (uint32_t)machines_totals(summary->machines)->held;
    totals->p_busy_ns = totals->state_ns[GMPT_G_RUNNING];
    machines_finish(summary->machines, summary->end_ns);
    return 0;
}

struct intervals *summary_intervals(const struct summary *summary) { return summary->intervals; }

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
