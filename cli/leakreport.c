/* Groups of leaked goroutines. See leakreport.h. */
#define _GNU_SOURCE
#include "leakreport.h"

#include "cli.h"

#include "pprof/intern.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Every text once, at an address that stays. */
struct leak_strings {
    struct intern numbers;
    char **texts; /* by number */
    size_t room;
};

/* ---- Memory ------------------------------------------------------------------------------------------------------ */

int leak_report_open(struct leak_report *report)
{
    *report = (struct leak_report){ 0 };
    report->strings = calloc(1, sizeof *report->strings);
    return report->strings ? 0 : -ENOMEM;
}

void leak_report_free(struct leak_report *report)
{
    struct leak_strings *strings = report->strings;
    for (size_t i = 0; i < report->count; i++) {
        free(report->groups[i].created.frames);
        free(report->groups[i].waits.frames);
        free(report->groups[i].labels);
    }
    for (size_t i = 0; i < report->note_count; i++)
        free(report->notes[i]);
    for (size_t i = 0; strings && i < strings->numbers.count; i++)
        free(strings->texts[i]);
    if (strings) {
        intern_free(&strings->numbers);
        free(strings->texts);
    }
    free(strings);
    free(report->groups);
    free(report->notes);
    *report = (struct leak_report){ 0 };
}

const char *leak_report_string(struct leak_report *report, const char *text)
{
    struct leak_strings *strings = report->strings;
    if (!text)
        return NULL;
    size_t known = strings->numbers.count;
    if (known == strings->room) {
        size_t room = known ? known * 2 : 64;
        char **texts = realloc(strings->texts, room * sizeof *texts);
        if (!texts)
            return NULL;
        strings->texts = texts;
        strings->room = room;
    }
    char *copy = strdup(text); /* before it is numbered: each number has a text */
    int64_t number = copy ? intern_put(&strings->numbers, text, strlen(text)) : -ENOMEM;
    if (number < 0 || (size_t)number < known) {
        free(copy);
        return number < 0 ? NULL : strings->texts[number];
    }
    return strings->texts[number] = copy;
}

/* *to is a copy of text, or NULL for NULL. */
static int text_copy(struct leak_report *report, const char **to, const char *text)
{
    *to = leak_report_string(report, text);
    return text && !*to ? -ENOMEM : 0;
}

static int frame_copy(struct leak_report *report, struct place_frame *to, const struct place_frame *from)
{
    *to = *from;
    int result = text_copy(report, &to->function, from->function);
    if (!result)
        result = text_copy(report, &to->file, from->file);
    return result ? result : text_copy(report, &to->module, from->module);
}

static int stack_copy(struct leak_report *report, struct leak_stack *to, const struct leak_stack *from)
{
    *to = (struct leak_stack){ calloc(from->count + 1, sizeof *to->frames), from->count };
    if (!to->frames)
        return -ENOMEM;
    for (size_t i = 0; i < from->count; i++)
        if (frame_copy(report, &to->frames[i], &from->frames[i]))
            return -ENOMEM;
    return 0;
}

static int labels_copy(struct leak_report *report, struct leak_group *to, const struct leak_group *from)
{
    struct leak_label *labels = calloc(from->label_count + 1, sizeof *labels);
    if (!labels)
        return -ENOMEM;
    for (size_t i = 0; i < from->label_count; i++)
        if (text_copy(report, &labels[i].key, from->labels[i].key) ||
            text_copy(report, &labels[i].value, from->labels[i].value)) {
            free(labels);
            return -ENOMEM;
        }
    free(to->labels);
    to->labels = labels;
    to->label_count = from->label_count;
    return 0;
}

/* ---- Groups ------------------------------------------------------------------------------------------------------ */

static bool text_same(const char *a, const char *b) { return a == b || (a && b && strcmp(a, b) == 0); }

/* Addresses differ between processes; lines, or places in the file where there are none, do not. */
static bool frame_same(const struct place_frame *a, const struct place_frame *b)
{
    if (!text_same(a->function, b->function) || !text_same(a->file, b->file) || a->line != b->line)
        return false;
    return a->file || (text_same(a->module, b->module) && a->module_address == b->module_address);
}

static bool stack_same(const struct leak_stack *a, const struct leak_stack *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!frame_same(&a->frames[i], &b->frames[i]))
            return false;
    return true;
}

static bool group_same(const struct leak_group *a, const struct leak_group *b)
{
    return a->kind == b->kind && a->reason == b->reason && frame_same(&a->function, &b->function) &&
           stack_same(&a->waits, &b->waits) && stack_same(&a->created, &b->created);
}

static int example_copy(struct leak_report *report, struct leak_group *to, const struct leak_group *from)
{
    to->example_g = from->example_g;
    to->example_object = from->example_object;
    to->example_owner = from->example_owner;
    to->example_pid = from->example_pid;
    return text_copy(report, &to->name, from->name) ? -ENOMEM : labels_copy(report, to, from);
}

