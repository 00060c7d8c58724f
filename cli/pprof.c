/* gmptrace pprof: what goroutines did, or what looks leaked among them, as a profile: for pprof, or as text. */
#define _GNU_SOURCE
#include "cli.h"
#include "folded.h"
#include "load.h"
#include "place.h"
#include "speedscope.h"
#include "toptable.h"

#include "pprof/profile.h"
#include "pprof/stackmatch.h"
#include "pprof/tally.h"
#include "trace/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum format { FORMAT_PPROF, FORMAT_FOLDED, FORMAT_SPEEDSCOPE, FORMAT_TEXT };

static const char *const format_names[] = { "pprof", "folded", "speedscope", "text" };

struct pprof_options {
    struct load_options load;
    const struct tally_type *type; /* NULL: leak */
    enum format format;
    const char *output; /* "-" = standard output */
    char default_output[64];
    int64_t from_ns, to_ns, at_ns; /* as in struct tally_options */
    bool windowed;                 /* --from or --to was given */
    struct filter *filter;         /* NULL = all */
};

struct pprof_totals {
    uint64_t gs; /* leak only */
    int64_t values[PROFILE_TYPES_MAX];
    size_t samples;
};

static const struct profile_type leak_type = { "goroutineleak", "count" };

static const char *type_name(const struct pprof_options *options)
{
    return options->type ? options->type->name : "leak";
}

/* ---- Options ----------------------------------------------------------------------------------------------------- */

static int type_read(struct pprof_options *options, const char *text)
{
    char names[256] = "leak";
    options->type = tally_type_find(text);
    if (options->type || strcmp(text, "leak") == 0)
        return LOAD_GO_ON;
    for (size_t i = 0; tally_type_at(i); i++) {
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", tally_type_at(i + 1) ? ", " : " or ",
                 tally_type_at(i)->name);
    }
    return cli_usage("--type is %s, not '%s'", names, text);
}

static int format_read(struct pprof_options *options, const char *text)
{
    for (size_t i = 0; i < sizeof format_names / sizeof format_names[0]; i++)
        if (strcmp(text, format_names[i]) == 0) {
            options->format = (enum format)i;
            return LOAD_GO_ON;
        }
    return cli_usage("--format is pprof, folded, speedscope or text, not '%s'", text);
}

static int time_read(const char *option, const char *text, int64_t *ns)
{
    if (cli_parse_duration(text, ns))
        return cli_usage("--%s takes a time since the trace's start, such as 500ms, 2s or 1m, not '%s'", option, text);
    return LOAD_GO_ON;
}

static int filter_read(struct pprof_options *options, const char *text)
{
    struct filter_error error;
    filter_free(options->filter);
    options->filter = filter_parse(text, &error);
    return options->filter ? LOAD_GO_ON : cli_usage("--filter, column %zu: %s", error.column, error.message);
}

/* What goes together. */
static int options_check(struct pprof_options *options)
{
    const struct tally_type *type = options->type;
    bool moment = type && type->moment;
    if (options->windowed && (!type || moment))
        return cli_usage("a %s profile is of one moment, without --from and --to%s", type_name(options),
                         moment ? "; --at=T chooses it" : ", the end");
    if (options->at_ns != TALLY_AT_END && !moment)
        return cli_usage("--at goes with --type=goroutine only; a %s profile is of %s", type_name(options),
                         type ? "the time --from T --to T" : "the end");
    if (options->from_ns >= options->to_ns)
        return cli_usage("--from must be before --to");
    if (options->filter && !type)
        return cli_usage("--filter does not go with --type=leak");
    if (options->filter && type->kind == TALLY_STEAL)
        return cli_usage("--filter does not go with --type=steal, which is of Ps");
    if (!options->output && options->format == FORMAT_PPROF) {
        snprintf(options->default_output, sizeof options->default_output, "%s.pb.gz", type_name(options));
        options->output = options->default_output;
    }
    if (!options->output)
        options->output = "-";
    if (!*options->output)
        return cli_usage("-o needs the name of a file");
    if (options->format == FORMAT_PPROF && strcmp(options->output, "-") == 0 && isatty(STDOUT_FILENO))
        return cli_usage("a profile is binary and will not be written to a terminal; give -o FILE or --format=text");
    return LOAD_GO_ON;
}

