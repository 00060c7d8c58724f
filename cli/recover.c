/* gmptrace recover: finishes a recording whose recorder was killed, from the file as far as it came and the segment
 * that is still in tmpfs. The work is done by trace/recovery.c; here is what belongs to what, and where it goes. */
#define _GNU_SOURCE
#include "cli.h"
#include "segfile.h"
#include "target.h"
#include "unfinished.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- The list --------------------------------------------------------------------------------------------------- */

struct list {
    bool all;
    uint64_t count, in_use;
};

static int list_one(const char *path, int *fd, void *arg)
{
    struct list *list = arg;
    struct unfinished find;
    char name[PATH_MAX];
    if (!unfinished_look(&find, path, *fd))
        return 0;
    bool in_use = find.recorded || !find.left;
    list->in_use += in_use;
    if (in_use && !list->all)
        return 0;
    list->count++;
    unfinished_name(name, find.part);
    printf("%s\n  ", path);
    if (find.program)
        printf("program %d, ", (int)find.program);
    printf("recorder %d: ", (int)find.recorder);
    if (find.recorded)
        printf("being recorded; nothing to do\n");
    else if (!find.program)
        printf("%s\n", find.left ? "nothing was written to it; would be removed" : "the program has not begun");
    else if (!find.left)
        printf("the program runs on; can be recovered by its name\n");
    else if (find.part[0])
        printf("would be joined with %s into %s\n", find.part, name[0] ? name : CLI_DEFAULT_PATH);
    else
        printf("would be written to " CLI_DEFAULT_PATH "\n");
    return 0;
}

static int list_run(bool all)
{
    struct list list = { .all = all };
    segfile_each(list_one, &list);
    if (list.count == 0)
        printf("nothing to recover%s\n", list.in_use ? "; `gmptrace recover --list` shows what is in use" : "");
    else if (!all)
        printf("\n`gmptrace recover FILE` does so for one of them.\n");
    return cli_flush(CLI_OK);
}

/* ---- Which one -------------------------------------------------------------------------------------------------- */

struct wanted {
    pid_t pid;        /* of the program or of the recorder; or 0 */
    const char *part; /* with links resolved; or NULL */
    struct unfinished *find;
};

/* The one that is left goes before one that is in use, which another process with the same number may have. */
static int wanted_look(const char *path, int *fd, void *arg)
{
    struct wanted *wanted = arg;
    struct unfinished find;
    char resolved[PATH_MAX];
    if (!unfinished_look(&find, path, *fd))
        return 0;
    if (wanted->pid && find.program != wanted->pid && find.recorder != wanted->pid)
        return 0;
    if (wanted->part && !find.part[0] && unfinished_part_recorder(wanted->part) == find.recorder)
        strcpy(find.part, wanted->part); /* its recorder had not come to say so */
    if (wanted->part && (!realpath(find.part, resolved) || strcmp(resolved, wanted->part) != 0))
        return 0;
    if (wanted->find->fd >= 0 && !find.left)
        return 0;
    if (wanted->find->fd >= 0)
        close(wanted->find->fd);
    *fd = -1;
    *wanted->find = find;
    return find.left;
}

/* Returns 0 or an exit status, having said why. The memory of a program that was attached to has no name: it is found
 * as for attaching, while the program runs. */
static int find_by_pid(struct unfinished *find, pid_t pid)
{
    struct wanted wanted = { .pid = pid, .find = find };
    segfile_each(wanted_look, &wanted);
    if (find->fd >= 0)
        return CLI_OK;
    if (kill(pid, 0) == 0 || errno == EPERM) {
        struct target target;
        int status = target_open(&target, pid);
        if (status)
            return status;
        if (unfinished_look_target(find, &target))
            return CLI_OK;
        target_close(&target);
    }
    cli_error("no shared memory of process %d is left; `gmptrace recover --list` shows what there is", (int)pid);
    return CLI_USAGE;
}

