/* record --kernel at each tier: what it has where more is not allowed, that it says so and how to get it as the doctor
 * does, and that the times that it tells are those that the kernel counts.
 *
 * Tolerances: a time in queue is that of /proc/PID/task/TID/schedstat within 2 % and 5 ms, one on a CPU, which the
 * kernel counts late by up to a timer's tick, within 2 % and 12 ms; in the tier proc both within 5 % and 25 ms beyond
 * the figures that the program's own readings cut; the number of times within 2 % and 2. Where the hypervisor takes
 * time, the kernel counts it as neither, so that is let pass. */
#define _GNU_SOURCE
#include "confined.h"
#include "harness.h"

#include <gmptrace/trace.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS_MAX 64

static char text[32768], doctor_text[32768];
static char program[64]; /* kernelmix, as everybody may start it */

/* A directory in which any user may write. */
static void begin(void)
{
    char path[512];
    snprintf(path, sizeof path, "%s/tests/programs/kernelmix", getenv("BUILD"));
    int fd = open(path, O_RDONLY); /* stays open in whoever starts it */
    ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
    snprintf(program, sizeof program, "/proc/self/fd/%d", fd);
    snprintf(path, sizeof path, "%s/open", harness_tmpdir());
    umask(0);
    ck_assert_int_eq(mkdir(path, 0777), 0);
    ck_assert_int_eq(chdir(path), 0);
}

static int record_in(bool (*prepare)(void), const char *kernel, const char *what, const char *count, const char *ms)
{
    return confined_run(prepare, getenv("GMPTRACE"),
                        (char *[]){ "gmptrace", "record", (char *)kernel, "-o", "run.data", "--", program, "-1",
                                    (char *)what, (char *)count, (char *)ms, NULL },
                        text, sizeof text);
}

#define EXPECT(words) ck_assert_msg(strstr(text, (words)) != NULL, "no '%s' in:\n%s", (words), text)
#define EXPECT_NOT(words) ck_assert_msg(strstr(text, (words)) == NULL, "'%s' in:\n%s", (words), text)

/* ---- What there is ---------------------------------------------------------------------------------------------- */

/* The string behind `before` in what the doctor said, up to the quote; "" = none. */
static void doctor_word(const char *before, const char *member, char *word, size_t size)
{
    const char *at = strstr(doctor_text, before);
    at = at ? strstr(at, member) : NULL;
    *word = 0;
    if (at)
        snprintf(word, size, "%.*s", (int)strcspn(at + strlen(member), "\""), at + strlen(member));
}

/* Records there at the tier that the doctor finds, which is in tier, and expects its advice. Returns false when that
 * cannot be made here. */
static bool tier_find(bool (*prepare)(void), char tier[16])
{
    static const struct {
        const char *name, *better, *check, *unknown;
    } tiers[] = {
        { "bpf", NULL, NULL, NULL },
        { "perf", "bpf", "\"name\": \"bpf\"", "not known: how long who was blocked" },
        { "proc", "perf", "\"name\": \"perf\"", "not known: which goroutines" },
        { "off", "proc", "\"name\": \"schedstat\"", NULL },
    };
    char fix[512], expected[640];
    size_t i = 0;
    begin();
    if (confined_run(prepare, getenv("GMPTRACE"), (char *[]){ "gmptrace", "doctor", "--json", NULL }, doctor_text,
                     sizeof doctor_text) < 0)
        return false;
    doctor_word("\"tier\"", "\"tier\": \"", tier, 16);
    ck_assert_int_eq(record_in(prepare, "--kernel", "exchange", "500", NULL), 0);
    while (strcmp(tiers[i].name, tier) != 0)
        ck_assert_uint_lt(++i, 4);
    snprintf(expected, sizeof expected, "the kernel's side by %s: ", tier);
    if (strcmp(tier, "off") != 0)
        EXPECT(expected);
    if (tiers[i].better) {
        snprintf(expected, sizeof expected, "not by %s: ", tiers[i].better);
        EXPECT(expected);
        doctor_word(tiers[i].check, "\"fix\": \"", fix, sizeof fix);
        ck_assert_str_ne(fix, "");
        snprintf(expected, sizeof expected, "; to have it: %s ]\n", fix);
        EXPECT(expected);
    }
    ck_assert_int_eq(
        harness_shell("$GMPTRACE analyze --section=kernel run.data 2>&1", text, sizeof text, NULL, 0), 0);
    snprintf(expected, sizeof expected, "The kernel's side, by %s, from ", tier);
    EXPECT(expected);
    EXPECT(" on; 0 lost");
    if (tiers[i].unknown)
        EXPECT(tiers[i].unknown);
    else
        EXPECT_NOT("not known: ");
    return true;
}

