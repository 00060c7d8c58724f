/* Collects samples, and turns them into pprof's message and that into a gzip file.
 *
 * While samples come in, only numbers are kept: strings, addresses and whole samples are interned. The message is
 * made of them at the end in one go, when the trace has told all its modules, in memory that is freed as a whole. */
#define _GNU_SOURCE
#include "profile.h"

#include "intern.h"
#include "pprof/profile.pb-c.h"

#include "trace/timesum.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

struct profile {
    const struct gmpt_trace *trace; /* NULL = none */
    struct symbolizer *symbolizer;
    struct {
        int64_t type, unit; /* strings */
    } types[PROFILE_TYPES_MAX];
    size_t type_count, shown;
    size_t period_type;
    int64_t period;          /* 0 = not sampled */
    int64_t from_ns, to_ns;  /* to_ns 0: all of the trace */
    struct intern strings;   /* with their final NUL; number 0 is "" */
    struct intern locations; /* struct location_key; id = number + 1 */
    struct intern functions; /* struct function_key; id = number + 1 */
    struct intern samples;   /* count of locations, their ids, then struct label_key each */
    int64_t *values;         /* by sample, type_count of each */
    size_t values_room;
    int64_t *comments;
    size_t comment_count, comment_room;
};

struct location_key {
    uint64_t address; /* in the call */
    int64_t pseudo;   /* or the string of a frame that is no code; 0 = none */
};

struct function_key {
    int64_t name, file, line;
};

struct label_key {
    int64_t key, text, number, unit;
};

/* ---- Collecting ------------------------------------------------------------------------------------------------- */