static int group_new(struct leak_report *report, const struct leak_group *finding)
{
    if (report->count == report->room) {
        size_t room = report->room ? report->room * 2 : 16;
        struct leak_group *groups = realloc(report->groups, room * sizeof *groups);
        if (!groups)
            return -ENOMEM;
        report->groups = groups;
        report->room = room;
    }
    struct leak_group *group = &report->groups[report->count++];
    *group = *finding;
    group->processes = 1;
    group->suppressed = NULL;
    group->fingerprint[0] = 0;
    group->created = group->waits = (struct leak_stack){ 0 };
    group->labels = NULL;
    group->label_count = 0;
    int result = frame_copy(report, &group->function, &finding->function);
    if (!result)
        result = stack_copy(report, &group->created, &finding->created);
    if (!result)
        result = stack_copy(report, &group->waits, &finding->waits);
    return result ? result : example_copy(report, group, finding);
}

int leak_report_add(struct leak_report *report, const struct leak_group *finding)
{
    struct leak_group *group = NULL;
    for (size_t i = 0; i < report->count && !group; i++)
        if (group_same(&report->groups[i], finding))
            group = &report->groups[i];
    if (!group)
        return group_new(report, finding);
    bool older = finding->oldest_ns > group->oldest_ns;
    if (group->newest_ns < 0 || finding->newest_ns < group->newest_ns)
        group->newest_ns = finding->newest_ns;
    group->held_bytes = leak_held_sum(group->held_bytes, finding->held_bytes);
    group->count += finding->count;
    group->processes += finding->example_pid != group->example_pid;
    if (!older)
        return 0;
    group->oldest_ns = finding->oldest_ns;
    return example_copy(report, group, finding);
}

int leak_report_note(struct leak_report *report, const char *format, ...)
{
    char *text;
    va_list args;
    va_start(args, format);
    int length = vasprintf(&text, format, args);
    va_end(args);
    if (length < 0)
        return -ENOMEM;
    for (size_t i = 0; i < report->note_count; i++)
        if (strcmp(report->notes[i], text) == 0) {
            free(text);
            return 0;
        }
    char **notes = realloc(report->notes, (report->note_count + 1) * sizeof *notes);
    if (!notes) {
        free(text);
        return -ENOMEM;
    }
    report->notes = notes;
    notes[report->note_count++] = text;
    return 0;
}

size_t leak_report_findings(const struct leak_report *report, unsigned kinds, uint64_t *gs)
{
    size_t count = 0;
    uint64_t total = 0;
    for (size_t i = 0; i < report->count; i++) {
        const struct leak_group *group = &report->groups[i];
        if (group->suppressed || !(kinds & LEAK_KIND_BIT(group->kind)))
            continue;
        count++;
        total += group->count;
    }
    if (gs)
        *gs = total;
    return count;
}

size_t leak_report_suppressed(const struct leak_report *report)
{
    size_t count = 0;
    for (size_t i = 0; i < report->count; i++)
        count += report->groups[i].suppressed != NULL;
    return count;
}

/* ---- Fingerprints ------------------------------------------------------------------------------------------------ */

static uint64_t hash_text(uint64_t hash, const char *text)
{
    for (const unsigned char *c = (const unsigned char *)(text ? text : ""); *c; c++)
        hash = (hash ^ *c) * UINT64_C(0x100000001b3);
    return (hash ^ 0xff) * UINT64_C(0x100000001b3); /* where one text ends and the next begins */
}

static const char *base_name(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    return slash ? slash + 1 : path;
}

/* Names and no lines: the innermost frames only, since callers further out change without the bug being another. */
static uint64_t hash_group(const struct leak_group *group)
{
    const struct place_frame *ends[] = { &group->function, group->created.count ? &group->created.frames[0] : NULL,
                                         group->waits.count ? &group->waits.frames[0] : NULL };
    uint64_t hash = hash_text(UINT64_C(0xcbf29ce484222325), gmpt_wait_reason_words(group->reason));
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        hash = hash_text(hash, ends[i] ? ends[i]->function : NULL);
        hash = hash_text(hash, ends[i] ? base_name(ends[i]->file ? ends[i]->file : ends[i]->module) : NULL);
    }
    return hash;
}

#define ORDER(a, b) (((a) > (b)) - ((a) < (b)))

static int line_of(const struct leak_stack *stack) { return stack->count ? stack->frames[0].line : 0; }

/* In one pair of functions, by where in them. */
static int lines_order(const struct leak_group *a, const struct leak_group *b)
{
    int order = ORDER(line_of(&a->created), line_of(&b->created));
    return order ? order : ORDER(line_of(&a->waits), line_of(&b->waits));
}

struct named {
    uint64_t hash;
    struct leak_group *group;
};

static int named_order(const void *left, const void *right)
{
    const struct named *a = left, *b = right;
    int order = ORDER(a->hash, b->hash);
    return order ? order : lines_order(a->group, b->group);
}

