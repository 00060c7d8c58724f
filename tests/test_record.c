/* `gmptrace record` from outside: the built command with real programs, signals, terminals and full disks. */
#define _GNU_SOURCE
#include "harness.h"
#include "shell.h"

#include "cli/progress.h"

#include <gmptrace/trace.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs a command in the test's own directory, with R, P and D in it standing for the command, the directory of the test
 * programs, and the directory. */
static const char *in_dir(const char *name)
{
    static char path[4][512];
    static int next;
    char *to = path[next++ & 3];
    snprintf(to, sizeof path[0], "%s/%s", harness_tmpdir(), name);
    return to;
}

static bool exists(const char *name)
{
    struct stat st;
    return lstat(in_dir(name), &st) == 0;
}

/* What a trace says once it has been read to its end. */
struct reading {
    struct gmpt_trace_counts counts;
    int whole, exit_kind, exit_code;
    uint32_t pid;
    bool damaged;
    uint64_t of_type[GMPT_EVENT_CODES];
    char command[512], host[256];
};

static struct reading trace_read(const char *name)
{
    struct reading reading = { 0 };
    struct gmpt_trace_error error;
    struct gmpt_event event;
    int result;
    struct gmpt_trace *trace = gmpt_trace_open(in_dir(name), &error);
    ck_assert_msg(trace != NULL, "%s: %s", name, error.message);
    while ((result = gmpt_trace_next(trace, &event)) > 0)
        reading.of_type[event.type]++;
    reading.damaged = result < 0;
    const struct gmpt_trace_info *info = gmpt_trace_info(trace);
    reading.counts = *gmpt_trace_counts(trace);
    reading.whole = info->whole;
    reading.exit_kind = info->exit_kind;
    reading.exit_code = info->exit_code;
    reading.pid = info->pid;
    snprintf(reading.command, sizeof reading.command, "%s", info->command);
    snprintf(reading.host, sizeof reading.host, "%s", info->host);
    gmpt_trace_close(trace);
    return reading;
}

static struct reading expect_whole(const char *name, int exit_kind, int exit_code)
{
    struct reading reading = trace_read(name);
    ck_assert(!reading.damaged);
    ck_assert_int_eq(reading.whole, 1);
    ck_assert_int_eq(reading.exit_kind, exit_kind);
    ck_assert_int_eq(reading.exit_code, exit_code);
    ck_assert_uint_eq(reading.counts.emitted, reading.counts.kept + reading.counts.lost);
    ck_assert_uint_eq(reading.counts.violations, 0);
    return reading;
}

/* ---- Nothing to record ------------------------------------------------------------------------------------------ */

TEST(record, no_program_is_wrong_usage)
{
    ck_assert_int_eq(shell_run("$R"), 2);
    shell_has(shell_err, "gmptrace record: no program");
    ck_assert_int_eq(shell_run("$R -o x --"), 2);
    ck_assert(!exists("x"));
}

TEST(record, unknown_option_is_wrong_usage)
{
    ck_assert_int_eq(shell_run("$R --speed -- true"), 2);
    shell_has(shell_err, "'--speed'");
}

TEST(record, option_without_its_value_is_wrong_usage)
{
    ck_assert_int_eq(shell_run("$R -o"), 2);
    shell_has(shell_err, "needs a value");
}

TEST(record, standard_output_is_refused)
{
    ck_assert_int_eq(shell_run("$R -o - -- true"), 2);
    shell_has(shell_err, "must be a file");
}

TEST(record, help_goes_to_standard_output)
{
    ck_assert_int_eq(shell_run("$R --help"), 0);
    shell_has(shell_out, "Usage: gmptrace record");
    ck_assert_str_eq(shell_err, "");
}

TEST(record, missing_program_is_named)
{
    ck_assert_int_eq(shell_run("$R -o x -- ./no-such-program a b"), 2);
    ck_assert_str_eq(shell_err, "gmptrace record: cannot run './no-such-program': No such file or directory\n");
    ck_assert_int_eq(shell_run("ls -A | grep -v '^.std'"), 1);
}

