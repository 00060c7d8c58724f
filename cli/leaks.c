/* gmptrace leaks: goroutines that at the end wait, without a deadline, for something that only another goroutine can
 * bring, by the places where they were started and where they wait. Evidence, and said to be no more. */
#include "cli.h"
#include "leaks_live.h"
#include "load.h"

#include <gmptrace/gmpt.h>

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NAME_COLUMNS_MAX 40

static void group_print(const struct load *load, const struct summary_group *group, size_t number)
{
    char count[32], oldest[16], newest[16], function[PLACE_TEXT_BYTES], text[CLI_COLUMNS * 4 + 1];
    bool one = group->count == 1;
    putchar('\n');
    cli_wrap(3, "%zu. %s: %s goroutine%s wait%s in %s, without a deadline", number, load_verdict_words(group->verdict),
             cli_count(count, group->count), cli_plural(group->count), one ? "s" : "",
             gmpt_wait_reason_words(group->reason));
    cli_text(text, sizeof text, place_function(load->places, function, group->fn), NAME_COLUMNS_MAX);
    cli_duration(oldest, group->oldest_ns);
    cli_duration(newest, group->newest_ns);
    if (one)
        cli_wrap(3, "   function %s, waiting for %s", text, oldest);
    else
        cli_wrap(3, "   function %s, the oldest waits for %s, the newest for %s", text, oldest, newest);
    printf("   %s G%" PRIu64, one ? "it is" : "for example", group->example_g);
    if (group->example_object)
        printf(", on the object at 0x%" PRIx64, group->example_object);
    putchar('\n');
    place_print(load->places, "waits", group->wait_stack, group->fn);
    place_print(load->places, "was started", group->create_stack, 0);
}

static void inexact_print(const struct load *load)
{
    char why[256];
    if (load_exact(load))
        return;
    putchar('\n');
    cli_wrap(0,
             "The trace is not complete: %s. A goroutine counted here may have been woken or have ended in a part that "
             "is missing, and others may be missing here.",
             load_missing(load, why));
}

static void evidence_print(const struct load *load, bool judged, bool growing, bool stuck)
{
    bool exited = summary_exited(load->summary);
    char duration[16];
    putchar('\n');
    if (judged)
        cli_wrap(9, "proven, cycle: a proof that was made during the trace found at least one of them to be lost.");
    if (growing)
        cli_wrap(9, "growing: ever more goroutines waited at this place during the trace, and none or few were woken.");
    if (stuck)
        cli_wrap(9, "stuck:   at least one has waited for %s or longer.",
                 cli_duration(duration, summary_stuck_ns(load->summary)));
    if (!growing && !stuck)
        return;
    putchar('\n');
    if (exited)
        cli_wrap(0,
                 "This is evidence, not proof: the program has ended, so nobody will wake them any more, but a trace "
                 "cannot tell whether that was meant, as of workers that rest until the end. To settle it, find in "
                 "the source who is to wake them (the other end of the channel, the holder of the lock) and whether "
                 "it had already given up; or record for longer: a leak goes on growing, a pool at rest does not.");
    else
        cli_wrap(0,
                 "This is evidence, not proof: a trace cannot tell whether somebody would still have woken them. To "
                 "settle it, find in the source who is to do so (the other end of the channel, the holder of the "
                 "lock) and whether it had already given up; or record for longer: a leak goes on growing, a pool at "
                 "rest does not.");
}

static void none_print(const struct load *load)
{
    uint64_t alive = summary_totals(load->summary)->gs_alive, waits = load_below_threshold(load);
    char a[32], b[32], c[16], why[256], waiting[128] = "";
    if (waits)
        snprintf(waiting, sizeof waiting, ", %s wait%s for others without a deadline, but for less than %s",
                 cli_count(b, waits), waits == 1 ? "s" : "", cli_duration(c, summary_stuck_ns(load->summary)));
    else if (alive)
        snprintf(waiting, sizeof waiting, ", none waits for others without a deadline");
    if (load_exact(load)) {
        cli_wrap(0, "no suspected leaks: %s goroutine%s alive at the end%s", cli_count(a, alive), cli_plural(alive),
                 waiting);
        return;
    }
    cli_wrap(0, "cannot tell whether goroutines leaked: %s", load_missing(load, why));
    cli_wrap(0, "What could be read ends with %s goroutine%s alive%s.", cli_count(a, alive), cli_plural(alive),
             waiting);
}

