/* What analyze tells of a trace, as one JSON object; schema/analyze.schema.json has every member. */
#include "analyze.h"
#include "cli.h"
#include "cputop.h"

#include "trace/machines.h"
#include "trace/spans.h"

#include <inttypes.h>

static void latency_json(const struct summary_latency *latency)
{
    printf("{\"count\": %" PRIu64 ", \"p50_ns\": %" PRId64 ", \"p90_ns\": %" PRId64 ", \"p99_ns\": %" PRId64
           ", \"max_ns\": %" PRId64 "}",
           latency->count, latency->p50_ns, latency->p90_ns, latency->p99_ns, latency->max_ns);
}

static void head_json(const struct analyze *analyze)
{
    const struct load *load = &analyze->load;
    static const char *const exit_kinds[] = { "running", "exited", "signalled", "ended" };
    const struct gmpt_trace_info *info = gmpt_trace_info(load->trace);
    const struct summary_totals *totals = summary_totals(load->summary);
    char why[256];
    fputs("  \"command\": ", stdout);
    cli_json_string(stdout, info->command ? info->command : "");
    fputs(",\n  \"host\": ", stdout);
    cli_json_string(stdout, info->host ? info->host : "");
    printf(",\n  \"pid\": %" PRIu32 ",\n  \"start_realtime_ns\": %" PRId64 ",\n  \"duration_ns\": %" PRId64 ",\n",
           info->pid, info->start_realtime_ns, totals->length_ns);
    printf("  \"attached\": %s,\n", info->attached ? "true" : "false");
    fputs("  \"left_out\": ", stdout);
    cli_json_string(stdout, info->left_out);
    printf(",\n  \"stack_frames\": %" PRIu32 ",\n", info->stack_frames);
    printf("  \"p_count\": %" PRIu32 ",\n  \"m_count\": %" PRIu32 ",\n", totals->p_count, totals->m_count);
    printf("  \"whole\": %s,\n  \"exact\": %s,\n", load_whole(load) ? "true" : "false",
           load_exact(load) ? "true" : "false");
    fputs("  \"missing\": ", stdout);
    if (load_exact(load))
        fputs("null", stdout);
    else
        cli_json_string(stdout, load_missing(load, why));
    puts(",");
    if (info->whole && info->exit_kind >= 0 && info->exit_kind <= 3)
        printf("  \"exit\": {\"kind\": \"%s\", \"code\": %d},\n", exit_kinds[info->exit_kind], info->exit_code);
    else
        fputs("  \"exit\": null,\n", stdout);
}

static void totals_json(const struct analyze *analyze)
{
    const struct summary_totals *totals = summary_totals(analyze->load.summary);
    const struct analysis *analysis = analyze->analysis;
    const struct summary_latency scheduling = histogram_latency(&analysis->lateness.all);
    printf("  \"goroutines\": {\"before\": %" PRIu64 ", \"created\": %" PRIu64 ", \"ended\": %" PRIu64
           ", \"alive\": %" PRIu64 ", \"peak\": %" PRIu64 "},\n",
           totals->gs_before, totals->gs_created, totals->gs_ended, totals->gs_alive, totals->gs_peak);
    printf("  \"state_ns\": {\"runnable\": %" PRId64 ", \"running\": %" PRId64 ", \"waiting\": %" PRId64
           ", \"syscall\": %" PRId64 ", \"preempted\": %" PRId64 "},\n",
           analysis->state_ns[GMPT_G_RUNNABLE], analysis->state_ns[GMPT_G_RUNNING], analysis->state_ns[GMPT_G_WAITING],
           analysis->state_ns[GMPT_G_SYSCALL], analysis->state_ns[GMPT_G_PREEMPTED]);
    fputs("  \"wait_ns\": {", stdout);
    for (int reason = 0; reason < GMPT_WAIT_REASONS; reason++)
        printf("%s\"%s\": %" PRId64, reason ? ", " : "", load_reason_key((enum gmpt_wait_reason)reason),
               analysis->wait_ns[reason]);
    printf("},\n  \"p_busy_ns\": %" PRId64 ",\n  \"scheduling_latency\": ", totals->p_busy_ns);
    latency_json(&scheduling);
    printf(",\n  \"scheduler\": {\"steals\": %" PRIu64 ", \"stolen_goroutines\": %" PRIu64 ", \"handoffs\": %" PRIu64
           ", \"preempt_requests\": %" PRIu64 ", \"preemptions\": %" PRIu64 ", \"detaches\": %" PRIu64
           ", \"attach_waits\": %" PRIu64 ", \"async_preemptions\": %" PRIu64 ", \"yields\": %" PRIu64
           ", \"blocks\": %" PRIu64 ", \"unblocks\": %" PRIu64 ", \"syscalls\": %" PRIu64 "},\n",
           totals->steals, totals->stolen_gs, totals->handoffs, totals->preempt_requests, totals->preemptions,
           totals->detaches, totals->attach_waits, totals->async_preemptions, totals->yields, totals->blocks,
           totals->unblocks, totals->syscalls);
}

