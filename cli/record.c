/* gmptrace record: runs a program with a shared segment to trace into, or attaches to one that runs, and writes what
 * comes out to a file.
 *
 * When it starts the program, the segment's file is inherited through any wrapper, so it is the program that first
 * starts the runtime with it that is recorded. The recorder holds its own mapping: a program that is killed loses
 * nothing that it has committed. When the recorder is killed as well, the file is still in tmpfs, for `recover`. */
#define _GNU_SOURCE
#include "child.h"
#include "cli.h"
#include "outfile.h"
#include "progress.h"
#include "recordkernel.h"
#include "recordset.h"
#include "rotation.h"
#include "segfile.h"
#include "target.h"
#include "trigger.h"
#include "unfinished.h"

#include "trace/recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COMPRESSION_LEVEL 3
#define FLIGHT_BYTES_DEFAULT (256u << 20) /* for a flight recorder that was given a time */
#define FLIGHT_BYTES_LEAST (1u << 20)
#define SEGMENT_POLL_NS 2000000 /* until the program has laid out its segment */
#define IDLE_POLL_NS 100000000  /* while only the program's end is waited for, which a signal tells */
#define MAX_SIZE_LEAST (1u << 20)
#define KEEP_USUAL 4
#define KEEP_MOST 10000

/* What is there of a recording; ended in the order of its life. */
struct run {
    struct rotation rotation;
    struct outfile file;         /* the one that is being written */
    bool file_done;              /* its fd is closed, it is kept or dropped, and there will be no more */
    char segment_path[PATH_MAX]; /* in tmpfs, until it is removed; "" = there is none */
    int segment_fd;              /* the recorder's own open */
    int passed_fd;               /* what the program inherits */
    bool attach;                 /* to a target that runs */
    struct target target;
    const char *name;              /* of the program, for messages */
    bool target_ended;             /* valid when attached */
    struct child child;            /* not started when attached */
    struct recorder *recorder;     /* NULL until the program has a segment */
    struct recorder_moment before; /* the last time that there was no segment */
    bool refused;                  /* the segment cannot be recorded; said already */
    struct recordkernel kernel;    /* what the kernel tells */
    struct recordset wanted;       /* what the recording has of what it can do without */
    struct flight_limits flight;   /* bytes 0: no flight recorder */
    const char *path;              /* where to; later snapshots add a number */
    char snapshot_path[4096];      /* of the last one that did */
    int snapshots;
    struct triggers triggers; /* of snapshots */
    int64_t duration_ns;      /* how long to record; 0 = until the program ends */
    int64_t end_ns;           /* CLOCK_MONOTONIC: when that is over; INT64_MAX = never, or not known yet */
    int status;               /* CLI_OK while all goes well */
    struct progress progress; /* begun with the recording */
    uint64_t events, lost;    /* in the files before this one */
};

/* ---- The program ------------------------------------------------------------------------------------------------ */

/* In the new process: passes it the segment. Returns 0, or -1 with errno. */
static int segment_pass(void *arg)
{
    const struct run *run = arg;
    char number[16], left_out[48];
    snprintf(number, sizeof number, "%d", run->passed_fd);
    snprintf(left_out, sizeof left_out, "%u %x %u", run->wanted.frames_left_out, run->wanted.events_left_out,
             run->wanted.sample_hz);
    if (setenv(SEGMENT_FD_ENV, number, 1) || setenv(SEGMENT_LEFT_OUT_ENV, left_out, 1))
        return -1;
    int words = recordkernel_words(&run->kernel) < 0 ? -1 : segfile_passed(recordkernel_words(&run->kernel));
    snprintf(number, sizeof number, "%d", words);
    return words < 0 ? unsetenv(SEGMENT_WORDS_ENV) : setenv(SEGMENT_WORDS_ENV, number, 1);
}

static bool run_ended(const struct run *run) { return run->attach ? run->target_ended : run->child.ended; }

