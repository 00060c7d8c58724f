/* Perfetto's trace format: a file of length-delimited packets (perfetto.proto), all of one sequence.
 *
 * Tracks, by uuid, each below the process's:
 *     counters         how many Gs are in a state
 *     P0, P1, ...      what runs there: slices named by the G's function
 *     M77, ...         which P a thread had. Where the kernel's side was recorded there is one below it, M77 CPU: when
 *                      the thread had one, what stopped it, and when it could run but got none
 *     G1 main, ...     its states: running, runnable, what it waits for; messages as instants. Its regions are tracks
 *                      below it, one for each lane (spans.h), so that slices on a track nest
 *     tasks            one track for each task, all with the same name
 *     runtime          wake-ups by nobody: timers, the network poller
 *
 * A wake-up is an instant on the waker's track and a flow from there to the slice that runs; of a G by a G, of a thread
 * by a thread. Names and places are told
 * once, in the packet that needs them first. A packet's time is the sequence's own clock, nanoseconds since the trace's
 * start, which is shorter; a snapshot ties it to CLOCK_MONOTONIC, the clock of the whole. Packets are not sorted by
 * time, which readers do.
 *
 * A track cannot be renamed, and a G gets its name when it runs: so its first slice is held until the next one. */
#include "cli.h"
#include "export.h"
#include "kernelwords.h"

#include "cli/perfetto.pb-c.h"

#include "trace/table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef Perfetto__Protos__TracePacket packet_t;

#define SEQUENCE 1
#define STATE_CLEARED 1
#define NEEDS_STATE 2
#define OWN_CLOCK 64
#define NAME_COLUMNS 120
#define NOTES_MAX 5 /* that an event has at most */
#define NAMES_MAX 65536 /* further ones are spelled out in their packets */

enum track_kind { TRACK_FIXED, TRACK_P, TRACK_M, TRACK_G, TRACK_TASK, TRACK_REGION, TRACK_CPU, TRACK_KINDS };
enum { FIXED_PROCESS = 1, FIXED_RUNTIME, FIXED_COUNTER }; /* and a counter for each state after it */

enum category {
    CATEGORY_G = 1,
    CATEGORY_P,
    CATEGORY_M,
    CATEGORY_TASK,
    CATEGORY_REGION,
    CATEGORY_MESSAGE,
    CATEGORY_WAKE,
    CATEGORY_SAMPLE,
    CATEGORY_ONCPU,
    CATEGORY_OFFCPU,
    CATEGORY_QUEUE
};
static const char *const categories[] = { NULL,     "goroutine", "processor", "thread", "task",   "region",
                                          "message", "wakeup",    "sample",    "oncpu",  "offcpu", "runqueue" };

enum note {
    NOTE_G = 1,
    NOTE_P,
    NOTE_AT,
    NOTE_OBJECT,
    NOTE_BOUNDED,
    NOTE_TEXT,
    NOTE_TASK,
    NOTE_PARENT,
    NOTE_WAKES,
    NOTE_CPU,
    NOTE_BY,
    NOTE_WOKEN_BY
};
static const char *const notes[] = { NULL,   "g",    "p",      "at",    "object", "bounded", "text",
                                     "task", "parent", "wakes", "cpu",    "by",      "woken_by" };

/* What an event's name is, which makes its number: the number of a string, an address, a reason, ... */
enum name_kind {
    NAME_STATE,
    NAME_REASON,
    NAME_FUNCTION,
    NAME_STRING,
    NAME_P,
    NAME_WAKES,
    NAME_CODE,
    NAME_WHY,
    NAME_QUEUE,
    NAME_CPU
};

struct name {
    enum name_kind kind;
    uint64_t key;
    uint64_t iid;
};

struct perfetto {
    bool begun;
    uint64_t flows;
    uint8_t p_known[256 / 8];
    struct table names, threads;
    uint64_t name_count;
    uint8_t *places; /* a bit for each stack whose text was told */
    size_t places_room;
    uint8_t *bytes; /* of the packet that is being written */
    size_t bytes_room;
};

static uint64_t track(enum track_kind kind, uint64_t number, uint32_t lane)
{
    return number << 11 | (uint64_t)(lane & 255) << 3 | (uint64_t)kind;
}

/* ---- Packets ----------------------------------------------------------------------------------------------------- */