TEST(record, program_without_the_right_to_run_is_named)
{
    ck_assert_int_eq(shell_run("echo hello > plain && chmod 644 plain && $R -o x -- ./plain"), 2);
    ck_assert_str_eq(shell_err, "gmptrace record: cannot run './plain': Permission denied\n");
    ck_assert(!exists("x"));
}

TEST(record, program_not_on_the_runtime_runs_and_is_told)
{
    ck_assert_int_eq(shell_run("$R -o x -- echo hello"), 2);
    ck_assert_str_eq(shell_out, "hello\n");
    shell_has(shell_err, "gmptrace record: 'echo' did not start the gmptrace runtime: nothing recorded; "
                         "is it linked with libgmptrace?");
    ck_assert_int_eq(shell_run("ls -A | grep -v '^.std'"), 1);
}

TEST(record, program_that_fails_before_the_runtime_starts_is_told_by_its_status)
{
    ck_assert_int_eq(shell_run("$R -o x -- sh -c 'exit 9'"), 2);
    ck_assert_str_eq(shell_err,
                     "gmptrace record: 'sh' ended with status 9 before it started the gmptrace runtime: nothing "
                     "recorded\n");
    ck_assert_int_eq(shell_run("GMPT_MAXPROCS=abc $R -o x -- $P/yielders 2 3"), 2);
    shell_has(shell_err, "before it started the gmptrace runtime");
    ck_assert_ptr_null(strstr(shell_err, "linked"));
}

TEST(record, program_that_is_killed_before_the_runtime_starts_is_told_by_its_signal)
{
    ck_assert_int_eq(shell_run("$R -o x -- sh -c 'kill -KILL $$'"), 2);
    ck_assert_str_eq(shell_err, "gmptrace record: 'sh' was ended by signal 9 (Killed) before it started the gmptrace "
                                "runtime: nothing recorded\n");
}

TEST(record, earlier_file_stays_when_nothing_was_recorded)
{
    ck_assert_int_eq(shell_run("echo earlier > x; $R -o x -- true"), 2);
    ck_assert_int_eq(shell_run("cat x"), 0);
    ck_assert_str_eq(shell_out, "earlier\n");
    ck_assert(!exists("x.old"));
}

TEST(record, program_has_its_standard_input)
{
    ck_assert_int_eq(shell_run("echo typed | $R -o x -- cat"), 2);
    ck_assert_str_eq(shell_out, "typed\n");
}

TEST(record, words_after_the_program_are_its_own)
{
    ck_assert_int_eq(shell_run("$R -o x echo -o y --help"), 2);
    ck_assert_str_eq(shell_out, "-o y --help\n");
}

/* ---- Output that cannot be written ------------------------------------------------------------------------------ */

TEST(record, missing_output_directory_stops_before_the_program)
{
    ck_assert_int_eq(shell_run("$R -o none/x -- touch started"), 4);
    ck_assert_str_eq(shell_err, "gmptrace record: cannot write 'none/x': No such file or directory\n");
    ck_assert(!exists("started"));
}

TEST(record, directory_as_output_stops_before_the_program)
{
    ck_assert_int_eq(shell_run("mkdir d; $R -o d -- touch started"), 4);
    ck_assert_str_eq(shell_err, "gmptrace record: cannot write 'd': Is a directory\n");
    ck_assert(!exists("started"));
}

TEST(record, output_without_the_right_to_write_stops_before_the_program)
{
    ck_assert_int_eq(shell_run("$R -o /proc/x -- touch started"), 4);
    shell_has(shell_err, "cannot write '/proc/x'");
    ck_assert(!exists("started"));
}

TEST(record, full_device_is_told_and_the_program_runs_on)
{
    ck_assert_int_eq(shell_run("$R -o /dev/full -- $P/yielders 2 10 5"), 4);
    ck_assert_str_eq(shell_err,
                     "gmptrace record: cannot write '/dev/full': No space left on device; nothing recorded\n");
    ck_assert(access("/dev/full", F_OK) == 0);
}

