/* Sections are gathered in one buffer and leave as one compressed frame. The first frame also carries info and schema,
 * behind its clock. A frame that cannot be written whole is taken back, so that the file never ends in a part of one
 * unless the machine itself stops. When it is room that is missing, as many of its sections as fit are the last
 * frame. */
#define _GNU_SOURCE
#include "writer.h"

#include "columns.h"
#include "eventgroups.h"
#include "events.h"
#include "format.h"
#include "leb.h"
#include "sections.h"
#include "segment.h"

#include <gmptrace/gmpt.h>

#include <endian.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#define CLOCK_BYTES 24
#define SECTION_HEAD_MAX (1 + LEB_MAX_BYTES)
#define SALVAGE_TRIES 32

struct writer {
    int fd;
    bool seekable;
    int error; /* sticks; 0 or -errno */
    ZSTD_CCtx *zstd;
    struct column_splitter *splitter;
    uint8_t *content; /* FORMAT_FRAME_MAX bytes, of which used are valid */
    size_t used;
    uint8_t *stored; /* room for a frame head and the worst that zstd makes of a content */
    size_t stored_room;
    char *preamble; /* the info and schema sections, until the first frame has them */
    size_t preamble_bytes;
    struct writer_clock clock; /* the last one put, repeated when a frame is split */
    bool clock_known;
    int64_t first_ns, last_ns;
    uint64_t bytes, events;
    uint64_t saved;                /* events, but for markers, in the file */
    struct writer_counts waiting; /* in content */
    writer_sink *sink;             /* NULL: a file */
    void *sink_arg;
    uint32_t tag;
};

/* ---- Sections --------------------------------------------------------------------------------------------------- */

static void error_set(struct writer *writer, int error)
{
    if (!writer->error)
        writer->error = error;
}

static uint8_t *u64_put(uint8_t *p, uint64_t value)
{
    value = htole64(value);
    memcpy(p, &value, sizeof value);
    return p + sizeof value;
}

/* Begins a section whose body has at most body_max bytes. Returns where the body goes, or NULL. The size is kept in a
 * number of full length, filled in by section_end, so that the body need not be built elsewhere first. */
static uint8_t *section_begin(struct writer *writer, enum format_section kind, size_t body_max)
{
    if (writer->error)
        return NULL;
    size_t spare = kind == FORMAT_CLOCK ? 0 : SECTION_HEAD_MAX + CLOCK_BYTES + writer->preamble_bytes;
    if (body_max > FORMAT_FRAME_MAX || body_max + SECTION_HEAD_MAX + spare > FORMAT_FRAME_MAX) {
        error_set(writer, -E2BIG);
        return NULL;
    }
    if (writer->used + body_max + SECTION_HEAD_MAX + writer->preamble_bytes > FORMAT_FRAME_MAX) {
        if (writer_frame(writer))
            return NULL;
        if (writer->clock_known && kind != FORMAT_CLOCK) {
            struct writer_clock clock = writer->clock;
            writer_put_clock(writer, &clock);
        }
    }
    writer->content[writer->used] = (uint8_t)kind;
    return writer->content + writer->used + SECTION_HEAD_MAX;
}

static void section_end(struct writer *writer, const uint8_t *body_end)
{
    uint8_t *head = writer->content + writer->used;
    uint8_t *body = head + SECTION_HEAD_MAX;
    size_t size = (size_t)(body_end - body);
    uint8_t *at = leb_put(head + 1, size);
    if (size)
        memmove(at, body, size);
    writer->used = (size_t)(at + size - writer->content);
}

static void preamble_put(struct writer *writer)
{
    if (!writer->preamble)
        return;
    memcpy(writer->content + writer->used, writer->preamble, writer->preamble_bytes);
    writer->used += writer->preamble_bytes;
    free(writer->preamble);
    writer->preamble = NULL;
    writer->preamble_bytes = 0;
}