static void all_print(const struct load *load)
{
    size_t found, count;
    uint64_t suspected = load_suspected(load, &found), alive = summary_totals(load->summary)->gs_alive;
    const struct summary_group *groups = summary_groups(load->summary, &count);
    bool judged = false, growing = false, stuck = false;
    char a[32], b[32];
    if (suspected == 0) {
        none_print(load);
        return;
    }
    for (size_t i = 0; i < found; i++) {
        place_look(load->places, groups[i].wait_stack);
        place_look(load->places, groups[i].create_stack);
    }
    cli_wrap(2, "suspected leaks: %s of %s goroutine%s alive at the end, in %zu group%s", cli_count(a, suspected),
             cli_count(b, alive), cli_plural(alive), found, cli_plural(found));
    for (size_t i = 0; i < found; i++) {
        group_print(load, &groups[i], i + 1);
        judged |= groups[i].proven || groups[i].cycles;
        growing |= groups[i].verdict == SUMMARY_GROWING;
        stuck |= groups[i].verdict == SUMMARY_STUCK;
    }
    inexact_print(load);
    evidence_print(load, judged, growing, stuck);
}

static void head_json(const struct load *load, uint64_t suspected)
{
    const struct summary_totals *totals = summary_totals(load->summary);
    char why[256];
    printf("{\n  \"suspected\": %" PRIu64 ",\n  \"alive\": %" PRIu64 ",\n  \"waiting_below_threshold\": %" PRIu64
           ",\n  \"stuck_ns\": %" PRId64 ",\n  \"program_ended\": %s,\n",
           suspected, totals->gs_alive, load_below_threshold(load), summary_stuck_ns(load->summary),
           summary_exited(load->summary) ? "true" : "false");
    printf("  \"duration_ns\": %" PRId64 ",\n  \"whole\": %s,\n  \"exact\": %s,\n  \"missing\": ", totals->length_ns,
           load_whole(load) ? "true" : "false", load_exact(load) ? "true" : "false");
    if (load_exact(load))
        fputs("null", stdout);
    else
        cli_json_string(stdout, load_missing(load, why));
    printf(",\n  \"events_lost\": %" PRIu64 ",\n  \"evidence\": \"trace\",\n", gmpt_trace_counts(load->trace)->lost);
}

