/* gmptrace check: runs a program, or a test suite, and fails when it leaves goroutines behind. */
#define _GNU_SOURCE
#include "checkrun.h"
#include "cli.h"
#include "leakforms.h"
#include "suppressions.h"

#include <gmptrace/gmpt.h>

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define GRACE_USUAL_NS INT64_C(500000000)
#define STUCK_USUAL_NS INT64_C(1000000000)
#define RUNAWAY_USUAL_NS INT64_C(10000000000)
#define GO_ON (-1)

struct check_options {
    struct check_run run;
    bool strict, github;
    const char *baseline, *baseline_out, *source_root;
    const char *json, *junit, *sarif, *profile; /* paths; "-" = standard output; NULL = not wanted */
};

/* ---- Options ----------------------------------------------------------------------------------------------------- */

enum {
    OPTION_FAIL_ON = 256,
    OPTION_GRACE,
    OPTION_EVERY,
    OPTION_STUCK,
    OPTION_RUNAWAY,
    OPTION_HEAP,
    OPTION_STRICT,
    OPTION_BASELINE,
    OPTION_WRITE_BASELINE,
    OPTION_SOURCE_ROOT,
    OPTION_JSON,
    OPTION_JUNIT,
    OPTION_SARIF,
    OPTION_GITHUB,
    OPTION_PROFILE,
};

static int fail_on_read(unsigned *kinds, const char *text)
{
    *kinds = 0;
    if (strcmp(text, "none") == 0)
        return GO_ON;
    for (const char *at = text;; at++) {
        size_t length = strcspn(at, ",");
        int kind = leak_kind_find(at, length);
        if (kind >= 0)
            *kinds |= LEAK_KIND_BIT(kind);
        else if (length == 3 && memcmp(at, "all", 3) == 0)
            *kinds |= LEAK_KIND_BIT(LEAK_KINDS) - 1;
        else
            return cli_usage("--fail-on takes kinds such as proven,cycle,growing,stuck,runaway, or all, or none, not "
                             "'%s'",
                             text);
        at += length;
        if (!*at)
            return GO_ON;
    }
}

static int time_read(int64_t *ns, const char *option, const char *text, bool nothing)
{
    if (cli_parse_duration(text, ns) || (*ns == 0 && !nothing))
        return cli_usage("%s takes a time such as 500ms, 2s or 1m, not '%s'", option, text);
    return GO_ON;
}

static int heap_read(enum check_heap *heap, const char *text)
{
    if (strcmp(text, "trace") == 0)
        *heap = CHECK_HEAP_TRACE;
    else if (strcmp(text, "root") == 0)
        *heap = CHECK_HEAP_ROOT;
    else
        return cli_usage("--heap takes trace or root, not '%s'", text);
    return GO_ON;
}

static int path_read(const char **path, const char *option, const char *text)
{
    if (!*text)
        return cli_usage("%s takes a file", option);
    *path = text;
    return GO_ON;
}

static int option_read(struct check_options *options, int option, char **argv)
{
    switch (option) {
    case OPTION_FAIL_ON:
        return fail_on_read(&options->run.fail_on, optarg);
    case OPTION_GRACE:
        return time_read(&options->run.grace_ns, "--grace", optarg, true);
    case OPTION_EVERY:
        return time_read(&options->run.every_ns, "--every", optarg, false);
    case OPTION_STUCK:
        return time_read(&options->run.stuck_ns, "--stuck", optarg, false);
    case OPTION_RUNAWAY:
        return time_read(&options->run.runaway_ns, "--runaway", optarg, false);
    case OPTION_HEAP:
        return heap_read(&options->run.heap, optarg);
    case OPTION_STRICT:
        options->strict = true;
        return GO_ON;
    case OPTION_BASELINE:
        return path_read(&options->baseline, "--baseline", optarg);
    case OPTION_WRITE_BASELINE:
        return path_read(&options->baseline_out, "--write-baseline", optarg);
    case OPTION_SOURCE_ROOT:
        return path_read(&options->source_root, "--source-root", optarg);
    case OPTION_JSON:
        return path_read(&options->json, "--json", optarg);
    case OPTION_JUNIT:
        return path_read(&options->junit, "--junit", optarg);
    case OPTION_SARIF:
        return path_read(&options->sarif, "--sarif", optarg);
    case OPTION_PROFILE:
        return path_read(&options->profile, "--leak-profile", optarg);
    case OPTION_GITHUB:
        options->github = true;
        return GO_ON;
    default:
        return cli_option_common(option, argv);
    }
}

