/* See switchevents.h. */
#define _GNU_SOURCE
#include "switchevents.h"

#include "trace/table.h"

#include <dirent.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define RING_BYTES_LEAST 16384
#define SCANS_MOST 100
#define FORMAT_LOST (1u << 4)         /* PERF_FORMAT_LOST, of Linux 6.0 */
#define RECORD_MOST 128               /* the largest that there is, and what tells of a loss */

/* What follows each record's own, by sample_type. */
struct record_id {
    uint32_t pid, tid;
    uint64_t at_ns;
    uint32_t cpu, reserved;
};

struct record_thread { /* PERF_RECORD_FORK and _EXIT */
    uint32_t pid, parent_pid, tid, parent_tid;
    uint64_t at_ns;
};

struct record_lost {
    uint64_t id, count;
};

struct cpuring {
    int fd; /* the event that it was made for; -1 = this CPU is not there */
    struct perf_event_mmap_page *page;
    size_t bytes;     /* of the ring behind it, a power of two */
    uint64_t last_ns; /* of the last record */
};

struct switchevents {
    pid_t pid;
    size_t page_bytes, ring_bytes;
    struct cpuring *rings;
    int ring_count;
    int *fds; /* of all events */
    size_t fd_count, fd_room;
    struct table known; /* the ids of threads that have events; entries are any */
    bool counts_lost;   /* each event does */
    uint64_t lost;
    uint64_t number;
    struct switchevent *events;
    size_t event_count, event_room;
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- Opening ---------------------------------------------------------------------------------------------------- */

/* Returns a descriptor or -errno. What older kernels do not know yet is left out. */
static int event_open(pid_t tid, int cpu, bool *counts_lost)
{
    struct perf_event_attr attributes = {
        .type = PERF_TYPE_SOFTWARE,
        .size = sizeof attributes,
        .config = PERF_COUNT_SW_DUMMY,
        .sample_type = PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_CPU,
        .sample_id_all = 1,
        .disabled = 1,
        .inherit = 1,
        .exclude_kernel = 1, /* of what the event counts, which is nothing: so it takes no rights */
        .exclude_hv = 1,
        .context_switch = 1,
        .task = 1,
        .use_clockid = 1,
        .clockid = CLOCK_MONOTONIC,
    };
    for (int try = 0;; try++) {
        attributes.read_format = try < 1 ? FORMAT_LOST : 0;
        attributes.inherit_thread = try < 2; /* Linux 5.13; else child processes come as well, and are left out */
        int fd = (int)syscall(SYS_perf_event_open, &attributes, tid, cpu, -1, PERF_FLAG_FD_CLOEXEC);
        if (fd >= 0)
            *counts_lost = try < 1;
        if (fd >= 0 || errno != EINVAL || try == 2)
            return fd >= 0 ? fd : -errno;
    }
}

static int refused(struct kernelside_lack *lack, const char *what, int result)
{
    int paranoid = 0;
    FILE *file = fopen("/proc/sys/kernel/perf_event_paranoid", "re");
    bool known = file && fscanf(file, "%d", &paranoid) == 1;
    if (file)
        fclose(file);
    if (known && (result == -EPERM || result == -EACCES))
        kernelside_refuse(lack, "%s: %s; kernel.perf_event_paranoid is %d", what, strerror(-result), paranoid);
    else
        kernelside_refuse(lack, "%s: %s", what, strerror(-result));
    return result;
}

/* Returns 0 or -errno. A user may lock only so much memory (kernel.perf_event_mlock_kb for each CPU, and ulimit -l), so
 * less is asked for in need. */
static int ring_map(struct cpuring *ring, size_t ring_bytes, size_t page_bytes)
{
    for (size_t bytes = ring_bytes; bytes >= RING_BYTES_LEAST && bytes >= page_bytes; bytes /= 2) {
        void *map = mmap(NULL, bytes + page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, 0);
        if (map != MAP_FAILED) {
            ring->page = map;
            ring->bytes = bytes;
            return 0;
        }
        if (errno != EPERM && errno != ENOMEM)
            break;
    }
    return -errno;
}

static void ring_unmap(struct cpuring *ring, size_t page_bytes)
{
    if (ring->page)
        munmap(ring->page, ring->bytes + page_bytes);
    ring->page = NULL;
}

/* Only from then on it is told whether a thread that loses its CPU could have run on. */
static bool kernel_is_old(void)
{
    struct utsname name;
    unsigned major = 0, minor = 0;
    return uname(&name) == 0 && sscanf(name.release, "%u.%u", &major, &minor) == 2 &&
           (major < 4 || (major == 4 && minor < 17));
}

int switchevents_try(struct kernelside_lack *lack)
{
    bool counts_lost;
    if (kernel_is_old()) {
        kernelside_refuse(lack, "Linux tells which threads it preempts from 4.17 on");
        return -EOPNOTSUPP;
    }
    int fd = event_open(0, -1, &counts_lost);
    if (fd < 0)
        return refused(lack, "perf_event_open(2)", fd);
    close(fd);
    return 0;
}

static int fd_keep(struct switchevents *events, int fd)
{
    if (events->fd_count == events->fd_room) {
        size_t room = events->fd_room ? 2 * events->fd_room : 64;
        int *fds = realloc(events->fds, room * sizeof *fds);
        if (!fds)
            return -ENOMEM;
        events->fds = fds;
        events->fd_room = room;
    }
    events->fds[events->fd_count++] = fd;
    return 0;
}

/* Returns 0, 1 when there is no such CPU now, or -errno: -ESRCH when the thread has ended. */
static int event_add(struct switchevents *events, pid_t tid, int cpu)
{
    struct cpuring *ring = &events->rings[cpu];
    int fd = event_open(tid, cpu, &events->counts_lost);
    if (fd < 0)
        return fd == -ENODEV ? 1 : fd;
    int result = fd_keep(events, fd);
    if (result) {
        close(fd);
        return result;
    }
    if (ring->page) {
        result = ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, ring->fd) ? -errno : 0;
    } else {
        ring->fd = fd;
        result = ring_map(ring, events->ring_bytes, events->page_bytes);
    }
    return result ? result : ioctl(fd, PERF_EVENT_IOC_ENABLE, 0) ? -errno : 0;
}

