#include "tally.h"

#include "intern.h"

#include "trace/cpusamples.h"
#include "trace/kernelintervals.h"
#include "trace/kernelsymbols.h"
#include "trace/syscallname.h"
#include "trace/timesum.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT "count"
#define NS "nanoseconds"
#define LABELS_MAX 128 /* of one sample; a runtime has room for far fewer */

/* Samples of a kind differ by this; what does not tell them apart is 0. */
struct row {
    uint64_t fn, other_fn; /* other: who woke it; of mutex, who waited */
    uint32_t stack, create_stack, labels, name;
    int32_t p, from_p;
    uint8_t state, reason, cause, other; /* cause: an event; other: other_fn is told */
    uint8_t scheduler; /* a CPU sample of no G */
    uint8_t held;      /* of mutex: nobody had released it */
    uint8_t why;       /* of offcpu and runqueue: enum gmpt_kernel_why */
    uint8_t padding[5];
    uint32_t frames;   /* of cpu and kernel: where in the kernel; 0 = not known, or it was not there */
    int32_t call;      /* as of a struct kernel_interval */
    uint32_t by_pid;   /* likewise, when preempted: who had the CPU; 0 = nobody, or not known */
    char by[KERNEL_COMM_BYTES];
};

#define RECENT_ROWS 64

/* Of a G that lives: the row of its latest delay, and what that one was like. */
struct late_row {
    uint32_t row; /* its number plus 1; 0 = there was none */
    uint32_t stack, labels, name;
    enum gmpt_event_type cause;
};

struct tally {
    struct tally_options options;
    struct intern rows;
    uint32_t recent[RECENT_ROWS]; /* numbers of rows plus 1, found without the table; 0 = none */
    int64_t (*values)[PROFILE_TYPES_MAX]; /* by row */
    size_t values_room;
    int64_t period_ns; /* of CPU samples; 0 = none yet */
    struct kernelintervals kernel;
    struct kernelgs gs;
    struct kernelsymbols symbols;
    uint32_t frames; /* of the CPU sample that comes next */
    const struct intervals *intervals; /* NULL until tally_listen */
    struct interval_listener listener;
    size_t room; /* where a G's struct late_row is, when delays are counted */
    bool of_events; /* what counts is no interval */
};

static const struct tally_type types[] = {
    { "goroutine", TALLY_GOROUTINE, "goroutine", { { "goroutine", COUNT } }, 1, 0, true, NULL },
    { "block", TALLY_BLOCK, "wait", { { "contentions", COUNT }, { "delay", NS } }, 2, 1, false, NULL },
    { "mutex",
      TALLY_MUTEX,
      "wait",
      { { "contentions", COUNT }, { "delay", NS } },
      2,
      1,
      false,
      "delays are shown where a lock was released that others waited for; waited_by names the function of the "
      "goroutine that waited" },
    { "net", TALLY_NET, "wait", { { "waits", COUNT }, { "delay", NS } }, 2, 1, false, NULL },
    { "sleep", TALLY_SLEEP, "sleep", { { "sleeps", COUNT }, { "time", NS } }, 2, 1, false, NULL },
    { "syscall", TALLY_SYSCALL, "call", { { "calls", COUNT }, { "time", NS } }, 2, 1, false, NULL },
    { "sched", TALLY_SCHED, "wait", { { "waits", COUNT }, { "delay", NS } }, 2, 1, false, NULL },
    { "preempt", TALLY_PREEMPT, "preemption", { { "preemptions", COUNT }, { "delay", NS } }, 2, 0, false, NULL },
    { "create", TALLY_CREATE, "goroutine", { { "goroutines", COUNT } }, 1, 0, false, NULL },
    { "wall", TALLY_WALL, NULL, { { "wall", NS } }, 1, 0, false, NULL },
    { "steal", TALLY_STEAL, "steal", { { "steals", COUNT }, { "goroutines", COUNT } }, 2, 1, false, NULL },
    { "cpu",
      TALLY_CPU,
      "sample",
      { { "samples", COUNT }, { "cpu", NS } },
      2,
      1,
      false,
      "sampled: a thread shows what it executes once in a period of CPU time, and each sample stands for the CPU time "
      "since the one before" },
    { "offcpu",
      TALLY_OFFCPU,
      "time",
      { { "times", COUNT }, { "delay", NS } },
      2,
      1,
      false,
      "times that threads which ran goroutines, or were in blocking calls of theirs, were without a CPU, as the kernel "
      "told; taken_by names who had it; [unknown] are times of which it is not known whether a goroutine ran there, or "
      "which: by the tier perf also those of threads that had none" },
    { "runqueue",
      TALLY_RUNQUEUE,
      "time",
      { { "times", COUNT }, { "delay", NS } },
      2,
      1,
      false,
      "the part of these times in which the threads could run, but waited in the kernel's queue, as far as that is "
      "known: by the tier perf, of preempted ones" },
    { "kernel",
      TALLY_KERNEL,
      "time",
      { { "times", COUNT }, { "delay", NS } },
      2,
      1,
      false,
      "times that threads which ran goroutines, or were in blocking calls of theirs, were without a CPU; of the long "
      "ones (record --kernel-stacks) with the functions of the kernel's that they were in" },
};
#define TYPES (sizeof types / sizeof types[0])

