/* The frame around the subcommands: finding one, messages, and the common ways to read and print values. */
#include "cli.h"

#include "trace/duration.h"

#include <gmptrace/gmpt.h>

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

const struct cli_command *cli_current;

static const struct cli_command *const commands[] = {
    &command_record, &command_recover, &command_analyze, &command_leaks, &command_check,
    &command_pprof,  &command_script,  &command_export,  &command_graph, &command_ps,
    &command_dump,   &command_report,  &command_diff,  &command_doctor,
};
#define COMMANDS (sizeof commands / sizeof commands[0])

/* ---- Messages ---------------------------------------------------------------------------------------------------- */

static void message_print(const char *format, va_list args)
{
    fflush(stdout);
    fprintf(stderr, "gmptrace%s%s: ", cli_current ? " " : "", cli_current ? cli_current->name : "");
    vfprintf(stderr, format, args);
}

void cli_error(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    message_print(format, args);
    va_end(args);
    fputc('\n', stderr);
}

int cli_usage(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    message_print(format, args);
    va_end(args);
    fprintf(stderr, "; see gmptrace %s%s--help\n", cli_current ? cli_current->name : "", cli_current ? " " : "");
    return CLI_USAGE;
}

int cli_usage_option(int option, char **argv)
{
    const char *argument = argv[optind - 1], *next = argv[optind];
    char letter[] = { '-', (char)optopt, 0 };
    /* getopt leaves a word of several letters only after the last of them. */
    bool in_next = optopt && next && next[0] == '-' && next[1] != '-' && strchr(next, optopt);
    if (optopt && (in_next || strncmp(argument, "--", 2) != 0))
        argument = letter;
    if (option == ':')
        return cli_usage("option '%s' needs a value", argument);
    return cli_usage("unknown option '%s'", argument);
}

