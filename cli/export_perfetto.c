/* Perfetto's trace format: what is told, as tracks and what happens on them (draft.h).
 *
 * Tracks, by uuid, each below the process's:
 *     counters         how many Gs are in a state
 *     P0, P1, ...      what runs there: slices named by the G's function
 *     M77, ...         which P a thread had. Where the kernel's side was recorded there is one below it, M77 CPU: when
 *                      the thread had one, what stopped it, and when it could run but got none. Where only its times
 *                      were counted there are counters instead: M77 on a CPU %, M77 in the run queue %
 *     G1 main, ...     its states: running, runnable, what it waits for; messages as instants. Its regions are tracks
 *                      below it, one for each lane (spans.h), so that slices on a track nest
 *     tasks            one track for each task, all with the same name
 *     runtime          wake-ups by nobody: timers, the network poller
 *
 * A wake-up is an instant on the waker's track and a flow from there to the slice that runs; of a G by a G, of a thread
 * by a thread. Packets are not sorted by time, which readers do.
 *
 * A track cannot be renamed, and a G gets its name when it runs: so its first slice is held until the next one. */
#include "cli.h"
#include "draft.h"
#include "export.h"
#include "kernelwords.h"
#include "packets.h"

#include "trace/table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TOLD_MAX 65536 /* tracks of threads that are not told of again */
#define PERCENT_MAX INT64_C(1000000000) /* of what a damaged file may have */
#define TYPE_BEGIN PERFETTO__PROTOS__TRACK_EVENT__TYPE__TYPE_SLICE_BEGIN
#define TYPE_INSTANT PERFETTO__PROTOS__TRACK_EVENT__TYPE__TYPE_INSTANT

enum track_kind { TRACK_FIXED, TRACK_P, TRACK_M, TRACK_G, TRACK_TASK, TRACK_REGION, TRACK_CPU, TRACK_USAGE };
enum { FIXED_PROCESS = 1, FIXED_RUNTIME, FIXED_COUNTER }; /* and a counter for each state after it */

struct perfetto {
    struct packets packets;
    struct drafts drafts;
    bool begun;
    uint64_t flows;
    uint8_t p_known[256 / 8];
    struct table told; /* tracks of threads; the entries mean nothing */
};

static uint64_t track(enum track_kind kind, uint64_t number, uint32_t lane)
{
    return number << 11 | (uint64_t)(lane & 255) << 3 | (uint64_t)kind;
}

/* ---- Tracks ------------------------------------------------------------------------------------------------------ */

static struct drafts *drafts_of(struct export *export) { return &((struct perfetto *)export->state)->drafts; }

/* On the process's own: rank < 0; else below it, those of a rank together. */
static int track_write(struct export *export, uint64_t uuid, uint64_t parent, const char *name, int rank)
{
    struct perfetto *perfetto = export->state;
    return packets_track(&perfetto->packets, &(struct packets_track){ uuid, parent, name, rank, PACKETS_SLICES });
}

enum { RANK_COUNTERS, RANK_PS, RANK_MS, RANK_TASKS, RANK_RUNTIME, RANK_GS };

static const enum gmpt_g_state counted[] = { GMPT_G_RUNNING, GMPT_G_RUNNABLE, GMPT_G_WAITING, GMPT_G_SYSCALL,
                                             GMPT_G_PREEMPTED };

