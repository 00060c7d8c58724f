#include "kerneltime.h"

#include "analysis.h"

#include "trace/timesum.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void kerneltime_open(struct kerneltime *kernel, const struct gmpt_trace *trace, const struct finding_limits *limits)
{
    kernel->pid = trace ? gmpt_trace_info(trace)->pid : 0;
    crosswakes_open(&kernel->crosswakes, kernel->pid, limits);
}

void kerneltime_clear(struct kerneltime *kernel)
{
    kernelintervals_clear(&kernel->joined);
    distributions_clear(&kernel->stopped);
    distributions_clear(&kernel->blocked);
    for (size_t i = 0; kernel->by_name.slots && i <= kernel->by_name.mask; i++)
        free(kernel->by_name.slots[i].entry);
    table_clear(&kernel->by_name);
    kernelgs_clear(&kernel->gs);
    crosswakes_clear(&kernel->crosswakes);
    pagefaults_clear(&kernel->faults);
    for (size_t i = 0; kernel->threads.slots && i <= kernel->threads.mask; i++)
        free(kernel->threads.slots[i].entry);
    table_clear(&kernel->threads);
    free(kernel->neighbours);
}

/* ---- Who had the CPU --------------------------------------------------------------------------------------------- */

static bool neighbour_equals(const void *entry, const void *key)
{
    const struct kerneltime_neighbour *own = entry;
    const struct kernel_task *other = key;
    return own->pid == other->pid && strncmp(own->name, other->name, sizeof own->name) == 0;
}

/* NULL: there is no memory. */
static struct kerneltime_neighbour *neighbour_of(struct kerneltime *kernel, const struct kernel_task *task)
{
    static const struct kernel_task others = { 0 };
    uint64_t hash = table_mix(task->pid);
    for (const char *c = task->name; *c; c++)
        hash = table_mix(hash ^ (uint8_t)*c);
    struct kerneltime_neighbour *neighbour = table_find(&kernel->by_name, hash, neighbour_equals, task);
    if (neighbour)
        return neighbour;
    if (kernel->by_name.count >= KERNELTIME_NEIGHBOURS_MAX && (task->pid || task->name[0]))
        return neighbour_of(kernel, &others);
    neighbour = calloc(1, sizeof *neighbour);
    if (!neighbour || table_insert(&kernel->by_name, hash, neighbour)) {
        free(neighbour);
        return NULL;
    }
    neighbour->pid = task->pid;
    memcpy(neighbour->name, task->name, sizeof neighbour->name);
    return neighbour;
}

static int neighbour_add(struct kerneltime *kernel, const struct kernel_interval *interval, int64_t taken_ns,
                         const struct interval_g *g, struct stackalias *alias)
{
    if (!interval->by_known || interval->most.tid == 0 || taken_ns == 0 || interval->why == GMPT_KERNEL_THROTTLED)
        return 0;
    struct kerneltime_neighbour *neighbour = neighbour_of(kernel, &interval->most);
    if (!neighbour)
        return -ENOMEM;
    neighbour->times++;
    timesum_add(&neighbour->taken_ns, taken_ns);
    if (taken_ns > neighbour->worst_ns) {
        neighbour->worst_ns = taken_ns;
        neighbour->worst_end_ns = interval->end_ns;
        neighbour->worst_g = g ? g->id : interval->g;
        neighbour->worst_fn = g ? g->fn : 0;
        neighbour->worst_create_stack = g ? stackalias_of(alias, g->create_stack) : 0;
    }
    return 0;
}

/* ---- Threads ----------------------------------------------------------------------------------------------------- */

struct thread {
    int64_t told_ns; /* up to where it is known what it did */
    bool ended;
};

/* NULL with errno 0 = there are too many of them. */
static struct thread *thread_get(struct kerneltime *kernel, uint32_t tid)
{
    struct thread *thread = table_find(&kernel->threads, table_mix(tid), NULL, NULL);
    errno = 0;
    if (thread || kernel->threads.count == KERNELTIME_THREADS_MAX)
        return thread;
    thread = calloc(1, sizeof *thread);
    if (!thread || table_insert(&kernel->threads, table_mix(tid), thread)) {
        free(thread);
        errno = ENOMEM;
        return NULL;
    }
    thread->told_ns = kernel->since_ns;
    return thread;
}