const struct tally_type *tally_type_at(size_t index) { return index < TYPES ? &types[index] : NULL; }

const struct tally_type *tally_type_find(const char *name)
{
    for (size_t i = 0; i < TYPES; i++)
        if (strcmp(types[i].name, name) == 0)
            return &types[i];
    return NULL;
}

static bool is_off(enum tally_kind kind)
{
    return kind == TALLY_OFFCPU || kind == TALLY_RUNQUEUE || kind == TALLY_KERNEL;
}

struct tally *tally_open(const struct tally_options *options)
{
    struct tally *tally = calloc(1, sizeof *tally);
    if (!tally)
        return NULL;
    enum tally_kind kind = options->type->kind;
    tally->options = *options;
    tally->of_events = kind == TALLY_STEAL || kind == TALLY_CPU || is_off(kind);
    return tally;
}

void tally_close(struct tally *tally)
{
    if (!tally)
        return;
    intern_free(&tally->rows);
    kernelintervals_clear(&tally->kernel);
    kernelgs_clear(&tally->gs);
    kernelsymbols_clear(&tally->symbols);
    free(tally->values);
    free(tally);
}

/* ---- Adding ------------------------------------------------------------------------------------------------------ */

/* Its number, or -ENOMEM. The few rows that most intervals belong to are asked for again and again. */
static int64_t row_find(struct tally *tally, const struct row *row)
{
    uint64_t mixed = row->stack ^ row->fn >> 4 ^ (uint64_t)row->state << 4 ^ row->reason;
    uint32_t *recent = &tally->recent[mixed % RECENT_ROWS];
    if (*recent && memcmp(intern_get(&tally->rows, *recent - 1, NULL), row, sizeof *row) == 0)
        return *recent - 1;
    int64_t number = intern_put(&tally->rows, row, sizeof *row);
    if (number >= 0)
        *recent = (uint32_t)number + 1;
    return number;
}

/* The same, with values. */
static int64_t row_get(struct tally *tally, const struct row *row)
{
    size_t before = tally->rows.count;
    if (before == tally->values_room) {
        size_t room = before ? before * 2 : 64;
        int64_t(*values)[PROFILE_TYPES_MAX] = reallocarray(tally->values, room, sizeof values[0]);
        if (!values)
            return -ENOMEM;
        tally->values = values;
        tally->values_room = room;
    }
    int64_t number = row_find(tally, row);
    if (number >= 0 && tally->rows.count > before)
        memset(tally->values[number], 0, sizeof tally->values[number]);
    return number;
}

