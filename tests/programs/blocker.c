/* Gs that block their thread in the ways that GMPT_DEBUG=blockcheck tells of, and, as `quiet`, in those that it must
 * not tell of. A call blocks until its report has been read from standard error, which a thread passes on. */
#define _GNU_SOURCE
#include <gmptrace/gmpt.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int release_fds[2], error_fds[2], real_stderr;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void *pass_on(void *arg)
{
    char bytes[4096];
    ssize_t length;
    (void)arg;
    while ((length = read(error_fds[0], bytes, sizeof bytes)) > 0) {
        if (write(real_stderr, bytes, (size_t)length) < 0)
            return NULL;
        for (ssize_t i = 0; i < length; i++)
            if (bytes[i] == '\n' && write(release_fds[1], "x", 1) < 0)
                return NULL;
    }
    return NULL;
}

__attribute__((noinline)) static int block_plainly(void)
{
    char byte;
    return read(release_fds[0], &byte, 1) == 1 ? 0 : 1;
}

__attribute__((noinline)) static int nap_plainly(void)
{
    struct timespec nap = { .tv_nsec = 20000000 };
    return nanosleep(&nap, NULL);
}

static int blocking_nap(void *arg)
{
    (void)arg;
    return nap_plainly();
}

static int calls(void *arg)
{
    pthread_t thread;
    (void)arg;
    real_stderr = dup(STDERR_FILENO);
    if (pipe(release_fds) || pipe(error_fds) || dup2(error_fds[1], STDERR_FILENO) < 0)
        return 1;
    pthread_create(&thread, NULL, pass_on, NULL);
    int result = block_plainly();
    if (write(release_fds[1], "x", 1) != 1)
        return 1;
    return result | block_plainly(); /* the same place again */
}

__attribute__((noinline)) static void hold_and_wait(void)
{
    pthread_mutex_lock(&mutex);
    gmpt_sleep(1000);
    pthread_mutex_unlock(&mutex);
}

static int mutexes(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++)
        hold_and_wait();
    return 0;
}

static int quiet(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&mutex);
    pthread_mutex_unlock(&mutex);
    for (int i = 0; i < 5; i++)
        gmpt_sleep(1000000);
    gmpt_blocking(blocking_nap, NULL);
    gmpt_blocking_slow(blocking_nap, NULL);
    for (int64_t end = gmpt_now() + 20000000; gmpt_now() < end;) /* computing is no blocking */
        ;
    return 0;
}

int main(int argc, char **argv)
{
    const char *mode = argc == 2 ? argv[1] : "";
    return gmpt_run(strcmp(mode, "calls") == 0 ? calls : strcmp(mode, "mutexes") == 0 ? mutexes : quiet, NULL);
}