static int process_write(struct export *export)
{
    struct perfetto *perfetto = export->state;
    const struct gmpt_trace_info *info = gmpt_trace_info(export->trace);
    char command[256], name[64];
    Perfetto__Protos__ProcessDescriptor process = PERFETTO__PROTOS__PROCESS_DESCRIPTOR__INIT;
    Perfetto__Protos__TrackDescriptor descriptor = PERFETTO__PROTOS__TRACK_DESCRIPTOR__INIT;
    process.has_pid = true;
    process.pid = (int32_t)info->pid;
    process.process_name = (char *)cli_text(command, sizeof command, info->command, 60);
    descriptor.has_uuid = true;
    descriptor.uuid = track(TRACK_FIXED, FIXED_PROCESS, 0);
    descriptor.process = &process;
    descriptor.has_child_ordering = true;
    descriptor.child_ordering = PERFETTO__PROTOS__TRACK_DESCRIPTOR__CHILD_TRACKS_ORDERING__EXPLICIT;
    Perfetto__Protos__TracePacket packet;
    packets_init(&packet, PACKETS_NEEDS_STATE);
    packet.track_descriptor = &descriptor;
    int result = packets_write(&perfetto->packets, &packet);
    for (size_t i = 0; i < sizeof counted / sizeof counted[0] && !result; i++) {
        snprintf(name, sizeof name, "goroutines %s", export_state_name(counted[i]));
        result = packets_track(&perfetto->packets,
                               &(struct packets_track){ track(TRACK_FIXED, FIXED_COUNTER + counted[i], 0),
                                                        descriptor.uuid, name, RANK_COUNTERS, PACKETS_COUNT });
    }
    return result ? result
                  : track_write(export, track(TRACK_FIXED, FIXED_RUNTIME, 0), descriptor.uuid,
                                "runtime: timers, network poller", RANK_RUNTIME);
}

static int begin(struct export *export)
{
    struct perfetto *perfetto = export->state;
    if (perfetto->begun)
        return 0;
    perfetto->begun = true;
    int result = drafts_begin(&perfetto->drafts);
    return result ? result : process_write(export);
}

static int track_p(struct export *export, int32_t p)
{
    struct perfetto *perfetto = export->state;
    char name[32];
    if (p >= 256 || perfetto->p_known[p / 8] & 1 << p % 8)
        return 0;
    perfetto->p_known[p / 8] |= (uint8_t)(1 << p % 8);
    snprintf(name, sizeof name, "P%d", p);
    return track_write(export, track(TRACK_P, (uint64_t)p, 0), track(TRACK_FIXED, FIXED_PROCESS, 0), name, RANK_PS);
}

/* ---- Events ------------------------------------------------------------------------------------------------------ */

#define TYPE_BEGIN PERFETTO__PROTOS__TRACK_EVENT__TYPE__TYPE_SLICE_BEGIN
#define TYPE_INSTANT PERFETTO__PROTOS__TRACK_EVENT__TYPE__TYPE_INSTANT

/* ---- What is told ------------------------------------------------------------------------------------------------ */

static int perfetto_open(struct export *export)
{
    struct perfetto *perfetto = calloc(1, sizeof *perfetto);
    if (!perfetto)
        return -ENOMEM;
    perfetto->packets.out = export->out;
    perfetto->drafts =
        (struct drafts){ .packets = &perfetto->packets, .trace = export->trace, .captions = export->captions };
    export->state = perfetto;
    return 0;
}

static int run_write(struct export *export, const struct export_slice *slice)
{
    const struct gmpt_g *known = gmpt_trace_g(export->trace, slice->g);
    uint64_t uuid = track(TRACK_P, (uint64_t)slice->p, 0);
    struct draft draft;
    int result = track_p(export, slice->p);
    draft_init(&draft, drafts_of(export), slice->begin_ns, uuid, TYPE_BEGIN, DRAFT_CATEGORY_P);
    draft_number(&draft, DRAFT_NOTE_G, slice->g);
    if (!result)
        result = draft_name(&draft, DRAFT_NAME_FUNCTION, known ? known->fn : 0, export_g_function(export, slice->g));
    if (!result)
        result = draft_write(&draft);
    return result ? result : draft_end(drafts_of(export), slice->end_ns, uuid);
}

