/* Printing and parsing of the text forms. See text.h for the canonical one. */
#define _GNU_SOURCE
#include "text.h"

#include "eventgroups.h"
#include "events.h"
#include "frames.h"
#include "sections.h"
#include "segment.h"
#include "writer.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_RECORDS_BYTES SUBBUFFER_BYTES /* in one events section */
#define TEXT_STACK_WORDS 8192

/* ---- Printing --------------------------------------------------------------------------------------------------- */

/* " name=value" for every field. Returns where it ends. */
static char *fields_print(char *p, char *end, unsigned code, const uint64_t *fields)
{
    const struct event_spec *spec = &event_specs[code];
    for (int i = 0; i < event_field_counts[code] && p < end; i++) {
        const char *name = spec->field[i].name;
        size_t room = (size_t)(end - p);
        const char *reason = spec->field[i].kind == EVENT_KIND_reason ? event_reason_name(fields[i]) : NULL;
        int length;
        if (reason)
            length = snprintf(p, room, " %s=%s", name, reason);
        else if (spec->field[i].kind == EVENT_KIND_addr || spec->field[i].kind == EVENT_KIND_text)
            length = snprintf(p, room, " %s=0x%" PRIx64, name, fields[i]);
        else
            length = snprintf(p, room, " %s=%" PRIu64, name, fields[i]);
        p += (size_t)length < room ? (size_t)length : room - 1;
    }
    return p;
}

size_t text_event(char line[TEXT_EVENT_MAX], const struct gmpt_event *event)
{
    char *p = line, *end = line + TEXT_EVENT_MAX;
    uint64_t ns = event->time_ns < 0 ? 0 - (uint64_t)event->time_ns : (uint64_t)event->time_ns;
    p += snprintf(p, (size_t)(end - p), "%s%" PRIu64 ".%09u ", event->time_ns < 0 ? "-" : "", ns / 1000000000,
                  (unsigned)(ns % 1000000000));
    if (event->p >= 0)
        p += snprintf(p, (size_t)(end - p), "P%d ", event->p);
    else
        p += snprintf(p, (size_t)(end - p), "- ");
    if (event->g)
        p += snprintf(p, (size_t)(end - p), "G%" PRIu64 " ", event->g);
    else
        p += snprintf(p, (size_t)(end - p), "- ");
    p += snprintf(p, (size_t)(end - p), "%s", gmpt_event_name(event->type));
    if (event_known(event->type))
        p = fields_print(p, end, event->type, event->field);
    return (size_t)(p - line);
}

static int dump_info(const struct section *section, FILE *out)
{
    static const char *const keys[][2] = {
        { "pid", "pid" },         { "p_count", "p_count" }, { "clock", "clock_kind" },
        { "command", "command" }, { "host", "host" },       { "maxprocs", "maxprocs" },
        { "attached", "attached" }, { "stack_frames", "stack_frames" }, { "left_out", "left_out" },
        { "quota_cpus", "quota_cpus" },
    };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        size_t length;
        const char *value = section_info(section, keys[i][0], &length);
        if (value && length)
            fprintf(out, "%s %.*s\n", keys[i][1], (int)length, value);
    }
    return 0;
}

static int dump_events(const struct section *section, const struct event_schema *schema, FILE *out)
{
    struct section_events events;
    struct column_reader reader;
    char line[TEXT_EVENT_MAX];
    uint64_t fields[GMPT_EVENT_FIELDS_MAX], delta;
    const uint64_t *found;
    unsigned code;
    bool known;
    if (section_events(section, &events))
        return -EPROTO;
    const struct writer_events *part = &events.part;
    fprintf(out,
            "events ring=%u sequence=%" PRIu64 " offset=%u base=%" PRIu64 " g=%" PRIu64 " seq=%u tid=%u lost=%" PRIu64
            "\n",
            part->ring, part->sequence, part->offset, part->base_ticks, part->current_g, part->current_seq, part->tid,
            part->lost_before);
    column_reader_begin(&reader, &events.columns, schema);
    for (uint32_t i = 0; i < part->count; i++) {
        if (!column_reader_next(&reader, &code, &delta, &found, &known))
            return -EPROTO;
        if (!known) {
            fprintf(out, "# %" PRIu64 " an event of kind 0x%02x, which is not known\n", delta, code);
            continue;
        }
        column_fields_copy(code, found, fields);
        *fields_print(line, line + sizeof line, code, fields) = 0;
        fprintf(out, "  %" PRIu64 " %s%s\n", delta, event_specs[code].name, event_field_counts[code] ? line : "");
    }
    return column_reader_finished(&reader) ? 0 : -EPROTO;
}

