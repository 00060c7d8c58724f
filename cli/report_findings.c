/* "findings": [[kind, severity, text, begin, end, function, creation stack, stack, example G], ...], as gmptrace
 * analyze has them; kind and text are numbers of strings, severity: 0 note, 1 warning, 2 error. */
#include "report_parts.h"

#include "analyze.h"

#include <errno.h>
#include <inttypes.h>

static int finding_write(struct report *report, const struct analyze *analyze, const struct finding *finding)
{
    char words[PLACE_TEXT_BYTES * 3];
    analyze_finding_text(analyze, finding, words, sizeof words);
    int64_t kind = report_string(report->names, finding_name(finding->kind));
    int64_t text = report_string(report->names, words), fn = report_function(report->names, finding->fn);
    int64_t created = report_stack(report->names, finding->create_stack);
    int64_t stack = report_stack(report->names, finding->stack);
    if (kind < 0 || text < 0 || fn < 0 || created < 0 || stack < 0)
        return -ENOMEM;
    fprintf(report->out,
            "[%" PRId64 ",%d,%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRIu64 "]",
            kind, (int)finding->severity, text, finding->begin_ns, finding->end_ns, fn, created, stack, finding->g);
    return 0;
}

int report_findings_write(struct report *report)
{
    const struct findings *findings = &report->analysis->findings;
    struct analyze analyze = { .load = report->load, .analysis = report->analysis };
    uint64_t left_out = 0;
    int result = 0;
    fputs("\"findings\":[", report->out);
    for (size_t i = 0; i < findings->count && !result; i++) {
        fputs(i ? ",\n" : "", report->out);
        result = finding_write(report, &analyze, &findings->list[i]);
    }
    for (size_t kind = 0; kind < FINDING_KIND_COUNT; kind++)
        left_out += findings->left_out[kind];
    fprintf(report->out, "],\"findings_left_out\":%" PRIu64, left_out);
    return result;
}