/* The program limits its recorder's files before it starts its runtime. The messages go through a pipe, which has no
 * limit. */
static int limited(int bytes)
{
    return shell_run("command -v prlimit >.std || exit 77; echo earlier >x; "
                     "{ $R -o x -- sh -c \"prlimit --pid \\$PPID --fsize=%d; exec $P/yielders 2 10\"; echo $? >.std; } "
                     "2>&1 | cat >&2; exit $(cat .std)",
                     bytes);
}

TEST(record, no_room_for_an_event_leaves_the_earlier_file)
{
    for (int bytes = 20; bytes < 600; bytes += 500) { /* not even the head; the head and the first frame, the start */
        int status = limited(bytes);
        if (status == 77)
            SKIP("prlimit is not installed");
        ck_assert_int_eq(status, 4);
        ck_assert_str_eq(shell_err, "gmptrace record: cannot write 'x': File too large; nothing recorded\n");
        ck_assert_int_eq(shell_run("cat x; ls -A | grep -v '^.std'"), 0);
        ck_assert_str_eq(shell_out, "earlier\nx\n");
    }
}

/* ---- A whole recording ------------------------------------------------------------------------------------------ */

TEST(record, programs_status_is_passed_on)
{
    ck_assert_int_eq(shell_run("$R -o x -- $P/yielders 2 10 0"), 0);
    ck_assert_int_eq(shell_run("$R -o x -- $P/yielders 2 10 5"), 5);
    expect_whole("x", 1, 5);
}

TEST(record, every_event_is_in_the_file)
{
    ck_assert_int_eq(shell_run("$R -o x -- $P/yielders 20 200"), 0);
    struct reading reading = expect_whole("x", 1, 0);
    ck_assert_uint_eq(reading.of_type[GMPT_EVENT_go_create], 21);
    ck_assert_uint_le(reading.of_type[GMPT_EVENT_go_exit], 21); /* the program's end may come before a last exit */
    ck_assert_uint_eq(reading.counts.lost, 0);
    ck_assert_uint_eq(reading.counts.gaps, 0);
}

TEST_TIMEOUT(record, gs_that_change_ps_and_threads_in_every_way_are_followed, 200)
{
    for (int seed = 1; seed <= 3; seed++) {
        for (int p_count = 1; p_count <= 4; p_count += 3) {
            ck_assert_int_eq(shell_run("GMPT_MAXPROCS=%d $R -o x -- $P/churn %d 100", p_count, seed), 0);
            struct reading reading = expect_whole("x", 1, 0);
            ck_assert_uint_gt(reading.of_type[GMPT_EVENT_proc_limit], 0);
            ck_assert_uint_eq(reading.counts.lost, 0);
            ck_assert_uint_eq(reading.counts.gaps, 0);
            ck_assert_uint_eq(reading.counts.resynced, 0);
        }
    }
}

TEST(record, file_tells_of_command_and_host)
{
    ck_assert_int_eq(shell_run("$R -o x -- $P/yielders 2 3"), 0);
    struct reading reading = expect_whole("x", 1, 0);
    ck_assert_ptr_nonnull(strstr(reading.command, "/yielders 2 3"));
    ck_assert_str_ne(reading.host, "");
    ck_assert_uint_gt(reading.pid, 1);
}

TEST(record, last_line_says_what_was_written)
{
    char unit[16], events[32], path[16], rest[8];
    double size;
    ck_assert_int_eq(shell_run("$R -o x -- $P/yielders 500 3"), 0);
    int fields = sscanf(shell_err, "[ gmptrace record: wrote %lf %15s %31s events, 0 lost -> %15s %7[]\n]", &size, unit,
                        events, path, rest);
    ck_assert_msg(fields == 5, "%s", shell_err);
    ck_assert_str_eq(path, "x");
    ck_assert_ptr_nonnull(strchr(events, ','));
    ck_assert_str_eq(rest, "]\n");
}