static int row_add(struct tally *tally, const struct row *row, int64_t first, int64_t second)
{
    int64_t number = row_get(tally, row);
    if (number < 0)
        return -ENOMEM;
    timesum_add(&tally->values[number][0], first);
    timesum_add(&tally->values[number][1], second);
    return 0;
}

static bool is_network(enum gmpt_wait_reason reason)
{
    return reason == GMPT_WAIT_net_read || reason == GMPT_WAIT_net_write;
}

static bool is_lock(enum gmpt_wait_reason reason)
{
    return reason == GMPT_WAIT_mutex || reason == GMPT_WAIT_rwmutex_read || reason == GMPT_WAIT_rwmutex_write;
}

static bool is_preemption(enum gmpt_event_type event)
{
    return event == GMPT_EVENT_go_preempt || event == GMPT_EVENT_go_preempt_async || event == GMPT_EVENT_go_detach;
}

static uint32_t wait_kinds(enum gmpt_wait_reason reason)
{
    if (is_network(reason))
        return 1u << TALLY_NET;
    if (reason == GMPT_WAIT_sleep)
        return 1u << TALLY_SLEEP;
    return is_lock(reason) ? 1u << TALLY_BLOCK | 1u << TALLY_MUTEX : 1u << TALLY_BLOCK;
}

uint32_t tally_kinds(const struct interval *interval)
{
    uint32_t kinds = 1u << TALLY_GOROUTINE | 1u << TALLY_WALL;
    if (interval->state == GMPT_G_WAITING)
        kinds |= wait_kinds(interval->reason);
    else if (interval->state == GMPT_G_SYSCALL)
        kinds |= 1u << TALLY_SYSCALL;
    else if (interval->state == GMPT_G_RUNNABLE)
        kinds |= 1u << TALLY_SCHED;
    if (interval->began_by == GMPT_EVENT_go_create)
        kinds |= 1u << TALLY_CREATE;
    if (interval->began_by == GMPT_EVENT_go_attach_wait || is_preemption(interval->began_by))
        kinds |= 1u << TALLY_PREEMPT;
    return kinds;
}

/* The wait for a lock, where whoever had it let it go. */
static struct row row_of_release(const struct interval *interval)
{
    bool released = interval->ended_by == GMPT_EVENT_go_unblock && (interval->waker || interval->waker_stack);
    return (struct row){
        .fn = released ? interval->waker_fn : 0,
        .stack = released ? interval->waker_stack : 0,
        .labels = interval->g->labels,
        .name = interval->g->name,
        .reason = (uint8_t)interval->reason,
        .other_fn = interval->g->fn,
        .other = 1,
        .held = !released,
    };
}

static struct row row_of(enum tally_kind kind, const struct interval *interval)
{
    if (kind == TALLY_MUTEX)
        return row_of_release(interval);
    bool woken = kind == TALLY_BLOCK && interval->waker;
    struct row row = {
        .fn = interval->g->fn,
        .stack = interval->stack,
        .labels = interval->g->labels,
        .name = interval->g->name,
    };
    if (woken) {
        row.other = 1;
        row.other_fn = interval->waker_fn;
    }
    if (kind == TALLY_GOROUTINE)
        row.create_stack = interval->g->create_stack;
    if (kind == TALLY_GOROUTINE || kind == TALLY_WALL)
        row.state = (uint8_t)interval->state;
    if (interval->state == GMPT_G_WAITING)
        row.reason = (uint8_t)interval->reason;
    if (kind == TALLY_SCHED)
        row.cause = (uint8_t)interval->began_by;
    return row;
}