/* A packet in the making, with room for what an event can have; it is on the writer's stack. */
struct draft {
    packet_t packet;
    Perfetto__Protos__TrackEvent event;
    Perfetto__Protos__DebugAnnotation annotation[NOTES_MAX], *annotations[NOTES_MAX];
    Perfetto__Protos__InternedData interned;
    Perfetto__Protos__InternedName name, *name_list[1];
    Perfetto__Protos__InternedString place, *place_list[1];
    uint64_t category, flow;
    char text[4 * NAME_COLUMNS + 1];
};

static int packet_write(struct export *export, const packet_t *packet)
{
    struct perfetto *perfetto = export->state;
    size_t size = perfetto__protos__trace_packet__get_packed_size(packet);
    if (size > perfetto->bytes_room) {
        uint8_t *bytes = realloc(perfetto->bytes, size + 4096);
        if (!bytes)
            return -ENOMEM;
        perfetto->bytes = bytes;
        perfetto->bytes_room = size + 4096;
    }
    perfetto__protos__trace_packet__pack(packet, perfetto->bytes);
    uint8_t head[12], *to = head;
    *to++ = 1 << 3 | 2; /* Trace.packet */
    for (uint64_t left = size;; left >>= 7) {
        *to++ = (uint8_t)((left & 127) | (left > 127 ? 128 : 0));
        if (left <= 127)
            break;
    }
    fwrite(head, 1, (size_t)(to - head), export->out);
    fwrite(perfetto->bytes, 1, size, export->out);
    return 0;
}

static void packet_init(packet_t *packet, uint32_t flags)
{
    perfetto__protos__trace_packet__init(packet);
    packet->has_trusted_packet_sequence_id = true;
    packet->trusted_packet_sequence_id = SEQUENCE;
    packet->has_sequence_flags = true;
    packet->sequence_flags = flags;
}

/* The clock of packets, and what has a number from the start. Written when the trace's start is known: not before its
 * first event. */
static int begin_write(struct export *export)
{
    const struct gmpt_trace_info *info = gmpt_trace_info(export->trace);
    Perfetto__Protos__ClockSnapshot__Clock clock[3], *clocks[3];
    const uint64_t times[3][2] = {
        { OWN_CLOCK, 0 },
        { PERFETTO__PROTOS__BUILTIN_CLOCK__BUILTIN_CLOCK_MONOTONIC, (uint64_t)info->start_monotonic_ns },
        { PERFETTO__PROTOS__BUILTIN_CLOCK__BUILTIN_CLOCK_REALTIME, (uint64_t)info->start_realtime_ns },
    };
    for (size_t i = 0; i < 3; i++) {
        perfetto__protos__clock_snapshot__clock__init(&clock[i]);
        clock[i].has_clock_id = clock[i].has_timestamp = true;
        clock[i].clock_id = (uint32_t)times[i][0];
        clock[i].timestamp = times[i][1];
        clocks[i] = &clock[i];
    }
    Perfetto__Protos__ClockSnapshot snapshot = PERFETTO__PROTOS__CLOCK_SNAPSHOT__INIT;
    snapshot.n_clocks = 3;
    snapshot.clocks = clocks;
    snapshot.has_primary_trace_clock = true;
    snapshot.primary_trace_clock = PERFETTO__PROTOS__BUILTIN_CLOCK__BUILTIN_CLOCK_MONOTONIC;

    enum { CATEGORIES = sizeof categories / sizeof categories[0] - 1, NOTES = sizeof notes / sizeof notes[0] - 1 };
    Perfetto__Protos__InternedName name[CATEGORIES + NOTES], *names[CATEGORIES + NOTES];
    for (size_t i = 0; i < CATEGORIES + NOTES; i++) {
        perfetto__protos__interned_name__init(&name[i]);
        name[i].has_iid = true;
        name[i].iid = i < CATEGORIES ? i + 1 : i - CATEGORIES + 1;
        name[i].name = (char *)(i < CATEGORIES ? categories[i + 1] : notes[i - CATEGORIES + 1]);
        names[i] = &name[i];
    }
    Perfetto__Protos__InternedData interned = PERFETTO__PROTOS__INTERNED_DATA__INIT;
    interned.n_event_categories = CATEGORIES;
    interned.event_categories = names;
    interned.n_debug_annotation_names = NOTES;
    interned.debug_annotation_names = names + CATEGORIES;

    Perfetto__Protos__TracePacketDefaults defaults = PERFETTO__PROTOS__TRACE_PACKET_DEFAULTS__INIT;
    defaults.has_timestamp_clock_id = true;
    defaults.timestamp_clock_id = OWN_CLOCK;

    packet_t packet;
    packet_init(&packet, STATE_CLEARED);
    packet.clock_snapshot = &snapshot;
    packet.interned_data = &interned;
    packet.trace_packet_defaults = &defaults;
    return packet_write(export, &packet);
}

