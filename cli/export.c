/* gmptrace export: a trace in a form that other tools read. The formats are export_*.c; here are the options, the
 * output and its end. */
#define _GNU_SOURCE
#include "export.h"

#include "cli.h"
#include "eventline.h"
#include "load.h"
#include "output.h"
#include "reading.h"
#include "timeline.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define G_NAME_COLUMNS 60

/* The text form is lines of events, not of what lasts: it has no functions and is printed by its own loop. */
static const struct export_format export_text = { .name = "text", .output = "-" };

static const struct export_format *const formats[] = {
    &export_perfetto, &export_chrome, &export_csv, &export_sqlite, &export_text,
};

static const char *const tables[EXPORT_TABLES] = {
    [EXPORT_SLICES] = "slices",     [EXPORT_GOROUTINES] = "goroutines", [EXPORT_WAKEUPS] = "wakeups",
    [EXPORT_SITES] = "sites",       [EXPORT_COUNTERS] = "counters",     [EXPORT_SPANS] = "spans",
    [EXPORT_MESSAGES] = "messages", [EXPORT_THREADS] = "threads",       [EXPORT_SAMPLES] = "samples",
    [EXPORT_OFFCPU] = "offcpu",     [EXPORT_ONCPU] = "oncpu",           [EXPORT_USAGES] = "usages",
};

struct export_options {
    const char *path, *output; /* output "-": standard output */
    const struct export_format *format;
    int table; /* enum export_table; -1 = not given */
    struct timeline_options timeline;
};

/* ---- What formats share -------------------------------------------------------------------------------------------
 */

const char *export_state_name(enum gmpt_g_state state)
{
    switch (state) {
    case GMPT_G_SYSCALL:
        return "blocking call";
    case GMPT_G_PREEMPTED:
        return "running without a P";
    default:
        return state == 0 ? "unknown" : gmpt_g_state_words(state);
    }
}

const char *export_doing_name(enum gmpt_kernel_doing doing)
{
    switch (doing) {
    case GMPT_KERNEL_RUNNING_G:
        return "running";
    case GMPT_KERNEL_IN_CALL:
        return "blocking call";
    case GMPT_KERNEL_SCHEDULER:
        return "no goroutine";
    default:
        return NULL;
    }
}

const char *export_why_name(enum gmpt_kernel_why why)
{
    static const char *const names[] = { "blocked", "preempted", "starting", "throttled", "suspended" };
    return names[why];
}

const char *export_woken_name(const struct kernel_interval *told)
{
    switch (told->waker.tid) {
    case 0:
        return NULL;
    case KERNEL_TID_INTERRUPT:
        return "interrupt";
    case KERNEL_TID_HIDDEN:
        return "other program";
    default:
        return "thread";
    }
}

const char *export_slice_name(const struct export_slice *slice)
{
    return slice->state == GMPT_G_WAITING ? gmpt_wait_reason_words(slice->reason) : export_state_name(slice->state);
}

const char *export_g_function(struct export *export, uint64_t id)
{
    const struct gmpt_g *g = gmpt_trace_g(export->trace, id);
    return g && g->fn ? captions_function(export->captions, g->fn) : "?";
}

const char *export_g_title(struct export *export, uint64_t id, char buffer[PLACE_TEXT_BYTES])
{
    const struct gmpt_g *g = gmpt_trace_g(export->trace, id);
    const char *function = export_g_function(export, id);
    char name[4 * G_NAME_COLUMNS + 1];
    if (!function)
        return NULL;
    if (g && g->name) {
        cli_text(name, sizeof name, gmpt_trace_string(export->trace, g->name), G_NAME_COLUMNS);
        snprintf(buffer, PLACE_TEXT_BYTES, "G%" PRIu64 " %s (%.120s)", id, name, function);
    } else {
        snprintf(buffer, PLACE_TEXT_BYTES, "G%" PRIu64 "%s%.400s", id, g && g->fn ? " " : "",
                 g && g->fn ? function : "");
    }
    return buffer;
}

/* ---- Options ----------------------------------------------------------------------------------------------------- */

static int format_read(struct export_options *options, const char *name)
{
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (strcmp(formats[i]->name, name) == 0)
            options->format = formats[i];
    if (!options->format || strcmp(options->format->name, name) != 0)
        return cli_usage("--format is perfetto, chrome, csv, sqlite or text, not '%s'", name);
    return LOAD_GO_ON;
}

