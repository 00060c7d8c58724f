/* `gmptrace record -p`: programs that run already, from outside. */
#define _GNU_SOURCE
#include "harness.h"
#include "shell.h"

#include <gmptrace/trace.h>

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- The program ------------------------------------------------------------------------------------------------ */

static struct {
    pid_t pid;
    int input; /* the program ends as this is closed */
} program;

/* Starts a test program; ready: waits for its first line. */
static void program_start(const char *name, const char *argument, const char *second, bool ready)
{
    int input[2], output[2];
    char path[512], line[16], pid[16];
    ck_assert_int_eq(pipe2(input, O_CLOEXEC) | pipe2(output, O_CLOEXEC), 0);
    snprintf(path, sizeof path, "%s/tests/programs/%s", getenv("BUILD"), name);
    program.pid = fork();
    if (program.pid == 0) {
        dup2(input[0], STDIN_FILENO);
        dup2(output[1], STDOUT_FILENO);
        execl(path, name, argument, second, NULL);
        _exit(127);
    }
    ck_assert_int_gt(program.pid, 0);
    snprintf(pid, sizeof pid, "%d", (int)program.pid);
    setenv("PID", pid, 1); /* for commands */
    program.input = input[1];
    close(input[0]);
    close(output[1]);
    if (ready)
        ck_assert_int_gt(read(output[0], line, sizeof line), 0);
    close(output[0]);
}

static int program_wait(void)
{
    int status;
    ck_assert_int_eq(waitpid(program.pid, &status, 0), program.pid);
    return status;
}