/* Bytes of the UTF-8 character at text, 0 when it is none. */
static size_t utf8_length(const unsigned char *text)
{
    size_t more = text[0] < 0x80                      ? 0
                  : text[0] >= 0xc2 && text[0] < 0xe0 ? 1
                  : (text[0] & 0xf0) == 0xe0          ? 2
                  : text[0] >= 0xf0 && text[0] < 0xf5 ? 3
                                                      : 4;
    if (more == 4)
        return 0;
    for (size_t i = 1; i <= more; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    return more + 1;
}

/* Protobuf strings are UTF-8; paths and arguments are any bytes. */
static int64_t string_put(struct profile *profile, const char *text)
{
    if (!text)
        return 0;
    size_t size = strlen(text) + 1, length;
    const unsigned char *byte = (const unsigned char *)text;
    while (*byte && (length = utf8_length(byte)))
        byte += length;
    if (!*byte)
        return intern_put(&profile->strings, text, size);

    char *clean = strdup(text);
    if (!clean)
        return -ENOMEM;
    for (char *p = clean; *p;) {
        length = utf8_length((unsigned char *)p);
        if (length == 0)
            *p = '?';
        p += length ? length : 1;
    }
    int64_t number = intern_put(&profile->strings, clean, size);
    free(clean);
    return number;
}

struct profile *profile_open_types(const struct gmpt_trace *trace, struct symbolizer *symbolizer,
                                   const struct profile_type *types, size_t type_count, size_t shown)
{
    struct profile *profile = calloc(1, sizeof *profile);
    if (!profile)
        return NULL;
    profile->trace = trace;
    profile->symbolizer = symbolizer;
    profile->shown = shown;
    int64_t failed = string_put(profile, "");
    for (size_t i = 0; i < type_count && i < PROFILE_TYPES_MAX && !failed; i++) {
        profile->types[i].type = string_put(profile, types[i].type);
        profile->types[i].unit = string_put(profile, types[i].unit);
        failed = profile->types[i].type < 0 || profile->types[i].unit < 0;
        profile->type_count++;
    }
    if (!failed)
        return profile;
    profile_close(profile);
    errno = ENOMEM;
    return NULL;
}

struct profile *profile_open(const struct gmpt_trace *trace, struct symbolizer *symbolizer, const char *sample_type,
                             const char *unit)
{
    return profile_open_types(trace, symbolizer, &(struct profile_type){ sample_type, unit }, 1, 0);
}

void profile_window(struct profile *profile, int64_t from_ns, int64_t to_ns)
{
    profile->from_ns = from_ns;
    profile->to_ns = to_ns;
}

void profile_close(struct profile *profile)
{
    if (!profile)
        return;
    intern_free(&profile->strings);
    intern_free(&profile->locations);
    intern_free(&profile->functions);
    intern_free(&profile->samples);
    free(profile->values);
    free(profile->comments);
    free(profile);
}

void profile_period(struct profile *profile, size_t type, int64_t period)
{
    profile->period_type = type;
    profile->period = period;
}

/* Makes room for items after count of them in an array of int64_t. */
static int numbers_room(int64_t **numbers, size_t count, size_t items, size_t *room)
{
    if (count + items <= *room)
        return 0;
    size_t more = *room ? *room * 2 : 16;
    int64_t *grown = reallocarray(*numbers, more, sizeof grown[0]);
    if (!grown)
        return -ENOMEM;
    *numbers = grown;
    *room = more;
    return 0;
}

int profile_comment(struct profile *profile, const char *text)
{
    int64_t string = string_put(profile, text);
    if (string < 0 || numbers_room(&profile->comments, profile->comment_count, 1, &profile->comment_room))
        return -ENOMEM;
    profile->comments[profile->comment_count++] = string;
    return 0;
}

static int64_t location_put(struct profile *profile, struct location_key key)
{
    if (key.pseudo < 0)
        return key.pseudo;
    int64_t location = intern_put(&profile->locations, &key, sizeof key);
    return location < 0 ? location : location + 1;
}

static int labels_put(struct profile *profile, const struct profile_sample *sample, struct label_key *keys)
{
    for (size_t i = 0; i < sample->label_count; i++) {
        const struct profile_label *label = &sample->labels[i];
        keys[i] = (struct label_key){ .key = string_put(profile, label->key),
                                      .text = string_put(profile, label->text),
                                      .number = label->text ? 0 : label->number,
                                      .unit = label->text ? 0 : string_put(profile, label->unit) };
        if (keys[i].key < 0 || keys[i].text < 0 || keys[i].unit < 0)
            return -ENOMEM;
    }
    return 0;
}

int profile_add_sample(struct profile *profile, const struct profile_sample *sample)
{
    size_t count = sample->pseudo_count + sample->count;
    size_t size = sizeof(int64_t) * (1 + count) + sample->label_count * sizeof(struct label_key);
    int result = -ENOMEM;
    int64_t *key = malloc(size);
    if (!key)
        return -ENOMEM;
    key[0] = (int64_t)count;
    for (size_t i = 0; i < count; i++) {
        struct location_key location = { 0, 0 };
        if (i < sample->pseudo_count)
            location.pseudo = string_put(profile, sample->pseudo[i]);
        else if (sample->pc[i - sample->pseudo_count])
            /* pprof takes an address for the instruction itself; ours are those after a call. */
            location.address = sample->pc[i - sample->pseudo_count] - 1;
        key[1 + i] = location_put(profile, location);
        if (key[1 + i] < 0)
            goto out;
    }
    if (labels_put(profile, sample, (struct label_key *)(key + 1 + count)))
        goto out;
    /* Room first, so that a sample never stands without its values. */
    size_t before = profile->samples.count, types = profile->type_count;
    if (numbers_room(&profile->values, before * types, types, &profile->values_room))
        goto out;
    int64_t number = intern_put(&profile->samples, key, size);
    if (number < 0)
        goto out;
    int64_t *values = profile->values + (size_t)number * types;
    if (profile->samples.count > before)
        memset(values, 0, types * sizeof values[0]);
    for (size_t i = 0; i < types; i++)
        timesum_add(&values[i], sample->values[i]);
    result = 0;
out:
    free(key);
    return result;
}

int profile_add(struct profile *profile, const uint64_t *pc, size_t count, int64_t value,
                const struct profile_label *labels, size_t label_count)
{
    int64_t values[PROFILE_TYPES_MAX] = { value };
    return profile_add_sample(
        profile, &(struct profile_sample){
                     .pc = pc, .count = count, .values = values, .labels = labels, .label_count = label_count });
}

size_t profile_sample_count(const struct profile *profile) { return profile->samples.count; }

int64_t profile_value(const struct profile *profile, size_t sample, size_t type)
{
    return profile->values[sample * profile->type_count + type];
}

/* ---- Looking at it ---------------------------------------------------------------------------------------------- */

const char *profile_string(const struct profile *profile, int64_t number)
{
    return intern_get(&profile->strings, (size_t)number, NULL);
}

/* "prog+0x1234" */
static int64_t nameless_put(struct profile *profile, const struct symbol *symbol, uint64_t address)
{
    char text[256];
    if (symbol->module >= 0 && (size_t)symbol->module < symbolizer_module_count(profile->symbolizer)) {
        const char *path = symbolizer_module(profile->symbolizer, (size_t)symbol->module, NULL)->path;
        const char *slash = strrchr(path, '/');
        snprintf(text, sizeof text, "%.200s+0x%llx", slash ? slash + 1 : path,
                 (unsigned long long)symbol->object_address);
    } else {
        snprintf(text, sizeof text, "0x%llx", (unsigned long long)address);
    }
    return string_put(profile, text);
}

static int frame_add(struct profile_frames *frames, struct profile_frame frame)
{
    if (frame.name < 0 || frame.file < 0)
        return -ENOMEM;
    if (frames->count == frames->room) {
        size_t room = frames->room ? frames->room * 2 : 64;
        struct profile_frame *list = reallocarray(frames->list, room, sizeof list[0]);
        if (!list)
            return -ENOMEM;
        frames->list = list;
        frames->room = room;
    }
    frames->list[frames->count++] = frame;
    return 0;
}

int profile_sample_frames(struct profile *profile, size_t sample, struct profile_frames *frames)
{
    const int64_t *key = intern_get(&profile->samples, sample, NULL);
    int result = 0;
    frames->count = 0;
    for (size_t i = 0; i < (size_t)key[0] && !result; i++) {
        struct location_key location =
            *(const struct location_key *)intern_get(&profile->locations, (size_t)key[1 + i] - 1, NULL);
        if (location.pseudo) {
            result = frame_add(frames, (struct profile_frame){ .name = location.pseudo });
            continue;
        }
        const struct symbol *symbol = symbolize(profile->symbolizer, location.address + 1);
        for (size_t k = 0; k < symbol->count && !result; k++) {
            const struct symbol_frame *frame = &symbol->frames[k];
            result = frame_add(frames, (struct profile_frame){
                                           .name = frame->function && *frame->function
                                                       ? string_put(profile, frame->function)
                                                       : nameless_put(profile, symbol, location.address),
                                           .file = string_put(profile, frame->file),
                                           .line = frame->function_line,
                                       });
        }
    }
    return result;
}

/* ---- Building --------------------------------------------------------------------------------------------------- */

/* The message's memory: blocks that are freed together. */
struct build {
    struct block {
        struct block *next;
        size_t used, room;
        _Alignas(16) uint8_t bytes[];
    } * blocks;
};

static void *build_alloc(struct build *build, size_t count, size_t item_bytes)
{
    size_t size;
    if (__builtin_mul_overflow(count, item_bytes, &size) || size > SIZE_MAX / 2)
        return NULL;
    size = (size + 15) & ~(size_t)15;
    struct block *block = build->blocks;
    if (!block || block->room - block->used < size) {
        size_t room = size > 65536 ? size : 65536;
        block = calloc(1, sizeof *block + room);
        if (!block)
            return NULL;
        block->room = room;
        block->next = build->blocks;
        build->blocks = block;
    }
    void *memory = block->bytes + block->used;
    block->used += size;
    return memory;
}

static void build_free(struct build *build)
{
    for (struct block *block = build->blocks, *next; block; block = next) {
        next = block->next;
        free(block);
    }
}

/* A list of count messages of one kind: sets the field and its count, returns the first of them. */
static void *build_list(struct build *build, size_t count, size_t message_bytes, void *field, size_t *field_count)
{
    uint8_t *messages = build_alloc(build, count, message_bytes);
    void **list = build_alloc(build, count, sizeof list[0]);
    if (!messages || !list)
        return NULL;
    for (size_t i = 0; i < count; i++)
        list[i] = messages + i * message_bytes;
    memcpy(field, &list, sizeof list);
    *field_count = count;
    return messages;
}

static int build_mappings(struct profile *profile, struct build *build, Perftools__Profiles__Profile *message)
{
    size_t count = symbolizer_module_count(profile->symbolizer);
    Perftools__Profiles__Mapping *mappings =
        build_list(build, count, sizeof mappings[0], &message->mapping, &message->n_mapping);
    if (!mappings)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        char build_id[2 * sizeof(((struct gmpt_module *)0)->build_id) + 1] = "";
        const struct gmpt_module *module = symbolizer_module(profile->symbolizer, i, NULL);
        for (uint32_t j = 0; j < module->build_id_bytes; j++)
            snprintf(build_id + 2 * j, 3, "%02x", module->build_id[j]);
        perftools__profiles__mapping__init(&mappings[i]);
        mappings[i].id = i + 1;
        mappings[i].memory_start = module->start;
        mappings[i].memory_limit = module->end;
        mappings[i].filename = string_put(profile, module->path);
        mappings[i].build_id = string_put(profile, build_id);
        if (mappings[i].filename < 0 || mappings[i].build_id < 0)
            return -ENOMEM;
    }
    return 0;
}

