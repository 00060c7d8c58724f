/* Text for a file descriptor, put together without stdio and without malloc: either may be locked for ever by a G that
 * the text is to tell of. A report lives in the frame of who writes it. */
#ifndef GMPT_REPORT_H
#define GMPT_REPORT_H

#include <stddef.h>

#define REPORT_BYTES 4096

struct report {
    int fd;
    int error; /* -errno of the first write that failed; nothing is written after that */
    size_t length;
    char bytes[REPORT_BYTES];
};

void report_begin(struct report *report, int fd);
/* As printf; a piece that is longer than 1023 bytes is cut. */
void report_print(struct report *report, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Writes what is left. Returns 0 or -errno of the first write that failed. Blocks as long as the descriptor does. */
int report_end(struct report *report);

#endif
