/* "worst": [[G, P, begin, end, function, creation stack, stack, cause, waker], ...], the longest delays, longest first;
 * "windows": [{"from": ns, "to": ns, "whole": of the trace, "cut": it was to be longer,
 *              "slices": [G, state, reason, P, begin, length, stack, ...], "wakes": [G, waker, time, latency, ...],
 *              "holds": [thread, P, begin, length, ...], "gs": [G, function, parent, ...],
 *              "offs": [thread, P, G, doing, why, call, begin, ns blocked, ns in queue or -1, who had the CPU, stack,
 *                       waker's thread or -1 of an interrupt, waker's G, futex or 0, ...],
 *              "offs_to": all of them that ended before are told; -1 = all}, ...]
 * All times but `from` and `to` are since `from`. offs are times without a CPU, by the kernel: doing is enum
 * gmpt_kernel_doing, why, call and who had the CPU are strings.
 *
 * A short trace is one window. Of a longer one there are windows around the longest delays, found in the first reading,
 * which a second one fills: no more slices than asked for, whatever the trace's length. */
#include "report_parts.h"

#include "export.h"
#include "kernelwords.h"
#include "timeline.h"

#include "trace/reader.h"
#include "trace/table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define WINDOWS_MAX 4
#define STREAMS 5
#define LATE_NS 1000000 /* events come in the order of causes, and so may be this much late by their clocks */

struct told_g {
    uint64_t id;
};

struct window {
    struct report *report;
    struct export export;
    struct timeline *timeline;
    int64_t from_ns, to_ns; /* to_ns: earlier once it is cut */
    uint32_t count, max;
    bool whole, cut, done;
    struct table gs; /* of struct told_g */
    uint32_t offs_count;
    int64_t offs_to_ns; /* no further ones are told than those that ended before; -1 = all are */
    FILE *slices, *wakes, *holds, *gs_out, *offs;
    char *text[STREAMS];
    size_t bytes[STREAMS];
};

/* ---- The longest delays ------------------------------------------------------------------------------------------ */

void report_worst_add(struct report_worst *worst, const struct interval *interval)
{
    int64_t length_ns = interval->end_ns - interval->begin_ns;
    if (interval->state != GMPT_G_RUNNABLE)
        return;
    if (worst->count == REPORT_WORST && length_ns <= worst->list[worst->count - 1].length_ns)
        return;
    uint32_t i = worst->count < REPORT_WORST ? worst->count++ : REPORT_WORST - 1;
    for (; i > 0 && worst->list[i - 1].length_ns < length_ns; i--)
        worst->list[i] = worst->list[i - 1];
    worst->list[i] = (struct report_delay){
        .g = interval->g->id,
        .fn = interval->g->fn,
        .waker = interval->waker,
        .create_stack = interval->g->create_stack,
        .stack = interval->stack,
        .p = interval->p,
        .cause = interval->began_by,
        .begin_ns = interval->begin_ns,
        .length_ns = length_ns,
    };
}

static int worst_write(struct report *report)
{
    FILE *out = report->out;
    fputs("\"worst\":[", out);
    for (uint32_t i = 0; i < report->worst.count; i++) {
        const struct report_delay *delay = &report->worst.list[i];
        int64_t fn = report_function(report->names, delay->fn);
        int64_t created = report_stack(report->names, delay->create_stack);
        int64_t stack = report_stack(report->names, delay->stack);
        if (fn < 0 || created < 0 || stack < 0)
            return -ENOMEM;
        fprintf(out, "%s[%" PRIu64 ",%d,%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%d,%" PRIu64 "]",
                i ? ",\n" : "", delay->g, delay->p, delay->begin_ns, delay->begin_ns + delay->length_ns, fn, created,
                stack, (int)delay->cause, delay->waker);
    }
    fputs("],\n", out);
    return 0;
}

/* ---- What a window is told --------------------------------------------------------------------------------------- */

/* A window that gets too many slices ends earlier, with room for those that lie across its end then; so there is no
 * hole in what it shows. Returns whether the slice is told. */
