/* The event table in the forms that code needs: specifications by code, decoder and encoder of one record as it is in a
 * ring, and the schema, by which a reader knows which kinds of a file are not its own. */
#ifndef GMPT_EVENTS_H
#define GMPT_EVENTS_H

#include "leb.h"

#include <gmptrace/trace.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum event_kind {
    EVENT_KIND_g = 1,
    EVENT_KIND_seq,
    EVENT_KIND_stack,
    EVENT_KIND_addr,
    EVENT_KIND_num,
    EVENT_KIND_p,
    EVENT_KIND_reason,
    EVENT_KIND_ns,
    EVENT_KIND_string,
    EVENT_KIND_labels,
    EVENT_KIND_text,
    EVENT_KINDS
};

struct event_field {
    enum event_kind kind;
    const char *name, *doc;
};

struct event_spec {
    const char *name, *doc;                              /* NULL: no event has this code */
    struct event_field field[GMPT_EVENT_FIELDS_MAX + 1]; /* those in use come first; name NULL ends them */
};

extern const struct event_spec event_specs[GMPT_EVENT_CODES];
extern const uint8_t event_field_counts[GMPT_EVENT_CODES];

/* A record's most bytes: the code, the time and every field at its longest. */
#define EVENT_BYTES_MAX (1 + (1 + GMPT_EVENT_FIELDS_MAX) * LEB_MAX_BYTES)

static inline bool event_known(unsigned code) { return code < GMPT_EVENT_CODES && event_specs[code].name != NULL; }

const char *event_kind_name(enum event_kind kind); /* "addr" */
const char *event_reason_name(uint64_t reason);    /* "chan_send"; NULL for no known reason */
int event_reason_find(const char *name);           /* the reason with this name, or -1 */
int event_find(const char *name, size_t length);   /* the code of the event with this name, or -1 */
/* The index of the field that is a stack, or -1. */
int event_stack_field(unsigned code);

/* Reads one record of a known code from [p, end): its code, ticks since the record before, and fields, those that it
 * has not got being 0. Returns the first byte after it, or NULL when it is cut off, malformed, or of no known code. */
const uint8_t *event_decode(const uint8_t *p, const uint8_t *end, unsigned *code, uint64_t *delta,
                            uint64_t fields[GMPT_EVENT_FIELDS_MAX]);

/* Writes one record at p, which has EVENT_BYTES_MAX of room. Returns the first byte after it. */
uint8_t *event_encode(uint8_t *p, unsigned code, uint64_t delta, const uint64_t fields[GMPT_EVENT_FIELDS_MAX]);

#define EVENT_SCHEMA_FIELDS_MAX 255 /* that events to come may have */

/* What a file says about its own events. */
struct event_schema {
    bool native[GMPT_EVENT_CODES]; /* this version has the same event, with the same fields */
};

/* This version's own. */
void event_schema_init(struct event_schema *schema);
/* Replaces *schema by what text says. Lines that do not start with "event " are for newer versions. Returns 0, or
 * -EPROTO when a line is malformed; *schema is then as it was. */
int event_schema_parse(struct event_schema *schema, const char *text, size_t size);
/* This version's own as text, for the file. Writes at most size bytes and returns how many it takes, as snprintf. */
size_t event_schema_print(char *buffer, size_t size);

#endif
