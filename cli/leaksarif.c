/* A leak report as SARIF 2.1.0.
 *
 * GitHub's code scanning shows the primary location, here where the goroutines were started, the message with its links
 * to related locations, and of a rule its help; it knows a result again by partialFingerprints. Of one run it takes
 * 25,000 results and shows 5,000, and of a result 1,000 locations; texts that are too long it refuses. */
#define _GNU_SOURCE
#include "leakforms.h"

#include "cli.h"

#include <gmptrace/gmpt.h>

#include <inttypes.h>
#include <string.h>

#define RESULTS_MAX 5000
#define FRAMES_MAX 32

static const struct {
    const char *title, *full, *severity, *precision;
} rules[LEAK_KINDS] = {
    [LEAK_PROVEN] = { "Goroutines wait for what nothing can bring any more",
                      "No goroutine that is alive, and nothing outside, can ever reach what these goroutines wait for. "
                      "They stay until the process ends, with their stacks and all that they hold.",
                      "error", "very-high" },
    [LEAK_CYCLE] = { "Goroutines wait for each other",
                     "Each of these goroutines waits for what another one of them has: a deadlock among them.", "error",
                     "very-high" },
    [LEAK_GROWING] = { "Ever more goroutines wait at one place",
                       "Ever more goroutines waited at this place, and none or few were woken. It is evidence of a "
                       "leak, and no proof.",
                       "warning", "medium" },
    [LEAK_STUCK] = { "Goroutines wait for very long",
                     "These goroutines waited for longer than the limit, without a deadline. Whether somebody would "
                     "still have woken them is not known: a pool of workers at rest looks alike.",
                     "warning", "low" },
    [LEAK_RUNAWAY] = { "Goroutines run without an end", "These goroutines ran on without an end.", "warning", "low" },
};

static void rules_json(FILE *file)
{
    fputs("[", file);
    for (int kind = 0; kind < LEAK_KINDS; kind++) {
        const char *word = leak_kind_word((enum leak_kind)kind);
        fprintf(file, "%s\n            {\"id\": \"goroutine-leak/%s\", \"name\": \"GoroutineLeak%c%s\",\n",
                kind ? "," : "", word, word[0] - 'a' + 'A', word + 1);
        fprintf(file, "             \"shortDescription\": {\"text\": \"%s\"},\n", rules[kind].title);
        fprintf(file, "             \"fullDescription\": {\"text\": \"%s\"},\n", rules[kind].full);
        fprintf(file,
                "             \"help\": {\"text\": \"%s Look at the two places: where they are started, and where they "
                "wait. Who was to wake them, and on which path does it not?\"},\n",
                rules[kind].full);
        fprintf(file,
                "             \"defaultConfiguration\": {\"level\": \"%s\"},\n"
                "             \"properties\": {\"tags\": [\"concurrency\", \"leak\"], \"precision\": \"%s\", "
                "\"problem.severity\": \"%s\"}}",
                rules[kind].severity, rules[kind].precision, rules[kind].severity);
    }
    fputs("\n          ]", file);
}

/* A path as a URI: what is not plain is encoded. The text is ASCII then. */
static void uri_json(FILE *file, const char *path)
{
    fputs(*path == '/' ? "\"file://" : "\"", file);
    for (const unsigned char *c = (const unsigned char *)path; *c; c++) {
        bool letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9');
        fprintf(file, letter || strchr("-._~/", *c) ? "%c" : "%%%02X", *c);
    }
    fputc('"', file);
}

static void physical_json(const struct leak_view *view, FILE *file, const struct place_frame *frame)
{
    char path[PATH_MAX];
    leak_view_file(view, frame, path);
    fputs("\"physicalLocation\": {\"artifactLocation\": {\"uri\": ", file);
    uri_json(file, path);
    fprintf(file, "%s}", *path == '/' ? "" : ", \"uriBaseId\": \"SRCROOT\"");
    if (frame->line > 0)
        fprintf(file, ", \"region\": {\"startLine\": %d}", frame->line);
    fputc('}', file);
}

/* The members of a location, without its braces; line may be NULL. */
static void location_json(const struct leak_view *view, FILE *file, const struct place_frame *line,
                          const struct place_frame *named)
{
    char function[256];
    if (line) {
        physical_json(view, file, line);
        fputs(", ", file);
    }
    fputs("\"logicalLocations\": [{\"kind\": \"function\", \"fullyQualifiedName\": ", file);
    cli_json_string(file, leak_frame_function(named, function, sizeof function));
    fputs("}]", file);
}

static void related_json(const struct leak_view *view, FILE *file, int id, const char *words,
                         const struct place_frame *frame)
{
    fprintf(file, "%s\n           {\"id\": %d, \"message\": {\"text\": \"%s\"}, ", id > 1 ? "," : "", id, words);
    location_json(view, file, frame, frame);
    fputc('}', file);
}

static void stack_json(const struct leak_view *view, FILE *file, const char *words, const struct leak_stack *stack)
{
    fprintf(file, "{\"message\": {\"text\": \"%s\"}, \"frames\": [", words);
    for (size_t i = 0; i < stack->count && i < FRAMES_MAX; i++) {
        const struct place_frame *frame = &stack->frames[i];
        fputs(i ? ",\n             {\"location\": {" : "\n             {\"location\": {", file);
        location_json(view, file, frame->file ? frame : NULL, frame);
        fputs("}}", file);
    }
    fputs("]}", file);
}

