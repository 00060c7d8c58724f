/* gmptrace script: every event of a trace on a line of its own, in the order of cause and effect.
 *
 * Numbers are formatted by hand and the text of each stack is made once: a trace of a few seconds has millions of
 * lines. */
#include "cli.h"
#include "load.h"

#include "trace/events.h"
#include "trace/text.h"

#include <gmptrace/gmpt.h>

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define OUTPUT_BYTES (256 * 1024)
#define QUOTED_COLUMNS 448 /* a whole log message */
#define LABEL_COLUMNS 40
#define LABELS_SHOWN 16
#define LINE_BYTES 8192 /* the longest: a whole label set; four fields with a name and a place take less */

struct script {
    struct gmpt_trace *trace;
    struct symbolizer *symbolizer;
    struct places *places;
    const char *path;
    bool raw;
    bool only_g_seen;
    uint64_t only_g;    /* 0 = all */
    char **stack_texts; /* by stack index; NULL where not made yet */
    size_t stack_text_room;
    struct {
        uint64_t fn;
        char text[PLACE_TEXT_BYTES];
    } function; /* the last one shown: most Gs run the same few */
};

/* ---- A line ------------------------------------------------------------------------------------------------------ */

static char *line_text(char *to, const char *text)
{
    size_t length = strlen(text);
    memcpy(to, text, length);
    return to + length;
}

static char *line_number(char *to, uint64_t number)
{
    char digits[20];
    int count = 0;
    do
        digits[count++] = (char)('0' + number % 10);
    while (number /= 10);
    while (count)
        *to++ = digits[--count];
    return to;
}

static char *line_hex(char *to, uint64_t number)
{
    int shift = 60;
    *to++ = '0';
    *to++ = 'x';
    while (shift > 0 && number >> shift == 0)
        shift -= 4;
    for (; shift >= 0; shift -= 4)
        *to++ = "0123456789abcdef"[number >> shift & 15];
    return to;
}

static char *line_pad(char *to, const char *start, int columns)
{
    while (to - start < columns)
        *to++ = ' ';
    return to;
}

/* Seconds with nine decimals, right-aligned so that the points stand below each other up to 99,999 s. */
static char *line_time(char *to, int64_t time_ns)
{
    char digits[24];
    uint64_t ns = time_ns < 0 ? 0 - (uint64_t)time_ns : (uint64_t)time_ns;
    char *end = line_number(digits, ns / 1000000000);
    uint64_t fraction = ns % 1000000000;
    for (long i = end - digits + (time_ns < 0); i < 5; i++)
        *to++ = ' ';
    if (time_ns < 0)
        *to++ = '-';
    memcpy(to, digits, (size_t)(end - digits));
    to += end - digits;
    *to++ = '.';
    for (int i = 8; i >= 0; i--, fraction /= 10)
        to[i] = (char)('0' + fraction % 10);
    return to + 9;
}

/* ---- Names ------------------------------------------------------------------------------------------------------- */

/* "handle_compute gateway.c:120". Returns NULL when memory is short. */
static const char *stack_text(struct script *script, uint32_t stack)
{
    if (stack > gmpt_trace_stack_count(script->trace))
        return "?";
    if (stack >= script->stack_text_room) {
        size_t room = script->stack_text_room ? script->stack_text_room * 2 : 256;
        while (room <= stack)
            room *= 2;
        char **texts = realloc(script->stack_texts, room * sizeof *texts);
        if (!texts)
            return NULL;
        memset(texts + script->stack_text_room, 0, (room - script->stack_text_room) * sizeof *texts);
        script->stack_texts = texts;
        script->stack_text_room = room;
    }
    if (!script->stack_texts[stack]) {
        struct place_frame frames[PLACE_FRAMES_MAX];
        char text[PLACE_TEXT_BYTES], clean[PLACE_TEXT_BYTES];
        if (place_frames(script->places, stack, frames))
            place_of_call(script->places, text, &frames[0]);
        else
            snprintf(text, sizeof text, "?");
        script->stack_texts[stack] = strdup(cli_text(clean, sizeof clean, text, PLACE_TEXT_BYTES / 4));
    }
    return script->stack_texts[stack];
}

static const char *function_text(struct script *script, uint64_t fn)
{
    if (fn != script->function.fn || !script->function.text[0]) {
        char text[PLACE_TEXT_BYTES];
        script->function.fn = fn;
        cli_text(script->function.text, sizeof script->function.text, place_function(script->places, text, fn), 120);
    }
    return script->function.text;
}

