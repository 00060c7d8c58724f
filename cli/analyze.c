/* gmptrace analyze: what is wrong with a program, and where its time went, on one screen of 80 columns; section by
 * section; or as one JSON object. */
#include "analyze.h"
#include "cli.h"
#include "reading.h"

#include "pprof/stackmatch.h"
#include "trace/reader.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define SECTIONS_MAX 32
#define ROWS_ASKED 40

struct analyze_options {
    struct load_options load;
    int64_t from_ns, to_ns;
    struct filter *filter;
    struct finding_limits limits;
    bool wanted[SECTIONS_MAX], any_wanted, all;
    bool fails[FINDING_KIND_COUNT];
};

/* ---- Options ----------------------------------------------------------------------------------------------------- */

static int time_read(const char *option, const char *text, int64_t *ns)
{
    if (cli_parse_duration(text, ns))
        return cli_usage("--%s takes a time since the trace's start, such as 500ms, 2s or 1m, not '%s'", option, text);
    return LOAD_GO_ON;
}

static int section_read(struct analyze_options *options, const char *text)
{
    char names[512] = "";
    for (size_t length; *text; text += length + (text[length] == ',')) {
        length = strcspn(text, ",");
        size_t i = 0;
        while (analyze_sections[i].name &&
               (strlen(analyze_sections[i].name) != length || strncmp(text, analyze_sections[i].name, length) != 0))
            i++;
        if (!analyze_sections[i].name) {
            for (i = 0; analyze_sections[i].name; i++)
                snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i ? ", " : "",
                         analyze_sections[i].name);
            return cli_usage("there is no section '%.*s', but: %s", (int)length, text, names);
        }
        options->wanted[i] = options->any_wanted = true;
    }
    return LOAD_GO_ON;
}

static int fails_read(struct analyze_options *options, const char *text)
{
    char names[512] = "";
    for (size_t length; *text; text += length + (text[length] == ',')) {
        length = strcspn(text, ",");
        int kind = finding_find(text, length);
        if (length == 3 && strncmp(text, "any", length) == 0) {
            memset(options->fails, true, sizeof options->fails);
            continue;
        }
        if (kind < 0) {
            for (kind = 0; kind < FINDING_KIND_COUNT; kind++)
                snprintf(names + strlen(names), sizeof names - strlen(names), ", %s",
                         finding_name((enum finding_kind)kind));
            return cli_usage("there is no finding '%.*s', but: any%s", (int)length, text, names);
        }
        options->fails[kind] = true;
    }
    return LOAD_GO_ON;
}

/* KIND=VALUE. */
static int limit_read(struct finding_limits *limits, const char *text)
{
    struct {
        const char *name;
        int64_t *ns;     /* a time, */
        uint64_t *count; /* or a number */
    } known[] = {
        { finding_name(FINDING_HOG), &limits->hog_ns, NULL },
        { finding_name(FINDING_LATE), &limits->late_ns, NULL },
        { finding_name(FINDING_STARVATION), &limits->starved_ns, NULL },
        { finding_name(FINDING_STORM), NULL, &limits->switches_per_s },
        { finding_name(FINDING_SYSCALLS), NULL, &limits->calls_per_s },
        { finding_name(FINDING_HERD), NULL, &limits->herd_gs },
        { finding_name(FINDING_CONVOY), NULL, &limits->convoy_waiters },
        { finding_name(FINDING_BLOCKED), &limits->blocked_ns, NULL },
        { finding_name(FINDING_QUEUED), &limits->queued_ns, NULL },
        { finding_name(FINDING_THROTTLED), &limits->throttled_ns, NULL },
        { finding_name(FINDING_NEIGHBOUR), &limits->neighbour_ns, NULL },
        { finding_name(FINDING_CROSS), NULL, &limits->cross_wakes_per_s },
        { finding_name(FINDING_FAULTS), NULL, &limits->faults_per_s },
        { finding_name(FINDING_SPAWNING), NULL, &limits->spawned_gs },
        { "at_once", &limits->at_once_ns, NULL },
    };
    size_t length = strcspn(text, "=");
    const char *value = text + length + (text[length] == '=');
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strlen(known[i].name) != length || strncmp(text, known[i].name, length) != 0)
            continue;
        if (known[i].ns && cli_parse_duration(value, known[i].ns))
            return cli_usage("--limit %s takes a time such as 5ms, not '%s'", known[i].name, value);
        if (known[i].ns)
            return LOAD_GO_ON;
        char *end;
        errno = 0;
        unsigned long long number = strtoull(value, &end, 10);
        if (*value < '0' || *value > '9' || *end || errno || number == 0 || number > INT64_MAX)
            return cli_usage("--limit %s takes a number from 1, not '%s'", known[i].name, value);
        *known[i].count = number;
        return LOAD_GO_ON;
    }
    return cli_usage("--limit takes KIND=VALUE, such as hog=50ms; there is none for '%.*s'", (int)length, text);
}