/* ---- Tracks ------------------------------------------------------------------------------------------------------ */

/* On the process's own: rank < 0; else below it, those of a rank together. */
static int track_write(struct export *export, uint64_t uuid, uint64_t parent, const char *name, int rank, bool counter)
{
    Perfetto__Protos__TrackDescriptor descriptor = PERFETTO__PROTOS__TRACK_DESCRIPTOR__INIT;
    Perfetto__Protos__CounterDescriptor counts = PERFETTO__PROTOS__COUNTER_DESCRIPTOR__INIT;
    descriptor.has_uuid = true;
    descriptor.uuid = uuid;
    descriptor.has_parent_uuid = true;
    descriptor.parent_uuid = parent;
    descriptor.name = (char *)name;
    descriptor.has_sibling_order_rank = rank >= 0;
    descriptor.sibling_order_rank = rank;
    if (counter) {
        counts.has_unit = true;
        counts.unit = PERFETTO__PROTOS__COUNTER_DESCRIPTOR__UNIT__UNIT_COUNT;
        descriptor.counter = &counts;
    }
    packet_t packet;
    packet_init(&packet, NEEDS_STATE);
    packet.track_descriptor = &descriptor;
    return packet_write(export, &packet);
}

enum { RANK_COUNTERS, RANK_PS, RANK_MS, RANK_TASKS, RANK_RUNTIME, RANK_GS };

static const enum gmpt_g_state counted[] = { GMPT_G_RUNNING, GMPT_G_RUNNABLE, GMPT_G_WAITING, GMPT_G_SYSCALL,
                                             GMPT_G_PREEMPTED };

static int process_write(struct export *export)
{
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
    packet_t packet;
    packet_init(&packet, NEEDS_STATE);
    packet.track_descriptor = &descriptor;
    int result = packet_write(export, &packet);
    for (size_t i = 0; i < sizeof counted / sizeof counted[0] && !result; i++) {
        snprintf(name, sizeof name, "goroutines %s", export_state_name(counted[i]));
        result = track_write(export, track(TRACK_FIXED, FIXED_COUNTER + counted[i], 0), descriptor.uuid, name,
                             RANK_COUNTERS, true);
    }
    return result ? result
                  : track_write(export, track(TRACK_FIXED, FIXED_RUNTIME, 0), descriptor.uuid,
                                "runtime: timers, network poller", RANK_RUNTIME, false);
}

static int begin(struct export *export)
{
    struct perfetto *perfetto = export->state;
    if (perfetto->begun)
        return 0;
    perfetto->begun = true;
    int result = begin_write(export);
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
    return track_write(export, track(TRACK_P, (uint64_t)p, 0), track(TRACK_FIXED, FIXED_PROCESS, 0), name, RANK_PS,
                       false);
}

/* ---- Events ------------------------------------------------------------------------------------------------------ */

static void draft_init(struct draft *draft, int64_t time_ns, uint64_t uuid, int type, enum category category)
{
    packet_init(&draft->packet, NEEDS_STATE);
    perfetto__protos__track_event__init(&draft->event);
    perfetto__protos__interned_data__init(&draft->interned);
    draft->packet.has_timestamp = true;
    draft->packet.timestamp = (uint64_t)time_ns;
    draft->packet.track_event = &draft->event;
    draft->event.has_track_uuid = true;
    draft->event.track_uuid = uuid;
    draft->event.has_type = true;
    draft->event.type = (Perfetto__Protos__TrackEvent__Type)type;
    if (category) {
        draft->category = category;
        draft->event.n_category_iids = 1;
        draft->event.category_iids = &draft->category;
    }
    draft->event.debug_annotations = draft->annotations;
}

static bool name_equal(const void *entry, const void *key_arg)
{
    const struct name *name = entry, *key = key_arg;
    return name->kind == key->kind && name->key == key->key;
}

