/* The trace event format of Chrome, which chrome://tracing, Perfetto and speedscope read: JSON, an event a line.
 *
 * What the tracks are is told as processes and threads: process 1 has the Ps and the counters, 2 the Gs, 3 the Ms, 4
 * the program's tasks, 5 the times of threads on CPUs and off. Times are microseconds with three decimals, which are
 * the nanoseconds. */
#include "cli.h"
#include "export.h"
#include "kernelwords.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

enum { CHROME_PS = 1, CHROME_GS, CHROME_MS, CHROME_TASKS, CHROME_CPUS };

struct chrome {
    bool begun, has_cpus;
    uint64_t flows;
    uint8_t p_named[256 / 8];
};

/* ---- Parts of an event ------------------------------------------------------------------------------------------- */

static FILE *event_begin(struct export *export, const char *phase, int pid, uint64_t tid)
{
    struct chrome *chrome = export->state;
    fprintf(export->out, "%s{\"ph\":\"%s\",\"pid\":%d,\"tid\":%" PRIu64, chrome->begun ? ",\n" : "", phase, pid, tid);
    chrome->begun = true;
    return export->out;
}

static void time_put(FILE *out, const char *key, int64_t ns)
{
    uint64_t left = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
    fprintf(out, ",\"%s\":%s%" PRIu64 ".%03u", key, ns < 0 ? "-" : "", left / 1000, (unsigned)(left % 1000));
}

static void text_put(FILE *out, const char *key, const char *text)
{
    fprintf(out, ",\"%s\":", key);
    cli_json_string(out, text);
}

static void name_put(struct export *export, const char *what, int pid, uint64_t tid, const char *name)
{
    FILE *out = event_begin(export, "M", pid, tid);
    fprintf(out, ",\"name\":\"%s\",\"args\":{\"name\":", what);
    cli_json_string(out, name);
    fputs("}}", out);
}

static void numbered_name(struct export *export, int pid, uint64_t tid, char letter)
{
    char name[32];
    snprintf(name, sizeof name, "%c%" PRIu64, letter, tid);
    name_put(export, "thread_name", pid, tid, name);
}

/* ---- What is told ------------------------------------------------------------------------------------------------ */

static int chrome_open(struct export *export)
{
    export->state = calloc(1, sizeof(struct chrome));
    if (!export->state)
        return -ENOMEM;
    fputs("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n", export->out);
    name_put(export, "process_name", CHROME_PS, 0, "processors");
    name_put(export, "process_name", CHROME_GS, 0, "goroutines");
    name_put(export, "process_name", CHROME_MS, 0, "threads");
    name_put(export, "process_name", CHROME_TASKS, 0, "tasks");
    return 0;
}

static int chrome_run(struct export *export, const struct export_slice *slice)
{
    struct chrome *chrome = export->state;
    const char *function = export_g_function(export, slice->g);
    if (!function)
        return -ENOMEM;
    if (slice->p < 256 && !(chrome->p_named[slice->p / 8] & 1 << slice->p % 8)) {
        chrome->p_named[slice->p / 8] |= (uint8_t)(1 << slice->p % 8);
        numbered_name(export, CHROME_PS, (uint64_t)slice->p, 'P');
    }
    FILE *out = event_begin(export, "X", CHROME_PS, (uint64_t)slice->p);
    time_put(out, "ts", slice->begin_ns);
    time_put(out, "dur", slice->end_ns - slice->begin_ns);
    text_put(out, "name", function);
    fprintf(out, ",\"cat\":\"processor\",\"args\":{\"g\":%" PRIu64 "}}", slice->g);
    return 0;
}

static int chrome_slice(struct export *export, struct export_g *g, const struct export_slice *slice)
{
    FILE *out = event_begin(export, "X", CHROME_GS, g->id);
    time_put(out, "ts", slice->begin_ns);
    time_put(out, "dur", slice->end_ns - slice->begin_ns);
    text_put(out, "name", export_slice_name(slice));
    fputs(",\"cat\":\"goroutine\"", out);
    const char *place = slice->stack ? captions_stack(export->captions, slice->stack) : "";
    if (!place)
        return -ENOMEM;
    if (slice->state == GMPT_G_RUNNING && slice->p >= 0) {
        fprintf(out, ",\"args\":{\"p\":%d}", slice->p);
    } else if (slice->state == GMPT_G_WAITING || slice->state == GMPT_G_SYSCALL) {
        fputs(",\"args\":{\"at\":", out);
        cli_json_string(out, place);
        if (slice->state == GMPT_G_WAITING)
            fprintf(out, ",\"object\":\"0x%" PRIx64 "\",\"bounded\":%s", slice->object,
                    slice->bounded ? "true" : "false");
        fputc('}', out);
    }
    fputc('}', out);
    return slice->state == GMPT_G_RUNNING && slice->p >= 0 ? chrome_run(export, slice) : 0;
}

