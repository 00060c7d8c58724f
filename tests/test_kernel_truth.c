/* The kernel's side of real programs, recorded and read back: what is told of each thread must be what the kernel
 * counts of it, who is said to have taken a CPU must have had it then, and a G must be the one that our own trace has
 * there. */
#define _GNU_SOURCE
#include "cgroup.h"
#include "harness.h"
#include "run.h"
#include "unwatched.h"

#include "analysis/kerneltime.h"
#include "trace/intervals.h"
#include "trace/kernelintervals.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS_MAX 64
#define SWITCH_NS 2000   /* how far off the moments of two threads may be */
#define SLACK_NS 6000000 /* a thread that runs is counted up to its last tick only */
#define TICK_NS 10000000 /* of /proc/stat */
#define EDGE_NS 200000   /* how long before a thread has a CPU the scheduler may have read its clock for that */
#define TRIES_MAX 10

/* What kernelmix says of a thread, and what the trace does. */
struct thread {
    uint32_t tid;
    bool before; /* it was there at the beginning */
    int64_t begin_ns, end_ns;         /* the window, by CLOCK_MONOTONIC; begin_ns 0 = it was not there */
    int64_t ran_ns, queued_ns, times; /* by the kernel's counters, of the window */
    int64_t life_ns;                  /* likewise, on a CPU until the window's end */
    int64_t off_ns, queue_ns, ends;   /* by the trace */
    int64_t edge_ns;                  /* in queue, of which the kernel may have counted more or less in the window */
};

static struct thread threads[THREADS_MAX];
static size_t thread_count;
static int64_t begin_ns, end_ns; /* CLOCK_MONOTONIC, about */
static struct kernel_interval *offs;
static size_t off_count, off_room;
static char out[1 << 20], err[1 << 16], path[300];

static struct thread *thread_of(uint32_t tid)
{
    for (size_t i = 0; i < thread_count; i++)
        if (threads[i].tid == tid)
            return &threads[i];
    return NULL;
}

static char faults_said[128]; /* a line of kernelmix's */
static int64_t throttled_ns;  /* in its window, as its cgroup counts */

static void said_read(void)
{
    const char *faults = strstr(out, "faults ");
    const char *before = strstr(out, "throttled "), *after = before ? strstr(before + 1, "throttled ") : NULL;
    throttled_ns = after ? atoll(after + strlen("throttled ")) - atoll(before + strlen("throttled ")) : 0;
    if (faults)
        snprintf(faults_said, sizeof faults_said, "%.*s", (int)strcspn(faults, "\n"), faults);
    for (char *line = strtok(out, "\n"); line; line = strtok(NULL, "\n")) {
        long long a, b, c, d, ns;
        bool begins = strncmp(line, "begin ", 6) == 0;
        if (sscanf(line, "%*s %lld %lld %lld %lld %lld", &a, &b, &c, &d, &ns) != 5)
            continue;
        if (begins)
            begin_ns = ns;
        else if (end_ns < begin_ns)
            end_ns = ns; /* the first that is told */
        struct thread *thread = thread_of((uint32_t)a);
        if (!thread) {
            REQUIRE(thread_count < THREADS_MAX);
            thread = &threads[thread_count++];
            *thread = (struct thread){ .tid = (uint32_t)a, .before = begins };
        }
        *(begins ? &thread->begin_ns : &thread->end_ns) = ns;
        int sign = begins ? -1 : 1;
        thread->life_ns = b;
        thread->ran_ns += sign * b;
        thread->queued_ns += sign * c;
        thread->times += sign * d;
    }
}

/* How long the machine that this one runs on had CPUs that it should have had. The kernel does not count that as a
 * thread's, while we tell of all that lies between two switches. */
static int64_t stolen_ns(void)
{
    long long ticks = 0;
    FILE *file = fopen("/proc/stat", "re");
    if (file && fscanf(file, "cpu %*d %*d %*d %*d %*d %*d %*d %lld", &ticks) != 1)
        ticks = 0;
    if (file)
        fclose(file);
    return ticks * TICK_NS;
}

static int64_t stolen_meanwhile_ns; /* during the recording */