void writer_put_clock(struct writer *writer, const struct writer_clock *clock)
{
    uint8_t *p = section_begin(writer, FORMAT_CLOCK, CLOCK_BYTES);
    if (!p)
        return;
    p = u64_put(p, clock->ticks);
    p = u64_put(p, (uint64_t)clock->monotonic_ns);
    p = u64_put(p, (uint64_t)clock->realtime_ns);
    section_end(writer, p);
    preamble_put(writer);
    if (!writer->clock_known)
        writer->first_ns = clock->monotonic_ns;
    writer->last_ns = clock->monotonic_ns;
    writer->clock = *clock;
    writer->clock_known = true;
}

void writer_put_module(struct writer *writer, const struct gmpt_module *module)
{
    size_t path_bytes = module->path ? strlen(module->path) : 0;
    uint32_t id_bytes = module->build_id_bytes <= sizeof module->build_id ? module->build_id_bytes : 0;
    uint8_t *p = section_begin(writer, FORMAT_MODULE, 4 * LEB_MAX_BYTES + id_bytes + path_bytes);
    if (!p)
        return;
    p = leb_put(p, module->start);
    p = leb_put(p, module->end);
    p = leb_put(p, module->bias);
    p = leb_put(p, id_bytes);
    memcpy(p, module->build_id, id_bytes);
    p += id_bytes;
    if (path_bytes)
        memcpy(p, module->path, path_bytes);
    section_end(writer, p + path_bytes);
}

void writer_put_stacks(struct writer *writer, uint32_t ring, uint32_t first_ordinal, const uint64_t *words,
                       size_t count)
{
    if (count > FORMAT_FRAME_MAX) {
        error_set(writer, -E2BIG);
        return;
    }
    uint8_t *p = section_begin(writer, FORMAT_STACKS, (2 + count) * LEB_MAX_BYTES);
    if (!p)
        return;
    p = leb_put(p, ring);
    p = leb_put(p, first_ordinal);
    for (size_t i = 0; i < count; i++)
        p = leb_put(p, words[i]);
    section_end(writer, p);
}

void writer_put_dictionary(struct writer *writer, uint32_t first, const uint64_t *words, size_t count)
{
    if (count > FORMAT_FRAME_MAX) {
        error_set(writer, -E2BIG);
        return;
    }
    uint8_t *p = section_begin(writer, FORMAT_DICTIONARY, (1 + 2 * count) * LEB_MAX_BYTES);
    if (!p)
        return;
    p = leb_put(p, first);
    for (size_t at = 0; at < count; at += 1 + dictionary_content_words(words[at])) {
        uint32_t size = (uint32_t)words[at];
        p = leb_put(p, words[at] >> 32);
        p = leb_put(p, size);
        if (words[at] >> 32 == DICTIONARY_STRING) {
            memcpy(p, words + at + 1, size);
            p += size;
            continue;
        }
        for (uint32_t i = 0; i < size; i++) {
            p = leb_put(p, words[at + 1 + i] >> 32);
            p = leb_put(p, (uint32_t)words[at + 1 + i]);
        }
    }
    section_end(writer, p);
}

/* A `lost` marker, which is no event, is the first of its section. */
static void events_count(struct writer_counts *counts, const struct writer_events *events)
{
    counts->events += events->count;
    if (events->count == 0 || events->bytes[0] != GMPT_EVENT_lost)
        return;
    counts->events--;
    counts->markers++;
    uint64_t delta, lost;
    const uint8_t *end = events->bytes + events->size, *p = leb_get(events->bytes + 1, end, &delta);
    if (p && leb_get(p, end, &lost))
        counts->lost += lost;
}

void writer_put_events(struct writer *writer, const struct writer_events *events)
{
    int result = events->size > FORMAT_FRAME_MAX ? -E2BIG : 0;
    if (result == 0)
        result = column_splitter_split(writer->splitter, events->bytes, events->size, events->count);
    if (result) {
        error_set(writer, result);
        return;
    }
    uint8_t *p = section_begin(writer, FORMAT_EVENTS, 10 * LEB_MAX_BYTES + column_splitter_room(writer->splitter));
    if (!p)
        return;
    p = leb_put(p, events->ring);
    p = leb_put(p, events->sequence);
    p = leb_put(p, events->offset);
    p = leb_put(p, events->size);
    p = leb_put(p, events->base_ticks);
    p = leb_put(p, events->current_g);
    p = leb_put(p, events->current_seq);
    p = leb_put(p, events->tid);
    p = leb_put(p, events->lost_before);
    p = leb_put(p, events->count);
    section_end(writer, column_splitter_put(writer->splitter, p));
    writer->events += events->count;
    events_count(&writer->waiting, events);
}

