/* gmptrace recover: finishes a recording whose recorder was killed, from the file as far as it came and the segment
 * that is still in tmpfs. The work is done by trace/recovery.c; here is what belongs to what, and where it goes. */
#define _GNU_SOURCE
#include "cli.h"
#include "outfile.h"
#include "segfile.h"

#include "trace/recovery.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_PATH "gmptrace.data"

/* What is known of a segment before it is touched. */
struct find {
    char path[PATH_MAX];
    int fd;
    pid_t recorder, program; /* program 0: it never began */
    bool recorded;           /* a recorder has the lock */
    bool left;               /* nobody has it open */
    char part[PATH_MAX];     /* "" = not known */
};

/* Fills it but for fd; false when it is no segment at all. */
static bool find_look(struct find *find, const char *path, int fd)
{
    struct segment segment;
    const char *why;
    int length = snprintf(find->path, sizeof find->path, "%s", path);
    if (length >= (int)sizeof find->path || !segfile_name(path, &find->recorder))
        return false;
    find->program = 0;
    find->part[0] = 0;
    find->recorded = segment_is_locked(fd);
    find->left = segfile_is_left(fd);
    int result = segment_open(&segment, fd, &why);
    if (result)
        return result == -EAGAIN;
    segment_guard(&segment);
    const char *output = segment.header->output;
    size_t bytes = strnlen(output, SEGMENT_OUTPUT_BYTES);
    if (bytes < SEGMENT_OUTPUT_BYTES && output[0] == '/')
        memcpy(find->part, output, bytes + 1);
    find->program = (pid_t)segment.pid;
    segment_close(&segment);
    return true;
}

/* The PID of PATH.PID.part, and how long PATH is; 0 when it has another form. */
static pid_t part_name(const char *part, size_t *length)
{
    size_t bytes = strlen(part), suffix = strlen(".part");
    if (bytes <= suffix || strcmp(part + bytes - suffix, ".part") != 0)
        return 0;
    const char *end = part + bytes - suffix, *dot = end;
    while (dot > part && dot[-1] >= '0' && dot[-1] <= '9')
        dot--;
    if (dot == end || dot - part < 2 || dot[-1] != '.' || dot[-2] == '/')
        return 0;
    *length = (size_t)(dot - 1 - part);
    return (pid_t)strtol(dot, NULL, 10);
}

static pid_t part_recorder(const char *part)
{
    size_t length;
    return part_name(part, &length);
}

/* PATH of PATH.PID.part; "" when it has another form. */
static void final_name(char name[PATH_MAX], const char *part)
{
    size_t length = 0;
    if (part_name(part, &length))
        memcpy(name, part, length);
    name[length] = 0;
}

/* ---- The list --------------------------------------------------------------------------------------------------- */

struct list {
    bool all;
    uint64_t count, in_use;
};

static int list_one(const char *path, int *fd, void *arg)
{
    struct list *list = arg;
    struct find find;
    char name[PATH_MAX];
    if (!find_look(&find, path, *fd))
        return 0;
    bool in_use = find.recorded || !find.left;
    list->in_use += in_use;
    if (in_use && !list->all)
        return 0;
    list->count++;
    final_name(name, find.part);
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
        printf("would be joined with %s into %s\n", find.part, name[0] ? name : DEFAULT_PATH);
    else
        printf("would be written to " DEFAULT_PATH "\n");
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
    struct find *find;
};

/* The one that is left goes before one that is in use, which another process with the same number may have. */
static int wanted_look(const char *path, int *fd, void *arg)
{
    struct wanted *wanted = arg;
    struct find find;
    char resolved[PATH_MAX];
    if (!find_look(&find, path, *fd))
        return 0;
    if (wanted->pid && find.program != wanted->pid && find.recorder != wanted->pid)
        return 0;
    if (wanted->part && !find.part[0] && part_recorder(wanted->part) == find.recorder)
        strcpy(find.part, wanted->part); /* its recorder had not come to say so */
    if (wanted->part && (!realpath(find.part, resolved) || strcmp(resolved, wanted->part) != 0))
        return 0;
    if (wanted->find->fd >= 0 && !find.left)
        return 0;
    if (wanted->find->fd >= 0)
        close(wanted->find->fd);
    find.fd = *fd;
    *fd = -1;
    *wanted->find = find;
    return find.left;
}

/* Returns 0 or an exit status, having said why. */
static int find_by_pid(struct find *find, pid_t pid)
{
    struct wanted wanted = { .pid = pid, .find = find };
    segfile_each(wanted_look, &wanted);
    if (find->fd >= 0)
        return CLI_OK;
    cli_error("no shared memory of process %d is left; `gmptrace recover --list` shows what there is", (int)pid);
    return CLI_USAGE;
}

