/* The tables that the event table expands to, and all that needs no speed: names, the schema, the decoder. */
#include "events.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
const struct event_spec event_specs[GMPT_EVENT_CODES] = {
#define EVENT(code, name, doc) [code] = { #name, doc, {
#define FIELD(kind, name, doc) { EVENT_KIND_##kind, #name, doc },
#define END { 0, NULL, NULL } } },
#include <gmptrace/events.def>
};

const uint8_t event_field_counts[GMPT_EVENT_CODES] = {
#define EVENT(code, name, doc) [code] = 0
#define FIELD(kind, name, doc) +1
#define END ,
#include <gmptrace/events.def>
};
/* clang-format on */

static const char *const kind_names[EVENT_KINDS] = { NULL, "g",      "seq", "stack",  "addr",   "num",
                                                     "p",  "reason", "ns",  "string", "labels", "text" };

struct reason_spec {
    const char *name, *words;
    int suspect;
};

static const struct reason_spec reason_specs[GMPT_WAIT_REASONS] = {
#define REASON(code, name, words, suspect) [code] = { #name, words, suspect },
#include <gmptrace/reasons.def>
};

const char *gmpt_event_name(enum gmpt_event_type type)
{
    return event_known(type) ? event_specs[type].name : "unknown";
}

const char *gmpt_wait_reason_words(enum gmpt_wait_reason reason)
{
    unsigned index = reason;
    return index < GMPT_WAIT_REASONS && reason_specs[index].words ? reason_specs[index].words : "unknown";
}

int gmpt_wait_reason_suspect(enum gmpt_wait_reason reason)
{
    unsigned index = reason;
    return index < GMPT_WAIT_REASONS ? reason_specs[index].suspect : 0;
}

const char *gmpt_g_state_words(enum gmpt_g_state state)
{
    switch (state) {
    case GMPT_G_RUNNABLE:
        return "runnable";
    case GMPT_G_RUNNING:
        return "running";
    case GMPT_G_WAITING:
        return "waiting";
    case GMPT_G_SYSCALL:
        return "in a blocking call";
    case GMPT_G_PREEMPTED:
        return "preempted (running without a P)";
    case GMPT_G_DEAD:
        return "dead";
    }
    return "unknown";
}

const char *gmpt_waker_words(enum gmpt_waker waker)
{
    switch (waker) {
    case GMPT_WAKER_G:
        return "a goroutine";
    case GMPT_WAKER_NETPOLL:
        return "the network";
    case GMPT_WAKER_TIMER:
        return "a timer";
    case GMPT_WAKER_SYSMON:
        return "the network, by sysmon";
    case GMPT_WAKER_SIGNAL:
        return "a signal";
    case GMPT_WAKER_UNKNOWN:
        break;
    }
    return "unknown";
}

const char *gmpt_timer_use_words(enum gmpt_timer_use use)
{
    switch (use) {
    case GMPT_TIMER_DEADLINE:
        return "deadline";
    case GMPT_TIMER_SLEEP:
        return "sleep";
    case GMPT_TIMER_CHANNEL:
        return "timer";
    case GMPT_TIMER_TICKER:
        return "ticker";
    case GMPT_TIMER_FUNCTION:
        return "function";
    }
    return "unknown";
}

const char *event_kind_name(enum event_kind kind)
{
    return kind > 0 && kind < EVENT_KINDS ? kind_names[kind] : "unknown";
}

const char *event_reason_name(uint64_t reason) { return reason < GMPT_WAIT_REASONS ? reason_specs[reason].name : NULL; }

int event_reason_find(const char *name)
{
    for (int i = 0; i < GMPT_WAIT_REASONS; i++)
        if (reason_specs[i].name && strcmp(reason_specs[i].name, name) == 0)
            return i;
    return -1;
}

int event_find(const char *name, size_t length)
{
    for (int i = 0; i < GMPT_EVENT_CODES; i++)
        if (event_known(i) && strlen(event_specs[i].name) == length && memcmp(event_specs[i].name, name, length) == 0)
            return i;
    return -1;
}

int event_stack_field(unsigned code)
{
    for (int i = 0; code < GMPT_EVENT_CODES && i < event_field_counts[code]; i++)
        if (event_specs[code].field[i].kind == EVENT_KIND_stack)
            return i;
    return -1;
}

