/* Reading, matching and writing the file of known leaks. See suppressions.h. */
#define _GNU_SOURCE
#include "suppressions.h"

#include "cli.h"
#include "outfile.h"

#include "trace/events.h"

#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES_MAX 4096
#define WORDS_MAX 4
#define LINES_APART_MAX 30 /* how far a place may have moved within its function */

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

struct reader {
    const char *path;
    int line;
    struct suppression *entry; /* NULL before the first */
    char *words[WORDS_MAX];    /* of the line, behind its key */
    size_t word_count;
};

static int wrong(const struct reader *reader, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));

static int wrong(const struct reader *reader, int line, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    cli_error("%s:%d: %s", reader->path, line, text);
    return CLI_INPUT;
}

static int no_memory(const struct reader *reader)
{
    cli_error("%s: %s", reader->path, strerror(ENOMEM));
    return CLI_MACHINE;
}

static char *blanks_skip(char *text) { return text + strspn(text, " \t"); }

static void blanks_trim(char *text)
{
    size_t length = strlen(text);
    while (length && strchr(" \t\r\n", text[length - 1]))
        text[--length] = 0;
}

/* Cuts text into words, in place. */
static int words_cut(struct reader *reader, char *text)
{
    reader->word_count = 0;
    for (text = blanks_skip(text); *text; text = blanks_skip(text)) {
        if (reader->word_count == WORDS_MAX)
            return wrong(reader, reader->line, "there are words too many, from '%.80s' on", text);
        bool quoted = *text == '"';
        text += quoted;
        reader->words[reader->word_count++] = text;
        char *end = quoted ? strchr(text, '"') : text + strcspn(text, " \t");
        if (!end)
            return wrong(reader, reader->line, "a quotation mark has no second one");
        text = *end ? end + 1 : end;
        *end = 0;
    }
    return CLI_OK;
}

static int text_take(const struct reader *reader, char **to, const char *text)
{
    if (*to)
        return wrong(reader, reader->line, "the entry says this already");
    *to = strdup(text);
    return *to ? CLI_OK : no_memory(reader);
}

static int place_take(const struct reader *reader, struct suppression_place *place)
{
    if (reader->word_count == 0)
        return wrong(reader, reader->line, "here comes FUNCTION, or FUNCTION FILE, or FUNCTION FILE +LINE");
    int status = text_take(reader, &place->function, reader->words[0]);
    if (status == CLI_OK && reader->word_count > 1)
        status = text_take(reader, &place->file, reader->words[1]);
    if (status != CLI_OK || reader->word_count < 3)
        return status;
    char *end;
    errno = 0;
    long line = strtol(reader->words[2], &end, 10);
    if (reader->words[2][0] != '+' || !isdigit((unsigned char)reader->words[2][1]) || *end || errno || line > INT_MAX ||
        reader->word_count > 3)
        return wrong(reader, reader->line, "'%.80s' is not how many lines below the function's first one, such as +12",
                     reader->words[reader->word_count > 3 ? 3 : 2]);
    place->line = (int)line;
    return CLI_OK;
}

static int label_take(const struct reader *reader, struct suppression *entry)
{
    char *equals = reader->word_count == 1 ? strchr(reader->words[0], '=') : NULL;
    if (!equals || equals == reader->words[0])
        return wrong(reader, reader->line, "here comes KEY=VALUE");
    *equals = 0;
    int status = text_take(reader, &entry->label_key, reader->words[0]);
    return status ? status : text_take(reader, &entry->label_value, equals + 1);
}

static int in_take(const struct reader *reader, struct suppression *entry)
{
    int reason = reader->word_count == 1 ? event_reason_find(reader->words[0]) : -1;
    if (reason <= 0)
        return wrong(reader, reader->line, "here comes what they wait for: chan_send, chan_recv, mutex, ...");
    entry->in = reason;
    return CLI_OK;
}

static int kinds_take(const struct reader *reader, struct suppression *entry)
{
    for (const char *at = reader->word_count == 1 ? reader->words[0] : ""; at; at = at ? at + 1 : NULL) {
        size_t length = strcspn(at, ",");
        int kind = leak_kind_find(at, length);
        if (kind < 0)
            return wrong(reader, reader->line, "here come kinds: proven, cycle, growing, stuck, runaway");
        entry->kinds |= LEAK_KIND_BIT(kind);
        at = at[length] ? at + length : NULL;
    }
    return CLI_OK;
}

static bool date_valid(const char *text)
{
    struct tm date = { 0 };
    char again[11] = "";
    const char *end = strlen(text) == 10 ? strptime(text, "%Y-%m-%d", &date) : NULL;
    if (!end || *end)
        return false;
    int day = date.tm_mday; /* timegm makes of the 31st of April the first of May */
    timegm(&date);
    strftime(again, sizeof again, "%Y-%m-%d", &date);
    return date.tm_mday == day && strcmp(again, text) == 0;
}

