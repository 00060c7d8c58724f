/* gmptrace diff: what is slower, faster, more or less frequent in one recording than in another, or in one part of a
 * recording than in another part. */
#define _GNU_SOURCE
#include "cli.h"
#include "compared.h"
#include "diff_profile.h"

#include "trace/duration.h"
#include "trace/events.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RATES_SHOWN 10 /* of each of more and less often, without --all */

enum change { CHANGE_SLOWER, CHANGE_FASTER, CHANGE_MORE, CHANGE_LESS, CHANGES };

static const char *const change_names[CHANGES] = { "slower", "faster", "more", "less" };

struct diff {
    struct measured a, b;
    bool all, json, folded;
    const char *output; /* NULL: what differs is printed; else the difference of two profiles of this type */
    const struct tally_type *type;
    double fail_at[CHANGES]; /* INFINITY = never */
    struct compared_options options;
    struct comparison comparison;
};

/* ---- Options ----------------------------------------------------------------------------------------------------- */

static int range_read(const char *option, const char *text, struct measured *measured)
{
    const char *dots = strstr(text, "..");
    size_t first = dots ? (size_t)(dots - text) : 0;
    measured->from_ns = 0;
    measured->to_ns = INT64_MAX;
    if (!dots || (first && duration_parse(text, first, &measured->from_ns)) ||
        (dots[2] && cli_parse_duration(dots + 2, &measured->to_ns)))
        return cli_usage("--%s takes two times since the trace's start, such as 1s..2.5s, 10s.. or ..500ms, not '%s'",
                         option, text);
    if (measured->from_ns >= measured->to_ns)
        return cli_usage("--%s: %s ends before it begins", option, text);
    return LOAD_GO_ON;
}

/* "10%" or "0.1" */
static bool share_read(const char *text, double *share)
{
    char *end;
    errno = 0;
    if (*text < '0' || *text > '9')
        return false;
    *share = strtod(text, &end);
    if (*end == '%') {
        *share /= 100;
        end++;
    }
    return !*end && !errno && *share >= 0 && *share <= 1000;
}

static int fail_read(struct diff *diff, const char *text)
{
    size_t length = strcspn(text, ">");
    double share = 0;
    for (size_t i = 0; i < CHANGES; i++)
        if (strlen(change_names[i]) == length && strncmp(text, change_names[i], length) == 0 &&
            (!text[length] || share_read(text + length + 1, &share))) {
            diff->fail_at[i] = share;
            return LOAD_GO_ON;
        }
    return cli_usage("--fail-on takes slower, faster, more or less, and from where on, such as 'slower>10%%', not '%s'",
                     text);
}

static int share_option(const char *option, const char *text, double most, double *share)
{
    if (share_read(text, share) && *share <= most)
        return LOAD_GO_ON;
    return cli_usage("--%s takes a share such as %s, not '%s'", option, most > 1 ? "10%" : "1%", text);
}

static int files_read(struct diff *diff, int argc, char **argv)
{
    bool parts = diff->a.from_ns || diff->a.to_ns != INT64_MAX || diff->b.from_ns || diff->b.to_ns != INT64_MAX;
    if (optind == argc)
        return cli_usage("it wants two traces, or one and --a and --b");
    diff->a.path = argv[optind++];
    diff->b.path = optind < argc ? argv[optind++] : diff->a.path;
    if (optind < argc)
        return cli_usage("two traces at a time, not also '%s'", argv[optind]);
    if (diff->a.path == diff->b.path && !parts)
        return cli_usage("of one trace two parts are compared: --a=FROM..TO --b=FROM..TO");
    return LOAD_GO_ON;
}

