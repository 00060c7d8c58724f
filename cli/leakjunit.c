/* A leak report as JUnit's XML, as the schemas of Ant and of Jenkins describe it: a group that makes the check fail is
 * a failed test case; one that is known, or is no reason to fail, is skipped, with the reason. */
#define _GNU_SOURCE
#include "leakforms.h"

#include "cli.h"
#include "suppressions.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#define FRAMES_PRINTED 32

static void stack_xml(const struct leak_view *view, FILE *file, const char *verb, const struct leak_stack *stack)
{
    char text[512], at[PATH_MAX];
    if (stack->count)
        fprintf(file, "%s at\n", verb);
    for (size_t i = 0; i < stack->count && i < FRAMES_PRINTED; i++) {
        fputs("  ", file);
        cli_xml_text(file, leak_frame_function(&stack->frames[i], text, sizeof text));
        fputc(' ', file);
        cli_xml_text(file, leak_view_place(view, &stack->frames[i], at));
        fputc('\n', file);
    }
}

static void failure_xml(const struct leak_view *view, FILE *file, const struct leak_group *group)
{
    char headline[512], why[512];
    leak_group_headline(group, headline, sizeof headline);
    leak_group_why(group, why, sizeof why);
    fprintf(file, "      <failure type=\"goroutine-leak.%s\" message=\"", leak_kind_word(group->kind));
    cli_xml_text(file, headline);
    fputs("\">", file);
    cli_xml_text(file, why);
    fprintf(file, "\nfor example G%" PRIu64 " of process %u\n", group->example_g, group->example_pid);
    stack_xml(view, file, "waits", &group->waits);
    stack_xml(view, file, "was started", &group->created);
    fputs("</failure>\n", file);
}

static void skipped_xml(FILE *file, const struct leak_group *group)
{
    fputs("      <skipped message=\"", file);
    if (group->suppressed) {
        fputs("known: ", file);
        cli_xml_text(file, group->suppressed->reason);
    } else {
        fputs("told of, but no reason to fail: ", file);
        cli_xml_text(file, leak_kind_sentence(group->kind));
    }
    fputs("\"/>\n", file);
}

static void case_xml(const struct leak_view *view, FILE *file, const struct leak_group *group)
{
    const struct place_frame *site = leak_group_site(group), *wait = leak_group_wait(group);
    char function[256], path[PATH_MAX];
    fputs("    <testcase classname=\"gmptrace.check\" name=\"", file);
    cli_xml_text(file, leak_frame_function(&group->function, function, sizeof function));
    if (site) {
        fputs(" started at ", file);
        cli_xml_text(file, leak_view_place(view, site, path));
    }
    if (wait) {
        fputs(" waits at ", file);
        cli_xml_text(file, leak_view_place(view, wait, path));
    }
    fprintf(file, " (%s)\" time=\"0\">\n", leak_kind_word(group->kind));
    if (leak_view_fails(view, group))
        failure_xml(view, file, group);
    else
        skipped_xml(file, group);
    fputs("    </testcase>\n", file);
}

static void head_xml(const struct leak_view *view, FILE *file, size_t failing)
{
    const struct leak_report *report = view->report;
    struct utsname machine = { .nodename = "localhost" };
    time_t when = (time_t)(report->time_realtime_ns / 1000000000);
    struct tm date;
    char stamp[32];
    uname(&machine);
    gmtime_r(&when, &date);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &date);
    size_t cases = report->count + (failing == 0);
    fprintf(file,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n"
            "  <testsuite id=\"0\" package=\"gmptrace\" name=\"gmptrace check\" tests=\"%zu\" failures=\"%zu\" "
            "errors=\"0\" skipped=\"%zu\" time=\"%" PRId64 ".%03d\" timestamp=\"%s\" hostname=\"",
            cases, failing, report->count - failing, report->duration_ns / 1000000000,
            (int)(report->duration_ns / 1000000 % 1000), stamp);
    cli_xml_text(file, machine.nodename);
    fputs("\">\n    <properties>\n", file);
    fprintf(file, "      <property name=\"processes\" value=\"%u\"/>\n", report->processes);
    fprintf(file, "      <property name=\"unjudged\" value=\"%u\"/>\n", report->unjudged);
    fputs("    </properties>\n", file);
}

void leak_junit_write(const struct leak_view *view, FILE *file)
{
    const struct leak_report *report = view->report;
    size_t failing = leak_report_findings(report, view->fail_on, NULL);
    head_xml(view, file, failing);
    if (failing == 0)
        fputs("    <testcase classname=\"gmptrace.check\" name=\"no leaked goroutines\" time=\"0\"/>\n", file);
    for (size_t i = 0; i < report->count; i++)
        case_xml(view, file, &report->groups[i]);
    fputs("    <system-out></system-out>\n    <system-err>", file);
    for (size_t i = 0; i < report->note_count; i++) {
        cli_xml_text(file, report->notes[i]);
        fputc('\n', file);
    }
    fputs("</system-err>\n  </testsuite>\n</testsuites>\n", file);
}
