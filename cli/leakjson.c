/* A leak report as JSON: schema/leaks.schema.json says what it has. */
#define _GNU_SOURCE
#include "leakforms.h"

#include "cli.h"
#include "suppressions.h"

#include "trace/events.h"

#include <inttypes.h>

static void string_or_null(FILE *file, const char *text)
{
    if (text)
        cli_json_string(file, text);
    else
        fputs("null", file);
}

static void number_or_null(FILE *file, int64_t number)
{
    if (number >= 0)
        fprintf(file, "%" PRId64, number);
    else
        fputs("null", file);
}

static void frame_json(const struct leak_view *view, FILE *file, const struct place_frame *frame)
{
    char path[PATH_MAX];
    if (!frame) {
        fputs("null", file);
        return;
    }
    fputs("{\"function\": ", file);
    string_or_null(file, frame->function);
    fputs(", \"file\": ", file);
    string_or_null(file, leak_view_file(view, frame, path));
    fprintf(file, ", \"line\": %d, \"module\": ", frame->line);
    string_or_null(file, frame->module);
    fprintf(file, ", \"object_address\": \"0x%" PRIx64 "\"}", frame->module_address);
}

static void stack_json(const struct leak_view *view, FILE *file, const struct leak_stack *stack)
{
    fputc('[', file);
    for (size_t i = 0; i < stack->count; i++) {
        fputs(i ? ",\n       " : "\n       ", file);
        frame_json(view, file, &stack->frames[i]);
    }
    fputc(']', file);
}

static void example_json(FILE *file, const struct leak_group *group)
{
    fprintf(file, "{\"goroutine\": %" PRIu64 ", \"process\": %u, \"object\": ", group->example_g, group->example_pid);
    if (group->example_object)
        fprintf(file, "\"0x%" PRIx64 "\"", group->example_object);
    else
        fputs("null", file);
    fputs(", \"owner\": ", file);
    number_or_null(file, group->example_owner ? (int64_t)group->example_owner : -1);
    fputs(", \"name\": ", file);
    string_or_null(file, group->name);
    fputs(", \"labels\": {", file);
    for (size_t i = 0; i < group->label_count; i++) {
        fputs(i ? ", " : "", file);
        cli_json_string(file, group->labels[i].key);
        fputs(": ", file);
        cli_json_string(file, group->labels[i].value);
    }
    fputs("}}", file);
}

static void suppression_json(FILE *file, const struct suppression *suppression)
{
    if (!suppression) {
        fputs("null", file);
        return;
    }
    fprintf(file, "{\"line\": %d, \"reason\": ", suppression->file_line);
    cli_json_string(file, suppression->reason);
    fputs(", \"until\": ", file);
    string_or_null(file, suppression->until[0] ? suppression->until : NULL);
    fputc('}', file);
}

static void group_json(const struct leak_view *view, FILE *file, const struct leak_group *group)
{
    char why[512];
    const char *reason = group->reason == GMPT_WAIT_none ? NULL : event_reason_name((uint64_t)group->reason);
    fprintf(file, "    {\"kind\": \"%s\", \"fails\": %s, \"suppressed\": ", leak_kind_word(group->kind),
            leak_view_fails(view, group) ? "true" : "false");
    suppression_json(file, group->suppressed);
    fprintf(file, ",\n     \"fingerprint\": \"%s\", \"count\": %" PRIu64 ", \"processes\": %u, \"wait_reason\": ",
            group->fingerprint, group->count, group->processes);
    string_or_null(file, reason);
    fputs(",\n     \"oldest_ns\": ", file);
    number_or_null(file, group->oldest_ns);
    fputs(", \"newest_ns\": ", file);
    number_or_null(file, group->newest_ns);
    fputs(", \"held_bytes\": ", file);
    number_or_null(file, group->held_bytes);
    fputs(",\n     \"why\": ", file);
    cli_json_string(file, leak_group_why(group, why, sizeof why));
    fputs(",\n     \"function\": ", file);
    frame_json(view, file, &group->function);
    fputs(",\n     \"started_at\": ", file);
    frame_json(view, file, leak_group_site(group));
    fputs(",\n     \"waits_at\": ", file);
    frame_json(view, file, leak_group_wait(group));
    fputs(",\n     \"example\": ", file);
    example_json(file, group);
    fputs(",\n     \"create_stack\": ", file);
    stack_json(view, file, &group->created);
    fputs(",\n     \"wait_stack\": ", file);
    stack_json(view, file, &group->waits);
    fputc('}', file);
}

void leak_json_write(const struct leak_view *view, FILE *file)
{
    const struct leak_report *report = view->report;
    uint64_t gs;
    size_t failing = leak_report_findings(report, view->fail_on, &gs);
    fputs("{\n  \"command\": ", file);
    string_or_null(file, report->command);
    fprintf(file, ",\n  \"processes\": %u,\n  \"unjudged\": %u,\n  \"duration_ns\": %" PRId64 ",\n  \"fail_on\": [",
            report->processes, report->unjudged, report->duration_ns);
    for (int kind = 0, some = 0; kind < LEAK_KINDS; kind++)
        if (view->fail_on & LEAK_KIND_BIT(kind))
            fprintf(file, "%s\"%s\"", some++ ? ", " : "", leak_kind_word((enum leak_kind)kind));
    fprintf(file, "],\n  \"failing\": %zu,\n  \"failing_goroutines\": %" PRIu64 ",\n  \"suppressed\": %zu,\n", failing,
            gs, leak_report_suppressed(report));
    fputs("  \"notes\": [", file);
    for (size_t i = 0; i < report->note_count; i++) {
        fputs(i ? ", " : "", file);
        cli_json_string(file, report->notes[i]);
    }
    fputs("],\n  \"groups\": [", file);
    for (size_t i = 0; i < report->count; i++) {
        fputs(i ? ",\n" : "\n", file);
        group_json(view, file, &report->groups[i]);
    }
    fputs(report->count ? "\n  ]\n}\n" : "]\n}\n", file);
}