static void end_kind(const struct run *run, int *kind, int *code)
{
    *kind = *code = 0;
    if (run_ended(run) && run->attach) {
        *kind = 3;
    } else if (run_ended(run) && WIFEXITED(run->child.wait_status)) {
        *kind = 1;
        *code = WEXITSTATUS(run->child.wait_status);
    } else if (run_ended(run)) {
        *kind = 2;
        *code = WTERMSIG(run->child.wait_status);
    }
}

static void stop_told(void *arg)
{
    struct run *run = arg;
    if (!isatty(STDERR_FILENO))
        return;
    progress_erase(&run->progress);
    char name[32]; /* with the "^C" that the terminal shows, the line has 80 columns */
    const char *argv0 = run->child.argv[0], *slash = strrchr(argv0, '/');
    cli_error("waiting for '%s'; once more %s", cli_text(name, sizeof name, slash && slash[1] ? slash + 1 : argv0, 15),
              run->file_done ? "leaves it" : "ends the recording now");
}

/* Waits for a signal, but not for longer than ns, and takes what has come. */
static void signals_wait(struct run *run, int64_t ns)
{
    child_wait(&run->child, ns, stop_told, run);
    if (run->attach)
        run->target_ended = run->target_ended || target_ended(&run->target);
}

/* ---- The recording ---------------------------------------------------------------------------------------------- */

/* The program and its arguments in one line. */
static void command_text(char *buffer, size_t size, char **argv)
{
    size_t length = 0;
    for (int i = 0; argv[i] && length + 1 < size; i++) {
        int added = snprintf(buffer + length, size - length, "%s%s", i ? " " : "", argv[i]);
        length += added > 0 ? (size_t)added : 0;
    }
    for (char *c = buffer; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 127)
            *c = ' ';
}

/* What the head of a file says. */
struct head {
    char command[4096], host[256], output[PATH_MAX];
};

/* What the segment has is in the file, or will never be. */
static void segment_remove(struct run *run)
{
    if (run->segment_path[0])
        unlink(run->segment_path);
    run->segment_path[0] = 0;
}

static struct recorder_info head_info(const struct run *run, const struct outfile *file, struct head *head)
{
    struct utsname machine;
    head->command[0] = head->host[0] = 0;
    if (uname(&machine) == 0)
        snprintf(head->host, sizeof head->host, "%s %s", machine.nodename, machine.release);
    if (run->child.argv)
        command_text(head->command, sizeof head->command, run->child.argv);
    return (struct recorder_info){
        .command = run->attach ? run->target.command : head->command,
        .host = head->host,
        .output = file->part_path && !run->flight.bytes ? realpath(file->part_path, head->output) : NULL,
        .level = COMPRESSION_LEVEL,
        .start = run->before,
        .attach = run->attach,
        .frames_left_out = run->wanted.frames_left_out,
        .events_left_out = run->wanted.events_left_out,
        .sample_hz = run->wanted.sample_hz,
        .stacks_pid = run->attach ? run->target.pid : run->child.pid,
        .flight = run->flight,
    };
}

/* A program that was started may have started another one in its place. */
static pid_t recorded_pid(const struct run *run)
{
    return run->attach ? run->target.pid : (pid_t)recorder_pid(run->recorder);
}

static void counts_text(char buffer[128], const struct recorder_counts *counts)
{
    char size[32], events[32];
    snprintf(buffer, 128, "%s, %s events", cli_size(size, counts->file_bytes), cli_count(events, counts->events));
}

/* The file gets its name. */
static void file_name(struct run *run)
{
    int result = outfile_keep(&run->file);
    if (result) {
        cli_error("cannot rename the recording to '%s': %s; it is in '%s'", run->file.path, strerror(-result),
                  run->file.part_path);
        run->status = CLI_MACHINE;
    }
    rotation_done(&run->rotation);
    if (run->file.old_path)
        fprintf(stderr, "[ gmptrace record: the earlier %s is now %s%s ]\n", run->file.path, run->file.old_path,
                run->file.old_replaced ? ", instead of an older one" : "");
}

