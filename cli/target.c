/* Finds the segment of a running program among its descriptors. See target.h. */
#define _GNU_SOURCE
#include "target.h"

#include "cli.h"
#include "segfile.h"

#include "trace/segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LINK_START "/memfd:" SEGMENT_NAME

static int refusal_say(pid_t pid, int error)
{
    if (error == ENOENT || error == ESRCH) {
        cli_error("there is no process %d", (int)pid);
        return CLI_USAGE;
    }
    if (error == EACCES || error == EPERM)
        cli_error("process %d may not be attached to: it is another user's, or has more rights than you; try as its "
                  "user, or as root",
                  (int)pid);
    else
        cli_error("cannot look into process %d: %s", (int)pid, strerror(error));
    return CLI_MACHINE;
}

/* The last number of the line NSpid, which is what the process itself takes for its id; or 0. */
static uint32_t own_pid(pid_t pid)
{
    char path[64], line[256];
    uint32_t own = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file)) {
        if (strncmp(line, "NSpid:", 6) != 0)
            continue;
        for (char *at = line + 6, *end; own = (uint32_t)strtoul(at, &end, 10), strspn(end, " \t\n") < strlen(end);)
            at = end;
        break;
    }
    if (file)
        fclose(file);
    return own;
}

/* A child keeps its parent's descriptors: the segment says whose it is. */
static bool segment_is_of(int fd, uint32_t pid)
{
    struct segment segment;
    const char *why;
    int result = segment_open(&segment, fd, &why);
    if (result)
        return true; /* what is wrong with it will be told when it is opened to be recorded */
    bool is = pid == 0 || segment.pid == pid;
    segment_close(&segment);
    return is;
}

/* Opens the segment, or returns -1 with errno, 0 when there is none. */
static int segment_find(pid_t pid)
{
    char path[64], link[PATH_MAX];
    pid_t recorder;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *dir = opendir(path);
    if (!dir)
        return -1;
    uint32_t own = own_pid(pid);
    int found = -1, error = 0;
    for (struct dirent *entry; found < 0 && (entry = readdir(dir));) {
        ssize_t length = readlinkat(dirfd(dir), entry->d_name, link, sizeof link - 1);
        if (length <= 0)
            continue;
        link[length] = 0;
        if (strncmp(link, LINK_START, strlen(LINK_START)) != 0 && !segfile_name(link, &recorder))
            continue; /* neither its own nor one that a recorder made for it */
        found = openat(dirfd(dir), entry->d_name, O_RDWR | O_CLOEXEC);
        if (found < 0) {
            error = errno;
        } else if (!segment_is_of(found, own)) {
            close(found);
            found = -1;
        }
    }
    closedir(dir);
    errno = error;
    return found;
}

static void command_read(struct target *target)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)target->pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? 0 : read(fd, target->command, sizeof target->command - 1);
    if (fd >= 0)
        close(fd);
    if (length < 0)
        length = 0;
    while (length > 0 && !target->command[length - 1])
        length--;
    target->command[length] = 0;
    for (ssize_t i = 0; i < length; i++)
        if ((unsigned char)target->command[i] < ' ' || target->command[i] == 127)
            target->command[i] = ' ';
}

int target_open(struct target *target, pid_t pid)
{
    *target = (struct target){ .pid = pid, .pid_fd = (int)syscall(SYS_pidfd_open, pid, 0) };
    if (target->pid_fd < 0 && errno == ESRCH)
        return refusal_say(pid, ESRCH);
    target->segment_fd = segment_find(pid);
    if (target->segment_fd < 0) {
        int error = errno;
        target_close(target);
        if (error)
            return refusal_say(pid, error);
        cli_error("process %d does not run the gmptrace runtime (none of its descriptors is %s)", (int)pid, LINK_START);
        return CLI_USAGE;
    }
    command_read(target);
    return CLI_OK;
}

bool target_ended(const struct target *target)
{
    struct pollfd wanted = { .fd = target->pid_fd, .events = POLLIN };
    if (target->pid_fd < 0)
        return kill(target->pid, 0) < 0 && errno == ESRCH;
    return poll(&wanted, 1, 0) > 0;
}

void target_close(struct target *target)
{
    if (target->segment_fd >= 0)
        close(target->segment_fd);
    if (target->pid_fd >= 0)
        close(target->pid_fd);
    target->segment_fd = target->pid_fd = -1;
}