static int options_read(struct check_options *options, int argc, char **argv)
{
    static const struct option longs[] = {
        { "fail-on", required_argument, NULL, OPTION_FAIL_ON },
        { "grace", required_argument, NULL, OPTION_GRACE },
        { "every", required_argument, NULL, OPTION_EVERY },
        { "stuck", required_argument, NULL, OPTION_STUCK },
        { "runaway", required_argument, NULL, OPTION_RUNAWAY },
        { "heap", required_argument, NULL, OPTION_HEAP },
        { "strict", no_argument, NULL, OPTION_STRICT },
        { "baseline", required_argument, NULL, OPTION_BASELINE },
        { "write-baseline", required_argument, NULL, OPTION_WRITE_BASELINE },
        { "source-root", required_argument, NULL, OPTION_SOURCE_ROOT },
        { "json", required_argument, NULL, OPTION_JSON },
        { "junit", required_argument, NULL, OPTION_JUNIT },
        { "sarif", required_argument, NULL, OPTION_SARIF },
        { "github", no_argument, NULL, OPTION_GITHUB },
        { "leak-profile", required_argument, NULL, OPTION_PROFILE },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },
        { NULL, 0, NULL, 0 },
    };
    *options = (struct check_options){
        .run = { .grace_ns = GRACE_USUAL_NS,
                 .stuck_ns = STUCK_USUAL_NS,
                 .runaway_ns = RUNAWAY_USUAL_NS,
                 .fail_on = LEAK_KIND_BIT(LEAK_PROVEN) | LEAK_KIND_BIT(LEAK_CYCLE) },
    };
    optind = 0;
    opterr = 0;
    for (int option, status; (option = getopt_long(argc, argv, "+:h", longs, NULL)) >= 0;)
        if ((status = option_read(options, option, argv)) != GO_ON)
            return status;
    if (optind >= argc)
        return cli_usage("no program to check");
    options->run.argv = argv + optind;
    return GO_ON;
}

/* ---- Output ------------------------------------------------------------------------------------------------------ */

static int file_end(FILE *file, const char *path, int result)
{
    if (result == 0 && (fflush(file) || ferror(file)))
        result = -(errno ? errno : EIO);
    if (file != stdout && fclose(file) && result == 0)
        result = -errno;
    if (result == 0)
        return CLI_OK;
    cli_error("cannot write '%s': %s", path, strerror(-result));
    return CLI_MACHINE;
}

static FILE *file_begin(const char *path, const char *mode)
{
    if (strcmp(path, "-") == 0)
        return stdout;
    FILE *file = fopen(path, mode);
    if (!file)
        cli_error("cannot write '%s': %s", path, strerror(errno));
    return file;
}

static int form_write(const struct leak_view *view, const char *path, const char *mode,
                      void (*write)(const struct leak_view *view, FILE *file))
{
    FILE *file = path ? file_begin(path, mode) : NULL;
    if (!file)
        return path ? CLI_MACHINE : CLI_OK;
    write(view, file);
    return file_end(file, path, 0);
}

static int profile_write(const struct leak_view *view, const char *path)
{
    FILE *file = path ? file_begin(path, "we") : NULL;
    if (!file)
        return path ? CLI_MACHINE : CLI_OK;
    return file_end(file, path, leak_profile_write(view, file));
}

/* All that was asked for; the first failure is the status, and the others are written all the same. */
static int forms_write(const struct check_options *options, const struct leak_view *view)
{
    const char *summary = options->github ? getenv("GITHUB_STEP_SUMMARY") : NULL;
    int statuses[] = {
        form_write(view, options->json, "we", leak_json_write),
        form_write(view, options->junit, "we", leak_junit_write),
        form_write(view, options->sarif, "we", leak_sarif_write),
        form_write(view, options->github ? "-" : NULL, "we", leak_github_write),
        form_write(view, summary && *summary ? summary : NULL, "ae", leak_markdown_write),
        profile_write(view, options->profile),
    };
    leak_text_write(view, stderr);
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
        if (statuses[i])
            return statuses[i];
    return CLI_OK;
}

static int baseline_write(const struct check_options *options, const struct leak_report *report, const char *today)
{
    unsigned kinds = options->run.fail_on;
    char count[32];
    size_t written = 0;
    int result = suppressions_write(report, kinds, options->baseline_out, today, &written);
    if (result) {
        cli_error("cannot write '%s': %s", options->baseline_out, strerror(-result));
        return CLI_MACHINE;
    }
    fprintf(stderr, "[ gmptrace check: %s known leak%s -> %s ]\n", cli_count(count, written), cli_plural(written),
            options->baseline_out);
    return CLI_OK;
}

/* ---- The command ------------------------------------------------------------------------------------------------- */

static void command_text(char *buffer, size_t size, char **argv)
{
    size_t length = 0;
    for (int i = 0; argv[i] && length + 1 < size; i++) {
        int added = snprintf(buffer + length, size - length, "%s%s", i ? " " : "", argv[i]);
        length += added > 0 ? (size_t)added : 0;
    }
}