static bool window_takes(struct window *window, const struct export_slice *slice)
{
    bool waits_all_along = slice->state == GMPT_G_WAITING && slice->begin_ns <= window->from_ns && !slice->ended;
    uint32_t reserve = window->whole ? 0 : window->max / 4;
    if (!window->cut && window->count >= window->max - reserve) {
        window->cut = true;
        window->to_ns = slice->end_ns;
    }
    if (window->cut && (slice->begin_ns >= window->to_ns || window->count >= window->max))
        return false;
    return window->whole || !waits_all_along;
}

static int64_t window_end(const struct window *window, int64_t end_ns)
{
    return end_ns < window->to_ns ? end_ns : window->to_ns;
}

static int g_tell(struct window *window, uint64_t id)
{
    if (!id || table_find(&window->gs, table_mix(id), NULL, NULL))
        return 0;
    const struct gmpt_g *g = gmpt_trace_g(window->export.trace, id);
    int64_t fn = g ? report_function(window->report->names, g->fn) : 0;
    static const struct told_g told;
    if (fn < 0 || table_insert(&window->gs, table_mix(id), (void *)(uintptr_t)&told))
        return -ENOMEM;
    fprintf(window->gs_out, "%s%" PRIu64 ",%" PRId64 ",%" PRIu64, window->gs.count > 1 ? "," : "", id, fn,
            g ? g->parent : 0);
    return 0;
}

static int window_slice(struct export *export, struct export_g *g, const struct export_slice *slice)
{
    struct window *window = export->state;
    (void)g;
    if (!window_takes(window, slice))
        return 0;
    int64_t stack = report_stack(window->report->names, slice->stack);
    if (stack < 0 || g_tell(window, slice->g))
        return -ENOMEM;
    fprintf(window->slices, "%s%" PRIu64 ",%d,%d,%d,%" PRId64 ",%" PRId64 ",%" PRId64, window->count ? "," : "",
            slice->g, (int)slice->state, (int)slice->reason, slice->p, slice->begin_ns - window->from_ns,
            window_end(window, slice->end_ns) - slice->begin_ns, stack);
    window->count++;
    return 0;
}

static int window_wakeup(struct export *export, struct export_g *g, const struct export_wakeup *wakeup)
{
    struct window *window = export->state;
    (void)g;
    if (!wakeup->waker || wakeup->time_ns >= window->to_ns)
        return 0;
    if (g_tell(window, wakeup->waker))
        return -ENOMEM;
    fprintf(window->wakes, ",%" PRIu64 ",%" PRIu64 ",%" PRId64 ",%" PRId64, wakeup->g, wakeup->waker,
            wakeup->time_ns - window->from_ns, wakeup->latency_ns);
    return 0;
}

static int window_hold(struct export *export, const struct export_hold *hold)
{
    struct window *window = export->state;
    if (hold->begin_ns < window->to_ns)
        fprintf(window->holds, ",%" PRIu64 ",%d,%" PRId64 ",%" PRId64, hold->tid, hold->p,
                hold->begin_ns - window->from_ns, window_end(window, hold->end_ns) - hold->begin_ns);
    return 0;
}

/* Who had the CPU: a string. */
static int64_t by_string(struct window *window, const struct kernel_interval *told)
{
    uint32_t own_pid = gmpt_trace_info(window->export.trace)->pid;
    const struct kernel_task *by = &told->most;
    char program[KERNELWORDS_PROGRAM_BYTES];
    if (!by->tid)
        return 0;
    if (by->g)
        snprintf(program, sizeof program, "thread %" PRIu32 " with G%" PRIu64, by->tid, by->g);
    else if (by->pid && by->pid == own_pid)
        snprintf(program, sizeof program, "thread %" PRIu32, by->tid);
    else
        kernelwords_program(by->pid, by->name, own_pid, program);
    return report_string(window->report->names, program);
}

