/* Signals as values of a channel.
 *
 * The handler runs on whichever thread the kernel chose, amid anything, with or without a P: all it does is to set the
 * signal's bit in `pending` and to write to an eventfd. The poller watches that one: whoever polls (an idle M asleep in
 * epoll, an M that looks for work, sysmon while all are busy) reads it, takes the bits and sends, without blocking, to
 * the channels. The read comes before the taking: a bit that is set after the taking finds the eventfd empty and fills
 * it again.
 *
 * | field    | writers                  | readers       | order   | pairs with                                      |
 * |----------|--------------------------|---------------|---------|-------------------------------------------------|
 * | pending  | handlers, whoever polls  | whoever polls | acq_rel | S: set, then write(); T: read(), then exchange   |
 * | event_fd | notify, before the first | handlers      | plain   | sigaction, which comes after                     |
 *
 * All else is under `lock`, which is taken before a channel's. The handler takes none. */
#define _GNU_SOURCE
#include "chan.h"
#include "netpoll.h"

#include <gmptrace/net.h>

#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define SIGNALS 64

/* A channel and what it is told of; lives until it is told of nothing. */
struct subscription {
    struct subscription *next;
    struct gmpt_chan *chan;
    uint64_t signals; /* a bit for each, from 1 on at bit 0 */
};

static ATOMIC(uint64_t) pending;
static int event_fd = -1;

static struct {
    struct lock lock;
    struct subscription *list;
    uint64_t caught;                      /* signals with our handler */
    uint64_t changed;                     /* signals that do something else than before: caught or ignored */
    struct sigaction before[SIGNALS + 1]; /* of those */
} signals;

static uint64_t bit_of(int signo) { return (uint64_t)1 << (signo - 1); }

static void on_signal(int signo)
{
    int before = errno;
    uint64_t one = 1;
    fetch_or_acq_rel(&pending, bit_of(signo)); /* S */
    if (write(event_fd, &one, sizeof one) < 0)
        errno = 0; /* it is full, and so will be read */
    errno = before;
}

/* Sends what is pending; returns the list with those in front whom this woke. */
static struct g *deliver_locked(struct g *list)
{
    uint64_t came = exchange_acq_rel(&pending, 0); /* T */
    for (struct subscription *s = signals.list; s && came; s = s->next) {
        for (uint64_t left = came & s->signals; left; left &= left - 1) {
            int signo = __builtin_ctzll(left) + 1;
            struct g *wake;
            lock_acquire(&s->chan->lock);
            chan_try_send_locked(s->chan, &signo, &wake);
            lock_release(&s->chan->lock);
            if (wake) {
                wake->wait_result = 0;
                wake->next = list;
                list = wake;
            }
        }
    }
    return list;
}

static struct g *deliver(struct g *list)
{
    uint64_t count;
    int before = errno;
    if (read(event_fd, &count, sizeof count) < 0 && errno != EAGAIN) /* EAGAIN: another thread was faster */
        fatal("signals: reading the event: error %d; has the program closed descriptors that are not its own?", errno);
    errno = before;
    lock_acquire(&signals.lock);
    list = deliver_locked(list);
    lock_release(&signals.lock);
    return list;
}

#define FIRST_REALTIME 32

static bool may_be_had(int signo)
{
    switch (signo) {
    case SIGKILL:
    case SIGSTOP:
    case SIGSEGV:
    case SIGBUS:
    case SIGFPE:
    case SIGILL:
    case SIGURG:
        return false;
    default:
        return signo >= 1 && signo <= SIGNALS && (signo < FIRST_REALTIME || signo >= SIGRTMIN); /* libc keeps a few */
    }
}

static __attribute__((noinline)) int set_action_locked(int signo, const struct sigaction *action)
{
    int before = errno, result = 0;
    struct sigaction old;
    if (sigaction(signo, action, &old) < 0) {
        result = -errno;
        errno = before;
    } else if (!(signals.changed & bit_of(signo))) {
        signals.before[signo] = old;
        signals.changed |= bit_of(signo);
    }
    return result;
}

static int catch_locked(int signo)
{
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK | SA_RESTART };
    sigemptyset(&action.sa_mask);
    int error = signals.caught & bit_of(signo) ? 0 : set_action_locked(signo, &action);
    if (!error) {
        if (!signals.caught)
            netpoll_watch_count(1);
        signals.caught |= bit_of(signo);
    }
    return error;
}