/* CLOCK_MONOTONIC as the kernel was asked: what a thread did before is not told. */
static int64_t watched_since_ns(void)
{
    struct gmpt_trace_error error;
    struct gmpt_event event;
    int64_t since_ns = INT64_MAX;
    struct gmpt_trace *trace = gmpt_trace_open(path, &error);
    ck_assert_msg(trace != NULL, "%s", error.message);
    while (since_ns == INT64_MAX && gmpt_trace_next(trace, &event) > 0)
        if (event.type == GMPT_EVENT_kernel_tier)
            since_ns = gmpt_trace_info(trace)->start_monotonic_ns + event.time_ns;
    gmpt_trace_close(trace);
    return since_ns;
}

/* Records kernelmix with these words, after these commands of a shell's, with options of record. NULL, or why not. The
 * program does not wait for whoever records it: when it had begun before it was watched, once more. */
static const char *recorded(const char *options, const char *first, const char *words)
{
    static char why[512];
    char command[2048];
    snprintf(path, sizeof path, "%s/kernel.data", harness_tmpdir());
    snprintf(command, sizeof command,
             "GMPT_MAXPROCS=2 \"$GMPTRACE\" record --kernel=bpf %s -o '%s' -- sh -c '%s exec "
             "\"$BUILD/tests/programs/kernelmix\" %s'",
             options, path, first, words);
    for (int tries = 0; tries < TRIES_MAX; tries++) {
        thread_count = 0;
        begin_ns = end_ns = 0;
        stolen_meanwhile_ns = -stolen_ns();
        int status = harness_shell(command, out, sizeof out, err, sizeof err);
        stolen_meanwhile_ns += stolen_ns();
        if (status == 4 && strstr(err, "no --kernel=bpf: ")) {
            snprintf(why, sizeof why, "%.*s", (int)strcspn(strstr(err, "no --"), "\n"), strstr(err, "no --"));
            return why;
        }
        ck_assert_msg(status == 0, "%s", err);
        ck_assert_ptr_nonnull(strstr(out, "words passed\n"));
        said_read();
        ck_assert_int_gt(end_ns, begin_ns);
        if (begin_ns > watched_since_ns())
            return NULL;
    }
    ck_abort_msg("it began before it was watched, %d times", TRIES_MAX);
}

#define RECORD(words)                                                                                                  \
    do {                                                                                                               \
        const char *lacking = recorded("", "", words);                                                                 \
        if (lacking)                                                                                                   \
            SKIP_UNWATCHED(lacking);                                                                                   \
    } while (0)

static void off_keep(const struct kernel_interval *off)
{
    if (off_count == off_room) {
        off_room = off_room ? 2 * off_room : 1024;
        offs = realloc(offs, off_room * sizeof *offs);
        REQUIRE(offs);
    }
    offs[off_count++] = *off;
}

static int64_t within(const struct thread *thread, int64_t from_ns, int64_t to_ns)
{
    from_ns = from_ns > thread->begin_ns ? from_ns : thread->begin_ns;
    to_ns = to_ns < thread->end_ns ? to_ns : thread->end_ns;
    return to_ns > from_ns ? to_ns - from_ns : 0;
}

/* The kernel counts a time in the queue when it is over, of a thread that is moved to another CPU meanwhile a part of
 * it then; and another thread reads the figures, at a moment by CLOCK_MONOTONIC, while this one may be on its way to a
 * CPU, which the scheduler counts with the time of a little before. */
static void queue_add(struct thread *thread, const struct kernel_interval *off)
{
    int64_t queue_ns = off->end_ns - off->able_ns;
    if (off->end_ns > thread->begin_ns && off->end_ns <= thread->end_ns) {
        thread->queue_ns += queue_ns;
        thread->ends++;
    }
    const int64_t bounds_ns[] = { thread->begin_ns, thread->end_ns };
    for (size_t i = 0; i < 2; i++) {
        if (off->end_ns >= bounds_ns[i] - EDGE_NS && off->end_ns <= bounds_ns[i] + EDGE_NS)
            thread->edge_ns += queue_ns;
        else if (off->able_ns < bounds_ns[i] && off->end_ns > bounds_ns[i])
            thread->edge_ns += bounds_ns[i] - off->able_ns;
    }
}