static int find_by_path(struct find *find, const char *path)
{
    char resolved[PATH_MAX];
    pid_t recorder;
    int fd = -1;
    if (segfile_name(path, &recorder) && (fd = segfile_open(path)) >= 0) {
        if (find_look(find, path, fd)) {
            find->fd = fd;
            return CLI_OK;
        }
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

static void directory_sync(const char *path)
{
    char copy[PATH_MAX];
    snprintf(copy, sizeof copy, "%s", path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

static void result_say(const struct recovery *recovery, const char *path)
{
    char all[32], added[32], lost[32], dropped[32];
    if (recovery->drained.damaged)
        cli_error(
            "the program's shared memory does not hold together in %llu places, the first: %s; %s events left out",
            (unsigned long long)recovery->drained.damaged, recovery->damage,
            cli_count(dropped, recovery->drained.dropped));
    if (recovery->unfinished)
        cli_error("the recorder was killed while it attached; not all goroutines are known");
    fprintf(stderr, "[ gmptrace recover: %s events, %s of them recovered, %s lost -> %s ]\n",
            cli_count(all, recovery->events), cli_count(added, recovery->recovered),
            cli_count(lost, recovery->drained.lost), path);
}

/* The result is safe: what it was made of can go. */
static void sources_remove(const struct find *find, const char *part)
{
    if (part && unlink(part) < 0 && errno != ENOENT)
        cli_error("cannot remove '%s': %s", part, strerror(errno));
    if (unlink(find->path) < 0 && errno != ENOENT)
        cli_error("cannot remove '%s': %s", find->path, strerror(errno));
}

/* Writes one file, and gives it its name. */
static int file_recover(const struct find *find, const char *part, const char *path, struct recovery *recovery)
{
    struct outfile file;
    const char *why;
    int status = CLI_OK, result = outfile_open(&file, path);
    if (result) {
        cli_error("cannot write '%s': %s", path, strerror(-result));
        return CLI_MACHINE;
    }
    int sync_fd = fcntl(file.fd, F_DUPFD_CLOEXEC, 0);
    recovery->segment_fd = find->fd;
    recovery->part_path = part;
    recovery->out_fd = file.fd;
    recovery->ended = find->left;
    result = recovery_run(recovery, &why);
    if (result && why) {
        close(file.fd);
        cli_error("cannot recover '%s': %s", find->path, why);
        status = result == -EBUSY ? CLI_USAGE : result == -ENOMEM ? CLI_MACHINE : CLI_INPUT;
    } else if (result || sync_fd < 0 || (fsync(sync_fd) < 0 && errno != EINVAL)) {
        cli_error("cannot write '%s': %s; nothing was removed", path, strerror(result ? -result : errno));
        status = CLI_MACHINE;
    }
    if (status) {
        outfile_drop(&file);
    } else if ((result = outfile_keep(&file))) {
        cli_error("cannot rename the recording to '%s': %s; it is in '%s'", path, strerror(-result), file.part_path);
        status = CLI_MACHINE;
    } else {
        directory_sync(path);
        if (file.old_path)
            fprintf(stderr, "[ gmptrace recover: the earlier %s is now %s%s ]\n", path, file.old_path,
                    file.old_replaced ? ", instead of an older one" : "");
        result_say(recovery, path);
    }
    if (sync_fd >= 0)
        close(sync_fd);
    outfile_close(&file);
    return status;
}

static int recover_to(const struct find *find, const char *path)
{
    struct stat st;
    const char *part = find->part[0] && stat(find->part, &st) == 0 && S_ISREG(st.st_mode) ? find->part : NULL;
    if (find->part[0] && !part)
        cli_error("'%s', which the recorder wrote, is not there: only what it had not yet written is recovered",
                  find->part);
    struct recovery recovery = { 0 };
    int status = file_recover(find, part, path, &recovery);
    if (status == CLI_OK && recovery.more) { /* the recorder was about to go on in another file */
        struct recovery rest = { .rest = true };
        char *name;
        if (asprintf(&name, "%s.rest", path) < 0) {
            cli_error("out of memory");
            return CLI_MACHINE;
        }
        status = file_recover(find, NULL, name, &rest);
        free(name);
    }
    if (status == CLI_OK)
        sources_remove(find, part);
    return status;
}

static int recover_one(const struct find *find, const char *path)
{
    char name[PATH_MAX];
    if (find->recorded) {
        cli_error("'%s' is being recorded: nothing to recover", find->path);
        return CLI_USAGE;
    }
    if (!find->program) {
        if (!find->left) {
            cli_error("the program of '%s' has not begun to write to it", find->path);
            return CLI_USAGE;
        }
        sources_remove(find, NULL);
        fprintf(stderr, "[ gmptrace recover: nothing was written to %s; removed ]\n", find->path);
        return CLI_OK;
    }
    final_name(name, find->part);
    return recover_to(find, path ? path : name[0] ? name : DEFAULT_PATH);
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
        case 'h':
            fputs(cli_current->help, stdout);
            return cli_flush(CLI_OK);
        default:
            return cli_usage_option(option, argv);
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
    struct find find = { .fd = -1 };
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
