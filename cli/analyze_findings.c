/* Findings as sentences, and as JSON. */
#include "analyze.h"
#include "cli.h"
#include "kernelwords.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FINDINGS_SHOWN 4
#define FINDING_INDENT 10

const char *analyze_severity(enum finding_severity severity)
{
    static const char *const names[] = { "note", "warning", "error" };
    return names[severity];
}

const char *analyze_tier(uint32_t tier)
{
    static const char *const names[] = { "none", "safepoint", "detached", "signal" };
    return tier < sizeof names / sizeof names[0] ? names[tier] : "none";
}

static const char *tier_words(uint32_t tier)
{
    static const char *const words[] = { "nothing stopped it", "it gave way at last", "its P was taken from it",
                                         "a signal stopped it" };
    return words[tier < sizeof words / sizeof words[0] ? tier : 0];
}

/* Of those that the kernel's side shows. fn: the goroutine's function, in words. */
static void kernel_finding_text(const struct analyze *analyze, const struct finding *finding, const char *fn,
                                char *text, size_t size)
{
    struct places *places = analyze->load.places;
    char a[32], b[32], c[32], call[KERNELWORDS_CALL_BYTES], program[KERNELWORDS_PROGRAM_BYTES], at[PLACE_TEXT_BYTES];
    uint64_t value = (uint64_t)finding->value;
    /* Who has the CPU of a thread that is stopped since a quota is used up took nothing from it. Where the kernel has
     * said so of any, the others are not such. */
    bool doubt = gmpt_trace_info(analyze->load.trace)->quota_cpus && !analyze->analysis->kernel.throttled.times;
    switch (finding->kind) {
    case FINDING_BLOCKED:
        snprintf(text, size,
                 "%s blocked its thread, and with it a P, in %s %s for up to %s; %s time%s over %s; "
                 "gmpt_blocking_begin and _end around the call give the P to others",
                 fn, kernelwords_call(finding->call, call),
                 place_of_stack(places, at, finding->stack, finding->fn), cli_duration(a, finding->value),
                 cli_count(b, finding->times), cli_plural(finding->times), cli_duration(c, finding->threshold));
        return;
    case FINDING_NEIGHBOUR:
        snprintf(text, size,
                 "%s kept the CPU from goroutines that could run on, such as %s, for %s in all; %s time%s%s",
                 kernelwords_programs(finding->by_pid, finding->by_name, finding->by_processes,
                                      analyze->analysis->kernel.pid, program), fn,
                 cli_duration(a, finding->value), cli_count(b, finding->times), cli_plural(finding->times),
                 doubt ? "; or the CPU quota of the cgroup was used up, which looks the same here" : "");
        return;
    case FINDING_THROTTLED:
        snprintf(text, size,
                 "goroutines that ran were stopped for %s in all, as a CPU quota was used up; %s time%s",
                 cli_duration(a, finding->value), cli_count(b, finding->times), cli_plural(finding->times));
        return;
    case FINDING_QUEUED:
        snprintf(text, size, "%s ran, but the kernel gave its thread no CPU for up to %s; %s time%s over %s", fn,
                 cli_duration(a, finding->value), cli_count(b, finding->times), cli_plural(finding->times),
                 cli_duration(c, finding->threshold));
        return;
    case FINDING_CROSS:
        snprintf(text, size,
                 "%s woke threads on other CPUs up to %s times a second and slept at once, with its own CPU idle; %s "
                 "time%s; on one CPU, or in one thread, both would need no way across",
                 finding->fn ? fn : "a thread with no goroutine", cli_count(a, value), cli_count(b, finding->times),
                 cli_plural(finding->times));
        return;
    case FINDING_FAULTS:
        snprintf(text, size,
                 "up to about %s page faults a second %s, about %s in all; memory that is used again, touched before "
                 "it matters (MAP_POPULATE) or of huge pages (MADV_HUGEPAGE) has fewer",
                 cli_count(a, value), place_of_stack(places, at, finding->stack, finding->fn),
                 cli_count(b, finding->times));
        return;
    default:
        snprintf(text, size, "%s", ""); /* the others are analyze_finding_text's */
        return;
    }
}