/* What a trace says of who runs what, beside the kernel's side. */
struct own {
    struct intervals *intervals;
    uint32_t tid_of_p[KERNELGS_PS_MAX];
    uint64_t ended_of_p[KERNELGS_PS_MAX]; /* the G that ended there last */
    uint64_t wrong_g, right_g;
    uint64_t lost;
};

/* A G that the kernel's side says ran on this thread is not one that another thread runs, by our own trace, from before
 * until after. */
static void own_check(struct own *own, const struct kernel_interval *off)
{
    const struct interval *now = off->g ? intervals_now(own->intervals, off->g) : NULL;
    if (off->doing != GMPT_KERNEL_RUNNING_G && off->doing != GMPT_KERNEL_IN_CALL)
        return;
    bool runs_elsewhere = now && now->state == GMPT_G_RUNNING && now->p >= 0 && own->tid_of_p[now->p] &&
                          own->tid_of_p[now->p] != off->tid;
    bool just_ended = false; /* there is a moment between that record and the word */
    for (int p = 0; !now && p < KERNELGS_PS_MAX; p++)
        just_ended = just_ended || (own->tid_of_p[p] == off->tid && own->ended_of_p[p] == off->g);
    if (runs_elsewhere || (!now && !just_ended))
        own->wrong_g++;
    else
        own->right_g++;
}

static void own_follow(struct own *own, const struct gmpt_event *event)
{
    if (event->type == GMPT_EVENT_proc_start)
        own->tid_of_p[event->p] = (uint32_t)event->proc_start.tid;
    else if (event->type == GMPT_EVENT_proc_stop || event->type == GMPT_EVENT_go_detach)
        own->tid_of_p[event->p] = 0;
    else if (event->type == GMPT_EVENT_go_exit)
        own->ended_of_p[event->p] = event->g;
    else if (event->type == GMPT_EVENT_proc_retake)
        own->tid_of_p[event->proc_retake.p] = 0;
    else if (event->type == GMPT_EVENT_kernel_lost && event->kernel_lost.what != GMPT_KERNEL_LOST_WORDS)
        own->lost += event->kernel_lost.count;
}

/* Reads the file: fills offs with moments of CLOCK_MONOTONIC, and what the trace says of the threads. */
static struct own trace_read(void)
{
    struct gmpt_trace_error error;
    struct gmpt_event event;
    struct kernelintervals joined = { 0 };
    struct kernel_interval off;
    struct own own = { 0 };
    struct gmpt_trace *trace = gmpt_trace_open(path, &error);
    ck_assert_msg(trace != NULL, "%s", error.message);
    own.intervals = intervals_open(trace, NULL, NULL);
    int64_t start_ns = gmpt_trace_info(trace)->start_monotonic_ns;
    while (gmpt_trace_next(trace, &event) > 0) {
        REQUIRE(intervals_add(own.intervals, &event) == 0);
        own_follow(&own, &event);
        if (kernelintervals_add(&joined, &event, &off) == 0)
            continue;
        own_check(&own, &off);
        off.begin_ns += start_ns;
        off.able_ns += start_ns;
        off.end_ns += start_ns;
        off_keep(&off);
        struct thread *thread = thread_of(off.tid);
        if (!thread)
            continue;
        thread->off_ns += within(thread, off.begin_ns, off.end_ns);
        queue_add(thread, &off);
    }
    const struct gmpt_trace_counts *counts = gmpt_trace_counts(trace);
    ck_assert_uint_eq(counts->violations, 0);
    ck_assert_uint_eq(counts->emitted, counts->kept + counts->lost);
    ck_assert_int_eq(gmpt_trace_info(trace)->whole, 1);
    ck_assert_uint_eq(own.lost, 0);
    intervals_close(own.intervals);
    kernelintervals_clear(&joined);
    gmpt_trace_close(trace);
    return own;
}

static void near(const char *what, const struct thread *thread, int64_t told_ns, int64_t counted_ns,
                 int64_t slack_ns)
{
    int64_t differs_ns = told_ns > counted_ns ? told_ns - counted_ns : counted_ns - told_ns;
    ck_assert_msg(differs_ns <= counted_ns / 50 + slack_ns + stolen_meanwhile_ns,
                  "thread %u %s: %lld ns told, %lld ns counted, %lld times", thread->tid, what, (long long)told_ns,
                  (long long)counted_ns, (long long)thread->times);
}