TEST(tiers, auto_is_the_best_that_the_doctor_finds)
{
    char tier[16];
    ck_assert(tier_find(NULL, tier));
}

TEST(tiers, a_user_without_capabilities_has_perf_events)
{
    char tier[16];
    if (!tier_find(confined_as_nobody, tier))
        SKIP("only root can be another user");
    if (strcmp(tier, "perf") != 0 && !strstr(doctor_text, "\"name\": \"perf\", \"state\": \"ok\""))
        SKIP("perf events are not for users here");
    ck_assert_str_eq(tier, "perf");
    ck_assert_int_eq(record_in(confined_as_nobody, "--kernel=bpf", "exchange", "5", NULL), 4);
    EXPECT("no --kernel=bpf: ");
    EXPECT("; to have it: ");
    ck_assert_int_eq(record_in(confined_as_nobody, "--kernel=proc", "exchange", "5", NULL), 0);
    EXPECT("the kernel's side by proc: ");
    EXPECT_NOT("not by");
}

TEST(tiers, where_seccomp_forbids_bpf_perf_is_left)
{
    char tier[16];
    if (!tier_find(confined_without_bpf, tier))
        SKIP("no filter of system calls can be set here");
    ck_assert_str_ne(tier, "bpf");
    ck_assert_ptr_nonnull(strstr(doctor_text, "seccomp forbids bpf(2)"));
}

TEST(tiers, where_seccomp_kills_for_bpf_the_recorder_lives)
{
    char tier[16];
    if (!tier_find(confined_killed_by_bpf, tier))
        SKIP("no filter of system calls can be set here");
    ck_assert_str_ne(tier, "bpf");
}

TEST(tiers, where_perf_is_forbidden_too_proc_is_left)
{
    char tier[16];
    if (!tier_find(confined_without_bpf_and_perf, tier))
        SKIP("no filter of system calls can be set here");
    if (!strstr(doctor_text, "\"name\": \"schedstat\", \"state\": \"ok\""))
        SKIP("this kernel does not count");
    ck_assert_str_eq(tier, "proc");
    ck_assert_int_eq(record_in(confined_without_bpf_and_perf, "--kernel=perf", "exchange", "5", NULL), 4);
    EXPECT("no --kernel=perf: ");
    EXPECT("; to have it: ");
}

/* Debian's kernels, for one, have 3, by which they mean that users have no perf events at all. */
TEST(tiers, where_perf_is_for_nobody_proc_is_left_and_the_setting_is_named)
{
    static const char advice[] = "sudo sysctl kernel.perf_event_paranoid=2, or sudo setcap cap_perfmon+ep ";
    char tier[16], fix[512];
    if (!tier_find(confined_by_paranoid_perf, tier))
        SKIP("it takes root, a mount namespace and a filter of system calls");
    if (!strstr(doctor_text, "\"name\": \"schedstat\", \"state\": \"ok\""))
        SKIP("this kernel does not count");
    ck_assert_str_eq(tier, "proc");
    doctor_word("\"name\": \"perf\"", "\"fix\": \"", fix, sizeof fix);
    ck_assert_msg(strncmp(fix, advice, strlen(advice)) == 0, "%s", fix);
    ck_assert_int_eq(record_in(confined_by_paranoid_perf, "--kernel=perf", "exchange", "5", NULL), 4);
    EXPECT("no --kernel=perf: perf_event_open(2): Permission denied; kernel.perf_event_paranoid is 3; to have it: ");
    EXPECT(advice);
}

TEST(tiers, without_btf_there_is_no_bpf)
{
    char tier[16];
    if (!tier_find(confined_without_btf, tier))
        SKIP("no mount namespace can be made here, or there is no BTF");
    ck_assert_str_ne(tier, "bpf");
    ck_assert_ptr_nonnull(strstr(doctor_text, "CONFIG_DEBUG_INFO_BTF=y"));
}