/* As many as slices: more would make the page grow with them. */
static int window_offcpu(struct export *export, struct export_thread *thread, const struct export_offcpu *off)
{
    struct window *window = export->state;
    const struct kernel_interval *told = off->told;
    char why[KERNELWORDS_CALL_BYTES];
    if (off->begin_ns >= window->to_ns)
        return 0;
    if (window->offs_count >= window->max) {
        if (window->offs_to_ns < 0)
            window->offs_to_ns = off->end_ns;
        return 0;
    }
    int64_t call = report_string(window->report->names, kernelwords_why(told, why));
    int64_t word = report_string(window->report->names, export_why_name(told->why));
    int64_t by = by_string(window, told), stack = report_stack(window->report->names, told->stack);
    if (call < 0 || word < 0 || by < 0 || stack < 0 || g_tell(window, off->g) || g_tell(window, told->waker.g))
        return -ENOMEM;
    int64_t able_ns = window_end(window, off->able_ns), end_ns = window_end(window, off->end_ns);
    int64_t waker = off->waker ? (int64_t)off->waker->tid : told->waker.tid == KERNEL_TID_INTERRUPT ? -1 : 0;
    fprintf(window->offs, ",%" PRIu64 ",%d,%" PRIu64 ",%d,%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64,
            thread->tid, off->p, off->g, (int)off->doing, word, call, off->begin_ns - window->from_ns,
            able_ns - off->begin_ns, told->able_known ? end_ns - able_ns : -1);
    fprintf(window->offs, ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRIu64 ",%" PRIu64, by, stack, waker,
            off->waker ? told->waker.g : 0, export_off_object(told));
    window->offs_count++;
    return 0;
}

static const struct export_format window_format = {
    .name = "report",
    .slice = window_slice,
    .wakeup = window_wakeup,
    .hold = window_hold,
    .offcpu = window_offcpu,
};

/* ---- Which windows ----------------------------------------------------------------------------------------------- */

static uint32_t windows_choose(struct report *report, struct window windows[WINDOWS_MAX])
{
    uint32_t count = 0;
    int64_t end_ns = (report->end_ns < TIMELINE_END ? report->end_ns : TIMELINE_END) + 1;
    if (!report->slices_max)
        return 0;
    if (report->intervals <= report->slices_max) {
        windows[0].to_ns = end_ns;
        windows[0].whole = true;
        return 1;
    }
    /* Were slices spread evenly, this much time on either side would take half of what a window may have. */
    double share = (double)report->slices_max / WINDOWS_MAX;
    int64_t usual_ns = (int64_t)((double)end_ns / (double)report->intervals * share / 4);
    for (uint32_t i = 0; i < report->worst.count && count < WINDOWS_MAX; i++) {
        const struct report_delay *delay = &report->worst.list[i];
        if (delay->begin_ns < 0 || delay->begin_ns > end_ns || delay->length_ns > end_ns - delay->begin_ns)
            continue; /* a damaged clock */
        int64_t margin = delay->length_ns / 4 + 20000;
        margin = margin > usual_ns ? margin : usual_ns;
        int64_t from = delay->begin_ns - margin;
        int64_t to = delay->begin_ns + delay->length_ns + margin;
        bool shown = false;
        for (uint32_t k = 0; k < count; k++) {
            if (windows[k].to_ns <= delay->begin_ns && windows[k].to_ns > from)
                from = windows[k].to_ns;
            if (windows[k].from_ns >= delay->begin_ns + delay->length_ns && windows[k].from_ns < to)
                to = windows[k].from_ns;
            shown |= windows[k].from_ns < to && windows[k].to_ns > from;
        }
        if (shown)
            continue;
        windows[count].from_ns = from < 0 ? 0 : from;
        windows[count++].to_ns = to > end_ns ? end_ns : to;
    }
    return count;
}

static int window_compare(const void *a_arg, const void *b_arg)
{
    const struct window *a = a_arg, *b = b_arg;
    return (a->from_ns > b->from_ns) - (a->from_ns < b->from_ns);
}

static int window_open(struct report *report, struct window *window, struct gmpt_trace *trace, uint32_t max)
{
    window->report = report;
    window->max = max;
    window->offs_to_ns = -1;
    window->export = (struct export){ .trace = trace, .format = &window_format, .state = window };
    struct timeline_options options = { window->from_ns, window->to_ns, 0 };
    FILE **streams[] = { &window->slices, &window->wakes, &window->holds, &window->gs_out, &window->offs };
    for (int i = 0; i < STREAMS; i++)
        if (!(*streams[i] = open_memstream(&window->text[i], &window->bytes[i])))
            return -ENOMEM;
    window->timeline = timeline_open(&window->export, &options);
    return window->timeline ? 0 : -ENOMEM;
}

