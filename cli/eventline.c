/* See eventline.h. Numbers are formatted by hand: a trace of a few seconds has millions of lines. */
#include "eventline.h"

#include "cli.h"

#include "trace/events.h"
#include "trace/text.h"

#include <errno.h>
#include <string.h>

#define QUOTED_COLUMNS 448 /* a whole log message */
#define LABEL_COLUMNS 40
#define LABELS_SHOWN 16
#define LINE_BYTES 8192 /* the longest: a whole label set; four fields with a name and a place take less */

/* ---- A line ------------------------------------------------------------------------------------------------------ */

static char *line_text(char *to, const char *text)
{
    size_t length = strlen(text);
    memcpy(to, text, length);
    return to + length;
}

static char *line_number(char *to, uint64_t number)
{
    char digits[20];
    int count = 0;
    do
        digits[count++] = (char)('0' + number % 10);
    while (number /= 10);
    while (count)
        *to++ = digits[--count];
    return to;
}

static char *line_hex(char *to, uint64_t number)
{
    int shift = 60;
    *to++ = '0';
    *to++ = 'x';
    while (shift > 0 && number >> shift == 0)
        shift -= 4;
    for (; shift >= 0; shift -= 4)
        *to++ = "0123456789abcdef"[number >> shift & 15];
    return to;
}

static char *line_pad(char *to, const char *start, int columns)
{
    while (to - start < columns)
        *to++ = ' ';
    return to;
}

/* Seconds with nine decimals, right-aligned so that the points stand below each other up to 99,999 s. */
static char *line_time(char *to, int64_t time_ns)
{
    char digits[24];
    uint64_t ns = time_ns < 0 ? 0 - (uint64_t)time_ns : (uint64_t)time_ns;
    char *end = line_number(digits, ns / 1000000000);
    uint64_t fraction = ns % 1000000000;
    for (long i = end - digits + (time_ns < 0); i < 5; i++)
        *to++ = ' ';
    if (time_ns < 0)
        *to++ = '-';
    memcpy(to, digits, (size_t)(end - digits));
    to += end - digits;
    *to++ = '.';
    for (int i = 8; i >= 0; i--, fraction /= 10)
        to[i] = (char)('0' + fraction % 10);
    return to + 9;
}

/* ---- Fields ------------------------------------------------------------------------------------------------------ */

/* Text that the program chose: cut to what a line has room for, and clean. */
static char *line_quoted(char *to, const char *text)
{
    char clean[4 * QUOTED_COLUMNS + 1];
    *to++ = '"';
    to = line_text(to, cli_text(clean, sizeof clean, text, QUOTED_COLUMNS));
    *to++ = '"';
    return to;
}

/* {key="value", ...} */
static char *line_labels(struct eventlines *lines, char *to, uint64_t labels)
{
    char clean[4 * LABEL_COLUMNS + 1];
    uint32_t count = gmpt_trace_label_count(lines->trace, labels);
    *to++ = '{';
    for (uint32_t i = 0; i < count && i < LABELS_SHOWN; i++) {
        struct gmpt_trace_label label = gmpt_trace_label(lines->trace, labels, i);
        to = line_text(to, i ? ", " : "");
        to = line_text(to, cli_text(clean, sizeof clean, label.key, LABEL_COLUMNS));
        to = line_text(to, "=\"");
        to = line_text(to, cli_text(clean, sizeof clean, label.value, LABEL_COLUMNS));
        *to++ = '"';
    }
    return line_text(to, count > LABELS_SHOWN ? ", ...}" : "}");
}