/* It is watched from outside, as its own ids are not those by which the kernel tells of it there. */
TEST_TIMEOUT(tiers, a_program_in_a_container_is_told_of_by_its_own_ids, 60)
{
    char command[2048];
    snprintf(command, sizeof command,
             "cd '%s' && unshare -fp true 2>/dev/null && command -v pgrep || exit 5; "
             "unshare -fp --kill-child \"$BUILD/tests/programs/kernelmix\" -1 compute 2 100000 >said & u=$!; "
             "while [ ! -s said ]; do sleep 0.05; done; p=$(pgrep -P $u); status=0; "
             "for tier in perf auto; do \"$GMPTRACE\" record --kernel=$tier -d 300ms -o c.data -p $p && "
             "\"$GMPTRACE\" export --format=csv --table=offcpu c.data >c.csv && "
             "awk -F, 'NR > 1 { all++; gs += $2 != \"\"; outside += $1 > 50 || ($16 == \"kernelmix\" && $17 != 1) } "
             "END { print all, gs, outside; exit !all || !gs || outside }' c.csv || status=6; done; "
             "kill $u; exit $status",
             harness_tmpdir());
    int status = harness_shell(command, text, sizeof text, NULL, 0);
    if (status == 5)
        SKIP("no pid namespace can be made here, or there is no pgrep");
    ck_assert_msg(status == 0, "%s", text);
}

TEST(tiers, off_is_off)
{
    begin();
    ck_assert_int_eq(record_in(NULL, "--kernel=off", "exchange", "5", NULL), 0);
    EXPECT_NOT("kernel's side");
    ck_assert_int_eq(record_in(NULL, "--kernel=most", "exchange", "5", NULL), 2);
    EXPECT("'most' is none of auto, bpf, perf, proc and off");
}

/* ---- Whether it is true ----------------------------------------------------------------------------------------- */

/* A thread, between the two times at which the program read what the kernel counts. */
struct counted {
    unsigned tid;
    int64_t begin_ns, end_ns; /* when the kernel was asked what it counts */
    int64_t ran_ns, queued_ns, times;
    int64_t told_off_ns, told_ran_ns, told_queued_ns, told_times;
    int64_t told_unsplit_ns;           /* blocked, or in queue after that */
    int64_t cut_ran_ns, cut_queued_ns; /* of figures that the window cuts */
    int64_t longest_blocked_ns, blocked_known; /* intervals of which the queue is known though it was blocked */
};

static struct counted threads[THREADS_MAX];
static int thread_count;

static struct counted *thread_of(unsigned tid)
{
    for (int i = 0; i < thread_count; i++)
        if (threads[i].tid == tid)
            return &threads[i];
    return NULL;
}

static void counts_read(void)
{
    long long ran, queued, times, ns;
    unsigned tid;
    for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        bool at_end = strncmp(line, "end ", 4) == 0;
        if (!at_end && strncmp(line, "begin ", 6) != 0)
            continue;
        const char *rest = line + (at_end ? 4 : 6);
        if (sscanf(rest, "%u %lld %lld %lld %lld", &tid, &ran, &queued, &times, &ns) != 5)
            continue;
        if (!at_end) {
            ck_assert_int_lt(thread_count, THREADS_MAX);
            threads[thread_count++] =
                (struct counted){ .tid = tid, .begin_ns = ns, .ran_ns = -ran, .queued_ns = -queued, .times = -times };
        } else if (thread_of(tid)) {
            struct counted *thread = thread_of(tid);
            thread->end_ns = ns;
            thread->ran_ns += ran;
            thread->queued_ns += queued;
            thread->times += times;
        }
    }
}

/* How much of a length that ends then lies in the thread's window. */
static int64_t within(const struct counted *thread, int64_t until_ns, uint64_t length_ns)
{
    int64_t from_ns = until_ns - (int64_t)length_ns;
    from_ns = from_ns > thread->begin_ns ? from_ns : thread->begin_ns;
    until_ns = until_ns < thread->end_ns ? until_ns : thread->end_ns;
    return until_ns > from_ns ? until_ns - from_ns : 0;
}