static int build_lines(struct profile *profile, struct build *build, Perftools__Profiles__Location *location,
                       const struct symbol *symbol, Perftools__Profiles__Mapping *mapping)
{
    if (symbol->count == 1 && !symbol->frames[0].function && !symbol->frames[0].file)
        return 0;
    Perftools__Profiles__Line *lines =
        build_list(build, symbol->count, sizeof lines[0], &location->line, &location->n_line);
    if (!lines)
        return -ENOMEM;
    for (size_t i = 0; i < symbol->count; i++) {
        const struct symbol_frame *frame = &symbol->frames[i];
        struct function_key key = { .name = string_put(profile, frame->function ? frame->function : "??"),
                                    .file = string_put(profile, frame->file),
                                    .line = frame->function_line };
        if (key.name < 0 || key.file < 0)
            return -ENOMEM;
        int64_t function = intern_put(&profile->functions, &key, sizeof key);
        if (function < 0)
            return -ENOMEM;
        perftools__profiles__line__init(&lines[i]);
        lines[i].function_id = (uint64_t)function + 1;
        lines[i].line = frame->line;
        if (!mapping)
            continue;
        mapping->has_functions |= frame->function != NULL;
        mapping->has_filenames |= frame->file != NULL;
        mapping->has_line_numbers |= frame->line != 0;
        mapping->has_inline_frames |= symbol->count > 1;
    }
    return 0;
}