static int table_read(struct export_options *options, const char *name)
{
    for (int i = 0; i < EXPORT_TABLES; i++) {
        if (strcmp(tables[i], name) == 0) {
            options->table = i;
            return LOAD_GO_ON;
        }
    }
    return cli_usage("--table is slices, goroutines, wakeups, sites, counters, spans, messages, threads, samples, "
                     "offcpu, oncpu or usages, not '%s'",
                     name);
}

static bool is_same_file(const char *a, const char *b)
{
    struct stat of_a, of_b;
    return stat(a, &of_a) == 0 && stat(b, &of_b) == 0 && of_a.st_dev == of_b.st_dev && of_a.st_ino == of_b.st_ino;
}

static int options_check(struct export_options *options)
{
    if (!options->format)
        return cli_usage("--format=perfetto, chrome, csv, sqlite or text is needed");
    if (options->table >= 0 && options->format != &export_csv)
        return cli_usage("--table is for --format=csv");
    if (options->timeline.from_ns > options->timeline.to_ns)
        return cli_usage("--from is later than --to");
    if (!options->output)
        options->output = options->format->output;
    if (!*options->output)
        return cli_usage("-o needs the name of a file");
    if (strcmp(options->output, "-") != 0 && is_same_file(options->output, options->path))
        return cli_usage("the output would take the place of the trace %s", options->path);
    if (options->format->wants_path && output_compresses(options->output))
        return cli_usage("the %s format is not compressed; give a name without .gz", options->format->name);
    if (options->format->binary && strcmp(options->output, "-") == 0 && isatty(STDOUT_FILENO))
        return cli_usage("the %s format is binary and will not be written to a terminal; give -o FILE",
                         options->format->name);
    return LOAD_GO_ON;
}

/* Returns LOAD_GO_ON, or the status to exit with. */
static int options_read(struct export_options *options, int argc, char **argv)
{
    static const struct option longs[] = {
        { "format", required_argument, NULL, 'f' },
        { "output", required_argument, NULL, 'o' },
        { "table", required_argument, NULL, 't' },
        { "from", required_argument, NULL, 'F' },
        { "to", required_argument, NULL, 'T' },
        { "every", required_argument, NULL, 'e' },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },
        { NULL, 0, NULL, 0 },
    };
    *options = (struct export_options){
        .path = CLI_DEFAULT_PATH,
        .table = -1,
        .timeline = { .to_ns = TIMELINE_END, .every_ns = TIMELINE_EVERY_NS },
    };
    optind = 0;
    opterr = 0;
    for (int option, status = LOAD_GO_ON; (option = getopt_long(argc, argv, ":ho:", longs, NULL)) != -1;) {
        switch (option) {
        case 'f':
            status = format_read(options, optarg);
            break;
        case 't':
            status = table_read(options, optarg);
            break;
        case 'o':
            options->output = optarg;
            break;
        case 'F':
            if (cli_parse_duration(optarg, &options->timeline.from_ns))
                status = cli_usage("--from takes a time since the trace's start such as 1.5s, not '%s'", optarg);
            break;
        case 'T':
            if (cli_parse_duration(optarg, &options->timeline.to_ns))
                status = cli_usage("--to takes a time since the trace's start such as 1.5s, not '%s'", optarg);
            break;
        case 'e':
            if (cli_parse_duration(optarg, &options->timeline.every_ns))
                status = cli_usage("--every takes a time such as 100us or 0ns, not '%s'", optarg);
            break;
        default:
            return cli_option_common(option, argv);
        }
        if (status != LOAD_GO_ON)
            return status;
    }
    if (!cli_file_take(argc, argv, &options->path))
        return CLI_USAGE;
    return options_check(options);
}

/* ---- The command ------------------------------------------------------------------------------------------------- */

static int text_add(struct export *export, const struct timeline_options *window, const struct gmpt_event *event)
{
    struct eventlines lines = { .trace = export->trace, .captions = export->captions };
    if (event->time_ns < window->from_ns || event->time_ns >= window->to_ns)
        return 0;
    return eventlines_print(&lines, export->out, event);
}

/* Reads the trace into the format. Returns 0 or a negative errno; what gmpt_trace_next returned last is in *last. */
static int trace_tell(struct export *export, const struct export_options *options, int *last)
{
    struct timeline *timeline = NULL;
    struct reading reading;
    struct gmpt_event event;
    int result = 0;
    *last = 0;
    reading_begin(&reading, export->trace);
    if (export->format != &export_text) {
        result = export->format->open(export);
        timeline = result ? NULL : timeline_open(export, &options->timeline);
        if (!result && !timeline)
            result = -ENOMEM;
    }
    while (!result && (*last = gmpt_trace_next(export->trace, &event)) > 0) {
        result = timeline ? timeline_add(timeline, &event) : text_add(export, &options->timeline, &event);
        if (!result && export->out && ferror(export->out))
            result = errno ? -errno : -EIO;
        reading_show(&reading, event.time_ns);
    }
    if (!result && timeline)
        result = timeline_finish(timeline);
    if (!result && export->format->finish)
        result = export->format->finish(export);
    reading_end(&reading);
    timeline_close(timeline);
    if (export->format->close)
        export->format->close(export);
    return result;
}