void writer_put_end(struct writer *writer, int exit_kind, int exit_code, const struct writer_ring_end *rings,
                    uint32_t ring_count)
{
    uint8_t *p = section_begin(writer, FORMAT_END, (3 + 3 * (size_t)ring_count) * LEB_MAX_BYTES);
    if (!p)
        return;
    p = leb_put(p, (uint32_t)exit_kind);
    p = leb_put(p, (uint32_t)exit_code);
    p = leb_put(p, ring_count);
    for (uint32_t i = 0; i < ring_count; i++) {
        p = leb_put(p, rings[i].emitted);
        p = leb_put(p, rings[i].lost);
        p = leb_put(p, rings[i].stacks_lost);
    }
    section_end(writer, p);
}

void writer_set_level(struct writer *writer, int level)
{
    ZSTD_CCtx_setParameter(writer->zstd, ZSTD_c_compressionLevel, level);
}

size_t writer_pending(const struct writer *writer) { return writer->used; }
uint64_t writer_events_count(const struct writer *writer) { return writer->events; }
uint64_t writer_events_saved(const struct writer *writer) { return writer->saved; }
uint64_t writer_bytes(const struct writer *writer) { return writer->bytes; }

/* ---- The file --------------------------------------------------------------------------------------------------- */

/* Appends all of it, or takes back what was written of it; *fit says how much that was. */
static int file_append(struct writer *writer, const uint8_t *bytes, size_t size, size_t *fit)
{
    size_t done = 0;
    *fit = 0;
    while (done < size) {
        ssize_t wrote = write(writer->fd, bytes + done, size - done);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0) {
            int error = wrote < 0 ? -errno : -EIO;
            *fit = done;
            if (writer->seekable && done > 0 && ftruncate(writer->fd, (off_t)writer->bytes) == 0)
                (void)!lseek(writer->fd, (off_t)writer->bytes, SEEK_SET);
            return error;
        }
        done += (size_t)wrote;
    }
    writer->bytes += size;
    return 0;
}

static void frame_head_fill(uint8_t *head, uint32_t stored_bytes, uint32_t raw_bytes)
{
    uint32_t words[3] = { htole32(FORMAT_FRAME_MAGIC), htole32(stored_bytes), htole32(raw_bytes) };
    memcpy(head, words, sizeof words);
    uint32_t check = htole32(format_check(head, sizeof words));
    memcpy(head + sizeof words, &check, sizeof check);
}

/* Compresses and appends the first size bytes of the content. Of *stored bytes, *fit had room. */
static int frame_store(struct writer *writer, size_t size, size_t *stored, size_t *fit)
{
    *fit = 0;
    *stored = ZSTD_compress2(writer->zstd, writer->stored + FORMAT_FRAME_HEAD_BYTES,
                             writer->stored_room - FORMAT_FRAME_HEAD_BYTES, writer->content, size);
    if (ZSTD_isError(*stored))
        return -ENOMEM;
    frame_head_fill(writer->stored, (uint32_t)*stored, (uint32_t)size);
    *stored += FORMAT_FRAME_HEAD_BYTES;
    if (writer->sink) {
        writer->bytes += *stored;
        return writer->sink(writer->sink_arg, writer->tag, writer->stored, *stored, &writer->waiting);
    }
    return file_append(writer, writer->stored, *stored, fit);
}

/* The end of the last whole section in the first size bytes of the content, and the events up to there. */
static size_t sections_within(const struct writer *writer, size_t size, uint64_t *events)
{
    const uint8_t *p = writer->content, *end = p + writer->used;
    size_t within = 0;
    struct section section;
    struct section_events part;
    uint64_t lost;
    *events = 0;
    while (section_next(&p, end, &section) > 0 && (size_t)(p - writer->content) <= size) {
        within = (size_t)(p - writer->content);
        if (section.kind == FORMAT_EVENTS && section_events(&section, &part) == 0)
            *events += part.part.count - columns_begin_with_loss(&part.columns, &lost);
    }
    return within;
}

