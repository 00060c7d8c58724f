/* A leak report for a step of GitHub's Actions: annotations in its log, and a table in its summary. */
#define _GNU_SOURCE
#include "leakforms.h"

#include "cli.h"
#include "suppressions.h"

#include <inttypes.h>
#include <string.h>

#define ANNOTATIONS_MAX 10 /* of a step */
#define ROWS_MAX 500       /* a summary may have 1 MiB */

/* What a command is cut at is escaped: in a property also what ends it. */
static void command_text(FILE *file, const char *text, bool property)
{
    for (const char *c = text; *c; c++) {
        if (strchr("%\r\n", *c) || (property && strchr(":,", *c)))
            fprintf(file, "%%%02X", (unsigned char)*c);
        else
            fputc(*c, file);
    }
}

static void annotation_write(const struct leak_view *view, FILE *file, const struct leak_group *group)
{
    const struct place_frame *site = leak_group_site(group), *wait = leak_group_wait(group);
    const struct place_frame *line = leak_group_line(group);
    char text[512], path[PATH_MAX], frames[PATH_MAX + 512];
    fprintf(file, "::%s title=", leak_view_fails(view, group) ? "error" : "warning");
    snprintf(text, sizeof text, "goroutine leak (%s)", leak_kind_word(group->kind));
    command_text(file, text, true);
    if (line && source_root_has(view->root, line->file)) {
        fputs(",file=", file);
        command_text(file, leak_view_file(view, line, path), true);
        if (line->line > 0)
            fprintf(file, ",line=%d", line->line);
    }
    fputs("::", file);
    command_text(file, leak_group_headline(group, text, sizeof text), false);
    fputs("%0A", file);
    command_text(file, leak_group_why(group, text, sizeof text), false);
    if (wait) {
        leak_frame_function(wait, text, sizeof text);
        snprintf(frames, sizeof frames, "%s %s", text, leak_view_place(view, wait, path));
        fputs("%0Awaits at ", file);
        command_text(file, frames, false);
    }
    if (site && site != &group->function) {
        leak_frame_function(site, text, sizeof text);
        snprintf(frames, sizeof frames, "%s %s", text, leak_view_place(view, site, path));
        fputs("%0Awas started at ", file);
        command_text(file, frames, false);
    }
    fputc('\n', file);
}

void leak_github_write(const struct leak_view *view, FILE *file)
{
    const struct leak_report *report = view->report;
    size_t put = 0;
    for (int failing = 1; failing >= 0; failing--)
        for (size_t i = 0; i < report->count && put < ANNOTATIONS_MAX; i++) {
            const struct leak_group *group = &report->groups[i];
            if (group->suppressed || leak_view_fails(view, group) != (bool)failing)
                continue;
            annotation_write(view, file, group);
            put++;
        }
    size_t all = leak_report_findings(report, ~0u, NULL);
    if (put < all)
        fprintf(file, "gmptrace check: %zu more leak%s in the summary of this step\n", all - put,
                cli_plural(all - put));
}

/* In a table's cell. */
static void cell_write(FILE *file, const char *text)
{
    for (const char *c = text; *c; c++) {
        if (strchr("\\`*_{}[]<>#|~&", *c))
            fprintf(file, "&#%u;", (unsigned char)*c);
        else
            fputc((unsigned char)*c < ' ' ? ' ' : *c, file);
    }
}

static void place_cell(const struct leak_view *view, FILE *file, const struct place_frame *frame)
{
    char text[512], path[PATH_MAX];
    fputs(" | ", file);
    if (!frame)
        return;
    cell_write(file, leak_frame_function(frame, text, sizeof text));
    fputc(' ', file);
    cell_write(file, leak_view_place(view, frame, path));
}

static void row_write(const struct leak_view *view, FILE *file, const struct leak_group *group)
{
    char count[32], text[512];
    fprintf(file, "| %s%s | %s | ", leak_kind_word(group->kind),
            group->suppressed ? " (known)" : leak_view_fails(view, group) ? " :x:" : "",
            cli_count(count, group->count));
    cell_write(file, gmpt_wait_reason_words(group->reason));
    place_cell(view, file, leak_group_site(group));
    place_cell(view, file, leak_group_wait(group));
    fputs(" | ", file);
    cell_write(file, group->suppressed ? group->suppressed->reason : leak_group_why(group, text, sizeof text));
    fputs(" |\n", file);
}

void leak_markdown_write(const struct leak_view *view, FILE *file)
{
    const struct leak_report *report = view->report;
    size_t failing = leak_report_findings(report, view->fail_on, NULL), known = leak_report_suppressed(report);
    char a[32], b[32], c[32];
    fprintf(file, "### Leaked goroutines: %s\n\n", failing ? cli_count(a, failing) : "none");
    if (report->command) {
        fputs("`", file);
        for (const char *at = report->command; *at; at++)
            fputc(*at == '`' || (unsigned char)*at < ' ' ? ' ' : *at, file);
        fputs("`, ", file);
    }
    fprintf(file, "%s process%s judged, %s known leak%s\n\n", cli_count(b, report->processes),
            report->processes == 1 ? "" : "es", cli_count(c, known), cli_plural(known));
    if (report->count)
        fputs("| kind | goroutines | wait in | started at | wait at | why |\n|---|---:|---|---|---|---|\n", file);
    for (size_t i = 0; i < report->count && i < ROWS_MAX; i++)
        row_write(view, file, &report->groups[i]);
    if (report->count > ROWS_MAX)
        fprintf(file, "\nand %zu more\n", report->count - ROWS_MAX);
    for (size_t i = 0; i < report->note_count; i++) {
        fputs("\nNote: ", file);
        cell_write(file, report->notes[i]);
        fputc('\n', file);
    }
}
