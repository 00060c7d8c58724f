/* The program that a command runs: started, told of signals that were meant for it too, and its end. One at a time. */
#ifndef GMPT_CHILD_H
#define GMPT_CHILD_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct child {
    char **argv; /* NULL: none is started; only the signals are taken */
    pid_t pid;   /* 0 = not started */
    bool ended;
    int wait_status;   /* valid when ended */
    int stop_requests; /* SIGINT, SIGTERM and SIGHUP that have come so far */
    bool usr2;         /* SIGUSR2 has come; the user takes it back */
    sigset_t waited, old_mask;
    struct sigaction old_child_action;
};

/* From here on signals wait until child_wait takes them, one by one, so that none interrupts a write. One that whoever
 * started us had ignored stays so. */
void child_signals_take(struct child *child, bool usr2);

/* Starts argv; prepare (may be NULL) is called in the new process before it becomes the program, with arg, and returns
 * 0 or -1 with errno. Returns 0, or -errno when it cannot be run. */
int child_start(struct child *child, int (*prepare)(void *arg), void *arg);

/* Sees whether it has ended. */
void child_look(struct child *child);

/* Waits for a signal or its end, but not for longer than ns, and takes what has come. The first stop request is passed
 * on, unless the terminal has done so; then on_stop (may be NULL) is called. */
void child_wait(struct child *child, int64_t ns, void (*on_stop)(void *arg), void *arg);

/* From here on they are as they were before child_signals_take; that have come and nobody has taken are forgotten. */
void child_signals_leave(struct child *child);

/* Once it has ended: its own status, or 128 + the signal that ended it. */
int child_status(const struct child *child);

#endif