void analyze_finding_text(const struct analyze *analyze, const struct finding *finding, char *text, size_t size)
{
    struct places *places = analyze->load.places;
    char a[32], b[32], c[32], fn[PLACE_TEXT_BYTES], by[PLACE_TEXT_BYTES], at[PLACE_TEXT_BYTES];
    uint64_t value = (uint64_t)finding->value;
    strcpy(fn, "a goroutine");
    if (finding->fn)
        place_function(places, fn, finding->fn);
    switch (finding->kind) {
    case FINDING_SPAWNING:
        snprintf(text, size, "%s goroutines of %s are alive at the end, and ever more were", cli_count(a, value), fn);
        return;
    case FINDING_HOG:
        snprintf(text, size, "%s ran for %s without a safepoint, and %s; %s time%s over %s", fn,
                 cli_duration(a, finding->value), tier_words(finding->tier), cli_count(b, finding->times),
                 cli_plural(finding->times), cli_duration(c, finding->threshold));
        return;
    case FINDING_CONVOY:
        if (finding->by_fn)
            place_function(places, by, finding->by_fn);
        snprintf(text, size, "%s goroutines on average queue for the lock %s, though each has it briefly%s%s%s",
                 cli_count(a, value), place_of_stack(places, at, finding->stack, finding->fn),
                 finding->by_fn ? " (" : "", finding->by_fn ? by : "", finding->by_fn ? " had it)" : "");
        return;
    case FINDING_HERD:
        snprintf(text, size, "%s goroutines were woken at once from %s %s, and %s went back to wait; %s time%s",
                 cli_count(a, value), gmpt_wait_reason_words((enum gmpt_wait_reason)finding->reason),
                 place_of_stack(places, at, finding->stack, finding->fn), cli_count(b, finding->back),
                 cli_count(c, finding->times), cli_plural(finding->times));
        return;
    case FINDING_SYSCALLS:
        snprintf(text, size, "%s blocking calls a second %s", cli_count(a, value),
                 place_of_stack(places, at, finding->stack, finding->fn));
        return;
    case FINDING_STORM:
        snprintf(text, size, "%s goroutine%s of %s switch%s up to %s times a second", cli_count(a, finding->gs),
                 cli_plural(finding->gs), fn, finding->gs == 1 ? "es" : "", cli_count(b, value));
        return;
    case FINDING_QUOTA:
        snprintf(text, size,
                 "GOMAXPROCS is %s, but the cgroup's quota allows %s CPU%s: the kernel stops all threads for a while "
                 "whenever it is used up",
                 cli_count(a, value), cli_count(b, (uint64_t)finding->threshold),
                 cli_plural((uint64_t)finding->threshold));
        return;
    case FINDING_STARVATION:
        snprintf(text, size, "up to %s goroutine%s could run for %s while a P idled; %s time%s over %s",
                 cli_count(a, finding->gs), cli_plural(finding->gs), cli_duration(b, finding->value),
                 cli_count(c, finding->times), cli_plural(finding->times), cli_duration(at, finding->threshold));
        return;
    case FINDING_LATE:
        snprintf(text, size, "%s could run and had to wait, for up to %s; %s time%s over %s", fn,
                 cli_duration(a, finding->value), cli_count(b, finding->times), cli_plural(finding->times),
                 cli_duration(c, finding->threshold));
        return;
    case FINDING_BLOCKED:
    case FINDING_NEIGHBOUR:
    case FINDING_THROTTLED:
    case FINDING_QUEUED:
    case FINDING_CROSS:
    case FINDING_FAULTS:
        kernel_finding_text(analyze, finding, fn, text, size);
        return;
    case FINDING_KIND_COUNT:
        break;
    }
    snprintf(text, size, "%s", "");
}

static void finding_print(const struct analyze *analyze, const struct finding *finding)
{
    char sentence[PLACE_TEXT_BYTES * 3], text[PLACE_TEXT_BYTES * 12], a[16], at[PLACE_TEXT_BYTES], where[600] = "",
                                                                                                   example[40] = "";
    analyze_finding_text(analyze, finding, sentence, sizeof sentence);
    if (finding->create_stack)
        snprintf(where, sizeof where, ", started %s",
                 place_of_stack(analyze->load.places, at, finding->create_stack, 0));
    if (finding->g)
        snprintf(example, sizeof example, ", G%" PRIu64, finding->g);
    cli_text(text, sizeof text, sentence, CLI_COLUMNS * 4);
    char places[CLI_COLUMNS * 8 + 1];
    cli_text(places, sizeof places, where, CLI_COLUMNS * 2);
    if (finding->begin_ns)
        cli_wrap(FINDING_INDENT, "  %-7s %s (at %s%s%s)", analyze_severity(finding->severity), text,
                 cli_duration(a, finding->begin_ns), example, places);
    else
        cli_wrap(FINDING_INDENT, "  %-7s %s%s%s", analyze_severity(finding->severity), text, example, places);
}

