/* See recovery.h. */
#define _GNU_SOURCE
#include "recovery.h"

#include "census.h"
#include "events.h"
#include "frames.h"
#include "leb.h"
#include "recorder.h"
#include "sections.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LEVEL 3
#define RATE_SPAN_NS 20000000 /* two clocks this far apart tell how fast the target's ticks */

/* What the file has. */
struct past {
    struct writer_past file;
    bool begun; /* a frame, with the info */
    bool ended; /* it is whole */
    bool attached;
    int64_t pid, p_count;
    uint32_t epoch;
    uint32_t names;
    struct drain_place places[SECTION_RINGS_MAX];
};

static void past_events(struct past *past, const struct section_events *events)
{
    const struct writer_events *part = &events->part;
    struct drain_place *place = &past->places[part->ring];
    uint64_t lost;
    bool marker = columns_begin_with_loss(&events->columns, &lost);
    place->known = true;
    place->sequence = part->sequence;
    place->offset = (uint64_t)part->offset + part->size;
    place->kept += part->count - marker;
    place->marked += lost;
    past->file.events += part->count;
    past->file.saved += part->count - marker;
}

static void past_stacks(struct past *past, const struct section *section)
{
    struct section_stacks stacks;
    uint64_t pc[SECTION_STACK_MAX];
    uint32_t count;
    if (section_stacks_begin(section, &stacks))
        return;
    struct drain_place *place = &past->places[stacks.ring];
    while (section_stacks_next(&stacks, pc, &count) > 0)
        if (stacks.ordinal - 1 == place->stacks + 1) /* after a hole they are written again */
            place->stacks++;
}

static void past_names(struct past *past, const struct section *section)
{
    struct section_dictionary dictionary;
    struct section_name name;
    if (section_dictionary_begin(section, &dictionary))
        return;
    while (section_dictionary_next(&dictionary, &name) > 0)
        if (name.number == past->names + 1)
            past->names++;
}

static void past_section(struct past *past, const struct section *section)
{
    struct section_events events;
    struct writer_clock clock;
    switch (section->kind) {
    case FORMAT_CLOCK:
        if (section_clock(section, &clock) == 0) {
            if (!past->file.first.monotonic_ns)
                past->file.first = clock;
            past->file.last = clock;
        }
        break;
    case FORMAT_INFO:
        past->begun = true;
        past->pid = section_info_number(section, "pid");
        past->p_count = section_info_number(section, "p_count");
        past->attached = section_info_number(section, "attached") == 1;
        break;
    case FORMAT_EVENTS:
        if (section_events(section, &events) == 0)
            past_events(past, &events);
        break;
    case FORMAT_STACKS:
        past_stacks(past, section);
        break;
    case FORMAT_DICTIONARY:
        past_names(past, section);
        break;
    case FORMAT_END:
        past->ended = true;
        break;
    default:
        break;
    }
}

/* Reads the file to the end of its last whole frame. Returns 0, also when it has none, or -errno. */
static int past_read(struct past *past, const char *path)
{
    struct gmpt_trace_error error;
    struct frames_file *file = frames_open(path, &error);
    struct frame *frame;
    int result = 0;
    if (!file)
        return errno == EPROTO ? 0 : -errno; /* shorter than a head */
    while ((result = frames_next(file, &frame, &error)) > 0) {
        const uint8_t *p = frame->bytes, *end = p + frame->size;
        struct section section;
        while (section_next(&p, end, &section) > 0)
            past_section(past, &section);
        frame_release(frame);
        past->file.bytes = (uint64_t)frames_offset(file);
    }
    frames_close(file);
    return result;
}

static int copy(int from, int to, uint64_t bytes)
{
    char buffer[65536];
    while (bytes) {
        ssize_t got = read(from, buffer, bytes < sizeof buffer ? (size_t)bytes : sizeof buffer);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : -EIO;
        bytes -= (uint64_t)got;
        for (ssize_t done = 0; done < got;) {
            ssize_t wrote = write(to, buffer + done, (size_t)(got - done));
            if (wrote < 0 && errno != EINTR)
                return -errno;
            done += wrote > 0 ? wrote : 0;
        }
    }
    return 0;
}

