/* Messages and scattered buffers: recv, send and their kin, readv, writev. Each is the system call of its name made by
 * io_run; with MSG_DONTWAIT it is made once. */
#define _GNU_SOURCE
#include "io.h"

#include <gmptrace/net.h>

#include <limits.h>
#include <string.h>
#include <sys/uio.h>

struct message {
    void *buffer;
    size_t size;
    int flags;
    struct sockaddr *address;
    socklen_t *length; /* in and out, as recvfrom takes it */
};

struct vector {
    const struct iovec *parts;
    int count;
};

struct header {
    struct msghdr *header;
    int flags;
};

static __attribute__((noinline)) ssize_t do_recvfrom(int fd, const void *arguments)
{
    const struct message *m = arguments;
    int before = errno;
    return io_settle(recvfrom(fd, m->buffer, m->size, m->flags, m->address, m->length), before);
}

static __attribute__((noinline)) ssize_t do_recv(int fd, const void *arguments)
{
    const struct message *m = arguments;
    int before = errno;
    uint32_t arrivals = netpoll_arrivals(fd);
    return io_settle_read(fd, recv(fd, m->buffer, m->size, 0), m->size, arrivals, before);
}

static __attribute__((noinline)) ssize_t do_sendto(int fd, const void *arguments)
{
    const struct message *m = arguments;
    int before = errno;
    return io_settle(sendto(fd, m->buffer, m->size, m->flags, m->address, m->length ? *m->length : 0), before);
}

static __attribute__((noinline)) ssize_t do_recvmsg(int fd, const void *arguments)
{
    const struct header *h = arguments;
    int before = errno;
    return io_settle(recvmsg(fd, h->header, h->flags), before);
}

static __attribute__((noinline)) ssize_t do_sendmsg(int fd, const void *arguments)
{
    const struct header *h = arguments;
    int before = errno;
    return io_settle(sendmsg(fd, h->header, h->flags), before);
}

static __attribute__((noinline)) ssize_t do_readv(int fd, const void *arguments)
{
    const struct vector *v = arguments;
    int before = errno;
    uint32_t arrivals = netpoll_arrivals(fd);
    ssize_t result = readv(fd, v->parts, v->count);
    size_t size = 0;
    for (int i = 0; i < v->count && result > 0; i++)
        size += v->parts[i].iov_len;
    return io_settle_read(fd, result, size, arrivals, before);
}

static __attribute__((noinline)) ssize_t do_writev(int fd, const void *arguments)
{
    const struct vector *v = arguments;
    int before = errno;
    return io_settle(writev(fd, v->parts, v->count), before);
}

static ssize_t run(int fd, io_fn *fn, const void *arguments, int flags, enum netpoll_direction direction,
                   int64_t deadline_ns, struct api_site site)
{
    API_ENTER();
    if (flags & MSG_DONTWAIT)
        return fn(fd, arguments);
    return io_run(fd, fn, arguments, direction, deadline_ns, site);
}

/* Whatever its flags ask for besides, or the bytes of a stream. */
static ssize_t run_recv(int fd, const struct message *message, int64_t deadline_ns, struct api_site site)
{
    if (message->flags)
        return run(fd, do_recvfrom, message, message->flags, NETPOLL_READ, deadline_ns, site);
    API_ENTER();
    return io_run_read(fd, do_recv, message, deadline_ns, site);
}

ssize_t gmpt_recvfrom_until(int fd, void *buffer, size_t size, int flags, struct sockaddr *address, socklen_t *length,
                            int64_t deadline_ns)
{
    struct message message = { buffer, size, flags, address, length };
    return run(fd, do_recvfrom, &message, flags, NETPOLL_READ, deadline_ns, API_SITE(gmpt_recvfrom_until));
}

ssize_t gmpt_recvfrom(int fd, void *buffer, size_t size, int flags, struct sockaddr *address, socklen_t *length)
{
    struct message message = { buffer, size, flags, address, length };
    return run(fd, do_recvfrom, &message, flags, NETPOLL_READ, GMPT_NEVER, API_SITE(gmpt_recvfrom));
}

ssize_t gmpt_recv_until(int fd, void *buffer, size_t size, int flags, int64_t deadline_ns)
{
    struct message message = { buffer, size, flags, NULL, NULL };
    return run_recv(fd, &message, deadline_ns, API_SITE(gmpt_recv_until));
}

ssize_t gmpt_recv(int fd, void *buffer, size_t size, int flags)
{
    struct message message = { buffer, size, flags, NULL, NULL };
    return run_recv(fd, &message, GMPT_NEVER, API_SITE(gmpt_recv));
}