/* What is done with a signal that nobody is told of any more. */
static int leave_locked(int signo, const struct sigaction *action)
{
    int error = set_action_locked(signo, action);
    if (!error && (signals.caught & bit_of(signo))) {
        signals.caught &= ~bit_of(signo);
        if (!signals.caught)
            netpoll_watch_count(-1);
    }
    return error;
}

/* Should it fail, the signal is still known as changed, and the next one tries again. */
static int restore_locked(int signo)
{
    int error = signals.changed & bit_of(signo) ? leave_locked(signo, &signals.before[signo]) : 0;
    if (!error)
        signals.changed &= ~bit_of(signo);
    return error;
}

/* Takes the signals away from the channel, or from all if it is NULL. Returns the subscriptions that are empty now. */
static struct subscription *unsubscribe_locked(const struct gmpt_chan *chan, uint64_t mask)
{
    struct subscription *empty = NULL, **link = &signals.list;
    while (*link) {
        struct subscription *s = *link;
        if (!chan || s->chan == chan)
            s->signals &= ~mask;
        if (s->signals) {
            link = &s->next;
            continue;
        }
        *link = s->next;
        s->next = empty;
        empty = s;
    }
    return empty;
}

static void free_list(struct subscription *list)
{
    while (list) {
        struct subscription *s = list;
        list = s->next;
        gmpt_chan_release(s->chan);
        free(s);
    }
}

static __attribute__((noinline)) int open_event_fd(void)
{
    int before = errno;
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), error = fd < 0 ? -errno : 0;
    if (!error) {
        event_fd = fd;
        error = netpoll_watch(fd, deliver);
        if (error) {
            event_fd = -1;
            close(fd);
        }
    }
    errno = before;
    return error;
}

static int subscribe_locked(struct gmpt_chan *chan, int signo, struct subscription **fresh)
{
    struct subscription *s = signals.list;
    while (s && s->chan != chan)
        s = s->next;
    int error = event_fd < 0 ? open_event_fd() : 0;
    if (!error)
        error = catch_locked(signo);
    if (error)
        return error;
    if (!s) {
        s = *fresh;
        *fresh = NULL;
        s->chan = gmpt_chan_retain(chan);
        s->next = signals.list;
        signals.list = s;
    }
    s->signals |= bit_of(signo);
    return 0;
}

int gmpt_signal_notify(struct gmpt_chan *chan, int signo)
{
    API_ENTER();
    if (!chan || chan->value_bytes != sizeof(int) || !may_be_had(signo))
        return -EINVAL;
    struct subscription *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return -ENOMEM;
    lock_acquire(&signals.lock);
    int error = subscribe_locked(chan, signo, &fresh);
    lock_release(&signals.lock);
    free(fresh);
    return error;
}

int gmpt_signal_stop(struct gmpt_chan *chan)
{
    API_ENTER();
    lock_acquire(&signals.lock);
    struct g *woken = deliver_locked(NULL);
    struct subscription *gone = unsubscribe_locked(chan, chan ? UINT64_MAX : 0);
    uint64_t heard = 0;
    for (const struct subscription *s = signals.list; s; s = s->next)
        heard |= s->signals;
    for (uint64_t left = signals.caught & ~heard; left; left &= left - 1)
        restore_locked(__builtin_ctzll(left) + 1);
    lock_release(&signals.lock);
    scheduler_ready_list(m_self()->p, woken);
    int result = gone ? 0 : -ENOENT;
    free_list(gone);
    return result;
}

static int take_from_all(int signo, bool ignore)
{
    API_ENTER();
    struct sigaction action = { .sa_handler = SIG_IGN };
    struct g *woken = NULL;
    struct subscription *gone = NULL;
    int error;
    if (!may_be_had(signo))
        return -EINVAL;
    sigemptyset(&action.sa_mask);
    lock_acquire(&signals.lock);
    if (ignore)
        error = leave_locked(signo, &action);
    else
        error = restore_locked(signo);
    if (!error) {
        woken = deliver_locked(NULL);
        gone = unsubscribe_locked(NULL, bit_of(signo));
    }
    lock_release(&signals.lock);
    scheduler_ready_list(m_self()->p, woken);
    free_list(gone);
    return error;
}

int gmpt_signal_ignore(int signo) { return take_from_all(signo, true); }

int gmpt_signal_reset(int signo) { return take_from_all(signo, false); }