static int options_read(struct diff *diff, int argc, char **argv)
{
    static const struct option longs[] = {
        { "a", required_argument, NULL, 'a' },
        { "b", required_argument, NULL, 'b' },
        { "shift", required_argument, NULL, 's' },
        { "all", no_argument, NULL, 'A' },
        { "json", no_argument, NULL, 'j' },
        { "change", required_argument, NULL, 'c' },
        { "false-rate", required_argument, NULL, 'q' },
        { "fail-on", required_argument, NULL, 'f' },
        { "output", required_argument, NULL, 'o' },
        { "type", required_argument, NULL, 't' },
        { "format", required_argument, NULL, 'F' },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },
        { NULL, 0, NULL, 0 },
    };
    optind = 0;
    opterr = 0;
    for (int option, status; (option = getopt_long(argc, argv, ":ho:", longs, NULL)) != -1;) {
        status = LOAD_GO_ON;
        switch (option) {
        case 'a':
        case 'b':
            status = range_read(option == 'a' ? "a" : "b", optarg, option == 'a' ? &diff->a : &diff->b);
            break;
        case 'A':
            diff->all = true;
            break;
        case 'j':
            diff->json = true;
            break;
        case 'c':
            status = share_option("change", optarg, 1000, &diff->options.change_min);
            break;
        case 's':
            if (cli_parse_duration(optarg, &diff->options.shift_min_ns))
                status = cli_usage("--shift takes a time such as 10us, not '%s'", optarg);
            break;
        case 'q':
            status = share_option("false-rate", optarg, 1, &diff->options.false_rate);
            break;
        case 'f':
            status = fail_read(diff, optarg);
            break;
        case 'o':
            diff->output = optarg;
            break;
        case 't':
            diff->type = tally_type_find(optarg);
            if (!diff->type)
                status = cli_usage("--type is one of those of gmptrace pprof but leak, not '%s'", optarg);
            break;
        case 'F':
            diff->folded = strcmp(optarg, "folded") == 0;
            if (!diff->folded && strcmp(optarg, "pprof") != 0)
                status = cli_usage("--format is pprof or folded, not '%s'", optarg);
            break;
        default:
            return cli_option_common(option, argv);
        }
        if (status != LOAD_GO_ON)
            return status;
    }
    if (!diff->output && (diff->type || diff->folded))
        return cli_usage("--type and --format are those of the profile that -o names");
    if (diff->output && (diff->json || diff->all))
        return cli_usage("-o writes a profile instead of what differs: it does not go with --json and --all");
    if (diff->output && !*diff->output)
        return cli_usage("-o needs the name of a file");
    return files_read(diff, argc, argv);
}

/* ---- Words ------------------------------------------------------------------------------------------------------- */

static const char *const kind_keys[MEASURED_KINDS] = { "running", "runnable", "waiting", "call", "life", "start" };

/* The side that tells the place: b's, which is there to be looked at, if it has it. */
static const struct compared_side *shown_side(const struct compared *compared)
{
    return compared->b.row ? &compared->b : &compared->a;
}

/* "worker gateway.c:120, before :112" */
static const char *site_text(char text[PLACE_TEXT_BYTES], const struct compared *compared, bool fn)
{
    const struct compared_side *side = shown_side(compared), *other = &compared->a;
    const struct measured_site *site = fn ? side->fn : side->site;
    const struct measured_site *before = !other->row ? site : fn ? other->fn : other->site;
    char line[32] = "", was[32] = "", more[32] = "";
    if (!*site->function)
        return strcpy(text, "an unknown place");
    if (site->line)
        snprintf(line, sizeof line, ":%d", site->line);
    if (before->line != site->line)
        snprintf(was, sizeof was, ", before :%d", before->line);
    if (!fn && (side->places > 1 || other->places > 1))
        snprintf(more, sizeof more, " and others");
    snprintf(text, PLACE_TEXT_BYTES, "%.200s%s%.200s%s%s%s", site->function, site->file ? " " : "",
             site->file ? site->file : "", site->file ? line : "", was, more);
    return text;
}

static void title_write(char *title, size_t size, const struct compared *compared)
{
    char fn_text[PLACE_TEXT_BYTES], site_texts[PLACE_TEXT_BYTES];
    const struct measured_key *key = &shown_side(compared)->row->key;
    const char *fn = site_text(fn_text, compared, true), *site = site_text(site_texts, compared, false);
    const char *reason = gmpt_wait_reason_words((enum gmpt_wait_reason)key->reason);
    switch ((enum measured_kind)key->kind) {
    case MEASURED_RUNNING:
        if (key->ended_by == GMPT_EVENT_go_block)
            snprintf(title, size, "running %s until %s at %s", shown_side(compared)->fn->function, reason, site);
        else if (key->ended_by == GMPT_EVENT_syscall_begin)
            snprintf(title, size, "running %s until a blocking call at %s", shown_side(compared)->fn->function, site);
        else
            snprintf(title, size, "running %s until it %s", fn,
                     key->ended_by == GMPT_EVENT_go_exit ? "ended" : "gave way");
        break;
    case MEASURED_RUNNABLE:
        snprintf(title, size, "ready to run: %s", fn);
        break;
    case MEASURED_WAITING:
        snprintf(title, size, "%s at %s", reason, key->site ? site : fn);
        break;
    case MEASURED_CALL:
        snprintf(title, size, "blocking call at %s", key->site ? site : fn);
        break;
    case MEASURED_LIFE:
        snprintf(title, size, "life of %s, started at %s", shown_side(compared)->fn->function, key->site ? site : fn);
        break;
    default:
        snprintf(title, size, "starts of %s at %s", shown_side(compared)->fn->function, key->site ? site : fn);
        break;
    }
}