/* A frame that is no code has neither address nor mapping. */
static int build_pseudo(struct profile *profile, struct build *build, Perftools__Profiles__Location *location,
                        int64_t name)
{
    Perftools__Profiles__Line *line = build_list(build, 1, sizeof line[0], &location->line, &location->n_line);
    int64_t function =
        intern_put(&profile->functions, &(struct function_key){ .name = name }, sizeof(struct function_key));
    if (!line || function < 0)
        return -ENOMEM;
    perftools__profiles__line__init(line);
    line->function_id = (uint64_t)function + 1;
    return 0;
}

static int build_location(struct profile *profile, struct build *build, Perftools__Profiles__Location *location,
                          uint64_t address, const Perftools__Profiles__Profile *message)
{
    const struct symbol *symbol = symbolize(profile->symbolizer, address + 1);
    Perftools__Profiles__Mapping *mapping =
        symbol->module >= 0 && (size_t)symbol->module < message->n_mapping ? message->mapping[symbol->module] : NULL;
    location->mapping_id = mapping ? mapping->id : 0;
    location->address = address;
    if (mapping) /* known now that a symbol was looked up in it */
        symbolizer_module(profile->symbolizer, (size_t)symbol->module, &mapping->file_offset);
    return build_lines(profile, build, location, symbol, mapping);
}

