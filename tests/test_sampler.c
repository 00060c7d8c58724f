/* record --sample: what programs on the runtime execute, their signals, and that nothing of it stays behind. */
#define _GNU_SOURCE
#include "run.h"
#include "shell.h"

#include "runtime/runtime.h"
#include "trace/cpusamples.h"
#include "trace/segment.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- Programs that are recorded --------------------------------------------------------------------------------- */

static struct {
    uint64_t all, burner, waiter, without_p, other_events;
    struct cpusamples sums;
} seen;

/* Reads t.data, which must be whole and without a contradiction. */
static void trace_read(void)
{
    char path[512];
    struct gmpt_trace_error error;
    struct gmpt_event event;
    memset(&seen, 0, sizeof seen);
    snprintf(path, sizeof path, "%s/t.data", harness_tmpdir());
    struct gmpt_trace *trace = gmpt_trace_open(path, &error);
    ck_assert_msg(trace != NULL, "%s", error.message);
    while (gmpt_trace_next(trace, &event) > 0) {
        if (event.type == GMPT_EVENT_proc_preempt || event.type == GMPT_EVENT_go_name)
            seen.other_events++;
        REQUIRE(cpusamples_add(&seen.sums, &event) == 0);
        if (event.type != GMPT_EVENT_cpu_sample)
            continue;
        const struct gmpt_g *g = event.g ? gmpt_trace_g(trace, event.g) : NULL;
        const char *name = g ? gmpt_trace_string(trace, g->name) : "";
        seen.all++;
        seen.burner += strcmp(name, "burner") == 0;
        seen.waiter += strcmp(name, "waiter") == 0;
        seen.without_p += event.cpu_sample.g && event.cpu_sample.held == 0;
        REQUIRE(event.cpu_sample.cpu_ns > 0);
        REQUIRE(cpusamples_time_ns(&event) <= event.time_ns);
    }
    ck_assert_int_eq(gmpt_trace_info(trace)->whole, 1);
    ck_assert_uint_eq(gmpt_trace_counts(trace)->violations, 0);
    gmpt_trace_close(trace);
}

static long flat_ns(const char *function)
{
    char command[256];
    snprintf(command, sizeof command,
             "$GMPTRACE export --format=sqlite -o t.sqlite t.data && sqlite3 t.sqlite "
             "\"SELECT total_ns FROM cpu_by_function WHERE function = '%s'\"",
             function);
    ck_assert_int_eq(shell_run("rm -f t.sqlite; %s", command), 0);
    return atol(shell_out);
}

TEST(sampler, samples_are_in_the_proportion_of_the_work)
{
    if (UNDER_SANITIZER)
        SKIP("sanitizers call handlers when and where they see fit");
    ck_assert_int_eq(shell_run("$R --sample 1000 -o t.data -- $P/burner 800"), 0);
    trace_read();
    ck_assert_uint_gt(seen.burner, 20);
    ck_assert_uint_gt(seen.burner, seen.all * 9 / 10);
    ck_assert_uint_eq(seen.waiter, 0);
    ck_assert_uint_eq(seen.sums.lost, 0);
    long much = flat_ns("burn_much"), little = flat_ns("burn_little");
    ck_assert_int_gt(much, little * 3 / 2); /* it is 3 times as much */
    ck_assert_int_gt(little, much / 10);
    cpusamples_clear(&seen.sums);
}

TEST(sampler, a_goroutine_that_lost_its_p_is_still_sampled_as_itself)
{
    if (UNDER_SANITIZER)
        SKIP("sanitizers call handlers when and where they see fit");
    ck_assert_int_eq(shell_run("GMPT_MAXPROCS=1 $R --sample 1000 -o t.data -- $P/burner 500 ticks"), 0);
    trace_read();
    ck_assert_uint_gt(seen.burner, 10);
    ck_assert_uint_gt(seen.without_p, seen.burner / 2);
    cpusamples_clear(&seen.sums);
}

TEST(sampler, without_the_option_there_are_none)
{
    ck_assert_int_eq(shell_run("$R -o t.data -- $P/burner 100"), 0);
    trace_read();
    ck_assert_uint_eq(seen.all, 0);
}