/* What the check ends with, once all is written. */
static int status_of(const struct check_options *options, const struct leak_report *report)
{
    const struct check_run *run = &options->run;
    if (!options->baseline_out && leak_report_findings(report, run->fail_on, NULL))
        return CLI_FINDINGS;
    if (run->program_status)
        return run->program_status;
    if (report->processes + report->unjudged == 0) {
        cli_error("'%s' did not start the gmptrace runtime, nor did what it started: nothing was checked",
                  run->argv[0]);
        return CLI_USAGE;
    }
    if (options->strict && report->unjudged) {
        cli_error("%u of %u processes could not be judged", report->unjudged, report->processes + report->unjudged);
        return CLI_MACHINE;
    }
    return CLI_OK;
}

static int report_all(const struct check_options *options, struct leak_report *report,
                      struct suppressions *suppressions, const struct source_root *root)
{
    char today[11];
    const struct leak_view view = { report, root, options->run.fail_on };
    suppressions_today(today);
    if (leak_report_sort(report)) {
        cli_error("%s", strerror(ENOMEM));
        return CLI_MACHINE;
    }
    suppressions_apply(suppressions, report, today);
    int status = forms_write(options, &view);
    suppressions_tell(suppressions);
    if (options->baseline_out) {
        int written = baseline_write(options, report, today);
        status = status ? status : written;
    }
    return status ? status : status_of(options, report);
}

static int check_command_run(int argc, char **argv)
{
    struct check_options options;
    struct suppressions suppressions = { 0 };
    struct source_root root;
    struct leak_report report;
    struct timespec now;
    char command[4096];
    int status = options_read(&options, argc, argv);
    if (status != GO_ON)
        return status;
    int result = source_root_find(&root, options.source_root);
    if (result)
        return cli_usage("'%s' is no directory of sources: %s", options.source_root ? options.source_root : ".",
                         strerror(-result));
    if (options.baseline && (status = suppressions_read(&suppressions, options.baseline)) != CLI_OK) {
        suppressions_free(&suppressions);
        return status;
    }
    status = CLI_MACHINE;
    if (leak_report_open(&report)) {
        cli_error("%s", strerror(ENOMEM));
        goto out;
    }
    command_text(command, sizeof command, options.run.argv);
    report.command = command;
    clock_gettime(CLOCK_REALTIME, &now);
    report.time_realtime_ns = now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
    status = check_run(&options.run, &report);
    if (status == CLI_OK)
        status = report_all(&options, &report, &suppressions, &root);
out:
    leak_report_free(&report);
    suppressions_free(&suppressions);
    return status;
}

const struct cli_command command_check = {
    .name = "check",
    .summary = "run a program or a test suite; fail when it leaks goroutines",
    .help = "Usage: gmptrace check [OPTIONS] [--] PROG [ARGS...]\n"
            "Runs PROG and judges the goroutines of every process that comes of it and uses\n"
            "the runtime, as its main goroutine returns: a Check suite's tests, each in a\n"
            "process of its own, just as well as a server. Says which goroutines nothing can\n"
            "ever wake again, where they were started and where they wait.\n"
            "\n"
            "  --fail-on KINDS      what makes it fail: proven,cycle (the default), growing,\n"
            "                       stuck, runaway, all, none; the others are only told of\n"
            "  --grace T            how long goroutines that still run at the end are waited\n"
            "                       for (500ms)\n"
            "  --every T            judge processes while they run, too\n"
            "  --stuck T            a wait as long as this is told of as stuck (1s)\n"
            "  --runaway T          a run as long as this as runaway (10s)\n"
            "  --heap trace|root    follow malloc's memory, by a library that is preloaded, or\n"
            "                       take all of it for reachable (trace)\n"
            "  --strict             fail also when some process could not be judged\n"
            "  --baseline FILE      known leaks, which do not count\n"
            "  --write-baseline FILE\n"
            "                       write what is found as known leaks, and do not fail\n"
            "  --json FILE          a report for programs; - is standard output\n"
            "  --junit FILE         the same as JUnit's XML\n"
            "  --sarif FILE         the same as SARIF 2.1.0, for code scanning\n"
            "  --leak-profile FILE  the same as a pprof profile (X.pb.gz)\n"
            "  --github             annotations for GitHub's Actions, and a step summary\n"
            "  --source-root DIR    what paths of sources are told from (the repository)\n"
            "  --help               this text\n"
            "\n"
            "The report for a person goes to standard error.\n"
            "\n"
            "Exit status: 1 leaks of the kinds in --fail-on that are not known; otherwise that\n"
            "of PROG, or 128 + the signal that ended it; 2 wrong usage, PROG cannot be run, or\n"
            "no process of it uses the runtime; 3 the baseline cannot be used; 4 the machine\n"
            "lacks something, output cannot be written, or --strict.\n",
    .run = check_command_run,
};
