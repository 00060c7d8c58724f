/* Looks at processes, with verdicts. See leaklook.h. */
#define _GNU_SOURCE
#include "leaklook.h"

#include "cli.h"

#include "trace/look.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

/* What closes the descriptor it is given gets one of its own. */
static int memory_make(const char *name, int *given)
{
    int fd = memfd_create(name, MFD_CLOEXEC);
    *given = fd < 0 ? -1 : dup(fd);
    if (*given >= 0)
        return fd;
    int error = errno;
    if (fd >= 0)
        close(fd);
    return -error;
}

static int trace_take(struct leak_look *look, struct recorder *recorder, int exit_kind, int exit_code)
{
    struct recorder_counts counts;
    int64_t length_ns;
    int given, fd = memory_make("gmptrace snapshot", &given);
    if (fd < 0)
        return fd;
    look->trace_fd = fd;
    return recorder_snapshot(recorder, given, exit_kind, exit_code, &counts, &length_ns);
}

int leak_look_take(struct leak_look *look, const struct segment *segment, pid_t pid, uint32_t proof,
                   struct recorder *recorder)
{
    struct utsname machine = { 0 };
    *look = (struct leak_look){ .gs_fd = -1, .trace_fd = -1 };
    uname(&machine);
    int given, fd = memory_make("gmptrace look", &given);
    if (fd < 0)
        return fd;
    look->gs_fd = fd;
    int result = look_write(segment, pid, NULL, "", machine.nodename, given);
    if (result == 0 && proof)
        result = leak_verdicts_read(&look->verdicts, segment, proof);
    if (result == 0 && recorder && trace_take(look, recorder, 0, 0)) {
        close(look->trace_fd); /* what grows is not told of then; the verdicts do not depend on it */
        look->trace_fd = -1;
    }
    return result;
}

int leak_look_take_trace(struct leak_look *look, struct recorder *recorder, int exit_kind, int exit_code)
{
    *look = (struct leak_look){ .gs_fd = -1, .trace_fd = -1 };
    return trace_take(look, recorder, exit_kind, exit_code);
}

/* Opens the trace in a descriptor: read to its end, and with a summary if one is wanted. */
static int trace_open(struct load *load, int fd, bool summary, const struct leak_source *source)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct load_options options = { .path = path,
                                    .stuck_ns = SUMMARY_STUCK_BY_END,
                                    .meanwhile = source->meanwhile,
                                    .meanwhile_arg = source->meanwhile_arg };
    if (summary)
        return load_open_quietly(load, &options);
    int status = load_prepare(load, &options), result = 0;
    struct gmpt_event events[TRACE_BATCH];
    uint32_t count = 0;
    while (status == CLI_OK && (result = load_next(load, &options, events, &count)) > 0)
        ;
    if (result < 0)
        cli_error("cannot read what was seen of the process: %s", strerror(-result));
    return status ? status : result < 0 ? CLI_MACHINE : CLI_OK;
}

static int no_memory(void)
{
    cli_error("%s", strerror(ENOMEM));
    return CLI_MACHINE;
}

static void warn_once(const struct leak_source *source, const struct load *load)
{
    if (!source->warned || *source->warned)
        return;
    *source->warned = true;
    place_warn(load->places);
}

static int trace_report(const struct leak_look *look, struct leak_report *report, const struct leak_source *source)
{
    struct load trace = { 0 };
    size_t before = report->count;
    int status = trace_open(&trace, look->trace_fd, true, source);
    if (status == CLI_OK && leak_source_add_trace(report, &trace))
        status = no_memory();
    if (status == CLI_OK && report->count > before)
        warn_once(source, &trace);
    load_close(&trace);
    return status;
}

