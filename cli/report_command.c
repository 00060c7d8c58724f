/* gmptrace report: a trace as one page for a browser, that needs nothing else.
 *
 * The trace is read two times, three when it was cut off and so does not say how long it is: once for everything that
 * is added up over time and places, whose resolution follows from the length, and once for the exact slices of the
 * windows that the first reading found to be of interest. The page's data never grows with the trace. */
#define _GNU_SOURCE
#include "report_parts.h"

#include "cli.h"
#include "output.h"
#include "reading.h"

#include "analysis/analysis.h"
#include "trace/reader.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define COLUMNS_DEFAULT 512
#define COLUMNS_MANY_PS 256 /* with more Ps than PS_MANY */
#define LENGTH_MAX_NS (INT64_MAX / 4) /* 73 years: what is longer, a damaged clock says */
#define PS_MANY 64

struct report_options {
    const char *path, *output;
    unsigned columns; /* 0 = by the number of Ps */
    uint32_t slices_max;
};

/* ---- Options ----------------------------------------------------------------------------------------------------- */

static int number_read(const char *text, unsigned long least, unsigned long most, unsigned long *number)
{
    char *end;
    errno = 0;
    *number = strtoul(text, &end, 10);
    return errno || end == text || *end || *text == '-' || *number < least || *number > most ? -EINVAL : 0;
}

static int options_read(struct report_options *options, int argc, char **argv)
{
    static const struct option longs[] = {
        { "output", required_argument, NULL, 'o' },  { "columns", required_argument, NULL, 'c' },
        { "slices", required_argument, NULL, 's' },  { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },       { NULL, 0, NULL, 0 },
    };
    unsigned long number;
    *options = (struct report_options){
        .path = CLI_DEFAULT_PATH, .output = "report.html", .slices_max = REPORT_SLICES_DEFAULT
    };
    optind = 0;
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, ":ho:", longs, NULL)) != -1;) {
        switch (option) {
        case 'o':
            options->output = optarg;
            break;
        case 'c':
            if (number_read(optarg, 16, HEATMAP_COLUMNS_MAX, &number) || (number & (number - 1)))
                return cli_usage("--columns is a power of two from 16 to %d, not '%s'", HEATMAP_COLUMNS_MAX, optarg);
            options->columns = (unsigned)number;
            break;
        case 's':
            if (number_read(optarg, 0, 1000000, &number))
                return cli_usage("--slices is a number up to 1000000, not '%s'", optarg);
            options->slices_max = (uint32_t)number;
            break;
        default:
            return cli_option_common(option, argv);
        }
    }
    if (!cli_file_take(argc, argv, &options->path))
        return CLI_USAGE;
    if (!*options->output)
        return cli_usage("-o needs the name of a file");
    struct stat of_a, of_b;
    if (strcmp(options->output, "-") != 0 && stat(options->path, &of_a) == 0 && stat(options->output, &of_b) == 0 &&
        of_a.st_dev == of_b.st_dev && of_a.st_ino == of_b.st_ino)
        return cli_usage("the output would take the place of the trace %s", options->path);
    return LOAD_GO_ON;
}

/* ---- The first reading ------------------------------------------------------------------------------------------- */

/* How long the trace is. One that was cut off, or whose head says nonsense, has to be read for that. Returns CLI_OK, or
 * the status to exit with. */
static int length_find(struct report *report)
{
    const struct gmpt_trace_info *info = gmpt_trace_info(report->load.trace);
    report->end_ns = info->expected_duration_ns;
    if (report->end_ns > 0 && report->end_ns <= LENGTH_MAX_NS)
        return CLI_OK;
    struct gmpt_event event;
    struct gmpt_trace *trace = cli_trace_open(report->path);
    int result = 0;
    if (!trace)
        return CLI_INPUT;
    report->end_ns = 0;
    while ((result = gmpt_trace_next(trace, &event)) > 0)
        if (event.time_ns > report->end_ns)
            report->end_ns = event.time_ns;
    if (gmpt_trace_info(trace)->duration_ns > report->end_ns)
        report->end_ns = gmpt_trace_info(trace)->duration_ns;
    if (report->end_ns > LENGTH_MAX_NS)
        report->end_ns = LENGTH_MAX_NS;
    gmpt_trace_close(trace);
    if (result != -ENOMEM)
        return CLI_OK;
    cli_error("%s: %s", report->path, strerror(ENOMEM));
    return CLI_MACHINE;
}

struct taking {
    struct report *report;
    struct intervals *intervals; /* the summary's, to which all parts listen */
};