void analyze_findings(const struct analyze *analyze)
{
    const struct findings *findings = &analyze->analysis->findings;
    size_t shown = analyze->rows ? findings->count : FINDINGS_SHOWN;
    uint64_t left_out = 0;
    char a[32];
    if (findings->count == 0) {
        puts("\nFindings: none");
        return;
    }
    puts("\nFindings");
    for (size_t i = 0; i < findings->count && i < shown; i++)
        finding_print(analyze, &findings->list[i]);
    for (size_t kind = 0; kind < FINDING_KIND_COUNT; kind++)
        left_out += findings->left_out[kind];
    if (findings->count > shown)
        left_out += findings->count - shown;
    if (left_out)
        printf("  and %s more%s\n", cli_count(a, left_out), analyze->rows ? "" : " (--section findings)");
}

static void by_program_json(const struct finding *finding)
{
    char call[KERNELWORDS_CALL_BYTES];
    fputs(", \"call\": ", stdout);
    if (finding->kind == FINDING_BLOCKED)
        cli_json_string(stdout, kernelwords_call(finding->call, call));
    else
        fputs("null", stdout);
    fputs(", \"by_program\": ", stdout);
    if (finding->kind != FINDING_NEIGHBOUR) {
        fputs("null", stdout);
        return;
    }
    printf("{\"pid\": %" PRIu32 ", \"name\": ", finding->by_pid);
    cli_json_string(stdout, finding->by_name);
    printf(", \"processes\": %" PRIu64 "}", finding->by_processes);
}

void analyze_findings_json(const struct analyze *analyze)
{
    const struct findings *findings = &analyze->analysis->findings;
    struct places *places = analyze->load.places;
    char text[PLACE_TEXT_BYTES * 3];
    uint64_t left_out = 0;
    fputs("  \"findings\": [", stdout);
    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *finding = &findings->list[i];
        printf("%s\n    {\"kind\": \"%s\", \"severity\": \"%s\", \"value\": %" PRId64 ", \"threshold\": %" PRId64
               ", \"unit\": \"%s\", \"times\": %" PRIu64 ", \"begin_ns\": %" PRId64 ", \"end_ns\": %" PRId64
               ", \"goroutines\": %" PRIu64 ", \"example\": %" PRIu64 ", \"object\": \"0x%" PRIx64
               "\", \"wait_reason\": \"%s\", \"went_back\": %" PRIu64 ", \"stopped_by\": \"%s\", \"text\": ",
               i ? "," : "", finding_name(finding->kind), analyze_severity(finding->severity), finding->value,
               finding->threshold, finding_unit(finding->kind), finding->times, finding->begin_ns, finding->end_ns,
               finding->gs, finding->g, finding->object, load_reason_key((enum gmpt_wait_reason)finding->reason),
               finding->back, analyze_tier(finding->tier));
        analyze_finding_text(analyze, finding, text, sizeof text);
        cli_json_string(stdout, text);
        by_program_json(finding);
        fputs(", \"function\": ", stdout);
        place_function_json(places, stdout, finding->fn);
        fputs(", \"by_function\": ", stdout);
        place_function_json(places, stdout, finding->by_fn);
        fputs(", \"stack\": ", stdout);
        place_json(places, stdout, finding->stack);
        fputs(", \"create_stack\": ", stdout);
        place_json(places, stdout, finding->create_stack);
        putchar('}');
    }
    for (size_t kind = 0; kind < FINDING_KIND_COUNT; kind++)
        left_out += findings->left_out[kind];
    printf("%s],\n  \"findings_left_out\": %" PRIu64 ",\n", findings->count ? "\n  " : "", left_out);
}
