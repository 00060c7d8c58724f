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

typedef ssize_t operation_fn(const struct operation *operation);

static ssize_t do_read(const struct operation *o) { return read(o->fd, o->buffer, o->size); }
static ssize_t do_write(const struct operation *o) { return write(o->fd, o->buffer, o->size); }
static ssize_t do_accept(const struct operation *o)
{
    return accept4(o->fd, o->address, o->length, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

/* What cannot be polled (a regular file) is done in a blocking call, where nothing but the system call may happen. */
static ssize_t blocking(operation_fn *fn, const struct operation *operation, struct api_site site)
{
    call_begin(site);
    ssize_t result = fn(operation);
    int error = errno;
    call_end();
    return result < 0 ? -error : result;
}

static ssize_t run(operation_fn *fn, const struct operation *operation, enum netpoll_direction direction,
                   int64_t deadline_ns, struct api_site site)
{
    scheduler_safepoint(m_self());
    int error = netpoll_register(operation->fd);
    if (error == -EPERM)
        return blocking(fn, operation, site);
    if (error)
        return error;
    for (;;) {
        ssize_t result = fn(operation);
        if (result >= 0)
            return result;
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK)
            return -errno;
        error = netpoll_block(operation->fd, direction, deadline_ns, site);
        if (error)
            return error;
    }
}

ssize_t gmpt_read_until(int fd, void *buffer, size_t size, int64_t deadline_ns)
{
    struct operation operation = { .fd = fd, .buffer = buffer, .size = size };
    return run(do_read, &operation, NETPOLL_READ, deadline_ns, API_SITE(gmpt_read_until));
}

ssize_t gmpt_read(int fd, void *buffer, size_t size)
{
    struct operation operation = { .fd = fd, .buffer = buffer, .size = size };
    return run(do_read, &operation, NETPOLL_READ, GMPT_NEVER, API_SITE(gmpt_read));
}

ssize_t gmpt_write_until(int fd, const void *buffer, size_t size, int64_t deadline_ns)
{
    struct operation operation = { .fd = fd, .buffer = (void *)(uintptr_t)buffer, .size = size };
    return run(do_write, &operation, NETPOLL_WRITE, deadline_ns, API_SITE(gmpt_write_until));
}

ssize_t gmpt_write(int fd, const void *buffer, size_t size)
{
    struct operation operation = { .fd = fd, .buffer = (void *)(uintptr_t)buffer, .size = size };
    return run(do_write, &operation, NETPOLL_WRITE, GMPT_NEVER, API_SITE(gmpt_write));
}

static int accept_until(int fd, struct sockaddr *address, socklen_t *length, int64_t deadline_ns, struct api_site site)
{
    struct operation operation = { .fd = fd, .address = address, .length = length };
    int result = (int)run(do_accept, &operation, NETPOLL_READ, deadline_ns, site);
    if (result >= 0)
        netpoll_adopt(result);
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

static int connect_until(int fd, const struct sockaddr *address, socklen_t length, int64_t deadline_ns,
                         struct api_site site)
{
    netpoll_adopt(fd);
    int error = netpoll_register(fd);
    if (error)
        return error;
    if (connect(fd, address, length) == 0)
        return 0;
    if (errno != EINPROGRESS && errno != EINTR)
        return -errno;
    for (;;) {
        error = netpoll_block(fd, NETPOLL_WRITE, deadline_ns, site);
        if (error)
            return error;
        socklen_t size = sizeof error;
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
            return -errno;
        if (error)
            return -error;
        struct sockaddr_storage peer;
        size = sizeof peer;
        if (getpeername(fd, (struct sockaddr *)&peer, &size) == 0)
            return 0;
        if (errno != ENOTCONN)
            return -errno;
        /* An edge of before the connect: go on waiting. */
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

int gmpt_close(int fd)
{
    netpoll_forget(fd, m_self()->p);
    return close(fd) < 0 ? -errno : 0;
}
