/* See offcpu_children.h. */
#define _GNU_SOURCE
#include "offcpu_children.h"
#include "run.h"

#include "runtime/runtime.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int go[2], told[2];
struct report report;

static void await_go(void)
{
    char byte;
    if (read(go[0], &byte, 1) != 1)
        _exit(0);
}

static void tell(void)
{
    if (write(told[1], &report, sizeof report) != sizeof report)
        _exit(1);
}

static void pin_to_one(void)
{
    cpu_set_t set, one;
    CPU_ZERO(&one);
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; cpu++)
            if (CPU_ISSET(cpu, &set))
                CPU_SET(cpu, &one);
    if (sched_setaffinity(0, sizeof one, &one))
        _exit(1);
}

/* Of CPUs that this process may have, the one on which this thread is pinned; 0 = the calling one. */
static bool pin_to_number_of(pid_t tid, unsigned number, const cpu_set_t *all)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, all) && number-- == 0)
            CPU_SET(cpu, &one);
    return CPU_COUNT(&one) == 1 && sched_setaffinity(tid, sizeof one, &one) == 0;
}

bool pin_to_number(unsigned number, const cpu_set_t *all) { return pin_to_number_of(0, number, all); }

uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t switches_of_thread(void)
{
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return (uint64_t)usage.ru_nvcsw + (uint64_t)usage.ru_nivcsw;
}

/* A moment, and the count that belongs to it: no switch came between the two. */
static uint64_t moment(uint64_t *switches)
{
    for (;;) {
        *switches = switches_of_thread();
        uint64_t ns = now_ns();
        if (switches_of_thread() == *switches)
            return ns;
    }
}

static int there[2], back[2];
long rounds;

static void *echo(void *arg)
{
    char byte;
    (void)arg;
    report.tid[1] = (uint32_t)syscall(SYS_gettid);
    for (long i = 0; i < rounds; i++)
        if (read(there[0], &byte, 1) != 1 || write(back[1], &byte, 1) != 1)
            _exit(1);
    return NULL;
}

static void exchange(void)
{
    char byte = 'x';
    pthread_t thread;
    if (pipe(there) || pipe(back) || pthread_create(&thread, NULL, echo, NULL))
        _exit(1);
    for (long i = 0; i < rounds; i++)
        if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
            _exit(1);
    pthread_join(thread, NULL);
}

/* Its threads are looked at, but have no words. */
void child_plain(void)
{
    uint64_t before, after;
    report.thread_m_offset = (char *)&m_of_thread - (char *)__builtin_thread_pointer();
    report.m_word_offset = offsetof(struct m, word_at);
    pin_to_one();
    tell();
    await_go();
    report.tid[0] = (uint32_t)syscall(SYS_gettid);
    report.begin_ns = moment(&before);
    exchange();
    for (; report.sleeps < 20; report.sleeps++)
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    report.end_ns = moment(&after);
    report.switches = after - before;
    tell();
    await_go();
}

static void *hog(void *arg)
{
    report.tid[1] = (uint32_t)syscall(SYS_gettid);
    pthread_barrier_wait(arg);
    for (;;)
        ;
    return NULL;
}

/* Two threads that compute, on one CPU, until the parent has seen enough: neither ever waits. */
void child_hogs(void)
{
    pthread_t thread;
    pthread_barrier_t barrier;
    pin_to_one();
    pthread_barrier_init(&barrier, NULL, 2);
    if (pthread_create(&thread, NULL, hog, &barrier))
        _exit(1);
    pthread_barrier_wait(&barrier);
    report.tid[0] = (uint32_t)syscall(SYS_gettid);
    tell();
    await_go();
    report.begin_ns = now_ns();
    struct pollfd end = { .fd = go[0], .events = POLLIN };
    while (poll(&end, 1, 0) == 0)
        ;
    report.end_ns = now_ns();
    tell();
    await_go();
}

