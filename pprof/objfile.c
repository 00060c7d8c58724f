/* Opening ELF files and finding their separate debug files.
 *
 * Where: $GMPT_DEBUG_PATH and /usr/lib/debug, each with .build-id/xx/yyyy.debug; then, by the name in .gnu_debuglink,
 * the object's own directory, its .debug, and the object's directory under both roots. A debug file counts only if it
 * has the same build id or, where there is none to compare, the checksum that the link names. */
#define _GNU_SOURCE
#include "objfile.h"

#include <elfutils/libdwelf.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define SYSTEM_DEBUG_ROOT "/usr/lib/debug"

int objfile_open(struct objfile *file, const char *path)
{
    int result = -ENOEXEC;
    struct stat status;

    memset(file, 0, sizeof *file);
    elf_version(EV_CURRENT);
    /* The path is input: it may name a fifo, which must not hang us, or a device. */
    file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file->fd < 0)
        return -errno;
    if (fstat(file->fd, &status) || !S_ISREG(status.st_mode))
        goto out;
    file->device = status.st_dev;
    file->inode = status.st_ino;
    /* Not mapped: a file that is rewritten in place while we read would end us with SIGBUS. */
    file->elf = elf_begin(file->fd, ELF_C_READ, NULL);
    if (!file->elf || elf_kind(file->elf) != ELF_K_ELF)
        goto out;

    const void *id;
    ssize_t size = dwelf_elf_gnu_build_id(file->elf, &id);
    if (size > 0) {
        file->build_id_bytes = size < OBJFILE_BUILD_ID_MAX ? (size_t)size : OBJFILE_BUILD_ID_MAX;
        memcpy(file->build_id, id, file->build_id_bytes);
    }
    result = 0;
out:
    if (result) {
        if (file->elf)
            elf_end(file->elf);
        close(file->fd);
        file->elf = NULL;
    }
    return result;
}

void objfile_close(struct objfile *file)
{
    if (!file->elf)
        return;
    elf_end(file->elf);
    close(file->fd);
    file->elf = NULL;
}

bool objfile_has_build_id(const struct objfile *file, const uint8_t *build_id, size_t size)
{
    return file->build_id_bytes == size && memcmp(file->build_id, build_id, size) == 0;
}

uint64_t objfile_offset(const struct objfile *file, uint64_t object_address)
{
    size_t count;
    if (elf_getphdrnum(file->elf, &count))
        return 0;
    for (size_t i = 0; i < count && i < INT_MAX; i++) {
        GElf_Phdr segment;
        if (!gelf_getphdr(file->elf, (int)i, &segment))
            return 0;
        /* A mapping starts on a page, a segment need not. */
        uint64_t slack = segment.p_vaddr & 0xfff;
        if (segment.p_type == PT_LOAD && segment.p_offset >= slack &&
            object_address - (segment.p_vaddr - slack) < segment.p_filesz + slack)
            return segment.p_offset - slack + (object_address - (segment.p_vaddr - slack));
    }
    return 0;
}

/* The checksum of .gnu_debuglink is the CRC that zlib computes, over the whole file. */
static bool checksum_matches(const struct objfile *file, uint32_t expected)
{
    unsigned char buffer[16384];
    uLong sum = crc32(0, NULL, 0);
    off_t offset = 0;
    for (;;) {
        ssize_t size = pread(file->fd, buffer, sizeof buffer, offset);
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0)
            return false;
        if (size == 0)
            return (uint32_t)sum == expected;
        sum = crc32(sum, buffer, (uInt)size);
        offset += size;
    }
}

static int find_by_build_id(struct objfile *debug, const char *root, const uint8_t *build_id, size_t size)
{
    char hex[2 * OBJFILE_BUILD_ID_MAX + 1], path[PATH_MAX];
    if (size < 2 || size > OBJFILE_BUILD_ID_MAX)
        return -ENOENT;
    for (size_t i = 0; i < size; i++)
        snprintf(hex + 2 * i, 3, "%02x", build_id[i]);
    if (snprintf(path, sizeof path, "%s/.build-id/%.2s/%s.debug", root, hex, hex + 2) >= (int)sizeof path)
        return -ENOENT;
    if (objfile_open(debug, path))
        return -ENOENT;
    if (objfile_has_build_id(debug, build_id, size))
        return 0;
    objfile_close(debug);
    return -ENOENT;
}

/* Opens root/directory/middle/name if it is the debug file of main. */
static int try_link(struct objfile *debug, const struct objfile *main, uint32_t checksum, const char *root,
                    const char *directory, const char *middle, const char *name)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s%s%s/%s", root, directory, middle, name) >= (int)sizeof path)
        return -ENOENT;
    if (objfile_open(debug, path))
        return -ENOENT;
    bool same_file = debug->device == main->device && debug->inode == main->inode;
    bool fits = main->build_id_bytes && debug->build_id_bytes
                    ? objfile_has_build_id(debug, main->build_id, main->build_id_bytes)
                    : checksum_matches(debug, checksum);
    if (fits && !same_file)
        return 0;
    objfile_close(debug);
    return -ENOENT;
}

static int find_by_link(struct objfile *debug, const struct objfile *main, const char *path, const char *extra_root)
{
    GElf_Word checksum;
    const char *name = dwelf_elf_gnu_debuglink(main->elf, &checksum);
    if (!name || !*name || strchr(name, '/'))
        return -ENOENT;
    char *directory = realpath(path, NULL);
    char *slash = directory ? strrchr(directory, '/') : NULL;
    int result = -ENOENT;
    if (slash) {
        *slash = 0;
        result = try_link(debug, main, checksum, "", directory, "", name);
        if (result)
            result = try_link(debug, main, checksum, "", directory, "/.debug", name);
        if (result && extra_root)
            result = try_link(debug, main, checksum, extra_root, directory, "", name);
        if (result)
            result = try_link(debug, main, checksum, SYSTEM_DEBUG_ROOT, directory, "", name);
    }
    free(directory);
    return result;
}

int objfile_find_debug(struct objfile *debug, const struct objfile *main, const char *path, const uint8_t *build_id,
                       size_t size)
{
    const char *extra_root = getenv("GMPT_DEBUG_PATH");
    if (extra_root && !*extra_root)
        extra_root = NULL;
    int result = -ENOENT;
    if (extra_root)
        result = find_by_build_id(debug, extra_root, build_id, size);
    if (result)
        result = find_by_build_id(debug, SYSTEM_DEBUG_ROOT, build_id, size);
    if (result && main->elf)
        result = find_by_link(debug, main, path, extra_root);
    return result;
}
