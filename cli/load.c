/* Reads a trace once, from front to back, into a summary. */
#include "load.h"

#include "cli.h"

#include "trace/events.h"

#include <gmptrace/gmpt.h>

#include <errno.h>
#include <getopt.h>
#include <string.h>

int load_options_read(struct load_options *options, int argc, char **argv)
{
    static const struct option longs[] = {
        { "json", no_argument, NULL, 'j' },
        { "stuck", required_argument, NULL, 's' },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },
        { NULL, 0, NULL, 0 },
    };
    *options = (struct load_options){ .path = LOAD_DEFAULT_PATH, .stuck_ns = SUMMARY_STUCK_NS };
    optind = 0;
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, ":h", longs, NULL)) != -1;) {
        switch (option) {
        case 'j':
            options->json = true;
            break;
        case 's':
            if (cli_parse_duration(optarg, &options->stuck_ns))
                return cli_usage("--stuck takes a time such as 500ms, 2s or 1m, not '%s'", optarg);
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
    if (optind < argc)
        options->path = argv[optind++];
    if (optind < argc)
        return cli_usage("one FILE at a time, not also '%s'", argv[optind]);
    return LOAD_GO_ON;
}

int load_open(struct load *load, const struct load_options *options)
{
    *load = (struct load){ 0 };
    load->trace = cli_trace_open(options->path);
    if (!load->trace)
        return CLI_INPUT;
    struct summary_options summary_options = { .stuck_ns = options->stuck_ns };
    load->summary = summary_open(load->trace, &summary_options);
    load->symbolizer = symbolizer_open(load->trace);
    load->places = load->symbolizer ? places_open(load->trace, load->symbolizer) : NULL;
    if (!load->summary || !load->places)
        goto no_memory;

    struct gmpt_event event;
    int result;
    while ((result = gmpt_trace_next(load->trace, &event)) > 0)
        if (summary_add(load->summary, &event))
            goto no_memory;
    if (result == -ENOMEM || summary_finish(load->summary))
        goto no_memory;
    return cli_trace_finish(load->trace, options->path, result);

no_memory:
    cli_error("%s: %s", options->path, strerror(ENOMEM));
    return CLI_MACHINE;
}

void load_warn(const struct load *load)
{
    const char *warning;
    for (size_t i = 0; (warning = symbolizer_warning(load->symbolizer, i)); i++)
        cli_error("%s", warning);
}

void load_close(struct load *load)
{
    if (load->places)
        places_close(load->places);
    if (load->symbolizer)
        symbolizer_close(load->symbolizer);
    summary_close(load->summary);
    if (load->trace)
        gmpt_trace_close(load->trace);
    *load = (struct load){ 0 };
}

bool load_exact(const struct load *load)
{
    const struct gmpt_trace_counts *counts = gmpt_trace_counts(load->trace);
    return gmpt_trace_info(load->trace)->whole && !counts->lost && !counts->gaps && !counts->resynced &&
           !counts->violations;
}

uint64_t load_suspected(const struct load *load, size_t *groups)
{
    size_t count, i;
    uint64_t suspected = 0;
    const struct summary_group *list = summary_groups(load->summary, &count);
    for (i = 0; i < count && list[i].verdict != SUMMARY_NONE; i++)
        suspected += list[i].count;
    if (groups)
        *groups = i;
    return suspected;
}

const char *load_verdict_words(enum summary_verdict verdict)
{
    return verdict == SUMMARY_GROWING ? "growing" : verdict == SUMMARY_STUCK ? "stuck" : "none";
}

const char *load_reason_key(enum gmpt_wait_reason reason)
{
    const char *name = event_reason_name((uint64_t)reason);
    return name ? name : "unknown";
}
