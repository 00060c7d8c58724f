/* kernelmix [-1] compute COUNT MS | exchange ROUNDS | block COUNT MS | futex COUNT MS | faults COUNT: a program whose
 * threads lose their CPU in known ways. With -1 all of it runs on one CPU. Prints what the kernel counts of its threads
 * before and after: "begin|end NS", NS being CLOCK_MONOTONIC, and for each thread "begin|end TID RAN_NS QUEUED_NS TIMES
 * NS"; with faults also "faults COUNTED ADDRESS", of which the pages are. "words passed" comes first where the recorder
 * has passed memory for what its threads tell of themselves. Before each "begin" and "end" comes "throttled NS" if
 * KERNELMIX_STAT names the file in which the kernel counts that of its cgroup. */
#define _GNU_SOURCE
#include <gmptrace/gmpt.h>

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static struct gmpt_waitgroup all = GMPT_WAITGROUP_INIT;
static int64_t compute_ns;
static long rounds;
static int there[2], back[2];

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

struct counts {
    unsigned long long ran, queued, times;
};

static int counts_read(const char *path, struct counts *counts)
{
    FILE *file = fopen(path, "re");
    int fields = file ? fscanf(file, "%llu %llu %llu", &counts->ran, &counts->queued, &counts->times) : 0;
    if (file)
        fclose(file);
    return fields == 3;
}

static void throttled_print(void)
{
    const char *path = getenv("KERNELMIX_STAT");
    FILE *file = path ? fopen(path, "re") : NULL;
    char line[128];
    long long count;
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "throttled_time %lld", &count) == 1) /* of version 1 */
            printf("throttled %lld\n", count);
        else if (sscanf(line, "throttled_usec %lld", &count) == 1)
            printf("throttled %lld\n", count * 1000);
    if (file)
        fclose(file);
}

static void counts_print(const char *when)
{
    DIR *tasks = opendir("/proc/self/task");
    throttled_print();
    printf("%s %lld\n", when, (long long)now_ns());
    for (struct dirent *entry; tasks && (entry = readdir(tasks));) {
        char path[320];
        struct counts counts, after;
        int64_t ns;
        snprintf(path, sizeof path, "/proc/self/task/%s/schedstat", entry->d_name);
        if (entry->d_name[0] == '.' || !counts_read(path, &counts))
            continue;
        for (;;) { /* a moment without a switch, to which the counts belong */
            ns = now_ns();
            if (!counts_read(path, &after) || after.times == counts.times)
                break;
            counts = after;
        }
        printf("%s %s %llu %llu %llu %lld\n", when, entry->d_name, counts.ran, counts.queued, counts.times,
               (long long)ns);
    }
    if (tasks)
        closedir(tasks);
    fflush(stdout);
}

__attribute__((noinline)) static void compute(void *args)
{
    (void)args;
    for (int64_t end_ns = now_ns() + compute_ns; now_ns() < end_ns;)
        gmpt_preempt_check();
    gmpt_waitgroup_done(&all);
}

static void echo(void *args)
{
    char byte;
    (void)args;
    gmpt_blocking_begin();
    for (long i = 0; i < rounds; i++)
        if (read(there[0], &byte, 1) != 1 || write(back[1], &byte, 1) != 1)
            abort();
    gmpt_blocking_end();
    gmpt_waitgroup_done(&all);
}

static void exchange(void)
{
    char byte = 'x';
    if (pipe(there) || pipe(back))
        abort();
    gmpt_waitgroup_add(&all, 1);
    gmpt_go(echo, NULL, 0);
    gmpt_blocking_begin();
    for (long i = 0; i < rounds; i++)
        if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
            abort();
    gmpt_blocking_end();
}

__attribute__((noinline)) static void sleep_plainly(long ms)
{
    struct timespec pause = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
    nanosleep(&pause, NULL);
}

/* Waits for what never comes, until the time is over. */
__attribute__((noinline)) static void wait_plainly(long ms)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_nsec += ms * 1000000;
    end.tv_sec += end.tv_nsec / 1000000000;
    end.tv_nsec %= 1000000000;
    pthread_mutex_lock(&mutex);
    while (pthread_cond_timedwait(&cond, &mutex, &end) == 0)
        ;
    pthread_mutex_unlock(&mutex);
}

/* Needs one page after the other that it does not have: the 16 M that it uses are given back each time. */
__attribute__((noinline)) static void need_pages(long count)
{
    enum { PAGE = 4096, PAGES = 4096 };
    volatile char *memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct rusage before, after;
    if (memory == MAP_FAILED || madvise((void *)memory, PAGES * PAGE, MADV_NOHUGEPAGE))
        abort();
    getrusage(RUSAGE_SELF, &before);
    for (long i = 0; i < count; i++) {
        if (i % PAGES == 0 && madvise((void *)memory, PAGES * PAGE, MADV_DONTNEED))
            abort();
        memory[i % PAGES * PAGE] = 1;
    }
    getrusage(RUSAGE_SELF, &after);
    printf("faults %ld %p\n", after.ru_minflt + after.ru_majflt - before.ru_minflt - before.ru_majflt, (void *)memory);
}

static void words_print(void)
{
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "re");
    while (maps && fgets(line, sizeof line, maps))
        if (strstr(line, "anon_inode:bpf-map"))
            puts("words passed");
    if (maps)
        fclose(maps);
}

static int mix(void *arg)
{
    char **words = arg;
    long a = words[1] ? atol(words[1]) : 0, b = words[1] && words[2] ? atol(words[2]) : 0;
    words_print();
    counts_print("begin");
    if (strcmp(words[0], "compute") == 0) {
        compute_ns = b * 1000000;
        gmpt_waitgroup_add(&all, (int)a);
        for (long i = 0; i < a; i++)
            gmpt_go(compute, NULL, 0);
    } else if (strcmp(words[0], "exchange") == 0) {
        rounds = a;
        exchange();
    } else if (strcmp(words[0], "faults") == 0) {
        need_pages(a);
    } else if (strcmp(words[0], "block") == 0) {
        for (long i = 0; i < a; i++)
            sleep_plainly(b);
    } else if (strcmp(words[0], "futex") == 0) {
        for (long i = 0; i < a; i++)
            wait_plainly(b);
    }
    gmpt_waitgroup_wait(&all);
    counts_print("end");
    return 0;
}

static void pin_to_one(void)
{
    cpu_set_t set, one;
    CPU_ZERO(&one);
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        for (int cpu = CPU_SETSIZE; cpu-- > 0 && CPU_COUNT(&one) == 0;)
            if (CPU_ISSET(cpu, &set))
                CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
}

int main(int argc, char **argv)
{
    bool pinned = argc > 1 && strcmp(argv[1], "-1") == 0;
    if (pinned)
        pin_to_one();
    if (argc < 2 + pinned)
        return 2;
    return gmpt_run(mix, argv + 1 + pinned);
}