int leak_look_report(struct leak_look *look, struct leak_report *report, const struct leak_source *source)
{
    struct load gs = { 0 }, trace = { 0 };
    size_t before = report->count;
    bool grows = false;
    if (look->gs_fd < 0)
        return trace_report(look, report, source);
    int status = trace_open(&gs, look->gs_fd, false, source);
    if (status == CLI_OK && look->trace_fd >= 0 && leak_source_wants_trace(&gs, &look->verdicts))
        grows = trace_open(&trace, look->trace_fd, true, source) == CLI_OK;
    if (status == CLI_OK && leak_source_add(report, &gs, &look->verdicts, grows ? &trace : NULL, source))
        status = no_memory();
    if (status == CLI_OK && report->count > before)
        warn_once(source, &gs);
    load_close(&trace);
    load_close(&gs);
    return status;
}

void leak_look_free(struct leak_look *look)
{
    if (look->gs_fd >= 0)
        close(look->gs_fd);
    if (look->trace_fd >= 0)
        close(look->trace_fd);
    free(look->verdicts.list);
    *look = (struct leak_look){ .gs_fd = -1, .trace_fd = -1 };
}

const char *leak_proof_failure(uint32_t status)
{
    static const char *const words[PROOF_STATUSES] = {
        [PROOF_NONE] = "it was not answered",
        [PROOF_COMPLETE] = "it was complete",
        [PROOF_NO_ANSWER] = "a thread could not be stopped in time",
        [PROOF_NO_FORK] = "the process could not be copied (fork failed)",
        [PROOF_NO_MEMORY] = "there was not enough memory for it",
        [PROOF_SCAN_DIED] = "the copy of the process that was read was killed, or took too long",
        [PROOF_UNREADABLE] = "the process's memory could not be read as a whole",
        [PROOF_UNSUPPORTED] = "the program runs under ThreadSanitizer or Valgrind, or the machine lacks the means",
    };
    return status < PROOF_STATUSES && words[status] ? words[status] : "for an unknown reason";
}

int leak_look_notes(struct leak_report *report, const struct segment *segment)
{
    static const struct {
        uint32_t all, set; /* of all these bits */
        const char *note;
    } notes[] = {
        { PROOF_HEAP_ROOT | PROOF_HEAP_TRACED, PROOF_HEAP_ROOT,
          "all memory of malloc counted as reachable: leaks that it points to are not proven" },
        { PROOF_HEAP_ROOT | PROOF_HEAP_TRACED, PROOF_HEAP_ROOT | PROOF_HEAP_TRACED,
          "some memory of malloc could not be followed block by block, and counted as reachable: leaks that it "
          "points to are not proven" },
        { PROOF_NETWORK_UNREAD, PROOF_NETWORK_UNREAD,
          "the proof assumes that bytes on their way through network sockets hold no pointers" },
        { PROOF_REGISTERS_UNREAD, PROOF_REGISTERS_UNREAD,
          "the proof assumes that threads of the program's own, which take no signals, hold no pointers to goroutines "
          "in registers" },
        { PROOF_OWNERS_UNLOCK, PROOF_OWNERS_UNLOCK,
          "a cycle assumes that a lock is unlocked by the goroutine that has locked it" },
        { PROOF_KERNEL_UNREAD, PROOF_KERNEL_UNREAD,
          "something that the kernel keeps for the program could not be read: what might have been proven counts as "
          "alive" },
    };
    const struct segment_header *header = segment->header;
    uint32_t status = load_acquire(&header->proof_status), assumptions = load_relaxed(&header->proof_assumptions);
    if (status != PROOF_COMPLETE)
        return leak_report_note(report, "a proof of leaks came to nothing: %s", leak_proof_failure(status));
    if (load_relaxed(&header->proof_proven) &&
        leak_report_note(report, "what is proven assumes that the program keeps pointers as pointers, in its own "
                                 "memory: gmpt_leak_pin tells of those that it encodes, counts out, or has elsewhere"))
        return -ENOMEM;
    for (size_t i = 0; i < sizeof notes / sizeof notes[0]; i++)
        if ((assumptions & notes[i].all) == notes[i].set && leak_report_note(report, "%s", notes[i].note))
            return -ENOMEM;
    return 0;
}