/* Those that tell goroutines apart by their sites. */
static int placed_closed(struct taking *taking, const struct interval *interval)
{
    struct report *report = taking->report;
    const struct interval_g *owner = interval->owner ? intervals_g(taking->intervals, interval->owner) : NULL;
    int64_t site = report_sites_number(report->sites, interval->g);
    int64_t owner_site = owner ? report_sites_number(report->sites, owner) : 0;
    if (site < 0 || owner_site < 0)
        return -ENOMEM;
    int result = report_over_closed(report->over, interval, (uint32_t)site);
    result = result ? result : report_delays_closed(report->delays, interval, (uint32_t)site);
    return result ? result
                  : report_owners_closed(report->owners, interval, (uint32_t)site, (uint32_t)owner_site);
}

static int interval_closed(void *taking_arg, const struct interval *interval)
{
    struct taking *taking = taking_arg;
    struct report *report = taking->report;
    report->intervals++;
    report_worst_add(&report->worst, interval);
    overtime_add(report->overtime, interval);
    int result = heatmap_closed(report->heatmap, interval);
    result = result ? result : report_flame_interval(report->flame, interval);
    result = result ? result : report_sites_closed(report->sites, interval);
    result = result ? result : placed_closed(taking, interval);
    return result ? result : report_waits_closed(report->waits, interval);
}

static int interval_begun(void *taking_arg, const struct interval *interval)
{
    struct taking *taking = taking_arg;
    int result = heatmap_begun(taking->report->heatmap, interval);
    return result ? result : report_sites_begun(taking->report->sites, taking->intervals, interval);
}

static int event_take(struct taking *taking, const struct gmpt_event *event)
{
    struct report *report = taking->report;
    place_code_event(report->load.places, event);
    int result = summary_add(report->load.summary, event);
    result = result ? result : heatmap_event(report->heatmap, event);
    result = result ? result : report_flame_event(report->flame, event);
    result = result ? result : report_kernel_event(report->kernel, event, taking->intervals);
    return result ? result : analysis_add(report->analysis, event);
}

/* *last: what trace_next_batch returned in the end. Returns 0 or a negative errno. */
static int trace_take(struct report *report, int *last)
{
    struct taking taking = { .report = report, .intervals = summary_intervals(report->load.summary) };
    struct interval_listener listener = { .closed = interval_closed, .begun = interval_begun, .arg = &taking };
    struct reading reading;
    struct gmpt_event events[TRACE_BATCH];
    int result = 0;
    intervals_listen(taking.intervals, &listener);
    reading_begin(&reading, report->load.trace);
    while (!result && (*last = trace_next_batch(report->load.trace, events, TRACE_BATCH)) > 0) {
        for (int i = 0; i < *last && !result; i++)
            result = event_take(&taking, &events[i]);
        reading_show(&reading, events[*last - 1].time_ns);
    }
    reading_end(&reading);
    if (!result)
        result = summary_finish(report->load.summary);
    if (!result)
        result = heatmap_finish(report->heatmap);
    if (!result)
        result = analysis_finish(report->analysis);
    return result ? result : *last == -ENOMEM ? -ENOMEM : 0;
}

static int parts_open(struct report *report, const struct report_options *options)
{
    const struct gmpt_trace_info *info = gmpt_trace_info(report->load.trace);
    struct summary_options summary_options = {
        .stuck_ns = SUMMARY_STUCK_BY_END,
        .canonical_stack = alike_first,
        .canonical_arg = report->load.alike,
    };
    struct analysis_options analysis_options = {
        .limits = FINDING_LIMITS_DEFAULT,
        .to_ns = ANALYSIS_END,
        .canonical_stack = alike_first,
        .canonical_arg = report->load.alike,
    };
    report->columns = options->columns        ? options->columns
                      : info->p_count > PS_MANY ? COLUMNS_MANY_PS
                                                : COLUMNS_DEFAULT;
    report->slices_max = options->slices_max;
    report->names = report_names_open(&report->load);
    report->load.summary = summary_open(report->load.trace, &summary_options);
    report->heatmap = heatmap_open(report->end_ns, report->columns);
    report->overtime = overtime_open(report->end_ns, report->columns);
    report->flame = report_flame_open(report);
    report->waits = report_waits_open();
    report->over = report_over_open(report);
    report->delays = report_delays_open();
    report->owners = report_owners_open();
    report->kernel = report_kernel_open(report);
    if (report->load.summary) {
        struct intervals *intervals = summary_intervals(report->load.summary);
        report->sites = report_sites_open(intervals);
        report->analysis = analysis_open(intervals, report->load.trace, &analysis_options);
    }
    return report->names && report->load.summary && report->heatmap && report->overtime && report->flame &&
                   report->sites && report->waits && report->over && report->delays && report->owners &&
                   report->kernel && report->analysis
               ? 0
               : -ENOMEM;
}

