/* What is left of a recording when its program, its recorder or both are killed at a random moment, and when the
 * recorder stands still. The programs count their own events in a file, so that it is known what must be there.
 * KILL_ROUNDS and KILL_SEED in the environment say how often, and where the moments begin. */
#define _GNU_SOURCE
#include "harness.h"

#include "trace/intervals.h"
#include "trace/segment.h"

#include <gmptrace/trace.h>

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS_USUAL 3
#define LINE_BYTES 64
#define LINES 64

static int rounds(void)
{
    const char *text = getenv("KILL_ROUNDS");
    int count = text ? atoi(text) : 0;
    return count > 0 ? count : ROUNDS_USUAL;
}

/* A moment in [0, most_us) of this round: xorshift. */
static long moment_us(long most_us)
{
    static uint64_t state;
    if (state == 0) {
        const char *seed = getenv("KILL_SEED");
        state = seed ? strtoull(seed, NULL, 10) : 0;
        state = (state + 1) * 0x9e3779b97f4a7c15ull;
    }
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (long)(state % (uint64_t)most_us);
}

static void pause_us(long us)
{
    struct timespec time = { us / 1000000, us % 1000000 * 1000 };
    nanosleep(&time, NULL);
}

static char out[65536], err[65536];

static const char *in_dir(const char *name)
{
    static char path[4][512];
    static int next;
    char *to = path[next++ & 3];
    snprintf(to, sizeof path[0], "%s/%s", harness_tmpdir(), name);
    return to;
}

static int shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int shell(const char *format, ...)
{
    char command[4096];
    int length = snprintf(command, sizeof command, "cd '%s' && ", harness_tmpdir());
    va_list args;
    va_start(args, format);
    vsnprintf(command + length, sizeof command - (size_t)length, format, args);
    va_end(args);
    return harness_shell(command, out, sizeof out, err, sizeof err);
}

/* ---- A place for segments of the test's own --------------------------------------------------------------------- */

static char place[64];

static void place_remove(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", place);
    if (system(command)) {
    }
}

/* False when there is no tmpfs. */
static bool place_make(void)
{
    struct statfs fs;
    if (statfs("/dev/shm", &fs) || fs.f_type != TMPFS_MAGIC)
        return false;
    strcpy(place, "/dev/shm/gmptrace-test-XXXXXX");
    if (!mkdtemp(place))
        return false;
    atexit(place_remove);
    setenv("XDG_RUNTIME_DIR", place, 1);
    return true;
}

/* The segment of this recorder, or NULL. */
static const char *segment_path(pid_t recorder)
{
    static char path[256];
    char pattern[128];
    glob_t found;
    snprintf(pattern, sizeof pattern, "%s/gmptrace.%d.*", place, (int)recorder);
    bool is = glob(pattern, 0, NULL, &found) == 0 && found.gl_pathc == 1;
    if (is)
        snprintf(path, sizeof path, "%s", found.gl_pathv[0]);
    globfree(&found);
    return is ? path : NULL;
}

/* What the program or its recorder has stored there; 0 too when it is not laid out. */
static uint32_t segment_tracing(int fd)
{
    struct segment segment;
    const char *why;
    if (segment_open(&segment, fd, &why))
        return 0;
    uint32_t tracing = load_acquire(&segment.header->tracing);
    segment_close(&segment);
    return tracing;
}

/* ---- A recording ------------------------------------------------------------------------------------------------ */

struct started {
    pid_t recorder, program; /* program 0: not seen yet */
};

static const char *max_size = NULL; /* of a file, when the recording goes over several */

static struct started recorder_start(const char *gs, const char *tasks)
{
    struct started started = { 0 };
    const char *trace_path = in_dir("x"), *count_path = in_dir("count"), *err_path = in_dir("err");
    fflush(NULL);
    started.recorder = fork();
    if (started.recorder == 0) {
        char path[512];
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setsid();
        snprintf(path, sizeof path, "%s/tests/programs/counting", getenv("BUILD"));
        if (!freopen("/dev/null", "w", stdout) || !freopen(err_path, "w", stderr))
            _exit(126);
        const char *argv[] = { "gmptrace", "record", "-o", trace_path, "--", path, count_path, gs, tasks, NULL };
        const char *rotating[] = { "gmptrace", "record", "-o", trace_path, "--max-size", max_size, "--keep",
                                   "1000",     "--",     path, count_path, gs,           tasks,    NULL };
        execv(getenv("GMPTRACE"), (char **)(max_size ? rotating : argv));
        _exit(127);
    }
    return started;
}