static void sites_json(const struct load *load)
{
    size_t count;
    const struct summary_site *sites = summary_sites(load->summary, &count);
    fputs("  \"sites\": [", stdout);
    for (size_t i = 0; i < count; i++) {
        printf("%s\n    {\"main\": %s, \"created\": %" PRIu64 ", \"alive\": %" PRIu64 ", \"scheduling_latency\": ",
               i ? "," : "", sites[i].main ? "true" : "false", sites[i].created, sites[i].alive);
        latency_json(&sites[i].scheduling);
        fputs(", \"function\": ", stdout);
        place_function_json(load->places, stdout, sites[i].fn);
        fputs(", \"create_stack\": ", stdout);
        place_json(load->places, stdout, sites[i].create_stack);
        putchar('}');
    }
    fputs(count ? "\n  ],\n" : "],\n", stdout);
}

static void suspects_json(const struct load *load)
{
    size_t shown, count;
    uint64_t suspected = load_suspected(load, &shown);
    const struct summary_group *groups = summary_groups(load->summary, &count);
    printf("  \"suspected\": %" PRIu64 ",\n  \"waiting_below_threshold\": %" PRIu64 ",\n  \"stuck_ns\": %" PRId64
           ",\n  \"suspects\": [",
           suspected, load_below_threshold(load), summary_stuck_ns(load->summary));
    for (size_t i = 0; i < shown; i++) {
        printf("%s\n    {\"verdict\": \"%s\", \"count\": %" PRIu64 ", \"wait_reason\": \"%s\", \"wait_stack\": ",
               i ? "," : "", load_verdict_words(groups[i].verdict), groups[i].count, load_reason_key(groups[i].reason));
        place_json(load->places, stdout, groups[i].wait_stack);
        fputs(", \"create_stack\": ", stdout);
        place_json(load->places, stdout, groups[i].create_stack);
        putchar('}');
    }
    fputs(shown ? "\n  ],\n" : "],\n", stdout);
}

static void spans_json(const struct load *load, const char *key, const struct span_kind *kinds, size_t count)
{
    printf("  \"%s\": [", key);
    for (size_t i = 0; i < count; i++) {
        printf("%s\n    {\"name\": ", i ? "," : "");
        cli_json_string(stdout, gmpt_trace_string(load->trace, kinds[i].name));
        printf(", \"begun\": %" PRIu64 ", \"ended\": %" PRIu64 ", \"total_ns\": %" PRId64 ", \"latency\": ",
               kinds[i].begun, kinds[i].ended, kinds[i].total_ns);
        latency_json(&kinds[i].latency);
        putchar('}');
    }
    fputs(count ? "\n  ],\n" : "],\n", stdout);
}

static void own_json(const struct load *load)
{
    const struct spans *spans = summary_spans(load->summary);
    size_t count;
    const struct span_kind *kinds = spans_tasks(spans, &count);
    spans_json(load, "tasks", kinds, count);
    kinds = spans_regions(spans, &count);
    spans_json(load, "regions", kinds, count);
    const struct span_messages *messages = spans_messages(spans, &count);
    fputs("  \"messages\": [", stdout);
    for (size_t i = 0; i < count; i++) {
        printf("%s\n    {\"category\": ", i ? "," : "");
        cli_json_string(stdout, gmpt_trace_string(load->trace, messages[i].category));
        printf(", \"count\": %" PRIu64 "}", messages[i].count);
    }
    printf("%s],\n  \"ends_without_begin\": %" PRIu64 ",\n", count ? "\n  " : "", spans_unmatched(spans));
}

/* ---- Sections ---------------------------------------------------------------------------------------------------- */

/* The members that a key has in this section. */
enum keyed { KEY_FN = 1, KEY_STACK = 2, KEY_REASON = 4, KEY_BY = 8, KEY_TIER = 16 };

