/* The way from a SIGQUIT to the dump. See quit.h. */
#define _GNU_SOURCE
#include "quit.h"

#include "dump.h"
#include "sysmon.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

static ATOMIC(uint32_t) quitting;
static struct sigaction action_before;

static void set_default(void)
{
    struct sigaction action = { .sa_handler = SIG_DFL };
    sigaction(SIGQUIT, &action, NULL);
}

static void on_quit(int signal)
{
    if (exchange_acq_rel(&quitting, 1)) {
        set_default();
        raise(signal); /* comes once the handler has returned */
        return;
    }
    sysmon_wake();
}

static bool is_ours(void)
{
    struct sigaction now;
    return sigaction(SIGQUIT, NULL, &now) == 0 && now.sa_handler == on_quit;
}

/* In a child of fork() nobody would answer. */
static void after_fork_in_child(void) { quit_stop(); }

void quit_start(void)
{
    struct sigaction action = { .sa_handler = on_quit, .sa_flags = SA_RESTART | SA_ONSTACK };
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGQUIT, NULL, &action_before) < 0 || action_before.sa_flags & SA_SIGINFO ||
        (action_before.sa_handler != SIG_DFL && action_before.sa_handler != SIG_IGN))
        return;
    sigaction(SIGQUIT, &action, NULL);
    pthread_atfork(NULL, NULL, after_fork_in_child);
}

void quit_stop(void)
{
    if (is_ours())
        sigaction(SIGQUIT, &action_before, NULL);
}

void quit_check(void)
{
    if (!load_relaxed(&quitting))
        return;
    dump_all(STDERR_FILENO, "SIGQUIT: quit\n\n");
    _exit(QUIT_STATUS);
}