/* Each thread's times against what the kernel counts, within 2 %, and how often it lost the CPU: a window may have one
 * more or less at either end. */
static void threads_check(void)
{
    for (size_t i = 0; i < thread_count; i++) {
        const struct thread *thread = &threads[i];
        near("in queue", thread, thread->queue_ns, thread->queued_ns, SLACK_NS + thread->edge_ns);
        int64_t missed = thread->ends > thread->times ? thread->ends - thread->times : thread->times - thread->ends;
        ck_assert_msg(missed <= 2, "thread %u: %lld times off told, %lld counted", thread->tid,
                      (long long)thread->ends, (long long)thread->times);
        if (thread->before)
            near("on a CPU", thread, thread->end_ns - thread->begin_ns - thread->off_ns, thread->ran_ns,
                 SLACK_NS);
    }
}

TEST(kernel_truth, threads_that_compute_on_one_cpu_have_their_times)
{
    RECORD("-1 compute 2 400");
    struct own own = trace_read();
    threads_check();
    ck_assert_uint_eq(own.wrong_g, 0);
    ck_assert_uint_gt(own.right_g, 0);
}

TEST(kernel_truth, whoever_took_a_cpu_had_it_then_with_the_g_that_it_left_with)
{
    uint64_t named = 0, unknown = 0;
    RECORD("-1 compute 2 400");
    trace_read();
    for (size_t i = 0; i < off_count; i++) {
        if (offs[i].why != GMPT_KERNEL_PREEMPTED || !thread_of(offs[i].next.tid) || offs[i].end_ns > end_ns)
            continue;
        /* It came back in the same switch. */
        const struct kernel_interval *found = NULL;
        for (size_t k = 0; k < off_count; k++)
            if (offs[k].tid == offs[i].next.tid && offs[k].end_ns >= offs[i].begin_ns - SWITCH_NS &&
                (!found || offs[k].end_ns < found->end_ns))
                found = &offs[k];
        if (!found || found->end_ns - offs[i].begin_ns > SWITCH_NS) {
            unknown++; /* its first time, from before we came */
            continue;
        }
        REQUIRE(found->cpu_to == offs[i].cpu_from);
        ck_assert_uint_eq(offs[i].next.g, found->g);
        named++;
    }
    ck_assert_uint_gt(named, 0);
    ck_assert_uint_le(unknown, thread_count);
}

TEST_TIMEOUT(kernel_truth, every_switch_of_an_exchange_has_its_g, 600)
{
    const char *wanted = getenv("KERNEL_TRUTH_SWITCHES");
    long switches = wanted ? atol(wanted) : 40000;
    char words[64];
    uint64_t reads = 0, by_the_other = 0;
    snprintf(words, sizeof words, "-1 exchange %ld", switches / 2);
    RECORD(words);
    struct own own = trace_read();
    threads_check();
    ck_assert_uint_eq(own.wrong_g, 0);
    for (size_t i = 0; i < off_count; i++) {
        const struct kernel_interval *off = &offs[i];
        if (off->why != GMPT_KERNEL_BLOCKED || off->doing != GMPT_KERNEL_IN_CALL)
            continue;
        reads++;
        by_the_other += off->waker.g && off->waker.g != off->g && thread_of(off->waker.tid);
    }
    ck_assert_uint_ge(reads, (uint64_t)switches / 2);
    ck_assert_uint_ge(by_the_other + 16, reads); /* but for what it blocks in as it begins and ends */
}

/* ---- In the kernel ---------------------------------------------------------------------------------------------- */

/* What the folded profile in `out` has in the lines with this text; without any, in all. */
static long long folded_sum(const char *text)
{
    long long sum = 0;
    for (const char *line = out; *line;) {
        size_t length = strcspn(line, "\n");
        char copy[4096];
        snprintf(copy, sizeof copy, "%.*s", (int)length, line);
        const char *space = strrchr(copy, ' ');
        if (space && (!text || strstr(copy, text)))
            sum += atoll(space + 1);
        line += length + (line[length] == '\n');
    }
    return sum;
}

static void profile_fold(const char *type)
{
    char command[1024];
    snprintf(command, sizeof command, "\"$GMPTRACE\" pprof --type=%s --format=folded -o - '%s'", type, path);
    ck_assert_int_eq(harness_shell(command, out, sizeof out, err, sizeof err), 0);
}