/* Gives the event its name, by number once it was told. */
static int draft_name(struct export *export, struct draft *draft, enum name_kind kind, uint64_t key, const char *text)
{
    struct perfetto *perfetto = export->state;
    struct name wanted = { kind, key, 0 };
    uint64_t hash = table_mix(key) + (uint64_t)kind;
    if (!text)
        return -ENOMEM;
    if (kind == NAME_STRING)
        text = cli_text(draft->text, sizeof draft->text, text, NAME_COLUMNS);
    struct name *name = table_find(&perfetto->names, hash, name_equal, &wanted);
    if (!name && perfetto->names.count >= NAMES_MAX) {
        draft->event.name = (char *)text;
        return 0;
    }
    if (!name) {
        name = malloc(sizeof *name);
        if (!name)
            return -ENOMEM;
        *name = (struct name){ kind, key, ++perfetto->name_count };
        if (table_insert(&perfetto->names, hash, name)) {
            free(name);
            return -ENOMEM;
        }
        perfetto__protos__interned_name__init(&draft->name);
        draft->name.has_iid = true;
        draft->name.iid = name->iid;
        draft->name.name = (char *)text;
        draft->name_list[0] = &draft->name;
        draft->interned.n_event_names = 1;
        draft->interned.event_names = draft->name_list;
        draft->packet.interned_data = &draft->interned;
    }
    draft->event.has_name_iid = true;
    draft->event.name_iid = name->iid;
    return 0;
}

static Perfetto__Protos__DebugAnnotation *draft_note(struct draft *draft, enum note note)
{
    size_t index = draft->event.n_debug_annotations++;
    Perfetto__Protos__DebugAnnotation *annotation = &draft->annotation[index];
    perfetto__protos__debug_annotation__init(annotation);
    annotation->has_name_iid = true;
    annotation->name_iid = note;
    draft->annotations[index] = annotation;
    return annotation;
}

static void draft_number(struct draft *draft, enum note note, uint64_t number)
{
    Perfetto__Protos__DebugAnnotation *annotation = draft_note(draft, note);
    annotation->has_uint_value = true;
    annotation->uint_value = number;
}

static void draft_object(struct draft *draft, uint64_t object)
{
    Perfetto__Protos__DebugAnnotation *annotation = draft_note(draft, NOTE_OBJECT);
    annotation->has_pointer_value = true;
    annotation->pointer_value = object;
}

/* Says where, by the stack's number once its text was told. */
static int draft_place(struct export *export, struct draft *draft, uint32_t stack)
{
    struct perfetto *perfetto = export->state;
    if (!stack || stack > gmpt_trace_stack_count(export->trace))
        return 0;
    if (stack / 8 >= perfetto->places_room) {
        size_t room = perfetto->places_room ? perfetto->places_room * 2 : 256;
        while (room <= stack / 8)
            room *= 2;
        uint8_t *places = realloc(perfetto->places, room);
        if (!places)
            return -ENOMEM;
        memset(places + perfetto->places_room, 0, room - perfetto->places_room);
        perfetto->places = places;
        perfetto->places_room = room;
    }
    if (!(perfetto->places[stack / 8] & 1 << stack % 8)) {
        const char *text = captions_stack(export->captions, stack);
        if (!text)
            return -ENOMEM;
        perfetto->places[stack / 8] |= (uint8_t)(1 << stack % 8);
        perfetto__protos__interned_string__init(&draft->place);
        draft->place.has_iid = draft->place.has_str = true;
        draft->place.iid = stack;
        draft->place.str = (ProtobufCBinaryData){ .len = strlen(text), .data = (uint8_t *)text };
        draft->place_list[0] = &draft->place;
        draft->interned.n_debug_annotation_string_values = 1;
        draft->interned.debug_annotation_string_values = draft->place_list;
        draft->packet.interned_data = &draft->interned;
    }
    Perfetto__Protos__DebugAnnotation *annotation = draft_note(draft, NOTE_AT);
    annotation->has_string_value_iid = true;
    annotation->string_value_iid = stack;
    return 0;
}

static int end_write(struct export *export, int64_t time_ns, uint64_t uuid)
{
    struct draft draft;
    draft_init(&draft, time_ns, uuid, PERFETTO__PROTOS__TRACK_EVENT__TYPE__TYPE_SLICE_END, 0);
    return packet_write(export, &draft.packet);
}