/* "+21 %", "x3.4", "new" */
static const char *ratio_text(char text[32], double ratio)
{
    if (isinf(ratio))
        snprintf(text, 32, "new");
    else if (ratio == 0)
        snprintf(text, 32, "gone");
    else if (ratio >= 2)
        snprintf(text, 32, ratio < 9.95 ? "x%.1f" : "x%.0f", ratio);
    else
        snprintf(text, 32, "%+.0f %%", (ratio - 1) * 100);
    return text;
}

static const char *chance_text(char text[32], double q)
{
    if (q < 1e-99)
        snprintf(text, 32, "q < 1e-99");
    else
        snprintf(text, 32, q < 0.001 ? "q %.0e" : "q %.3f", q);
    return text;
}

/* ---- Text -------------------------------------------------------------------------------------------------------- */

static void time_print(const struct compared *compared)
{
    const struct compared_test *test = &compared->time;
    char a[16], b[16], a99[16], b99[16], change[32], low[32], high[32], chance[32], more[16];
    printf("       median %s -> %s, %s", cli_duration(a, (int64_t)compared->a.p50),
           cli_duration(b, (int64_t)compared->b.p50), ratio_text(change, test->ratio));
    if (test->verdict != COMPARED_UNTOLD)
        printf(" (95 %% surely %s to %s)", ratio_text(low, test->low), ratio_text(high, test->high));
    printf("\n       p99 %s -> %s; %s%s of each second", cli_duration(a99, (int64_t)compared->a.p99),
           cli_duration(b99, (int64_t)compared->b.p99), compared->impact_ns > 0 ? "+" : "",
           cli_duration(more, (int64_t)compared->impact_ns));
    if (test->verdict != COMPARED_UNTOLD)
        printf("; %s, delta %.2f", chance_text(chance, test->q), test->delta);
    putchar('\n');
}

static void rate_print(const struct diff *diff, const struct compared *compared)
{
    char change[32], chance[32];
    printf("       %.4g -> %.4g times a second, %s", compared_rate(&compared->a, &diff->a),
           compared_rate(&compared->b, &diff->b), ratio_text(change, compared->rate.ratio));
    if (compared->rate.verdict != COMPARED_UNTOLD)
        printf("; %s", chance_text(chance, compared->rate.q));
    putchar('\n');
}

static void compared_print(const struct diff *diff, const struct compared *compared, size_t number)
{
    char title[3 * PLACE_TEXT_BYTES], clean[3 * PLACE_TEXT_BYTES];
    title_write(title, sizeof title, compared);
    cli_text(clean, sizeof clean, title, 3 * PLACE_TEXT_BYTES);
    printf("  %3zu. ", number);
    cli_wrap(7, "%s", clean);
    bool both = compared->a.row && compared->b.row && compared->a.row->key.kind != MEASURED_START;
    if (both && (compared->time.verdict > COMPARED_SAME || diff->all))
        time_print(compared);
    if (!compared->a.row || !compared->b.row || compared->rate.verdict > COMPARED_SAME || diff->all)
        rate_print(diff, compared);
}

static bool in_section(const struct compared *compared, size_t section)
{
    bool time = compared->time.verdict > COMPARED_SAME;
    switch (section) {
    case CHANGE_SLOWER:
        return compared->time.verdict == COMPARED_MORE;
    case CHANGE_FASTER:
        return compared->time.verdict == COMPARED_LESS;
    case CHANGE_MORE:
        return !time && compared->rate.verdict == COMPARED_MORE;
    case CHANGE_LESS:
        return !time && compared->rate.verdict == COMPARED_LESS;
    default:
        return !compared_found(compared);
    }
}