static void *spinner(void *arg)
{
    struct pollfd end = { .fd = go[0], .events = POLLIN };
    report.tid[1] = (uint32_t)syscall(SYS_gettid);
    pthread_barrier_wait(arg);
    while (poll(&end, 1, 0) == 0)
        for (volatile int i = 0; i < 100000; i++)
            ;
    return NULL;
}

/* One computes, until the parent has seen enough; the other sleeps, again and again, on the same CPU, where its timer
 * interrupts the first. */
void child_sleeper(void)
{
    pthread_t thread;
    pthread_barrier_t barrier;
    pin_to_one();
    tell();
    await_go();
    report.tid[0] = (uint32_t)syscall(SYS_gettid);
    pthread_barrier_init(&barrier, NULL, 2);
    if (pthread_create(&thread, NULL, spinner, &barrier))
        _exit(1);
    pthread_barrier_wait(&barrier);
    struct pollfd end = { .fd = go[0], .events = POLLIN };
    for (; poll(&end, 1, 0) == 0; report.sleeps++)
        nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
    pthread_join(thread, NULL);
    tell();
    await_go();
}

/* One computes on a CPU, until the parent has seen enough; the other, to which that does not give way, moves there
 * again and again. */
void child_moved(void)
{
    pthread_t thread;
    pthread_barrier_t barrier;
    cpu_set_t all;
    tell();
    await_go();
    report.tid[0] = (uint32_t)syscall(SYS_gettid);
    pthread_barrier_init(&barrier, NULL, 2);
    if (sched_getaffinity(0, sizeof all, &all) || !pin_to_number(1, &all) ||
        pthread_create(&thread, NULL, spinner, &barrier))
        _exit(1);
    pthread_barrier_wait(&barrier);
    report.cpu = (uint32_t)sched_getcpu();
    setpriority(PRIO_PROCESS, report.tid[0], 19);
    struct pollfd end = { .fd = go[0], .events = POLLIN };
    while (poll(&end, 1, 0) == 0)
        if (!pin_to_number(0, &all) || !pin_to_number(1, &all))
            _exit(1);
    pthread_join(thread, NULL);
    tell();
    await_go();
}

static cpu_set_t own_cpus;
static bool is_over; /* by __atomic_load_n */

static void *competitor(void *arg)
{
    (void)arg;
    if (!pin_to_number(0, &own_cpus))
        _exit(1);
    while (!__atomic_load_n(&is_over, __ATOMIC_RELAXED))
        ;
    return NULL;
}

/* What the kernel counts of the calling thread. */
static uint64_t waited_of_thread(void)
{
    char path[64];
    unsigned long long waited = 0;
    snprintf(path, sizeof path, "/proc/self/task/%u/schedstat", report.tid[0]);
    FILE *file = fopen(path, "re");
    if (!file || fscanf(file, "%*u %llu", &waited) != 1)
        _exit(1);
    fclose(file);
    return waited;
}

/* Uses up what it is owed of its CPU, and sleeps. */
static void *sleeper_owing(void *arg)
{
    report.tid[0] = (uint32_t)syscall(SYS_gettid);
    pthread_barrier_wait(arg);
    while (report.mistaken < 5 && report.sleeps++ < 500) {
        uint64_t until_ns = now_ns() + 500000 + report.sleeps % 7 * 1000000;
        while (now_ns() < until_ns)
            ;
        uint64_t waited_ns = waited_of_thread(), wake_ns = now_ns() + 20000000;
        struct timespec wake = { (time_t)(wake_ns / 1000000000), (long)(wake_ns % 1000000000) };
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &wake, NULL);
        uint64_t late_ns = now_ns() - wake_ns;
        report.mistaken += waited_of_thread() - waited_ns > late_ns + 5000000;
        report.late_ns += late_ns;
    }
    __atomic_store_n(&is_over, true, __ATOMIC_RELAXED);
    return NULL;
}

/* One computes on a CPU. Another, which wants that as well, and sleeps at times, is moved from CPU to CPU all the time,
 * and so also as it has just fallen asleep. */
