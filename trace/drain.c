/* Takes records out of a segment's rings. See drain.h for the rounds and ring.h for the producer's side.
 *
 * | word          | order here | so that (letters as in ring.h)                                                     |
 * |---------------|------------|------------------------------------------------------------------------------------|
 * | commit        | acquire, A | the bytes of the records that it counts are there                                  |
 * | opened        | acquire, B | the head of the newest sub-buffer and the last commit of the one before are there  |
 * | consumed      | release, C | all copying out of sub-buffers below it is over, and what they had is written      |
 * | stacks_used   | acquire, D | the words below it are there; read after A, whose records name the stacks          |
 * | dictionary_   | acquire, E | likewise, of the dictionary's (B in dictionary.h)                                  |
 * |  used         |            |                                                                                    |
 *
 * 1. A sub-buffer below opened - 1 is closed: its commit word is final.
 * 2. A part of a sub-buffer ends with a whole record, since the commit word moves by whole records, and the state that
 *    the next part starts from (time, current G, its transition number, thread) is carried in the cursor.
 * 3. A `lost` record is the first of its sub-buffer and brings the sum of the markers up to the head's lost_before.
 * 4. Every load that a check depends on is a copy, made once, behind a compiler barrier. */
#define _GNU_SOURCE
#include "drain.h"

#include "dictionary.h"
#include "format.h"
#include "leb.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECORDS_MAX_BYTES (SUBBUFFER_BYTES - (uint32_t)sizeof(struct subbuffer))
#define RECORD_MIN_BYTES 2 /* a code and a delta */
#define PARTS_MAX 8192
#define STACK_SLICE_WORDS 8192u
#define FRAME_SOFT_BYTES (FORMAT_FRAME_MAX / 2)

/* What the records of a ring imply, as it is after the last one that was read. */
struct drain_state {
    uint64_t ticks, current_g;
    uint32_t current_seq, tid;
};

struct drain_cursor {
    uint64_t sequence; /* the sub-buffer to read next, or whose first part has been read */
    uint64_t released; /* what `consumed` says */
    uint32_t resumed;  /* of sub-buffer `sequence`, which has not begun, a file has the records up to this offset */
    uint32_t stacks_known;
    uint64_t goal;     /* `opened` as the round began */
    bool round_done;
    bool cut;      /* this round leaves records of sub-buffer `sequence`: they are too late */
    bool begun;    /* offset, records, lost_before and state belong to sub-buffer `sequence` */
    bool skipping; /* its rest does not hold together */
    bool inexact;  /* a part was left out, or losses were not accounted for: their check says no more */
    bool broken;   /* the control block does not hold together: the ring is not read any more */
    bool turned;   /* a sub-buffer of the epoch has been seen */
    bool over;     /* one of a later epoch has been seen, up to which lost_end were lost; it is left alone */
    uint64_t lost_end;
    uint64_t lost_base; /* lost before that one, in earlier epochs; valid when turned */
    uint32_t offset, records, epoch;
    uint64_t lost_before;
    struct drain_state state;
    uint64_t kept, marked, dropped;
    uint64_t stack_words; /* read so far */
    uint32_t stack_entries;
    bool stacks_broken;
};

struct drain_part {
    struct writer_events events;
    size_t start; /* of its bytes in the batch */
    uint32_t epoch;
};

struct drain {
    const struct segment *segment;
    uint32_t first_epoch, epoch; /* of the recording; the newest */
    bool leave_tables;
    uint64_t until_ticks;
    uint64_t dictionary_words; /* read so far */
    uint32_t dictionary_entries;
    bool dictionary_broken;
    uint32_t modules_read;
    bool modules_broken;
    uint32_t names_known;
    bool crowded;
    bool keeping; /* nothing is given back */
    uint64_t last_ticks;
    uint64_t damaged;
    char damage[160];
    struct drain_cursor *cursors;
    struct drain_part *parts;
    uint32_t part_count;
    size_t batch_used;
    uint8_t *batch;
    uint64_t slice[STACK_SLICE_WORDS];
};