TEST(kernel_truth, long_times_off_a_cpu_show_where_in_the_kernel)
{
    SKIP_UNDER_TSAN("ThreadSanitizer's functions call the kernel");
    RECORD("block 20 10");
    trace_read();
    uint64_t with_frames = 0;
    for (size_t i = 0; i < off_count; i++)
        with_frames += offs[i].g == 1 && offs[i].frames && offs[i].able_ns - offs[i].begin_ns >= 9000000;
    if (strstr(err, "CAP_SYSLOG"))
        SKIP("the kernel does not show where its functions lie");
    ck_assert_uint_ge(with_frames, 20);
    profile_fold("kernel");
    ck_assert_msg(folded_sum("mix;[clock_nanosleep];entry_") + folded_sum("sleep_plainly;[clock_nanosleep];entry_") > 0,
                  "%s", out);
    ck_assert_msg(folded_sum("switch_entry") == 0, "%s", out); /* a goroutine begins with its own function */
    ck_assert_msg(folded_sum("hrtimer_nanosleep") >= 20 * 9000000, "%s", out);
}

TEST(kernel_truth, page_faults_are_as_many_as_the_kernel_counts_and_where_they_were)
{
    char command[1024];
    long counted = 0;
    unsigned long long begin = 0, at, all = 0, there = 0;
    unsigned count;
    SKIP_UNDER_TSAN("ThreadSanitizer's shadow memory has page faults of its own");
    RECORD("faults 100000");
    snprintf(command, sizeof command, "\"$GMPTRACE\" script '%s' | grep kernel_faults", path);
    ck_assert_int_eq(sscanf(faults_said, "faults %ld %llx", &counted, &begin), 2);
    int status = harness_shell(command, out, sizeof out, err, sizeof err);
    if (status == 1)
        SKIP("this kernel has no tracepoint for page faults");
    ck_assert_msg(status == 0, "%s", err);
    for (char *line = strtok(out, "\n"); line; line = strtok(NULL, "\n")) {
        const char *field = strstr(line, "count=");
        if (!field || sscanf(field, "count=%u address=%llx", &count, &at) != 2)
            continue;
        all += count;
        if (at >= begin && at < begin + (16u << 20) && (strstr(line, "need_pages") || strstr(line, "doing=15")))
            there += count;
    }
    /* As it starts and ends it needs some more. */
    ck_assert_msg(there + 1000 >= (unsigned long)counted && there <= (unsigned long)counted + 1000,
                  "%llu of %llu told there, %ld counted", there, all, counted);
}

TEST(kernel_truth, samples_of_the_kernels_are_no_more_than_the_time_on_a_cpu)
{
    long long lived_ns = 0, ran_ns = 0; /* on CPUs: since it was started; since its goroutines were */
    SKIP_UNDER_TSAN("ThreadSanitizer's functions, where most of the time goes, have no frame pointers");
    const char *lacking = recorded("--sample 1000", "", "compute 2 400");
    if (lacking)
        SKIP_UNWATCHED(lacking);
    for (size_t i = 0; i < thread_count; i++) {
        lived_ns += threads[i].life_ns;
        ran_ns += threads[i].ran_ns;
    }
    profile_fold("cpu");
    long long sampled_ns = folded_sum(NULL);
    /* Each stands for a millisecond, of which a thread that was stopped in between had less. */
    ck_assert_msg(sampled_ns <= lived_ns + lived_ns / 3 + 50000000 + stolen_meanwhile_ns,
                  "%lld ns sampled, %lld ns ran", sampled_ns, lived_ns);
    long long computed_ns = folded_sum("compute");
    ck_assert_msg(folded_sum("switch_entry") == 0, "%s", out);
    ck_assert_msg(computed_ns >= ran_ns / 2, "%lld ns sampled, %lld ns ran", computed_ns, ran_ns);
}