static void told_add(struct counted *thread, const struct gmpt_event *event, int64_t at_ns)
{
    if (event->type == GMPT_EVENT_kernel_off) {
        const struct gmpt_event_kernel_off *off = &event->kernel_off;
        bool known = off->queue_ns != GMPT_KERNEL_NS_NOT_KNOWN;
        thread->told_off_ns += within(thread, at_ns, off->off_ns);
        if (at_ns > thread->begin_ns && at_ns <= thread->end_ns) { /* the kernel counts a wait, too, as it ends */
            thread->told_queued_ns += known ? (int64_t)off->queue_ns : 0;
            thread->told_unsplit_ns += known ? 0 : (int64_t)off->off_ns;
            thread->told_times++;
        }
        thread->blocked_known += known && off->why == GMPT_KERNEL_BLOCKED;
        if (off->why == GMPT_KERNEL_BLOCKED && (int64_t)off->off_ns > thread->longest_blocked_ns)
            thread->longest_blocked_ns = (int64_t)off->off_ns;
    } else if (event->type == GMPT_EVENT_kernel_usage && event->kernel_usage.span_ns) {
        const struct gmpt_event_kernel_usage *usage = &event->kernel_usage;
        int64_t span_ns = (int64_t)usage->span_ns, part_ns = within(thread, at_ns, usage->span_ns);
        thread->told_ran_ns += part_ns == span_ns ? (int64_t)usage->ran_ns : 0;
        thread->told_queued_ns += part_ns == span_ns ? (int64_t)usage->queue_ns : 0;
        thread->cut_ran_ns += part_ns && part_ns < span_ns ? (int64_t)usage->ran_ns : 0;
        thread->cut_queued_ns += part_ns && part_ns < span_ns ? (int64_t)usage->queue_ns : 0;
    }
}

/* usages: of proc; else of the intervals. */
static void told_read(bool usages)
{
    struct gmpt_trace_error error;
    struct gmpt_event event;
    struct gmpt_trace *trace = gmpt_trace_open("run.data", &error);
    ck_assert_ptr_nonnull(trace);
    int64_t start_ns = gmpt_trace_info(trace)->start_monotonic_ns;
    while (gmpt_trace_next(trace, &event) > 0) {
        struct counted *thread = NULL;
        if (!usages && event.type == GMPT_EVENT_kernel_off)
            thread = thread_of((unsigned)event.kernel_off.tid);
        else if (usages && event.type == GMPT_EVENT_kernel_usage)
            thread = thread_of((unsigned)event.kernel_usage.tid);
        ck_assert(event.type != GMPT_EVENT_kernel_lost || event.kernel_lost.what == GMPT_KERNEL_LOST_USAGES);
        if (thread)
            told_add(thread, &event, start_ns + event.time_ns);
    }
    gmpt_trace_close(trace);
}

/* Threads that compute on the CPU on which kernelmix will. */
static void hogs_start(pid_t hogs[2])
{
    cpu_set_t set, one;
    int cpu = CPU_SETSIZE - 1;
    ck_assert_int_eq(sched_getaffinity(0, sizeof set, &set), 0);
    while (!CPU_ISSET(cpu, &set))
        cpu--;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    for (int i = 0; i < 2; i++) {
        hogs[i] = fork();
        if (hogs[i] == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            sched_setaffinity(0, sizeof one, &one);
            for (;;)
                ;
        }
    }
}

/* Time that the hypervisor took from all CPUs so far. */
static int64_t stolen_ns(void)
{
    long long ticks = 0;
    FILE *file = fopen("/proc/stat", "re");
    if (file && fscanf(file, "cpu %*d %*d %*d %*d %*d %*d %*d %lld", &ticks) != 1)
        ticks = 0;
    if (file)
        fclose(file);
    return ticks * 1000000000 / sysconf(_SC_CLK_TCK);
}

/* Records a thread that computes for 400 ms beside two others on one CPU; NULL, or why it cannot be had. */
static const char *crowded_record(const char *kernel, int64_t *stolen)
{
    pid_t hogs[2];
    begin();
    hogs_start(hogs);
    *stolen = -stolen_ns();
    int status = record_in(NULL, kernel, "compute", "1", "600");
    *stolen += stolen_ns();
    for (int i = 0; i < 2; i++) {
        kill(hogs[i], SIGKILL);
        waitpid(hogs[i], NULL, 0);
    }
    if (status == 4 && strstr(text, "no --kernel="))
        return strstr(text, "no --kernel=");
    ck_assert_msg(status == 0, "%s", text);
    counts_read();
    for (int i = 0; i < thread_count; i++)
        ck_assert_int_gt(threads[i].end_ns, threads[i].begin_ns);
    return NULL;
}

