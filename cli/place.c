/* Which frames are the runtime's: those of the public functions (gmpt_...), what these called, libc's, and at the root
 * the function in which the runtime calls the program's own start. */
#include "place.h"

#include "cli.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define FILES_MAX 4096      /* files told apart; past that, names are simply short */
#define NAMELESS_MAX 16     /* modules remembered as lacking names or lines */
#define FRAMES_PRINTED 16
#define NAME_COLUMNS 28
#define NAME_COLUMNS_MAX 40
#define RUNTIME_DEPTH_MAX 8 /* frames of the runtime below its public function */

struct places {
    const struct gmpt_trace *trace;
    struct symbolizer *symbolizer;
    const char **files; /* distinct paths that were looked at; owned by the symbolizer */
    size_t file_count;
    const char *nameless[NAMELESS_MAX]; /* paths of modules, owned by the trace, with functions of the user's that have
                                           no name or no line */
    size_t nameless_count;
    uint8_t *code; /* a bit for each stack: place_code */
    size_t code_room;
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
    free(places->code);
    free(places);
}

void place_code(struct places *places, uint32_t stack)
{
    if (stack == 0 || stack > gmpt_trace_stack_count(places->trace))
        return;
    if (stack / 8 >= places->code_room) {
        size_t room = (size_t)stack / 4 + 64;
        uint8_t *code = realloc(places->code, room);
        if (!code)
            return;
        memset(code + places->code_room, 0, room - places->code_room);
        places->code = code;
        places->code_room = room;
    }
    places->code[stack / 8] |= (uint8_t)(1 << stack % 8);
}

void place_code_event(struct places *places, const struct gmpt_event *event)
{
    if (event->type == GMPT_EVENT_kernel_stack)
        place_code(places, (uint32_t)event->kernel_stack.stack);
    else if (event->type == GMPT_EVENT_kernel_faults)
        place_code(places, (uint32_t)event->kernel_faults.stack);
}

static bool stack_is_code(const struct places *places, uint32_t stack)
{
    return stack / 8 < places->code_room && places->code[stack / 8] & 1 << stack % 8;
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
    /* What every program has of it, and of the compiler, to begin and end with: mostly without debug information. */
    static const char *const linked_in[] = { "_start",
                                             "_init",
                                             "_fini",
                                             "frame_dummy",
                                             "__do_global_dtors_aux",
                                             "register_tm_clones",
                                             "deregister_tm_clones" };
    if (!frame->module)
        return false;
    for (size_t i = 0; frame->function && i < sizeof linked_in / sizeof linked_in[0]; i++)
        if (strcmp(frame->function, linked_in[i]) == 0)
            return true;
    const char *name = path_name(frame->module);
    return strncmp(name, "libc.so", 7) == 0 || strncmp(name, "libc-", 5) == 0 || strncmp(name, "ld-", 3) == 0 ||
           strncmp(name, "libpthread", 10) == 0;
}

/* Where the main G begins, in the runtime's start.c, and calls what gmpt_run was given. */
static bool frame_main(const struct place_frame *frame)
{
    return frame->function && strcmp(frame->function, "main_g") == 0 &&
           (!frame->file || strcmp(path_name(frame->file), "start.c") == 0);
}

static bool frame_root(const struct place_frame *frame)
{
    return frame_public(frame) || frame_libc(frame) || frame_main(frame);
}

static const struct gmpt_module *symbol_module(const struct places *places, const struct symbol *symbol)
{
    if (symbol->module < 0 || (size_t)symbol->module >= gmpt_trace_module_count(places->trace))
        return NULL;
    return gmpt_trace_module(places->trace, (size_t)symbol->module);
}

static size_t frames_expand(struct places *places, uint64_t pc, struct place_frame *frames, size_t room)
{
    const struct symbol *symbol = symbolize(places->symbolizer, pc);
    if (!symbol)
        return 0;
    const struct gmpt_module *module = symbol_module(places, symbol);
    size_t count = symbol->count < room ? symbol->count : room;
    for (size_t i = 0; i < count; i++)
        frames[i] = (struct place_frame){
            .function = symbol->frames[i].function,
            .file = symbol->frames[i].file,
            .line = symbol->frames[i].line,
            .function_line = symbol->frames[i].function_line,
            .address = pc,
            .module = module ? module->path : NULL,
            .module_address = symbol->object_address,
        };
    return count;
}

static void nameless_note(struct places *places, const struct place_frame *frame)
{
    if ((frame->function && frame->file) || !frame->module || frame_libc(frame))
        return;
    for (size_t i = 0; i < places->nameless_count; i++)
        if (strcmp(places->nameless[i], frame->module) == 0)
            return;
    if (places->nameless_count < NAMELESS_MAX)
        places->nameless[places->nameless_count++] = frame->module;
}