int cli_option_common(int option, char **argv)
{
    switch (option) {
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

bool cli_file_take(int argc, char **argv, const char **path)
{
    if (optind < argc)
        *path = argv[optind++];
    if (optind == argc)
        return true;
    cli_usage("one FILE at a time, not also '%s'", argv[optind]);
    return false;
}

/* ---- Dispatch ---------------------------------------------------------------------------------------------------- */

static const struct cli_command *command_find(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

/* How many letters must be inserted, removed or changed to make b of a (Levenshtein's distance). */
static unsigned name_distance(const char *a, const char *b)
{
    unsigned row[32];
    size_t length = strlen(b);
    if (strlen(a) >= 31 || length >= 31)
        return UINT32_MAX;
    for (unsigned j = 0; j <= length; j++)
        row[j] = j;
    for (unsigned i = 1; a[i - 1]; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= length; j++) {
            unsigned best = diagonal + (a[i - 1] != b[j - 1]);
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[length];
}

static const struct cli_command *command_nearest(const char *name)
{
    const struct cli_command *nearest = NULL;
    unsigned least = 3; /* further than 2 letters away is no likeness */
    for (size_t i = 0; i < COMMANDS; i++) {
        const char *candidate = commands[i]->name;
        bool begins = strlen(name) >= 2 && strncmp(name, candidate, strlen(name)) == 0;
        unsigned distance = begins ? 0 : name_distance(name, candidate);
        if (distance < least && distance <= strlen(candidate) / 2) {
            nearest = commands[i];
            least = distance;
        }
    }
    return nearest;
}

static int command_unknown(const char *name)
{
    char text[64];
    const struct cli_command *nearest = command_nearest(name);
    cli_text(text, sizeof text, name, 40);
    if (nearest)
        return cli_usage("'%s' is not a command; did you mean '%s'?", text, nearest->name);
    return cli_usage("'%s' is not a command", text);
}

static void overview_print(FILE *file)
{
    fputs("Usage: gmptrace COMMAND [OPTIONS]\n"
          "See what the goroutines of a C program do: record a trace, then read it.\n\n",
          file);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(file, "  %-9s %s\n", commands[i]->name, commands[i]->summary);
    fputs("\n"
          "  gmptrace record -- PROG ARGS    run PROG and write gmptrace.data\n"
          "  gmptrace analyze gmptrace.data  what happened, on one screen\n"
          "  gmptrace help COMMAND           a command's options, as COMMAND --help\n"
          "\n"
          "Exit status: 0 fine, 1 findings, 2 wrong usage, 3 input that cannot be used,\n"
          "4 the machine lacks something.\n",
          file);
}

static bool means_help(const char *argument) { return strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0; }

static int version_print(void)
{
    puts("gmptrace " GMPT_VERSION);
    return cli_flush(CLI_OK);
}

int cli_dispatch(int argc, char **argv)
{
    if (argc < 2) {
        overview_print(stderr);
        return CLI_USAGE;
    }
    const char *name = argv[1];
    bool help = strcmp(name, "help") == 0;
    if (means_help(name) || (help && argc == 2)) {
        overview_print(stdout);
        return cli_flush(CLI_OK);
    }
    if (strcmp(name, "--version") == 0)
        return version_print();
    if (help) {
        name = argv[2];
        if (means_help(name)) {
            overview_print(stdout);
            return cli_flush(CLI_OK);
        }
        if (strcmp(name, "--version") == 0)
            return version_print();
    }
    if (name[0] == '-')
        return cli_usage("unknown option '%s'", name);
    const struct cli_command *command = command_find(name);
    if (!command)
        return command_unknown(name);
    cli_current = command;
    if (help || (argc > 2 && means_help(argv[2]))) {
        fputs(command->help, stdout);
        return cli_flush(CLI_OK);
    }
    if (argc > 2 && strcmp(argv[2], "--version") == 0)
        return version_print();
    return command->run(argc - 1, argv + 1);
}

/* ---- Traces ------------------------------------------------------------------------------------------------------ */

static void trace_error_print(const char *path, const struct gmpt_trace_error *error)
{
    if (error->offset >= 0)
        cli_error("%s: %s (at byte %" PRId64 ")", path, error->message, error->offset);
    else
        cli_error("%s: %s", path, error->message);
}

struct gmpt_trace *cli_trace_open(const char *path)
{
    struct gmpt_trace_error error = { .offset = -1 };
    struct gmpt_trace *trace = gmpt_trace_open(path, &error);
    if (!trace) {
        if (!error.message[0])
            snprintf(error.message, sizeof error.message, "%s", strerror(errno));
        trace_error_print(path, &error);
    }
    return trace;
}

int cli_trace_finish(const struct gmpt_trace *trace, const char *path, int last_result)
{
    const struct gmpt_trace_counts *counts = gmpt_trace_counts(trace);
    const struct gmpt_trace_info *info = gmpt_trace_info(trace);
    const struct gmpt_trace_error *error = gmpt_trace_error_get(trace);
    char text[32], other[32];
    if (error->message[0])
        trace_error_print(path, error);
    else if (last_result < 0)
        cli_error("%s: cannot be read further: %s", path, strerror(-last_result));
    else if (!info->whole)
        cli_error("%s: the recording has no end: it was cut off", path);
    if (counts->kept == 0 && (last_result < 0 || !info->whole)) {
        if (!error->message[0])
            cli_error("%s: no event could be read", path);
        return CLI_INPUT;
    }
    if (counts->lost)
        cli_error("%s: %s of %s events found no room while recording: counts and times are inexact", path,
                  cli_count(text, counts->lost), cli_count(other, counts->lost + counts->kept));
    if (counts->stacks_lost)
        cli_error("%s: %s stack%s found no room while recording: some places are not known", path,
                  cli_count(text, counts->stacks_lost), cli_plural(counts->stacks_lost));
    if (counts->violations)
        cli_error("%s: %s event%s contradict%s those before, which is a bug of the recorder or damage; the first: %s",
                  path, cli_count(text, counts->violations), cli_plural(counts->violations),
                  counts->violations == 1 ? "s" : "", gmpt_trace_violation(trace)->message);
    return CLI_OK;
}

/* ---- Values ------------------------------------------------------------------------------------------------------ */

int cli_flush(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    /* A reader that has seen enough (| head) is no failure. */
    if (errno == EPIPE)
        return status;
    cli_error("cannot write the output: %s", strerror(errno));
    return CLI_MACHINE;
}

int cli_parse_duration(const char *text, int64_t *ns) { return duration_parse(text, strlen(text), ns); }

uint32_t cli_parse_number(const char *text)
{
    char *end;
    errno = 0;
    long number = *text >= '0' && *text <= '9' ? strtol(text, &end, 10) : 0;
    return errno || number <= 0 || number > INT32_MAX || *end ? 0 : (uint32_t)number;
}

int cli_parse_size(const char *text, uint64_t *bytes)
{
    static const char units[] = "KMGT";
    char *end;
    if (text[0] < '0' || text[0] > '9')
        return -EINVAL;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    const char *unit = *end ? strchr(units, *end) : NULL;
    unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;
    if (errno || !unit || end[1] || number > UINT64_MAX >> shift)
        return -EINVAL;
    *bytes = number << shift;
    return 0;
}

const char *cli_duration(char buffer[16], int64_t ns)
{
    const char *sign = ns < 0 ? "-" : "";
    uint64_t left = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
    static const struct {
        const char *name;
        double ns;
        double below; /* in this unit: from here on the next one is used, or rounding would add a digit */
    } units[] = { { "us", 1e3, 999.5 }, { "ms", 1e6, 999.5 }, { "s", 1e9, 59.95 } };
    if (left < 1000) {
        snprintf(buffer, 16, "%s%u ns", sign, (unsigned)left);
        return buffer;
    }
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        double value = (double)left / units[i].ns;
        if (value < units[i].below) {
            int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
            snprintf(buffer, 16, "%s%.*f %s", sign, decimals, value, units[i].name);
            return buffer;
        }
    }
    unsigned long long seconds = (left + 500000000) / 1000000000;
    if (seconds < 3600)
        snprintf(buffer, 16, "%s%llum %02llus", sign, seconds / 60, seconds % 60);
    else if (seconds < 100 * 3600)
        snprintf(buffer, 16, "%s%lluh %02llum", sign, seconds / 3600, seconds % 3600 / 60);
    else
        snprintf(buffer, 16, "%s%llu d", sign, seconds / 86400);
    return buffer;
}

const char *cli_count(char buffer[32], uint64_t count)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%" PRIu64, count);
    char *to = buffer;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            *to++ = ',';
        *to++ = digits[i];
    }
    *to = 0;
    return buffer;
}

const char *cli_size(char buffer[32], uint64_t bytes)
{
    static const char *const units[] = { "KB", "MB", "GB", "TB" };
    if (bytes < 1000) {
        snprintf(buffer, 32, "%u bytes", (unsigned)bytes);
        return buffer;
    }
    double value = (double)bytes / 1000;
    size_t unit = 0;
    for (; value >= 999.95 && unit + 1 < sizeof units / sizeof units[0]; unit++)
        value /= 1000;
    snprintf(buffer, 32, "%.1f %s", value, units[unit]);
    return buffer;
}

/* The length of the UTF-8 sequence at text, or 0 when there is none: overlong forms, surrogates and values over
 * U+10FFFF are none. */
static size_t utf8_length(const unsigned char *text)
{
    if (text[0] < 0x80)
        return 1;
    size_t length = text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : 2;
    if (text[0] < 0xc2 || text[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f) ||
        (text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f))
        return 0;
    return length;
}

const char *cli_text(char *buffer, size_t size, const char *text, int columns)
{
    size_t characters = 0, written = 0;
    const unsigned char *p = (const unsigned char *)text;
    for (const unsigned char *q = p; *q; characters++)
        q += utf8_length(q) ? utf8_length(q) : 1;
    size_t room = columns > 0 ? (size_t)columns : 0;
    /* The characters from `from` up to `to` give way to the dots. */
    size_t from = characters, to = characters;
    if (characters > room) {
        from = room > 3 ? (room - 3 + 1) / 2 : 0;
        to = characters - (room > 3 ? room - 3 - from : 0);
    }
    for (size_t i = 0; *p; i++) {
        size_t length = utf8_length(p);
        bool control = length == 0 || *p < 0x20 || *p == 0x7f || (*p == 0xc2 && p[1] < 0xa0);
        const unsigned char *bytes = p;
        size_t count = length;
        p += length ? length : 1;
        if (i == from) {
            bytes = (const unsigned char *)"...";
            count = room < 3 ? room : 3;
        } else if (i > from && i < to) {
            continue;
        } else if (control) {
            bytes = (const unsigned char *)"?";
            count = 1;
        }
        if (written + count >= size)
            break;
        memcpy(buffer + written, bytes, count);
        written += count;
    }
    buffer[written] = 0;
    return buffer;
}

const char *cli_plural(uint64_t count) { return count == 1 ? "" : "s"; }

/* A number stays with what it counts. */
static bool wrap_at(const char *text, const char *p)
{
    return *p == ' ' && p > text && p[-1] != ' ' && !isdigit((unsigned char)p[-1]) && p[1] != ' ';
}

/* The sentence, with what would move the cursor replaced; one less is all that a lack of memory costs here. */
static char *sentence_new(const char *format, va_list args)
{
    char *raw;
    int length = vasprintf(&raw, format, args);
    if (length < 0)
        return NULL;
    char *text = malloc((size_t)length + 1);
    if (text)
        cli_text(text, (size_t)length + 1, raw, length);
    free(raw);
    return text;
}

static void wrap(FILE *file, int indent, const char *format, va_list args)
{
    char *text = sentence_new(format, args);
    int column = 0;
    if (!text)
        return;
    for (const char *piece = text, *end; piece; piece = *end ? end + 1 : NULL) {
        int columns = 0;
        for (end = piece; *end && !wrap_at(text, end); end++)
            columns += ((unsigned char)*end & 0xc0) != 0x80;
        if (column > 0 && column + 1 + columns > CLI_COLUMNS) {
            fprintf(file, "\n%*s", indent, "");
            column = indent;
        } else if (piece > text) {
            fputc(' ', file);
            column++;
        }
        fwrite(piece, 1, (size_t)(end - piece), file);
        column += columns;
    }
    fputc('\n', file);
    free(text);
}

void cli_wrap(int indent, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    wrap(stdout, indent, format, args);
    va_end(args);
}

void cli_wrap_to(FILE *file, int indent, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    wrap(file, indent, format, args);
    va_end(args);
}

void cli_xml_text(FILE *file, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p;) {
        size_t length = utf8_length(p);
        bool control = *p < 0x20 && !strchr("\t\n\r", *p);
        bool no_character = length == 3 && p[0] == 0xef && p[1] == 0xbf && p[2] >= 0xbe; /* U+FFFE, U+FFFF */
        if (length == 0 || control || no_character)
            fputs("\xef\xbf\xbd", file);
        else if (strchr("<>&\"", *p) || *p == '\r')
            fprintf(file, "&#%u;", *p);
        else
            fwrite(p, 1, length, file);
        p += length ? length : 1;
    }
}

void cli_json_string(FILE *file, const char *text)
{
    fputc('"', file);
    for (const unsigned char *p = (const unsigned char *)text; *p;) {
        size_t length = utf8_length(p);
        if (length == 0)
            fputs("\xef\xbf\xbd", file);
        else if (*p == '"' || *p == '\\')
            fprintf(file, "\\%c", *p);
        else if (*p < 0x20 || *p == 0x7f)
            fprintf(file, "\\u%04x", *p);
        else
            fwrite(p, 1, length, file);
        p += length ? length : 1;
    }
    fputc('"', file);
}