TEST(record, default_file_is_gmptrace_data)
{
    ck_assert_int_eq(shell_run("$R $P/yielders 2 3"), 0);
    expect_whole("gmptrace.data", 1, 0);
}

TEST(record, earlier_file_is_kept_as_old)
{
    ck_assert_int_eq(shell_run("echo earlier > x; $R -o x -- $P/yielders 2 3"), 0);
    expect_whole("x", 1, 0);
    ck_assert_int_eq(shell_run("cat x.old"), 0);
    ck_assert_str_eq(shell_out, "earlier\n");
}

TEST(record, kept_file_is_named_and_that_it_replaced_another)
{
    ck_assert_int_eq(shell_run("echo first >x; touch -d '2001-01-01' x; $R -o x -- $P/yielders 2 3"), 0);
    shell_has(shell_err, "[ gmptrace record: the earlier x is now x.old ]\n");
    ck_assert_int_eq(shell_run("touch -d '2001-01-01' x; $R -o x -- $P/yielders 2 3"), 0);
    shell_has(shell_err, "[ gmptrace record: the earlier x is now x.old, instead of an older one ]\n");
    expect_whole("x", 1, 0);
    expect_whole("x.old", 1, 0);
    ck_assert(!exists("x.old.1"));
}

TEST(record, recordings_at_the_same_time_do_not_lose_each_other)
{
    ck_assert_int_eq(shell_run("echo first >x; touch -d '2001-01-01' x; "
                               "$R -o x -- sh -c \"$R -o x -- $P/yielders 2 3 3; exec $P/yielders 2 3 5\""),
                     5);
    shell_has(shell_err, "the earlier x is now x.old ]");
    shell_has(shell_err, "the earlier x is now x.old.1 ]");
    expect_whole("x", 1, 5);
    expect_whole("x.old.1", 1, 3);
    ck_assert_int_eq(shell_run("cat x.old"), 0);
    ck_assert_str_eq(shell_out, "first\n");
}

TEST(record, nothing_but_the_file_is_left)
{
    ck_assert_int_eq(shell_run("$R -o x -- $P/yielders 2 3"), 0);
    ck_assert_int_eq(shell_run("ls -A | grep -v '^.std'; stat -c %%a x"), 0);
    ck_assert_str_eq(shell_out, "x\n600\n");
}

TEST(record, program_is_found_through_a_wrapper)
{
    ck_assert_int_eq(shell_run("$R -o x -- sh -c \"$P/yielders 2 10; exit 3\""), 3);
    expect_whole("x", 1, 3);
}

TEST(record, null_device_is_written_directly)
{
    ck_assert_int_eq(shell_run("$R -o /dev/null -- $P/yielders 2 10"), 0);
    shell_has(shell_err, "-> /dev/null ]");
    ck_assert_int_eq(shell_run("test -c /dev/null && ! test -e /dev/null.old"), 0);
}

TEST(record, fifo_is_written_directly)
{
    ck_assert_int_eq(shell_run("mkfifo f; cat f > copy & $R -o f -- $P/yielders 2 10 && wait"), 0);
    struct reading reading = trace_read("copy");
    ck_assert_int_eq(reading.whole, 1);
    ck_assert_int_eq(shell_run("test -p f"), 0);
}

/* ---- Signals ---------------------------------------------------------------------------------------------------- */

/* A recorder that was started without a shell between, in a session of its own. */
struct started {
    pid_t recorder, program;
    FILE *out; /* of the program */
};

/* The number in the program's next line, or -1. */
static int number_read(struct started *started, const char *format)
{
    char line[128];
    int number;
    return fgets(line, sizeof line, started->out) && sscanf(line, format, &number) == 1 ? number : -1;
}