static int dump_stacks(const struct section *section, FILE *out)
{
    struct section_stacks stacks;
    uint64_t pc[SECTION_STACK_MAX];
    uint32_t count;
    int result = section_stacks_begin(section, &stacks);
    while (result == 0 && (result = section_stacks_next(&stacks, pc, &count)) > 0) {
        fprintf(out, "stack %u %u", stacks.ring, stacks.ordinal - 1);
        for (uint32_t i = 0; i < count; i++)
            fprintf(out, " 0x%" PRIx64, pc[i]);
        fputc('\n', out);
        result = 0;
    }
    return result;
}

static void dump_string(const struct section_name *name, FILE *out)
{
    fprintf(out, "string %u%s", name->number, name->count ? " " : "");
    for (uint32_t i = 0; i < name->count; i++) {
        uint8_t byte = name->bytes[i];
        if (byte == '\\')
            fputs("\\\\", out);
        else if (byte < ' ' || byte == 0x7f)
            fprintf(out, "\\x%02x", byte);
        else
            fputc(byte, out);
    }
    fputc('\n', out);
}

static int dump_dictionary(const struct section *section, FILE *out)
{
    struct section_dictionary dictionary;
    struct section_name name;
    int result = section_dictionary_begin(section, &dictionary);
    while (result == 0 && (result = section_dictionary_next(&dictionary, &name)) > 0) {
        result = 0;
        if (name.kind == DICTIONARY_STRING) {
            dump_string(&name, out);
            continue;
        }
        fprintf(out, "labels %u", name.number);
        for (uint32_t i = 0; i < name.count; i++)
            fprintf(out, " %u=%u", (unsigned)(name.pairs[i] >> 32), (unsigned)name.pairs[i]);
        fputc('\n', out);
    }
    return result;
}

static int dump_module(const struct section *section, FILE *out)
{
    struct gmpt_module module;
    const char *path;
    size_t path_bytes;
    if (section_module(section, &module, &path, &path_bytes))
        return -EPROTO;
    fprintf(out, "module 0x%" PRIx64 " 0x%" PRIx64 " 0x%" PRIx64 " ", module.start, module.end, module.bias);
    for (uint32_t i = 0; i < module.build_id_bytes; i++)
        fprintf(out, "%02x", module.build_id[i]);
    fprintf(out, "%s %.*s\n", module.build_id_bytes ? "" : "-", (int)path_bytes, path);
    return 0;
}

static int dump_end(const struct section *section, FILE *out)
{
    struct section_end end;
    if (section_end_parse(section, &end))
        return -EPROTO;
    fprintf(out, "end %d %d\n", end.exit_kind, end.exit_code);
    for (uint32_t i = 0; i < end.ring_count; i++)
        fprintf(out, "ring %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", end.rings[i].emitted, end.rings[i].lost,
                end.rings[i].stacks_lost);
    return 0;
}

static int dump_section(const struct section *section, struct event_schema *schema, FILE *out)
{
    struct writer_clock clock;
    switch (section->kind) {
    case FORMAT_CLOCK:
        if (section_clock(section, &clock))
            return -EPROTO;
        fprintf(out, "clock %" PRIu64 " %" PRId64 " %" PRId64 "\n", clock.ticks, clock.monotonic_ns, clock.realtime_ns);
        return 0;
    case FORMAT_INFO:
        return 0; /* printed before the first frame */
    case FORMAT_SCHEMA:
        return event_schema_parse(schema, (const char *)section->bytes, (size_t)(section->end - section->bytes));
    case FORMAT_MODULE:
        return dump_module(section, out);
    case FORMAT_STACKS:
        return dump_stacks(section, out);
    case FORMAT_DICTIONARY:
        return dump_dictionary(section, out);
    case FORMAT_EVENTS:
        return dump_events(section, schema, out);
    case FORMAT_END:
        return dump_end(section, out);
    default:
        fprintf(out, "# a section of kind %u, which is not known\n", section->kind);
        return 0;
    }
}