TEST(sampler, goes_with_sets_of_events_and_without_stacks)
{
    if (UNDER_SANITIZER)
        SKIP("sanitizers call handlers when and where they see fit");
    ck_assert_int_eq(shell_run("$R --sample 1000 --events none --stacks off -o t.data -- $P/burner 300"), 0);
    trace_read();
    ck_assert_uint_gt(seen.all, 10);
    ck_assert_uint_eq(seen.other_events, 0);
    ck_assert_uint_eq(seen.sums.stacks.count, 1); /* stack 0 */
    cpusamples_clear(&seen.sums);
}

TEST(sampler, goes_with_the_flight_recorder)
{
    if (UNDER_SANITIZER)
        SKIP("sanitizers call handlers when and where they see fit");
    ck_assert_int_eq(shell_run("$R --flight 60s --sample 1000 -o t.data -- $P/burner 300"), 0);
    trace_read();
    ck_assert_uint_gt(seen.all, 10);
    cpusamples_clear(&seen.sums);
}

TEST(sampler, numbers_that_are_none_are_wrong_usage)
{
    static const char *const texts[] = { "0", "10001", "-1", "1x", "''", "99999999999999999999", "fast" };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        ck_assert_msg(shell_run("$R --sample %s -- true", texts[i]) == 2, "%s", texts[i]);
        shell_has(shell_err, "is no number of CPU samples a second, from 1 to 10000");
    }
}

TEST(sampler, shows_in_every_tool)
{
    if (UNDER_SANITIZER)
        SKIP("sanitizers call handlers when and where they see fit");
    ck_assert_int_eq(shell_run("$R --sample 1000 -o t.data -- $P/burner 300"), 0);
    ck_assert_int_eq(shell_run("$GMPTRACE analyze t.data"), 0);
    shell_has(shell_out, "CPU time by ");
    ck_assert_int_eq(shell_run("$GMPTRACE analyze --json t.data"), 0);
    shell_has(shell_out, "\"cpu_samples\": {\"count\": ");
    ck_assert_int_eq(shell_run("$GMPTRACE script t.data"), 0);
    shell_has(shell_out, "cpu_sample      held=");
    ck_assert_int_eq(shell_run("$GMPTRACE pprof --type=cpu --format=folded t.data"), 0);
    shell_has(shell_out, "burn_much");
    ck_assert_int_eq(shell_run("$GMPTRACE pprof --type=cpu --format=folded --filter 'name=waiter' t.data"), 0);
    ck_assert_str_eq(shell_out, "");
    ck_assert_int_eq(shell_run("$GMPTRACE export --format=csv --table=samples t.data"), 0);
    shell_has(shell_out, "time_ns,g,function,tid,p,site,place,cpu_ns\n");
    shell_has(shell_out, ",burner,");
    ck_assert_int_eq(shell_run("$GMPTRACE export --format=chrome -o - t.data"), 0);
    shell_has(shell_out, "\"cat\":\"sample\"");
    ck_assert_int_eq(shell_run("$GMPTRACE export --format=perfetto -o p t.data && grep -qa sample p"), 0);
}

TEST(sampler, go_tool_pprof_reads_the_profile)
{
    if (UNDER_SANITIZER)
        SKIP("sanitizers call handlers when and where they see fit");
    if (shell_run("command -v go"))
        SKIP("go is not installed");
    ck_assert_int_eq(shell_run("$R --sample 1000 -o t.data -- $P/burner 300"), 0);
    ck_assert_int_eq(shell_run("$GMPTRACE pprof --type=cpu -o t.pb.gz t.data && go tool pprof -top -cum t.pb.gz"), 0);
    shell_has(shell_out, "Type: cpu");
    shell_has(shell_out, "burn_much");
    ck_assert_int_eq(shell_run("go tool pprof -raw t.pb.gz"), 0);
    shell_has(shell_out, "PeriodType: cpu nanoseconds");
    shell_has(shell_out, "samples/count cpu/nanoseconds[dflt]");
    shell_has(shell_out, "sampled: ");
}

/* ---- From outside ----------------------------------------------------------------------------------------------- */

static int timers_of(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/timers", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return -1;
    int count = 0;
    for (char line[256]; fgets(line, sizeof line, file);)
        count += strncmp(line, "ID:", 3) == 0;
    fclose(file);
    return count;
}