/* Text that the program chose: cut to what a line has room for, and clean. */
static char *line_quoted(char *to, const char *text)
{
    char clean[4 * QUOTED_COLUMNS + 1];
    *to++ = '"';
    to = line_text(to, cli_text(clean, sizeof clean, text, QUOTED_COLUMNS));
    *to++ = '"';
    return to;
}

/* {key="value", ...} */
static char *line_labels(struct script *script, char *to, uint64_t labels)
{
    char clean[4 * LABEL_COLUMNS + 1];
    uint32_t count = gmpt_trace_label_count(script->trace, labels);
    *to++ = '{';
    for (uint32_t i = 0; i < count && i < LABELS_SHOWN; i++) {
        struct gmpt_trace_label label = gmpt_trace_label(script->trace, labels, i);
        to = line_text(to, i ? ", " : "");
        to = line_text(to, cli_text(clean, sizeof clean, label.key, LABEL_COLUMNS));
        to = line_text(to, "=\"");
        to = line_text(to, cli_text(clean, sizeof clean, label.value, LABEL_COLUMNS));
        *to++ = '"';
    }
    return line_text(to, count > LABELS_SHOWN ? ", ...}" : "}");
}

/* Appends a field's value. Returns NULL when memory is short. */
static char *line_value(struct script *script, char *to, const struct gmpt_event *event, unsigned index)
{
    uint64_t value = event->field[index];
    const struct event_field *field = &event_specs[event->type].field[index];
    switch (field->kind) {
    case EVENT_KIND_reason:
        *to++ = '"';
        to = line_text(to, gmpt_wait_reason_words((enum gmpt_wait_reason)value));
        *to++ = '"';
        return to;
    case EVENT_KIND_addr:
        if (event->type == GMPT_EVENT_go_create)
            return line_text(to, function_text(script, value));
        return line_hex(to, value);
    case EVENT_KIND_stack: {
        const char *text = stack_text(script, value > UINT32_MAX ? 0 : (uint32_t)value);
        if (!text)
            return NULL;
        *to++ = '"';
        to = line_text(to, text);
        *to++ = '"';
        return to;
    }
    case EVENT_KIND_string:
        return line_quoted(to, gmpt_trace_string(script->trace, value));
    case EVENT_KIND_labels:
        return line_labels(script, to, value);
    default:
        return line_number(to, value);
    }
}

static int event_print(struct script *script, const struct gmpt_event *event)
{
    char line[LINE_BYTES], *to = line, *column;
    if (script->raw) {
        size_t length = text_event(line, event);
        line[length++] = '\n';
        fwrite(line, 1, length, stdout);
        return 0;
    }
    if (event->type == GMPT_EVENT_user_log_text)
        return 0; /* it is shown with its message */
    to = line_time(to, event->time_ns);
    *to++ = ' ';
    *to++ = ' ';
    column = to;
    if (event->p >= 0) {
        *to++ = 'P';
        to = line_number(to, (uint64_t)event->p);
    } else {
        *to++ = '-';
    }
    to = line_pad(to, column, 5);
    column = to;
    if (event->g) {
        *to++ = 'G';
        to = line_number(to, event->g);
    } else {
        *to++ = '-';
    }
    *to++ = ' ';
    to = line_pad(to, column, 10);
    column = to;
    to = line_text(to, gmpt_event_name(event->type));
    if ((unsigned)event->type < GMPT_EVENT_CODES) {
        for (unsigned i = 0; i < event_field_counts[event->type]; i++) {
            const struct event_field *field = &event_specs[event->type].field[i];
            if (field->kind == EVENT_KIND_g && event->field[i] == event->g)
                continue; /* the line says it already */
            if (field->kind == EVENT_KIND_stack && event->field[i] == 0)
                continue;
            *to++ = ' ';
            if (i == 0 || to < column + 16)
                to = line_pad(to, column, 16);
            to = line_text(to, field->name);
            *to++ = '=';
            to = line_value(script, to, event, i);
            if (!to)
                return -ENOMEM;
        }
    }
    const struct gmpt_g *made =
        event->type == GMPT_EVENT_go_create ? gmpt_trace_g(script->trace, event->go_create.g) : NULL;
    if (made && made->parent) {
        to = line_text(to, " by=G");
        to = line_number(to, made->parent);
    }
    if (event->type == GMPT_EVENT_user_log)
        to = line_quoted(line_text(to, " text="), gmpt_trace_log_text(script->trace, NULL));
    *to++ = '\n';
    fwrite(line, 1, (size_t)(to - line), stdout);
    return 0;
}

