/* Files are kept by their paths until the end, since only then it is known how short they can be told apart. */
#include "report_names.h"

#include "cli.h"

#include "pprof/intern.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct frame_key {
    uint32_t function, path;
    int32_t line, zero;
};

struct report_names {
    struct load *load;
    struct intern strings, paths, frames, stacks;
    uint32_t *of_stack; /* by the trace's number, + 1 */
    uint32_t of_stack_room;
};

struct report_names *report_names_open(struct load *load)
{
    struct report_names *names = calloc(1, sizeof *names);
    if (!names)
        return NULL;
    names->load = load;
    /* The numbers 0: no text, no path, no frames. */
    if (intern_put(&names->strings, "", 1) == 0 && intern_put(&names->paths, "", 1) == 0 &&
        intern_put(&names->stacks, &(uint32_t){ 0 }, 0) == 0)
        return names;
    report_names_close(names);
    errno = ENOMEM;
    return NULL;
}

void report_names_close(struct report_names *names)
{
    if (!names)
        return;
    intern_free(&names->strings);
    intern_free(&names->paths);
    intern_free(&names->frames);
    intern_free(&names->stacks);
    free(names->of_stack);
    free(names);
}

int64_t report_string(struct report_names *names, const char *text)
{
    return intern_put(&names->strings, text, strlen(text) + 1);
}

int64_t report_function(struct report_names *names, uint64_t fn)
{
    char buffer[PLACE_TEXT_BYTES];
    return fn ? report_string(names, place_function(names->load->places, buffer, fn)) : 0;
}

int64_t report_frame(struct report_names *names, const char *function, const char *file, int line)
{
    int64_t of_function = report_string(names, function);
    int64_t of_path = file ? intern_put(&names->paths, file, strlen(file) + 1) : 0;
    if (of_function < 0 || of_path < 0)
        return -ENOMEM;
    struct frame_key key = { (uint32_t)of_function, (uint32_t)of_path, line, 0 };
    return intern_put(&names->frames, &key, sizeof key);
}

static int64_t frame_of(struct report_names *names, const struct place_frame *frame)
{
    char at[PLACE_TEXT_BYTES];
    if (frame->file)
        place_look_file(names->load->places, frame->file);
    if (frame->function)
        return report_frame(names, frame->function, frame->file, frame->line);
    return report_frame(names, place_of_frame(names->load->places, at, frame), NULL, 0);
}

static int64_t stack_make(struct report_names *names, uint32_t stack)
{
    struct place_frame frames[PLACE_FRAMES_MAX];
    uint32_t numbers[PLACE_FRAMES_MAX];
    size_t count = place_frames(names->load->places, stack, frames);
    for (size_t i = 0; i < count; i++) {
        int64_t number = frame_of(names, &frames[i]);
        if (number < 0)
            return -ENOMEM;
        numbers[i] = (uint32_t)number;
    }
    return intern_put(&names->stacks, numbers, count * sizeof numbers[0]);
}

int64_t report_stack(struct report_names *names, uint32_t stack)
{
    uint32_t stacks = gmpt_trace_stack_count(names->load->trace);
    if (stack == 0 || stack > stacks)
        return 0;
    if (stack >= names->of_stack_room) {
        uint32_t *bigger = reallocarray(names->of_stack, (size_t)stacks + 1, sizeof *bigger);
        if (!bigger)
            return -ENOMEM;
        memset(bigger + names->of_stack_room, 0, (stacks + 1 - names->of_stack_room) * sizeof *bigger);
        names->of_stack = bigger;
        names->of_stack_room = stacks + 1;
    }
    if (!names->of_stack[stack]) {
        int64_t number = stack_make(names, stack);
        if (number < 0)
            return number;
        names->of_stack[stack] = (uint32_t)number + 1;
    }
    return names->of_stack[stack] - 1;
}

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

/* Nothing in the text may look like the end of the element that it stands in. */
static int text_write(FILE *out, const char *text)
{
    char *json = NULL;
    size_t bytes = 0;
    FILE *memory = open_memstream(&json, &bytes);
    if (!memory)
        return -ENOMEM;
    cli_json_string(memory, text);
    if (fclose(memory)) {
        free(json);
        return -ENOMEM;
    }
    for (size_t i = 0; i < bytes; i++) {
        if (json[i] == '<')
            fputs("\\u003c", out);
        else
            fputc(json[i], out);
    }
    free(json);
    return 0;
}

int report_names_write(struct report_names *names, FILE *out)
{
    fputs("\"frames\":[", out);
    for (size_t i = 0; i < names->frames.count; i++) {
        struct frame_key key = *(const struct frame_key *)intern_get(&names->frames, i, NULL);
        int64_t file = 0;
        if (key.path) {
            char path[4096];
            snprintf(path, sizeof path, "%s", (const char *)intern_get(&names->paths, key.path, NULL));
            file = report_string(names, place_file(names->load->places, path));
            if (file < 0)
                return -ENOMEM;
        }
        fprintf(out, "%s[%u,%lld,%d]", i ? "," : "", key.function, (long long)file, key.line);
    }
    fputs("],\n\"stacks\":[", out);
    for (size_t i = 0; i < names->stacks.count; i++) {
        size_t bytes;
        const uint32_t *numbers = intern_get(&names->stacks, i, &bytes);
        fputs(i ? ",[" : "[", out);
        for (size_t k = 0; k < bytes / sizeof numbers[0]; k++)
            fprintf(out, "%s%u", k ? "," : "", numbers[k]);
        fputc(']', out);
    }
    fputs("],\n\"strings\":[", out);
    int result = 0;
    for (size_t i = 0; i < names->strings.count && !result; i++) {
        if (i)
            fputc(',', out);
        result = text_write(out, intern_get(&names->strings, i, NULL));
    }
    fputc(']', out);
    return result;
}