#define TYPE_BEGIN PERFETTO__PROTOS__TRACK_EVENT__TYPE__TYPE_SLICE_BEGIN
#define TYPE_INSTANT PERFETTO__PROTOS__TRACK_EVENT__TYPE__TYPE_INSTANT

/* ---- What is told ------------------------------------------------------------------------------------------------ */

static int perfetto_open(struct export *export)
{
    export->state = calloc(1, sizeof(struct perfetto));
    return export->state ? 0 : -ENOMEM;
}

static int run_write(struct export *export, const struct export_slice *slice)
{
    const struct gmpt_g *known = gmpt_trace_g(export->trace, slice->g);
    uint64_t uuid = track(TRACK_P, (uint64_t)slice->p, 0);
    struct draft draft;
    int result = track_p(export, slice->p);
    draft_init(&draft, slice->begin_ns, uuid, TYPE_BEGIN, CATEGORY_P);
    draft_number(&draft, NOTE_G, slice->g);
    if (!result)
        result = draft_name(export, &draft, NAME_FUNCTION, known ? known->fn : 0, export_g_function(export, slice->g));
    if (!result)
        result = packet_write(export, &draft.packet);
    return result ? result : end_write(export, slice->end_ns, uuid);
}

static int slice_write(struct export *export, struct export_g *g, const struct export_slice *slice)
{
    uint64_t uuid = track(TRACK_G, slice->g, 0);
    struct draft draft;
    draft_init(&draft, slice->begin_ns, uuid, TYPE_BEGIN, CATEGORY_G);
    bool waits = slice->state == GMPT_G_WAITING, runs = slice->state == GMPT_G_RUNNING;
    int result = draft_name(export, &draft, waits ? NAME_REASON : NAME_STATE, waits ? slice->reason : slice->state,
                            export_slice_name(slice));
    if (runs && slice->p >= 0)
        draft_number(&draft, NOTE_P, (uint64_t)slice->p);
    if (!result)
        result = draft_place(export, &draft, slice->stack);
    if (waits && slice->object)
        draft_object(&draft, slice->object);
    if (waits && slice->bounded) {
        Perfetto__Protos__DebugAnnotation *annotation = draft_note(&draft, NOTE_BOUNDED);
        annotation->has_bool_value = annotation->bool_value = true;
    }
    if (runs && g->flow) {
        draft.flow = g->flow;
        draft.event.n_terminating_flow_ids = 1;
        draft.event.terminating_flow_ids = &draft.flow;
        g->flow = 0;
    }
    if (!result)
        result = packet_write(export, &draft.packet);
    if (!result)
        result = end_write(export, slice->end_ns, uuid);
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
            track_write(export, track(TRACK_G, g->id, 0), track(TRACK_FIXED, FIXED_PROCESS, 0), name, RANK_GS, false);
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
    draft_init(&draft, wakeup->time_ns,
               wakeup->waker ? track(TRACK_G, wakeup->waker, 0) : track(TRACK_FIXED, FIXED_RUNTIME, 0), TYPE_INSTANT,
               CATEGORY_WAKE);
    draft_number(&draft, NOTE_WAKES, g->id);
    draft.flow = g->flow;
    draft.event.n_flow_ids = 1;
    draft.event.flow_ids = &draft.flow;
    if (!result)
        result = draft_name(export, &draft, NAME_WAKES, 0, "wakes");
    return result ? result : packet_write(export, &draft.packet);
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
                        span->task ? "tasks" : "regions", span->task ? RANK_TASKS : -1, false);
    if (g)
        g->lanes |= lane;
    draft_init(&draft, span->begin_ns, uuid, TYPE_BEGIN, span->task ? CATEGORY_TASK : CATEGORY_REGION);
    if (span->id)
        draft_number(&draft, NOTE_TASK, span->id);
    if (span->parent)
        draft_number(&draft, NOTE_PARENT, span->parent);
    draft_number(&draft, NOTE_G, span->g);
    if (!result)
        result = draft_name(export, &draft, NAME_STRING, span->name, gmpt_trace_string(export->trace, span->name));
    if (!result)
        result = packet_write(export, &draft.packet);
    return result ? result : end_write(export, span->end_ns, uuid);
}