/* An arrow needs a slice at both ends; what is not a G has none. */
static int chrome_wakeup(struct export *export, struct export_g *g, const struct export_wakeup *wakeup)
{
    struct chrome *chrome = export->state;
    if (!wakeup->waker || !wakeup->ran)
        return 0;
    chrome->flows++;
    FILE *out = event_begin(export, "s", CHROME_GS, wakeup->waker);
    time_put(out, "ts", wakeup->time_ns);
    fprintf(out, ",\"id\":%" PRIu64 ",\"name\":\"wakes\",\"cat\":\"wakeup\"}", chrome->flows);
    event_begin(export, "f", CHROME_GS, g->id);
    time_put(out, "ts", wakeup->time_ns + wakeup->latency_ns);
    fprintf(out, ",\"id\":%" PRIu64 ",\"bp\":\"e\",\"name\":\"wakes\",\"cat\":\"wakeup\"}", chrome->flows);
    return 0;
}

static int chrome_g_over(struct export *export, struct export_g *g)
{
    char buffer[PLACE_TEXT_BYTES];
    const char *title = export_g_title(export, g->id, buffer);
    if (!title)
        return -ENOMEM;
    name_put(export, "thread_name", CHROME_GS, g->id, title);
    return 0;
}

/* Both ends of an asynchronous event: those with one id nest, whatever else their track has. */
static void span_put(struct export *export, const struct span *span, const char *phase)
{
    bool begin = *phase == 'b';
    FILE *out =
        span->task ? event_begin(export, phase, CHROME_TASKS, 0) : event_begin(export, phase, CHROME_GS, span->g);
    time_put(out, "ts", begin ? span->begin_ns : span->end_ns);
    if (span->task)
        fprintf(out, ",\"cat\":\"task\",\"id\":\"task %" PRIu64 "\"", span->id);
    else
        fprintf(out, ",\"cat\":\"region\",\"id\":\"G%" PRIu64 " %" PRIu32 "\"", span->g, span->lane);
    text_put(out, "name", gmpt_trace_string(export->trace, span->name));
    if (begin && span->task)
        fprintf(out, ",\"args\":{\"task\":%" PRIu64 ",\"parent\":%" PRIu64 ",\"g\":%" PRIu64 "}", span->id,
                span->parent, span->g);
    else if (begin)
        fprintf(out, ",\"args\":{\"task\":%" PRIu64 "}", span->id);
    fputc('}', out);
}

static int chrome_span(struct export *export, struct export_g *g, const struct span *span)
{
    (void)g;
    span_put(export, span, "b");
    span_put(export, span, "e");
    return 0;
}

static int chrome_message(struct export *export, struct export_g *g, const struct gmpt_event *event)
{
    FILE *out = event_begin(export, "i", CHROME_GS, event->g);
    (void)g;
    time_put(out, "ts", event->time_ns);
    text_put(out, "name", gmpt_trace_string(export->trace, event->user_log.category));
    fprintf(out, ",\"cat\":\"message\",\"s\":\"t\",\"args\":{\"task\":%" PRIu64 ",\"text\":", event->user_log.task);
    cli_json_string(out, gmpt_trace_log_text(export->trace, NULL));
    fputs("}}", out);
    return 0;
}

static int chrome_sample(struct export *export, const struct export_sample *sample)
{
    const char *place = captions_stack(export->captions, sample->stack);
    if (!place)
        return -ENOMEM;
    FILE *out = event_begin(export, "i", CHROME_MS, sample->tid);
    time_put(out, "ts", sample->time_ns);
    text_put(out, "name", place);
    fprintf(out, ",\"cat\":\"sample\",\"s\":\"t\",\"args\":{\"g\":%" PRIu64 ",\"cpu_ns\":%" PRId64 "}}", sample->g,
            sample->cpu_ns);
    return 0;
}

static int chrome_hold(struct export *export, const struct export_hold *hold)
{
    FILE *out = event_begin(export, "X", CHROME_MS, hold->tid);
    time_put(out, "ts", hold->begin_ns);
    time_put(out, "dur", hold->end_ns - hold->begin_ns);
    fprintf(out, ",\"name\":\"P%d\",\"cat\":\"thread\"}", hold->p);
    return 0;
}

static FILE *stay_begin(struct export *export, struct export_thread *thread, int64_t begin_ns, int64_t end_ns,
                        const char *name, const char *category)
{
    struct chrome *chrome = export->state;
    if (!chrome->has_cpus)
        name_put(export, "process_name", CHROME_CPUS, 0, "threads on CPUs");
    chrome->has_cpus = true;
    if (!thread->introduced)
        numbered_name(export, CHROME_CPUS, thread->tid, 'M');
    thread->introduced = true;
    FILE *out = event_begin(export, "X", CHROME_CPUS, thread->tid);
    time_put(out, "ts", begin_ns);
    time_put(out, "dur", end_ns - begin_ns);
    text_put(out, "name", name);
    text_put(out, "cat", category);
    fputs(",\"args\":{", out);
    return out;
}

