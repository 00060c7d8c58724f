/* read, write, accept, connect, poll, close for Gs, and the loop that all calls on descriptors share. See io.h. */
#define _GNU_SOURCE
#include "io.h"

#include "call.h"

#include <poll.h>
#include <unistd.h>

struct bytes {
    void *at;
    size_t size;
};

struct peer {
    struct sockaddr *address;
    socklen_t *length;
};

static __attribute__((noinline)) ssize_t do_read(int fd, const void *arguments)
{
    const struct bytes *bytes = arguments;
    int before = errno;
    uint32_t arrivals = netpoll_arrivals(fd);
    return io_settle_read(fd, read(fd, bytes->at, bytes->size), bytes->size, arrivals, before);
}

static __attribute__((noinline)) ssize_t do_write(int fd, const void *arguments)
{
    const struct bytes *bytes = arguments;
    int before = errno;
    return io_settle(write(fd, bytes->at, bytes->size), before);
}

static __attribute__((noinline)) ssize_t do_accept(int fd, const void *arguments)
{
    const struct peer *peer = arguments;
    int before = errno;
    return io_settle(accept4(fd, peer->address, peer->length, SOCK_NONBLOCK | SOCK_CLOEXEC), before);
}

ssize_t io_block(int fd, io_fn *fn, const void *arguments, bool known_slow, struct api_site site)
{
    call_begin(known_slow, site);
    ssize_t result = fn(fd, arguments);
    call_end();
    return result;
}

static inline __attribute__((always_inline)) ssize_t run(int fd, io_fn *fn, const void *arguments, bool may_block,
                                                         enum netpoll_direction direction, int64_t deadline_ns,
                                                         struct api_site site)
{
    int error = netpoll_register(fd);
    if (error == -EPERM)
        return io_block(fd, fn, arguments, false, site);
    if (error)
        return error;
    for (;;) {
        ssize_t result = may_block ? io_block(fd, fn, arguments, false, site) : fn(fd, arguments);
        if (result == -EINTR)
            continue;
        if (result != -EAGAIN && result != -EWOULDBLOCK)
            return result;
        error = netpoll_block(fd, direction, deadline_ns, site);
        if (error)
            return error;
    }
}

ssize_t io_run(int fd, io_fn *fn, const void *arguments, enum netpoll_direction direction, int64_t deadline_ns,
               struct api_site site)
{
    return run(fd, fn, arguments, false, direction, deadline_ns, site);
}

ssize_t io_run_blocking(int fd, io_fn *fn, const void *arguments, enum netpoll_direction direction, int64_t deadline_ns,
                        struct api_site site)
{
    return run(fd, fn, arguments, true, direction, deadline_ns, site);
}

ssize_t io_run_read(int fd, io_fn *fn, const void *arguments, int64_t deadline_ns, struct api_site site)
{
    int error = netpoll_await_arrival(fd, deadline_ns, site);
    if (error && error != -ETIMEDOUT) /* after the deadline, too, what has come is read */
        return error;
    return run(fd, fn, arguments, false, NETPOLL_READ, deadline_ns, site);
}

static ssize_t read_until(int fd, const struct bytes *bytes, int64_t deadline_ns, struct api_site site)
{
    if (unlikely(bytes->size == 0)) /* never waits for data */
        return io_run(fd, do_read, bytes, NETPOLL_READ, deadline_ns, site);
    return io_run_read(fd, do_read, bytes, deadline_ns, site);
}

ssize_t gmpt_read_until(int fd, void *buffer, size_t size, int64_t deadline_ns)
{
    API_ENTER();
    return read_until(fd, &(struct bytes){ buffer, size }, deadline_ns, API_SITE(gmpt_read_until));
}

ssize_t gmpt_read(int fd, void *buffer, size_t size)
{
    API_ENTER();
    return read_until(fd, &(struct bytes){ buffer, size }, GMPT_NEVER, API_SITE(gmpt_read));
}

static ssize_t write_until(int fd, const struct bytes *bytes, int64_t deadline_ns, struct api_site site)
{
    return io_run(fd, do_write, bytes, NETPOLL_WRITE, deadline_ns, site);
}

ssize_t gmpt_write_until(int fd, const void *buffer, size_t size, int64_t deadline_ns)
{
    API_ENTER();
    return write_until(fd, &(struct bytes){ (void *)(uintptr_t)buffer, size }, deadline_ns, API_SITE(gmpt_write_until));
}

ssize_t gmpt_write(int fd, const void *buffer, size_t size)
{
    API_ENTER();
    return write_until(fd, &(struct bytes){ (void *)(uintptr_t)buffer, size }, GMPT_NEVER, API_SITE(gmpt_write));
}

/* ---- everything at once, or why not ---- */

typedef ssize_t some_fn(int fd, const struct bytes *bytes, int64_t deadline_ns, struct api_site site);

static int all(int fd, some_fn *fn, char *at, size_t size, size_t *done, int64_t deadline_ns, struct api_site site)
{
    size_t count = 0;
    ssize_t result = 0;
    while (count < size) {
        struct bytes bytes = { at + count, size - count };
        result = fn(fd, &bytes, deadline_ns, site);
        if (result <= 0)
            break;
        count += (size_t)result;
    }
    if (done)
        *done = count;
    return count == size ? 0 : result < 0 ? (int)result : -ENODATA;
}

