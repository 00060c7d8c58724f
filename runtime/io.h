/* System calls on descriptors, made for Gs: tried at once, and again whenever the poller says that they may go on. */
#ifndef GMPT_IO_H
#define GMPT_IO_H

#include "netpoll.h"

#include <sys/socket.h>
#include <sys/types.h>

/* Makes one system call. Returns its result or -errno, and leaves errno, which is the G's, as it was (io_settle). Must
 * not be inlined into what may switch: its caller goes on on another thread, where a kept address of errno is the wrong
 * thread's. */
typedef ssize_t io_fn(int fd, const void *arguments);

static inline ssize_t io_settle(ssize_t result, int errno_before)
{
    if (result < 0) {
        result = -errno;
        errno = errno_before;
    }
    return result;
}

/* The same for a call that reads a stream, without flags, into so many bytes; arrivals are netpoll_arrivals of before.
 */
static inline ssize_t io_settle_read(int fd, ssize_t result, size_t size, uint32_t arrivals, int errno_before)
{
    if (result > 0 && (size_t)result < size)
        netpoll_drained(fd, arrivals);
    return io_settle(result, errno_before);
}

/* Makes the call until it does not say EAGAIN, and waits for fd in between. What cannot be polled (a regular file) is
 * called once, in a blocking call. */
ssize_t io_run(int fd, io_fn *fn, const void *arguments, enum netpoll_direction direction, int64_t deadline_ns,
               struct api_site site);
/* The same for a call that ends with io_settle_read: where nothing can have come, it waits before the first try. */
ssize_t io_run_read(int fd, io_fn *fn, const void *arguments, int64_t deadline_ns, struct api_site site);
/* The same for a call that may also block the thread: each try is a blocking call. */
ssize_t io_run_blocking(int fd, io_fn *fn, const void *arguments, enum netpoll_direction direction, int64_t deadline_ns,
                        struct api_site site);
/* Makes the call once, as a blocking call. */
ssize_t io_block(int fd, io_fn *fn, const void *arguments, bool known_slow, struct api_site site);

int io_connect(int fd, const struct sockaddr *address, socklen_t length, int64_t deadline_ns, struct api_site site);
int io_close(int fd, struct api_site site);

#endif
