/* Handles that only the kernel has: in epoll, in pipes and sockets, in timers, signals and queues of its own. */
#define _GNU_SOURCE
#include "hidden.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int fds[2];

/* ---- epoll ------------------------------------------------------------------------------------------------------- */

static int epoll;
static void epoll_hide(void)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = hidden_victim() };
    epoll = epoll_create1(EPOLL_CLOEXEC);
    fds[0] = eventfd(0, EFD_CLOEXEC);
    if (epoll < 0 || fds[0] < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fds[0], &event))
        abort();
}
static void epoll_reveal(void)
{
    struct epoll_event event;
    uint64_t one = 1;
    if (write(fds[0], &one, sizeof one) != sizeof one || epoll_wait(epoll, &event, 1, -1) != 1)
        abort();
    hidden_close(event.data.ptr);
}

/* ---- Bytes on their way ------------------------------------------------------------------------------------------ */

static void bytes_write(size_t before)
{
    struct gmpt_chan *chan = hidden_victim();
    char filler[3] = "ab";
    if (write(fds[1], filler, before) != (ssize_t)before || write(fds[1], &chan, sizeof chan) != sizeof chan)
        abort();
}
static void bytes_read(size_t before)
{
    struct gmpt_chan *chan;
    char filler[3];
    if (read(fds[0], filler, before) != (ssize_t)before || read(fds[0], &chan, sizeof chan) != sizeof chan)
        abort();
    hidden_close(chan);
}

static void pipe_hide(void)
{
    if (pipe2(fds, O_CLOEXEC))
        abort();
    bytes_write(3);
}
static void pipe_reveal(void) { bytes_read(3); }

/* A pipe has pages, of which the proof must see more than the first. */
static void full_pipe_hide(void)
{
    static char filler[32768];
    if (pipe2(fds, O_CLOEXEC) || write(fds[1], filler, sizeof filler) != sizeof filler)
        abort();
    bytes_write(1);
}
static void full_pipe_reveal(void)
{
    char filler[4096];
    for (int i = 0; i < 8; i++)
        if (read(fds[0], filler, sizeof filler) != sizeof filler)
            abort();
    bytes_read(1);
}

static void socket_hide(int type)
{
    if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds))
        abort();
    bytes_write(1);
}
static void stream_socket_hide(void) { socket_hide(SOCK_STREAM); }
static void stream_socket_reveal(void) { bytes_read(1); }

/* The second datagram: what only looks at the first sees nothing. */
static void datagram_hide(void) { socket_hide(SOCK_DGRAM); }
static void datagram_reveal(void) { bytes_read(1); }

static int queue;
struct message {
    long type;
    struct gmpt_chan *chan;
};
static void message_queue_hide(void)
{
    struct message message = { 1, hidden_victim() };
    queue = msgget(IPC_PRIVATE, 0600);
    if (queue < 0 || msgsnd(queue, &message, sizeof message.chan, 0))
        abort();
}
static void message_queue_reveal(void)
{
    struct message message;
    if (msgrcv(queue, &message, sizeof message.chan, 0, 0) != sizeof message.chan)
        abort();
    msgctl(queue, IPC_RMID, NULL);
    hidden_close(message.chan);
}

/* ---- Values of signals ------------------------------------------------------------------------------------------- */

/* A signal that waits until its thread takes it. */
static void *signal_keeper(void *arg)
{
    sigset_t set;
    siginfo_t info;
    union sigval value = { .sival_ptr = hidden_open(*(uintptr_t *)arg) };
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 3);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    pthread_sigqueue(pthread_self(), SIGRTMIN + 3, value);
    value.sival_ptr = NULL;
    HIDDEN_OPAQUE(value.sival_ptr);
    store_release(&hidden_holds, 1);
    while (!load_acquire(&hidden_give_back))
        usleep(1000);
    if (sigwaitinfo(&set, &info) < 0)
        abort();
    *(uintptr_t *)arg = hidden_seal(info.si_value.sival_ptr);
    store_release(&hidden_holds, 2);
    return NULL;
}

static uintptr_t keepers;
static void signal_value_hide(void)
{
    pthread_t thread;
    keepers = hidden_seal(hidden_victim());
    if (pthread_create(&thread, NULL, signal_keeper, &keepers))
        abort();
    hidden_wait_held();
}
static void signal_value_reveal(void)
{
    while (load_acquire(&hidden_holds) != 2)
        gmpt_sleep(1000000);
    hidden_close(hidden_open(keepers));
}

/* A timer of the kernel's that is not due. */
static timer_t timer;
static ATOMIC(uintptr_t) expired;
static void timer_expired(int signo, siginfo_t *info, void *context)
{
    (void)signo, (void)context;
    store_release(&expired, hidden_seal(info->si_value.sival_ptr));
}
static void kernel_timer_hide(void)
{
    struct sigaction action = { .sa_sigaction = timer_expired, .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK };
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL,
                              .sigev_signo = SIGRTMIN + 3,
                              .sigev_value.sival_ptr = hidden_victim() };
    if (sigaction(SIGRTMIN + 3, &action, NULL) || timer_create(CLOCK_MONOTONIC, &event, &timer))
        abort();
}
static void kernel_timer_reveal(void)
{
    struct itimerspec at = { .it_value.tv_nsec = 1 };
    if (timer_settime(timer, 0, &at, NULL))
        abort();
    while (!load_acquire(&expired))
        gmpt_sleep(1000000);
    hidden_close(hidden_open(load_acquire(&expired)));
}

static const struct hidden_place places[] = {
    { "epoll_data", HIDDEN_LIVE, epoll_hide, epoll_reveal },
    { "pipe", HIDDEN_LIVE, pipe_hide, pipe_reveal },
    { "full_pipe", HIDDEN_LIVE, full_pipe_hide, full_pipe_reveal },
    { "stream_socket", HIDDEN_LIVE, stream_socket_hide, stream_socket_reveal },
    { "datagram_socket", HIDDEN_LIVE, datagram_hide, datagram_reveal },
    { "message_queue", HIDDEN_ENCODED, message_queue_hide, message_queue_reveal },
    { "signal_value", HIDDEN_ENCODED, signal_value_hide, signal_value_reveal },
    { "kernel_timer", HIDDEN_ENCODED, kernel_timer_hide, kernel_timer_reveal },
};

const struct hidden_places hidden_kernel = HIDDEN_PLACES(places);