static int perfetto_message(struct export *export, struct export_g *g, const struct gmpt_event *event)
{
    char clean[4 * GMPT_LOG_BYTES_MAX + 1];
    struct draft draft;
    int result = g ? introduce(export, g) : begin(export);
    draft_init(&draft, event->time_ns, track(TRACK_G, event->g, 0), TYPE_INSTANT, CATEGORY_MESSAGE);
    draft_note(&draft, NOTE_TEXT)->string_value =
        (char *)cli_text(clean, sizeof clean, gmpt_trace_log_text(export->trace, NULL), GMPT_LOG_BYTES_MAX);
    if (event->user_log.task)
        draft_number(&draft, NOTE_TASK, event->user_log.task);
    if (!result)
        result = draft_name(export, &draft, NAME_STRING, event->user_log.category,
                            gmpt_trace_string(export->trace, event->user_log.category));
    return result ? result : packet_write(export, &draft.packet);
}

static int thread_introduce(struct export *export, uint64_t tid)
{
    struct perfetto *perfetto = export->state;
    uint64_t hash = table_mix(tid);
    char name[32];
    int result = begin(export);
    if (result || table_find(&perfetto->threads, hash, NULL, NULL))
        return result;
    snprintf(name, sizeof name, "M%" PRIu64, tid);
    result = track_write(export, track(TRACK_M, tid, 0), track(TRACK_FIXED, FIXED_PROCESS, 0), name, RANK_MS, false);
    if (!result && perfetto->threads.count < NAMES_MAX)
        result = table_insert(&perfetto->threads, hash, perfetto);
    return result;
}

static int perfetto_sample(struct export *export, const struct export_sample *sample)
{
    struct draft draft;
    int result = thread_introduce(export, sample->tid);
    draft_init(&draft, sample->time_ns, track(TRACK_M, sample->tid, 0), TYPE_INSTANT, CATEGORY_SAMPLE);
    if (sample->g)
        draft_number(&draft, NOTE_G, sample->g);
    if (sample->p >= 0)
        draft_number(&draft, NOTE_P, (uint64_t)sample->p);
    if (!result)
        result = draft_name(export, &draft, NAME_CODE, sample->stack, captions_stack(export->captions, sample->stack));
    return result ? result : packet_write(export, &draft.packet);
}

static int perfetto_hold(struct export *export, const struct export_hold *hold)
{
    uint64_t uuid = track(TRACK_M, hold->tid, 0);
    char name[32];
    struct draft draft;
    int result = thread_introduce(export, hold->tid);
    snprintf(name, sizeof name, "P%d", hold->p);
    draft_init(&draft, hold->begin_ns, uuid, TYPE_BEGIN, CATEGORY_M);
    if (!result)
        result = draft_name(export, &draft, NAME_P, (uint64_t)hold->p, name);
    if (!result)
        result = packet_write(export, &draft.packet);
    return result ? result : end_write(export, hold->end_ns, uuid);
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
    return track_write(export, track(TRACK_CPU, thread->tid, 0), track(TRACK_M, thread->tid, 0), name, -1, false);
}

static int perfetto_oncpu(struct export *export, struct export_thread *thread, const struct export_oncpu *on)
{
    uint64_t uuid = track(TRACK_CPU, thread->tid, 0);
    struct draft draft;
    int result = cpu_introduce(export, thread);
    draft_init(&draft, on->begin_ns, uuid, TYPE_BEGIN, CATEGORY_ONCPU);
    if (on->cpu_known)
        draft_number(&draft, NOTE_CPU, on->cpu);
    if (thread->flow) {
        draft.flow = thread->flow;
        draft.event.n_terminating_flow_ids = 1;
        draft.event.terminating_flow_ids = &draft.flow;
        thread->flow = 0;
    }
    if (!result)
        result = draft_name(export, &draft, NAME_CPU, on->until_known,
                            on->until_known ? "on a CPU" : "on a CPU, then not told");
    if (!result)
        result = packet_write(export, &draft.packet);
    return result ? result : end_write(export, on->end_ns, uuid);
}