static int slice_write(struct export *export, struct export_g *g, const struct export_slice *slice)
{
    uint64_t uuid = track(TRACK_G, slice->g, 0);
    struct draft draft;
    draft_init(&draft, drafts_of(export), slice->begin_ns, uuid, TYPE_BEGIN, DRAFT_CATEGORY_G);
    bool waits = slice->state == GMPT_G_WAITING, runs = slice->state == GMPT_G_RUNNING;
    int result = draft_name(&draft, waits ? DRAFT_NAME_REASON : DRAFT_NAME_STATE, waits ? slice->reason : slice->state,
                            export_slice_name(slice));
    if (runs && slice->p >= 0)
        draft_number(&draft, DRAFT_NOTE_P, (uint64_t)slice->p);
    if (!result)
        result = draft_place(&draft, slice->stack);
    if (waits && slice->object)
        draft_object(&draft, slice->object);
    if (waits && slice->bounded)
        draft_true(&draft, DRAFT_NOTE_BOUNDED);
    if (runs && g->flow) {
        draft_flow_end(&draft, g->flow);
        g->flow = 0;
    }
    if (!result)
        result = draft_write(&draft);
    if (!result)
        result = draft_end(drafts_of(export), slice->end_ns, uuid);
    return result || !runs || slice->p < 0 ? result : run_write(export, slice);
}

/* Tells of the G's track, if it was not, and of the slice that was held. */
static int introduce(struct export *export, struct export_g *g)
{
    char title[PLACE_TEXT_BYTES];
    if (g->introduced)
        return 0;
    g->introduced = true;
    int result = begin(export);
    const char *name = export_g_title(export, g->id, title);
    if (!name)
        result = -ENOMEM;
    if (!result)
        result =
            track_write(export, track(TRACK_G, g->id, 0), track(TRACK_FIXED, FIXED_PROCESS, 0), name, RANK_GS);
    if (!result && g->held)
        result = slice_write(export, g, &g->first);
    g->held = false;
    return result;
}

static int perfetto_slice(struct export *export, struct export_g *g, const struct export_slice *slice)
{
    if (!g->introduced && !g->held) {
        g->first = *slice;
        g->held = true;
        return 0;
    }
    int result = introduce(export, g);
    return result ? result : slice_write(export, g, slice);
}

static int perfetto_wakeup(struct export *export, struct export_g *g, const struct export_wakeup *wakeup)
{
    struct perfetto *perfetto = export->state;
    struct draft draft;
    if (!wakeup->ran)
        return 0;
    int result = wakeup->waker_g ? introduce(export, wakeup->waker_g) : begin(export);
    g->flow = ++perfetto->flows;
    draft_init(&draft, drafts_of(export), wakeup->time_ns,
               wakeup->waker ? track(TRACK_G, wakeup->waker, 0) : track(TRACK_FIXED, FIXED_RUNTIME, 0), TYPE_INSTANT,
               DRAFT_CATEGORY_WAKE);
    draft_number(&draft, DRAFT_NOTE_WAKES, g->id);
    draft_flow_begin(&draft, g->flow);
    if (!result)
        result = draft_name(&draft, DRAFT_NAME_WAKES, 0, "wakes");
    return result ? result : draft_write(&draft);
}

static int perfetto_g_over(struct export *export, struct export_g *g) { return introduce(export, g); }

static int perfetto_span(struct export *export, struct export_g *g, const struct span *span)
{
    uint64_t uuid = span->task ? track(TRACK_TASK, span->id, 0) : track(TRACK_REGION, span->g, span->lane);
    struct draft draft;
    uint64_t lane = !span->task && span->lane < 64 ? UINT64_C(1) << span->lane : 0;
    int result = g ? introduce(export, g) : begin(export);
    if (!result && !(g && g->lanes & lane))
        result =
            track_write(export, uuid, span->task ? track(TRACK_FIXED, FIXED_PROCESS, 0) : track(TRACK_G, span->g, 0),
                        span->task ? "tasks" : "regions", span->task ? RANK_TASKS : -1);
    if (g)
        g->lanes |= lane;
    draft_init(&draft, drafts_of(export), span->begin_ns, uuid, TYPE_BEGIN,
               span->task ? DRAFT_CATEGORY_TASK : DRAFT_CATEGORY_REGION);
    if (span->id)
        draft_number(&draft, DRAFT_NOTE_TASK, span->id);
    if (span->parent)
        draft_number(&draft, DRAFT_NOTE_PARENT, span->parent);
    draft_number(&draft, DRAFT_NOTE_G, span->g);
    if (!result)
        result = draft_name(&draft, DRAFT_NAME_STRING, span->name, gmpt_trace_string(export->trace, span->name));
    if (!result)
        result = draft_write(&draft);
    return result ? result : draft_end(drafts_of(export), span->end_ns, uuid);
}