static int find_by_path(struct unfinished *find, const char *path)
{
    char resolved[PATH_MAX];
    pid_t recorder;
    int fd = -1;
    if (segfile_name(path, &recorder) && (fd = segfile_open(path)) >= 0) {
        if (unfinished_look(find, path, fd))
            return CLI_OK;
        close(fd);
        cli_error("'%s' is not shared memory of a program that this gmptrace can read", path);
        return CLI_INPUT;
    }
    if (!realpath(path, resolved)) {
        cli_error("cannot read '%s': %s", path, strerror(errno));
        return CLI_INPUT;
    }
    struct wanted wanted = { .part = resolved, .find = find };
    segfile_each(wanted_look, &wanted);
    if (find->fd >= 0)
        return CLI_OK;
    cli_error("no shared memory that belongs to '%s' is left, so there is nothing to add to it; "
              "it can be read as it is, for example by gmptrace analyze",
              path);
    return CLI_INPUT;
}

/* ---- Doing it --------------------------------------------------------------------------------------------------- */

static int recover_one(const struct unfinished *find, const char *path)
{
    if (find->recorded) {
        cli_error("process %d is being recorded: nothing to recover", (int)find->program);
        return CLI_USAGE;
    }
    if (!find->program && !find->left) {
        cli_error("the program of '%s' has not begun to write to it", find->path);
        return CLI_USAGE;
    }
    return unfinished_recover(find, path, "recover");
}

static int recover_run(int argc, char **argv)
{
    static const struct option options[] = {
        { "list", no_argument, NULL, 'l' },
        { "output", required_argument, NULL, 'o' },
        { "pid", required_argument, NULL, 'p' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    const char *path = NULL;
    bool list = false;
    long pid = 0;
    char *end;
    int option;
    optind = 0;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":lo:p:h", options, NULL)) >= 0) {
        switch (option) {
        case 'l':
            list = true;
            break;
        case 'o':
            path = optarg;
            break;
        case 'p':
            errno = 0;
            pid = strtol(optarg, &end, 10);
            if (errno || *end || end == optarg || pid <= 0 || pid > INT32_MAX)
                return cli_usage("'%s' is no process id", optarg);
            break;
        default:
            return cli_option_common(option, argv);
        }
    }
    if (argc - optind > 1 || (argc > optind && pid))
        return cli_usage("one recording at a time");
    bool chosen = argc > optind || pid;
    if (list && (chosen || path))
        return cli_usage("--list goes alone");
    if (path && !chosen)
        return cli_usage("which one is to be recovered?");
    if (path && (!*path || strcmp(path, "-") == 0))
        return cli_usage("the output must be a file");
    signal(SIGIO, SIG_IGN); /* of a lease that somebody else's open breaks */
    if (!chosen)
        return list_run(list);
    signal(SIGXFSZ, SIG_IGN);
    struct unfinished find = { .fd = -1 };
    int status = pid ? find_by_pid(&find, (pid_t)pid) : find_by_path(&find, argv[optind]);
    if (status)
        return status;
    status = recover_one(&find, path);
    close(find.fd);
    return status;
}

const struct cli_command command_recover = {
    .name = "recover",
    .summary = "finish a recording whose recorder was killed",
    .help = "Usage: gmptrace recover [--list]\n"
            "       gmptrace recover [-o FILE] SEGMENT | PART | --pid PID\n"
            "\n"
            "When a program and the recorder that started it are both killed, everything the\n"
            "program recorded is still there: in the recorder's file FILE.PID.part and in\n"
            "memory (gmptrace.PID.* in $XDG_RUNTIME_DIR or /dev/shm). This joins them into\n"
            "FILE, and then removes both. Without arguments it lists what there is to do.\n"
            "\n"
            "  SEGMENT            the file in memory\n"
            "  PART               the recorder's file\n"
            "  -p, --pid PID      by the process id of the program or of the recorder\n"
            "  -o, --output FILE  where to (default: the recorder's FILE)\n"
            "  -l, --list         list also those that are in use\n"
            "  -h, --help         this text\n"
            "\n"
            "Exit status: 0; 2 wrong usage, or it is being recorded; 3 nothing left to recover\n"
            "it from, or files that do not belong together; 4 the output cannot be written.\n",
    .run = recover_run,
};