int gmpt_read_full_until(int fd, void *buffer, size_t size, size_t *done, int64_t deadline_ns)
{
    API_ENTER();
    return all(fd, read_until, buffer, size, done, deadline_ns, API_SITE(gmpt_read_full_until));
}

int gmpt_read_full(int fd, void *buffer, size_t size, size_t *done)
{
    API_ENTER();
    return all(fd, read_until, buffer, size, done, GMPT_NEVER, API_SITE(gmpt_read_full));
}

int gmpt_write_full_until(int fd, const void *buffer, size_t size, size_t *done, int64_t deadline_ns)
{
    API_ENTER();
    return all(fd, write_until, (char *)(uintptr_t)buffer, size, done, deadline_ns, API_SITE(gmpt_write_full_until));
}

int gmpt_write_full(int fd, const void *buffer, size_t size, size_t *done)
{
    API_ENTER();
    return all(fd, write_until, (char *)(uintptr_t)buffer, size, done, GMPT_NEVER, API_SITE(gmpt_write_full));
}

/* ---- connections ---- */

static int accept_until(int fd, struct sockaddr *address, socklen_t *length, int64_t deadline_ns, struct api_site site)
{
    API_ENTER();
    struct peer peer = { address, length };
    int result = (int)io_run(fd, do_accept, &peer, NETPOLL_READ, deadline_ns, site);
    if (result >= 0)
        netpoll_adopt(result, m_self()->p);
    return result;
}

int gmpt_accept_until(int fd, struct sockaddr *address, socklen_t *length, int64_t deadline_ns)
{
    return accept_until(fd, address, length, deadline_ns, API_SITE(gmpt_accept_until));
}

int gmpt_accept(int fd, struct sockaddr *address, socklen_t *length)
{
    return accept_until(fd, address, length, GMPT_NEVER, API_SITE(gmpt_accept));
}

static __attribute__((noinline)) int connect_begin(int fd, const struct sockaddr *address, socklen_t length)
{
    int before = errno;
    return (int)io_settle(connect(fd, address, length), before);
}

/* How the connect has ended; -ENOTCONN = it has not. */
static __attribute__((noinline)) int connect_outcome(int fd)
{
    int before = errno, error;
    struct sockaddr_storage peer;
    socklen_t size = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0) {
        if (error)
            return -error;
        size = sizeof peer;
        if (getpeername(fd, (struct sockaddr *)&peer, &size) == 0)
            return 0;
    }
    return (int)io_settle(-1, before);
}

int io_connect(int fd, const struct sockaddr *address, socklen_t length, int64_t deadline_ns, struct api_site site)
{
    netpoll_renew(fd);
    int result = netpoll_register(fd);
    if (result)
        return result;
    result = connect_begin(fd, address, length);
    if (result != -EINPROGRESS && result != -EINTR)
        return result;
    for (;;) {
        int error = netpoll_block(fd, NETPOLL_WRITE, deadline_ns, site);
        if (error)
            return error;
        result = connect_outcome(fd);
        if (result != -ENOTCONN) /* else it was an edge of before the connect: go on waiting */
            return result;
    }
}

int gmpt_connect_until(int fd, const struct sockaddr *address, socklen_t length, int64_t deadline_ns)
{
    API_ENTER();
    return io_connect(fd, address, length, deadline_ns, API_SITE(gmpt_connect_until));
}

int gmpt_connect(int fd, const struct sockaddr *address, socklen_t length)
{
    API_ENTER();
    return io_connect(fd, address, length, GMPT_NEVER, API_SITE(gmpt_connect));
}

static __attribute__((noinline)) ssize_t do_close(int fd, const void *arguments)
{
    (void)arguments;
    int before = errno;
    return io_settle(close(fd), before);
}

int io_close(int fd, struct api_site site)
{
    netpoll_close_begin(fd, m_self()->p);
    int result = (int)io_block(fd, do_close, NULL, false, site); /* it may linger */
    netpoll_close_end(fd);
    return result;
}

int gmpt_close(int fd)
{
    API_ENTER();
    return io_close(fd, API_SITE(gmpt_close));
}

static __attribute__((noinline)) ssize_t do_shutdown(int fd, const void *arguments)
{
    int before = errno;
    return io_settle(shutdown(fd, *(const int *)arguments), before);
}

int gmpt_shutdown(int fd, int how) { return (int)do_shutdown(fd, &how); }

/* ---- readiness ---- */

static __attribute__((noinline)) int poll_now(int fd, short events)
{
    int before = errno;
    struct pollfd pollfd = { .fd = fd, .events = events };
    int result = (int)io_settle(poll(&pollfd, 1, 0), before);
    if (result > 0 && (pollfd.revents & POLLNVAL))
        return -EBADF;
    return result > 0 ? pollfd.revents : result;
}

int gmpt_poll(int fd, short events, int64_t deadline_ns)
{
    API_ENTER();
    if (fd < 0)
        return -EBADF;
    if (events == 0 || (events & ~(POLLIN | POLLRDHUP | POLLOUT)))
        return -EINVAL;
    enum netpoll_direction direction = events & POLLOUT ? NETPOLL_WRITE : NETPOLL_READ;
    if ((events & POLLOUT) && (events & (POLLIN | POLLRDHUP)))
        direction = NETPOLL_BOTH;
    for (;;) {
        int result = poll_now(fd, events);
        if (result == -EINTR)
            continue;
        if (result != 0)
            return result;
        result = netpoll_block(fd, direction, deadline_ns, API_SITE(gmpt_poll));
        if (result)
            return result;
    }
}