static int perfetto_message(struct export *export, struct export_g *g, const struct gmpt_event *event)
{
    char clean[4 * GMPT_LOG_BYTES_MAX + 1];
    struct draft draft;
    int result = g ? introduce(export, g) : begin(export);
    draft_init(&draft, drafts_of(export), event->time_ns, track(TRACK_G, event->g, 0), TYPE_INSTANT,
               DRAFT_CATEGORY_MESSAGE);
    draft_text(&draft, DRAFT_NOTE_TEXT,
               cli_text(clean, sizeof clean, gmpt_trace_log_text(export->trace, NULL), GMPT_LOG_BYTES_MAX));
    if (event->user_log.task)
        draft_number(&draft, DRAFT_NOTE_TASK, event->user_log.task);
    if (!result)
        result = draft_name(&draft, DRAFT_NAME_STRING, event->user_log.category,
                            gmpt_trace_string(export->trace, event->user_log.category));
    return result ? result : draft_write(&draft);
}

/* Whether this track of a thread's was told of; from now on it was. Returns 0, 1 = it was, or -ENOMEM. */
static int track_told(struct perfetto *perfetto, uint64_t uuid)
{
    uint64_t hash = table_mix(uuid);
    if (table_find(&perfetto->told, hash, NULL, NULL))
        return 1;
    return perfetto->told.count < TOLD_MAX ? table_insert(&perfetto->told, hash, perfetto) : 0;
}

static int thread_introduce(struct export *export, uint64_t tid)
{
    uint64_t uuid = track(TRACK_M, tid, 0);
    char name[32];
    int result = begin(export);
    int told = result ? result : track_told(export->state, uuid);
    if (told)
        return told < 0 ? told : 0;
    snprintf(name, sizeof name, "M%" PRIu64, tid);
    return track_write(export, uuid, track(TRACK_FIXED, FIXED_PROCESS, 0), name, RANK_MS);
}

static int perfetto_sample(struct export *export, const struct export_sample *sample)
{
    struct draft draft;
    int result = thread_introduce(export, sample->tid);
    draft_init(&draft, drafts_of(export), sample->time_ns, track(TRACK_M, sample->tid, 0), TYPE_INSTANT,
               DRAFT_CATEGORY_SAMPLE);
    if (sample->g)
        draft_number(&draft, DRAFT_NOTE_G, sample->g);
    if (sample->p >= 0)
        draft_number(&draft, DRAFT_NOTE_P, (uint64_t)sample->p);
    if (!result)
        result = draft_name(&draft, DRAFT_NAME_CODE, sample->stack, captions_stack(export->captions, sample->stack));
    return result ? result : draft_write(&draft);
}

static int perfetto_hold(struct export *export, const struct export_hold *hold)
{
    uint64_t uuid = track(TRACK_M, hold->tid, 0);
    char name[32];
    struct draft draft;
    int result = thread_introduce(export, hold->tid);
    snprintf(name, sizeof name, "P%d", hold->p);
    draft_init(&draft, drafts_of(export), hold->begin_ns, uuid, TYPE_BEGIN, DRAFT_CATEGORY_M);
    if (!result)
        result = draft_name(&draft, DRAFT_NAME_P, (uint64_t)hold->p, name);
    if (!result)
        result = draft_write(&draft);
    return result ? result : draft_end(drafts_of(export), hold->end_ns, uuid);
}

/* The track of the thread's time on CPUs. */
static int cpu_introduce(struct export *export, struct export_thread *thread)
{
    int result = thread_introduce(export, thread->tid);
    char name[32];
    if (result || thread->introduced)
        return result;
    thread->introduced = true;
    snprintf(name, sizeof name, "M%" PRIu64 " CPU", thread->tid);
    return track_write(export, track(TRACK_CPU, thread->tid, 0), track(TRACK_M, thread->tid, 0), name, -1);
}