/* Groups with the same names are told apart by the order of their lines, which stays as lines move. */
static int fingerprints_set(struct leak_report *report)
{
    struct named *named = calloc(report->count + 1, sizeof *named);
    if (!named)
        return -ENOMEM;
    for (size_t i = 0; i < report->count; i++)
        named[i] = (struct named){ hash_group(&report->groups[i]), &report->groups[i] };
    qsort(named, report->count, sizeof *named, named_order);
    unsigned place = 0;
    for (size_t i = 0; i < report->count; i++) {
        if (i == 0 || named[i].hash != named[i - 1].hash)
            place = 1;
        else if (lines_order(named[i].group, named[i - 1].group) != 0)
            place++;
        snprintf(named[i].group->fingerprint, sizeof named[i].group->fingerprint, "%016" PRIx64 ":%u", named[i].hash,
                 place);
    }
    free(named);
    return 0;
}

static const char *text_or_empty(const char *text) { return text ? text : ""; }

static int groups_order(const void *left, const void *right)
{
    const struct leak_group *a = left, *b = right;
    int order = ORDER(a->kind, b->kind);
    if (!order)
        order = ORDER(b->count, a->count);
    if (!order) /* names before ages: two runs are told of alike */
        order = strcmp(text_or_empty(a->function.function), text_or_empty(b->function.function));
    if (!order)
        order = lines_order(a, b);
    return order ? order : ORDER(b->oldest_ns, a->oldest_ns);
}

int leak_report_sort(struct leak_report *report)
{
    if (report->count)
        qsort(report->groups, report->count, sizeof *report->groups, groups_order);
    return fingerprints_set(report);
}

/* ---- Words ------------------------------------------------------------------------------------------------------- */

const struct place_frame *leak_group_site(const struct leak_group *group)
{
    for (size_t i = 0; i < group->created.count; i++)
        if (group->created.frames[i].file)
            return &group->created.frames[i];
    return group->function.file ? &group->function : NULL;
}

const struct place_frame *leak_group_wait(const struct leak_group *group)
{
    return group->waits.count && group->waits.frames[0].file ? &group->waits.frames[0] : NULL;
}

const struct place_frame *leak_group_line(const struct leak_group *group)
{
    const struct place_frame *site = leak_group_site(group);
    return site ? site : leak_group_wait(group);
}

static const struct {
    const char *word, *sentence;
} kinds[LEAK_KINDS] = {
    [LEAK_PROVEN] = { "proven", "nothing that is alive can ever reach what they wait for" },
    [LEAK_CYCLE] = { "cycle", "each waits for what another of them has" },
    [LEAK_GROWING] = { "growing", "ever more of them waited there, and none or few were woken" },
    [LEAK_STUCK] = { "stuck", "they waited for longer than the limit, without a deadline; whether somebody would still "
                              "have woken them is not known" },
    [LEAK_RUNAWAY] = { "runaway", "they ran on without an end" },
};

const char *leak_kind_word(enum leak_kind kind) { return kinds[kind].word; }

const char *leak_kind_sentence(enum leak_kind kind) { return kinds[kind].sentence; }

int leak_kind_find(const char *word, size_t length)
{
    for (int i = 0; i < LEAK_KINDS; i++)
        if (strlen(kinds[i].word) == length && memcmp(kinds[i].word, word, length) == 0)
            return i;
    return -1;
}

const char *leak_frame_function(const struct place_frame *frame, char *buffer, size_t size)
{
    if (frame->function)
        snprintf(buffer, size, "%s", frame->function);
    else if (frame->module)
        snprintf(buffer, size, "%s+0x%" PRIx64, base_name(frame->module), frame->module_address);
    else
        snprintf(buffer, size, "0x%" PRIx64, frame->address);
    return buffer;
}

const char *leak_group_headline(const struct leak_group *group, char *buffer, size_t size)
{
    char count[32], function[256];
    bool one = group->count == 1;
    leak_frame_function(&group->function, function, sizeof function);
    if (group->reason == GMPT_WAIT_none)
        snprintf(buffer, size, "%s goroutine%s of %.200s %s without an end", cli_count(count, group->count),
                 cli_plural(group->count), function, one ? "runs" : "run");
    else
        snprintf(buffer, size, "%s goroutine%s of %.200s %s in %s, without a deadline", cli_count(count, group->count),
                 cli_plural(group->count), function, one ? "waits" : "wait", gmpt_wait_reason_words(group->reason));
    return buffer;
}

const char *leak_group_why(const struct leak_group *group, char *buffer, size_t size)
{
    char object[32] = "what it waits for";
    if (group->example_object)
        snprintf(object, sizeof object, "0x%" PRIx64, group->example_object);
    if (group->kind == LEAK_CYCLE && group->example_owner)
        snprintf(buffer, size, "G%" PRIu64 " waits for %s, which G%" PRIu64 " has, which waits in its turn",
                 group->example_g, object, group->example_owner);
    else if (group->kind == LEAK_PROVEN && group->example_object)
        snprintf(buffer, size, "nothing that is alive can ever reach %s, which G%" PRIu64 " waits for", object,
                 group->example_g);
    else if (group->kind == LEAK_PROVEN && group->reason == GMPT_WAIT_nil_chan)
        snprintf(buffer, size, "an operation on a channel that is NULL never ends");
    else
        snprintf(buffer, size, "%s", leak_kind_sentence(group->kind));
    return buffer;
}