/* The moment falls into exactly one interval of each G that lives. */
static int add_moment(struct tally *tally, const struct interval *interval)
{
    int64_t at_ns = tally->options.at_ns;
    bool now = at_ns == TALLY_AT_END ? interval->ended_by == INTERVAL_TRACE_END
                                     : interval->begin_ns <= at_ns &&
                                           (at_ns < interval->end_ns ||
                                            (at_ns == interval->end_ns && interval->ended_by == INTERVAL_TRACE_END));
    if (!now)
        return 0;
    struct row row = row_of(TALLY_GOROUTINE, interval);
    if (interval->state == GMPT_G_RUNNABLE)
        row.stack = 0; /* where it waited before is not where it is */
    return row_add(tally, &row, 1, 0);
}

static int add_create(struct tally *tally, const struct interval *interval)
{
    const struct tally_options *options = &tally->options;
    if (interval->begin_ns < options->from_ns || interval->begin_ns >= options->to_ns)
        return 0;
    struct row row = {
        .fn = interval->g->fn,
        .stack = interval->g->create_stack,
        .labels = interval->g->labels,
    };
    return row_add(tally, &row, 1, 0);
}

/* A G that lost its P runs on without one: what delays it is the wait for another when it comes back. */
static int add_preempt(struct tally *tally, const struct interval *interval)
{
    const struct tally_options *options = &tally->options;
    bool given = is_preemption(interval->began_by);
    int64_t begin_ns = interval->begin_ns, end_ns = interval->end_ns;
    if (!interval_clip(&begin_ns, &end_ns, options->from_ns, options->to_ns))
        return 0;
    struct row row = { .fn = interval->g->fn, .labels = interval->g->labels, .name = interval->g->name };
    row.cause = (uint8_t)(given ? interval->began_by : GMPT_EVENT_go_detach);
    return row_add(tally, &row, given, interval->state == GMPT_G_RUNNABLE ? end_ns - begin_ns : 0);
}

int tally_interval(void *tally_arg, const struct interval *interval)
{
    struct tally *tally = tally_arg;
    const struct tally_options *options = &tally->options;
    enum tally_kind kind = options->type->kind;
    if (!(tally_kinds(interval) & 1u << kind))
        return 0;
    if (options->filter && !filter_match(options->filter, &options->names, interval))
        return 0;
    if (kind == TALLY_GOROUTINE)
        return add_moment(tally, interval);
    if (kind == TALLY_CREATE)
        return add_create(tally, interval);
    if (kind == TALLY_PREEMPT)
        return add_preempt(tally, interval);
    int64_t begin_ns = interval->begin_ns, end_ns = interval->end_ns;
    if (!interval_clip(&begin_ns, &end_ns, options->from_ns, options->to_ns))
        return 0;
    struct row row = row_of(kind, interval);
    int64_t spent_ns = end_ns - begin_ns;
    if (kind == TALLY_WALL)
        return spent_ns ? row_add(tally, &row, spent_ns, 0) : 0;
    bool first = !interval->continued || interval->begin_ns <= options->from_ns;
    return row_add(tally, &row, first, spent_ns);
}

/* A delay that a go_start has ended. Most of a G's are of one row. */
static int late_over(void *tally_arg, const struct interval *late)
{
    struct tally *tally = tally_arg;
    const struct interval_g *g = late->g;
    struct late_row *latest = interval_room(g, tally->room);
    if (late->begin_ns < tally->options.from_ns || late->end_ns >= tally->options.to_ns)
        return tally_interval(tally, late);
    if (latest->row == 0 || latest->stack != late->stack || latest->labels != g->labels || latest->name != g->name ||
        latest->cause != late->began_by) {
        struct row row = row_of(TALLY_SCHED, late);
        int64_t number = row_get(tally, &row);
        if (number < 0)
            return -ENOMEM;
        *latest = (struct late_row){ (uint32_t)number + 1, late->stack, g->labels, g->name, late->began_by };
    }
    int64_t *values = tally->values[latest->row - 1];
    timesum_add(&values[0], 1);
    timesum_add(&values[1], late->end_ns - late->begin_ns);
    return 0;
}