/* The moment of these ticks, which lie after from, on the line from there to or through another moment. */
static struct writer_clock clock_at(const struct writer_clock *from, const struct writer_clock *other, uint64_t ticks)
{
    if (ticks <= from->ticks || other->ticks == from->ticks)
        return *from;
    double rate =
        ((double)other->monotonic_ns - (double)from->monotonic_ns) / ((double)other->ticks - (double)from->ticks);
    double later_ns = (double)(ticks - from->ticks) * rate;
    if (!(later_ns >= 0 && later_ns < 1e18))
        return *from;
    return (struct writer_clock){ ticks, from->monotonic_ns + (int64_t)later_ns,
                                  from->realtime_ns + (int64_t)later_ns };
}

static struct writer_clock clock_now(const struct segment *segment)
{
    struct recorder_moment moment = recorder_moment_now();
    return recorder_moment_clock(&moment, segment->clock);
}

/* When the last record was written. Clocks of the file are near it; now may be days later, with the machine asleep in
 * between. */
static struct writer_clock end_clock(const struct past *past, const struct segment *segment, uint64_t ticks)
{
    const struct writer_clock *first = &past->file.first, *last = &past->file.last;
    struct writer_clock now = clock_now(segment);
    bool far = last->monotonic_ns - first->monotonic_ns >= RATE_SPAN_NS;
    return ticks > now.ticks ? *last : clock_at(last, far ? first : &now, ticks);
}

/* When a file begins of which nothing was written: as the program starts, or right before the epoch's first record. */
static struct writer_clock first_clock(const struct past *past, const struct segment *segment)
{
    const struct segment_header *header = segment->header;
    struct writer_clock start = { header->start_ticks, header->start_monotonic_ns, header->start_realtime_ns };
    uint64_t earliest = UINT64_MAX;
    for (uint32_t ring = 0; past->attached && ring < segment->ring_count; ring++) {
        uint64_t opened = load_acquire(&segment->rings[ring].opened);
        for (uint64_t back = 1; back <= segment->subbuffers && back <= opened; back++) {
            const struct subbuffer *head = segment_subbuffer(segment, ring, opened - back);
            if (head->epoch == past->epoch && head->base_ticks < earliest)
                earliest = head->base_ticks;
        }
    }
    struct writer_clock now = clock_now(segment);
    return earliest > start.ticks && earliest < now.ticks ? clock_at(&start, &now, earliest) : start;
}

static struct writer *file_begin(const struct recovery *recovery, const struct segment *segment, struct past *past)
{
    if (past->begun) {
        int part = open(recovery->part_path, O_RDONLY | O_CLOEXEC);
        int result = part < 0 ? -errno : copy(part, recovery->out_fd, past->file.bytes);
        if (part >= 0)
            close(part);
        errno = -result;
        return result ? NULL : writer_resume(recovery->out_fd, &past->file, LEVEL);
    }
    const struct segment_header *header = segment->header;
    uint32_t maxprocs = load_relaxed(&header->maxprocs);
    past->attached = load_relaxed(&header->epoch) > 1 || load_relaxed(&header->first_epoch) > 0;
    past->file.first = past->file.last = first_clock(past, segment);
    struct writer_info info = {
        .pid = segment->pid,
        .p_count = segment->p_count,
        .maxprocs = maxprocs <= segment->p_count ? maxprocs : 0,
        .quota_cpus = segment_quota(header),
        .clock = (int)segment->clock,
        .command = "",
        .host = "",
        .attached = past->attached,
        .frames_left_out = load_relaxed(&header->frames_left_out),
        .events_left_out = load_relaxed(&header->events_left_out),
    };
    return writer_open(recovery->out_fd, &info, LEVEL);
}

/* The Gs that no record of the epoch tells of: their slots have stood still since. Returns 0 or -errno. */
static int census_append(const struct segment *segment, struct past *past, struct drain *drain, struct writer *writer)
{
    const struct segment_header *header = segment->header;
    struct census *census = census_open(segment, past->epoch, 0, load_relaxed(&header->frames_left_out),
                                        load_relaxed(&header->events_left_out));
    /* First the stacks and names that slots refer to. */
    int more = census ? drain_write(drain, writer, &past->file.last) : -ENOMEM;
    for (more = more ? more : 1; more > 0;) {
        writer_put_clock(writer, &past->file.last);
        more = census_step(census, writer, past->file.last.ticks);
        int result = more < 0 ? more : writer_frame(writer);
        if (result)
            more = result;
    }
    past->places[segment->ring_count].kept = census ? census_records(census) : 0;
    census_close(census);
    return more;
}

