/* A proof of leaks in a running program, asked for from outside. See leaks_live.h. */
#define _GNU_SOURCE
#include "leaks_live.h"

#include "cli.h"
#include "dump_core.h"
#include "leakforms.h"
#include "leaklook.h"
#include "target.h"

#include "trace/segment.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define POLL_NS 1000000
#define ANSWER_MOST_NS INT64_C(10000000000) /* the program hangs, or is stopped */
#define ANY_KIND (LEAK_KIND_BIT(LEAK_KINDS) - 1)

static int64_t now_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* The number of a complete proof, or 0 when there is none. */
static uint32_t proof_get(const struct segment *segment, const struct target *target, struct leak_report *report)
{
    const struct segment_header *header = segment->header;
    const struct timespec pause = { 0, POLL_NS };
    int64_t begin_ns = now_ns(CLOCK_MONOTONIC);
    uint32_t asked = segment_ask_proof(segment);
    while (!segment_proof_is_done(segment, asked)) {
        if (target_ended(target) || now_ns(CLOCK_MONOTONIC) - begin_ns >= ANSWER_MOST_NS) {
            leak_report_note(report, "the program does not answer: nothing could be proven");
            return 0;
        }
        nanosleep(&pause, NULL);
    }
    leak_look_notes(report, segment);
    return load_relaxed(&header->proof_status) == PROOF_COMPLETE ? load_relaxed(&header->proofs_done) : 0;
}

/* Fills the report. Returns CLI_OK, or the status to exit with after having said why. */
static int report_fill(const struct leaks_live *live, struct target *target, struct leak_report *report)
{
    const struct leak_source source = {
        .pid = (uint32_t)live->pid, .stuck_ns = live->stuck_ns, .scope = live->scope, .runaway_ns = INT64_MAX
    };
    struct segment segment;
    struct leak_look look;
    const char *why;
    int result = segment_open(&segment, target->segment_fd, &why);
    if (result) {
        cli_error("cannot look at process %d: %s", (int)live->pid, why ? why : strerror(-result));
        return result == -EAGAIN || result == -EPROTO ? CLI_USAGE : CLI_MACHINE;
    }
    segment_guard(&segment);
    uint32_t proof = proof_get(&segment, target, report);
    result = leak_look_take(&look, &segment, live->pid, proof, NULL);
    segment_close(&segment);
    if (result)
        cli_error("cannot look at process %d: %s", (int)live->pid, strerror(-result));
    int status = result ? CLI_MACHINE : leak_look_report(&look, report, &source);
    leak_look_free(&look);
    report->processes = proof != 0;
    report->unjudged = proof == 0;
    return status;
}

/* Of a report that has all but its order. Returns the status to exit with. */
static int report_print(const struct leaks_live *live, struct leak_report *report)
{
    struct source_root root;
    const struct leak_view view = { report, &root, ANY_KIND };
    if (source_root_find(&root, NULL))
        root.path[0] = 0;
    if (leak_report_sort(report))
        return CLI_MACHINE;
    (live->json ? leak_json_write : leak_text_write)(&view, stdout);
    return cli_flush(report->count ? CLI_FINDINGS : report->unjudged ? CLI_INPUT : CLI_OK);
}

int leaks_live_run(const struct leaks_live *live)
{
    struct target target;
    struct leak_report report;
    int status = target_open(&target, live->pid);
    if (status != CLI_OK)
        return status;
    status = leak_report_open(&report) ? CLI_MACHINE : CLI_OK;
    report.command = target.command;
    report.time_realtime_ns = now_ns(CLOCK_REALTIME);
    if (status == CLI_OK)
        status = report_fill(live, &target, &report);
    if (status == CLI_OK)
        status = report_print(live, &report);
    leak_report_free(&report);
    target_close(&target);
    return status;
}

int leaks_core_run(const struct leaks_live *live, const char *path)
{
    struct leak_report report;
    struct dump_core core;
    int status = dump_core_read(&core, path);
    if (status != CLI_OK)
        return status;
    struct leak_look look = { .gs_fd = core.trace_fd, .trace_fd = -1 };
    const struct leak_source source = {
        .pid = (uint32_t)core.pid, .stuck_ns = live->stuck_ns, .scope = live->scope, .runaway_ns = INT64_MAX
    };
    status = leak_report_open(&report) ? CLI_MACHINE : CLI_OK;
    report.command = core.command;
    report.time_realtime_ns = now_ns(CLOCK_REALTIME);
    report.unjudged = 1;
    leak_report_note(&report, "a core file shows who waits, and for how long; for a proof the program has to run");
    if (status == CLI_OK)
        status = leak_look_report(&look, &report, &source);
    if (status == CLI_OK)
        status = report_print(live, &report);
    leak_report_free(&report);
    leak_look_free(&look);
    return status;
}
