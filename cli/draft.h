/* What happens on Perfetto's tracks: slices begin and end, instants, values of counters. Each is a packet that is
 * drafted here and written.
 *
 * Names and places are told once, in the packet that needs them first. A packet's time is the sequence's own clock,
 * nanoseconds since the trace's start, which is shorter; a snapshot ties it to CLOCK_MONOTONIC, the clock of the
 * whole. */
#ifndef GMPT_DRAFT_H
#define GMPT_DRAFT_H

#include "captions.h"
#include "packets.h"

#include "trace/table.h"

#define DRAFT_NAME_COLUMNS 120
#define DRAFT_NOTES_MAX 5 /* that an event has at most */

enum draft_category {
    DRAFT_CATEGORY_G = 1,
    DRAFT_CATEGORY_P,
    DRAFT_CATEGORY_M,
    DRAFT_CATEGORY_TASK,
    DRAFT_CATEGORY_REGION,
    DRAFT_CATEGORY_MESSAGE,
    DRAFT_CATEGORY_WAKE,
    DRAFT_CATEGORY_SAMPLE,
    DRAFT_CATEGORY_ONCPU,
    DRAFT_CATEGORY_OFFCPU,
    DRAFT_CATEGORY_QUEUE
};

enum draft_note {
    DRAFT_NOTE_G = 1,
    DRAFT_NOTE_P,
    DRAFT_NOTE_AT,
    DRAFT_NOTE_OBJECT,
    DRAFT_NOTE_BOUNDED,
    DRAFT_NOTE_TEXT,
    DRAFT_NOTE_TASK,
    DRAFT_NOTE_PARENT,
    DRAFT_NOTE_WAKES,
    DRAFT_NOTE_CPU,
    DRAFT_NOTE_BY,
    DRAFT_NOTE_WOKEN_BY
};

/* What an event's name is, which makes its number: the number of a string, an address, a reason, ... */
enum draft_name {
    DRAFT_NAME_STATE,
    DRAFT_NAME_REASON,
    DRAFT_NAME_FUNCTION,
    DRAFT_NAME_STRING,
    DRAFT_NAME_P,
    DRAFT_NAME_WAKES,
    DRAFT_NAME_CODE,
    DRAFT_NAME_WHY,
    DRAFT_NAME_QUEUE,
    DRAFT_NAME_CPU
};

/* Zero-initialised but for what is not its own. */
struct drafts {
    struct packets *packets;
    struct gmpt_trace *trace;
    struct captions *captions;
    /* Its own: */
    struct table names;
    uint64_t name_count;
    uint8_t *places; /* a bit for each stack whose text was told */
    size_t places_room;
};

/* An event in the making, with room for what it can have; it is on the writer's stack. */
struct draft {
    struct drafts *drafts;
    Perfetto__Protos__TracePacket packet;
    Perfetto__Protos__TrackEvent event;
    Perfetto__Protos__DebugAnnotation annotation[DRAFT_NOTES_MAX], *annotations[DRAFT_NOTES_MAX];
    Perfetto__Protos__InternedData interned;
    Perfetto__Protos__InternedName name, *name_list[1];
    Perfetto__Protos__InternedString place, *place_list[1];
    uint64_t category, flow;
    char text[4 * DRAFT_NAME_COLUMNS + 1];
};

/* The clock of packets, and what has a number from the start: to be written when the trace's start is known, which is
 * not before its first event. This and what follows returns 0 or -ENOMEM. */
int drafts_begin(struct drafts *drafts);
void drafts_close(struct drafts *drafts);

/* category: 0 = it has none */
void draft_init(struct draft *draft, struct drafts *drafts, int64_t time_ns, uint64_t uuid,
                Perfetto__Protos__TrackEvent__Type type, enum draft_category category);
int draft_write(struct draft *draft);

/* Gives the event its name, by number once it was told. text NULL: there is no memory for it. */
int draft_name(struct draft *draft, enum draft_name kind, uint64_t key, const char *text);
void draft_number(struct draft *draft, enum draft_note note, uint64_t number);
void draft_true(struct draft *draft, enum draft_note note);
void draft_text(struct draft *draft, enum draft_note note, const char *text); /* which lives until it is written */
void draft_object(struct draft *draft, uint64_t object);
/* Says where, by the stack's number once its text was told; 0 = not known. */
int draft_place(struct draft *draft, uint32_t stack);
/* An arrow begins, or ends, here. */
void draft_flow_begin(struct draft *draft, uint64_t flow);
void draft_flow_end(struct draft *draft, uint64_t flow);

/* The end of the slice that began on that track last; the value that a counter has from then on. */
int draft_end(struct drafts *drafts, int64_t time_ns, uint64_t uuid);
int draft_value(struct drafts *drafts, int64_t time_ns, uint64_t uuid, int64_t value);

#endif
