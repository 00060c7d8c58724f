/* Following a program and all that it starts, for `gmptrace check`.
 *
 * A test suite is many processes: Check forks one for each test, and only these start the runtime. So whatever comes of
 * PROG finds spare segments here (trace/spares.h), and each process that lays out a segment is watched by itself:
 *
 *     spare --- laid out ---> runs --- main G has returned ---> held --- asked ---> judged --- let go ---> gone
 *                              |  ^                              |
 *                              +--+ --every: asked, judged       +--- goroutines on their way out are waited for
 *
 * A process whose main G has returned is held before that takes effect: its other Gs go on, nothing is freed; so is one
 * all of whose Gs are asleep for ever, before it ends by that. When no G runs or is about to, or the time of grace is
 * over, a proof is asked for; one that comes to nothing is tried again until the time is over. The look at the process
 * is taken, it is let go, and only then are names looked up.
 *
 * Each process is recorded into memory, the last part only (flight.h), for its creation stacks and for what grows. */
#define _GNU_SOURCE
#include "checkrun.h"

#include "child.h"
#include "cli.h"
#include "leaklook.h"

#include "trace/recorder.h"
#include "trace/segment.h"
#include "trace/spares.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SPARES 8             /* ready at any time */
#define WATCHED_MAX 384      /* spares and processes at a time; each takes two descriptors */
#define RING_BYTES "1M"      /* more is not needed for what is drained all the time, and many processes come and go */
#define FLIGHT_BYTES (16u << 20)
#define POLL_NS 2000000
#define PROOF_MOST_NS INT64_C(60000000000) /* no answer by then: the process hangs */
#define RETRY_NS 20000000
#define LAST_MOST_NS INT64_C(1000000000) /* after PROG's end, for the ends of others that it has started */
#define HEAP_LIBRARY "libgmptrace-heap.so"

enum stage { STAGE_SPARE, STAGE_RUNS, STAGE_ASKED, STAGE_LET_GO, STAGE_GONE };

struct watched {
    enum stage stage;
    int fd; /* of the segment, with the lock */
    struct recorder *recorder;
    pid_t pid;
    int pid_fd;        /* becomes readable as it ends; -1 = not to be had */
    bool held;         /* its main G has returned, or all are asleep for ever */
    bool looked;       /* report has what a look showed */
    bool judged;       /* and that with verdicts */
    int64_t held_ns;   /* since when */
    int64_t asked_ns;  /* the proof, last */
    int64_t due_ns;    /* when to look again */
    uint32_t proof;    /* its number */
    struct leak_report report; /* the last verdict's */
};

struct follow {
    struct check_run *run;
    struct child child;
    struct leak_report *report;
    struct watched *list[WATCHED_MAX];
    size_t count;
    struct recorder_moment before;
    const char *heap_library; /* to be preloaded; NULL = none */
    bool warned;
    bool signals_left; /* they end us */
    int64_t ended_ns; /* since when PROG has ended; 0 = it has not */
    int status;
};