/* ---- The command ------------------------------------------------------------------------------------------------- */

static int trace_print(struct script *script)
{
    struct gmpt_event event;
    int result;
    while ((result = gmpt_trace_next(script->trace, &event)) > 0) {
        if (script->only_g && event.g != script->only_g &&
            !(event.type == GMPT_EVENT_go_create && event.go_create.g == script->only_g))
            continue;
        script->only_g_seen = true;
        if (event_print(script, &event)) {
            cli_error("%s: %s", script->path, strerror(ENOMEM));
            return CLI_MACHINE;
        }
        if (ferror(stdout))
            return cli_flush(CLI_OK);
    }
    int status = cli_flush(CLI_OK), finished = cli_trace_finish(script->trace, script->path, result);
    if (script->only_g && !script->only_g_seen)
        cli_error("%s: there is no goroutine %" PRIu64 " in this trace", script->path, script->only_g);
    if (!script->raw)
        place_warn(script->places);
    return status ? status : finished;
}

static int script_options_read(struct script *script, int argc, char **argv)
{
    static const struct option longs[] = {
        { "raw", no_argument, NULL, 'r' },
        { "goroutine", required_argument, NULL, 'g' },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },
        { NULL, 0, NULL, 0 },
    };
    optind = 0;
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, ":hg:", longs, NULL)) != -1;) {
        char *end;
        switch (option) {
        case 'r':
            script->raw = true;
            break;
        case 'g':
            if (*optarg == 'G')
                optarg++;
            errno = 0;
            script->only_g = strtoull(optarg, &end, 10);
            if (*optarg < '0' || *optarg > '9' || *end || errno || script->only_g == 0)
                return cli_usage("-g takes a goroutine's number such as 12, not '%s'", optarg);
            break;
        case 'h':
            fputs(cli_current->help, stdout);
            return cli_flush(CLI_OK);
        case 'V':
            puts("gmptrace " GMPT_VERSION);
            return cli_flush(CLI_OK);
        default:
            return cli_usage_option(option, argv);
        }
    }
    script->path = optind < argc ? argv[optind++] : LOAD_DEFAULT_PATH;
    if (optind < argc)
        return cli_usage("one FILE at a time, not also '%s'", argv[optind]);
    return LOAD_GO_ON;
}

static int script_run(int argc, char **argv)
{
    struct script script = { 0 };
    int status = script_options_read(&script, argc, argv);
    if (status != LOAD_GO_ON)
        return status;
    script.trace = cli_trace_open(script.path);
    if (!script.trace)
        return CLI_INPUT;
    setvbuf(stdout, NULL, _IOFBF, OUTPUT_BYTES);
    script.symbolizer = symbolizer_open(script.trace);
    script.places = script.symbolizer ? places_open(script.trace, script.symbolizer) : NULL;
    if (script.places) {
        status = trace_print(&script);
    } else {
        cli_error("%s: %s", script.path, strerror(ENOMEM));
        status = CLI_MACHINE;
    }
    for (size_t i = 0; i < script.stack_text_room; i++)
        free(script.stack_texts[i]);
    free(script.stack_texts);
    places_close(script.places);
    if (script.symbolizer)
        symbolizer_close(script.symbolizer);
    gmpt_trace_close(script.trace);
    return status;
}

const struct cli_command command_script = {
    .name = "script",
    .summary = "every event of a trace, a line each",
    .help = "Usage: gmptrace script [FILE] [-g G] [--raw]\n"
            "Prints every event of a trace on a line: seconds since its start, P, goroutine,\n"
            "event, fields. FILE is gmptrace.data by default.\n\n"
            "  -g, --goroutine G   only the events about goroutine G\n"
            "  --raw               numbers instead of the program's names, for other programs\n"
            "  --help              this text\n"
            "  --version           which gmptrace this is\n\n"
            "Exit status: 0 fine, 2 wrong usage, 3 FILE cannot be used, 4 the output cannot\n"
            "be written.\n",
    .run = script_run,
};
