/* The texts of a report, each written once: strings, functions, and stacks as the user's frames. What shows the same is
 * the same number, so the page can add up by numbers. */
#ifndef GMPT_REPORT_NAMES_H
#define GMPT_REPORT_NAMES_H

#include "load.h"

#include <stdint.h>
#include <stdio.h>

struct report_names;

/* NULL with errno ENOMEM. The load must outlive it. */
struct report_names *report_names_open(struct load *load);
void report_names_close(struct report_names *names); /* NULL: nothing */

/* Numbers; -ENOMEM. A string's is its index in "strings", 0 = "". */
int64_t report_string(struct report_names *names, const char *text);
int64_t report_function(struct report_names *names, uint64_t fn); /* the string with its name; 0 = not known */
int64_t report_frame(struct report_names *names, const char *function, const char *file, int line);
int64_t report_stack(struct report_names *names, uint32_t stack); /* an index in "stacks"; 0 = not known */

/* "strings": [...], "frames": [[function, file, line], ...], "stacks": [[frame, ...], ...]. Leaf first. All must be
 * known by now; call it last. Returns 0 or -ENOMEM. */
int report_names_write(struct report_names *names, FILE *out);

#endif