static void parts_close(struct report *report)
{
    analysis_close(report->analysis);
    report_kernel_close(report->kernel);
    report_owners_close(report->owners);
    report_delays_close(report->delays);
    report_over_close(report->over);
    report_waits_close(report->waits);
    report_sites_close(report->sites);
    report_flame_close(report->flame);
    overtime_close(report->overtime);
    heatmap_close(report->heatmap);
    report_names_close(report->names);
    load_close(&report->load);
}

/* ---- The page ---------------------------------------------------------------------------------------------------- */

static int page_write(struct report *report)
{
    static int (*const parts[])(struct report *) = {
        report_head_write,   report_findings_write, report_heat_write,  report_flame_write,
        report_sites_write, report_waits_write, report_over_write,
        report_delays_write, report_owners_write, report_kernel_write, report_slices_write,
    };
    char title[PLACE_TEXT_BYTES];
    snprintf(title, sizeof title, "%s", report->path);
    /* File names are as short as those of all stacks allow. */
    for (uint32_t i = 1; i <= gmpt_trace_stack_count(report->load.trace); i++)
        if (report_stack(report->names, i) < 0)
            return -ENOMEM;
    int result = 0;
    report_page_begin(report->out, title);
    fputc('{', report->out);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0] && !result; i++) {
        result = parts[i](report);
        fputs(",\n", report->out);
        if (!result && ferror(report->out))
            result = errno ? -errno : -EIO;
    }
    if (!result)
        result = report_names_write(report->names, report->out);
    fputc('}', report->out);
    report_page_end(report->out);
    return result;
}

static int report_make(struct report *report, const struct report_options *options)
{
    struct output output;
    int last = 0, result, status = length_find(report);
    bool wrote = false;
    if (status != CLI_OK)
        return status;
    result = parts_open(report, options);
    if (!result)
        result = trace_take(report, &last);
    if (result) {
        cli_error("%s: %s", options->path, strerror(-result));
        return CLI_MACHINE;
    }
    status = cli_trace_finish(report->load.trace, options->path, last);
    if (status != CLI_OK)
        return status;
    result = output_open(&output, options->output, false);
    if (!result) {
        report->out = output.stream;
        result = page_write(report);
        if (!result)
            result = output_keep(&output);
        wrote = !result;
    }
    if (result && !(result == -EPIPE && output.standard)) {
        cli_error("cannot write %s: %s", output.standard ? "the output" : options->output, strerror(-result));
        status = CLI_MACHINE;
    }
    if (wrote && !output.standard) {
        struct stat st;
        char bytes[32];
        fprintf(stderr, "[ gmptrace report: wrote %s -> %s ]\n",
                cli_size(bytes, fstat(output.fd, &st) == 0 ? (uint64_t)st.st_size : 0), options->output);
        if (output.file.old_path)
            fprintf(stderr, "[ what was there before is %s ]\n", output.file.old_path);
    }
    output_close(&output);
    return status;
}

static int report_run(int argc, char **argv)
{
    struct report_options options;
    int status = options_read(&options, argc, argv);
    if (status != LOAD_GO_ON)
        return status;
    struct report *report = calloc(1, sizeof *report);
    if (!report) {
        cli_error("%s", strerror(ENOMEM));
        return CLI_MACHINE;
    }
    struct load_options load_options = { .path = options.path, .stuck_ns = SUMMARY_STUCK_BY_END };
    report->path = options.path;
    status = load_prepare(&report->load, &load_options);
    if (status == CLI_OK) {
        status = report_make(report, &options);
        place_warn(report->load.places);
    }
    parts_close(report);
    free(report);
    return status;
}

const struct cli_command command_report = {
    .name = "report",
    .summary = "a trace as one page for a browser: heat map, timeline, flame graphs",
    .help = "Usage: gmptrace report [FILE] [-o OUT] [--columns N] [--slices N]\n"
            "Write the trace FILE (gmptrace.data) as one page for a browser, which needs neither\n"
            "the network nor a server: a heat map of scheduling delays that leads to who waited,\n"
            "who woke them and what ran meanwhile; a timeline by processor, thread and goroutine\n"
            "with wake-ups; flame graphs of any part of the time, and the difference of two;\n"
            "findings, latencies by place, who starts and who waits for whom, and leaks.\n"
            "\n"
            "  -o, --output=OUT   where to (report.html); '-' is standard output, and a name that\n"
            "                     ends in .gz is compressed\n"
            "  --columns=N        parts that the time is cut into, a power of two (512)\n"
            "  --slices=N         exact slices of goroutines that the timeline shows, of the whole\n"
            "                     of a short trace or around the longest delays (20000)\n"
            "  -h, --help         this text\n"
            "      --version      which gmptrace this is\n"
            "\n"
            "Exit status: 0 written, 2 wrong usage, 3 FILE cannot be used, 4 not written.\n",
    .run = report_run,
};
