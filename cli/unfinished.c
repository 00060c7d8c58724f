/* See unfinished.h. */
#define _GNU_SOURCE
#include "unfinished.h"

#include "cli.h"
#include "outfile.h"
#include "segfile.h"
#include "target.h"

#include "trace/recovery.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool unfinished_look(struct unfinished *unfinished, const char *path, int fd)
{
    struct segment segment;
    const char *why;
    *unfinished = (struct unfinished){ .fd = fd };
    int length = snprintf(unfinished->path, sizeof unfinished->path, "%s", path);
    if (length >= (int)sizeof unfinished->path || (*path && !segfile_name(path, &unfinished->recorder)))
        return false;
    unfinished->recorded = segment_is_locked(fd);
    unfinished->left = segfile_is_left(fd);
    int result = segment_open(&segment, fd, &why);
    if (result)
        return result == -EAGAIN;
    segment_guard(&segment);
    const char *output = segment.header->output;
    size_t bytes = strnlen(output, SEGMENT_OUTPUT_BYTES);
    if (bytes < SEGMENT_OUTPUT_BYTES && output[0] == '/')
        memcpy(unfinished->part, output, bytes + 1);
    unfinished->program = (pid_t)segment.pid;
    segment_close(&segment);
    return true;
}

/* What the target says of a file is believed of our own programs only, since it will be removed. */
bool unfinished_look_target(struct unfinished *unfinished, const struct target *target)
{
    char link[48], path[PATH_MAX] = "";
    struct stat segment, part;
    pid_t recorder;
    snprintf(link, sizeof link, "/proc/self/fd/%d", target->segment_fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length > 0 ? length : 0] = 0;
    if (!segfile_name(path, &recorder) || access(path, F_OK))
        path[0] = 0;
    if (fstat(target->segment_fd, &segment) || segment.st_uid != geteuid() ||
        !unfinished_look(unfinished, path, target->segment_fd) || !unfinished->program)
        return false;
    unfinished->left = false;
    if (unfinished->recorded)
        return true;
    return unfinished_part_recorder(unfinished->part) && lstat(unfinished->part, &part) == 0 && S_ISREG(part.st_mode) &&
           part.st_uid == geteuid();
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

pid_t unfinished_part_recorder(const char *part)
{
    size_t length;
    return part_name(part, &length);
}

void unfinished_name(char name[PATH_MAX], const char *part)
{
    size_t length = 0;
    if (part_name(part, &length))
        memcpy(name, part, length);
    name[length] = 0;
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

static void result_say(const struct recovery *recovery, const char *path, const char *who)
{
    char all[32], added[32], lost[32], dropped[32];
    if (recovery->drained.damaged)
        cli_error(
            "the program's shared memory does not hold together in %llu places, the first: %s; %s events left out",
            (unsigned long long)recovery->drained.damaged, recovery->damage,
            cli_count(dropped, recovery->drained.dropped));
    if (recovery->unfinished)
        cli_error("the recorder was killed while it attached; not all goroutines are known");
    fprintf(stderr, "[ gmptrace %s: %s events, %s of them recovered, %s lost -> %s ]\n", who,
            cli_count(all, recovery->events), cli_count(added, recovery->recovered),
            cli_count(lost, recovery->drained.lost), path);
}

/* Writes one file, and gives it its name. */
static int file_recover(const struct unfinished *unfinished, const char *part, const char *path, const char *who,
                        struct recovery *recovery)
{
    struct outfile file;
    const char *why, *segment = unfinished->path[0] ? unfinished->path : "its shared memory";
    int status = CLI_OK, result = outfile_open(&file, path);
    if (result) {
        cli_error("cannot write '%s': %s", path, strerror(-result));
        return CLI_MACHINE;
    }
    int sync_fd = fcntl(file.fd, F_DUPFD_CLOEXEC, 0);
    recovery->segment_fd = unfinished->fd;
    recovery->part_path = part;
    recovery->out_fd = file.fd;
    recovery->ended = unfinished->left;
    result = recovery_run(recovery, &why);
    if (result && why) {
        close(file.fd);
        cli_error("cannot recover '%s': %s", segment, why);
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
            fprintf(stderr, "[ gmptrace %s: the earlier %s is now %s%s ]\n", who, path, file.old_path,
                    file.old_replaced ? ", instead of an older one" : "");
        result_say(recovery, path, who);
    }
    if (sync_fd >= 0)
        close(sync_fd);
    outfile_close(&file);
    return status;
}

/* The result is safe: what it was made of can go. */
static void sources_remove(const struct unfinished *unfinished, const char *part)
{
    if (part && unlink(part) < 0 && errno != ENOENT)
        cli_error("cannot remove '%s': %s", part, strerror(errno));
    if (unfinished->path[0] && unlink(unfinished->path) < 0 && errno != ENOENT)
        cli_error("cannot remove '%s': %s", unfinished->path, strerror(errno));
}

int unfinished_recover(const struct unfinished *unfinished, const char *path, const char *who)
{
    char name[PATH_MAX];
    struct stat st;
    if (!unfinished->program) {
        sources_remove(unfinished, NULL);
        fprintf(stderr, "[ gmptrace %s: nothing was written to %s; removed ]\n", who, unfinished->path);
        return CLI_OK;
    }
    unfinished_name(name, unfinished->part);
    if (!path)
        path = name[0] ? name : CLI_DEFAULT_PATH;
    const char *part =
        unfinished->part[0] && stat(unfinished->part, &st) == 0 && S_ISREG(st.st_mode) ? unfinished->part : NULL;
    if (unfinished->part[0] && !part)
        cli_error("'%s', which the recorder wrote, is not there: only what it had not yet written is recovered",
                  unfinished->part);
    struct recovery recovery = { 0 };
    int status = file_recover(unfinished, part, path, who, &recovery);
    if (status == CLI_OK && recovery.more) { /* the recorder was about to go on in another file */
        struct recovery rest = { .rest = true };
        char *rest_path;
        if (asprintf(&rest_path, "%s.rest", path) < 0) {
            cli_error("out of memory");
            return CLI_MACHINE;
        }
        status = file_recover(unfinished, NULL, rest_path, who, &rest);
        free(rest_path);
    }
    if (status == CLI_OK)
        sources_remove(unfinished, part);
    return status;
}
