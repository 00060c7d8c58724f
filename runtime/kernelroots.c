/* What lies in descriptors and timers. See kernelroots.h.
 *
 *     epoll      fdinfo: a line for each descriptor, with its data        eventfd   fdinfo: the count
 *     pipe       tee(2) into a pipe of our own                             io_uring  cannot be read
 *     socket     recv with MSG_PEEK; one datagram after the other by       mqueue    cannot be read, if it is not empty
 *                SO_PEEK_OFF, which is put back to what it was             timer     /proc/self/timers: its value
 *
 * Of network sockets only what has been received can be seen. What a program sends to itself through the network, as a
 * pointer, and has not received yet is the assumption that the proof names. */
#define _GNU_SOURCE
#include "kernelroots.h"

#include "netpoll.h"

#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#define TEXT_BYTES 65536u
#define PEEK_BYTES 65536u
#define PIPE_ROOM (1 << 20)
#define MQUEUE_MAGIC 0x19800202

/* Nobody may allocate while the threads stand still: one of them may have malloc's lock. */
static struct {
    int pipe[2]; /* for tee; both 0 = not made yet */
    char text[TEXT_BYTES];
    uint8_t peeked[PEEK_BYTES];
    uint8_t entries[8192];
} scratch;

int kernelroots_prepare(void)
{
    if (scratch.pipe[1] > 0)
        return 0;
    if (pipe2(scratch.pipe, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    fcntl(scratch.pipe[1], F_SETPIPE_SZ, PIPE_ROOM); /* as it is, when that is too much */
    return 0;
}

int kernelroots_hide(struct proof_input *input)
{
    uint64_t start = (uint64_t)(uintptr_t)&scratch;
    return memory_map_hide(input, start, start + sizeof scratch);
}

static void give_value(struct given *given, uint64_t value) { given_add_bytes(given, &value, sizeof value); }

/* ---- text of the kernel's ---- */

/* Calls fn for each line of a file; false when it cannot be read. */
static bool read_lines(const char *path, void (*fn)(const char *line, struct given *given), struct given *given)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    size_t kept = 0;
    ssize_t count;
    while ((count = read(fd, scratch.text + kept, TEXT_BYTES - 1 - kept)) > 0) {
        scratch.text[kept + (size_t)count] = '\0';
        char *line = scratch.text, *end;
        for (; (end = strchr(line, '\n')); line = end + 1) {
            *end = '\0';
            fn(line, given);
        }
        kept = strlen(line);
        memmove(scratch.text, line, kept);
    }
    close(fd);
    return count == 0;
}

/* "tfd: 5 events: 19 data: 7f... pos:0 ..." */
static void give_epoll_line(const char *line, struct given *given)
{
    const char *data = strstr(line, " data:");
    if (strncmp(line, "tfd:", 4) == 0 && data)
        give_value(given, strtoull(data + 6, NULL, 16));
}

static void give_eventfd_line(const char *line, struct given *given)
{
    if (strncmp(line, "eventfd-count:", 14) == 0)
        give_value(given, strtoull(line + 14, NULL, 16));
}

/* "signal: 14/0000..." */
static void give_timer_line(const char *line, struct given *given)
{
    const char *slash = strncmp(line, "signal:", 7) == 0 ? strchr(line, '/') : NULL;
    if (slash)
        give_value(given, strtoull(slash + 1, NULL, 16));
}

/* "ShdPnd: 0000...": a signal that waits may have a value, which nobody can see. */
static void give_status_line(const char *line, struct given *given)
{
    if ((strncmp(line, "ShdPnd:", 7) == 0 || strncmp(line, "SigPnd:", 7) == 0) &&
        strtoull(line + 7, NULL, 16) & ~UINT64_C(0x7fffffff))
        given->overflowed = true;
}

/* ---- descriptors ---- */

static void give_pipe(int fd, struct given *given)
{
    int flags = fcntl(fd, F_GETFL), there = 0;
    if (flags < 0 || (flags & O_ACCMODE) == O_WRONLY || ioctl(fd, FIONREAD, &there) < 0 || there == 0)
        return;
    ssize_t copied = tee(fd, scratch.pipe[1], (size_t)there, SPLICE_F_NONBLOCK);
    if (copied < there)
        given->overflowed = true;
    while (copied > 0) {
        ssize_t count = read(scratch.pipe[0], scratch.peeked, PEEK_BYTES);
        if (count <= 0)
            break;
        given_add_bytes(given, scratch.peeked, (size_t)count);
        copied -= count;
    }
}

/* Peeks on and on, from the first byte or datagram to the last. */
static void peek_all(int fd, struct given *given)
{
    ssize_t count;
    while ((count = recv(fd, scratch.peeked, PEEK_BYTES, MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC)) > 0) {
        if (count > (ssize_t)PEEK_BYTES)
            given->overflowed = true;
        given_add_bytes(given, scratch.peeked, count < (ssize_t)PEEK_BYTES ? (size_t)count : PEEK_BYTES);
        if (given->overflowed)
            break;
    }
}

static void give_socket(int fd, struct given *given, uint32_t *assumptions)
{
    int domain = 0, there = 0, before = -1, first = 0;
    socklen_t size = sizeof domain, before_size = sizeof before;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0)
        return;
    if (domain != AF_UNIX) {
        *assumptions |= PROOF_NETWORK_UNREAD;
        return;
    }
    if (ioctl(fd, FIONREAD, &there) < 0 || there == 0)
        return;
    if (getsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &before, &before_size) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &first, sizeof first) < 0) {
        given->overflowed = true;
        return;
    }
    peek_all(fd, given);
    setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &before, sizeof before);
}

