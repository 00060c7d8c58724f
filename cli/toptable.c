#include "toptable.h"

#include "cli.h"

#include "pprof/intern.h"

#include "trace/timesum.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct function {
    int64_t name, flat, cum;
    size_t last_sample; /* + 1: of the last one that it is counted in, since recursion counts once */
};

struct functions {
    struct intern names;
    struct function *list;
    size_t room;
};

static struct function *function_get(struct functions *functions, int64_t name)
{
    size_t before = functions->names.count;
    if (before == functions->room) {
        size_t room = before ? before * 2 : 64;
        struct function *list = reallocarray(functions->list, room, sizeof list[0]);
        if (!list)
            return NULL;
        functions->list = list;
        functions->room = room;
    }
    int64_t number = intern_put(&functions->names, &name, sizeof name);
    if (number < 0)
        return NULL;
    if (functions->names.count > before)
        functions->list[number] = (struct function){ .name = name };
    return &functions->list[number];
}

static int function_compare(const void *a_arg, const void *b_arg)
{
    const struct function *a = a_arg, *b = b_arg;
    if (a->flat != b->flat)
        return a->flat > b->flat ? -1 : 1;
    if (a->cum != b->cum)
        return a->cum > b->cum ? -1 : 1;
    return (a->name > b->name) - (a->name < b->name);
}

static int functions_count(struct functions *functions, struct profile *profile, size_t type, int64_t *total)
{
    struct profile_frames frames = { 0 };
    int result = 0;
    for (size_t i = 0; i < profile_sample_count(profile) && !result; i++) {
        int64_t value = profile_value(profile, i, type);
        timesum_add(total, value);
        result = profile_sample_frames(profile, i, &frames);
        for (size_t k = 0; k < frames.count && !result; k++) {
            struct function *function = function_get(functions, frames.list[k].name);
            if (!function) {
                result = -ENOMEM;
                break;
            }
            if (k == 0)
                timesum_add(&function->flat, value);
            if (function->last_sample != i + 1)
                timesum_add(&function->cum, value);
            function->last_sample = i + 1;
        }
    }
    free(frames.list);
    return result;
}

static const char *value_text(char buffer[32], bool is_time, int64_t value)
{
    return is_time ? cli_duration(buffer, value) : cli_count(buffer, (uint64_t)value);
}

int toptable_write(struct profile *profile, const struct profile_type *type, size_t type_index, FILE *file)
{
    struct functions functions = { 0 };
    int64_t total = 0;
    char flat[32], cum[32], name[4 * CLI_COLUMNS + 1];
    bool is_time = strcmp(type->unit, "nanoseconds") == 0;
    int result = functions_count(&functions, profile, type_index, &total);
    if (result)
        goto out;
    if (functions.names.count)
        qsort(functions.list, functions.names.count, sizeof functions.list[0], function_compare);
    fprintf(file, "%s: %s%s\n", type->type, value_text(flat, is_time, total), is_time ? "" : " in all");
    fprintf(file, "%10s %6s %10s %6s  %s\n", "flat", "flat%", "cum", "cum%", "function");
    for (size_t i = 0; i < functions.names.count; i++) {
        const struct function *function = &functions.list[i];
        if (function->cum == 0)
            break; /* nor has any that follows */
        double percent = total ? 100.0 / (double)total : 0;
        int columns = fprintf(file, "%10s %5.1f%% %10s %5.1f%%  ", value_text(flat, is_time, function->flat),
                              (double)function->flat * percent, value_text(cum, is_time, function->cum),
                              (double)function->cum * percent);
        fprintf(file, "%s\n",
                cli_text(name, sizeof name, profile_string(profile, function->name), CLI_COLUMNS - columns));
    }
out:
    free(functions.list);
    intern_free(&functions.names);
    return result;
}