void child_moved_asleep(void)
{
    pthread_t threads[2];
    pthread_barrier_t barrier;
    tell();
    await_go();
    pthread_barrier_init(&barrier, NULL, 2);
    if (sched_getaffinity(0, sizeof own_cpus, &own_cpus) || pthread_create(&threads[0], NULL, competitor, NULL) ||
        pthread_create(&threads[1], NULL, sleeper_owing, &barrier))
        _exit(1);
    pthread_barrier_wait(&barrier);
    for (unsigned i = 0; !__atomic_load_n(&is_over, __ATOMIC_RELAXED); i++) {
        pin_to_number_of((pid_t)report.tid[0], i % 2, &own_cpus);
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    }
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    tell();
    await_go();
}

static void *nothing(void *arg) { return arg; }

/* Starts threads, one after the other, on a CPU that it keeps for a while each time, until the parent has seen enough.
 */
void child_starts(void)
{
    pthread_t thread;
    pin_to_one();
    tell();
    await_go();
    report.tid[0] = (uint32_t)syscall(SYS_gettid);
    struct pollfd end = { .fd = go[0], .events = POLLIN };
    while (poll(&end, 1, 0) == 0) {
        if (pthread_create(&thread, NULL, nothing, NULL))
            _exit(1);
        for (uint64_t until_ns = now_ns() + 5000000; now_ns() < until_ns;)
            ;
        pthread_join(thread, NULL);
    }
    tell();
    await_go();
}

/* Runs, blocks in a read and runs again, each until it is told. */
void child_unseen(void)
{
    struct pollfd told_to = { .fd = go[0], .events = POLLIN };
    report.thread_m_offset = (char *)&m_of_thread - (char *)__builtin_thread_pointer();
    report.m_word_offset = offsetof(struct m, word_at);
    report.tid[0] = (uint32_t)syscall(SYS_gettid);
    pin_to_one();
    tell();
    for (int i = 0; i < 2; i++) {
        while (poll(&told_to, 1, 0) == 0)
            ;
        await_go();
        report.end_ns = now_ns();
        if (i == 0)
            await_go();
        else
            nanosleep(&(struct timespec){ .tv_nsec = 1 }, NULL);
        tell();
    }
    await_go();
}

/* Computes until it is told. */
void child_computes(void)
{
    struct pollfd end = { .fd = go[0], .events = POLLIN };
    report.tid[0] = (uint32_t)syscall(SYS_gettid);
    tell();
    while (poll(&end, 1, 0) == 0)
        ;
    tell();
    await_go();
}

/* Becomes another program, which waits for a process. */
void child_exec(void)
{
    report.tid[0] = (uint32_t)syscall(SYS_gettid);
    tell();
    await_go();
    execl("/bin/sh", "sh", "-c", "sleep 0.01; exit 3", (char *)NULL);
    _exit(1);
}

static struct gmpt_waitgroup group;

static void echo_g(void *args)
{
    (void)args;
    report.g[1] = (uint64_t)gmpt_self();
    gmpt_blocking_begin();
    echo(NULL);
    gmpt_blocking_end();
    gmpt_waitgroup_done(&group);
}

static int exchange_of_gs(void *arg)
{
    char byte = 'x';
    (void)arg;
    report.thread_m_offset = trace_segment.header->thread_m_offset;
    report.m_word_offset = trace_segment.header->m_word_offset;
    tell();
    await_go();
    report.g[0] = (uint64_t)gmpt_self();
    if (pipe(there) || pipe(back))
        _exit(1);
    gmpt_waitgroup_add(&group, 1);
    report.end[0] = back[0];
    report.end[1] = there[0];
    run_go(echo_g);
    gmpt_blocking_begin();
    report.tid[0] = (uint32_t)syscall(SYS_gettid);
    for (long i = 0; i < rounds; i++)
        if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
            _exit(1);
    gmpt_blocking_end();
    gmpt_waitgroup_wait(&group);
    tell();
    await_go();
    return 0;
}

void child_gs(void)
{
    pin_to_one();
    run_on(1, exchange_of_gs);
}