static int thread_tell(struct kerneltime *kernel, uint32_t tid, int64_t told_ns, bool ended)
{
    struct thread *thread = thread_get(kernel, tid);
    if (!thread)
        return -errno;
    *thread = (struct thread){ told_ns, ended };
    return 0;
}

/* One that ends can lose the CPU once more on its way out. */
static int thread_seen(struct kerneltime *kernel, uint32_t tid, int64_t told_ns)
{
    struct thread *thread = thread_get(kernel, tid);
    if (!thread)
        return -errno;
    thread->told_ns = told_ns;
    return 0;
}

int kerneltime_unfinished(struct kerneltime *kernel, const struct piece *piece)
{
    enum gmpt_g_state state = piece->interval->state;
    bool runs = state == GMPT_G_RUNNING || state == GMPT_G_PREEMPTED;
    uint32_t tid = runs || state == GMPT_G_SYSCALL ? kernelgs_tid(&kernel->gs, piece->interval) : 0;
    if (!tid || kernel->tier < GMPT_KERNEL_PERF)
        return 0;
    const struct thread *thread = thread_get(kernel, tid);
    if (!thread)
        return -errno;
    int64_t begin_ns = thread->told_ns > piece->begin_ns ? thread->told_ns : piece->begin_ns;
    if (piece->end_ns > begin_ns)
        timesum_add(runs ? &kernel->open.running_ns : &kernel->open.in_call_ns, piece->end_ns - begin_ns);
    return 0;
}

/* ---- Intervals --------------------------------------------------------------------------------------------------- */

static enum kerneltime_part part_of(const struct kernel_interval *interval, const struct interval *doing)
{
    switch (kernelgs_did(interval, doing)) {
    case GMPT_KERNEL_RUNNING_G:
        return KERNELTIME_RUNNING;
    case GMPT_KERNEL_IN_CALL:
        return KERNELTIME_IN_CALL;
    case GMPT_KERNEL_SCHEDULER:
        return KERNELTIME_SCHEDULER;
    default:
        return KERNELTIME_NOT_KNOWN;
    }
}

static int64_t within(const struct analysis_options *options, int64_t begin_ns, int64_t end_ns)
{
    begin_ns = begin_ns > options->from_ns ? begin_ns : options->from_ns;
    end_ns = end_ns < options->to_ns ? end_ns : options->to_ns;
    return end_ns > begin_ns ? end_ns - begin_ns : 0;
}

static int stop_add(struct distributions *set, const struct distribution_key *key, int64_t ns, int64_t limit_ns,
                    const struct kernel_interval *interval, const struct interval *doing)
{
    struct distribution *entry = distributions_get(set, key);
    uint64_t g = doing ? doing->g->id : interval->g;
    if (entry)
        entry->marked += ns >= limit_ns;
    return entry ? distribution_add(entry, ns, interval->end_ns, g, interval->argument) : -ENOMEM;
}

/* It could have run on. */
static void preempted_add(struct kerneltime *kernel, const struct kernel_interval *interval, int64_t queued_ns)
{
    kernel->preempted.times++;
    timesum_add(&kernel->preempted.queued_ns, queued_ns);
    bool nobody = interval->by_known && !interval->next.tid && !interval->most.tid;
    if (interval->why != GMPT_KERNEL_THROTTLED && !nobody)
        return;
    kernel->throttled.times++;
    timesum_add(&kernel->throttled.queued_ns, queued_ns);
    if (queued_ns > kernel->throttled_worst_ns) {
        kernel->throttled_worst_ns = queued_ns;
        kernel->throttled_worst_end_ns = interval->end_ns;
    }
}