static int perfetto_oncpu(struct export *export, struct export_thread *thread, const struct export_oncpu *on)
{
    uint64_t uuid = track(TRACK_CPU, thread->tid, 0);
    struct draft draft;
    int result = cpu_introduce(export, thread);
    draft_init(&draft, drafts_of(export), on->begin_ns, uuid, TYPE_BEGIN, DRAFT_CATEGORY_ONCPU);
    if (on->cpu_known)
        draft_number(&draft, DRAFT_NOTE_CPU, on->cpu);
    if (thread->flow) {
        draft_flow_end(&draft, thread->flow);
        thread->flow = 0;
    }
    if (!result)
        result = draft_name(&draft, DRAFT_NAME_CPU, on->until_known,
                            on->until_known ? "on a CPU" : "on a CPU, then not told");
    if (!result)
        result = draft_write(&draft);
    return result ? result : draft_end(drafts_of(export), on->end_ns, uuid);
}

/* Who had the CPU meanwhile: a thread of the program by its number, other programs by name. */
static void task_note(struct export *export, struct draft *draft, enum draft_note note, const struct kernel_task *task,
                       char text[KERNELWORDS_PROGRAM_BYTES])
{
    uint32_t own_pid = gmpt_trace_info(export->trace)->pid;
    if (!task->tid)
        return;
    if (task->tid == KERNEL_TID_INTERRUPT)
        snprintf(text, KERNELWORDS_PROGRAM_BYTES, "an interrupt");
    else if (task->pid == own_pid || task->g)
        snprintf(text, KERNELWORDS_PROGRAM_BYTES, "M%" PRIu32, task->tid);
    else
        kernelwords_program(task->pid, task->name, own_pid, text);
    draft_text(draft, note, text);
}

/* It could run. */
static int queue_write(struct export *export, struct export_thread *thread, const struct export_offcpu *off)
{
    uint64_t uuid = track(TRACK_CPU, thread->tid, 0);
    bool stopped = kernelintervals_stopped(off->told);
    char call[KERNELWORDS_CALL_BYTES], by[KERNELWORDS_PROGRAM_BYTES];
    struct draft draft;
    if (off->able_ns == off->end_ns)
        return 0;
    draft_init(&draft, drafts_of(export), off->able_ns, uuid, TYPE_BEGIN, DRAFT_CATEGORY_QUEUE);
    if (off->g)
        draft_number(&draft, DRAFT_NOTE_G, off->g);
    if (off->told->by_known) {
        draft_number(&draft, DRAFT_NOTE_CPU, off->told->cpu_to);
        task_note(export, &draft, DRAFT_NOTE_BY, &off->told->most, by);
    }
    int result = draft_name(&draft, DRAFT_NAME_QUEUE, stopped ? off->told->why : GMPT_KERNEL_BLOCKED,
                            stopped ? kernelwords_why(off->told, call) : "in the run queue");
    if (!result && stopped)
        result = draft_place(&draft, off->told->stack);
    if (!result)
        result = draft_write(&draft);
    return result ? result : draft_end(drafts_of(export), off->end_ns, uuid);
}

static int wake_write(struct export *export, struct export_thread *thread, const struct export_offcpu *off)
{
    struct perfetto *perfetto = export->state;
    uint64_t object = export_off_object(off->told);
    struct draft draft;
    int result = cpu_introduce(export, off->waker);
    thread->flow = ++perfetto->flows;
    draft_init(&draft, drafts_of(export), off->able_ns, track(TRACK_CPU, off->waker->tid, 0), TYPE_INSTANT,
               DRAFT_CATEGORY_WAKE);
    draft_number(&draft, DRAFT_NOTE_WAKES, thread->tid);
    if (object)
        draft_object(&draft, object);
    draft_flow_begin(&draft, thread->flow);
    if (!result)
        result = draft_name(&draft, DRAFT_NAME_WAKES, 0, "wakes");
    return result ? result : draft_write(&draft);
}

