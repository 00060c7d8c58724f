/* What analyze tells of a whole trace: the head, and the sections that are always there. */
#include "analyze.h"
#include "cli.h"
#include "cputop.h"

#include "trace/segment.h"
#include "trace/spans.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#define SITES_SHOWN 6
#define GROUPS_SHOWN 4
#define REASONS_SHOWN 5
#define SPANS_SHOWN 6
#define BAR_COLUMNS 32
#define HEAD_INDENT 14

static void exit_print(const struct gmpt_trace_info *info)
{
    if (!info->whole)
        fputs("the recording is not whole", stdout);
    else if (info->exit_kind == 1)
        printf("exited with status %d", info->exit_code);
    else if (info->exit_kind == 2)
        printf("ended by signal %d", info->exit_code);
    else if (info->exit_kind == 3)
        fputs("ended, nobody knows how", stdout);
    else
        fputs("still running when the recording ended", stdout);
}

static void head_print(const struct analyze *analyze)
{
    const struct load *load = &analyze->load;
    const struct gmpt_trace_info *info = gmpt_trace_info(load->trace);
    const struct summary_totals *totals = summary_totals(load->summary);
    char text[CLI_COLUMNS * 4 + 1], when[64], a[32], b[32], c[32], d[32], busy[48] = "";
    time_t seconds = (time_t)(info->start_realtime_ns / 1000000000);
    struct tm tm;
    puts(cli_text(text, sizeof text, info->command && info->command[0] ? info->command : "(unknown command)",
                  CLI_COLUMNS));
    if (!gmtime_r(&seconds, &tm) || !strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S UTC", &tm))
        snprintf(when, sizeof when, "an unknown time");
    printf("  recorded    %s", when);
    if (info->host && info->host[0])
        printf(" on %s", cli_text(text, sizeof text, info->host, 36));
    printf("\n  ran         %s, process %" PRIu32 ", ", cli_duration(a, totals->length_ns), info->pid);
    exit_print(info);
    putchar('\n');
    char before[64] = "";
    if (info->attached)
        snprintf(before, sizeof before, "%s there before, ", cli_count(a, totals->gs_before));
    cli_wrap(HEAD_INDENT, "  goroutines  %s%s created, %s ended, %s alive at the end, %s at peak", before,
             cli_count(a, totals->gs_created), cli_count(b, totals->gs_ended), cli_count(c, totals->gs_alive),
             cli_count(d, totals->gs_peak));
    double capacity_ns = (double)totals->p_room_ns;
    if (capacity_ns > 0)
        snprintf(busy, sizeof busy, ", Ps busy %.1f %% of the time", 100.0 * (double)totals->p_busy_ns / capacity_ns);
    cli_wrap(HEAD_INDENT, "  processors  %" PRIu32 " P%s on %" PRIu32 " thread%s (Ms)%s", totals->p_count,
             cli_plural(totals->p_count), totals->m_count, cli_plural(totals->m_count), busy);
}

/* What was asked not to be recorded: its absence says nothing of the program. */
static void left_out_print(const struct gmpt_trace_info *info)
{
    char stacks[48] = "";
    if (info->stack_frames == 0)
        snprintf(stacks, sizeof stacks, "stacks");
    else if (info->stack_frames < STACK_DEPTH_MAX)
        snprintf(stacks, sizeof stacks, "stacks beyond %" PRIu32 " caller%s", info->stack_frames - 1,
                 cli_plural(info->stack_frames - 1));
    if (!stacks[0] && !info->left_out[0])
        return;
    char names[CLI_COLUMNS * 4 + 1];
    cli_wrap(HEAD_INDENT, "  left out    %s%s%s%s", stacks, stacks[0] && info->left_out[0] ? "; " : "",
             info->left_out[0] ? "events: " : "", cli_text(names, sizeof names, info->left_out, CLI_COLUMNS));
}

static void events_print(const struct load *load)
{
    const struct gmpt_trace_counts *counts = gmpt_trace_counts(load->trace);
    char a[32], b[32], c[32], d[32], why[256];
    cli_wrap(HEAD_INDENT, "  events      %s read, %s lost, %s gap%s, %s violation%s%s", cli_count(a, counts->kept),
             cli_count(b, counts->lost), cli_count(c, counts->gaps), cli_plural(counts->gaps),
             cli_count(d, counts->violations), cli_plural(counts->violations), load_exact(load) ? "" : ": NOT EXACT");
    if (!load_exact(load))
        cli_wrap(HEAD_INDENT, "              %s; counts and times below are of the rest, or guessed",
                 load_missing(load, why));
}

/* What was asked for: the rest is left out of times, latencies and findings. */
static void window_print(const struct analyze *analyze)
{
    const struct analysis_options *options = &analyze->analysis->options;
    char a[16], b[16] = "the end";
    if (!analyze->windowed && !analyze->filtered)
        return;
    if (options->to_ns < ANALYSIS_END)
        cli_duration(b, options->to_ns);
    cli_wrap(HEAD_INDENT, "  told of     from %s to %s%s: times, latencies, sections and findings",
             cli_duration(a, options->from_ns), b, analyze->filtered ? ", what the filter chooses" : "");
}

static void share_print(const char *name, int64_t ns, int64_t total_ns)
{
    char duration[16], bar[BAR_COLUMNS + 1];
    double share = total_ns > 0 ? (double)ns / (double)total_ns : 0;
    int length = (int)(share * BAR_COLUMNS + 0.5);
    length = length > BAR_COLUMNS ? BAR_COLUMNS : length;
    memset(bar, '#', sizeof bar);
    bar[length] = 0;
    printf("  %-24s %9s %6.1f %%%s%s\n", name, cli_duration(duration, ns), 100 * share, length ? "  " : "", bar);
}

void analyze_states(const struct analyze *analyze)
{
    const struct analysis *totals = analyze->analysis;
    static const struct {
        enum gmpt_g_state state;
        const char *name;
    } states[] = { { GMPT_G_RUNNING, "running" },
                   { GMPT_G_PREEMPTED, "running without a P" },
                   { GMPT_G_RUNNABLE, "runnable" },
                   { GMPT_G_SYSCALL, "in a blocking call" },
                   { GMPT_G_WAITING, "waiting" } };
    int64_t total_ns = 0, rest_ns = 0;
    bool shown[GMPT_WAIT_REASONS] = { false };
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        total_ns += totals->state_ns[states[i].state];
    puts("\nTime of all goroutines together, by what they did");
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        share_print(states[i].name, totals->state_ns[states[i].state], total_ns);
    for (int line = 0; line < REASONS_SHOWN; line++) {
        int most = -1;
        for (int reason = 0; reason < GMPT_WAIT_REASONS; reason++)
            if (!shown[reason] && totals->wait_ns[reason] > (most < 0 ? 0 : totals->wait_ns[most]))
                most = reason;
        if (most < 0)
            break;
        shown[most] = true;
        char name[32];
        snprintf(name, sizeof name, "  %.22s", gmpt_wait_reason_words((enum gmpt_wait_reason)most));
        share_print(name, totals->wait_ns[most], total_ns);
    }
    for (int reason = 0; reason < GMPT_WAIT_REASONS; reason++)
        if (!shown[reason])
            rest_ns += totals->wait_ns[reason];
    if (rest_ns)
        share_print("  other", rest_ns, total_ns);
}

void analyze_scheduler(const struct analyze *analyze)
{
    const struct summary_totals *totals = summary_totals(analyze->load.summary);
    const struct summary_latency latency = histogram_latency(&analyze->analysis->lateness.all), *late = &latency;
    char a[32], b[32], c[32], d[32];
    printf("\nScheduling latency (runnable until running), %s time%s\n", cli_count(a, late->count),
           cli_plural(late->count));
    printf("  p50 %s   p90 %s   p99 %s   max %s\n", cli_duration(a, late->p50_ns), cli_duration(b, late->p90_ns),
           cli_duration(c, late->p99_ns), cli_duration(d, late->max_ns));
    puts("\nScheduler");
    printf("  blocks %s   unblocks %s   yields %s\n", cli_count(a, totals->blocks), cli_count(b, totals->unblocks),
           cli_count(c, totals->yields));
    printf("  steals %s (of %s goroutine%s)\n", cli_count(a, totals->steals), cli_count(b, totals->stolen_gs),
           cli_plural(totals->stolen_gs));
    printf("  preemptions %s (of %s asked for), by signal %s\n", cli_count(a, totals->preemptions),
           cli_count(b, totals->preempt_requests), cli_count(c, totals->async_preemptions));
    printf("  Ps taken from running Gs %s (%s of these Gs had to wait for one)\n", cli_count(a, totals->detaches),
           cli_count(b, totals->attach_waits));
    printf("  blocking calls %s   Ps handed off %s\n", cli_count(a, totals->syscalls), cli_count(b, totals->handoffs));
}

void analyze_starts(const struct analyze *analyze)
{
    const struct load *load = &analyze->load;
    size_t rows = analyze->rows ? analyze->rows : SITES_SHOWN;
    size_t count;
    const struct summary_site *sites = summary_sites(load->summary, &count);
    if (count == 0)
        return;
    printf("\n%-40s %12s %12s %11s\n", "Goroutines by function and start", "created", "alive", "latency p99");
    for (size_t i = 0; i < count && i < rows; i++) {
        struct place_frame frames[PLACE_FRAMES_MAX];
        char function[PLACE_TEXT_BYTES], at[PLACE_TEXT_BYTES], name[PLACE_TEXT_BYTES * 2 + 16],
            text[CLI_COLUMNS * 4 + 1];
        char a[32], b[32], c[16];
        if (sites[i].main)
            strcpy(function, "main"); /* also where it has no name */
        else
            place_function(load->places, function, sites[i].fn);
        if (place_frames(load->places, sites[i].create_stack, frames))
            snprintf(name, sizeof name, "%s from %s", function, place_of_frame(load->places, at, &frames[0]));
        else
            snprintf(name, sizeof name, "%s", function);
        printf("  %-38s %12s %12s %11s\n", cli_text(text, sizeof text, name, 38), cli_count(a, sites[i].created),
               cli_count(b, sites[i].alive), cli_duration(c, sites[i].scheduling.p99_ns));
    }
    if (count > rows) {
        char a[32];
        printf("  and %s more place%s\n", cli_count(a, count - rows), cli_plural(count - rows));
    }
}

static const char *span_name(const struct load *load, uint64_t name)
{
    const char *text = gmpt_trace_string(load->trace, name);
    return *text ? text : "(no name)";
}

static void spans_print(const struct load *load, const char *title, const struct span_kind *kinds, size_t count)
{
    char text[CLI_COLUMNS * 4 + 1], a[32], b[32], c[16], d[16], e[16];
    if (count == 0)
        return;
    printf("\n%-26s %11s %9s %9s %9s %9s\n", title, "ended", "open", "p50", "p99", "max");
    for (size_t i = 0; i < count && i < SPANS_SHOWN; i++)
        printf("  %-24s %11s %9s %9s %9s %9s\n", cli_text(text, sizeof text, span_name(load, kinds[i].name), 24),
               cli_count(a, kinds[i].ended), cli_count(b, kinds[i].begun - kinds[i].ended),
               cli_duration(c, kinds[i].latency.p50_ns), cli_duration(d, kinds[i].latency.p99_ns),
               cli_duration(e, kinds[i].latency.max_ns));
    if (count > SPANS_SHOWN)
        printf("  and %s more\n", cli_count(a, count - SPANS_SHOWN));
}

static void messages_print(const struct load *load)
{
    size_t count;
    const struct span_messages *messages = spans_messages(summary_spans(load->summary), &count);
    char text[CLI_COLUMNS * 4 + 1], number[32];
    if (count == 0)
        return;
    puts("\nMessages by category (see gmptrace script)");
    for (size_t i = 0; i < count && i < SPANS_SHOWN; i++)
        printf("  %-24s %11s\n", cli_text(text, sizeof text, span_name(load, messages[i].category), 24),
               cli_count(number, messages[i].count));
    if (count > SPANS_SHOWN)
        printf("  and %s more\n", cli_count(number, count - SPANS_SHOWN));
}

void analyze_own(const struct analyze *analyze)
{
    const struct load *load = &analyze->load;
    const struct spans *spans = summary_spans(load->summary);
    size_t count;
    const struct span_kind *kinds = spans_tasks(spans, &count);
    spans_print(load, "Tasks by name", kinds, count);
    kinds = spans_regions(spans, &count);
    spans_print(load, "Regions by name", kinds, count);
    messages_print(load);
}

void analyze_cpu(const struct analyze *analyze) { cputop_print(&analyze->load); }

void analyze_suspects(const struct analyze *analyze)
{
    const struct load *load = &analyze->load;
    size_t shown, count;
    uint64_t suspected = load_suspected(load, &shown);
    const struct summary_group *groups = summary_groups(load->summary, &count);
    char a[32], place[PLACE_TEXT_BYTES], text[CLI_COLUMNS * 4 + 1];
    if (suspected == 0) {
        if (load_exact(load))
            puts("\nSuspected leaks: none");
        else
            puts("\nSuspected leaks: cannot tell, since the trace is not complete");
        return;
    }
    printf("\nSuspected leaks: %s goroutine%s in %zu group%s (see gmptrace leaks)\n", cli_count(a, suspected),
           cli_plural(suspected), shown, cli_plural(shown));
    for (size_t i = 0; i < shown && i < GROUPS_SHOWN; i++) {
        const struct summary_group *group = &groups[i];
        char line[PLACE_TEXT_BYTES + 64];
        snprintf(line, sizeof line, "%s %s", gmpt_wait_reason_words(group->reason),
                 place_of_stack(load->places, place, group->wait_stack, group->fn));
        printf("  %-8s %10s  %s\n", load_verdict_words(group->verdict), cli_count(a, group->count),
               cli_text(text, sizeof text, line, 57));
        snprintf(line, sizeof line, "started %s", place_of_stack(load->places, place, group->create_stack, 0));
        printf("  %-8s %10s  %s\n", "", "", cli_text(text, sizeof text, line, 57));
    }
    if (shown > GROUPS_SHOWN)
        printf("  and %zu more group%s\n", shown - GROUPS_SHOWN, cli_plural(shown - GROUPS_SHOWN));
}

void analyze_head(const struct analyze *analyze)
{
    head_print(analyze);
    events_print(&analyze->load);
    left_out_print(gmpt_trace_info(analyze->load.trace));
    window_print(analyze);
}

void analyze_places_look(const struct analyze *analyze)
{
    const struct load *load = &analyze->load;
    size_t count;
    const struct summary_site *sites = summary_sites(load->summary, &count);
    for (size_t i = 0; i < count && i < SITES_SHOWN; i++)
        place_look(load->places, sites[i].create_stack);
    const struct summary_group *groups = summary_groups(load->summary, &count);
    for (size_t i = 0; i < count && i < GROUPS_SHOWN && groups[i].verdict != SUMMARY_NONE; i++) {
        place_look(load->places, groups[i].wait_stack);
        place_look(load->places, groups[i].create_stack);
    }
    const struct findings *findings = &analyze->analysis->findings;
    for (size_t i = 0; i < findings->count; i++) {
        place_look(load->places, findings->list[i].stack);
        place_look(load->places, findings->list[i].create_stack);
    }
}