/* Appends what the segment has, and the end. */
static int rest_append(struct recovery *recovery, const struct segment *segment, struct past *past, struct drain *drain,
                       struct writer *writer)
{
    uint64_t before = writer_events_saved(writer);
    int result = 0;
    if (!past->begun) {
        writer_put_clock(writer, &past->file.first);
        result = writer_frame(writer);
    }
    if (result == 0 && !past->begun && past->attached)
        result = census_append(segment, past, drain, writer);
    drain_begin(drain);
    for (bool done = false; result == 0 && !done;) {
        done = drain_collect(drain);
        result = drain_write(drain, writer, &past->file.last);
    }
    recovery->drained = drain_counts(drain);
    snprintf(recovery->damage, sizeof recovery->damage, "%s", drain_damage(drain));
    recovery->recovered = writer_events_saved(writer) - before;
    recovery->unfinished = past->begun && past->attached && past->file.last.ticks == past->file.first.ticks;
    if (result)
        return result;
    uint32_t census_ring = segment->ring_count, kernel_ring = census_ring + 1;
    uint32_t rings = past->places[kernel_ring].known ? kernel_ring + 1 : past->attached ? census_ring + 1 : census_ring;
    struct writer_ring_end *ends = calloc(rings, sizeof *ends);
    if (!ends)
        return -ENOMEM;
    drain_ends(drain, ends);
    for (uint32_t ring = census_ring; ring < rings; ring++)
        ends[ring].emitted = past->places[ring].kept;
    struct writer_clock end = end_clock(past, segment, drain_last_ticks(drain));
    writer_put_clock(writer, &end);
    if (!recovery->unfinished)
        writer_put_end(writer, recovery->ended && !recovery->more ? 3 : 0, 0, ends, rings);
    free(ends);
    return writer_frame(writer);
}

int recovery_run(struct recovery *recovery, const char **why)
{
    struct segment segment = { 0 };
    struct past *past = calloc(1, sizeof *past);
    struct drain *drain = NULL;
    struct writer *writer = NULL;
    *why = "out of memory";
    int result = past ? segment_open(&segment, recovery->segment_fd, why) : -ENOMEM;
    if (result == -EAGAIN)
        *why = "the program had not begun to write into it";
    if (result)
        goto out;
    segment_guard(&segment);
    *why = "its recorder is at work";
    if ((result = segment_lock(recovery->segment_fd)))
        goto out;
    store_release(&segment.header->tracing, 0);
    uint32_t last = load_relaxed(&segment.header->epoch), of_file = load_relaxed(&segment.header->output_epoch);
    past->epoch = recovery->rest || of_file == 0 ? last : of_file;
    recovery->more = past->epoch != last;
    *why = "the recorder's file cannot be read";
    if (recovery->part_path && !recovery->rest && (result = past_read(past, recovery->part_path)))
        goto out;
    *why = "the recorder's file is not of this program";
    result = -EPROTO;
    if (past->begun && (past->pid != segment.pid || past->p_count != segment.p_count))
        goto out;
    *why = "out of memory";
    result = -ENOMEM;
    if (!(drain = drain_open(&segment, past->epoch, false)))
        goto out;
    *why = "the recorder's file is not of this recording";
    if ((result = drain_resume(drain, past->places, past->names)) && !past->ended)
        goto out;
    *why = NULL;
    if (!(writer = file_begin(recovery, &segment, past))) {
        result = -errno;
        close(recovery->out_fd);
        goto out;
    }
    result = past->ended ? 0 : rest_append(recovery, &segment, past, drain, writer);
    recovery->events = writer_events_saved(writer);
    recovery->file_bytes = writer_bytes(writer);
    int closed = writer_close(writer);
    if (result == 0)
        result = closed;
out:
    drain_close(drain);
    segment_close(&segment);
    free(past);
    return result;
}