/* Of the usual turns, those that can count. */
void tally_listen(struct tally *tally, struct intervals *intervals)
{
    struct interval_listener *listener = &tally->listener;
    enum tally_kind kind = tally->options.type->kind;
    bool of_waits = kind == TALLY_BLOCK || kind == TALLY_MUTEX || kind == TALLY_NET || kind == TALLY_SLEEP;
    *listener = (struct interval_listener){ .closed = tally_interval, .arg = tally };
    if (of_waits || kind == TALLY_SYSCALL || tally->of_events)
        listener->started = interval_unheard;
    if (of_waits || kind == TALLY_SYSCALL || kind == TALLY_SCHED || tally->of_events)
        listener->stopped = interval_unheard;
    if (kind == TALLY_SYSCALL || kind == TALLY_SCHED || tally->of_events)
        listener->woken = interval_unheard;
    if (kind == TALLY_SCHED && !tally->options.filter) {
        tally->room = intervals_room(intervals, sizeof(struct late_row));
        listener->started = late_over;
    }
    tally->intervals = intervals;
    intervals_listen(intervals, listener);
}

/* What the thread did, as a filter asks; g is filled from what the trace knows, which may be nothing. */
static struct interval sample_interval(const struct tally *tally, const struct gmpt_event *event,
                                       struct interval_g *g)
{
    const struct gmpt_trace *trace = tally->options.names.trace;
    const struct gmpt_g *known = trace && event->g ? gmpt_trace_g(trace, event->g) : NULL;
    const struct gmpt_event_cpu_sample *sample = &event->cpu_sample;
    *g = (struct interval_g){ .id = sample->g };
    if (known)
        *g = (struct interval_g){
            .id = known->id,
            .parent = known->parent,
            .fn = known->fn,
            .create_stack = known->create_stack,
            .labels = known->labels,
            .name = known->name,
            .created_ns = known->created_ns,
        };
    int64_t taken_ns = cpusamples_time_ns(event);
    bool called = !sample->held && known && known->state == GMPT_G_SYSCALL;
    return (struct interval){
        .g = g,
        .begin_ns = taken_ns > INT64_MIN + (int64_t)sample->cpu_ns ? taken_ns - (int64_t)sample->cpu_ns : INT64_MIN,
        .end_ns = taken_ns,
        .state = sample->held || !sample->g ? GMPT_G_RUNNING : called ? GMPT_G_SYSCALL : GMPT_G_PREEMPTED,
        .stack = (uint32_t)sample->stack,
        .p = (int32_t)sample->held - 1,
        .end_p = (int32_t)sample->held - 1,
    };
}

static int add_cpu(struct tally *tally, const struct gmpt_event *event)
{
    const struct tally_options *options = &tally->options;
    struct interval_g g;
    struct interval interval = sample_interval(tally, event, &g);
    int64_t cpu_ns = (int64_t)event->cpu_sample.cpu_ns;
    uint32_t frames = tally->frames;
    tally->frames = 0;
    if (interval.end_ns < options->from_ns || interval.end_ns >= options->to_ns ||
        (options->filter && !filter_match(options->filter, &options->names, &interval)))
        return 0;
    if (cpu_ns > 0 && (tally->period_ns == 0 || cpu_ns < tally->period_ns))
        tally->period_ns = cpu_ns;
    struct row row = { .fn = g.fn,
                       .stack = interval.stack,
                       .labels = g.labels,
                       .name = g.name,
                       .state = (uint8_t)interval.state,
                       .scheduler = g.id == 0,
                       .frames = frames };
    return row_add(tally, &row, 1, cpu_ns);
}