static void distributions_json(const struct analyze *analyze, const char *name, const struct distributions *set,
                               unsigned keyed, const char *marked)
{
    struct places *places = analyze->load.places;
    size_t count = set->table.count;
    printf("  \"%s\": [", name);
    for (size_t i = 0; i < count; i++) {
        const struct distribution *entry = set->list[i];
        struct summary_latency latency = histogram_latency(&entry->histogram);
        printf("%s\n    {\"total_ns\": %" PRId64 ", \"duration\": ", i ? "," : "", entry->histogram.total);
        latency_json(&latency);
        printf(", \"worst_end_ns\": %" PRId64 ", \"worst_goroutine\": %" PRIu64, entry->worst_end_ns, entry->worst_g);
        if (marked)
            printf(", \"%s\": %" PRIu64, marked, entry->marked);
        if (keyed & KEY_REASON)
            printf(", \"wait_reason\": \"%s\"", load_reason_key((enum gmpt_wait_reason)entry->key.kind));
        if (keyed & KEY_TIER)
            printf(", \"stopped_by\": \"%s\"", analyze_tier(entry->key.kind));
        if (keyed & KEY_BY) {
            fputs(", \"by_function\": ", stdout);
            place_function_json(places, stdout, entry->key.by_fn);
        }
        fputs(", \"function\": ", stdout);
        place_function_json(places, stdout, entry->key.fn);
        fputs(keyed & KEY_STACK ? ", \"stack\": " : ", \"create_stack\": ", stdout);
        place_json(places, stdout, entry->key.stack);
        putchar('}');
    }
    fputs(count ? "\n  ],\n" : "],\n", stdout);
}

static void time_json(const struct analyze *analyze)
{
    static const struct {
        enum gmpt_g_state state;
        const char *name;
    } states[] = { { GMPT_G_RUNNABLE, "runnable" },
                   { GMPT_G_RUNNING, "running" },
                   { GMPT_G_WAITING, "waiting" },
                   { GMPT_G_SYSCALL, "syscall" },
                   { GMPT_G_PREEMPTED, "preempted" } };
    const struct overtime *overtime = analyze->analysis->overtime;
    if (!overtime) {
        fputs("  \"states_over_time\": null,\n", stdout);
        return;
    }
    printf("  \"states_over_time\": {\"begin_ns\": %" PRId64 ", \"column_ns\": %" PRId64,
           analyze->analysis->options.from_ns, overtime_width_ns(overtime));
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        printf(", \"%s\": [", states[i].name);
        for (unsigned column = 0; column < ANALYSIS_COLUMNS; column++)
            printf("%s%" PRId64, column ? ", " : "", overtime_ns(overtime, states[i].state, column));
        putchar(']');
    }
    fputs("},\n", stdout);
}

static void processors_json(const struct processors *processors)
{
    fputs("  \"processors\": [", stdout);
    for (uint32_t p = 0; p < processors->top; p++)
        printf("%s\n    {\"p\": %" PRIu32 ", \"runs\": %" PRIu64 ", \"busy_ns\": %" PRId64 ", \"held_ns\": %" PRId64
               ", \"stolen\": %" PRIu64 "}",
               p ? "," : "", p, processors->ps[p].runs, processors->ps[p].busy_ns, processors->ps[p].held_ns,
               processors->ps[p].stolen);
    printf("%s],\n  \"starved\": {\"total_ns\": %" PRId64 ", \"longest_ns\": %" PRId64 ", \"longest_end_ns\": %" PRId64
           ", \"times\": %" PRIu64 "},\n  \"steals\": [",
           processors->top ? "\n  " : "", processors->starved_ns, processors->starved_worst_ns,
           processors->starved_worst_end_ns, processors->starved_times);
    bool any = false;
    for (uint32_t p = 0; processors->steals && p < processors->top; p++)
        for (uint32_t from = 0; from < processors->top; from++) {
            uint64_t count = processors->steals[(size_t)p * PROCESSORS_MAX + from];
            if (count) {
                printf("%s{\"by\": %" PRIu32 ", \"from\": %" PRIu32 ", \"goroutines\": %" PRIu64 "}", any ? ", " : "",
                       p, from, count);
                any = true;
            }
        }
    fputs("],\n", stdout);
}

static void threads_json(const struct machine_totals *totals)
{
    printf("  \"threads\": {\"seen\": %" PRIu64 ", \"held\": %" PRIu64 ", \"created\": %" PRIu64 ", \"parks\": %" PRIu64
           ", \"unparks\": %" PRIu64 ", \"spins\": %" PRIu64 ", \"polls\": %" PRIu64 ", \"polled_goroutines\": %" PRIu64
           ", \"held_ns\": %" PRId64 ", \"spinning_ns\": %" PRId64 ", \"parked_ns\": %" PRId64
           ", \"polling_ns\": %" PRId64 ", \"waking\": ",
           totals->seen, totals->held, totals->created, totals->parks, totals->unparks, totals->spins, totals->polls,
           totals->polled_gs, totals->held_ns, totals->spinning_ns, totals->parked_ns, totals->polling_ns);
    latency_json(&totals->waking);
    fputs("},\n", stdout);
}