static void near(const char *what, unsigned tid, int64_t told_ns, int64_t counted_ns, int64_t percent, int64_t ms)
{
    int64_t apart = llabs(told_ns - counted_ns), allowed = llabs(counted_ns) / 100 * percent + ms * 1000000;
    ck_assert_msg(apart <= allowed, "%s of thread %u: told %lld ns, the kernel counts %lld ns", what, tid,
                  (long long)told_ns, (long long)counted_ns);
}

/* At least what is told for sure, and at most all that may be. */
static void between(const char *what, unsigned tid, int64_t told_ns, int64_t may_ns, int64_t counted_ns,
                    int64_t percent, int64_t ms)
{
    int64_t lacks_ns = counted_ns > told_ns ? counted_ns - told_ns : 0;
    near(what, tid, told_ns + (lacks_ns < may_ns ? lacks_ns : may_ns), counted_ns, percent, ms);
}

static void intervals_expect(const char *kernel)
{
    int64_t stolen, queued_ns = 0;
    const char *lacking = crowded_record(kernel, &stolen);
    if (lacking) {
        harness_skip(kernel, "%.*s", (int)strcspn(lacking, "\n"), lacking);
        return;
    }
    told_read(false);
    for (int i = 0; i < thread_count; i++) {
        const struct counted *thread = &threads[i];
        int64_t on_ns = thread->end_ns - thread->begin_ns - thread->told_off_ns;
        queued_ns += thread->queued_ns;
        ck_assert_msg(llabs(thread->told_times - thread->times) <= 2 + thread->times / 50,
                      "thread %u: told %lld times, counted %lld", thread->tid, (long long)thread->told_times,
                      (long long)thread->times);
        if (thread->told_times == 0)
            continue; /* it was not there, or slept, all the time */
        between("time in queue", thread->tid, thread->told_queued_ns, thread->told_unsplit_ns, thread->queued_ns, 2, 5);
        between("time on a CPU", thread->tid, on_ns - stolen, stolen, thread->ran_ns, 2, 12);
    }
    ck_assert_int_gt(queued_ns, 0); /* there was a crowd */
}

TEST(tiers, perf_agrees_with_what_the_kernel_counts) { intervals_expect("--kernel=perf"); }
TEST(tiers, bpf_agrees_with_what_the_kernel_counts) { intervals_expect("--kernel=bpf"); }

static void usages_expect(const char *kernel, int64_t percent, int64_t ms)
{
    int64_t stolen, ran_ns = 0, queued_ns = 0;
    const char *lacking = crowded_record(kernel, &stolen);
    if (lacking) {
        harness_skip(kernel, "%.*s", (int)strcspn(lacking, "\n"), lacking);
        return;
    }
    told_read(true);
    for (int i = 0; i < thread_count; i++) {
        const struct counted *thread = &threads[i];
        between("time on a CPU", thread->tid, thread->told_ran_ns, thread->cut_ran_ns, thread->ran_ns, percent, ms);
        between("time in queue", thread->tid, thread->told_queued_ns, thread->cut_queued_ns, thread->queued_ns,
                percent, ms);
        ran_ns += threads[i].told_ran_ns;
        queued_ns += threads[i].told_queued_ns;
    }
    ck_assert_int_gt(ran_ns, 0);
    ck_assert_int_gt(queued_ns, 0);
}

TEST(tiers, proc_agrees_with_what_the_kernel_counts) { usages_expect("--kernel=proc", 5, 25); }

TEST(tiers, perf_tells_each_sleep_and_that_its_queue_is_not_known)
{
    begin();
    int status = record_in(NULL, "--kernel=perf", "block", "20", "6");
    if (status == 4)
        SKIP("%.*s", (int)strcspn(text, "\n"), text);
    ck_assert_int_eq(status, 0);
    counts_read();
    told_read(false);
    int64_t blocked_ns = 0;
    for (int i = 0; i < thread_count; i++) {
        ck_assert_int_eq(threads[i].blocked_known, 0);
        blocked_ns = threads[i].longest_blocked_ns > blocked_ns ? threads[i].longest_blocked_ns : blocked_ns;
    }
    ck_assert_int_ge(blocked_ns, 6000000);
}
