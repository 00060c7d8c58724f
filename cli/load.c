/* Reads a trace once, from front to back, into a summary. */
#include "load.h"

#include "cli.h"

#include "trace/events.h"

#include <errno.h>
#include <string.h>

static int no_memory(const struct load_options *options)
{
    cli_error("%s: %s", options->path, strerror(ENOMEM));
    return CLI_MACHINE;
}

int load_prepare(struct load *load, const struct load_options *options)
{
    *load = (struct load){ 0 };
    load->trace = cli_trace_open(options->path);
    if (!load->trace)
        return CLI_INPUT;
    load->symbolizer = symbolizer_open(load->trace);
    load->places = load->symbolizer ? places_open(load->trace, load->symbolizer) : NULL;
    load->alike = load->places ? alike_open(load->places) : NULL;
    return load->alike ? CLI_OK : no_memory(options);
}

/* Reads all events into a summary. Returns CLI_OK or CLI_MACHINE; *last is what the last reading returned. */
static int summary_read(struct load *load, const struct load_options *options, int *last)
{
    struct summary_options summary_options = {
        .stuck_ns = options->stuck_ns,
        .canonical_stack = alike_first,
        .canonical_arg = load->alike,
    };
    struct gmpt_event events[TRACE_BATCH];
    uint32_t count = 0;
    load->summary = summary_open(load->trace, &summary_options);
    if (!load->summary)
        return no_memory(options);
    while ((*last = load_next(load, options, events, &count)) > 0)
        for (int i = 0; i < *last; i++)
            if (summary_add(load->summary, &events[i]))
                return no_memory(options);
    return *last == -ENOMEM || summary_finish(load->summary) ? no_memory(options) : CLI_OK;
}

int load_open(struct load *load, const struct load_options *options)
{
    int last, status = load_prepare(load, options);
    if (status == CLI_OK)
        status = summary_read(load, options, &last);
    return status == CLI_OK ? cli_trace_finish(load->trace, options->path, last) : status;
}

int load_open_quietly(struct load *load, const struct load_options *options)
{
    int last, status = load_prepare(load, options);
    return status == CLI_OK ? summary_read(load, options, &last) : status;
}

void load_close(struct load *load)
{
    summary_close(load->summary);
    alike_close(load->alike);
    places_close(load->places);
    symbolizer_close(load->symbolizer);
    if (load->trace)
        gmpt_trace_close(load->trace);
    *load = (struct load){ 0 };
}

bool load_whole(const struct load *load)
{
    return gmpt_trace_info(load->trace)->whole && !gmpt_trace_error_get(load->trace)->message[0];
}

bool load_exact(const struct load *load)
{
    const struct gmpt_trace_counts *counts = gmpt_trace_counts(load->trace);
    return load_whole(load) && !counts->lost && !counts->gaps && !counts->resynced && !counts->violations;
}

const char *load_missing(const struct load *load, char buffer[256])
{
    const struct gmpt_trace_counts *counts = gmpt_trace_counts(load->trace);
    const struct gmpt_trace_error *error = gmpt_trace_error_get(load->trace);
    uint64_t contradictions = counts->violations + counts->resynced;
    char a[32], b[32];
    if (error->message[0])
        return error->message;
    if (!load_whole(load))
        snprintf(buffer, 256, "the recording has no end: it was cut off");
    else if (counts->lost)
        snprintf(buffer, 256, "%s of %s events found no room while recording", cli_count(a, counts->lost),
                 cli_count(b, counts->lost + counts->kept));
    else if (counts->gaps)
        snprintf(buffer, 256, "events are missing at %s place%s", cli_count(a, counts->gaps), cli_plural(counts->gaps));
    else
        snprintf(buffer, 256, "%s event%s contradict%s those before", cli_count(a, contradictions),
                 cli_plural(contradictions), contradictions == 1 ? "s" : "");
    return buffer;
}

int load_none_status(const struct load *load) { return load_exact(load) ? CLI_OK : CLI_INPUT; }

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

uint64_t load_below_threshold(const struct load *load)
{
    size_t count;
    uint64_t waits = 0;
    const struct summary_group *groups = summary_groups(load->summary, &count);
    for (size_t i = 0; i < count; i++)
        if (groups[i].verdict == SUMMARY_NONE && groups[i].state == GMPT_G_WAITING && !groups[i].bounded &&
            !groups[i].main && gmpt_wait_reason_suspect(groups[i].reason))
            waits += groups[i].count;
    return waits;
}

const char *load_verdict_words(enum summary_verdict verdict)
{
    static const char *const words[] = { [SUMMARY_NONE] = "none",       [SUMMARY_STUCK] = "stuck",
                                         [SUMMARY_GROWING] = "growing", [SUMMARY_CYCLE] = "cycle",
                                         [SUMMARY_PROVEN] = "proven" };
    return words[verdict];
}

const char *load_reason_key(enum gmpt_wait_reason reason)
{
    const char *name = event_reason_name((uint64_t)reason);
    return name ? name : "unknown";
}