/* There was room for fit of stored bytes: writes as much of the content as goes in there, as the file's last frame. */
static void frame_salvage(struct writer *writer, size_t stored, size_t fit)
{
    size_t size = (size_t)((double)writer->used * (double)fit / (double)stored);
    for (int tries = 0; tries < SALVAGE_TRIES && fit > 0; tries++) {
        uint64_t events;
        size = sections_within(writer, size, &events);
        if (events == 0)
            break;
        if (frame_store(writer, size, &stored, &fit) == 0) {
            writer->saved += events;
            break;
        }
        size -= size / 8 + 1;
    }
}

int writer_frame(struct writer *writer)
{
    if (writer->error || writer->used == 0)
        return writer->error;
    preamble_put(writer);
    size_t stored, fit;
    int result = frame_store(writer, writer->used, &stored, &fit);
    if (result == 0)
        writer->saved += writer->waiting.events;
    else if (writer->seekable && (result == -ENOSPC || result == -EFBIG || result == -EDQUOT))
        frame_salvage(writer, stored, fit);
    if (result)
        error_set(writer, result);
    writer->used = 0;
    writer->waiting = (struct writer_counts){ 0 };
    return writer->error;
}

static void file_head_fill(uint8_t head[FORMAT_HEAD_BYTES], uint64_t bytes, uint64_t events, uint64_t duration_ns)
{
    memset(head, 0, FORMAT_HEAD_BYTES);
    memcpy(head, FORMAT_MAGIC, 8);
    uint32_t words[2] = { htole32(FORMAT_VERSION), htole32(FORMAT_HEAD_BYTES) };
    memcpy(head + 8, words, sizeof words);
    u64_put(head + 16, bytes);
    u64_put(head + 24, events);
    u64_put(head + 32, duration_ns);
    uint32_t check = htole32(format_check(head, FORMAT_HEAD_BYTES - 4));
    memcpy(head + FORMAT_HEAD_BYTES - 4, &check, sizeof check);
}

/* A value on a line of its own must not bring further lines along. */
static void info_line(FILE *file, const char *key, const char *value)
{
    fprintf(file, "%s ", key);
    for (; value && *value; value++)
        fputc((unsigned char)*value < ' ' ? ' ' : *value, file);
    fputc('\n', file);
}

/* Builds the info and schema sections with the means of ordinary ones. */
static int preamble_make(struct writer *writer, const struct writer_info *info)
{
    char *text = NULL, *schema = NULL;
    size_t text_bytes = 0;
    size_t schema_bytes = event_schema_print(NULL, 0);
    int result = -ENOMEM;
    uint8_t *p;
    FILE *file = open_memstream(&text, &text_bytes);
    if (!file)
        goto out;
    fprintf(file, "pid %u\np_count %u\nclock %s\n", info->pid, info->p_count, section_clock_name(info->clock));
    if (info->maxprocs)
        fprintf(file, "maxprocs %u\n", info->maxprocs);
    if (info->quota_cpus)
        fprintf(file, "quota_cpus %u\n", info->quota_cpus);
    if (info->attached)
        fprintf(file, "attached 1\n");
    if (info->frames_left_out)
        fprintf(file, "stack_frames %u\n", segment_stack_room(info->frames_left_out));
    char groups[EVENT_GROUPS_TEXT];
    if (info->events_left_out)
        fprintf(file, "left_out %s\n", event_groups_text(groups, info->events_left_out));
    info_line(file, "command", info->command);
    info_line(file, "host", info->host);
    info_line(file, "version", GMPT_VERSION);
    if (fclose(file) || !(schema = malloc(schema_bytes + 1)))
        goto out;
    event_schema_print(schema, schema_bytes + 1);

    result = -E2BIG;
    if (!(p = section_begin(writer, FORMAT_INFO, text_bytes)))
        goto out;
    memcpy(p, text, text_bytes);
    section_end(writer, p + text_bytes);
    if (!(p = section_begin(writer, FORMAT_SCHEMA, schema_bytes)))
        goto out;
    memcpy(p, schema, schema_bytes);
    section_end(writer, p + schema_bytes);
    result = -ENOMEM;
    if (!(writer->preamble = malloc(writer->used)))
        goto out;
    memcpy(writer->preamble, writer->content, writer->used);
    writer->preamble_bytes = writer->used;
    writer->used = 0;
    result = 0;
out:
    free(text);
    free(schema);
    return result;
}