static void damage_tell(const struct run *run, const struct drain_counts *drained)
{
    char dropped[32];
    if (drained->damaged > 0)
        cli_error(
            "the program's shared memory does not hold together in %llu places, the first: %s; %s events left out",
            (unsigned long long)drained->damaged, recorder_damage(run->recorder), cli_count(dropped, drained->dropped));
}

/* After the file has its name. */
static void file_tell(const struct run *run, const struct recorder_counts *counts)
{
    char text[128], lost[32];
    counts_text(text, counts);
    damage_tell(run, &counts->drained);
    if (run->status != CLI_OK)
        return;
    if (run->file_done)
        recordkernel_tell(&run->kernel, run->recorder);
    fprintf(stderr, "[ gmptrace record: wrote %s, %s lost -> %s ]\n", text, cli_count(lost, counts->drained.lost),
            run->file.path);
}

/* Names the last file, or takes it away when there is nothing in it. */
static void file_finish(struct run *run, bool keep)
{
    run->file_done = true;
    if (keep)
        file_name(run);
    else
        outfile_drop(&run->file);
}

static void segment_try(struct run *run)
{
    struct head head;
    struct recorder_info info = head_info(run, &run->file, &head);
    struct recorder_moment now = recorder_moment_now();
    const char *why = NULL;
    int result = recorder_open(&run->recorder, run->segment_fd, run->flight.bytes ? -1 : run->file.fd, &info, &why);
    if (result == -EAGAIN) {
        run->before = now;
    } else if (result) {
        run->refused = true;
        run->status = result == -EPROTO || result == -EBUSY ? CLI_USAGE : CLI_MACHINE;
        if (why)
            cli_error("cannot record '%s': %s", run->name, why);
        else
            cli_error("cannot write '%s': %s; nothing recorded", run->file.path, strerror(-result));
    } else if ((run->status = recordkernel_begin(&run->kernel, run->recorder, recorded_pid(run)))) {
        run->refused = true;
        recorder_finish(run->recorder, 0, 0);
        segment_remove(run);
        file_finish(run, false);
    } else {
        progress_begin(&run->progress);
        if (run->duration_ns)
            run->end_ns = run->duration_ns + (run->attach ? recorder_moment_now() : now).monotonic_ns;
    }
}

/* The file that was opened at the start, or, for later ones, one with a number. */
static int snapshot_open(struct run *run)
{
    if (run->snapshots++ == 0)
        return 0;
    outfile_close(&run->file);
    snprintf(run->snapshot_path, sizeof run->snapshot_path, "%s.%d", run->path, run->snapshots);
    int result = outfile_open_regular(&run->file, run->snapshot_path);
    if (result)
        run->file = (struct outfile){ .path = run->snapshot_path, .fd = -1 };
    return result;
}

/* Puts what the flight recorder has into a file, and says so. */
static void snapshot_write(struct run *run, const char *why, int kind, int code)
{
    struct recorder_counts counts = { 0 };
    char text[128], lost[32], length[16];
    int64_t length_ns = 0;
    int result = snapshot_open(run);
    if (result == 0)
        result = recorder_snapshot(run->recorder, run->file.fd, kind, code, &counts, &length_ns);
    progress_erase(&run->progress);
    if (result) {
        run->status = CLI_MACHINE;
        cli_error("cannot write '%s': %s; no snapshot", run->file.path, strerror(-result));
        if (run->file.fd >= 0)
            outfile_drop(&run->file);
        return;
    }
    file_name(run);
    counts_text(text, &counts);
    fprintf(stderr, "[ gmptrace record: %s: the last %s, %s, %s lost -> %s ]\n", why, cli_duration(length, length_ns),
            text, cli_count(lost, counts.drained.lost), run->file.path);
}