/* Returns LOAD_GO_ON, or the status to exit with; the filter is the caller's to free either way. */
static int options_read(struct pprof_options *options, int argc, char **argv)
{
    static const struct option longs[] = {
        { "type", required_argument, NULL, 't' },
        { "output", required_argument, NULL, 'o' },
        { "stuck", required_argument, NULL, 's' },
        { "format", required_argument, NULL, 'f' },
        { "from", required_argument, NULL, 'b' },
        { "to", required_argument, NULL, 'e' },
        { "at", required_argument, NULL, 'a' },
        { "filter", required_argument, NULL, 'F' },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },
        { NULL, 0, NULL, 0 },
    };
    *options = (struct pprof_options){
        .load = { .path = CLI_DEFAULT_PATH, .stuck_ns = SUMMARY_STUCK_BY_END },
        .type = tally_type_find("goroutine"),
        .to_ns = INT64_MAX,
        .at_ns = TALLY_AT_END,
    };
    optind = 0;
    opterr = 0;
    for (int option, status; (option = getopt_long(argc, argv, ":ho:", longs, NULL)) != -1;) {
        status = LOAD_GO_ON;
        switch (option) {
        case 't':
            status = type_read(options, optarg);
            break;
        case 'f':
            status = format_read(options, optarg);
            break;
        case 'o':
            options->output = optarg;
            break;
        case 's':
            if (cli_parse_duration(optarg, &options->load.stuck_ns))
                return cli_usage("--stuck takes a time such as 500ms, 2s or 1m, not '%s'", optarg);
            break;
        case 'b':
            status = time_read("from", optarg, &options->from_ns);
            options->windowed = true;
            break;
        case 'e':
            status = time_read("to", optarg, &options->to_ns);
            options->windowed = true;
            break;
        case 'a':
            status = time_read("at", optarg, &options->at_ns);
            break;
        case 'F':
            status = filter_read(options, optarg);
            break;
        default:
            return cli_option_common(option, argv);
        }
        if (status != LOAD_GO_ON)
            return status;
    }
    if (!cli_file_take(argc, argv, &options->load.path))
        return CLI_USAGE;
    return options_check(options);
}

/* ---- The samples ------------------------------------------------------------------------------------------------- */

/* "serve gateway.c:120": where the user's code started the Gs of this group. NULL = not known. */
static const char *created_by(const struct load *load, char buffer[PLACE_TEXT_BYTES], uint32_t create_stack)
{
    struct place_frame frames[PLACE_FRAMES_MAX];
    if (place_frames(load->places, create_stack, frames) == 0)
        return NULL;
    return place_of_call(load->places, buffer, &frames[0]);
}

static int group_add(const struct load *load, struct profile *profile, const struct summary_group *group)
{
    struct profile_label labels[3];
    char place[PLACE_TEXT_BYTES];
    size_t label_count = 0;

    struct gmpt_stack stack = { 0 };
    if (group->state == GMPT_G_WAITING || group->state == GMPT_G_SYSCALL)
        stack = gmpt_trace_stack(load->trace, group->wait_stack);
    /* Where nothing says where it is, it is at least somewhere under its function. */
    uint64_t start = group->fn + 1;
    if (stack.count == 0 && group->fn)
        stack = (struct gmpt_stack){ .count = 1, .pc = &start };

    const char *creator = created_by(load, place, group->create_stack);
    if (creator)
        labels[label_count++] = (struct profile_label){ .key = "created_by", .text = creator };
    if (group->state == GMPT_G_WAITING)
        labels[label_count++] =
            (struct profile_label){ .key = "wait_reason", .text = gmpt_wait_reason_words(group->reason) };
    labels[label_count++] = (struct profile_label){ .key = "state", .text = gmpt_g_state_words(group->state) };
    return profile_add(profile, stack.pc, stack.count, (int64_t)group->count, labels, label_count);
}

static int leak_fill(const struct load *load, struct profile *profile, struct pprof_totals *totals)
{
    size_t count;
    const struct summary_group *groups = summary_groups(load->summary, &count);
    for (size_t i = 0; i < count; i++)
        place_look(load->places, groups[i].create_stack);
    for (size_t i = 0; i < count; i++) {
        if (groups[i].verdict == SUMMARY_NONE)
            continue;
        if (group_add(load, profile, &groups[i]))
            return -ENOMEM;
        totals->gs += groups[i].count;
    }
    return 0;
}

struct texts {
    struct load *load;
    char buffer[PLACE_TEXT_BYTES];
};

static uint32_t text_stack(void *texts, uint32_t stack)
{
    return alike_first(((struct texts *)texts)->load->alike, stack);
}

static const char *text_creator(void *texts_arg, uint32_t create_stack)
{
    struct texts *texts = texts_arg;
    return created_by(texts->load, texts->buffer, create_stack);
}