static int build_locations(struct profile *profile, struct build *build, Perftools__Profiles__Profile *message)
{
    Perftools__Profiles__Location *locations =
        build_list(build, profile->locations.count, sizeof locations[0], &message->location, &message->n_location);
    if (!locations)
        return -ENOMEM;
    for (size_t i = 0; i < profile->locations.count; i++) {
        const struct location_key *key = intern_get(&profile->locations, i, NULL);
        perftools__profiles__location__init(&locations[i]);
        locations[i].id = i + 1;
        if (key->pseudo ? build_pseudo(profile, build, &locations[i], key->pseudo)
                        : build_location(profile, build, &locations[i], key->address, message))
            return -ENOMEM;
    }
    return 0;
}

static int build_functions(struct profile *profile, struct build *build, Perftools__Profiles__Profile *message)
{
    Perftools__Profiles__Function *functions =
        build_list(build, profile->functions.count, sizeof functions[0], &message->function, &message->n_function);
    if (!functions)
        return -ENOMEM;
    for (size_t i = 0; i < profile->functions.count; i++) {
        const struct function_key *key = intern_get(&profile->functions, i, NULL);
        perftools__profiles__function__init(&functions[i]);
        functions[i].id = i + 1;
        functions[i].name = functions[i].system_name = key->name;
        functions[i].filename = key->file;
        functions[i].start_line = key->line;
    }
    return 0;
}

static int build_samples(struct profile *profile, struct build *build, Perftools__Profiles__Profile *message)
{
    Perftools__Profiles__Sample *samples =
        build_list(build, profile->samples.count, sizeof samples[0], &message->sample, &message->n_sample);
    if (!samples)
        return -ENOMEM;
    for (size_t i = 0; i < profile->samples.count; i++) {
        size_t size;
        int64_t *key = (int64_t *)intern_get(&profile->samples, i, &size);
        size_t count = (size_t)key[0];
        const struct label_key *label_keys = (const struct label_key *)(key + 1 + count);
        size_t label_count = (size - sizeof(int64_t) * (1 + count)) / sizeof label_keys[0];
        Perftools__Profiles__Label *labels;

        perftools__profiles__sample__init(&samples[i]);
        samples[i].n_location_id = count;
        samples[i].location_id = (uint64_t *)(key + 1); /* no sample is added while the message lives */
        samples[i].n_value = profile->type_count;
        samples[i].value = &profile->values[i * profile->type_count];
        labels = build_list(build, label_count, sizeof labels[0], &samples[i].label, &samples[i].n_label);
        if (!labels)
            return -ENOMEM;
        for (size_t j = 0; j < label_count; j++) {
            perftools__profiles__label__init(&labels[j]);
            labels[j].key = label_keys[j].key;
            labels[j].str = label_keys[j].text;
            labels[j].num = label_keys[j].number;
            labels[j].num_unit = label_keys[j].unit;
        }
    }
    return 0;
}

static int build_strings(struct profile *profile, struct build *build, Perftools__Profiles__Profile *message)
{
    message->string_table = build_alloc(build, profile->strings.count, sizeof message->string_table[0]);
    if (!message->string_table)
        return -ENOMEM;
    message->n_string_table = profile->strings.count;
    for (size_t i = 0; i < profile->strings.count; i++)
        message->string_table[i] = (char *)intern_get(&profile->strings, i, NULL);
    return 0;
}

/* ---- Writing ---------------------------------------------------------------------------------------------------- */