static int filter_read(struct analyze_options *options, const char *text)
{
    struct filter_error error;
    filter_free(options->filter);
    options->filter = filter_parse(text, &error);
    return options->filter ? LOAD_GO_ON : cli_usage("--filter, column %zu: %s", error.column, error.message);
}

/* Returns LOAD_GO_ON, or the status to exit with; the filter is the caller's to free either way. */
static int options_read(struct analyze_options *options, int argc, char **argv)
{
    static const struct option longs[] = {
        { "json", no_argument, NULL, 'j' },          { "stuck", required_argument, NULL, 's' },
        { "section", required_argument, NULL, 'S' }, { "all", no_argument, NULL, 'a' },
        { "from", required_argument, NULL, 'b' },    { "to", required_argument, NULL, 'e' },
        { "filter", required_argument, NULL, 'F' },  { "fail-on", required_argument, NULL, 'f' },
        { "limit", required_argument, NULL, 'l' },   { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },       { NULL, 0, NULL, 0 },
    };
    int status = LOAD_GO_ON;
    *options = (struct analyze_options){
        .load = { .path = CLI_DEFAULT_PATH, .stuck_ns = SUMMARY_STUCK_BY_END },
        .to_ns = ANALYSIS_END,
        .limits = FINDING_LIMITS_DEFAULT,
    };
    optind = 0;
    opterr = 0;
    for (int option; status == LOAD_GO_ON && (option = getopt_long(argc, argv, ":h", longs, NULL)) != -1;) {
        switch (option) {
        case 'j':
            options->load.json = true;
            break;
        case 's':
            if (cli_parse_duration(optarg, &options->load.stuck_ns))
                return cli_usage("--stuck takes a time such as 500ms, 2s or 1m, not '%s'", optarg);
            break;
        case 'S':
            status = section_read(options, optarg);
            break;
        case 'a':
            options->all = true;
            break;
        case 'b':
            status = time_read("from", optarg, &options->from_ns);
            break;
        case 'e':
            status = time_read("to", optarg, &options->to_ns);
            break;
        case 'F':
            status = filter_read(options, optarg);
            break;
        case 'f':
            status = fails_read(options, optarg);
            break;
        case 'l':
            status = limit_read(&options->limits, optarg);
            break;
        default:
            return cli_option_common(option, argv);
        }
    }
    if (status != LOAD_GO_ON)
        return status;
    if (!cli_file_take(argc, argv, &options->load.path))
        return CLI_USAGE;
    if (options->from_ns >= options->to_ns)
        return cli_usage("--from must be before --to");
    if (options->load.json && (options->all || options->any_wanted))
        return cli_usage("--json has all sections; it does not go with --section and --all");
    return LOAD_GO_ON;
}

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

/* Returns CLI_OK or the status to exit with. */
static int trace_read(struct analyze *analyze, const struct analyze_options *options)
{
    struct load *load = &analyze->load;
    struct reading reading;
    struct gmpt_event events[TRACE_BATCH];
    int result, failed = 0;
    reading_begin(&reading, load->trace);
    while (!failed && (result = trace_next_batch(load->trace, events, TRACE_BATCH)) > 0) {
        place_code_event(load->places, &events[0]); /* before the sections ask which stacks mean the same */
        failed = analysis_pass(analyze->analysis, load->summary, events, result);
        reading_show(&reading, events[result - 1].time_ns);
    }
    reading_end(&reading);
    if (failed || result == -ENOMEM || summary_finish(load->summary) || analysis_finish(analyze->analysis)) {
        cli_error("%s: %s", options->load.path, strerror(ENOMEM));
        return CLI_MACHINE;
    }
    int status = cli_trace_finish(load->trace, options->load.path, result);
    char first[16], last[16];
    int64_t end_ns = intervals_end_ns(analyze->analysis->intervals);
    if (status == CLI_OK && options->from_ns > 0 && options->from_ns >= end_ns)
        return cli_usage("the trace ends after %s, before --from %s", cli_duration(first, end_ns),
                         cli_duration(last, options->from_ns));
    return status;
}

static int parts_open(struct analyze *analyze, const struct analyze_options *options, struct stackmatch *match)
{
    struct load *load = &analyze->load;
    struct summary_options summary_options = {
        .stuck_ns = options->load.stuck_ns,
        .canonical_stack = alike_first,
        .canonical_arg = load->alike,
    };
    struct analysis_options analysis_options = {
        .limits = options->limits,
        .from_ns = options->from_ns,
        .to_ns = options->to_ns,
        .length_ns = gmpt_trace_info(load->trace)->expected_duration_ns,
        .filter = options->filter,
        .names = { .trace = load->trace, .function = stackmatch_function, .arg = match },
        .canonical_stack = alike_first,
        .canonical_arg = load->alike,
    };
    load->summary = summary_open(load->trace, &summary_options);
    if (match && load->summary)
        analyze->analysis = analysis_open(summary_intervals(load->summary), load->trace, &analysis_options);
    if (load->summary && analyze->analysis)
        return CLI_OK;
    cli_error("%s: %s", options->load.path, strerror(ENOMEM));
    return CLI_MACHINE;
}