static bool is_watched(const struct watched *watched)
{
    return watched->stage != STAGE_SPARE && watched->stage != STAGE_GONE;
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void no_memory(struct follow *follow)
{
    cli_error("%s", strerror(ENOMEM));
    follow->status = CLI_MACHINE;
}

/* ---- Spares ------------------------------------------------------------------------------------------------------ */

static int spare_add(struct follow *follow)
{
    struct watched *watched = calloc(1, sizeof *watched);
    if (!watched)
        return -ENOMEM;
    watched->pid_fd = -1;
    watched->fd = spare_make();
    if (watched->fd < 0 || leak_report_open(&watched->report)) {
        int result = watched->fd < 0 ? watched->fd : -ENOMEM;
        leak_report_free(&watched->report);
        free(watched);
        return result;
    }
    follow->list[follow->count++] = watched;
    return 0;
}

static int spares_fill(struct follow *follow)
{
    size_t spares = 0;
    int result = 0;
    for (size_t i = 0; i < follow->count; i++)
        spares += follow->list[i]->stage == STAGE_SPARE;
    while (result == 0 && spares++ < SPARES && follow->count < WATCHED_MAX)
        result = spare_add(follow);
    return result;
}

static void watched_free(struct watched *watched)
{
    recorder_close(watched->recorder);
    close(watched->fd); /* and with it the lock: a process that is held goes on */
    if (watched->pid_fd >= 0)
        close(watched->pid_fd);
    leak_report_free(&watched->report);
    free(watched);
}

/* In the process that becomes PROG. Returns 0, or -1 with errno. */
static int environment_set(void *arg)
{
    const struct follow *follow = arg;
    char pid[16], preload[2 * PATH_MAX];
    const char *before = getenv("LD_PRELOAD");
    snprintf(pid, sizeof pid, "%d", (int)getppid());
    if (setenv(SPARES_ENV, pid, 1) || setenv("GMPT_RING_BYTES", RING_BYTES, 0))
        return -1;
    if (setenv("GMPT_LEAK_HEAP", follow->heap_library ? "trace" : "root", 1))
        return -1;
    if (!follow->heap_library)
        return 0;
    snprintf(preload, sizeof preload, "%s%s%s", follow->heap_library, before && *before ? ":" : "",
             before ? before : "");
    return setenv("LD_PRELOAD", preload, 1);
}

/* ---- Judging ----------------------------------------------------------------------------------------------------- */

/* To read a long trace takes its time. Once PROG has ended, whoever asks to stop means us; what a terminal sent to both
 * of us, of which PROG ended, has come by then. */
static void meanwhile(void *arg)
{
    struct follow *follow = arg;
    if (follow->signals_left)
        return;
    child_look(&follow->child);
    if (follow->child.ended) {
        child_signals_leave(&follow->child);
        follow->signals_left = true;
    }
}

static struct leak_source source_of(struct follow *follow, const struct watched *watched)
{
    return (struct leak_source){ .pid = (uint32_t)watched->pid,
                                 .stuck_ns = follow->run->stuck_ns,
                                 .runaway_ns = follow->run->runaway_ns,
                                 .meanwhile = meanwhile,
                                 .meanwhile_arg = follow,
                                 .warned = &follow->warned };
}

/* Of what is found while a process runs, what was not there before. */
static void news_tell(const struct follow *follow, const struct watched *watched, const struct leak_report *before)
{
    char text[512], name[256];
    for (size_t i = 0; i < watched->report.count; i++) {
        const struct leak_group *group = &watched->report.groups[i];
        const struct place_frame *site = leak_group_site(group);
        bool known = false;
        for (size_t k = 0; k < before->count && !known; k++)
            known = before->groups[k].kind == group->kind &&
                    strcmp(before->groups[k].fingerprint, group->fingerprint) == 0;
        if (known || !(follow->run->fail_on & LEAK_KIND_BIT(group->kind)))
            continue;
        cli_error("process %d: %s: %s%s%s", (int)watched->pid, leak_kind_word(group->kind),
                  leak_group_headline(group, text, sizeof text), site ? ", started in " : "",
                  site ? leak_frame_function(site, name, sizeof name) : "");
    }
}

static void let_go(struct watched *watched)
{
    const struct segment *segment = recorder_segment(watched->recorder);
    store_release(&segment->header->hold_at_end, 0);
    watched->held = false;
    watched->stage = STAGE_LET_GO;
}

/* Takes the verdicts of the proof, if it is complete; then the process is free to end. */
static void judge(struct follow *follow, struct watched *watched, bool complete)
{
    const struct segment *segment = recorder_segment(watched->recorder);
    struct leak_source source = source_of(follow, watched);
    struct leak_report before = watched->report;
    struct leak_look look = { .gs_fd = -1, .trace_fd = -1 };
    bool last = watched->held;
    if (!complete && watched->judged) { /* while it ran: that stands */
        if (last)
            let_go(watched);
        return;
    }
    int result = leak_report_open(&watched->report);
    if (result == 0)
        result = leak_look_take(&look, segment, watched->pid, complete ? watched->proof : 0, watched->recorder);
    if (result == 0)
        result = leak_look_notes(&watched->report, segment);
    if (last)
        let_go(watched);
    if (result) {
        cli_error("cannot look at process %d: %s", (int)watched->pid, strerror(-result));
        follow->status = CLI_MACHINE;
    } else if ((result = leak_look_report(&look, &watched->report, &source))) {
        follow->status = result;
    } else if (leak_report_sort(&watched->report)) {
        no_memory(follow);
    }
    watched->looked = true;
    watched->judged |= complete;
    if (!last)
        news_tell(follow, watched, &before);
    leak_report_free(&before);
    leak_look_free(&look);
}

static int merge(struct leak_report *into, const struct leak_report *from)
{
    int result = 0;
    for (size_t i = 0; result == 0 && i < from->count; i++)
        result = leak_report_add(into, &from->groups[i]);
    for (size_t i = 0; result == 0 && i < from->note_count; i++)
        result = leak_report_note(into, "%s", from->notes[i]);
    return result;
}

static const char note_ended[] =
    "a process ended before its main goroutine returned (by _exit(), a failed assertion or a signal): of its "
    "goroutines a trace tells, and no proof";
static const char note_goes_on[] = "a process that PROG has started goes on after it: its goroutines are not judged";

/* A process that has ended, or is left to itself: what is known of it goes into the report. */
static void close_account(struct follow *follow, struct watched *watched, bool ended)
{
    struct leak_source source = source_of(follow, watched);
    struct leak_look look;
    follow->report->processes += watched->judged;
    follow->report->unjudged += !watched->judged;
    if (!watched->looked && leak_report_note(follow->report, "%s", ended ? note_ended : note_goes_on))
        no_memory(follow);
    if (!watched->looked && ended) {
        if (leak_look_take_trace(&look, watched->recorder, 3, 0) == 0)
            leak_look_report(&look, &watched->report, &source);
        leak_look_free(&look);
    }
    if (merge(follow->report, &watched->report))
        no_memory(follow);
    watched->stage = STAGE_GONE;
}

/* ---- Following --------------------------------------------------------------------------------------------------- */

static bool process_ended(const struct watched *watched)
{
    struct pollfd wanted = { .fd = watched->pid_fd, .events = POLLIN };
    if (watched->pid_fd < 0) /* there is no such thing here, or the process had ended before it could be had */
        return kill(watched->pid, 0) < 0 && errno == ESRCH;
    return poll(&wanted, 1, 0) > 0;
}

/* Whether no G but the main one runs or is about to: such may still end, or begin to wait. */
static bool is_quiet(const struct segment *segment)
{
    uint32_t used = load_acquire(&segment->header->registry_used);
    for (uint32_t i = 0; i < used && i < segment->registry_slots; i++) {
        const struct g_slot *slot = &segment->registry[i];
        enum g_state state = g_status_state(load_acquire(&slot->status));
        if ((state == G_RUNNABLE || state == G_RUNNING || state == G_PREEMPTED) && slot->parent != 0)
            return false;
    }
    return true;
}

static void spare_step(struct follow *follow, struct watched *watched)
{
    struct recorder_info info = {
        .start = follow->before,
        .level = 1,
        .flight = { .bytes = FLIGHT_BYTES },
    };
    const char *why = NULL;
    int result = recorder_open(&watched->recorder, watched->fd, -1, &info, &why);
    if (result == -EAGAIN)
        return;
    if (result) {
        watched->stage = STAGE_GONE;
        follow->report->unjudged++;
        if (leak_report_note(follow->report, "a process cannot be watched: %s", why ? why : strerror(-result)))
            no_memory(follow);
        return;
    }
    watched->stage = STAGE_RUNS;
    watched->pid = (pid_t)recorder_pid(watched->recorder);
    watched->pid_fd = (int)syscall(SYS_pidfd_open, watched->pid, 0);
    watched->due_ns = now_ns() + follow->run->every_ns;
}

static void proof_ask(struct watched *watched, int64_t now)
{
    watched->proof = segment_ask_proof(recorder_segment(watched->recorder));
    watched->asked_ns = now;
    watched->stage = STAGE_ASKED;
}

static void running_step(struct follow *follow, struct watched *watched, int64_t now)
{
    const struct segment *segment = recorder_segment(watched->recorder);
    if (!watched->held && load_acquire(&segment->header->at_end)) {
        watched->held = true;
        watched->held_ns = watched->due_ns = now;
    }
    if (watched->held && now >= watched->due_ns &&
        (is_quiet(segment) || now - watched->held_ns >= follow->run->grace_ns))
        proof_ask(watched, now);
    else if (!watched->held && follow->run->every_ns && now >= watched->due_ns)
        proof_ask(watched, now);
}

static void asked_step(struct follow *follow, struct watched *watched, int64_t now)
{
    const struct segment *segment = recorder_segment(watched->recorder);
    bool done = segment_proof_is_done(segment, watched->proof);
    if (!done && now - watched->asked_ns < PROOF_MOST_NS)
        return;
    bool complete = done && load_relaxed(&segment->header->proof_status) == PROOF_COMPLETE;
    watched->proof = load_relaxed(&segment->header->proofs_done); /* which may have answered others, too */
    bool over = watched->held && now - watched->held_ns >= follow->run->grace_ns;
    watched->stage = STAGE_RUNS;
    watched->due_ns = now + (watched->held ? RETRY_NS : follow->run->every_ns);
    if (complete || (watched->held && (over || !done)))
        judge(follow, watched, complete);
}

static void watched_step(struct follow *follow, struct watched *watched)
{
    int64_t now = now_ns();
    if (watched->stage == STAGE_SPARE)
        spare_step(follow, watched);
    if (watched->stage == STAGE_SPARE || watched->stage == STAGE_GONE)
        return;
    bool ended = process_ended(watched);
    recorder_tick(watched->recorder); /* what it cannot keep only makes what grows less certain */
    if (ended)
        close_account(follow, watched, true);
    else if (watched->stage == STAGE_RUNS)
        running_step(follow, watched, now);
    else if (watched->stage == STAGE_ASKED)
        asked_step(follow, watched, now);
}

static void gone_remove(struct follow *follow)
{
    size_t kept = 0;
    for (size_t i = 0; i < follow->count; i++) {
        if (follow->list[i]->stage == STAGE_GONE)
            watched_free(follow->list[i]);
        else
            follow->list[kept++] = follow->list[i];
    }
    follow->count = kept;
}

/* Whether nothing more is to be waited for. */
static bool is_over(struct follow *follow)
{
    size_t running = 0, held = 0;
    if (follow->child.stop_requests > 1)
        return true;
    if (!follow->child.ended)
        return false;
    if (!follow->ended_ns)
        follow->ended_ns = now_ns();
    for (size_t i = 0; i < follow->count; i++) {
        running += is_watched(follow->list[i]);
        held += follow->list[i]->held;
    }
    return running == 0 || (held == 0 && now_ns() - follow->ended_ns >= LAST_MOST_NS);
}

static void stop_told(void *arg)
{
    struct follow *follow = arg;
    if (isatty(STDERR_FILENO))
        cli_error("waiting for '%s'; once more leaves it", follow->child.argv[0]);
}

static void follow_on(struct follow *follow)
{
    for (;;) {
        spares_fill(follow); /* later, if there is no room now: who starts waits for one */
        for (size_t i = 0; i < follow->count; i++)
            watched_step(follow, follow->list[i]);
        gone_remove(follow);
        if (is_over(follow))
            return;
        child_wait(&follow->child, POLL_NS, stop_told, follow);
    }
}

/* Beside the command itself, or where `make install` puts libraries. */
static const char *heap_library_find(char path[PATH_MAX])
{
    static const char *const places[] = { "%s/" HEAP_LIBRARY, "%s/../lib/" HEAP_LIBRARY };
    char own[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
    own[length > 0 ? length : 0] = 0;
    char *slash = strrchr(own, '/');
    if (!slash)
        return NULL;
    *slash = 0;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        char candidate[PATH_MAX + 64];
        snprintf(candidate, sizeof candidate, i ? places[1] : places[0], own);
        if (access(candidate, R_OK) == 0 && realpath(candidate, path))
            return path;
    }
    return NULL;
}

static int program_start(struct follow *follow)
{
    int result = spares_fill(follow);
    if (result) {
        cli_error("cannot make shared memory: %s", strerror(-result));
        return CLI_MACHINE;
    }
    follow->before = recorder_moment_now();
    if ((result = child_start(&follow->child, environment_set, follow))) {
        cli_error("cannot run '%s': %s", follow->run->argv[0], strerror(-result));
        return CLI_USAGE;
    }
    follow->run->started = true;
    return CLI_OK;
}

int check_run(struct check_run *run, struct leak_report *report)
{
    struct follow follow = { .run = run, .report = report, .child = { .argv = run->argv } };
    char heap_library[PATH_MAX];
    int64_t begin_ns = now_ns();
    if (run->heap == CHECK_HEAP_TRACE && !(follow.heap_library = heap_library_find(heap_library)))
        if (leak_report_note(report, "%s is not beside this command: memory of malloc is not followed", HEAP_LIBRARY))
            return CLI_MACHINE;
    child_signals_take(&follow.child, false);
    follow.status = program_start(&follow);
    signal(SIGPIPE, SIG_IGN); /* a report that nobody reads is an error to be told */
    if (run->started)
        follow_on(&follow);
    for (size_t i = 0; i < follow.count; i++)
        if (is_watched(follow.list[i]))
            close_account(&follow, follow.list[i], false);
    for (size_t i = 0; i < follow.count; i++)
        watched_free(follow.list[i]);
    run->program_status = follow.child.ended ? child_status(&follow.child) : 0;
    report->duration_ns = now_ns() - begin_ns;
    return follow.status;
}
