/* A frame's content taken apart: the sections one by one, and what each kind holds.
 *
 * All of these read bytes that came from a file, so they check every length, and return -EPROTO for what does not hold
 * together. Results point into the section's bytes and live as long as these. */
#ifndef GMPT_SECTIONS_H
#define GMPT_SECTIONS_H

#include "columns.h"
#include "dictionary.h"
#include "format.h"
#include "segment.h"
#include "writer.h"

#include <stdbool.h>

#define SECTION_RINGS_MAX (SEGMENT_MAX_PS + 3) /* one for each P, the no-P ring, the recorder's, the kernel's */
#define SECTION_STACK_MAX 256 /* addresses; more than the runtime records, to leave it room to grow */

struct section {
    unsigned kind; /* enum format_section, or one that is not known */
    const uint8_t *bytes, *end;
};

/* Takes the section at *p. Returns 1, 0 at the end, or -EPROTO. */
int section_next(const uint8_t **p, const uint8_t *end, struct section *section);

int section_clock(const struct section *section, struct writer_clock *clock);
/* A run of records, in columns. */
struct section_events {
    struct writer_events part; /* its bytes are NULL */
    struct columns columns;
};
int section_events(const struct section *section, struct section_events *events);
/* module->path is NULL: the path, which does not end with a 0, is *path. */
int section_module(const struct section *section, struct gmpt_module *module, const char **path, size_t *path_bytes);

struct section_end {
    int exit_kind, exit_code;
    uint32_t ring_count;
    struct writer_ring_end rings[SECTION_RINGS_MAX];
};
int section_end_parse(const struct section *section, struct section_end *end);

struct section_stacks {
    uint32_t ring, ordinal; /* of the stack that comes next */
    const uint8_t *p, *end;
};
int section_stacks_begin(const struct section *section, struct section_stacks *stacks);
/* Returns 1, 0 at the end, or -EPROTO. The ordinal is that of the one returned plus 1. */
int section_stacks_next(struct section_stacks *stacks, uint64_t pc[SECTION_STACK_MAX], uint32_t *count);

/* An entry of the dictionary. */
struct section_name {
    uint32_t number;
    enum dictionary_kind kind;
    uint32_t count;                        /* bytes, or pairs */
    const uint8_t *bytes;                  /* of a string; not ended with a 0 */
    uint64_t pairs[DICTIONARY_LABELS_MAX]; /* of a label set: key << 32 | value */
};
struct section_dictionary {
    uint32_t number; /* of the entry that comes next */
    const uint8_t *p, *end;
};
int section_dictionary_begin(const struct section *section, struct section_dictionary *dictionary);
/* Returns 1, 0 at the end, or -EPROTO. */
int section_dictionary_next(struct section_dictionary *dictionary, struct section_name *name);

/* The value of a key in an info section, or NULL. */
const char *section_info(const struct section *section, const char *key, size_t *length);
/* The same as a number; -1 when it is absent or none. */
int64_t section_info_number(const struct section *section, const char *key);

const char *section_clock_name(int clock); /* "tsc"; enum segment_clock */

#endif
