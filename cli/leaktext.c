/* A leak report for a person, and what all forms have in common. */
#define _GNU_SOURCE
#include "leakforms.h"

#include "cli.h"

#include <inttypes.h>
#include <string.h>

#define FRAMES_PRINTED 16
#define NAME_COLUMNS 28
#define NAME_COLUMNS_MAX 40

bool leak_view_fails(const struct leak_view *view, const struct leak_group *group)
{
    return !group->suppressed && (view->fail_on & LEAK_KIND_BIT(group->kind));
}

const char *leak_view_file(const struct leak_view *view, const struct place_frame *frame, char buffer[PATH_MAX])
{
    return frame->file ? source_root_path(view->root, frame->file, buffer) : NULL;
}

const char *leak_view_place(const struct leak_view *view, const struct place_frame *frame, char buffer[PATH_MAX])
{
    struct place_frame nameless = *frame;
    nameless.function = NULL;
    if (!leak_view_file(view, frame, buffer))
        return leak_frame_function(&nameless, buffer, PATH_MAX);
    size_t length = strlen(buffer);
    if (frame->line > 0)
        snprintf(buffer + length, PATH_MAX - length, ":%d", frame->line);
    return buffer;
}

static void stack_print(const struct leak_view *view, FILE *file, const char *verb, const struct leak_stack *stack)
{
    char at[PATH_MAX], text[CLI_COLUMNS * 4 + 1];
    if (stack->count == 0)
        return;
    fprintf(file, "   %s at\n", verb);
    for (size_t i = 0; i < stack->count && i < FRAMES_PRINTED; i++) {
        const struct place_frame *frame = &stack->frames[i];
        if (frame->function)
            fprintf(file, "      %-*s ", NAME_COLUMNS,
                    cli_text(text, sizeof text, frame->function, NAME_COLUMNS_MAX));
        else
            fputs("      ", file);
        fprintf(file, "%s\n", leak_view_place(view, frame, at)); /* whole: it is what is looked for */
    }
    if (stack->count > FRAMES_PRINTED)
        fprintf(file, "      and %zu more\n", stack->count - FRAMES_PRINTED);
}

static void example_print(const struct leak_group *group, FILE *file)
{
    char oldest[16], newest[16], bytes[32], name[300] = "", age[96] = "", held[64] = "", in[64] = "", text[256];
    if (group->name && group->name[0])
        snprintf(name, sizeof name, " \"%s\"", cli_text(text, sizeof text, group->name, CLI_COLUMNS / 2));
    if (group->oldest_ns >= 0 && group->count > 1)
        snprintf(age, sizeof age, ", the oldest for %s, the newest for %s", cli_duration(oldest, group->oldest_ns),
                 cli_duration(newest, group->newest_ns));
    else if (group->oldest_ns >= 0)
        snprintf(age, sizeof age, ", for %s", cli_duration(oldest, group->oldest_ns));
    if (group->held_bytes >= 0)
        snprintf(held, sizeof held, "; %s held", cli_size(bytes, (uint64_t)group->held_bytes));
    if (group->processes > 1)
        snprintf(in, sizeof in, " (and in %u other process%s)", group->processes - 1,
                 group->processes == 2 ? "" : "es");
    cli_wrap_to(file, 3, "   %s G%" PRIu64 "%s of process %u%s%s%s", group->count == 1 ? "it is" : "for example",
                group->example_g, name, group->example_pid, in, age, held);
    for (size_t i = 0; i < group->label_count; i++) {
        cli_text(text, sizeof text, group->labels[i].value, CLI_COLUMNS / 2);
        fprintf(file, "   label %s=%s\n", group->labels[i].key, text);
    }
}

static void group_print(const struct leak_view *view, FILE *file, const struct leak_group *group, size_t number)
{
    char headline[512], why[512], at[PATH_MAX];
    leak_group_headline(group, headline, sizeof headline);
    leak_group_why(group, why, sizeof why);
    fputc('\n', file);
    cli_wrap_to(file, 3, "%zu. %s: %s", number, leak_kind_word(group->kind), headline);
    cli_wrap_to(file, 3, "   %s", why);
    example_print(group, file);
    stack_print(view, file, group->reason == GMPT_WAIT_none ? "runs" : "waits", &group->waits);
    if (group->created.count)
        stack_print(view, file, group->count == 1 ? "was started" : "were started", &group->created);
    else if (group->function.file)
        fprintf(file, "   begins at %s\n", leak_view_place(view, &group->function, at));
}

void leak_text_write(const struct leak_view *view, FILE *file)
{
    const struct leak_report *report = view->report;
    uint64_t gs;
    size_t number = 0, count = leak_report_findings(report, ~0u, &gs), known = leak_report_suppressed(report);
    char a[32], b[32], c[32], suppressed[64] = "";
    if (known)
        snprintf(suppressed, sizeof suppressed, ", %s known one%s left out", cli_count(c, known), cli_plural(known));
    if (count == 0 && report->processes == 0)
        cli_wrap_to(file, 2, "nothing was judged");
    else if (count == 0)
        cli_wrap_to(file, 2, "no leaks found in %s process%s%s", cli_count(a, report->processes),
                    report->processes == 1 ? "" : "es", suppressed);
    else
        cli_wrap_to(file, 2, "%s leak%s found: %s goroutine%s%s", cli_count(a, count), cli_plural(count),
                    cli_count(b, gs), cli_plural(gs), suppressed);
    for (size_t i = 0; i < report->count; i++)
        if (!report->groups[i].suppressed)
            group_print(view, file, &report->groups[i], ++number);
    if (report->note_count || report->unjudged)
        fputc('\n', file);
    if (report->unjudged)
        cli_wrap_to(file, 6, "note: %s of %s process%s could not be judged", cli_count(a, report->unjudged),
                    cli_count(b, (uint64_t)report->processes + report->unjudged),
                    report->processes + report->unjudged == 1 ? "" : "es");
    for (size_t i = 0; i < report->note_count; i++)
        cli_wrap_to(file, 6, "note: %s", report->notes[i]);
}