static void snapshots_check(struct run *run)
{
    bool by_signal = run->child.usr2;
    run->child.usr2 = false;
    if (by_signal || recorder_snapshot_asked(run->recorder))
        snapshot_write(run, by_signal ? "SIGUSR2" : "asked for by the program", 0, 0);
    char why[TRIGGER_TEXT_BYTES];
    if (run->triggers.count && triggers_check(&run->triggers, run->recorder, why))
        snapshot_write(run, why, 0, 0);
}

static void flight_finish(struct run *run, int kind, int code)
{
    snapshot_write(run, run_ended(run) ? "the program has ended" : "the end", kind, code);
    run->file_done = true;
    recorder_finish(run->recorder, kind, code);
    struct recorder_counts counts = recorder_counts(run->recorder);
    damage_tell(run, &counts.drained);
    recordkernel_tell(&run->kernel, run->recorder);
}

/* Ends the recording, whole or at a failure to write, and says how it went. */
static void recording_finish(struct run *run)
{
    int kind, code;
    end_kind(run, &kind, &code);
    if (run->flight.bytes) {
        flight_finish(run, kind, code);
        return;
    }
    int result = recorder_finish(run->recorder, kind, code);
    progress_erase(&run->progress);
    segment_remove(run);
    struct recorder_counts counts = recorder_counts(run->recorder);
    char text[128];
    counts_text(text, &counts);
    bool keep = result == 0 || counts.events > 0;
    if (result) {
        run->status = CLI_MACHINE;
        if (keep)
            cli_error("cannot write '%s': %s; the first %s are in it", run->file.path, strerror(-result), text);
        else
            cli_error("cannot write '%s': %s; nothing recorded", run->file.path, strerror(-result));
    }
    file_finish(run, keep);
    file_tell(run, &counts);
}

/* Goes on in the next file. When there cannot be one, the recording ends here. */
static void recording_rotate(struct run *run)
{
    struct outfile next;
    struct head head;
    struct recorder_counts counts;
    unsigned number = run->rotation.number + 1;
    const char *path = rotation_path(&run->rotation, number);
    int result = path ? outfile_open_regular(&next, path) : -ENOMEM;
    progress_erase(&run->progress);
    if (result == 0) {
        struct recorder_info info = head_info(run, &next, &head);
        if ((result = recorder_next(run->recorder, next.fd, &info, &counts))) {
            outfile_drop(&next);
            outfile_close(&next);
        }
    }
    if (result) {
        cli_error("cannot go on in '%s': %s; the recording ends", path ? path : run->rotation.path, strerror(-result));
        run->status = CLI_MACHINE;
        recording_finish(run);
        return;
    }
    file_name(run);
    file_tell(run, &counts);
    outfile_close(&run->file);
    run->file = next;
    rotation_begun(&run->rotation, number, next.fd);
    run->events += counts.events;
    run->lost += counts.drained.lost;
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static int64_t run_left_ns(const struct run *run)
{
    struct timespec now;
    if (run->end_ns == INT64_MAX)
        return INT64_MAX;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return run->end_ns - (now.tv_sec * INT64_C(1000000000) + now.tv_nsec);
}

static void progress_tick(struct run *run)
{
    struct recorder_counts counts = recorder_counts(run->recorder);
    progress_show(&run->progress, &(struct progress_counts){ run->events + counts.events,
                                                             run->lost + counts.drained.lost, counts.file_bytes });
}

/* Until the program has ended, or the user has asked twice. */
static void run_follow(struct run *run)
{
    for (;;) {
        bool last = run_ended(run) || run->child.stop_requests > (run->attach ? 0 : 1) ||
                    (run->attach && (run->file_done || run->refused));
        if (!run->recorder && !run->refused)
            segment_try(run);
        bool recording = run->recorder && !run->file_done;
        if (recording && (last || run_left_ns(run) <= 0 || recorder_tick(run->recorder)))
            recording_finish(run);
        else if (recording && run->rotation.max_bytes && recorder_is_full(run->recorder, run->rotation.max_bytes))
            recording_rotate(run);
        else if (recording)
            progress_tick(run);
        if (run->flight.bytes && run->recorder && !run->file_done)
            snapshots_check(run);
        if (last)
            return;
        if (!run->recorder)
            signals_wait(run, run->refused ? IDLE_POLL_NS : SEGMENT_POLL_NS);
        else if (run->file_done)
            signals_wait(run, IDLE_POLL_NS);
        else
            signals_wait(run, least(recorder_interval_ns(run->recorder), run_left_ns(run)));
    }
}

/* PROG has gone its way, and no segment was seen. Says why, as far as can be told from here; returns the exit
 * status for it. */
static int nothing_say(const struct run *run)
{
    const char *name = run->name;
    int status = run->child.wait_status;
    if (run->attach) {
        cli_error("%s %s: nothing recorded", name,
                  run->target_ended ? "ended before it could be recorded"
                                    : "has not laid out its shared memory so far");
        return CLI_USAGE;
    }
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
        cli_error("nothing recorded: the limit on file sizes (ulimit -f) leaves no room for the trace's buffers");
        return CLI_MACHINE;
    }
    if (!run->child.ended)
        cli_error("'%s' has not started the gmptrace runtime so far: nothing recorded", name);
    else if (WIFSIGNALED(status))
        cli_error("'%s' was ended by signal %d (%s) before it started the gmptrace runtime: nothing recorded", name,
                  WTERMSIG(status), strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) != 0)
        cli_error("'%s' ended with status %d before it started the gmptrace runtime: nothing recorded", name,
                  WEXITSTATUS(status));
    else
        cli_error("'%s' did not start the gmptrace runtime: nothing recorded; is it linked with libgmptrace? "
                  "(One that closes descriptor %d, or goes on in the background, is not seen.)",
                  name, run->passed_fd);
    return CLI_USAGE;
}