/* Twice over the sections of a frame: the head's lines come before the line that begins the frame. */
static int dump_frame(const struct frame *frame, struct event_schema *schema, FILE *out)
{
    struct section section;
    const uint8_t *p = frame->bytes, *end = frame->bytes + frame->size;
    int result;
    while ((result = section_next(&p, end, &section)) > 0)
        if (section.kind == FORMAT_INFO)
            dump_info(&section, out);
    fputs("frame\n", out);
    p = frame->bytes;
    while (result == 0 && (result = section_next(&p, end, &section)) > 0)
        result = dump_section(&section, schema, out);
    return result;
}

int text_dump(const char *path, FILE *out, struct gmpt_trace_error *error)
{
    struct event_schema schema;
    struct frame *frame;
    struct frames_file *file = frames_open(path, error);
    if (!file)
        return -errno;
    event_schema_init(&schema);
    int result;
    while ((result = frames_next(file, &frame, error)) > 0) {
        result = frame->after_damage ? -EPROTO : dump_frame(frame, &schema, out);
        if (result && !frame->after_damage)
            frames_error(error, frame->offset, "the frame's content is malformed");
        frame_release(frame);
        if (result)
            break;
    }
    if (result == 0 && frames_ending(file) == FRAMES_CUT)
        frames_error(error, frames_offset(file), "the file ends inside a frame");
    if (result == 0 && frames_ending(file) != FRAMES_WHOLE)
        result = -EPROTO;
    frames_close(file);
    return result;
}

/* ---- Parsing ---------------------------------------------------------------------------------------------------- */

struct build {
    struct writer *writer; /* NULL until the first frame begins */
    int fd;                /* until the writer has it */
    struct writer_info info;
    char *command, *host;
    int line;
    struct gmpt_trace_error *error;

    /* What belongs to one section but comes line by line. */
    bool events_open, end_open;
    struct writer_events events;
    uint8_t *records;
    uint64_t stack_words[TEXT_STACK_WORDS];
    size_t stack_used;
    uint32_t stack_ring, stack_first, stack_next;
    struct section_end end;
};

static int build_fail(struct build *build, const char *what)
{
    frames_error(build->error, build->line, "line %d: %s", build->line, what);
    return -EINVAL;
}

/* The next word of *p, which is ended with a 0; NULL when there is none. */
static char *word_take(char **p)
{
    char *word = *p + strspn(*p, " ");
    char *end = word + strcspn(word, " ");
    *p = *end ? end + 1 : end;
    *end = 0;
    return *word ? word : NULL;
}

static bool number_parse(const char *word, uint64_t *value)
{
    char *end;
    if (!word || !*word)
        return false;
    errno = 0;
    *value = *word == '-' ? (uint64_t)strtoll(word, &end, 0) : strtoull(word, &end, 0);
    return *end == 0 && errno == 0;
}

static bool number_take(char **p, uint64_t *value) { return number_parse(word_take(p), value); }

/* The value of the next word, which must be "name=...". */
static char *value_take(char **p, const char *name)
{
    char *word = word_take(p);
    size_t length = strlen(name);
    return word && strncmp(word, name, length) == 0 && word[length] == '=' ? word + length + 1 : NULL;
}

/* Hands over what was gathered for the section that a new kind of line ends. */
static void build_flush(struct build *build)
{
    if (build->events_open)
        writer_put_events(build->writer, &build->events);
    if (build->stack_used)
        writer_put_stacks(build->writer, build->stack_ring, build->stack_first, build->stack_words, build->stack_used);
    if (build->end_open)
        writer_put_end(build->writer, build->end.exit_kind, build->end.exit_code, build->end.rings,
                       build->end.ring_count);
    build->events_open = build->end_open = false;
    build->stack_used = 0;
}

