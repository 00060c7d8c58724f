/* planted KIND: a program with one fault, for `gmptrace analyze` to find; "none" has none. Each goes on until it has
 * done so much, never for so long, so that a slow machine makes no difference but in time. */
#include <gmptrace/gmpt.h>
#include <gmptrace/sync.h>

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static struct gmpt_waitgroup all = GMPT_WAITGROUP_INIT;

/* What takes time and touches nothing that others do. */
static inline void spend(void)
{
    volatile uint64_t sink = 1;
    sink = sink * 3 + 1;
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static __attribute__((noinline)) void crunch(int64_t for_ns)
{
    int64_t until_ns = now_ns() + for_ns;
    while (now_ns() < until_ns)
        spend();
}

/* ---- hog: computes for long and calls nothing of the runtime ----------------------------------------------------- */

static void hog(void *args)
{
    (void)args;
    crunch(60000000);
    gmpt_waitgroup_done(&all);
}

/* ---- herd: each event wakes all, and one of them gets it --------------------------------------------------------- */

#define HERD_GS 24
static struct gmpt_mutex herd_lock = GMPT_MUTEX_INIT;
static struct gmpt_cond herd_cond = GMPT_COND_INIT;
static int herd_items, herd_taken, herd_waiting;

static void herd_member(void *args)
{
    int events = *(int *)args;
    gmpt_mutex_lock(&herd_lock);
    while (herd_taken < events) {
        herd_waiting++;
        gmpt_cond_wait(&herd_cond, &herd_lock);
        herd_waiting--;
        if (herd_items) {
            herd_items--;
            herd_taken++;
        }
    }
    gmpt_mutex_unlock(&herd_lock);
    gmpt_waitgroup_done(&all);
}

static void herd(void)
{
    int events = 30;
    gmpt_waitgroup_add(&all, HERD_GS);
    for (int i = 0; i < HERD_GS; i++)
        gmpt_go(herd_member, &events, sizeof events);
    for (;;) {
        gmpt_mutex_lock(&herd_lock);
        bool over = herd_taken >= events, ready = herd_waiting == HERD_GS && !herd_items;
        herd_items += !over && ready;
        if (over || ready)
            gmpt_cond_broadcast(&herd_cond);
        gmpt_mutex_unlock(&herd_lock);
        if (over)
            return;
        gmpt_yield();
    }
}

/* ---- convoy: a lock that all want all the time, and have briefly ------------------------------------------------- */

static struct gmpt_mutex convoy_lock = GMPT_MUTEX_INIT;

static void convoy_member(void *args)
{
    (void)args;
    for (int i = 0; i < 400; i++) {
        gmpt_mutex_lock(&convoy_lock);
        gmpt_yield(); /* whoever comes meanwhile queues, whatever the number of Ps */
        gmpt_mutex_unlock(&convoy_lock);
        crunch(20000);
    }
    gmpt_waitgroup_done(&all);
}

/* ---- calls: blocking calls in a loop ----------------------------------------------------------------------------- */

static int nothing(void *arg) { return arg ? 1 : 0; }

static void caller(void *args)
{
    (void)args;
    for (int i = 0; i < 40000; i++)
        gmpt_blocking(nothing, NULL);
    gmpt_waitgroup_done(&all);
}

/* ---- storm: two that hand a token to and fro --------------------------------------------------------------------- */

static void pong(void *args)
{
    struct gmpt_chan **ends = args;
    int token;
    while (gmpt_chan_recv(ends[0], &token) == 0)
        gmpt_chan_send(ends[1], &token);
    gmpt_chan_close(ends[1]);
    gmpt_waitgroup_done(&all);
}

static void ping(void)
{
    static struct gmpt_chan *ends[2]; /* static: it still has them as it ends, for leak checkers */
    int token = 1;
    ends[0] = gmpt_chan_new(sizeof(int), 0);
    ends[1] = gmpt_chan_new(sizeof(int), 0);
    gmpt_waitgroup_add(&all, 1);
    gmpt_go(pong, ends, sizeof ends);
    for (int64_t until_ns = now_ns() + 1200000000; now_ns() < until_ns;) {
        gmpt_chan_send(ends[0], &token);
        gmpt_chan_recv(ends[1], &token);
    }
    gmpt_chan_close(ends[0]);
}

/* ---- spawning: ever more that wait for what never comes ---------------------------------------------------------- */

static void forgotten(void *args)
{
    int value;
    gmpt_chan_recv(*(struct gmpt_chan **)args, &value);
}

static void spawn(void)
{
    static struct gmpt_chan *never;
    never = gmpt_chan_new(sizeof(int), 0);
    for (int i = 0; i < 40; i++) {
        for (int k = 0; k < 50; k++)
            gmpt_go(forgotten, &never, sizeof never);
        gmpt_sleep(5000000);
    }
}

/* ---- late: one P, and many that compute before the last gets its turn -------------------------------------------- */

static void late(void *args)
{
    (void)args;
    crunch(7000000);
    gmpt_waitgroup_done(&all);
}

/* ---- starved: a G could run and a P idles, since the kernel does not let its thread run -------------------------- */

static bool starved_over;      /* these two by builtins only */
static int64_t starved_ran_ns;

/* No goroutine: a thread of the program's own that takes the CPU. */
static void *cpu_taker(void *arg)
{
    (void)arg;
    while (!__atomic_load_n(&starved_over, __ATOMIC_RELAXED))
        spend();
    return NULL;
}

static void starved(void *args)
{
    (void)args;
    __atomic_store_n(&starved_ran_ns, now_ns(), __ATOMIC_RELAXED);
    gmpt_waitgroup_done(&all);
}

/* All threads on one CPU, which one of higher priority than ours takes. Fed: we give way, so the other runs on our P.
 * Starved: we compute on our P, and the other G waits for a thread that comes late; until that was 30 ms once. */
static int starve(bool fed)
{
    cpu_set_t one;
    pthread_t taker;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    gmpt_lock_os_thread();
    if (sched_setaffinity(0, sizeof one, &one) || pthread_create(&taker, NULL, cpu_taker, NULL) ||
        setpriority(PRIO_PROCESS, 0, 19))
        return 3;
    gmpt_unlock_os_thread();
    for (int64_t late_ns = 0; late_ns < 30000000;) {
        int64_t begin_ns = now_ns();
        __atomic_store_n(&starved_ran_ns, 0, __ATOMIC_RELAXED);
        gmpt_waitgroup_add(&all, 1);
        gmpt_go(starved, NULL, 0);
        while (!__atomic_load_n(&starved_ran_ns, __ATOMIC_RELAXED) && now_ns() - begin_ns < 200000000)
            if (fed)
                gmpt_yield();
            else
                spend();
        gmpt_waitgroup_wait(&all);
        late_ns = fed ? INT64_MAX : __atomic_load_n(&starved_ran_ns, __ATOMIC_RELAXED) - begin_ns;
    }
    __atomic_store_n(&starved_over, true, __ATOMIC_RELAXED);
    return pthread_join(taker, NULL);
}

/* ---- handoff: a call that blocks, and nobody was told so: the P blocks with it ----------------------------------- */

static __attribute__((noinline)) void flush_to_disk(void)
{
    struct timespec a_while = { .tv_nsec = 10000000 };
    nanosleep(&a_while, NULL); /* as slow as a disk */
}

static void flusher(void *args)
{
    (void)args;
    for (int i = 0; i < 20; i++)
        flush_to_disk();
    gmpt_waitgroup_done(&all);
}

/* ---- pages: new memory for every request, which is given back after it ------------------------------------------- */

#define PAGE 4096
#define HEAD_PAGES 2
#define BODY_PAGES 128

static __attribute__((noinline)) void answer(void)
{
    size_t bytes = (HEAD_PAGES + BODY_PAGES) * PAGE;
    volatile char *reply = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (reply == MAP_FAILED || madvise((void *)reply, bytes, MADV_NOHUGEPAGE))
        abort();
    for (size_t at = 0; at < HEAD_PAGES * PAGE; at += PAGE)
        reply[at] = 1;
    for (size_t at = HEAD_PAGES * PAGE; at < bytes; at += PAGE)
        reply[at] = 2; /* the storm */
    munmap((void *)reply, bytes);
}

static void answerer(void *args)
{
    (void)args;
    for (int i = 0; i < 300; i++)
        answer();
    gmpt_waitgroup_done(&all);
}

/* ---- crowded: another program computes on the only CPU ----------------------------------------------------------- */

static bool neighbour_start(void)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    if (sched_setaffinity(0, sizeof one, &one))
        return false;
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        prctl(PR_SET_NAME, "loudspeaker");
        setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) - 6); /* else others may be louder, by chance */
        for (;;)
            spend();
    }
    return pid > 0;
}

