/* Parks Gs on file descriptors and finds out which may go on. See netpoll.h.
 *
 * Descriptors are found by fd in a table of two levels, whose leaves are never freed, so that an event that comes late
 * finds memory. A descriptor's lock covers all its fields; its waiters are taken out under the lock by whoever ends the
 * wait: the poller, the deadline's timer, or netpoll_close_begin. An event may belong to an earlier user of the same fd
 * number; it then only makes a G try its system call once more.
 *
 * A read that finds less than it asks for has emptied a TCP socket, and whatever comes next is told by another edge
 * (epoll(7), question 9): who reads again may wait at once, without a call that would only say EAGAIN. `drained` is
 * what `arrivals` was before that read, so they are equal only while no edge has come since it began, and this is
 * looked at under the lock, where arrivals change. Two readers and an edge that is told late do no harm: the late edge
 * changes arrivals before anybody can wait on the strength of the earlier read. After an edge that says more than that
 * there is data (the end, an error, urgent data, before whose mark a read stops short) the socket is no longer `exact`:
 * its state is not told again. Arrivals are counted modulo 2^32. One stop is not told by epoll at all: with the
 * kernel's TLS on the socket a read ends before a record that is no data, and the next gmpt_read then waits for more to
 * come before it fails as it would have; gmpt_recvmsg, which such records are read by, never waits so. */
#define _GNU_SOURCE
#include "netpoll.h"

#include "timers.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define LEAF_FDS 1024
#define LEAVES 4096 /* 4 Mi descriptors */
#define EVENTS_AT_ONCE 128
#define NAP_MAX_NS 1000000000

/* What epoll knows a descriptor by that is no user's. */
#define WAKE_FD (-1)
#define WATCHED_FD (-2)

struct side {
    struct g *waiter;
    bool ready; /* an edge came while nobody waited */
};

struct descriptor {
    struct lock lock;
    ATOMIC(bool) registered;   /* written under the lock; read without it, and then again under it before a wait */
    bool closing;              /* somebody is about to close it, or has just done so */
    ATOMIC(bool) exact;        /* TCP, and no edge has told of anything but data; written under the lock */
    ATOMIC(uint32_t) arrivals; /* edges for reading, and changes of user; written under the lock */
    ATOMIC(uint32_t) drained;  /* arrivals before the last read that came short; by any reader */
    struct side sides[2];      /* reading, writing */
};

typedef struct g *watched_fn(struct g *list);

static struct {
    int epoll_fd, wake_fd;
    ATOMIC(watched_fn *) watched; /* set before epoll knows of it, by a release that those who are told of it acquire */
    ATOMIC(struct descriptor *) leaves[LEAVES];
    ATOMIC(int32_t) waiters;
    ATOMIC(uint32_t) wake_pending;
    ATOMIC(uint32_t) polls;
} poller;

int netpoll_start(void)
{
    poller.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (poller.epoll_fd < 0)
        return -errno;
    poller.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = { .events = EPOLLIN, .data.fd = WAKE_FD };
    if (poller.wake_fd < 0 || epoll_ctl(poller.epoll_fd, EPOLL_CTL_ADD, poller.wake_fd, &event) < 0)
        return -errno;
    return 0;
}

static struct descriptor *find(int fd)
{
    if (fd < 0 || fd >= LEAF_FDS * LEAVES)
        return NULL;
    struct descriptor *leaf = load_acquire(&poller.leaves[fd / LEAF_FDS]);
    return leaf ? &leaf[fd % LEAF_FDS] : NULL;
}

static struct descriptor *find_or_make(int fd)
{
    struct descriptor *descriptor = find(fd);
    if (descriptor || fd < 0 || fd >= LEAF_FDS * LEAVES)
        return descriptor;
    struct descriptor *leaf = calloc(LEAF_FDS, sizeof *leaf), *none = NULL;
    if (!leaf)
        return NULL;
    if (!cas_acq_rel(&poller.leaves[fd / LEAF_FDS], &none, leaf))
        free(leaf); /* another M was faster */
    return find(fd);
}

static void count_arrival_locked(struct descriptor *descriptor)
{
    store_relaxed(&descriptor->arrivals, load_relaxed(&descriptor->arrivals) + 1);
}

static bool is_tcp(int fd)
{
    int protocol;
    socklen_t size = sizeof protocol;
    return getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) == 0 && protocol == IPPROTO_TCP;
}