static void give_file(int fd, struct given *given)
{
    struct statfs fs;
    struct mq_attr attributes;
    if (fstatfs(fd, &fs) == 0 && fs.f_type == MQUEUE_MAGIC &&
        (mq_getattr(fd, &attributes) < 0 || attributes.mq_curmsgs))
        given->overflowed = true;
}

/* What has no type of file: the kernel's own kinds. */
static void give_anonymous(int fd, const char *number, struct given *given)
{
    char path[64], target[64];
    snprintf(path, sizeof path, "/proc/self/fd/%s", number);
    ssize_t length = readlink(path, target, sizeof target - 1);
    target[length > 0 ? length : 0] = '\0';
    snprintf(path, sizeof path, "/proc/self/fdinfo/%s", number);
    if (strcmp(target, "anon_inode:[eventpoll]") == 0 && !netpoll_is_poller(fd))
        given->overflowed |= !read_lines(path, give_epoll_line, given);
    else if (strcmp(target, "anon_inode:[eventfd]") == 0)
        given->overflowed |= !read_lines(path, give_eventfd_line, given);
    else if (strcmp(target, "anon_inode:[io_uring]") == 0)
        given->overflowed = true;
}

static void give_descriptor(const char *number, struct given *given, uint32_t *assumptions)
{
    struct stat st;
    int fd = atoi(number);
    if (fd == scratch.pipe[0] || fd == scratch.pipe[1] || fstat(fd, &st) < 0)
        return;
    switch (st.st_mode & S_IFMT) {
    case S_IFIFO:
        give_pipe(fd, given);
        break;
    case S_IFSOCK:
        give_socket(fd, given, assumptions);
        break;
    case S_IFREG:
        give_file(fd, given);
        break;
    case 0:
        give_anonymous(fd, number, given);
        break;
    }
}

struct entry {
    uint64_t inode;
    int64_t offset;
    uint16_t bytes;
    uint8_t type;
    char name[];
};

void kernelroots_give(struct given *given, uint32_t *assumptions)
{
    int errno_before = errno;
    int directory = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long count = -1;
    while (directory >= 0 &&
           (count = syscall(SYS_getdents64, directory, scratch.entries, sizeof scratch.entries)) > 0) {
        for (long at = 0; at < count;) {
            const struct entry *entry = (const struct entry *)(scratch.entries + at);
            if (entry->name[0] != '.')
                give_descriptor(entry->name, given, assumptions);
            at += entry->bytes;
        }
    }
    if (count < 0)
        given->overflowed = true;
    if (directory >= 0)
        close(directory);
    if (!read_lines("/proc/self/timers", give_timer_line, given))
        *assumptions |= PROOF_TIMERS_UNREAD;
    if (!read_lines("/proc/self/status", give_status_line, given))
        given->overflowed = true;
    errno = errno_before;
}