/* What an earlier recorder of the target left as it was killed would be given up by another recording: it is finished
 * first. */
static int target_rescue(const struct run *run)
{
    struct unfinished unfinished;
    if (!unfinished_look_target(&unfinished, &run->target) || unfinished.recorded)
        return CLI_OK; /* one at work is said as it is opened */
    int status = unfinished_recover(&unfinished, NULL, "record");
    if (status)
        cli_error("the recorder before was killed, and what it left is to be recovered before %s is recorded again; to "
                  "give it up, remove '%s'",
                  run->name, unfinished.part);
    return status;
}

/* Before the target could emit its first event. */
static int target_start(struct run *run)
{
    int result;
    if (run->attach)
        return target_rescue(run);
    if ((result = segfile_create(run->segment_path, &run->passed_fd, &run->segment_fd))) {
        cli_error("cannot make shared memory: %s", strerror(-result));
        return CLI_MACHINE;
    }
    run->before = recorder_moment_now();
    if ((result = child_start(&run->child, segment_pass, run))) {
        cli_error("cannot run '%s': %s", run->name, strerror(-result));
        return CLI_USAGE;
    }
    return CLI_OK;
}

static int file_open(struct run *run)
{
    const char *path = rotation_path(&run->rotation, 0);
    int result = path ? outfile_open(&run->file, path) : -ENOMEM;
    if (result) {
        cli_error("cannot write '%s': %s", run->rotation.path, strerror(-result));
        return CLI_MACHINE;
    }
    rotation_begun(&run->rotation, 0, run->file.fd);
    if (run->file.part_path || run->rotation.max_bytes == 0)
        return CLI_OK;
    close(run->file.fd);
    outfile_close(&run->file);
    return cli_usage("'%s' is no regular file: it cannot be followed by others, as --max-size asks for", path);
}