static const char *text_function(void *texts_arg, uint64_t fn)
{
    struct texts *texts = texts_arg;
    return place_function(texts->load->places, texts->buffer, fn);
}

/* Reads the trace into a tally. Returns CLI_OK or the status to exit with. */
static int tally_read(const struct pprof_options *options, struct load *load, struct tally *tally)
{
    struct gmpt_event events[TRACE_BATCH];
    int result, status = CLI_MACHINE;
    struct intervals *intervals = intervals_open(load->trace, NULL, NULL);
    if (!intervals)
        goto no_memory;
    tally_listen(tally, intervals);
    while ((result = trace_next_batch(load->trace, events, TRACE_BATCH)) > 0)
        for (int i = 0; i < result; i++)
            if (intervals_add(intervals, &events[i]) || tally_event(tally, &events[i]))
                goto no_memory;
    if (result == -ENOMEM || intervals_finish(intervals, gmpt_trace_info(load->trace)->duration_ns))
        goto no_memory;
    status = cli_trace_finish(load->trace, options->load.path, result);
    int64_t end_ns = intervals_end_ns(intervals), at_ns = options->at_ns;
    char first[16], last[16];
    bool late = at_ns > end_ns, empty = options->from_ns > 0 && options->from_ns >= end_ns;
    if (status == CLI_OK && (late || empty))
        status = cli_usage("the trace ends after %s, before %s %s", cli_duration(first, end_ns),
                           late ? "--at" : "--from", cli_duration(last, late ? at_ns : options->from_ns));
    intervals_close(intervals);
    return status;

no_memory:
    cli_error("%s: %s", options->load.path, strerror(ENOMEM));
    intervals_close(intervals);
    return CLI_MACHINE;
}

/* Stacks at which short file names are told apart; only these labels show any. */
static void stacks_look(const struct load *load)
{
    uint32_t count = gmpt_trace_stack_count(load->trace);
    for (uint32_t i = 1; i <= count; i++)
        place_look(load->places, i);
}

static int tally_run(const struct pprof_options *options, struct load *load, struct profile *profile,
                     struct pprof_totals *totals)
{
    struct stackmatch *match = stackmatch_open(load->trace, load->symbolizer);
    struct tally_options tally_options = {
        .type = options->type,
        .from_ns = options->from_ns,
        .to_ns = options->to_ns,
        .at_ns = options->at_ns,
        .filter = options->filter,
        .names = { .trace = load->trace, .function = stackmatch_function, .arg = match },
    };
    struct tally *tally = tally_open(&tally_options);
    struct texts texts = { .load = load };
    struct tally_texts tally_texts = { &texts, text_stack, text_creator, text_function };
    int status = CLI_OK;
    if (match && tally)
        status = tally_read(options, load, tally);
    if (status == CLI_OK && options->type->moment)
        stacks_look(load);
    if (!match || !tally || (status == CLI_OK && tally_fill(tally, load->trace, &tally_texts, profile))) {
        cli_error("there is not enough memory for the %s profile", type_name(options));
        status = CLI_MACHINE;
    }
    for (size_t i = 0; tally && i < options->type->value_count; i++)
        totals->values[i] = tally_total(tally, i);
    if (options->windowed) {
        int64_t end_ns = gmpt_trace_info(load->trace)->duration_ns;
        profile_window(profile, options->from_ns, options->to_ns < end_ns ? options->to_ns : end_ns);
    }
    tally_close(tally);
    stackmatch_close(match);
    return status;
}

/* ---- The file ---------------------------------------------------------------------------------------------------- */

/* Returns 0 or -errno. */
static int text_write(const struct pprof_options *options, struct profile *profile, int fd)
{
    const struct tally_type *type = options->type;
    const struct profile_type *types = type ? type->values : &leak_type;
    size_t shown = type ? type->shown : 0;
    int copy = dup(fd);
    FILE *file = copy >= 0 ? fdopen(copy, "w") : NULL;
    int result = file ? 0 : -errno;
    if (!file) {
        if (copy >= 0)
            close(copy);
        return result;
    }
    if (options->format == FORMAT_FOLDED)
        result = folded_write(profile, shown, file);
    else if (options->format == FORMAT_SPEEDSCOPE)
        result = speedscope_write(profile, type_name(options), types, type ? type->value_count : 1, shown, file);
    else
        result = toptable_write(profile, &types[shown], shown, file);
    errno = 0;
    bool failed = ferror(file);
    if (fclose(file) || failed)
        result = result ? result : errno ? -errno : -EIO;
    return result;
}