static void all_json(const struct load *load)
{
    size_t found, count;
    uint64_t suspected = load_suspected(load, &found);
    const struct summary_group *groups = summary_groups(load->summary, &count);
    head_json(load, suspected);
    fputs("  \"groups\": [", stdout);
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

static int of_trace(const struct load_options *options)
{
    struct load load;
    int status = load_open(&load, options);
    if (status == CLI_OK) {
        bool found = load_suspected(&load, NULL) > 0;
        if (options->json)
            all_json(&load);
        else
            all_print(&load);
        status = cli_flush(found ? CLI_FINDINGS : load_none_status(&load));
        if (found)
            place_warn(load.places);
    }
    load_close(&load);
    return status;
}

/* ---- The command ------------------------------------------------------------------------------------------------- */

static int option_read(struct load_options *options, struct leaks_live *live, int option, char **argv)
{
    char *end;
    switch (option) {
    case 'p':
        live->pid = (pid_t)cli_parse_number(optarg);
        return live->pid > 0 ? LOAD_GO_ON : cli_usage("-p takes a process id, not '%s'", optarg);
    case 'S':
        errno = 0;
        live->scope = optarg[0] >= '0' && optarg[0] <= '9' ? strtoull(optarg, &end, 10) : 0;
        return live->scope && !errno && !*end ? LOAD_GO_ON
                                              : cli_usage("--scope takes a scope's number, not '%s'", optarg);
    case 'j':
        options->json = live->json = true;
        return LOAD_GO_ON;
    case 's':
        if (cli_parse_duration(optarg, &options->stuck_ns))
            return cli_usage("--stuck takes a time such as 500ms, 2s or 1m, not '%s'", optarg);
        live->stuck_ns = options->stuck_ns;
        return LOAD_GO_ON;
    default:
        return cli_option_common(option, argv);
    }
}

static bool is_elf(const char *path)
{
    char head[4] = "";
    FILE *file = fopen(path, "re");
    bool elf = file && fread(head, 1, sizeof head, file) == sizeof head && memcmp(head, "\177ELF", sizeof head) == 0;
    if (file)
        fclose(file);
    return elf;
}

static int leaks_run(int argc, char **argv)
{
    static const struct option longs[] = {
        { "pid", required_argument, NULL, 'p' },   { "scope", required_argument, NULL, 'S' },
        { "json", no_argument, NULL, 'j' },        { "stuck", required_argument, NULL, 's' },
        { "help", no_argument, NULL, 'h' },        { "version", no_argument, NULL, 'V' },
        { NULL, 0, NULL, 0 },
    };
    struct load_options options = { .path = NULL, .stuck_ns = SUMMARY_STUCK_BY_END };
    struct leaks_live live = { .stuck_ns = -1 };
    optind = 0;
    opterr = 0;
    for (int option, status; (option = getopt_long(argc, argv, ":hp:", longs, NULL)) != -1;)
        if ((status = option_read(&options, &live, option, argv)) != LOAD_GO_ON)
            return status;
    options.path = optind < argc ? argv[optind++] : NULL;
    if (optind < argc)
        return cli_usage("one FILE at a time, not also '%s'", argv[optind]);
    if (live.pid && options.path)
        return cli_usage("-p PID looks at a running program, and FILE at a trace: one of the two");
    bool core = options.path && is_elf(options.path);
    if (live.scope && !live.pid && !core)
        return cli_usage("--scope goes with -p PID or a core file");
    if (live.stuck_ns < 0)
        live.stuck_ns = live.scope ? 0 : SUMMARY_STUCK_NS; /* whoever asks for a scope has waited for it to be empty */
    if (live.pid)
        return leaks_live_run(&live);
    if (core)
        return leaks_core_run(&live, options.path);
    if (!options.path)
        options.path = CLI_DEFAULT_PATH;
    return of_trace(&options);
}

const struct cli_command command_leaks = {
    .name = "leaks",
    .summary = "goroutines that look leaked, with the source lines",
    .help = "Usage: gmptrace leaks [FILE] [--json] [--stuck T]\n"
            "       gmptrace leaks -p PID | CORE [--json] [--stuck T] [--scope N]\n"
            "Lists the goroutines that at the end of a trace wait, without a deadline, for\n"
            "something that only another goroutine can bring: where they were started, where\n"
            "they wait, for how long. FILE is gmptrace.data by default. A trace gives\n"
            "evidence of a leak, proof only if one was made meanwhile. With -p it asks a\n"
            "running program for a proof, which stops it for a moment. Of a core file it\n"
            "tells who was stuck.\n\n"
            "  proven       nothing that is alive can ever reach what they wait for\n"
            "  cycle        each waits for what another of them has\n"
            "  growing      ever more goroutines waited at this place during the trace\n"
            "  stuck        at least one has waited for T or longer\n\n"
            "  -p, --pid PID\n"
            "               look at this process\n"
            "  --scope N    only goroutines of the scope with this number, T being 0s; of a\n"
            "               process or a core file\n"
            "  --json       one JSON object instead; times in nanoseconds\n"
            "  --stuck T    500ms, 2s, 1m; without it T is 1s when the program still ran or\n"
            "               was killed, and 20ms when it ended by itself or its main\n"
            "               goroutine had returned, since nobody will wake them any more\n"
            "  --help       this text\n"
            "  --version    which gmptrace this is\n\n"
            "Exit status: 0 none; 1 some; 2 wrong usage; 3 FILE cannot be used, or shows none\n"
            "but is damaged, cut off or lacks events, so that there may be some, or no proof\n"
            "could be had of PID; 4 the output cannot be written.\n",
    .run = leaks_run,
};