static void window_close(struct window *window)
{
    FILE *streams[] = { window->slices, window->wakes, window->holds, window->gs_out, window->offs };
    timeline_close(window->timeline);
    table_clear(&window->gs);
    for (int i = 0; i < STREAMS; i++) {
        if (streams[i])
            fclose(streams[i]);
        free(window->text[i]);
    }
}

static int window_write(struct window *window, FILE *out)
{
    FILE *streams[] = { window->slices, window->wakes, window->holds, window->gs_out, window->offs };
    for (int i = 0; i < STREAMS; i++)
        if (fflush(streams[i]) || ferror(streams[i]))
            return -ENOMEM;
    /* wakes, holds and offs begin with a comma */
    fprintf(out, "{\"from\":%" PRId64 ",\"to\":%" PRId64 ",\"whole\":%s,\"cut\":%s,\n\"slices\":[%s],\n",
            window->from_ns, window->to_ns, window->whole ? "true" : "false", window->cut ? "true" : "false",
            window->text[0]);
    int64_t offs_to_ns = window->offs_to_ns < 0 ? -1 : window->offs_to_ns - window->from_ns;
    fprintf(out, "\"wakes\":[%s],\n\"holds\":[%s],\n\"gs\":[%s],\n\"offs\":[%s],\"offs_to\":%" PRId64 "}",
            window->bytes[1] ? window->text[1] + 1 : "", window->bytes[2] ? window->text[2] + 1 : "", window->text[3],
            window->bytes[4] ? window->text[4] + 1 : "", offs_to_ns);
    return 0;
}

/* *open counts those that are not done. */
static int windows_add(struct window *windows, uint32_t count, const struct gmpt_event *event, uint32_t *open)
{
    int result = 0;
    for (uint32_t i = 0; i < count && !result; i++) {
        if (windows[i].done)
            continue;
        windows[i].done = event->time_ns >= windows[i].to_ns + LATE_NS;
        *open -= windows[i].done;
        result = windows[i].done ? timeline_finish(windows[i].timeline) : timeline_add(windows[i].timeline, event);
    }
    return result;
}

static int windows_fill(struct gmpt_trace *trace, struct window *windows, uint32_t count)
{
    struct gmpt_event events[TRACE_BATCH];
    uint32_t open = count;
    int result = 0, next = 0;
    while (!result && open && (next = trace_next_batch(trace, events, TRACE_BATCH)) > 0)
        for (int e = 0; e < next && !result; e++)
            result = windows_add(windows, count, &events[e], &open);
    for (uint32_t i = 0; i < count && !result; i++)
        result = windows[i].done ? 0 : timeline_finish(windows[i].timeline);
    return result ? result : next == -ENOMEM ? -ENOMEM : 0;
}

int report_slices_write(struct report *report)
{
    struct window windows[WINDOWS_MAX] = { 0 };
    struct gmpt_trace_error error;
    uint32_t count = windows_choose(report, windows);
    qsort(windows, count, sizeof windows[0], window_compare);
    int result = worst_write(report);
    struct gmpt_trace *trace = result ? NULL : gmpt_trace_open(report->path, &error);
    if (!result && !trace)
        result = -EIO;
    for (uint32_t i = 0; i < count && !result; i++)
        result = window_open(report, &windows[i], trace, report->slices_max / count);
    if (!result)
        result = windows_fill(trace, windows, count);
    fputs("\"windows\":[", report->out);
    for (uint32_t i = 0; i < count && !result; i++) {
        fputs(i ? ",\n" : "", report->out);
        result = window_write(&windows[i], report->out);
    }
    fputc(']', report->out);
    for (uint32_t i = 0; i < count; i++)
        window_close(&windows[i]);
    if (trace)
        gmpt_trace_close(trace);
    return result;
}
