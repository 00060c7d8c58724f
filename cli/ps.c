/* gmptrace ps: all goroutines at one moment, of a running program or of a trace: in groups of alike ones, one by one,
 * or as a tree of who started whom. */
#define _GNU_SOURCE
#include "cli.h"
#include "muster.h"
#include "musterprint.h"
#include "target.h"

#include "trace/look.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#define FUNCTION_COLUMNS 20
#define INDENT_MAX 24 /* of a tree, in columns */

enum view { VIEW_GROUPS, VIEW_STACKS, VIEW_LIST, VIEW_TREE };

struct ps_options {
    struct load_options load;
    pid_t pid;     /* 0 = a trace's */
    int64_t at_ns; /* -1 = at its end */
    struct filter *filter;
    enum view view;
    char live_path[32];
};

/* ---- Options ----------------------------------------------------------------------------------------------------- */

static int view_set(struct ps_options *options, enum view view)
{
    if (options->view != VIEW_GROUPS && options->view != view)
        return cli_usage("--stacks, --list and --tree exclude each other");
    options->view = view;
    return LOAD_GO_ON;
}

static int pid_read(struct ps_options *options, const char *text)
{
    options->pid = (pid_t)cli_parse_number(text);
    return options->pid > 0 ? LOAD_GO_ON : cli_usage("-p takes a process id, not '%s'", text);
}

static int option_read(struct ps_options *options, int option, char **argv)
{
    struct filter_error error;
    switch (option) {
    case 'p':
        return pid_read(options, optarg);
    case 'a':
        if (cli_parse_duration(optarg, &options->at_ns))
            return cli_usage("--at takes a time since the trace's start, such as 500ms, 2s or 1m, not '%s'", optarg);
        return LOAD_GO_ON;
    case 'F':
        filter_free(options->filter);
        options->filter = filter_parse(optarg, &error);
        return options->filter ? LOAD_GO_ON : cli_usage("--filter, column %zu: %s", error.column, error.message);
    case 's':
        return view_set(options, VIEW_STACKS);
    case 'l':
        return view_set(options, VIEW_LIST);
    case 't':
        return view_set(options, VIEW_TREE);
    case 'j':
        options->load.json = true;
        return LOAD_GO_ON;
    default:
        return cli_option_common(option, argv);
    }
}

/* Returns LOAD_GO_ON, or the status to exit with; the filter is the caller's to free either way. */
static int options_read(struct ps_options *options, int argc, char **argv)
{
    static const struct option longs[] = {
        { "pid", required_argument, NULL, 'p' },    { "at", required_argument, NULL, 'a' },
        { "filter", required_argument, NULL, 'F' }, { "stacks", no_argument, NULL, 's' },
        { "list", no_argument, NULL, 'l' },         { "tree", no_argument, NULL, 't' },
        { "json", no_argument, NULL, 'j' },         { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },      { NULL, 0, NULL, 0 },
    };
    *options = (struct ps_options){ .at_ns = -1 };
    optind = 0;
    opterr = 0;
    for (int option, status; (option = getopt_long(argc, argv, ":hp:", longs, NULL)) != -1;)
        if ((status = option_read(options, option, argv)) != LOAD_GO_ON)
            return status;
    if (!cli_file_take(argc, argv, &options->load.path))
        return CLI_USAGE;
    if (options->pid && options->load.path)
        return cli_usage("-p PID looks at a running program, and FILE at a trace: one of the two");
    if (options->pid && options->at_ns >= 0)
        return cli_usage("--at goes with a trace; -p PID shows the program as it is now");
    if (!options->load.path)
        options->load.path = CLI_DEFAULT_PATH;
    return LOAD_GO_ON;
}

/* ---- The running program ----------------------------------------------------------------------------------------- */

