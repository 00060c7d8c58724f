/* Buffered text for a file descriptor. See report.h. */
#include "report.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void flush(struct report *report)
{
    size_t done = 0;
    while (done < report->length && !report->error) {
        ssize_t written = write(report->fd, report->bytes + done, report->length - done);
        if (written >= 0) {
            done += (size_t)written;
        } else if (errno == EAGAIN) { /* somebody made it non-blocking, but all of the text is wanted */
            struct pollfd wait = { .fd = report->fd, .events = POLLOUT };
            poll(&wait, 1, -1);
        } else if (errno != EINTR) {
            report->error = -errno;
        }
    }
    report->length = 0;
}

void report_begin(struct report *report, int fd)
{
    report->fd = fd;
    report->error = 0;
    report->length = 0;
}

void report_print(struct report *report, const char *format, ...)
{
    char piece[1024];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(piece, sizeof piece, format, args);
    va_end(args);
    if (length < 0)
        return;
    size_t size = (size_t)length < sizeof piece ? (size_t)length : sizeof piece - 1;
    if (report->length + size > sizeof report->bytes)
        flush(report);
    memcpy(report->bytes + report->length, piece, size);
    report->length += size;
}

int report_end(struct report *report)
{
    int errno_before = errno;
    flush(report);
    errno = errno_before;
    return report->error;
}
