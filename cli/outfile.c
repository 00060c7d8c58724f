/* Output files that are renamed into place when they are whole. See outfile.h.
 *
 * Other runs may do the same at the same time, so no step relies on what a step before it saw: each rename but one
 * fails when its target is there, and the loop looks again. The one that replaces is that of a file older than this run
 * to PATH.old. */
#define _GNU_SOURCE
#include "outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define OLD_NAMES_MAX 1000

static bool is_special(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

int outfile_open(struct outfile *file, const char *path)
{
    if (!is_special(path))
        return outfile_open_regular(file, path);
    *file = (struct outfile){ .path = path, .fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY) };
    return file->fd < 0 ? -errno : 0;
}

int outfile_open_regular(struct outfile *file, const char *path)
{
    struct stat st;
    *file = (struct outfile){ .path = path, .fd = -1 };
    if (is_special(path))
        return -EEXIST;
    if (asprintf(&file->part_path, "%s.%d.part", path, (int)getpid()) < 0) {
        file->part_path = NULL;
        return -ENOMEM;
    }
    file->fd = open(file->part_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file->fd >= 0 && fstat(file->fd, &st) == 0) {
        file->opened = st.st_mtim;
        return 0;
    }
    int result = -errno;
    if (file->fd >= 0) {
        close(file->fd);
        outfile_drop(file);
    }
    outfile_close(file);
    return result;
}

/* Returns 0, or -errno: -EEXIST when there is something under the new name. */
static int rename_new(const char *from, const char *to)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -errno;
    struct stat st; /* a file system that does not know how: look first */
    if (lstat(to, &st) == 0)
        return -EEXIST;
    return rename(from, to) < 0 ? -errno : 0;
}

/* The names under which an earlier file is kept: PATH.old, PATH.old.1, ... NULL when there is no memory. */
static char *old_name(const char *path, unsigned number)
{
    char *name;
    int length = number ? asprintf(&name, "%s.old.%u", path, number) : asprintf(&name, "%s.old", path);
    return length < 0 ? NULL : name;
}

static bool older(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

/* Takes what is at path out of the way. Returns 0, also when it has gone by itself, or -errno. */
static int old_keep(struct outfile *file)
{
    struct stat st, before;
    char *taken; /* a name of our own: what is judged is what is then kept, whoever else renames */
    if (asprintf(&taken, "%s.%d.kept", file->path, (int)getpid()) < 0)
        return -ENOMEM;
    int result = rename_new(file->path, taken);
    if (result) {
        free(taken);
        return result == -ENOENT ? 0 : result;
    }
    bool replace = lstat(taken, &st) == 0 && older(&st.st_mtim, &file->opened);
    result = -EEXIST;
    for (unsigned number = 0; result == -EEXIST && number < OLD_NAMES_MAX; number++) {
        char *name = old_name(file->path, number);
        if (!name) {
            result = -ENOMEM;
            break;
        }
        bool replaced = replace && lstat(name, &before) == 0;
        if (replaced)
            result = rename(taken, name) < 0 ? -errno : 0;
        else
            result = rename_new(taken, name);
        if (result == 0) {
            free(file->old_path);
            file->old_path = name;
            file->old_replaced = replaced;
        } else {
            free(name);
        }
    }
    if (result)
        rename_new(taken, file->path);
    free(taken);
    return result;
}

int outfile_keep(struct outfile *file)
{
    if (!file->part_path)
        return 0;
    int result;
    while ((result = rename_new(file->part_path, file->path)) == -EEXIST)
        if ((result = old_keep(file)))
            break;
    if (result)
        return result;
    free(file->part_path);
    file->part_path = NULL;
    return 0;
}

void outfile_drop(struct outfile *file)
{
    if (!file->part_path)
        return;
    unlink(file->part_path);
    free(file->part_path);
    file->part_path = NULL;
}

void outfile_close(struct outfile *file)
{
    free(file->part_path);
    free(file->old_path);
    file->part_path = file->old_path = NULL;
}