static struct started recorder_start(const char *terminal, const char *program, const char *argument)
{
    struct started started = { 0 };
    int ends[2];
    const char *trace_path = in_dir("x"), *err_path = in_dir("err"); /* of this process, so before the fork */
    ck_assert_int_eq(pipe(ends), 0);
    started.recorder = fork();
    if (started.recorder == 0) {
        char path[512];
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nothing behind */
        setsid();
        int tty = terminal ? open(terminal, O_RDWR) : -1;
        if (tty >= 0)
            ioctl(tty, TIOCSCTTY, 0);
        setenv("TERM", "vt100", 1);
        snprintf(path, sizeof path, "%s/tests/programs/%s", getenv("BUILD"), program);
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        if (tty >= 0)
            dup2(tty, STDERR_FILENO);
        else if (!freopen(err_path, "w", stderr))
            _exit(126);
        execl(getenv("GMPTRACE"), "gmptrace", "record", "-o", trace_path, "--", path, argument, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    started.out = fdopen(ends[0], "r");
    started.program = number_read(&started, "ready %d");
    ck_assert_int_gt(started.program, 1);
    return started;
}

static int recorder_wait(struct started *started)
{
    int status;
    while (waitpid(started->recorder, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Reads what was written to the terminal into err, up to these characters or, NULL, to the end. */
static void terminal_read(int master, const char *until)
{
    size_t length = 0;
    ssize_t got;
    shell_err[0] = 0;
    while (!(until && strstr(shell_err, until)) &&
           (got = read(master, shell_err + length, sizeof shell_err - 1 - length)) > 0)
        shell_err[length += (size_t)got] = 0;
}

/* What a terminal shows in its row once the first line of the output has ended. */
static void row_show(char row[256], const char *output)
{
    size_t column = 0, end = 0;
    for (; *output && *output != '\n' && column < 255; output++) {
        if (*output == '\r')
            column = 0;
        else
            row[column++] = *output;
        end = column > end ? column : end;
    }
    row[end] = 0;
}

TEST(record, terminate_is_passed_on)
{
    struct started started = recorder_start(NULL, "until_signal", NULL);
    kill(started.recorder, SIGTERM);
    ck_assert_int_eq(recorder_wait(&started), 7);
    ck_assert_int_eq(number_read(&started, "signals %d"), 1);
    expect_whole("x", 1, 7);
}

TEST(record, interrupt_without_a_terminal_is_passed_on)
{
    struct started started = recorder_start(NULL, "until_signal", NULL);
    kill(started.recorder, SIGINT);
    ck_assert_int_eq(recorder_wait(&started), 7);
    ck_assert_int_eq(number_read(&started, "signals %d"), 1);
    expect_whole("x", 1, 7);
}

TEST(record, ctrl_c_reaches_the_program_once)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) || unlockpt(master))
        SKIP("no pseudo terminals: %s", strerror(errno));
    struct started started = recorder_start(ptsname(master), "until_signal", NULL);
    ck_assert_int_eq(write(master, "\003", 1), 1);
    ck_assert_int_eq(recorder_wait(&started), 7);
    ck_assert_int_eq(number_read(&started, "signals %d"), 1);
    expect_whole("x", 1, 7);
    terminal_read(master, NULL);
    const char *line = strtok(shell_err, "\r\n"); /* "^C" and the message, or a progress line before */
    while (line && !strstr(line, "waiting for 'until_signal'; once more ends the recording now"))
        line = strtok(NULL, "\r\n");
    ck_assert_ptr_nonnull(line);
    ck_assert_uint_le(strlen(line), 80);
}

TEST(record, progress_is_a_line_on_a_terminal_that_the_last_message_replaces)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) || unlockpt(master))
        SKIP("no pseudo terminals: %s", strerror(errno));
    struct started started = recorder_start(ptsname(master), "until_signal", NULL);
    char events[32], unit[8], row[256];
    double size;
    terminal_read(master, "B\r"); /* the line and the return to its start */
    ck_assert_int_eq(shell_err[0], '\r');
    ck_assert_uint_le(strcspn(shell_err + 1, "\r"), 79);
    int fields = sscanf(shell_err, "\r%*[0-9,] events/s, %31[0-9,] events, 0 lost, %lf %7[A-Z]\r", events, &size, unit);
    ck_assert_msg(fields == 3, "%s", shell_err);
    kill(started.recorder, SIGTERM);
    ck_assert_int_eq(recorder_wait(&started), 7);
    terminal_read(master, NULL);
    row_show(row, shell_err);
    ck_assert_msg(strncmp(row, "gmptrace record: waiting for 'until_signal'; ", 45) == 0, "%s", row);
    ck_assert_ptr_null(strstr(row, "events"));
    row_show(row, strchr(shell_err, '\n') + 1);
    ck_assert_msg(strncmp(row, "[ gmptrace record: wrote ", 25) == 0, "%s", row);
    char *end = strstr(row, "/x ]");
    ck_assert_ptr_nonnull(end);
    ck_assert_uint_eq(strspn(end + 4, " "), strlen(end + 4));
}

