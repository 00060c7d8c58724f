/* Which frames are the runtime's: those of the public functions (gmpt_...), what these called, and libc's. */
#include "place.h"

#include "cli.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define FILES_MAX 4096      /* files told apart; past that, names are simply short */
#define RUNTIME_DEPTH_MAX 8 /* frames of the runtime below its public function */

struct places {
    const struct gmpt_trace *trace;
    struct symbolizer *symbolizer;
    const char **files; /* distinct paths that were looked at; owned by the symbolizer */
    size_t file_count;
};

struct places *places_open(const struct gmpt_trace *trace, struct symbolizer *symbolizer)
{
    struct places *places = calloc(1, sizeof *places);
    if (!places)
        return NULL;
    places->trace = trace;
    places->symbolizer = symbolizer;
    places->files = calloc(FILES_MAX, sizeof *places->files);
    if (!places->files) {
        free(places);
        return NULL;
    }
    return places;
}

void places_close(struct places *places)
{
    if (!places)
        return;
    free(places->files);
    free(places);
}

static const char *path_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool frame_public(const struct place_frame *frame)
{
    return frame->function && strncmp(frame->function, "gmpt_", 5) == 0;
}

static bool frame_libc(const struct place_frame *frame)
{
    if (!frame->module)
        return false;
    const char *name = path_name(frame->module);
    return strncmp(name, "libc.so", 7) == 0 || strncmp(name, "libc-", 5) == 0 || strncmp(name, "ld-", 3) == 0 ||
           strncmp(name, "libpthread", 10) == 0;
}

static size_t frames_expand(struct places *places, uint64_t pc, struct place_frame *frames, size_t room)
{
    const struct symbol *symbol = symbolize(places->symbolizer, pc);
    const struct gmpt_module *module = NULL;
    if (!symbol)
        return 0;
    if (symbol->module >= 0 && (size_t)symbol->module < gmpt_trace_module_count(places->trace))
        module = gmpt_trace_module(places->trace, (size_t)symbol->module);
    size_t count = symbol->count < room ? symbol->count : room;
    for (size_t i = 0; i < count; i++)
        frames[i] = (struct place_frame){
            .function = symbol->frames[i].function,
            .file = symbol->frames[i].file,
            .line = symbol->frames[i].line,
            .address = pc,
            .module = module ? module->path : NULL,
            .module_address = symbol->object_address,
        };
    return count;
}

size_t place_frames(struct places *places, uint32_t index, struct place_frame frames[PLACE_FRAMES_MAX])
{
    struct gmpt_stack stack = gmpt_trace_stack(places->trace, index);
    size_t count = 0, begin = 0;
    for (uint32_t i = 0; i < stack.count && count < PLACE_FRAMES_MAX; i++)
        count += frames_expand(places, stack.pc[i], frames + count, PLACE_FRAMES_MAX - count);
    while (begin < count && begin < RUNTIME_DEPTH_MAX && !frame_public(&frames[begin]))
        begin++;
    if (begin == count || !frame_public(&frames[begin]))
        begin = count > 1; /* no names, but the leaf is always the runtime's */
    while (begin < count && (frame_public(&frames[begin]) || frame_libc(&frames[begin])))
        begin++;
    /* At the root: where the runtime, or libc, called the first of the user's functions. */
    while (count > begin && (frame_public(&frames[count - 1]) || frame_libc(&frames[count - 1])))
        count--;
    memmove(frames, frames + begin, (count - begin) * sizeof *frames);
    return count - begin;
}

void place_look_file(struct places *places, const char *path)
{
    for (size_t i = 0; i < places->file_count; i++)
        if (strcmp(places->files[i], path) == 0)
            return;
    if (places->file_count < FILES_MAX)
        places->files[places->file_count++] = path;
}

void place_look(struct places *places, uint32_t stack)
{
    struct place_frame frames[PLACE_FRAMES_MAX];
    size_t count = place_frames(places, stack, frames);
    for (size_t i = 0; i < count; i++)
        if (frames[i].file)
            place_look_file(places, frames[i].file);
}

