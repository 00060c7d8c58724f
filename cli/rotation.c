/* Keeps account of the files of a recording. See rotation.h. */
#define _GNU_SOURCE
#include "rotation.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int rotation_open(struct rotation *rotation, const char *path, uint64_t max_bytes, unsigned keep)
{
    *rotation = (struct rotation){ .path = path, .max_bytes = max_bytes, .keep = keep };
    rotation->files = calloc((size_t)keep + 2, sizeof *rotation->files);
    return rotation->files ? 0 : -ENOMEM;
}

static struct rotation_file *file_of(struct rotation *rotation, unsigned number)
{
    return &rotation->files[number % (rotation->keep + 2)];
}

const char *rotation_path(struct rotation *rotation, unsigned number)
{
    struct rotation_file *file = file_of(rotation, number);
    char *path;
    int length = number ? asprintf(&path, "%s.%u", rotation->path, number) : asprintf(&path, "%s", rotation->path);
    if (length < 0)
        return NULL;
    free(file->path);
    *file = (struct rotation_file){ .path = path };
    return path;
}

void rotation_begun(struct rotation *rotation, unsigned number, int fd)
{
    struct rotation_file *file = file_of(rotation, number);
    struct stat st;
    rotation->number = number;
    if (fstat(fd, &st) < 0)
        return;
    file->device = st.st_dev;
    file->inode = st.st_ino;
}

void rotation_done(struct rotation *rotation)
{
    for (; rotation->number - rotation->first >= rotation->keep; rotation->first++) {
        struct rotation_file *file = file_of(rotation, rotation->first);
        struct stat st;
        if (lstat(file->path, &st) == 0 && st.st_dev == file->device && st.st_ino == file->inode)
            unlink(file->path);
    }
}

void rotation_close(struct rotation *rotation)
{
    for (unsigned i = 0; rotation->files && i < rotation->keep + 2; i++)
        free(rotation->files[i].path);
    free(rotation->files);
    rotation->files = NULL;
}