/* A time without a CPU. What the G does at its end it did all along. */
static int add_off(struct tally *tally, const struct kernel_interval *off)
{
    const struct tally_options *options = &tally->options;
    const struct interval *doing = tally->intervals ? kernelgs_doing(&tally->gs, off, tally->intervals) : NULL;
    bool known = doing || kernelgs_did(off, doing) != GMPT_KERNEL_NOT_KNOWN;
    bool queue = options->type->kind == TALLY_RUNQUEUE;
    int64_t begin_ns = queue ? off->able_ns : off->begin_ns, end_ns = off->end_ns;
    if (options->filter && (!doing || !filter_match(options->filter, &options->names, doing)))
        return 0;
    if ((known && !doing) || (queue && !off->able_known))
        return 0;
    if (begin_ns < options->from_ns)
        begin_ns = options->from_ns;
    if (end_ns > options->to_ns)
        end_ns = options->to_ns;
    if (begin_ns > end_ns || begin_ns >= options->to_ns)
        return 0;
    struct row row = {
        .fn = doing ? doing->g->fn : 0,
        .stack = off->stack ? off->stack : doing && doing->state == GMPT_G_SYSCALL ? doing->stack : 0,
        .labels = doing ? doing->g->labels : 0,
        .name = doing ? doing->g->name : 0,
        .why = (uint8_t)off->why,
        .call = off->call,
        .frames = options->type->kind == TALLY_KERNEL ? off->frames : 0,
    };
    if (off->by_known && (kernelintervals_stopped(off) || queue)) {
        row.by_pid = off->most.pid;
        memcpy(row.by, off->most.name, sizeof row.by);
    }
    return row_add(tally, &row, 1, end_ns - begin_ns);
}

static int add_kernel(struct tally *tally, const struct gmpt_event *event)
{
    struct kernel_interval off;
    int result = tally->intervals ? kernelgs_add(&tally->gs, event, tally->intervals) : 0;
    if (result)
        return result;
    int complete = kernelintervals_takes(event->type) ? kernelintervals_add(&tally->kernel, event, &off) : 0;
    if (complete == 0)
        return kernelsymbols_add(&tally->symbols, event);
    return complete > 0 ? add_off(tally, &off) : complete;
}

/* What tells of CPU samples. */
static int add_sample(struct tally *tally, const struct gmpt_event *event)
{
    if (event->type == GMPT_EVENT_kernel_frames)
        tally->frames = (uint32_t)event->kernel_frames.stack;
    else if (event->type == GMPT_EVENT_kernel_off || event->type == GMPT_EVENT_kernel_faults)
        tally->frames = 0; /* they were its */
    else if (event->type == GMPT_EVENT_cpu_sample)
        return add_cpu(tally, event);
    return kernelsymbols_add(&tally->symbols, event);
}

static __attribute__((noinline)) int add_event(struct tally *tally, const struct gmpt_event *event)
{
    if (is_off(tally->options.type->kind))
        return add_kernel(tally, event);
    if (tally->options.type->kind == TALLY_CPU)
        return add_sample(tally, event);
    if (event->type != GMPT_EVENT_proc_steal || event->time_ns < tally->options.from_ns ||
        event->time_ns >= tally->options.to_ns)
        return 0;
    struct row row = { .p = event->p, .from_p = (int32_t)(event->proc_steal.from & INT32_MAX) };
    uint64_t count = event->proc_steal.count;
    return row_add(tally, &row, 1, count < INT32_MAX ? (int64_t)count : INT32_MAX);
}

int tally_event(struct tally *tally, const struct gmpt_event *event)
{
    return tally->of_events ? add_event(tally, event) : 0;
}

int64_t tally_total(const struct tally *tally, size_t value)
{
    int64_t total = 0;
    for (size_t i = 0; i < tally->rows.count; i++)
        timesum_add(&total, tally->values[i][value]);
    return total;
}

/* ---- Samples ----------------------------------------------------------------------------------------------------- */

static const char *state_words(unsigned state)
{
    return state == INTERVAL_LOST ? "lost" : gmpt_g_state_words((enum gmpt_g_state)state);
}