static int thread_add(struct switchevents *events, uint32_t tid)
{
    for (int cpu = 0; cpu < events->ring_count; cpu++) {
        int result = event_add(events, (pid_t)tid, cpu);
        if (result < 0)
            return result == -ESRCH ? 0 : result;
    }
    return table_insert(&events->known, table_mix(tid), events);
}

static bool thread_is_known(const struct switchevents *events, uint32_t tid)
{
    return table_find(&events->known, table_mix(tid), NULL, NULL) != NULL;
}

/* Events for the threads that have none. Returns how many threads there were, or -errno. */
static int threads_scan(struct switchevents *events, int (*found)(void *arg, uint32_t tid), void *arg)
{
    char path[48];
    int result = 0, count = 0;
    snprintf(path, sizeof path, "/proc/%d/task", (int)events->pid);
    DIR *tasks = opendir(path);
    if (!tasks)
        return -errno;
    for (const struct dirent *entry; result == 0 && (entry = readdir(tasks));) {
        uint32_t tid = (uint32_t)strtoul(entry->d_name, NULL, 10);
        if (tid == 0 || thread_is_known(events, tid))
            continue;
        count++;
        result = thread_add(events, tid);
        if (result == 0)
            result = found(arg, tid);
    }
    closedir(tasks);
    return result ? result : count;
}