static void section_print(const struct diff *diff, size_t section)
{
    static const char *const titles[] = { "Slower", "Faster", "More often", "Less often", "No difference found" };
    const struct comparison *comparison = &diff->comparison;
    size_t number = 0, left_out = 0;
    for (size_t i = 0; i < comparison->count; i++) {
        if (!in_section(&comparison->list[i], section))
            continue;
        if (!diff->all && section >= CHANGE_MORE && number >= RATES_SHOWN) {
            left_out++;
            continue;
        }
        if (number++ == 0)
            printf("\n%s\n", titles[section]);
        compared_print(diff, &comparison->list[i], number);
    }
    if (left_out)
        printf("       and %zu more; --all shows them\n", left_out);
}

static void side_print(const char *name, const struct measured *measured)
{
    char length[16], events[32], from[16], to[16], part[64] = "", path[PLACE_TEXT_BYTES];
    if (measured->from_ns || measured->to_ns < gmpt_trace_info(measured->load.trace)->duration_ns)
        snprintf(part, sizeof part, ", from %s to %s", cli_duration(from, measured->from_ns),
                 cli_duration(to, measured->to_ns));
    printf("%s: %s%s\n   %s, %s events\n", name, cli_text(path, sizeof path, measured->path, 40), part,
           cli_duration(length, measured->length_ns), cli_count(events, measured->events));
}