static void writer_free(struct writer *writer)
{
    ZSTD_freeCCtx(writer->zstd);
    column_splitter_close(writer->splitter);
    free(writer->content);
    free(writer->stored);
    free(writer->preamble);
    free(writer);
}

/* One without a file so far. NULL with errno. */
static struct writer *writer_new(int fd, int level)
{
    int result = -ENOMEM;
    struct writer *writer = calloc(1, sizeof *writer);
    if (!writer)
        return NULL;
    writer->fd = fd;
    writer->seekable = fd >= 0 && lseek(fd, 0, SEEK_CUR) >= 0;
    writer->zstd = ZSTD_createCCtx();
    writer->splitter = column_splitter_open();
    writer->content = malloc(FORMAT_FRAME_MAX + SECTION_HEAD_MAX);
    writer->stored_room = FORMAT_FRAME_HEAD_BYTES + ZSTD_compressBound(FORMAT_FRAME_MAX);
    writer->stored = malloc(writer->stored_room);
    if (!writer->zstd || !writer->splitter || !writer->content || !writer->stored)
        goto out;
    if (ZSTD_isError(ZSTD_CCtx_setParameter(writer->zstd, ZSTD_c_compressionLevel, level)) ||
        ZSTD_isError(ZSTD_CCtx_setParameter(writer->zstd, ZSTD_c_checksumFlag, 1))) {
        result = -EINVAL;
        goto out;
    }
    result = 0;
out:
    if (result) {
        writer_free(writer);
        errno = -result;
        return NULL;
    }
    return writer;
}

struct writer *writer_open(int fd, const struct writer_info *info, int level)
{
    uint8_t head[FORMAT_HEAD_BYTES];
    struct writer *writer = writer_new(fd, level);
    if (!writer)
        return NULL;
    int result = preamble_make(writer, info);
    file_head_fill(head, 0, 0, 0);
    size_t fit;
    if (result == 0)
        result = file_append(writer, head, sizeof head, &fit);
    if (result) {
        writer_free(writer);
        errno = -result;
        return NULL;
    }
    return writer;
}

struct writer *writer_open_sink(writer_sink *sink, void *arg, int level)
{
    struct writer *writer = writer_new(-1, level);
    if (writer) {
        writer->sink = sink;
        writer->sink_arg = arg;
    }
    return writer;
}

struct writer *writer_resume(int fd, const struct writer_past *past, int level)
{
    struct writer *writer = writer_new(fd, level);
    if (!writer)
        return NULL;
    writer->bytes = past->bytes;
    writer->events = past->events;
    writer->saved = past->saved;
    writer->clock = past->last;
    writer->clock_known = true;
    writer->first_ns = past->first.monotonic_ns;
    writer->last_ns = past->last.monotonic_ns;
    return writer;
}

void writer_tag(struct writer *writer, uint32_t tag) { writer->tag = tag; }

int writer_put_frame(struct writer *writer, const uint8_t *frame, size_t size, const struct writer_counts *counts)
{
    size_t fit;
    int result = writer_frame(writer);
    if (result == 0 && (result = file_append(writer, frame, size, &fit)))
        error_set(writer, result);
    if (result == 0) {
        writer->saved += counts->events;
        writer->events += counts->events + counts->markers;
    }
    return result;
}

int writer_close(struct writer *writer)
{
    int result = writer_frame(writer);
    if (result == 0 && writer->seekable) {
        uint8_t head[FORMAT_HEAD_BYTES];
        file_head_fill(head, writer->bytes, writer->events, (uint64_t)writer->last_ns - (uint64_t)writer->first_ns);
        ssize_t wrote;
        do
            wrote = pwrite(writer->fd, head, sizeof head, 0);
        while (wrote < 0 && errno == EINTR);
        if (wrote != (ssize_t)sizeof head)
            result = wrote < 0 ? -errno : -EIO;
    }
    if (writer->fd >= 0 && close(writer->fd) && result == 0)
        result = -errno;
    writer_free(writer);
    return result;
}