static int until_take(const struct reader *reader, struct suppression *entry)
{
    if (reader->word_count != 1 || !date_valid(reader->words[0]))
        return wrong(reader, reader->line, "here comes a day, such as 2027-03-31");
    memcpy(entry->until, reader->words[0], sizeof entry->until);
    return CLI_OK;
}

static int key_take(struct reader *reader, const char *key, char *rest)
{
    struct suppression *entry = reader->entry;
    if (!entry)
        return wrong(reader, reader->line, "'%.80s' stands before the first line 'leak', with which an entry begins",
                     key);
    if (strcmp(key, "reason") == 0)
        return *rest ? text_take(reader, &entry->reason, rest)
                     : wrong(reader, reader->line, "here comes why the leak is accepted");
    int status = words_cut(reader, rest);
    if (status != CLI_OK)
        return status;
    if (strcmp(key, "started") == 0)
        return place_take(reader, &entry->started);
    if (strcmp(key, "waits") == 0)
        return place_take(reader, &entry->waits);
    if (strcmp(key, "started-under") == 0)
        return place_take(reader, &entry->started_under);
    if (strcmp(key, "waits-under") == 0)
        return place_take(reader, &entry->waits_under);
    if (strcmp(key, "function") == 0)
        return reader->word_count == 1 ? text_take(reader, &entry->function, reader->words[0])
                                       : wrong(reader, reader->line, "here comes one name of a function");
    if (strcmp(key, "label") == 0)
        return label_take(reader, entry);
    if (strcmp(key, "in") == 0)
        return in_take(reader, entry);
    if (strcmp(key, "kind") == 0)
        return kinds_take(reader, entry);
    if (strcmp(key, "until") == 0)
        return until_take(reader, entry);
    return wrong(reader, reader->line,
                 "'%.80s' is nothing that an entry says: leak, started, waits, started-under, waits-under, function, "
                 "label, in, kind, reason, until",
                 key);
}

/* What the last entry must have. */
static int entry_check(const struct reader *reader)
{
    const struct suppression *entry = reader->entry;
    if (!entry)
        return CLI_OK;
    if (!entry->reason)
        return wrong(reader, entry->file_line, "this entry has no line 'reason': why is the leak accepted?");
    if (!entry->started.function && !entry->waits.function && !entry->started_under.function &&
        !entry->waits_under.function && !entry->function && !entry->label_key)
        return wrong(reader, entry->file_line,
                     "this entry would cover leaks wherever they are: it needs started, waits, started-under, "
                     "waits-under, function or label");
    return CLI_OK;
}

static int entry_begin(struct suppressions *suppressions, struct reader *reader)
{
    int status = entry_check(reader);
    if (status != CLI_OK)
        return status;
    if (suppressions->count == suppressions->room) {
        size_t room = suppressions->room ? 2 * suppressions->room : 16;
        struct suppression *list = realloc(suppressions->list, room * sizeof *list);
        if (!list)
            return no_memory(reader);
        suppressions->list = list;
        suppressions->room = room;
    }
    reader->entry = &suppressions->list[suppressions->count++];
    *reader->entry = (struct suppression){
        .file_line = reader->line,
        .started.line = -1,
        .waits.line = -1,
        .started_under.line = -1,
        .waits_under.line = -1,
        .in = -1,
    };
    return CLI_OK;
}

static int line_read(struct suppressions *suppressions, struct reader *reader, char *line)
{
    blanks_trim(line);
    char *key = blanks_skip(line);
    if (!*key || *key == '#')
        return CLI_OK;
    char *rest = key + strcspn(key, " \t");
    if (*rest)
        *rest++ = 0;
    rest = blanks_skip(rest);
    if (strcmp(key, "leak") != 0)
        return key_take(reader, key, rest);
    return *rest ? wrong(reader, reader->line, "'leak' stands alone on its line, not before '%.80s'", rest)
                 : entry_begin(suppressions, reader);
}

int suppressions_read(struct suppressions *suppressions, const char *path)
{
    char line[LINE_BYTES_MAX];
    struct reader reader = { .path = path };
    int status = CLI_OK;
    *suppressions = (struct suppressions){ .path = path };
    FILE *file = fopen(path, "re");
    if (!file) {
        cli_error("cannot read '%s': %s", path, strerror(errno));
        return CLI_INPUT;
    }
    while (status == CLI_OK && fgets(line, sizeof line, file)) {
        reader.line++;
        if (strlen(line) == sizeof line - 1 && line[sizeof line - 2] != '\n')
            status = wrong(&reader, reader.line, "the line is longer than %d bytes", LINE_BYTES_MAX - 2);
        else
            status = line_read(suppressions, &reader, line);
    }
    if (status == CLI_OK && ferror(file)) {
        cli_error("cannot read '%s': %s", path, strerror(errno));
        status = CLI_INPUT;
    }
    fclose(file);
    return status ? status : entry_check(&reader);
}