static void all_print(struct analyze *analyze, const struct analyze_options *options)
{
    analyze_places_look(analyze);
    if (!options->any_wanted)
        analyze_head(analyze);
    for (size_t i = 0; analyze_sections[i].name; i++) {
        const struct analyze_section *section = &analyze_sections[i];
        bool asked = options->wanted[i] || options->all;
        analyze->rows = options->wanted[i] ? ROWS_ASKED : 0;
        if (options->any_wanted ? asked : asked || section->usual)
            section->print(analyze);
    }
}

static bool fails(const struct analyze *analyze, const struct analyze_options *options)
{
    const struct findings *findings = &analyze->analysis->findings;
    for (size_t i = 0; i < findings->count; i++)
        if (options->fails[findings->list[i].kind])
            return true;
    return false;
}

static int analyze_run(int argc, char **argv)
{
    struct analyze_options options;
    struct analyze analyze = { 0 };
    struct stackmatch *match = NULL;
    int status = options_read(&options, argc, argv);
    if (status != LOAD_GO_ON)
        goto out;
    status = load_prepare(&analyze.load, &options.load);
    if (status == CLI_OK) {
        match = stackmatch_open(analyze.load.trace, analyze.load.symbolizer);
        analyze.windowed = options.from_ns > 0 || options.to_ns < ANALYSIS_END;
        analyze.filtered = options.filter != NULL;
        status = parts_open(&analyze, &options, match);
    }
    if (status == CLI_OK)
        status = trace_read(&analyze, &options);
    if (status == CLI_OK) {
        if (options.load.json)
            analyze_json(&analyze);
        else
            all_print(&analyze, &options);
        status = cli_flush(fails(&analyze, &options) ? CLI_FINDINGS : CLI_OK);
        place_warn(analyze.load.places);
    }
    analysis_close(analyze.analysis);
    stackmatch_close(match);
    load_close(&analyze.load);
out:
    filter_free(options.filter);
    return status;
}

const struct cli_command command_analyze = {
    .name = "analyze",
    .summary = "what is wrong, and what happened in a trace",
    .help = "Usage: gmptrace analyze [FILE] [--json] [--section NAME,...] [--all] [--from T]\n"
            "                        [--to T] [--filter EXPR] [--limit KIND=VALUE]\n"
            "                        [--fail-on KIND,...] [--stuck T]\n"
            "Says what is wrong with a program, with evidence and a place in its source, and\n"
            "where the time of its goroutines went, on one screen. FILE is gmptrace.data by\n"
            "default.\n\n"
            "  --json            one JSON object with all there is; times in nanoseconds\n"
            "  --section=NAME    only this section, with more rows: findings, states,\n"
            "                    scheduler, starts, own, cpu, kernel, leaks; time, latency,\n"
            "                    lines, waits, locks, calls, preemptions, processors,\n"
            "                    steals, threads, lifetimes, wakeups, chains\n"
            "  --all             all sections\n"
            "  --from=T, --to=T  only what lies between; T is since the start, such as 1.5s\n"
            "  --filter=EXPR     only what EXPR chooses, as in gmptrace pprof\n"
            "  --limit=K=V       from where on something is a finding: hog=20ms,\n"
            "                    long_scheduling_wait=5ms, p_starvation=10ms,\n"
            "                    scheduling_storm=2000, syscall_storm=10000,\n"
            "                    thundering_herd=8, lock_convoy=4,\n"
            "                    unbounded_spawning=1000, blocked_processor=5ms,\n"
            "                    kernel_starvation=20ms, quota_throttling=20ms,\n"
            "                    noisy_neighbour=20ms, needless_cross_cpu_wakes=2000,\n"
            "                    page_fault_storm=20000; at_once=10us\n"
            "  --fail-on=KIND    exit status 1 when there is such a finding; any: of any kind\n"
            "  --stuck=T         a goroutine that waits for others for T or longer, without a\n"
            "                    deadline, counts as stuck: 500ms, 2s, 1m; the default is\n"
            "                    that of gmptrace leaks: 1s, or 20ms when the program ended\n"
            "                    by itself\n"
            "  --help            this text\n"
            "  --version         which gmptrace this is\n\n"
            "Exit status: 0 fine, findings or not; 1 a finding of --fail-on; 2 wrong usage;\n"
            "3 FILE cannot be used; 4 the output cannot be written.\n",
    .run = analyze_run,
};