/* Sampling ends at sysmon's next look, which the recorder does not wait for. */
static bool timers_go(pid_t pid)
{
    for (int tries = 0; tries < 10000; tries++) {
        if (timers_of(pid) == 0)
            return true;
        usleep(1000);
    }
    return false;
}

static bool prof_is_caught(pid_t pid)
{
    char path[64], line[256];
    unsigned long long caught = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof line, file))
        sscanf(line, "SigCgt: %llx", &caught);
    fclose(file);
    return caught >> (SIGPROF - 1) & 1;
}

static pid_t burner_start(void)
{
    char path[512];
    snprintf(path, sizeof path, "%s/tests/programs/burner", getenv("BUILD"));
    pid_t pid = fork();
    if (pid == 0) {
        execl(path, "burner", "1000000", "ticks", NULL);
        _exit(127);
    }
    ck_assert_int_gt(pid, 0);
    return pid;
}

static void burner_end(pid_t pid)
{
    int status;
    ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), 0);
    kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
}

TEST(sampler, nothing_is_left_after_a_hundred_recordings)
{
    if (timers_of(getpid()) < 0)
        SKIP("this kernel has no /proc/PID/timers");
    pid_t pid = burner_start();
    ck_assert_int_eq(shell_run("for i in $(seq 500); do $R --sample 5000 -p %d -d 1ms -o t.data 2> /dev/null && break; "
                               "done; for i in $(seq 100); do $R --sample 5000 -p %d -d 3ms -o t.data || exit 1; done",
                               (int)pid, (int)pid),
                     0);
    ck_assert(timers_go(pid));
    for (int tries = 0; tries < 10000 && prof_is_caught(pid); tries++)
        usleep(1000);
    ck_assert(!prof_is_caught(pid));
    if (!UNDER_SANITIZER) {
        ck_assert_int_eq(shell_run("$R --sample 1000 -p %d -d 200ms -o t.data", (int)pid), 0);
        trace_read();
        ck_assert_uint_gt(seen.burner, 0);
        cpusamples_clear(&seen.sums);
    }
    burner_end(pid);
}

TEST(sampler, timers_go_when_the_recorder_is_killed)
{
    if (timers_of(getpid()) < 0)
        SKIP("this kernel has no /proc/PID/timers");
    pid_t pid = burner_start();
    ck_assert_int_eq(shell_run("for i in $(seq 500); do $R -p %d -d 1ms -o t.data 2> /dev/null && break; done; "
                               "$R --sample 1000 -p %d -o t.data & echo $!",
                               (int)pid, (int)pid),
                     0);
    pid_t recorder = (pid_t)atol(shell_out);
    for (int tries = 0; tries < 10000 && timers_of(pid) == 0; tries++)
        usleep(1000);
    ck_assert_int_gt(timers_of(pid), 0);
    kill(recorder, SIGKILL);
    ck_assert(timers_go(pid));
    burner_end(pid);
}

/* ---- From inside ------------------------------------------------------------------------------------------------ */

/* What a recorder would write; any number is taken for one that is in bounds. */
static void tracing_begin(uint32_t hz)
{
    segment_sample(&trace_segment, hz);
    store_release(&trace_segment.header->tracing, segment_next_epoch(&trace_segment, false));
}

static void tracing_end(void) { store_release(&trace_segment.header->tracing, 0); }

static bool prof_caught_becomes(bool caught)
{
    for (int tries = 0; tries < 10000; tries++) {
        if (prof_is_caught(getpid()) == caught)
            return true;
        usleep(1000);
    }
    return false;
}

static uint64_t cpu_burn(long ms)
{
    struct timespec now;
    uint64_t x = 1;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    long end = now.tv_sec * 1000 + now.tv_nsec / 1000000 + ms;
    do {
        for (int i = 0; i < 10000; i++)
            x = x * 6364136223846793005u + 1;
        __asm__ volatile("" : "+r"(x));
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    } while (now.tv_sec * 1000 + now.tv_nsec / 1000000 < end);
    return x;
}

static int hostile_rates(void *arg)
{
    (void)arg;
    static const uint32_t rates[] = { 1, UINT32_MAX, 10001, 0x80000000u, 7 };
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        tracing_begin(rates[i]);
        EXPECT(prof_caught_becomes(true));
        cpu_burn(30);
        tracing_end();
        EXPECT(prof_caught_becomes(false));
    }
    return 0;
}