static void place_free(struct suppression_place *place)
{
    free(place->function);
    free(place->file);
}

void suppressions_free(struct suppressions *suppressions)
{
    for (size_t i = 0; i < suppressions->count; i++) {
        struct suppression *entry = &suppressions->list[i];
        place_free(&entry->started);
        place_free(&entry->waits);
        place_free(&entry->started_under);
        place_free(&entry->waits_under);
        free(entry->function);
        free(entry->label_key);
        free(entry->label_value);
        free(entry->reason);
    }
    free(suppressions->list);
    *suppressions = (struct suppressions){ 0 };
}

/* ---- Matching ---------------------------------------------------------------------------------------------------- */

static bool name_matches(const char *pattern, const char *name)
{
    return !pattern || (name && fnmatch(pattern, name, 0) == 0);
}

/* The whole path, or its end from a slash on. */
static bool file_matches(const char *pattern, const char *path)
{
    if (!pattern)
        return true;
    for (const char *at = path; at; at = strchr(at, '/') ? strchr(at, '/') + 1 : NULL)
        if (fnmatch(pattern, at, 0) == 0)
            return true;
    return false;
}

/* How many lines the frame lies away from the place; -1 = it is another one. */
static int frame_distance(const struct suppression_place *place, const struct place_frame *frame)
{
    if (!name_matches(place->function, frame->function) || !file_matches(place->file, frame->file))
        return -1;
    if (place->line < 0 || frame->function_line <= 0)
        return 0;
    int apart = abs(frame->line - frame->function_line - place->line);
    return apart <= LINES_APART_MAX ? apart : -1;
}

static int stack_distance(const struct suppression_place *place, const struct leak_stack *stack, bool any_frame)
{
    int least = -1;
    if (!place->function)
        return 0;
    for (size_t i = 0; i < stack->count && (any_frame || i == 0); i++) {
        int distance = frame_distance(place, &stack->frames[i]);
        if (distance >= 0 && (least < 0 || distance < least))
            least = distance;
    }
    return least;
}

static bool label_matches(const struct suppression *entry, const struct leak_group *group)
{
    if (!entry->label_key)
        return true;
    for (size_t i = 0; i < group->label_count; i++)
        if (name_matches(entry->label_key, group->labels[i].key) &&
            name_matches(entry->label_value, group->labels[i].value))
            return true;
    return false;
}

/* How many lines the group lies away from what the entry says; -1 = it is not meant. */
static int entry_distance(const struct suppression *entry, const struct leak_group *group)
{
    if ((entry->kinds && !(entry->kinds & LEAK_KIND_BIT(group->kind))) ||
        (entry->in >= 0 && entry->in != (int)group->reason) ||
        !name_matches(entry->function, group->function.function) || !label_matches(entry, group))
        return -1;
    int parts[] = { stack_distance(&entry->started, &group->created, false),
                    stack_distance(&entry->waits, &group->waits, false),
                    stack_distance(&entry->started_under, &group->created, true),
                    stack_distance(&entry->waits_under, &group->waits, true) };
    int sum = 0;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i] < 0)
            return -1;
        sum += parts[i];
    }
    return sum;
}

static void cover(struct suppression *entry, struct leak_group *group)
{
    entry->used += group->count;
    if (!group->suppressed)
        group->suppressed = entry;
}

static void cover_at(struct suppression *entry, struct leak_report *report, int distance, bool free_only)
{
    for (size_t i = 0; i < report->count; i++)
        if (entry_distance(entry, &report->groups[i]) == distance && !(free_only && report->groups[i].suppressed))
            cover(entry, &report->groups[i]);
}

/* Entries that fit exactly go first: another that has moved there must not take their leaks. */
void suppressions_apply(struct suppressions *suppressions, struct leak_report *report, const char *today)
{
    for (size_t i = 0; i < suppressions->count; i++) {
        struct suppression *entry = &suppressions->list[i];
        entry->used = 0;
        entry->expired = entry->until[0] && strcmp(today, entry->until) > 0;
        if (!entry->expired)
            cover_at(entry, report, 0, false);
    }
    for (size_t i = 0; i < suppressions->count; i++) {
        struct suppression *entry = &suppressions->list[i];
        int least = -1;
        for (size_t k = 0; !entry->expired && !entry->used && k < report->count; k++) {
            int distance = report->groups[k].suppressed ? -1 : entry_distance(entry, &report->groups[k]);
            if (distance >= 0 && (least < 0 || distance < least))
                least = distance;
        }
        if (least >= 0)
            cover_at(entry, report, least, true);
    }
}