/* One more than the number of fields, by code; 0 = no such event. */
static const uint8_t record_shape[256] = {
#define EVENT(code, name, doc) [code] = 1
#define FIELD(kind, name, doc) +1
#define END ,
#include <gmptrace/events.def>
};

static void damage_add(struct drain *drain, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void damage_add(struct drain *drain, const char *format, ...)
{
    if (drain->damaged++)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(drain->damage, sizeof drain->damage, format, args);
    va_end(args);
}

/* Without the barrier the compiler may read the shared bytes a second time, after they were checked. */
static void copy_out(void *to, const void *from, size_t size)
{
    memcpy(to, from, size);
    __asm__ volatile("" : : "r"(to) : "memory");
}

struct drain *drain_open(const struct segment *segment, uint32_t epoch, bool from_now)
{
    struct drain *drain = calloc(1, sizeof *drain);
    if (!drain)
        return NULL;
    drain->segment = segment;
    drain->first_epoch = drain->epoch = epoch;
    drain->until_ticks = UINT64_MAX;
    drain->cursors = calloc(segment->ring_count, sizeof *drain->cursors);
    drain->parts = calloc(PARTS_MAX, sizeof *drain->parts);
    drain->batch = malloc(DRAIN_BATCH_BYTES);
    if (!drain->cursors || !drain->parts || !drain->batch) {
        drain_close(drain);
        errno = ENOMEM;
        return NULL;
    }
    for (uint32_t ring = 0; ring < segment->ring_count; ring++) {
        struct segment_ring *control = &segment->rings[ring];
        if (from_now)
            store_release(&control->consumed, load_acquire(&control->opened));
        drain->cursors[ring].sequence = drain->cursors[ring].released = load_relaxed(&control->consumed);
        drain->cursors[ring].inexact = !from_now && drain->cursors[ring].sequence != 0;
    }
    return drain;
}

void drain_turn(struct drain *drain, uint32_t epoch)
{
    drain->first_epoch = drain->epoch = epoch;
    drain->dictionary_words = 0;
    drain->dictionary_entries = drain->modules_read = 0;
    drain->dictionary_broken = drain->modules_broken = false;
    drain->damaged = 0;
    for (uint32_t ring = 0; ring < drain->segment->ring_count; ring++) {
        struct drain_cursor before = drain->cursors[ring];
        drain->cursors[ring] = (struct drain_cursor){ .sequence = before.sequence,
                                                         .released = before.released,
                                                         .broken = before.broken };
    }
}

int drain_resume(struct drain *drain, const struct drain_place *places, uint32_t names)
{
    drain->keeping = true;
    drain->names_known = names;
    for (uint32_t ring = 0; ring < drain->segment->ring_count; ring++) {
        const struct drain_place *place = &places[ring];
        struct drain_cursor *cursor = &drain->cursors[ring];
        cursor->stacks_known = place->stacks;
        if (!place->known)
            continue;
        if (place->offset > RECORDS_MAX_BYTES || place->sequence >= load_acquire(&drain->segment->rings[ring].opened))
            return -EPROTO;
        /* What was given back had been written, so a place before it is the end of the last sub-buffer that was. */
        if (place->sequence >= cursor->sequence) {
            cursor->sequence = place->sequence;
            cursor->resumed = (uint32_t)place->offset;
        }
        cursor->inexact = false;
        cursor->turned = true;
        cursor->lost_base = load_relaxed(&drain->segment->rings[ring].lost_base);
        cursor->kept = place->kept;
        cursor->marked = place->marked;
    }
    return 0;
}

void drain_continue(struct drain *drain, uint32_t epoch) { drain->epoch = epoch; }

void drain_leave_tables(struct drain *drain) { drain->leave_tables = true; }

void drain_until(struct drain *drain, uint64_t ticks) { drain->until_ticks = ticks; }

void drain_close(struct drain *drain)
{
    if (!drain)
        return;
    free(drain->cursors);
    free(drain->parts);
    free(drain->batch);
    free(drain);
}

/* ---- Rounds ----------------------------------------------------------------------------------------------------- */

static void cursor_move(struct drain_cursor *cursor, uint64_t sequence)
{
    cursor->sequence = sequence;
    cursor->begun = cursor->skipping = false;
    cursor->offset = cursor->records = cursor->resumed = 0;
}

void drain_begin(struct drain *drain)
{
    uint32_t subbuffers = drain->segment->subbuffers;
    drain->crowded = false;
    for (uint32_t ring = 0; ring < drain->segment->ring_count; ring++) {
        struct drain_cursor *cursor = &drain->cursors[ring];
        uint64_t opened = load_acquire(&drain->segment->rings[ring].opened); /* B */
        if (!cursor->broken && opened < cursor->sequence) {
            damage_add(drain, "ring %u says that %llu sub-buffers were begun, after %llu had been read", ring,
                       (unsigned long long)opened, (unsigned long long)cursor->sequence);
            cursor->broken = true;
        }
        cursor->round_done = cursor->broken || cursor->over || opened == cursor->sequence;
        cursor->goal = opened;
        cursor->cut = false;
        if (cursor->round_done)
            continue;
        if (opened - cursor->sequence > subbuffers) {
            damage_add(drain, "ring %u says that %llu sub-buffers wait in it; it has %u", ring,
                       (unsigned long long)(opened - cursor->sequence), subbuffers);
            cursor_move(cursor, opened - subbuffers);
            cursor->inexact = true;
        }
        if ((opened - cursor->released) * 4 > subbuffers + 4)
            drain->crowded = true;
    }
}

/* Reads the head of the cursor's sub-buffer. */
static bool subbuffer_begin(struct drain *drain, uint32_t ring)
{
    struct drain_cursor *cursor = &drain->cursors[ring];
    struct subbuffer head;
    copy_out(&head, segment_subbuffer(drain->segment, ring, cursor->sequence), sizeof head);
    if (head.magic != SUBBUFFER_MAGIC || head.ring != ring || head.sequence != cursor->sequence) {
        damage_add(drain, "ring %u, sub-buffer %llu: its head is not that of this sub-buffer", ring,
                   (unsigned long long)cursor->sequence);
        return false;
    }
    uint64_t lost_earlier = head.lost_before > head.lost_marked ? head.lost_before - head.lost_marked : 0;
    if (head.epoch - drain->first_epoch > drain->epoch - drain->first_epoch) {
        /* Of another recording: the last records of one before, which came while this one began, or the next one's. */
        cursor->skipping = true;
        cursor->over = (int32_t)(head.epoch - drain->epoch) > 0;
        cursor->lost_end = lost_earlier;
        return true;
    }
    if (!cursor->turned) {
        cursor->turned = true;
        cursor->lost_base = lost_earlier;
        store_relaxed(&drain->segment->rings[ring].lost_base, lost_earlier);
    }
    cursor->offset = cursor->records = 0;
    cursor->lost_before = head.lost_before - cursor->lost_base;
    cursor->epoch = head.epoch;
    cursor->state = (struct drain_state){ head.base_ticks, head.current_g, head.current_seq, head.tid };
    cursor->begun = true;
    return true;
}

/* Reads one record and does to the state what it implies. Returns the byte after it, or NULL with *why. */
static inline const uint8_t *record_walk(const uint8_t *p, const uint8_t *end, struct drain_cursor *cursor,
                                         const char **why)
{
    struct drain_state *state = &cursor->state;
    uint8_t code = *p++;
    uint64_t delta, field[GMPT_EVENT_FIELDS_MAX];
    unsigned fields = record_shape[code];
    if (fields == 0) {
        *why = "there is no such event";
        return NULL;
    }
    p = leb_get(p, end, &delta);
    for (unsigned i = 0; p && i + 1 < fields; i++)
        p = leb_get(p, end, &field[i]);
    if (!p) {
        *why = "a record is cut off or has a number that is too long";
        return NULL;
    }
    state->ticks += delta;
    switch (code) {
    case GMPT_EVENT_lost:
        cursor->marked += field[0];
        cursor->kept--;
        break;
    case GMPT_EVENT_proc_start:
        state->current_g = state->current_seq = 0;
        state->tid = (uint32_t)field[0];
        break;
    case GMPT_EVENT_go_start:
    case GMPT_EVENT_syscall_resume:
    case GMPT_EVENT_go_attach:
        state->current_g = field[0];
        state->current_seq = (uint32_t)field[1];
        break;
    case GMPT_EVENT_proc_stop:
    case GMPT_EVENT_go_yield:
    case GMPT_EVENT_go_preempt:
    case GMPT_EVENT_go_preempt_async:
    case GMPT_EVENT_go_detach:
    case GMPT_EVENT_go_block:
    case GMPT_EVENT_go_exit:
        state->current_g = state->current_seq = 0;
        break;
    case GMPT_EVENT_syscall_begin:
    case GMPT_EVENT_syscall_end:
        state->current_seq++;
        break;
    default:
        break;
    }
    cursor->kept++;
    return p;
}

/* Whether the record at p is of a later time than the round takes; what is no record is not. */
static bool is_too_late(const struct drain *drain, const struct drain_state *state, const uint8_t *p,
                        const uint8_t *end)
{
    uint64_t delta;
    return leb_get(p + 1, end, &delta) && state->ticks + delta > drain->until_ticks;
}

/* Walks the size bytes at bytes, which should be count records, up to the first that is too late. Returns the bytes of
 * those that hold together and their number in *walked. */
static size_t part_walk(struct drain *drain, uint32_t ring, const uint8_t *bytes, size_t size, uint32_t count,
                        uint32_t *walked)
{
    struct drain_cursor *cursor = &drain->cursors[ring];
    const uint8_t *p = bytes, *end = bytes + size;
    const char *why = NULL;
    uint32_t done = 0;
    while (p < end && done < count) {
        cursor->cut = drain->until_ticks != UINT64_MAX && is_too_late(drain, &cursor->state, p, end);
        if (cursor->cut)
            break;
        struct drain_state before = cursor->state;
        const uint8_t *next = record_walk(p, end, cursor, &why);
        if (!next) {
            cursor->state = before;
            break;
        }
        p = next;
        done++;
    }
    if (!why && !cursor->cut && (p != end || done != count))
        why = "there are more or fewer records than were committed";
    if (why) {
        damage_add(drain, "ring %u, sub-buffer %llu, offset %llu: %s", ring, (unsigned long long)cursor->sequence,
                   (unsigned long long)(cursor->offset + (size_t)(p - bytes)), why);
        cursor->dropped += count - done;
        cursor->skipping = cursor->inexact = true;
    }
    *walked = done;
    return (size_t)(p - bytes);
}

/* Walks the records of the cursor's sub-buffer that a file has already, for what they do to the state; they are counted
 * by the file's places. */
static void resumed_walk(struct drain *drain, uint32_t ring, const uint8_t *records, uint32_t committed_bytes)
{
    struct drain_cursor *cursor = &drain->cursors[ring];
    uint64_t kept = cursor->kept, marked = cursor->marked;
    const uint8_t *p = drain->batch + drain->batch_used, *end = p + cursor->resumed;
    const char *why = NULL;
    if (cursor->resumed <= committed_bytes)
        copy_out(drain->batch + drain->batch_used, records, cursor->resumed);
    else
        why = "it ends before the place up to which the file has it";
    while (!why && p < end) {
        p = record_walk(p, end, cursor, &why);
        cursor->records++;
    }
    cursor->kept = kept;
    cursor->marked = marked;
    cursor->offset = cursor->resumed;
    cursor->resumed = 0;
    if (!why)
        return;
    damage_add(drain, "ring %u, sub-buffer %llu, in what the file has of it: %s", ring,
               (unsigned long long)cursor->sequence, why);
    cursor->skipping = cursor->inexact = true;
}

/* After the first part of a sub-buffer: the markers up to here account for every loss before it (3). */
static void losses_check(struct drain *drain, uint32_t ring)
{
    struct drain_cursor *cursor = &drain->cursors[ring];
    if (cursor->marked == cursor->lost_before || cursor->inexact)
        return;
    damage_add(drain, "ring %u, sub-buffer %llu: %llu records were lost before it, but the markers tell of %llu", ring,
               (unsigned long long)cursor->sequence, (unsigned long long)cursor->lost_before,
               (unsigned long long)cursor->marked);
    cursor->inexact = true;
}

/* Takes what is committed in the cursor's sub-buffer into the batch. Returns false when the batch has no room. */
static bool subbuffer_take(struct drain *drain, uint32_t ring)
{
    struct drain_cursor *cursor = &drain->cursors[ring];
    if (cursor->skipping)
        return true;
    if (!cursor->begun && !subbuffer_begin(drain, ring))
        cursor->skipping = cursor->inexact = true;
    if (cursor->skipping)
        return true;
    const struct subbuffer *shared = segment_subbuffer(drain->segment, ring, cursor->sequence);
    uint64_t commit = load_acquire(&shared->commit); /* A */
    uint32_t bytes = (uint32_t)commit, records = (uint32_t)(commit >> 32);
    if (cursor->resumed) {
        if (drain->batch_used + cursor->resumed > DRAIN_BATCH_BYTES)
            return false;
        resumed_walk(drain, ring, (const uint8_t *)(shared + 1), bytes);
        if (cursor->skipping)
            return true;
    }
    if (bytes == cursor->offset && records == cursor->records)
        return true;
    if (bytes > RECORDS_MAX_BYTES || bytes < cursor->offset || records < cursor->records ||
        (uint64_t)(records - cursor->records) * RECORD_MIN_BYTES > bytes - cursor->offset) {
        damage_add(drain, "ring %u, sub-buffer %llu: %u records in %u bytes cannot have been committed", ring,
                   (unsigned long long)cursor->sequence, records, bytes);
        cursor->skipping = cursor->inexact = true;
        return true;
    }
    size_t size = bytes - cursor->offset;
    uint32_t count = records - cursor->records;
    size_t limit = drain->crowded ? DRAIN_BATCH_BYTES : DRAIN_BATCH_USUAL_BYTES;
    if (drain->batch_used + size > limit || drain->part_count == PARTS_MAX)
        return false;

    struct drain_part *part = &drain->parts[drain->part_count];
    uint8_t *to = drain->batch + drain->batch_used;
    copy_out(to, (const uint8_t *)(shared + 1) + cursor->offset, size);
    part->start = drain->batch_used;
    part->epoch = cursor->epoch;
    part->events = (struct writer_events){
        .ring = ring,
        .sequence = cursor->sequence,
        .offset = cursor->offset,
        .base_ticks = cursor->state.ticks,
        .current_g = cursor->state.current_g,
        .current_seq = cursor->state.current_seq,
        .tid = cursor->state.tid,
        .lost_before = cursor->lost_before,
    };
    part->events.size = part_walk(drain, ring, to, size, count, &part->events.count);
    if (cursor->offset == 0 && part->events.count > 0)
        losses_check(drain, ring);
    cursor->offset = cursor->cut ? cursor->offset + (uint32_t)part->events.size : bytes;
    cursor->records = cursor->cut ? cursor->records + part->events.count : records;
    if (cursor->state.ticks > drain->last_ticks)
        drain->last_ticks = cursor->state.ticks;
    if (part->events.count > 0) {
        drain->batch_used += part->events.size;
        drain->part_count++;
    }
    return true;
}

/* The ring whose next records are the oldest, or -1 when the round is done. Frames of a long round are then nearly in
 * order of time; the head is read without checks since nothing but the order depends on it. */
static int oldest_ring(const struct drain *drain)
{
    int best = -1;
    uint64_t best_ticks = 0;
    for (uint32_t ring = 0; ring < drain->segment->ring_count; ring++) {
        const struct drain_cursor *cursor = &drain->cursors[ring];
        if (cursor->round_done)
            continue;
        uint64_t ticks = cursor->state.ticks;
        if (!cursor->begun)
            copy_out(&ticks, &segment_subbuffer(drain->segment, ring, cursor->sequence)->base_ticks, sizeof ticks);
        if (best < 0 || ticks < best_ticks) {
            best = (int)ring;
            best_ticks = ticks;
        }
    }
    return best;
}

bool drain_collect(struct drain *drain)
{
    int ring;
    while ((ring = oldest_ring(drain)) >= 0) {
        struct drain_cursor *cursor = &drain->cursors[ring];
        bool closed = cursor->sequence + 1 < cursor->goal;
        if (!subbuffer_take(drain, (uint32_t)ring))
            return false;
        if (closed && !cursor->over && !cursor->cut)
            cursor_move(cursor, cursor->sequence + 1);
        else
            cursor->round_done = true;
    }
    return true;
}

const struct writer_events *drain_part(struct drain *drain, uint32_t index)
{
    if (index >= drain->part_count)
        return NULL;
    struct drain_part *part = &drain->parts[index];
    part->events.bytes = drain->batch + part->start;
    return &part->events;
}

size_t drain_pending(const struct drain *drain) { return drain->batch_used; }
bool drain_crowded(const struct drain *drain) { return drain->crowded; }
uint64_t drain_last_ticks(const struct drain *drain) { return drain->last_ticks; }

bool drain_holds_much(const struct drain *drain)
{
    for (uint32_t ring = 0; ring < drain->segment->ring_count; ring++) {
        const struct drain_cursor *cursor = &drain->cursors[ring];
        if ((cursor->sequence - cursor->released) * 4 >= drain->segment->subbuffers)
            return true;
    }
    return false;
}

/* ---- Writing ---------------------------------------------------------------------------------------------------- */

/* Makes sure that size more bytes fit into the frame that is being collected. */
static int frame_room(struct writer *writer, const struct writer_clock *clock, size_t size)
{
    if (writer_pending(writer) + size <= FRAME_SOFT_BYTES)
        return 0;
    int result = writer_frame(writer);
    if (result == 0)
        writer_put_clock(writer, clock);
    return result;
}

/* The words of the whole entries at the start of the slice and their number; *damaged when one cannot be. */
static size_t stacks_walk(const uint64_t *slice, size_t words, uint32_t *entries, bool *damaged)
{
    size_t at = 0;
    *entries = 0;
    while (at < words) {
        uint64_t count = slice[at];
        if (count == 0 || count > STACK_DEPTH_MAX) {
            *damaged = true;
            break;
        }
        if (count >= words - at)
            break;
        at += 1 + (size_t)count;
        ++*entries;
    }
    return at;
}

static int stacks_write(struct drain *drain, uint32_t ring, struct writer *writer, const struct writer_clock *clock)
{
    struct drain_cursor *cursor = &drain->cursors[ring];
    uint64_t used = load_acquire(&drain->segment->rings[ring].stacks_used); /* D */
    if (cursor->stacks_broken || used == cursor->stack_words)
        return 0;
    bool damaged = used < cursor->stack_words || used > drain->segment->stacks_words;
    const uint64_t *table = segment_stacks(drain->segment, ring);
    while (!damaged && cursor->stack_words < used) {
        uint64_t left = used - cursor->stack_words;
        size_t words = left < STACK_SLICE_WORDS ? (size_t)left : STACK_SLICE_WORDS;
        copy_out(drain->slice, table + cursor->stack_words, words * sizeof drain->slice[0]);
        uint32_t entries;
        size_t whole = stacks_walk(drain->slice, words, &entries, &damaged);
        if (entries == 0) {
            damaged = true;
            break;
        }
        int result = frame_room(writer, clock, whole * LEB_MAX_BYTES + 64);
        if (result)
            return result;
        if (cursor->stack_entries + entries > cursor->stacks_known)
            writer_put_stacks(writer, ring, cursor->stack_entries + 1, drain->slice, whole);
        cursor->stack_words += whole;
        cursor->stack_entries += entries;
    }
    if (damaged) {
        damage_add(drain, "ring %u, stack %u: the table does not hold together from here", ring,
                   cursor->stack_entries + 1);
        cursor->stacks_broken = true;
    }
    return 0;
}

/* The words of the whole entries at the start of the slice, and their number; *damaged when one cannot be. */
static size_t names_walk(const uint64_t *slice, size_t words, uint32_t *entries, bool *damaged)
{
    size_t at = 0;
    *entries = 0;
    while (at < words) {
        uint32_t content = dictionary_content_words(slice[at]);
        if (content == 0)
            *damaged = true;
        if (content == 0 || content >= words - at)
            break;
        at += 1 + content;
        ++*entries;
    }
    return at;
}

static int names_write(struct drain *drain, struct writer *writer, const struct writer_clock *clock)
{
    uint64_t used = load_acquire(&drain->segment->header->dictionary_used); /* E */
    if (drain->dictionary_broken || used == drain->dictionary_words)
        return 0;
    bool damaged = used < drain->dictionary_words || used > drain->segment->dictionary_words;
    while (!damaged && drain->dictionary_words < used) {
        uint64_t left = used - drain->dictionary_words;
        size_t words = left < STACK_SLICE_WORDS ? (size_t)left : STACK_SLICE_WORDS;
        copy_out(drain->slice, drain->segment->dictionary + drain->dictionary_words, words * sizeof drain->slice[0]);
        uint32_t entries;
        size_t whole = names_walk(drain->slice, words, &entries, &damaged);
        if (entries == 0) {
            damaged = true;
            break;
        }
        int result = frame_room(writer, clock, whole * 2 * LEB_MAX_BYTES + 64);
        if (result)
            return result;
        if (drain->dictionary_entries + entries > drain->names_known)
            writer_put_dictionary(writer, drain->dictionary_entries + 1, drain->slice, whole);
        drain->dictionary_words += whole;
        drain->dictionary_entries += entries;
    }
    if (damaged) {
        damage_add(drain, "entry %u of the dictionary: it does not hold together from here",
                   drain->dictionary_entries + 1);
        drain->dictionary_broken = true;
    }
    return 0;
}

static int modules_write(struct drain *drain, struct writer *writer, const struct writer_clock *clock)
{
    uint32_t count = load_acquire(&drain->segment->header->module_count);
    if (count > SEGMENT_MAX_MODULES || count < drain->modules_read) {
        if (!drain->modules_broken)
            damage_add(drain, "the segment says that it has %u modules", count);
        drain->modules_broken = true;
        return 0;
    }
    for (; drain->modules_read < count; drain->modules_read++) {
        struct segment_module module;
        copy_out(&module, &drain->segment->modules[drain->modules_read], sizeof module);
        if (module.end <= module.start || module.build_id_bytes > sizeof module.build_id ||
            !memchr(module.path, 0, sizeof module.path)) {
            damage_add(drain, "module %u does not hold together", drain->modules_read);
            continue;
        }
        struct gmpt_module known = {
            .start = module.start,
            .end = module.end,
            .bias = module.bias,
            .path = module.path,
            .build_id_bytes = module.build_id_bytes,
        };
        memcpy(known.build_id, module.build_id, sizeof known.build_id);
        int result = frame_room(writer, clock, sizeof module + 64);
        if (result)
            return result;
        writer_put_module(writer, &known);
    }
    return 0;
}

/* What the cursors have done with is in the file. */
static void subbuffers_release(struct drain *drain)
{
    for (uint32_t ring = 0; ring < drain->segment->ring_count; ring++) {
        struct drain_cursor *cursor = &drain->cursors[ring];
        if (cursor->released == cursor->sequence)
            continue;
        cursor->released = cursor->sequence;
        store_release(&drain->segment->rings[ring].consumed, cursor->released); /* C */
    }
}

static int tables_write(struct drain *drain, struct writer *writer, const struct writer_clock *clock)
{
    int result = 0;
    for (uint32_t ring = 0; result == 0 && ring < drain->segment->ring_count; ring++)
        result = stacks_write(drain, ring, writer, clock);
    if (result == 0)
        result = names_write(drain, writer, clock);
    return result ? result : modules_write(drain, writer, clock);
}

/* The parts of this epoch; *next is the next one that has any, or epoch. A frame has those of one epoch only. */
static int parts_write(struct drain *drain, struct writer *writer, const struct writer_clock *clock, uint32_t epoch,
                       uint32_t *next)
{
    int result = 0;
    *next = epoch;
    for (uint32_t i = 0; result == 0 && i < drain->part_count; i++) {
        uint32_t of = drain->parts[i].epoch;
        const struct writer_events *events = drain_part(drain, i);
        if (of != epoch) {
            if (of - epoch - 1 < *next - epoch - 1 && of - drain->first_epoch > epoch - drain->first_epoch)
                *next = of;
            continue;
        }
        result = frame_room(writer, clock, events->size + 128);
        if (result == 0)
            writer_put_events(writer, events);
    }
    if (*next == epoch || result)
        return result;
    result = writer_frame(writer);
    if (result == 0)
        writer_put_clock(writer, clock);
    return result;
}

int drain_write(struct drain *drain, struct writer *writer, const struct writer_clock *clock)
{
    int result = 0;
    writer_put_clock(writer, clock);
    if (!drain->leave_tables)
        result = tables_write(drain, writer, clock);
    uint32_t epoch = drain->epoch;
    for (uint32_t i = 0; i < drain->part_count; i++)
        if (drain->parts[i].epoch - drain->first_epoch < epoch - drain->first_epoch)
            epoch = drain->parts[i].epoch;
    for (uint32_t next = epoch, done = epoch + 1; result == 0 && next != done; done = epoch) {
        epoch = next;
        writer_tag(writer, epoch);
        result = parts_write(drain, writer, clock, epoch, &next);
    }
    drain->part_count = 0;
    drain->batch_used = 0;
    int framed = writer_frame(writer);
    if (!result)
        result = framed;
    if (!result && !drain->keeping)
        subbuffers_release(drain);
    return result;
}

/* ---- Accounts --------------------------------------------------------------------------------------------------- */

/* In this epoch, by the ring's own counter; what else the target may say of it is damage. */
static uint64_t ring_lost(const struct drain *drain, uint32_t ring)
{
    const struct drain_cursor *cursor = &drain->cursors[ring];
    uint64_t lost = cursor->over ? cursor->lost_end : load_relaxed(&drain->segment->rings[ring].lost);
    return cursor->turned && lost > cursor->lost_base ? lost - cursor->lost_base : 0;
}

void drain_ends(struct drain *drain, struct writer_ring_end *ends)
{
    for (uint32_t ring = 0; ring < drain->segment->ring_count; ring++) {
        const struct drain_cursor *cursor = &drain->cursors[ring];
        uint64_t lost = ring_lost(drain, ring);
        if (cursor->marked > lost)
            damage_add(drain, "ring %u lost %llu records, but its markers tell of %llu", ring, (unsigned long long)lost,
                       (unsigned long long)cursor->marked);
        ends[ring] = (struct writer_ring_end){
            .emitted = cursor->kept + lost + cursor->dropped,
            .lost = lost,
            .stacks_lost = load_relaxed(&drain->segment->rings[ring].stacks_lost),
        };
    }
}

struct drain_counts drain_counts(const struct drain *drain)
{
    struct drain_counts counts = { .damaged = drain->damaged };
    for (uint32_t ring = 0; ring < drain->segment->ring_count; ring++) {
        counts.kept += drain->cursors[ring].kept;
        counts.marked += drain->cursors[ring].marked;
        counts.dropped += drain->cursors[ring].dropped;
        counts.lost += ring_lost(drain, ring);
    }
    return counts;
}

const char *drain_damage(const struct drain *drain) { return drain->damage; }
