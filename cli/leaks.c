/* gmptrace leaks: goroutines that at the end wait, without a deadline, for something that only another goroutine can
 * bring, by the places where they were started and where they wait. Evidence, and said to be no more. */
#include "cli.h"
#include "load.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS 80
#define FRAMES_SHOWN 16

static void stack_print(const struct load *load, const char *title, uint32_t stack)
{
    struct place_frame frames[PLACE_FRAMES_MAX];
    char at[PLACE_TEXT_BYTES], text[COLUMNS * 4 + 1];
    size_t count = place_frames(load->places, stack, frames);
    printf("   %s%s\n", title, count ? "" : " a place that is not known");
    for (size_t i = 0; i < count && i < FRAMES_SHOWN; i++) {
        const char *function = frames[i].function ? frames[i].function : "(unknown)";
        printf("      %-28s ", cli_text(text, sizeof text, function, 40));
        puts(cli_text(text, sizeof text, place_of_frame(load->places, at, &frames[i]), 60));
    }
    if (count > FRAMES_SHOWN)
        printf("      and %zu more\n", count - FRAMES_SHOWN);
}

static void group_print(const struct load *load, const struct summary_group *group, size_t number)
{
    char count[32], oldest[16], newest[16], function[PLACE_TEXT_BYTES], text[COLUMNS * 4 + 1];
    bool one = group->count == 1;
    printf("\n%zu. %s: %s goroutine%s wait%s in %s, without a deadline\n", number, load_verdict_words(group->verdict),
           cli_count(count, group->count), one ? "" : "s", one ? "s" : "", gmpt_wait_reason_words(group->reason));
    printf("   function %s, ", cli_text(text, sizeof text, place_function(load->places, function, group->fn), 40));
    if (one)
        printf("waiting for %s", cli_duration(oldest, group->oldest_ns));
    else
        printf("the oldest waits for %s, the newest for %s", cli_duration(oldest, group->oldest_ns),
               cli_duration(newest, group->newest_ns));
    printf("\n   %s G%" PRIu64, one ? "it is" : "for example", group->example_g);
    if (group->example_object)
        printf(", on the object at 0x%" PRIx64, group->example_object);
    putchar('\n');
    stack_print(load, "waits at", group->wait_stack);
    stack_print(load, "was started at", group->create_stack);
}

static void inexact_print(const struct load *load)
{
    const struct gmpt_trace_counts *counts = gmpt_trace_counts(load->trace);
    if (counts->lost || counts->gaps || counts->resynced || counts->violations)
        puts("\nThe trace is not complete: a goroutine counted here may have been woken or have\n"
             "ended in a part that is missing, and others may be missing here.");
    if (!gmpt_trace_info(load->trace)->whole)
        puts("\nThe trace was cut off: this is how things stood where it ends.");
}

static void evidence_print(const struct load_options *options, bool growing, bool stuck)
{
    char duration[16];
    putchar('\n');
    if (growing)
        puts("growing: ever more goroutines waited at this place during the trace, and none or\n"
             "         few were woken.");
    if (stuck)
        printf("stuck:   at least one has waited for %s or longer.\n", cli_duration(duration, options->stuck_ns));
    puts("\nThis is evidence, not proof: a trace cannot tell whether somebody would still have\n"
         "woken them. To settle it, find in the source who is to do so (the other end of\n"
         "the channel, the holder of the lock) and whether it had already given up; or\n"
         "record for longer: a leak goes on growing, a pool at rest does not.");
}

/* How many Gs wait, without a deadline, in a way that could be a leak but has not lasted. */
static uint64_t unsuspected_waits(const struct summary_group *groups, size_t count)
{
    uint64_t waits = 0;
    for (size_t i = 0; i < count; i++)
        if (groups[i].verdict == SUMMARY_NONE && groups[i].state == GMPT_G_WAITING && !groups[i].bounded &&
            !groups[i].main && gmpt_wait_reason_suspect(groups[i].reason))
            waits += groups[i].count;
    return waits;
}

static void none_print(const struct load *load, const struct load_options *options)
{
    size_t count;
    const struct summary_group *groups = summary_groups(load->summary, &count);
    uint64_t alive = summary_totals(load->summary)->gs_alive, waits = unsuspected_waits(groups, count);
    char a[32], b[32], c[16];
    printf("no suspected leaks: %s goroutine%s alive at the end, ", cli_count(a, alive), alive == 1 ? "" : "s");
    if (waits == 0)
        puts("none waits for others without a deadline");
    else
        printf("%s wait%s for others without\na deadline, all for less than %s and not ever more of them\n",
               cli_count(b, waits), waits == 1 ? "s" : "", cli_duration(c, options->stuck_ns));
    inexact_print(load);
}

