/* The reader's dictionary: what the numbers of strings and label sets in a trace mean. See dictionary.h for the
 * runtime's side. */
#ifndef GMPT_NAMESET_H
#define GMPT_NAMESET_H

#include "sections.h"

#include <stddef.h>
#include <stdint.h>

#define NAMESET_ENTRIES_MAX (1u << 20)
#define NAMESET_BYTES_MAX ((size_t)64 << 20)

struct nameset_entry;

/* Zero-initialised is empty. */
struct nameset {
    struct nameset_entry **entries; /* by number - 1; NULL = not known */
    uint32_t room;
    size_t bytes;
    uint64_t refused; /* entries over one of the limits */
};

void nameset_clear(struct nameset *set);
/* Enters an entry, unless its number is taken. Returns 0 or -ENOMEM. */
int nameset_add(struct nameset *set, const struct section_name *name);

/* The string with this number; "" when it is not known or no string. It lives as long as the set. */
const char *nameset_string(const struct nameset *set, uint64_t number);
/* How many labels the set with this number has; 0 when it is not known or no label set. */
uint32_t nameset_label_count(const struct nameset *set, uint64_t number);
struct gmpt_trace_label nameset_label(const struct nameset *set, uint64_t number, uint32_t index);

#endif
