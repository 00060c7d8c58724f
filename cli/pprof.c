/* gmptrace pprof: the Gs at the end of a trace, or the suspected leaks among them, as a profile for pprof. */
#define _GNU_SOURCE
#include "cli.h"
#include "load.h"
#include "place.h"

#include "pprof/profile.h"

#include <gmptrace/gmpt.h>

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct pprof_options {
    struct load_options load;
    bool leak;          /* else all Gs */
    const char *output; /* "-" = standard output */
};

struct pprof_totals {
    uint64_t gs;
    size_t samples;
};

static const char *type_name(const struct pprof_options *options) { return options->leak ? "leak" : "goroutine"; }

static int type_read(struct pprof_options *options, const char *type)
{
    options->leak = strcmp(type, "leak") == 0;
    if (!options->leak && strcmp(type, "goroutine") != 0)
        return cli_usage("--type is goroutine or leak, not '%s'", type);
    return LOAD_GO_ON;
}

/* Returns LOAD_GO_ON, or the status to exit with. */
static int options_read(struct pprof_options *options, int argc, char **argv)
{
    static const struct option longs[] = {
        { "type", required_argument, NULL, 't' },  { "output", required_argument, NULL, 'o' },
        { "stuck", required_argument, NULL, 's' }, { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },     { NULL, 0, NULL, 0 },
    };
    *options = (struct pprof_options){ .load = { .path = LOAD_DEFAULT_PATH, .stuck_ns = SUMMARY_STUCK_BY_END } };
    optind = 0;
    opterr = 0;
    for (int option, status; (option = getopt_long(argc, argv, ":ho:", longs, NULL)) != -1;) {
        switch (option) {
        case 't':
            status = type_read(options, optarg);
            if (status != LOAD_GO_ON)
                return status;
            break;
        case 'o':
            options->output = optarg;
            break;
        case 's':
            if (cli_parse_duration(optarg, &options->load.stuck_ns))
                return cli_usage("--stuck takes a time such as 500ms, 2s or 1m, not '%s'", optarg);
            break;
        case 'h':
            fputs(command_pprof.help, stdout);
            return cli_flush(CLI_OK);
        case 'V':
            puts("gmptrace " GMPT_VERSION);
            return cli_flush(CLI_OK);
        default:
            return cli_usage_option(option, argv);
        }
    }
    if (optind < argc)
        options->load.path = argv[optind++];
    if (optind < argc)
        return cli_usage("one FILE at a time, not also '%s'", argv[optind]);
    if (!options->output)
        options->output = options->leak ? "leak.pb.gz" : "goroutine.pb.gz";
    if (!*options->output)
        return cli_usage("-o needs the name of a file");
    if (strcmp(options->output, "-") == 0 && isatty(STDOUT_FILENO))
        return cli_usage("a profile is binary and will not be written to a terminal; give -o FILE");
    return LOAD_GO_ON;
}

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

static int profile_fill(const struct load *load, struct profile *profile, bool leak, struct pprof_totals *totals)
{
    size_t count;
    const struct summary_group *groups = summary_groups(load->summary, &count);
    for (size_t i = 0; i < count; i++)
        place_look(load->places, groups[i].create_stack);
    for (size_t i = 0; i < count; i++) {
        if (leak && groups[i].verdict == SUMMARY_NONE)
            continue;
        if (group_add(load, profile, &groups[i]))
            return -ENOMEM;
        totals->gs += groups[i].count;
    }
    totals->samples = profile_sample_count(profile);
    return 0;
}