static int write_all(int fd, const uint8_t *bytes, size_t size)
{
    while (size) {
        ssize_t written = write(fd, bytes, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        bytes += written;
        size -= (size_t)written;
    }
    return 0;
}

static int write_gzip(int fd, uint8_t *bytes, size_t size)
{
    uint8_t out[65536];
    z_stream stream = { 0 };
    int result = 0, state = Z_OK;

    if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return -ENOMEM;
    do {
        /* avail_in is 32 bits wide */
        if (stream.avail_in == 0) {
            stream.next_in = bytes;
            stream.avail_in = size > 1u << 30 ? 1u << 30 : (uInt)size;
            bytes += stream.avail_in;
            size -= stream.avail_in;
        }
        stream.next_out = out;
        stream.avail_out = sizeof out;
        state = deflate(&stream, size == 0 ? Z_FINISH : Z_NO_FLUSH);
        result = write_all(fd, out, sizeof out - stream.avail_out);
    } while (result == 0 && state == Z_OK);
    if (result == 0 && state != Z_STREAM_END)
        result = -EIO;
    deflateEnd(&stream);
    return result;
}

static int comment_format(struct profile *profile, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int comment_format(struct profile *profile, const char *format, ...)
{
    char *text;
    va_list args;
    va_start(args, format);
    int length = vasprintf(&text, format, args);
    va_end(args);
    if (length < 0)
        return -ENOMEM;
    int result = profile_comment(profile, text);
    free(text);
    return result;
}

/* What a reader of the profile should know of the recording. */
static int comments_from_trace(struct profile *profile)
{
    const struct gmpt_trace_info *info = gmpt_trace_info(profile->trace);
    const struct gmpt_trace_counts *counts = gmpt_trace_counts(profile->trace);
    int result = 0;
    if (info->command && *info->command)
        result = comment_format(profile, "command: %s", info->command);
    if (!result && info->host && *info->host)
        result = comment_format(profile, "host: %s", info->host);
    if (!result && !info->whole)
        result = comment_format(profile, "the trace was cut off: this is the state at its last readable event");
    if (!result && (counts->lost || counts->gaps))
        result = comment_format(profile, "lost: %llu events, %llu gaps, %llu goroutines whose state was guessed",
                                (unsigned long long)counts->lost, (unsigned long long)counts->gaps,
                                (unsigned long long)counts->resynced);
    return result;
}

int profile_write(struct profile *profile, int fd)
{
    Perftools__Profiles__Profile message = PERFTOOLS__PROFILES__PROFILE__INIT;
    Perftools__Profiles__ValueType types[PROFILE_TYPES_MAX], *type_list[PROFILE_TYPES_MAX];
    struct build build = { 0 };
    size_t own_comments = profile->comment_count;
    uint8_t *packed = NULL;
    int result = 0;

    for (size_t i = 0; i < profile->type_count; i++) {
        perftools__profiles__value_type__init(&types[i]);
        types[i].type = profile->types[i].type;
        types[i].unit = profile->types[i].unit;
        type_list[i] = &types[i];
    }
    message.sample_type = type_list;
    message.n_sample_type = profile->type_count;
    message.period_type = type_list[profile->period_type];
    message.period = profile->period ? profile->period : 1;
    message.default_sample_type = profile->types[profile->shown].type;
    if (profile->trace) {
        const struct gmpt_trace_info *info = gmpt_trace_info(profile->trace);
        message.time_nanos = info->start_realtime_ns;
        message.duration_nanos = info->duration_ns;
        if (profile->to_ns) {
            message.time_nanos += profile->from_ns;
            message.duration_nanos = profile->to_ns - profile->from_ns;
        }
        result = comments_from_trace(profile);
    }
    message.comment = profile->comments;
    message.n_comment = profile->comment_count;
    if (!result)
        result = build_mappings(profile, &build, &message);
    if (!result)
        result = build_locations(profile, &build, &message);
    if (!result)
        result = build_functions(profile, &build, &message);
    if (!result)
        result = build_samples(profile, &build, &message);
    if (!result)
        result = build_strings(profile, &build, &message);
    if (result)
        goto out;

    packed = malloc(perftools__profiles__profile__get_packed_size(&message));
    if (!packed) {
        result = -ENOMEM;
        goto out;
    }
    result = write_gzip(fd, packed, perftools__profiles__profile__pack(&message, packed));
out:
    free(packed);
    build_free(&build);
    profile->comment_count = own_comments;
    return result;
}
