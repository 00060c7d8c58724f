/* Files, which no poller can wait for: each call is a blocking call. Those that wait for a disk as a rule are known to
 * be slow. Also sendfile, which waits for a socket and may wait for a file on the way. */
#define _GNU_SOURCE
#include "io.h"

#include <gmptrace/net.h>

#include <fcntl.h>
#include <stdio.h> /* rename */
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define SENDFILE_BYTES_MAX (1u << 20) /* a call: the P is not to be away for longer than such a piece takes */

struct arguments {
    const char *path, *path2;
    void *buffer;
    size_t size;
    off_t offset;
    int flags;
    mode_t mode;
    struct stat *stat;
};

#define CALL(name, expression)                                                                                         \
    static __attribute__((noinline)) ssize_t do_##name(int fd, const void *arguments)                                  \
    {                                                                                                                  \
        const struct arguments *a = arguments;                                                                         \
        int before = errno;                                                                                            \
        (void)fd, (void)a;                                                                                             \
        return io_settle((expression), before);                                                                        \
    }

CALL(open, open(a->path, a->flags, a->mode))
CALL(pread, pread(fd, a->buffer, a->size, a->offset))
CALL(pwrite, pwrite(fd, a->buffer, a->size, a->offset))
CALL(fsync, fsync(fd))
CALL(fdatasync, fdatasync(fd))
CALL(ftruncate, ftruncate(fd, a->offset))
CALL(stat, stat(a->path, a->stat))
CALL(fstat, fstat(fd, a->stat))
CALL(unlink, unlink(a->path))
CALL(rename, rename(a->path, a->path2))

int gmpt_open(const char *path, int flags, mode_t mode)
{
    API_ENTER();
    struct arguments a = { .path = path, .flags = flags | O_CLOEXEC, .mode = mode };
    int fd = (int)io_block(-1, do_open, &a, false, API_SITE(gmpt_open));
    if (fd >= 0)
        netpoll_adopt(fd, m_self()->p);
    return fd;
}

ssize_t gmpt_pread(int fd, void *buffer, size_t size, off_t offset)
{
    API_ENTER();
    struct arguments a = { .buffer = buffer, .size = size, .offset = offset };
    return io_block(fd, do_pread, &a, false, API_SITE(gmpt_pread));
}

ssize_t gmpt_pwrite(int fd, const void *buffer, size_t size, off_t offset)
{
    API_ENTER();
    struct arguments a = { .buffer = (void *)(uintptr_t)buffer, .size = size, .offset = offset };
    return io_block(fd, do_pwrite, &a, false, API_SITE(gmpt_pwrite));
}

int gmpt_fsync(int fd)
{
    API_ENTER();
    return (int)io_block(fd, do_fsync, NULL, true, API_SITE(gmpt_fsync));
}

int gmpt_fdatasync(int fd)
{
    API_ENTER();
    return (int)io_block(fd, do_fdatasync, NULL, true, API_SITE(gmpt_fdatasync));
}

int gmpt_ftruncate(int fd, off_t length)
{
    API_ENTER();
    struct arguments a = { .offset = length };
    return (int)io_block(fd, do_ftruncate, &a, false, API_SITE(gmpt_ftruncate));
}

int gmpt_stat(const char *path, struct stat *result)
{
    API_ENTER();
    struct arguments a = { .path = path, .stat = result };
    return (int)io_block(-1, do_stat, &a, false, API_SITE(gmpt_stat));
}

int gmpt_fstat(int fd, struct stat *result)
{
    API_ENTER();
    struct arguments a = { .stat = result };
    return (int)io_block(fd, do_fstat, &a, false, API_SITE(gmpt_fstat));
}

int gmpt_unlink(const char *path)
{
    API_ENTER();
    struct arguments a = { .path = path };
    return (int)io_block(-1, do_unlink, &a, false, API_SITE(gmpt_unlink));
}

int gmpt_rename(const char *from, const char *to)
{
    API_ENTER();
    struct arguments a = { .path = from, .path2 = to };
    return (int)io_block(-1, do_rename, &a, false, API_SITE(gmpt_rename));
}

/* ---- from a file to a socket ---- */

struct piece {
    int file;
    off_t *offset;
    size_t size;
};

static __attribute__((noinline)) ssize_t do_sendfile(int fd, const void *arguments)
{
    const struct piece *piece = arguments;
    int before = errno;
    return io_settle(sendfile(fd, piece->file, piece->offset, piece->size), before);
}

static ssize_t sendfile_until(int socket, int file, off_t *offset, size_t size, int64_t deadline_ns,
                              struct api_site site)
{
    API_ENTER();
    if (size > INT64_MAX)
        return -EINVAL;
    size_t done = 0;
    while (done < size) {
        size_t left = size - done;
        struct piece piece = { file, offset, left < SENDFILE_BYTES_MAX ? left : SENDFILE_BYTES_MAX };
        ssize_t result = io_run_blocking(socket, do_sendfile, &piece, NETPOLL_WRITE, deadline_ns, site);
        if (result < 0)
            return result;
        if (result == 0)
            break;
        done += (size_t)result;
    }
    return (ssize_t)done;
}

ssize_t gmpt_sendfile_until(int socket, int file, off_t *offset, size_t size, int64_t deadline_ns)
{
    return sendfile_until(socket, file, offset, size, deadline_ns, API_SITE(gmpt_sendfile_until));
}

ssize_t gmpt_sendfile(int socket, int file, off_t *offset, size_t size)
{
    return sendfile_until(socket, file, offset, size, GMPT_NEVER, API_SITE(gmpt_sendfile));
}