/* A G that ran. */
static int running_add(struct kerneltime *kernel, const struct kernel_interval *interval, const struct interval *doing,
                       int64_t blocked_ns, int64_t queued_ns, const struct finding_limits *limits,
                       struct stackalias *alias)
{
    struct distribution_key key = {
        .fn = doing ? doing->g->fn : 0,
        .stack = doing ? stackalias_of(alias, doing->g->create_stack) : 0,
    };
    int result = stop_add(&kernel->stopped, &key, queued_ns, limits->queued_ns, interval, doing);
    if (kernelintervals_stopped(interval))
        preempted_add(kernel, interval, queued_ns);
    if (result || interval->why != GMPT_KERNEL_BLOCKED)
        return result;
    if (interval->stack)
        key = (struct distribution_key){ .stack = stackalias_of(alias, interval->stack) };
    key.kind = (uint32_t)(interval->call + 1);
    return stop_add(&kernel->blocked, &key, blocked_ns, limits->blocked_ns, interval, doing);
}

static int interval_add(struct kerneltime *kernel, const struct kernel_interval *interval,
                        const struct analysis_options *options, const struct intervals *intervals,
                        struct stackalias *alias)
{
    const struct interval *doing = kernelgs_doing(&kernel->gs, interval, intervals);
    int result = 0;
    if (interval->end_ns >= options->from_ns && interval->able_ns < options->to_ns)
        result = crosswakes_add(&kernel->crosswakes, interval, intervals, alias);
    if (result)
        return result;
    if (options->filter && (!doing || !filter_match(options->filter, &options->names, doing)))
        return 0;
    if (interval->end_ns < options->from_ns || interval->begin_ns >= options->to_ns)
        return 0;
    enum kerneltime_part part = part_of(interval, doing);
    struct kerneltime_sum *sum = &kernel->sums[part];
    int64_t blocked_ns = within(options, interval->begin_ns, interval->able_ns);
    int64_t queued_ns = within(options, interval->able_ns, interval->end_ns);
    sum->times++;
    timesum_add(&sum->blocked_ns, blocked_ns);
    timesum_add(&sum->queued_ns, queued_ns);
    if (!interval->able_known)
        timesum_add(&sum->unsplit_ns, blocked_ns);
    if (part == KERNELTIME_RUNNING || part == KERNELTIME_IN_CALL)
        result = neighbour_add(kernel, interval, queued_ns, doing ? doing->g : NULL, alias);
    if (result || part != KERNELTIME_RUNNING)
        return result;
    return running_add(kernel, interval, doing, blocked_ns, queued_ns, &options->limits, alias);
}

static int faults_add(struct kerneltime *kernel, const struct gmpt_event *event,
                      const struct analysis_options *options, const struct intervals *intervals,
                      struct stackalias *alias)
{
    const struct interval *doing = event->g ? intervals_now(intervals, event->g) : NULL;
    if (event->time_ns < options->from_ns || event->time_ns >= options->to_ns)
        return 0;
    if (options->filter && (!doing || !filter_match(options->filter, &options->names, doing)))
        return 0;
    return pagefaults_add(&kernel->faults, event, doing ? doing->g : NULL, alias);
}

/* ---- Events ------------------------------------------------------------------------------------------------------ */

/* At most what can be added up. */
static int64_t bounded(uint64_t ns) { return ns < INT64_MAX ? (int64_t)ns : INT64_MAX; }

static int told_add(struct kerneltime *kernel, const struct gmpt_event *event)
{
    switch (event->type) {
    case GMPT_EVENT_kernel_tier:
        if (!kernel->seen)
            kernel->since_ns = event->time_ns;
        kernel->seen = true;
        kernel->tier = kernelintervals_tier(event);
        kernel->others = event->kernel_tier.others != 0;
        kernel->error_ns = bounded(event->kernel_tier.error_ns);
        break;
    case GMPT_EVENT_kernel_lost:
        if (event->kernel_lost.what < GMPT_KERNEL_LOSSES &&
            __builtin_add_overflow(kernel->lost[event->kernel_lost.what], event->kernel_lost.count,
                                   &kernel->lost[event->kernel_lost.what]))
            kernel->lost[event->kernel_lost.what] = UINT64_MAX;
        break;
    case GMPT_EVENT_kernel_usage:
        timesum_add(&kernel->usage.span_ns, bounded(event->kernel_usage.span_ns));
        timesum_add(&kernel->usage.ran_ns, bounded(event->kernel_usage.ran_ns));
        timesum_add(&kernel->usage.queue_ns, bounded(event->kernel_usage.queue_ns));
        kernel->usage.slices += event->kernel_usage.slices;
        break;
    case GMPT_EVENT_kernel_thread:
        return thread_tell(kernel, (uint32_t)event->kernel_thread.tid, event->time_ns, event->kernel_thread.ended);
    default:
        break;
    }
    return 0;
}