/* Makes a trace of what the program does now, in memory, which options->load.path then names. */
static int look(struct ps_options *options, int *fd)
{
    struct target target;
    struct segment segment;
    const char *why;
    int status = target_open(&target, options->pid);
    if (status != CLI_OK)
        return status;
    int result = segment_open_look(&segment, target.segment_fd, &why);
    if (result == 0) {
        struct utsname machine = { 0 };
        uname(&machine);
        segment_guard(&segment);
        *fd = memfd_create("gmptrace ps", MFD_CLOEXEC);
        int out = *fd < 0 ? -1 : dup(*fd);
        result = out < 0 ? -errno : look_write(&segment, options->pid, NULL, target.command, machine.nodename, out);
        segment_close(&segment);
    }
    target_close(&target);
    if (result) {
        cli_error("cannot look at process %d: %s", (int)options->pid, why ? why : strerror(-result));
        return result == -EAGAIN || result == -EPROTO ? CLI_USAGE : CLI_MACHINE;
    }
    snprintf(options->live_path, sizeof options->live_path, "/proc/self/fd/%d", *fd);
    options->load.path = options->live_path;
    return CLI_OK;
}

/* ---- Words ------------------------------------------------------------------------------------------------------- */

/* The function of the wait is only named where it is not the G's own. */
static const char *at_words(const struct load *load, char buffer[PLACE_TEXT_BYTES], const struct muster_g *g,
                            const char *function)
{
    struct place_frame frames[PLACE_FRAMES_MAX];
    if (place_frames(load->places, g->at, frames) == 0)
        return "-";
    bool own = frames[0].function && strcmp(frames[0].function, function) == 0;
    return own ? place_of_frame(load->places, buffer, &frames[0]) : place_of_call(load->places, buffer, &frames[0]);
}

/* ---- Tables ------------------------------------------------------------------------------------------------------ */

/* What all tables have from the state on: state, age, function, where. */
static void columns_print(const struct load *load, const struct muster_g *g, int64_t age_ns, int used, int width)
{
    char state[64], age[16], function[PLACE_TEXT_BYTES], cut[CLI_COLUMNS * 4 + 1], at[PLACE_TEXT_BYTES];
    place_function(load->places, function, g->fn);
    printf("  %-16s  %8s  ", cli_text(state, sizeof state, muster_state_words(g), 16), muster_age_words(age, age_ns));
    printf("%-*s", width, cli_text(cut, sizeof cut, function, width));
    const char *where = at_words(load, at, g, function);
    printf("  %s\n", cli_text(cut, sizeof cut, where, CLI_COLUMNS - used - 32 - width));
}

static void groups_print(const struct load *load, const struct muster *muster)
{
    char count[32];
    if (muster->count)
        printf("\n    COUNT  STATE               OLDEST  %-*s  AT\n", FUNCTION_COLUMNS, "FUNCTION");
    for (size_t i = 0; i < muster->group_count; i++) {
        const struct muster_group *group = &muster->groups[i];
        printf("%9s", cli_count(count, group->count));
        columns_print(load, group->first, group->oldest_ns, 9, FUNCTION_COLUMNS);
    }
}

/* No more than the names take, since there is little room for the places. */
static int function_columns(const struct load *load, const struct muster *muster)
{
    size_t most = strlen("FUNCTION");
    for (size_t i = 0; i < muster->group_count && most < FUNCTION_COLUMNS; i++) {
        char function[PLACE_TEXT_BYTES];
        size_t columns = strlen(place_function(load->places, function, muster->groups[i].first->fn));
        most = columns > most ? columns : most;
    }
    return most < FUNCTION_COLUMNS ? (int)most : FUNCTION_COLUMNS;
}

static void list_print(const struct load *load, const struct muster *muster)
{
    int width = function_columns(load, muster);
    if (muster->count)
        printf("\n        G   PARENT  STATE                  AGE  %-*s  AT\n", width, "FUNCTION");
    for (size_t i = 0; i < muster->count; i++) {
        const struct muster_g *g = &muster->gs[i];
        printf("%9" PRIu64 "%9" PRIu64, g->id, g->parent);
        columns_print(load, g, g->age_ns, 18, width);
    }
}