static const char *cause_words(unsigned cause)
{
    switch (cause) {
    case GMPT_EVENT_go_create:
        return "started";
    case GMPT_EVENT_go_unblock:
        return "woken";
    case GMPT_EVENT_go_yield:
        return "gave way";
    case GMPT_EVENT_go_preempt:
        return "preempted";
    case GMPT_EVENT_go_preempt_async:
        return "preempted by a signal";
    case GMPT_EVENT_go_detach:
        return "lost its P";
    case GMPT_EVENT_go_attach_wait:
        return "came back without a P";
    case GMPT_EVENT_syscall_exit:
        return "left a blocking call";
    case GMPT_EVENT_go_labels:
        return "changed its labels";
    default:
        return "not known";
    }
}

struct sample {
    const struct tally *tally;
    const struct gmpt_trace *trace;
    const struct tally_texts *texts;
    struct profile *profile;
    struct profile_label labels[LABELS_MAX];
    size_t label_count;
    const char *pseudo[KERNEL_STACK_MAX + 2];
    size_t pseudo_count;
    char text[2][512];
};

static void label_add(struct sample *sample, const char *key, const char *text)
{
    if (sample->label_count < LABELS_MAX)
        sample->labels[sample->label_count++] = (struct profile_label){ .key = key, .text = text };
}

static void labels_fill(struct sample *sample, const struct row *row)
{
    enum tally_kind kind = sample->tally->options.type->kind;
    const char *creator = row->create_stack ? sample->texts->created_by(sample->texts->arg, row->create_stack) : NULL;
    if (creator) {
        snprintf(sample->text[0], sizeof sample->text[0], "%s", creator);
        label_add(sample, "created_by", sample->text[0]);
    }
    if (row->reason)
        label_add(sample, "wait_reason", gmpt_wait_reason_words((enum gmpt_wait_reason)row->reason));
    if (kind == TALLY_GOROUTINE || kind == TALLY_WALL)
        label_add(sample, "state", state_words(row->state));
    if (kind == TALLY_CPU && (row->scheduler || row->state != GMPT_G_RUNNING))
        label_add(sample, "state", row->scheduler ? "scheduler" : state_words(row->state));
    if (row->cause)
        label_add(sample, "cause", cause_words(row->cause));
    if (row->other || kind == TALLY_CREATE) {
        uint64_t fn = kind == TALLY_CREATE ? row->fn : row->other_fn;
        const char *function = fn ? sample->texts->function(sample->texts->arg, fn) : "unknown";
        snprintf(sample->text[1], sizeof sample->text[1], "%s", function);
        label_add(sample,
                  kind == TALLY_CREATE  ? "started"
                  : kind == TALLY_MUTEX ? "waited_by"
                                        : "woken_by",
                  sample->text[1]);
    }
    if (row->by_pid) {
        snprintf(sample->text[1], sizeof sample->text[1], "%s (process %" PRIu32 ")", row->by, row->by_pid);
        label_add(sample, "taken_by", sample->text[1]);
    }
    if (row->name)
        label_add(sample, "goroutine_name", gmpt_trace_string(sample->trace, row->name));
    uint32_t count = row->labels ? gmpt_trace_label_count(sample->trace, row->labels) : 0;
    for (uint32_t i = 0; i < count; i++) {
        struct gmpt_trace_label label = gmpt_trace_label(sample->trace, row->labels, i);
        label_add(sample, label.key, label.value);
    }
}

static int steal_fill(struct sample *sample, const struct row *row, const int64_t *values)
{
    snprintf(sample->text[0], sizeof sample->text[0], "[from P%d]", row->from_p);
    snprintf(sample->text[1], sizeof sample->text[1], "[P%d steals]", row->p);
    const char *pseudo[] = { sample->text[0], sample->text[1] };
    return profile_add_sample(sample->profile,
                              &(struct profile_sample){ .pseudo = pseudo, .pseudo_count = 2, .values = values });
}