int kerneltime_add(struct kerneltime *kernel, const struct gmpt_event *event, const struct analysis_options *options,
                   struct intervals *intervals, struct stackalias *alias)
{
    struct kernel_interval interval;
    int result = kernelgs_add(&kernel->gs, event, intervals);
    result = result ? result : told_add(kernel, event);
    if (result)
        return result;
    if (event->type == GMPT_EVENT_kernel_faults)
        result = faults_add(kernel, event, options, intervals, alias);
    if (result)
        return result;
    int complete = kernelintervals_add(&kernel->joined, event, &interval);
    if (complete > 0)
        complete = thread_seen(kernel, interval.tid, interval.end_ns) ? -ENOMEM : 1;
    return complete > 0 ? interval_add(kernel, &interval, options, intervals, alias) : complete;
}

/* ---- The end ----------------------------------------------------------------------------------------------------- */

static int neighbour_compare(const void *a_arg, const void *b_arg)
{
    const struct kerneltime_neighbour *a = *(struct kerneltime_neighbour *const *)a_arg,
                                      *b = *(struct kerneltime_neighbour *const *)b_arg;
    if (a->taken_ns != b->taken_ns)
        return a->taken_ns > b->taken_ns ? -1 : 1;
    return a->pid != b->pid ? (a->pid < b->pid ? -1 : 1) : strcmp(a->name, b->name);
}

static int neighbours_sort(struct kerneltime *kernel)
{
    if (kernel->by_name.count == 0)
        return 0;
    kernel->neighbours = calloc(kernel->by_name.count, sizeof(struct kerneltime_neighbour *));
    if (!kernel->neighbours)
        return -ENOMEM;
    for (size_t i = 0; i <= kernel->by_name.mask; i++)
        if (kernel->by_name.slots[i].entry)
            kernel->neighbours[kernel->neighbour_count++] = kernel->by_name.slots[i].entry;
    qsort(kernel->neighbours, kernel->neighbour_count, sizeof *kernel->neighbours, neighbour_compare);
    return 0;
}

/* All processes of its name together: what others build next door are many short ones. Marks them. */
static struct finding noise_of(const struct kerneltime *kernel, const struct kerneltime_neighbour *first)
{
    struct finding finding = { .kind = FINDING_NEIGHBOUR, .severity = FINDING_WARNING, .by_pid = first->pid };
    const struct kerneltime_neighbour *worst = first;
    memcpy(finding.by_name, first->name, sizeof finding.by_name);
    for (size_t i = 0; i < kernel->neighbour_count; i++) {
        struct kerneltime_neighbour *neighbour = kernel->neighbours[i];
        if (neighbour->pid == kernel->pid || strncmp(neighbour->name, first->name, sizeof first->name) != 0)
            continue;
        neighbour->judged = true;
        finding.by_processes++;
        finding.times += neighbour->times;
        timesum_add(&finding.value, neighbour->taken_ns);
        if (neighbour->worst_ns > worst->worst_ns)
            worst = neighbour;
    }
    finding.begin_ns = worst->worst_end_ns - worst->worst_ns;
    finding.end_ns = worst->worst_end_ns;
    finding.fn = worst->worst_fn;
    finding.create_stack = worst->worst_create_stack;
    finding.g = worst->worst_g;
    return finding;
}