TEST(kernel_truth, sleeps_and_futex_waits_without_a_word_are_blocked_with_a_p)
{
    static const struct {
        const char *words;
        int64_t each_ns;
        int32_t number;
        const char *call, *function;
    } cases[] = { { "block 20 10", 10000000, SYS_clock_nanosleep, "clock_nanosleep", "sleep_plainly" },
                  { "futex 20 10", 10000000, SYS_futex, "futex", "wait_plainly" } };
    SKIP_UNDER_TSAN("ThreadSanitizer's functions call the kernel");
    for (size_t i = 0; i < 2; i++) {
        char command[1024], words[128];
        uint64_t blocked = 0;
        int64_t total_ns = 0;
        thread_count = off_count = 0;
        begin_ns = end_ns = 0;
        RECORD(cases[i].words);
        trace_read();
        threads_check();
        for (size_t k = 0; k < off_count; k++) {
            int64_t lasted_ns = offs[k].able_ns - offs[k].begin_ns;
            if (offs[k].doing != GMPT_KERNEL_RUNNING_G || offs[k].call != cases[i].number ||
                lasted_ns < cases[i].each_ns / 2)
                continue;
            blocked++;
            total_ns += lasted_ns;
            ck_assert_uint_eq(offs[k].g, 1);
            ck_assert_uint_ne(offs[k].stack, 0);
        }
        ck_assert_uint_eq(blocked, 20);
        ck_assert_int_ge(total_ns, 20 * cases[i].each_ns - 1000000);
        snprintf(command, sizeof command, "\"$GMPTRACE\" analyze --section findings '%s' | tr -s ' \\n' ' '", path);
        ck_assert_int_eq(harness_shell(command, out, sizeof out, err, sizeof err), 0);
        snprintf(words, sizeof words, "in %s at kernelmix.c:", cases[i].call);
        ck_assert_msg(strstr(out, words) != NULL, "%s", out);
        ck_assert_msg(strstr(out, cases[i].function) != NULL, "%s", out);
        ck_assert_msg(strstr(out, "gmpt_blocking_begin and _end around the call") != NULL, "%s", out);
    }
}

/* ---- Quotas ----------------------------------------------------------------------------------------------------- */

static int off_order(const void *left, const void *right)
{
    const struct kernel_interval *a = left, *b = right;
    return (a->begin_ns > b->begin_ns) - (a->begin_ns < b->begin_ns);
}

/* Within the window, for how long any thread that could have run on was without a CPU; or only if it was throttled. */
static int64_t stopped_any_ns(bool throttled)
{
    int64_t sum_ns = 0, up_to_ns = begin_ns;
    qsort(offs, off_count, sizeof *offs, off_order);
    for (size_t i = 0; i < off_count; i++) {
        int64_t from_ns = offs[i].begin_ns > up_to_ns ? offs[i].begin_ns : up_to_ns;
        int64_t to_ns = offs[i].end_ns < end_ns ? offs[i].end_ns : end_ns;
        bool counts = throttled ? offs[i].why == GMPT_KERNEL_THROTTLED : kernelintervals_stopped(&offs[i]);
        if (!counts || to_ns <= from_ns)
            continue;
        sum_ns += to_ns - from_ns;
        up_to_ns = to_ns;
    }
    return sum_ns;
}

/* Threads on one CPU that have a tenth of it. The kernel counts from when their group has used up its share, which the
 * one that runs then has done, until it is let go: so whoever ran is throttled, and gets the CPU back when that is over
 * and its turn has come, for which it may wait as long as the kernel's counters say. The kernel begins as the share is
 * used up, and we as the thread leaves the CPU, for which the slack of all these tests is enough. */
