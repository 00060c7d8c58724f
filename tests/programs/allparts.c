/* allparts: uses what nearly every program does of the runtime, and checks what comes out by sums, while one call of
 * one function fails (failing.h).
 *
 * Ends with 0 and "calls N" (of that function, in all) when all sums are right, with 3 and a message when the runtime
 * reported an error, with 4 when a sum is wrong, and is killed by SIGALRM when it hangs. */
#define _GNU_SOURCE
#include "failing.h"
#include "tests/sanitized.h"

#include <gmptrace/gmpt.h>

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the work ---- */

static void report(const char *what, long error)
{
    fprintf(stderr, "allparts: %s: %s\n", what, strerror((int)-error));
    _exit(3);
}

static long checked(const char *what, long result)
{
    if (result < 0)
        report(what, result);
    return result;
}

static void expect(const char *what, long is, long should)
{
    if (is == should)
        return;
    fprintf(stderr, "allparts: %s: %ld, not %ld\n", what, is, should);
    _exit(4);
}

static struct gmpt_chan *numbers;
static struct gmpt_mutex mutex;
static struct gmpt_waitgroup all;
static long under_mutex;

static struct gmpt_chan *new_chan(size_t bytes, size_t capacity)
{
    struct gmpt_chan *chan = gmpt_chan_new(bytes, capacity);
    if (!chan)
        report("gmpt_chan_new", -errno);
    return chan;
}

/* One of many: waits in its own way, then sends its number. */
static void worker(void *args)
{
    int number = *(int *)args;
    switch (number % 7) {
    case 0:
        checked("gmpt_sleep", gmpt_sleep(10000));
        break;
    case 1:
        gmpt_mutex_lock(&mutex);
        under_mutex += number;
        gmpt_yield();
        gmpt_mutex_unlock(&mutex);
        break;
    case 2:
        gmpt_yield();
        break;
    case 3:
        gmpt_blocking_begin();
        usleep(number % 50 == 3 ? 300 : 1);
        gmpt_blocking_end();
        break;
    }
    checked("gmpt_chan_send", gmpt_chan_send(numbers, &number));
    gmpt_waitgroup_done(&all);
}

static void spawn_waves(void)
{
    enum { WAVES = UNDER_TSAN ? 2 : 20, WAVE = 100 }; /* each G costs ThreadSanitizer a millisecond in the kernel */
    long sum = 0, mutex_sum = 0;
    numbers = new_chan(sizeof(int), 8);
    for (int wave = 0; wave < WAVES; wave++) {
        gmpt_waitgroup_add(&all, WAVE);
        for (int i = 0; i < WAVE; i++) {
            int number = wave * WAVE + i;
            struct gmpt_go_options options = { .stack_bytes = i % 10 ? 0 : i % 20 ? GMPT_STACK_SMALL * 64 : 0 };
            checked("gmpt_go", gmpt_go_with(&options, worker, &number, sizeof number));
            mutex_sum += number % 7 == 1 ? number : 0;
        }
        for (int i = 0; i < WAVE; i++) {
            int number;
            checked("gmpt_chan_recv", gmpt_chan_recv_until(numbers, &number, gmpt_now() + 10000000000));
            sum += number;
        }
        gmpt_waitgroup_wait(&all);
    }
    expect("sum of all numbers", sum, (long)WAVES * WAVE * (WAVES * WAVE - 1) / 2);
    expect("sum under the mutex", under_mutex, mutex_sum);
    gmpt_chan_release(numbers);
}

static void answer(void *args)
{
    int fd = *(int *)args, byte;
    while (checked("gmpt_read", gmpt_read(fd, &byte, sizeof byte)) == sizeof byte) {
        byte *= 2;
        expect("written", checked("gmpt_write", gmpt_write(fd, &byte, sizeof byte)), sizeof byte);
    }
    checked("gmpt_close", gmpt_close(fd));
    gmpt_waitgroup_done(&all);
}

static void ask(void *args)
{
    struct sockaddr_in *address = args;
    int fd = (int)checked("socket", socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    checked("gmpt_connect", gmpt_connect(fd, (struct sockaddr *)address, sizeof *address));
    for (int i = 0; i < 20; i++) {
        int value = i;
        checked("gmpt_write", gmpt_write(fd, &value, sizeof value));
        checked("gmpt_read", gmpt_read_until(fd, &value, sizeof value, gmpt_now() + 10000000000));
        expect("answer", value, 2 * i);
    }
    checked("gmpt_close", gmpt_close(fd));
    gmpt_waitgroup_done(&all);
}

static void use_sockets(void)
{
    enum { PAIRS = 8 };
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 64) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) < 0)
        report("socket", -errno);
    gmpt_waitgroup_add(&all, 2 * PAIRS);
    for (int i = 0; i < PAIRS; i++) {
        checked("gmpt_go", gmpt_go(ask, &address, sizeof address));
        int fd = (int)checked("gmpt_accept", gmpt_accept(listener, NULL, NULL));
        checked("gmpt_go", gmpt_go(answer, &fd, sizeof fd));
    }
    gmpt_waitgroup_wait(&all);
    checked("gmpt_close", gmpt_close(listener));
}

static void use_select(void)
{
    struct gmpt_chan *a = new_chan(sizeof(int), 1), *b = new_chan(sizeof(int), 0);
    int sent = 41, got = 0;
    struct gmpt_select_case cases[2] = { { .chan = a, .op = GMPT_SEND, .value = &sent },
                                         { .chan = b, .op = GMPT_RECV, .value = &got } };
    expect("select sends", checked("gmpt_select", gmpt_select(cases, 2)), 0);
    long none = gmpt_select_until(cases, 2, gmpt_now() + 100000);
    if (none != -ETIMEDOUT)
        report("gmpt_select_until", none < 0 ? none : -EPROTO);
    checked("gmpt_chan_recv", gmpt_chan_recv(a, &got));
    expect("received", got, sent);
    gmpt_chan_release(a);
    gmpt_chan_release(b);
}

static void release(void *args)
{
    int fd = *(int *)args;
    expect("written", write(fd, "x", 1), 1);
}

/* A blocking call that only another G ends. */
static void use_blocking(void)
{
    int ends[2];
    char byte;
    if (pipe(ends) < 0)
        report("pipe", -errno);
    checked("gmpt_go", gmpt_go(release, &ends[1], sizeof ends[1]));
    gmpt_blocking_begin();
    long got = read(ends[0], &byte, 1);
    gmpt_blocking_end();
    expect("read", got, 1);
    close(ends[0]);
    close(ends[1]);
}

static int start(void *arg)
{
    (void)arg;
    use_blocking();
    use_select();
    spawn_waves();
    use_sockets();
    return 0;
}

int main(void)
{
    alarm(30);
    fail_start();
    int result = gmpt_run(start, NULL);
    if (result != 0)
        report("gmpt_run", result < 0 ? result : -EPROTO);
    printf("calls %u\n", __atomic_load_n(&fail_calls, __ATOMIC_RELAXED));
    return 0;
}