ssize_t gmpt_sendto_until(int fd, const void *buffer, size_t size, int flags, const struct sockaddr *address,
                          socklen_t length, int64_t deadline_ns)
{
    struct message message = { (void *)(uintptr_t)buffer, size, flags, (void *)(uintptr_t)address, &length };
    return run(fd, do_sendto, &message, flags, NETPOLL_WRITE, deadline_ns, API_SITE(gmpt_sendto_until));
}

ssize_t gmpt_sendto(int fd, const void *buffer, size_t size, int flags, const struct sockaddr *address,
                    socklen_t length)
{
    struct message message = { (void *)(uintptr_t)buffer, size, flags, (void *)(uintptr_t)address, &length };
    return run(fd, do_sendto, &message, flags, NETPOLL_WRITE, GMPT_NEVER, API_SITE(gmpt_sendto));
}

ssize_t gmpt_send_until(int fd, const void *buffer, size_t size, int flags, int64_t deadline_ns)
{
    struct message message = { (void *)(uintptr_t)buffer, size, flags, NULL, NULL };
    return run(fd, do_sendto, &message, flags, NETPOLL_WRITE, deadline_ns, API_SITE(gmpt_send_until));
}

ssize_t gmpt_send(int fd, const void *buffer, size_t size, int flags)
{
    struct message message = { (void *)(uintptr_t)buffer, size, flags, NULL, NULL };
    return run(fd, do_sendto, &message, flags, NETPOLL_WRITE, GMPT_NEVER, API_SITE(gmpt_send));
}

/* Descriptors that came with a message have numbers that an earlier user may have closed behind our back. */
static void adopt_received(struct msghdr *header)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            netpoll_adopt(fd, m_self()->p);
        }
    }
}

static ssize_t recvmsg_until(int fd, struct msghdr *message, int flags, int64_t deadline_ns, struct api_site site)
{
    API_ENTER();
    struct header header = { message, flags };
    ssize_t result = run(fd, do_recvmsg, &header, flags, NETPOLL_READ, deadline_ns, site);
    if (result >= 0)
        adopt_received(message);
    return result;
}

ssize_t gmpt_recvmsg_until(int fd, struct msghdr *message, int flags, int64_t deadline_ns)
{
    return recvmsg_until(fd, message, flags, deadline_ns, API_SITE(gmpt_recvmsg_until));
}

ssize_t gmpt_recvmsg(int fd, struct msghdr *message, int flags)
{
    return recvmsg_until(fd, message, flags, GMPT_NEVER, API_SITE(gmpt_recvmsg));
}

ssize_t gmpt_sendmsg_until(int fd, const struct msghdr *message, int flags, int64_t deadline_ns)
{
    struct header header = { (void *)(uintptr_t)message, flags };
    return run(fd, do_sendmsg, &header, flags, NETPOLL_WRITE, deadline_ns, API_SITE(gmpt_sendmsg_until));
}

ssize_t gmpt_sendmsg(int fd, const struct msghdr *message, int flags)
{
    struct header header = { (void *)(uintptr_t)message, flags };
    return run(fd, do_sendmsg, &header, flags, NETPOLL_WRITE, GMPT_NEVER, API_SITE(gmpt_sendmsg));
}

/* What asks for no bytes, or for too many parts, never waits for data. */
static ssize_t readv_until(int fd, const struct vector *v, int64_t deadline_ns, struct api_site site)
{
    for (int i = 0; v->parts && v->count <= IOV_MAX && i < v->count; i++)
        if (v->parts[i].iov_len)
            return io_run_read(fd, do_readv, v, deadline_ns, site);
    return io_run(fd, do_readv, v, NETPOLL_READ, deadline_ns, site);
}

ssize_t gmpt_readv_until(int fd, const struct iovec *parts, int count, int64_t deadline_ns)
{
    struct vector vector = { parts, count };
    API_ENTER();
    return readv_until(fd, &vector, deadline_ns, API_SITE(gmpt_readv_until));
}

ssize_t gmpt_readv(int fd, const struct iovec *parts, int count)
{
    struct vector vector = { parts, count };
    API_ENTER();
    return readv_until(fd, &vector, GMPT_NEVER, API_SITE(gmpt_readv));
}

ssize_t gmpt_writev_until(int fd, const struct iovec *parts, int count, int64_t deadline_ns)
{
    struct vector vector = { parts, count };
    return run(fd, do_writev, &vector, 0, NETPOLL_WRITE, deadline_ns, API_SITE(gmpt_writev_until));
}

ssize_t gmpt_writev(int fd, const struct iovec *parts, int count)
{
    struct vector vector = { parts, count };
    return run(fd, do_writev, &vector, 0, NETPOLL_WRITE, GMPT_NEVER, API_SITE(gmpt_writev));
}