/* Looks for the program among the recorder's children. */
static void program_look(struct started *started)
{
    char path[96];
    int pid = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)started->recorder, (int)started->recorder);
    FILE *file = fopen(path, "re");
    if (file && fscanf(file, "%d", &pid) == 1)
        started->program = pid;
    if (file)
        fclose(file);
}

static int recorder_wait(struct started *started)
{
    int status;
    while (waitpid(started->recorder, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* It is no child of ours: until it is gone, or a zombie of init's and the last of its threads. */
static void program_wait(pid_t pid)
{
    char path[64], state = 0;
    int threads = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    for (;;) {
        FILE *file = fopen(path, "re");
        if (!file)
            return;
        bool read = fscanf(file, "%*d (%*[^)]) %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %d",
                           &state, &threads) == 2;
        fclose(file);
        if (read && (state == 'Z' || state == 'X') && threads <= 1)
            return;
        pause_us(1000);
    }
}

/* The sum of the counters at this place of all lines, and how many lines count. */
static uint64_t count_read(int place_in_line, uint64_t *gs)
{
    uint64_t lines[LINES][LINE_BYTES / 8] = { { 0 } }, sum = 0;
    int fd = open(in_dir("count"), O_RDONLY);
    ssize_t got = fd < 0 ? 0 : read(fd, lines, sizeof lines);
    (void)got;
    if (fd >= 0)
        close(fd);
    if (gs)
        *gs = 0;
    for (int i = 0; i < LINES; i++) {
        sum += lines[i][place_in_line];
        if (gs)
            *gs += lines[i][1] > 0 || lines[i][0] > 0;
    }
    return sum;
}

#define EVENTS 0
#define TURNS 1

/* ---- What the file has ------------------------------------------------------------------------------------------ */

struct reading {
    uint64_t user; /* events that the program counts */
    struct gmpt_trace_counts counts;
    int exit_kind;
};

static int interval_check(void *arg, const struct interval *interval)
{
    (void)arg;
    return interval->end_ns < interval->begin_ns;
}

/* The file is whole and holds together. */
static struct reading expect_whole(const char *name)
{
    struct reading reading = { 0 };
    struct gmpt_trace_error error;
    struct gmpt_event event;
    int result, intervals_result = 0;
    struct gmpt_trace *trace = gmpt_trace_open(in_dir(name), &error);
    ck_assert_msg(trace != NULL, "%s: %s", name, error.message);
    struct intervals *intervals = intervals_open(trace, interval_check, NULL);
    while ((result = gmpt_trace_next(trace, &event)) > 0) {
        reading.user += event.type == GMPT_EVENT_user_task_begin || event.type == GMPT_EVENT_user_task_end;
        if (intervals_result == 0)
            intervals_result = intervals_add(intervals, &event);
    }
    const struct gmpt_trace_info *info = gmpt_trace_info(trace);
    if (intervals_result == 0)
        intervals_result = intervals_finish(intervals, info->duration_ns);
    reading.counts = *gmpt_trace_counts(trace);
    reading.exit_kind = info->exit_kind;
    ck_assert_int_eq(result, 0);
    ck_assert_int_eq(info->whole, 1);
    ck_assert_int_eq(intervals_result, 0);
    ck_assert_uint_eq(reading.counts.emitted, reading.counts.kept + reading.counts.lost);
    ck_assert_uint_eq(reading.counts.violations, 0);
    intervals_close(intervals);
    gmpt_trace_close(trace);
    return reading;
}

/* Every event that was counted is in the file, or known to be lost; and at most one more of each G, that was written
 * and not yet counted. */
static void expect_all(const struct reading *reading, uint64_t counted, uint64_t gs)
{
    ck_assert_uint_ge(reading->user + reading->counts.lost, counted);
    ck_assert_uint_le(reading->user, counted + gs);
    if (reading->counts.lost == 0)
        ck_assert_uint_eq(reading->counts.gaps, 0);
}

static void round_clear(void) { ck_assert_int_eq(shell("rm -f x x.* y count err gmptrace.data"), 0); }

/* ---- The program is killed -------------------------------------------------------------------------------------- */

TEST_TIMEOUT(kill, a_killed_programs_every_event_is_recorded, 1800)
{
    if (!place_make())
        SKIP("/dev/shm is no tmpfs");
    int lossy = 0, early = 0;
    for (int i = 0; i < rounds(); i++) {
        round_clear();
        struct started started = recorder_start("0", "0");
        while (!started.program)
            program_look(&started);
        pause_us(moment_us(300000));
        ck_assert_int_eq(kill(started.program, SIGKILL), 0);
        int status = recorder_wait(&started);
        if (status == 2) { /* before the runtime began */
            ck_assert_uint_eq(count_read(EVENTS, NULL), 0);
            early++;
            continue;
        }
        ck_assert_int_eq(status, 128 + SIGKILL);
        uint64_t gs, counted = count_read(EVENTS, &gs);
        struct reading reading = expect_whole("x");
        expect_all(&reading, counted, gs + (gs == 0));
        ck_assert_int_eq(reading.exit_kind, 2);
        ck_assert_ptr_null(segment_path(started.recorder));
        lossy += reading.counts.lost > 0;
    }
    if (getenv("KILL_ROUNDS"))
        fprintf(stderr, "kill: program: %d rounds, %d before the runtime, %d with losses\n", rounds(), early, lossy);
}

/* ---- Both are killed -------------------------------------------------------------------------------------------- */

TEST_TIMEOUT(kill, what_both_leave_behind_is_recovered_whole, 1800)
{
    if (!place_make())
        SKIP("/dev/shm is no tmpfs");
    int lossy = 0, early = 0;
    for (int i = 0; i < rounds(); i++) {
        round_clear();
        struct started started = recorder_start("0", "0");
        pause_us(moment_us(i % 4 == 3 ? 30000 : 400000));
        program_look(&started);
        pid_t first = i % 2 ? started.recorder : started.program;
        if (first)
            kill(first, SIGKILL);
        pause_us(i % 3 ? moment_us(3000) : 0);
        kill(started.recorder, SIGKILL);
        int status = recorder_wait(&started);
        if (started.program) {
            kill(started.program, SIGKILL);
            program_wait(started.program);
        }
        ck_assert_int_ne(status, 0);
        const char *path = segment_path(started.recorder);
        if (!path) { /* it was not yet made, or the recorder ended by itself just in time */
            if (count_read(EVENTS, NULL) > 0)
                expect_whole("x");
            early++;
            continue;
        }
        char segment[256];
        snprintf(segment, sizeof segment, "%s", path);
        int fd = open(segment, O_RDWR | O_CLOEXEC);
        uint64_t gs, counted = count_read(EVENTS, &gs);
        bool off = counted > 0 && segment_tracing(fd) == 0; /* sysmon saw in time that the recorder was gone */
        close(fd);
        ck_assert_int_eq(shell("\"$GMPTRACE\" recover --list"), 0);
        ck_assert_ptr_nonnull(strstr(out, segment));
        status = shell("\"$GMPTRACE\" recover --pid %d -o x", (int)started.recorder);
        ck_assert_msg(status == 0, "%s", err);
        ck_assert_ptr_null(segment_path(started.recorder));
        if (strstr(err, "nothing was written")) {
            ck_assert_uint_eq(counted, 0);
            early++;
            continue;
        }
        ck_assert_ptr_null(strstr(err, "does not hold together"));
        /* An empty one stays when the recorder had not yet seen the segment, to say where it is. */
        ck_assert_int_eq(shell("find . -name 'x.*.part' -size +64c"), 0);
        ck_assert_str_eq(out, "");
        struct reading reading = expect_whole("x");
        expect_all(&reading, off ? counted - 2 * gs : counted, off ? 3 * gs : gs + (gs == 0));
        ck_assert_int_eq(reading.exit_kind, 3);
        lossy += reading.counts.lost > 0;
    }
    if (getenv("KILL_ROUNDS"))
        fprintf(stderr, "kill: both: %d rounds, %d before the runtime, %d with losses\n", rounds(), early, lossy);
}

/* Files follow each other in epochs, and at each seam an event of a P may be missing that was being written then. */
TEST_TIMEOUT(kill, a_recording_over_several_files_is_recovered_too, 1800)
{
    if (!place_make())
        SKIP("/dev/shm is no tmpfs");
    int files = 0, rests = 0;
    max_size = "1M";
    for (int i = 0; i < rounds(); i++) {
        round_clear();
        struct started started = recorder_start("0", "0");
        while (count_read(EVENTS, NULL) == 0)
            pause_us(1000);
        program_look(&started);
        pause_us(300000 + moment_us(300000));
        kill(started.recorder, SIGKILL);
        kill(started.program, SIGKILL);
        ck_assert_int_eq(recorder_wait(&started), 128 + SIGKILL);
        program_wait(started.program);
        uint64_t gs, counted = count_read(EVENTS, &gs), user = 0, lost = 0, seams = 0;
        int status = shell("\"$GMPTRACE\" recover --pid %d", (int)started.recorder);
        ck_assert_msg(status == 0, "%s", err);
        ck_assert_ptr_null(segment_path(started.recorder));
        bool unfinished = strstr(err, "killed while it attached");
        /* A recorder that got no CPU all the time had not even said what its file is. */
        ck_assert_int_eq(shell("rm -f x*.part; ls | grep -E '^(x|gmptrace[.]data)'"), 0);
        char names[sizeof out];
        strcpy(names, out);
        char *at = names;
        for (char *name; (name = strsep(&at, "\n")) && *name; seams++) {
            if (unfinished)
                continue; /* not all that it knows can be told of that file */
            struct reading reading = expect_whole(name);
            user += reading.user;
            lost += reading.counts.lost;
            rests += strstr(name, ".rest") != NULL;
        }
        files += (int)seams;
        if (unfinished)
            continue;
        ck_assert_uint_ge(user + lost + (seams - 1) * gs, counted);
        ck_assert_uint_le(user, counted + gs);
    }
    if (getenv("KILL_ROUNDS"))
        fprintf(stderr, "kill: several files: %d rounds, %d files, %d of them of a rest\n", rounds(), files, rests);
}

TEST(kill, recover_can_be_told_the_part_or_the_segment)
{
    if (!place_make())
        SKIP("/dev/shm is no tmpfs");
    for (int by_part = 0; by_part < 2; by_part++) {
        round_clear();
        struct started started = recorder_start("1", "0");
        while (count_read(EVENTS, NULL) < 100000)
            pause_us(1000);
        program_look(&started);
        kill(started.recorder, SIGKILL);
        recorder_wait(&started);
        ck_assert_int_eq(shell("\"$GMPTRACE\" recover"), 0);
        ck_assert_ptr_null(strstr(out, segment_path(started.recorder))); /* its program runs on */
        kill(started.program, SIGKILL);
        program_wait(started.program);
        ck_assert_int_eq(shell("\"$GMPTRACE\" recover"), 0);
        ck_assert_ptr_nonnull(strstr(out, segment_path(started.recorder)));
        ck_assert_ptr_nonnull(strstr(out, "would be joined with "));
        uint64_t gs, counted = count_read(EVENTS, &gs);
        ck_assert_int_eq(by_part ? shell("\"$GMPTRACE\" recover x.%d.part", (int)started.recorder)
                                 : shell("\"$GMPTRACE\" recover %s", segment_path(started.recorder)),
                         0);
        struct reading reading = expect_whole("x");
        ck_assert_uint_ge(reading.user + reading.counts.lost, counted - 2 * gs);
        ck_assert_int_eq(shell("find '%s' x.* -type f", place), 1); /* nothing but x is left */
        ck_assert_str_eq(out, "");
        ck_assert_int_eq(shell("\"$GMPTRACE\" recover"), 0);
        ck_assert_ptr_null(strstr(out, place));
    }
}

TEST(kill, a_recorder_at_work_is_left_alone)
{
    if (!place_make())
        SKIP("/dev/shm is no tmpfs");
    struct started started = recorder_start("1", "0");
    while (count_read(EVENTS, NULL) < 1000)
        pause_us(1000);
    program_look(&started);
    ck_assert_int_eq(shell("\"$GMPTRACE\" recover --pid %d", (int)started.program), 2);
    ck_assert_ptr_nonnull(strstr(err, "is being recorded"));
    ck_assert_int_eq(shell("\"$GMPTRACE\" recover --list"), 0);
    ck_assert_ptr_nonnull(strstr(out, "being recorded"));
    kill(started.program, SIGKILL);
    ck_assert_int_eq(recorder_wait(&started), 128 + SIGKILL);
    expect_whole("x");
    ck_assert_int_eq(shell("ls '%s'", place), 0);
    ck_assert_str_eq(out, "");
}

TEST(kill, what_cannot_be_written_stays)
{
    if (!place_make())
        SKIP("/dev/shm is no tmpfs");
    struct started started = recorder_start("1", "0");
    while (count_read(EVENTS, NULL) < 1000)
        pause_us(1000);
    program_look(&started);
    kill(started.program, SIGKILL);
    kill(started.recorder, SIGKILL);
    recorder_wait(&started);
    program_wait(started.program);
    ck_assert_int_eq(shell("\"$GMPTRACE\" recover --pid %d -o none/x", (int)started.program), 4);
    ck_assert_ptr_nonnull(segment_path(started.recorder));
    ck_assert_int_eq(shell("\"$GMPTRACE\" recover --pid %d -o /dev/full", (int)started.program), 4);
    ck_assert_ptr_nonnull(segment_path(started.recorder));
    uint64_t gs, counted = count_read(EVENTS, &gs);
    ck_assert_int_eq(shell("\"$GMPTRACE\" recover --pid %d", (int)started.program), 0);
    struct reading reading = expect_whole("x");
    expect_all(&reading, counted, gs);
}

/* ---- The recorder is killed ------------------------------------------------------------------------------------- */

TEST_TIMEOUT(kill, the_program_outlives_its_recorder_and_is_attached_to_again, 1800)
{
    if (!place_make())
        SKIP("/dev/shm is no tmpfs");
    for (int i = 0; i < rounds(); i++) {
        round_clear();
        struct started started = recorder_start("0", "0");
        while (count_read(EVENTS, NULL) == 0)
            pause_us(1000);
        program_look(&started);
        ck_assert_int_gt(started.program, 0);
        pause_us(moment_us(200000));
        uint64_t gs, counted = count_read(EVENTS, &gs);
        kill(started.recorder, SIGKILL);
        ck_assert_int_eq(recorder_wait(&started), 128 + SIGKILL);
        int fd = open(segment_path(started.recorder), O_RDWR | O_CLOEXEC);
        ck_assert_int_ge(fd, 0);
        while (segment_tracing(fd)) /* until sysmon has seen it */
            pause_us(1000);
        close(fd);
        if (i % 2) { /* at leisure, while the program runs on */
            ck_assert_int_eq(shell("\"$GMPTRACE\" recover --pid %d -o x", (int)started.program), 0);
            struct reading reading = expect_whole("x");
            ck_assert_uint_ge(reading.user + reading.counts.lost, counted);
            ck_assert_int_eq(reading.exit_kind, 0);
            ck_assert_ptr_null(segment_path(started.recorder));
        }
        uint64_t turns = count_read(TURNS, NULL);
        while (count_read(TURNS, NULL) < turns + 10000)
            pause_us(1000);
        int status = shell("\"$GMPTRACE\" record -p %d -d 100ms -o y", (int)started.program);
        ck_assert_msg(status == 0, "%s", err);
        if (i % 2 == 0) { /* the recording before is finished first */
            ck_assert_ptr_nonnull(strstr(err, "recovered"));
            struct reading before = expect_whole("x");
            ck_assert_uint_ge(before.user + before.counts.lost, counted);
            ck_assert_ptr_null(segment_path(started.recorder));
        }
        struct reading reading = expect_whole("y");
        ck_assert_uint_gt(reading.user, 0);
        turns = count_read(TURNS, NULL);
        while (count_read(TURNS, NULL) < turns + 10000)
            pause_us(1000);
        kill(started.program, SIGKILL);
        program_wait(started.program);
        ck_assert_int_eq(shell("find '%s' x.* -type f", place), 1);
        ck_assert_str_eq(out, "");
    }
}

/* The memory of a program that was not started by a recorder has no name: it is found through the program. */
TEST_TIMEOUT(kill, what_an_attached_recorder_leaves_is_recovered_from_the_program, 1800)
{
    for (int i = 0; i < rounds(); i++) {
        round_clear();
        ck_assert_int_eq(shell(":; \"$BUILD/tests/programs/counting\" count 0 >/dev/null 2>&1 & p=$!; "
                               "until \"$GMPTRACE\" ps -p $p >/dev/null 2>&1; do sleep 0.01; done; "
                               "\"$GMPTRACE\" record -p $p -o x 2>err & r=$!; "
                               "until [ -s x.$r.part ]; do sleep 0.01; done; sleep 0.%03ld; kill -KILL $r; wait $r; "
                               "echo $p",
                               moment_us(300000) / 1000),
                         0);
        pid_t program = (pid_t)atoi(out);
        bool attach = i % 2 == 0; /* and so by another that attaches */
        int status = attach ? shell("\"$GMPTRACE\" record -p %d -d 50ms -o y", (int)program)
                            : shell("\"$GMPTRACE\" recover -p %d", (int)program);
        kill(program, SIGKILL);
        ck_assert_msg(status == 0, "%s", err);
        ck_assert_ptr_nonnull(strstr(err, "recovered, "));
        if (!strstr(err, "killed while it attached"))
            ck_assert_uint_gt(expect_whole("x").counts.emitted, 0);
        if (attach)
            expect_whole("y");
        ck_assert_int_eq(shell("ls -A | grep part"), 1);
    }
}

/* ---- The recorder stands still ---------------------------------------------------------------------------------- */

/* Of the only counting G: task t's begin is number 2(t - 1), its end the next. Between two that were kept, those that
 * are missing were lost, and markers between them tell of at least as many. */
static struct reading expect_numbered(const char *name, uint64_t total)
{
    struct reading reading = { 0 };
    struct gmpt_trace_error error;
    struct gmpt_event event;
    uint64_t next = 0, marked = 0, marked_here = 0, missing = 0, others = 0, markers = 0, told = 0;
    int64_t begun_ns = 0;
    int result;
    struct gmpt_trace *trace = gmpt_trace_open(in_dir(name), &error);
    ck_assert_msg(trace != NULL, "%s: %s", name, error.message);
    while ((result = gmpt_trace_next(trace, &event)) > 0) {
        bool begin = event.type == GMPT_EVENT_user_task_begin;
        markers += event.type == GMPT_EVENT_lost;
        told += event.type == GMPT_EVENT_lost ? event.lost.count : 0;
        if (event.type == GMPT_EVENT_lost && event.p == 0) {
            marked += event.lost.count;
            marked_here += event.lost.count;
            continue;
        }
        if (!begin && event.type != GMPT_EVENT_user_task_end) {
            others += event.type != GMPT_EVENT_lost;
            continue;
        }
        uint64_t number = 2 * (event.field[0] - 1) + !begin;
        if (number < next || number - next > marked_here)
            ck_abort_msg("event %llu comes after %llu, and %llu were lost in between", (unsigned long long)number,
                         (unsigned long long)next, (unsigned long long)marked_here);
        missing += number - next;
        if (!begin && number == next && event.time_ns < begun_ns)
            ck_abort_msg("a task ends before it began");
        begun_ns = event.time_ns;
        next = number + 1;
        marked_here = 0;
        reading.user++;
    }
    reading.counts = *gmpt_trace_counts(trace);
    ck_assert_int_eq(gmpt_trace_info(trace)->whole, 1);
    gmpt_trace_close(trace);
    /* All that was emitted is accounted for: the program's own, kept or missing, and the few of the scheduler. */
    ck_assert_uint_eq(reading.user + missing + (total - next), total);
    ck_assert_uint_eq(reading.counts.emitted, reading.counts.kept + reading.counts.lost);
    ck_assert_uint_eq(reading.counts.kept, reading.user + others);
    uint64_t scheduler = reading.counts.emitted - total;
    ck_assert_uint_ge(scheduler, others);
    ck_assert_uint_ge(reading.counts.lost, missing + (total - next));
    ck_assert_uint_eq(reading.counts.lost - missing - (total - next), scheduler - others);
    ck_assert_uint_le(scheduler, 2000);
    ck_assert_uint_le(marked, reading.counts.lost);
    /* Those at the ends of the two rings have no marker. */
    uint64_t ends = reading.counts.gaps - markers;
    ck_assert_uint_ge(ends, reading.counts.lost > told);
    ck_assert_uint_le(ends, reading.counts.lost > told ? 2 : 0);
    return reading;
}

TEST_TIMEOUT(kill, a_ring_too_small_loses_by_the_count, 1800)
{
    if (!place_make())
        SKIP("/dev/shm is no tmpfs");
    setenv("GMPT_MAXPROCS", "1", 1);
    setenv("GMPT_RING_BYTES", "128K", 1);
    uint64_t total = 0, lost = 0, gaps = 0;
    int lossy = 0;
    for (int i = 0; i < rounds(); i++) {
        round_clear();
        struct started started = recorder_start("1", "1000000");
        int status;
        while (waitpid(started.recorder, &status, WNOHANG) == 0) {
            pause_us(moment_us(5000));
            kill(started.recorder, SIGSTOP);
            pause_us(moment_us(2000));
            kill(started.recorder, SIGCONT);
        }
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        ck_assert_uint_eq(count_read(EVENTS, NULL), 2000000);
        struct reading reading = expect_numbered("x", 2000000);
        ck_assert_uint_eq(expect_whole("x").user, reading.user);
        ck_assert_int_eq(shell("\"$GMPTRACE\" analyze --json x | grep -- ': -[0-9]'"), 1);
        total += reading.counts.emitted;
        lost += reading.counts.lost;
        gaps += reading.counts.gaps;
        lossy += reading.counts.lost > 0;
    }
    if (getenv("KILL_ROUNDS"))
        fprintf(stderr, "kill: small ring: %d rounds, %d with losses; %llu emitted, %llu lost, %llu gaps\n", rounds(),
                lossy, (unsigned long long)total, (unsigned long long)lost, (unsigned long long)gaps);
}

TEST(kill, ring_bytes_must_be_a_power_of_two_in_range)
{
    static const char *const wrong[] = { "64K", "128M", "100000", "3M", "x", "-1", "1MB", "0" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_assert_int_eq(shell("GMPT_RING_BYTES=%s \"$BUILD/tests/programs/yielders\" 1 1; test $? != 0", wrong[i]), 0);
        ck_assert_ptr_nonnull(strstr(err, "is not a power of two from 128K to 64M"));
    }
    ck_assert_int_eq(shell("GMPT_RING_BYTES=64M \"$BUILD/tests/programs/yielders\" 1 1"), 0);
    ck_assert_int_eq(shell("GMPT_RING_BYTES=131072 \"$BUILD/tests/programs/yielders\" 1 1"), 0);
}

/* ---- The tmpfs is full ------------------------------------------------------------------------------------------ */

TEST_TIMEOUT(kill, a_program_lives_on_when_the_tmpfs_is_full, 600)
{
    if (!place_make())
        SKIP("/dev/shm is no tmpfs");
    if (mount("none", place, "tmpfs", 0, "size=80m,mode=0700"))
        SKIP("cannot mount a small tmpfs: %s", strerror(errno));
    /* Rings, more and more of what else there is, and what the recorder only reads, find no room. */
    static const int left_kb[] = { 0, 4, 300, 600, 2000 };
    for (size_t i = 0; i < sizeof left_kb / sizeof *left_kb; i++) {
        int status = shell("GMPT_RING_BYTES=128K GMPT_MAXPROCS=1 \"$GMPTRACE\" record -o x -- sh -c 'ls %s >seen; "
                           "dd if=/dev/zero of=%s/fill bs=4k; truncate -s -%dk %s/fill; \"$@\"; echo $? >said' - "
                           "\"$BUILD/tests/programs/yielders\" 20000 3 5; s=$?; rm %s/fill; exit $s",
                           place, place, left_kb[i], place, place);
        ck_assert_msg(status == 0 || status == 2, "%s", err);
        ck_assert_int_eq(shell("cat said; grep -c gmptrace. seen"), 0);
        ck_assert_str_eq(out, "5\n1\n");
        ck_assert_int_eq(shell("ls '%s'", place), 0);
        ck_assert_str_eq(out, "");
    }
    umount(place);
}
