/* A leak report as a pprof profile, from names and lines: its Gs were of several processes, whose addresses mean
 * nothing to each other. */
#define _GNU_SOURCE
#include "leakforms.h"

#include "pprof/intern.h"
#include "pprof/profile.pb-c.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

/* All parts are made before the message points to them. */
struct builder {
    const struct leak_view *view;
    struct intern strings, functions, locations; /* functions: name, file; locations: function, line */
    struct sample {
        uint64_t *locations;
        Perftools__Profiles__Label labels[4];
        Perftools__Profiles__Label *label_list[4];
        size_t location_count, label_count;
        int64_t value;
    } *samples;
    size_t sample_count;
    bool failed;
};

struct function_key {
    int64_t name, file, line;
};
struct location_key {
    int64_t function, line;
};

static int64_t put(struct builder *builder, struct intern *intern, const void *key, size_t size)
{
    int64_t number = intern_put(intern, key, size);
    builder->failed |= number < 0;
    return number < 0 ? 0 : number;
}

static int64_t string(struct builder *builder, const char *text)
{
    return put(builder, &builder->strings, text, strlen(text));
}

static uint64_t location(struct builder *builder, const struct place_frame *frame)
{
    char name[512], path[PATH_MAX];
    const char *file = leak_view_file(builder->view, frame, path);
    struct function_key function = { string(builder, leak_frame_function(frame, name, sizeof name)),
                                     string(builder, file ? file : ""), frame->function_line };
    struct location_key key = { put(builder, &builder->functions, &function, sizeof function), frame->line };
    return (uint64_t)put(builder, &builder->locations, &key, sizeof key) + 1;
}

static void label(struct builder *builder, struct sample *sample, const char *key, const char *text)
{
    Perftools__Profiles__Label *to = &sample->labels[sample->label_count];
    sample->label_list[sample->label_count++] = to;
    perftools__profiles__label__init(to);
    to->key = string(builder, key);
    to->str = string(builder, text);
}

static void sample_add(struct builder *builder, const struct leak_group *group)
{
    char text[PATH_MAX + 512], name[256], path[PATH_MAX];
    struct sample *sample = &builder->samples[builder->sample_count++];
    const struct place_frame *site = leak_group_site(group);
    size_t count = group->waits.count ? group->waits.count : 1;
    sample->locations = calloc(count, sizeof *sample->locations);
    if (!sample->locations) {
        builder->failed = true;
        return;
    }
    sample->location_count = count;
    sample->value = (int64_t)group->count;
    for (size_t i = 0; i < count; i++)
        sample->locations[i] = location(builder, group->waits.count ? &group->waits.frames[i] : &group->function);
    label(builder, sample, "verdict", leak_kind_word(group->kind));
    if (group->reason != GMPT_WAIT_none)
        label(builder, sample, "wait_reason", gmpt_wait_reason_words(group->reason));
    if (site) {
        leak_frame_function(site, name, sizeof name);
        snprintf(text, sizeof text, "%s %s", name, leak_view_place(builder->view, site, path));
        label(builder, sample, "created_by", text);
    }
}

/* ---- The message ------------------------------------------------------------------------------------------------- */

struct message {
    Perftools__Profiles__Profile profile;
    Perftools__Profiles__ValueType type, *types[1];
    char **strings;
    Perftools__Profiles__Function *functions, **function_list;
    Perftools__Profiles__Location *locations, **location_list;
    Perftools__Profiles__Line *lines, **line_list;
    Perftools__Profiles__Sample *samples, **sample_list;
};

static void message_free(struct message *message)
{
    for (size_t i = 0; message->strings && i < message->profile.n_string_table; i++)
        free(message->strings[i]);
    free(message->strings);
    free(message->functions);
    free(message->function_list);
    free(message->locations);
    free(message->location_list);
    free(message->lines);
    free(message->line_list);
    free(message->samples);
    free(message->sample_list);
}

#define ARRAY(list, count) (((list) = calloc((count) + 1, sizeof *(list))) != NULL)

static bool message_room(struct message *message, const struct builder *builder)
{
    size_t functions = builder->functions.count, locations = builder->locations.count;
    return ARRAY(message->strings, builder->strings.count) && ARRAY(message->functions, functions) &&
           ARRAY(message->function_list, functions) && ARRAY(message->locations, locations) &&
           ARRAY(message->location_list, locations) && ARRAY(message->lines, locations) &&
           ARRAY(message->line_list, locations) && ARRAY(message->samples, builder->sample_count) &&
           ARRAY(message->sample_list, builder->sample_count);
}