const uint8_t *event_decode(const uint8_t *p, const uint8_t *end, unsigned *code, uint64_t *delta,
                            uint64_t fields[GMPT_EVENT_FIELDS_MAX])
{
    if (p >= end || !event_known(*p))
        return NULL;
    *code = *p++;
    memset(fields, 0, GMPT_EVENT_FIELDS_MAX * sizeof *fields);
    p = leb_get(p, end, delta);
    for (int i = 0; p && i < event_field_counts[*code]; i++)
        p = leb_get(p, end, &fields[i]);
    return p;
}

uint8_t *event_encode(uint8_t *p, unsigned code, uint64_t delta, const uint64_t fields[GMPT_EVENT_FIELDS_MAX])
{
    *p++ = (uint8_t)code;
    p = leb_put(p, delta);
    for (int i = 0; i < event_field_counts[code]; i++)
        p = leb_put(p, fields[i]);
    return p;
}

void event_schema_init(struct event_schema *schema)
{
    for (int i = 0; i < GMPT_EVENT_CODES; i++)
        schema->native[i] = event_known(i);
}

/* The next word of [*p, end), words being parted by single spaces. NULL when there is none. */
static const char *word_next(const char **p, const char *end, size_t *length)
{
    while (*p < end && **p == ' ')
        ++*p;
    const char *word = *p;
    while (*p < end && **p != ' ')
        ++*p;
    *length = (size_t)(*p - word);
    return *length ? word : NULL;
}

static bool field_is(const struct event_field *field, const char *word, size_t length)
{
    char own[64];
    int own_length = snprintf(own, sizeof own, "%s:%s", event_kind_name(field->kind), field->name);
    return (size_t)own_length == length && memcmp(own, word, length) == 0;
}

/* One line behind its "event ". */
static int schema_line(struct event_schema *schema, const char *p, const char *end)
{
    char digits[8] = "";
    size_t length;
    const char *word = word_next(&p, end, &length);
    if (!word || length >= sizeof digits)
        return -EPROTO;
    memcpy(digits, word, length);
    char *stop;
    unsigned long code = strtoul(digits, &stop, 0);
    if (*stop || code == 0 || code >= GMPT_EVENT_CODES)
        return -EPROTO;
    word = word_next(&p, end, &length);
    if (!word)
        return -EPROTO;
    const struct event_spec *own = &event_specs[code];
    bool native = own->name && strlen(own->name) == length && memcmp(own->name, word, length) == 0;
    int fields = 0;
    while ((word = word_next(&p, end, &length))) {
        if (!memchr(word, ':', length) || fields == EVENT_SCHEMA_FIELDS_MAX)
            return -EPROTO;
        native = native && fields < event_field_counts[code] && field_is(&own->field[fields], word, length);
        fields++;
    }
    schema->native[code] = native && fields == event_field_counts[code];
    return 0;
}

int event_schema_parse(struct event_schema *schema, const char *text, size_t size)
{
    static const char prefix[] = "event ";
    struct event_schema parsed = { 0 };
    const char *end = text + size;
    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *line_end = newline ? newline : end;
        size_t line_bytes = (size_t)(line_end - text);
        if (line_bytes >= sizeof prefix - 1 && memcmp(text, prefix, sizeof prefix - 1) == 0) {
            int result = schema_line(&parsed, text + sizeof prefix - 1, line_end);
            if (result)
                return result;
        }
        text = newline ? newline + 1 : end;
    }
    *schema = parsed;
    return 0;
}

size_t event_schema_print(char *buffer, size_t size)
{
    size_t used = 0;
#define APPEND(...)                                                                                                    \
    used += (size_t)snprintf(used < size ? buffer + used : NULL, used < size ? size - used : 0, __VA_ARGS__)
    for (unsigned code = 0; code < GMPT_EVENT_CODES; code++) {
        if (!event_known(code))
            continue;
        APPEND("event 0x%02x %s", code, event_specs[code].name);
        for (int i = 0; i < event_field_counts[code]; i++)
            APPEND(" %s:%s", event_kind_name(event_specs[code].field[i].kind), event_specs[code].field[i].name);
        APPEND("\n");
    }
#undef APPEND
    return used;
}