/* ---- The tree ---------------------------------------------------------------------------------------------------- */

/* Gs by their parents, alike ones together. */
struct tree {
    const struct muster_g **by_parent, **by_id;
    bool *shown; /* by the order in by_id */
    size_t count;
};

#define ORDER(a, b) (((a) > (b)) - ((a) < (b)))

static int id_order(const void *left, const void *right)
{
    const struct muster_g *a = *(const struct muster_g *const *)left, *b = *(const struct muster_g *const *)right;
    return ORDER(a->id, b->id);
}

static int parent_order(const void *left, const void *right)
{
    const struct muster_g *a = *(const struct muster_g *const *)left, *b = *(const struct muster_g *const *)right;
    int order = ORDER(a->parent, b->parent);
    return order ? order : ORDER(a, b); /* which keeps groups together */
}

static size_t children_begin(const struct tree *tree, uint64_t parent)
{
    size_t low = 0, high = tree->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (tree->by_parent[middle]->parent < parent)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool has_children(const struct tree *tree, const struct muster_g *g)
{
    size_t at = children_begin(tree, g->id);
    return at < tree->count && tree->by_parent[at]->parent == g->id;
}

static bool *shown(const struct tree *tree, const struct muster_g *g)
{
    const struct muster_g **found = bsearch(&g, tree->by_id, tree->count, sizeof *tree->by_id, id_order);
    return &tree->shown[found - tree->by_id];
}

static bool alive(const struct tree *tree, uint64_t id)
{
    struct muster_g key = { .id = id };
    const struct muster_g *at = &key;
    return bsearch(&at, tree->by_id, tree->count, sizeof *tree->by_id, id_order) != NULL;
}

static void node_print(const struct load *load, const struct muster_g *g, size_t count, unsigned depth)
{
    char number[40], age[16], function[PLACE_TEXT_BYTES], cut[CLI_COLUMNS * 4 + 1], at[PLACE_TEXT_BYTES];
    char line[3 * PLACE_TEXT_BYTES], many[32], deep[32] = "";
    int indent = depth * 2 < INDENT_MAX ? (int)depth * 2 : INDENT_MAX;
    if (depth * 2 > INDENT_MAX)
        snprintf(deep, sizeof deep, "(%u deep) ", depth);
    if (count > 1)
        snprintf(number, sizeof number, "%s goroutines", cli_count(many, count));
    else
        snprintf(number, sizeof number, "G%" PRIu64, g->id);
    place_function(load->places, function, g->fn);
    const char *where = at_words(load, at, g, function);
    snprintf(line, sizeof line, "%s%s %s [%s%s%s]%s%s", deep, number, function, muster_state_words(g),
             g->age_ns >= 0 ? ", " : "", g->age_ns >= 0 ? muster_age_words(age, g->age_ns) : "",
             where[0] == '-' ? "" : " at ", where[0] == '-' ? "" : where);
    printf("%*s%s\n", indent, "", cli_text(cut, sizeof cut, line, CLI_COLUMNS - indent));
}

/* One walk from a G down, without recursion: a chain may be as long as there are Gs. Each level has where its next
 * child lies. */
struct walk {
    size_t *next;
    size_t depth, room;
};

static int walk_push(struct walk *walk, size_t next)
{
    if (walk->depth == walk->room) {
        size_t room = walk->room ? 2 * walk->room : 64, *grown = realloc(walk->next, room * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        walk->next = grown;
        walk->room = room;
    }
    walk->next[walk->depth++] = next;
    return 0;
}

/* Prints it, and those after it that are alike and have no children as it, in one line. Returns how many. */
static size_t node_take(const struct tree *tree, const struct load *load, size_t index, unsigned depth)
{
    const struct muster_g *g = tree->by_parent[index];
    size_t count = 1;
    *shown(tree, g) = true;
    if (!has_children(tree, g))
        for (; index + count < tree->count; count++) {
            const struct muster_g *other = tree->by_parent[index + count];
            if (other->parent != g->parent || !muster_same(g, other) || has_children(tree, other))
                break;
            *shown(tree, other) = true;
        }
    node_print(load, g, count, depth);
    return count;
}

static int subtree_print(const struct tree *tree, const struct load *load, struct walk *walk, size_t index)
{
    size_t taken = node_take(tree, load, index, 0);
    int result = taken > 1 ? 0 : walk_push(walk, children_begin(tree, tree->by_parent[index]->id));
    uint64_t parent = tree->by_parent[index]->id;
    while (result == 0 && walk->depth) {
        size_t *next = &walk->next[walk->depth - 1];
        if (*next >= tree->count || tree->by_parent[*next]->parent != parent) {
            if (--walk->depth)
                parent = tree->by_parent[walk->next[walk->depth - 1] - 1]->parent;
            continue;
        }
        size_t at = *next;
        const struct muster_g *g = tree->by_parent[at];
        bool again = *shown(tree, g); /* a trace may say that somebody started himself */
        taken = again ? 1 : node_take(tree, load, at, (unsigned)walk->depth);
        *next += taken;
        if (!again && taken == 1 && has_children(tree, g)) {
            parent = g->id;
            result = walk_push(walk, children_begin(tree, parent));
        }
    }
    return result;
}

static int tree_print(const struct load *load, const struct muster *muster)
{
    size_t count = muster->count;
    struct tree tree = {
        .by_parent = calloc(count + 1, sizeof *tree.by_parent),
        .by_id = calloc(count + 1, sizeof *tree.by_id),
        .shown = calloc(count + 1, sizeof *tree.shown),
        .count = count,
    };
    struct walk walk = { 0 };
    int result = -ENOMEM;
    if (!tree.by_parent || !tree.by_id || !tree.shown)
        goto out;
    for (size_t i = 0; i < count; i++)
        tree.by_parent[i] = tree.by_id[i] = &muster->gs[i];
    qsort(tree.by_parent, count, sizeof *tree.by_parent, parent_order);
    qsort(tree.by_id, count, sizeof *tree.by_id, id_order);
    if (count)
        putchar('\n');
    result = 0;
    /* First those whose parents are not there, then what a circle of parents left over. */
    for (int circles = 0; circles < 2 && result == 0; circles++)
        for (size_t i = 0; i < count && result == 0; i++) {
            const struct muster_g *g = tree.by_parent[i];
            if (!*shown(&tree, g) && (circles || !alive(&tree, g->parent)))
                result = subtree_print(&tree, load, &walk, i);
        }
out:
    free(walk.next);
    free(tree.by_parent);
    free(tree.by_id);
    free(tree.shown);
    return result;
}

/* ---- All of it --------------------------------------------------------------------------------------------------- */

/* How many events there are up to the moment asked for: once the next one is read, it has happened. */
static int events_until(const struct ps_options *options, uint64_t *count)
{
    struct gmpt_event event;
    *count = UINT64_MAX;
    if (options->at_ns < 0)
        return CLI_OK;
    struct gmpt_trace *trace = cli_trace_open(options->load.path);
    if (!trace)
        return CLI_INPUT;
    int result;
    for (*count = 0; (result = gmpt_trace_next(trace, &event)) > 0 && event.time_ns <= options->at_ns;)
        ++*count;
    if (result < 0)
        *count = UINT64_MAX; /* whoever reads it meets the fault too, and tells */
    int64_t end_ns = gmpt_trace_info(trace)->duration_ns;
    gmpt_trace_close(trace);
    char first[16], last[16];
    if (result == 0 && options->at_ns > end_ns)
        return cli_usage("the trace ends after %s, before --at %s", cli_duration(first, end_ns),
                         cli_duration(last, options->at_ns));
    return CLI_OK;
}

static int trace_read(const struct ps_options *options, struct load *load, int64_t *now_ns)
{
    struct gmpt_event event;
    uint64_t count;
    int result = 1, status = events_until(options, &count);
    if (status != CLI_OK)
        return status;
    for (uint64_t i = 0; i < count && (result = gmpt_trace_next(load->trace, &event)) > 0; i++)
        ;
    *now_ns = options->at_ns >= 0 ? options->at_ns : gmpt_trace_info(load->trace)->duration_ns;
    return result > 0 ? CLI_OK : cli_trace_finish(load->trace, options->load.path, result);
}

static void files_look(const struct load *load)
{
    uint32_t count = gmpt_trace_stack_count(load->trace);
    for (uint32_t i = 1; i <= count; i++)
        place_look(load->places, i);
}

static int show(const struct ps_options *options, const struct load *load, int64_t now_ns)
{
    struct muster muster;
    int result = muster_read(&muster, load, now_ns, options->filter, NULL, 0);
    if (result == 0) {
        files_look(load);
        if (options->load.json) {
            muster_json(load, &muster, now_ns, NULL, NULL);
        } else {
            muster_head_print(load, &muster);
            switch (options->view) {
            case VIEW_GROUPS:
                groups_print(load, &muster);
                break;
            case VIEW_STACKS:
                muster_stacks_print(load, &muster);
                break;
            case VIEW_LIST:
                list_print(load, &muster);
                break;
            case VIEW_TREE:
                result = tree_print(load, &muster);
                break;
            }
        }
    }
    muster_free(&muster);
    if (result == 0)
        return cli_flush(CLI_OK);
    cli_error("there is not enough memory for all goroutines");
    return CLI_MACHINE;
}

static int ps_run(int argc, char **argv)
{
    struct ps_options options;
    struct load load = { 0 };
    int64_t now_ns;
    int fd = -1, status = options_read(&options, argc, argv);
    if (status == LOAD_GO_ON)
        status = options.pid ? look(&options, &fd) : CLI_OK;
    else
        goto out;
    if (status == CLI_OK)
        status = load_prepare(&load, &options.load);
    if (status == CLI_OK)
        status = trace_read(&options, &load, &now_ns);
    if (status == CLI_OK) {
        status = show(&options, &load, now_ns);
        place_warn(load.places);
    }
out:
    load_close(&load);
    filter_free(options.filter);
    if (fd >= 0)
        close(fd);
    return status;
}

const struct cli_command command_ps = {
    .name = "ps",
    .summary = "the goroutines of a running program, or of a trace at a moment",
    .help = "Usage: gmptrace ps -p PID | [FILE] [--at T] [--filter EXPR]\n"
            "                  [--stacks | --list | --tree] [--json]\n"
            "Shows all goroutines of a running program, now, without stopping it or asking it\n"
            "for anything; or those of a trace at its end, or at T. Alike ones are together:\n"
            "of the same function, in the same state, at the same place.\n\n"
            "  -p, --pid PID   the process; it may hang, be stopped, or be recorded\n"
            "  --at T          500ms, 2s, 1m since the trace's start; without it, at its end\n"
            "  --filter EXPR   only what EXPR chooses, such as\n"
            "                  'state=waiting and dur>5s'; see gmptrace-pprof(1)\n"
            "  --stacks        groups with their stacks and where they were started\n"
            "  --list          each goroutine by itself\n"
            "  --tree          who started whom\n"
            "  --json          all of that as one JSON object; times in nanoseconds\n"
            "  --help          this text\n"
            "  --version       which gmptrace this is\n\n"
            "A running program's waits are as old as sysmon's last look at the clock says, up\n"
            "to 10 ms off. FILE is gmptrace.data by default.\n\n"
            "Exit status: 0 fine; 2 wrong usage, or no such program; 3 FILE cannot be used; 4\n"
            "the process may not be looked at, or the output cannot be written.\n",
    .run = ps_run,
};
