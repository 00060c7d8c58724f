/* read, write, accept, connect for Gs: try the system call, wait for the descriptor when it would block, try again. */
#define _GNU_SOURCE
#include "call.h"
#include "netpoll.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Not a macro over a GNU statement: each operation keeps its own arguments in one of these. */
struct operation {
    int fd;
    void *buffer;
    size_t size;
    struct sockaddr *address;
    socklen_t *length;
};

/* Returns the system call's result or -errno, and leaves errno, which is the G's, as it was. Never inlined into what
 * may switch: its caller goes on on another thread, where a kept address of errno is the wrong thread's. */
typedef ssize_t operation_fn(const struct operation *operation);

static inline ssize_t settle(ssize_t result, int errno_before)
{
    if (result < 0) {
        result = -errno;
        errno = errno_before;
    }
    return result;
}

static __attribute__((noinline)) ssize_t do_read(const struct operation *o)
{
    int before = errno;
    return settle(read(o->fd, o->buffer, o->size), before);
}

static __attribute__((noinline)) ssize_t do_write(const struct operation *o)
{
    int before = errno;
    return settle(write(o->fd, o->buffer, o->size), before);
}

static __attribute__((noinline)) ssize_t do_accept(const struct operation *o)
{
    int before = errno;
    return settle(accept4(o->fd, o->address, o->length, SOCK_NONBLOCK | SOCK_CLOEXEC), before);
}

/* What cannot be polled (a regular file) is done in a blocking call, where nothing but the system call may happen. */
static ssize_t blocking(operation_fn *fn, const struct operation *operation, struct api_site site)
{
    call_begin(site);
    ssize_t result = fn(operation);
    call_end();
    return result;
}

static ssize_t run(operation_fn *fn, const struct operation *operation, enum netpoll_direction direction,
                   int64_t deadline_ns, struct api_site site)
{
    int error = netpoll_register(operation->fd);
    if (error == -EPERM)
        return blocking(fn, operation, site);
    if (error)
        return error;
    for (;;) {
        ssize_t result = fn(operation);
        if (result == -EINTR)
            continue;
        if (result != -EAGAIN && result != -EWOULDBLOCK)
            return result;
        error = netpoll_block(operation->fd, direction, deadline_ns, site);
        if (error)
            return error;
    }
}

ssize_t gmpt_read_until(int fd, void *buffer, size_t size, int64_t deadline_ns)
{
    API_ENTER();
    struct operation operation = { .fd = fd, .buffer = buffer, .size = size };
    return run(do_read, &operation, NETPOLL_READ, deadline_ns, API_SITE(gmpt_read_until));
}

ssize_t gmpt_read(int fd, void *buffer, size_t size)
{
    API_ENTER();
    struct operation operation = { .fd = fd, .buffer = buffer, .size = size };
    return run(do_read, &operation, NETPOLL_READ, GMPT_NEVER, API_SITE(gmpt_read));
}

ssize_t gmpt_write_until(int fd, const void *buffer, size_t size, int64_t deadline_ns)
{
    API_ENTER();
    struct operation operation = { .fd = fd, .buffer = (void *)(uintptr_t)buffer, .size = size };
    return run(do_write, &operation, NETPOLL_WRITE, deadline_ns, API_SITE(gmpt_write_until));
}

ssize_t gmpt_write(int fd, const void *buffer, size_t size)
{
    API_ENTER();
    struct operation operation = { .fd = fd, .buffer = (void *)(uintptr_t)buffer, .size = size };
    return run(do_write, &operation, NETPOLL_WRITE, GMPT_NEVER, API_SITE(gmpt_write));
}

static int accept_until(int fd, struct sockaddr *address, socklen_t *length, int64_t deadline_ns, struct api_site site)
{
    API_ENTER();
    struct operation operation = { .fd = fd, .address = address, .length = length };
    int result = (int)run(do_accept, &operation, NETPOLL_READ, deadline_ns, site);
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
    return (int)settle(connect(fd, address, length), before);
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
    return (int)settle(-1, before);
}

static int connect_until(int fd, const struct sockaddr *address, socklen_t length, int64_t deadline_ns,
                         struct api_site site)
{
    API_ENTER();
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
    return connect_until(fd, address, length, deadline_ns, API_SITE(gmpt_connect_until));
}

int gmpt_connect(int fd, const struct sockaddr *address, socklen_t length)
{
    return connect_until(fd, address, length, GMPT_NEVER, API_SITE(gmpt_connect));
}

static __attribute__((noinline)) ssize_t do_close(const struct operation *o)
{
    int before = errno;
    return settle(close(o->fd), before);
}

int gmpt_close(int fd)
{
    API_ENTER();
    struct operation operation = { .fd = fd };
    netpoll_close_begin(fd, m_self()->p);
    int result = (int)blocking(do_close, &operation, API_SITE(gmpt_close)); /* it may linger */
    netpoll_close_end(fd);
    return result;
}