/* Who had the CPU meanwhile: a thread of the program by its number, other programs by name. */
static void draft_task(struct export *export, struct draft *draft, enum note note, const struct kernel_task *task,
                       char text[KERNELWORDS_PROGRAM_BYTES])
{
    uint32_t own_pid = gmpt_trace_info(export->trace)->pid;
    if (!task->tid)
        return;
    if (task->pid == own_pid || task->g)
        snprintf(text, KERNELWORDS_PROGRAM_BYTES, "M%" PRIu32, task->tid);
    else
        kernelwords_program(task->pid, task->name, own_pid, text);
    draft_note(draft, note)->string_value = text;
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
    draft_init(&draft, off->able_ns, uuid, TYPE_BEGIN, CATEGORY_QUEUE);
    if (off->g)
        draft_number(&draft, NOTE_G, off->g);
    if (off->told->by_known) {
        draft_number(&draft, NOTE_CPU, off->told->cpu_to);
        draft_task(export, &draft, NOTE_BY, &off->told->most, by);
    }
    int result = draft_name(export, &draft, NAME_QUEUE, stopped ? off->told->why : GMPT_KERNEL_BLOCKED,
                            stopped ? kernelwords_why(off->told, call) : "in the run queue");
    if (!result && stopped)
        result = draft_place(export, &draft, off->told->stack);
    if (!result)
        result = packet_write(export, &draft.packet);
    return result ? result : end_write(export, off->end_ns, uuid);
}

static int wake_write(struct export *export, struct export_thread *thread, const struct export_offcpu *off)
{
    struct perfetto *perfetto = export->state;
    uint64_t object = export_off_object(off->told);
    struct draft draft;
    int result = cpu_introduce(export, off->waker);
    thread->flow = ++perfetto->flows;
    draft_init(&draft, off->able_ns, track(TRACK_CPU, off->waker->tid, 0), TYPE_INSTANT, CATEGORY_WAKE);
    draft_number(&draft, NOTE_WAKES, thread->tid);
    if (object)
        draft_object(&draft, object);
    draft.flow = thread->flow;
    draft.event.n_flow_ids = 1;
    draft.event.flow_ids = &draft.flow;
    if (!result)
        result = draft_name(export, &draft, NAME_WAKES, 0, "wakes");
    return result ? result : packet_write(export, &draft.packet);
}

static int perfetto_offcpu(struct export *export, struct export_thread *thread, const struct export_offcpu *off)
{
    uint64_t uuid = track(TRACK_CPU, thread->tid, 0), object = export_off_object(off->told);
    char call[KERNELWORDS_CALL_BYTES], by[KERNELWORDS_PROGRAM_BYTES];
    struct draft draft;
    int result = cpu_introduce(export, thread);
    if (result || off->begin_ns == off->able_ns)
        return result ? result : queue_write(export, thread, off);
    draft_init(&draft, off->begin_ns, uuid, TYPE_BEGIN, CATEGORY_OFFCPU);
    if (off->g)
        draft_number(&draft, NOTE_G, off->g);
    if (object)
        draft_object(&draft, object);
    if (off->told->able_known)
        draft_task(export, &draft, NOTE_WOKEN_BY, &off->told->waker, by);
    result = draft_place(export, &draft, off->told->stack);
    if (!result)
        result = draft_name(export, &draft, NAME_WHY, (uint64_t)off->told->why << 32 | (uint32_t)off->told->call,
                            kernelwords_why(off->told, call));
    if (!result)
        result = packet_write(export, &draft.packet);
    if (!result)
        result = end_write(export, off->able_ns, uuid);
    if (!result && off->waker)
        result = wake_write(export, thread, off);
    return result ? result : queue_write(export, thread, off);
}

static int perfetto_counts(struct export *export, const struct export_counts *counts)
{
    int result = begin(export);
    for (size_t i = 0; i < sizeof counted / sizeof counted[0] && !result; i++) {
        struct draft draft;
        draft_init(&draft, counts->time_ns, track(TRACK_FIXED, FIXED_COUNTER + counted[i], 0),
                   PERFETTO__PROTOS__TRACK_EVENT__TYPE__TYPE_COUNTER, 0);
        draft.event.has_counter_value = true;
        draft.event.counter_value = (int64_t)counts->gs[counted[i]];
        result = packet_write(export, &draft.packet);
    }
    return result;
}

static int perfetto_finish(struct export *export) { return begin(export); }

static void perfetto_close(struct export *export)
{
    struct perfetto *perfetto = export->state;
    if (!perfetto)
        return;
    for (size_t i = 0; perfetto->names.slots && i <= perfetto->names.mask; i++)
        free(perfetto->names.slots[i].entry);
    table_clear(&perfetto->names);
    table_clear(&perfetto->threads);
    free(perfetto->places);
    free(perfetto->bytes);
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
    .counts = perfetto_counts,
    .finish = perfetto_finish,
    .close = perfetto_close,
};