static void all_print(const struct load *load, const struct load_options *options)
{
    size_t found, count;
    uint64_t suspected = load_suspected(load, &found);
    const struct summary_group *groups = summary_groups(load->summary, &count);
    bool growing = false, stuck = false;
    char a[32], b[32];
    if (suspected == 0) {
        none_print(load, options);
        return;
    }
    for (size_t i = 0; i < found; i++) {
        place_look(load->places, groups[i].wait_stack);
        place_look(load->places, groups[i].create_stack);
    }
    printf("suspected leaks: %s of %s goroutines alive at the end, in %zu group%s\n", cli_count(a, suspected),
           cli_count(b, summary_totals(load->summary)->gs_alive), found, found == 1 ? "" : "s");
    for (size_t i = 0; i < found; i++) {
        group_print(load, &groups[i], i + 1);
        growing |= groups[i].verdict == SUMMARY_GROWING;
        stuck |= groups[i].verdict == SUMMARY_STUCK;
    }
    inexact_print(load);
    evidence_print(options, growing, stuck);
}

static void all_json(const struct load *load, const struct load_options *options)
{
    const struct gmpt_trace_counts *counts = gmpt_trace_counts(load->trace);
    size_t found, count;
    uint64_t suspected = load_suspected(load, &found);
    const struct summary_group *groups = summary_groups(load->summary, &count);
    printf("{\n  \"suspected\": %" PRIu64 ",\n  \"alive\": %" PRIu64 ",\n  \"stuck_ns\": %" PRId64 ",\n", suspected,
           summary_totals(load->summary)->gs_alive, options->stuck_ns);
    printf("  \"duration_ns\": %" PRId64 ",\n  \"whole\": %s,\n  \"exact\": %s,\n  \"events_lost\": %" PRIu64
           ",\n  \"evidence\": \"trace\",\n  \"groups\": [",
           summary_totals(load->summary)->length_ns, gmpt_trace_info(load->trace)->whole ? "true" : "false",
           load_exact(load) ? "true" : "false", counts->lost);
    for (size_t i = 0; i < found; i++) {
        const struct summary_group *group = &groups[i];
        printf("%s\n    {\"verdict\": \"%s\", \"count\": %" PRIu64
               ", \"wait_reason\": \"%s\", \"oldest_wait_ns\": %" PRId64 ", \"newest_wait_ns\": %" PRId64
               ",\n     \"example_goroutine\": %" PRIu64 ", \"example_object\": \"0x%" PRIx64
               "\",\n     \"function\": ",
               i ? "," : "", load_verdict_words(group->verdict), group->count, load_reason_key(group->reason),
               group->oldest_ns, group->newest_ns, group->example_g, group->example_object);
        place_function_json(load->places, stdout, group->fn);
        fputs(",\n     \"wait_stack\": ", stdout);
        place_json(load->places, stdout, group->wait_stack);
        fputs(",\n     \"create_stack\": ", stdout);
        place_json(load->places, stdout, group->create_stack);
        putchar('}');
    }
    fputs(found ? "\n  ]\n}\n" : "]\n}\n", stdout);
}

static int leaks_run(int argc, char **argv)
{
    struct load_options options;
    struct load load;
    int status = load_options_read(&options, argc, argv);
    if (status != LOAD_GO_ON)
        return status;
    status = load_open(&load, &options);
    if (status == CLI_OK) {
        if (options.json)
            all_json(&load, &options);
        else
            all_print(&load, &options);
        status = cli_flush(load_suspected(&load, NULL) ? CLI_FINDINGS : CLI_OK);
        load_warn(&load);
    }
    load_close(&load);
    return status;
}

const struct cli_command command_leaks = {
    .name = "leaks",
    .summary = "goroutines that look leaked, with the source lines",
    .help = "Usage: gmptrace leaks [FILE] [--json] [--stuck T]\n"
            "Lists the goroutines that at the end of a trace wait, without a deadline, for\n"
            "something that only another goroutine can bring: where they were started, where\n"
            "they wait, for how long. FILE is gmptrace.data by default. A trace gives\n"
            "evidence of a leak, not proof.\n\n"
            "  growing      ever more goroutines waited at this place during the trace\n"
            "  stuck        at least one has waited for T or longer\n\n"
            "  --json       one JSON object instead; times in nanoseconds\n"
            "  --stuck T    500ms, 2s, 1m (default 1s)\n"
            "  --help, --version\n\n"
            "Exit status: 0 none, 1 some, 2 wrong usage, 3 FILE cannot be used.\n",
    .run = leaks_run,
};