size_t place_frames(struct places *places, uint32_t index, struct place_frame frames[PLACE_FRAMES_MAX])
{
    struct gmpt_stack stack = gmpt_trace_stack(places->trace, index);
    size_t count = 0, begin = 0;
    for (uint32_t i = 0; i < stack.count && count < PLACE_FRAMES_MAX; i++)
        count += frames_expand(places, stack.pc[i], frames + count, PLACE_FRAMES_MAX - count);
    bool code = stack_is_code(places, index);
    while (!code && begin < count && begin < RUNTIME_DEPTH_MAX && !frame_public(&frames[begin]))
        begin++;
    if (!code && (begin == count || !frame_public(&frames[begin])))
        begin = count > 1; /* no names, but the leaf is always the runtime's */
    while (!code && begin < count && (frame_public(&frames[begin]) || frame_libc(&frames[begin])))
        begin++;
    /* At the root: where the runtime, or libc, called the first of the user's functions. */
    while (count > begin + code && frame_root(&frames[count - 1]))
        count--;
    count -= begin;
    memmove(frames, frames + begin, count * sizeof *frames);
    for (size_t i = 0; i < count; i++)
        nameless_note(places, &frames[i]);
    return count;
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

const char *place_of_call(struct places *places, char buffer[PLACE_TEXT_BYTES], const struct place_frame *frame)
{
    char at[PLACE_TEXT_BYTES];
    place_of_frame(places, at, frame);
    snprintf(buffer, PLACE_TEXT_BYTES, "%.200s%s%.300s", frame->function ? frame->function : "",
             frame->function ? " " : "", at);
    return buffer;
}

const char *place_of_stack(struct places *places, char buffer[PLACE_TEXT_BYTES], uint32_t stack, uint64_t fn)
{
    struct place_frame frames[PLACE_FRAMES_MAX];
    char text[PLACE_TEXT_BYTES];
    if (place_frames(places, stack, frames) == 0) {
        if (fn)
            snprintf(buffer, PLACE_TEXT_BYTES, "in %.400s (line not known)", place_function(places, text, fn));
        else
            snprintf(buffer, PLACE_TEXT_BYTES, "at an unknown place");
        return buffer;
    }
    place_of_frame(places, text, &frames[0]);
    if (frames[0].function)
        snprintf(buffer, PLACE_TEXT_BYTES, "at %.300s (%.200s)", text, frames[0].function);
    else
        snprintf(buffer, PLACE_TEXT_BYTES, "at %.500s", text);
    return buffer;
}

/* The function itself, not what was inlined at its first instruction. */
struct place_frame place_function_frame(struct places *places, uint64_t fn)
{
    struct place_frame frame = { .address = fn };
    const struct symbol *symbol = fn ? symbolize(places->symbolizer, fn + 1) : NULL;
    if (symbol && symbol->count) {
        const struct symbol_frame *outer = &symbol->frames[symbol->count - 1];
        const struct gmpt_module *module = symbol_module(places, symbol);
        frame.function = outer->function;
        frame.file = outer->file;
        frame.line = outer->function_line ? outer->function_line : outer->line;
        frame.module = module ? module->path : NULL;
        frame.module_address = symbol->object_address;
    }
    if (frame_main(&frame)) {
        frame.function = "main";
        frame.file = NULL;
        frame.line = 0;
    }
    return frame;
}

const char *place_function(struct places *places, char buffer[PLACE_TEXT_BYTES], uint64_t fn)
{
    struct place_frame frame = place_function_frame(places, fn);
    if (frame.function)
        snprintf(buffer, PLACE_TEXT_BYTES, "%s", frame.function);
    else if (fn)
        place_of_frame(
            places, buffer,
            &(struct place_frame){ .address = fn, .module = frame.module, .module_address = frame.module_address });
    else
        snprintf(buffer, PLACE_TEXT_BYTES, "(unknown)");
    return buffer;
}

void place_warn(const struct places *places)
{
    const char *warning;
    bool told[NAMELESS_MAX] = { false };
    for (size_t i = 0; (warning = symbolizer_warning(places->symbolizer, i)); i++) {
        cli_error("%s", warning);
        for (size_t k = 0; k < places->nameless_count; k++)
            told[k] |= strncmp(warning, places->nameless[k], strlen(places->nameless[k])) == 0;
    }
    /* A library that is linked in may have brought debug information, and the rest of the module none. */
    for (size_t k = 0; k < places->nameless_count; k++)
        if (!told[k])
            cli_error("%s has functions without debug information: their files and lines are not known; build it with "
                      "-g, or set GMPT_DEBUG_PATH to where its debug file is",
                      places->nameless[k]);
}

void place_print(struct places *places, const char *verb, uint32_t stack, uint64_t fn)
{
    struct place_frame frames[PLACE_FRAMES_MAX];
    char at[PLACE_TEXT_BYTES], text[CLI_COLUMNS * 4 + 1];
    size_t count = place_frames(places, stack, frames);
    if (count == 0) {
        place_of_stack(places, at, stack, fn);
        cli_wrap(6, "   %s %s", verb, cli_text(text, sizeof text, at, CLI_COLUMNS - 4 - (int)strlen(verb)));
        return;
    }
    printf("   %s at\n", verb);
    for (size_t i = 0; i < count && i < FRAMES_PRINTED; i++) {
        int room = CLI_COLUMNS - 6;
        fputs("      ", stdout);
        if (frames[i].function) {
            int columns = (int)strlen(cli_text(text, sizeof text, frames[i].function, NAME_COLUMNS_MAX));
            printf("%-*s ", NAME_COLUMNS, text);
            room -= (columns > NAME_COLUMNS ? columns : NAME_COLUMNS) + 1;
        }
        puts(cli_text(text, sizeof text, place_of_frame(places, at, &frames[i]), room));
    }
    if (count > FRAMES_PRINTED)
        printf("      and %zu more\n", count - FRAMES_PRINTED);
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
    fprintf(file, ", \"line\": %d, \"module\": ", frame->line);
    if (frame->module) {
        cli_json_string(file, frame->module);
        fprintf(file, ", \"object_address\": \"0x%" PRIx64 "\"", frame->module_address);
    } else {
        fputs("null, \"object_address\": null", file);
    }
    fprintf(file, ", \"address\": \"0x%" PRIx64 "\"}", frame->address);
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
    struct place_frame frame = place_function_frame(places, fn);
    frame_json(file, &frame);
}
