/* Output files that are renamed into place when they are whole. See outfile.h. */
#define _GNU_SOURCE
#include "outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int outfile_open(struct outfile *file, const char *path)
{
    *file = (struct outfile){ .path = path, .fd = -1 };
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        file->fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        return file->fd < 0 ? -errno : 0;
    }
    if (asprintf(&file->part_path, "%s.%d.part", path, (int)getpid()) < 0) {
        file->part_path = NULL;
        return -ENOMEM;
    }
    file->fd = open(file->part_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file->fd >= 0)
        return 0;
    int result = -errno;
    free(file->part_path);
    file->part_path = NULL;
    return result;
}

static int old_keep(const char *path)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : -errno;
    char *old_path;
    if (asprintf(&old_path, "%s.old", path) < 0)
        return -ENOMEM;
    int result = rename(path, old_path) < 0 ? -errno : 0;
    free(old_path);
    return result;
}

int outfile_keep(struct outfile *file)
{
    if (!file->part_path)
        return 0;
    int result = old_keep(file->path);
    if (result)
        return result;
    if (rename(file->part_path, file->path) < 0)
        return -errno;
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