TEST_TIMEOUT(kernel_truth, what_a_quota_stops_is_what_the_kernel_counts, 300)
{
    char group[CGROUP_PATH_BYTES], enter[2 * CGROUP_PATH_BYTES + 128];
    int64_t waited_ns = 0;
    uint64_t of_gs = 0;
    if (!cgroup_make(10000, group))
        SKIP("no cgroup with a CPU quota can be made here");
    snprintf(enter, sizeof enter, "echo $$ >%s/cgroup.procs; export KERNELMIX_STAT=%s/cpu.stat;", group, group);
    const char *lacking = recorded("", enter, "-1 compute 1 900");
    cgroup_remove(group);
    if (lacking)
        SKIP_UNWATCHED(lacking);
    if (throttled_ns == 0)
        SKIP("other programs left it so little of the CPU that its quota was never used up");
    trace_read();
    for (size_t i = 0; i < thread_count; i++)
        waited_ns = threads[i].queued_ns > waited_ns ? threads[i].queued_ns : waited_ns;
    for (size_t i = 0; i < off_count; i++)
        of_gs += offs[i].why == GMPT_KERNEL_THROTTLED && offs[i].doing == GMPT_KERNEL_RUNNING_G;
    int64_t told_ns = stopped_any_ns(true), stopped_ns = stopped_any_ns(false);
    int64_t slack_ns = throttled_ns / 50 + SLACK_NS + stolen_meanwhile_ns;
    ck_assert_msg(told_ns >= throttled_ns - slack_ns, "%lld ns told, %lld counted", (long long)told_ns,
                  (long long)throttled_ns);
    ck_assert_msg(stopped_ns <= throttled_ns + waited_ns + slack_ns, "%lld ns told, %lld counted, %lld waited",
                  (long long)stopped_ns, (long long)throttled_ns, (long long)waited_ns);
    ck_assert_uint_gt(of_gs, 0);
}

/* ---- Others ----------------------------------------------------------------------------------------------------- */

#define NOISE_NICE (-6) /* against 0 four times the weight */

/* A process that computes on the CPU that kernelmix -1 takes, and ends with this one. It outweighs whoever else wants
 * that CPU meanwhile, where that is allowed, but not what it disturbs by much: else another one might be the noisy
 * neighbour. */
static pid_t noise_start(void)
{
    pid_t pid = fork();
    if (pid)
        return pid;
    cpu_set_t set, one;
    CPU_ZERO(&one);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "noisy-one");
    setpriority(PRIO_PROCESS, 0, NOISE_NICE);
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        for (int cpu = CPU_SETSIZE; cpu-- > 0 && CPU_COUNT(&one) == 0;)
            if (CPU_ISSET(cpu, &set))
                CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
    for (;;)
        ;
}

TEST(kernel_truth, a_noisy_neighbour_is_named_unless_others_are_not_to_be)
{
    setpriority(PRIO_PROCESS, 0, 0);
    pid_t noise = noise_start();
    char command[1024], words[64];
    const char *lacking = recorded("", "", "-1 compute 1 400");
    if (lacking) {
        kill(noise, SIGKILL);
        SKIP_UNWATCHED(lacking);
    }
    snprintf(command, sizeof command, "\"$GMPTRACE\" analyze --section kernel '%s'", path);
    ck_assert_int_eq(harness_shell(command, out, sizeof out, err, sizeof err), 0);
    snprintf(words, sizeof words, "noisy-one (process %d) ", (int)noise);
    ck_assert_msg(strstr(out, words) != NULL, "%s", out);
    snprintf(command, sizeof command,
             "\"$GMPTRACE\" record --kernel=bpf --no-others -o '%s' -- \"$BUILD/tests/programs/kernelmix\" -1 "
             "compute 1 300 && \"$GMPTRACE\" script --raw '%s'",
             path, path);
    int status = harness_shell(command, out, sizeof out, err, sizeof err);
    kill(noise, SIGKILL);
    ck_assert_msg(status == 0, "%s", err);
    ck_assert_ptr_nonnull(strstr(out, "next=4294967295"));
    snprintf(words, sizeof words, "next=%d ", (int)noise);
    ck_assert_ptr_null(strstr(out, words));
    snprintf(words, sizeof words, "tid=%d ", (int)noise);
    ck_assert_ptr_null(strstr(out, words));
}