/* Returns false when somebody is closing the number. Never inlined into what may switch: it keeps errno, which is the
 * G's, and its address must be the one of this thread throughout. */
static __attribute__((noinline)) bool try_register(struct descriptor *descriptor, int fd, int *error)
{
    int errno_before = errno;
    *error = 0;
    lock_acquire(&descriptor->lock);
    bool closing = descriptor->closing;
    if (!closing && !load_relaxed(&descriptor->registered)) {
        uint32_t interest = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET;
        struct epoll_event event = { .events = interest, .data.fd = fd };
        int flags = fcntl(fd, F_GETFL);
        if (flags < 0 || (epoll_ctl(poller.epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 && errno != EEXIST))
            *error = -errno;
        else if (!(flags & O_NONBLOCK) && fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
            *error = -errno;
        else
            store_release(&descriptor->registered, true);
        count_arrival_locked(descriptor);
        store_relaxed(&descriptor->exact, !*error && is_tcp(fd));
        for (int i = 0; i < 2; i++)
            descriptor->sides[i].ready = false;
    }
    lock_release(&descriptor->lock);
    errno = errno_before;
    return !closing;
}

int netpoll_register(int fd)
{
    if (fd < 0)
        return -EBADF;
    struct descriptor *descriptor = find_or_make(fd);
    if (descriptor && load_acquire(&descriptor->registered))
        return 0;
    if (!descriptor)
        return fd >= LEAF_FDS * LEAVES ? -EMFILE : -ENOMEM;
    int error;
    /* Registered now it could be closed unseen, and its number's next user would find an entry that lies. */
    while (!try_register(descriptor, fd, &error))
        gmpt_yield();
    return error;
}

/* Ends the wait of the G on this side with this result, and takes it out of the other side if it waits there, too.
 * Returns it, or NULL when nobody waits. */
static struct g *release_waiter_locked(struct descriptor *descriptor, int side, int result)
{
    struct g *g = descriptor->sides[side].waiter;
    if (!g)
        return NULL;
    for (int i = 0; i < 2; i++)
        if (descriptor->sides[i].waiter == g)
            descriptor->sides[i].waiter = NULL;
    g->wait_result = result;
    fetch_add_relaxed(&poller.waiters, -1);
    return g;
}

struct net_wait {
    struct timer timer;
    struct descriptor *descriptor;
    struct g *g;
    bool expired; /* the deadline passed before the G was queued */
};

static void deadline_passed(struct timer *timer, struct p *p)
{
    struct net_wait *wait = container_of(timer, struct net_wait, timer);
    struct descriptor *descriptor = wait->descriptor;
    struct g *g = NULL;
    lock_acquire(&descriptor->lock);
    for (int i = 0; i < 2 && !g; i++)
        if (descriptor->sides[i].waiter == wait->g)
            g = release_waiter_locked(descriptor, i, -ETIMEDOUT);
    wait->expired = true;
    lock_release(&descriptor->lock);
    if (g)
        scheduler_ready(p, g, -ETIMEDOUT);
}

/* Returns 0 when there is no need to wait, -EINPROGRESS when the G is queued, or why it cannot wait. */
static int queue_locked(struct descriptor *descriptor, enum netpoll_direction direction, struct g *g, bool expired)
{
    bool ready = false, taken = false;
    for (int i = 0; i < 2; i++) {
        struct side *side = &descriptor->sides[i];
        if (!(direction & 1 << i))
            continue;
        ready |= side->ready;
        side->ready = false;
        taken |= side->waiter != NULL;
    }
    if (ready)
        return 0;
    if (taken)
        return -EBUSY;
    if (!load_relaxed(&descriptor->registered))
        return -ECANCELED;
    if (expired)
        return -ETIMEDOUT;
    for (int i = 0; i < 2; i++)
        if (direction & 1 << i)
            descriptor->sides[i].waiter = g;
    fetch_add_relaxed(&poller.waiters, 1);
    return -EINPROGRESS;
}

static bool is_drained(struct descriptor *descriptor)
{
    return load_relaxed(&descriptor->drained) == load_relaxed(&descriptor->arrivals) &&
           load_relaxed(&descriptor->exact);
}

/* only_drained: returns 0 instead of waiting unless the descriptor is drained. */
static int block(int fd, struct descriptor *descriptor, enum netpoll_direction direction, bool only_drained,
                 int64_t deadline_ns, struct api_site site)
{
    int result;
    struct g *g = g_self();
    struct net_wait wait = { .descriptor = descriptor, .g = g };
    bool bounded = deadline_ns != GMPT_NEVER;
    if (bounded) {
        if (deadline_ns <= clock_now_ns())
            return -ETIMEDOUT;
        result = timers_start(m_self()->p, &wait.timer, deadline_ns, deadline_passed);
        if (result)
            return result;
    }
    lock_acquire(&descriptor->lock);
    bool drained = is_drained(descriptor);
    if (drained)
        descriptor->sides[0].ready = false; /* what that edge told of has been read */
    result = only_drained && !drained ? 0 : queue_locked(descriptor, direction, g, wait.expired);
    if (result == -EINPROGRESS) {
        struct wait description = { .reason = direction == NETPOLL_WRITE ? GMPT_WAIT_net_write : GMPT_WAIT_net_read,
                                    .bounded = bounded,
                                    .object = (void *)(intptr_t)fd,
                                    .site = site };
        result = scheduler_park(&description, scheduler_after_unlock, &descriptor->lock);
    } else {
        lock_release(&descriptor->lock);
    }
    if (bounded)
        timers_stop(&wait.timer);
    return result;
}

int netpoll_block(int fd, enum netpoll_direction direction, int64_t deadline_ns, struct api_site site)
{
    int result = netpoll_register(fd);
    return result ? result : block(fd, find(fd), direction, false, deadline_ns, site);
}

int netpoll_await_arrival(int fd, int64_t deadline_ns, struct api_site site)
{
    struct descriptor *descriptor = find(fd);
    return descriptor && is_drained(descriptor) ? block(fd, descriptor, NETPOLL_READ, true, deadline_ns, site) : 0;
}

uint32_t netpoll_arrivals(int fd)
{
    struct descriptor *descriptor = find(fd);
    return descriptor ? load_relaxed(&descriptor->arrivals) : 0;
}

void netpoll_drained(int fd, uint32_t arrivals)
{
    struct descriptor *descriptor = find(fd);
    if (descriptor)
        store_relaxed(&descriptor->drained, arrivals);
}

static void forget_locked(struct descriptor *descriptor)
{
    store_release(&descriptor->registered, false);
    store_relaxed(&descriptor->exact, false);
    descriptor->closing = false;
}

/* Forgets what was known of the descriptor. Returns who waited, linked by next; they have been told -ECANCELED. */
static struct g *reset_locked(struct descriptor *descriptor)
{
    struct g *list = NULL;
    forget_locked(descriptor);
    for (int i = 0; i < 2; i++) {
        struct g *g = release_waiter_locked(descriptor, i, -ECANCELED);
        descriptor->sides[i].ready = false;
        if (g) {
            g->next = list;
            list = g;
        }
    }
    return list;
}

void netpoll_adopt(int fd, struct p *p)
{
    struct descriptor *descriptor = find(fd);
    if (!descriptor)
        return;
    lock_acquire(&descriptor->lock);
    struct g *list = reset_locked(descriptor);
    lock_release(&descriptor->lock);
    scheduler_ready_list(p, list);
}

void netpoll_close_begin(int fd, struct p *p)
{
    struct descriptor *descriptor = find(fd);
    if (!descriptor)
        return;
    int errno_before = errno;
    lock_acquire(&descriptor->lock);
    if (load_relaxed(&descriptor->registered))
        epoll_ctl(poller.epoll_fd, EPOLL_CTL_DEL, fd, NULL); /* fails when it was closed behind our back */
    errno = errno_before;
    struct g *list = reset_locked(descriptor);
    descriptor->closing = true;
    lock_release(&descriptor->lock);
    scheduler_ready_list(p, list);
}

void netpoll_close_end(int fd)
{
    struct descriptor *descriptor = find(fd);
    if (!descriptor)
        return;
    lock_acquire(&descriptor->lock);
    descriptor->closing = false;
    lock_release(&descriptor->lock);
}

void netpoll_renew(int fd)
{
    struct descriptor *descriptor = find(fd);
    if (!descriptor)
        return;
    lock_acquire(&descriptor->lock);
    forget_locked(descriptor);
    lock_release(&descriptor->lock);
}

static struct g *edge_locked(struct descriptor *descriptor, int side, struct g *list)
{
    struct g *g = release_waiter_locked(descriptor, side, 0);
    if (!g) {
        descriptor->sides[side].ready = true;
        return list;
    }
    g->next = list;
    return g;
}

/* Sleeps for at most timeout_ns; negative: for ever. */
static struct g *poll_once(int64_t timeout_ns)
{
    static ATOMIC(bool) coarse; /* the kernel is older than 5.11 */
    struct epoll_event events[EVENTS_AT_ONCE];
    struct g *list = NULL;
    int count = -1;
    if (timeout_ns > 0 && !load_relaxed(&coarse)) {
        struct timespec timeout = { .tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000 };
        count = epoll_pwait2(poller.epoll_fd, events, EVENTS_AT_ONCE, &timeout, NULL);
        if (count < 0 && errno != EINTR) /* not there, or a seccomp filter that does not know it */
            store_relaxed(&coarse, true);
    }
    /* Milliseconds are rounded up: a timer must not be early, and an M that comes back too soon only spins. */
    if (timeout_ns <= 0 || load_relaxed(&coarse))
        count = epoll_wait(poller.epoll_fd, events, EVENTS_AT_ONCE,
                           timeout_ns <= 0 ? (int)timeout_ns : (int)((timeout_ns + 999999) / 1000000));
    if (count < 0 && errno != EINTR)
        fatal("netpoll: epoll: %s; has the program closed descriptors that are not its own?", strerror(errno));
    fetch_add_relaxed(&poller.polls, 1);
    if (timeout_ns != 0)
        fetch_add_acq_rel(&sched.poll_out, 1); /* before anybody is taken out */
    for (int i = 0; i < count; i++) {
        if (events[i].data.fd == WATCHED_FD) {
            list = load_acquire(&poller.watched)(list);
            continue;
        }
        if (events[i].data.fd == WAKE_FD) {
            uint64_t value;
            if (timeout_ns == 0)
                continue; /* meant for the M that sleeps in the poller */
            if (read(poller.wake_fd, &value, sizeof value) < 0 && errno != EAGAIN)
                fatal("netpoll: reading the wake-up event: %s", strerror(errno));
            store_release(&poller.wake_pending, 0); /* after the read, or a wake-up in between would be read, too */
            continue;
        }
        struct descriptor *descriptor = find(events[i].data.fd);
        uint32_t bits = events[i].events;
        lock_acquire(&descriptor->lock);
        if (bits & (EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
            store_relaxed(&descriptor->exact, false);
        if (bits & (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
            count_arrival_locked(descriptor);
            list = edge_locked(descriptor, 0, list);
        }
        if (bits & (EPOLLOUT | EPOLLHUP | EPOLLERR))
            list = edge_locked(descriptor, 1, list);
        lock_release(&descriptor->lock);
    }
    return list;
}

int netpoll_watch(int fd, struct g *(*ready)(struct g *list))
{
    struct epoll_event event = { .events = EPOLLIN, .data.fd = WATCHED_FD };
    store_release(&poller.watched, ready);
    int before = errno, result = 0;
    if (epoll_ctl(poller.epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        result = -errno;
    errno = before;
    return result;
}

void netpoll_watch_count(int32_t change) { fetch_add_relaxed(&poller.waiters, change); }

bool netpoll_is_poller(int fd) { return fd == poller.epoll_fd; }

uint32_t netpoll_waiters(void)
{
    int32_t waiters = load_acquire(&poller.waiters);
    return waiters > 0 ? (uint32_t)waiters : 0;
}

uint32_t netpoll_polls(void) { return load_relaxed(&poller.polls); }

struct g *netpoll_check(void)
{
    if (load_relaxed(&poller.waiters) <= 0 || load_relaxed(&sched.polling))
        return NULL;
    return poll_once(0);
}

struct g *netpoll_wait(int64_t until_ns)
{
    if (until_ns == INT64_MAX)
        return poll_once(-1);
    int64_t left_ns = until_ns - clock_now_ns();
    return poll_once(left_ns < 1 ? 1 : left_ns > NAP_MAX_NS ? NAP_MAX_NS : left_ns);
}

void netpoll_wake_by(int64_t when_ns)
{
    if (when_ns == INT64_MAX || !load_relaxed(&sched.polling) || load_relaxed(&sched.poll_until_ns) <= when_ns)
        return;
    if (exchange_acq_rel(&poller.wake_pending, 1))
        return;
    uint64_t one = 1;
    if (write(poller.wake_fd, &one, sizeof one) < 0 && errno != EAGAIN)
        fatal("netpoll: waking the poller: %s; has the program closed descriptors that are not its own?",
              strerror(errno));
}