/* An event takes a descriptor. */
static void limit_raise(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int rings_read(struct switchevents *events);

int switchevents_open(struct switchevents **out, pid_t pid, size_t ring_bytes,
                      int (*found)(void *arg, uint32_t tid), void *arg, struct kernelside_lack *lack)
{
    struct switchevents *events = calloc(1, sizeof *events);
    long cpus = sysconf(_SC_NPROCESSORS_CONF);
    int result = events && cpus > 0 ? 0 : -ENOMEM;
    if (events && cpus > 0) {
        events->pid = pid;
        events->page_bytes = (size_t)sysconf(_SC_PAGESIZE);
        events->ring_bytes = ring_bytes;
        events->rings = calloc((size_t)cpus, sizeof *events->rings);
        events->ring_count = events->rings ? (int)cpus : 0;
        for (int i = 0; i < events->ring_count; i++)
            events->rings[i].fd = -1;
        result = events->rings ? 0 : -ENOMEM;
    }
    limit_raise();
    /* A thread that one without events started has none either, so until all have them, there may be more. One that has
     * inherited them is told of in the rings. */
    for (int scan = 0, more = 1; result == 0 && more && scan < SCANS_MOST; scan++) {
        more = threads_scan(events, found, arg);
        result = more < 0 ? more : rings_read(events);
    }
    if (result) {
        switchevents_close(events);
        return refused(lack, result == -EMFILE ? "a perf event for each thread and CPU" : "its perf events", result);
    }
    *out = events;
    return 0;
}

void switchevents_close(struct switchevents *events)
{
    if (!events)
        return;
    for (int i = 0; i < events->ring_count; i++)
        ring_unmap(&events->rings[i], events->page_bytes);
    for (size_t i = 0; i < events->fd_count; i++)
        close(events->fds[i]);
    table_clear(&events->known);
    free(events->rings);
    free(events->fds);
    free(events->events);
    free(events);
}

/* ---- Reading ---------------------------------------------------------------------------------------------------- */

static int event_put(struct switchevents *events, enum switchevent_kind kind, uint64_t at_ns, uint32_t tid)
{
    if (events->event_count == events->event_room) {
        size_t room = events->event_room ? 2 * events->event_room : 1024;
        struct switchevent *new = realloc(events->events, room * sizeof *new);
        if (!new)
            return -ENOMEM;
        events->events = new;
        events->event_room = room;
    }
    events->events[events->event_count++] = (struct switchevent){ at_ns, events->number++, tid, kind };
    return 0;
}

static int loss_put(struct switchevents *events, uint64_t begin_ns, uint64_t end_ns)
{
    int result = event_put(events, SWITCHEVENT_LOSS_BEGIN, begin_ns, 0);
    return result ? result : event_put(events, SWITCHEVENT_LOSS_END, end_ns, 0);
}

static int thread_put(struct switchevents *events, bool starts, const struct record_thread *thread)
{
    if (thread->pid != (uint32_t)events->pid)
        return 0;
    int result = starts && !thread_is_known(events, thread->tid)
                     ? table_insert(&events->known, table_mix(thread->tid), events)
                     : 0;
    if (!starts)
        table_remove(&events->known, table_mix(thread->tid), events);
    return result ? result
                  : event_put(events, starts ? SWITCHEVENT_START : SWITCHEVENT_EXIT, thread->at_ns, thread->tid);
}

static int record_put(struct switchevents *events, struct cpuring *ring, const struct perf_event_header *header)
{
    const char *body = (const char *)(header + 1);
    size_t bytes = header->size - sizeof *header;
    struct record_id id;
    struct record_thread thread;
    struct record_lost lost;
    int result = 0;
    if (bytes < sizeof id)
        return 0;
    memcpy(&id, body + bytes - sizeof id, sizeof id);
    switch (header->type) {
    case PERF_RECORD_SWITCH:
        if (id.pid == (uint32_t)events->pid)
            result = event_put(events,
                               !(header->misc & PERF_RECORD_MISC_SWITCH_OUT)          ? SWITCHEVENT_RUN
                               : header->misc & PERF_RECORD_MISC_SWITCH_OUT_PREEMPT ? SWITCHEVENT_PREEMPTED
                                                                                      : SWITCHEVENT_BLOCKED,
                               id.at_ns, id.tid);
        break;
    case PERF_RECORD_FORK:
    case PERF_RECORD_EXIT:
        if (bytes < sizeof thread + sizeof id)
            break;
        memcpy(&thread, body, sizeof thread);
        result = thread_put(events, header->type == PERF_RECORD_FORK, &thread);
        break;
    case PERF_RECORD_LOST:
        if (bytes < sizeof lost + sizeof id)
            break;
        memcpy(&lost, body, sizeof lost);
        events->lost += events->counts_lost ? 0 : lost.count;
        result = loss_put(events, ring->last_ns, id.at_ns);
        break;
    default:
        break;
    }
    ring->last_ns = id.at_ns;
    return result;
}

/* The kernel writes up to data_head, and not over what is behind data_tail. */
static int ring_read(struct switchevents *events, struct cpuring *ring)
{
    const char *data = (const char *)ring->page + events->page_bytes;
    uint64_t head = __atomic_load_n(&ring->page->data_head, __ATOMIC_ACQUIRE), tail = ring->page->data_tail;
    bool full = ring->bytes - (head - tail) < RECORD_MOST;
    char copy[UINT16_MAX];
    int result = 0;
    while (result == 0 && tail < head) {
        size_t at = tail & (ring->bytes - 1), before_end = ring->bytes - at;
        const struct perf_event_header *header = (const void *)(data + at); /* is in one piece: all is aligned */
        if (header->size < sizeof *header)
            return -EPROTO;
        if (header->size > before_end) {
            memcpy(copy, data + at, before_end);
            memcpy(copy + before_end, data, header->size - before_end);
            header = (const void *)copy;
        }
        tail += header->size;
        result = record_put(events, ring, header);
    }
    __atomic_store_n(&ring->page->data_tail, tail, __ATOMIC_RELEASE);
    return result || !full ? result : loss_put(events, ring->last_ns, now_ns());
}

static int rings_read(struct switchevents *events)
{
    int result = 0;
    for (int i = 0; result == 0 && i < events->ring_count; i++)
        if (events->rings[i].page)
            result = ring_read(events, &events->rings[i]);
    return result;
}

static int event_compare(const void *a_arg, const void *b_arg)
{
    const struct switchevent *a = a_arg, *b = b_arg;
    if (a->at_ns != b->at_ns)
        return a->at_ns < b->at_ns ? -1 : 1;
    return a->number < b->number ? -1 : 1;
}

static void lost_count(struct switchevents *events)
{
    uint64_t lost = 0, value[2];
    for (size_t i = 0; i < events->fd_count; i++)
        if (read(events->fds[i], value, sizeof value) == sizeof value)
            lost += value[1];
    events->lost = lost;
}

int switchevents_read(struct switchevents *events, bool last, int (*take)(void *arg, const struct switchevent *event),
                      void *arg)
{
    uint64_t until_ns = last ? UINT64_MAX : now_ns();
    int result = rings_read(events);
    bool loses = last;
    size_t done = 0;
    if (events->event_count)
        qsort(events->events, events->event_count, sizeof *events->events, event_compare);
    while (result == 0 && done < events->event_count && events->events[done].at_ns <= until_ns) {
        loses = loses || events->events[done].kind == SWITCHEVENT_LOSS_BEGIN;
        result = take(arg, &events->events[done++]);
    }
    events->event_count -= done;
    memmove(events->events, events->events + done, events->event_count * sizeof *events->events);
    if (loses && events->counts_lost)
        lost_count(events);
    return result;
}

uint64_t switchevents_lost(const struct switchevents *events) { return events->lost; }