static int run_whole(struct run *run)
{
    int opened = file_open(run);
    if (opened)
        return opened;
    run->kernel.sample_hz = run->wanted.sample_hz;
    run->kernel.starts = !run->attach;
    if ((run->status = recordkernel_open(&run->kernel)))
        goto out;
    if (recordkernel_samples(&run->kernel))
        run->wanted.sample_hz = 0;
    child_signals_take(&run->child, run->flight.bytes > 0);
    if ((run->status = target_start(run)))
        goto out;
    signal(SIGPIPE, SIG_IGN); /* a fifo whose reader is gone, or a size limit, is an error to be told */
    signal(SIGXFSZ, SIG_IGN);
    run->status = CLI_OK;
    run_follow(run);
    if (!run->recorder && !run->refused)
        run->status = nothing_say(run);
    if (run->status == CLI_OK && run->child.ended)
        run->status = child_status(&run->child);
out:
    segment_remove(run);
    if (!run->file_done) {
        if (!run->recorder)
            close(run->file.fd);
        file_finish(run, false);
    }
    triggers_close(&run->triggers);
    recorder_close(run->recorder);
    recordkernel_close(&run->kernel);
    if (run->attach)
        target_close(&run->target);
    else if (run->segment_fd >= 0)
        close(run->segment_fd);
    if (run->passed_fd >= 0)
        close(run->passed_fd);
    outfile_close(&run->file);
    return run->status;
}

enum {
    OPTION_STACKS = 256,
    OPTION_EVENTS,
    OPTION_MAX_SIZE,
    OPTION_KEEP,
    OPTION_FLIGHT,
    OPTION_TRIGGER,
    OPTION_TRIGGER_PAUSE,
    OPTION_SAMPLE,
    OPTION_KERNEL,
    OPTION_NO_OTHERS,
    OPTION_KERNEL_STACKS,
};

static int flight_parse(const char *text, struct flight_limits *limits)
{
    *limits = (struct flight_limits){ .bytes = FLIGHT_BYTES_DEFAULT };
    if (cli_parse_duration(text, &limits->ns) == 0)
        return limits->ns ? 0 : -EINVAL;
    limits->ns = 0;
    return cli_parse_size(text, &limits->bytes) || limits->bytes < FLIGHT_BYTES_LEAST ? -EINVAL : 0;
}

/* What the command line asks for. */
struct wishes {
    const char *path;
    int64_t duration_ns;
    pid_t pid;
    struct recordset wanted;
    struct recordkernel kernel;
    const char *kernel_text;
    uint64_t max_bytes;
    unsigned keep;
    struct flight_limits flight;
    struct triggers triggers;
};

/* Returns CLI_OK, or the status to end with. */
static int option_take(struct wishes *wishes, int option)
{
    switch (option) {
    case 'o':
        wishes->path = optarg;
        break;
    case 'd':
        if (cli_parse_duration(optarg, &wishes->duration_ns) || wishes->duration_ns == 0)
            return cli_usage("'%s' is no duration such as 500ms, 10s or 5m", optarg);
        break;
    case 'p':
        if ((wishes->pid = (pid_t)cli_parse_number(optarg)) == 0)
            return cli_usage("'%s' is no process id", optarg);
        break;
    case OPTION_STACKS:
        return recordset_stacks(&wishes->wanted, optarg);
    case OPTION_EVENTS:
        return recordset_events(&wishes->wanted, optarg);
    case OPTION_SAMPLE:
        return recordset_sample(&wishes->wanted, optarg);
    case OPTION_KERNEL:
        wishes->kernel_text = optarg ? optarg : "auto";
        break;
    case OPTION_KERNEL_STACKS:
        if (strcmp(optarg, "off") == 0)
            wishes->kernel.stack_ns = 0;
        else if (cli_parse_duration(optarg, &wishes->kernel.stack_ns) || wishes->kernel.stack_ns == 0)
            return cli_usage("'%s' is neither off nor a duration such as 1ms or 100us", optarg);
        break;
    case OPTION_NO_OTHERS:
        wishes->kernel.others_hidden = true;
        break;
    case OPTION_MAX_SIZE:
        if (cli_parse_size(optarg, &wishes->max_bytes) || wishes->max_bytes < MAX_SIZE_LEAST)
            return cli_usage("'%s' is no size of at least 1M, such as 64M or 1G", optarg);
        break;
    case OPTION_KEEP:
        wishes->keep = cli_parse_number(optarg);
        if (wishes->keep == 0 || wishes->keep > KEEP_MOST)
            return cli_usage("'%s' is no number of files from 1 to %d", optarg, KEEP_MOST);
        break;
    case OPTION_FLIGHT:
        if (flight_parse(optarg, &wishes->flight))
            return cli_usage("'%s' is neither a size (at least 1M) nor a duration, such as 64M or 30s", optarg);
        break;
    case OPTION_TRIGGER:
        return trigger_parse(&wishes->triggers, optarg);
    case OPTION_TRIGGER_PAUSE:
        if (cli_parse_duration(optarg, &wishes->triggers.pause_ns))
            return cli_usage("'%s' is no duration such as 10s or 5m", optarg);
        break;
    }
    return CLI_OK;
}

