/* See threadusage.h. */
#define _GNU_SOURCE
#include "threadusage.h"

#include "trace/table.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TICK_MOST_NS 20000000 /* by which a time on a CPU is counted late, and more */
#define IDLE_NS 100000000 /* how often a thread that does nothing is told of */

struct figures {
    uint64_t ran_ns, queue_ns, slices;
};

struct thread {
    uint32_t tid;
    int fd; /* of its schedstat, which stays this thread's when another one gets its number */
    uint64_t told_ns;
    struct figures told; /* up to then */
    struct thread *next;
};

struct threadusage {
    DIR *tasks;
    int64_t period_ns;
    bool tells_threads;
    uint64_t looked_ns; /* 0 = not yet */
    struct thread *threads;
    struct table by_tid;
    uint64_t lost; /* not told of yet */
    kernelside_take *take; /* of the poll that is under way */
    void *arg;
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Returns 0 or -errno: -ESRCH when the thread has ended. */
static int figures_read(int fd, struct figures *figures)
{
    char text[96];
    ssize_t length = pread(fd, text, sizeof text - 1, 0);
    if (length < 0)
        return -errno;
    text[length] = 0;
    char *at = text;
    figures->ran_ns = strtoull(at, &at, 10);
    figures->queue_ns = strtoull(at, &at, 10);
    figures->slices = strtoull(at, &at, 10);
    return *at == '\n' ? 0 : -EPROTO;
}

int threadusage_try(struct kernelside_lack *lack)
{
    struct figures figures = { 0 };
    int fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    int result = fd < 0 ? -errno : figures_read(fd, &figures);
    if (fd >= 0)
        close(fd);
    if (result)
        kernelside_refuse(lack, "/proc/thread-self/schedstat: %s", strerror(-result));
    else if (figures.slices == 0) /* it runs, so it was given a CPU */
        kernelside_refuse(lack, "/proc/thread-self/schedstat counts nothing");
    return result ? result : figures.slices ? 0 : -EOPNOTSUPP;
}

/* ---- Threads ---------------------------------------------------------------------------------------------------- */

static void thread_forget(struct threadusage *usage, struct thread **link)
{
    struct thread *thread = *link;
    *link = thread->next;
    table_remove(&usage->by_tid, table_mix(thread->tid), thread);
    if (thread->fd >= 0)
        close(thread->fd);
    free(thread);
}

static int thread_tell(const struct threadusage *usage, uint32_t tid, uint64_t at_ns, bool ended)
{
    struct kernel_record record = { .type = KERNEL_THREAD, .tid = tid, .at_ns = at_ns, .thread = { .ended = ended } };
    return usage->tells_threads ? usage->take(usage->arg, &record) : 0;
}

/* One that was not there before. Returns 0, -errno, or what take returned. */
static int thread_find(struct threadusage *usage, uint32_t tid)
{
    char path[48];
    uint64_t at_ns = now_ns();
    bool first = usage->looked_ns == 0;
    snprintf(path, sizeof path, "%u/schedstat", (unsigned)tid);
    int fd = openat(dirfd(usage->tasks), path, O_RDONLY | O_CLOEXEC);
    struct figures told = { 0 };
    if (fd < 0 ? errno == ENOENT : first && figures_read(fd, &told)) {
        if (fd >= 0)
            close(fd);
        return 0; /* it has ended already */
    }
    struct thread *thread = malloc(sizeof *thread);
    if (!thread || table_insert(&usage->by_tid, table_mix(tid), thread)) {
        if (fd >= 0)
            close(fd);
        free(thread);
        return -ENOMEM;
    }
    *thread = (struct thread){ .tid = tid, .fd = fd, .told_ns = first ? at_ns : usage->looked_ns, .told = told };
    thread->next = usage->threads;
    usage->threads = thread;
    /* The number stays known, so that a thread that cannot be read, for want of descriptors, is counted once. */
    usage->lost += fd < 0;
    return first ? 0 : thread_tell(usage, tid, at_ns, false);
}

/* Returns 0, -errno, or what take returned. */
static int threads_find(struct threadusage *usage)
{
    int result = 0;
    rewinddir(usage->tasks);
    for (const struct dirent *entry; result == 0 && (entry = readdir(usage->tasks));) {
        uint32_t tid = (uint32_t)strtoul(entry->d_name, NULL, 10);
        if (tid && !table_find(&usage->by_tid, table_mix(tid), NULL, NULL))
            result = thread_find(usage, tid);
    }
    return result;
}

static bool is_there(const struct threadusage *usage, uint32_t tid)
{
    char name[16];
    snprintf(name, sizeof name, "%u", (unsigned)tid);
    return faccessat(dirfd(usage->tasks), name, F_OK, 0) == 0;
}

/* Whether these cannot be of the thread that the last ones were of: one that calls exec(2) gets the number of the
 * process's first one, and with it what was open of that. */
static bool is_another(const struct thread *thread, const struct figures *now, uint64_t at_ns)
{
    const struct figures *told = &thread->told;
    return now->ran_ns < told->ran_ns || now->queue_ns < told->queue_ns || now->slices < told->slices ||
           now->ran_ns - told->ran_ns > at_ns - thread->told_ns + TICK_MOST_NS;
}

/* Its next figure. Returns 0, -errno, what take returned, or -ESRCH when it has ended. */
static int thread_look(struct threadusage *usage, struct thread *thread, bool last)
{
    struct figures now = { 0 };
    uint64_t at_ns = now_ns();
    if (thread->fd < 0)
        return is_there(usage, thread->tid) ? 0 : -ESRCH;
    int result = figures_read(thread->fd, &now);
    if (result)
        return result;
    if (memcmp(&now, &thread->told, sizeof now) == 0 && at_ns - thread->told_ns < IDLE_NS && !last)
        return 0;
    if (is_another(thread, &now, at_ns)) {
        thread->told = now;
        thread->told_ns = at_ns;
        usage->lost++;
        return 0;
    }
    struct kernel_record record = {
        .type = KERNEL_USAGE,
        .tid = thread->tid,
        .at_ns = at_ns,
        .usage = { at_ns - thread->told_ns, now.ran_ns - thread->told.ran_ns, now.queue_ns - thread->told.queue_ns,
                   now.slices - thread->told.slices },
    };
    thread->told = now;
    thread->told_ns = at_ns;
    return usage->take(usage->arg, &record);
}

/* ---- The process ------------------------------------------------------------------------------------------------ */

int threadusage_open(struct threadusage **out, pid_t pid, int64_t period_ns, bool threads,
                     struct kernelside_lack *lack)
{
    char path[48];
    struct threadusage *usage = calloc(1, sizeof *usage);
    int result = usage ? 0 : -ENOMEM;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    if (usage && !(usage->tasks = opendir(path)))
        result = -errno;
    if (result == 0) {
        usage->period_ns = period_ns;
        usage->tells_threads = threads;
        result = threads_find(usage);
        usage->looked_ns = now_ns();
    }
    if (result) {
        kernelside_refuse(lack, "%s: %s", path, strerror(-result));
        threadusage_close(usage);
        return result;
    }
    *out = usage;
    return 0;
}

static int losses_tell(struct threadusage *usage)
{
    struct kernel_record record = { .type = KERNEL_LOST, .lost = { GMPT_KERNEL_LOST_USAGES, usage->lost } };
    usage->lost = 0;
    return record.lost.count ? usage->take(usage->arg, &record) : 0;
}

int threadusage_poll(struct threadusage *usage, bool last, kernelside_take *take, void *arg)
{
    uint64_t begin_ns = now_ns();
    if (!last && begin_ns - usage->looked_ns < (uint64_t)usage->period_ns)
        return 0;
    usage->take = take;
    usage->arg = arg;
    int result = threads_find(usage);
    for (struct thread **link = &usage->threads; result == 0 && *link;) {
        result = thread_look(usage, *link, last);
        if (result != -ESRCH) {
            link = &(*link)->next;
            continue;
        }
        usage->lost += (*link)->fd >= 0;
        result = thread_tell(usage, (*link)->tid, now_ns(), true);
        thread_forget(usage, link);
    }
    usage->looked_ns = begin_ns;
    return result ? result : losses_tell(usage);
}

void threadusage_close(struct threadusage *usage)
{
    if (!usage)
        return;
    while (usage->threads)
        thread_forget(usage, &usage->threads);
    table_clear(&usage->by_tid);
    if (usage->tasks)
        closedir(usage->tasks);
    free(usage);
}