static void crowded(void *args)
{
    (void)args;
    crunch(300000000);
    gmpt_waitgroup_done(&all);
}

/* ---- none: work in reasonable pieces ----------------------------------------------------------------------------- */

static void worker(void *args)
{
    struct gmpt_chan *jobs = *(struct gmpt_chan **)args;
    int job;
    while (gmpt_chan_recv(jobs, &job) == 0)
        crunch(100000);
    gmpt_waitgroup_done(&all);
}

static void pool(void)
{
    static struct gmpt_chan *jobs;
    jobs = gmpt_chan_new(sizeof(int), 4);
    gmpt_waitgroup_add(&all, 4);
    for (int i = 0; i < 4; i++)
        gmpt_go(worker, &jobs, sizeof jobs);
    for (int job = 0; job < 200; job++)
        gmpt_chan_send(jobs, &job);
    gmpt_chan_close(jobs);
}

static void start_many(void (*fn)(void *args), int count)
{
    gmpt_waitgroup_add(&all, count);
    for (int i = 0; i < count; i++)
        gmpt_go(fn, NULL, 0);
}

static int start(void *arg)
{
    const char *kind = arg;
    if (strcmp(kind, "hog") == 0)
        start_many(hog, 1);
    else if (strcmp(kind, "herd") == 0)
        herd();
    else if (strcmp(kind, "convoy") == 0)
        start_many(convoy_member, 12);
    else if (strcmp(kind, "calls") == 0)
        start_many(caller, 1);
    else if (strcmp(kind, "storm") == 0)
        ping();
    else if (strcmp(kind, "spawning") == 0)
        spawn();
    else if (strcmp(kind, "late") == 0)
        start_many(late, 8);
    else if (strcmp(kind, "starved") == 0 || strcmp(kind, "fed") == 0)
        return starve(strcmp(kind, "fed") == 0);
    else if (strcmp(kind, "handoff") == 0)
        start_many(flusher, 1);
    else if (strcmp(kind, "pages") == 0)
        start_many(answerer, 1);
    else if (strcmp(kind, "crowded") == 0)
        start_many(crowded, 1);
    else if (strcmp(kind, "none") == 0)
        pool();
    else
        return fprintf(stderr, "planted: no such fault as %s\n", kind), 2;
    gmpt_waitgroup_wait(&all);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 2 || (strcmp(argv[1], "crowded") == 0 && !neighbour_start()))
        return 2;
    return gmpt_run(start, argv[1]);
}