static int build_head(struct build *build, const char *key, char *rest)
{
    uint64_t number = 0;
    uint32_t groups;
    bool is_number = number_parse(rest, &number) && number <= UINT32_MAX;
    if (strcmp(key, "pid") == 0 && is_number)
        build->info.pid = (uint32_t)number;
    else if (strcmp(key, "p_count") == 0 && is_number)
        build->info.p_count = (uint32_t)number;
    else if (strcmp(key, "maxprocs") == 0 && is_number)
        build->info.maxprocs = (uint32_t)number;
    else if (strcmp(key, "quota_cpus") == 0 && is_number)
        build->info.quota_cpus = (uint32_t)number;
    else if (strcmp(key, "attached") == 0 && is_number)
        build->info.attached = number == 1;
    else if (strcmp(key, "stack_frames") == 0 && is_number && number <= STACK_DEPTH_MAX)
        build->info.frames_left_out = STACK_DEPTH_MAX - (uint32_t)number;
    else if (strcmp(key, "left_out") == 0 && !event_groups_parse(rest, &groups))
        build->info.events_left_out = groups;
    else if (strcmp(key, "clock_kind") == 0 && strcmp(rest, "tsc") == 0)
        build->info.clock = SEGMENT_CLOCK_TSC;
    else if (strcmp(key, "clock_kind") == 0 && strcmp(rest, "monotonic") == 0)
        build->info.clock = SEGMENT_CLOCK_MONOTONIC;
    else if (strcmp(key, "command") == 0 && !build->command)
        build->info.command = build->command = strdup(rest);
    else if (strcmp(key, "host") == 0 && !build->host)
        build->info.host = build->host = strdup(rest);
    else
        return build_fail(build, "this is no line of a head, or a frame must begin before it");
    return 0;
}

static int build_frame(struct build *build)
{
    if (build->writer)
        return writer_frame(build->writer);
    build->writer = writer_open(build->fd, &build->info, 1);
    if (!build->writer)
        return -errno;
    build->fd = -1;
    return 0;
}

static int build_clock(struct build *build, char *rest)
{
    uint64_t ticks, monotonic, realtime;
    if (!number_take(&rest, &ticks) || !number_take(&rest, &monotonic) || !number_take(&rest, &realtime))
        return build_fail(build, "a clock has ticks, monotonic ns and realtime ns");
    writer_put_clock(build->writer, &(struct writer_clock){ ticks, (int64_t)monotonic, (int64_t)realtime });
    return 0;
}

static int build_module(struct build *build, char *rest)
{
    struct gmpt_module module = { 0 };
    if (!number_take(&rest, &module.start) || !number_take(&rest, &module.end) || !number_take(&rest, &module.bias))
        return build_fail(build, "a module has start, end, bias, build id and path");
    char *id = word_take(&rest);
    if (!id || strlen(id) > 2 * sizeof module.build_id)
        return build_fail(build, "a build id has at most 20 bytes");
    for (; id[0] != '-' && id[0] && id[1]; id += 2) {
        char digits[3] = { id[0], id[1], 0 };
        module.build_id[module.build_id_bytes++] = (uint8_t)strtoul(digits, NULL, 16);
    }
    module.path = rest;
    writer_put_module(build->writer, &module);
    return 0;
}

static int build_stack(struct build *build, char *rest)
{
    uint64_t ring, ordinal, pc[SECTION_STACK_MAX];
    uint32_t count = 0;
    if (!number_take(&rest, &ring) || !number_take(&rest, &ordinal) || ring >= SECTION_RINGS_MAX ||
        ordinal > UINT32_MAX)
        return build_fail(build, "a stack has ring, ordinal and addresses");
    for (char *word; (word = word_take(&rest)); count++)
        if (count == SECTION_STACK_MAX || !number_parse(word, &pc[count]))
            return build_fail(build, "an address is no number, or there are too many");
    bool goes_on = build->stack_used && ring == build->stack_ring && ordinal == build->stack_next &&
                   build->stack_used + 1 + count <= TEXT_STACK_WORDS;
    if (!goes_on) {
        build_flush(build);
        build->stack_ring = (uint32_t)ring;
        build->stack_first = (uint32_t)ordinal;
    }
    build->stack_next = (uint32_t)ordinal + 1;
    build->stack_words[build->stack_used++] = count;
    memcpy(build->stack_words + build->stack_used, pc, count * sizeof *pc);
    build->stack_used += count;
    return 0;
}