static int chrome_oncpu(struct export *export, struct export_thread *thread, const struct export_oncpu *on)
{
    FILE *out = stay_begin(export, thread, on->begin_ns, on->end_ns,
                           on->until_known ? "on a CPU" : "on a CPU, then not told", "oncpu");
    if (on->cpu_known)
        fprintf(out, "\"cpu\":%" PRIu32, on->cpu);
    fputs("}}", out);
    return 0;
}

static void thread_wake_put(struct export *export, const struct export_thread *thread, const struct export_offcpu *off)
{
    struct chrome *chrome = export->state;
    chrome->flows++;
    FILE *out = event_begin(export, "s", CHROME_CPUS, off->waker->tid);
    time_put(out, "ts", off->able_ns);
    fprintf(out, ",\"id\":%" PRIu64 ",\"name\":\"wakes\",\"cat\":\"wakeup\"}", chrome->flows);
    event_begin(export, "f", CHROME_CPUS, thread->tid);
    time_put(out, "ts", off->end_ns);
    fprintf(out, ",\"id\":%" PRIu64 ",\"bp\":\"e\",\"name\":\"wakes\",\"cat\":\"wakeup\"}", chrome->flows);
}

static int chrome_offcpu(struct export *export, struct export_thread *thread, const struct export_offcpu *off)
{
    const struct kernel_interval *told = off->told;
    uint32_t own_pid = gmpt_trace_info(export->trace)->pid;
    char call[KERNELWORDS_CALL_BYTES], by[KERNELWORDS_PROGRAM_BYTES];
    if (off->begin_ns < off->able_ns) {
        FILE *out = stay_begin(export, thread, off->begin_ns, off->able_ns, kernelwords_why(told, call), "offcpu");
        fprintf(out, "\"g\":%" PRIu64 "}}", off->g);
    }
    if (off->able_ns < off->end_ns) {
        FILE *out = stay_begin(export, thread, off->able_ns, off->end_ns,
                               kernelintervals_stopped(told) ? kernelwords_why(told, call) : "in the run queue",
                               "runqueue");
        fprintf(out, "\"g\":%" PRIu64, off->g);
        if (told->most.tid)
            text_put(out, "by", kernelwords_program(told->most.pid, told->most.name, own_pid, by));
        fputs("}}", out);
    }
    if (off->waker && off->ended)
        thread_wake_put(export, thread, off);
    return 0;
}

/* As shares of the time that they are about, from its beginning on. */
static int chrome_usage(struct export *export, struct export_thread *thread, const struct export_usage *usage)
{
    if (usage->span_ns == 0)
        return 0;
    FILE *out = event_begin(export, "C", CHROME_MS, 0);
    time_put(out, "ts", usage->time_ns > INT64_MIN + usage->span_ns ? usage->time_ns - usage->span_ns : INT64_MIN);
    fprintf(out, ",\"name\":\"M%" PRIu64 " %%\",\"args\":{\"on a CPU\":%.0f,\"in the run queue\":%.0f}}", thread->tid,
            100.0 * (double)usage->ran_ns / (double)usage->span_ns,
            100.0 * (double)usage->queued_ns / (double)usage->span_ns);
    return 0;
}

static int chrome_counts(struct export *export, const struct export_counts *counts)
{
    FILE *out = event_begin(export, "C", CHROME_PS, 0);
    time_put(out, "ts", counts->time_ns);
    fputs(",\"name\":\"goroutines\",\"args\":{", out);
    static const enum gmpt_g_state states[] = { GMPT_G_RUNNING, GMPT_G_RUNNABLE, GMPT_G_SYSCALL, GMPT_G_PREEMPTED,
                                                GMPT_G_WAITING };
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        fprintf(out, "%s\"%s\":%" PRIu64, i ? "," : "", export_state_name(states[i]), counts->gs[states[i]]);
    fputs("}}", out);
    return 0;
}

static int chrome_finish(struct export *export)
{
    const struct gmpt_trace_info *info = gmpt_trace_info(export->trace);
    FILE *out = export->out;
    fputs("\n],\"otherData\":{\"command\":", out);
    cli_json_string(out, info->command);
    text_put(out, "host", info->host);
    fprintf(out,
            ",\"pid\":%" PRIu32 ",\"start_realtime_ns\":\"%" PRId64 "\",\"start_monotonic_ns\":\"%" PRId64 "\"}}\n",
            info->pid, info->start_realtime_ns, info->start_monotonic_ns);
    return 0;
}

static void chrome_close(struct export *export) { free(export->state); }

const struct export_format export_chrome = {
    .name = "chrome",
    .output = "gmptrace.json",
    .open = chrome_open,
    .slice = chrome_slice,
    .wakeup = chrome_wakeup,
    .g_over = chrome_g_over,
    .span = chrome_span,
    .message = chrome_message,
    .sample = chrome_sample,
    .hold = chrome_hold,
    .oncpu = chrome_oncpu,
    .usage = chrome_usage,
    .offcpu = chrome_offcpu,
    .counts = chrome_counts,
    .finish = chrome_finish,
    .close = chrome_close,
};
