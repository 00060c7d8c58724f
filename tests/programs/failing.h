/* Makes the n-th call of one function fail, for a program to which the linker sends its own and the library's calls of
 * these functions (--wrap in the Makefile). Included by the one file of such a program.
 *
 *     FAIL=malloc:7   the 7th call of malloc fails, as if memory were short
 *     FAIL=malloc:7+  so do all that follow
 *     FAIL=malloc:0   none fails; they are counted
 *
 * FAIL=mprotect also takes the light guards away, as an older kernel would: only then is it called.
 * process_madvise fails by doing the first part only of what it was asked for. */
#ifndef GMPT_TEST_FAILING_H
#define GMPT_TEST_FAILING_H

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

static char failing[32];
static unsigned fail_at, fail_calls;
static bool fail_on;

static bool fails(const char *name)
{
    if (strcmp(name, failing) != 0)
        return false;
    unsigned call = __atomic_add_fetch(&fail_calls, 1, __ATOMIC_RELAXED);
    return fail_on ? call >= fail_at : call == fail_at;
}

/* Whether what was asked for has happened: before that no error may be told. */
static inline bool failed_yet(void)
{
    return fail_at && __atomic_load_n(&fail_calls, __ATOMIC_RELAXED) >= fail_at;
}

static void fail_start(void)
{
    const char *text = getenv("FAIL");
    const char *colon = text ? strchr(text, ':') : NULL;
    if (!colon || (size_t)(colon - text) >= sizeof failing)
        return;
    fail_at = (unsigned)strtoul(colon + 1, NULL, 10);
    fail_on = strchr(colon, '+') != NULL;
    memcpy(failing, text, (size_t)(colon - text)); /* from here on it counts */
}

#define WRAP(type, name, parameters, arguments, otherwise)                                                             \
    type __real_##name parameters;                                                                                     \
    type __wrap_##name parameters;                                                                                     \
    type __wrap_##name parameters { return fails(#name) ? otherwise : __real_##name arguments; }

static void *no_memory(void)
{
    errno = ENOMEM;
    return NULL;
}
static void *no_mapping(void)
{
    errno = ENOMEM;
    return MAP_FAILED;
}
static int minus_one(int error)
{
    errno = error;
    return -1;
}

WRAP(void *, malloc, (size_t size), (size), no_memory())
WRAP(void *, calloc, (size_t count, size_t size), (count, size), no_memory())
WRAP(void *, realloc, (void *old, size_t size), (old, size), no_memory())
WRAP(void *, aligned_alloc, (size_t alignment, size_t size), (alignment, size), no_memory())
WRAP(void *, mmap, (void *at, size_t size, int protection, int flags, int fd, off_t offset),
     (at, size, protection, flags, fd, offset), no_mapping())
WRAP(int, munmap, (void *at, size_t size), (at, size), minus_one(ENOMEM))
WRAP(int, mprotect, (void *at, size_t size, int protection), (at, size, protection), minus_one(ENOMEM))
WRAP(int, pthread_create, (pthread_t * thread, const pthread_attr_t *attributes, void *(*fn)(void *), void *arg),
     (thread, attributes, fn, arg), EAGAIN)
WRAP(int, epoll_create1, (int flags), (flags), minus_one(EMFILE))
WRAP(int, epoll_ctl, (int epoll, int operation, int fd, struct epoll_event *event), (epoll, operation, fd, event),
     minus_one(ENOSPC))
WRAP(int, eventfd, (unsigned value, int flags), (value, flags), minus_one(EMFILE))
WRAP(char *, strdup, (const char *text), (text), no_memory())
WRAP(int, epoll_wait, (int epoll, struct epoll_event *events, int room, int timeout_ms),
     (epoll, events, room, timeout_ms), minus_one(EBADF))
WRAP(int, epoll_pwait2,
     (int epoll, struct epoll_event *events, int room, const struct timespec *timeout, const sigset_t *mask),
     (epoll, events, room, timeout, mask), minus_one(ENOSYS))
WRAP(int, sigaction, (int signo, const struct sigaction *action, struct sigaction *old), (signo, action, old),
     minus_one(EINVAL))
WRAP(int, sigaltstack, (const stack_t *stack, stack_t *old), (stack, old), minus_one(ENOMEM))
WRAP(int, getaddrinfo,
     (const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result),
     (node, service, hints, result), EAI_MEMORY)
WRAP(int, socket, (int family, int type, int protocol), (family, type, protocol), minus_one(EMFILE))
WRAP(int, setsockopt, (int fd, int level, int option, const void *value, socklen_t size),
     (fd, level, option, value, size), minus_one(ENOBUFS))
WRAP(int, bind, (int fd, const struct sockaddr *address, socklen_t size), (fd, address, size), minus_one(ENOMEM))
WRAP(int, listen, (int fd, int backlog), (fd, backlog), minus_one(ENOBUFS))
WRAP(int, connect, (int fd, const struct sockaddr *address, socklen_t size), (fd, address, size), minus_one(ENOMEM))
WRAP(int, accept4, (int fd, struct sockaddr *address, socklen_t *size, int flags), (fd, address, size, flags),
     minus_one(EMFILE))
WRAP(int, memfd_create, (const char *name, unsigned flags), (name, flags), minus_one(ENFILE))
WRAP(int, ftruncate, (int fd, off_t size), (fd, size), minus_one(ENOSPC))
WRAP(int, fcntl, (int fd, int command, long value), (fd, command, value), minus_one(ENOLCK))

int __real_madvise(void *at, size_t size, int advice);
int __wrap_madvise(void *at, size_t size, int advice);
int __wrap_madvise(void *at, size_t size, int advice)
{
    if (advice == MADV_GUARD_INSTALL && strcmp(failing, "mprotect") == 0)
        return minus_one(EINVAL);
    return fails("madvise") ? minus_one(ENOMEM) : __real_madvise(at, size, advice);
}

ssize_t __real_process_madvise(int pidfd, const struct iovec *parts, size_t count, int advice, unsigned flags);
ssize_t __wrap_process_madvise(int pidfd, const struct iovec *parts, size_t count, int advice, unsigned flags);
ssize_t __wrap_process_madvise(int pidfd, const struct iovec *parts, size_t count, int advice, unsigned flags)
{
    if (strcmp(failing, "mprotect") == 0)
        return minus_one(EINVAL);
    return __real_process_madvise(pidfd, parts, fails("process_madvise") ? 1 : count, advice, flags);
}

#endif