static int build_string(struct build *build, char *rest)
{
    uint64_t number, words[1 + DICTIONARY_STRING_MAX / 8 + 1] = { 0 };
    uint8_t *bytes = (uint8_t *)(words + 1);
    uint32_t count = 0;
    if (!number_take(&rest, &number) || number == 0 || number > UINT32_MAX)
        return build_fail(build, "a string has a number");
    for (; *rest; count++) {
        if (count == DICTIONARY_STRING_MAX)
            return build_fail(build, "the string is too long");
        char digits[3] = "";
        if (rest[0] != '\\') {
            bytes[count] = (uint8_t)*rest++;
        } else if (rest[1] == '\\') {
            bytes[count] = '\\';
            rest += 2;
        } else if (rest[1] == 'x' && isxdigit((unsigned char)rest[2]) && isxdigit((unsigned char)rest[3])) {
            memcpy(digits, rest + 2, 2);
            bytes[count] = (uint8_t)strtoul(digits, NULL, 16);
            rest += 4;
        } else {
            return build_fail(build, "in a string, \\ is followed by \\ or by x and two digits");
        }
    }
    words[0] = dictionary_head(DICTIONARY_STRING, count);
    writer_put_dictionary(build->writer, (uint32_t)number, words, 1 + dictionary_content_words(words[0]));
    return 0;
}

static int build_labels(struct build *build, char *rest)
{
    uint64_t number, key, value, words[1 + DICTIONARY_LABELS_MAX];
    uint32_t count = 0;
    if (!number_take(&rest, &number) || number == 0 || number > UINT32_MAX)
        return build_fail(build, "labels have a number");
    for (char *word; (word = word_take(&rest)); count++) {
        char *equals = strchr(word, '=');
        if (!equals || count == DICTIONARY_LABELS_MAX)
            return build_fail(build, "labels are key=value by their numbers, and not too many");
        *equals = 0;
        if (!number_parse(word, &key) || !number_parse(equals + 1, &value) || key > UINT32_MAX || value > UINT32_MAX)
            return build_fail(build, "a label is key=value by their numbers");
        words[1 + count] = key << 32 | value;
    }
    if (count == 0)
        return build_fail(build, "a label set has at least one label");
    words[0] = dictionary_head(DICTIONARY_LABELS, count);
    writer_put_dictionary(build->writer, (uint32_t)number, words, 1 + count);
    return 0;
}

static int build_events(struct build *build, char *rest)
{
    static const char *const names[] = { "ring", "sequence", "offset", "base", "g", "seq", "tid", "lost" };
    static const uint64_t max[] = {
        SECTION_RINGS_MAX - 1, UINT64_MAX, UINT32_MAX, UINT64_MAX, UINT64_MAX, UINT32_MAX, UINT32_MAX, UINT64_MAX
    };
    uint64_t number[8];
    for (int i = 0; i < 8; i++)
        if (!number_parse(value_take(&rest, names[i]), &number[i]) || number[i] > max[i])
            return build_fail(build, "events have ring, sequence, offset, base, g, seq, tid and lost, in this order");
    build->events = (struct writer_events){
        .ring = (uint32_t)number[0],
        .sequence = number[1],
        .offset = (uint32_t)number[2],
        .base_ticks = number[3],
        .current_g = number[4],
        .current_seq = (uint32_t)number[5],
        .tid = (uint32_t)number[6],
        .lost_before = number[7],
        .bytes = build->records,
    };
    build->events_open = true;
    return 0;
}