static int perfetto_offcpu(struct export *export, struct export_thread *thread, const struct export_offcpu *off)
{
    uint64_t uuid = track(TRACK_CPU, thread->tid, 0), object = export_off_object(off->told);
    char call[KERNELWORDS_CALL_BYTES], by[KERNELWORDS_PROGRAM_BYTES];
    struct draft draft;
    int result = cpu_introduce(export, thread);
    if (result || off->begin_ns == off->able_ns)
        return result ? result : queue_write(export, thread, off);
    draft_init(&draft, drafts_of(export), off->begin_ns, uuid, TYPE_BEGIN, DRAFT_CATEGORY_OFFCPU);
    if (off->g)
        draft_number(&draft, DRAFT_NOTE_G, off->g);
    if (object)
        draft_object(&draft, object);
    if (off->told->able_known)
        task_note(export, &draft, DRAFT_NOTE_WOKEN_BY, &off->told->waker, by);
    result = draft_place(&draft, off->told->stack);
    if (!result)
        result = draft_name(&draft, DRAFT_NAME_WHY, (uint64_t)off->told->why << 32 | (uint32_t)off->told->call,
                            kernelwords_why(off->told, call));
    if (!result)
        result = draft_write(&draft);
    if (!result)
        result = draft_end(drafts_of(export), off->able_ns, uuid);
    if (!result && off->waker)
        result = wake_write(export, thread, off);
    return result ? result : queue_write(export, thread, off);
}

static int64_t percent(int64_t part_ns, int64_t of_ns)
{
    double share = 100 * (double)part_ns / (double)of_ns;
    return share < PERCENT_MAX ? (int64_t)(share + 0.5) : PERCENT_MAX;
}

static int share_write(struct export *export, struct export_thread *thread, uint32_t lane, const char *what,
                       int64_t time_ns, int64_t value)
{
    struct perfetto *perfetto = export->state;
    struct packets_track share = { track(TRACK_USAGE, thread->tid, lane), track(TRACK_M, thread->tid, 0), NULL, -1,
                                   PACKETS_OTHER_VALUE };
    int told = track_told(perfetto, share.uuid);
    char name[64];
    snprintf(name, sizeof name, "M%" PRIu64 " %s %%", thread->tid, what);
    share.name = name;
    int result = told ? told < 0 ? told : 0 : packets_track(&perfetto->packets, &share);
    return result ? result : draft_value(&perfetto->drafts, time_ns, share.uuid, value);
}

/* As shares of the time that they are about, from its beginning on. */
static int perfetto_usage(struct export *export, struct export_thread *thread, const struct export_usage *usage)
{
    int64_t begin_ns = usage->time_ns > usage->span_ns ? usage->time_ns - usage->span_ns : 0;
    if (usage->span_ns == 0)
        return 0;
    int result = thread_introduce(export, thread->tid);
    if (!result)
        result = share_write(export, thread, 0, "on a CPU", begin_ns, percent(usage->ran_ns, usage->span_ns));
    return result ? result
                  : share_write(export, thread, 1, "in the run queue", begin_ns,
                                percent(usage->queued_ns, usage->span_ns));
}

static int perfetto_counts(struct export *export, const struct export_counts *counts)
{
    int result = begin(export);
    for (size_t i = 0; i < sizeof counted / sizeof counted[0] && !result; i++)
        result = draft_value(drafts_of(export), counts->time_ns, track(TRACK_FIXED, FIXED_COUNTER + counted[i], 0),
                             (int64_t)counts->gs[counted[i]]);
    return result;
}

static int perfetto_finish(struct export *export) { return begin(export); }

static void perfetto_close(struct export *export)
{
    struct perfetto *perfetto = export->state;
    if (!perfetto)
        return;
    drafts_close(&perfetto->drafts);
    packets_close(&perfetto->packets);
    table_clear(&perfetto->told);
    free(perfetto);
}

const struct export_format export_perfetto = {
    .name = "perfetto",
    .output = "gmptrace.pftrace",
    .binary = true,
    .open = perfetto_open,
    .slice = perfetto_slice,
    .wakeup = perfetto_wakeup,
    .g_over = perfetto_g_over,
    .span = perfetto_span,
    .message = perfetto_message,
    .sample = perfetto_sample,
    .hold = perfetto_hold,
    .oncpu = perfetto_oncpu,
    .offcpu = perfetto_offcpu,
    .usage = perfetto_usage,
    .counts = perfetto_counts,
    .finish = perfetto_finish,
    .close = perfetto_close,
};
