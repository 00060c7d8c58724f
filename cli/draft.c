/* See draft.h. */
#include "draft.h"

#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define OWN_CLOCK 64
#define NAMES_MAX 65536 /* further ones are spelled out in their packets */

static const char *const categories[] = { NULL,     "goroutine", "processor", "thread", "task",   "region",
                                          "message", "wakeup",    "sample",    "oncpu",  "offcpu", "runqueue" };

static const char *const notes[] = { NULL,   "g",    "p",      "at",    "object", "bounded", "text",
                                     "task", "parent", "wakes", "cpu",    "by",      "woken_by" };

struct name {
    enum draft_name kind;
    uint64_t key;
    uint64_t iid;
};

int drafts_begin(struct drafts *drafts)
{
    const struct gmpt_trace_info *info = gmpt_trace_info(drafts->trace);
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

    Perfetto__Protos__TracePacket packet;
    packets_init(&packet, PACKETS_STATE_CLEARED);
    packet.clock_snapshot = &snapshot;
    packet.interned_data = &interned;
    packet.trace_packet_defaults = &defaults;
    return packets_write(drafts->packets, &packet);
}

void draft_init(struct draft *draft, struct drafts *drafts, int64_t time_ns, uint64_t uuid,
                Perfetto__Protos__TrackEvent__Type type, enum draft_category category)
{
    draft->drafts = drafts;
    packets_init(&draft->packet, PACKETS_NEEDS_STATE);
    perfetto__protos__track_event__init(&draft->event);
    perfetto__protos__interned_data__init(&draft->interned);
    draft->packet.has_timestamp = true;
    draft->packet.timestamp = (uint64_t)time_ns;
    draft->packet.track_event = &draft->event;
    draft->event.has_track_uuid = true;
    draft->event.track_uuid = uuid;
    draft->event.has_type = true;
    draft->event.type = type;
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

int draft_name(struct draft *draft, enum draft_name kind, uint64_t key, const char *text)
{
    struct drafts *drafts = draft->drafts;
    struct name wanted = { kind, key, 0 };
    uint64_t hash = table_mix(key) + (uint64_t)kind;
    if (!text)
        return -ENOMEM;
    if (kind == DRAFT_NAME_STRING)
        text = cli_text(draft->text, sizeof draft->text, text, DRAFT_NAME_COLUMNS);
    struct name *name = table_find(&drafts->names, hash, name_equal, &wanted);
    if (!name && drafts->names.count >= NAMES_MAX) {
        draft->event.name = (char *)text;
        return 0;
    }
    if (!name) {
        name = malloc(sizeof *name);
        if (!name)
            return -ENOMEM;
        *name = (struct name){ kind, key, ++drafts->name_count };
        if (table_insert(&drafts->names, hash, name)) {
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

static Perfetto__Protos__DebugAnnotation *note_add(struct draft *draft, enum draft_note note)
{
    size_t index = draft->event.n_debug_annotations++;
    Perfetto__Protos__DebugAnnotation *annotation = &draft->annotation[index];
    perfetto__protos__debug_annotation__init(annotation);
    annotation->has_name_iid = true;
    annotation->name_iid = note;
    draft->annotations[index] = annotation;
    return annotation;
}

void draft_number(struct draft *draft, enum draft_note note, uint64_t number)
{
    Perfetto__Protos__DebugAnnotation *annotation = note_add(draft, note);
    annotation->has_uint_value = true;
    annotation->uint_value = number;
}

void draft_true(struct draft *draft, enum draft_note note)
{
    Perfetto__Protos__DebugAnnotation *annotation = note_add(draft, note);
    annotation->has_bool_value = annotation->bool_value = true;
}

void draft_text(struct draft *draft, enum draft_note note, const char *text)
{
    note_add(draft, note)->string_value = (char *)text;
}

void draft_object(struct draft *draft, uint64_t object)
{
    Perfetto__Protos__DebugAnnotation *annotation = note_add(draft, DRAFT_NOTE_OBJECT);
    annotation->has_pointer_value = true;
    annotation->pointer_value = object;
}

int draft_place(struct draft *draft, uint32_t stack)
{
    struct drafts *drafts = draft->drafts;
    if (!stack || stack > gmpt_trace_stack_count(drafts->trace))
        return 0;
    if (stack / 8 >= drafts->places_room) {
        size_t room = drafts->places_room ? drafts->places_room * 2 : 256;
        while (room <= stack / 8)
            room *= 2;
        uint8_t *places = realloc(drafts->places, room);
        if (!places)
            return -ENOMEM;
        memset(places + drafts->places_room, 0, room - drafts->places_room);
        drafts->places = places;
        drafts->places_room = room;
    }
    if (!(drafts->places[stack / 8] & 1 << stack % 8)) {
        const char *text = captions_stack(drafts->captions, stack);
        if (!text)
            return -ENOMEM;
        drafts->places[stack / 8] |= (uint8_t)(1 << stack % 8);
        perfetto__protos__interned_string__init(&draft->place);
        draft->place.has_iid = draft->place.has_str = true;
        draft->place.iid = stack;
        draft->place.str = (ProtobufCBinaryData){ .len = strlen(text), .data = (uint8_t *)text };
        draft->place_list[0] = &draft->place;
        draft->interned.n_debug_annotation_string_values = 1;
        draft->interned.debug_annotation_string_values = draft->place_list;
        draft->packet.interned_data = &draft->interned;
    }
    Perfetto__Protos__DebugAnnotation *annotation = note_add(draft, DRAFT_NOTE_AT);
    annotation->has_string_value_iid = true;
    annotation->string_value_iid = stack;
    return 0;
}

void draft_flow_begin(struct draft *draft, uint64_t flow)
{
    draft->flow = flow;
    draft->event.n_flow_ids = 1;
    draft->event.flow_ids = &draft->flow;
}

void draft_flow_end(struct draft *draft, uint64_t flow)
{
    draft->flow = flow;
    draft->event.n_terminating_flow_ids = 1;
    draft->event.terminating_flow_ids = &draft->flow;
}

int draft_write(struct draft *draft) { return packets_write(draft->drafts->packets, &draft->packet); }

int draft_end(struct drafts *drafts, int64_t time_ns, uint64_t uuid)
{
    struct draft draft;
    draft_init(&draft, drafts, time_ns, uuid, PERFETTO__PROTOS__TRACK_EVENT__TYPE__TYPE_SLICE_END, 0);
    return draft_write(&draft);
}

int draft_value(struct drafts *drafts, int64_t time_ns, uint64_t uuid, int64_t value)
{
    struct draft draft;
    draft_init(&draft, drafts, time_ns, uuid, PERFETTO__PROTOS__TRACK_EVENT__TYPE__TYPE_COUNTER, 0);
    draft.event.has_counter_value = true;
    draft.event.counter_value = value;
    return draft_write(&draft);
}

void drafts_close(struct drafts *drafts)
{
    for (size_t i = 0; drafts->names.slots && i <= drafts->names.mask; i++)
        free(drafts->names.slots[i].entry);
    table_clear(&drafts->names);
    free(drafts->places);
}