TEST(sampler, any_rate_in_the_segment_is_lived_with)
{
    run_pass_segment();
    RUN(2, hostile_rates);
}

static volatile sig_atomic_t own_signals;
static void on_own(int signal) { own_signals += signal == SIGPROF; }

static int signals_of_its_own(void *arg)
{
    (void)arg;
    struct sigaction now;
    tracing_begin(1000);
    EXPECT(prof_caught_becomes(true));
    for (int tries = 0; tries < 10000; tries++) {
        sigaction(SIGPROF, NULL, &now);
        if (now.sa_handler != on_own)
            break;
        usleep(1000);
    }
    EXPECT(now.sa_handler != on_own);
    cpu_burn(20);
    EXPECT_EQ(own_signals, 0);
    raise(SIGPROF);
    EXPECT_EQ(own_signals, 1);
    cpu_burn(20);
    tracing_end();
    for (int tries = 0; tries < 10000; tries++) {
        sigaction(SIGPROF, NULL, &now);
        if (now.sa_handler == on_own)
            break;
        usleep(1000);
    }
    EXPECT(now.sa_handler == on_own);
    cpu_burn(20);
    EXPECT_EQ(own_signals, 1);
    raise(SIGPROF);
    EXPECT_EQ(own_signals, 2);
    return 0;
}

TEST(sampler, the_programs_own_handler_gets_its_signals_and_its_place_back)
{
    struct sigaction action = { .sa_handler = on_own };
    sigaction(SIGPROF, &action, NULL);
    run_pass_segment();
    RUN(2, signals_of_its_own);
}

static int a_foreign_one(void *arg)
{
    (void)arg;
    tracing_begin(1000);
    EXPECT(prof_caught_becomes(true));
    kill(getpid(), SIGPROF);
    cpu_burn(10000);
    return 0;
}

static void run_a_foreign_one(void)
{
    run_pass_segment();
    run_on(2, a_foreign_one);
}

TEST(sampler, one_that_nobody_handles_ends_the_program_as_ever)
{
    ck_assert_int_eq(run_child(run_a_foreign_one, shell_err, sizeof shell_err), 128 + SIGPROF);
}

static int fork_while_sampled(void *arg)
{
    (void)arg;
    int status;
    tracing_begin(10000);
    EXPECT(prof_caught_becomes(true));
    for (int i = 0; i < 20; i++) {
        cpu_burn(3);
        pid_t pid = fork();
        if (pid == 0)
            _exit(timers_of(getpid()) > 0);
        EXPECT(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
        pid = fork();
        if (pid == 0) {
            execlp("true", "true", NULL);
            _exit(127);
        }
        EXPECT(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    tracing_end();
    EXPECT(prof_caught_becomes(false));
    return 0;
}

TEST(sampler, children_have_no_timers)
{
    run_pass_segment();
    RUN(2, fork_while_sampled);
}

#if defined(__x86_64__)

static struct gmpt_waitgroup group;

/* Saves no registers, which may have addresses in the runtime: then it may be stopped anywhere. */
static void compute(void *args)
{
    (void)args;
    uint64_t x = 1;
    for (long i = 0; i < 100000000; i++) {
        x = x * 6364136223846793005u + 1;
        __asm__ volatile("" : "+r"(x));
    }
    gmpt_waitgroup_done(&group);
}

static int stopped_and_sampled(void *arg)
{
    (void)arg;
    struct gmpt_go_options options = { .flags = GMPT_PURE_COMPUTE };
    tracing_begin(10000);
    EXPECT(prof_caught_becomes(true));
    gmpt_waitgroup_add(&group, 4);
    for (int i = 0; i < 4; i++)
        EXPECT(gmpt_go_with(&options, compute, NULL, 0) > 0);
    gmpt_waitgroup_wait(&group);
    EXPECT(load_relaxed(&sched.preempted_t2) > 0);
    tracing_end();
    EXPECT(prof_caught_becomes(false));
    return 0;
}

TEST(sampler, goroutines_that_only_compute_are_stopped_as_without)
{
    if (UNDER_SANITIZER)
        SKIP("sanitizers put code of their own into what computes");
    run_pass_segment();
    RUN(1, stopped_and_sampled);
}

#endif