/* The shortest end of path that no other file looked at has: whole names only. */
const char *place_file(const struct places *places, const char *path)
{
    const char *end = path_name(path);
    for (;;) {
        bool shared = false;
        size_t length = strlen(end);
        for (size_t i = 0; i < places->file_count && !shared; i++) {
            const char *other = places->files[i];
            size_t other_length = strlen(other);
            shared = strcmp(other, path) != 0 && other_length >= length &&
                     strcmp(other + other_length - length, end) == 0 &&
                     (other_length == length || other[other_length - length - 1] == '/');
        }
        if (!shared || end == path)
            return end;
        /* One more directory: end[-1] is the slash before it. */
        end--;
        while (end > path && end[-1] != '/')
            end--;
    }
}

const char *place_of_frame(struct places *places, char buffer[PLACE_TEXT_BYTES], const struct place_frame *frame)
{
    if (frame->file && frame->line > 0)
        snprintf(buffer, PLACE_TEXT_BYTES, "%s:%d", place_file(places, frame->file), frame->line);
    else if (frame->file)
        snprintf(buffer, PLACE_TEXT_BYTES, "%s", place_file(places, frame->file));
    else if (frame->module)
        snprintf(buffer, PLACE_TEXT_BYTES, "%s+0x%" PRIx64, path_name(frame->module), frame->module_address);
    else
        snprintf(buffer, PLACE_TEXT_BYTES, "0x%" PRIx64, frame->address);
    return buffer;
}

const char *place_of_stack(struct places *places, char buffer[PLACE_TEXT_BYTES], uint32_t stack)
{
    struct place_frame frames[PLACE_FRAMES_MAX];
    if (place_frames(places, stack, frames) == 0) {
        snprintf(buffer, PLACE_TEXT_BYTES, "an unknown place");
        return buffer;
    }
    char at[PLACE_TEXT_BYTES];
    place_of_frame(places, at, &frames[0]);
    if (frames[0].function)
        snprintf(buffer, PLACE_TEXT_BYTES, "%.300s (%.200s)", at, frames[0].function);
    else
        snprintf(buffer, PLACE_TEXT_BYTES, "%s", at);
    return buffer;
}

/* The function itself, not what was inlined at its first instruction. */
static struct place_frame function_frame(struct places *places, uint64_t fn)
{
    struct place_frame frame = { .address = fn };
    const struct symbol *symbol = fn ? symbolize(places->symbolizer, fn + 1) : NULL;
    if (symbol && symbol->count) {
        const struct symbol_frame *outer = &symbol->frames[symbol->count - 1];
        frame.function = outer->function;
        frame.file = outer->file;
        frame.line = outer->function_line ? outer->function_line : outer->line;
    }
    return frame;
}

const char *place_function(struct places *places, char buffer[PLACE_TEXT_BYTES], uint64_t fn)
{
    struct place_frame frame = function_frame(places, fn);
    if (frame.function)
        snprintf(buffer, PLACE_TEXT_BYTES, "%s", frame.function);
    else if (fn)
        snprintf(buffer, PLACE_TEXT_BYTES, "0x%" PRIx64, fn);
    else
        snprintf(buffer, PLACE_TEXT_BYTES, "(unknown)");
    return buffer;
}

static void frame_json(FILE *file, const struct place_frame *frame)
{
    fputs("{\"function\": ", file);
    if (frame->function)
        cli_json_string(file, frame->function);
    else
        fputs("null", file);
    fputs(", \"file\": ", file);
    if (frame->file)
        cli_json_string(file, frame->file);
    else
        fputs("null", file);
    fprintf(file, ", \"line\": %d, \"address\": \"0x%" PRIx64 "\"}", frame->line, frame->address);
}

void place_json(struct places *places, FILE *file, uint32_t stack)
{
    struct place_frame frames[PLACE_FRAMES_MAX];
    size_t count = place_frames(places, stack, frames);
    fputc('[', file);
    for (size_t i = 0; i < count; i++) {
        fputs(i ? ", " : "", file);
        frame_json(file, &frames[i]);
    }
    fputc(']', file);
}

void place_function_json(struct places *places, FILE *file, uint64_t fn)
{
    struct place_frame frame = function_frame(places, fn);
    frame_json(file, &frame);
}