/* Another program that takes a good part of the time that Gs run. */
static void noise_find(const struct kerneltime *kernel, const struct finding_limits *limits, int64_t running_ns,
                       struct findings *findings)
{
    int64_t threshold_ns = running_ns / 100 * (int64_t)limits->neighbour_percent;
    if (threshold_ns < limits->neighbour_ns)
        threshold_ns = limits->neighbour_ns;
    for (size_t i = 0; i < kernel->neighbour_count; i++) {
        const struct kerneltime_neighbour *neighbour = kernel->neighbours[i];
        if (neighbour->pid == kernel->pid || neighbour->judged)
            continue;
        struct finding finding = noise_of(kernel, neighbour);
        finding.threshold = threshold_ns;
        if (finding.value >= threshold_ns)
            findings_add(findings, &finding);
    }
}

static void throttling_find(const struct kerneltime *kernel, const struct finding_limits *limits,
                            struct findings *findings)
{
    if (kernel->throttled.queued_ns < limits->throttled_ns)
        return;
    findings_add(findings, &(struct finding){
                               .kind = FINDING_THROTTLED,
                               .severity = FINDING_WARNING,
                               .value = kernel->throttled.queued_ns,
                               .threshold = limits->throttled_ns,
                               .times = kernel->throttled.times,
                               .begin_ns = kernel->throttled_worst_end_ns - kernel->throttled_worst_ns,
                               .end_ns = kernel->throttled_worst_end_ns,
                           });
}

/* A G that had a P, and whose thread the kernel let wait. */
static int queues_find(struct kerneltime *kernel, const struct finding_limits *limits, struct findings *findings)
{
    int count = distributions_sort(&kernel->stopped, true);
    for (int i = 0; i < count; i++) {
        const struct distribution *stopped = kernel->stopped.list[i];
        if (stopped->histogram.max < limits->queued_ns)
            break;
        findings_add(findings, &(struct finding){
                                   .kind = FINDING_QUEUED,
                                   .severity = FINDING_WARNING,
                                   .value = stopped->histogram.max,
                                   .threshold = limits->queued_ns,
                                   .times = stopped->marked,
                                   .begin_ns = stopped->worst_end_ns - stopped->histogram.max,
                                   .end_ns = stopped->worst_end_ns,
                                   .fn = stopped->key.fn,
                                   .create_stack = stopped->key.stack,
                                   .g = stopped->worst_g,
                               });
    }
    return count < 0 ? count : 0;
}

/* A thread that blocked while it had a P, which no other could take over in time. */
static int blocks_find(struct kerneltime *kernel, const struct finding_limits *limits, struct findings *findings)
{
    int count = distributions_sort(&kernel->blocked, true);
    for (int i = 0; i < count; i++) {
        const struct distribution *blocked = kernel->blocked.list[i];
        if (blocked->histogram.max < limits->blocked_ns)
            break;
        findings_add(findings, &(struct finding){
                                   .kind = FINDING_BLOCKED,
                                   .severity = FINDING_WARNING,
                                   .value = blocked->histogram.max,
                                   .threshold = limits->blocked_ns,
                                   .times = blocked->marked,
                                   .begin_ns = blocked->worst_end_ns - blocked->histogram.max,
                                   .end_ns = blocked->worst_end_ns,
                                   .fn = blocked->key.fn,
                                   .create_stack = blocked->key.fn ? blocked->key.stack : 0,
                                   .stack = blocked->key.fn ? 0 : blocked->key.stack,
                                   .call = (int32_t)blocked->key.kind - 1,
                                   .g = blocked->worst_g,
                               });
    }
    return count < 0 ? count : 0;
}

int kerneltime_finish(struct kerneltime *kernel, const struct finding_limits *limits, int64_t running_ns,
                      struct findings *findings)
{
    int result = neighbours_sort(kernel);
    if (result)
        return result;
    for (size_t i = 0; kernel->threads.slots && i <= kernel->threads.mask; i++) {
        const struct thread *thread = kernel->threads.slots[i].entry;
        kernel->open.threads += thread && !thread->ended;
    }
    noise_find(kernel, limits, running_ns, findings);
    throttling_find(kernel, limits, findings);
    result = queues_find(kernel, limits, findings);
    result = result ? result : crosswakes_finish(&kernel->crosswakes, limits, findings);
    result = result ? result : pagefaults_finish(&kernel->faults, limits, findings);
    return result ? result : blocks_find(kernel, limits, findings);
}
