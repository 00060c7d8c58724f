/* "meta": what the file says of itself, "totals": those of summary.h, "states": average numbers of Gs over time,
 * "events": codes by name,
 * "groups": those alike at the end, suspects first. */
#include "report_parts.h"

#include "cli.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static void member(FILE *out, const char *name, int64_t value) { fprintf(out, ",\"%s\":%" PRId64, name, value); }

static int string_member(struct report *report, const char *name, const char *text)
{
    int64_t number = report_string(report->names, text);
    if (number < 0)
        return -ENOMEM;
    member(report->out, name, number);
    return 0;
}

static int meta_write(struct report *report)
{
    const struct gmpt_trace_info *info = gmpt_trace_info(report->load.trace);
    const struct gmpt_trace_counts *counts = gmpt_trace_counts(report->load.trace);
    char missing[256];
    bool exact = load_exact(&report->load);
    fprintf(report->out, "\"meta\":{\"format\":1,\"exact\":%s", exact ? "true" : "false");
    int result = string_member(report, "file", report->path);
    result = result ? result : string_member(report, "command", info->command);
    result = result ? result : string_member(report, "host", info->host);
    result = result ? result : string_member(report, "missing", exact ? "" : load_missing(&report->load, missing));
    member(report->out, "pid", info->pid);
    member(report->out, "start_realtime_ms", info->start_realtime_ns / 1000000);
    member(report->out, "end", report->end_ns);
    member(report->out, "events", (int64_t)counts->kept);
    member(report->out, "lost", (int64_t)counts->lost);
    member(report->out, "skew", counts->skew_ns);
    member(report->out, "exit_kind", info->exit_kind);
    member(report->out, "exit_code", info->exit_code);
    member(report->out, "attached", info->attached);
    fputc('}', report->out);
    return result;
}

static void latency_write(FILE *out, const struct summary_latency *latency)
{
    fprintf(out, "[%" PRIu64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 "]", latency->count, latency->p50_ns,
            latency->p90_ns, latency->p99_ns, latency->max_ns);
}

static int totals_write(struct report *report)
{
    const struct summary_totals *totals = summary_totals(report->load.summary);
    FILE *out = report->out;
    int result = 0;
    fprintf(out, ",\n\"totals\":{\"length\":%" PRId64, totals->length_ns);
    member(out, "p_count", totals->p_count);
    member(out, "p_room", totals->p_room_ns);
    member(out, "p_busy", totals->p_busy_ns);
    member(out, "m_count", totals->m_count);
    member(out, "created", (int64_t)totals->gs_created);
    member(out, "ended", (int64_t)totals->gs_ended);
    member(out, "alive", (int64_t)totals->gs_alive);
    member(out, "peak", (int64_t)totals->gs_peak);
    member(out, "before", (int64_t)totals->gs_before);
    member(out, "steals", (int64_t)totals->steals);
    member(out, "stolen", (int64_t)totals->stolen_gs);
    member(out, "handoffs", (int64_t)totals->handoffs);
    member(out, "yields", (int64_t)totals->yields);
    member(out, "blocks", (int64_t)totals->blocks);
    member(out, "syscalls", (int64_t)totals->syscalls);
    member(out, "preempt_requests", (int64_t)totals->preempt_requests);
    member(out, "preemptions", (int64_t)(totals->preemptions + totals->async_preemptions));
    member(out, "detaches", (int64_t)totals->detaches);
    fputs(",\"scheduling\":", out);
    latency_write(out, &totals->scheduling);
    fputs(",\"state_ns\":[", out);
    for (int i = 0; i < GMPT_G_STATES; i++)
        fprintf(out, "%s%" PRId64, i ? "," : "", totals->state_ns[i]);
    fputs("],\"wait_ns\":[", out);
    for (int i = 0; i < GMPT_WAIT_REASONS; i++)
        fprintf(out, "%s%" PRId64, i ? "," : "", totals->wait_ns[i]);
    fputs("],\"reasons\":[", out);
    for (int i = 0; i < GMPT_WAIT_REASONS && !result; i++) {
        const char *words = gmpt_wait_reason_words((enum gmpt_wait_reason)i);
        int64_t number = report_string(report->names, words ? words : "");
        fprintf(out, "%s%" PRId64, i ? "," : "", number);
        result = number < 0 ? -ENOMEM : 0;
    }
    fputs("]}", out);
    return result;
}

static void states_write(struct report *report)
{
    fprintf(report->out, ",\n\"states\":{\"width\":%" PRId64 ",\"ns\":[", overtime_width_ns(report->overtime));
    for (int state = 0; state < GMPT_G_STATES; state++) {
        fputs(state ? ",[" : "[", report->out);
        for (unsigned column = 0; column < report->columns; column++)
            fprintf(report->out, "%s%" PRId64, column ? "," : "",
                    overtime_ns(report->overtime, (enum gmpt_g_state)state, column));
        fputc(']', report->out);
    }
    fputs("]}", report->out);
}

/* "events": {name: code, ...} */
static void events_write(FILE *out)
{
    const char *comma = "";
    fputs(",\n\"events\":{", out);
#define EVENT(code, name, prose)                       \
    fprintf(out, "%s\"%s\":%d", comma, #name, code); \
    comma = ",";
#define FIELD(kind, name, prose)
#define END
#include <gmptrace/events.def>
    fputc('}', out);
}

/* [verdict 0..2, function, creation stack, wait stack, state, reason, bounded, main, count, oldest, newest, example] */
static int groups_write(struct report *report)
{
    size_t count;
    const struct summary_group *groups = summary_groups(report->load.summary, &count);
    fputs(",\n\"groups\":[", report->out);
    for (size_t i = 0; i < count && i < 2000; i++) {
        int64_t fn = report_function(report->names, groups[i].fn);
        int64_t created = report_stack(report->names, groups[i].create_stack);
        int64_t waits = report_stack(report->names, groups[i].wait_stack);
        if (fn < 0 || created < 0 || waits < 0)
            return -ENOMEM;
        fprintf(report->out,
                "%s[%d,%" PRId64 ",%" PRId64 ",%" PRId64 ",%d,%d,%d,%d,%" PRIu64 ",%" PRId64 ",%" PRId64 ",%" PRIu64
                "]",
                i ? ",\n" : "", (int)groups[i].verdict, fn, created, waits, (int)groups[i].state,
                (int)groups[i].reason, groups[i].bounded, groups[i].main, groups[i].count, groups[i].oldest_ns,
                groups[i].newest_ns, groups[i].example_g);
    }
    fprintf(report->out, "],\"groups_all\":%zu,\"below_threshold\":%" PRIu64 ",\"stuck\":%" PRId64, count,
            load_below_threshold(&report->load), summary_stuck_ns(report->load.summary));
    return 0;
}

int report_head_write(struct report *report)
{
    int result = meta_write(report);
    if (!result)
        result = totals_write(report);
    states_write(report);
    events_write(report->out);
    return result ? result : groups_write(report);
}
