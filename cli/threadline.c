/* See threadline.h. */
#include "threadline.h"

#include <errno.h>
#include <stdlib.h>

#define THREADS_MAX 65536

struct known {
    struct export_thread thread;
    bool has_cpu; /* since on_ns, as far as it is told */
    bool cpu_known;
    uint32_t cpu;
    int64_t on_ns, last_ns; /* last: when what was told of it ends; nothing later begins before that */
};

void threadline_open(struct threadline *threads, struct export *export, int64_t from_ns, int64_t to_ns)
{
    *threads = (struct threadline){ .export = export, .from_ns = from_ns, .to_ns = to_ns };
}

void threadline_close(struct threadline *threads)
{
    for (size_t i = 0; threads->threads.slots && i <= threads->threads.mask; i++)
        free(threads->threads.slots[i].entry);
    table_clear(&threads->threads);
    kernelintervals_clear(&threads->joined);
    kernelgs_clear(&threads->gs);
}

/* NULL with errno 0 = there are too many of them: only a damaged file has so many. */
static struct known *known_get(struct threadline *threads, uint32_t tid)
{
    struct known *known = table_find(&threads->threads, table_mix(tid), NULL, NULL);
    errno = 0;
    if (known || threads->threads.count == THREADS_MAX)
        return known;
    known = calloc(1, sizeof *known);
    if (!known || table_insert(&threads->threads, table_mix(tid), known)) {
        free(known);
        errno = ENOMEM;
        return NULL;
    }
    known->thread.tid = tid;
    return known;
}

static int64_t between(int64_t ns, int64_t least_ns, int64_t most_ns)
{
    return ns < least_ns ? least_ns : ns > most_ns ? most_ns : ns;
}

/* It has had a CPU to end_ns. */
static int on_tell(struct threadline *threads, struct known *known, int64_t end_ns, bool until_known)
{
    struct export_oncpu on = {
        .cpu_known = known->cpu_known,
        .cpu = known->cpu,
        .until_known = until_known,
        .begin_ns = between(known->on_ns, threads->from_ns, threads->to_ns),
        .end_ns = between(end_ns, threads->from_ns, threads->to_ns),
    };
    bool told = known->has_cpu && on.begin_ns < on.end_ns && threads->export->format->oncpu;
    known->has_cpu = false;
    return told ? threads->export->format->oncpu(threads->export, &known->thread, &on) : 0;
}

/* The thread that woke it, if that is one of the program's. */
static int waker_find(struct threadline *threads, const struct kernel_task *waker, struct export_thread **thread)
{
    const struct gmpt_trace_info *info = gmpt_trace_info(threads->export->trace);
    bool own = waker->g || (waker->pid && waker->pid == info->pid);
    *thread = NULL;
    if (!own || !kernelintervals_named(waker))
        return 0;
    struct known *known = known_get(threads, waker->tid);
    if (!known)
        return -errno;
    *thread = &known->thread;
    return 0;
}

static int off_tell(struct threadline *threads, struct known *known, const struct kernel_interval *told,
                    const struct interval *doing)
{
    int64_t end_ns = between(told->end_ns, known->last_ns, INT64_MAX);
    int64_t begin_ns = between(told->begin_ns, known->last_ns, end_ns);
    int64_t able_ns = between(told->able_ns, begin_ns, end_ns);
    int result = on_tell(threads, known, begin_ns, true);
    struct export_offcpu off = {
        .told = told,
        .g = doing ? doing->g->id : 0,
        .doing = kernelgs_did(told, doing),
        .p = kernelgs_p(&threads->gs, told->tid),
        .begin_ns = between(begin_ns, threads->from_ns, threads->to_ns),
        .able_ns = between(able_ns, threads->from_ns, threads->to_ns),
        .end_ns = between(end_ns, threads->from_ns, threads->to_ns),
        .ended = end_ns < threads->to_ns,
    };
    known->has_cpu = true;
    known->cpu_known = told->by_known;
    known->cpu = told->cpu_to;
    known->on_ns = known->last_ns = end_ns;
    if (result || end_ns < threads->from_ns || begin_ns >= threads->to_ns || !threads->export->format->offcpu)
        return result;
    if (threads->export->places && told->stack)
        place_code(threads->export->places, told->stack);
    bool woken = told->why == GMPT_KERNEL_BLOCKED && told->able_known && able_ns >= threads->from_ns &&
                 able_ns < threads->to_ns;
    if (woken)
        result = waker_find(threads, &told->waker, &off.waker);
    return result ? result : threads->export->format->offcpu(threads->export, &known->thread, &off);
}

static int ended_tell(struct threadline *threads, const struct gmpt_event *event)
{
    struct known *known =
        table_find(&threads->threads, table_mix((uint32_t)event->kernel_thread.tid), NULL, NULL);
    return known && event->kernel_thread.ended ? on_tell(threads, known, event->time_ns, true) : 0;
}

/* At most what a database has room for. */
static int64_t bounded(uint64_t number) { return number < INT64_MAX ? (int64_t)number : INT64_MAX; }

static int usage_tell(struct threadline *threads, const struct gmpt_event *event)
{
    const struct gmpt_event_kernel_usage *told = &event->kernel_usage;
    if (!threads->export->format->usage || event->time_ns < threads->from_ns || event->time_ns >= threads->to_ns)
        return 0;
    struct known *known = known_get(threads, (uint32_t)told->tid);
    struct export_usage usage = { event->time_ns, bounded(told->span_ns), bounded(told->ran_ns),
                                  bounded(told->queue_ns), bounded(told->slices) };
    return known ? threads->export->format->usage(threads->export, &known->thread, &usage) : -errno;
}

int threadline_add(struct threadline *threads, const struct gmpt_event *event, const struct intervals *intervals)
{
    struct kernel_interval told;
    int result = kernelgs_add(&threads->gs, event, intervals);
    if (!result && event->type == GMPT_EVENT_kernel_thread)
        return ended_tell(threads, event);
    if (!result && event->type == GMPT_EVENT_kernel_usage)
        return usage_tell(threads, event);
    if (event->type == GMPT_EVENT_kernel_tier)
        threads->export->kernel_tier = kernelintervals_tier(event);
    if (result || !kernelintervals_takes(event->type))
        return result;
    result = kernelintervals_add(&threads->joined, event, &told);
    if (result <= 0)
        return result;
    struct known *known = known_get(threads, told.tid);
    return known ? off_tell(threads, known, &told, kernelgs_doing(&threads->gs, &told, intervals)) : -errno;
}

static int known_compare(const void *a_arg, const void *b_arg)
{
    const struct known *a = *(const struct known *const *)a_arg, *b = *(const struct known *const *)b_arg;
    return (a->thread.tid > b->thread.tid) - (a->thread.tid < b->thread.tid);
}

/* Those that have not ended, by their numbers. */
int threadline_finish(struct threadline *threads, int64_t end_ns)
{
    size_t count = 0;
    int result = 0;
    struct known **list = calloc(threads->threads.count + 1, sizeof *list);
    if (!list)
        return -ENOMEM;
    for (size_t i = 0; threads->threads.slots && i <= threads->threads.mask; i++)
        if (threads->threads.slots[i].entry)
            list[count++] = threads->threads.slots[i].entry;
    qsort(list, count, sizeof *list, known_compare);
    for (size_t i = 0; i < count && !result; i++)
        result = on_tell(threads, list[i], end_ns, false);
    free(list);
    return result;
}