/* Writes beside path and renames, so that path is at all times either what it was or whole. Returns 0 or -errno. */
static int output_replace(struct profile *profile, const char *path)
{
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
    result = profile_write(profile, fd);
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

static int output_write(struct profile *profile, const char *path)
{
    struct stat status;
    if (strcmp(path, "-") == 0)
        return profile_write(profile, STDOUT_FILENO);
    if (stat(path, &status) || S_ISREG(status.st_mode))
        return output_replace(profile, path);
    /* /dev/null or a fifo must not be replaced by a file. */
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return -errno;
    int result = profile_write(profile, fd);
    if (close(fd) && !result)
        result = -errno;
    return result;
}

static bool is_same_file(const char *a, const char *b)
{
    struct stat of_a, of_b;
    return stat(a, &of_a) == 0 && stat(b, &of_b) == 0 && of_a.st_dev == of_b.st_dev && of_a.st_ino == of_b.st_ino;
}

static void report(const struct pprof_options *options, const struct pprof_totals *totals)
{
    char gs[32], samples[32];
    bool piped = strcmp(options->output, "-") == 0;
    fprintf(stderr, "[ gmptrace pprof: wrote %s %s%s in %s sample%s -> %s ]\n", cli_count(gs, totals->gs),
            options->leak ? "suspected leak" : "goroutine", cli_plural(totals->gs), cli_count(samples, totals->samples),
            cli_plural(totals->samples), piped ? "standard output" : options->output);
    if (!piped && totals->samples)
        fprintf(stderr, "Look at it with: go tool pprof -top %s\n", options->output);
}

static int pprof_run(int argc, char **argv)
{
    struct pprof_options options;
    struct pprof_totals totals = { 0 };
    struct profile *profile = NULL;
    struct load load;

    int status = options_read(&options, argc, argv);
    if (status != LOAD_GO_ON)
        return status;
    if (is_same_file(options.output, options.load.path))
        return cli_usage("the profile would take the place of the trace %s", options.load.path);
    status = load_open(&load, &options.load);
    if (status != CLI_OK)
        goto out;

    profile = profile_open(load.trace, load.symbolizer, options.leak ? "goroutineleak" : "goroutine", "count");
    if (!profile || profile_fill(&load, profile, options.leak, &totals)) {
        cli_error("there is not enough memory for the %s profile", type_name(&options));
        status = CLI_MACHINE;
        goto out;
    }
    int result = output_write(profile, options.output);
    if (totals.samples)
        place_warn(load.places);
    if (result) {
        cli_error("cannot write %s: %s", strcmp(options.output, "-") == 0 ? "standard output" : options.output,
                  strerror(-result));
        status = CLI_MACHINE;
        goto out;
    }
    report(&options, &totals);
    if (options.leak && totals.gs == 0) {
        status = load_none_status(&load);
        if (status != CLI_OK)
            cli_error("%s: cannot tell whether goroutines leaked", options.load.path);
    }
out:
    profile_close(profile);
    load_close(&load);
    return status;
}

const struct cli_command command_pprof = {
    .name = "pprof",
    .summary = "goroutines or suspected leaks as a pprof profile",
    .help = "Usage: gmptrace pprof [FILE] [--type=goroutine|leak] [--stuck T] [-o OUT.pb.gz]\n"
            "Write what the trace FILE (gmptrace.data) says of its end as a profile for\n"
            "pprof.\n"
            "\n"
            "  --type=goroutine  all goroutines that are alive then (the default)\n"
            "  --type=leak       those that look leaked\n"
            "  --stuck=T         with leak: a wait of T or more is suspect (1s, or 20ms when\n"
            "                    the program ended by itself)\n"
            "  -o, --output=OUT  where to; '-' is standard output (TYPE.pb.gz)\n"
            "  -h, --help        this text\n"
            "      --version     which gmptrace this is\n"
            "\n"
            "A sample's stack is where its goroutines wait; labels say who created them\n"
            "(created_by), why they wait (wait_reason) and their state.\n"
            "\n"
            "  go tool pprof -top leak.pb.gz         functions\n"
            "  go tool pprof -traces leak.pb.gz      stacks with their labels\n"
            "  go tool pprof -http=: leak.pb.gz      graphs in a browser\n"
            "\n"
            "GMPT_DEBUG_PATH names one more directory to look in for separate debug files.\n"
            "\n"
            "Exit status: 0 written, samples or none; 2 wrong usage; 3 FILE cannot be used,\n"
            "or shows no leak but is damaged, cut off or lacks events; 4 not written.\n",
    .run = pprof_run,
};