/* Appends a field's value. Returns NULL when memory is short. */
static char *line_value(struct eventlines *lines, char *to, const struct gmpt_event *event, unsigned index)
{
    uint64_t value = event->field[index];
    const struct event_field *field = &event_specs[event->type].field[index];
    if (event->type == GMPT_EVENT_go_unblock && strcmp(field->name, "by") == 0) {
        *to++ = '"';
        to = line_text(to, gmpt_waker_words(value < GMPT_WAKERS ? (enum gmpt_waker)value : GMPT_WAKER_UNKNOWN));
        *to++ = '"';
        return to;
    }
    if (event->type == GMPT_EVENT_timer_fire && index == 0)
        return line_text(
            to, gmpt_timer_use_words((enum gmpt_timer_use)(value < GMPT_TIMER_USES ? value : GMPT_TIMER_USES)));
    switch (field->kind) {
    case EVENT_KIND_reason:
        *to++ = '"';
        to = line_text(to, gmpt_wait_reason_words((enum gmpt_wait_reason)value));
        *to++ = '"';
        return to;
    case EVENT_KIND_addr:
        if (event->type == GMPT_EVENT_go_create) {
            const char *text = captions_function(lines->captions, value);
            return text ? line_text(to, text) : NULL;
        }
        return line_hex(to, value);
    case EVENT_KIND_stack: {
        uint32_t stack = value > UINT32_MAX ? 0 : (uint32_t)value;
        bool code = event->type == GMPT_EVENT_cpu_sample || event->type == GMPT_EVENT_kernel_stack ||
                    event->type == GMPT_EVENT_kernel_faults;
        const char *text = code ? captions_code(lines->captions, stack) : captions_stack(lines->captions, stack);
        if (!text)
            return NULL;
        *to++ = '"';
        to = line_text(to, text);
        *to++ = '"';
        return to;
    }
    case EVENT_KIND_string:
        return line_quoted(to, gmpt_trace_string(lines->trace, value));
    case EVENT_KIND_labels:
        return line_labels(lines, to, value);
    default:
        return line_number(to, value);
    }
}

int eventlines_print(struct eventlines *lines, FILE *out, const struct gmpt_event *event)
{
    char line[LINE_BYTES], *to = line, *column;
    if (lines->raw) {
        size_t length = text_event(line, event);
        line[length++] = '\n';
        fwrite(line, 1, length, out);
        return 0;
    }
    if (event->type == GMPT_EVENT_user_log_text)
        return 0; /* it is shown with its message */
    to = line_time(to, event->time_ns);
    *to++ = ' ';
    *to++ = ' ';
    column = to;
    if (event->p >= 0) {
        *to++ = 'P';
        to = line_number(to, (uint64_t)event->p);
    } else {
        *to++ = '-';
    }
    to = line_pad(to, column, 5);
    column = to;
    if (event->g) {
        *to++ = 'G';
        to = line_number(to, event->g);
    } else {
        *to++ = '-';
    }
    *to++ = ' ';
    to = line_pad(to, column, 10);
    column = to;
    to = line_text(to, gmpt_event_name(event->type));
    if ((unsigned)event->type < GMPT_EVENT_CODES) {
        for (unsigned i = 0; i < event_field_counts[event->type]; i++) {
            const struct event_field *field = &event_specs[event->type].field[i];
            if (field->kind == EVENT_KIND_g && event->field[i] == event->g)
                continue; /* the line says it already */
            if ((field->kind == EVENT_KIND_stack || field->kind == EVENT_KIND_g) && event->field[i] == 0)
                continue;
            *to++ = ' ';
            if (i == 0 || to < column + 16)
                to = line_pad(to, column, 16);
            to = line_text(to, field->name);
            *to++ = '=';
            to = line_value(lines, to, event, i);
            if (!to)
                return -ENOMEM;
        }
    }
    const struct gmpt_g *made =
        event->type == GMPT_EVENT_go_create ? gmpt_trace_g(lines->trace, event->go_create.g) : NULL;
    if (made && made->parent) {
        to = line_text(to, " by=G");
        to = line_number(to, made->parent);
    }
    if (event->type == GMPT_EVENT_user_log)
        to = line_quoted(line_text(to, " text="), gmpt_trace_log_text(lines->trace, NULL));
    *to++ = '\n';
    fwrite(line, 1, (size_t)(to - line), out);
    return 0;
}