/* What stands in brackets is a link in a message, so brackets of a name are escaped. */
static void name_escape(char *to, size_t size, const char *name)
{
    size_t length = 0;
    for (const char *c = name; *c && length + 3 < size; c++) {
        if (strchr("[]\\", *c))
            to[length++] = '\\';
        to[length++] = *c;
    }
    to[length] = 0;
}

static void message_json(FILE *file, const struct leak_group *group, int wait_id, int function_id)
{
    char headline[512], why[512], name[256], escaped[520], text[2048];
    leak_group_headline(group, headline, sizeof headline);
    leak_group_why(group, why, sizeof why);
    name_escape(escaped, sizeof escaped, headline);
    size_t length = (size_t)snprintf(text, sizeof text, "%s: %s.", escaped, why);
    if (wait_id) {
        name_escape(escaped, sizeof escaped, leak_frame_function(leak_group_wait(group), name, sizeof name));
        length += (size_t)snprintf(text + length, sizeof text - length, " They wait at [%s](%d).", escaped, wait_id);
    }
    if (function_id) {
        name_escape(escaped, sizeof escaped, leak_frame_function(&group->function, name, sizeof name));
        length += (size_t)snprintf(text + length, sizeof text - length, " Their function is [%s](%d).", escaped,
                                   function_id);
    }
    cli_json_string(file, text);
}

static void result_json(const struct leak_view *view, FILE *file, const struct leak_group *group)
{
    const struct place_frame *site = leak_group_site(group), *wait = leak_group_wait(group);
    const struct place_frame *named = site ? site : &group->function;
    const struct place_frame *function = group->function.file && site != &group->function ? &group->function : NULL;
    int wait_id = wait ? 1 : 0, function_id = function ? wait_id + 1 : 0;
    fprintf(file, "        {\"ruleId\": \"goroutine-leak/%s\", \"ruleIndex\": %d, \"level\": \"%s\",\n",
            leak_kind_word(group->kind), (int)group->kind, leak_view_fails(view, group) ? "error" : "warning");
    fputs("         \"message\": {\"text\": ", file);
    message_json(file, group, wait_id, function_id);
    fputs("},\n         \"locations\": [{", file);
    location_json(view, file, leak_group_line(group), named);
    fputs("}],\n         \"relatedLocations\": [", file);
    if (wait)
        related_json(view, file, wait_id, "here they wait", wait);
    if (function)
        related_json(view, file, function_id, "here their function begins", function);
    fputs("],\n         \"stacks\": [", file);
    stack_json(view, file, "waits at", &group->waits);
    fputs(",\n           ", file);
    stack_json(view, file, "was started at", &group->created);
    fprintf(file, "],\n         \"occurrenceCount\": %" PRIu64 ",\n", group->count);
    fprintf(file, "         \"partialFingerprints\": {\"goroutineLeak/v1\": \"%s\"}}", group->fingerprint);
}

static void notification_json(FILE *file, size_t number, const char *text)
{
    fputs(number ? ",\n         {\"level\": \"note\", \"message\": {\"text\": "
                 : "\n         {\"level\": \"note\", \"message\": {\"text\": ",
          file);
    cli_json_string(file, text);
    fputs("}}", file);
}

static void invocation_json(const struct leak_report *report, FILE *file, size_t shown)
{
    char text[128];
    fputs("      \"invocations\": [{\"executionSuccessful\": true, ", file);
    if (report->command) {
        fputs("\"commandLine\": ", file);
        cli_json_string(file, report->command);
        fputs(", ", file);
    }
    fputs("\"toolExecutionNotifications\": [", file);
    size_t number = 0, all = leak_report_findings(report, ~0u, NULL);
    for (; number < report->note_count; number++)
        notification_json(file, number, report->notes[number]);
    if (shown < all) {
        snprintf(text, sizeof text, "of %zu groups only the worst %zu are results", all, shown);
        notification_json(file, number, text);
    }
    fputs("]}],\n", file);
}

void leak_sarif_write(const struct leak_view *view, FILE *file)
{
    const struct leak_report *report = view->report;
    size_t count = leak_report_findings(report, ~0u, NULL), shown = count < RESULTS_MAX ? count : RESULTS_MAX, put = 0;
    fputs("{\n  \"$schema\": \"https://json.schemastore.org/sarif-2.1.0.json\",\n  \"version\": \"2.1.0\",\n"
          "  \"runs\": [\n    {\n      \"tool\": {\n        \"driver\": {\n          \"name\": \"gmptrace check\",\n"
          "          \"version\": \"" GMPT_VERSION "\",\n          \"rules\": ",
          file);
    rules_json(file);
    fputs("\n        }\n      },\n      \"originalUriBaseIds\": {\"SRCROOT\": {\"uri\": ", file);
    char root[PATH_MAX + 1];
    snprintf(root, sizeof root, "%s/", view->root->path);
    uri_json(file, root);
    fputs("}},\n      \"columnKind\": \"utf16CodeUnits\",\n", file);
    invocation_json(report, file, shown);
    fputs("      \"results\": [", file);
    for (size_t i = 0; i < report->count && put < shown; i++) {
        if (report->groups[i].suppressed)
            continue;
        fputs(put++ ? ",\n" : "\n", file);
        result_json(view, file, &report->groups[i]);
    }
    fputs(put ? "\n      ]\n    }\n  ]\n}\n" : "]\n    }\n  ]\n}\n", file);
}
