/* Starting a program and following it to its end. See child.h. */
#define _GNU_SOURCE
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void child_signals_take(struct child *child, bool usr2)
{
    static const int wanted[] = { SIGINT, SIGTERM, SIGHUP, SIGCHLD };
    sigemptyset(&child->waited);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        struct sigaction action;
        if (wanted[i] == SIGCHLD || (sigaction(wanted[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN))
            sigaddset(&child->waited, wanted[i]);
    }
    if (usr2)
        sigaddset(&child->waited, SIGUSR2);
    struct sigaction by_default = { .sa_handler = SIG_DFL };
    sigaction(SIGCHLD, &by_default, &child->old_child_action); /* ignored, it would take the exit status away */
    sigprocmask(SIG_BLOCK, &child->waited, &child->old_mask);
}

static void child_exec(struct child *child, int (*prepare)(void *arg), void *arg, int error_fd)
{
    sigaction(SIGCHLD, &child->old_child_action, NULL);
    sigprocmask(SIG_SETMASK, &child->old_mask, NULL);
    if (!prepare || prepare(arg) == 0)
        execvp(child->argv[0], child->argv);
    int error = errno;
    while (write(error_fd, &error, sizeof error) < 0 && errno == EINTR)
        ;
    _exit(127);
}

int child_start(struct child *child, int (*prepare)(void *arg), void *arg)
{
    int error_pipe[2], error = 0;
    if (pipe2(error_pipe, O_CLOEXEC) < 0)
        return -errno;
    child->pid = fork();
    if (child->pid == 0)
        child_exec(child, prepare, arg, error_pipe[1]);
    error = child->pid < 0 ? errno : 0;
    close(error_pipe[1]);
    /* The pipe closes by itself as the program is loaded; only a failure writes to it. */
    ssize_t got = 0;
    int exec_error = 0;
    while (error == 0 && (got = read(error_pipe[0], &exec_error, sizeof exec_error)) < 0 && errno == EINTR)
        ;
    close(error_pipe[0]);
    if (got == (ssize_t)sizeof exec_error) {
        error = exec_error;
        while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    return -error;
}

void child_look(struct child *child)
{
    if (child->pid > 0 && !child->ended && waitpid(child->pid, &child->wait_status, WNOHANG) == child->pid)
        child->ended = true;
}

/* Whether the terminal sends what is typed, such as Ctrl-C, to the program as well as to us. */
static bool terminal_reaches(const struct child *child)
{
    int tty = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC);
    if (tty < 0)
        return false;
    pid_t foreground = tcgetpgrp(tty);
    close(tty);
    return foreground > 0 && foreground == getpgid(child->pid);
}

static void stop_request(struct child *child, int signal, void (*on_stop)(void *arg), void *arg)
{
    if (++child->stop_requests > 1 || child->ended || child->pid <= 0)
        return;
    if (signal == SIGTERM || !terminal_reaches(child))
        kill(child->pid, signal);
    if (on_stop)
        on_stop(arg);
}

void child_wait(struct child *child, int64_t ns, void (*on_stop)(void *arg), void *arg)
{
    if (ns < 0)
        ns = 0;
    struct timespec timeout = { ns / 1000000000, ns % 1000000000 };
    const struct timespec none = { 0, 0 };
    int signal = sigtimedwait(&child->waited, NULL, &timeout);
    for (; signal > 0; signal = sigtimedwait(&child->waited, NULL, &none)) {
        child_look(child); /* before a signal is passed on: its pid may be another's by then */
        if (signal == SIGUSR2)
            child->usr2 = true;
        else if (signal != SIGCHLD)
            stop_request(child, signal, on_stop, arg);
    }
    child_look(child);
}

void child_signals_leave(struct child *child)
{
    const struct timespec none = { 0, 0 };
    while (sigtimedwait(&child->waited, NULL, &none) > 0)
        ;
    sigprocmask(SIG_SETMASK, &child->old_mask, NULL);
}

int child_status(const struct child *child)
{
    int status = child->wait_status;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