/* What is left behind has no process that holds it; what other recorders have loaded does. */
TEST_TIMEOUT(kernel_truth, attaching_again_and_again_leaves_nothing_behind, 600)
{
    const char *wanted = getenv("KERNEL_TRUTH_ATTACHES");
    char command[2048];
    snprintf(command, sizeof command,
             "command -v bpftool >/dev/null || exit 5; cd '%s'; "
             "\"$BUILD/tests/programs/kernelmix\" compute 1 500000 >said & pid=$!; "
             "while [ ! -s said ]; do sleep 0.05; done; "
             "attach() { \"$GMPTRACE\" record --kernel=bpf -d 10ms -o t.data -p $pid 2>err; }; "
             "loaded() { bpftool prog list | sed -n 's/^\\([0-9]*\\): .* name on_switch .*/prog_id:\\1/p'; "
             "bpftool map list | sed -n 's/^\\([0-9]*\\): .* name offcpu_b.*/map_id:\\1/p'; }; "
             "orphans() { loaded >loaded; cat /proc/[0-9]*/fdinfo/* 2>/dev/null | "
             "awk '$1 == \"prog_id:\" || $1 == \"map_id:\" { print $1 $2 }' >held; grep -vxF -f held loaded; }; "
             "status=0; i=0; "
             "while [ $status = 0 ] && [ $i -le %ld ]; do attach; status=$?; i=$((i + 1)); done; "
             "i=0; while orphans >left && [ $i -lt 100 ]; do sleep 0.1; i=$((i + 1)); done; "
             "[ $status != 0 ] || [ ! -s left ] || status=6; kill $pid; cat left; tail -n 3 err >&2; exit $status",
             harness_tmpdir(), wanted ? atol(wanted) : 5L);
    int status = harness_shell(command, out, sizeof out, err, sizeof err);
    if (status == 5)
        SKIP("bpftool is not installed");
    if (status == 4 && strstr(err, "no --kernel=bpf: "))
        SKIP_UNWATCHED(strstr(err, "no --"));
    ck_assert_msg(status == 0, "status %d: %s%s", status, out, err);
}

TEST_TIMEOUT(kernel_truth, who_was_given_capabilities_gives_them_up_before_the_program_starts, 60)
{
    char command[2048];
    snprintf(command, sizeof command,
             "[ \"$(id -u)\" = 0 ] && command -v setcap && command -v setpriv || exit 5; chmod 755 '%1$s'; "
             "mkdir '%1$s/c' && chmod 777 '%1$s/c' && cd '%1$s/c' && cp \"$GMPTRACE\" g && "
             "cp \"$BUILD/tests/programs/kernelmix\" k && "
             "setcap cap_bpf,cap_perfmon,cap_syslog+ep g || exit 5; "
             "setpriv --reuid=65534 --regid=65534 --clear-groups ./g record --kernel=bpf -o d -- sh -c "
             "'grep -h -E \"Cap(Eff|Prm|Inh)\" /proc/$PPID/status /proc/self/status; exec ./k block 5 10' && exit; "
             "status=$?; setpriv --reuid=65534 --regid=65534 --clear-groups ./g " DOCTOR_FINDS_BPF " && exit 6; "
             "exit $status",
             harness_tmpdir());
    int status = harness_shell(command, out, sizeof out, err, sizeof err);
    if (status == 5)
        SKIP("it takes root, setcap and setpriv");
    if (status == 4 && strstr(err, "no --kernel=bpf: "))
        SKIP("the kernel may not be watched here: %s", strstr(err, "no --"));
    ck_assert_msg(status == 0, "%s", err);
    unsigned none = 0, all = 0;
    for (const char *line = out; (line = strstr(line, "Cap")); line += 3) {
        all++;
        none += strtoull(line + 7, NULL, 16) == 0;
    }
    ck_assert_msg(all == 6 && none == 6, "%s", out);
}

TEST_TIMEOUT(kernel_truth, without_btf_another_tier_is_taken_and_it_is_said_why, 60)
{
    char command[1024];
    snprintf(command, sizeof command,
             "cd '%s'; unshare -m sh -c 'mount --bind /dev/null /sys/kernel/btf/vmlinux || exit 5; "
             "for tier in bpf auto; do \"$GMPTRACE\" record --kernel=$tier -o d -- "
             "\"$BUILD/tests/programs/kernelmix\" block 5 10; echo status $?; done' || exit 5",
             harness_tmpdir());
    int status = harness_shell(command, out, sizeof out, err, sizeof err);
    if (status == 5)
        SKIP("/sys/kernel/btf/vmlinux cannot be hidden here");
    ck_assert_int_eq(status, 0);
    ck_assert_msg(strstr(out, "status 4\n") != NULL && strstr(out, "status 0\n") != NULL, "%s%s", out, err);
    ck_assert_msg(strstr(err, "no --kernel=bpf: ") != NULL && strstr(err, "BTF") != NULL, "%s", err);
    ck_assert_msg(strstr(err, "the kernel's side by bpf") == NULL && strstr(err, "not by bpf: ") != NULL, "%s", err);
}