static int strings_fill(struct message *message, const struct builder *builder)
{
    for (size_t i = 0; i < builder->strings.count; i++) {
        size_t size;
        const char *text = intern_get(&builder->strings, i, &size);
        message->strings[i] = strndup(text, size);
        message->profile.n_string_table = i + 1;
        if (!message->strings[i])
            return -ENOMEM;
    }
    return 0;
}

static void places_fill(struct message *message, const struct builder *builder)
{
    for (size_t i = 0; i < builder->functions.count; i++) {
        const struct function_key *key = intern_get(&builder->functions, i, NULL);
        Perftools__Profiles__Function *function = message->function_list[i] = &message->functions[i];
        perftools__profiles__function__init(function);
        function->id = i + 1;
        function->name = function->system_name = key->name;
        function->filename = key->file;
        function->start_line = key->line;
    }
    for (size_t i = 0; i < builder->locations.count; i++) {
        const struct location_key *key = intern_get(&builder->locations, i, NULL);
        Perftools__Profiles__Location *place = message->location_list[i] = &message->locations[i];
        Perftools__Profiles__Line *line = message->line_list[i] = &message->lines[i];
        perftools__profiles__line__init(line);
        line->function_id = (uint64_t)key->function + 1;
        line->line = key->line;
        perftools__profiles__location__init(place);
        place->id = i + 1;
        place->n_line = 1;
        place->line = &message->line_list[i];
    }
}

static void samples_fill(struct message *message, const struct builder *builder)
{
    for (size_t i = 0; i < builder->sample_count; i++) {
        struct sample *from = &builder->samples[i];
        Perftools__Profiles__Sample *sample = message->sample_list[i] = &message->samples[i];
        perftools__profiles__sample__init(sample);
        sample->n_location_id = from->location_count;
        sample->location_id = from->locations;
        sample->n_value = 1;
        sample->value = &from->value;
        sample->n_label = from->label_count;
        sample->label = from->label_list;
    }
}

static int message_write(const struct message *message, FILE *file)
{
    size_t size = perftools__profiles__profile__get_packed_size(&message->profile);
    uint8_t *bytes = malloc(size + 1);
    int result = bytes && fflush(file) == 0 ? 0 : -ENOMEM, fd = result ? -1 : dup(fileno(file));
    gzFile zip = fd < 0 ? NULL : gzdopen(fd, "wb");
    if (!zip) {
        if (fd >= 0)
            close(fd);
        free(bytes);
        return result ? result : -ENOMEM;
    }
    perftools__profiles__profile__pack(&message->profile, bytes);
    if (size > INT32_MAX || gzwrite(zip, bytes, (unsigned)size) != (int)size)
        result = -EIO;
    if (gzclose(zip) != Z_OK)
        result = -EIO;
    free(bytes);
    return result;
}

static int builder_write(struct builder *builder, int64_t type, int64_t unit, FILE *file)
{
    struct message message = { 0 };
    const struct leak_report *report = builder->view->report;
    perftools__profiles__profile__init(&message.profile);
    perftools__profiles__value_type__init(&message.type);
    int result = message_room(&message, builder) ? strings_fill(&message, builder) : -ENOMEM;
    if (result == 0) {
        places_fill(&message, builder);
        samples_fill(&message, builder);
        message.type.type = type;
        message.type.unit = unit;
        message.types[0] = &message.type;
        message.profile.n_sample_type = 1;
        message.profile.sample_type = message.types;
        message.profile.n_sample = builder->sample_count;
        message.profile.sample = message.sample_list;
        message.profile.n_location = builder->locations.count;
        message.profile.location = message.location_list;
        message.profile.n_function = builder->functions.count;
        message.profile.function = message.function_list;
        message.profile.string_table = message.strings;
        message.profile.time_nanos = report->time_realtime_ns;
        message.profile.duration_nanos = report->duration_ns;
        message.profile.default_sample_type = type;
        result = message_write(&message, file);
    }
    message_free(&message);
    return result;
}

int leak_profile_write(const struct leak_view *view, FILE *file)
{
    const struct leak_report *report = view->report;
    struct builder builder = { .view = view };
    builder.samples = calloc(report->count + 1, sizeof *builder.samples);
    string(&builder, ""); /* number 0 */
    int64_t type = string(&builder, "goroutineleak"), unit = string(&builder, "count");
    for (size_t i = 0; builder.samples && i < report->count; i++)
        if (!report->groups[i].suppressed)
            sample_add(&builder, &report->groups[i]);
    int result = !builder.samples || builder.failed ? -ENOMEM : builder_write(&builder, type, unit, file);
    for (size_t i = 0; i < builder.sample_count; i++)
        free(builder.samples[i].locations);
    free(builder.samples);
    intern_free(&builder.strings);
    intern_free(&builder.functions);
    intern_free(&builder.locations);
    return result;
}