TEST(record, progress_goes_to_no_file_and_no_dumb_terminal)
{
    ck_assert_int_eq(shell_run("true; $R -d 1200ms -o x -- $P/until_signal --ignore >said & "
                               "until [ -e x ] && [ -s said ]; do sleep 0.1; done; "
                               "kill -USR1 $(sed -n 's/ready //p' said); wait $!"),
                     7);
    ck_assert_ptr_null(strstr(shell_err, "events/s"));
    ck_assert_ptr_null(strchr(shell_err, '\r'));
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) || unlockpt(master))
        SKIP("no pseudo terminals: %s", strerror(errno));
    struct progress progress;
    ck_assert_int_eq(dup2(open(ptsname(master), O_RDWR | O_NOCTTY), STDERR_FILENO), STDERR_FILENO);
    setenv("TERM", "dumb", 1);
    progress_begin(&progress);
    ck_assert(!progress.wanted);
    setenv("TERM", "vt100", 1);
    progress_begin(&progress);
    ck_assert(progress.wanted);
}

TEST(record, progress_never_has_more_than_79_columns)
{
    char text[PROGRESS_COLUMNS + 1];
    struct progress_counts most = { UINT64_MAX, UINT64_MAX, UINT64_MAX };
    ck_assert_uint_eq(progress_text(text, &most, 0, 1), 79);
    ck_assert_uint_eq(strlen(text), 79);
    struct progress_counts counts = { 3500000, 12, 5800000 };
    size_t columns = progress_text(text, &counts, 500000, 1500000000);
    ck_assert_str_eq(text, "2,000,000 events/s, 3,500,000 events, 12 lost, 5.8 MB");
    ck_assert_uint_eq(columns, strlen(text));
    progress_text(text, &counts, 4000000, 0); /* nothing to divide by, and less than before */
    ck_assert_str_eq(text, "0 events/s, 3,500,000 events, 12 lost, 5.8 MB");
}

TEST(record, second_signal_ends_the_recording_and_leaves_the_program)
{
    struct started started = recorder_start(NULL, "until_signal", "--ignore");
    kill(started.recorder, SIGINT);
    kill(started.recorder, SIGTERM);
    ck_assert_int_eq(recorder_wait(&started), 0);
    ck_assert_int_eq(kill(started.program, SIGUSR1), 0);
    ck_assert_int_eq(number_read(&started, "signals %d"), 1);
    expect_whole("x", 0, 0);
}

TEST(record, duration_ends_the_recording_and_not_the_program)
{
    /* The file has its name as soon as it is whole, while the program still runs. */
    ck_assert_int_eq(shell_run("true; $R -d 50ms -o x -- $P/until_signal --ignore >said & "
                               "until [ -e x ] && [ -s said ]; do sleep 0.01; done; "
                               "kill -USR1 $(sed -n 's/ready //p' said); wait $!"),
                     7);
    ck_assert_int_eq(shell_run("cat said"), 0);
    shell_has(shell_out, "signals 1");
    expect_whole("x", 0, 0);
}

TEST(record, duration_must_be_one)
{
    ck_assert_int_eq(shell_run("$R -d soon -- true"), 2);
    shell_has(shell_err, "'soon' is no duration");
    ck_assert_int_eq(shell_run("$R --duration 0s -- true"), 2);
    ck_assert(!exists("gmptrace.data"));
}