static int profile_put(const struct pprof_options *options, struct profile *profile, int fd)
{
    return options->format == FORMAT_PPROF ? profile_write(profile, fd) : text_write(options, profile, fd);
}

/* Writes beside path and renames, so that path is at all times either what it was or whole. Returns 0 or -errno. */
static int output_replace(const struct pprof_options *options, struct profile *profile)
{
    const char *path = options->output;
    char *part = NULL;
    int fd = -1, result;

    /* A link stays a link, to a new file. */
    char *target = realpath(path, NULL);
    if (asprintf(&part, "%s.XXXXXX", target ? target : path) < 0) {
        part = NULL;
        result = -ENOMEM;
        goto out;
    }
    fd = mkostemp(part, O_CLOEXEC);
    if (fd < 0) {
        result = -errno;
        goto out;
    }
    mode_t mask = umask(0);
    umask(mask);
    result = profile_put(options, profile, fd);
    if (!result && fchmod(fd, 0666 & ~mask))
        result = -errno;
    if (!result && fsync(fd) && errno != EINVAL)
        result = -errno;
    if (close(fd) && !result)
        result = -errno;
    if (!result && rename(part, target ? target : path))
        result = -errno;
    if (result)
        unlink(part);
out:
    free(part);
    free(target);
    return result;
}

static int output_write(const struct pprof_options *options, struct profile *profile)
{
    const char *path = options->output;
    struct stat status;
    if (strcmp(path, "-") == 0)
        return profile_put(options, profile, STDOUT_FILENO);
    if (stat(path, &status) || S_ISREG(status.st_mode))
        return output_replace(options, profile);
    /* /dev/null or a fifo must not be replaced by a file. */
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return -errno;
    int result = profile_put(options, profile, fd);
    if (close(fd) && !result)
        result = -errno;
    return result;
}

static bool is_same_file(const char *a, const char *b)
{
    struct stat of_a, of_b;
    return stat(a, &of_a) == 0 && stat(b, &of_b) == 0 && of_a.st_dev == of_b.st_dev && of_a.st_ino == of_b.st_ino;
}

/* "1,234 waits of 1.20 s" */
static const char *totals_text(char buffer[128], const struct pprof_options *options, const struct pprof_totals *totals)
{
    const struct tally_type *type = options->type;
    uint64_t first = type ? (uint64_t)totals->values[0] : totals->gs;
    char count[32], other[32];
    if (type && !type->noun)
        snprintf(buffer, 128, "%s", cli_duration(other, totals->values[0]));
    else if (!type || type->value_count == 1)
        snprintf(buffer, 128, "%s %s%s", cli_count(count, first), type ? type->noun : "suspected leak",
                 cli_plural(first));
    else if (strcmp(type->values[1].unit, "nanoseconds") == 0)
        snprintf(buffer, 128, "%s %s%s of %s", cli_count(count, first), type->noun, cli_plural(first),
                 cli_duration(other, totals->values[1]));
    else
        snprintf(buffer, 128, "%s %s%s of %s goroutines", cli_count(count, first), type->noun, cli_plural(first),
                 cli_count(other, (uint64_t)totals->values[1]));
    return buffer;
}

static void report(const struct pprof_options *options, const struct pprof_totals *totals)
{
    char what[128], samples[32];
    bool piped = strcmp(options->output, "-") == 0;
    if (piped && options->format != FORMAT_PPROF)
        return;
    fprintf(stderr, "[ gmptrace pprof: wrote %s in %s sample%s -> %s ]\n", totals_text(what, options, totals),
            cli_count(samples, totals->samples), cli_plural(totals->samples),
            piped ? "standard output" : options->output);
    if (!piped && totals->samples && options->format == FORMAT_PPROF)
        fprintf(stderr, "Look at it with: go tool pprof -top %s\n", options->output);
}

static struct profile *profile_make(const struct pprof_options *options, const struct load *load)
{
    const struct tally_type *type = options->type;
    struct profile *profile =
        type ? profile_open_types(load->trace, load->symbolizer, type->values, type->value_count, type->shown)
             : profile_open_types(load->trace, load->symbolizer, &leak_type, 1, 0);
    if (!profile)
        cli_error("there is not enough memory for the %s profile", type_name(options));
    return profile;
}

