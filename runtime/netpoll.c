/* Parks Gs on file descriptors and finds out which may go on. See netpoll.h.
 *
 * Descriptors are found by fd in a table of two levels, whose leaves are never freed, so that an event that comes late
 * finds memory. A descriptor's lock covers all its fields; its waiters are taken out under the lock by whoever ends the
 * wait: the poller, the deadline's timer, or netpoll_close_begin. An event may belong to an earlier user of the same fd
 * number; it then only makes a G try its system call once more. */
#define _GNU_SOURCE
#include "netpoll.h"

#include "timers.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LEAF_FDS 1024
#define LEAVES 4096 /* 4 Mi descriptors */
#define EVENTS_AT_ONCE 128
#define NAP_MAX_NS 1000000000

struct side {
    struct g *waiter;
    bool ready; /* an edge came while nobody waited */
};

struct descriptor {
    struct lock lock;
    bool registered;
    bool closing; /* somebody is about to close it, or has just done so */
    struct side sides[2];
};

static struct {
    int epoll_fd, wake_fd;
    ATOMIC(struct descriptor *) leaves[LEAVES];
    ATOMIC(int32_t) waiters;
    ATOMIC(uint32_t) wake_pending;
} poller;

int netpoll_start(void)
{
    poller.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (poller.epoll_fd < 0)
        return -errno;
    poller.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = { .events = EPOLLIN, .data.fd = -1 };
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

/* Returns false when somebody is closing the number. Never inlined into what may switch: it keeps errno, which is the
 * G's, and its address must be the one of this thread throughout. */
static __attribute__((noinline)) bool try_register(struct descriptor *descriptor, int fd, int *error)
{
    int errno_before = errno;
    *error = 0;
    lock_acquire(&descriptor->lock);
    bool closing = descriptor->closing;
    if (!closing && !descriptor->registered) {
        struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.fd = fd };
        int flags = fcntl(fd, F_GETFL);
        if (flags < 0 || (epoll_ctl(poller.epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 && errno != EEXIST))
            *error = -errno;
        else if (!(flags & O_NONBLOCK) && fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
            *error = -errno;
        else
            descriptor->registered = true;
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
    if (!descriptor)
        return fd >= LEAF_FDS * LEAVES ? -EMFILE : -ENOMEM;
    int error;
    /* Registered now it could be closed unseen, and its number's next user would find an entry that lies. */
    while (!try_register(descriptor, fd, &error))
        gmpt_yield();
    return error;
}

struct net_wait {
    struct timer timer;
    struct descriptor *descriptor;
    enum netpoll_direction direction;
    struct g *g;
    bool expired; /* the deadline passed before the G was queued */
};

static void deadline_passed(struct timer *timer, struct p *p)
{
    struct net_wait *wait = container_of(timer, struct net_wait, timer);
    struct side *side = &wait->descriptor->sides[wait->direction];
    lock_acquire(&wait->descriptor->lock);
    struct g *g = side->waiter == wait->g ? wait->g : NULL;
    if (g)
        side->waiter = NULL;
    else
        wait->expired = true;
    lock_release(&wait->descriptor->lock);
    if (g) {
        fetch_add_relaxed(&poller.waiters, -1);
        scheduler_ready(p, g, -ETIMEDOUT);
    }
}

int netpoll_block(int fd, enum netpoll_direction direction, int64_t deadline_ns, struct api_site site)
{
    int error = netpoll_register(fd);
    if (error)
        return error;
    struct g *g = g_self();
    struct net_wait wait = { .descriptor = find(fd), .direction = direction, .g = g };
    bool bounded = deadline_ns != GMPT_NEVER;
    if (bounded) {
        if (deadline_ns <= clock_now_ns())
            return -ETIMEDOUT;
        error = timers_start(m_self()->p, &wait.timer, deadline_ns, deadline_passed);
        if (error)
            return error;
    }
    struct side *side = &wait.descriptor->sides[direction];
    lock_acquire(&wait.descriptor->lock);
    int result;
    if (side->ready) {
        side->ready = false;
        lock_release(&wait.descriptor->lock);
        result = 0;
    } else if (side->waiter || !wait.descriptor->registered) {
        result = side->waiter ? -EBUSY : -ECANCELED;
        lock_release(&wait.descriptor->lock);
    } else if (wait.expired) {
        result = -ETIMEDOUT;
        lock_release(&wait.descriptor->lock);
    } else {
        side->waiter = g;
        fetch_add_relaxed(&poller.waiters, 1);
        struct wait description = { .reason = direction == NETPOLL_READ ? GMPT_WAIT_net_read : GMPT_WAIT_net_write,
                                    .bounded = bounded,
                                    .object = (void *)(intptr_t)fd,
                                    .site = site };
        result = scheduler_park(&description, scheduler_after_unlock, &wait.descriptor->lock);
    }
    if (bounded)
        timers_stop(&wait.timer);
    return result;
}

/* Ends the wait on one side with this result; returns who waited, if anybody. */
static struct g *release_side_locked(struct side *side, int result)
{
    struct g *g = side->waiter;
    side->waiter = NULL;
    if (g) {
        g->wait_result = result;
        fetch_add_relaxed(&poller.waiters, -1);
    }
    return g;
}

/* Forgets what was known of the descriptor. Returns who waited, linked by next; they have been told -ECANCELED. */
static struct g *reset_locked(struct descriptor *descriptor)
{
    struct g *list = NULL;
    descriptor->registered = descriptor->closing = false;
    for (int i = 0; i < 2; i++) {
        struct g *g = release_side_locked(&descriptor->sides[i], -ECANCELED);
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
    if (descriptor->registered)
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
    descriptor->registered = descriptor->closing = false;
    lock_release(&descriptor->lock);
}

static struct g *edge(struct descriptor *descriptor, enum netpoll_direction direction, struct g *list)
{
    struct side *side = &descriptor->sides[direction];
    struct g *g = release_side_locked(side, 0);
    if (!g) {
        side->ready = true;
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
    for (int i = 0; i < count; i++) {
        if (events[i].data.fd < 0) {
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
        if (bits & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
            list = edge(descriptor, NETPOLL_READ, list);
        if (bits & (EPOLLOUT | EPOLLHUP | EPOLLERR))
            list = edge(descriptor, NETPOLL_WRITE, list);
        lock_release(&descriptor->lock);
    }
    return list;
}

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
