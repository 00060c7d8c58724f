/* until_signal [--ignore]: prints "ready PID" and works until SIGINT, SIGTERM or SIGUSR1 come, then prints
 * "signals N" and ends with status 7. With --ignore only SIGUSR1 ends it. */
#include <gmptrace/gmpt.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int signals, stop; /* atomic: the handler runs on another thread than the main G */

static void on_signal(int number)
{
    (void)number;
    __atomic_add_fetch(&signals, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
}

static void idler(void *args)
{
    (void)args;
    for (;;)
        gmpt_sleep(500000);
}

static int start(void *arg)
{
    (void)arg;
    for (int i = 0; i < 4; i++)
        gmpt_go(idler, NULL, 0);
    printf("ready %d\n", (int)getpid());
    fflush(stdout);
    while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE))
        gmpt_sleep(1000000);
    gmpt_sleep(50000000); /* a second signal would come by now */
    printf("signals %d\n", __atomic_load_n(&signals, __ATOMIC_RELAXED));
    return 7;
}

int main(int argc, char **argv)
{
    alarm(60); /* never left behind */
    int ignore = argc > 1 && strcmp(argv[1], "--ignore") == 0;
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
    sigaction(SIGUSR1, &action, NULL);
    if (ignore)
        action.sa_handler = SIG_IGN;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    return gmpt_run(start, NULL);
}