void suppressions_tell(const struct suppressions *suppressions)
{
    for (size_t i = 0; i < suppressions->count; i++) {
        const struct suppression *entry = &suppressions->list[i];
        if (entry->expired)
            cli_error("%s:%d: this entry held until %s: what it covered counts again (%s)", suppressions->path,
                      entry->file_line, entry->until, entry->reason);
        else if (!entry->used)
            cli_error("%s:%d: this entry covers nothing any more, and can be removed (%s)", suppressions->path,
                      entry->file_line, entry->reason);
    }
}

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

void suppressions_today(char today[11])
{
    time_t now = time(NULL);
    struct tm date;
    gmtime_r(&now, &date);
    strftime(today, 11, "%Y-%m-%d", &date);
}

/* As a pattern that matches nothing else. */
static void name_write(FILE *file, const char *name)
{
    bool blank = strpbrk(name, " \t") != NULL;
    fputs(blank ? "\"" : "", file);
    for (const char *c = name; *c; c++)
        fprintf(file, "%s%c", strchr("*?[\\", *c) ? "\\" : "", *c);
    fputs(blank ? "\"" : "", file);
}

static void place_write(FILE *file, const char *key, const struct leak_stack *stack)
{
    const struct place_frame *frame = &stack->frames[0];
    if (stack->count == 0 || !frame->function)
        return;
    const char *slash = frame->file ? strrchr(frame->file, '/') : NULL;
    fprintf(file, "    %-8s ", key);
    name_write(file, frame->function);
    if (frame->file) {
        fputc(' ', file);
        name_write(file, slash ? slash + 1 : frame->file);
    }
    if (frame->file && frame->function_line > 0 && frame->line >= frame->function_line)
        fprintf(file, " +%d", frame->line - frame->function_line);
    fputc('\n', file);
}

static bool nameless(const struct leak_group *group)
{
    return !group->function.function && !(group->created.count && group->created.frames[0].function) &&
           !(group->waits.count && group->waits.frames[0].function);
}

static void entry_write(FILE *file, const struct leak_group *group, const char *today)
{
    fputs("\nleak\n", file);
    if (group->function.function) {
        fputs("    function ", file);
        name_write(file, group->function.function);
        fputc('\n', file);
    }
    place_write(file, "started", &group->created);
    place_write(file, "waits", &group->waits);
    if (group->reason != GMPT_WAIT_none)
        fprintf(file, "    in       %s\n", event_reason_name((uint64_t)group->reason));
    if (group->suppressed)
        fprintf(file, "    reason   %s\n", group->suppressed->reason);
    else
        fprintf(file, "    reason   found on %s, and not yet looked into\n", today);
    if (group->suppressed && group->suppressed->until[0])
        fprintf(file, "    until    %s\n", group->suppressed->until);
}

/* The same places may be in the report with several kinds. */
static bool written_before(const struct leak_report *report, size_t index, unsigned kinds)
{
    for (size_t i = 0; i < index; i++)
        if ((kinds & LEAK_KIND_BIT(report->groups[i].kind)) &&
            strcmp(report->groups[i].fingerprint, report->groups[index].fingerprint) == 0)
            return true;
    return false;
}

int suppressions_write(const struct leak_report *report, unsigned kinds, const char *path, const char *today,
                       size_t *written)
{
    struct outfile output;
    *written = 0;
    int result = outfile_open(&output, path);
    if (result)
        return result;
    FILE *file = fdopen(output.fd, "w");
    if (!file) {
        close(output.fd);
        outfile_drop(&output);
        outfile_close(&output);
        return -ENOMEM;
    }
    fputs("# Leaks that are known: gmptrace check --baseline leaves them out. Say for each of them why it is\n"
          "# accepted, and until when (until YYYY-MM-DD), or mend it. The manual page has the rest.\n",
          file);
    for (size_t i = 0; i < report->count; i++) {
        const struct leak_group *group = &report->groups[i];
        if (!(kinds & LEAK_KIND_BIT(group->kind)) || written_before(report, i, kinds))
            continue;
        if (nameless(group)) {
            cli_error("G%llu has no names, as its program has none: no entry can be written for it",
                      (unsigned long long)group->example_g);
        } else {
            entry_write(file, group, today);
            (*written)++;
        }
    }
    bool failed = ferror(file);
    result = fclose(file) || failed ? -(errno ? errno : EIO) : outfile_keep(&output);
    if (result)
        outfile_drop(&output);
    outfile_close(&output);
    return result;
}