static int pprof_run(int argc, char **argv)
{
    struct pprof_options options;
    struct pprof_totals totals = { 0 };
    struct profile *profile = NULL;
    struct load load = { 0 };

    int status = options_read(&options, argc, argv);
    if (status != LOAD_GO_ON)
        goto out;
    if (is_same_file(options.output, options.load.path)) {
        status = cli_usage("the profile would take the place of the trace %s", options.load.path);
        goto out;
    }
    status = options.type ? load_prepare(&load, &options.load) : load_open(&load, &options.load);
    if (status != CLI_OK)
        goto out;

    profile = profile_make(&options, &load);
    if (!profile || (!options.type && leak_fill(&load, profile, &totals)))
        status = CLI_MACHINE;
    else if (options.type)
        status = tally_run(&options, &load, profile, &totals);
    if (status != CLI_OK)
        goto out;
    totals.samples = profile_sample_count(profile);
    int result = output_write(&options, profile);
    if (totals.samples)
        place_warn(load.places);
    if (result) {
        cli_error("cannot write %s: %s", strcmp(options.output, "-") == 0 ? "standard output" : options.output,
                  strerror(-result));
        status = CLI_MACHINE;
        goto out;
    }
    report(&options, &totals);
    if (!options.type && totals.gs == 0) {
        status = load_none_status(&load);
        if (status != CLI_OK)
            cli_error("%s: cannot tell whether goroutines leaked", options.load.path);
    }
out:
    profile_close(profile);
    load_close(&load);
    filter_free(options.filter);
    return status;
}

const struct cli_command command_pprof = {
    .name = "pprof",
    .summary = "what goroutines did, or what leaks, as a pprof profile",
    .help = "Usage: gmptrace pprof [FILE] [--type=T] [-o OUT] [--from T] [--to T] [--at T]\n"
            "                      [--filter EXPR] [--format=F] [--stuck T]\n"
            "Write a profile of the trace FILE (gmptrace.data), exact and not sampled but for\n"
            "cpu.\n"
            "\n"
            "  --type=goroutine  the goroutines that are alive at the end (the default)\n"
            "  --type=leak       those that look leaked\n"
            "  --type=block      waits for others: channels, locks, conditions and so on\n"
            "  --type=mutex      the waits for locks among these\n"
            "  --type=net        waits for the network\n"
            "  --type=sleep      sleeps\n"
            "  --type=syscall    blocking calls\n"
            "  --type=sched      ready to run, until they ran\n"
            "  --type=preempt    made to give way\n"
            "  --type=create     goroutines that were started\n"
            "  --type=steal      Ps that took goroutines from others\n"
            "  --type=offcpu     where their threads lost the CPU, as the kernel told\n"
            "  --type=runqueue   and waited for one though they could run\n"
            "  --type=kernel     the same, and where in the kernel they were\n"
            "  --type=wall       all time of all goroutines, by what they did\n"
            "  --type=cpu        what was executed, by the samples of record --sample\n"
            "  --from=T, --to=T  only what lies between; T is since the start, such as 1.5s\n"
            "  --at=T            with goroutine: those that are alive then\n"
            "  --filter=EXPR     only what EXPR chooses (below)\n"
            "  --format=FORMAT   pprof, folded (flame graphs), speedscope or text\n"
            "  --stuck=T         with leak: a wait of T or more is suspect (1s, or 20ms when\n"
            "                    the program ended by itself)\n"
            "  -o, --output=OUT  where to; '-' is standard output (TYPE.pb.gz; text goes to\n"
            "                    standard output)\n"
            "  -h, --help        this text\n"
            "      --version     which gmptrace this is\n"
            "\n"
            "A sample's stack is where its goroutines wait, call or were started; labels say\n"
            "why (wait_reason), their state, name and labels, and who created or woke them.\n"
            "\n"
            "EXPR compares with = != < > ~ (contains), and has and, or, not, parentheses:\n"
            "  label.tenant=acme and reason=chan_recv and dur>5ms\n"
            "Fields are g, parent, waker, p, dur, object, state, reason, name, function and\n"
            "label.KEY; man gmptrace-pprof says more.\n"
            "\n"
            "  go tool pprof -top block.pb.gz        functions\n"
            "  go tool pprof -traces leak.pb.gz      stacks with their labels\n"
            "  go tool pprof -http=: wall.pb.gz      graphs in a browser\n"
            "\n"
            "GMPT_DEBUG_PATH names one more directory to look in for separate debug files.\n"
            "\n"
            "Exit status: 0 written, samples or none; 2 wrong usage; 3 FILE cannot be used,\n"
            "or shows no leak but is damaged, cut off or lacks events; 4 not written.\n",
    .run = pprof_run,
};