static void chains_json(const struct analyze *analyze)
{
    const struct chains *chains = &analyze->analysis->chains;
    struct places *places = analyze->load.places;
    fputs("  \"chains\": [", stdout);
    for (size_t i = 0; i < CHAINS_SHOWN && chains->longest[i].length_ns; i++) {
        const struct chain *chain = &chains->longest[i];
        uint64_t first = chain->hops > CHAIN_HOPS ? chain->hops - CHAIN_HOPS : 0;
        printf("%s\n    {\"goroutine\": %" PRIu64 ", \"length_ns\": %" PRId64 ", \"ran_ns\": %" PRId64
               ", \"end_ns\": %" PRId64 ", \"hops\": %" PRIu64 ", \"last_hops\": [",
               i ? "," : "", chain->g, chain->length_ns, chain->ran_ns, chain->end_ns, chain->hops);
        for (uint64_t n = first; n < chain->hops; n++) {
            const struct chain_hop *hop = &chain->last[n % CHAIN_HOPS];
            printf("%s{\"goroutine\": %" PRIu64 ", \"ns\": %" PRId64 ", \"function\": ", n > first ? ", " : "", hop->g,
                   hop->ns);
            place_function_json(places, stdout, hop->fn);
            fputs(", \"stack\": ", stdout);
            place_json(places, stdout, hop->stack);
            putchar('}');
        }
        fputs("]}", stdout);
    }
    fputs("],\n", stdout);
}

static void sections_json(const struct analyze *analyze)
{
    const struct analysis *analysis = analyze->analysis;
    analyze_findings_json(analyze);
    time_json(analyze);
    distributions_json(analyze, "latency_by_start", &analysis->lateness.starts, KEY_FN, NULL);
    distributions_json(analyze, "latency_by_line", &analysis->lateness.lines, KEY_STACK, NULL);
    distributions_json(analyze, "waits", &analysis->waits.sites, KEY_STACK | KEY_REASON, NULL);
    distributions_json(analyze, "locks", &analysis->waits.locks, KEY_STACK | KEY_REASON | KEY_BY, "owner_known");
    distributions_json(analyze, "calls", &analysis->calls.sites, KEY_STACK, "lost_p");
    distributions_json(analyze, "preemptions", &analysis->runs.preempted, KEY_TIER, NULL);
    processors_json(&analysis->processors);
    threads_json(machines_totals(summary_machines(analyze->load.summary)));
    distributions_json(analyze, "lifetimes", &analysis->lives.starts, KEY_FN, NULL);
    printf("  \"wakeups\": %" PRIu64 ",\n", analysis->wakeups.woken);
    distributions_json(analyze, "futile_wakeups", &analysis->wakeups.futile, KEY_STACK | KEY_REASON | KEY_BY, NULL);
    chains_json(analyze);
    analyze_kernel_json(analyze);
}

void analyze_json(const struct analyze *analyze)
{
    const struct load *load = &analyze->load;
    const struct gmpt_trace_counts *counts = gmpt_trace_counts(load->trace);
    const struct analysis *analysis = analyze->analysis;
    puts("{");
    head_json(analyze);
    printf("  \"window\": {\"begin_ns\": %" PRId64 ", \"end_ns\": %" PRId64 ", \"filtered\": %s},\n",
           analysis->options.from_ns, analysis->end_ns, analyze->filtered ? "true" : "false");
    totals_json(analyze);
    sections_json(analyze);
    sites_json(load);
    own_json(load);
    cputop_json(load);
    suspects_json(load);
    printf("  \"events\": {\"emitted\": %" PRIu64 ", \"kept\": %" PRIu64 ", \"lost\": %" PRIu64 ", \"gaps\": %" PRIu64
           ", \"resynced\": %" PRIu64 ", \"violations\": %" PRIu64 ", \"unknown\": %" PRIu64
           ", \"stacks_lost\": %" PRIu64 ", \"skew_ns\": %" PRId64 "}\n}\n",
           counts->emitted, counts->kept, counts->lost, counts->gaps, counts->resynced, counts->violations,
           counts->unknown, counts->stacks_lost, counts->skew_ns);
}