/* What the kernel did with the thread. */
static void off_words(const struct row *row, char *text, size_t size)
{
    const char *call = syscall_name(row->call);
    if (row->why == GMPT_KERNEL_PREEMPTED)
        snprintf(text, size, "[preempted]");
    else if (row->why == GMPT_KERNEL_THROTTLED)
        snprintf(text, size, "[throttled]");
    else if (row->why == GMPT_KERNEL_SUSPENDED)
        snprintf(text, size, "[suspended]");
    else if (row->why == GMPT_KERNEL_STARTED)
        snprintf(text, size, "[started]");
    else if (call)
        snprintf(text, size, "[%s]", call);
    else if (row->call >= 0)
        snprintf(text, size, "[system call %" PRId32 "]", row->call);
    else if (row->call == KERNEL_CALL_NOT_KNOWN)
        snprintf(text, size, "[blocked]");
    else
        snprintf(text, size, "[waiting for a page]");
}

static int row_fill(struct sample *sample, const struct row *row, const int64_t *values)
{
    enum tally_kind kind = sample->tally->options.type->kind;
    char state[64];
    if (kind == TALLY_STEAL)
        return steal_fill(sample, row, values);
    sample->label_count = sample->pseudo_count = 0;
    labels_fill(sample, row);
    if (kind == TALLY_WALL) {
        bool waits = row->state == GMPT_G_WAITING && row->reason;
        snprintf(state, sizeof state, "[%s]",
                 waits ? gmpt_wait_reason_words((enum gmpt_wait_reason)row->reason) : state_words(row->state));
        sample->pseudo[sample->pseudo_count++] = state;
    }
    struct gmpt_stack frames = gmpt_trace_stack(sample->trace, row->frames);
    for (uint32_t i = 0; i < frames.count && i < KERNEL_STACK_MAX; i++)
        sample->pseudo[sample->pseudo_count++] = kernelsymbols_name(&sample->tally->symbols, frames.pc[i]);
    if (is_off(kind)) {
        off_words(row, state, sizeof state);
        sample->pseudo[sample->pseudo_count++] = state;
    }
    /* Of what runs, the innermost frames count, by which stacks that mean the same are not told apart. */
    uint32_t index = row->stack;
    if (index && kind != TALLY_CPU && !is_off(kind) && sample->texts->canonical_stack)
        index = sample->texts->canonical_stack(sample->texts->arg, index);
    struct gmpt_stack stack = gmpt_trace_stack(sample->trace, index);
    /* Where nothing says where it is, it is at least somewhere under its function. A G's beginning is nowhere in it. */
    uint64_t start = row->fn + 1;
    if (stack.count == 0 && row->fn && kind != TALLY_CREATE)
        stack = (struct gmpt_stack){ .count = 1, .pc = &start };
    if (stack.count == 0)
        sample->pseudo[sample->pseudo_count++] = row->scheduler ? "[scheduler]"
                                                 : row->held    ? "[not released]"
                                                                : "[unknown]";
    return profile_add_sample(sample->profile, &(struct profile_sample){ .pseudo = sample->pseudo,
                                                                         .pseudo_count = sample->pseudo_count,
                                                                         .pc = stack.pc,
                                                                         .count = stack.count,
                                                                         .values = values,
                                                                         .labels = sample->labels,
                                                                         .label_count = sample->label_count });
}

int tally_fill(const struct tally *tally, const struct gmpt_trace *trace, const struct tally_texts *texts,
               struct profile *profile)
{
    struct sample *sample = calloc(1, sizeof *sample);
    if (!sample)
        return -ENOMEM;
    *sample = (struct sample){ .tally = tally, .trace = trace, .texts = texts, .profile = profile };
    if (tally->options.type->kind == TALLY_CPU)
        profile_period(profile, 1, tally->period_ns);
    int result = tally->options.type->comment ? profile_comment(profile, tally->options.type->comment) : 0;
    for (size_t i = 0; i < tally->rows.count && !result; i++) {
        struct row row = *(const struct row *)intern_get(&tally->rows, i, NULL);
        result = row_fill(sample, &row, tally->values[i]);
    }
    free(sample);
    return result;
}