static int export_trace(struct export *export, const struct export_options *options)
{
    struct output output;
    int last, result = output_open(&output, options->output, options->format->wants_path);
    bool wrote = false;
    int status = CLI_OK;
    if (!result) {
        export->out = output.stream;
        export->path = output_scratch(&output);
        result = trace_tell(export, options, &last);
        if (!result) {
            status = cli_trace_finish(export->trace, options->path, last);
            if (last == -ENOMEM)
                result = -ENOMEM;
        }
        if (!result && status == CLI_OK) {
            result = output_keep(&output);
            wrote = !result;
        }
    }
    if (result == -ENOMEM) {
        cli_error("%s: %s", options->path, strerror(ENOMEM));
        status = CLI_MACHINE;
    } else if (result == -EPIPE && output.standard) {
        status = CLI_OK; /* a reader that has seen enough is no failure */
    } else if (result) {
        cli_error("cannot write %s: %s", output.standard ? "the output" : options->output,
                  export->message[0] ? export->message : strerror(-result));
        status = CLI_MACHINE;
    }
    if (wrote && !output.standard) {
        struct stat st;
        char bytes[32] = "0";
        if (fstat(output.fd, &st) == 0)
            cli_count(bytes, (uint64_t)st.st_size);
        fprintf(stderr, "[ gmptrace export: wrote %s bytes -> %s ]\n", bytes, options->output);
        if (output.file.old_path)
            fprintf(stderr, "[ what was there before is %s ]\n", output.file.old_path);
    }
    output_close(&output);
    return status;
}

static int export_run(int argc, char **argv)
{
    struct export_options options;
    int status = options_read(&options, argc, argv);
    if (status != LOAD_GO_ON)
        return status;
    struct export export = {
        .trace = cli_trace_open(options.path),
        .format = options.format,
        .table = options.table < 0 ? EXPORT_SLICES : (enum export_table)options.table,
    };
    if (!export.trace)
        return CLI_INPUT;
    struct symbolizer *symbolizer = symbolizer_open(export.trace);
    export.places = symbolizer ? places_open(export.trace, symbolizer) : NULL;
    export.captions = export.places ? captions_open(export.trace, export.places) : NULL;
    if (export.captions) {
        status = export_trace(&export, &options);
        place_warn(export.places);
    } else {
        cli_error("%s: %s", options.path, strerror(ENOMEM));
        status = CLI_MACHINE;
    }
    captions_close(export.captions);
    places_close(export.places);
    symbolizer_close(symbolizer);
    gmpt_trace_close(export.trace);
    return status;
}

const struct cli_command command_export = {
    .name = "export",
    .summary = "a trace for Perfetto, Chrome, spreadsheets and SQL",
    .help = "Usage: gmptrace export [FILE] --format=F [-o OUT] [--from T] [--to T]\n"
            "                       [--table=NAME] [--every T]\n"
            "Write the trace FILE (gmptrace.data) in a form that other tools read.\n"
            "\n"
            "  --format=perfetto  for ui.perfetto.dev (gmptrace.pftrace)\n"
            "  --format=chrome    Chrome's JSON trace events (gmptrace.json)\n"
            "  --format=sqlite    a database with views (gmptrace.sqlite)\n"
            "  --format=csv       one table (standard output)\n"
            "  --format=text      a line for each event, as script (standard output)\n"
            "  -o, --output=OUT   where to; '-' is standard output, and a name that ends in .gz\n"
            "                     is compressed (not sqlite)\n"
            "  --table=NAME       of csv: slices (the default), goroutines, wakeups, sites,\n"
            "                     counters, spans, messages, threads, samples, offcpu,\n"
            "                     oncpu or usages\n"
            "  --from=T, --to=T   only what happens between these times since the start,\n"
            "                     such as 1.5s\n"
            "  --every=T          at most one sample of the counters in each T (100us);\n"
            "                     0ns: every change\n"
            "  -h, --help         this text\n"
            "      --version      which gmptrace this is\n"
            "\n"
            "Exit status: 0 written, 2 wrong usage, 3 FILE cannot be used, 4 not written.\n",
    .run = export_run,
};