TEST(record, killed_program_has_lost_nothing)
{
    struct started started = recorder_start(NULL, "spawn_forever", in_dir("count"));
    uint64_t count = 0;
    int fd = open(in_dir("count"), O_RDONLY);
    while (pread(fd, &count, sizeof count, 0) == sizeof count && count < 20000)
        usleep(1000);
    kill(started.program, SIGKILL);
    ck_assert_int_eq(recorder_wait(&started), 128 + SIGKILL);
    ck_assert_int_eq(pread(fd, &count, sizeof count, 0), sizeof count);
    struct reading reading = expect_whole("x", 2, SIGKILL);
    /* The main G is not in the count, nor is the one that was being started. */
    ck_assert_uint_ge(reading.of_type[GMPT_EVENT_go_create] + reading.counts.lost, count + 1);
    ck_assert_uint_le(reading.of_type[GMPT_EVENT_go_create], count + 2);
}

TEST(record, killed_recorder_leaves_whole_frames_and_the_program)
{
    struct started started = recorder_start(NULL, "until_signal", "--ignore");
    char part[64];
    snprintf(part, sizeof part, "x.%d.part", (int)started.recorder);
    struct stat st = { 0 };
    while (stat(in_dir(part), &st) == 0 && st.st_size < 500) /* the first frame comes at once */
        usleep(1000);
    kill(started.recorder, SIGKILL);
    ck_assert_int_eq(recorder_wait(&started), 128 + SIGKILL);
    ck_assert_int_eq(trace_read(part).whole, 0);
    ck_assert_int_eq(kill(started.program, SIGUSR1), 0);
    ck_assert_int_eq(number_read(&started, "signals %d"), 1);
    shell_run("\"$GMPTRACE\" recover --pid %d", (int)started.recorder); /* leaves nothing in tmpfs */
}

TEST(record, file_cut_in_its_middle_has_its_first_half)
{
    ck_assert_int_eq(shell_run("$R -o x -- $P/yielders 100 10000"), 0);
    struct reading all = expect_whole("x", 1, 0);
    struct stat st;
    ck_assert_int_eq(stat(in_dir("x"), &st), 0);
    ck_assert_int_eq(truncate(in_dir("x"), st.st_size / 2), 0);
    struct reading half = trace_read("x");
    ck_assert(!half.damaged);
    ck_assert_int_eq(half.whole, 0);
    ck_assert_uint_gt(half.counts.kept, all.counts.kept * 3 / 10);
}

/* ---- Files that may not grow ------------------------------------------------------------------------------------ */

TEST(record, size_limit_keeps_whole_frames)
{
    struct started started = recorder_start(NULL, "spawn_forever", in_dir("count"));
    struct rlimit limit = { 64 << 10, 64 << 10 };
    ck_assert_int_eq(prlimit(started.recorder, RLIMIT_FSIZE, &limit, NULL), 0);
    while (!exists("x"))
        usleep(10000);
    ck_assert_int_eq(kill(started.program, SIGKILL), 0);
    ck_assert_int_eq(recorder_wait(&started), 4);
    struct reading reading = trace_read("x");
    ck_assert(!reading.damaged);
    ck_assert_int_eq(reading.whole, 0);
    ck_assert_int_eq(shell_run("cat err"), 0);
    shell_has(shell_out, "File too large; the first ");
}

TEST(record, full_disk_keeps_whole_frames_and_the_status_says_so)
{
    ck_assert_int_eq(mkdir(in_dir("small"), 0700), 0);
    if (mount("none", in_dir("small"), "tmpfs", 0, "size=128k"))
        SKIP("cannot mount a small tmpfs: %s", strerror(errno));
    int status = shell_run("$R -o small/x -- $P/yielders 100 20000; s=$?; cp small/x copy; exit $s");
    umount(in_dir("small"));
    ck_assert_int_eq(status, 4);
    shell_has(shell_err, "No space left on device; the first ");
    struct reading reading = trace_read("copy");
    ck_assert(!reading.damaged);
    ck_assert_int_eq(reading.whole, 0);
}