static int record_run(int argc, char **argv)
{
    static const struct option options[] = {
        { "output", required_argument, NULL, 'o' },
        { "duration", required_argument, NULL, 'd' },
        { "pid", required_argument, NULL, 'p' },
        { "stacks", required_argument, NULL, OPTION_STACKS },
        { "events", required_argument, NULL, OPTION_EVENTS },
        { "sample", required_argument, NULL, OPTION_SAMPLE },
        { "kernel", optional_argument, NULL, OPTION_KERNEL },
        { "kernel-stacks", required_argument, NULL, OPTION_KERNEL_STACKS },
        { "no-others", no_argument, NULL, OPTION_NO_OTHERS },
        { "max-size", required_argument, NULL, OPTION_MAX_SIZE },
        { "keep", required_argument, NULL, OPTION_KEEP },
        { "flight", required_argument, NULL, OPTION_FLIGHT },
        { "trigger", required_argument, NULL, OPTION_TRIGGER },
        { "trigger-pause", required_argument, NULL, OPTION_TRIGGER_PAUSE },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    struct wishes wishes = {
        .path = CLI_DEFAULT_PATH,
        .triggers = { .pause_ns = TRIGGER_PAUSE_USUAL_NS },
        .kernel = { .stack_ns = RECORDKERNEL_STACK_NS },
    };
    int option, status;
    optind = 0;
    opterr = 0;
    while ((option = getopt_long(argc, argv, "+:o:d:p:h", options, NULL)) >= 0) {
        if (option == 'h' || option == ':' || option == '?')
            return cli_option_common(option, argv);
        if ((status = option_take(&wishes, option)))
            return status;
    }
    if (optind >= argc && !wishes.pid)
        return cli_usage("no program to record");
    if (optind < argc && wishes.pid)
        return cli_usage("either a program to start or -p, not both");
    if (!*wishes.path || strcmp(wishes.path, "-") == 0)
        return cli_usage("the output must be a file: standard output is the program's own");
    if (wishes.keep && !wishes.max_bytes)
        return cli_usage("--keep says how many files are kept, and there is one without --max-size");
    if (wishes.triggers.count && !wishes.flight.bytes)
        return cli_usage("--trigger says when a flight recorder writes what it has: it needs --flight");
    if ((status = recordkernel_parse(&wishes.kernel, wishes.kernel_text)))
        return status;
    struct run run = {
        .segment_fd = -1,
        .passed_fd = -1,
        .duration_ns = wishes.duration_ns,
        .end_ns = INT64_MAX,
        .wanted = wishes.wanted,
        .kernel = wishes.kernel,
        .flight = wishes.flight,
        .triggers = wishes.triggers,
        .path = wishes.path,
    };
    char name[64];
    if (wishes.pid) {
        status = target_open(&run.target, wishes.pid);
        if (status)
            return status;
        snprintf(name, sizeof name, "process %d", (int)wishes.pid);
        run.attach = true;
        run.segment_fd = run.target.segment_fd;
        run.name = name;
    } else {
        run.child.argv = argv + optind;
        run.name = run.child.argv[0];
    }
    if (rotation_open(&run.rotation, wishes.path, wishes.max_bytes, wishes.keep ? wishes.keep : KEEP_USUAL)) {
        cli_error("out of memory");
        return CLI_MACHINE;
    }
    status = run_whole(&run);
    rotation_close(&run.rotation);
    return status;
}

const struct cli_command command_record = {
    .name = "record",
    .summary = "run a program and record what its goroutines do",
    .help = "Usage: gmptrace record [OPTIONS] [--] PROG [ARGS...]\n"
            "       gmptrace record [OPTIONS] -p PID\n"
            "\n"
            "Runs PROG, which must be linked with libgmptrace, and writes every goroutine\n"
            "transition to FILE. Ends with PROG. An earlier FILE is kept as FILE.old, in\n"
            "place of an older one. With -p it attaches to a program that runs already,\n"
            "whose goroutines are then known as they are at that moment, and detaches.\n"
            "\n"
            "  -o, --output FILE  where to (default: " CLI_DEFAULT_PATH ")\n"
            "  -d, --duration TIME\n"
            "                     record for that long (500ms, 10s, 5m) from the start of\n"
            "                     PROG's runtime; PROG runs on\n"
            "  -p, --pid PID      attach to this process; Ctrl-C detaches\n"
            "      --flight SIZE|TIME\n"
            "                     keep only the last part, 64M or 30s of it, in memory, and\n"
            "                     write it to FILE at the end, and on SIGUSR2, or when the\n"
            "                     program asks for it (gmpt_trace_snapshot), to FILE.2, ...\n"
            "      --trigger STATE>TIME[:REASON,...][@FUNCTION]\n"
            "                     and when a goroutine is runnable, waiting or in a blocking\n"
            "                     call (syscall) for longer: runnable>50ms, waiting>2s:mutex\n"
            "      --trigger-pause TIME\n"
            "                     but not again within this time (default: 1m)\n"
            "      --stacks on|off|DEPTH\n"
            "                     whether to record stacks, or at most so many callers (1-32)\n"
            "      --events SET   which of the events to record that a recording can do\n"
            "                     without: steal, retake, preempt, labels, name, user (task,\n"
            "                     region, log), all, none; -NAME,... for all but these\n"
            "      --sample HZ    and HZ times in each second of CPU time of each thread what\n"
            "                     it executes (1-10000; 100 is usual), for pprof --type=cpu\n"
            "      --kernel[=auto|bpf|perf|proc|off]\n"
            "                     what the kernel does with the program's threads: the most\n"
            "                     that is allowed here (auto, the default), or just so\n"
            "      --kernel-stacks TIME|off\n"
            "                     and where in the kernel a thread was that had no CPU for so\n"
            "                     long (default: 1ms)\n"
            "      --no-others    other programs that take CPUs are not named\n"
            "      --max-size SIZE\n"
            "                     go on in FILE.1, FILE.2, ... as the file reaches this size\n"
            "                     (64M, 1G; at least 1M)\n"
            "      --keep N       and keep the last N of them (default: 4)\n"
            "  -h, --help         this text\n"
            "\n"
            "Ctrl-C ends PROG, and the recording is finished whole; pressed again, the\n"
            "recording ends at once and PROG runs on.\n"
            "\n"
            "Exit status: that of PROG, or 128 + the signal that ended it; 2 wrong usage, or\n"
            "PROG cannot be run or recorded; 4 the output cannot be written, or there is no\n"
            "such --kernel here.\n",
    .run = record_run,
};
