/* See eventjson.h. */
#include "eventjson.h"

#include "cli.h"

#include "trace/events.h"

#include <inttypes.h>
#include <string.h>

static void labels_json(const struct gmpt_trace *trace, FILE *out, uint64_t labels)
{
    uint32_t count = gmpt_trace_label_count(trace, labels);
    fputc('{', out);
    for (uint32_t i = 0; i < count; i++) {
        struct gmpt_trace_label label = gmpt_trace_label(trace, labels, i);
        fputs(i ? ", " : "", out);
        cli_json_string(out, label.key);
        fputs(": ", out);
        cli_json_string(out, label.value);
    }
    fputc('}', out);
}

static void value_json(const struct gmpt_trace *trace, struct places *places, FILE *out, const struct gmpt_event *event,
                       unsigned index)
{
    const struct event_field *field = &event_specs[event->type].field[index];
    uint64_t value = event->field[index];
    if (event->type == GMPT_EVENT_go_unblock && strcmp(field->name, "by") == 0) {
        fprintf(out, "\"%s\"", gmpt_waker_words(value < GMPT_WAKERS ? (enum gmpt_waker)value : GMPT_WAKER_UNKNOWN));
        return;
    }
    switch (field->kind) {
    case EVENT_KIND_reason:
        fprintf(out, "\"%s\"", event_reason_name(value) ? event_reason_name(value) : "unknown");
        break;
    case EVENT_KIND_addr:
        if (strcmp(field->name, "fn") == 0)
            place_function_json(places, out, value);
        else
            fprintf(out, "\"0x%" PRIx64 "\"", value);
        break;
    case EVENT_KIND_stack:
        place_json(places, out, value > UINT32_MAX ? 0 : (uint32_t)value);
        break;
    case EVENT_KIND_string:
        cli_json_string(out, gmpt_trace_string(trace, value));
        break;
    case EVENT_KIND_labels:
        labels_json(trace, out, value);
        break;
    default:
        fprintf(out, "%" PRIu64, value);
    }
}

void eventjson_print(const struct gmpt_trace *trace, struct places *places, FILE *out, const struct gmpt_event *event)
{
    if (event->type == GMPT_EVENT_user_log_text || !event_known(event->type))
        return;
    fprintf(out, "{\"time_ns\": %" PRId64 ", \"p\": ", event->time_ns);
    fprintf(out, event->p >= 0 ? "%d" : "null", event->p);
    fprintf(out, ", \"g\": ");
    fprintf(out, event->g ? "%" PRIu64 : "null", event->g);
    fprintf(out, ", \"event\": \"%s\"", gmpt_event_name(event->type));
    fputs(", \"fields\": {", out);
    for (unsigned i = 0; i < event_field_counts[event->type]; i++) {
        fprintf(out, "%s\"%s\": ", i ? ", " : "", event_specs[event->type].field[i].name);
        value_json(trace, places, out, event, i);
    }
    fputc('}', out);
    if (event->type == GMPT_EVENT_user_log) {
        fputs(", \"text\": ", out);
        cli_json_string(out, gmpt_trace_log_text(trace, NULL));
    }
    fputs("}\n", out);
}