static int build_record(struct build *build, const char *first, char *rest)
{
    uint64_t delta, fields[GMPT_EVENT_FIELDS_MAX] = { 0 };
    char *name = word_take(&rest);
    int code = name ? event_find(name, strlen(name)) : -1;
    if (!number_parse(first, &delta) || code < 0)
        return build_fail(build, "a record has ticks and the name of an event");
    for (int i = 0; i < event_field_counts[code] && *(rest += strspn(rest, " ")); i++) {
        const struct event_field *field = &event_specs[code].field[i];
        char *value = value_take(&rest, field->name);
        int reason = value && field->kind == EVENT_KIND_reason ? event_reason_find(value) : -1;
        if (reason >= 0)
            fields[i] = (uint64_t)reason;
        else if (!number_parse(value, &fields[i]))
            return build_fail(build, "a field is missing or no number; they come as name=value, in the table's order");
    }
    if (word_take(&rest))
        return build_fail(build, "there is more on the line than the event has fields");
    if (build->events.size + EVENT_BYTES_MAX > TEXT_RECORDS_BYTES)
        return build_fail(build, "too many records in one section");
    uint8_t *at = build->records + build->events.size;
    build->events.size += (size_t)(event_encode(at, (unsigned)code, delta, fields) - at);
    build->events.count++;
    return 0;
}

static int build_end(struct build *build, char *rest)
{
    uint64_t kind, code;
    if (!number_take(&rest, &kind) || !number_take(&rest, &code) || kind > FORMAT_EXIT_KIND_MAX)
        return build_fail(build, "an end has exit kind and exit code");
    build->end = (struct section_end){ .exit_kind = (int)kind, .exit_code = (int)(uint32_t)code };
    build->end_open = true;
    return 0;
}

static int build_ring(struct build *build, char *rest)
{
    struct writer_ring_end *ring = &build->end.rings[build->end.ring_count];
    if (!build->end_open || build->end.ring_count == SECTION_RINGS_MAX || !number_take(&rest, &ring->emitted) ||
        !number_take(&rest, &ring->lost) || !number_take(&rest, &ring->stacks_lost))
        return build_fail(build, "after the end, a ring has emitted, lost and stacks lost");
    build->end.ring_count++;
    return 0;
}

static int build_line(struct build *build, char *line)
{
    char *rest = line;
    char *word = word_take(&rest);
    if (!word || *word == '#')
        return 0;
    if (build->events_open && *word >= '0' && *word <= '9')
        return build_record(build, word, rest);
    if (strcmp(word, "ring") == 0)
        return build_ring(build, rest);
    if (strcmp(word, "stack") == 0 && build->writer && !build->events_open && !build->end_open)
        return build_stack(build, rest);
    if (build->writer)
        build_flush(build);
    if (strcmp(word, "frame") == 0)
        return build_frame(build);
    if (!build->writer)
        return build_head(build, word, rest);
    if (strcmp(word, "clock") == 0)
        return build_clock(build, rest);
    if (strcmp(word, "module") == 0)
        return build_module(build, rest);
    if (strcmp(word, "stack") == 0)
        return build_stack(build, rest);
    if (strcmp(word, "string") == 0)
        return build_string(build, rest);
    if (strcmp(word, "labels") == 0)
        return build_labels(build, rest);
    if (strcmp(word, "events") == 0)
        return build_events(build, rest);
    if (strcmp(word, "end") == 0)
        return build_end(build, rest);
    return build_fail(build, "this kind of line is not known");
}

int text_build(const char *text, int fd, struct gmpt_trace_error *error)
{
    int result = -ENOMEM;
    char *copy = NULL;
    struct build *build = calloc(1, sizeof *build);
    frames_error(error, 0, "out of memory");
    if (!build || !(copy = strdup(text)) || !(build->records = malloc(TEXT_RECORDS_BYTES))) {
        close(fd);
        goto out;
    }
    build->fd = fd;
    build->error = error;
    frames_error(error, 0, "%s", "");
    result = 0;
    for (char *next, *line = copy; result == 0 && line; line = next) {
        build->line++;
        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        result = build_line(build, line);
    }
    if (build->writer) {
        if (result == 0)
            build_flush(build);
        int closed = writer_close(build->writer);
        result = result ? result : closed;
    } else {
        close(build->fd);
        if (result == 0)
            result = build_fail(build, "there is no frame");
    }
    if (result && error->message[0] == 0)
        frames_error(error, build->line, "%s", strerror(-result));
out:
    if (build) {
        free(build->records);
        free(build->command);
        free(build->host);
    }
    free(build);
    free(copy);
    return result;
}