static void text_print(const struct diff *diff)
{
    const struct comparison *comparison = &diff->comparison;
    size_t found = 0, untold = 0;
    char change[32];
    for (size_t i = 0; i < comparison->count; i++) {
        found += compared_found(&comparison->list[i]);
        untold +=
            comparison->list[i].time.verdict == COMPARED_UNTOLD && comparison->list[i].rate.verdict == COMPARED_UNTOLD;
    }
    side_print("A", &diff->a);
    side_print("B", &diff->b);
    putchar('\n');
    cli_wrap(0, "%zu place%s compared, B against A: %zu differ%s by %.0f %% or more.", comparison->count,
             cli_plural(comparison->count), found, found == 1 ? "s" : "", diff->options.change_min * 100);
    if (untold)
        cli_wrap(0, "Of %zu there are too few values, or windows with values, to tell.", untold);
    if (fabs(comparison->common_time - 1) >= diff->options.change_min / 2)
        cli_wrap(0,
                 "Half of all medians changed by %s or more that way: it is the machine, the load or the build as a "
                 "whole rather than one place.",
                 ratio_text(change, comparison->common_time));
    if (fabs(comparison->common_rate - 1) >= diff->options.change_min / 2)
        cli_wrap(0, "In general things happen %.2f times as often; below is only what differs from that as well.",
                 comparison->common_rate);
    for (size_t section = 0; section < CHANGES + (size_t)diff->all; section++)
        section_print(diff, section);
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

static void json_text(const char *key, const char *text)
{
    printf("\"%s\": ", key);
    if (text)
        cli_json_string(stdout, text);
    else
        fputs("null", stdout);
}

static void json_number(const char *key, double number)
{
    if (isfinite(number))
        printf("\"%s\": %.6g", key, number);
    else
        printf("\"%s\": null", key);
}

static void json_site(const char *key, const struct measured_site *site)
{
    printf("\"%s\": ", key);
    if (!*site->function) {
        fputs("null", stdout);
        return;
    }
    putchar('{');
    json_text("function", site->function);
    fputs(", ", stdout);
    json_text("file", site->file);
    printf(", \"line\": %d}", site->line);
}

static void json_side(const char *key, const struct compared_side *side, const struct measured *measured)
{
    printf("\"%s\": ", key);
    if (!side->row) {
        fputs("null", stdout);
        return;
    }
    printf("{\"count\": %" PRIu64 ", \"total_ns\": %" PRId64 ", ", side->row->all.count, side->row->all.total);
    json_number("per_second", compared_rate(side, measured));
    printf(", \"p50_ns\": %.0f, \"p99_ns\": %.0f, \"max_ns\": %" PRId64 ", \"places\": %zu, ", side->p50, side->p99,
           side->row->all.max, side->places);
    json_site("function", side->fn);
    fputs(", ", stdout);
    json_site("site", side->site);
    putchar('}');
}

static void json_test(const char *key, const struct compared_test *test, const char *less, const char *more,
                      bool medians)
{
    const char *verdicts[] = { "untold", "same", less, more };
    printf("\"%s\": {\"verdict\": \"%s\", ", key, verdicts[test->verdict]);
    json_number("ratio", test->ratio);
    if (test->verdict != COMPARED_UNTOLD) {
        printf(", \"p\": %.3g, \"q\": %.3g", test->p, test->q);
        if (medians)
            printf(", \"ratio_low\": %.6g, \"ratio_high\": %.6g, \"delta\": %.4f", test->low, test->high, test->delta);
    }
    putchar('}');
}

static void json_measured(const char *key, const struct measured *measured)
{
    printf("\"%s\": {", key);
    json_text("file", measured->path);
    printf(", \"from_ns\": %" PRId64 ", \"to_ns\": %" PRId64 ", \"events\": %" PRIu64
           ", \"windows\": %zu, \"window_ns\": %" PRId64 "}",
           measured->from_ns, measured->to_ns, measured->events, measured->window_count, measured->window_ns);
}

static void json_print(const struct diff *diff)
{
    const struct comparison *comparison = &diff->comparison;
    bool first = true;
    printf("{\"version\": 1, ");
    json_measured("a", &diff->a);
    printf(",\n ");
    json_measured("b", &diff->b);
    printf(",\n \"false_rate\": %.6g, \"change_min\": %.6g, \"tests\": %zu, \"places\": %zu, \"common_time\": %.6g, "
           "\"common_rate\": %.6g,\n",
           diff->options.false_rate, diff->options.change_min, comparison->tested, comparison->count,
           comparison->common_time, comparison->common_rate);
    printf(" \"differences\": [");
    for (size_t i = 0; i < comparison->count; i++) {
        const struct compared *compared = &comparison->list[i];
        const struct measured_key *key = &shown_side(compared)->row->key;
        bool waits = key->kind == MEASURED_WAITING || key->ended_by == GMPT_EVENT_go_block;
        if (!diff->all && !compared_found(compared))
            continue;
        printf("%s\n  {\"kind\": \"%s\", ", first ? "" : ",", kind_keys[key->kind]);
        json_text("reason", waits ? load_reason_key((enum gmpt_wait_reason)key->reason) : NULL);
        fputs(", ", stdout);
        json_text("until", key->ended_by ? gmpt_event_name((enum gmpt_event_type)key->ended_by) : NULL);
        printf(",\n   ");
        json_side("a", &compared->a, &diff->a);
        printf(",\n   ");
        json_side("b", &compared->b, &diff->b);
        printf(",\n   ");
        json_test("time", &compared->time, "faster", "slower", true);
        printf(",\n   ");
        json_test("rate", &compared->rate, "less", "more", false);
        printf(", \"impact_ns_per_second\": %.0f}", compared->impact_ns);
        first = false;
    }
    puts("]}");
}

/* ---- The command ------------------------------------------------------------------------------------------------- */

/* By how much b is more than a, or, for what is less, a more than b. */
static bool fails(const struct diff *diff, const struct compared *compared)
{
    const struct compared_test *time = &compared->time, *rate = &compared->rate;
    return (time->verdict == COMPARED_MORE && time->ratio - 1 > diff->fail_at[CHANGE_SLOWER]) ||
           (time->verdict == COMPARED_LESS && 1 / time->ratio - 1 > diff->fail_at[CHANGE_FASTER]) ||
           (rate->verdict == COMPARED_MORE && rate->ratio - 1 > diff->fail_at[CHANGE_MORE]) ||
           (rate->verdict == COMPARED_LESS && 1 / rate->ratio - 1 > diff->fail_at[CHANGE_LESS]);
}

/* So wide that the shorter has enough windows and the longer not too many. */
static int64_t window_width(int64_t a_ns, int64_t b_ns)
{
    int64_t shorter = a_ns < b_ns ? a_ns : b_ns, longer = a_ns < b_ns ? b_ns : a_ns;
    int64_t width = shorter / COMPARED_WINDOWS, least = longer / MEASURED_WINDOWS_MAX + 1;
    return width > least ? width : least;
}

static int compare(struct diff *diff)
{
    int64_t a_ns = 0, b_ns = 0;
    int status = measured_open(&diff->a);
    if (status == CLI_OK)
        status = measured_open(&diff->b);
    if (status == CLI_OK)
        status = measured_length(&diff->a, &a_ns);
    if (status == CLI_OK)
        status = measured_length(&diff->b, &b_ns);
    if (status == CLI_OK)
        status = measured_read(&diff->a, window_width(a_ns, b_ns));
    if (status == CLI_OK)
        status = measured_read(&diff->b, window_width(a_ns, b_ns));
    if (status != CLI_OK)
        return status;
    if (comparison_make(&diff->comparison, &diff->a, &diff->b, &diff->options)) {
        cli_error("%s", strerror(ENOMEM));
        return CLI_MACHINE;
    }
    if (diff->json)
        json_print(diff);
    else
        text_print(diff);
    for (size_t i = 0; i < diff->comparison.count; i++)
        if (fails(diff, &diff->comparison.list[i]))
            status = CLI_FINDINGS;
    status = cli_flush(status);
    place_warn(diff->a.load.places);
    place_warn(diff->b.load.places);
    return status;
}

static int diff_run(int argc, char **argv)
{
    struct diff diff = { .a = { .to_ns = INT64_MAX },
                         .b = { .to_ns = INT64_MAX },
                         .fail_at = { INFINITY, INFINITY, INFINITY, INFINITY },
                         .options = { .false_rate = 0.01, .change_min = 0.1, .shift_min_ns = 2000 } };
    int status = options_read(&diff, argc, argv);
    if (status != LOAD_GO_ON)
        return status;
    if (diff.output) {
        struct diff_part a = { diff.a.path, diff.a.from_ns, diff.a.to_ns };
        struct diff_part b = { diff.b.path, diff.b.from_ns, diff.b.to_ns };
        return diff_profile(&a, &b, diff.type ? diff.type : tally_type_find("wall"), diff.folded, diff.output);
    }
    status = compare(&diff);
    comparison_free(&diff.comparison);
    measured_close(&diff.a);
    measured_close(&diff.b);
    return status;
}

const struct cli_command command_diff = {
    .name = "diff",
    .summary = "what is slower, faster or more frequent in another trace",
    .help = "Usage: gmptrace diff A B [--a=FROM..TO] [--b=FROM..TO] [--all] [--json]\n"
            "                     [--change=SHARE] [--false-rate=SHARE] [--fail-on=CHANGE]\n"
            "       gmptrace diff A --a=FROM..TO --b=FROM..TO ...\n"
            "       gmptrace diff A B -o FILE [--type=T] [--format=pprof|folded]\n"
            "Compare the trace B with A, or two parts of A, place by place, and show what\n"
            "differs by more than chance and by enough to matter, the worst first.\n"
            "\n"
            "  --a=FROM..TO, --b=FROM..TO  only what ended then; times are since the start,\n"
            "                              such as 1s..2.5s, 10s.. or ..500ms\n"
            "  --change=SHARE      changes of medians and rates from here on matter (10%)\n"
            "  --shift=T           and medians that differ by T, or often enough to make up\n"
            "                      0.5% of the time, do (2us)\n"
            "  --false-rate=SHARE  so many of all that is shown may be chance (1%)\n"
            "  --all               what does not differ, too\n"
            "  --json              the same for programs, by schema/diff.schema.json\n"
            "  --fail-on=CHANGE    end with status 1 when a place is slower, faster, more or\n"
            "                      less frequent by more: 'slower>10%'; may be repeated\n"
            "  -o, --output=FILE   write B's profile minus A's there, and nothing else\n"
            "  --type=T            of this type, as in gmptrace pprof (wall)\n"
            "  --format=F          pprof (the default), or folded: each stack with A's value\n"
            "                      and B's, for difference flame graphs\n"
            "  -h, --help          this text\n"
            "      --version       which gmptrace this is\n"
            "\n"
            "Two runs differ anyway, by more than any test of two recordings can know: when\n"
            "in doubt record both again, in turn.\n"
            "\n"
            "Exit status: 0 fine, 1 what --fail-on asks for, 2 wrong usage, 3 a file cannot\n"
            "be used, 4 the output cannot be written.\n",
    .run = diff_run,
};