static void program_end(void)
{
    close(program.input);
    int status = program_wait();
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static bool program_lives(void) { return waitpid(program.pid, NULL, WNOHANG) == 0; }

/* ---- The trace -------------------------------------------------------------------------------------------------- */

static struct gmpt_trace *trace;

/* Reads the trace to its end, which must be whole, exact and without a contradiction. */
static const struct gmpt_trace_info *trace_read(void)
{
    char path[512];
    struct gmpt_trace_error error;
    struct gmpt_event event;
    gmpt_trace_close(trace);
    snprintf(path, sizeof path, "%s/t.data", harness_tmpdir());
    trace = gmpt_trace_open(path, &error);
    ck_assert_msg(trace != NULL, "%s", error.message);
    while (gmpt_trace_next(trace, &event) > 0)
        ;
    const struct gmpt_trace_counts *counts = gmpt_trace_counts(trace);
    const struct gmpt_trace_info *info = gmpt_trace_info(trace);
    ck_assert_int_eq(info->whole, 1);
    ck_assert_int_eq(info->attached, 1);
    ck_assert_uint_eq(counts->violations, 0);
    ck_assert_uint_eq(counts->emitted, counts->kept + counts->lost);
    if (counts->lost == 0) {
        ck_assert_uint_eq(counts->gaps, 0);
        ck_assert_uint_eq(counts->resynced, 0);
    }
    return info;
}

struct wanted {
    enum gmpt_g_state state;
    enum gmpt_wait_reason reason;
    int bounded, found;
};

static int find_wait(const struct gmpt_g *g, void *arg)
{
    struct wanted *wanted = arg;
    if (g->state == wanted->state && g->reason == wanted->reason && g->parent == 1 && g->bounded == wanted->bounded) {
        struct gmpt_stack created = gmpt_trace_stack(trace, g->create_stack);
        struct gmpt_stack waits = gmpt_trace_stack(trace, g->wait_stack);
        wanted->found += g->was_there && g->fn && created.count >= 1 && waits.count >= 2 && g->created_ns == 0 &&
                         g->state_since_ns == 0 && g->waited_before_ns > 1000000;
    }
    return 0;
}

static int count_waits(enum gmpt_g_state state, enum gmpt_wait_reason reason, int bounded)
{
    struct wanted wanted = { state, reason, bounded, 0 };
    gmpt_trace_each_g(trace, find_wait, &wanted);
    return wanted.found;
}

/* ---- What cannot be attached to --------------------------------------------------------------------------------- */

TEST(attach, what_is_no_process_id_is_wrong_usage)
{
    ck_assert_int_eq(shell_run("$R -p 12x"), 2);
    shell_has(shell_err, "'12x' is no process id");
    ck_assert_int_eq(shell_run("$R -p 0"), 2);
    ck_assert_int_eq(shell_run("$R -p 1 true"), 2);
    shell_has(shell_err, "either a program to start or -p");
}

TEST(attach, a_process_that_is_not_there_is_told)
{
    ck_assert_int_eq(shell_run("sleep 0 & wait; $R -p $!"), 2);
    shell_has(shell_err, "there is no process");
    ck_assert_int_eq(shell_run("test -e gmptrace.data"), 1);
}

TEST(attach, a_process_without_the_runtime_is_told)
{
    ck_assert_int_eq(shell_run("sleep 100 & $R -p $!; S=$?; kill $!; exit $S"), 2);
    shell_has(shell_err, "does not run the gmptrace runtime");
}

TEST(attach, a_child_that_kept_its_parents_descriptors_is_no_target)
{
    program_start("idlers", "0", NULL, true);
    ck_assert_int_eq(shell_run("exec 9<>/proc/$PID/fd/"
                               "$(ls -l /proc/$PID/fd | sed -n 's/.* \\([0-9]*\\) -> .*memfd:gmptrace.*/"
                               "\\1/p'); sleep 100 & $R -p $!; S=$?; kill $!; exit $S"),
                     2);
    shell_has(shell_err, "does not run the gmptrace runtime");
    program_end();
}

/* ---- What is seen ----------------------------------------------------------------------------------------------- */

TEST(attach, all_that_wait_are_known_with_reason_sites_and_time)
{
    program_start("idlers", "300", NULL, true);
    ck_assert_int_eq(shell_run("$R -o t.data -d 100ms -p $PID"), 0);
    const struct gmpt_trace_info *info = trace_read();
    ck_assert_int_eq(info->exit_kind, 0);
    ck_assert_uint_eq(info->pid, (uint32_t)program.pid);
    ck_assert_ptr_nonnull(strstr(info->command, "idlers 300"));
    ck_assert_int_eq(count_waits(GMPT_G_WAITING, GMPT_WAIT_chan_recv, 0), 301);
    ck_assert_int_eq(count_waits(GMPT_G_WAITING, GMPT_WAIT_mutex, 0), 1);
    ck_assert_int_eq(count_waits(GMPT_G_WAITING, GMPT_WAIT_wait_group, 0), 1);
    ck_assert_int_eq(count_waits(GMPT_G_WAITING, GMPT_WAIT_sleep, 1), 1);
    ck_assert_int_eq(count_waits(GMPT_G_SYSCALL, GMPT_WAIT_none, 0), 1);
    ck_assert_uint_eq(gmpt_trace_counts(trace)->lost, 0);

    ck_assert_int_eq(shell_run("$GMPTRACE leaks --stuck 1ms t.data"), 1);
    shell_has(shell_out, "300 goroutines wait in chan receive");
    ck_assert_int_eq(shell_run("$GMPTRACE script t.data | grep -m1 -B4 'the reader'"), 0);
    shell_has(shell_out, "labels={tenant=\"acme\"}");
    shell_has(shell_out, "name=\"the reader\"");
    shell_has(shell_out, "wants_message idlers.c:");
    shell_has(shell_out, "main_g idlers.c:");
    program_end();
}

TEST(attach, a_program_that_ends_meanwhile_loses_nothing)
{
    program_start("idlers", "0", NULL, true);
    ck_assert_int_eq(shell_run("$R -o t.data -p $PID & sleep 0.3; kill -9 $PID; wait $!"), 0);
    ck_assert_int_eq(trace_read()->exit_kind, 3);
    ck_assert_int_eq(WTERMSIG(program_wait()), SIGKILL);
}

TEST(attach, a_signal_to_end_detaches)
{
    program_start("idlers", "0", NULL, true);
    ck_assert_int_eq(shell_run("$R -o t.data -p $PID & sleep 0.3; kill -TERM $!; wait $!"), 0);
    ck_assert_int_eq(trace_read()->exit_kind, 0);
    ck_assert(program_lives());
    program_end();
}

TEST(attach, one_recorder_at_a_time)
{
    program_start("idlers", "0", NULL, true);
    ck_assert_int_eq(shell_run("$R -o t.data -p $PID & sleep 0.3; $R -o u.data -p $PID; S=$?; "
                               "kill -TERM $!; wait $!; exit $S"),
                     2);
    shell_has(shell_err, "it is being recorded already");
    trace_read();
    program_end();
}

TEST(attach, a_program_that_was_recorded_from_its_start_can_be_attached_to)
{
    int status = shell_run("$R -d 100ms -o first.data $BUILD/tests/programs/until_signal & "
                           "until test -e first.data; do sleep 0.1; done; "
                           "C=$(pgrep -P $!); $R -o t.data -d 100ms -p $C; S=$?; kill $C; wait; exit $S");
    ck_assert_msg(status == 0, "%s", shell_err);
    trace_read();
}

/* ---- Again and again -------------------------------------------------------------------------------------------- */

static long rounds(long usual)
{
    const char *text = getenv("ATTACH_ROUNDS");
    return text ? atol(text) : usual;
}

TEST_TIMEOUT(attach, each_of_many_recordings_is_valid_by_itself, 3600)
{
    program_start("churn", "7", "1000000000", false);
    usleep(200000);
    for (long i = 0, count = rounds(8); i < count; i++) {
        ck_assert_msg(shell_run("$R -o t.data -d %ldms -p $PID; rm -f t.data.old", 5 + i * 13 % 60) == 0, "%s",
                      shell_err);
        trace_read();
        ck_assert(program_lives());
    }
    kill(program.pid, SIGKILL);
    program_wait();
}

TEST_TIMEOUT(attach, a_recorder_that_is_killed_leaves_a_program_that_can_be_attached_to, 3600)
{
    program_start("churn", "9", "1000000000", false);
    usleep(200000);
    for (long i = 0, count = rounds(3); i < count; i++) {
        shell_run("$R -o k.data -p $PID & sleep 0.0%ld; kill -9 $!; wait $!", 1 + i * 7 % 9);
        ck_assert_msg(shell_run("$R -o t.data -d 50ms -p $PID; rm -f t.data.old k.*") == 0, "%s", shell_err);
        trace_read();
        ck_assert(program_lives());
    }
    kill(program.pid, SIGKILL);
    program_wait();
}
